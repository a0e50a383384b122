"""Uploading a file in one request."""

import hashlib
import socket
import threading
from pathlib import Path

import httpx
import pytest

from .clients import problem, sha1

BODY = b"some content"
SHA1 = sha1(BODY)


@pytest.mark.parametrize(
    ("header", "body", "stored"),
    [
        pytest.param(SHA1, BODY, SHA1, id="given before"),
        pytest.param("hex_digits_at_end", BODY + SHA1.encode(), SHA1, id="given after the bytes"),
        pytest.param("do_not_verify", BODY, f"unverified:{SHA1}", id="not given"),
    ],
)
def test_the_sha1_is(native, bucket, bucket_name, header, body, stored):
    file = native.upload(bucket, "name", body, x_bz_content_sha1=header)
    assert (file["contentSha1"], file["contentLength"], file["size"]) == (stored, len(BODY), len(BODY))
    found = native.get(bucket_name, "name")
    assert found.content == BODY
    assert found.headers["x-bz-content-sha1"] == stored


@pytest.mark.parametrize(
    ("header", "body"),
    [
        pytest.param(sha1(b"other"), BODY, id="a SHA-1 of other bytes"),
        pytest.param("hex_digits_at_end", BODY + sha1(b"other").encode(), id="the same at the end"),
        pytest.param("hex_digits_at_end", b"short", id="no room for it at the end"),
        pytest.param("abc", BODY, id="something else"),
        pytest.param(None, BODY, id="nothing"),
    ],
)
def test_a_wrong_sha1_is_refused_and_leaves_nothing(emulator, native, bucket, header, body):
    answer = native.send(*native.upload_url(bucket), "name", body, x_bz_content_sha1=header)
    assert problem(answer) == (400, "bad_request")
    assert native.names(bucket) == []
    assert list((Path(emulator.ready["data"]) / "incoming").iterdir()) == []


def test_an_upload_answers_with_the_whole_version(native, bucket):
    file = native.upload(bucket, "name.txt", BODY)
    assert file == native.call("b2_get_file_info", fileId=file["fileId"])
    assert file["uploadTimestamp"] > 0
    assert {key: file[key] for key in ("accountId", "action", "bucketId", "contentMd5", "contentType")} == {
        "accountId": native.account["accountId"],
        "action": "upload",
        "bucketId": bucket,
        "contentMd5": hashlib.md5(BODY, usedforsecurity=False).hexdigest(),
        "contentType": "text/plain",
    }
    assert file["fileRetention"]["value"] == {"mode": None, "retainUntilTimestamp": None}


def test_an_empty_file_is_a_file(native, bucket, bucket_name):
    assert native.upload(bucket, "empty", b"")["contentLength"] == 0
    found = native.get(bucket_name, "empty")
    assert (found.status_code, found.content, found.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize("header", ["x_bz_file_name", "content_type", "x_bz_content_sha1"])
def test_an_upload_needs_its_headers(native, bucket, header):
    answer = native.send(*native.upload_url(bucket), "name", BODY, **{header: None})
    assert problem(answer) == (400, "bad_request")


def test_an_upload_needs_its_length(native, bucket):
    answer = native.send(*native.upload_url(bucket), "name", iter([BODY]))
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert problem(answer) == (400, "bad_request")
    assert native.names(bucket) == []


@pytest.mark.parametrize("header", ["content_disposition", "content_encoding", "content_language", "expires"])
def test_headers_that_belong_into_file_info_are_refused(native, bucket, header):
    answer = native.send(*native.upload_url(bucket), "name", BODY, **{header: "x"})
    assert problem(answer) == (400, "bad_request")


def test_an_upload_needs_a_token_for_this_bucket(native, bucket, bucket_name):
    other = native.create_bucket(f"{bucket_name}-b")
    url, token = native.upload_url(bucket)
    wrong = [native.upload_url(other)[1], native.token, "4_made_up"]
    for answer in [native.send(url, each, "name", BODY) for each in wrong]:
        assert problem(answer) == (401, "bad_auth_token")
    assert problem(native.send(url, "", "name", BODY)) == (401, "missing_auth_token")
    assert native.names(bucket) == native.names(other) == []
    assert native.send(url, token, "name", BODY).status_code == 200


def test_an_expired_upload_token_says_so(native, bucket, control):
    url = native.upload_url(bucket)
    control.set("expire_tokens")
    assert problem(native.send(*url, "name", BODY)) == (401, "expired_auth_token")


def test_an_upload_token_serves_one_upload_at_a_time(emulator, native, bucket):
    begun, over = threading.Event(), threading.Event()

    def slowly():
        yield b"first half, "
        begun.set()
        over.wait(10)
        yield b"second half"

    def upload():
        first.append(native.send(*url, "slow", slowly(), content_length="23"))

    first = []
    url, token = native.upload_url(bucket)
    url = (url, token)
    thread = threading.Thread(target=upload)
    thread.start()
    assert begun.wait(10)
    with httpx.Client() as other:
        headers = {"Authorization": token, "X-Bz-File-Name": "fast", "Content-Type": "a/b"}
        refused = other.post(url[0], content=BODY, headers=headers | {"X-Bz-Content-Sha1": SHA1})
    over.set()
    thread.join()
    assert problem(refused) == (400, "auth_token_limit")
    assert f"more than one upload using auth token {token}" in refused.json()["message"]
    assert first[0].status_code == 200
    assert native.send(*url, "next", BODY).status_code == 200
    assert native.names(bucket) == ["next", "slow"]


def test_an_upload_that_breaks_off_leaves_nothing_and_frees_its_token(emulator, native, bucket):
    url, token = native.upload_url(bucket)
    path = url.removeprefix(emulator.realm)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nX-Bz-File-Name: half\r\n"
    head += "Content-Type: a/b\r\nX-Bz-Content-Sha1: do_not_verify\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.ready["port"])) as connection:
        connection.sendall(head.encode() + b"x" * 500)
    while (answer := native.send(url, token, "whole", BODY)).status_code == 400:
        assert problem(answer) == (400, "auth_token_limit")  # until the other connection's end is seen
    assert answer.status_code == 200
    assert native.names(bucket) == ["whole"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("photo.JPG", "image/jpeg"),
        ("page.html", "text/html"),
        ("document.pdf", "application/pdf"),
        ("no-extension", "application/octet-stream"),
        ("folder.html/plain", "application/octet-stream"),
        ("odd.xyzzy", "application/octet-stream"),
    ],
)
def test_an_automatic_content_type_is_that_of_the_extension(native, bucket, bucket_name, name, kind):
    assert native.upload(bucket, name)["contentType"] == kind
    assert native.get(bucket_name, name).headers["content-type"] == kind


