"""curl as the client: resumption, ranges, conditions and compression, as its users ask for them."""

import hashlib
import re

import pytest

from tests.emulator.tools import Tool, find
from tests.serving import GET, path_of, put
from tests.serving.servers import Server

LARGE = b"".join(hashlib.sha256(bytes([n])).digest() * 32768 for n in range(4))
TEXT = b"".join(b"line %d\n" % n for n in range(1000))


@pytest.fixture(scope="module")
def curl_bucket(emulator_process, b2_api):
    return b2_api.create_bucket("served-to-curl", "allPrivate").name


@pytest.fixture(scope="module", params=["asgi", "gunicorn"])
def running(request, emulator_process, curl_bucket, tmp_path_factory):
    database = tmp_path_factory.mktemp(request.param) / "database.sqlite3"
    server = Server(request.param, database, emulator_process.realm, curl_bucket)
    for name, data in {"digits.bin": b"0123456789", "text.txt": TEXT, "large.bin": LARGE}.items():
        put(emulator_process, curl_bucket, name, data)
        server.hold(name)
    assert server.client.get(path_of("legal.contract.cover", "digits.bin")).content == b"0123456789"
    yield server
    server.close()


@pytest.fixture
def server(running, emulator_process):
    emulator_process.heal()
    emulator_process.clear()
    yield running
    emulator_process.heal()


@pytest.fixture
def curl(tmp_path):
    return Tool((find("curl"), "-q", "-sS", "--noproxy", "*", "--max-time", "20"), {"HOME": str(tmp_path)})


@pytest.fixture
def url(server):
    return lambda name: f"http://127.0.0.1:{server.port}{path_of('legal.contract.cover', name)}"


def test_a_copy_that_was_cut_off_is_resumed_by_the_bytes_that_lack(curl, url, tmp_path, emulator_process):
    copy = tmp_path / "large.bin"
    copy.write_bytes(LARGE[:1_000_003])
    assert curl("-C", "-", "-o", copy, "-w", "%{http_code}", url("large.bin")) == "206"
    assert copy.read_bytes() == LARGE
    assert [r["bytes_sent"] for r in emulator_process.requests()] == [len(LARGE) - 1_000_003]


def test_a_download_that_b2_broke_off_fails_and_is_resumed(curl, url, tmp_path, emulator_process):
    copy = tmp_path / "large.bin"
    emulator_process.fault(GET, cut_after=2_000_000)
    emulator_process.fault("b2_download_file_by_id", times=None, status=503)
    assert re.search(r"curl: \((18|56)\)", curl.fail("-o", copy, url("large.bin")))
    assert copy.read_bytes() == LARGE[: copy.stat().st_size]
    emulator_process.heal()
    curl("-C", "-", "-o", copy, url("large.bin"))
    assert copy.read_bytes() == LARGE


def test_a_copy_that_is_whole_stays_so(curl, url, tmp_path, emulator_process):
    copy = tmp_path / "large.bin"
    copy.write_bytes(LARGE)
    assert curl("-C", "-", "-o", copy, "-w", "%{http_code}", url("large.bin")) == "416"
    assert copy.read_bytes() == LARGE
    assert not any(r["bytes_sent"] for r in emulator_process.requests())


@pytest.mark.parametrize(
    ("asked", "expected", "status"),
    [
        pytest.param("0-0", "0", 206, id="the first byte"),
        pytest.param("2-4", "234", 206, id="a piece"),
        pytest.param("5-", "56789", 206, id="an open end"),
        pytest.param("-5", "56789", 206, id="a suffix"),
        pytest.param("-50", "0123456789", 206, id="a suffix longer than the file"),
        pytest.param("7-50", "789", 206, id="an end beyond the file"),
        pytest.param("0-1,3-4", "0123456789", 200, id="several are the whole file"),
        pytest.param("10-", "", 416, id="beyond the end"),
        pytest.param("-0", "", 416, id="no byte at all"),
    ],
)
def test_a_range_is_answered_as_asked(asked, expected, status, curl, url):
    assert curl("-r", asked, "-w", "%{http_code}", url("digits.bin")) == f"{expected}{status}"


def test_a_head_tells_what_a_get_would(curl, url, emulator_process):
    told = curl("-I", url("large.bin"))
    assert told.startswith("HTTP/1.1 200")
    assert re.search(rf"(?im)^content-length: {len(LARGE)}$", told)
    assert re.search(r"(?im)^accept-ranges: bytes$", told)
    assert GET not in emulator_process.operations()


def test_a_client_that_reads_gzip_gets_the_file_as_it_is(curl, url):
    # GZipMiddleware is on: compressed, the file would have no length, no range and no strong ETag.
    answer = curl("--compressed", "-i", url("text.txt"))
    headers, _, body = answer.partition("\n\n")
    assert body == TEXT.decode()
    assert "content-encoding" not in headers.lower()
    assert re.search(rf"(?im)^content-length: {len(TEXT)}$", headers)
    assert re.search(r'(?im)^etag: "[^"]+"$', headers)


def test_a_copy_as_old_as_the_file_is_not_fetched_again(curl, url, tmp_path, emulator_process):
    copy = tmp_path / "text.txt"
    curl("-R", "-o", copy, url("text.txt"))
    emulator_process.clear()
    assert curl("-z", copy, "-w", "%{http_code}", url("text.txt")) == "304"
    assert emulator_process.operations() == []


def test_a_copy_older_than_the_file_is_fetched_again(curl, url):
    assert curl("-z", "Sat, 01 Jan 2000 00:00:00 GMT", url("text.txt")) == TEXT.decode()


def test_a_copy_of_this_version_is_not_fetched_again(curl, url, tmp_path, emulator_process):
    tag = tmp_path / "tag"
    assert curl("--etag-save", tag, url("text.txt")) == TEXT.decode()
    emulator_process.clear()
    assert curl("--etag-compare", tag, "-w", "%{http_code}", url("text.txt")) == "304"
    assert emulator_process.operations() == []


def test_a_copy_of_another_version_is_fetched_again(curl, url, tmp_path):
    tag = tmp_path / "tag"
    tag.write_text('"of another version"\n')
    assert curl("--etag-compare", tag, url("text.txt")) == TEXT.decode()
