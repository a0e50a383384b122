"""Uploads that are too large, whatever they say of themselves: refused by count, and nothing reaches B2."""

import contextlib
import io
import os

import pytest
from django import forms
from django.core.checks import run_checks
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import (
    InMemoryUploadedFile,
    SimpleUploadedFile,
    TemporaryUploadedFile,
)
from django.core.handlers.exception import response_for_exception
from django.db import models, transaction
from django.test.utils import isolate_apps
from django.urls import reverse

from b2fields import B2FileField, B2ImageField, B2Storage
from b2fields.exceptions import B2FieldsError, FileTooLarge, NotConfigured
from tests.images import png
from tests.legal.models import Contract, Picture

pytestmark = pytest.mark.django_db

LIMIT = 100_000
MESSAGE = "The file is too large: at most 97.7\xa0KB."


@pytest.fixture
def limited(storage, settings, emulator):
    """A storage with a limit, in a process that has stored something before."""
    storage.save("warm.txt", ContentFile(b"warm"))
    settings.B2FIELDS_MAX_SIZE = LIMIT
    return storage


class Stream(io.RawIOBase):
    """A stream without length that can be read once, such as a request's body; it counts what is read."""

    def __init__(self, size):
        self.left, self.taken = size, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(self.left, len(buffer))
        self.left, self.taken = self.left - count, self.taken + count
        return count


def lying(file, size=1):
    file.size = size
    return file


def on_disk(size):
    file = TemporaryUploadedFile("a.bin", "text/html", 1, None)
    file.write(b"x" * size)
    file.seek(0)
    return file


def in_memory(size):
    return InMemoryUploadedFile(io.BytesIO(b"x" * size), "f", "a.bin", "text/html", 1, None)


SOURCES = [
    pytest.param(lambda size: ContentFile(b"x" * size), id="a ContentFile"),
    pytest.param(lambda size: lying(ContentFile(b"x" * size)), id="a file that says it is of one byte"),
    pytest.param(lambda size: lying(ContentFile(b"x" * size), None), id="a file that says no size"),
    pytest.param(lambda size: io.BytesIO(b"x" * size), id="a bare file object"),
    pytest.param(lambda size: File(Stream(size), "a.bin"), id="a stream without length"),
    pytest.param(in_memory, id="an upload in memory that says it is of one byte"),
    pytest.param(on_disk, id="an upload on disk that says it is of one byte"),
]


# The storage


@pytest.mark.parametrize("make", SOURCES)
def test_a_file_of_just_the_limit_is_stored(limited, make):
    with make(LIMIT) as file:
        assert limited.size(limited.save("a.bin", file)) == LIMIT


@pytest.mark.parametrize("memory", [1000, 10_000_000], ids=["by way of the disk", "by way of memory"])
@pytest.mark.parametrize("make", SOURCES)
def test_one_byte_more_is_refused_and_nothing_is_uploaded(limited, emulator, settings, make, memory):
    settings.B2FIELDS_MAX_MEMORY_SIZE = memory
    with make(LIMIT + 1) as file:
        with emulator.counted() as operations, pytest.raises(FileTooLarge, match="more than 100000 bytes"):
            limited.save("a.bin", file)
        assert not file.closed
        assert limited.listdir("") == ([], ["warm.txt"])
    assert operations == ["head_file_by_name"]  # Is the name free?


