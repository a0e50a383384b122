"""Buckets, keys and authorization as b2sdk's users meet them."""

import time

import pytest

from ..clients import KEY
from .saving import read

CAPABILITIES = ["listBuckets", "listFiles", "readFiles", "writeFiles"]


def restricted(v, api, buckets, *capabilities, **more):
    """Create a key for some buckets: v2 knows only one."""
    ids = [bucket.id_ for bucket in buckets]
    where = {"bucket_id": ids[0]} if v.__name__ == "b2sdk.v2" else {"bucket_ids": ids}
    key = api.create_key(list(capabilities) or CAPABILITIES, "a-key", **where, **more)
    return key.id_, key.application_key


def test_a_bucket_keeps_all_its_settings(v, api, bucket_name):
    rule = {
        "fileNamePrefix": "logs/",
        "daysFromHidingToDeleting": 1,
        "daysFromUploadingToHiding": 7,
        "daysFromStartingToCancelingUnfinishedLargeFiles": None,
    }
    cors = {
        "corsRuleName": "a-rule",
        "allowedOrigins": ["https://example.com"],
        "allowedOperations": ["b2_download_file_by_name"],
        "allowedHeaders": ["range"],
        "exposeHeaders": None,
        "maxAgeSeconds": 60,
    }
    api.create_bucket(
        bucket_name,
        "allPublic",
        bucket_info={"some": "info"},
        cors_rules=[cors],
        lifecycle_rules=[rule],
        default_server_side_encryption=v.SSE_B2_AES,
    )
    (found,) = api.list_buckets(bucket_name=bucket_name)
    assert (found.name, found.type_, found.bucket_info) == (bucket_name, "allPublic", {"some": "info"})
    kept = [{key: value for key, value in given.items() if value is not None} for given in found.cors_rules]
    assert kept == [{key: value for key, value in cors.items() if value is not None}]
    assert found.lifecycle_rules == [rule]
    assert found.default_server_side_encryption == v.SSE_B2_AES


def test_an_update_changes_what_it_names_and_counts_the_revision(bucket):
    changed = bucket.update(bucket_type="allPublic", bucket_info={"a": "b"}, if_revision_is=bucket.revision)
    assert (changed.type_, changed.bucket_info) == ("allPublic", {"a": "b"})
    assert changed.revision == bucket.revision + 1
    assert bucket.get_fresh_state().revision == changed.revision


def test_an_update_of_another_revision_is_a_conflict(v, bucket):
    bucket.set_info({"first": "yes"})
    with pytest.raises(v.exception.Conflict):
        bucket.set_info({"second": "yes"}, if_revision_is=bucket.revision)
    assert bucket.get_fresh_state().bucket_info == {"first": "yes"}


def test_buckets_are_listed_and_deleted(v, api, bucket):
    other = api.create_bucket(f"{bucket.name}-other", "allPrivate")
    assert {bucket.name, other.name} <= {found.name for found in api.list_buckets()}
    assert [found.id_ for found in api.list_buckets(bucket_name=other.name)] == [other.id_]
    api.delete_bucket(other)
    assert other.name not in {found.name for found in api.list_buckets()}
    with pytest.raises(v.exception.BucketIdNotFound):
        api.get_bucket_by_id(other.id_)


def test_a_key_is_listed_until_it_is_deleted(v, api):
    made = [api.create_key(["listFiles"], f"key-{number}", 3600) for number in range(3)]
    listed = {key.id_: key for key in api.list_keys()}
    for key in made:
        assert listed[key.id_].key_name == key.key_name
        assert listed[key.id_].capabilities == ["listFiles"]
        assert abs(listed[key.id_].expiration_timestamp_millis / 1000 - time.time() - 3600) < 60
    assert api.get_key(made[0].id_).id_ == made[0].id_
    api.delete_key(made[0])
    api.delete_key_by_id(made[1].id_)
    assert {key.id_ for key in api.list_keys()} & {key.id_ for key in made} == {made[2].id_}
    with pytest.raises(v.exception.BadRequest):
        api.delete_key(made[0])


