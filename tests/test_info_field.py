"""info_field: what a row keeps of its file, who needs it, and when it is not believed."""

import copy
import json
import pickle

import pytest
from django.core import serializers
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection, migrations, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState
from django.test.utils import isolate_apps
from PIL import Image

from b2fields import B2FileField, B2ImageField, B2Storage
from b2fields.b2 import connections
from b2fields.exceptions import FileMissing
from tests.images import png
from tests.legal.models import Exhibit, ExhibitProxy, Hearing, SealedExhibit

pytestmark = pytest.mark.django_db

HEAD, GET = "head_file_by_name", "b2_download_file_by_name"


def upload(content=b"content", name="a.txt"):
    return ContentFile(content, name)


def made(model=Exhibit, **files):
    return model.objects.create(**(files or {"scan": upload()}))


def loaded(row):
    return type(row).objects.get(pk=row.pk)


@pytest.fixture
def forgetful(emulator, settings):
    """No metadata cache, so that whatever the row does not tell is asked of B2."""
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    return emulator


@pytest.fixture
def reader(client, visitors):
    client.force_login(visitors["staff"])
    return client


def got(reader, row, **headers):
    """Return the whole answer to a GET, and its body."""
    response = reader.get(row.scan.url, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return response, response.getvalue() if response.streaming else response.content


def overwrite(b2_api, bucket, name, content):
    """Store another version of a file, unseen by b2fields; return its B2 file id."""
    return b2_api.get_bucket_by_name(bucket).upload_bytes(content, name).id_


# What is kept


def test_an_upload_leaves_what_B2_told_of_it_in_the_row(forgetful, bucket):
    row = loaded(made(scan=upload(b"content")))
    stored = row.scan.storage.look_up(row.scan.name)
    assert row.scan_info == {
        "bucket": bucket,
        "location": "",
        "name": row.scan.name,
        "file_id": stored.file_id,
        "size": 7,
        "sha1": "040f06fd774092478d450774f5ba30c5da78acc8",
        "content_type": "text/plain",
        "uploaded": stored.uploaded,
        "info": {},
    }
    assert row.photo_info == {}


def test_an_image_leaves_its_dimensions_there_too(forgetful):
    row = loaded(made(photo=upload(png(12, 7), "a.png")))
    assert (row.photo_info["width"], row.photo_info["height"]) == (12, 7)
    assert row.photo_info["content_type"] == "image/png"


def test_an_upload_that_django_put_on_disk_leaves_them_too(forgetful):
    with TemporaryUploadedFile("a.png", "image/png", 0, None) as file:
        file.write(png(12, 7))
        file.size = file.tell()
        row = loaded(made(photo=file))
    assert (row.photo_info["width"], row.photo_info["size"]) == (12, len(png(12, 7)))


def test_a_file_that_is_no_image_is_stored_without_dimensions(forgetful):
    row = loaded(made(photo=upload(b"no image", "a.png")))
    assert "width" not in row.photo_info
    assert row.photo.size == 8


def test_an_image_that_pillow_refuses_is_stored_without_dimensions(forgetful, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    row = loaded(made(photo=upload(png(12, 7), "a.png")))
    assert row.photo_info["size"] == len(png(12, 7))
    assert "width" not in row.photo_info


def test_file_info_is_kept_and_tells_when_the_file_was_modified(forgetful, settings):
    settings.B2FIELDS_METADATA = {"src_last_modified_millis": "1000000000000", "kind": "scan"}
    row = loaded(made())
    with forgetful.counted() as operations:
        assert row.scan.metadata.info["kind"] == "scan"
        assert row.scan.modified_time.timestamp() == 1_000_000_000
    assert operations == []


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_modified_time_is_that_of_the_storage(forgetful, settings, use_tz):
    settings.USE_TZ = use_tz
    scan = loaded(made()).scan
    assert scan.modified_time == scan.storage.get_modified_time(scan.name)


def test_saving_a_new_row_is_one_query_with_the_info_in_it(emulator, django_assert_num_queries):
    with django_assert_num_queries(1):
        row = Exhibit.objects.create(scan=upload())
    assert loaded(row).scan_info["name"] == row.scan.name


def test_saving_a_changed_row_is_one_query_too(emulator, django_assert_num_queries):
    row = made()
    row.scan = upload(b"other")
    with django_assert_num_queries(1):
        row.save()
    assert loaded(row).scan_info["size"] == 5


def test_each_field_of_a_row_has_its_own_info(forgetful):
    row = loaded(made(scan=upload(b"four"), photo=upload(png(2, 3), "a.png")))
    with forgetful.counted() as operations:
        assert (row.scan.size, row.photo.size) == (4, len(png(2, 3)))
        assert (row.photo.width, row.photo.height) == (2, 3)
    assert operations == []


# Who needs neither B2 nor the cache


def look_at_a_page():
    for row in Exhibit.objects.all():
        assert row.scan.url
        assert row.photo.url
        assert (row.scan.size, row.scan.sha1) == (7, "040f06fd774092478d450774f5ba30c5da78acc8")
        assert row.scan.modified_time.timestamp() == pytest.approx(row.scan_info["uploaded"] / 1000)
        assert (row.photo.size, row.photo.width, row.photo.height) == (len(png(12, 7)), 12, 7)


def make_a_page_of_100():
    row = made(photo=upload(png(12, 7), "a.png"), scan=upload())
    Exhibit.objects.bulk_create(
        Exhibit(scan=row.scan.name, scan_info=row.scan_info, photo=row.photo.name, photo_info=row.photo_info)
        for _ in range(99)
    )


def test_a_page_of_100_objects_asks_neither_B2_nor_the_cache(emulator, counting_cache):
    make_a_page_of_100()
    counting_cache.accesses.clear()
    with emulator.counted() as operations:
        look_at_a_page()
    assert Exhibit.objects.count() == 100
    assert (operations, counting_cache.accesses) == ([], [])


def test_nor_does_it_in_a_new_process_with_an_empty_cache(emulator, counting_cache, monkeypatch):
    make_a_page_of_100()
    cache.clear()
    connections.close_all()
    counting_cache.accesses.clear()
    with emulator.counted() as operations:
        look_at_a_page()
    assert (operations, counting_cache.accesses) == ([], [])


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("head", {}, 200, id="HEAD"),
        pytest.param("get", {"If-None-Match": "{etag}"}, 304, id="the file's tag"),
        pytest.param("get", {"If-Modified-Since": "{modified}"}, 304, id="the file's time"),
        pytest.param("get", {"If-None-Match": "{etag}", "Range": "bytes=0-1"}, 304, id="a tag and a range"),
    ],
)
def test_nor_does_the_view_for(emulator, counting_cache, reader, method, headers, status):
    row = made()
    whole, body = got(reader, row)
    assert body == b"content"
    known = {"etag": whole["ETag"], "modified": whole["Last-Modified"]}
    cache.clear()
    counting_cache.accesses.clear()
    with emulator.counted() as operations:
        sent = {header: value.format(**known) for header, value in headers.items()}
        response = getattr(reader, method)(row.scan.url, headers=sent)
    assert (response.status_code, response["ETag"]) == (status, whole["ETag"])
    if method == "head":
        assert response["Content-Length"] == "7"
    assert (operations, counting_cache.accesses) == ([], [])


