"""B2FIELDS_DELIVERY = "accel": a real nginx with our nginx.conf, which fetches the files from B2."""

import hashlib
import re
from urllib.parse import quote

import httpx
import pytest

from b2fields import delivery, http
from tests import emulated
from tests.emulator.tools import find
from tests.serving import GET, HEAD, path_of, put
from tests.serving.nginx import SNIPPET, nginx
from tests.serving.servers import Server

GET_OBJECT = "s3_get_object"
LARGE = b"".join(hashlib.sha256(bytes([n])).digest() * 32768 for n in range(8))
NAMES = [
    "a.txt",
    "folder/a b.txt",
    "ordner/schöner+name.pdf",
    "100%.txt",
    "what?.txt",
    "a#b.txt",
    "a&b=c;d.txt",
    'it\'s (1), "quoted"!.txt',
    "文書.png",
    "%2e%2e/%41.txt",
    "@evil.example/x.txt",
    "<script>.html",
    "file/in a folder of this name.txt",
]


@pytest.fixture(scope="module")
def nginx_bucket(emulator_process, b2_api):
    return b2_api.create_bucket("served-by-nginx", "allPrivate").name


@pytest.fixture(scope="module", params=["an application key", "the master key"])
def site(request, emulator_process, nginx_bucket, b2_api, tmp_path_factory):
    """The test project behind nginx; ``behind`` is Django itself."""
    program = find("nginx")
    key = (emulated.KEY_ID, emulated.KEY)
    if request.param == "an application key":
        made = b2_api.create_key(
            ["listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles", "shareFiles"], "nginx"
        )
        key = (made.id_, made.application_key)
    folder = tmp_path_factory.mktemp("nginx")
    server = Server("wsgi", folder / "site.sqlite3", emulator_process.realm, nginx_bucket, key, "accel")
    server.is_master = request.param == "the master key"
    put(emulator_process, nginx_bucket, "large.bin", LARGE)
    server.hold("large.bin")
    with nginx(program, folder, server.port, emulator_process.realm) as port:
        server.behind = server.client
        server.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20)
        yield server
        server.behind.close()
        server.close()


@pytest.fixture
def served(site, emulator_process, nginx_bucket):
    """Put a public file behind the back of b2fields, and return its path."""
    emulator_process.heal()
    emulator_process.clear()

    def make(name="a.txt", data=b"the file", **values):
        put(emulator_process, nginx_bucket, name, data, **values)
        site.hold(name)
        emulator_process.clear()
        return path_of("legal.contract.cover", quote(name))

    yield make
    emulator_process.heal()


LARGE_PATH = path_of("legal.contract.cover", "large.bin")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_arrives_whole_with_the_headers_of_the_site(name, site, served):
    path = served(name, content_type="text/html", **{"b2-content-disposition": "inline"})
    response = site.client.get(path)
    assert (response.status_code, response.content) == (200, b"the file")
    expected = http.file_headers("public", name, download=False)
    assert {header: response.headers.get_list(header) for header in expected} == {
        header: [value] for header, value in expected.items()
    }
    assert response.headers["ETag"] == site.behind.head(path).headers["ETag"]
    assert response.headers["Content-Length"] == "8"
    assert not [
        header for header in response.headers if header.startswith(("x-bz", "x-amz", "x-b2", "x-accel"))
    ]


