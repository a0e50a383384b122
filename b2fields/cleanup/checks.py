"""System checks of cleanup: whether it can do what fields and settings say. None of them asks B2."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import models, router

from b2fields import references
from b2fields.cleanup import outbox
from b2fields.fields import B2FileField


@register()
def check_cleanup(**kwargs: Any) -> list[CheckMessage]:
    declared: object = settings.B2FIELDS_CLEANUP
    if isinstance(declared, bool):
        return []
    return [
        Error(
            f"B2FIELDS_CLEANUP is {declared!r}, which is neither True nor False.",
            hint="Leave it out to remove only the files of fields with cleanup=True.",
            id="b2fields.E035",
        )
    ]


@register()
def check_tasks(**kwargs: Any) -> list[CheckMessage]:
    alias: object = settings.B2FIELDS_TASKS
    backends: object = getattr(settings, "TASKS", {"default": {}})
    if alias is None or (isinstance(backends, dict) and alias in backends):
        return []
    return [
        Error(
            f"B2FIELDS_TASKS is {alias!r}, which is no backend in TASKS.",
            hint="Name a key of TASKS, or leave it out: dropped files are removed after the commit, then.",
            id="b2fields.E036",
        )
    ]


@register()
def check_tasks_are_installed(**kwargs: Any) -> list[CheckMessage]:
    # As tasks.py imports them.
    if settings.B2FIELDS_TASKS is None or find_spec("django.tasks") or find_spec("django_tasks"):
        return []
    return [
        Error(
            f"B2FIELDS_TASKS is {settings.B2FIELDS_TASKS!r}, and there are no tasks.",
            hint="Install the package django-tasks, or update to Django 6.0 or later, which has them.",
            id="b2fields.E047",
        )
    ]


@register()
def check_outboxes(**kwargs: Any) -> list[CheckMessage]:
    """Find databases whose rows drop files and that may have no outbox."""
    return [
        Error(
            f"This field cleans up, but database {alias!r} has no outbox for what its rows drop.",
            hint="Let the database router allow the app b2fields in every database with such a field.",
            obj=field,
            id="b2fields.E037",
        )
        for field in _cleaned_fields()
        for alias in [router.db_for_write(field.model)]
        if not outbox.is_in(alias)
    ]


@register()
def check_cascades(**kwargs: Any) -> list[CheckMessage]:
    """Find rows that the database deletes by itself, of which nobody is told."""
    cascade = getattr(models, "DB_CASCADE", None)  # since Django 6.1
    tables = {field.model for field in _cleaned_fields()} if cascade else set()
    return [
        Warning(
            "The database deletes these rows by itself (DB_CASCADE), so their files stay in B2.",
            hint="Use CASCADE, or run b2_audit from time to time.",
            obj=key,
            id="b2fields.W038",
        )
        for table in tables
        for key in table._meta.local_concrete_fields
        if key.remote_field and getattr(key.remote_field, "on_delete", None) is cascade
    ]


def _cleaned_fields() -> Iterator[B2FileField]:
    return (field for field in references.b2_fields() if field.is_cleaned)
