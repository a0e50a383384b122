"""Real servers, ASGI and WSGI: memory, clients that leave, broken bodies, and paths on the wire."""

import hashlib
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests import emulated
from tests.serving import GET, connections, opened_by, put
from tests.test_names import ODD_PATHS

MEBIBYTE = 1024 * 1024
LARGE = b"".join(hashlib.sha256(bytes([n])).digest() * (MEBIBYTE // 32) for n in range(40))


class Server:
    """A server process, and the table that its database and the tests share."""

    def __init__(self, kind, database, realm, bucket):
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.serving.settings",
            "SERVING_DATABASE": str(database),
            "SERVING_REALM": realm,
            "SERVING_KEY_ID": emulated.KEY_ID,
            "SERVING_KEY": emulated.KEY,
            "SERVING_BUCKET": bucket,
        }
        self.kind, self.database = kind, database
        self.b2_port = int(realm.rpartition(":")[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving.run", kind],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=Path(__file__).parent.parent,
        )
        self.port = int(self.process.stdout.readline())
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=20)

    def hold(self, name, column="cover"):
        row = dict.fromkeys(("title", "cover", "minutes", "scan", "dossier"), "") | {column: name}
        with closing(sqlite3.connect(self.database)) as connection, connection:
            columns, marks = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO legal_contract ({columns}) VALUES ({marks})",  # noqa: S608
                list(row.values()),
            )

    def memory(self):
        """Return the most bytes of memory that the process ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def connections_to_b2(self):
        return connections(self.process.pid, self.b2_port)

    def raw(self, path, *headers, method="GET"):
        """Ask for *path* exactly as it is, and return the status and all bytes of the answer."""
        request = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall("\r\n".join(request).encode("latin-1"))
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(answer.split()[1]), answer

    def close(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def until(condition):
    """Wait for what a process does in its own time."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        os.sched_yield()


@pytest.fixture(scope="module")
def served_bucket(emulator_process, b2_api):
    return b2_api.create_bucket("served-by-servers", "allPrivate").name


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def running(request, emulator_process, served_bucket, tmp_path_factory):
    database = tmp_path_factory.mktemp(request.param) / "database.sqlite3"
    server = Server(request.param, database, emulator_process.realm, served_bucket)
    put(emulator_process, served_bucket, "small.txt", b"the file")
    put(emulator_process, served_bucket, "large.bin", LARGE)
    for name in ("small.txt", "large.bin"):
        server.hold(name)
    assert server.client.get("/b2/legal.contract.cover/small.txt").text == "the file"
    yield server
    server.close()


@pytest.fixture
def server(running, emulator_process):
    emulator_process.heal()
    emulator_process.clear()
    yield running
    emulator_process.heal()


URL = "/b2/legal.contract.cover/large.bin"


def test_a_large_file_arrives_whole_and_in_bounded_memory(server, emulator_process):
    before = server.memory()
    digest = hashlib.sha256()
    with server.client.stream("GET", URL) as response:
        assert (response.status_code, response.headers["Content-Length"]) == (200, str(len(LARGE)))
        for chunk in response.iter_raw():
            digest.update(chunk)
    assert digest.digest() == hashlib.sha256(LARGE).digest()
    assert server.memory() - before < 24 * MEBIBYTE
    assert emulator_process.operations() == [GET]


def test_a_range_fetches_that_range_alone(server, emulator_process):
    first, last = 20 * MEBIBYTE - 7, 20 * MEBIBYTE + 300_000
    response = server.client.get(URL, headers={"Range": f"bytes={first}-{last}"})
    assert (response.status_code, response.content) == (206, LARGE[first : last + 1])
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(LARGE)}"
    assert [r["bytes_sent"] for r in emulator_process.requests()] == [last - first + 1]


def test_a_head_carries_the_length_and_no_body(server, emulator_process):
    status, answer = server.raw(URL, method="HEAD")
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert (status, body) == (200, b"")
    assert f"content-length: {len(LARGE)}".encode() in headers.lower()
    assert GET not in emulator_process.operations()


def test_a_refused_visitor_costs_nothing(server, emulator_process):
    server.hold("private.txt", "minutes")
    response = server.client.get("/b2l/legal.contract.minutes/private.txt")
    assert response.status_code == 302
    assert response.headers["Location"] == "/accounts/login/?next=/b2l/legal.contract.minutes/private.txt"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert emulator_process.requests() == []


