"""Fields: what a declaration becomes, and that instances and forms behave as with Django's own fields."""

import copy
import io
import pickle
import re
import tempfile

import pytest
from django import forms
from django.contrib import admin
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.db.models import Value
from django.db.models.fields.files import FieldFile
from django.db.models.functions import Lower
from django.test.utils import isolate_apps
from django.urls import reverse
from django.utils.crypto import get_random_string
from PIL import Image

from b2fields import B2FileField, B2ImageField, B2Storage
from b2fields.exceptions import NotConfigured
from tests.images import encoded, png, png_that_claims
from tests.legal.models import (
    AnnualReport,
    Contract,
    Invoice,
    Letter,
    Picture,
    Report,
    ReportProxy,
)

pytestmark = pytest.mark.django_db


def upload(name="acme.pdf", content=b"content"):
    return ContentFile(content, name)


# What a declaration becomes


@isolate_apps("tests.legal")
def declare(field):
    class Model(models.Model):
        file = field

        class Meta:
            app_label = "legal"

    return Model._meta.get_field("file")


def test_a_field_goes_to_the_bucket_it_names(settings):
    settings.B2FIELDS_BUCKET = "of-all"
    assert declare(B2FileField(bucket="of-this-field")).storage.bucket == "of-this-field"


def test_a_field_without_bucket_goes_to_that_of_its_level_and_else_to_that_of_all(settings):
    settings.B2FIELDS_BUCKET = "of-all"
    settings.B2FIELDS_BUCKETS = {"staff": "of-staff"}
    assert declare(B2FileField(access="staff")).storage.bucket == "of-staff"
    assert declare(B2FileField(access="login")).storage.bucket == "of-all"


def test_a_field_without_access_follows_the_setting_which_is_private(settings):
    field = declare(B2FileField())
    assert field.storage.level == "login"
    settings.B2FIELDS_ACCESS = "staff"
    assert field.storage.level == "staff"


def test_a_field_takes_a_storage_and_puts_its_own_policy_over_it():
    given = B2Storage(bucket="given", access="public", metadata={"a": "1", "b": "1"})
    field = declare(B2FileField(storage=given, access="staff", metadata={"b": "2"}))
    assert field.storage == given
    assert (field.storage.bucket, field.storage.level) == ("given", "staff")
    assert field.storage._file_info("name") == {"a": "1", "b": "2"}
    assert given.level == "public"


_called = []


def choose():
    _called.append(1)
    return B2Storage(bucket=get_random_string(8))


def choose_default():
    return default_storage


def test_a_storage_callable_is_not_called_before_the_storage_is_used_and_then_once():
    _called.clear()
    field = declare(B2FileField(storage=choose))
    assert _called == []
    assert field.storage.bucket == field.storage.bucket
    assert _called == [1]


@pytest.mark.parametrize(
    "storage",
    [
        pytest.param(default_storage, id="passed"),
        pytest.param(choose_default, id="returned by a callable"),
    ],
)
def test_the_default_storage_is_what_STORAGES_says_now(settings, storage):
    field = declare(B2FileField(storage=storage))
    for bucket in ("before", "after"):
        default = {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"bucket": bucket}}
        settings.STORAGES = {**settings.STORAGES, "default": default}
        assert field.storage.bucket == bucket


@pytest.mark.parametrize("kind", [str, list, B2FileField])
def test_a_class_that_is_no_storage_is_refused_as_FileField_does(kind):
    with pytest.raises(TypeError, match=r"FileField\.storage must be a subclass/instance of .*Storage"):
        B2FileField(storage=kind)


def test_a_storage_may_be_an_alias_of_STORAGES(settings):
    backend = "b2fields.storage.B2Storage"
    settings.STORAGES = {
        **settings.STORAGES,
        "legal": {"BACKEND": backend, "OPTIONS": {"bucket": "aliased"}},
    }
    assert declare(B2FileField(storage="legal")).storage.bucket == "aliased"
    assert storages["legal"].bucket == "aliased"


def test_a_field_refuses_a_storage_that_is_not_B2(settings):
    field = declare(B2FileField(storage="default"))
    with pytest.raises(NotConfigured, match=r"legal\.model\.file .* no B2Storage"):
        field.storage  # noqa: B018


