"""What a storage can be told: buckets it creates, accounts side by side, connections, seconds."""

import contextlib
import itertools
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.test import override_settings

from b2fields import B2Storage, testing
from b2fields.b2 import buckets, connections
from b2fields.exceptions import (
    AccessRefused,
    B2FieldsError,
    B2TimedOut,
    B2Unavailable,
    BucketMissing,
    FileMissing,
    NotConfigured,
    PolicyConflict,
)
from tests import emulated
from tests.legal.models import Contract

pytestmark = pytest.mark.django_db  # the checks of models ask the database what it can

_numbers = itertools.count(1)


def content(data=b"content"):
    return ContentFile(data)


def save(storage=None):
    return (storage or B2Storage(overwrite=True)).save("a.txt", content())


# Creating buckets


@pytest.fixture
def missing(emulator, b2_api, settings):
    """The name of a bucket that nobody has created, which the settings name."""
    settings.B2FIELDS_BUCKET = name = f"missing-bucket-{next(_numbers)}"
    yield name
    emulator.heal()
    for bucket in b2_api.list_buckets():
        if bucket.name == name:
            for version, _ in bucket.ls(latest_only=False, recursive=True):
                b2_api.delete_file_version(version.id_, version.file_name)
            b2_api.delete_bucket(bucket)


def test_a_missing_bucket_is_created_by_one_request_more(missing, emulator, settings):
    settings.B2FIELDS_CREATE_BUCKET = {}
    with emulator.counted() as operations:
        save()
        save()
    assert operations == [
        "b2_authorize_account",
        "b2_list_buckets",
        "b2_create_bucket",
        "b2_get_upload_url",
        "b2_upload_file",
        "b2_upload_file",
    ]


def test_a_bucket_is_created_private_unless_the_settings_say_otherwise(missing, b2_api, settings):
    settings.B2FIELDS_CREATE_BUCKET = {}
    save()
    assert b2_api.get_bucket_by_name(missing).type_ == "allPrivate"


def test_whatever_needs_the_bucket_first_creates_it(missing, b2_api):
    assert B2Storage(create_bucket={}).listdir("") == ([], [])
    assert b2_api.get_bucket_by_name(missing).name == missing


def test_a_read_creates_no_bucket(missing, b2_api):
    storage = B2Storage(create_bucket={})
    assert not storage.exists("a.txt")
    with pytest.raises(FileMissing):
        storage.open("a.txt").read()
    assert missing not in [bucket.name for bucket in b2_api.list_buckets()]


def test_a_bucket_is_created_with_all_its_settings(missing, b2_api, settings):
    created = {
        "bucket_type": "allPublic",
        "bucket_info": {"Cache-Control": "max-age=60"},
        "cors_rules": [
            {
                "corsRuleName": "downloads",
                "allowedOrigins": ["https://example.com"],
                "allowedOperations": ["b2_download_file_by_name"],
                "maxAgeSeconds": 60,
            }
        ],
        "lifecycle_rules": [{"fileNamePrefix": "", "daysFromHidingToDeleting": 7}],
        "default_server_side_encryption": {"mode": "SSE-B2", "algorithm": "AES256"},
        "is_file_lock_enabled": True,
    }
    settings.B2FIELDS_BUCKET = "acme-private"
    save(B2Storage(access="public", bucket=missing, overwrite=True, create_bucket=created))
    bucket = b2_api.get_bucket_by_name(missing).get_fresh_state()
    assert bucket.type_ == "allPublic"
    assert bucket.bucket_info == created["bucket_info"]
    assert bucket.cors_rules[0]["corsRuleName"] == "downloads"
    assert bucket.lifecycle_rules[0]["daysFromHidingToDeleting"] == 7
    assert bucket.default_server_side_encryption.mode.value == "SSE-B2"
    assert bucket.is_file_lock_enabled


def test_threads_that_race_for_a_bucket_create_it_once(missing, b2_api, settings):
    settings.B2FIELDS_CREATE_BUCKET = {}
    start = threading.Barrier(8)

    def run(number):
        start.wait()
        return B2Storage(overwrite=True).save(f"{number}.txt", content())

    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(run, range(8)))
    assert sorted(B2Storage().listdir("")[1]) == sorted(names)
    assert [bucket.name for bucket in b2_api.list_buckets()].count(missing) == 1


