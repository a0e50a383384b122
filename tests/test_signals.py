"""The signals: every request to B2 is told of once, with what B2 itself counted, and every saved file."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from django.core.files.base import ContentFile

from b2fields import B2Storage
from b2fields.b2.prices import PRICE_CLASSES
from b2fields.b2.watching import operation_of
from b2fields.emulator.operations import NOT_EMULATED, OPERATIONS, price_class
from b2fields.exceptions import B2FieldsError, B2Unavailable, FileMissing
from b2fields.metadata import FileMetadata
from b2fields.signals import b2_request_finished, file_saved
from tests import emulated
from tests.legal.models import Contract
from tests.test_readme import ROOT, snippet

CONTENT = random.Random(5).randbytes(700_000)
ARGUMENTS = {
    "operation",
    "price_class",
    "status",
    "bytes_sent",
    "bytes_received",
    "seconds",
    "seconds_to_first_byte",
}


@pytest.fixture
def connect():
    """Connect receivers until the test ends."""
    connected = []

    def connect(signal, receiver, sender=None):
        signal.connect(receiver, sender)
        connected.append((signal, receiver, sender))

    yield connect
    for signal, receiver, sender in connected:
        signal.disconnect(receiver, sender)


@pytest.fixture
def listen(connect):
    """Return what a signal's receivers will have been told, in order."""

    def listen(signal):
        told = []

        def receive(signal, **arguments):
            told.append(arguments)

        connect(signal, receive)
        return told

    return listen


@pytest.fixture
def told(emulator, listen):
    """What is told of the requests that the emulator has in its log."""
    return listen(b2_request_finished)


@pytest.fixture
def stored(storage):
    return storage.save("a.bin", ContentFile(CONTENT))


def by_us(told):
    return [
        (
            t["operation"],
            t["price_class"],
            t["status"],
            # Where no answer came, B2 need not have got what was sent.
            t["status"] and t["bytes_sent"],
            t["bytes_received"],
        )
        for t in told
    ]


def by_the_emulator(emulator):
    return [
        (r["operation"], r["class"], r["status"], r["status"] and r["bytes_received"], r["bytes_sent"])
        for r in emulator.requests()
    ]


# Every request, once


def save(storage, emulator):
    storage.save("new.txt", ContentFile(b"new"))


def read(storage, emulator):
    with storage.open("a.bin") as file:
        assert file.read() == CONTENT


def read_here_and_there(storage, emulator):
    with storage.open("a.bin") as file:
        file.read(10)
        file.seek(500_000)
        assert file.read(10) == CONTENT[500_000:500_010]
    storage.look_up("a.bin")


def look_and_miss(storage, emulator):
    with pytest.raises(FileMissing):
        storage.look_up("missing")
    with pytest.raises(FileMissing):
        storage.download("missing")
    storage.look_up("a.bin")


def read_behind_the_end(storage, emulator):
    with pytest.raises(EOFError):
        storage.download("a.bin", len(CONTENT))


def lose_the_token(storage, emulator):
    emulator.expire_tokens()
    storage.look_up("a.bin")
    emulator.expire_tokens()
    storage.listdir("")
    emulator.expire_tokens()
    read(storage, emulator)


def lose_the_upload_token(storage, emulator):
    emulator.expire_tokens()
    save(storage, emulator)


def upload_in_trouble(storage, emulator):
    emulator.fault("b2_upload_file", status=503)
    save(storage, emulator)


def upload_and_lose_the_answer(storage, emulator):
    emulator.fault("b2_upload_file", cut_after=10)
    save(storage, emulator)


def listing_in_trouble(storage, emulator):
    emulator.fault("b2_list_file_names", status=503)
    storage.listdir("")
    emulator.fault("b2_list_file_names", cut_after=10)
    storage.listdir("")
    emulator.fault("b2_list_file_names", reset=True)
    storage.listdir("")