def test_nginx_fetches_a_file_by_one_request_and_the_site_sends_none_of_it(site, emulator_process, served):
    served()
    site.client.head(LARGE_PATH)  # the site knows the file
    emulator_process.clear()
    assert site.client.get(LARGE_PATH).content == LARGE
    assert site.behind.get(LARGE_PATH).content == b""
    fetched = [GET] if site.is_master else [GET_OBJECT]
    assert [r["operation"] for r in emulator_process.requests() if r["bytes_sent"] >= len(LARGE)] == fetched
    assert HEAD not in emulator_process.operations()


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        pytest.param("bytes=0-0", 206, 0, 0, id="one byte"),
        pytest.param("bytes=1000-1999", 206, 1000, 1999, id="a piece"),
        pytest.param(f"bytes={len(LARGE) - 5}-", 206, len(LARGE) - 5, len(LARGE) - 1, id="an open end"),
        pytest.param("bytes=-7", 206, len(LARGE) - 7, len(LARGE) - 1, id="a suffix"),
        pytest.param("bytes=0-1,5-6", 200, 0, len(LARGE) - 1, id="several are the whole file"),
        pytest.param("bytes=5-2", 200, 0, len(LARGE) - 1, id="a backwards one is the whole file"),
        pytest.param("lines=1-2", 200, 0, len(LARGE) - 1, id="another unit is the whole file"),
    ],
)
def test_ranges_are_those_that_the_site_read(asked, status, first, last, site, served):
    served()
    response = site.client.get(LARGE_PATH, headers={"Range": asked})
    assert (response.status_code, response.content) == (status, LARGE[first : last + 1])
    if status == 206:
        assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(LARGE)}"
    assert response.headers.get_list("Accept-Ranges") == ["bytes"]
    assert response.headers["Content-Disposition"] == 'attachment; filename="large.bin"'
    assert response.headers["Content-Security-Policy"] == http.CSP
    assert response.headers["ETag"] == site.behind.head(LARGE_PATH).headers["ETag"]


def test_a_range_beyond_the_end_is_refused_by_the_site(site, served):
    served()
    response = site.client.get(LARGE_PATH, headers={"Range": f"bytes={len(LARGE)}-"})
    assert (response.status_code, response.headers["Content-Range"]) == (416, f"bytes */{len(LARGE)}")


def test_a_range_of_another_version_is_the_whole_file(site, served):
    served()
    tag = site.behind.head(LARGE_PATH).headers["ETag"]
    of_another = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert site.client.get(LARGE_PATH, headers=of_another).status_code == 200
    of_this = {"Range": "bytes=0-9", "If-Range": tag}
    assert site.client.get(LARGE_PATH, headers=of_this).status_code == 206


def test_what_the_client_has_already_is_not_fetched(site, emulator_process, served):
    served()
    tag = site.behind.head(LARGE_PATH).headers["ETag"]
    emulator_process.clear()
    response = site.client.get(LARGE_PATH, headers={"If-None-Match": tag})
    assert (response.status_code, response.content) == (304, b"")
    assert emulator_process.operations() == []


def test_a_head_is_answered_by_the_site(site, emulator_process, served):
    path = served("nobody knows.txt")
    response = site.client.head(path)
    assert (response.status_code, response.headers["Content-Length"]) == (200, "8")
    assert emulator_process.operations() == [HEAD]


