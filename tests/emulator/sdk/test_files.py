"""Small files through b2sdk: uploading, listing, hiding, copying, reading, sharing."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from .saving import read


def names(bucket, *args, **more):
    return [folder or file.file_name for file, folder in bucket.ls(*args, **more)]


@pytest.mark.parametrize("how", ["bytes", "file", "source", "stream"])
def test_every_kind_of_upload_comes_back_whole(v, api, bucket, tmp_path, how):
    body, info = b"content" * 1000, {"color": "green \u00e9 +%", "src_last_modified_millis": "1700000000000"}
    more = {"content_type": "text/x-some", "file_info": info}
    if how == "bytes":
        version = bucket.upload_bytes(body, "a/n\u00e4me", **more)
    elif how == "file":
        (tmp_path / "file").write_bytes(body)
        version = bucket.upload_local_file(tmp_path / "file", "a/n\u00e4me", **more)
    elif how == "source":
        version = bucket.upload(v.UploadSourceBytes(body), "a/n\u00e4me", **more)
    else:
        version = bucket.upload_unbound_stream(io.BytesIO(body), "a/n\u00e4me", **more)
    info = {key: value for key, value in api.get_file_info(version.id_).file_info.items() if key in info}
    assert info == more["file_info"]
    downloaded = bucket.download_file_by_name("a/n\u00e4me")
    assert read(downloaded) == body
    assert downloaded.download_version.content_type == "text/x-some"
    assert {**downloaded.download_version.file_info, **info} == downloaded.download_version.file_info
    assert read(api.download_file_by_id(version.id_)) == body


def test_an_empty_file_is_a_file(bucket):
    bucket.upload_bytes(b"", "empty")
    assert read(bucket.download_file_by_name("empty")) == b""
    assert bucket.get_file_info_by_name("empty").size == 0


def test_headers_of_downloads_can_be_set_at_the_upload(bucket):
    given = {
        "cache_control": "max-age=3600",
        "content_disposition": 'attachment; filename="a b.txt"',
        "content_encoding": "identity",
        "content_language": "de",
        "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
    }
    bucket.upload_bytes(b"content", "name", **given)
    found = bucket.get_file_info_by_name("name")
    assert {key: getattr(found, key) for key in given if key != "expires"} == {
        key: value for key, value in given.items() if key != "expires"
    }
    assert found.expires == given["expires"]
    assert "b2-cache-control" not in found.file_info


def test_a_content_type_is_guessed_from_the_name(bucket):
    assert bucket.upload_bytes(b"content", "page.html").content_type == "text/html"
    assert bucket.upload_bytes(b"content", "page").content_type == "application/octet-stream"


def test_lists_are_paged_and_leave_hidden_names_out(bucket):
    for name in ("a", "b/1", "b/2", "b/c/3", "d", "hidden"):
        bucket.upload_bytes(b"content", name)
    bucket.upload_bytes(b"again", "a")
    bucket.hide_file("hidden")
    assert names(bucket, fetch_count=1) == ["a", "b/", "d"]
    assert names(bucket, "b", fetch_count=1) == ["b/1", "b/2", "b/c/"]
    assert names(bucket, recursive=True, fetch_count=2) == ["a", "b/1", "b/2", "b/c/3", "d"]
    assert names(bucket, "*/*", recursive=True, with_wildcard=True) == ["b/1", "b/2", "b/c/3"]
    everything = bucket.ls(latest_only=False, recursive=True, fetch_count=2)
    assert [(file.file_name, file.action) for file, _ in everything] == [
        ("a", "upload"),
        ("a", "upload"),
        ("b/1", "upload"),
        ("b/2", "upload"),
        ("b/c/3", "upload"),
        ("d", "upload"),
        ("hidden", "hide"),
        ("hidden", "upload"),
    ]
    assert [file.size for file in bucket.list_file_versions("a", fetch_count=1)] == [5, 7]


def test_hiding_and_unhiding(v, bucket):
    bucket.upload_bytes(b"content", "name")
    bucket.hide_file("name")
    for refused in (bucket.download_file_by_name, bucket.get_file_info_by_name):
        with pytest.raises(v.exception.FileNotPresent):
            refused("name")
    with pytest.raises(v.exception.FileAlreadyHidden):
        bucket.hide_file("name")
    bucket.unhide_file("name")
    assert read(bucket.download_file_by_name("name")) == b"content"
    with pytest.raises(v.exception.B2Error, match="not hidden"):
        bucket.unhide_file("name")


def test_deleting_the_newest_version_brings_the_one_before_back(v, api, bucket):
    bucket.upload_bytes(b"first", "name")
    second = bucket.upload_bytes(b"second", "name")
    api.delete_file_version(second.id_, "name")
    assert read(bucket.download_file_by_name("name")) == b"first"
    with pytest.raises(v.exception.FileNotPresent):
        api.delete_file_version(second.id_, "name")
    with pytest.raises(v.exception.FileNotPresent):
        api.get_file_info(second.id_)


def test_a_copy_keeps_or_replaces_the_metadata(api, bucket, bucket_name):
    source = bucket.upload_bytes(b"0123456789", "source", "text/x-some", {"color": "green"})
    kept = bucket.copy(source.id_, "kept")
    assert (kept.content_type, kept.file_info) == ("text/x-some", {"color": "green"})
    replaced = bucket.copy(source.id_, "replaced", content_type="text/x-other", file_info={"size": "big"})
    assert (replaced.content_type, replaced.file_info) == ("text/x-other", {"size": "big"})
    part = bucket.copy(source.id_, "part", offset=2, length=3)
    assert (part.size, read(bucket.download_file_by_name("part"))) == (3, b"234")
    other = api.create_bucket(f"{bucket_name}-other", "allPrivate")
    other.copy(source.id_, "there")
    api.delete_file_version(source.id_, "source")
    assert read(other.download_file_by_name("there")) == b"0123456789"
    assert read(bucket.download_file_by_name("kept")) == b"0123456789"


def test_ranges(v, api, bucket):
    version = bucket.upload_bytes(b"0123456789", "name")
    assert read(bucket.download_file_by_name("name", range_=(2, 4))) == b"234"
    assert read(api.download_file_by_id(version.id_, range_=(9, 9))) == b"9"
    # The server cuts the end to the file's, and then the SDK misses the rest.
    with pytest.raises(v.exception.InvalidRange):
        bucket.download_file_by_name("name", range_=(5, 99))
    with pytest.raises(v.exception.UnsatisfiableRange):
        bucket.download_file_by_name("name", range_=(10, 12))


def test_a_download_authorization_opens_its_prefix_for_its_time(api, bucket, control):
    for name in ("shared/name", "other"):
        bucket.upload_bytes(b"content", name)
    token = bucket.get_download_authorization("shared/", 60)

    def status(name):
        url = bucket.get_download_url(name)
        return httpx.get(url, params={"Authorization": token}, verify=False).status_code  # noqa: S501

    assert urlsplit(bucket.get_download_url("shared/name")).path == f"/file/{bucket.name}/shared/name"
    assert (status("shared/name"), status("other")) == (200, 401)
    control.set("clock", offset_seconds=61)
    assert status("shared/name") == 401


def test_a_public_bucket_needs_no_authorization(bucket):
    bucket.upload_bytes(b"content", "name")
    url = bucket.get_download_url("name")
    assert httpx.get(url, verify=False).status_code == 401  # noqa: S501 - it is plain HTTP
    bucket.set_type("allPublic")
    assert httpx.get(url, verify=False).content == b"content"  # noqa: S501


def test_a_token_that_expires_under_many_uploads_is_renewed_for_all(bucket, control):
    uploaded = threading.Semaphore(0)

    def upload(worker):
        for number in range(15):
            bucket.upload_bytes(b"content", f"{worker}/{number}")
            uploaded.release()

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(upload, worker) for worker in range(4)]
        for _ in range(20):
            assert uploaded.acquire(timeout=10)
        control.set("expire_tokens")
        for run in runs:
            run.result()
    assert len(names(bucket, recursive=True)) == 60


@pytest.mark.parametrize("direction", ["up", "down", "between buckets"])
def test_the_synchronizer_makes_the_other_side_alike(v, api, bucket, bucket_name, tmp_path, direction):
    here, there = tmp_path / "here", f"b2://{bucket_name}/"
    here.mkdir()
    if direction == "up":
        (here / "folder").mkdir()
        (here / "folder" / "new").write_bytes(b"new")
        (here / "changed").write_bytes(b"changed")
        bucket.upload_bytes(b"old", "changed", file_info={"src_last_modified_millis": "1000"})
        bucket.upload_bytes(b"gone", "gone")
        sides = str(here), there
    elif direction == "down":
        bucket.upload_bytes(b"new", "folder/new")
        bucket.upload_bytes(b"changed", "changed")
        (here / "gone").write_bytes(b"gone")
        sides = there, str(here)
    else:
        api.create_bucket(f"{bucket_name}-other", "allPrivate")
        bucket.upload_bytes(b"new", "folder/new")
        bucket.upload_bytes(b"changed", "changed")
        sides = there, f"b2://{bucket_name}-other/"
    synchronizer = v.Synchronizer(max_workers=2, keep_days_or_delete=v.KeepOrDeleteMode.DELETE)
    source, target = (v.parse_folder(side, api) for side in sides)
    now = 2_000_000_000_000  # milliseconds
    reporter = v.SyncReport(io.StringIO(), no_progress=True)
    with reporter:
        synchronizer.sync_folders(source, target, now_millis=now, reporter=reporter)
    if direction == "down":
        found = {str(p.relative_to(here)): p.read_bytes() for p in here.rglob("*") if p.is_file()}
    else:
        place = bucket if direction == "up" else api.get_bucket_by_name(f"{bucket_name}-other")
        found = {name: read(place.download_file_by_name(name)) for name in names(place, recursive=True)}
    assert found == {"folder/new": b"new", "changed": b"changed"}
