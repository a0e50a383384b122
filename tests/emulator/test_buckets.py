"""Buckets: names, types, settings, revisions."""

import pytest

from .clients import problem


def create(native, **params):
    given = {
        "accountId": native.account["accountId"],
        "bucketName": "some-bucket",
        "bucketType": "allPrivate",
    }
    return native.post("b2_create_bucket", **(given | params))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("five5", id="it has six characters"),
        pytest.param("x" * 64, id="it has at most 63 characters"),
        pytest.param("under_score", id="it has letters, digits and hyphens"),
        pytest.param("dotted.name", id="it has no dots"),
        pytest.param("bücket", id="it is ASCII"),
        pytest.param("b2-mine", id="b2- is Backblaze's own"),
        pytest.param("B2-mine", id="in any case"),
    ],
)
def test_what_a_bucket_name_must_be(native, name):
    assert problem(create(native, bucketName=name)) == (400, "bad_request")


@pytest.mark.parametrize("name", ["sixsix", "x" * 63, "Upper-Case-1"])
def test_bucket_names_that_are_valid(native, name):
    assert create(native, bucketName=name).json()["bucketName"] == name


def test_bucket_names_are_unique_without_regard_to_case(native, bucket, bucket_name):
    assert problem(create(native, bucketName=bucket_name.upper())) == (400, "duplicate_bucket_name")
    found = native.account_call("b2_list_buckets", bucketName=bucket_name.upper())["buckets"]
    assert [b["bucketId"] for b in found] == [bucket]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"bucketType": "public"}, id="its type is allPublic or allPrivate"),
        pytest.param({"bucketType": None}, id="it has a type"),
        pytest.param({"accountId": "another"}, id="its account is the caller's"),
        pytest.param({"bucketInfo": {"a": 1}}, id="its info maps strings to strings"),
        pytest.param({"bucketInfo": ["a"]}, id="its info is an object"),
        pytest.param(
            {"bucketInfo": {"Cache-Control": "a\r\nb: c"}}, id="its Cache-Control is a header value"
        ),
        pytest.param({"corsRules": [{"allowedOrigins": ["*"]}]}, id="its CORS rules have names"),
        pytest.param({"lifecycleRules": [{"fileNamePrefix": ""}]}, id="its lifecycle rules say when"),
        pytest.param(
            {"lifecycleRules": [{"fileNamePrefix": p, "daysFromHidingToDeleting": 1} for p in ("a", "a/b")]},
            id="its lifecycle rules do not overlap",
        ),
        pytest.param(
            {"lifecycleRules": [{"fileNamePrefix": "", "daysFromHidingToDeleting": 0}]},
            id="days of lifecycle rules are positive",
        ),
        pytest.param(
            {"replicationConfiguration": {"asReplicationSource": {}}}, id="replication is not emulated"
        ),
    ],
)
def test_what_a_new_bucket_must_be(native, bucket_name, wrong):
    assert problem(create(native, bucketName=bucket_name, **wrong)) == (400, "bad_request")
    assert native.account_call("b2_list_buckets", bucketName=bucket_name)["buckets"] == []


def test_b2sdk_creates_a_bucket_with_settings_and_finds_them_again(api, bucket_name):
    rule = {
        "fileNamePrefix": "tmp/",
        "daysFromHidingToDeleting": 1,
        "daysFromUploadingToHiding": None,
        "daysFromStartingToCancelingUnfinishedLargeFiles": 7,
    }
    cors = {
        "corsRuleName": "some-rule",
        "allowedOrigins": ["https://example.com"],
        "allowedOperations": ["b2_download_file_by_name"],
        "allowedHeaders": ["range"],
        "maxAgeSeconds": 60,
    }
    info = {"Cache-Control": "max-age=60"}
    api.create_bucket(bucket_name, "allPublic", bucket_info=info, cors_rules=[cors], lifecycle_rules=[rule])
    (found,) = api.list_buckets(bucket_name, use_cache=False)
    assert (found.type_, found.bucket_info, found.revision) == ("allPublic", info, 1)
    assert (found.cors_rules, found.lifecycle_rules) == ([cors], [rule])
    assert not found.is_file_lock_enabled