def test_a_field_takes_no_other_storage_later():
    field = declare(B2FileField())
    with pytest.raises(TypeError, match=r"legal\.model\.file takes its storage as an argument"):
        field.storage = B2Storage()


class PlainlyHeld(B2FileField):
    attr_class = FieldFile


def test_check_finds_nothing_in_a_short_name_without_a_random_folder():
    assert declare(B2FileField(upload_to="scans/", max_length=41)).check() == []
    assert declare(B2FileField(upload_to="scans/", max_length=20, unique_names=False)).check() == []


@pytest.mark.parametrize(
    ("field", "check_id"),
    [
        pytest.param(B2FileField(access="everybody"), "b2fields.E001", id="an unknown access level"),
        pytest.param(
            B2FileField(access=7), "b2fields.E001", id="an access that is neither level nor callable"
        ),
        pytest.param(
            B2FileField(bucket="a", storage=B2Storage()), "b2fields.E002", id="both a bucket and a storage"
        ),
        pytest.param(B2FileField(storage="default"), "b2fields.E003", id="a storage that is not B2"),
        pytest.param(B2FileField(storage="missing"), "b2fields.E003", id="an alias that STORAGES lacks"),
        pytest.param(B2FileField(metadata="legal"), "b2fields.E007", id="metadata that is no dict"),
        pytest.param(PlainlyHeld(), "b2fields.E048", id="a file that knows nothing of its policy"),
        pytest.param(
            B2FileField(upload_to="scans/", max_length=40), "b2fields.E049", id="no room for a random folder"
        ),
        pytest.param(
            B2FileField(db_default=Lower(Value("A")), cleanup=True),
            "b2fields.E050",
            id="a default that nobody knows",
        ),
    ],
)
def test_check_finds(field, check_id):
    (error,) = declare(field).check()
    assert error.id == check_id
    assert error.hint
    assert error.obj.name == "file"


def test_an_async_access_callable_is_refused_by_check():
    async def may_read(request, instance):
        return True

    (error,) = declare(B2FileField(access=may_read)).check()
    assert error.id == "b2fields.E001"


def test_an_unknown_access_level_opens_nothing():
    field = declare(B2FileField(access="everybody"))
    with pytest.raises(NotConfigured, match=r"legal\.model\.file has access='everybody'"):
        field.storage.url("name")
    with pytest.raises(NotConfigured, match=r"legal\.model\.file has access='everybody'"):
        field.storage.save("name", upload())


# Names


def test_an_upload_gets_a_random_folder_and_keeps_its_name(emulator):
    contract = Contract()
    contract.scan.save("Angebot (final) ü.pdf", upload())
    assert re.fullmatch(r"scans/20\d\d/[0-9A-Za-z]{22}/Angebot \(final\) ü\.pdf", contract.scan.name)


def test_two_uploads_of_one_name_are_two_files(emulator):
    one, other = Contract(), Contract()
    one.scan.save("a.txt", upload(content=b"one"))
    other.scan.save("a.txt", upload(content=b"other"))
    assert (one.scan.read(), other.scan.read()) == (b"one", b"other")


def test_without_unique_names_a_taken_name_gets_a_suffix(emulator):
    one, other = Letter(), Letter()
    one.file.save("a.txt", upload(content=b"one"))
    other.file.save("a.txt", upload(content=b"other"))
    assert one.file.name == "a.txt"
    assert re.fullmatch(r"a_\w{7}\.txt", other.file.name)
    assert (one.file.read(), other.file.read()) == (b"one", b"other")


def test_a_long_name_is_cut_before_its_extension_to_fit_the_column(emulator):
    contract = Contract()
    contract.scan.save("语" * 100 + ".pdf", upload())
    assert len(contract.scan.name) <= 255
    assert contract.scan.name.endswith("语.pdf")
    assert all(len(segment.encode()) <= 250 for segment in contract.scan.name.split("/"))


