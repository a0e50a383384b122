"""Server-side encryption: by B2's keys or by the project's own, which never leaves the process but to B2."""

import base64
import hashlib
import logging
import pickle
import random
from urllib.parse import quote

import pytest
from django.core.cache import cache, caches
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.db.migrations.writer import MigrationWriter
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

from b2fields import B2FileField, B2Storage
from b2fields.exceptions import AccessRefused, InvalidMetadata, NotConfigured
from tests.legal.models import Contract
from tests.serving import body_of, signed_in

pytestmark = pytest.mark.django_db

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
SSE_C = {"mode": "SSE-C", "key": KEY, "key_id": "2026/a b"}
PART = 5_000_000


def key_in_base64():
    return base64.b64encode(KEY).decode()


def key_from_a_vault():
    return KEY


def content(data=b"content"):
    return ContentFile(data)


def storing(encryption, **options):
    return B2Storage(overwrite=True, encryption=encryption, **options)


def encryption_of(b2_api, bucket, name):
    (version,) = [v for v, _ in b2_api.get_bucket_by_name(bucket).ls() if v.file_name == name]
    return version.server_side_encryption


def test_sse_b2_is_asked_for_and_read_without_more(b2_api, bucket, emulator):
    storage = storing("SSE-B2")
    with emulator.counted() as operations:
        storage.save("a.txt", content())
    assert operations[-2:] == ["b2_get_upload_url", "b2_upload_file"]
    found = encryption_of(b2_api, bucket, "a.txt")
    assert (found.mode.value, found.algorithm.value) == ("SSE-B2", "AES256")
    assert B2Storage().open("a.txt").read() == b"content"


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(KEY, id="bytes"),
        pytest.param(key_in_base64(), id="base64"),
        pytest.param(key_from_a_vault, id="a callable that returns bytes"),
        pytest.param(key_in_base64, id="a callable that returns base64"),
    ],
)
def test_a_file_under_a_key_of_ones_own_comes_back(b2_api, bucket, emulator, key):
    storage = storing({"mode": "SSE-C", "key": key})
    storage.save("a.txt", content(b"0123456789" * 20_000))
    assert encryption_of(b2_api, bucket, "a.txt").mode.value == "SSE-C"
    cache.clear()
    assert storage.size("a.txt") == 200_000
    assert storage.open("a.txt").read() == b"0123456789" * 20_000
    with storage.open("a.txt") as file:
        file.seek(100_005)
        assert file.read(7) == b"5678901"
    assert storage.exists("a.txt")
    storage.delete("a.txt")
    assert not storage.exists("a.txt")


def test_a_download_under_a_key_goes_on_where_it_broke_off(emulator, bucket):
    data = random.Random(1).randbytes(600_000)
    storage = storing(SSE_C)
    storage.save("a.bin", content(data))
    emulator.fault("b2_download_file_by_name", cut_after=300_000)
    assert storage.open("a.bin").read() == data


@pytest.mark.parametrize("encryption", ["SSE-B2", SSE_C], ids=["SSE-B2", "SSE-C"])
def test_a_large_file_is_encrypted_in_each_part(b2_api, bucket, emulator, settings, encryption):
    settings.B2FIELDS_PART_SIZE = PART
    data = random.Random(2).randbytes(2 * PART + 17)
    storage = storing(encryption)
    with emulator.counted() as operations:
        storage.save("large.bin", content(data))
    assert operations.count("b2_upload_part") == 3
    assert encryption_of(b2_api, bucket, "large.bin").mode.value == storage.encryption.mode
    assert hashlib.sha256(storage.open("large.bin").read()).digest() == hashlib.sha256(data).digest()


def test_a_large_file_that_fails_leaves_nothing_under_a_key_either(b2_api, bucket, emulator, settings):
    settings.B2FIELDS_PART_SIZE = PART
    emulator.fault("b2_upload_part", times=None, status=403, code="storage_cap_exceeded")
    with pytest.raises(OSError, match="cap"):
        storing(SSE_C).save("large.bin", content(b"x" * 2 * PART))
    assert list(b2_api.get_bucket_by_name(bucket).list_unfinished_large_files()) == []


def test_the_id_of_the_key_is_kept_with_the_file(b2_api, bucket, settings):
    settings.B2FIELDS_PART_SIZE = PART
    storing(SSE_C).save("small.txt", content())
    storing(SSE_C).save("large.bin", content(b"x" * 2 * PART))
    for name in ("small.txt", "large.bin"):
        cache.clear()
        assert storing(SSE_C).metadata(name).info["sse_c_key_id"] == SSE_C["key_id"]


def test_the_proxy_serves_such_files_like_others(emulator, settings, client, visitors):
    settings.B2FIELDS_ENCRYPTION = SSE_C
    row = Contract.objects.create(scan=content(b"0123456789").__class__(b"0123456789", "a.txt"))
    cache.clear()
    staff = signed_in(visitors["staff"])
    assert body_of(staff.get(row.scan.url)) == b"0123456789"
    ranged = staff.get(row.scan.url, headers={"Range": "bytes=3-5"})
    assert (ranged.status_code, body_of(ranged)) == (206, b"345")
    cache.clear()
    assert staff.head(row.scan.url).headers["Content-Length"] == "10"


