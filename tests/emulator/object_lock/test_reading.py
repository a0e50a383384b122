"""Who sees the object lock of a file."""

import pytest
from b2sdk.v3 import LegalHold, RetentionMode

from ..clients import sdk
from .helpers import DAY, LEGAL_HOLD, MODE, RETAIN_UNTIL, WITHHELD, lock_headers


@pytest.mark.parametrize(
    ("capability", "withheld"),
    [
        (None, f"{MODE},{RETAIN_UNTIL},{LEGAL_HOLD}"),
        ("readFileRetentions", LEGAL_HOLD),
        ("readFileLegalHolds", f"{MODE},{RETAIN_UNTIL}"),
    ],
)
def test_downloads_name_what_the_key_may_not_read(
    native, as_key, locked, bucket_name, now, capability, withheld
):
    given = {MODE: "governance", RETAIN_UNTIL: str(now + DAY), LEGAL_HOLD: "on"}
    file = native.upload(locked, "name", **lock_headers("governance", now + DAY, "on"))
    mine = as_key(native.create_key("readFiles", *([capability] if capability else [])))
    for answer in (
        mine.get(bucket_name, "name"),
        mine.get(bucket_name, "name", method="HEAD"),
        mine.raw_get(f"/b2api/v4/b2_download_file_by_id?fileId={file['fileId']}"),
    ):
        assert answer.headers[WITHHELD] == withheld
        for name, value in given.items():
            assert answer.headers.get(name) == (None if name in withheld.split(",") else value)
    everything = native.get(bucket_name, "name").headers
    assert WITHHELD not in everything
    assert {name: everything[name] for name in given} == given


def test_b2sdk_knows_what_it_may_not_read(emulator, native, locked, bucket_name, now):
    native.upload(locked, "name", **lock_headers("governance", now + DAY, "on"))
    with sdk(emulator.realm, native.create_key("listBuckets", "listFiles", "readFiles")) as api:
        found = api.get_bucket_by_name(bucket_name)
        assert found.default_retention.mode is RetentionMode.UNKNOWN
        listed = next(iter(found.ls()))[0]
        for seen in (listed, found.get_file_info_by_name("name")):
            assert seen.file_retention.mode is RetentionMode.UNKNOWN
            assert seen.legal_hold is LegalHold.UNKNOWN


def test_who_has_no_key_of_the_account_reads_no_locks(native, bucket_name, now):
    public = native.create_bucket(bucket_name, "allPublic", fileLockEnabled=True)
    native.upload(public, "name", **lock_headers("governance", now + DAY, "on"))
    share = {"bucketId": public, "fileNamePrefix": "", "validDurationInSeconds": 60}
    token = native.call("b2_get_download_authorization", **share)["authorizationToken"]
    for headers in ({}, {"Authorization": token}):
        answer = native.http.get(f"/file/{bucket_name}/name", headers=headers)
        assert answer.headers[WITHHELD] == f"{MODE},{RETAIN_UNTIL},{LEGAL_HOLD}"
        assert MODE not in answer.headers


def test_downloads_from_a_bucket_without_lock_say_nothing_of_locks(native, as_key, bucket, bucket_name):
    native.upload(bucket, "name")
    answer = as_key(native.create_key("readFiles")).get(bucket_name, "name")
    assert [name for name in (MODE, RETAIN_UNTIL, LEGAL_HOLD, WITHHELD) if name in answer.headers] == []


def test_folders_in_a_list_have_no_lock(native, locked):
    native.upload(locked, "folder/name")
    listed = native.call("b2_list_file_names", bucketId=locked, delimiter="/")["files"]
    assert [entry["action"] for entry in listed] == ["folder"]
    assert not {"fileRetention", "legalHold"}.intersection(listed[0])