def test_a_key_of_one_bucket_sees_that_bucket_only(v, api, bucket, bucket_name, sign_in):
    other = api.create_bucket(f"{bucket_name}-other", "allPrivate")
    theirs = sign_in(restricted(v, api, [bucket]))
    mine = theirs.get_bucket_by_name(bucket_name)
    mine.upload_bytes(b"content", "name")
    assert read(mine.download_file_by_name("name")) == b"content"
    with pytest.raises(v.exception.RestrictedBucket):
        theirs.get_bucket_by_name(other.name)
    # Past the SDK's own checks it is the server that refuses.
    elsewhere = v.Bucket(theirs, other.id_, name=other.name)
    with pytest.raises(v.exception.Unauthorized):
        next(iter(elsewhere.ls()), None)


def test_a_key_of_several_buckets_works_in_v3_and_is_refused_in_v2(
    v, api, bucket, bucket_name, sign_in, native
):
    other = api.create_bucket(f"{bucket_name}-other", "allPrivate")
    third = api.create_bucket(f"{bucket_name}-third", "allPrivate")
    key = native.create_key(*CAPABILITIES, bucketIds=[bucket.id_, other.id_])
    if v.__name__ == "b2sdk.v2":
        with pytest.raises(v.exception.Unauthorized):
            sign_in(key)
        return
    theirs = sign_in(key)
    for name in (bucket_name, other.name):
        theirs.get_bucket_by_name(name).upload_bytes(b"content", "name")
    with pytest.raises(v.exception.Unauthorized):
        next(iter(v.Bucket(theirs, third.id_, name=third.name).ls()), None)


def test_a_key_with_a_prefix_reaches_names_with_it_only(v, api, bucket, bucket_name, sign_in):
    bucket.upload_bytes(b"secret", "other/name")
    theirs = sign_in(restricted(v, api, [bucket], name_prefix="mine/")).get_bucket_by_name(bucket_name)
    theirs.upload_bytes(b"content", "mine/name")
    assert [file.file_name for file, _ in theirs.ls("mine/", recursive=True)] == ["mine/name"]
    with pytest.raises(v.exception.Unauthorized):
        next(iter(theirs.ls("other/", recursive=True)), None)
    with pytest.raises(v.exception.Unauthorized):
        theirs.download_file_by_name("other/name")
    # Here the SDK hopes for another upload URL, five times.
    with pytest.raises(v.exception.MaxRetriesExceeded):
        theirs.upload_bytes(b"content", "other/new")


def test_a_key_may_do_what_its_capabilities_say_and_no_more(v, api, bucket, bucket_name, sign_in):
    version = bucket.upload_bytes(b"content", "name")
    theirs = sign_in(restricted(v, api, [bucket], "listBuckets", "readFiles"))
    mine = theirs.get_bucket_by_name(bucket_name)
    assert read(mine.download_file_by_name("name")) == b"content"
    for refused in (
        lambda: next(iter(mine.ls()), None),
        lambda: mine.hide_file("name"),
        lambda: theirs.delete_file_version(version.id_, "name"),
        lambda: mine.get_download_authorization("", 60),
        lambda: mine.update(bucket_info={"a": "b"}),
        lambda: theirs.create_key(["readFiles"], "more"),
        lambda: next(iter(theirs.list_keys()), None),
    ):
        with pytest.raises(v.exception.Unauthorized, match="readFiles"):  # the SDK adds what the key may do
            refused()


def test_an_expired_key_is_refused(v, api, sign_in, control):
    key = api.create_key(["listBuckets"], "short", 60)
    pair = key.id_, key.application_key
    theirs = sign_in(pair)
    control.set("clock", offset_seconds=61)
    with pytest.raises(v.exception.InvalidAuthToken):
        theirs.list_buckets()
    with pytest.raises(v.exception.InvalidAuthToken):
        sign_in(pair)


def test_a_wrong_key_is_refused(v, sign_in):
    with pytest.raises(v.exception.InvalidAuthToken):
        sign_in((KEY[0], "wrong"))


def test_tokens_that_expire_are_renewed_without_the_user_noticing(bucket, control):
    bucket.upload_bytes(b"content", "name")
    control.clear_requests()
    control.set("expire_tokens")
    bucket.upload_bytes(b"more", "name")  # the upload URL is over too
    control.set("expire_tokens")
    assert read(bucket.download_file_by_name("name")) == b"more"
    control.set("expire_tokens")
    assert [file.file_name for file, _ in bucket.ls()] == ["name"]
    operations = [entry["operation"] for entry in control.requests()]
    assert operations.count("b2_authorize_account") == 3