def test_an_update_changes_what_it_names_and_counts_the_revision(native, bucket):
    params = {"bucketId": bucket, "bucketInfo": {"a": "b"}}
    assert native.account_call("b2_update_bucket", **params)["revision"] == 2
    changed = native.account_call("b2_update_bucket", bucketId=bucket, bucketType="allPublic")
    assert (changed["bucketType"], changed["bucketInfo"], changed["revision"]) == ("allPublic", {"a": "b"}, 3)


def test_an_update_for_another_revision_is_a_conflict(native, bucket):
    account = native.account["accountId"]
    params = {"accountId": account, "bucketId": bucket, "bucketType": "allPublic", "ifRevisionIs": 7}
    assert problem(native.post("b2_update_bucket", **params)) == (409, "conflict")
    (found,) = native.account_call("b2_list_buckets", bucketId=bucket)["buckets"]
    assert (found["bucketType"], found["revision"]) == ("allPrivate", 1)


def test_a_bucket_is_deleted_only_when_it_is_empty(native, bucket):
    file = native.upload(bucket, "name")
    hidden = native.call("b2_hide_file", bucketId=bucket, fileName="name")
    params = {"accountId": native.account["accountId"], "bucketId": bucket}
    for version in (file, hidden):
        assert problem(native.post("b2_delete_bucket", **params)) == (400, "cannot_delete_non_empty_bucket")
        native.call("b2_delete_file_version", fileName="name", fileId=version["fileId"])
    assert native.post("b2_delete_bucket", **params).json()["bucketId"] == bucket
    assert problem(native.post("b2_delete_bucket", **params)) == (400, "bad_bucket_id")


@pytest.mark.parametrize("operation", ["b2_get_upload_url", "b2_list_file_names", "b2_list_file_versions"])
def test_a_bucket_that_is_not_there_is_a_bad_bucket_id(native, operation):
    assert problem(native.post(operation, bucketId="nothing")) == (400, "bad_bucket_id")


def test_buckets_are_listed_by_type(native, bucket, bucket_name):
    public = native.create_bucket(f"{bucket_name}-p", "allPublic")
    listed = native.account_call("b2_list_buckets", bucketTypes=["allPublic"])["buckets"]
    assert public in {b["bucketId"] for b in listed}
    assert {b["bucketType"] for b in listed} == {"allPublic"}


def test_default_encryption_marks_new_files(native, bucket):
    setting = {"mode": "SSE-B2", "algorithm": "AES256"}
    native.account_call("b2_update_bucket", bucketId=bucket, defaultServerSideEncryption=setting)
    assert native.upload(bucket, "name")["serverSideEncryption"] == setting


@pytest.mark.parametrize(
    "operation", ["b2_get_bucket_notification_rules", "b2_set_bucket_notification_rules"]
)
def test_what_is_not_emulated_says_so(native, operation):
    answer = native.post(operation)
    assert problem(answer) == (400, "bad_request")
    assert "not emulated" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param("POST", "/b2api/v4/b2_fly", (400, "bad_request"), id="an operation that B2 has not"),
        pytest.param("GET", "/b2api/v4/b2_create_bucket", (405, "method_not_allowed"), id="writing by GET"),
        pytest.param("PUT", "/b2api/v4/b2_list_buckets", (405, "method_not_allowed"), id="a wrong method"),
        pytest.param("POST", "/b2api/v9/b2_list_buckets", (404, "not_found"), id="a version that B2 has not"),
        pytest.param("GET", "/", (404, "not_found"), id="no path"),
    ],
)
def test_requests_that_mean_nothing(native, method, path, expected):
    answer = native.http.request(method, path, headers={"Authorization": native.token})
    assert problem(answer) == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{", "bad_json", id="broken JSON"),
        pytest.param(b"[]", "bad_json", id="no object"),
        pytest.param(b"\xff", "bad_json", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "bad_json", id="nested beyond reason"),
        pytest.param(b'{"bucketId": 5}', "bad_request", id="a number for a string"),
        pytest.param(b'{"bucketId": "\\ud800"}', "bad_request", id="half a character"),
        pytest.param(b'{"bucketId": null}', "bad_request", id="null for what is required"),
        pytest.param(b"{}", "bad_request", id="nothing of what is required"),
    ],
)
def test_requests_that_cannot_be_read(native, body, code):
    answer = native.http.post(
        "/b2api/v4/b2_list_file_names", content=body, headers={"Authorization": native.token}
    )
    assert problem(answer) == (400, code)
