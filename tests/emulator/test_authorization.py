"""Who may do what: keys, tokens and their bounds."""

import httpx
import pytest

from .clients import KEY, problem


def authorize(emulator, version=4, key=KEY, method="GET"):
    return httpx.request(method, f"{emulator.realm}/b2api/v{version}/b2_authorize_account", auth=key)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_account_is_authorized_by_get_and_by_post(emulator, method):
    assert authorize(emulator, method=method).status_code == 200


def test_version_4_tells_what_is_allowed_in_one_object(emulator):
    answer = authorize(emulator).json()
    storage = answer["apiInfo"]["storageApi"]
    assert set(answer) >= {"accountId", "authorizationToken", "apiInfo", "applicationKeyExpirationTimestamp"}
    assert storage["apiUrl"] == storage["downloadUrl"] == storage["s3ApiUrl"] == emulator.realm
    assert (storage["absoluteMinimumPartSize"], storage["recommendedPartSize"]) == (5_000_000, 100_000_000)
    assert storage["allowed"]["buckets"] is None
    assert storage["allowed"]["namePrefix"] is None
    assert "shareFiles" in storage["allowed"]["capabilities"]


def test_version_3_tells_the_one_bucket_beside_the_urls(emulator, native, bucket, bucket_name):
    key = native.create_key("listFiles", bucketIds=[bucket], namePrefix="a/")
    storage = authorize(emulator, 3, key).json()["apiInfo"]["storageApi"]
    assert "allowed" not in storage
    assert (storage["bucketId"], storage["bucketName"], storage["namePrefix"]) == (bucket, bucket_name, "a/")
    assert storage["capabilities"] == ["listFiles"]


@pytest.mark.parametrize("version", [1, 2])
def test_versions_1_and_2_tell_all_at_the_top(emulator, native, bucket, bucket_name, version):
    key = native.create_key("listFiles", bucketIds=[bucket])
    answer = authorize(emulator, version, key).json()
    assert answer["apiUrl"] == emulator.realm
    assert answer["recommendedPartSize"] == 100_000_000
    assert answer["allowed"] == {
        "bucketId": bucket,
        "bucketName": bucket_name,
        "capabilities": ["listFiles"],
        "namePrefix": None,
    }


def test_urls_lead_back_by_the_host_that_the_client_used(emulator):
    host = f"localhost:{emulator.ready['port']}"
    answer = httpx.get(f"{emulator.realm}/b2api/v4/b2_authorize_account", auth=KEY, headers={"Host": host})
    assert answer.json()["apiInfo"]["storageApi"]["downloadUrl"] == f"http://{host}"


def test_the_account_id_stands_for_the_id_of_the_master_key(emulator, native):
    assert authorize(emulator, key=(native.account["accountId"], KEY[1])).status_code == 200


@pytest.mark.parametrize(
    "key",
    [("nobody", KEY[1]), (KEY[0], "wrong"), (KEY[0], ""), ("", "")],
    ids=["id", "secret", "no secret", "nothing"],
)
def test_a_wrong_key_is_refused(emulator, key):
    assert problem(authorize(emulator, key=key)) == (401, "bad_auth_token")


@pytest.mark.parametrize("header", [None, "Bearer abc", "Basic", "Basic %%%", "Basic gICA"])
def test_an_unreadable_authorization_is_refused(emulator, header):
    headers = {"Authorization": header} if header else {}
    answer = httpx.get(f"{emulator.realm}/b2api/v4/b2_authorize_account", headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("token", "code"), [("", "missing_auth_token"), ("4_made_up", "bad_auth_token")], ids=["none", "unknown"]
)
def test_a_call_needs_a_token_that_was_issued(native, bucket, token, code):
    assert problem(native.post("b2_list_file_names", token=token, bucketId=bucket)) == (401, code)


