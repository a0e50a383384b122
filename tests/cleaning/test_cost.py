"""What cleanup costs, and that it costs nothing where it is not used."""

import pytest
from django.db.models import signals

from tests.cleaning.conftest import upload
from tests.cleaning.models import Note, NoteProxy, SealedNote, Undecided

pytestmark = pytest.mark.django_db(transaction=True)

SIGNALS = ("pre_save", "post_save", "pre_delete", "post_delete")


def listeners(model):
    from b2fields import drops

    ours = {drops.before_save, drops.after_save, drops.before_delete}
    found = []
    for name in SIGNALS:
        receivers, _ = getattr(signals, name)._live_receivers(model)
        found += [name for receiver in receivers if receiver in ours]
    return found


@pytest.mark.parametrize("model", [Note, NoteProxy, SealedNote])
def test_models_that_clean_up_are_listened_to(model):
    assert listeners(model) == ["pre_save", "post_save", "pre_delete"]


def test_models_without_cleanup_connect_no_signal():
    assert listeners(Undecided) == []


def test_a_setting_connects_and_disconnects(settings):
    settings.B2FIELDS_CLEANUP = True
    assert listeners(Undecided) == ["pre_save", "post_save", "pre_delete"]
    settings.B2FIELDS_CLEANUP = False
    assert listeners(Undecided) == []
    assert listeners(Note) == ["pre_save", "post_save", "pre_delete"]


def test_loading_rows_costs_one_query(emulator, django_assert_num_queries):
    for _ in range(5):
        Note.objects.create(scan=upload())
    with django_assert_num_queries(1):
        rows = list(Note.objects.all())
    assert not any("_b2fields" in key for row in rows for key in vars(row))


def test_a_new_row_costs_one_query(emulator, django_assert_num_queries):
    with django_assert_num_queries(1):
        Note.objects.create(scan=upload())


def test_a_save_looks_once_for_the_names_of_all_fields(emulator, django_assert_num_queries):
    note = Note.objects.create(scan=upload(), extra=upload())
    with django_assert_num_queries(2):
        note.save()


def test_a_save_that_does_not_write_the_file_costs_nothing_more(emulator, django_assert_num_queries):
    note = Note.objects.create(scan=upload())
    with django_assert_num_queries(1):
        note.save(update_fields=["title"])


def test_a_replacement_asks_nothing_of_b2_but_the_upload_and_the_removal(emulator):
    note = Note.objects.create(scan=upload())
    note.scan = upload()
    with emulator.counted() as operations:
        note.save()
    assert sorted(operations) == ["b2_delete_file_version", "b2_list_file_versions", "b2_upload_file"]
