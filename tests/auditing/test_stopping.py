"""``b2_audit`` stops where something is wrong, and touches nothing that is not ours."""

import unicodedata

import pytest
from django.db import DatabaseError, connections, transaction

from b2fields import B2Storage
from b2fields.audit.places import Places, prefix_of
from tests.auditing.running import audit
from tests.auditing.stored import keep
from tests.legal.models import Permit


def test_it_stops_where_no_row_names_any_file(stored):
    stored.put("covers/a.pdf", "covers/b.pdf")
    stored.begin("covers/large.bin")

    found = audit("--delete")

    assert found.status == 2
    assert "No row of any file field names a file" in found.message
    assert "--force" in found.message
    assert len(stored.versions()) == 2
    assert stored.unfinished() == ["covers/large.bin"]


def test_it_stops_where_over_half_of_the_files_are_orphans(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf", "covers/gone.pdf")

    found = audit("--delete")

    assert (found.status, "2 of 3 files" in found.message) == (2, True)
    assert len(stored.versions()) == 3


def test_what_is_hidden_instead_of_deleted_is_left_to_the_bucket(stored, settings):
    settings.B2FIELDS_DELETE = "hide"
    keep(stored, "covers/a.pdf")
    stored.put("covers/old.pdf", "covers/older.pdf", "covers/lost.pdf")
    for name in ("covers/old.pdf", "covers/older.pdf"):
        B2Storage().delete(name)

    found = audit("--hide")

    assert (found.names("orphan", "hidden"), found.status) == (["covers/lost.pdf"], 0)
    assert (audit().status, audit().document["objects"]) == (0, 1)


@pytest.mark.parametrize("action", ["--delete", "--hide"])
def test_within_a_transaction_nothing_is_removed(stored, action):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")

    with transaction.atomic():
        found = audit(action)

    assert (found.status, "A transaction is open" in found.message) == (2, True)
    assert stored.versions() == ["covers/a.pdf", "covers/lost.pdf"]


def test_half_of_the_files_may_be_orphans(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")

    assert audit("--delete").status == 0


def test_a_dry_run_tells_the_names_and_that_it_would_stop(stored):
    stored.put("covers/a.pdf")

    found = audit()

    assert found.names("orphan") == ["covers/a.pdf"]
    assert found.status == 2
    assert found.document["stopped"]


def test_force_goes_on(stored):
    stored.put("covers/a.pdf", "covers/b.pdf")

    assert audit("--delete", "--force").status == 0
    assert stored.versions() == []


def test_force_deletes_no_file_that_a_row_names(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/b.pdf", "covers/c.pdf")

    audit("--delete", "--force")

    assert stored.versions() == ["covers/a.pdf"]


def test_it_stops_where_a_table_is_missing(stored, monkeypatch):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("permits/p.pdf")
    Permit.objects.create(paper="permits/p.pdf")
    monkeypatch.setattr(Permit._meta, "db_table", "legal_not_migrated_yet")

    found = audit("--delete", "--force")

    assert (found.status, "Run migrate" in found.message) == (2, True)
    assert "permits/p.pdf" in stored.versions()


def test_it_stops_where_a_database_does_not_answer(stored):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf")

    def refuse(execute, sql, params, many, context):
        raise DatabaseError("the server has gone away")

    with connections["default"].execute_wrapper(refuse):
        found = audit("--delete", "--force")

    assert (found.status, "the server has gone away" in found.message) == (2, True)
    assert "covers/lost.pdf" in stored.versions()


def test_it_stops_where_an_alias_stores_in_the_same_place(stored, settings):
    settings.STORAGES = {**settings.STORAGES, "thumbnails": {"BACKEND": "b2fields.B2Storage"}}
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("thumbs/a.png")

    found = audit("--delete")

    assert (found.status, "STORAGES['thumbnails'] stores in" in found.message) == (2, True)
    assert "thumbs/a.png" in stored.versions()


def test_an_alias_that_stores_beside_the_place_of_a_field_stops_nothing(stored, settings):
    settings.STORAGES = {**settings.STORAGES, "thumbnails": {"BACKEND": "b2fields.B2Storage"}}
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf", "thumbs/a.png")

    found = audit("--delete", "--field", "legal.contract.cover")

    assert found.status == 0
    assert stored.versions() == ["covers/a.pdf", "covers/b.pdf", "thumbs/a.png"]


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_lies_in_the_location_of_another_storage_is_never_touched(stored, settings, force):
    settings.STORAGES = {
        **settings.STORAGES,
        "thumbnails": {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"location": "thumbs"}},
    }
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("thumbs/a.png", "thumbs/b.png", "thumbs/c.png", "thumbsdownA0bC1dE2fG3h/a.pdf")
    stored.begin("thumbs/large.bin")

    found = audit("--delete", *force)

    assert found.names("orphan", "deleted") == ["thumbsdownA0bC1dE2fG3h/a.pdf"]
    assert [name for name in stored.versions() if name.startswith("thumbs/")] != []
    assert stored.unfinished() == ["thumbs/large.bin"]


def test_static_files_are_never_touched(stored, settings):
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "b2fields.static.B2StaticStorage"}}
    keep(stored, "covers/a.pdf")
    stored.put("app.css", "covers/lost.pdf")

    audit("--delete", "--force")

    assert stored.versions() == ["app.css", "covers/a.pdf"]