@pytest.mark.parametrize(
    ("header", "body"),
    [("bytes=-3", b"ent"), ("bytes=2-3", b"nt"), ("bytes=4-", b"ent")],
    ids=["the last bytes", "bytes in the middle", "all from a byte on"],
)
def test_a_range_costs_one_request_with_an_empty_cache(forgetful, reader, header, body):
    row = made()
    with forgetful.counted() as operations:
        response, sent = got(reader, row, Range=header)
    assert (response.status_code, sent) == (206, body)
    assert operations == [GET]


# Shapes of models and ways to save


@pytest.mark.parametrize("model", [Exhibit, ExhibitProxy, SealedExhibit])
def test_the_info_is_kept_however_the_model_is_inherited(forgetful, model):
    row = loaded(made(model))
    with forgetful.counted() as operations:
        assert row.scan.size == 7
    assert operations == []


def test_a_child_table_keeps_its_own(forgetful):
    row = loaded(made(SealedExhibit, seal=upload(b"seal"), scan=upload(b"scanned")))
    with forgetful.counted() as operations:
        assert (row.seal.size, row.scan.size, Exhibit.objects.get().scan.size) == (4, 7, 7)
    assert operations == []


def test_info_that_stands_above_its_file_is_kept_as_well(forgetful):
    row = made(Hearing, audio=upload())
    row.audio = upload(b"other")
    row.save()
    with forgetful.counted() as operations:
        assert loaded(row).audio.size == 5
    assert operations == []