def test_upload_to_cannot_leave_its_place(emulator):
    field = declare(B2FileField(upload_to=lambda instance, filename: f"../{filename}"))
    with emulator.counted() as operations, pytest.raises(SuspiciousFileOperation):
        field.attr_class(field.model(), field, None).save("a.txt", upload())
    assert operations == []


# Metadata


def test_metadata_of_settings_storage_and_row_are_stored_with_the_file(emulator, settings):
    settings.B2FIELDS_METADATA = {"site": "acme"}
    letter = Letter(department="legal")
    letter.file.save("a.txt", upload())
    stored = letter.file.storage.metadata(letter.file.name)
    assert stored.info == {"site": "acme", "department": "legal", "uploaded-as": "a.txt"}
    assert stored.content_type == "text/plain"


# Instances


def saved_contract(**files):
    contract = Contract(title="Acme")
    for name, content in files.items():
        setattr(contract, name, upload(content=content))
    contract.save()
    return contract


def test_a_file_assigned_to_an_instance_is_uploaded_when_the_row_is_saved(emulator):
    contract = saved_contract(scan=b"scan")
    assert Contract.objects.get(pk=contract.pk).scan.read() == b"scan"


def test_a_field_file_saves_a_bare_file_object(emulator):
    contract = Contract()
    with tempfile.SpooledTemporaryFile() as file:
        file.write(b"scan")
        contract.scan.save("a.txt", file)
    assert Contract.objects.get(pk=contract.pk).scan.read() == b"scan"


def test_objects_create_takes_a_file(emulator):
    contract = Contract.objects.create(scan=upload(content=b"scan"))
    assert contract.scan.read() == b"scan"


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda instance: pickle.loads(pickle.dumps(instance))],
    ids=["being copied", "being copied deeply", "pickling"],
)
def test_an_instance_survives(emulator, copied):
    contract = copied(saved_contract(scan=b"scan"))
    assert contract.scan.read() == b"scan"
    assert contract.scan.url.startswith("/b2s/legal.contract.scan/scans/")


def test_a_deferred_file_is_loaded_when_it_is_read(emulator, django_assert_num_queries):
    pk = saved_contract(scan=b"scan").pk
    contract = Contract.objects.defer("scan").get(pk=pk)
    with django_assert_num_queries(1):
        assert contract.scan.read() == b"scan"


def test_a_row_can_be_refreshed(emulator):
    contract = saved_contract(scan=b"one")
    stale = Contract.objects.get(pk=contract.pk)
    contract.scan.save("two.txt", upload(content=b"two"))
    stale.refresh_from_db()
    assert stale.scan.read() == b"two"


def test_an_empty_file_field_is_false_and_has_no_url(emulator):
    contract = Contract.objects.create()
    assert not contract.scan
    with pytest.raises(ValueError, match="no file associated"):
        contract.scan.url  # noqa: B018


def test_deleting_a_field_file_removes_it_and_empties_the_field(emulator):
    contract = saved_contract(scan=b"scan")
    name, storage = contract.scan.name, contract.scan.storage
    contract.scan.delete()
    assert not storage.exists(name)
    assert not Contract.objects.get(pk=contract.pk).scan


@pytest.mark.parametrize(
    ("model", "label"),
    [
        pytest.param(Report, "legal.report.file", id="of an abstract model is the child's"),
        pytest.param(Invoice, "legal.invoice.file", id="of an abstract model is each child's own"),
        pytest.param(AnnualReport, "legal.report.file", id="of a parent table is the parent's"),
        pytest.param(ReportProxy, "legal.report.file", id="of a proxy is the concrete model's"),
    ],
)
def test_an_inherited_field(emulator, client, visitors, model, label):
    row = model()
    row.file.save("a.txt", upload(content=b"inherited"))
    assert row.file.url.startswith(f"/b2s/{label}/")
    client.force_login(visitors["staff"])
    assert b"".join(client.get(row.file.url).streaming_content) == b"inherited"


# A failed upload