def test_text_counts_by_its_bytes(limited):
    limited.save("a.txt", ContentFile("ü" * (LIMIT // 2)))
    with pytest.raises(FileTooLarge):
        limited.save("a.txt", ContentFile("ü" * (LIMIT // 2) + "a"))


def test_reading_stops_at_the_limit(limited):
    endless = Stream(10**12)
    with pytest.raises(FileTooLarge):
        limited.save("a.bin", File(endless, "a.bin"))
    assert endless.taken <= LIMIT + 2 * File.DEFAULT_CHUNK_SIZE


def test_a_large_file_is_not_begun(limited, emulator, settings):
    settings.B2FIELDS_PART_SIZE = 5_000_000
    settings.B2FIELDS_MAX_SIZE = 12_000_000
    with on_disk(12_000_001) as file, emulator.counted() as operations, pytest.raises(FileTooLarge):
        B2Storage(overwrite=True).save("a.bin", file)
    assert operations == []


def test_an_upload_on_disk_that_is_refused_stays_its_senders(limited):
    with on_disk(LIMIT + 1) as file:
        with pytest.raises(FileTooLarge):
            limited.save("a.bin", file)
        assert os.path.getsize(file.temporary_file_path()) == LIMIT + 1


def test_the_name_of_what_was_refused_is_free(limited):
    with pytest.raises(FileTooLarge):
        limited.save("a.bin", in_memory(LIMIT + 1))
    assert limited.save("a.bin", in_memory(LIMIT)) == "a.bin"


@pytest.mark.parametrize("mode", ["wb", "w", "ab"])
def test_what_is_written_is_refused_as_soon_as_it_is_too_much(limited, emulator, mode):
    written = []

    def write(chunk):
        with limited.open("a.bin", mode) as file:
            for _ in range(1000):
                written.append(chunk)
                file.write(chunk)

    with emulator.counted() as operations, pytest.raises(FileTooLarge):
        write("x" * 10_000 if mode == "w" else b"x" * 10_000)
    assert len(written) <= LIMIT // 10_000 + 2
    assert "b2_upload_file" not in operations


def test_what_is_written_is_refused_without_a_with_too(limited, emulator):
    file = limited.open("a.bin", "wb")
    with emulator.counted() as operations:
        with contextlib.suppress(FileTooLarge):
            file.writelines([b"x" * LIMIT, b"x"])
        with pytest.raises(FileTooLarge):
            file.close()
    assert operations == []


def test_what_is_written_up_to_the_limit_is_stored(limited):
    with limited.open("a.bin", "wb") as file:
        file.write(b"x" * LIMIT)
    assert limited.size("a.bin") == LIMIT


def test_the_error_is_one_that_django_answers_with_400(limited, rf):
    with pytest.raises(SuspiciousFileOperation) as caught:
        limited.save("secret.bin", in_memory(LIMIT + 1))
    assert isinstance(caught.value, B2FieldsError)
    response = response_for_exception(rf.get("/"), caught.value)
    assert (response.status_code, b"secret" in response.content) == (400, False)


def test_a_storage_may_have_a_limit_of_its_own_or_none(limited):
    assert B2Storage(max_size=None).save("a.bin", in_memory(LIMIT + 1))
    with pytest.raises(FileTooLarge):
        B2Storage(max_size=9).save("b.bin", in_memory(10))


@pytest.mark.parametrize("value", ["10 MB", 0, -1, 1.5, True])
def test_a_limit_that_is_none_is_found_by_check_and_stores_nothing(storage, emulator, settings, value):
    settings.B2FIELDS_MAX_SIZE = value
    (error,) = [error for error in run_checks() if error.id == "b2fields.E029"]
    assert error.hint
    with emulator.counted() as operations:
        with pytest.raises(NotConfigured, match="B2FIELDS_MAX_SIZE must be None or a number of bytes"):
            B2Storage(overwrite=True).save("a.bin", in_memory(1))
        with pytest.raises(NotConfigured):
            storage.open("a.bin", "wb")
    assert "b2_upload_file" not in operations


# Fields, forms and the admin


class ContractForm(forms.ModelForm):
    class Meta:
        model = Contract
        fields = ("title", "scan")


@isolate_apps("tests.legal")
def model_with(field):
    class Model(models.Model):
        file = field

        class Meta:
            app_label = "legal"

    return Model


def test_a_limit_of_the_field_goes_over_that_of_the_settings(settings):
    settings.B2FIELDS_MAX_SIZE = 10
    assert model_with(B2FileField(max_size=20))._meta.get_field("file").storage.max_size == 20
    assert model_with(B2FileField())._meta.get_field("file").storage.max_size == 10


@pytest.mark.parametrize("make", [in_memory, on_disk])
def test_a_form_says_that_the_file_is_too_large(limited, emulator, make):
    with make(LIMIT + 1) as file, emulator.counted() as operations:
        form = ContractForm({"title": "x"}, {"scan": file})
        assert form.errors == {"scan": [MESSAGE]}
    assert operations == []


def test_a_form_takes_a_file_of_just_the_limit(limited):
    form = ContractForm({"title": "x"}, {"scan": SimpleUploadedFile("a.bin", b"x" * LIMIT)})
    assert form.is_valid(), form.errors
    assert form.save().scan.size == LIMIT


def test_a_form_knows_the_limit_of_the_field(limited):
    form = forms.modelform_factory(model_with(B2FileField(max_size=3)), fields=["file"])
    assert form({}, {"file": SimpleUploadedFile("a", b"123")}).is_valid()
    assert form({}, {"file": SimpleUploadedFile("a", b"1234")}).errors == {
        "file": ["The file is too large: at most 3\xa0bytes."]
    }


def test_a_field_may_say_it_in_its_own_words(limited):
    field = B2FileField(max_size=3, error_messages={"too_large": "Not more than three."})
    form = forms.modelform_factory(model_with(field), fields=["file"])
    assert form({}, {"file": SimpleUploadedFile("a", b"1234")}).errors == {"file": ["Not more than three."]}


def test_an_image_that_is_too_large_is_not_opened(limited):
    form = forms.modelform_factory(Picture, fields=["image"])
    form = form({}, {"image": SimpleUploadedFile("a.png", b"no image" * LIMIT)})
    assert form.errors == {"image": [MESSAGE]}


@pytest.mark.parametrize("size", [LIMIT + 1, 3_000_000], ids=["in memory", "on disk"])
def test_the_admin_says_that_the_file_is_too_large(limited, emulator, client, visitors, size):
    client.force_login(visitors["superuser"])
    data = {"title": "x", "owner": "", "scan": SimpleUploadedFile("a.bin", b"x" * size)}
    with emulator.counted() as operations:
        response = client.post(reverse("admin:legal_contract_add"), data)
    assert response.status_code == 200
    assert MESSAGE in response.content.decode()
    assert operations == []
    assert not Contract.objects.exists()


def test_a_replacement_that_is_too_large_leaves_the_old_file(limited, client, visitors):
    contract = Contract.objects.create(scan=ContentFile(b"old", "a.bin"))
    client.force_login(visitors["superuser"])
    data = {"title": "new", "owner": "", "scan": in_memory(LIMIT + 1)}
    response = client.post(reverse("admin:legal_contract_change", args=[contract.pk]), data)
    assert MESSAGE in response.content.decode()
    again = Contract.objects.get()
    assert (again.title, again.scan.read()) == ("", b"old")


def test_a_row_saved_without_validation_is_stopped_by_its_storage(limited, emulator):
    with emulator.counted() as operations, pytest.raises(FileTooLarge), transaction.atomic():
        Contract.objects.create(scan=in_memory(LIMIT + 1))
    assert operations == []
    assert not Contract.objects.exists()


def test_a_stored_file_is_valid_however_large_and_nobody_is_asked(limited, emulator, settings):
    contract = Contract.objects.create(scan=ContentFile(b"x" * LIMIT, "a.bin"))
    settings.B2FIELDS_MAX_SIZE = 1
    with emulator.counted() as operations:
        contract.full_clean()
        Contract.objects.get().full_clean()
    assert operations == []


def test_validation_leaves_what_can_be_read_only_once_to_the_storage(limited):
    contract = Contract(scan=File(Stream(LIMIT + 1), "a.bin"))
    contract.full_clean()
    with pytest.raises(FileTooLarge):
        contract.save()


def test_validation_leaves_the_file_to_be_read_from_its_start(limited):
    contract = Contract(scan=ContentFile(b"0123456789", "a.bin"))
    contract.full_clean()
    assert contract.scan.read() == b"0123456789"


def test_an_image_is_looked_at_by_validation_without_a_form(limited):
    picture = Picture(image=ContentFile(b"<svg/>", "a.png"))
    with pytest.raises(ValidationError) as caught:
        picture.full_clean()
    assert "Upload an image of the format" in str(caught.value.message_dict["image"])
    Picture(image=ContentFile(png(3, 3), "a.png")).full_clean()


def test_a_subclass_of_the_image_field_takes_other_formats():
    class ScanField(B2ImageField):
        formats = ("PNG", "TIFF")

    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "TIFF")
    upload = SimpleUploadedFile("a.tiff", file.getvalue())
    assert forms.modelform_factory(model_with(ScanField()), fields=["file"])({}, {"file": upload}).is_valid()
    assert not forms.modelform_factory(model_with(B2ImageField()), fields=["file"])(
        {}, {"file": upload}
    ).is_valid()


def test_changing_the_limit_writes_no_sql_and_a_migration_keeps_it():
    field = B2FileField(max_size=3, inline_pdf=True)
    _, _, _, kwargs = field.deconstruct()
    assert (kwargs["max_size"], kwargs["inline_pdf"], "validators" in kwargs) == (3, True, False)
    assert {"max_size", "inline_pdf"} <= set(field.non_db_attrs)
    assert {"max_size", "inline_pdf"}.isdisjoint(B2FileField().deconstruct()[3])
