"""A process killed at each step between a save and the end of the deletion: no named file is lost.

Each process kills itself by SIGKILL, at a moment that it reaches by signals and by its statements in the
database. What it leaves behind is for the outbox, and an upload whose row never was for ``b2_audit``.
"""

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F

from b2fields import B2Storage, cleanup
from b2fields.models import DroppedFile
from tests.cleaning import processes
from tests.cleaning.conftest import upload
from tests.cleaning.models import Note

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def start(tmp_path):
    with processes.starting(tmp_path) as start:
        yield start


@pytest.fixture
def note(emulator, start):
    """A row whose file has two versions."""
    note = Note.objects.create(scan=upload("old.txt", b"first"))
    B2Storage().upload(note.scan.name, upload(content=b"second"))
    return note


def named():
    return {name for row in Note.objects.all() for name in (row.scan.name, row.extra.name) if name}


def kill(start, job, **arguments):
    start(job, is_killed=True, **arguments).is_killed()
    with transaction.atomic():  # The server lets go of the locks of a killed process when it finds out.
        list(DroppedFile.objects.select_for_update())
        list(Note.objects.select_for_update())


def finish_the_work():
    """Work the outbox, and once more as a minute later: what is named and that young waits until then."""
    list(cleanup.work_all("default", retry=True))
    DroppedFile.objects.update(dropped=F("dropped") - timedelta(minutes=2))
    list(cleanup.work_all("default", retry=True))
    assert not DroppedFile.objects.exists()


# Names of functions in tests.cleaning.child.
OF_THE_WORK = [
    "check_begins",
    "names_are_checked",
    "versions_are_listed",
    "first_version_is_removed",
    "second_version_is_removed",
    "entry_is_about_to_go",
    "entry_is_gone",
    "all_is_done",
]


@pytest.mark.parametrize("at", ["upload_is_done", "row_is_asked_for", "entry_is_written", "row_is_written"])
def test_killed_within_the_transaction_of_a_replacement(note, start, names, at):
    old = note.scan.name
    kill(start, "replace", at=at, in_transaction=True)
    assert named() == {old}
    finish_the_work()
    assert names() - {upload_without_a_row(names)} == {old}


@pytest.mark.parametrize("at", ["upload_is_done", "row_is_asked_for", "row_is_about_to_be_written"])
def test_killed_before_a_replacement_without_a_transaction(note, start, names, at):
    old = note.scan.name
    kill(start, "replace", at=at)
    assert named() == {old}
    finish_the_work()
    assert names() - {upload_without_a_row(names)} == {old}


@pytest.mark.parametrize("at", ["entry_is_written", "row_is_written"])
def test_killed_within_the_transaction_of_a_deletion(note, start, names, at):
    kill(start, "delete", at=at)
    assert named() == {note.scan.name}
    finish_the_work()
    assert names() == {note.scan.name}


@pytest.mark.parametrize("at", ["transaction_is_committed", *OF_THE_WORK])
def test_killed_between_the_commit_of_a_replacement_and_its_end(note, start, names, at):
    kill(start, "replace", at=at, in_transaction=True)
    assert_is_finished_by_others(names)
    assert named().isdisjoint({note.scan.name})


@pytest.mark.parametrize("at", ["row_is_written", "names_are_checked", "first_version_is_removed"])
def test_killed_after_a_replacement_without_a_transaction(note, start, names, at):
    kill(start, "replace", at=at)
    assert_is_finished_by_others(names)
    assert named().isdisjoint({note.scan.name})


@pytest.mark.parametrize("at", ["transaction_is_committed", "first_version_is_removed", "entry_is_gone"])
def test_killed_between_the_commit_of_a_deletion_and_its_end(note, start, names, at):
    kill(start, "delete", at=at, in_transaction=True)
    assert_is_finished_by_others(names)
    assert named() == set()


@pytest.mark.parametrize("at", OF_THE_WORK)
def test_killed_as_a_worker_of_the_outbox(note, start, emulator, names, at):
    copy = Note.objects.create(scan=upload("copied.txt"), extra=upload("deleted.txt"))
    Note.objects.bulk_create([Note(scan=copy.scan.name)])
    emulator.fault("b2_list_file_versions", status=400, code="bad_request", times=3)
    note.delete()
    copy.delete()
    emulator.heal()
    assert DroppedFile.objects.count() == 2
    kill(start, "work", at=at)
    assert_is_finished_by_others(names)
    assert named() == {copy.scan.name}


@pytest.mark.parametrize("at", ["upload_is_done", "check_begins"])
def test_killed_before_an_upload_is_written_down_that_was_rolled_back(start, note, names, at):
    kill(start, "roll_back", at=at)
    finish_the_work()
    assert names() - {upload_without_a_row(names)} == named()


@pytest.mark.parametrize("at", ["entry_is_asked_for", "names_are_checked", "first_version_is_removed"])
def test_killed_while_an_upload_is_removed_that_was_rolled_back(start, note, names, at):
    kill(start, "roll_back", at=at)
    assert_is_finished_by_others(names)
    assert named() == {note.scan.name}


@pytest.mark.parametrize("at", ["entry_is_gone", "row_is_written"])
def test_killed_within_the_transaction_that_names_a_dropped_file_again(note, start, emulator, names, at):
    emulator.fault("b2_list_file_versions", status=400, code="bad_request", times=1)
    note.delete()
    kill(start, "save_with", name=note.scan.name, at=at, in_transaction=True)
    assert note.scan.name in names()
    assert_is_finished_by_others(names)
    assert named() == set()


def assert_is_finished_by_others(names):
    assert named() <= names()
    finish_the_work()
    assert names() == named()


def upload_without_a_row(names):
    (name,) = names() - named()
    assert name.endswith("/new.txt")
    return name