@pytest.mark.django_db(transaction=True)
def test_a_failed_upload_leaves_the_row_and_the_old_file_as_they_were(emulator):
    contract = saved_contract(scan=b"old")
    emulator.fault("b2_upload_file", status=503, code="service_unavailable", times=None)
    contract.scan = upload(content=b"new")
    with pytest.raises(OSError, match="Try again later"):
        contract.save()
    emulator.heal()
    again = Contract.objects.get(pk=contract.pk)
    assert again.scan.read() == b"old"


# Images


def test_an_image_fills_its_dimension_fields_from_the_upload(emulator):
    with emulator.counted() as operations:
        picture = Picture.objects.create(image=SimpleUploadedFile("a.png", png(12, 7)))
    assert (picture.width, picture.height) == (12, 7)
    assert "b2_download_file_by_name" not in operations
    assert picture.image.read() == png(12, 7)


def test_an_image_without_a_name_of_its_own_fills_them_too(emulator):
    picture = Picture()
    with emulator.counted() as operations:
        picture.image.save("a.png", ContentFile(png(12, 7)))
    assert (picture.width, picture.height) == (12, 7)
    assert "b2_download_file_by_name" not in operations


def test_loading_rows_with_images_asks_B2_for_nothing(emulator):
    picture = Picture.objects.create(image=SimpleUploadedFile("a.png", png(12, 7)))
    Picture.objects.update(width=None)
    with emulator.counted() as operations:
        loaded = Picture.objects.get(pk=picture.pk)
        loaded.refresh_from_db()
        assert loaded.width is None
    assert operations == []


def test_the_width_of_a_stored_image_comes_from_its_row(emulator):
    Picture.objects.create(image=SimpleUploadedFile("a.png", png(12, 7)))
    with emulator.counted() as operations:
        picture = Picture.objects.get()
        assert (picture.image.width, picture.image.height) == (12, 7)
        picture.refresh_from_db()
        assert (picture.width, picture.height) == (12, 7)
    assert operations == []


def test_a_width_that_the_row_lacks_is_read_from_the_head_of_the_image(emulator):
    picture = Picture.objects.create(image=SimpleUploadedFile("a.png", png(12, 7)))
    Picture.objects.update(width=None)
    with emulator.counted() as operations:
        assert Picture.objects.get(pk=picture.pk).image.width == 12
    assert operations == ["b2_download_file_by_name"]
    assert emulator.requests()[-1]["range"] == "bytes=0-32767"


def test_another_stored_image_brings_its_own_dimensions(emulator):
    small = Picture.objects.create(image=SimpleUploadedFile("a.png", png(2, 3)))
    large = Picture.objects.create(image=SimpleUploadedFile("b.png", png(20, 30)))
    small.image = large.image
    assert (small.width, small.height) == (20, 30)
    small.image = Picture.objects.get(pk=small.pk).image.name
    assert (small.width, small.height) == (2, 3)


def test_refreshing_an_image_keeps_the_dimensions_of_its_row(emulator):
    pk = Picture.objects.create(image=SimpleUploadedFile("a.png", png(2, 3))).pk
    picture = Picture.objects.get(pk=pk)
    picture.refresh_from_db(fields=["image"])
    assert (picture.width, picture.height) == (2, 3)
    picture = Picture.objects.defer("width", "height").get(pk=pk)
    picture.refresh_from_db()
    picture.save()
    assert Picture.objects.values_list("width", "height").get(pk=pk) == (2, 3)


def test_a_new_row_for_a_stored_image_gets_its_dimensions(emulator):
    stored = Picture.objects.create(image=SimpleUploadedFile("a.png", png(2, 3))).image.name
    assert Picture.objects.create(image=stored).width == 2
    saved = Picture(image=stored)
    saved.save()
    assert Picture.objects.get(pk=saved.pk).height == 3


def test_a_cleared_image_clears_its_dimensions(emulator):
    picture = Picture.objects.create(image=SimpleUploadedFile("a.png", png(2, 3)))
    picture.image = None
    picture.save()
    assert (picture.width, picture.height) == (None, None)