def download_in_trouble(storage, emulator):
    emulator.fault("b2_download_file_by_name", status=503)
    read(storage, emulator)
    emulator.fault("b2_download_file_by_name", cut_after=20_000)
    emulator.fault("b2_download_file_by_id", cut_after=300_000)
    read(storage, emulator)


def trouble_for_good(storage, emulator):
    emulator.fault("head_file_by_name", status=503, times=None)
    with pytest.raises(B2Unavailable):
        storage.look_up("a.bin")
    emulator.heal()


def delete(storage, emulator):
    storage.delete(storage.save("old.txt", ContentFile(b"old")))


WORK = [
    save,
    read,
    read_here_and_there,
    look_and_miss,
    read_behind_the_end,
    lose_the_token,
    lose_the_upload_token,
    upload_in_trouble,
    upload_and_lose_the_answer,
    listing_in_trouble,
    download_in_trouble,
    trouble_for_good,
    delete,
]


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__.replace("_", " "))
def test_what_is_told_is_what_b2_counted(work, storage, stored, emulator, told):
    emulator.clear()
    told.clear()
    work(storage, emulator)
    assert by_us(told) == by_the_emulator(emulator)


def test_a_process_that_begins_tells_all_of_it_too(emulator, told):
    storage = B2Storage(overwrite=True)
    storage.save("a.bin", ContentFile(CONTENT))
    for work in WORK:
        work(storage, emulator)
    assert by_us(told) == by_the_emulator(emulator)
    assert {"b2_authorize_account", "b2_list_buckets", "b2_get_upload_url"} < {t["operation"] for t in told}
    assert {None, 200, 206, 401, 404, 416, 503} == {t["status"] for t in told}


def test_each_part_of_a_large_file_is_told_of(storage, emulator, told, settings, tmp_path):
    settings.B2FIELDS_PART_SIZE = 5_000_000
    emulator.fault("b2_upload_part", status=503)
    storage.save("large.bin", ContentFile(bytes(16_000_000)))
    assert Counter(by_us(told)) == Counter(by_the_emulator(emulator))
    assert [t["operation"] for t in told].count("b2_upload_part") == 5


def test_visitors_downloads_are_told_of(emulator, told, client, db):
    url = Contract.objects.create(cover=ContentFile(CONTENT, "a.png")).cover.url
    emulator.clear()
    told.clear()
    assert b"".join(client.get(url).streaming_content) == CONTENT
    assert b"".join(client.get(url, headers={"Range": "bytes=5-9"}).streaming_content) == CONTENT[5:10]
    assert by_us(told) == by_the_emulator(emulator)
    assert [t["bytes_received"] for t in told] == [len(CONTENT), 5]


def test_a_download_is_told_of_when_its_last_byte_has_been_read(storage, stored, told):
    told.clear()
    download = storage.download(stored)
    while download.position < len(CONTENT):
        assert told == []
        download.read()
    assert [t["bytes_received"] for t in told] == [len(CONTENT)]
    download.close()
    assert len(told) == 1


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda downloads: downloads[0].close(), id="is closed early"),
        pytest.param(list.clear, id="is dropped"),
        pytest.param(lambda downloads: (downloads[0].close(), downloads.clear()), id="is closed and dropped"),
    ],
)
def test_with_the_next_request_is_told_of_a_download_that(leave, storage, stored, emulator, told):
    emulator.clear()
    told.clear()
    downloads = [storage.download(stored)]
    downloads[0].read(1000)
    leave(downloads)
    assert told == []
    storage.look_up(stored)
    assert [(t["operation"], t["bytes_received"]) for t in told] == [
        ("b2_download_file_by_name", 1000),
        ("head_file_by_name", 0),
    ]


def test_what_finds_no_connection_is_told_of(settings, listen):
    told = listen(b2_request_finished)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(B2Unavailable):
        B2Storage(bucket="any", application_key_id="id", application_key="key").look_up("a")
    assert by_us(told) == [("b2_authorize_account", "C", None, None, 0)] * 2
    assert [(t["bytes_sent"], t["seconds_to_first_byte"]) for t in told] == [(0, None)] * 2


