"""Large files: parts, finishing, cancelling."""

import io
import os
import sqlite3
from contextlib import closing

import pytest
from b2sdk.v3 import UploadSourceBytes

from b2fields.emulator.database import Database

from .clients import problem, sha1

PART = 5_000_000


@pytest.fixture
def large(native, bucket):
    """The id of a large file that was started."""
    params = {
        "bucketId": bucket,
        "fileName": "large",
        "contentType": "b2/x-auto",
        "fileInfo": {"Key": "value"},
    }
    return native.call("b2_start_large_file", **params)["fileId"]


def send_part(native, file_id, number, body, **headers):
    url = native.call("b2_get_upload_part_url", fileId=file_id)
    sent = {"x_bz_part_number": str(number), "x_bz_file_name": None, "content_type": None} | headers
    return native.send(url["uploadUrl"], url["authorizationToken"], "-", body, **sent)


def finish(native, file_id, *bodies):
    return native.post("b2_finish_large_file", fileId=file_id, partSha1Array=[sha1(body) for body in bodies])


def test_b2sdk_uploads_a_large_file_in_parts_and_reads_it_back(api, native, bucket, bucket_name, control):
    body = os.urandom(13_000_000)
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload(UploadSourceBytes(body), "folder/large.bin", min_part_size=PART)
    assert (version.size, version.content_sha1) == (len(body), "none")
    operations = [request["operation"] for request in control.requests()]
    assert operations.count("b2_upload_part") == 2
    assert operations[-1] == "b2_finish_large_file"
    read = io.BytesIO()
    download = found.download_file_by_name("folder/large.bin")
    download.save(read)
    assert read.getvalue() == body
    assert download.download_version.content_sha1 == "none"
    # A range across the seam of two parts.
    headers = {"Range": "bytes=6499990-6500009"}
    assert native.get(bucket_name, "folder/large.bin", headers=headers).content == body[6499990:6500010]


def test_b2sdk_streams_a_large_file_of_unknown_length(api, bucket, bucket_name):
    body = os.urandom(11_000_000)
    found = api.get_bucket_by_name(bucket_name)
    found.upload_unbound_stream(io.BytesIO(body), "large", buffer_size=PART)
    read = io.BytesIO()
    found.download_file_by_name("large").save(read)
    assert read.getvalue() == body


def test_an_unfinished_file_is_seen_among_versions_only(native, bucket, bucket_name, large):
    send_part(native, large, 1, b"part")
    assert native.names(bucket) == []
    assert native.get(bucket_name, "large").status_code == 404
    (version,) = native.call("b2_list_file_versions", bucketId=bucket)["files"]
    assert (version["action"], version["fileId"], version["contentLength"]) == ("start", large, 0)
    account = native.account["accountId"]
    answer = native.post("b2_delete_bucket", accountId=account, bucketId=bucket)
    assert problem(answer) == (400, "cannot_delete_non_empty_bucket")


def test_finishing_makes_it_a_file(native, bucket, bucket_name, large):
    assert send_part(native, large, 1, bytes(PART)).json()["contentSha1"] == sha1(bytes(PART))
    send_part(native, large, 2, b"end")
    file = finish(native, large, bytes(PART), b"end").json()
    assert (file["action"], file["contentLength"], file["contentSha1"]) == ("upload", PART + 3, "none")
    assert (file["fileId"], file["fileInfo"]) == (large, {"key": "value"})
    assert native.get(bucket_name, "large").content == bytes(PART) + b"end"
    assert problem(send_part_after(native, large)) == (400, "bad_request")


def send_part_after(native, file_id):
    return native.post("b2_get_upload_part_url", fileId=file_id)


def test_a_part_that_is_sent_again_replaces_the_one_before(native, bucket, bucket_name, large):
    first = bytes(PART)
    send_part(native, large, 1, first)
    send_part(native, large, 2, b"first")
    send_part(native, large, 2, b"second")
    assert finish(native, large, first, b"second").status_code == 200
    assert native.get(bucket_name, "large").content == first + b"second"


def test_a_large_file_has_at_least_two_parts(native, large):
    send_part(native, large, 1, b"part")
    answer = finish(native, large, b"part")
    assert problem(answer) == (400, "bad_request")
    assert "at least 2 parts" in answer.json()["message"]


def test_a_missing_part_is_told(native, large):
    send_part(native, large, 2, b"end")
    assert problem(finish(native, large, bytes(PART), b"end")) == (400, "missing_part")


def test_another_part_than_was_sent_is_told(native, large):
    send_part(native, large, 1, b"part")
    assert problem(finish(native, large, b"other")) == (400, "part_sha1_mismatch")