def form_with(image, name="a.png"):
    form = forms.modelform_factory(Picture, fields=["image"])
    return form({}, {"image": SimpleUploadedFile(name, image)})


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        pytest.param(encoded("TIFF"), "PNG, JPEG, GIF or WEBP", id="a TIFF that is named .png"),
        pytest.param(encoded("PCX"), "PNG, JPEG, GIF or WEBP", id="another format that is named .png"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG, JPEG, GIF or WEBP", id="an SVG"),
        pytest.param(png_that_claims(30_000, 30_000), "at most 89.5 million", id="far too many pixels"),
        pytest.param(png_that_claims(10_000, 9_000), "at most 89.5 million", id="a few pixels too many"),
        pytest.param(encoded("GIF", frames=1200), "more than 1000 frames", id="an endless animation"),
    ],
)
def test_an_image_form_refuses_unread(emulator, image, complaint):
    with emulator.counted() as operations:
        form = form_with(image)
        assert not form.is_valid()
    assert complaint in str(form.errors["image"])
    assert operations == []


def test_an_image_form_names_the_extensions_that_it_takes(emulator):
    form = form_with(png(2, 2), "a.svg")
    assert "are: apng, gif, jfif, jpe, jpeg, jpg, png, webp." in str(form.errors["image"])


def test_an_image_form_without_an_upload_asks_B2_for_nothing(emulator):
    picture = Picture.objects.create(image=SimpleUploadedFile("a.png", png(2, 3)))
    Picture.objects.update(width=None)
    form = forms.modelform_factory(Picture, fields=["image"])
    with emulator.counted() as operations:
        form({}, {}, instance=Picture.objects.get()).save()
    assert operations == []
    assert Picture.objects.get().image.name == picture.image.name


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_form_takes(emulator, image_format):
    file = io.BytesIO()
    Image.new("RGB", (5, 6)).save(file, image_format)
    picture = form_with(file.getvalue(), f"a.{image_format.lower()}").save()
    assert (picture.width, picture.height) == (5, 6)
    assert picture.image.read() == file.getvalue()


def test_an_image_field_is_Djangos_image_field():
    assert issubclass(B2ImageField, models.ImageField)
    assert isinstance(Picture._meta.get_field("image").formfield(), forms.ImageField)


# Forms and the admin


class ContractForm(forms.ModelForm):
    class Meta:
        model = Contract
        fields = ("title", "scan")


def test_a_model_form_uploads(emulator):
    form = ContractForm({"title": "x"}, {"scan": SimpleUploadedFile("a.txt", b"scan")})
    assert form.is_valid(), form.errors
    assert Contract.objects.get(pk=form.save().pk).scan.read() == b"scan"


def test_a_model_form_without_a_new_file_keeps_the_old_one(emulator):
    contract = saved_contract(scan=b"scan")
    ContractForm({"title": "new title"}, {}, instance=contract).save()
    contract = Contract.objects.get(pk=contract.pk)
    assert (contract.title, contract.scan.read()) == ("new title", b"scan")


def test_the_clear_checkbox_empties_the_field(emulator):
    contract = saved_contract(scan=b"scan")
    ContractForm({"title": "x", "scan-clear": "on"}, {}, instance=contract).save()
    assert not Contract.objects.get(pk=contract.pk).scan


def test_rendering_a_form_asks_B2_for_nothing(emulator):
    contract = saved_contract(scan=b"scan")
    with emulator.counted() as operations:
        html = ContractForm(instance=contract).as_p()
    assert f'href="{contract.scan.url}"' in html
    assert operations == []


def test_the_admin_adds_changes_and_lists(emulator, client, visitors):
    assert admin.site.is_registered(Contract)
    client.force_login(visitors["superuser"])
    empty = {"title": "x", "owner": ""}
    add = {**empty, "scan": SimpleUploadedFile("a.txt", b"one")}
    assert client.post(reverse("admin:legal_contract_add"), add).status_code == 302
    contract = Contract.objects.get()
    assert contract.scan.read() == b"one"

    change = reverse("admin:legal_contract_change", args=[contract.pk])
    with emulator.counted() as operations:
        assert contract.scan.url in client.get(change).content.decode()
        assert client.get(reverse("admin:legal_contract_changelist")).status_code == 200
    assert operations == []

    assert client.post(change, {**empty, "scan-clear": "on"}).status_code == 302
    assert not Contract.objects.get().scan
