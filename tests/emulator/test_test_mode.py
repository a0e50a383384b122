"""X-Bz-Test-Mode: a client asks to see failures."""

import httpx
import pytest
import requests
from b2sdk.v3 import B2Api, B2HttpApiConfig, Bucket, InMemoryAccountInfo
from b2sdk.v3.exception import StorageCapExceeded

from .clients import KEY, Native, problem

HEADER = "X-Bz-Test-Mode"


@pytest.fixture(autouse=True)
def _begin_anew(control):
    """Let the emulator forget what it has counted."""
    control.set("reset", buckets={"some-bucket": "allPublic"})


@pytest.fixture
def bucket(native):
    (found,) = native.account_call("b2_list_buckets")["buckets"]
    return found["bucketId"]


@pytest.fixture
def in_mode(native):
    """Let a plain client ask for failures."""

    def ask(mode):
        native.http.headers[HEADER] = mode
        return native

    return ask


@pytest.fixture
def sdk_in_mode(emulator):
    """Sign b2sdk in, and let it ask for failures."""
    sessions = []

    def sign_in(mode):
        def session():
            sessions.append(requests.Session())
            sessions[-1].headers[HEADER] = mode
            return sessions[-1]

        api = B2Api(InMemoryAccountInfo(), api_config=B2HttpApiConfig(http_session_factory=session))
        api.authorize_account(*KEY, emulator.realm)
        return api

    yield sign_in
    for session in sessions:
        session.close()


def test_the_first_of_three_uploads_fails_before_anything_is_stored(native, bucket, in_mode):
    url, token = native.upload_url(bucket)
    in_mode("fail_some_uploads")
    answers = [native.send(url, token, f"name-{number}", b"content") for number in range(6)]
    assert problem(answers[0]) == (503, "service_unavailable")
    assert [answer.status_code for answer in answers] == [503, 200, 200, 503, 200, 200]
    assert native.names(bucket) == ["name-1", "name-2", "name-4", "name-5"]


def test_uploads_of_parts_fail_too(native, bucket, in_mode):
    large = native.call("b2_start_large_file", bucketId=bucket, fileName="large", contentType="text/plain")
    answer = native.call("b2_get_upload_part_url", fileId=large["fileId"])
    url, token = answer["uploadUrl"], answer["authorizationToken"]
    in_mode("fail_some_uploads")
    statuses = [native.send(url, token, "", b"part", X_Bz_Part_Number="1").status_code for _ in range(2)]
    assert statuses == [503, 200]


def test_nothing_else_fails_with_uploads(bucket, in_mode):
    native = in_mode("fail_some_uploads")
    assert [native.names(bucket) for _ in range(3)] == [[], [], []]


def test_b2sdk_gets_its_uploads_through(sdk_in_mode, control):
    found = sdk_in_mode("fail_some_uploads").get_bucket_by_name("some-bucket")
    for number in range(4):
        found.upload_bytes(b"content", f"name-{number}")
    uploads = [entry["status"] for entry in control.requests() if entry["operation"] == "b2_upload_file"]
    assert uploads == [503, 200, 200, 503, 200, 200]


def test_the_token_of_the_first_of_three_requests_really_expires(native, bucket, in_mode):
    in_mode("expire_some_account_authorization_tokens")
    answer = native.post("b2_list_file_names", bucketId=bucket)
    assert problem(answer) == (401, "expired_auth_token")
    del native.http.headers[HEADER]
    answer = native.post("b2_list_file_names", bucketId=bucket)
    assert problem(answer) == (401, "expired_auth_token")


def test_other_tokens_stay(emulator, native, bucket, in_mode):
    other = Native(emulator.realm)
    url, token = native.upload_url(bucket)
    in_mode("expire_some_account_authorization_tokens")
    assert native.send(url, token, "name", b"content").status_code == 200
    assert native.get("some-bucket", "name").status_code == 401
    assert other.names(bucket) == ["name"]
    other.http.close()


def test_b2sdk_signs_in_again(sdk_in_mode, control):
    found = sdk_in_mode("expire_some_account_authorization_tokens").get_bucket_by_name("some-bucket")
    for _ in range(4):
        assert list(found.ls()) == []
    statuses = [entry["status"] for entry in control.requests()]
    assert statuses.count(401) >= 2


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("b2_get_upload_url", "storage_cap_exceeded"),
        ("b2_start_large_file", "storage_cap_exceeded"),
        ("b2_copy_file", "storage_cap_exceeded"),
        ("b2_list_file_names", "transaction_cap_exceeded"),
        ("b2_get_file_info", "transaction_cap_exceeded"),
    ],
)
def test_each_operation_exceeds_its_cap(in_mode, operation, code):
    assert problem(in_mode("force_cap_exceeded").post(operation)) == (403, code)


def test_uploads_and_downloads_exceed_theirs(native, bucket, in_mode):
    url, token = native.upload_url(bucket)
    file_id = native.upload(bucket, "name")["fileId"]
    in_mode("force_cap_exceeded")
    assert problem(native.send(url, token, "other", b"content")) == (403, "storage_cap_exceeded")
    assert problem(native.get("some-bucket", "name")) == (403, "download_cap_exceeded")
    by_id = native.http.get(f"/b2api/v4/b2_download_file_by_id?fileId={file_id}")
    assert problem(by_id) == (403, "download_cap_exceeded")
    assert native.get("some-bucket", "name", method="HEAD").status_code == 403


def test_b2sdk_knows_the_cap(sdk_in_mode, native, bucket):
    api = sdk_in_mode("force_cap_exceeded")
    with pytest.raises(StorageCapExceeded):
        Bucket(api, bucket, name="some-bucket").upload_bytes(b"content", "name")
    assert native.names(bucket) == []


@pytest.mark.parametrize("mode", ["", "be_nice", "FAIL_SOME_UPLOADS"])
def test_other_modes_are_ignored(bucket, in_mode, mode):
    native = in_mode(mode)
    native.upload(bucket, "name")
    assert native.names(bucket) == ["name"]


def test_several_modes_may_be_asked_for(native, bucket):
    headers = [(HEADER, "fail_some_uploads"), (HEADER, "force_cap_exceeded"), ("Authorization", native.token)]
    answer = httpx.post(
        f"{native.realm}/b2api/v4/b2_get_upload_url", json={"bucketId": bucket}, headers=headers
    )
    assert problem(answer) == (403, "storage_cap_exceeded")
