"""Encryption with a customer's key (SSE-C)."""

import base64
import hashlib
import io
import os

import pytest
from b2sdk.v3 import (
    SSE_B2_AES,
    EncryptionAlgorithm,
    EncryptionKey,
    EncryptionMode,
    EncryptionSetting,
    UploadSourceBytes,
)
from b2sdk.v3.exception import BadRequest, SSECKeyError

from .clients import Native, problem, running, sha1

PART = 5_000_000
KEY = bytes(range(32))
OTHER_KEY = bytes(32)
SHOWN = {"mode": "SSE-C", "algorithm": "AES256"}


def b64(data):
    return base64.b64encode(data).decode()


def md5(data):
    return b64(hashlib.md5(data, usedforsecurity=False).digest())


def setting(key):
    """The object that JSON calls take."""
    return SHOWN | {"customerKey": b64(key), "customerKeyMd5": md5(key)}


def headers(key, **replaced):
    """The headers of downloads, uploads and parts."""
    found = {"Algorithm": "AES256", "Key": b64(key), "Key-Md5": md5(key)} | replaced
    return {f"X-Bz-Server-Side-Encryption-Customer-{k}": v for k, v in found.items() if v is not None}


def arguments(key, **replaced):
    return {name.replace("-", "_"): value for name, value in headers(key, **replaced).items()}


def sse_c(key, key_id=None):
    return EncryptionSetting(
        EncryptionMode.SSE_C, EncryptionAlgorithm.AES256, EncryptionKey(secret=key, key_id=key_id)
    )


def read(found, name, encryption=None):
    target = io.BytesIO()
    found.download_file_by_name(name, encryption=encryption).save(target)
    return target.getvalue()