def test_an_upload_that_breaks_off_has_sent_a_part_of_it(storage, stored, emulator, told):
    emulator.fault("b2_upload_file", reset=True)
    told.clear()
    size = 40_000_000  # more than the sockets' buffers take
    storage.save("large.bin", ContentFile(bytes(size)))
    first, second = [t for t in told if t["operation"] == "b2_upload_file"]
    assert first["status"] is None
    assert first["bytes_sent"] < size == second["bytes_sent"]


class InChunks(BaseHTTPRequestHandler):
    """A server that does not say how long its answer is."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n4\r\nyou!\r\n0\r\n\r\n")

    def log_message(self, *args):
        pass


def test_an_answer_in_chunks_is_measured(settings, listen):
    told = listen(b2_request_finished)
    settings.B2FIELDS_RETRIES = 0
    with HTTPServer(("127.0.0.1", 0), InChunks) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(B2Unavailable):
            B2Storage(bucket="any", application_key_id="id", application_key="key").look_up("a")
        server.shutdown()
        thread.join()
    assert [(t["status"], t["bytes_received"]) for t in told] == [(503, 9)]


# What is told


def test_the_arguments_are_fit_for_metrics_and_tell_no_secret(storage, bucket, emulator, told):
    name = storage.save("secret plans.txt", ContentFile(b"the plans"))
    with storage.open(name) as file:
        file.read()
    emulator.fault("head_file_by_name", status=401, times=None)
    with pytest.raises(B2FieldsError):
        storage.look_up(name)
    assert {t["status"] for t in told} == {200, 401, 404}
    for arguments in told:
        assert arguments.pop("sender") is None
        assert set(arguments) == ARGUMENTS
        assert arguments["operation"] in PRICE_CLASSES
        assert {type(value) for value in arguments.values()} <= {str, int, float, type(None)}
        for word in (bucket, "secret", "plans", emulated.KEY, emulated.KEY_ID, "http", "4_account"):
            assert word not in repr(arguments)


def test_the_time_goes_on_until_a_download_is_read(storage, stored, told, monkeypatch):
    told.clear()
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    download = storage.download(stored, 0, 999)
    now[0] = 130.0
    assert download.read() == CONTENT[:1000]
    now[0] = 190.0
    download.close()
    assert [(t["seconds_to_first_byte"], t["seconds"]) for t in told] == [(0, 30)]


def test_the_time_until_b2_answers_is_told(storage, stored, emulator, told):
    told.clear()
    emulator.fault("head_file_by_name", delay=0.3)
    storage.look_up(stored)
    assert 0.3 <= told[0]["seconds_to_first_byte"] <= told[0]["seconds"] < 5


KNOWN = sorted({*OPERATIONS, *NOT_EMULATED, *PRICE_CLASSES})


@pytest.mark.parametrize("operation", KNOWN)
def test_the_price_classes_are_those_the_emulator_bills(operation):
    assert PRICE_CLASSES.get(operation) == price_class(operation)


API, UPLOAD = "https://api004.backblazeb2.com/b2api/v4/", "https://pod-1.backblaze.com/"


@pytest.mark.parametrize(
    ("method", "url", "headers", "expected"),
    [
        pytest.param("POST", API + "b2_copy_file", {}, "b2_copy_file", id="is in its path"),
        pytest.param("POST", API[:-2] + "5/b2_new", {}, "b2_new", id="may be newer than this package"),
        pytest.param("POST", UPLOAD + "b2api/v4/b2_upload_file/x/y", {}, "b2_upload_file", id="may go on"),
        pytest.param("POST", UPLOAD + "x", {"X-Bz-File-Name": "a"}, "b2_upload_file", id="of an odd URL"),
        pytest.param("POST", UPLOAD + "x", {"X-Bz-Part-Number": "1"}, "b2_upload_part", id="of odd parts"),
        pytest.param(
            "GET",
            "https://f004.backblazeb2.com/file/acme/b2api/v4/b2_copy_file",
            {},
            "b2_download_file_by_name",
            id="is not taken from the name of a file",
        ),
        pytest.param(
            "GET", API + "b2_download_file_by_id?fileId=1", {}, "b2_download_file_by_id", id="by id"
        ),
        pytest.param("HEAD", API + "b2_download_file_by_id?fileId=1", {}, "head_file_by_id", id="of a HEAD"),
        pytest.param("GET", "http://127.0.0.1/?x=/file/", {}, "unknown", id="is unknown of other requests"),
        pytest.param("GET", "http://proxy/b2/file/acme/a", {}, "b2_download_file_by_name", id="by a proxy"),
    ],
)
def test_the_name_of_an_operation(method, url, headers, expected):
    assert operation_of(requests.Request(method, url, headers=headers).prepare()) == expected


def test_the_price_of_an_operation_that_is_not_known_is_none(storage, stored, told):
    told.clear()
    session = storage.client.api.session.raw_api.b2_http
    with pytest.raises(Exception, match="Unknown operation"):
        session.post_json_return_json(f"{storage.account.realm}/b2api/v4/b2_new", {}, {})
    assert [(t["operation"], t["price_class"]) for t in told] == [("b2_new", None)]


# Receivers


def test_nothing_is_measured_while_nobody_listens(storage, stored, listen):
    download = storage.download(stored)
    told = listen(b2_request_finished)
    while download.read():
        pass
    assert told == []


@pytest.fixture
def faulty(connect):
    """A receiver of both signals that fails."""

    def fail(**arguments):
        raise RuntimeError("the metrics are down")

    connect(b2_request_finished, fail)
    connect(file_saved, fail)
    return fail


def test_a_faulty_receiver_breaks_no_request_and_no_save(faulty, emulator, told, db, caplog):
    contract = Contract.objects.create(scan=ContentFile(b"content", "a.pdf"))
    assert Contract.objects.get(pk=contract.pk).scan.read() == b"content"
    assert by_us(told) == by_the_emulator(emulator)
    assert "the metrics are down" in caplog.text


def test_async_receivers_are_called(storage, stored, connect):
    told = []

    async def receive(operation, **arguments):
        told.append(operation)

    connect(b2_request_finished, receive)
    storage.look_up(stored)
    assert told == ["head_file_by_name"]


def test_an_async_receiver_that_cannot_be_called_breaks_nothing(storage, stored, connect, caplog):
    async def receive(**arguments):
        raise AssertionError("not here")

    async def in_the_threads_own_loop():
        return storage.look_up(stored).size

    connect(b2_request_finished, receive)
    assert asyncio.run(in_the_threads_own_loop()) == len(CONTENT)
    assert "could not send a signal" in caplog.text


# file_saved


@pytest.fixture
def saved(listen):
    return listen(file_saved)


def test_a_saved_file_is_told_of_with_what_b2_knows_of_it(storage, saved):
    name = storage.save("a.txt", ContentFile(b"content"))
    assert saved == [
        {"sender": B2Storage, "storage": storage, "name": name, "metadata": storage.metadata(name)}
    ]
    assert isinstance(saved[0]["metadata"], FileMetadata)


def test_a_fields_file_is_told_of_under_the_name_that_the_row_holds(emulator, saved, db):
    contract = Contract.objects.create(scan=ContentFile(b"content", "a.pdf"))
    assert [(told["name"], told["storage"]) for told in saved] == [
        (contract.scan.name, contract.scan.storage)
    ]


def test_a_file_that_was_written_is_told_of_when_it_is_closed(storage, saved):
    with storage.open("a.txt", "w") as file:
        file.write("content")
        assert saved == []
    assert [told["name"] for told in saved] == ["a.txt"]


def test_a_file_that_b2_did_not_take_is_not_told_of(storage, emulator, saved):
    emulator.fault("b2_upload_file", status=403, code="storage_cap_exceeded")
    with pytest.raises(B2FieldsError):
        storage.save("a.txt", ContentFile(b"content"))
    assert saved == []


def test_receivers_may_ask_for_one_class_of_storages(emulator, connect):
    class Archive(B2Storage):
        pass

    told = []

    def receive(sender, **arguments):
        told.append(sender)

    connect(file_saved, receive, sender=Archive)
    for storage in (B2Storage(), Archive()):
        storage.save("a.txt", ContentFile(b"content"))
    assert told == [Archive]


# Projects


def run(code, **environment):
    command = [sys.executable, "-c", code]
    path = os.pathsep.join([str(ROOT), *environment.pop("path", [])])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_signals_are_imported_without_settings_or_the_sdk():
    loaded = run(
        "import sys, b2fields.signals\n"
        "from django.conf import settings\n"
        "print(settings.configured, {'b2sdk', 'requests', 'urllib3'} & set(sys.modules))",
        DJANGO_SETTINGS_MODULE="",
    )
    assert loaded.strip() == "False set()"


@pytest.fixture
def project(emulator, bucket, tmp_path):
    """Run a README's module of receivers in a project that saves a file, looks at it and reads it."""

    def project(module, report):
        (tmp_path / f"{module}.py").write_text(snippet(f"{module}.py, imported by your AppConfig.ready()"))
        code = f"""
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x", INSTALLED_APPS=["b2fields"],
    B2FIELDS_REALM={emulator.realm!r}, B2FIELDS_BUCKET={bucket!r},
    B2FIELDS_APPLICATION_KEY_ID={emulated.KEY_ID!r}, B2FIELDS_APPLICATION_KEY={emulated.KEY!r},
)
django.setup()
from django.core.files.base import ContentFile
from b2fields import B2Storage
{report[0]}
import {module}
storage = B2Storage(overwrite=True)
storage.save("a.txt", ContentFile(b"content"))
assert storage.open("a.txt").read() == b"content"
assert not storage.exists("missing")
{report[1]}
"""
        return run(code, path=[str(tmp_path)])

    return project


