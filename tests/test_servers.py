"""Real servers, ASGI and WSGI: memory, clients that leave, broken bodies, and paths on the wire."""

import hashlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPConnection

import httpx
import pytest

from tests.serving import GET, connections, opened_by, put
from tests.serving.servers import Server, settled, until
from tests.test_names import ODD_PATHS

MEBIBYTE = 1024 * 1024
LARGE = b"".join(hashlib.sha256(bytes([n])).digest() * (MEBIBYTE // 32) for n in range(40))


@pytest.fixture(scope="module")
def served_bucket(emulator_process, b2_api):
    return b2_api.create_bucket("served-by-servers", "allPrivate").name


@pytest.fixture(scope="module", params=["asgi", "gunicorn", "wsgi"])
def running(request, emulator_process, served_bucket, tmp_path_factory):
    database = tmp_path_factory.mktemp(request.param) / "database.sqlite3"
    server = Server(request.param, database, emulator_process.realm, served_bucket)
    put(emulator_process, served_bucket, "small.txt", b"the file")
    put(emulator_process, served_bucket, "large.bin", LARGE)
    for name in ("small.txt", "large.bin"):
        server.hold(name)
    assert server.client.get(SMALL_URL).text == "the file"
    yield server
    server.close()


@pytest.fixture
def server(running, emulator_process):
    emulator_process.heal()
    emulator_process.clear()
    yield running
    emulator_process.heal()


URL = "/b2/legal.contract.cover/large.bin"
SMALL_URL = "/b2/legal.contract.cover/small.txt"
BY_ID = "b2_download_file_by_id"

# For tests that need several connections: others count them, and idle ones would be among them.
AND_CLOSE = {"headers": {"Connection": "close"}}

only_under = partial(pytest.mark.parametrize, "running", indirect=True)


def asked_for(emulator_process):
    """Return what was asked of B2, but for downloads of clients that left in an earlier test."""
    return [operation for operation in emulator_process.operations() if operation != BY_ID]


@contextmanager
def reader(server, url=URL):
    """Ask for a file through small buffers: else much of it would fit into the kernel's."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        yield connection


def digest_of(chunks):
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()


LARGE_DIGEST = digest_of([LARGE])


def test_a_large_file_arrives_whole_and_in_bounded_memory(server, emulator_process):
    with (
        server.assert_memory_grows_less_than(8 * MEBIBYTE),
        server.client.stream("GET", URL) as response,
    ):
        assert (response.status_code, response.headers["Content-Length"]) == (200, str(len(LARGE)))
        assert digest_of(response.iter_raw()) == LARGE_DIGEST
    assert emulator_process.operations() == [GET]


@only_under(["asgi"])
def test_downloads_one_after_another_read_in_one_thread(server):
    server.client.get(URL)
    threads = settled(server.threads)
    for _ in range(3):
        server.client.get(URL)
    assert settled(server.threads) <= threads


def test_many_downloads_at_once_arrive_whole_and_in_bounded_memory(server, emulator_process):
    def download(_):
        with server.client.stream("GET", URL, headers={"Range": f"bytes=0-{10 * MEBIBYTE - 1}"}) as response:
            return digest_of(response.iter_raw())

    emulator_process.fault(GET, times=30, **AND_CLOSE)
    with server.assert_memory_grows_less_than(30 * 4 * MEBIBYTE), ThreadPoolExecutor(30) as clients:
        assert set(clients.map(download, range(30))) == {digest_of([LARGE[: 10 * MEBIBYTE]])}
    assert emulator_process.operations() == [GET] * 30


def test_a_reader_that_stops_reading_stops_the_reading_from_b2(server, emulator_process):
    def bytes_sent():
        return emulator_process.requests()[0]["bytes_sent"]

    with reader(server) as slow:
        # What the kernels' buffers hold is all that leaves B2.
        slow.recv(1, socket.MSG_PEEK)
        sent = settled(bytes_sent)
        assert 0 < sent < len(LARGE) / 2
        answer = b"".join(iter(lambda: slow.recv(MEBIBYTE), b""))
    assert digest_of([answer.partition(b"\r\n\r\n")[2]]) == LARGE_DIGEST
    assert emulator_process.operations() == [GET]


@only_under(["asgi"])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"delay": 60}, id="before the first byte"),
        pytest.param({"stall_after": 1000}, id="in the middle"),
    ],
)
def test_downloads_that_b2_lets_wait_hold_up_nobody_else(fault, server, emulator_process):
    emulator_process.fault(GET, times=40, **fault)
    emulator_process.fault(BY_ID, times=None, delay=60)
    emulator_process.fault(GET, **AND_CLOSE)
    with ExitStack() as readers:
        for _ in range(40):
            readers.enter_context(reader(server))
        # All at once: each gives up after two seconds, and a few at a time would not get there.
        until(lambda: emulator_process.operations().count(GET) == 40)
        begun = time.monotonic()
        assert server.client.get(SMALL_URL).text == "the file"
        assert time.monotonic() - begun < 2
    until(lambda: server.connections_to_b2() == 0)


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
    assert response.headers["Location"] == "/admin/login/?next=/b2l/legal.contract.minutes/private.txt"
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
    with reader(server) as leaving:
        until(lambda: any(r["bytes_sent"] for r in emulator_process.requests()))
        while patience > 0:
            patience -= len(leaving.recv(patience))
    until(lambda: server.connections_to_b2() == 0)
    assert [r["operation"] for r in emulator_process.requests()] == [GET]
    assert emulator_process.requests()[0]["bytes_sent"] < len(LARGE) * 3 / 4
    assert server.client.get(SMALL_URL).text == "the file"


def test_a_client_that_leaves_while_b2_is_silent_makes_the_server_leave_in_the_end(server, emulator_process):
    emulator_process.fault(GET, stall_after=MEBIBYTE)
    emulator_process.fault(BY_ID, times=None, cut_after=0)
    with socket.create_connection(("127.0.0.1", server.port), 20) as leaving:
        leaving.sendall(f"GET {URL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: any(r["bytes_sent"] for r in emulator_process.requests()))
        leaving.recv(1000)
    until(lambda: server.connections_to_b2() == 0)


def test_the_database_is_let_go_before_the_file_is_sent(server, emulator_process):
    emulator_process.fault(GET, stall_after=MEBIBYTE)
    emulator_process.fault(BY_ID, times=None, status=503)
    with socket.create_connection(("127.0.0.1", server.port), 20) as waiting:
        waiting.sendall(f"GET {URL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert waiting.recv(12) == b"HTTP/1.1 200"
        assert str(server.database) not in opened_by(server.pid)


def test_a_body_that_breaks_off_for_good_is_visibly_short(server, emulator_process):
    emulator_process.fault(GET, cut_after=5 * MEBIBYTE)
    emulator_process.fault(BY_ID, times=None, status=503, code="service_unavailable")
    status, answer = server.raw(URL)
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert status == 200
    assert f"content-length: {len(LARGE)}".encode() in headers.lower()
    assert body == LARGE[: len(body)]
    assert len(body) <= 5 * MEBIBYTE


# Of Django's development server, which keeps even a connection whose answer broke off, "close" must be asked.
@only_under(["asgi", "gunicorn"])
def test_a_client_that_keeps_its_connection_sees_a_short_body_too(server, emulator_process):
    emulator_process.fault(GET, cut_after=5 * MEBIBYTE)
    emulator_process.fault(BY_ID, times=None, status=503, code="service_unavailable")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        server.client.get(URL)
    emulator_process.heal()
    assert server.client.get(SMALL_URL).text == "the file"


def test_a_body_that_breaks_off_is_resumed_unseen(server, emulator_process):
    emulator_process.fault(GET, cut_after=5 * MEBIBYTE)
    response = server.client.get(URL)
    assert digest_of([response.content]) == LARGE_DIGEST
    assert emulator_process.operations() == [GET, BY_ID]


TAG = "the ETag of the file"


@pytest.mark.parametrize(
    ("method", "url", "headers", "status"),
    [
        pytest.param("HEAD", URL, {}, 200, id="a HEAD"),
        pytest.param("HEAD", URL, {"Range": "bytes=5-9"}, 200, id="a HEAD with a range"),
        pytest.param("HEAD", URL, {"If-None-Match": TAG}, 304, id="a HEAD of what the client has"),
        pytest.param("HEAD", "/b2/legal.contract.cover/none", {}, 404, id="a HEAD of no file"),
        pytest.param("HEAD", "/b2l/legal.contract.minutes/none", {}, 302, id="a HEAD of the refused"),
        pytest.param("GET", URL, {"If-None-Match": TAG}, 304, id="a 304"),
        pytest.param("GET", URL, {"Range": "bytes=0-9", "If-None-Match": TAG}, 304, id="a 304 with a range"),
        pytest.param("GET", URL, {"Range": f"bytes={len(LARGE)}-"}, 416, id="a 416"),
        pytest.param("GET", URL, {"If-Match": '"another"'}, 412, id="a 412"),
        pytest.param("OPTIONS", URL, {}, 204, id="an OPTIONS"),
    ],
)
def test_an_answer_without_a_body_leaves_the_connection_usable(method, url, headers, status, server):
    tag = server.client.head(URL).headers["ETag"]
    headers = {name: tag if value is TAG else value for name, value in headers.items()}
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.connect()
        connected = connection.sock
        for _ in range(3):
            connection.request(method, url, headers=headers)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (status, b"")
            connection.request("GET", SMALL_URL)
            assert connection.getresponse().read() == b"the file"
        assert connection.sock is connected


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
    assert asked_for(emulator_process) == []


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
    assert asked_for(emulator_process) == []
    assert server.client.get(SMALL_URL).text == "the file"


def test_a_forked_worker_opens_connections_of_its_own(emulator_process, served_bucket, tmp_path):
    with closing(
        Server("gunicorn", tmp_path / "site.sqlite3", emulator_process.realm, served_bucket)
    ) as server:
        put(emulator_process, served_bucket, "small.txt", b"the file")
        server.hold("small.txt")
        # The parent uses the storage before it forks, and keeps its connection.
        until(lambda: connections(server.process.pid, server.b2_port) == 1)
        assert server.client.get(SMALL_URL).text == "the file"
        assert server.connections_to_b2() == 1
