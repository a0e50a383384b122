"""Cleanup where rows are in two databases; run by test_two_databases.py, in a project that has two."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from b2fields.cleanup import outbox
from b2fields.models import DroppedFile
from tests.cleaning.conftest import RollBack, rolled_back, upload
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


@pytest.mark.parametrize(("outer", "inner"), [("default", "other"), ("other", "default")])
def test_an_upload_goes_when_transactions_of_both_databases_are_rolled_back(note, names, outer, inner):
    before = names()
    with rolled_back(using=outer), rolled_back(using=inner):
        Note(scan=upload()).save()
        raise RollBack
    call_command("b2_cleanup", verbosity=0)
    assert names() == before


def test_an_upload_goes_with_the_database_that_its_row_was_saved_in(note, names):
    before = names()
    with rolled_back(using="other"):
        row = Note()
        row.scan.save("a.txt", upload(), save=False)
        row.save(using="other")
    assert names() == before


def test_one_outbox_that_cannot_be_worked_holds_up_no_other(note, names, emulator):
    emulator.fault("b2_list_file_versions", status=503, times=100)
    Note.objects.using("other").create(scan=upload()).delete(using="other")
    emulator.heal()
    with connections["default"].schema_editor() as editor:
        editor.alter_db_table(DroppedFile, "b2fields_droppedfile", "away")
    try:
        with pytest.raises(CommandError, match="'default' cannot be worked"):
            call_command("b2_cleanup", verbosity=0)
    finally:
        with connections["default"].schema_editor() as editor:
            editor.alter_db_table(DroppedFile, "away", "b2fields_droppedfile")
    assert names() == {note.scan.name}


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