def test_a_name_that_another_account_has_taken_is_a_missing_bucket(missing, emulator, settings):
    settings.B2FIELDS_CREATE_BUCKET = {}
    emulator.fault("b2_create_bucket", status=400, code="duplicate_bucket_name")
    with pytest.raises(BucketMissing, match=missing):
        save()


def test_a_bucket_that_another_process_has_just_created_is_taken(missing, emulator, b2_api, settings):
    from b2fields.shapes import NewBucket

    b2_api.create_bucket(missing, "allPrivate")  # between the look and the creation
    client = B2Storage().client
    with emulator.counted() as operations:
        made = client._ask(missing, None, lambda session: buckets.create(session, missing, NewBucket()))
    assert operations[1:] == ["b2_create_bucket", "b2_list_buckets"]
    assert made == (b2_api.get_bucket_by_name(missing).id_, "allPrivate")


@pytest.mark.parametrize("access", ["login", "staff", lambda request, instance: True])
def test_no_public_bucket_is_created_for_a_private_policy(missing, b2_api, access):
    storage = B2Storage(access=access, overwrite=True, create_bucket={"bucket_type": "allPublic"})
    with pytest.raises(PolicyConflict, match="B2FIELDS_CREATE_BUCKET would create it as allPublic"):
        save(storage)
    assert missing not in [bucket.name for bucket in b2_api.list_buckets()]


def test_no_public_bucket_is_created_where_a_private_field_stores_too(missing, b2_api):
    storage = B2Storage(access="public", overwrite=True, create_bucket={"bucket_type": "allPublic"})
    with pytest.raises(PolicyConflict, match="is for private files"):
        save(storage)
    assert missing not in [bucket.name for bucket in b2_api.list_buckets()]


def test_a_private_policy_uses_the_private_bucket_there_is_whatever_would_be_created(bucket):
    assert save(B2Storage(overwrite=True, create_bucket={"bucket_type": "allPublic"})) == "a.txt"


def test_a_key_that_may_not_create_buckets_says_so(missing, b2_api, emulator):
    key = b2_api.create_key(key_name="no-creator", capabilities=["listBuckets", "listFiles", "writeFiles"])
    storage = B2Storage(
        create_bucket={"default_server_side_encryption": "SSE-B2"},
        application_key_id=key.id_,
        application_key=key.application_key,
    )
    with (
        emulator.counted() as operations,
        pytest.raises(AccessRefused, match="it lacks writeBucketEncryption, writeBuckets") as caught,
    ):
        save(storage)
    assert missing in str(caught.value)
    assert "b2_create_bucket" not in operations


def test_a_bucket_that_b2_refuses_to_create_is_named(emulator, settings):
    settings.B2FIELDS_BUCKET = "b2-reserved"
    with pytest.raises(NotConfigured, match=r"refuses to create bucket 'b2-reserved' \(bad_request\)"):
        save(B2Storage(create_bucket={}))


WRONG_BUCKETS = [
    pytest.param({"bucketType": "allPrivate"}, "takes no bucketType", id="a key of B2's own spelling"),
    pytest.param({"bucket_type": "private"}, "bucket_type 'private'", id="an unknown type"),
    pytest.param({"lifecycle_rules": {}}, "lifecycle_rules .* must be a list", id="a value of another kind"),
    pytest.param({"default_server_side_encryption": "AES"}, "another shape", id="an unknown encryption"),
    pytest.param("allPrivate", "must be a dict", id="no dict"),
]


@pytest.mark.parametrize(("declared", "message"), WRONG_BUCKETS)
def test_wrong_settings_of_a_new_bucket_are_named_when_used_and_by_check(
    missing, settings, declared, message
):
    settings.B2FIELDS_CREATE_BUCKET = declared
    with pytest.raises(NotConfigured, match=message):
        save()
    (error,) = (error for error in run_checks() if error.id == "b2fields.E018")
    assert error.hint


