"""Whatever B2 does, nobody waits for it much longer than B2FIELDS_DEADLINE says."""

import logging
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile, File

from b2fields import B2Storage
from b2fields.b2 import connections
from b2fields.exceptions import AccessRefused, B2TimedOut, B2Unavailable
from tests import emulated
from tests.serving import AUTHORIZE, GET, GET_BY_ID, HEAD

pytestmark = pytest.mark.django_db

DEADLINE = 1.2
# For what this machine does meanwhile, and for tests that run beside.
SLACK = 1.0
PART = 5_000_000

STALL = {"delay": 60}
FOR_EVER = [
    pytest.param(STALL, id="no answer"),
    pytest.param({"status": 503}, id="503"),
    pytest.param({"status": 429, "headers": {"Retry-After": "1"}}, id="429 with Retry-After"),
    pytest.param({"status": 503, "headers": {"Retry-After": "3600"}}, id="503 for an hour"),
    pytest.param({"reset": True}, id="reset"),
]


@pytest.fixture
def short(emulator, settings):
    settings.B2FIELDS_DEADLINE = DEADLINE
    settings.B2FIELDS_READ_TIMEOUT = 0.8
    settings.B2FIELDS_CONNECT_TIMEOUT = 0.8
    settings.B2FIELDS_RETRIES = 2
    return emulator


class Stopwatch:
    def __enter__(self):
        self.begun = time.monotonic()
        return self

    def __exit__(self, *exc_info):
        self.seconds = time.monotonic() - self.begun


def begin_anew():
    connections.close_all()
    cache.clear()


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        *(
            pytest.param("b2_upload_file", fault.values[0], id=f"b2_upload_file: {fault.id}")
            for fault in FOR_EVER
        ),
        *(
            pytest.param(operation, STALL, id=f"{operation}: no answer")
            for operation in (AUTHORIZE, "b2_list_buckets", "b2_get_upload_url", HEAD)
        ),
    ],
)
def test_a_save_fails_within_the_deadline_wherever_b2_is_stuck(short, operation, fault):
    begin_anew()
    short.fault(operation, times=None, **fault)
    with Stopwatch() as watch, pytest.raises(B2Unavailable):
        B2Storage().save("a.txt", ContentFile(b"content"))
    assert watch.seconds < DEADLINE + SLACK


def test_a_save_is_one_question_however_many_requests_it_takes(short):
    begin_anew()
    for operation in (AUTHORIZE, "b2_list_buckets", "b2_get_upload_url", "b2_upload_file", HEAD):
        short.fault(operation, times=None, delay=0.5)
    with Stopwatch() as watch, pytest.raises(B2TimedOut):
        B2Storage().save("a.txt", ContentFile(b"content"))
    assert watch.seconds < DEADLINE + SLACK


def test_the_time_that_a_slow_client_takes_is_not_b2s(short, settings):
    class Slow(ContentFile):
        def chunks(self, chunk_size=None):
            time.sleep(DEADLINE + 0.2)
            yield b"content"

    name = B2Storage().save("a.txt", Slow(b"content"))
    assert B2Storage().open(name).read() == b"content"


@pytest.mark.parametrize(
    ("ask", "fault"),
    [
        *(pytest.param("exists", fault.values[0], id=f"exists: {fault.id}") for fault in FOR_EVER),
        *(pytest.param(ask, STALL, id=f"{ask}: no answer") for ask in ("size", "listdir", "delete")),
    ],
)
def test_other_questions_fail_within_the_deadline(short, ask, fault):
    short.fault("*", times=None, **fault)
    with Stopwatch() as watch, pytest.raises(B2Unavailable):
        getattr(B2Storage(), ask)("a.txt")
    assert watch.seconds < DEADLINE + SLACK


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({GET: STALL}, id="no answer"),
        pytest.param({GET: {"stall_after": 100_000}, GET_BY_ID: STALL}, id="silence in the middle and after"),
        pytest.param(
            {GET: {"stall_after": 100_000}, GET_BY_ID: {"stall_after": 0}}, id="silence, and silence again"
        ),
    ],
)
def test_a_read_that_stalls_for_ever_times_out_within_the_deadline(short, faults):
    name = B2Storage().save("a.bin", ContentFile(b"x" * 500_000))
    for operation, fault in faults.items():
        short.fault(operation, times=None, **fault)
    with Stopwatch() as watch, pytest.raises(B2TimedOut):
        B2Storage().open(name).read()
    assert watch.seconds < DEADLINE + 0.8 + SLACK  # the last silence may have begun just before


def large(tmp_path, size=3 * PART):
    file = (tmp_path / "large.bin").open("wb+")
    file.truncate(size)
    return File(file)


@pytest.fixture
def in_parts(short, settings):
    settings.B2FIELDS_PART_SIZE = PART
    settings.B2FIELDS_UPLOAD_THREADS = 1
    B2Storage().client.bucket(B2Storage().bucket)
    return short


def test_an_upload_in_parts_may_take_longer_than_the_deadline_of_a_request(in_parts, tmp_path):
    in_parts.fault("b2_upload_part", times=None, delay=0.5)
    with large(tmp_path) as file, Stopwatch() as watch:
        name = B2Storage().save("large.bin", file)
    assert watch.seconds > DEADLINE
    assert B2Storage().size(name) == 3 * PART


