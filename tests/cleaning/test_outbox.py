"""The outbox worked: what is removed, what is kept, and what happens when B2 is in trouble."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from b2fields import B2Storage
from b2fields.models import DroppedFile
from b2fields.signals import post_cleanup, pre_cleanup
from tests.cleaning.conftest import upload
from tests.cleaning.models import Hidden, Image, Logo, Note, Person, Plain, SealedNote, Stamp, Undecided

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def note(emulator):
    return Note.objects.create(title="a", scan=upload("old.txt"))


@pytest.fixture
def heard():
    """The names that the signals told of, and what the receiver of pre_cleanup is to answer."""
    heard = {"before": [], "after": [], "answer": None}

    def before(name, **kwargs):
        heard["before"].append(name)
        if isinstance(heard["answer"], Exception):
            raise heard["answer"]
        return heard["answer"]

    def after(name, **kwargs):
        heard["after"].append(name)

    pre_cleanup.connect(before)
    post_cleanup.connect(after)
    yield heard
    pre_cleanup.disconnect(before)
    post_cleanup.disconnect(after)


# What is removed


def test_every_version_of_the_name_goes(note, names):
    name = note.scan.name
    for content in (b"second", b"third"):
        B2Storage().upload(name, upload(content=content))
    note.delete()
    assert names() == set()
    assert not B2Storage().exists(name)


def test_names_that_only_begin_alike_stay(note, names):
    longer = f"{note.scan.name}.bak"
    B2Storage().upload(longer, upload())
    note.delete()
    assert names() == {longer}


def test_removing_a_file_costs_two_requests(note, emulator):
    with emulator.counted() as operations:
        note.delete()
    assert sorted(operations) == ["b2_delete_file_version", "b2_list_file_versions"]


def test_hiding_a_file_costs_one_request_and_keeps_it_recoverable(note, emulator, settings, names):
    settings.B2FIELDS_DELETE = "hide"
    name = note.scan.name
    with emulator.counted() as operations:
        note.delete()
    assert operations == ["b2_hide_file"]
    assert names() == {name}
    assert not B2Storage().exists(name)


def test_many_files_go_together(emulator, names):
    for number in range(20):
        Note.objects.create(scan=upload(f"{number}.txt"))
    Note.objects.all().delete()
    assert names() == set()
    assert not DroppedFile.objects.exists()


def test_a_field_that_declares_no_cleanup_does_what_the_setting_says(emulator, settings, names):
    row = Undecided.objects.create(file=upload())
    row.delete()
    assert len(names()) == 1
    settings.B2FIELDS_CLEANUP = True
    row = Undecided.objects.create(file=upload())
    row.delete()
    assert len(names()) == 1


def test_a_field_without_cleanup_keeps_its_files(emulator, names):
    note = Note.objects.create(kept=upload(), scan=upload())
    kept = note.kept.name
    note.delete()
    assert names() == {kept}


def test_an_image_is_replaced_with_its_dimensions(emulator, names):
    from tests.images import png

    row = Image.objects.create(photo=upload("a.png", png(30, 20)))
    row.photo = upload("b.png", png(40, 20))
    row.save()
    row.refresh_from_db()
    assert (row.width, row.info["width"]) == (40, 40)
    assert names() == {row.photo.name}


# What is kept: a file that is still named


def name_it_in_the_same_field(name):
    Note.objects.create(scan=name)


def name_it_in_another_field(name):
    Note.objects.create(extra=name)


def name_it_in_a_field_without_cleanup(name):
    Note.objects.create(kept=name)


def name_it_in_another_model(name):
    Undecided.objects.create(file=name)


def name_it_in_a_child(name):
    SealedNote.objects.create(seal=name)


def name_it_in_a_row_that_the_manager_hides(name):
    Hidden.objects.create(file=name)


def name_it_in_a_field_of_django(name):
    Plain.objects.create(file=name)


@pytest.mark.parametrize(
    "name_it",
    [
        name_it_in_the_same_field,
        name_it_in_another_field,
        name_it_in_a_field_without_cleanup,
        name_it_in_another_model,
        name_it_in_a_child,
        name_it_in_a_row_that_the_manager_hides,
        name_it_in_a_field_of_django,
    ],
)
def test_a_file_that_is_named_elsewhere_stays(note, name_it, names):
    name = note.scan.name
    name_it(name)
    note.delete()
    assert names() == {name}
    assert not DroppedFile.objects.exists()


def test_the_last_of_two_copies_takes_the_file_with_it(note, names):
    name = note.scan.name
    copy = Note.objects.get()
    copy.pk = None
    copy.save()
    note.delete()
    assert names() == {name}
    copy.delete()
    assert names() == set()


def test_names_that_a_database_takes_for_the_same_are_two(note, names):
    other = note.scan.name.upper()
    B2Storage().upload(other, upload())
    Note.objects.create(scan=other)
    note.delete()
    assert names() == {other}


def test_the_default_of_a_field_stays(emulator, names):
    B2Storage().upload("logos/ours.png", upload())
    row = Logo.objects.create()
    row.image = upload("theirs.png")
    row.save()
    theirs = row.image.name
    assert names() == {"logos/ours.png", theirs}
    row.delete()
    assert names() == {"logos/ours.png"}


def test_the_default_that_the_database_gives_stays(emulator, names):
    B2Storage().upload("stamps/ours.png", upload())
    Stamp.objects.create().delete()
    row = Stamp.objects.get(pk=Stamp.objects.create().pk)
    row.image = upload("theirs.png")
    row.save()
    assert len(names()) == 2
    row.delete()
    assert names() == {"stamps/ours.png"}


def test_a_name_outside_of_the_fields_own_place_is_never_removed(emulator, names, caplog):
    B2Storage().upload("elsewhere/a.txt", upload())
    note = Note.objects.create(scan="elsewhere/a.txt")
    note.scan = ""
    note.save()
    assert "rows of cleaning.note.scan no longer name (files: 1)" in caplog.text
    note.scan = "elsewhere/a.txt"
    note.save()
    note.delete()
    assert names() == {"elsewhere/a.txt"}


def test_a_name_in_the_place_of_another_field_is_never_removed(emulator, names):
    victim = Person.objects.create(passport=upload()).passport.name
    Person.objects.update(passport="")  # sends no signal
    thief = Person.objects.create(file=victim)
    thief.file = ""
    thief.save()
    assert names() == {victim}


@pytest.mark.parametrize("name", ["../x", "scans/../x", "/scans/x", "scans//x", "scans/\x01", "scans/./x"])
def test_a_name_that_leads_elsewhere_is_never_removed(emulator, name):
    Note.objects.create(title="a")
    Note.objects.update(scan=name)
    with emulator.counted() as operations:
        Note.objects.get().delete()
    assert operations == []


# When


def test_a_file_is_kept_for_as_long_as_the_setting_says(note, settings, names):
    settings.B2FIELDS_CLEANUP_DELAY = 3600
    name = note.scan.name
    note.delete()
    assert names() == {name}
    entry = DroppedFile.objects.get()
    assert timedelta(minutes=59) < entry.due - timezone.now() < timedelta(minutes=61)
    assert (entry.bucket, entry.name) == (settings.B2FIELDS_BUCKET, name)


def test_a_file_that_is_restored_meanwhile_is_kept(note, settings):
    settings.B2FIELDS_CLEANUP_DELAY = 3600
    name = note.scan.name
    note.delete()
    Note.objects.create(scan=name)
    assert not DroppedFile.objects.exists()


def test_a_file_that_is_dropped_again_is_kept_from_then_on(note, settings):
    settings.B2FIELDS_CLEANUP_DELAY = 3600
    name = note.scan.name
    note.delete()
    DroppedFile.objects.update(due=timezone.now())
    Note.objects.bulk_create([Note(scan=name)])  # sends no signal
    Note.objects.get().delete()
    assert DroppedFile.objects.get().due > timezone.now()


# The signals


def test_receivers_are_told_before_and_after(note, heard):
    name = note.scan.name
    note.delete()
    assert heard["before"] == heard["after"] == [name]


def test_a_receiver_can_read_the_file_before(note):
    contents = []

    def read(file, **kwargs):
        contents.append(file.read())

    pre_cleanup.connect(read)
    try:
        note.delete()
    finally:
        pre_cleanup.disconnect(read)
    assert contents == [b"content"]


def test_a_receiver_can_listen_to_one_model(note, heard):
    seen = []

    def see(sender, **kwargs):
        seen.append(sender)

    pre_cleanup.connect(see, sender=Note)
    try:
        SealedNote.objects.create(seal=upload()).delete()
        assert seen == []
        note.delete()
    finally:
        pre_cleanup.disconnect(see, sender=Note)
    assert seen == [Note]


def test_a_receiver_can_veto(note, heard, names):
    heard["answer"] = False
    name = note.scan.name
    note.delete()
    assert names() == {name}
    assert heard["after"] == []
    assert not DroppedFile.objects.exists()


def test_a_receiver_that_fails_postpones(note, heard, names):
    heard["answer"] = ValueError("no thumbnails today")
    name = note.scan.name
    note.delete()
    assert names() == {name}
    assert "no thumbnails today" in DroppedFile.objects.get().error


# Trouble


def test_trouble_with_b2_breaks_no_request_and_is_noted(note, emulator, names):
    emulator.fault("b2_list_file_versions", status=503, times=10)
    name = note.scan.name
    note.delete()
    entry = DroppedFile.objects.get()
    assert (entry.name, entry.tries) == (name, 1)
    assert "B2 gave no usable answer" in entry.error
    assert entry.next_try > timezone.now()
    emulator.heal()
    assert names() == {name}


def test_trouble_with_one_file_keeps_no_other(emulator, names):
    for number in range(3):
        Note.objects.create(scan=upload(f"{number}.txt"))
    emulator.fault("b2_delete_file_version", status=400, code="bad_request", times=1)
    Note.objects.all().delete()
    assert len(names()) == 1
    assert DroppedFile.objects.get().name in names()


def test_a_reference_that_is_committed_between_the_check_and_the_removal_keeps_the_file(note, names):
    name = note.scan.name

    def name_it(**kwargs):
        Note.objects.bulk_create([Note(scan=name)])

    # Between the first check and the second.
    pre_cleanup.connect(name_it)
    try:
        note.delete()
    finally:
        pre_cleanup.disconnect(name_it)
    assert names() == {name}
    assert not DroppedFile.objects.exists()


def test_an_entry_without_a_place_says_what_to_do(emulator):
    now = timezone.now()
    moments = {"dropped": now, "due": now, "next_try": now}
    DroppedFile.of("elsewhere", "a.txt", field="gone.model.field", **moments).save()
    from b2fields import cleanup

    assert cleanup.work("default", [DroppedFile.objects.get().pk])["failed"] == 1
    assert "Nothing in this project stores in bucket 'elsewhere'" in DroppedFile.objects.get().error


def test_a_field_that_cannot_tell_where_it_stores_keeps_every_file(note, names, settings):
    name = note.scan.name
    bucket = settings.B2FIELDS_BUCKET
    settings.B2FIELDS_CLEANUP_DELAY = 3600
    note.delete()
    DroppedFile.objects.update(due=timezone.now())
    settings.B2FIELDS_BUCKET = None
    settings.B2FIELDS_BUCKETS = {"login": bucket}  # and none for the fields of staff
    with pytest.raises(CommandError, match="Nobody can tell whether files of"):
        call_command("b2_cleanup")
    assert names() == {name}
    settings.B2FIELDS_BUCKET = bucket
    call_command("b2_cleanup", verbosity=0)
    assert names() == set()


def test_dropping_within_a_transaction_asks_nothing_of_b2_before_it_ends(note, emulator):
    with transaction.atomic(), emulator.counted() as operations:
        note.delete()
    assert operations == []