def test_b2sdk_uploads_with_a_key_and_reads_with_the_same_key(api, bucket, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload_bytes(b"content", "name", encryption=sse_c(KEY, "the-id"))
    assert version.server_side_encryption.mode is EncryptionMode.SSE_C
    assert version.file_info == {"sse_c_key_id": "the-id"}
    assert read(found, "name", sse_c(KEY)) == b"content"


def test_b2sdk_tells_a_wrong_key_from_a_missing_one(api, bucket, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload_bytes(b"content", "name", encryption=sse_c(KEY, "the-id"))
    with pytest.raises(SSECKeyError):
        found.download_file_by_name("name", encryption=sse_c(OTHER_KEY))
    with pytest.raises(SSECKeyError):
        api.download_file_by_id(version.id_, encryption=sse_c(OTHER_KEY))
    with pytest.raises(BadRequest, match="The correct parameters must be provided"):
        found.download_file_by_name("name")


def test_b2sdk_uploads_a_large_file_with_a_key(api, bucket, bucket_name, control):
    body = os.urandom(11_000_000)
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload(
        UploadSourceBytes(body), "large", min_part_size=PART, encryption=sse_c(KEY, "the-id")
    )
    assert "b2_upload_part" in {request["operation"] for request in control.requests()}
    assert version.server_side_encryption.mode is EncryptionMode.SSE_C
    assert read(found, "large", sse_c(KEY)) == body
    with pytest.raises(SSECKeyError):
        found.download_file_by_name("large", encryption=sse_c(OTHER_KEY))


def test_b2sdk_copies_from_one_key_to_another(api, bucket, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload_bytes(b"content", "name", encryption=sse_c(KEY, "one"), content_type="text/x-y")
    copy = found.copy(
        version.id_,
        "copy",
        source_encryption=sse_c(KEY, "one"),
        destination_encryption=sse_c(OTHER_KEY, "two"),
        source_file_info=version.file_info,
        source_content_type=version.content_type,
    )
    assert (copy.file_info, copy.content_type) == ({"sse_c_key_id": "two"}, "text/x-y")
    assert read(found, "copy", sse_c(OTHER_KEY)) == b"content"
    with pytest.raises(SSECKeyError):
        found.download_file_by_name("copy", encryption=sse_c(KEY))


def test_b2sdk_copies_a_large_file_with_keys_part_by_part(api, bucket, bucket_name, control):
    body = os.urandom(11_000_000)
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload_bytes(body, "name", encryption=sse_c(KEY, "one"))
    control.clear_requests()
    found.copy(
        version.id_,
        "copy",
        length=len(body),
        min_part_size=PART,
        max_part_size=6_000_000,
        source_encryption=sse_c(KEY, "one"),
        destination_encryption=sse_c(OTHER_KEY, "one"),
        file_info={},
        content_type="text/plain",
    )
    assert [r["operation"] for r in control.requests()].count("b2_copy_part") == 2
    assert read(found, "copy", sse_c(OTHER_KEY)) == body


def test_a_bucket_encrypts_unless_told_otherwise_and_a_null_resets_it_to_that(native, bucket, bucket_name):
    automatic = {"mode": "SSE-B2", "algorithm": "AES256"}
    [found] = native.account_call("b2_list_buckets", bucketId=bucket)["buckets"]
    assert found["defaultServerSideEncryption"]["value"] == automatic
    none = {"defaultServerSideEncryption": {"mode": None}}
    reset = native.account_call("b2_update_bucket", bucketId=bucket, **none)
    assert reset["defaultServerSideEncryption"]["value"] == automatic
    assert native.upload(bucket, "name")["serverSideEncryption"] == automatic
    assert native.get(bucket_name, "name").headers["x-bz-server-side-encryption"] == "AES256"


def test_encryption_that_was_asked_for_leaves_less_room_for_file_info(native, bucket):
    info = {"x_bz_info_note": "a" * 5_000}
    native.upload(bucket, "name", **info)
    url = native.upload_url(bucket)
    answer = native.send(*url, "name", b"", x_bz_server_side_encryption="AES256", **info)
    assert problem(answer) == (400, "bad_request")


def test_b2sdk_copies_a_file_out_of_its_key(api, bucket, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    version = found.upload_bytes(b"content", "name", encryption=sse_c(KEY, "one"))
    params = {"source_encryption": sse_c(KEY, "one"), "file_info": {}, "content_type": "text/plain"}
    plain = found.copy(version.id_, "plain", **params)
    encrypted = found.copy(version.id_, "encrypted", destination_encryption=SSE_B2_AES, **params)
    assert plain.server_side_encryption == encrypted.server_side_encryption == SSE_B2_AES
    assert read(found, "plain") == read(found, "encrypted") == b"content"


def test_a_copy_needs_the_key_of_its_source(native, bucket):
    file = native.upload(bucket, "name", **arguments(KEY))
    asked = {"sourceFileId": file["fileId"], "fileName": "copy"}
    assert problem(native.post("b2_copy_file", **asked)) == (400, "bad_request")
    wrong = native.post("b2_copy_file", sourceServerSideEncryption=setting(OTHER_KEY), **asked)
    assert problem(wrong) == (403, "access_denied")
    assert native.names(bucket) == ["name"]


def test_the_service_lets_metadata_be_copied_from_one_key_to_another(native, bucket):
    # It is b2sdk that asks for new metadata there, to keep its note of the key's id true.
    file = native.upload(bucket, "name", x_bz_info_key="value", **arguments(KEY))
    copy = native.call(
        "b2_copy_file",
        sourceFileId=file["fileId"],
        fileName="copy",
        sourceServerSideEncryption=setting(KEY),
        destinationServerSideEncryption=setting(OTHER_KEY),
    )
    assert copy["fileInfo"] == {"key": "value"}
    assert copy["serverSideEncryption"] == SHOWN


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_download_needs_the_key_by_name_and_by_id(native, bucket, bucket_name, method):
    file = native.upload(bucket, "name", b"content", **arguments(KEY))
    for path in (f"/file/{bucket_name}/name", f"/b2api/v4/b2_download_file_by_id?fileId={file['fileId']}"):

        def get(more, path=path):
            return native.http.request(method, path, headers={"Authorization": native.token} | more)

        assert get({}).status_code == 400
        assert get(headers(OTHER_KEY)).status_code == 403
        answer = get(headers(KEY))
        assert answer.status_code == 200
        assert answer.content == (b"content" if method == "GET" else b"")


def test_a_download_tells_algorithm_and_md5_but_never_the_key(native, bucket, bucket_name):
    native.upload(bucket, "name", **arguments(KEY))
    answer = native.get(bucket_name, "name", headers=headers(KEY))
    assert answer.headers["x-bz-server-side-encryption-customer-algorithm"] == "AES256"
    assert answer.headers["x-bz-server-side-encryption-customer-key-md5"] == md5(KEY)
    assert "x-bz-server-side-encryption" not in answer.headers
    assert b64(KEY) not in str(answer.headers)


def test_answers_tell_mode_and_algorithm_but_never_the_key(native, bucket):
    file = native.upload(bucket, "name", **arguments(KEY))
    listed = native.call("b2_list_file_versions", bucketId=bucket)["files"]
    info = native.call("b2_get_file_info", fileId=file["fileId"])
    assert [f["serverSideEncryption"] for f in (file, info, *listed)] == [SHOWN] * 3


def test_a_range_needs_the_key_too(native, bucket, bucket_name):
    native.upload(bucket, "name", b"content", **arguments(KEY))
    part = {"Range": "bytes=1-2"}
    assert problem(native.get(bucket_name, "name", headers=part)) == (400, "bad_request")
    assert native.get(bucket_name, "name", headers=part | headers(KEY)).content == b"on"


def test_a_public_file_needs_the_key_too(native, bucket_name):
    public = native.create_bucket(bucket_name, "allPublic")
    native.upload(public, "name", b"content", **arguments(KEY))
    path = f"/file/{bucket_name}/name"
    assert problem(native.http.get(path)) == (400, "bad_request")
    assert native.http.get(path, headers=headers(KEY)).content == b"content"


def test_a_key_for_a_file_that_has_none_is_refused(native, bucket, bucket_name):
    native.upload(bucket, "plain")
    native.upload(bucket, "encrypted", x_bz_server_side_encryption="AES256")
    for name in ("plain", "encrypted"):
        assert problem(native.get(bucket_name, name, headers=headers(KEY))) == (400, "bad_request")


def test_every_part_needs_the_key_that_the_file_was_started_with(native, bucket):
    started = native.call(
        "b2_start_large_file",
        bucketId=bucket,
        fileName="large",
        contentType="text/plain",
        serverSideEncryption=setting(KEY),
    )
    assert started["serverSideEncryption"] == SHOWN
    url = native.call("b2_get_upload_part_url", fileId=started["fileId"])

    def send(body, **more):
        sent = {"x_bz_part_number": "1", "x_bz_file_name": None, "content_type": None} | more
        return native.send(url["uploadUrl"], url["authorizationToken"], "-", body, **sent)

    assert problem(send(b"part")) == (400, "bad_request")
    assert problem(send(b"part", **arguments(OTHER_KEY))) == (403, "access_denied")
    assert send(b"part", **arguments(KEY)).json()["serverSideEncryption"] == SHOWN

    source = native.upload(bucket, "name", b"content")
    asked = {"sourceFileId": source["fileId"], "largeFileId": started["fileId"], "partNumber": 2}
    assert problem(native.post("b2_copy_part", **asked)) == (400, "bad_request")
    wrong = native.post("b2_copy_part", destinationServerSideEncryption=setting(OTHER_KEY), **asked)
    assert problem(wrong) == (403, "access_denied")
    right = native.call("b2_copy_part", destinationServerSideEncryption=setting(KEY), **asked)
    assert right["contentSha1"] == sha1(b"content")
    parts = native.call("b2_list_parts", fileId=started["fileId"])["parts"]
    assert [part["serverSideEncryption"] for part in parts] == [SHOWN] * 2


@pytest.mark.parametrize(
    "replaced",
    [
        pytest.param({"Algorithm": None}, id="an algorithm"),
        pytest.param({"Algorithm": "AES128"}, id="AES256 for an algorithm"),
        pytest.param({"Key": None}, id="a key"),
        pytest.param({"Key": "no base64!"}, id="a key in base64"),
        pytest.param({"Key": b64(bytes(31)), "Key-Md5": md5(bytes(31))}, id="a key of 32 bytes"),
        pytest.param({"Key-Md5": None}, id="the MD5 of the key"),
        pytest.param({"Key-Md5": md5(OTHER_KEY)}, id="an MD5 that matches"),
        pytest.param({"Key-Md5": hashlib.md5(KEY).hexdigest()}, id="an MD5 in base64"),  # noqa: S324
    ],
)
def test_a_customers_key_has(native, bucket, bucket_name, replaced):
    broken = native.send(*native.upload_url(bucket), "name", b"content", **arguments(KEY, **replaced))
    assert problem(broken) == (400, "bad_request")
    names = {"Algorithm": "algorithm", "Key": "customerKey", "Key-Md5": "customerKeyMd5"}
    changed = setting(KEY) | {names[name]: value for name, value in replaced.items()}
    params = {"bucketId": bucket, "fileName": "name", "contentType": "text/plain"}
    answer = native.post("b2_start_large_file", serverSideEncryption=changed, **params)
    assert problem(answer) == (400, "bad_request")
    assert native.names(bucket) == []
    native.upload(bucket, "name", **arguments(KEY))
    assert native.get(bucket_name, "name", headers=headers(KEY, **replaced)).status_code == 400


def test_a_file_is_not_encrypted_twice(native, bucket):
    both = arguments(KEY) | {"x_bz_server_side_encryption": "AES256"}
    answer = native.send(*native.upload_url(bucket), "name", b"content", **both)
    assert problem(answer) == (400, "bad_request")


def test_a_customers_key_is_no_default_of_a_bucket(native, bucket, bucket_name):
    wrong = {"defaultServerSideEncryption": setting(KEY)}
    for operation, params in (
        ("b2_create_bucket", {"bucketName": f"{bucket_name}-b", "bucketType": "allPrivate"}),
        ("b2_update_bucket", {"bucketId": bucket}),
    ):
        answer = native.post(operation, accountId=native.account["accountId"], **params, **wrong)
        assert problem(answer) == (400, "bad_request")


def test_a_customers_key_comes_before_the_default_of_the_bucket(native, bucket):
    default = {"mode": "SSE-B2", "algorithm": "AES256"}
    native.account_call("b2_update_bucket", bucketId=bucket, defaultServerSideEncryption=default)
    assert native.upload(bucket, "name", **arguments(KEY))["serverSideEncryption"] == SHOWN


@pytest.mark.parametrize(
    "encryption",
    [
        pytest.param(arguments(KEY), id="with a customer's key"),
        pytest.param({"x_bz_server_side_encryption": "AES256"}, id="with B2's"),
    ],
)
def test_name_and_info_of_an_encrypted_file_share_2048_bytes(native, bucket, encryption):
    fits = {"x_bz_info_k": "v" * (2048 - len("name") - len("k"))}
    assert native.upload(bucket, "name", **encryption, **fits)["fileInfo"]
    too_long = {"x_bz_info_k": fits["x_bz_info_k"] + "v"}
    answer = native.send(*native.upload_url(bucket), "name", b"content", **encryption, **too_long)
    assert problem(answer) == (400, "bad_request")


def test_a_key_is_known_again_after_a_restart_and_lies_nowhere_on_disk(tmp_path):
    with running(tmp_path, "--bucket", "some-bucket") as emulator:
        native = Native(emulator.realm)
        bucket_id = native.account_call("b2_list_buckets")["buckets"][0]["bucketId"]
        native.upload(bucket_id, "name", b"content", **arguments(KEY))
        native.http.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"SSE-C" in kept
    assert KEY not in kept
    assert b64(KEY).encode() not in kept
    assert KEY.hex().encode() not in kept
    with running(tmp_path) as emulator:
        native = Native(emulator.realm)
        assert native.get("some-bucket", "name", headers=headers(KEY)).content == b"content"
        assert native.get("some-bucket", "name", headers=headers(OTHER_KEY)).status_code == 403
        native.http.close()
