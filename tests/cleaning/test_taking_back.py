"""Uploads for rows that are not saved in the end."""

import gc
import pickle
from contextlib import nullcontext

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import post_save

from b2fields import B2Storage
from b2fields.models import DroppedFile
from tests.cleaning.conftest import rolled_back, upload
from tests.cleaning.models import Note, Replaced

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def taken(emulator):
    """A row whose code no other row may have."""
    return Note.objects.create(code="taken")


def test_an_upload_goes_when_its_transaction_is_rolled_back(emulator, names):
    with rolled_back():
        Note.objects.create(scan=upload(), extra=upload("b.txt"))
        assert len(names()) == 2
    assert names() == set()
    assert not DroppedFile.objects.exists()


def test_an_upload_goes_when_its_savepoint_is_rolled_back(emulator, names):
    with transaction.atomic():
        kept = Note.objects.create(scan=upload())
        with rolled_back():
            Note.objects.create(scan=upload())
    assert names() == {kept.scan.name}


def test_an_upload_goes_when_savepoint_and_transaction_are_rolled_back(emulator, names):
    with rolled_back(), rolled_back():
        Note.objects.create(scan=upload())
    assert names() == set()


def test_an_upload_goes_when_its_savepoint_is_rolled_back_by_hand(emulator, names):
    with transaction.atomic():
        kept = Note.objects.create(scan=upload())
        savepoint = connection.savepoint()
        Note.objects.create(scan=upload())
        connection.savepoint_rollback(savepoint)
    assert names() == {kept.scan.name}


@pytest.mark.django_db(transaction=False)
def test_an_upload_goes_when_its_savepoint_is_rolled_back_in_a_test_case(
    emulator, names, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True), rolled_back():
        Note.objects.create(scan=upload())
    assert names() == set()


def test_an_upload_goes_when_the_transaction_is_set_to_roll_back(emulator, names):
    with transaction.atomic():
        Note.objects.create(scan=upload())
        transaction.set_rollback(True)
    assert names() == set()


def test_an_upload_goes_when_nothing_was_saved_before_the_rollback(emulator, names):
    with rolled_back():
        note = Note()
        note.scan.save("a.txt", upload(), save=False)
    assert names() == set()


def test_an_upload_goes_when_the_database_refuses_its_row(taken, names):
    note = Note(code="taken", scan=upload())
    with pytest.raises(IntegrityError):
        note.save()
    assert names() == set()


def test_an_upload_goes_when_the_database_refuses_its_row_within_a_transaction(taken, names):
    with transaction.atomic(), pytest.raises(IntegrityError), transaction.atomic():
        Note(code="taken", scan=upload()).save()
    assert names() == set()


def test_an_upload_goes_when_its_row_is_gone(taken, names):
    note = Note.objects.get()
    taken.delete()
    note.scan = upload()
    with pytest.raises(DatabaseError):
        note.save(update_fields=["scan"])
    assert names() == set()


def test_the_old_file_stays_when_the_database_refuses_its_replacement(taken, names):
    note = Note.objects.create(code="free", scan=upload("old.txt"))
    old = note.scan.name
    note.code, note.scan = "taken", upload("new.txt")
    with pytest.raises(IntegrityError):
        note.save()
    assert names() == {old}


@pytest.fixture
def failing_receiver():
    """A receiver that raises after the row is written."""

    def fail(**kwargs):
        raise ValueError("no mail today")

    # Before ours, which would have heard of the save.
    post_save.receivers, before = [], post_save.receivers
    post_save.connect(fail, sender=Note)
    post_save.receivers += before
    post_save.sender_receivers_cache.clear()
    yield
    post_save.disconnect(fail, sender=Note)


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_save_that_fails_when_its_row_is_written_follows_the_row(
    emulator, names, failing_receiver, in_transaction
):
    Note.objects.bulk_create([Note(scan=upload("old.txt"))])
    note = Note.objects.get()
    note.scan = upload("new.txt")
    around = transaction.atomic() if in_transaction else nullcontext()
    with around, pytest.raises(ValueError, match="no mail today"):
        note.save()
    assert names() == {Note.objects.get().scan.name}
    assert Note.objects.get().scan.name.endswith("new.txt")
    assert not DroppedFile.objects.exists()


def test_an_upload_goes_with_the_row_that_was_to_have_it(emulator, names):
    note = Note.objects.create(scan=upload("old.txt"))
    note.scan.save("new.txt", upload(), save=False)
    note.delete()
    assert names() == set()


def test_an_upload_that_is_replaced_before_its_row_is_saved_goes(emulator, names):
    note = Note()
    note.scan.save("first.txt", upload(), save=False)
    note.scan.save("second.txt", upload(), save=False)
    note.save()
    assert names() == {note.scan.name}


def test_of_two_saves_in_one_transaction_the_last_upload_stays(emulator, names):
    with transaction.atomic():
        note = Note.objects.create(scan=upload("first.txt"))
        note.scan = upload("second.txt")
        note.save()
    assert names() == {note.scan.name}


def test_an_upload_whose_row_is_saved_after_the_transaction_stays(emulator, names):
    note = Note()
    with transaction.atomic():
        note.scan.save("a.txt", upload(), save=False)
    note.save()
    assert names() == {note.scan.name}


def test_saving_again_after_a_rollback_uploads_again(emulator, names):
    note = Note(scan=SimpleUploadedFile("a.txt", b"content"))
    with rolled_back():
        note.save()
    note.pk = None
    note.save()
    assert names() == {note.scan.name}
    assert Note.objects.get().scan.read() == b"content"


def test_saving_again_after_a_refusal_uploads_again(taken, names):
    note = Note(code="taken", scan=SimpleUploadedFile("a.txt", b"content"))
    with pytest.raises(IntegrityError):
        note.save()
    note.code = "free"
    note.save()
    assert names() == {note.scan.name}
    assert Note.objects.get(pk=note.pk).scan.read() == b"content"


def test_saving_again_without_the_content_says_so(emulator, names):
    content = SimpleUploadedFile("a.txt", b"content")
    note = Note(scan=content)
    with rolled_back():
        note.save()
    content.close()
    note.pk = None
    with pytest.raises(ValueError, match="closed file"):
        note.save()
    assert not Note.objects.exists()


def test_a_row_that_another_saved_with_the_name_keeps_the_file(emulator, names):
    with rolled_back():
        name = Note.objects.create(scan=upload()).scan.name
    assert names() == set()
    name = B2Storage().save("scans/a.txt", upload())
    Note.objects.create(scan=name)
    assert names() == {name}


def test_a_file_in_whose_place_an_upload_was_put_stays(emulator, names):
    row = Replaced.objects.create(file=upload("a.txt", b"first"))
    with rolled_back():
        row.file = upload("a.txt", b"second")
        row.save()
    assert names() == {"a.txt"}


def test_a_transaction_keeps_no_contents_in_memory(emulator):
    with transaction.atomic():
        note = Note.objects.create(scan=upload(content=b"x" * 1000))
        del note
        gc.collect()
        held = [o for o in gc.get_objects() if isinstance(o, bytes) and o == b"x" * 1000]
    assert held == []


def test_an_instance_with_an_upload_can_be_pickled(emulator):
    note = Note()
    note.scan.save("a.txt", upload(), save=False)
    assert pickle.loads(pickle.dumps(note)).scan.name == note.scan.name
