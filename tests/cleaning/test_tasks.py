"""The outbox worked by a backend of Django Tasks, which is the package django-tasks before Django 6.0."""

import importlib
import sys

import pytest
from django.core.management import call_command

from b2fields.models import DroppedFile
from tests.cleaning.conftest import rolled_back, upload
from tests.cleaning.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

try:
    from django.tasks import task_backends

    BACKENDS = "django.tasks.backends"
except ImportError:
    from django_tasks import task_backends

    BACKENDS = "django_tasks.backends"


@pytest.fixture
def tasks(emulator, settings):
    """A backend that collects tasks, and one that runs them at once."""
    settings.TASKS = {
        "default": {"BACKEND": f"{BACKENDS}.immediate.ImmediateBackend"},
        "files": {"BACKEND": f"{BACKENDS}.dummy.DummyBackend", "QUEUES": ["default"]},
    }
    settings.B2FIELDS_TASKS = "files"
    sys.modules.pop("b2fields.cleanup.tasks", None)
    yield task_backends["files"]
    sys.modules.pop("b2fields.cleanup.tasks", None)


def run(results):
    for result in results:
        result.task.func(*result.args, **result.kwargs)


def test_the_backend_does_the_work(tasks, emulator, names):
    note = Note.objects.create(scan=upload())
    with emulator.counted() as operations:
        note.delete()
    assert operations == []
    assert len(names()) == 1
    assert len(tasks.results) == 1
    run(tasks.results)
    assert names() == set()
    assert not DroppedFile.objects.exists()


def test_a_backend_finds_the_task_by_its_name(tasks):
    Note.objects.create(scan=upload()).delete()
    module, _, name = tasks.results[0].task.module_path.rpartition(".")
    assert getattr(importlib.import_module(module), name).func is tasks.results[0].task.func


def test_one_transaction_makes_one_task(tasks):
    for _ in range(3):
        Note.objects.create(scan=upload())
    Note.objects.all().delete()
    assert len(tasks.results) == 1


def test_a_transaction_that_is_rolled_back_makes_none_for_what_it_dropped(tasks, names):
    note = Note.objects.create(scan=upload())
    with rolled_back():
        note.delete()
    assert tasks.results == []


def test_a_backend_that_runs_tasks_at_once(tasks, settings, names):
    settings.B2FIELDS_TASKS = "default"
    Note.objects.create(scan=upload()).delete()
    assert names() == set()


def test_a_backend_that_is_away_breaks_no_request_and_loses_nothing(tasks, settings, names):
    note = Note.objects.create(scan=upload())
    settings.B2FIELDS_TASKS = "nowhere"
    note.delete()
    assert len(names()) == 1
    call_command("b2_cleanup", verbosity=0)
    assert names() == set()
