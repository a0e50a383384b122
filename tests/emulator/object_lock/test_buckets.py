"""Object lock of buckets: enabling it, and the default retention."""

import pytest
from b2sdk.v3 import NO_RETENTION_BUCKET_SETTING, BucketRetentionSetting, RetentionPeriod
from b2sdk.v3.exception import DisablingFileLockNotSupported

from ..clients import problem
from .helpers import COMPLIANCE, HIDDEN


def test_b2sdk_creates_a_bucket_with_lock_and_sets_its_default_retention(api, bucket_name):
    found = api.create_bucket(bucket_name, "allPrivate", is_file_lock_enabled=True)
    assert found.is_file_lock_enabled is True
    assert found.default_retention == NO_RETENTION_BUCKET_SETTING
    default = BucketRetentionSetting(COMPLIANCE, RetentionPeriod(years=2))
    assert found.update(default_retention=default).default_retention == default
    assert found.get_fresh_state().default_retention == default
    assert found.update(bucket_info={"a": "b"}).default_retention == default
    cleared = found.update(default_retention=NO_RETENTION_BUCKET_SETTING)
    assert cleared.default_retention == NO_RETENTION_BUCKET_SETTING
    assert cleared.is_file_lock_enabled is True


def test_b2sdk_enables_the_lock_of_an_old_bucket_and_cannot_disable_it(api, bucket, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    assert found.is_file_lock_enabled is False
    assert found.update(is_file_lock_enabled=False).is_file_lock_enabled is False
    assert found.update(is_file_lock_enabled=True).is_file_lock_enabled is True
    with pytest.raises(DisablingFileLockNotSupported):
        found.update(is_file_lock_enabled=False)
    assert found.get_fresh_state().is_file_lock_enabled is True


def test_a_bucket_without_lock_has_no_default_retention(native, bucket):
    default = {"mode": "governance", "period": {"duration": 1, "unit": "days"}}
    params = {"accountId": native.account["accountId"], "bucketId": bucket, "defaultRetention": default}
    assert problem(native.post("b2_update_bucket", **params)) == (400, "bucket_missing_file_lock")
    assert native.post("b2_update_bucket", fileLockEnabled=True, **params).status_code == 200


@pytest.mark.parametrize(
    "default",
    [
        pytest.param({"mode": "forever", "period": {"duration": 1, "unit": "days"}}, id="a mode of B2's"),
        pytest.param({"mode": "governance"}, id="a period"),
        pytest.param({"mode": "governance", "period": {"unit": "days"}}, id="a duration"),
        pytest.param({"mode": "governance", "period": {"duration": 1}}, id="a unit"),
        pytest.param({"mode": "governance", "period": {"duration": 0, "unit": "days"}}, id="a day at least"),
        pytest.param({"mode": "governance", "period": {"duration": 1, "unit": "weeks"}}, id="a unit of B2's"),
        pytest.param(
            {"mode": "governance", "period": {"duration": 3001, "unit": "days"}}, id="3,000 days at most"
        ),
        pytest.param(
            {"mode": "governance", "period": {"duration": 9, "unit": "years"}}, id="8 years at most"
        ),
    ],
)
def test_a_default_retention_has(native, locked, default):
    params = {"accountId": native.account["accountId"], "bucketId": locked, "defaultRetention": default}
    assert problem(native.post("b2_update_bucket", **params)) == (400, "bad_request")


def test_the_lock_of_a_bucket_needs_a_capability_to_set_and_one_to_read(native, as_key, locked, bucket_name):
    mine = as_key(native.create_key("listBuckets", "writeBuckets"))
    account = {"accountId": native.account["accountId"]}
    default = {"defaultRetention": {"mode": "governance", "period": {"duration": 1, "unit": "days"}}}
    for params in (default, {"fileLockEnabled": True}):
        answer = mine.post("b2_update_bucket", bucketId=locked, **params, **account)
        assert problem(answer) == (401, "unauthorized")
    new = {"bucketName": f"{bucket_name}-b", "bucketType": "allPrivate", "fileLockEnabled": True}
    assert problem(mine.post("b2_create_bucket", **new, **account)) == (401, "unauthorized")
    (seen,) = mine.account_call("b2_list_buckets", bucketId=locked)["buckets"]
    assert seen["fileLockConfiguration"] == HIDDEN
    (seen,) = native.account_call("b2_list_buckets", bucketId=locked)["buckets"]
    assert seen["fileLockConfiguration"]["value"] == {
        "isFileLockEnabled": True,
        "defaultRetention": {"mode": None, "period": None},
    }
