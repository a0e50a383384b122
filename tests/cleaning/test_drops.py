"""What drops a name, and what does not: with real commits."""

import copy

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import signals
from django.forms import modelform_factory

from b2fields.models import DroppedFile
from tests.cleaning.conftest import rolled_back, upload
from tests.cleaning.models import Folder, Note, NoteProxy, SealedNote

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def note(emulator):
    return Note.objects.create(title="a", scan=upload("old.txt"))


def replace(note):
    note.scan = upload("new.txt")
    note.save()


def replace_and_name_the_field(note):
    note.scan = upload("new.txt")
    note.save(update_fields=["scan"])


def assign_none(note):
    note.scan = None
    note.save()


def assign_nothing(note):
    note.scan = ""
    note.save()


def delete_the_file(note):
    note.scan.delete()


def delete_the_file_and_save(note):
    note.scan.delete(save=False)
    note.save()


def save_through_the_file(note):
    note.scan.save("new.txt", upload())


def delete_the_row(note):
    note.delete()


def delete_by_queryset(note):
    Note.objects.filter(pk=note.pk).delete()


def delete_by_queryset_that_loads_little(note):
    Note.objects.only("title").filter(pk=note.pk).delete()


def delete_by_cascade(note):
    note.folder = Folder.objects.create()
    note.save()
    note.folder.delete()


def delete_without_loading(note):
    Note(pk=note.pk).delete()


def delete_by_proxy(note):
    NoteProxy.objects.get(pk=note.pk).delete()


def replace_by_proxy(note):
    replace(NoteProxy.objects.get(pk=note.pk))


def save_without_loading(note):
    Note(pk=note.pk, scan=upload("new.txt")).save()


def save_deferred(note):
    replace(Note.objects.only("title").get(pk=note.pk))


def save_a_stale_copy(note):
    replace(copy.copy(note))


def delete_after_assigning_another(note):
    note.scan = ""
    note.delete()


def replace_after_refreshing(note):
    note.scan = upload("never saved.txt")
    note.refresh_from_db()
    replace(note)


@pytest.mark.parametrize(
    "drop",
    [
        replace,
        replace_and_name_the_field,
        assign_none,
        assign_nothing,
        delete_the_file,
        delete_the_file_and_save,
        save_through_the_file,
        delete_the_row,
        delete_by_queryset,
        delete_by_queryset_that_loads_little,
        delete_by_cascade,
        delete_without_loading,
        delete_by_proxy,
        replace_by_proxy,
        save_without_loading,
        save_deferred,
        save_a_stale_copy,
        delete_after_assigning_another,
        replace_after_refreshing,
    ],
)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_the_old_file_goes(note, drop, in_transaction, names):
    old = note.scan.name
    if in_transaction:
        with transaction.atomic():
            drop(note)
            assert old in names()
    else:
        drop(note)
    assert names() == {row.scan.name for row in Note.objects.all() if row.scan}
    assert old not in names()
    assert not DroppedFile.objects.exists()


def test_nothing_goes_with_a_transaction_that_is_rolled_back(note, names):
    with rolled_back():
        replace(note)
        note.delete()
    assert names() == {Note.objects.get().scan.name}


def test_nothing_goes_with_a_savepoint_that_is_rolled_back(note, names):
    old = note.scan.name
    with transaction.atomic(), rolled_back():
        replace(note)
    assert names() == {old}


def test_nothing_goes_with_a_savepoint_that_is_rolled_back_by_hand(note, names):
    old = note.scan.name
    with transaction.atomic():
        savepoint = connection.savepoint()
        replace(note)
        transaction.savepoint_rollback(savepoint)
    assert names() == {old}


def save_another_field(note):
    note.title = "b"
    note.save(update_fields=["title"])


def save_all_with_the_same_file(note):
    note.title = "b"
    note.save()


def save_with_the_file_deferred(note):
    Note.objects.only("title").get(pk=note.pk).save()


def upload_and_forget(note):
    note.scan = upload("never saved.txt")
    note.refresh_from_db()
    note.save()


def save_without_naming_the_new_file(note):
    note.scan = upload("new.txt")
    note.save(update_fields=["title"])


def change_by_queryset(note):
    Note.objects.update(scan="")  # sends no signal; for the audit to find


def change_in_bulk(note):
    note.scan = ""
    Note.objects.bulk_update([note], ["scan"])


@pytest.mark.parametrize(
    "change",
    [
        save_another_field,
        save_all_with_the_same_file,
        save_with_the_file_deferred,
        upload_and_forget,
        save_without_naming_the_new_file,
        change_by_queryset,
        change_in_bulk,
    ],
)
def test_a_save_that_does_not_write_the_file_drops_nothing(note, change, names):
    old = note.scan.name
    change(note)
    assert names() == {old}
    assert not DroppedFile.objects.exists()


def test_a_fixture_drops_nothing(note, names, tmp_path):
    old = note.scan.name
    fixture = tmp_path / "note.json"
    fixture.write_text(serializers.serialize("json", Note.objects.all()).replace(old, "scans/other.txt"))
    call_command("loaddata", fixture, verbosity=0)
    assert Note.objects.get().scan.name == "scans/other.txt"
    assert names() == {old}


def test_a_copy_shares_the_file_until_it_has_another(note, names):
    old = note.scan.name
    copied = Note.objects.get()
    copied.pk = None
    copied.save()
    copied.scan = upload("other.txt")
    copied.save()
    assert names() == {old, copied.scan.name}


def test_a_file_that_is_replaced_twice_leaves_the_last(note, names):
    with transaction.atomic():
        replace(note)
        replace(note)
    assert names() == {note.scan.name}


def test_the_forms_checkbox_clears_the_file(note, names):
    form = modelform_factory(Note, fields=["title", "scan"])({"scan-clear": "on"}, {}, instance=note)
    form.save()
    assert names() == set()


def test_a_deletion_that_fails_leaves_nothing_to_the_next_one(note, names):
    def refuse(**kwargs):
        raise ValueError("not this one")

    with transaction.atomic():
        other = Note.objects.create(scan=upload())
        signals.pre_delete.connect(refuse, sender=Note)
        try:
            with pytest.raises(ValueError, match="not this one"), transaction.atomic():
                note.delete()
        finally:
            signals.pre_delete.disconnect(refuse, sender=Note)
        other.delete()
    assert names() == {note.scan.name}


def test_a_database_that_does_not_tell_the_ids_of_many_rows_is_asked_for_one_by_one(note, names, monkeypatch):
    # As MySQL does.
    monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)
    Note.objects.create(scan=upload())
    Note.objects.all().delete()
    assert names() == set()
    assert not DroppedFile.objects.exists()


def test_a_child_row_that_keeps_its_parent_keeps_the_parents_file(emulator, names):
    note = SealedNote.objects.create(scan=upload("scan.txt"), seal=upload("seal.txt"))
    note.delete(keep_parents=True)
    assert names() == {note.scan.name}


def test_saving_a_child_replaces_the_files_of_both_tables(emulator, names):
    note = SealedNote.objects.create(scan=upload(), seal=upload())
    note.scan, note.seal = upload("new scan.txt"), upload("new seal.txt")
    note.save()
    assert names() == {note.scan.name, note.seal.name}


def test_a_child_row_takes_the_files_of_both_tables_with_it(emulator, names):
    note = SealedNote.objects.create(scan=upload("scan.txt"), seal=upload("seal.txt"))
    assert len(names()) == 2
    note.delete()
    assert names() == set()
