"""The system checks of cleanup."""

import sys

import pytest
from django.core import checks
from django.db import models
from django.test.utils import isolate_apps

from b2fields import B2FileField
from b2fields.cleanup.checks import check_tasks_are_installed
from tests.cleaning.models import Note

pytestmark = pytest.mark.django_db


class NowhereRouter:
    """Lets the outbox into no database."""

    def allow_migrate(self, db, app_label, **hints):
        return app_label != "b2fields"


def found():
    return {message.id for message in checks.run_checks() if (message.id or "").startswith("b2fields.")}


@pytest.mark.parametrize(
    ("setting", "value", "id"),
    [
        ("DELETE", "forget", "b2fields.E033"),
        ("CLEANUP", "yes", "b2fields.E035"),
        ("TASKS", "nowhere", "b2fields.E036"),
        ("CLEANUP_DELAY", -1, "b2fields.E016"),
        ("CLEANUP_DELAY", "1 day", "b2fields.E016"),
    ],
)
def test_a_setting_that_makes_no_sense_is_found(bucket, settings, setting, value, id):
    assert id not in found()
    setattr(settings, f"B2FIELDS_{setting}", value)
    assert id in found()


def test_a_backend_is_named_in_vain_where_there_are_no_tasks(bucket, settings, monkeypatch):
    settings.B2FIELDS_TASKS = "default"
    assert "b2fields.E047" not in found()
    for module in ("django.tasks", "django_tasks"):
        monkeypatch.setitem(sys.modules, module, None)  # As Python has it for what cannot be imported.
    # Asked alone, because Django's own check of its tasks imports them.
    assert [error.id for error in check_tasks_are_installed()] == ["b2fields.E047"]
    settings.B2FIELDS_TASKS = None
    assert check_tasks_are_installed() == []


@isolate_apps("tests.cleaning")
def test_an_argument_that_makes_no_sense_is_found():
    class Wrong(models.Model):
        file = B2FileField(cleanup="yes")

        class Meta:
            app_label = "cleaning"

    assert [message.id for message in Wrong._meta.get_field("file").check()] == ["b2fields.E034"]


def test_a_database_without_an_outbox_is_found(bucket, settings):
    assert "b2fields.E037" not in found()
    settings.DATABASE_ROUTERS = [NowhereRouter()]
    assert "b2fields.E037" in found()


if hasattr(models, "DB_CASCADE"):  # since Django 6.1

    def test_rows_that_the_database_deletes_by_itself_are_found(bucket):
        key = Note._meta.get_field("folder")
        assert "b2fields.W038" not in found()
        before, key.remote_field.on_delete = key.remote_field.on_delete, models.DB_CASCADE
        try:
            assert "b2fields.W038" in found()
        finally:
            key.remote_field.on_delete = before
