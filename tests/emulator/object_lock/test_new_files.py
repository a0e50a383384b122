"""Object lock of new files: uploads, large files, copies."""

import os

import pytest
from b2sdk.v3 import NO_RETENTION_FILE_SETTING, FileRetentionSetting, LegalHold, UploadSourceBytes
from b2sdk.v3.exception import BadRequest, Unauthorized

from ..clients import problem, sha1
from .helpers import (
    BASE,
    COMPLIANCE,
    DAY,
    GOVERNANCE,
    HIDDEN,
    HOUR,
    NOTHING,
    PART,
    delete,
    lock_headers,
    lock_of,
    retention,
    set_default,
)


def test_b2sdk_uploads_with_retention_and_hold_and_sees_them_everywhere(api, found, now):
    setting = FileRetentionSetting(GOVERNANCE, now + DAY)
    version = found.upload_bytes(b"content", "name", file_retention=setting, legal_hold=LegalHold.ON)
    listed = next(iter(found.ls()))[0]
    download = found.download_file_by_name("name").download_version
    by_name = found.get_file_info_by_name("name")
    by_id = api.get_file_info(version.id_)
    for seen in (version, listed, download, by_name, by_id):
        assert (seen.file_retention, seen.legal_hold) == (setting, LegalHold.ON)


def test_b2sdk_uploads_a_large_file_with_retention(api, found, now):
    setting = FileRetentionSetting(GOVERNANCE, now + DAY)
    source = UploadSourceBytes(os.urandom(11_000_000))
    version = found.upload(
        source, "large", min_part_size=PART, file_retention=setting, legal_hold=LegalHold.ON
    )
    assert (version.file_retention, version.legal_hold) == (setting, LegalHold.ON)
    with pytest.raises(Unauthorized, match="Access Denied"):
        api.delete_file_version(version.id_, version.file_name)


def test_b2sdk_copies_to_a_file_with_a_lock_of_its_own(found, now):
    setting = FileRetentionSetting(GOVERNANCE, now + DAY)
    version = found.upload_bytes(b"content", "name", file_retention=setting, legal_hold=LegalHold.ON)
    plain = found.copy(version.id_, "plain")
    assert (plain.file_retention, plain.legal_hold) == (NO_RETENTION_FILE_SETTING, LegalHold.UNSET)
    later = FileRetentionSetting(COMPLIANCE, now + HOUR)
    copy = found.copy(version.id_, "copy", file_retention=later, legal_hold=LegalHold.OFF)
    assert (copy.file_retention, copy.legal_hold) == (later, LegalHold.OFF)


def test_new_files_get_the_default_retention_of_their_bucket(native, locked):
    set_default(native, locked, "governance", 2)
    uploaded = native.upload(locked, "uploaded")
    copied = native.call("b2_copy_file", sourceFileId=uploaded["fileId"], fileName="copied")
    params = {"bucketId": locked, "fileName": "large", "contentType": "text/plain"}
    large = native.call("b2_start_large_file", **params)
    for file in (uploaded, copied, large):
        expected = retention("governance", file["uploadTimestamp"] + 2 * DAY)
        assert file["fileRetention"]["value"] == expected


def test_a_finished_large_file_keeps_the_retention_it_was_started_with(native, locked):
    set_default(native, locked, "governance")
    params = {"bucketId": locked, "fileName": "large", "contentType": "text/plain"}
    large = native.call("b2_start_large_file", **params)
    url = native.call("b2_get_upload_part_url", fileId=large["fileId"])
    bodies = [bytes(PART), b"the rest"]
    for number, body in enumerate(bodies, start=1):
        part = {"x_bz_part_number": str(number), "x_bz_file_name": None, "content_type": None}
        native.send(url["uploadUrl"], url["authorizationToken"], "-", body, **part)
    hashes = [sha1(body) for body in bodies]
    file = native.call("b2_finish_large_file", fileId=large["fileId"], partSha1Array=hashes)
    assert file["fileRetention"]["value"] == retention("governance", large["uploadTimestamp"] + DAY)
    assert problem(delete(native, file)) == (401, "access_denied")


def test_a_retention_of_its_own_comes_before_the_default(native, locked, now):
    set_default(native, locked, "compliance", 1, "years")
    file = native.upload(locked, "name", **lock_headers("governance", now + HOUR))
    assert lock_of(native, file) == (retention("governance", now + HOUR), None)
    held = native.upload(locked, "held", **lock_headers(hold="off"))
    assert lock_of(native, held) == (retention("compliance", held["uploadTimestamp"] + 365 * DAY), "off")


def test_files_from_before_the_default_stay_without_it(native, locked):
    before = native.upload(locked, "before")
    set_default(native, locked, "compliance")
    assert lock_of(native, before) == (NOTHING, None)