def test_nothing_of_the_visitors_request_reaches_b2(site, emulator_process, served):
    path = served()
    site.client.get(path, headers={"Cookie": "sessionid=secret", "Authorization": "Basic c2VjcmV0"})
    for request in emulator_process.requests():
        assert "secret" not in str(request)
        assert "c2VjcmV0" not in str(request)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Sendfile-Type": "X-Accel-Redirect", "X-Accel-Mapping": "/=/etc/"},
        {"X-Accel-Redirect": "/etc/passwd", "X-Accel-Buffering": "no"},
        {
            "X-Forwarded-Host": "evil.example",
            "X-Original-URL": "/_b2fields/x",
            "X-Rewrite-URL": "/_b2fields/x",
        },
        {"X-B2fields-Range": "bytes=0-0"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_no_header_of_the_visitor_chooses_the_way_or_the_file(headers, site, served):
    path = served()
    assert site.client.get(path, headers=headers).content == b"the file"


@pytest.mark.parametrize("path", ["/_b2fields/", "/_b2fields/x", "/_b2fields/file/served-by-nginx/large.bin"])
def test_the_internal_location_is_closed_to_visitors(path, site, emulator_process, served):
    served()
    assert site.client.get(path).status_code == 404
    assert emulator_process.requests() == []


def test_a_refused_visitor_costs_nothing(site, emulator_process, served):
    served()
    site.hold("large.bin", "minutes")
    response = site.client.get(path_of("legal.contract.minutes", "large.bin"))
    assert response.status_code == 302
    assert emulator_process.requests() == []


def test_a_file_that_b2_lacks_is_a_404_without_b2s_words(
    site, emulator_process, served, b2_api, nginx_bucket
):
    path = served("gone.txt")
    site.client.get(path)
    for version, _ in b2_api.get_bucket_by_name(nginx_bucket).ls("gone.txt", latest_only=False):
        b2_api.delete_file_version(version.id_, version.file_name)
    response = site.client.get(path)
    assert response.status_code == 404
    assert "no-store" in ", ".join(response.headers.get_list("Cache-Control"))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert nginx_bucket not in response.text
    assert not re.search(r"(?i)xml|no_such|NoSuchKey", response.text)


def test_trouble_with_b2_is_a_503(site, emulator_process, served):
    path = served()
    site.client.head(path)
    emulator_process.fault(
        GET if site.is_master else GET_OBJECT, times=None, status=503, message="upstream text"
    )
    response = site.client.get(path)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert "no-store" in ", ".join(response.headers.get_list("Cache-Control"))
    assert "upstream text" not in response.text


def test_what_the_site_hands_to_nginx_opens_this_file_alone_for_a_minute(
    site, emulator_process, served, nginx_bucket
):
    path = served("a b+c.txt")
    target = site.behind.get(path).headers["X-Accel-Redirect"]
    inner = "/file" if site.is_master else ""
    assert target.startswith(f"/_b2fields{inner}/{nginx_bucket}/a%20b%2Bc.txt?")
    link = emulator_process.realm + target.removeprefix("/_b2fields")
    assert httpx.get(link, trust_env=False).content == b"the file"
    other = link.replace("a%20b%2Bc.txt", "large.bin")
    assert httpx.get(other, trust_env=False).status_code in (401, 403)
    emulator_process.set_clock(61)
    try:
        assert httpx.get(link, trust_env=False).status_code in (401, 403)
    finally:
        emulator_process.set_clock(0)


def test_the_snippet_agrees_with_the_code():
    snippet = SNIPPET.read_text()
    assert f"location {delivery.ACCEL_LOCATION}/ {{" in snippet
    assert f'"^{delivery.ACCEL_LOCATION}(?<b2fields_target>/.*)$"' in snippet
    assert f"$upstream_http_{delivery.ACCEL_RANGE.lower().replace('-', '_')}" in snippet
    by_nginx = {"Content-Type", "Content-Disposition", "Cache-Control", "Accept-Ranges"}
    of_the_site = {
        *(
            header
            for level in ("public", "staff")
            for header in http.file_headers(level, "a.txt", download=False)
        ),
        *("ETag", "Last-Modified"),
    }
    added = dict(re.findall(r"(?m)^    add_header (\S+) (.+) always;", snippet.partition("location @")[0]))
    assert added.keys() == of_the_site - by_nginx
    variables = dict(re.findall(r"(?m)^    set (\$\w+) \$upstream_http_(\w+);", snippet))
    for header, value in added.items():
        if value.startswith("$"):
            assert variables[value] == header.lower().replace("-", "_")
        else:
            assert value == http.file_headers("public", "a.txt", download=False)[header]
    hidden = set(re.findall(r"(?m)^    proxy_hide_header (\S+);", snippet))
    assert hidden >= {"Content-Type", "Content-Disposition", "Cache-Control", "Set-Cookie", "ETag", "Expires"}
    for header in http.REFUSAL_HEADERS:
        assert snippet.count(f"add_header {header} ") >= 2  # in both locations of errors