# Accounts side by side


@pytest.fixture(scope="module")
def other_emulator(tmp_path_factory):
    data = tmp_path_factory.mktemp("other-b2")
    key = "other-key-id:other-application-key"
    with testing.run(data, "--key", key, "--bucket", "twin-bucket:allPrivate") as running:
        yield running


def test_storages_of_two_realms_work_side_by_side_and_share_nothing(emulator, other_emulator, b2_api):
    bucket = b2_api.create_bucket("twin-bucket", "allPrivate")
    here = B2Storage(bucket="twin-bucket", overwrite=True)
    there = B2Storage(
        bucket="twin-bucket",
        overwrite=True,
        realm=other_emulator.realm,
        application_key_id="other-key-id",
        application_key="other-application-key",
    )
    for _ in range(2):  # the second time from what is remembered
        here.save("same.txt", content(b"here"))
        there.save("same.txt", content(b"over there"))
        assert (here.size("same.txt"), there.size("same.txt")) == (4, 10)
        assert here.open("same.txt").read() == b"here"
        assert there.open("same.txt").read() == b"over there"
    there.delete("same.txt")
    assert here.exists("same.txt")
    here.delete("same.txt")
    assert here != there
    b2_api.delete_bucket(bucket)


def test_two_keys_of_one_realm_share_no_authorization(emulator, bucket, b2_api):
    key = b2_api.create_key(key_name="second", capabilities=["listBuckets", "readFiles", "writeFiles"])
    second = B2Storage(overwrite=True, application_key_id=key.id_, application_key=key.application_key)
    save()
    with emulator.counted() as operations:
        save(second)
        save(second)
    assert operations.count("b2_authorize_account") == 1
    with pytest.raises(AccessRefused):
        second.delete("a.txt")
    B2Storage().delete("a.txt")


def test_one_account_with_different_options_is_authorized_once(emulator, bucket):
    with emulator.counted() as operations:
        save(B2Storage(overwrite=True, encryption="SSE-B2"))
        save(B2Storage(overwrite=True, create_bucket={}, location="elsewhere"))
    assert operations.count("b2_authorize_account") == operations.count("b2_list_buckets") == 1


# Connections


def test_connections_are_kept_for_as_many_threads_as_there_are(storage, emulator):
    storage.save("a.txt", content(b"x" * 100_000))

    def round_of_downloads():
        downloads = [storage.download("a.txt") for _ in range(24)]  # all under way at once
        for download in downloads:
            while download.read():
                pass

    def connections_made():
        adapter = storage.client.api.session.raw_api.b2_http.session.get_adapter(emulator.realm)
        pools = adapter.poolmanager.pools
        return sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - it is no dict

    round_of_downloads()
    connected = connections_made()
    assert connected >= 24
    round_of_downloads()
    assert connections_made() == connected


# B2 in trouble: within the configured seconds, by a bounded number of requests


@pytest.fixture
def impatient(emulator, settings):
    """Settings under which any trouble shows soon, and a storage with a file that nobody remembers."""
    storage = B2Storage(overwrite=True)
    storage.save("a.txt", content(b"x" * 1000))
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    settings.B2FIELDS_CONNECT_TIMEOUT = 0.2
    settings.B2FIELDS_READ_TIMEOUT = 0.2
    settings.B2FIELDS_DEADLINE = 1
    settings.B2FIELDS_RETRIES = 1
    return storage


USES = {
    "save": lambda storage: storage.save("b.txt", content()),
    "open": lambda storage: storage.open("a.txt").read(),
    "exists": lambda storage: storage.exists("a.txt"),
}
LONG = {"headers": {"Retry-After": "3600"}}
SHORT = {"headers": {"Retry-After": "0"}}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param({"status": 503}, B2Unavailable, id="503 for ever"),
        pytest.param({"status": 429, "code": "too_many_requests", **LONG}, B2Unavailable, id="429, an hour"),
        pytest.param({"status": 429, "code": "too_many_requests", **SHORT}, B2Unavailable, id="429, at once"),
        pytest.param({"reset": True}, B2Unavailable, id="connections that break"),
        pytest.param({"delay": 60}, B2TimedOut, id="no answer"),
    ],
)
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_B2_in_trouble_is_given_up_after_a_few_requests(impatient, emulator, use, fault, error):
    emulator.fault("*", times=None, **fault)
    with emulator.counted() as operations, pytest.raises(error):
        use(impatient)
    # A look at the bucket, an upload URL and the upload, each once more.
    assert 1 <= len(operations) <= 6