def test_a_public_file_under_a_key_goes_through_the_site(emulator, settings, make_bucket):
    settings.B2FIELDS_BUCKETS = {"public": make_bucket("allPublic")}
    settings.B2FIELDS_ENCRYPTION = SSE_C
    settings.B2FIELDS_CDN = {"base_url": "https://cdn.example.com/"}
    row = Contract.objects.create(cover=ContentFile(b"cover", "a.txt"))
    assert row.cover.url.startswith("/b2/")
    assert body_of(signed_in().get(row.cover.url)) == b"cover"


READS = {
    "head": lambda storage: storage.size("a.txt"),
    "read": lambda storage: storage.open("a.txt").read(),
    "range": lambda storage: storage.download("a.txt", 2, 3),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        pytest.param(SSE_C, {"mode": "SSE-C", "key": OTHER_KEY}, id="another key"),
        pytest.param(SSE_C, None, id="no key"),
        pytest.param(None, SSE_C, id="a key for a file without"),
    ],
)
def test_a_wrong_key_is_an_error_that_says_so(emulator, bucket, stored, wanted, read):
    storing(stored).save("a.txt", content())
    cache.clear()
    with (
        emulator.counted() as operations,
        pytest.raises(AccessRefused, match="B2FIELDS_ENCRYPTION") as caught,
    ):
        read(storing(wanted))
    assert "'a.txt'" in str(caught.value)
    assert len([operation for operation in operations if operation != "b2_authorize_account"]) == 1


def test_a_wrong_key_is_503_to_visitors_and_told_in_the_log(emulator, settings, visitors, caplog):
    settings.B2FIELDS_ENCRYPTION = SSE_C
    row = Contract.objects.create(scan=ContentFile(b"content", "a.txt"))
    settings.B2FIELDS_ENCRYPTION = {**SSE_C, "key": OTHER_KEY}
    assert signed_in(visitors["staff"]).get(row.scan.url).status_code == 503
    assert "B2FIELDS_ENCRYPTION" in caplog.text


# Metadata


@pytest.mark.parametrize(
    ("encryption", "most"),
    [
        pytest.param(None, 7000, id="without encryption"),
        pytest.param("SSE-B2", 2048, id="with SSE-B2"),
        pytest.param(SSE_C, 2048 - len("sse_c_key_id" + SSE_C["key_id"]), id="with SSE-C and a key id"),
    ],
)
def test_the_limit_of_metadata_is_checked_before_anything_is_sent(emulator, bucket, encryption, most):
    room = most - len("a.txt") - len("note")
    storing(encryption, metadata={"note": "x" * room}).save("a.txt", content())
    with emulator.counted() as operations, pytest.raises(InvalidMetadata, match="at most"):
        storing(encryption, metadata={"note": "x" * (room + 1)}).save("a.txt", content())
    assert operations == []


# Secrets


def forms_of_the_key(key=KEY):
    encoded = base64.b64encode(key).decode()
    return [encoded, quote(encoded), repr(key)[2:-1], key.hex(), str(list(key))[1:-1]]


def found_in(text):
    return [form for form in forms_of_the_key() if form in text]


@pytest.mark.parametrize(
    "key", [KEY, base64.b64encode(KEY).decode(), lambda: KEY], ids=["bytes", "text", "call"]
)
def test_a_storage_shows_no_key(emulator, bucket, key):
    storage = storing({"mode": "SSE-C", "key": key, "key_id": "k1"})
    storage.save("a.txt", content())
    pickled = pickle.dumps(storage)
    shown = [
        repr(storage),
        str(storage),
        repr(storage.encryption),
        repr(storage.deconstruct()),
        repr(storage.client) + repr(vars(storage.client)),
        MigrationWriter.serialize(B2FileField(storage=storage))[0],
        pickled.decode("latin-1"),
        repr(caches["default"]._cache),
    ]
    assert found_in("\n".join(shown)) == []
    assert KEY not in pickled
    assert "k1" in repr(storage)


def test_a_key_given_in_the_wrong_place_is_not_shown_either():
    for wrong in (KEY, base64.b64encode(KEY).decode(), {"key": KEY, "kei": KEY}, {"SSE-C": KEY}, [KEY]):
        storage = storing(wrong)
        with pytest.raises(NotConfigured) as caught:
            storage.encryption  # noqa: B018 - reading it is the test
        assert found_in(repr(storage) + repr(storage.deconstruct()) + str(caught.value)) == []


