"""Uploading in parts: whole or not at all, several at a time, in little memory."""

import hashlib
import json
import random

import pytest
from django.core.files.base import ContentFile, File

from b2fields import B2Storage
from b2fields.exceptions import AccessRefused, B2Unavailable, CapExceeded, DamagedFile
from tests.between import between

PART = 5_000_000  # the least that B2 takes
CONTENT = random.Random(4).randbytes(5 * PART - 3)


@pytest.fixture
def large(settings, tmp_path, storage):
    """A file on disk of nearly five parts, and a process that has stored something before."""
    settings.B2FIELDS_PART_SIZE = PART
    storage.save("warm.txt", ContentFile(b"warm"))
    with (tmp_path / "large.bin").open("wb+") as file:
        file.write(CONTENT)
        file.flush()
        file.seek(0)
        yield File(file)


@pytest.fixture
def versions(b2_api, bucket):
    """What the bucket holds under a name, unfinished large files included."""

    def of(name):
        found = b2_api.get_bucket_by_name(bucket).ls(latest_only=False, recursive=True)
        return [version.action for version, _ in found if version.file_name == name]

    return of


def save(large):
    return B2Storage(overwrite=True).save("large.bin", large)


def test_each_part_is_sent_once_and_the_file_comes_back(large, storage, emulator):
    with emulator.counted() as operations:
        save(large)
    assert operations.count("b2_start_large_file") == operations.count("b2_finish_large_file") == 1
    assert operations.count("b2_upload_part") == 5
    assert sum(request["bytes_received"] for request in emulator.requests()) < len(CONTENT) * 1.01
    assert storage.open("large.bin").read() == CONTENT


def test_the_parts_are_of_about_the_same_size(large, emulator, settings):
    settings.B2FIELDS_PART_SIZE = 20_000_000
    save(large)
    sizes = [r["bytes_received"] for r in emulator.requests() if r["operation"] == "b2_upload_part"]
    assert len(sizes) == 2
    assert max(sizes) - min(sizes) <= 1


def test_a_part_is_never_smaller_than_b2_takes(large, storage, settings):
    settings.B2FIELDS_PART_SIZE = 1000
    save(large)
    assert storage.size("large.bin") == len(CONTENT)


def test_the_checksum_of_the_whole_is_kept(large, storage):
    save(large)
    assert storage.metadata("large.bin").sha1 == hashlib.sha1(CONTENT, usedforsecurity=False).hexdigest()


def test_what_is_as_large_as_a_part_goes_in_one_request(large, emulator):
    with emulator.counted() as operations:
        B2Storage(overwrite=True).save("one.bin", ContentFile(CONTENT[:PART]))
    assert operations == ["b2_upload_file"]


def test_bytes_in_memory_go_in_parts_too(large, storage, settings):
    settings.B2FIELDS_MAX_MEMORY_SIZE = len(CONTENT)
    B2Storage(overwrite=True).save("memory.bin", ContentFile(CONTENT))
    assert storage.open("memory.bin").read() == CONTENT


def test_no_more_parts_are_under_way_than_the_setting_says(large, emulator, settings):
    settings.B2FIELDS_UPLOAD_THREADS = 2
    with emulator.counted() as operations:
        save(large)
    # One upload URL for each thread: B2 lets one upload at a time use it.
    assert operations.count("b2_get_upload_part_url") == 2


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 503, "code": "service_unavailable"}, id="B2 is busy"),
        pytest.param({"status": 429, "code": "too_many_requests"}, id="B2 is asked too often"),
        pytest.param({"status": 401, "code": "expired_auth_token"}, id="the token is over"),
        pytest.param({"status": 408, "code": "request_timeout"}, id="it was too slow"),
        pytest.param({"reset": True}, id="the connection breaks"),
        pytest.param({"cut_after": 0}, id="the answer is lost"),
    ],
)
def test_a_part_that_fails_is_sent_again(large, storage, emulator, fault):
    emulator.fault("b2_upload_part", skip=1, **fault)
    with emulator.counted() as operations:
        save(large)
    assert operations.count("b2_upload_part") == 6
    assert operations.count("b2_start_large_file") == 1
    assert storage.open("large.bin").read() == CONTENT


