"""What concerns one version: info, hiding, deleting, copying."""

import io
from pathlib import Path

import pytest

from .clients import problem, sha1


def copy(native, source, **params):
    return native.post("b2_copy_file", sourceFileId=source["fileId"], **params)


def test_info_of_a_file_that_is_not_there(native):
    assert problem(native.post("b2_get_file_info", fileId="4_nothing")) == (404, "not_found")


def test_deleting_a_version_brings_back_the_one_before(native, bucket, bucket_name):
    native.upload(bucket, "name", b"old")
    new = native.upload(bucket, "name", b"new")
    assert native.get(bucket_name, "name").content == b"new"
    answer = native.call("b2_delete_file_version", fileName="name", fileId=new["fileId"])
    assert answer == {"fileName": "name", "fileId": new["fileId"]}
    assert native.get(bucket_name, "name").content == b"old"


def test_deleting_a_hide_marker_shows_the_file_again(api, native, bucket, bucket_name):
    native.upload(bucket, "name", b"content")
    found = api.get_bucket_by_name(bucket_name)
    marker = found.hide_file("name")
    assert (marker.action, marker.size) == ("hide", 0)
    assert native.get(bucket_name, "name").status_code == 404
    found.unhide_file("name")
    assert native.get(bucket_name, "name").content == b"content"


def test_a_hide_marker_cannot_be_downloaded(native, bucket):
    native.upload(bucket, "name")
    marker = native.call("b2_hide_file", bucketId=bucket, fileName="name")
    query = {"fileId": marker["fileId"]}
    headers = {"Authorization": native.token}
    answer = native.http.get("/b2api/v4/b2_download_file_by_id", params=query, headers=headers)
    assert problem(answer) == (404, "not_found")


def test_a_file_is_hidden_once_and_must_be_there(native, bucket):
    native.upload(bucket, "name")
    native.call("b2_hide_file", bucketId=bucket, fileName="name")
    hide = {"bucketId": bucket, "fileName": "name"}
    assert problem(native.post("b2_hide_file", **hide)) == (400, "already_hidden")
    assert problem(native.post("b2_hide_file", **(hide | {"fileName": "nothing"}))) == (400, "no_such_file")


def test_deleting_needs_the_id_and_the_name_that_belong_together(native, bucket):
    file = native.upload(bucket, "name")
    for wrong in (
        {"fileName": "other", "fileId": file["fileId"]},
        {"fileName": "name", "fileId": "4_nothing"},
    ):
        assert problem(native.post("b2_delete_file_version", **wrong)) == (400, "file_not_present")
    assert native.names(bucket) == ["name"]


def test_deleted_bytes_leave_the_disk(emulator, native, bucket):
    file = native.upload(bucket, "name", b"content of its own")
    copied = copy(native, file, fileName="copy").json()
    bodies = [path.read_bytes() for path in bodies_of(emulator)]
    assert bodies.count(b"content of its own") == 1
    native.call("b2_delete_file_version", fileName="name", fileId=file["fileId"])
    assert b"content of its own" in [path.read_bytes() for path in bodies_of(emulator)]
    native.call("b2_delete_file_version", fileName="copy", fileId=copied["fileId"])
    assert b"content of its own" not in [path.read_bytes() for path in bodies_of(emulator)]


def bodies_of(emulator):
    return list((Path(emulator.ready["data"]) / "bodies").iterdir())


def test_a_copy_keeps_type_and_info(native, bucket, bucket_name):
    source = native.upload(bucket, "a.txt", b"content", x_bz_info_key="value")
    copied = copy(native, source, fileName="b.html", metadataDirective="COPY").json()
    assert copied["fileId"] != source["fileId"]
    assert (copied["contentType"], copied["fileInfo"]) == ("text/plain", {"key": "value"})
    assert (copied["contentSha1"], copied["contentLength"]) == (sha1(b"content"), 7)
    assert native.get(bucket_name, "b.html").content == b"content"


def test_a_copy_may_replace_type_and_info(native, bucket):
    source = native.upload(bucket, "a.txt", b"content", x_bz_info_key="value")
    replace = {"metadataDirective": "REPLACE", "contentType": "b2/x-auto", "fileInfo": {"New": "info"}}
    copied = copy(native, source, fileName="b.html", **replace).json()
    assert (copied["contentType"], copied["fileInfo"]) == ("text/html", {"new": "info"})


def test_a_copy_may_take_a_range_to_another_bucket(native, bucket, bucket_name):
    other = native.create_bucket(f"{bucket_name}-b")
    source = native.upload(bucket, "a", b"0123456789")
    copied = copy(native, source, fileName="b", range="bytes=2-4", destinationBucketId=other).json()
    assert (copied["bucketId"], copied["contentSha1"]) == (other, sha1(b"234"))
    assert native.get(f"{bucket_name}-b", "b").content == b"234"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param({"contentType": "a/b"}, (400, "bad_request"), id="a new type needs REPLACE"),
        pytest.param({"fileInfo": {}}, (400, "bad_request"), id="new info needs REPLACE"),
        pytest.param({"metadataDirective": "REPLACE"}, (400, "bad_request"), id="REPLACE needs a type"),
        pytest.param({"metadataDirective": "MOVE"}, (400, "bad_request"), id="there is COPY and REPLACE"),
        pytest.param({"fileName": "a\nb"}, (400, "bad_request"), id="the name is valid"),
        pytest.param({"range": "2-4"}, (400, "bad_request"), id="the range is one"),
        pytest.param({"range": "bytes=9-"}, (416, "range_not_satisfiable"), id="the range is in the file"),
        pytest.param({"destinationBucketId": "no"}, (400, "bad_bucket_id"), id="the bucket is there"),
    ],
)
def test_what_a_copy_must_be(native, bucket, wrong, expected):
    source = native.upload(bucket, "a", b"content")
    assert problem(copy(native, source, **({"fileName": "b"} | wrong))) == expected
    assert native.names(bucket) == ["a"]


def test_a_copy_needs_leave_to_read_and_to_write(native, as_key, bucket, bucket_name):
    other = native.create_bucket(f"{bucket_name}-b")
    source = native.upload(bucket, "a", b"content")
    params = {"fileName": "b", "destinationBucketId": other}
    for key in (
        native.create_key("readFiles"),
        native.create_key("readFiles", "writeFiles", bucketIds=[other]),
    ):
        assert problem(copy(as_key(key), source, **params)) == (401, "unauthorized")
    assert native.names(other) == []


def test_b2sdk_copies_and_deletes(api, native, bucket, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload_bytes(b"0123456789", "a")
    found.copy(version.id_, "b", offset=3, length=4)
    read = io.BytesIO()
    found.download_file_by_name("b").save(read)
    assert read.getvalue() == b"3456"
    api.delete_file_version(version.id_, "a")
    assert native.names(bucket) == ["b"]
