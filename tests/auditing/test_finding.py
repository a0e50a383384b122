"""``manage.py b2_audit`` finds what lies in B2 without a row, and rows without their file."""

import unicodedata

import pytest

from b2fields import B2Storage
from tests.auditing.running import audit
from tests.auditing.stored import drop, keep
from tests.cleaning.models import Logo
from tests.legal.models import Archive, Contract, Deed, Payslip, Picture


def test_nothing_is_found_where_each_file_has_its_row(stored):
    keep(stored, "covers/a.pdf")

    found = audit()

    assert (found.status, found.findings) == (0, [])


def test_nothing_is_found_in_an_empty_bucket_of_an_empty_database(stored):
    assert audit("--delete").status == 0


def test_files_that_no_row_names_are_orphans(stored):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf")

    found = audit()

    assert found.names("orphan") == ["covers/lost.pdf"]
    assert found.status == 1


def test_without_delete_nothing_is_changed(stored):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf")
    stored.begin("covers/large.bin")

    audit()

    assert stored.versions() == ["covers/a.pdf", "covers/b.pdf", "covers/lost.pdf"]
    assert stored.unfinished() == ["covers/large.bin"]


def test_rows_whose_file_is_not_there_are_told(stored):
    row = Contract.objects.create(cover="covers/gone.pdf")

    found = audit()

    assert found.status == 1
    assert found.findings == [
        {
            "kind": "missing",
            "bucket": B2Storage().bucket,
            "name": "covers/gone.pdf",
            "reason": "there is no such file",
            "size": None,
            "versions": None,
            "uploaded": None,
            "file_id": None,
            "field": "legal.contract.cover",
            "database": "default",
            "pk": row.pk,
            "outcome": None,
        }
    ]


def test_a_named_file_that_is_hidden_is_missing_and_left_alone(stored):
    keep(stored, "covers/a.pdf", "covers/hidden.pdf")
    stored.hide("covers/hidden.pdf")

    found = audit("--delete")

    assert found.names("missing") == ["covers/hidden.pdf"]
    assert stored.versions() == ["covers/a.pdf", "covers/hidden.pdf", "covers/hidden.pdf"]


def test_a_row_may_name_a_file_that_does_not_lie_under_the_upload_to_of_its_field(stored):
    stored.put("imported/old.pdf")
    Contract.objects.create(cover="imported/old.pdf")

    found = audit("--field", "legal.contract.cover")

    assert (found.status, found.findings) == (0, [])


def test_a_name_that_no_file_can_have_is_missing(stored):
    Contract.objects.create(cover="../../etc/passwd")

    assert [found["reason"] for found in audit().findings] == ["no file can have this name"]


def test_large_files_that_were_not_finished_are_told(stored):
    keep(stored, "covers/a.pdf")
    stored.begin("covers/large.bin", "covers/a.pdf")

    found = audit()

    assert sorted(found.names("unfinished")) == ["covers/a.pdf", "covers/large.bin"]
    assert found.names("orphan") == []
    assert found.status == 1


def test_the_default_of_a_field_is_no_orphan(stored):
    keep(stored, "covers/a.pdf")
    stored.put(Logo._meta.get_field("image").default)

    assert audit().names("orphan") == []


def test_a_file_that_cleanup_is_to_remove_is_no_orphan(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/dropped.pdf")
    drop("covers/dropped.pdf")

    found = audit("--delete")

    assert found.names("pending") == ["covers/dropped.pdf"]
    assert found.status == 0
    assert "covers/dropped.pdf" in stored.versions()


def test_rows_of_every_field_and_those_that_a_manager_hides_protect(stored, owner):
    names = ["archive/a.pdf", "vault/deed.pdf", "payroll/slip.pdf", "images/p.png"]
    stored.put(*names)
    Archive.objects.create(file="archive/a.pdf", hidden=True)
    Deed.objects.create(file="deed.pdf")
    Payslip.objects.create(file="slip.pdf")
    Picture.objects.create(image="images/p.png")

    found = audit("--delete")

    assert (found.status, found.findings) == (0, [])
    assert sorted(stored.versions()) == sorted(names)


@pytest.mark.parametrize(
    ("file", "row"),
    [
        pytest.param("covers/a.pdf", "covers//a.pdf", id="a needless slash"),
        pytest.param("covers/a.pdf", "./covers/a.pdf", id="a needless dot"),
        pytest.param("covers/a.pdf", "covers\\a.pdf", id="a backslash"),
    ],
)
def test_a_row_protects_what_its_name_opens(stored, file, row):
    stored.put(file)
    Contract.objects.create(cover=row)

    found = audit("--delete")

    assert (found.status, found.findings) == (0, [])
    assert stored.versions() == [file]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        pytest.param(
            unicodedata.normalize("NFC", "covers/é.pdf"),
            unicodedata.normalize("NFD", "covers/é.pdf"),
            id="the Unicode form",
        ),
        pytest.param("covers/A.pdf", "covers/a.pdf", id="the letter case"),
        pytest.param("covers/a b.pdf", "covers/a%20b.pdf", id="a space and its escape"),
        pytest.param("covers/契約 😀.pdf", "covers/契約 😁.pdf", id="one of many languages"),
        pytest.param("covers/a_b.pdf", "covers/a%b.pdf", id="a wildcard of SQL"),
    ],
)
def test_names_that_differ_by_little_are_two_names(stored, name, other):
    keep(stored, name)
    stored.put(other)

    audit("--delete", "--force")

    assert stored.versions() == [name]


def test_each_of_the_many_rows_whose_one_file_is_missing_is_told(stored):
    Contract.objects.bulk_create(Contract(cover="covers/gone.pdf") for _ in range(4500))

    found = audit()

    assert len({each["pk"] for each in found.findings}) == found.document["missing"] == 4500