@pytest.mark.parametrize(
    ("operation", "fault", "error"),
    [
        ("b2_upload_part", {"status": 503}, B2Unavailable),
        ("b2_upload_part", {"status": 403, "code": "storage_cap_exceeded"}, CapExceeded),
        ("b2_upload_part", {"status": 401, "code": "unauthorized"}, AccessRefused),
        ("b2_get_upload_part_url", {"status": 503}, B2Unavailable),
        ("b2_finish_large_file", {"status": 503}, B2Unavailable),
    ],
)
def test_an_upload_that_fails_for_good_leaves_nothing(large, emulator, versions, operation, fault, error):
    emulator.fault(operation, times=None, **fault)
    with pytest.raises(error):
        save(large)
    emulator.heal()
    assert versions("large.bin") == []
    assert not B2Storage().exists("large.bin")


def test_the_first_part_that_fails_stops_the_others(large, emulator, settings):
    settings.B2FIELDS_UPLOAD_THREADS = 1
    emulator.fault("b2_upload_part", times=None, status=403, code="storage_cap_exceeded")
    with emulator.counted() as operations, pytest.raises(CapExceeded):
        save(large)
    assert operations.count("b2_upload_part") == 1


def test_a_finish_whose_answer_is_lost_is_a_stored_file(large, storage, emulator, versions):
    emulator.fault("b2_finish_large_file", cut_after=0)
    save(large)
    assert versions("large.bin") == ["upload"]
    assert storage.open("large.bin").read() == CONTENT


def test_parts_that_cannot_be_cancelled_are_logged_and_the_first_error_is_told(large, emulator, caplog):
    emulator.fault("b2_upload_part", times=None, status=403, code="storage_cap_exceeded")
    emulator.fault("b2_cancel_large_file", times=None, status=503)
    emulator.fault("b2_get_file_info", times=None, status=503)
    with pytest.raises(CapExceeded):
        save(large)
    assert "An unfinished large file stays in B2 (ServiceError)." in caplog.messages


# The answer


def answering(operation, **values):
    """Return what changes B2's answers to an operation: these values instead of its own."""

    def change(path, status, body):
        return status, json.dumps(json.loads(body) | values).encode() if operation in path else body

    return change


WRONG = {"contentSha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(WRONG, id="another SHA-1"),
        pytest.param(
            {"contentSha1": f"unverified:{WRONG['contentSha1']}"}, id="another that B2 did not check"
        ),
        pytest.param({"contentLength": 4}, id="another length"),
    ],
)
def test_an_answer_that_tells_of_other_bytes_is_an_error_and_nothing_is_kept(
    emulator, settings, versions, wrong
):
    with between(emulator, answering("b2_upload_file", **wrong)) as settings.B2FIELDS_REALM:
        storage = B2Storage(overwrite=True)
        with pytest.raises(DamagedFile, match=r"other bytes of 'a\.txt'"):
            storage.save("a.txt", ContentFile(b"content"))
        assert not storage.exists("a.txt")
    assert versions("a.txt") == []


def test_a_damaged_version_that_cannot_be_removed_is_logged(emulator, settings, versions, caplog):
    emulator.fault("b2_delete_file_version", times=None, status=503)
    with (
        between(emulator, answering("b2_upload_file", **WRONG)) as settings.B2FIELDS_REALM,
        pytest.raises(DamagedFile),
    ):
        B2Storage(overwrite=True).save("a.txt", ContentFile(b"content"))
    assert "A damaged version of 'a.txt' stays in B2 (ServiceError)." in caplog.messages


@pytest.mark.parametrize("told", [None, "none", "unverified:040f06fd774092478d450774f5ba30c5da78acc8"])
def test_an_answer_that_tells_no_other_bytes_is_believed(emulator, settings, told):
    with between(emulator, answering("b2_upload_file", contentSha1=told)) as settings.B2FIELDS_REALM:
        storage = B2Storage(overwrite=True)
        storage.save("a.txt", ContentFile(b"content"))
        assert storage.open("a.txt").read() == b"content"


def test_a_part_of_which_b2_tells_other_bytes_is_an_error_and_nothing_is_kept(
    large, emulator, settings, versions
):
    with (
        between(emulator, answering("b2_upload_part", **WRONG)) as settings.B2FIELDS_REALM,
        pytest.raises(DamagedFile, match=r"'large\.bin'"),
    ):
        save(large)
    assert versions("large.bin") == []


def test_a_file_that_became_shorter_is_no_body_of_a_request():
    from b2fields.b2 import uploads  # needs configured settings

    # As if cut between two reads: a body that ended early would leave B2 waiting for the rest.
    body = uploads._Body(uploads._Content(10, lambda start, size: b""), uploads._Stretch(1, 0, 10))
    with pytest.raises(OSError, match="became shorter"):
        body.read(5)
