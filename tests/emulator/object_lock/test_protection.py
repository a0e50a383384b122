"""What object lock forbids, and for how long."""

import pytest
from b2sdk.v3 import FileRetentionSetting
from b2sdk.v3.exception import Unauthorized

from ..clients import Control, Native, problem, running
from .helpers import (
    DAY,
    GOVERNANCE,
    HOUR,
    NOTHING,
    delete,
    hold,
    lock_headers,
    lock_of,
    retention,
    set_default,
    update,
)


def test_b2sdk_deletes_a_governed_file_with_bypass_only(api, found, now):
    setting = FileRetentionSetting(GOVERNANCE, now + DAY)
    version = found.upload_bytes(b"content", "name", file_retention=setting)
    with pytest.raises(Unauthorized, match="Access Denied"):
        version.delete()
    assert [v.id_ for v, _ in found.ls()] == [version.id_]
    version.delete(bypass_governance=True)
    assert list(found.ls()) == []


def test_compliance_ends_only_with_its_time(native, locked, now, control):
    file = native.upload(locked, "name", **lock_headers("compliance", now + HOUR))
    assert problem(delete(native, file)) == (401, "access_denied")
    assert problem(delete(native, file, bypassGovernance=True)) == (401, "access_denied")
    control.set("clock", offset_seconds=3_600)
    assert lock_of(native, file)[0] == retention("compliance", now + HOUR)  # over, and still shown
    assert delete(native, file).status_code == 200


def test_after_its_time_a_retention_can_be_replaced_and_removed(native, locked, now, control):
    file = native.upload(locked, "name", **lock_headers("compliance", now + HOUR))
    control.set("clock", offset_seconds=3_600)
    assert update(native, file, "governance", now + 2 * HOUR).status_code == 200
    control.set("clock", offset_seconds=7_200)
    assert update(native, file, None, None).status_code == 200
    assert lock_of(native, file)[0] == NOTHING


def test_a_locked_file_can_be_hidden_and_the_marker_deleted(native, locked, bucket_name):
    set_default(native, locked, "compliance")
    file = native.upload(locked, "name", b"content")
    marker = native.call("b2_hide_file", bucketId=locked, fileName="name")
    assert not {"fileRetention", "legalHold"}.intersection(marker)
    assert native.get(bucket_name, "name").status_code == 404
    assert delete(native, marker).status_code == 200
    assert native.get(bucket_name, "name").content == b"content"
    assert problem(delete(native, file)) == (401, "access_denied")


def test_a_newer_version_may_come_over_a_locked_one(native, locked, bucket_name, now):
    file = native.upload(locked, "name", b"old", **lock_headers("compliance", now + DAY))
    newer = native.upload(locked, "name", b"new")
    assert native.get(bucket_name, "name").content == b"new"
    assert delete(native, newer).status_code == 200
    assert problem(delete(native, file)) == (401, "access_denied")
    assert native.get(bucket_name, "name").content == b"old"


@pytest.mark.parametrize("operation", ["b2_cancel_large_file", "b2_delete_file_version"])
def test_an_unfinished_large_file_can_be_cancelled_whatever_its_lock(native, locked, now, operation):
    asked = {"fileRetention": retention("compliance", now + DAY), "legalHold": "on"}
    params = {"bucketId": locked, "fileName": "large", "contentType": "text/plain"}
    started = native.call("b2_start_large_file", **params, **asked)
    assert started["legalHold"]["value"] == "on"
    named = {"fileId": started["fileId"], "fileName": "large"}
    native.call(operation, **named)
    assert native.call("b2_list_file_versions", bucketId=locked)["files"] == []


def test_a_bucket_with_a_locked_file_cannot_be_deleted(native, locked, now):
    native.upload(locked, "name", **lock_headers("compliance", now + DAY))
    params = {"accountId": native.account["accountId"], "bucketId": locked}
    assert problem(native.post("b2_delete_bucket", **params)) == (400, "cannot_delete_non_empty_bucket")


def test_locks_stand_after_a_restart(tmp_path):
    with running(tmp_path) as emulator:
        native = Native(emulator.realm)
        locked = native.create_bucket("locked-bucket", fileLockEnabled=True)
        set_default(native, locked, "compliance")
        retained, held = native.upload(locked, "retained"), native.upload(locked, "held")
        hold(native, held, "on")
        native.http.close()
    with running(tmp_path) as emulator:
        native, control = Native(emulator.realm), Control(emulator.realm)
        assert problem(delete(native, retained)) == (401, "access_denied")
        assert native.upload(locked, "new")["fileRetention"]["value"]["mode"] == "compliance"
        control.set("clock", offset_seconds=86_500)
        next_day = Native(emulator.realm)
        assert delete(next_day, retained).status_code == 200
        assert problem(delete(next_day, held)) == (401, "access_denied")
        for client in (native, control, next_day):
            client.http.close()
