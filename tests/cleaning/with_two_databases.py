"""Cleanup where rows are in two databases; run by test_two_databases.py, in a project that has two."""

import pytest
from django.core.management import call_command
from django.db import connections, transaction

from b2fields import outbox
from b2fields.models import DroppedFile
from tests.cleaning.conftest import rolled_back, upload
from tests.cleaning.models import Note

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def note(emulator):
    return Note.objects.create(title="a", scan=upload("old.txt"))


def test_what_another_database_has_not_committed_is_not_believed(note, names):
    old = note.scan.name
    Note.objects.using("other").create(pk=note.pk, scan=old)
    with rolled_back(using="other"):
        Note.objects.using("other").get().delete()
        Note.objects.using("default").get().delete()
    assert names() == {old}


def test_both_databases_drop_the_name_and_the_file_goes(note, names):
    Note.objects.using("other").create(pk=note.pk, scan=note.scan.name)
    with transaction.atomic(using="other"):
        Note.objects.using("other").get().delete()
        Note.objects.using("default").get().delete()
    assert names() == set()


def test_a_replica_that_is_behind_postpones_a_removal(note, names):
    Note.objects.using("other").bulk_create([Note(pk=note.pk, scan=note.scan.name)])
    note.scan = upload("new.txt")
    note.save()
    assert len(names()) == 2
    Note.objects.using("other").update(scan=note.scan.name)
    call_command("b2_cleanup", verbosity=0)
    assert names() == {note.scan.name}


def test_a_database_without_an_outbox_is_used_as_ever(note, names):
    # What an earlier test made known of it.
    vars(connections["other"]).pop(outbox._HAS_OUTBOX, None)
    with connections["other"].schema_editor() as editor:
        editor.alter_db_table(DroppedFile, "b2fields_droppedfile", "away")
    try:
        row = Note(scan=upload())
        row.save(using="other")
        row.delete(using="other")
        assert len(names()) == 2
    finally:
        with connections["other"].schema_editor() as editor:
            editor.alter_db_table(DroppedFile, "away", "b2fields_droppedfile")