def test_a_key_that_is_a_function_survives_pickles_and_migrations(emulator, bucket):
    storage = storing({"mode": "SSE-C", "key": key_from_a_vault})
    storage.save("a.txt", content())
    assert pickle.loads(pickle.dumps(storage)).open("a.txt").read() == b"content"
    assert "key_from_a_vault" in MigrationWriter.serialize(B2FileField(storage=storage))[0]


def test_a_key_that_was_left_out_of_a_pickle_is_asked_for(emulator, bucket):
    storage = pickle.loads(pickle.dumps(storing(SSE_C)))
    with pytest.raises(NotConfigured, match="pass a function of a module"):
        storage.save("a.txt", content())


@pytest.fixture
def everything_logged(caplog):
    """Every record of every logger, as text."""
    loggers = [logging.getLogger(name) for name in list(logging.Logger.manager.loggerDict)]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    caplog.set_level(logging.DEBUG)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.propagate = True
    yield lambda: "\n".join([caplog.text, *(repr(record.__dict__) for record in caplog.records)])
    for logger, level, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate


def test_no_key_is_logged(emulator, bucket, settings, everything_logged):
    settings.B2FIELDS_PART_SIZE = PART
    storage = storing(SSE_C)
    storage.save("a.txt", content())
    storage.save("large.bin", content(b"x" * 2 * PART))
    storage.open("a.txt").read()
    cache.clear()
    storage.size("a.txt")
    text = everything_logged()
    assert "b2_start_large_file" in text
    assert found_in(text) == []


FAILURES = {
    "upload": ("b2_upload_file", lambda storage: storage.save("a.txt", content())),
    "read": ("b2_download_file_by_name", READS["read"]),
    "head": ("head_file_by_name", lambda storage: cache.clear() or storage.size("a.txt")),
    "start": ("b2_start_large_file", lambda storage: storage.save("large.bin", content(b"x" * 2 * PART))),
    "part": ("b2_upload_part", lambda storage: storage.save("large.bin", content(b"x" * 2 * PART))),
}


@pytest.mark.parametrize(("operation", "use"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize(
    "fault",
    [{"status": 403, "code": "storage_cap_exceeded"}, {"status": 400, "code": "bad_request"}],
    ids=str,
)
def test_no_error_shows_the_key(emulator, bucket, settings, everything_logged, operation, use, fault):
    settings.DEBUG = True
    settings.B2FIELDS_PART_SIZE = PART
    settings.B2FIELDS_ENCRYPTION = SSE_C
    storage = B2Storage(overwrite=True)
    storage.save("a.txt", content())
    emulator.fault(operation, times=None, **fault)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - whatever it is, it would be shown
        use(storage)
    # Without this very frame, which knows the key.
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    reporter = ExceptionReporter(RequestFactory().get("/"), type(error), error, error.__traceback__)
    logged = everything_logged()
    assert found_in(logged + reporter.get_traceback_text() + reporter.get_traceback_html() + str(error)) == []


# Mistakes


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        pytest.param("SSE-C", "another shape", id="SSE-C without a key"),
        pytest.param("AES256", "another shape", id="an algorithm"),
        pytest.param({"mode": "SSE-D"}, "no mode", id="an unknown mode"),
        pytest.param({"mode": "SSE-C"}, "no key", id="no key"),
        pytest.param({"mode": "SSE-C", "key": KEY[:31]}, "32 bytes", id="a short key"),
        pytest.param({"mode": "SSE-C", "key": "not base64!"}, "32 bytes", id="a key that is no base64"),
        pytest.param({"mode": "SSE-C", "key": 7}, "32 bytes", id="a key that is a number"),
        pytest.param({"mode": "SSE-C", "key": KEY, "key_id": 7}, "key_id", id="an id that is no text"),
        pytest.param({"mode": "SSE-B2", "key": KEY}, "takes no key", id="a key for SSE-B2"),
        pytest.param({"mode": "SSE-B2", "algorithm": "DES"}, "algorithm", id="an unknown algorithm"),
        pytest.param(True, "another shape", id="True"),
    ],
)
def test_a_wrong_encryption_is_named_when_used_and_by_check(emulator, settings, declared, message):
    settings.B2FIELDS_ENCRYPTION = declared
    with emulator.counted() as operations, pytest.raises(NotConfigured, match=message):
        B2Storage(overwrite=True).save("a.txt", content())
    assert operations == []
    (error,) = (error for error in run_checks() if error.id == "b2fields.E019")
    assert error.hint


def test_a_callable_that_returns_no_key_is_an_error_before_a_byte_is_sent(emulator, bucket):
    storage = storing({"mode": "SSE-C", "key": lambda: "too short"})
    with emulator.counted() as operations, pytest.raises(NotConfigured, match="32 bytes"):
        storage.save("a.txt", content())
    assert not {"b2_get_upload_url", "b2_upload_file"} & set(operations)


def test_the_checks_do_not_ask_for_the_key(settings):
    asked = []
    settings.B2FIELDS_ENCRYPTION = {"mode": "SSE-C", "key": lambda: asked.append(1) or KEY}
    run_checks()
    assert asked == []
