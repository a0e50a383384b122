"""What would lose a file, or leave one, if cleanup believed instances, managers or open transactions."""

import io
from pathlib import Path

import pytest
from django.core.files.base import File
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import IntegrityError, connections, transaction
from django.db.migrations.state import ModelState, ProjectState
from django.db.models.signals import post_save, pre_save
from django.utils import timezone

from b2fields import B2Storage
from b2fields.models import DroppedFile
from b2fields.signals import pre_cleanup
from tests.cleaning.conftest import rolled_back, upload
from tests.cleaning.models import Image, Note, Replaced, Shelf, Undecided
from tests.images import png

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def note(emulator):
    return Note.objects.create(title="a", scan=upload("old.txt"))


# Stale instances


def test_an_instance_that_writes_an_old_name_back_takes_no_new_file_along(note, names):
    stale = Note.objects.get()
    note.scan = upload("new.txt")
    note.save()
    stale.title = "b"
    stale.save()
    assert names() == {note.scan.name}


def test_an_instance_that_writes_another_stored_name_drops_the_one_before(note, names):
    other = Note.objects.create(scan=upload("other.txt")).scan.name
    note.scan = other
    note.save()
    assert names() == {other}


# Managers


def test_rows_that_even_the_base_manager_hides_keep_their_files(emulator, names):
    with transaction.atomic():
        shelf = Shelf.objects.create(file=upload())
        shelf.is_deleted = True
        shelf.save()
    assert names() == {shelf.file.name}
    Shelf.objects.create(file=shelf.file.name).delete()
    assert names() == {shelf.file.name}


# Transactions


def test_without_autocommit_nothing_goes_before_the_commit(note, names):
    old = note.scan.name
    connection = connections["default"]
    connection.set_autocommit(False)
    try:
        note.scan, note.code = upload("new.txt"), "x" * 3
        note.save()
        connection.rollback()
    finally:
        connection.set_autocommit(True)
    assert old in names()


def test_an_upload_in_the_place_of_a_file_that_waits_to_be_removed_stays(emulator, settings, names):
    settings.B2FIELDS_CLEANUP_DELAY = 3600
    Replaced.objects.create(file=upload("a.txt")).delete()
    DroppedFile.objects.update(due=timezone.now(), next_try=timezone.now())
    with transaction.atomic():
        Replaced.objects.create(file=upload("a.txt", b"new"))
        assert not DroppedFile.objects.exists()
    assert names() == {"a.txt"}


def test_a_past_model_of_a_migration_is_not_listened_to(emulator):
    state = ProjectState()
    state.add_model(ModelState.from_model(Note, exclude_rels=True))
    past = state.apps.get_model("cleaning", "note")
    assert not any(receiver for receiver in pre_save._live_receivers(past)[0] if "drops" in repr(receiver))


# Once more


def test_a_large_upload_can_be_saved_again_after_a_rollback(emulator, names):
    file = TemporaryUploadedFile("a.txt", "text/plain", 7, None)
    file.write(b"content")
    file.seek(0)
    path = file.temporary_file_path()
    note = Note(scan=file)
    with rolled_back():
        note.save()
    note.pk = None
    note.save()
    assert Note.objects.get().scan.read() == b"content"
    assert names() == {note.scan.name}
    file.close()
    assert not Path(path).exists()


class ReadOnce(io.RawIOBase):
    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._content.readinto(buffer)


def test_content_that_can_be_read_once_is_not_stored_as_an_empty_file(emulator, names):
    Note.objects.create(code="taken")
    note = Note(scan=File(ReadOnce(b"content"), "a.txt"), code="taken")
    with pytest.raises(IntegrityError):
        note.save()
    note.code = "free"
    with pytest.raises(FileNotFoundError):
        note.save()
    assert names() == set()


def test_an_upload_that_a_failing_save_did_not_write_is_left_alone(emulator):
    Note.objects.create(code="taken")
    note = Note.objects.create(code="free")
    with io.BytesIO(b"content") as content:
        note.scan.save("a.txt", File(content), save=False)
    note.code = "taken"
    with pytest.raises(IntegrityError):
        note.save(update_fields=["code"])
    note.code = "free"
    note.save()
    assert Note.objects.get(code="free").scan.read() == b"content"


# Receivers


@pytest.mark.parametrize("signal", [pre_save, post_save])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_receiver_that_saves_the_instance_again_hides_no_drop(note, names, signal, is_first):
    def save_again(instance, **kwargs):
        if instance.title != "again":
            instance.title = "again"
            instance.save(update_fields=["title"])

    others = [] if not is_first else signal.receivers
    if is_first:
        signal.receivers = []
    signal.connect(save_again, sender=Note)
    signal.receivers = signal.receivers + others
    signal.sender_receivers_cache.clear()
    note.scan = upload("new.txt")
    try:
        note.save()
    finally:
        signal.disconnect(save_again, sender=Note)
    assert names() == {note.scan.name}
    assert not DroppedFile.objects.exists()


def test_a_receiver_may_ask_for_the_size_of_an_image(emulator, names):
    sizes = []

    def ask(file, **kwargs):
        sizes.append(file.width)

    pre_cleanup.connect(ask, sender=Image)
    try:
        Image.objects.create(photo=upload("a.png", png(30, 20))).delete()
    finally:
        pre_cleanup.disconnect(ask, sender=Image)
    assert sizes == [30]
    assert names() == set()


# Places


def test_the_files_of_an_alias_are_no_fields_own(emulator, settings, names):
    backend = {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"location": "thumbs", "access": "staff"}}
    settings.STORAGES = {**settings.STORAGES, "thumbs": backend}
    settings.B2FIELDS_CLEANUP = True
    B2Storage().upload("undecided/t.png", upload())
    B2Storage().upload("thumbs/t.png", upload())
    for name in ("thumbs/t.png", "undecided/t.png"):
        row = Undecided.objects.create(file=name)
        row.file = ""
        row.save()
    assert names() == {"thumbs/t.png"}
