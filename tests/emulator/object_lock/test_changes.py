"""Changing the object lock of a file."""

import pytest
from b2sdk.v3 import NO_RETENTION_FILE_SETTING, FileRetentionSetting, LegalHold
from b2sdk.v3.exception import FileNotPresent, RetentionWriteError, Unauthorized

from ..clients import problem
from .helpers import (
    BASE,
    COMPLIANCE,
    DAY,
    GOVERNANCE,
    HOUR,
    delete,
    hold,
    lock_headers,
    lock_of,
    retention,
    update,
)


def test_b2sdk_sets_shortens_and_removes_retention(api, found, now):
    version = found.upload_bytes(b"content", "name")
    long = version.update_retention(FileRetentionSetting(GOVERNANCE, now + 2 * DAY))
    assert long.file_retention == FileRetentionSetting(GOVERNANCE, now + 2 * DAY)
    shorter = FileRetentionSetting(GOVERNANCE, now + DAY)
    with pytest.raises(RetentionWriteError):
        long.update_retention(shorter)
    with pytest.raises(RetentionWriteError):
        long.update_retention(NO_RETENTION_FILE_SETTING)
    assert long.update_retention(shorter, bypass_governance=True).file_retention == shorter
    assert api.get_file_info(version.id_).file_retention == shorter
    gone = long.update_retention(NO_RETENTION_FILE_SETTING, bypass_governance=True)
    assert gone.file_retention == NO_RETENTION_FILE_SETTING
    api.delete_file_version(version.id_, version.file_name)


CHANGES = [
    pytest.param(GOVERNANCE, GOVERNANCE, 2, (True, True), id="governance is prolonged by anyone"),
    pytest.param(GOVERNANCE, GOVERNANCE, 1, (True, True), id="governance is kept by anyone"),
    pytest.param(GOVERNANCE, GOVERNANCE, 0.5, (False, True), id="governance is shortened with bypass"),
    pytest.param(GOVERNANCE, None, None, (False, True), id="governance is removed with bypass"),
    pytest.param(GOVERNANCE, COMPLIANCE, 1, (True, True), id="governance becomes compliance"),
    pytest.param(GOVERNANCE, COMPLIANCE, 0.5, (False, True), id="shorter compliance needs bypass"),
    pytest.param(COMPLIANCE, COMPLIANCE, 2, (True, True), id="compliance is prolonged"),
    pytest.param(COMPLIANCE, COMPLIANCE, 0.5, (False, False), id="compliance is never shortened"),
    pytest.param(COMPLIANCE, GOVERNANCE, 2, (False, False), id="compliance never becomes governance"),
    pytest.param(COMPLIANCE, None, None, (False, False), id="compliance is never removed"),
]


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize(("mode", "new_mode", "days", "allowed"), CHANGES)
def test_how_retention_may_change(native, locked, now, mode, new_mode, days, allowed, bypass):
    file = native.upload(locked, "name", **lock_headers(mode.value, now + DAY))
    new = retention(new_mode and new_mode.value, days and now + int(days * DAY))
    answer = update(native, file, new["mode"], new["retainUntilTimestamp"], bypassGovernance=bypass)
    if allowed[bypass]:
        assert answer.json() == {"fileId": file["fileId"], "fileName": "name", "fileRetention": new}
        assert lock_of(native, file)[0] == new
    else:
        assert problem(answer) == (403, "access_denied")
        assert lock_of(native, file)[0] == retention(mode.value, now + DAY)


def test_bypassing_governance_needs_its_capability(native, as_key, locked, now):
    file = native.upload(locked, "name", **lock_headers("governance", now + DAY))
    mine = as_key(native.create_key(*BASE, "writeFileRetentions"))
    refused = update(mine, file, "governance", now + HOUR, bypassGovernance=True)
    assert problem(refused) == (403, "access_denied")
    assert problem(delete(mine, file, bypassGovernance=True)) == (401, "unauthorized")
    assert lock_of(native, file)[0] == retention("governance", now + DAY)
    assert update(mine, file, "governance", now + 2 * DAY).status_code == 200


def test_changing_a_lock_needs_its_capability(native, as_key, locked, plain, now):
    mine = as_key(native.create_key(*BASE))
    for target in (locked, plain):  # the key learns nothing about the bucket
        file = native.upload(target, "name")
        assert problem(update(mine, file, "governance", now + DAY)) == (403, "access_denied")
        assert problem(hold(mine, file, "on")) == (403, "access_denied")