def test_saving_it_again_without_a_new_file_is_one_query(emulator, django_assert_num_queries):
    row = made(Hearing, audio=upload())
    with django_assert_num_queries(1):
        row.save()


@pytest.mark.parametrize("model", [Exhibit, ExhibitProxy, SealedExhibit])
def test_update_fields_with_the_file_alone_writes_its_info_too(forgetful, model):
    row = made(model)
    row.scan = upload(b"other")
    row.save(update_fields=["scan"])
    with forgetful.counted() as operations:
        assert loaded(row).scan.size == 5
    assert operations == []


def test_update_fields_with_the_info_needs_no_second_query(emulator, django_assert_num_queries):
    row = made()
    row.scan = upload(b"other")
    with django_assert_num_queries(1):
        row.save(update_fields=["scan", "scan_info"])
    assert loaded(row).scan_info["size"] == 5


def test_update_fields_without_the_file_leaves_the_info_for_the_save_that_has_it(forgetful):
    row = made()
    row.scan.save("b.txt", upload(b"other"), save=False)
    row.title = "other"
    row.save(update_fields=["title"])
    assert loaded(row).scan_info["size"] == 7
    row.save(update_fields=["scan"])
    assert loaded(row).scan_info["size"] == 5


def test_update_or_create_writes_the_info_too(forgetful):
    row = made()
    Exhibit.objects.update_or_create(pk=row.pk, defaults={"scan": upload(b"other")})
    assert loaded(row).scan_info["size"] == 5


def test_field_file_save_writes_it(forgetful):
    row = Exhibit()
    row.scan.save("a.txt", upload(b"other"))
    assert loaded(row).scan_info["size"] == 5


def test_bulk_create_uploads_and_writes_it(forgetful):
    Exhibit.objects.bulk_create([Exhibit(scan=upload(b"x" * number)) for number in (1, 2)])
    with forgetful.counted() as operations:
        assert [row.scan.size for row in Exhibit.objects.order_by("pk")] == [1, 2]
    assert operations == []


def test_a_save_in_a_transaction_that_is_rolled_back_leaves_the_row_with_its_old_info(forgetful):
    row = made()
    with transaction.atomic():
        row.scan = upload(b"other")
        row.save(update_fields=["scan"])
        transaction.set_rollback(True)
    assert loaded(row).scan.size == 7


def test_a_row_loaded_without_its_info_gets_it_by_a_query_and_not_from_B2(
    forgetful, django_assert_num_queries
):
    made(scan=upload(), photo=upload(png(12, 7), "a.png"))
    for rows in (Exhibit.objects.only("scan", "photo"), Exhibit.objects.defer("scan_info", "photo_info")):
        row = rows.get()
        with forgetful.counted() as operations, django_assert_num_queries(2):
            assert (row.scan.size, row.photo.width) == (7, 12)
        assert operations == []


