"""Two processes at once: at one outbox, at one row, and at a name that one takes and the other removes.

They wait for each other by pipes, and for the locks of the database. SQLite has no lock of a row: what
holds there is said where it differs.
"""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from b2fields.models import DroppedFile
from tests.cleaning import processes
from tests.cleaning.conftest import upload
from tests.cleaning.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

_PATIENCE_SECONDS = 30


@pytest.fixture
def start(tmp_path):
    with processes.starting(tmp_path) as start:
        yield start


@pytest.fixture
def note(emulator, start):
    return Note.objects.create(scan=upload("old.txt"))


@pytest.fixture
def dropped(note, emulator):
    """The name of a file that no row has any more, and that waits to be removed."""
    drop(emulator, [note])
    return note.scan.name


def drop(emulator, rows):
    """Delete rows while B2 is in trouble, so that their files stay."""
    emulator.fault("b2_list_file_versions", status=400, code="bad_request", times=len(rows))
    for row in rows:
        row.delete()
    emulator.heal()
    assert DroppedFile.objects.count() == len(rows)


def wait_for_a_lock():
    end = time.monotonic() + _PATIENCE_SECONDS
    while not processes.is_lock_awaited():
        assert time.monotonic() < end


has_locks = connection.vendor != "sqlite"


# One outbox


@pytest.mark.parametrize(
    "at", ["check_begins", "names_are_checked", "versions_are_listed", "first_version_is_removed"]
)
def test_two_workers_remove_each_file_of_an_outbox(emulator, start, names, at):
    drop(emulator, [Note.objects.create(scan=upload(f"{number}.txt")) for number in range(20)])
    one = start("work", at=at)
    one.arrives()
    other = start("work").result()["result"]
    one.go_on()
    assert not one.result()["result"].get("failed")
    assert not other.get("failed")
    assert names() == set()
    assert not DroppedFile.objects.exists()


def test_two_workers_that_begin_together(emulator, start, names):
    drop(emulator, [Note.objects.create(scan=upload(f"{number}.txt")) for number in range(40)])
    workers = [start("work", at="check_begins") for _ in range(2)]
    for worker in workers:
        worker.arrives()
    for worker in workers:
        worker.go_on()
    for worker in workers:
        assert not worker.result()["result"].get("failed")
    assert names() == set()
    assert not DroppedFile.objects.exists()


# One row


def test_two_transactions_replace_the_file_of_one_row(note, start, names):
    first = start("replace", at="row_is_written", in_transaction=True)
    # On SQLite it reads beside the first, and is refused when it is about to write.
    second = start(
        "replace",
        at="row_is_asked_for" if has_locks else "entry_is_about_to_be_written",
        in_transaction=True,
    )
    for process in (first, second):
        process.arrives()
    second.go_on()
    if has_locks:
        wait_for_a_lock()
    first.go_on()
    assert "error" not in first.result()
    assert second.result().get("error") == (None if has_locks else "database is locked")
    assert names() == {Note.objects.get().scan.name}
    assert not DroppedFile.objects.exists()


def test_two_transactions_delete_one_row(note, start, names):
    first = start("delete", at="row_is_written", in_transaction=True)
    second = start(
        "delete",
        at="row_is_asked_for" if has_locks else "row_is_about_to_go",
        in_transaction=True,
    )
    for process in (first, second):
        process.arrives()
    second.go_on()
    if has_locks:
        wait_for_a_lock()
    first.go_on()
    assert "error" not in first.result()
    assert second.result().get("error") == (None if has_locks else "database is locked")
    assert names() == set()
    assert not DroppedFile.objects.exists()


def test_a_worker_leaves_what_a_save_without_a_transaction_is_about_to_drop(note, start, names):
    saver = start("replace", at="row_is_about_to_be_written")
    saver.arrives()
    assert start("work").result()["result"] == {"left": 1}
    saver.go_on()
    assert "error" not in saver.result()
    assert names() == {Note.objects.get().scan.name}


# A name that is taken again


def test_a_row_that_has_taken_a_waiting_name_keeps_its_file_before_it_is_committed(dropped, start, names):
    saver = start("save_with", name=dropped, at="row_is_written", in_transaction=True)
    saver.arrives()
    told = start("work").result()
    if has_locks:
        assert told["result"] == {}
    else:
        assert told["error"] == "database is locked"
    saver.go_on()
    assert "error" not in saver.result()
    assert names() == {dropped}
    assert not DroppedFile.objects.exists()


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("at", ["check_begins", "names_are_checked", "versions_are_listed"])
def test_a_row_that_takes_a_name_before_its_removal_begins_keeps_the_file(
    dropped, start, names, at, in_transaction
):
    worker = start("work", at=at)
    worker.arrives()
    assert "error" not in start("save_with", name=dropped, in_transaction=in_transaction).result()
    worker.go_on()
    assert not worker.result()["result"].get("removed")
    assert names() == {dropped}
    assert not DroppedFile.objects.exists()


@pytest.mark.parametrize("at", ["check_begins", "names_are_checked", "versions_are_listed"])
def test_a_row_that_is_committed_without_signals_between_check_and_removal_keeps_the_file(
    dropped, start, names, at
):
    DroppedFile.objects.update(dropped=F("dropped") - timedelta(minutes=2))
    worker = start("work", at=at)
    worker.arrives()
    Note.objects.bulk_create([Note(scan=dropped)])
    worker.go_on()
    assert worker.result()["result"] == {"kept": 1}
    assert names() == {dropped}
    assert not DroppedFile.objects.exists()


def test_a_row_that_takes_a_name_while_its_file_is_removed_comes_too_late(dropped, start, names):
    """This remains: as long as one request to B2 takes, and nobody is refused or fails."""
    worker = start("work", at="first_version_is_removed")
    worker.arrives()
    saver = start("save_with", name=dropped)
    if has_locks:
        wait_for_a_lock()
        worker.go_on()
    assert "error" not in saver.result()
    if not has_locks:
        worker.go_on()
    assert worker.result()["result"] == {"removed": 1}
    assert names() == set()
    assert not DroppedFile.objects.exists()