@pytest.mark.parametrize("operation", ["b2_upload_file", "b2_get_upload_url"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"delay": 60}, {"status": 429}], ids=str)
def test_an_upload_that_B2_never_takes_is_given_up_after_a_few_requests(
    impatient, emulator, operation, fault
):
    emulator.fault(operation, times=None, **fault)
    with emulator.counted() as operations, pytest.raises(B2FieldsError):
        USES["save"](impatient)
    assert 1 <= operations.count(operation) <= 3


def test_a_body_that_stalls_for_ever_is_given_up_and_not_taken_for_the_whole(impatient, emulator):
    emulator.fault("b2_download_file_by_name", stall_after=100)
    emulator.fault("b2_download_file_by_id", stall_after=100, times=None)
    with emulator.counted() as operations, pytest.raises(OSError, match=r"'a\.txt'"):
        USES["open"](impatient)
    assert 1 <= len(operations) <= 4


def test_an_answer_that_stalls_is_given_up(impatient, emulator):
    emulator.fault("*", stall_after=10, times=None)
    with emulator.counted() as operations, pytest.raises(B2FieldsError):
        impatient.listdir("")
    assert 1 <= len(operations) <= 2


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_B2_that_refuses_connections_is_given_up(impatient, settings, use):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(B2Unavailable, match="B2FIELDS_REALM"):
            use(impatient)


def test_no_try_is_begun_after_the_deadline(impatient, emulator, settings):
    settings.B2FIELDS_RETRIES = 1000
    settings.B2FIELDS_DEADLINE = 0.5
    emulator.fault("*", times=None, status=503)
    with emulator.counted() as operations, pytest.raises(B2Unavailable):
        USES["exists"](impatient)
    assert 2 <= len(operations) <= 3


# Each setting has its effect


def timed(use):
    """Return how many seconds B2 was waited for in vain."""
    begun = time.monotonic()
    with pytest.raises(B2Unavailable):
        use()
    return time.monotonic() - begun


@pytest.fixture
def full():
    """The address of a server whose queue of connections is full: it answers to no other."""
    with socket.socket() as server, contextlib.ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(2):  # Linux queues one more than it is told
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_connection_is_waited_for_as_long_as_the_setting_says(bucket, settings, full):
    settings.B2FIELDS_REALM = full
    settings.B2FIELDS_RETRIES = 0
    settings.B2FIELDS_CONNECT_TIMEOUT = 0.3
    assert 0.3 <= timed(lambda: B2Storage().exists("a.txt")) < 0.9


def test_an_answer_is_waited_for_as_long_as_the_setting_says(storage, emulator, settings):
    storage.exists("warm.txt")
    settings.B2FIELDS_RETRIES = 0
    settings.B2FIELDS_READ_TIMEOUT = 0.3
    emulator.fault("head_file_by_name", delay=3)
    assert 0.3 <= timed(lambda: storage.exists("a.txt")) < 0.9


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_request_that_fails_is_tried_again_as_often_as_the_setting_says(
    storage, emulator, settings, retries
):
    storage.exists("warm.txt")
    settings.B2FIELDS_RETRIES = retries
    emulator.fault("head_file_by_name", times=None, status=503)
    with emulator.counted() as operations, pytest.raises(B2Unavailable):
        storage.exists("a.txt")
    assert operations == ["head_file_by_name"] * (1 + retries)