def test_only_the_last_part_may_be_small(native, large):
    send_part(native, large, 1, b"small")
    send_part(native, large, 2, b"end")
    assert problem(finish(native, large, b"small", b"end")) == (400, "bad_request")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"number": 0}, id="numbers begin at 1"),
        pytest.param({"number": 10_001}, id="numbers end at 10000"),
        pytest.param({"number": "one"}, id="a number is a number"),
        pytest.param({"body": b""}, id="a part has a byte"),
        pytest.param({"x_bz_content_sha1": sha1(b"other")}, id="its SHA-1 is right"),
    ],
)
def test_what_a_part_must_be(native, large, wrong):
    given = {"number": 1, "body": b"part"} | wrong
    assert problem(send_part(native, large, **given)) == (400, "bad_request")
    assert native.call("b2_list_parts", fileId=large)["parts"] == []


def test_a_token_for_parts_is_for_one_file_and_for_parts(native, bucket, large):
    params = {"bucketId": bucket, "fileName": "other", "contentType": "b2/x-auto"}
    other = native.call("b2_start_large_file", **params)["fileId"]
    url = native.call("b2_get_upload_part_url", fileId=large)["uploadUrl"]
    for token in (
        native.call("b2_get_upload_part_url", fileId=other)["authorizationToken"],
        native.upload_url(bucket)[1],
    ):
        answer = native.send(url, token, "-", b"part", x_bz_part_number="1")
        assert problem(answer) == (401, "bad_auth_token")


def test_cancelling_removes_file_and_parts(emulator, native, bucket, large):
    send_part(native, large, 1, b"part")
    answer = native.call("b2_cancel_large_file", fileId=large)
    assert (answer["fileId"], answer["fileName"]) == (large, "large")
    assert native.call("b2_list_file_versions", bucketId=bucket)["files"] == []
    assert problem(finish(native, large, b"part")) == (400, "bad_request")


def test_parts_are_listed_in_pages(native, large):
    for number in (3, 1, 2):
        send_part(native, large, number, f"part {number}".encode())
    page = native.call("b2_list_parts", fileId=large, maxPartCount=2)
    assert [part["partNumber"] for part in page["parts"]] == [1, 2]
    assert page["nextPartNumber"] == 3
    page = native.call("b2_list_parts", fileId=large, maxPartCount=2, startPartNumber=3)
    (part,) = page["parts"]
    assert (part["contentLength"], part["contentSha1"]) == (6, sha1(b"part 3"))
    assert page["nextPartNumber"] is None


def test_unfinished_files_are_listed_in_pages_and_by_prefix(native, bucket):
    ids = [
        native.call("b2_start_large_file", bucketId=bucket, fileName=name, contentType="a/b")["fileId"]
        for name in ("a/1", "a/2", "b/1")
    ]
    native.upload(bucket, "a/finished")
    listed = native.call("b2_list_unfinished_large_files", bucketId=bucket, namePrefix="a/")["files"]
    assert {file["fileId"] for file in listed} == set(ids[:2])
    first = native.call("b2_list_unfinished_large_files", bucketId=bucket, maxFileCount=2)
    second = native.call("b2_list_unfinished_large_files", bucketId=bucket, startFileId=first["nextFileId"])
    assert {file["fileId"] for file in first["files"] + second["files"]} == set(ids)
    assert second["nextFileId"] is None


def test_unfinished_files_are_found_by_an_index_also_in_a_data_directory_from_before_it(tmp_path):
    path = tmp_path / "emulator.sqlite3"
    Database(path).close()
    with closing(sqlite3.connect(path)) as before:
        before.execute("DROP INDEX versions_unfinished")

    database = Database(path)
    plan = database.rows(
        "EXPLAIN QUERY PLAN SELECT * FROM versions WHERE bucket_id = ? AND action = 'start'"
        " AND (uploaded, rowid) >= (?, ?) ORDER BY uploaded, rowid",
        *("a bucket", 0, 0),
    ).fetchall()
    database.close()

    assert "USING INDEX versions_unfinished" in plan[0]["detail"]
    assert len(plan) == 1  # and nothing is sorted


def test_a_part_is_copied_from_another_file(native, bucket, bucket_name, large):
    source = native.upload(bucket, "source", bytes(PART) + b"0123456789")
    for number, area in ((1, f"bytes=0-{PART - 1}"), (2, f"bytes={PART + 2}-{PART + 4}")):
        params = {"sourceFileId": source["fileId"], "largeFileId": large, "partNumber": number, "range": area}
        native.call("b2_copy_part", **params)
    assert finish(native, large, bytes(PART), b"234").status_code == 200
    native.call("b2_delete_file_version", fileName="source", fileId=source["fileId"])
    assert native.get(bucket_name, "large").content == bytes(PART) + b"234"