@pytest.mark.parametrize(
    ("mode", "end", "legal_hold", "code"),
    [
        pytest.param("governance", 0, None, "retain_until_timestamp_must_be_in_future", id="an end to come"),
        pytest.param("governance", 3001 * DAY, None, "bad_request", id="an end in 3,000 days at most"),
        pytest.param("governance", None, None, "bad_request", id="an end"),
        pytest.param("governance", "soon", None, "bad_request", id="a number for an end"),
        pytest.param(None, DAY, None, "bad_request", id="a mode"),
        pytest.param("forever", DAY, None, "bad_request", id="a mode of B2's"),
        pytest.param("None", DAY, None, "bad_request", id="a mode that is one"),
        pytest.param(None, None, "yes", "bad_request", id="on or off for a hold"),
    ],
)
def test_the_lock_of_a_new_file_has(native, locked, now, mode, end, legal_hold, code):
    until = now + end if isinstance(end, int) else end
    uploaded = native.send(
        *native.upload_url(locked), "name", b"content", **lock_headers(mode, until, legal_hold)
    )
    assert problem(uploaded) == (400, code)
    params = {"bucketId": locked, "fileName": "name", "contentType": "text/plain"}
    asked = {"fileRetention": retention(mode, until), "legalHold": legal_hold}
    assert problem(native.post("b2_start_large_file", **params, **asked)) == (400, code)
    assert native.call("b2_list_file_versions", bucketId=locked)["files"] == []


def test_no_retention_is_no_word_for_a_header(native, locked):
    answer = native.send(*native.upload_url(locked), "name", b"content", **lock_headers("none"))
    assert problem(answer) == (400, "bad_request")


def test_a_bucket_without_lock_takes_no_locked_files(native, locked, plain, now):
    for given in (lock_headers("governance", now + DAY), lock_headers(hold="on")):
        answer = native.send(*native.upload_url(plain), "name", b"content", **given)
        assert problem(answer) == (400, "bucket_missing_file_lock")
    source = native.upload(locked, "name")
    for given in ({"fileRetention": retention("governance", now + DAY)}, {"legalHold": "on"}):
        copy = {"sourceFileId": source["fileId"], "destinationBucketId": plain, "fileName": "name"}
        assert problem(native.post("b2_copy_file", **copy, **given)) == (400, "bucket_missing_file_lock")
        start = {"bucketId": plain, "fileName": "name", "contentType": "text/plain"}
        assert problem(native.post("b2_start_large_file", **start, **given)) == (
            400,
            "bucket_missing_file_lock",
        )
    assert native.call("b2_list_file_versions", bucketId=plain)["files"] == []


def test_a_lock_at_upload_needs_its_capability(native, as_key, locked, plain, now):
    source = native.upload(locked, "source")
    mine = as_key(native.create_key(*BASE))
    for target in (locked, plain):  # the key learns nothing about the bucket
        for given in (lock_headers("governance", now + DAY), lock_headers(hold="off")):
            answer = mine.send(*mine.upload_url(target), "name", b"content", **given)
            assert problem(answer) == (401, "unauthorized")
    copy = {"sourceFileId": source["fileId"], "fileName": "name"}
    for given in ({"fileRetention": retention("governance", now + DAY)}, {"legalHold": "off"}):
        assert problem(mine.post("b2_copy_file", **copy, **given)) == (401, "unauthorized")
    assert native.names(locked) == ["source"]


def test_the_default_retention_needs_no_capability_of_the_uploader(native, as_key, locked):
    set_default(native, locked, "compliance")
    file = as_key(native.create_key(*BASE)).upload(locked, "name")
    assert file["fileRetention"] == file["legalHold"] == HIDDEN
    assert lock_of(native, file)[0]["mode"] == "compliance"


def test_name_and_info_share_2048_bytes_in_a_bucket_with_lock(native, locked, plain):
    info = {"x_bz_info_k": "v" * 2048}
    answer = native.send(*native.upload_url(locked), "name", b"content", **info)
    assert problem(answer) == (400, "bad_request")
    assert native.upload(plain, "name", **info)["fileInfo"]


def test_b2sdk_tells_that_a_bucket_has_no_lock(api, bucket, bucket_name, now):
    found = api.get_bucket_by_name(bucket_name)
    unknown = pytest.warns(UserWarning, match="unknown `code`")  # a code of B2's that b2sdk does not know
    with unknown, pytest.raises(BadRequest, match="bucket_missing_file_lock"):
        found.upload_bytes(b"content", "name", file_retention=FileRetentionSetting(GOVERNANCE, now + DAY))
