"""Mistakes that are caught where they are made, instead of being found when a file is missing."""

import functools
import io

import pytest
from django.core.files.base import ContentFile, File
from django.db import models, transaction
from django.db.models import F, Value
from django.test.utils import isolate_apps
from django.utils.deconstruct import deconstructible

from b2fields import B2FileField, B2ImageField, B2Storage, has_perm
from b2fields.exceptions import NotConfigured
from tests.images import png
from tests.legal.models import AnnualReport, Contract, Picture, is_owner, letter_info

# Names that were never uploaded


def upload(content=b"content", name="a.pdf"):
    return ContentFile(content, name)


def made():
    return Contract.objects.create(scan=upload())


def stored(row):
    return Contract.objects.values_list("scan", flat=True).get(pk=row.pk)


def of_an_instance(file):
    """Return the FieldFile that an assigned file becomes."""
    return Contract(scan=file).scan


UNCOMMITTED = [
    pytest.param(upload, id="a ContentFile"),
    pytest.param(lambda: ContentFile(b"x"), id="a ContentFile without a name"),
    pytest.param(lambda: File(None, "a.pdf"), id="a File"),
    pytest.param(lambda: io.BytesIO(b"x"), id="bytes in memory that are no File"),
    pytest.param(lambda: io.StringIO("x"), id="text in memory that is no File"),
    pytest.param(lambda: of_an_instance(upload()), id="the file of an unsaved instance"),
    pytest.param(lambda: of_an_instance(ContentFile(b"x")), id="that of an unsaved instance without a name"),
]


@pytest.mark.django_db
@pytest.mark.parametrize("make", UNCOMMITTED)
def test_update_refuses(emulator, make):
    row = made()
    before = stored(row)
    refused = pytest.raises(ValueError, match="not uploaded")
    with emulator.counted() as operations, refused as raised, transaction.atomic():
        Contract.objects.update(scan=make())
    assert "legal.contract.scan" in str(raised.value)
    assert "instance.scan.save(" in str(raised.value)
    assert stored(row) == before
    assert operations == []


@pytest.mark.django_db
def test_update_refuses_a_file_of_this_machine(emulator):
    row = made()
    before = stored(row)
    with open(__file__, "rb") as file, pytest.raises(ValueError, match="not uploaded"), transaction.atomic():
        Contract.objects.update(scan=file)
    assert stored(row) == before


@pytest.mark.django_db
@pytest.mark.parametrize("file", [upload(), ContentFile(b"x")], ids=["named", "without a name"])
def test_bulk_update_refuses_a_file_that_is(emulator, file):
    row, other = made(), made()
    before = stored(row), stored(other)
    other.scan = file
    refused = pytest.raises(ValueError, match=r"legal\.contract\.scan")
    with emulator.counted() as operations, refused, transaction.atomic():
        Contract.objects.bulk_update([row, other], ["scan"])
    assert (stored(row), stored(other)) == before
    assert operations == []


@pytest.mark.django_db
def test_update_of_an_image_or_of_a_parents_file_is_refused_too(emulator):
    Picture.objects.create(image=upload(png(2, 3), "a.png"))
    with pytest.raises(ValueError, match=r"legal\.picture\.image"), transaction.atomic():
        Picture.objects.update(image=upload(png(2, 3), "b.png"))
    AnnualReport.objects.create(file=upload())
    with pytest.raises(ValueError, match=r"legal\.report\.file"), transaction.atomic():
        AnnualReport.objects.update(file=upload())


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda other: other.scan.name, id="a name"),
        pytest.param(lambda other: other.scan, id="the file of a row"),
        pytest.param(lambda other: Value(other.scan.name), id="an expression"),
        pytest.param(
            lambda other: Value(other.scan, Contract._meta.get_field("scan")), id="an expression of a file"
        ),
        pytest.param(lambda other: F("minutes"), id="another column"),
    ],
)
def test_update_takes(emulator, value):
    row, other = made(), made()
    Contract.objects.filter(pk=row.pk).update(minutes=other.scan.name)
    Contract.objects.filter(pk=row.pk).update(scan=value(other))
    assert stored(row) == other.scan.name


@pytest.mark.django_db
def test_bulk_update_takes_names_and_uploaded_files(emulator):
    rows = [made(), made(), made(), made()]
    rows[0].scan = "plain-name"
    rows[1].scan.save("b.pdf", upload(), save=False)
    rows[2].scan = made().scan
    rows[3].scan = ""
    Contract.objects.bulk_update(rows, ["scan"])
    assert [stored(row) for row in rows] == ["plain-name", rows[1].scan.name, rows[2].scan.name, ""]