PROMETHEUS = ("", "from prometheus_client import generate_latest; print(generate_latest().decode())")
OPENTELEMETRY = (
    """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
""",
    """
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                value = point.value if hasattr(point, "value") else f"count {point.count}"
                print(scope.scope.name, metric.name, sorted(map(str, point.attributes.values())), value)
""",
)


def test_the_example_for_prometheus_counts(project):
    lines = project("b2_prometheus", PROMETHEUS).splitlines()
    for line in (
        'b2_requests_total{operation="b2_upload_file",price_class="A",status="200"} 1.0',
        'b2_requests_total{operation="b2_authorize_account",price_class="C",status="200"} 1.0',
        'b2_requests_total{operation="head_file_by_name",price_class="B",status="404"} 1.0',
        'b2_bytes_total{direction="sent",operation="b2_upload_file"} 7.0',
        'b2_bytes_total{direction="received",operation="b2_download_file_by_name"} 7.0',
        'b2_answer_seconds_count{operation="b2_download_file_by_name"} 1.0',
    ):
        assert line in lines


def test_the_example_for_opentelemetry_counts(project):
    lines = project("b2_opentelemetry", OPENTELEMETRY).splitlines()
    for line in (
        "b2fields b2.requests ['200', 'A', 'b2_upload_file'] 1",
        "b2fields b2.requests ['404', 'B', 'head_file_by_name'] 1",
        "b2fields b2.bytes ['b2_upload_file', 'sent'] 7",
        "b2fields b2.bytes ['b2_download_file_by_name', 'received'] 7",
        "b2fields b2.request.duration ['b2_download_file_by_name'] count 1",
    ):
        assert line in lines