def test_it_stops_where_somebody_unknown_stores_beside_the_fields(permits, stored):
    stored.put("erp/ledger.csv", "zoo.txt", bucket=permits)

    found = audit("--delete")

    assert (found.status, "'erp/ledger.csv' is under no field's upload_to" in found.message) == (2, True)
    assert "permits/lost.pdf" in stored.versions(permits)


def test_what_lies_outside_the_places_of_the_fields_is_never_touched(permits, stored):
    stored.put("erp/ledger.csv", "permits.pdf", bucket=permits)

    found = audit("--delete", "--force")

    assert found.names("orphan", "deleted") == ["permits/lost.pdf"]
    assert stored.versions(permits) == ["erp/ledger.csv", "permits.pdf", "permits/a.pdf", "permits/b.pdf"]


def test_with_all_files_in_the_places_of_the_fields_it_goes_on(permits, stored):
    found = audit("--delete")

    assert found.names("orphan", "deleted") == ["permits/lost.pdf"]
    assert found.status == 0


def test_a_location_of_our_own_is_not_shared_with_what_lies_beside_it(stored, settings):
    settings.B2FIELDS_LOCATION = "acme"
    stored.put("acme/permits/a.pdf", "other/permits/b.pdf", "acmes.pdf")
    Permit.objects.create(paper="permits/a.pdf")
    fields = [Permit._meta.get_field("paper")]

    assert list(Places(settings.B2FIELDS_BUCKET, fields, ()).strangers()) == []


@pytest.mark.parametrize(
    ("upload_to", "expected"),
    [
        pytest.param("", "acme/", id="nothing leaves the location"),
        pytest.param("covers/", "acme/covers/", id="a folder"),
        pytest.param("covers", "acme/covers/", id="a folder without its slash"),
        pytest.param("scans/%Y/%m", "acme/scans/", id="what is before a date"),
        pytest.param("scans/of-%Y/", "acme/scans/", id="a folder that begins before a date"),
        pytest.param("scan-%Y", "acme/", id="a folder that is all date"),
        pytest.param("./covers//big/", "acme/covers/big/", id="needless dots and slashes"),
        pytest.param(unicodedata.normalize("NFD", "é/"), "acme/é/", id="in the form that is stored"),
        pytest.param("../elsewhere/", None, id="where nothing can be stored"),
        pytest.param("/media/", None, id="the root, where nothing can be stored either"),
        pytest.param("covers/../media/", None, id="a way out and back, which is refused too"),
        pytest.param(lambda instance, filename: "x/y", "acme/", id="a callable"),
    ],
)
def test_the_place_of_a_field(settings, upload_to, expected):
    settings.B2FIELDS_LOCATION = "acme"
    field = Permit._meta.get_field("paper").clone()
    field.set_attributes_from_name("paper")
    field.model = Permit
    field.upload_to = upload_to

    assert prefix_of(field) == expected


@pytest.mark.parametrize("name", ["backups/db.sql.gz", "other/uploads/x.pdf", "x.pdf"])
def test_it_stops_at_a_name_in_the_whole_bucket_that_no_upload_has(stored, name):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put(name)

    found = audit("--delete")

    assert found.status == 2
    assert "not as uploads of this project are" in found.message
    assert name in stored.versions()
    assert audit("--delete", "--force").names("orphan", "deleted") == [name]