@pytest.mark.parametrize(
    ("unique", "pattern"),
    [(True, r"scans/\d{4}/[A-Za-z0-9]{22}/a\.txt"), (False, r"scans/\d{4}/a\.txt")],
    ids=["a folder of its own", "the name itself"],
)
def test_a_field_gives_each_file_what_the_setting_of_unique_names_says(emulator, settings, unique, pattern):
    settings.B2FIELDS_UNIQUE_NAMES = unique
    row = Contract()
    row.scan.save("a.txt", content(), save=False)
    assert re.fullmatch(pattern, row.scan.name)


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_name_that_is_taken_is_taken_over_if_the_setting_says_so(emulator, settings, overwrite):
    settings.B2FIELDS_OVERWRITE = overwrite
    first = B2Storage().save("a.txt", content(b"first"))
    second = B2Storage().save("a.txt", content(b"second"))
    assert (first == second) is overwrite
    assert B2Storage().open(first).read() == (b"second" if overwrite else b"first")


# Checks


def ids_of(**changed):
    with override_settings(**changed):
        return {message.id for message in run_checks()}


@pytest.mark.parametrize(
    ("setting", "wrong", "right"),
    [
        ("MAX_MEMORY_SIZE", [-1, None, "4 MB", 1.5, True], [0, 10**9]),
        ("PART_SIZE", [0, 4_999_999, 5_000_000_001, "5000000", 5e6], [None, 5_000_000, 5_000_000_000]),
        ("UPLOAD_THREADS", [0, -1, None, 2.0, True], [1, 64]),
        ("METADATA_TIMEOUT", [-1, None, "60", 0.5], [0, 60]),
        ("CONNECT_TIMEOUT", [0, -1, None, "5", float("nan"), float("inf")], [0.1, 5]),
        ("READ_TIMEOUT", [0, -1, None, "5", float("nan"), float("inf")], [0.1, 5]),
        ("RETRIES", [-1, None, 1.5, "2"], [0, 5]),
        ("DEADLINE", [0, -1, None, "30", float("inf")], [0.1, 30]),
    ],
)
def test_check_finds_numbers_that_make_no_sense(setting, wrong, right):
    for value in wrong:
        assert "b2fields.E016" in ids_of(**{f"B2FIELDS_{setting}": value}), value
    for value in right:
        assert "b2fields.E016" not in ids_of(**{f"B2FIELDS_{setting}": value}), value


@pytest.mark.parametrize("value", ["../x", "a/../b", "a//b", "./a", "a\\b", "a\nb", "x" * 251, None, 7])
def test_check_finds_a_location_that_is_no_prefix(value):
    assert "b2fields.E021" in ids_of(B2FIELDS_LOCATION=value)


@pytest.mark.parametrize("value", ["", "media", "media/", "/media", "a/b", "ü/b.c"])
def test_check_passes_a_location_that_is_one(value):
    assert "b2fields.E021" not in ids_of(B2FIELDS_LOCATION=value)


def test_check_finds_a_bucket_that_would_be_public_for_one_field_and_private_for_another():
    public = {"B2FIELDS_CREATE_BUCKET": {"bucket_type": "allPublic"}}
    apart = {"public": "acme-public"}
    assert "b2fields.E020" in ids_of(B2FIELDS_BUCKET="acme", **public)
    assert "b2fields.E020" in ids_of(B2FIELDS_BUCKET="acme", B2FIELDS_BUCKETS={"public": "ACME"}, **public)
    assert "b2fields.E020" not in ids_of(B2FIELDS_BUCKET="acme", B2FIELDS_BUCKETS=apart, **public)
    assert "b2fields.E020" not in ids_of(B2FIELDS_BUCKET="acme", B2FIELDS_CREATE_BUCKET={})


def test_check_looks_at_the_options_of_storages_too(settings):
    backend = "b2fields.B2Storage"
    settings.STORAGES = {
        **settings.STORAGES,
        "archive": {"BACKEND": backend, "OPTIONS": {"cdn": "cdn.example.com", "location": "../x"}},
    }
    assert {"b2fields.E017", "b2fields.E021"} <= {message.id for message in run_checks()}


def test_the_checks_need_neither_b2_nor_a_key(emulator, settings):
    settings.B2FIELDS_APPLICATION_KEY = settings.B2FIELDS_APPLICATION_KEY_ID = None
    with emulator.counted() as operations:
        run_checks()
    assert operations == []
    assert emulated.KEY not in repr(connections._connections)
