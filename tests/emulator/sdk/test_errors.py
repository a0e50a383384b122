"""Each refusal becomes the exception that b2sdk's users catch."""

import io
from types import SimpleNamespace

import pytest

from ..clients import sha1


@pytest.fixture
def version(bucket):
    return bucket.upload_bytes(b"0123456789", "name")


GONE = "4_z000000000000000000000000_f1_d20260101_m000000_c000_v0001000_t0000_u01700000000000"
CASES = {
    "a bucket name of the wrong form": ("BadRequest", lambda s: s.api.create_bucket("tiny", "allPrivate")),
    "a bucket name in use": (
        "DuplicateBucketName",
        lambda s: s.api.create_bucket(s.bucket.name, "allPrivate"),
    ),
    "a bucket name in use in another case": (
        "DuplicateBucketName",
        lambda s: s.api.create_bucket(s.bucket.name.upper(), "allPrivate"),
    ),
    "another revision": ("Conflict", lambda s: s.bucket.update(bucket_info={"a": "b"}, if_revision_is=99)),
    "overlapping lifecycle rules": (
        "BadRequest",
        lambda s: s.bucket.update(
            lifecycle_rules=[
                {"fileNamePrefix": "a", "daysFromHidingToDeleting": 1},
                {"fileNamePrefix": "ab", "daysFromHidingToDeleting": 1},
            ]
        ),
    ),
    "a name that is not there": ("FileNotPresent", lambda s: s.bucket.download_file_by_name("other")),
    "HEAD of a name that is not there": (
        "FileNotPresent",
        lambda s: s.bucket.get_file_info_by_name("other"),
    ),
    "an id that is not there": ("FileNotPresent", lambda s: s.api.get_file_info(GONE)),
    "a download of an id that is not there": ("FileNotPresent", lambda s: s.api.download_file_by_id(GONE)),
    "deleting what is not there": ("FileNotPresent", lambda s: s.api.delete_file_version(GONE, "name")),
    "deleting under another name": (
        "FileNotPresent",
        lambda s: s.api.delete_file_version(s.version.id_, "other"),
    ),
    "hiding what is not there": ("FileNotPresent", lambda s: s.bucket.hide_file("other")),
    "copying what is not there": ("FileNotPresent", lambda s: s.bucket.copy(GONE, "copy")),
    "a range behind the end": (
        "UnsatisfiableRange",
        lambda s: s.bucket.download_file_by_name("name", range_=(10, 11)),
    ),
    "a range that ends behind the end": (
        "InvalidRange",
        lambda s: s.bucket.download_file_by_name("name", range_=(5, 10)),
    ),
    "cancelling what was not started": ("BadRequest", lambda s: s.api.cancel_large_file(s.version.id_)),
    "deleting a key that is not there": ("BadRequest", lambda s: s.api.delete_key_by_id("000none")),
    "a key without capabilities": ("BadRequest", lambda s: s.api.create_key([], "a-key")),
    "a key name of the wrong form": ("BadRequest", lambda s: s.api.create_key(["listFiles"], "a key")),
    "a key that is valid for too long": (
        "BadRequest",
        lambda s: s.api.create_key(["listFiles"], "a-key", 1000 * 86_400),
    ),
    "a reserved info key": (
        "BadRequest",
        lambda s: s.bucket.upload_bytes(b"x", "new", file_info={"b2-unknown": "1"}),
    ),
    "info that is too long": (
        "BadRequest",
        lambda s: s.bucket.upload_bytes(b"x", "new", file_info={"long": "x" * 7001}),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_the_exception_that_users_catch(v, api, bucket, version, case):
    name, act = CASES[case]
    with pytest.raises(getattr(v.exception, name)):
        act(SimpleNamespace(api=api, bucket=bucket, version=version))


def test_a_bucket_with_files_is_not_deleted(v, api, bucket, version):
    def refuse():
        # b2sdk wonders about the code, for which it has no exception.
        wondering = pytest.warns(UserWarning, match="cannot_delete_non_empty_bucket")
        with wondering, pytest.raises(v.exception.BadRequest):
            api.delete_bucket(bucket)

    refuse()
    bucket.hide_file("name")
    api.delete_file_version(version.id_, "name")
    refuse()  # the marker is a version too


def test_a_bucket_that_was_deleted_is_not_found(v, api, bucket, bucket_name):
    api.delete_bucket(bucket)
    with pytest.raises(v.exception.BucketIdNotFound):
        bucket.upload_bytes(b"content", "name")
    with pytest.raises(v.exception.BucketIdNotFound):
        next(iter(bucket.ls()), None)
    with pytest.raises(v.exception.FileNotPresent):
        bucket.download_file_by_name("name")


def test_a_wrong_checksum_is_refused_and_stores_nothing(v, api, bucket):
    url = api.session.get_upload_url(bucket.id_)
    pair = url["uploadUrl"], url["authorizationToken"]
    with pytest.raises(v.exception.BadRequest):
        api.session.raw_api.upload_file(
            *pair, "name", 7, "text/plain", sha1(b"other"), {}, io.BytesIO(b"content")
        )
    assert list(bucket.ls()) == []