def test_a_client_that_leaves_before_b2_answers_makes_the_server_leave_b2(server, emulator_process):
    emulator_process.fault(GET, delay=0.5)
    with socket.create_connection(("127.0.0.1", server.port), 20) as leaving:
        leaving.sendall(f"GET {URL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: emulator_process.requests())
    until(lambda: emulator_process.requests()[0]["bytes_sent"])
    until(lambda: server.connections_to_b2() == 0)


@pytest.mark.parametrize("patience", [1, 200_000], ids=["after a byte", "in the middle"])
def test_a_client_that_leaves_makes_the_server_leave_b2(patience, server, emulator_process):
    with socket.socket() as leaving:
        # Else most of the file would fit into the kernel's buffers.
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        leaving.settimeout(20)
        leaving.connect(("127.0.0.1", server.port))
        leaving.sendall(f"GET {URL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: any(r["bytes_sent"] for r in emulator_process.requests()))
        while patience > 0:
            patience -= len(leaving.recv(patience))
    until(lambda: server.connections_to_b2() == 0)
    assert [r["operation"] for r in emulator_process.requests()] == [GET]
    assert emulator_process.requests()[0]["bytes_sent"] < len(LARGE) * 3 / 4
    assert server.client.get("/b2/legal.contract.cover/small.txt").text == "the file"


def test_a_client_that_leaves_while_b2_is_silent_makes_the_server_leave_in_the_end(server, emulator_process):
    emulator_process.fault(GET, stall_after=MEBIBYTE)
    emulator_process.fault("b2_download_file_by_id", times=None, cut_after=0)
    with socket.create_connection(("127.0.0.1", server.port), 20) as leaving:
        leaving.sendall(f"GET {URL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: any(r["bytes_sent"] for r in emulator_process.requests()))
        leaving.recv(1000)
    until(lambda: server.connections_to_b2() == 0)


def test_the_database_is_let_go_before_the_file_is_sent(server, emulator_process):
    emulator_process.fault(GET, stall_after=MEBIBYTE)
    emulator_process.fault("b2_download_file_by_id", times=None, status=503)
    with socket.create_connection(("127.0.0.1", server.port), 20) as waiting:
        waiting.sendall(f"GET {URL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert waiting.recv(12) == b"HTTP/1.1 200"
        assert str(server.database) not in opened_by(server.process.pid)


def test_a_body_that_breaks_off_for_good_is_visibly_short(server, emulator_process):
    emulator_process.fault(GET, cut_after=5 * MEBIBYTE)
    emulator_process.fault("b2_download_file_by_id", times=None, status=503, code="service_unavailable")
    # Without "close", runserver keeps even a connection whose answer broke off.
    status, answer = server.raw(URL, "Connection: close")
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert status == 200
    assert f"content-length: {len(LARGE)}".encode() in headers.lower()
    assert body == LARGE[: len(body)]
    assert len(body) <= 5 * MEBIBYTE


def test_a_body_that_breaks_off_is_resumed_unseen(server, emulator_process):
    emulator_process.fault(GET, cut_after=5 * MEBIBYTE)
    response = server.client.get(URL)
    assert hashlib.sha256(response.content).digest() == hashlib.sha256(LARGE).digest()
    assert emulator_process.operations() == [GET, "b2_download_file_by_id"]


def test_trouble_before_the_first_byte_is_a_503(server, emulator_process):
    emulator_process.fault(GET, times=None, status=503, code="service_unavailable", message="upstream text")
    status, answer = server.raw(URL)
    assert status == 503
    assert b"retry-after:" in answer.lower()
    assert b"private, no-store" in answer
    assert b"upstream" not in answer


@pytest.mark.parametrize(
    "name", ['a"b\u202e;é.txt', "文" * 80 + ".pdf", "100%.html", "a'b+c&d.txt"], ids=ascii
)
def test_a_name_makes_one_header_on_the_wire(name, server, emulator_process, served_bucket):
    put(emulator_process, served_bucket, name)
    server.hold(name)
    path = "".join(f"%{byte:02X}" for byte in name.encode())
    status, answer = server.raw(f"/b2/legal.contract.cover/{path}")
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert (status, body) == (200, b"the file")
    dispositions = re.findall(rb"(?im)^content-disposition:(.*)$", headers)
    assert len(dispositions) == 1
    assert dispositions[0].strip().isascii()
    assert not re.search(rb"(?i)\nx-bz-|\nset-cookie", headers)


def test_an_odd_path_is_not_found_and_costs_nothing(server, emulator_process, served_bucket, make_bucket):
    other = make_bucket()
    for bucket in (served_bucket, other):
        put(emulator_process, bucket, "folder/a.txt")
    emulator_process.clear()
    server.hold("folder/a.txt")
    statuses = {}
    for parameters in ODD_PATHS:
        (raw,) = parameters.values
        status, answer = server.raw("/b2/legal.contract.cover/" + raw.format(other=other))
        assert b"the file" not in answer
        statuses[parameters.id] = status
    # A server may refuse what is no URL, or too long for it, before we see it.
    too_long = {"60,000 bytes": {404, 400, 414, 431}}
    assert {name: s for name, s in statuses.items() if s not in too_long.get(name, {404})} == {}
    assert emulator_process.requests() == []


@pytest.mark.parametrize(
    "target",
    [
        "/b2/legal.contract.cover/../legal.contract.cover/small.txt",
        "/b2/../b2/legal.contract.cover/small.txt",
        "//b2/legal.contract.cover/small.txt.",
        "/b2//legal.contract.cover/small.txt",
        "/b2l/legal.contract.minutes//evil.example/x",
        "/b2l//evil.example/x",
        "http://evil.example/b2/legal.contract.cover/none.txt",
        "/%62%32/legal.contract.cover/none.txt",
        "/b2/legal.contract.cover%2fsmall.txt%00",
        "/b2/legal.contract.cover/small.txt%3f",
        "/b2/legal%2econtract%2ecover/small%2etxt%2e",
    ],
)
def test_an_odd_target_is_neither_found_nor_redirected(target, server, emulator_process):
    status, answer = server.raw(target)
    assert status in (404, 400)
    assert b"evil" not in answer.lower()
    assert emulator_process.requests() == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_method_changes_anything(method, server, emulator_process):
    status, answer = server.raw(
        "/b2/legal.contract.cover/small.txt",
        "Content-Length: 0",
        "X-HTTP-Method-Override: GET",
        method=method,
    )
    assert status in (403, 405)  # the CSRF check of the project comes first for all four
    assert b"the file" not in answer
    assert emulator_process.requests() == []
    assert server.client.get("/b2/legal.contract.cover/small.txt").text == "the file"