def test_a_row_loaded_without_its_info_keeps_that_of_a_new_file(forgetful):
    pk = made().pk
    row = Exhibit.objects.only("scan").get()
    row.scan = upload(b"other")
    row.save()
    assert Exhibit.objects.get(pk=pk).scan_info["size"] == 5


def test_saving_a_row_loaded_without_its_info_leaves_that_alone(emulator, django_assert_num_queries):
    info = made().scan_info
    row = Exhibit.objects.defer("scan_info").get()
    row.title = "other"
    with django_assert_num_queries(1):
        row.save()
    assert Exhibit.objects.get().scan_info == info


def test_loading_and_refreshing_a_row_makes_no_query_more(emulator, django_assert_num_queries):
    made(scan=upload(), photo=upload(png(12, 7), "a.png"))
    with emulator.counted() as operations, django_assert_num_queries(3):
        row = Exhibit.objects.only("photo").get()
        row.refresh_from_db(fields=["photo"])
        row.refresh_from_db()
    assert operations == []


def test_a_refreshed_row_knows_the_new_file(forgetful):
    row = made()
    other = loaded(row)
    other.scan.save("b.txt", upload(b"other"))
    with forgetful.counted() as operations:
        row.refresh_from_db()
        assert row.scan.size == 5
    assert operations == []


def test_a_refreshed_file_is_looked_up_when_the_info_is_still_the_old_one(forgetful):
    row = made()
    other = loaded(row)
    other.scan.save("b.txt", upload(b"other"))
    row.refresh_from_db(fields=["scan"])
    assert row.scan.size == 5


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda instance: pickle.loads(pickle.dumps(instance))],
    ids=["a copy", "a deep copy", "a pickle"],
)
def test_the_info_is_in(forgetful, copied):
    row = copied(loaded(made(scan=upload(), photo=upload(png(2, 3), "a.png"))))
    with forgetful.counted() as operations:
        assert (row.scan.size, row.photo.width) == (7, 2)
    assert operations == []


def test_a_copied_row_with_a_file_of_its_own_leaves_the_first_alone(forgetful):
    row = made()
    other = copy.copy(row)
    other.pk = None
    other._state.adding = True
    other.scan = upload(b"other")
    other.save()
    assert (loaded(row).scan_info["size"], loaded(other).scan_info["size"]) == (7, 5)


def test_values_give_the_info_as_it_is(emulator):
    row = made()
    assert list(Exhibit.objects.values("scan", "scan_info__size")) == [
        {"scan": row.scan.name, "scan_info__size": 7}
    ]


def test_a_fixture_carries_the_info(forgetful):
    fixture = serializers.serialize("json", [made()])
    assert json.loads(fixture)[0]["fields"]["scan_info"]["size"] == 7
    Exhibit.objects.all().delete()
    for deserialized in serializers.deserialize("json", fixture):
        deserialized.save()
    with forgetful.counted() as operations:
        assert Exhibit.objects.get().scan.size == 7
    assert operations == []


def test_a_fixture_is_stored_as_it_is_even_if_its_info_is_of_another_file(forgetful):
    row = made()
    fixture = serializers.serialize("json", [row]).replace('"name": "exhibits/', '"name": "elsewhere/')
    for deserialized in serializers.deserialize("json", fixture):
        deserialized.save()
    row = loaded(row)
    assert row.scan_info["name"].startswith("elsewhere/")
    assert row.scan.size == 7


# When there is no info, or none to believe


def test_a_row_without_info_is_looked_up_and_not_saved(forgetful):
    row = made(photo=upload(png(12, 7), "a.png"))
    Exhibit.objects.update(photo_info={})
    row = loaded(row)
    with forgetful.counted() as operations:
        assert row.photo.size == len(png(12, 7))
    assert operations == [HEAD]
    assert row.photo.width == 12
    row.title = "other"
    row.save()
    assert loaded(row).photo_info == {}