@pytest.mark.parametrize("restriction", ["bucket", "prefix"])
def test_a_restricted_key_changes_only_the_locks_it_may(native, as_key, locked, plain, now, restriction):
    bounds = {
        "bucket": {"bucketIds": [plain]},
        "prefix": {"bucketIds": [locked], "namePrefix": "mine/"},
    }[restriction]
    mine = as_key(native.create_key("writeFileRetentions", "writeFileLegalHolds", **bounds))
    file = native.upload(locked, "other/name")
    assert problem(update(mine, file, "governance", now + DAY)) == (403, "access_denied")
    assert problem(hold(mine, file, "on")) == (403, "access_denied")


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        pytest.param(None, "bad_request", id="itself"),
        pytest.param({"mode": "forever", "retainUntilTimestamp": DAY}, "bad_request", id="a mode of B2's"),
        pytest.param({"mode": "governance"}, "bad_request", id="an end"),
        pytest.param({"mode": None, "retainUntilTimestamp": DAY}, "bad_request", id="a mode for its end"),
        pytest.param(
            {"mode": "governance", "retainUntilTimestamp": 0},
            "retain_until_timestamp_must_be_in_future",
            id="an end to come",
        ),
        pytest.param(
            {"mode": "compliance", "retainUntilTimestamp": 3001 * DAY},
            "bad_request",
            id="an end in 3,000 days at most",
        ),
    ],
)
def test_a_change_of_retention_has(native, locked, now, setting, code):
    file = native.upload(locked, "name", **lock_headers("governance", now + DAY))
    if setting is not None and "retainUntilTimestamp" in setting:
        setting = setting | {"retainUntilTimestamp": now + setting["retainUntilTimestamp"]}
    named = {"fileId": file["fileId"], "fileName": "name"}
    params = {"fileRetention": setting, "bypassGovernance": True}
    assert problem(native.post("b2_update_file_retention", **params, **named)) == (400, code)
    assert lock_of(native, file)[0] == retention("governance", now + DAY)


def test_only_a_finished_file_in_a_bucket_with_lock_can_be_locked(native, locked, plain, now):
    file = native.upload(plain, "name")
    assert problem(update(native, file, "governance", now + DAY)) == (400, "bucket_missing_file_lock")
    assert problem(hold(native, file, "on")) == (400, "bucket_missing_file_lock")
    native.upload(locked, "name")
    marker = native.call("b2_hide_file", bucketId=locked, fileName="name")
    started = {"bucketId": locked, "fileName": "large", "contentType": "text/plain"}
    for file in (marker, native.call("b2_start_large_file", **started)):
        assert problem(update(native, file, "governance", now + DAY)) == (400, "bad_request")
        assert problem(hold(native, file, "on")) == (400, "bad_request")


def test_b2sdk_tells_when_the_file_to_lock_is_not_there(found):
    version = found.upload_bytes(b"content", "name")
    with pytest.raises(FileNotPresent):
        found.api.update_file_legal_hold(version.id_, "other", LegalHold.ON)
    with pytest.raises(FileNotPresent):
        found.api.update_file_legal_hold("nothing", "name", LegalHold.ON)


def test_a_file_with_much_info_cannot_be_locked_later(native, bucket, now):
    file = native.upload(bucket, "name", x_bz_info_k="v" * 2048)
    native.account_call("b2_update_bucket", bucketId=bucket, fileLockEnabled=True)
    assert problem(hold(native, file, "on")) == (400, "metadata_exceeded")
    assert problem(update(native, file, "governance", now + DAY)) == (400, "metadata_exceeded")


def test_b2sdk_holds_a_file_and_lets_go(api, found):
    version = found.upload_bytes(b"content", "name")
    held = version.update_legal_hold(LegalHold.ON)
    assert held.legal_hold is LegalHold.ON
    with pytest.raises(Unauthorized, match="Access Denied"):
        version.delete(bypass_governance=True)
    assert api.get_file_info(version.id_).legal_hold is LegalHold.ON
    assert version.update_legal_hold(LegalHold.OFF).legal_hold is LegalHold.OFF
    version.delete()
    assert list(found.ls()) == []


def test_a_hold_is_on_or_off(native, locked):
    file = native.upload(locked, "name")
    for value in ("yes", None):
        assert problem(hold(native, file, value)) == (400, "bad_request")


def test_hold_and_retention_stand_apart(native, locked, now):
    file = native.upload(locked, "name", **lock_headers("governance", now + DAY, "on"))
    assert hold(native, file, "off").json()["legalHold"] == "off"
    assert problem(delete(native, file)) == (401, "access_denied")
    assert hold(native, file, "on").status_code == 200
    assert update(native, file, None, None, bypassGovernance=True).status_code == 200
    assert problem(delete(native, file)) == (401, "access_denied")
    assert hold(native, file, "off").status_code == 200
    assert delete(native, file).status_code == 200
