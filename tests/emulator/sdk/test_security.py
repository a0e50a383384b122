"""Encryption and object lock through b2sdk."""

import time

import pytest

from .conftest import MIN_PART
from .saving import read

DAY = 86_400_000  # milliseconds


@pytest.fixture
def customers(v):
    """Make the encryption setting of a customer's own key."""

    def setting(secret):
        key = v.EncryptionKey(secret=secret, key_id="an-id")
        return v.EncryptionSetting(v.EncryptionMode.SSE_C, v.EncryptionAlgorithm.AES256, key)

    return setting


@pytest.fixture
def mine(customers):
    return customers(b"m" * 32)


@pytest.fixture
def theirs(customers):
    return customers(b"t" * 32)


@pytest.fixture
def locked(api, bucket_name):
    return api.create_bucket(f"{bucket_name}-locked", "allPrivate", is_file_lock_enabled=True)


def retention(v, mode, days=1):
    return v.FileRetentionSetting(getattr(v.RetentionMode, mode), int(time.time() * 1000) + days * DAY)


def test_encryption_by_the_service_shows_on_the_file(v, api, bucket):
    version = bucket.upload_bytes(b"content", "name", encryption=v.SSE_B2_AES)
    assert api.get_file_info(version.id_).server_side_encryption == v.SSE_B2_AES
    assert read(bucket.download_file_by_name("name")) == b"content"


def test_a_customers_key_opens_its_file_and_no_other_does(v, bucket, mine, theirs):
    version = bucket.upload_bytes(b"content", "name", encryption=mine)
    assert version.server_side_encryption.mode == v.EncryptionMode.SSE_C
    assert read(bucket.download_file_by_name("name", encryption=mine)) == b"content"
    with pytest.raises(v.exception.SSECKeyError):
        bucket.download_file_by_name("name", encryption=theirs)
    with pytest.raises(v.exception.BadRequest):
        bucket.download_file_by_name("name")
    (listed,) = (file for file, _ in bucket.ls())
    assert listed.server_side_encryption.mode == v.EncryptionMode.SSE_C


def test_a_copy_changes_the_key(v, bucket, mine, theirs):
    source = bucket.upload_bytes(b"content", "source", encryption=mine)
    bucket.copy(
        source.id_,
        "copy",
        source_encryption=mine,
        destination_encryption=theirs,
        content_type="text/plain",
        file_info={},
    )
    assert read(bucket.download_file_by_name("copy", encryption=theirs)) == b"content"
    with pytest.raises(v.exception.SSECKeyError):
        bucket.copy(
            source.id_,
            "copy",
            source_encryption=theirs,
            source_content_type="text/plain",
            source_file_info={},
        )


def test_a_large_file_is_encrypted_in_all_its_parts(v, bucket, large, mine):
    bucket.upload(v.UploadSourceBytes(large), "large", min_part_size=MIN_PART, encryption=mine)
    assert read(bucket.download_file_by_name("large", encryption=mine)) == large


def test_a_bucket_keeps_its_lock_and_its_default_retention(v, api, locked):
    period = v.RetentionPeriod(days=2)
    changed = locked.update(default_retention=v.BucketRetentionSetting(v.RetentionMode.GOVERNANCE, period))
    assert changed.is_file_lock_enabled is True
    assert changed.default_retention.period == period
    version = api.get_file_info(locked.upload_bytes(b"content", "name").id_)
    assert version.file_retention.mode == v.RetentionMode.GOVERNANCE
    assert abs(version.file_retention.retain_until - version.upload_timestamp - 2 * DAY) < 1000
    with pytest.raises(v.exception.DisablingFileLockNotSupported):
        locked.update(is_file_lock_enabled=False)


def test_governance_yields_to_those_who_may_bypass_it(v, api, locked):
    version = locked.upload_bytes(b"content", "name", file_retention=retention(v, "GOVERNANCE"))
    with pytest.raises(v.exception.Unauthorized, match="Access Denied"):
        api.delete_file_version(version.id_, "name")
    api.delete_file_version(version.id_, "name", bypass_governance=True)
    assert list(locked.ls()) == []


def test_compliance_yields_to_nobody_before_its_time(v, api, locked, control):
    version = locked.upload_bytes(b"content", "name", file_retention=retention(v, "COMPLIANCE"))
    with pytest.raises(v.exception.Unauthorized, match="Access Denied"):
        api.delete_file_version(version.id_, "name", bypass_governance=True)
    with pytest.raises(v.exception.RetentionWriteError):
        api.update_file_retention(version.id_, "name", v.NO_RETENTION_FILE_SETTING, bypass_governance=True)
    longer = retention(v, "COMPLIANCE", days=2)
    assert api.update_file_retention(version.id_, "name", longer) == longer
    control.set("clock", offset_seconds=3 * 86_400)
    api.delete_file_version(version.id_, "name")


def test_a_legal_hold_keeps_a_file_until_it_is_lifted(v, api, locked):
    version = locked.upload_bytes(b"content", "name", legal_hold=v.LegalHold.ON)
    assert locked.get_file_info_by_name("name").legal_hold == v.LegalHold.ON
    with pytest.raises(v.exception.Unauthorized, match="Access Denied"):
        api.delete_file_version(version.id_, "name", bypass_governance=True)
    assert api.update_file_legal_hold(version.id_, "name", v.LegalHold.OFF) == v.LegalHold.OFF
    api.delete_file_version(version.id_, "name")


def test_a_bucket_without_lock_takes_no_retention(v, bucket):
    with pytest.raises(v.exception.B2Error):
        bucket.upload_bytes(b"content", "name", file_retention=retention(v, "GOVERNANCE"))
    assert list(bucket.ls()) == []