def test_a_lookup_of_a_row_without_info_is_remembered_in_the_cache(emulator):
    made()
    Exhibit.objects.update(scan_info=None)
    cache.clear()
    with emulator.counted() as operations:
        assert [Exhibit.objects.get().scan.size for _ in range(3)] == [7, 7, 7]
    assert operations.count(HEAD) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "exhibits/other.txt"}, id="of another name"),
        pytest.param({"bucket": "another"}, id="of another bucket"),
        pytest.param({"location": "elsewhere"}, id="of another location"),
        pytest.param({"size": "7"}, id="whose size is text"),
        pytest.param({"size": -1}, id="whose size is less than nothing"),
        pytest.param({"size": None}, id="without size"),
        pytest.param({"file_id": 7}, id="whose file id is a number"),
        pytest.param({"sha1": 7}, id="whose SHA-1 is a number"),
        pytest.param({"uploaded": 10**18}, id="of a time that no clock shows"),
        pytest.param({"info": None}, id="without file info"),
    ],
)
def test_info_is_not_believed(forgetful, reader, change):
    row = made()
    Exhibit.objects.update(scan_info={**row.scan_info, "size": 9, **change})
    row = loaded(row)
    assert row.scan.size == 7
    assert reader.head(row.scan.url)["Content-Length"] == "7"


@pytest.mark.parametrize("info", [[], "text", 7, {}, {"size": 9}], ids=repr)
def test_what_is_no_info_of_ours_is_not_believed(forgetful, info):
    row = made()
    Exhibit.objects.update(scan_info=info)
    row = loaded(row)
    assert row.scan.size == 7
    row.save()


def test_after_an_update_of_the_name_the_old_info_is_not_believed(forgetful):
    row, other = made(), made(scan=upload(b"other"))
    Exhibit.objects.filter(pk=row.pk).update(scan=other.scan.name)
    row = loaded(row)
    with forgetful.counted() as operations:
        assert row.scan.size == 5
    assert operations == [HEAD]


def test_dimensions_of_another_image_are_not_believed(forgetful):
    row, other = made(photo=upload(png(2, 3), "a.png")), made(photo=upload(png(20, 30), "b.png"))
    Exhibit.objects.filter(pk=row.pk).update(photo=other.photo.name)
    assert loaded(row).photo.width == 20


def test_another_name_on_an_instance_is_looked_up_at_once(forgetful):
    row, other = made(), made(scan=upload(b"other"))
    row.scan = other.scan.name
    assert row.scan.size == 5


def test_the_size_of_a_missing_file_raises(emulator):
    with pytest.raises(FileMissing):
        Exhibit(scan="missing").scan.size  # noqa: B018
    with pytest.raises(ValueError, match="no file associated"):
        Exhibit().scan.metadata  # noqa: B018


def test_a_file_that_is_not_uploaded_yet_has_its_own_size(forgetful):
    row = made(photo=upload(png(2, 3), "a.png"))
    row.scan, row.photo = upload(b"x" * 9), upload(png(8, 9), row.photo.name)
    assert (row.scan.size, row.photo.width) == (9, 8)


# Clearing and replacing


def clear(row):
    row.scan = None
    row.save()


def empty(row):
    row.scan = ""
    row.save()


def delete(row):
    row.scan.delete()


def delete_later(row):
    row.scan.delete(save=False)
    row.save(update_fields=["scan"])


def rename(row):
    row.scan = "exhibits/plain-name.txt"
    row.save()


def rename_alone(row):
    row.scan = "exhibits/plain-name.txt"
    row.save(update_fields=["scan"])


CHANGES = [clear, empty, delete, delete_later, rename, rename_alone]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_info_goes_with_the_file(emulator, change):
    row = loaded(made())
    change(row)
    assert loaded(row).scan_info is None


def test_info_that_may_not_be_null_becomes_an_empty_object(emulator):
    row = made(photo=upload(png(2, 3), "a.png"))
    row.photo = ""
    row.save()
    assert loaded(row).photo_info == {}