def test_a_given_content_type_is_kept(native, bucket):
    assert native.upload(bucket, "name.jpg", content_type="text/x; charset=utf-8")["contentType"] == (
        "text/x; charset=utf-8"
    )


def test_file_info_is_kept_with_keys_in_lower_case(api, native, bucket, bucket_name):
    info = {"Author": "Ünal & Söhne + 100 %", "src_last_modified_millis": "1700000000000"}
    version = api.get_bucket_by_name(bucket_name).upload_bytes(BODY, "name", file_info=info)
    expected = {"author": "Ünal & Söhne + 100 %", "src_last_modified_millis": "1700000000000"}
    assert version.file_info == expected
    assert api.get_file_info(version.id_).file_info == expected
    assert api.get_bucket_by_name(bucket_name).get_file_info_by_name("name").file_info == expected


def test_standard_info_becomes_headers_of_the_download(api, native, bucket, bucket_name):
    info = {
        "b2-cache-control": "max-age=5",
        "b2-content-disposition": 'attachment; filename="a.txt"',
        "b2-content-encoding": "identity",
        "b2-content-language": "en, de",
        "b2-expires": "Thu, 01 Dec 2033 16:00:00 GMT",
        "other": "x",
    }
    version = api.get_bucket_by_name(bucket_name).upload_bytes(BODY, "name", file_info=info)
    assert version.file_info == info
    headers = native.get(bucket_name, "name", method="HEAD").headers
    assert {
        f"b2-{key}": headers[key] for key in ("cache-control", "content-disposition", "content-encoding")
    } == {key: info[key] for key in ("b2-cache-control", "b2-content-disposition", "b2-content-encoding")}
    assert (headers["content-language"], headers["expires"]) == (
        info["b2-content-language"],
        info["b2-expires"],
    )
    assert [key for key in headers if key.startswith("x-bz-info-")] == ["x-bz-info-other"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("b2-unknown", "x", id="b2- is reserved"),
        pytest.param("b2-expires", "tomorrow", id="b2-expires is a date"),
        pytest.param("b2-content-language", "?", id="b2-content-language is a language"),
        pytest.param("b2-content-disposition", "a%0D%0Ab: c", id="no header can be smuggled in"),
        pytest.param("b2-content-disposition", "%C3%BC", id="a header is ASCII"),
        pytest.param("k" * 51, "x", id="a key has at most 50 characters"),
        pytest.param("key", "%FF", id="a value is UTF-8"),
        pytest.param("key", "x" * 7_000, id="name and info have 7000 bytes"),
    ],
)
def test_what_file_info_must_be(native, bucket, key, value):
    answer = native.send(*native.upload_url(bucket), "name", BODY, **{f"x_bz_info_{key}": value})
    assert problem(answer) == (400, "bad_request")
    assert native.names(bucket) == []


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="not empty"),
        pytest.param("x" * 1025, id="at most 1024 bytes"),
        pytest.param("%C3%BC" * 513, id="bytes, not characters"),
        pytest.param("a%0Ab", id="no line feed"),
        pytest.param("a%00b", id="no NUL"),
        pytest.param("a%7Fb", id="no DEL"),
        pytest.param("a%FFb", id="UTF-8"),
    ],
)
def test_what_a_file_name_must_be(native, bucket, encoded):
    answer = native.send(*native.upload_url(bucket), "-", BODY, x_bz_file_name=encoded)
    assert problem(answer) == (400, "bad_request")


def test_encryption_by_b2_is_told(native, bucket, bucket_name):
    asked = {"x_bz_server_side_encryption": "AES256"}
    file = native.upload(bucket, "name", **asked)
    assert file["serverSideEncryption"] == {"mode": "SSE-B2", "algorithm": "AES256"}
    assert native.get(bucket_name, "name").headers["x-bz-server-side-encryption"] == "AES256"


def test_custom_timestamps_are_not_allowed(native, bucket):
    answer = native.send(*native.upload_url(bucket), "name", BODY, x_bz_custom_upload_timestamp="1")
    assert problem(answer) == (400, "custom_timestamp_not_allowed")


def test_uploads_run_side_by_side(api, bucket, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    bodies = {f"file-{n}": f"body {n}".encode() * 20_000 for n in range(8)}
    threads = [threading.Thread(target=found.upload_bytes, args=(b, n)) for n, b in bodies.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {v.file_name: v.content_sha1 for v, _ in found.ls()} == {n: sha1(b) for n, b in bodies.items()}
