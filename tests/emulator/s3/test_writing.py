"""PUT of one object."""

import base64
import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from ..clients import sha1
from .clients import (
    BODY,
    MD5,
    Browser,
    md5_header,
    names_stored,
    presign_by_hand,
    s3_problem,
    stored_bodies,
    wait_until,
)

SHA256 = hashlib.sha256(BODY).hexdigest()


def test_what_is_put_is_seen_by_the_native_side(site, browser, native, bucket, bucket_name):
    url = site.put(
        bucket_name,
        "name",
        ContentType="text/plain",
        ContentDisposition="inline",
        CacheControl="max-age=9",
        ContentEncoding="identity",
        ContentLanguage="de",
        Expires=datetime(2027, 1, 1, tzinfo=UTC),
        Metadata={"Colour": "blue"},
    )
    answer = browser.put(
        url,
        **{
            "Content-Type": "text/plain",
            "Content-Disposition": "inline",
            "Cache-Control": "max-age=9",
            "Content-Encoding": "identity",
            "Content-Language": "de",
            "Expires": "Fri, 01 Jan 2027 00:00:00 GMT",
            "x-amz-meta-Colour": "blue",
        },
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"] == f'"{MD5}"'
    assert answer.headers["x-amz-request-id"]
    info = native.call("b2_get_file_info", fileId=answer.headers["x-amz-version-id"])
    assert (info["fileName"], info["action"], info["contentType"]) == ("name", "upload", "text/plain")
    assert (info["contentLength"], info["contentSha1"], info["contentMd5"]) == (10, sha1(BODY), MD5)
    assert info["fileInfo"] == {
        "b2-cache-control": "max-age=9",
        "b2-content-disposition": "inline",
        "b2-content-encoding": "identity",
        "b2-content-language": "de",
        "b2-expires": "Fri, 01 Jan 2027 00:00:00 GMT",
        "colour": "blue",
    }
    read = native.get(bucket_name, "name")
    assert (read.content, read.headers["x-bz-info-colour"]) == (BODY, "blue")
    again = browser.get(site.get(bucket_name, "name"))
    assert again.headers["x-amz-meta-colour"] == "blue"
    assert again.headers["expires"] == "Fri, 01 Jan 2027 00:00:00 GMT"


def test_b2sdk_reads_what_was_put(api, site, browser, bucket, bucket_name):
    browser.put(site.put(bucket_name, "name"))
    found = api.get_bucket_by_name(bucket_name).get_file_info_by_name("name")
    assert (found.size, found.content_type) == (10, "application/octet-stream")


def test_a_put_makes_a_new_version(site, browser, native, bucket, bucket_name, file):
    url = site.put(bucket_name, "name")
    ids = [browser.put(url, body).headers["x-amz-version-id"] for body in (b"two", b"three")]
    assert len({file["fileId"], *ids}) == 3
    assert browser.get(site.get(bucket_name, "name")).content == b"three"
    assert browser.get(site.get(bucket_name, "name", VersionId=ids[0])).content == b"two"
    assert names_stored(native, bucket) == [("name", "upload")] * 3


def test_an_empty_object(site, browser, bucket, bucket_name):
    answer = browser.put(site.put(bucket_name, "name"), b"")
    assert answer.headers["etag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert browser.get(site.get(bucket_name, "name")).content == b""


def test_headers_may_lie_in_the_query(emulator, browser, native, key, bucket, bucket_name):
    """So sign the newer signers for browsers, which moreover say that the payload is not signed."""
    url = presign_by_hand(
        emulator,
        key,
        f"/{bucket_name}/name",
        {"x-amz-meta-colour": "blue", "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "x-id": "PutObject"},
    )
    assert browser.put(url).status_code == 200
    assert native.get(bucket_name, "name").headers["x-bz-info-colour"] == "blue"
    changed = url.replace("colour=blue", "colour=red")
    assert s3_problem(browser.put(changed)) == (403, "SignatureDoesNotMatch")


def test_a_signed_digest_binds_the_body(emulator, browser, native, key, bucket, bucket_name):
    headers = {"x-amz-content-sha256": SHA256}
    url = presign_by_hand(emulator, key, f"/{bucket_name}/name", {}, headers, SHA256)
    assert s3_problem(browser.put(url, b"another body", **headers)) == (400, "XAmzContentSHA256Mismatch")
    unsigned = browser.put(url, **{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert s3_problem(unsigned) == (403, "SignatureDoesNotMatch")
    assert native.names(bucket) == []
    assert browser.put(url, **headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"Content-MD5": md5_header(b"other")}, (400, "BadDigest"), id="another MD5"),
        pytest.param({"Content-MD5": "no base64!"}, (400, "InvalidDigest"), id="no base64"),
        pytest.param({"Content-MD5": "é".encode()}, (400, "InvalidDigest"), id="no ASCII"),
        pytest.param({"Content-MD5": "YQ=="}, (400, "InvalidDigest"), id="no MD5"),
        pytest.param(
            {"x-amz-content-sha256": "0" * 64}, (400, "XAmzContentSHA256Mismatch"), id="another SHA-256"
        ),
        pytest.param({"Content-Type": "nonsense"}, (400, "InvalidArgument"), id="no media type"),
        pytest.param({"Content-Language": "!"}, (400, "InvalidArgument"), id="no language"),
        pytest.param({"Expires": "soon"}, (400, "InvalidArgument"), id="no date"),
        pytest.param({"If-None-Match": "*"}, (501, "NotImplemented"), id="a condition"),
        pytest.param({"Content-Encoding": "aws-chunked"}, (501, "NotImplemented"), id="signed chunks"),
    ],
)
def test_a_put_that_is_refused_leaves_nothing(
    emulator, site, browser, native, bucket, bucket_name, headers, expected
):
    before = stored_bodies(emulator)
    answer = browser.put(site.put(bucket_name, "name"), **headers)
    assert s3_problem(answer) == expected
    assert names_stored(native, bucket) == []
    assert stored_bodies(emulator) == before


def test_a_digest_in_the_query_binds_the_body(emulator, browser, native, key, bucket, bucket_name):
    query = {"X-Amz-Content-Sha256": SHA256}
    url = presign_by_hand(emulator, key, f"/{bucket_name}/name", query, payload=SHA256)
    assert s3_problem(browser.put(url, b"another body")) == (400, "XAmzContentSHA256Mismatch")
    answer = browser.put(url, b"another body", **{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert s3_problem(answer) == (400, "XAmzContentSHA256Mismatch")
    assert native.names(bucket) == []
    assert browser.put(url).status_code == 200


def test_digests_that_fit_are_taken(site, browser, bucket, bucket_name):
    url = site.put(bucket_name, "name")
    headers = {"Content-MD5": md5_header(BODY), "x-amz-content-sha256": SHA256}
    assert browser.put(url, **headers).status_code == 200


@pytest.mark.parametrize(
    ("params", "headers", "status", "code"),
    [
        ({"ACL": "private"}, {"x-amz-acl": "private"}, 200, None),
        ({"ACL": "public-read"}, {"x-amz-acl": "public-read"}, 400, "InvalidArgument"),
        ({"StorageClass": "STANDARD"}, {"x-amz-storage-class": "STANDARD"}, 200, None),
        ({"StorageClass": "GLACIER"}, {"x-amz-storage-class": "GLACIER"}, 400, "InvalidStorageClass"),
        ({"ServerSideEncryption": "AES256"}, {"x-amz-server-side-encryption": "AES256"}, 200, None),
        (
            {"ServerSideEncryption": "aws:kms"},
            {"x-amz-server-side-encryption": "aws:kms"},
            400,
            "InvalidArgument",
        ),
        ({"Tagging": "a=b"}, {"x-amz-tagging": "a=b"}, 400, "InvalidArgument"),
        (
            {"ObjectLockLegalHoldStatus": "ON"},
            {"x-amz-object-lock-legal-hold": "ON"},
            501,
            "NotImplemented",
        ),
        (
            {"Metadata": {"b2-unknown": "a"}},
            {"x-amz-meta-b2-unknown": "a"},
            400,
            "InvalidArgument",
        ),
        (
            {"Metadata": {"long": "a" * 7000}},
            {"x-amz-meta-long": "a" * 7000},
            400,
            "InvalidArgument",
        ),
    ],
)
def test_what_a_put_may_say(site, browser, bucket, bucket_name, params, headers, status, code):
    answer = browser.put(site.put(bucket_name, "name", **params), **headers)
    assert answer.status_code == status
    if code:
        assert s3_problem(answer) == (status, code)


def test_metadata_is_ascii(emulator, browser, native, key, bucket, bucket_name):
    url = presign_by_hand(emulator, key, f"/{bucket_name}/name", {"x-amz-meta-place": "Köln"})
    assert s3_problem(browser.put(url)) == (400, "InvalidArgument")


@pytest.mark.parametrize("name", ["x" * 1025, "a\x07b", "a\x7fb"])
def test_a_put_keeps_to_the_rules_of_names(site, browser, native, bucket, bucket_name, name):
    assert s3_problem(browser.put(site.put(bucket_name, name))) == (400, "InvalidArgument")
    assert native.names(bucket) == []


def test_encryption_shows(site, browser, native, bucket, bucket_name):
    encryption = {"mode": "SSE-B2", "algorithm": "AES256"}
    native.account_call("b2_update_bucket", bucketId=bucket, defaultServerSideEncryption=encryption)
    answer = browser.put(site.put(bucket_name, "name"))
    assert answer.headers["x-amz-server-side-encryption"] == "AES256"
    found = native.call("b2_get_file_info", fileId=answer.headers["x-amz-version-id"])
    assert found["serverSideEncryption"] == encryption
    read = browser.get(site.get(bucket_name, "name"))
    assert read.headers["x-amz-server-side-encryption"] == "AES256"


def customer_key(prefix):
    secret = bytes(range(32))
    return {
        f"{prefix}-algorithm": "AES256",
        f"{prefix}-key": base64.b64encode(secret).decode(),
        f"{prefix}-key-md5": md5_header(secret),
    }


def test_an_object_under_a_customers_key_stays_shut(site, browser, native, bucket, bucket_name):
    native.upload(bucket, "name", BODY, **customer_key("x-bz-server-side-encryption-customer"))
    answer = browser.get(site.get(bucket_name, "name"))
    assert s3_problem(answer) == (400, "InvalidRequest")
    assert BODY not in answer.content
    assert browser.head(site.head(bucket_name, "name")).status_code == 400
    secret = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
    headers = customer_key("x-amz-server-side-encryption-customer")
    answer = browser.get(site.get(bucket_name, "name", **secret), **headers)
    assert s3_problem(answer) == (501, "NotImplemented")
    answer = browser.put(site.put(bucket_name, "name", **secret), **headers)
    assert s3_problem(answer) == (501, "NotImplemented")


def raw_put(emulator, url, headers, body=b""):
    """Open a connection and send the beginning of a PUT."""
    parts = urlsplit(url)
    connection = socket.create_connection(("127.0.0.1", emulator.ready["port"]), timeout=20)
    lines = [f"PUT {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode() + body)
    return connection


def received(control):
    """Return how many bytes have arrived since the log was cleared; the request itself may not have, yet."""
    return sum(entry["bytes_received"] for entry in control.requests())


def test_a_length_is_required(emulator, site, native, bucket, bucket_name):
    headers = ["Transfer-Encoding: chunked", "Connection: close"]
    with raw_put(emulator, site.put(bucket_name, "name"), headers, b"1\r\na\r\n0\r\n\r\n") as connection:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"<Code>MissingContentLength</Code>" in answer
    assert native.names(bucket) == []


def test_more_than_5_gib_is_refused_before_it_is_sent(emulator, site, native, bucket, bucket_name):
    headers = [f"Content-Length: {5 * 1024**3 + 1}", "Expect: 100-continue"]
    with raw_put(emulator, site.put(bucket_name, "name"), headers) as connection:
        answer = connection.recv(65536)
        while b"</Error>" not in answer:
            answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>EntityTooLarge</Code>" in answer


def test_a_put_that_breaks_off_leaves_nothing(emulator, site, native, control, bucket, bucket_name, file):
    before = stored_bodies(emulator)
    control.clear_requests()
    body = bytes(300_000)
    with raw_put(emulator, site.put(bucket_name, "name"), ["Content-Length: 1000000"], body):
        wait_until(lambda: received(control) == len(body))
        assert len(stored_bodies(emulator)) == len(before) + 1
    wait_until(lambda: stored_bodies(emulator) == before)
    assert names_stored(native, bucket) == [("name", "upload")]
    assert native.get(bucket_name, "name").content == BODY


def test_a_put_is_seen_whole_or_not_at_all(emulator, site, browser, bucket, bucket_name, control, file):
    control.clear_requests()
    new = b"new" * 100_000
    url = site.get(bucket_name, "name")
    headers = [f"Content-Length: {len(new)}", "Connection: close"]
    with raw_put(emulator, site.put(bucket_name, "name"), headers, new[:-1]) as connection:
        wait_until(lambda: received(control) == len(new) - 1)
        assert browser.get(url).content == BODY
        connection.sendall(new[-1:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert browser.get(url).content == new


def test_a_bucket_may_go_while_the_bytes_come(emulator, site, native, bucket_name, control):
    gone = native.create_bucket(f"{bucket_name}-g")
    before = stored_bodies(emulator)
    control.clear_requests()
    url = site.put(f"{bucket_name}-g", "name")
    with raw_put(emulator, url, ["Content-Length: 10", "Connection: close"], BODY[:-1]) as connection:
        wait_until(lambda: received(control) == len(BODY) - 1)
        native.account_call("b2_delete_bucket", bucketId=gone)
        connection.sendall(BODY[-1:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"<Code>NoSuchBucket</Code>" in answer
    assert stored_bodies(emulator) == before


def test_many_may_put_at_once(emulator, site, native, bucket, bucket_name):
    """One URL serves several uploads at a time, unlike a native upload URL."""
    bodies = [bytes([number]) * 100_000 for number in range(16)]
    url = site.put(bucket_name, "name")
    together = threading.Barrier(4)

    def put(body):
        browser = Browser(emulator.realm)
        together.wait()
        answer = browser.put(url, body)
        browser.http.close()
        return answer

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(put, bodies))
    assert {answer.status_code for answer in answers} == {200}
    for answer, body in zip(answers, bodies, strict=True):
        found = native.http.get(
            "/b2api/v4/b2_download_file_by_id",
            params={"fileId": answer.headers["x-amz-version-id"]},
            headers={"Authorization": native.token},
        )
        assert found.content == body