def test_info_above_its_file_goes_with_it_too(emulator):
    row = made(Hearing, audio=upload())
    row.audio = ""
    row.save()
    assert loaded(row).audio_info is None


def test_deleting_a_file_whose_info_is_not_loaded_clears_it(emulator):
    pk = made().pk
    Exhibit.objects.only("scan").get().scan.delete()
    assert Exhibit.objects.get(pk=pk).scan_info is None


def test_another_upload_under_the_same_name_brings_its_own_info(forgetful):
    row = made(Hearing, audio=upload())
    name = row.audio.name
    row.audio.delete()
    row.audio.save("a.txt", upload(b"other"))
    assert row.audio.name == name
    assert loaded(row).audio_info["size"] == 5


def test_what_is_written_through_the_file_is_not_known_by_the_old_info(forgetful):
    row = made()
    with row.scan.open("wb") as file:
        file.write(b"other")
    assert row.scan.size == 5
    row.save()
    assert loaded(row).scan_info is None


def test_reading_leaves_the_info_alone(forgetful):
    row = made()
    with row.scan.open() as file:
        assert file.read() == b"content"
    row.save()
    assert loaded(row).scan_info["size"] == 7


def test_saving_rows_needs_no_settings_of_B2(emulator, settings):
    row = made()
    settings.B2FIELDS_BUCKET = settings.B2FIELDS_APPLICATION_KEY = None
    row.title, row.scan = "other", "plain-name"
    row.save()
    assert loaded(row).scan_info is None


def model_with(storage):
    with isolate_apps("tests.legal"):

        class Model(models.Model):
            file = B2FileField(storage=storage, info_field="info")
            info = models.JSONField(null=True)

            class Meta:
                app_label = "legal"

    return Model


def test_a_storage_that_uploads_more_than_the_file_leaves_no_info_of_the_wrong_one(forgetful):
    class Thumbnailing(B2Storage):
        def _save(self, name, content):
            name = super()._save(name, content)
            self.upload(f"{name}.thumbnail", ContentFile(b"small"))
            return name

    row = model_with(Thumbnailing())()
    row.file.save("a.txt", upload(), save=False)
    assert row.info is None
    assert row.file.size == 7


def test_uploads_at_the_same_time_keep_each_its_own_info(forgetful):
    rows = []

    class Interrupted(B2Storage):
        def _save(self, name, content):
            name = super()._save(name, content)
            if len(rows) == 1:
                rows.append(model())
                rows[1].file.save("b.txt", upload(b"other"), save=False)
            return name

    model = model_with(Interrupted())
    rows.append(model())
    rows[0].file.save("a.txt", upload(), save=False)
    assert [row.info["size"] for row in rows] == [7, 5]


# A file that was replaced in B2 itself


@pytest.fixture
def replaced(forgetful, b2_api, bucket):
    """A row whose file has another version in B2, longer than the one it knows."""
    row = made()
    overwrite(b2_api, bucket, row.scan.name, b"replaced content")
    return row


def test_a_replaced_file_is_sent_with_its_own_tag_and_length(replaced, reader, forgetful):
    old = reader.head(replaced.scan.url)
    with forgetful.counted() as operations:
        response, body = got(reader, replaced)
    assert (body, response["Content-Length"]) == (b"replaced content", "16")
    assert response["ETag"] != old["ETag"]
    assert operations == [GET]
    again, _ = got(reader, replaced, If_None_Match=response["ETag"])
    assert (again.status_code, again["ETag"]) == (304, response["ETag"])


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        pytest.param("bytes=-7", b"content", "bytes 9-15/16", id="the last bytes"),
        pytest.param("bytes=9-", b"content", "bytes 9-15/16", id="bytes beyond the size it had"),
        pytest.param("bytes=2-", b"placed content", "bytes 2-15/16", id="all from a byte on"),
        pytest.param("bytes=0-3", b"repl", "bytes 0-3/16", id="the first bytes"),
    ],
)
def test_a_range_of_a_replaced_file_is_that_of_its_own_bytes(
    replaced, reader, header, expected, content_range
):
    response, body = got(reader, replaced, Range=header)
    assert (response.status_code, body) == (206, expected)
    assert response["Content-Range"] == content_range
    assert response["ETag"] == got(reader, replaced)[0]["ETag"]