def test_tokens_for_uploads_and_downloads_open_no_other_call(native, bucket):
    share = {"bucketId": bucket, "fileNamePrefix": "", "validDurationInSeconds": 60}
    for token in (
        native.upload_url(bucket)[1],
        native.call("b2_get_download_authorization", **share)["authorizationToken"],
    ):
        assert problem(native.post("b2_list_file_names", token=token, bucketId=bucket)) == (
            401,
            "bad_auth_token",
        )


def test_an_expired_token_says_so(native, bucket, control):
    control.set("expire_tokens")
    assert problem(native.post("b2_list_file_names", bucketId=bucket)) == (401, "expired_auth_token")


def test_tokens_expire_after_a_day(native, bucket, control):
    control.set("clock", offset_seconds=86_399 - 60)
    assert native.names(bucket) == []
    control.set("clock", offset_seconds=86_400)
    assert problem(native.post("b2_list_file_names", bucketId=bucket)) == (401, "expired_auth_token")


def test_b2sdk_signs_in_again_when_its_tokens_expire(api, bucket, bucket_name, control):
    found = api.get_bucket_by_name(bucket_name)
    found.upload_bytes(b"one", "one")
    control.set("expire_tokens")
    found.upload_bytes(b"two", "two")
    assert [version.file_name for version, _ in found.ls()] == ["one", "two"]


CALLS = {
    "b2_create_bucket": (
        "writeBuckets",
        lambda b: {"bucketName": "other-bucket", "bucketType": "allPrivate"},
    ),
    "b2_list_buckets": ("listBuckets", lambda b: {"bucketId": b}),
    "b2_update_bucket": ("writeBuckets", lambda b: {"bucketId": b, "bucketInfo": {}}),
    "b2_delete_bucket": ("deleteBuckets", lambda b: {"bucketId": b}),
    "b2_create_key": ("writeKeys", lambda b: {"keyName": "name", "capabilities": ["listFiles"]}),
    "b2_list_keys": ("listKeys", lambda b: {}),
    "b2_delete_key": ("deleteKeys", lambda b: {"applicationKeyId": "any"}),
    "b2_get_upload_url": ("writeFiles", lambda b: {"bucketId": b}),
    "b2_start_large_file": ("writeFiles", lambda b: {"bucketId": b, "fileName": "n", "contentType": "a/b"}),
    "b2_hide_file": ("writeFiles", lambda b: {"bucketId": b, "fileName": "name"}),
    "b2_list_file_names": ("listFiles", lambda b: {"bucketId": b}),
    "b2_list_file_versions": ("listFiles", lambda b: {"bucketId": b}),
    "b2_list_unfinished_large_files": ("listFiles", lambda b: {"bucketId": b}),
    "b2_get_download_authorization": (
        "shareFiles",
        lambda b: {"bucketId": b, "fileNamePrefix": "", "validDurationInSeconds": 9},
    ),
}
FILE_CALLS = {
    "b2_get_file_info": ("readFiles", {}),
    "b2_delete_file_version": ("deleteFiles", {"fileName": "name"}),
}


@pytest.mark.parametrize("operation", CALLS)
def test_a_call_needs_its_capability(native, as_key, bucket, operation):
    capability, params = CALLS[operation]
    others = [
        c for c in native.account["apiInfo"]["storageApi"]["allowed"]["capabilities"] if c != capability
    ]
    answer = as_key(native.create_key(*others)).post(
        operation, accountId=native.account["accountId"], **params(bucket)
    )
    assert problem(answer) == (401, "unauthorized")


@pytest.mark.parametrize("operation", [name for name in CALLS if "key" not in name and "create" not in name])
def test_a_key_for_one_bucket_opens_no_other(native, as_key, bucket, operation):
    capability, params = CALLS[operation]
    mine = native.create_bucket(f"mine-{bucket}")
    answer = as_key(native.create_key(capability, bucketIds=[mine])).post(
        operation, accountId=native.account["accountId"], **params(bucket)
    )
    assert problem(answer) == (401, "unauthorized")
    native.account_call("b2_delete_bucket", bucketId=mine)