@pytest.mark.django_db
def test_update_takes_the_file_that_was_deleted(emulator):
    row = made()
    file = row.scan
    file.delete(save=False)
    Contract.objects.update(scan=file)
    assert stored(row) == ""


@pytest.mark.django_db
def test_bulk_create_uploads_as_save_does(emulator):
    Contract.objects.bulk_create([Contract(scan=upload(b"one")), Contract(scan=upload(b"two"))])
    assert [row.scan.read() for row in Contract.objects.order_by("pk")] == [b"one", b"two"]


@pytest.mark.django_db
def test_a_file_that_is_not_uploaded_may_be_looked_for_by_its_name(emulator):
    made()
    assert not Contract.objects.filter(scan=of_an_instance(upload())).exists()


# Policies that no migration can name


class Rule:
    def allows(self, request, instance):
        return True

    @classmethod
    def allows_all(cls, request, instance):
        return True

    @staticmethod
    def allows_some(request, instance):
        return True

    def __call__(self, request, instance):
        return True


@deconstructible
class WrittenRule(Rule):
    pass


def made_here():
    def access(request, instance):
        return True

    return access


def rule_made_here():
    class Made(Rule):
        pass

    return Made


def storage_made_here():
    class Made(B2Storage):
        pass

    return Made


@isolate_apps("tests.legal")
def declare(field, **namespace):
    class Model(models.Model):
        locals().update(namespace)
        file = field

        class Meta:
            app_label = "legal"

    return Model._meta.get_field("file")


UNNAMEABLE = [
    pytest.param(lambda *arguments: {}, id="a lambda"),
    pytest.param(made_here(), id="a function within a function"),
    pytest.param(Rule().allows, id="a method of an instance"),
    pytest.param(functools.partial(Rule().allows), id="a partial of a method of an instance"),
    pytest.param(functools.partial(made_here()), id="a partial of a function within a function"),
    pytest.param(Rule(), id="an instance that cannot be deconstructed"),
    pytest.param(rule_made_here().allows_all, id="a class method of a class within a function"),
    pytest.param(functools.partial(rule_made_here().allows_all), id="a partial of one"),
]


@pytest.mark.parametrize("field_class", [B2FileField, B2ImageField])
@pytest.mark.parametrize("argument", ["access", "metadata", "storage"])
@pytest.mark.parametrize("declared", UNNAMEABLE)
def test_a_class_is_refused_with(field_class, argument, declared):
    with pytest.raises(
        NotConfigured, match=rf"legal\.model\.file has {argument}=.* cannot name\. Use a func"
    ):
        declare(field_class(**{argument: declared}))


def test_a_class_is_refused_with_a_storage_class_within_a_function():
    with pytest.raises(NotConfigured, match=r"legal\.model\.file has storage="):
        declare(B2FileField(storage=storage_made_here()))


@isolate_apps("tests.legal")
def test_an_abstract_class_is_refused_where_a_model_is_made_of_it():
    class Base(models.Model):
        file = B2FileField(access=lambda request, instance: True)

        class Meta:
            app_label = "legal"
            abstract = True

    with pytest.raises(NotConfigured, match=r"legal\.model\.file has access="):

        class Model(Base):
            class Meta:
                app_label = "legal"


def test_the_past_models_of_a_migration_are_not_refused():
    field = declare(B2FileField(access=lambda request, instance: True), __module__="__fake__")
    assert [error.id for error in field.check()] == ["b2fields.E014"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"metadata": {"kind": Rule()}}, id="metadata with such a value"),
        pytest.param({"storage": B2Storage(access=made_here())}, id="a storage that was given such a policy"),
    ],
)
def test_check_tells_of(arguments):
    (error,) = declare(B2FileField(**arguments)).check()
    assert (error.id, error.obj.name) == ("b2fields.E014", "file")
    assert error.msg.startswith(f"'{next(iter(arguments))}' is ")
    assert "top level of a module" in error.hint


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"access": is_owner, "metadata": letter_info}, id="functions of a module"),
        pytest.param({"access": has_perm("legal.view_permit")}, id="has_perm"),
        pytest.param({"access": WrittenRule()}, id="an instance that can be deconstructed"),
        pytest.param({"access": Rule.allows_all}, id="a class method"),
        pytest.param({"access": Rule.allows_some}, id="a static method"),
        pytest.param({"access": functools.partial(is_owner)}, id="a partial function"),
        pytest.param({"access": "staff", "metadata": {"kind": "scan"}}, id="levels and dicts"),
    ],
)
def test_check_is_content_with(arguments):
    assert declare(B2FileField(**arguments)).check() == []


def test_what_is_no_access_at_all_is_told_once():
    async def later(request, instance):
        return True

    (error,) = declare(B2FileField(access=later)).check()
    assert error.id == "b2fields.E001"
