"""The system checks of a field's arguments, one function for each rule. None of them asks B2."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Error
from django.core.exceptions import AppRegistryNotReady, FieldDoesNotExist, ImproperlyConfigured
from django.db import models
from django.db.migrations.serializer import serializer_factory

from b2fields import policy
from b2fields.exceptions import NotConfigured

if TYPE_CHECKING:
    from b2fields.fields import B2FileField

_NAMEABLE = (
    "Use a function at the top level of a module, no lambda and no method of an instance; or an instance of "
    "a class that is @deconstructible, such as has_perm()."
)


def check(field: B2FileField) -> list[CheckMessage]:
    """Return what is wrong with the arguments of *field*."""
    return [
        *_check_access(field),
        *_check_cleanup(field),
        *_check_metadata(field),
        *_check_storage(field),
        *_check_info_field(field),
        *_check_migrations_can_name(field),
    ]


def _check_access(field: B2FileField) -> Iterator[CheckMessage]:
    if field.access is not None and not policy.is_valid(field.access):
        yield Error(
            f"'access' is {field.access!r}, which is no access level.",
            hint='Use "public", "login", "staff", or a (not async) callable(request, instance) -> bool.',
            obj=field,
            id="b2fields.E001",
        )


def _check_cleanup(field: B2FileField) -> Iterator[CheckMessage]:
    declared: object = field.cleanup
    if declared is not None and not isinstance(declared, bool):
        yield Error(
            f"'cleanup' is {declared!r}, which is neither True nor False.",
            hint="Leave it out for what B2FIELDS_CLEANUP says.",
            obj=field,
            id="b2fields.E034",
        )


def _check_metadata(field: B2FileField) -> Iterator[CheckMessage]:
    declared: object = field.metadata
    if declared is not None and not callable(declared) and not isinstance(declared, Mapping):
        yield Error(
            f"'metadata' is {declared!r}, which is no dict.",
            hint="Pass a dict of B2 file info, or a callable(instance, filename) that returns one.",
            obj=field,
            id="b2fields.E007",
        )


def _check_storage(field: B2FileField) -> Iterator[CheckMessage]:
    if field.bucket is not None and field.declared_storage is not None:
        yield Error(
            "'bucket' and 'storage' are both given.",
            hint="Pass one of them: a storage names its own bucket.",
            obj=field,
            id="b2fields.E002",
        )
        return
    try:
        field.storage  # noqa: B018 - building it is the check
    except ImproperlyConfigured as error:
        yield Error(
            str(error),
            hint="Pass a B2Storage, a callable that returns one, or the alias of one in STORAGES.",
            obj=field,
            id="b2fields.E003",
        )


def _check_info_field(field: B2FileField) -> Iterator[CheckMessage]:
    if field.info_field is None:
        return
    name = field.info_field
    try:
        found = field.model._meta.get_field(name)
    except FieldDoesNotExist:
        yield Error(
            f"'info_field' is {name!r}, and the model has no such field.",
            hint=f"Add it below this field: {name} = models.JSONField(null=True, editable=False)",
            obj=field,
            id="b2fields.E012",
        )
        return
    if not isinstance(found, models.JSONField):
        yield Error(
            f"'info_field' is {name!r}, which is no JSONField.",
            hint=f"Make it one: {name} = models.JSONField(null=True, editable=False)",
            obj=field,
            id="b2fields.E013",
        )


def _check_migrations_can_name(field: B2FileField) -> Iterator[CheckMessage]:
    if field.access is not None and not policy.is_valid(field.access):
        return
    for argument, declared in _declared(field).items():
        if not _can_be_named(declared):
            yield Error(
                f"'{argument}' is {declared!r}, which a migration cannot name.",
                hint=_NAMEABLE,
                obj=field,
                id="b2fields.E014",
            )


def refuse_unnameable(field: B2FileField) -> None:
    """Raise NotConfigured for a callable that no migration can name: makemigrations would, but later."""
    if field.access is not None and not policy.is_valid(field.access):
        return  # That is for the check to tell.
    for argument, declared in _declared(field).items():
        if callable(declared) and not _can_be_named(declared):
            raise NotConfigured(
                f"{field.label} has {argument}={declared!r}, which a migration cannot name. {_NAMEABLE}"
            )


def _declared(field: B2FileField) -> dict[str, object]:
    """Return the arguments in which a migration may meet something it cannot write down."""
    return {"access": field.access, "metadata": field.metadata, "storage": field.declared_storage}


def _can_be_named(declared: object) -> bool:
    function = declared
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, MethodType) and not isinstance(function.__self__, type):
        return False  # Django writes it down as if it were a plain function.
    try:
        # What is defined within a function can be written, but is no Python then: "made.<locals>.Rule".
        ast.parse(serializer_factory(declared).serialize()[0], mode="eval")
    except (ValueError, SyntaxError):
        return False
    except AppRegistryNotReady:
        return True  # A text to translate is one to write down, later.
    return True
