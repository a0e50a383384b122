"""What cleanup costs, and that it costs nothing where it is not used."""

import pytest
from django.db import connection, transaction
from django.db.models import signals
from django.test.utils import CaptureQueriesContext

from tests.cleaning.conftest import upload
from tests.cleaning.models import Note, NoteProxy, SealedNote, Undecided

pytestmark = pytest.mark.django_db(transaction=True)

SIGNALS = ["pre_save", "post_save", "pre_delete", "post_delete"]


def listeners(model):
    from b2fields.cleanup import drops

    ours = {drops.before_save, drops.after_save, drops.before_delete, drops.after_delete}
    found = []
    for name in SIGNALS:
        receivers, _ = getattr(signals, name)._live_receivers(model)
        found += [name for receiver in receivers if receiver in ours]
    return found


@pytest.mark.parametrize("model", [Note, NoteProxy, SealedNote])
def test_models_that_clean_up_are_listened_to(model):
    assert listeners(model) == SIGNALS


def test_models_without_cleanup_connect_no_signal():
    assert listeners(Undecided) == []


def test_a_setting_connects_and_disconnects(settings):
    settings.B2FIELDS_CLEANUP = True
    assert listeners(Undecided) == SIGNALS
    settings.B2FIELDS_CLEANUP = False
    assert listeners(Undecided) == []
    assert listeners(Note) == SIGNALS


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


def test_a_save_in_a_transaction_that_changes_no_file_waits_for_no_commit(emulator):
    note = Note.objects.create(scan=upload())
    with transaction.atomic():
        note.save()
        assert connection.run_on_commit == []


@pytest.mark.parametrize("delay", [0, 3600])
def test_many_rows_are_dropped_by_one_statement(emulator, settings, delay):
    def queries_for(number):
        """Return how many queries it takes to delete so many rows, but for the removal of their files."""
        Note.objects.bulk_create(Note(scan=f"scans/{number}/{n}.txt") for n in range(number))
        with CaptureQueriesContext(connection) as queries:
            Note.objects.all().delete()
        statements = [query["sql"].split()[0] for query in queries.captured_queries]
        return statements[: statements.index("COMMIT")] if "COMMIT" in statements else statements

    settings.B2FIELDS_CLEANUP_DELAY = delay
    queries_for(1)  # with the question whether there is an outbox
    assert queries_for(12) == queries_for(2)


def test_a_replacement_asks_nothing_of_b2_but_the_upload_and_the_removal(emulator):
    note = Note.objects.create(scan=upload())
    note.scan = upload()
    with emulator.counted() as operations:
        note.save()
    assert sorted(operations) == ["b2_delete_file_version", "b2_list_file_versions", "b2_upload_file"]