def test_no_byte_of_a_replaced_file_is_told_by_its_own_size(replaced, reader):
    response, _ = got(reader, replaced, Range="bytes=16-")
    assert (response.status_code, response["Content-Range"]) == (416, "bytes */16")


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_client_that_has_the_new_version_is_not_refused_by_the_old_info(replaced, reader, method):
    new = got(reader, replaced)[0]["ETag"]
    response = getattr(reader, method)(replaced.scan.url, headers={"If-Match": new})
    assert (response.status_code, response["ETag"]) == (200, new)
    response.close()


def test_a_client_that_has_part_of_the_new_version_gets_the_rest(replaced, reader):
    new = got(reader, replaced)[0]["ETag"]
    response, body = got(reader, replaced, Range="bytes=9-", If_Range=new)
    assert (response.status_code, body) == (206, b"content")


def test_a_client_that_has_part_of_the_old_version_gets_the_whole_of_the_new(replaced, reader):
    old = reader.head(replaced.scan.url)["ETag"]
    response, body = got(reader, replaced, Range="bytes=3-", If_Range=old)
    assert (response.status_code, body) == (200, b"replaced content")


def test_a_client_that_wants_another_version_only_is_refused(replaced, reader):
    assert got(reader, replaced, If_Match='"neither"')[0].status_code == 412


def test_the_info_of_a_row_that_may_not_be_read_tells_nothing(emulator, client, visitors):
    row = made()
    client.force_login(visitors["member"])
    assert client.head(row.scan.url).status_code == 403


# The declaration


@isolate_apps("tests.legal")
def declare(field, info=None):
    class Model(models.Model):
        file = field

        class Meta:
            app_label = "legal"

    if info is not None:
        info.contribute_to_class(Model, "info")
    return Model._meta.get_field("file")


@pytest.mark.parametrize(
    ("info", "check_id"),
    [
        pytest.param(None, "b2fields.E012", id="a field that the model lacks"),
        pytest.param(models.TextField(), "b2fields.E013", id="a field that is no JSONField"),
    ],
)
def test_check_finds(info, check_id):
    (error,) = declare(B2FileField(info_field="info"), info).check()
    assert (error.id, error.obj.name) == (check_id, "file")
    assert "models.JSONField(null=True" in error.hint


@pytest.mark.parametrize("field_class", [B2FileField, B2ImageField])
def test_check_is_content_with_a_JSONField(field_class):
    assert declare(field_class(info_field="info"), models.JSONField(null=True)).check() == []


def test_check_is_content_with_the_parents_JSONField():
    assert [field.check() for field in SealedExhibit._meta.fields] == [[]] * len(SealedExhibit._meta.fields)


def test_deconstruct_returns_it_only_if_it_was_given():
    assert B2FileField(info_field="info").deconstruct()[3] == {"upload_to": "", "info_field": "info"}
    assert "info_field" not in B2FileField().deconstruct()[3]


def state_with(field):
    state = ProjectState()
    fields = [("id", models.AutoField(primary_key=True)), ("f", field), ("info", models.JSONField(null=True))]
    state.add_model(ModelState("legal", "Paper", fields))
    return state


@pytest.mark.django_db(transaction=True)
def test_adding_it_makes_a_migration_without_SQL():
    before, after = state_with(B2FileField()), state_with(B2FileField(info_field="info"))
    (operation,) = MigrationAutodetector(before, after)._detect_changes()["legal"][0].operations
    assert isinstance(operation, migrations.AlterField)
    with connection.schema_editor(collect_sql=True) as editor:
        operation.database_forwards("legal", editor, before, after)
    assert [line for line in editor.collected_sql if not line.startswith("--")] == []