@pytest.mark.parametrize("operation", FILE_CALLS)
@pytest.mark.parametrize("bound", ["capability", "bucket", "prefix"])
def test_a_call_for_a_file_needs_capability_bucket_and_prefix(native, as_key, bucket, operation, bound):
    capability, params = FILE_CALLS[operation]
    file = native.upload(bucket, "name")
    if bound == "capability":
        key = native.create_key("writeFiles")
    elif bound == "bucket":
        mine = native.create_bucket(f"mine-{bucket}")
        key = native.create_key(capability, bucketIds=[mine])
        native.account_call("b2_delete_bucket", bucketId=mine)
    else:
        key = native.create_key(capability, bucketIds=[bucket], namePrefix="other/")
    assert problem(as_key(key).post(operation, fileId=file["fileId"], **params)) == (401, "unauthorized")
    assert native.names(bucket) == ["name"]


PREFIX_CALLS = {
    "b2_list_file_names": lambda name: {"prefix": name},
    "b2_list_file_versions": lambda name: {"prefix": name},
    "b2_list_unfinished_large_files": lambda name: {"namePrefix": name},
    "b2_start_large_file": lambda name: {"fileName": name, "contentType": "a/b"},
    "b2_get_download_authorization": lambda name: {"fileNamePrefix": name, "validDurationInSeconds": 9},
}


@pytest.mark.parametrize("operation", PREFIX_CALLS)
def test_a_key_with_a_name_prefix_is_held_to_it(native, as_key, bucket, operation):
    key = native.create_key("listFiles", "writeFiles", "shareFiles", bucketIds=[bucket], namePrefix="mine/")
    mine = as_key(key)
    assert mine.post(operation, bucketId=bucket, **PREFIX_CALLS[operation]("mine/file")).status_code == 200
    for name in ("other/file", "min", ""):
        answer = mine.post(operation, bucketId=bucket, **PREFIX_CALLS[operation](name))
        assert problem(answer) == (401, "unauthorized")


def test_uploads_are_held_to_the_name_prefix_too(native, as_key, bucket):
    mine = as_key(native.create_key("writeFiles", bucketIds=[bucket], namePrefix="mine/"))
    url = mine.upload_url(bucket)
    assert mine.send(*url, "mine/file", b"content").status_code == 200
    assert problem(mine.send(*url, "other/file", b"content")) == (401, "unauthorized")
    assert native.names(bucket) == ["mine/file"]


def test_a_key_for_buckets_must_name_one_to_list_it(native, as_key, bucket, bucket_name):
    mine = as_key(native.create_key("listBuckets", bucketIds=[bucket]))
    account = native.account["accountId"]
    assert problem(mine.post("b2_list_buckets", accountId=account)) == (401, "unauthorized")
    found = mine.account_call("b2_list_buckets", bucketName=bucket_name)["buckets"]
    assert [b["bucketId"] for b in found] == [bucket]


def test_a_key_for_several_buckets_opens_each_of_them(native, as_key, bucket, bucket_name):
    second = native.create_bucket(f"{bucket_name}-b")
    third = native.create_bucket(f"{bucket_name}-c")
    mine = as_key(native.create_key("listFiles", bucketIds=[bucket, second]))
    allowed = mine.account["apiInfo"]["storageApi"]["allowed"]["buckets"]
    assert {b["name"] for b in allowed} == {bucket_name, f"{bucket_name}-b"}
    assert mine.names(bucket) == mine.names(second) == []
    assert mine.post("b2_list_file_names", bucketId=third).status_code == 401


def test_a_key_for_several_buckets_needs_version_4(emulator, native, bucket, bucket_name):
    second = native.create_bucket(f"{bucket_name}-b")
    key = native.create_key("listFiles", bucketIds=[bucket, second])
    assert authorize(emulator, 3, key).status_code == 401
    assert authorize(emulator, 4, key).status_code == 200