@pytest.mark.parametrize(
    "operation", ["b2_start_large_file", "b2_get_upload_part_url", "b2_finish_large_file"]
)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(STALL, id="no answer"),
        pytest.param({"status": 503, "headers": {"Retry-After": "3600"}}, id="503"),
    ],
)
def test_an_upload_in_parts_gives_up_when_one_request_is_stuck(in_parts, tmp_path, operation, fault):
    in_parts.fault(operation, times=None, **fault)
    with large(tmp_path) as file, Stopwatch() as watch, pytest.raises(B2Unavailable):
        B2Storage().save("large.bin", file)
    # The request itself, and what it takes to remove what was sent.
    assert watch.seconds < 2 * (DEADLINE + SLACK)


def test_whoever_waits_for_the_authorization_of_another_thread_waits_no_longer(short):
    storage = B2Storage()
    storage.exists("a.txt")
    short.expire_tokens()
    cache.clear()
    short.fault(AUTHORIZE, times=None, delay=60)
    with ThreadPoolExecutor(8) as threads, Stopwatch() as watch:
        asked = [threads.submit(storage.look_up, "a.txt") for _ in range(8)]
        assert all(isinstance(answer.exception(), (B2Unavailable, AccessRefused)) for answer in asked)
    assert watch.seconds < DEADLINE + SLACK


def test_nobody_listens_where_b2_should_be(short, settings):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = silent.getsockname()
        with socket.create_connection(address):  # so that the backlog is full
            settings.B2FIELDS_REALM = f"http://127.0.0.1:{address[1]}"
            with Stopwatch() as watch, pytest.raises(B2Unavailable):
                B2Storage().exists("a.txt")
    assert watch.seconds < DEADLINE + SLACK


def test_a_body_in_memory_may_take_longer_than_a_silence(short, settings):
    settings.B2FIELDS_MAX_MEMORY_SIZE = 50_000_000
    settings.B2FIELDS_DEADLINE, settings.B2FIELDS_READ_TIMEOUT = 30, 3
    B2Storage().client.bucket(B2Storage().bucket)
    short.control("POST", "bandwidth", bytes_per_second=8_000_000)
    try:
        name = B2Storage().save("a.bin", ContentFile(b"x" * 40_000_000))
    finally:
        short.control("POST", "bandwidth")
    assert B2Storage().size(name) == 40_000_000


# One authorization for all


PROGRAM = """
import sys, django
from django.conf import settings
django.setup()
backend = "django.core.cache.backends.filebased.FileBasedCache"
settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": sys.argv[1]}}
settings.B2FIELDS_REALM, settings.B2FIELDS_APPLICATION_KEY_ID = sys.argv[2:4]
settings.B2FIELDS_APPLICATION_KEY, settings.B2FIELDS_BUCKET = sys.argv[4:6]
from b2fields import B2Storage
import b2sdk.v3, b2fields.b2.account
print("ready", flush=True)
sys.stdin.readline()
print(B2Storage().exists("a.txt"))
"""


def test_processes_that_share_a_cache_authorize_once_between_them(emulator, bucket, tmp_path):
    emulator.fault(AUTHORIZE, times=None, delay=1)
    arguments = [str(tmp_path), emulator.realm, emulated.KEY_ID, emulated.KEY, bucket]
    command = [sys.executable, "-c", PROGRAM, *arguments]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    with emulator.counted() as operations:
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
            time.sleep(0.1)  # the file cache has no atomic add
        assert [process.communicate(timeout=60)[0] for process in processes] == ["False\n"] * 3
    assert operations.count(AUTHORIZE) == 1


def test_an_expired_token_of_another_process_costs_an_authorization_and_no_refusal(storage, emulator):
    storage.exists("a.txt")
    entry = cache.get(storage.client.tokens.entry)
    emulator.expire_tokens()
    connections.close_all()
    storage.exists("b.txt")  # a new token, in this process and in the cache
    emulator.expire_tokens()
    cache.set(storage.client.tokens.entry, entry)  # which another process has put back
    with emulator.counted() as operations:
        assert not B2Storage().exists("c.txt")
    assert operations == [HEAD, HEAD, AUTHORIZE, HEAD]


# What the log shows of trouble


@pytest.mark.parametrize("fault", [{"cut_after": 40}, {"reset": True}, {"status": 503}], ids=str)
def test_no_record_of_trouble_holds_a_secret_in_its_frames(storage, emulator, fault):
    seen = []

    class Frames(logging.Handler):
        def emit(self, record):
            if record.exc_info:
                frame = record.exc_info[2]
                while frame is not None:
                    seen.append(repr(frame.tb_frame.f_locals))
                    frame = frame.tb_next
            seen.append(record.getMessage())

    handler = Frames()
    logging.getLogger().addHandler(handler)
    logging.getLogger("b2sdk").setLevel(logging.DEBUG)
    begin_anew()
    emulator.fault(AUTHORIZE, times=None, **fault)
    try:
        with pytest.raises(B2Unavailable):
            B2Storage().exists("a.txt")
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger("b2sdk").setLevel(logging.NOTSET)
    assert not [text for text in seen if emulated.KEY in text or "Basic " in text]


def test_a_cache_that_is_down_shows_nothing_of_what_it_was_given(emulator, settings, caplog):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    B2Storage().save("a.txt", ContentFile(b"content"))
    assert caplog.records
    assert not [record for record in caplog.records if record.exc_info]
