"""``manage.py b2_cleanup``: what could not be removed at once is removed later."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils import timezone

from b2fields.cleanup import outbox
from b2fields.models import DroppedFile
from tests.cleaning.conftest import rolled_back, upload
from tests.cleaning.models import Note

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def failed(emulator):
    """The name of a file that could not be removed when its row went."""
    note = Note.objects.create(scan=upload())
    name = note.scan.name
    emulator.fault("b2_list_file_versions", status=503, times=100)
    note.delete()
    emulator.heal()
    return name


def clean(**options):
    output = StringIO()
    call_command("b2_cleanup", stdout=output, **options)
    return output.getvalue()


def test_what_failed_is_tried_again(failed, names):
    assert names() == {failed}
    assert clean().startswith("1 removed, 0 kept")
    assert names() == set()
    assert not DroppedFile.objects.exists()


def test_an_empty_outbox_is_no_error(emulator):
    assert clean().startswith("0 removed")
    assert clean(verbosity=0) == ""


def test_what_fails_again_is_told_by_the_exit_status(failed, emulator):
    emulator.fault("b2_list_file_versions", status=503, times=100)
    with pytest.raises(CommandError, match=r"1 of the files could not be removed.*B2 gave no usable answer"):
        clean()
    assert DroppedFile.objects.get().tries == 2


def test_the_pause_grows_with_every_try(failed, emulator):
    emulator.fault("b2_list_file_versions", status=503, times=100)
    pauses = []
    for _ in range(3):
        with pytest.raises(CommandError):
            clean()
        pauses.append(DroppedFile.objects.get().next_try - timezone.now())
    assert pauses == sorted(pauses)
    assert pauses[-1] > timedelta(minutes=7)


def test_what_is_in_use_again_is_let_go(failed, names):
    Note.objects.bulk_create([Note(scan=failed)])  # sends no signal
    DroppedFile.objects.update(dropped=timezone.now() - timedelta(hours=1))
    assert "1 kept because they are in use" in clean()
    assert names() == {failed}
    assert not DroppedFile.objects.exists()


def test_what_a_row_may_be_about_to_drop_is_left_for_later(emulator, names):
    """Outside a transaction a name is written down before the row that drops it."""
    note = Note.objects.create(scan=upload())
    now = timezone.now()
    moments = {"dropped": now, "due": now, "next_try": now}
    bucket = Note._meta.get_field("scan").b2_storage.bucket
    DroppedFile.of(bucket, note.scan.name, field="cleaning.note.scan", **moments).save()
    assert "1 left for later" in clean()
    assert names() == {note.scan.name}
    Note.objects.update(scan="")  # what the other process was about to do
    assert clean().startswith("1 removed")
    assert names() == set()


def test_the_delay_is_kept(emulator, settings, names):
    settings.B2FIELDS_CLEANUP_DELAY = 3600
    note = Note.objects.create(scan=upload())
    note.delete()
    assert clean().startswith("0 removed")
    assert len(names()) == 1
    DroppedFile.objects.update(due=timezone.now())
    assert clean().startswith("1 removed")
    assert names() == set()


def test_a_database_that_cannot_tell_what_is_in_use_keeps_everything(failed, names):
    with connection.schema_editor() as editor:
        editor.alter_db_table(Note, "cleaning_note", "cleaning_note_away")
    try:
        with pytest.raises(CommandError, match=r"cleaning.Note has no table in .*'default'.*Run migrate"):
            clean()
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Note, "cleaning_note_away", "cleaning_note")
    assert names() == {failed}


def test_within_a_transaction_nothing_is_removed(emulator, names):
    note = Note.objects.create(scan=upload())
    with rolled_back():
        note.delete()
        with pytest.raises(CommandError, match=r"A transaction is open in database 'default'"):
            clean()
    assert names() == {Note.objects.get().scan.name}


def test_without_an_outbox_it_says_so(emulator):
    with connection.schema_editor() as editor:
        editor.alter_db_table(DroppedFile, "b2fields_droppedfile", "away")
    vars(connections["default"]).pop(outbox._HAS_OUTBOX, None)
    try:
        with pytest.raises(CommandError, match=r"There is no outbox in 'default'\. Run migrate\."):
            clean()
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(DroppedFile, "away", "b2fields_droppedfile")


def test_a_worker_goes_on_until_it_is_told_to_stop(failed, names):
    """In this process, since the database of the tests may be in its memory."""
    DroppedFile.objects.update(next_try=timezone.now())
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGTERM])
    timer.start()
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert "1 removed" in clean(loop=True, interval=0.1)
    finally:
        timer.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert names() == set()


def test_the_help_says_what_it_does():
    command = [sys.executable, "-m", "django", "b2_cleanup", "--help", "--settings", "tests.settings"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "--loop" in found.stdout