def test_an_expired_key_takes_its_tokens_with_it(emulator, native, as_key, bucket, control):
    key = native.create_key("listFiles", validDurationInSeconds=100)
    mine = as_key(key)
    assert mine.names(bucket) == []
    control.set("clock", offset_seconds=101)
    assert problem(mine.post("b2_list_file_names", bucketId=bucket)) == (401, "expired_auth_token")
    assert problem(authorize(emulator, key=key)) == (401, "bad_auth_token")


def test_a_deleted_key_takes_its_tokens_with_it(emulator, native, as_key, bucket):
    key = native.create_key("listFiles")
    mine = as_key(key)
    native.call("b2_delete_key", applicationKeyId=key[0])
    assert problem(mine.post("b2_list_file_names", bucketId=bucket)) == (401, "bad_auth_token")
    assert problem(authorize(emulator, key=key)) == (401, "bad_auth_token")


def test_a_secret_is_shown_once(native, bucket):
    key_id, secret = native.create_key("listFiles", bucketIds=[bucket], namePrefix="a/")
    keys = native.account_call("b2_list_keys", maxKeyCount=1000)["keys"]
    (key,) = [key for key in keys if key["applicationKeyId"] == key_id]
    assert secret not in str(keys)
    assert (key["bucketIds"], key["namePrefix"], key["capabilities"]) == ([bucket], "a/", ["listFiles"])


def test_keys_are_listed_in_pages(native):
    made = {native.create_key("listFiles")[0] for _ in range(3)}
    found, start = [], None
    while True:
        page = native.account_call("b2_list_keys", maxKeyCount=2, startApplicationKeyId=start)
        found += [key["applicationKeyId"] for key in page["keys"]]
        start = page["nextApplicationKeyId"]
        if start is None:
            break
    assert found == sorted(set(found))
    assert made <= set(found)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"capabilities": []}, id="it has a capability"),
        pytest.param({"capabilities": ["fly"]}, id="its capabilities are B2's"),
        pytest.param({"keyName": "no spaces"}, id="its name has letters, digits and hyphens"),
        pytest.param({"keyName": "x" * 101}, id="its name has at most 100 characters"),
        pytest.param({"validDurationInSeconds": 0}, id="it lasts a second"),
        pytest.param({"validDurationInSeconds": 86_400_000}, id="it lasts less than 1000 days"),
        pytest.param({"namePrefix": "a/"}, id="a prefix needs a bucket"),
    ],
)
def test_what_a_new_key_must_be(native, wrong):
    params = {"capabilities": ["listFiles"], "keyName": "a-key"} | wrong
    answer = native.post("b2_create_key", accountId=native.account["accountId"], **params)
    assert problem(answer) == (400, "bad_request")


def test_a_key_for_a_bucket_may_not_make_keys(native, bucket):
    params = {"capabilities": ["writeKeys"], "keyName": "a-key", "bucketIds": [bucket]}
    answer = native.post("b2_create_key", accountId=native.account["accountId"], **params)
    assert problem(answer) == (400, "bad_request")


def test_a_key_for_a_bucket_that_is_not_there_is_refused(native):
    params = {"capabilities": ["listFiles"], "keyName": "a-key", "bucketIds": ["nothing"]}
    answer = native.post("b2_create_key", accountId=native.account["accountId"], **params)
    assert problem(answer) == (400, "bad_bucket_id")


def test_what_a_key_may_not_read_is_left_out(native, as_key, bucket):
    file = native.upload(bucket, "name")
    mine = as_key(native.create_key("readFiles", "listBuckets"))
    hidden = {"isClientAuthorizedToRead": False, "value": None}
    info = mine.call("b2_get_file_info", fileId=file["fileId"])
    assert (info["fileRetention"], info["legalHold"]) == (hidden, hidden)
    (found,) = mine.account_call("b2_list_buckets", bucketId=bucket)["buckets"]
    assert (found["defaultServerSideEncryption"], found["fileLockConfiguration"]) == (hidden, hidden)
