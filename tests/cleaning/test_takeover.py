"""Files are not taken over by their names."""

import pytest
from django.core.exceptions import ValidationError
from django.forms import modelform_factory

from b2fields import B2Storage
from tests.cleaning.conftest import upload
from tests.cleaning.models import Hidden, Logo, Note, SealedNote, Stamp, Undecided

pytestmark = pytest.mark.django_db(transaction=True)

REFUSAL = "The name of a stored file cannot be set"


@pytest.fixture
def victim(emulator):
    return Note.objects.create(scan=upload("secret.txt"))


def test_the_file_of_another_row_cannot_be_named(victim):
    with pytest.raises(ValidationError, match=REFUSAL):
        Note(scan=victim.scan.name).full_clean()


def test_a_row_cannot_change_to_the_file_of_another(victim):
    thief = Note.objects.create(scan=upload())
    thief.scan = victim.scan.name
    with pytest.raises(ValidationError, match=REFUSAL):
        thief.full_clean()


def test_the_file_of_a_row_that_the_manager_hides_cannot_be_named(emulator):
    hidden = Hidden.objects.create(file=upload())
    with pytest.raises(ValidationError, match=REFUSAL):
        Hidden(file=hidden.file.name).full_clean()


@pytest.mark.parametrize(
    "name", ["seals/x/a.txt", "a.txt", "../x", "scans/../x", "/etc/passwd", "scansx/a.txt"]
)
def test_a_name_outside_of_the_fields_own_place_cannot_be_set(emulator, name):
    with pytest.raises(ValidationError, match=REFUSAL):
        Note(scan=name).full_clean()


def test_a_form_changes_the_other_fields_of_a_row(victim):
    form = modelform_factory(Note, fields=["title", "scan"])({"title": "b"}, {}, instance=victim)
    assert form.is_valid()
    assert form.save().scan.name == victim.scan.name


def test_a_form_cannot_name_a_file(victim):
    form = modelform_factory(Note, fields=["title", "scan"])({"title": "b", "scan": victim.scan.name}, {})
    assert form.is_valid()
    assert not form.save().scan


def test_a_row_may_keep_a_name_from_anywhere(emulator):
    """One that was stored before upload_to was changed."""
    note = Note.objects.create(scan="before/a.txt")
    note.full_clean()


def test_a_child_row_may_keep_the_name_of_its_parent(emulator):
    note = SealedNote.objects.create(scan=upload(), seal=upload())
    SealedNote.objects.get(pk=note.pk).full_clean()


def test_the_default_may_stand_in_every_row(emulator):
    for model in (Logo, Stamp):
        model.objects.create()
        model().full_clean()
        model.objects.get().full_clean()


def test_a_file_that_was_uploaded_may_be_named(emulator):
    note = Note()
    note.scan.save("a.txt", upload(), save=False)
    note.full_clean()
    note = Note(scan=B2Storage().save("scans/b.txt", upload()))
    note.full_clean()


def test_a_file_that_is_uploaded_with_the_row_is_no_name(emulator):
    Note(scan=upload()).full_clean()


def test_clearing_the_name_of_another_row_removes_nothing(victim, names):
    thief = Note.objects.create(scan=victim.scan.name)
    thief.scan = ""
    thief.save()
    assert names() == {victim.scan.name}


def test_a_field_without_a_place_of_its_own_refuses_what_a_row_holds(victim):
    other = Undecided.objects.create(file=upload())
    with pytest.raises(ValidationError, match=REFUSAL):
        Undecided(file=other.file.name).full_clean()
