"""What a file response looks like, what it costs, and what becomes of trouble with B2."""

import os
import re
import socket
import threading
from contextlib import suppress

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils.http import http_date, parse_http_date

from b2fields.exceptions import DamagedFile
from tests.frozen_cache import FrozenCache
from tests.images import encoded, png
from tests.legal.models import Archive, Contract
from tests.serving import (
    AUTHORIZE,
    GET,
    GET_BY_ID,
    HEAD,
    LEVELS,
    body_of,
    full_name,
    hold,
    path_of,
    put,
    signed_in,
    sockets,
    store,
    told,
)

pytestmark = pytest.mark.django_db

BASE_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'; "
    "frame-ancestors 'self'; sandbox"
)
FIELDS = {
    "public": "legal.contract.cover",
    "login": "legal.contract.minutes",
    "staff": "legal.contract.scan",
    "object": "legal.permit.paper",
}
BY_LEVEL = {
    "public": {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"},
    "login": {
        "Cache-Control": "private, no-cache",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Vary": "Cookie",
        "X-Robots-Tag": "noindex",
    },
}
BY_LEVEL["object"] = BY_LEVEL["login"]
BY_LEVEL["staff"] = BY_LEVEL["login"] | {"Cache-Control": "private, no-store"}
OF_EVERY_FILE = {
    "Content-Security-Policy": BASE_CSP,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Accept-Ranges": "bytes",
}
REFUSAL = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Set by SecurityMiddleware of the test project.
OF_THE_PROJECT = {"Cross-Origin-Opener-Policy": "same-origin"}

DATA = bytes(range(256)) * 4
OCTETS = "application/octet-stream"
# What the bytes might be taken for, if a header or a sniffer had its way.
PAGE = b"<html><script>alert(1)</script></html>"


@pytest.fixture
def reader(visitors):
    """A client that may read files of every level."""
    return signed_in(visitors["superuser"])


@pytest.fixture
def file(emulator, bucket):
    """Put a file behind the back of b2fields, and return its URL: nothing is known of it."""

    def make(level="public", name="a.txt", data=DATA, **values):
        label = FIELDS[level]
        put(emulator, bucket, name, data, **values)
        hold(label, name)
        return path_of(label, name)

    return make


def know(client, url):
    """Let b2fields learn what there is to know of a file."""
    assert client.head(url).status_code == 200


# Headers by level


@pytest.mark.parametrize("level", FIELDS)
def test_a_whole_file_has_these_headers_and_no_others(level, reader, file):
    response = reader.get(file(level))
    body = body_of(response)
    headers = dict(response.headers)
    assert re.fullmatch(r'"[0-9a-f]{32}"', headers.pop("ETag"))
    assert parse_http_date(headers.pop("Last-Modified"))
    assert headers == OF_EVERY_FILE | OF_THE_PROJECT | BY_LEVEL[level] | {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": 'inline; filename="a.txt"',
        "Content-Length": "1024",
    }
    assert (response.status_code, body) == (200, DATA)
    assert not response.cookies


@pytest.mark.parametrize("level", FIELDS)
def test_part_of_a_file_has_the_headers_of_the_whole(level, reader, file):
    url = file(level)
    whole = reader.get(url)
    body_of(whole)
    part = reader.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, body_of(part)) == (206, DATA[10:20])
    assert dict(part.headers) == dict(whole.headers) | {
        "Content-Length": "10",
        "Content-Range": "bytes 10-19/1024",
    }


@pytest.mark.parametrize("level", FIELDS)
def test_a_head_has_the_headers_of_the_whole_and_no_body(level, reader, file):
    url = file(level)
    head = reader.head(url)
    whole = reader.get(url)
    body_of(whole)
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == dict(whole.headers)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("level", FIELDS)
def test_an_unchanged_file_has_the_headers_of_the_whole_and_no_body(level, known, reader, file):
    url = file(level)
    whole = reader.get(url)
    body_of(whole)
    if not known:
        cache.clear()
    unchanged = reader.get(url, headers={"If-None-Match": whole.headers["ETag"]})
    assert (unchanged.status_code, body_of(unchanged)) == (304, b"")
    headers = dict(whole.headers)
    headers.pop("Content-Length")
    assert dict(unchanged.headers) == headers | {"Content-Length": "0"} or dict(unchanged.headers) == headers


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("level", FIELDS)
def test_a_range_beyond_the_end_says_the_size_and_nothing_else(level, known, reader, file):
    url = file(level, "a.html", PAGE)
    if known:
        know(reader, url)
    response = reader.get(url, headers={"Range": "bytes=90000-"})
    assert (response.status_code, body_of(response)) == (416, b"")
    assert response.headers["Content-Range"] == f"bytes */{len(PAGE)}"
    assert REFUSAL.items() <= dict(response.headers).items()
    assert "ETag" not in response.headers


@pytest.mark.parametrize("level", FIELDS)
def test_the_headers_do_not_depend_on_any_middleware(level, reader, file, settings):
    url = file(level)
    whole = told(reader.get(url))
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    if level == "public":
        settings.MIDDLEWARE = []
    bare = told(reader.get(url))
    assert bare[1] | OF_THE_PROJECT == whole[1]
    missing = reader.get(path_of(FIELDS[level], "missing.txt"))
    assert REFUSAL.items() <= dict(missing.headers).items()


@pytest.mark.parametrize("level", ["login", "staff", "object"])
def test_a_cookie_is_among_what_a_private_file_varies_by(level, reader, file, settings):
    settings.MIDDLEWARE = [
        "django.middleware.locale.LocaleMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.http.ConditionalGetMiddleware",
    ]
    response = reader.get(file(level))
    body_of(response)
    assert "Cookie" in re.split(r",\s*", response.headers["Vary"])


def test_a_public_file_neither_varies_by_cookies_nor_sets_any(visitors, file):
    url = file("public")
    for kind in ("anonymous", "member"):
        response = signed_in(visitors[kind]).get(url)
        body_of(response)
        assert "Cookie" not in response.headers.get("Vary", "")
        assert not response.cookies


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda client: client, id="a session that is in force"),
        pytest.param(
            lambda client: client.cookies.load({"sessionid": "x" * 32}), id="a session that is over"
        ),
    ],
)
def test_a_response_that_sets_a_cookie_is_never_public(prepare, method, reader, file, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    url = file("public")
    prepare(reader)
    for headers in ({}, {"If-None-Match": "*"}, {"Range": "bytes=0-3"}):
        response = getattr(reader, method)(url, headers=headers)
        body_of(response)
        assert not (response.cookies and "public" in response.headers["Cache-Control"])


def visits(get_response):
    """A middleware that asks who it was, and counts in the session, after each response."""

    def middleware(request):
        response = get_response(request)
        request.session["visits"] = request.session.get("visits", 0) + 1
        response.set_cookie("last-user", str(request.user))
        return response

    return middleware


def test_a_public_file_leaves_the_session_to_the_middleware(file, settings, visitors):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.test_serving.visits"]
    url = file("public")
    client = signed_in(visitors["member"])
    for _ in range(3):
        response = client.get(url)
        assert body_of(response) == DATA
        assert response.cookies["last-user"].value == "member"
        assert response.headers["Cache-Control"] == "private, no-cache"
    assert client.session["visits"] == 3


def test_a_range_is_that_of_the_version_that_b2_has_now(reader, file, emulator, bucket):
    url = file()
    know(reader, url)
    put(emulator, bucket, "a.txt", b"x" * 2000 + b"the end")
    response = reader.get(url, headers={"Range": "bytes=-7"})
    assert (response.status_code, body_of(response)) == (206, b"the end")
    put(emulator, bucket, "a.txt", b"x" * 5000)
    response = reader.get(url, headers={"Range": "bytes=4000-"})
    assert (response.status_code, response.headers["Content-Range"]) == (206, "bytes 4000-4999/5000")
    body_of(response)


@pytest.fixture
def frozen_cache(settings):
    """Return a function after which the cache is read and not written."""
    settings.CACHES = {"default": {"BACKEND": "tests.frozen_cache.FrozenCache"}}
    cache.clear()
    yield lambda: setattr(FrozenCache, "is_frozen", True)
    FrozenCache.is_frozen = False


@pytest.mark.parametrize(
    ("header", "status", "asked"),
    [
        pytest.param("bytes=0-9", 206, [GET, GET], id="a range"),
        pytest.param("bytes=-9", 206, [GET, HEAD, GET], id="the last bytes"),
        pytest.param("bytes=4000-", 416, [GET, HEAD], id="a range that was in the version before"),
        pytest.param("bytes=900000-", 416, [HEAD], id="a range that is in none"),
    ],
)
def test_a_cache_that_stays_behind_costs_a_request_or_two_and_no_more(
    header, status, asked, reader, file, emulator, bucket, frozen_cache
):
    url = file()
    put(emulator, bucket, "a.txt", b"x" * 5000)
    know(reader, url)
    frozen_cache()
    put(emulator, bucket, "a.txt", b"the file is short now")
    emulator.clear()
    response = reader.get(url, headers={"Range": header})
    assert (response.status_code, response.headers["Content-Range"].rpartition("/")[2]) == (status, "21")
    body_of(response)
    assert emulator.operations() == asked


def test_no_byte_at_the_end_is_looked_up_once(reader, file, emulator):
    url = file()
    cache.clear()
    emulator.clear()
    assert reader.get(url, headers={"Range": "bytes=-0"}).status_code == 416
    assert emulator.operations().count(HEAD) == 1


@pytest.mark.django_db(transaction=True)
def test_a_model_without_a_table_yet_holds_no_file(reader, file):
    url = file("public")
    with connection.schema_editor() as editor:
        editor.delete_model(Archive)
    try:
        assert body_of(reader.get(url)) == DATA
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Archive)


def test_a_private_file_is_not_kept_by_djangos_cache(visitors, file, settings):
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    for level in ("login", "staff", "object"):
        url = file(level, f"{level}.txt")
        for method in ("get", "head"):
            mine = getattr(signed_in(visitors["superuser"]), method)(url)
            body_of(mine)
            assert mine.status_code == 200
            assert getattr(signed_in(), method)(url).status_code == 302
            member = getattr(signed_in(visitors["member"]), method)(url)
            body_of(member)
            assert member.status_code == {"login": 200, "staff": 403, "object": 404}[level]


def test_a_compressing_middleware_leaves_files_as_they_are(reader, file, settings):
    url = file("public", "a.txt", b"a line\n" * 1000)
    plain = told(reader.get(url))
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *settings.MIDDLEWARE]
    assert told(reader.get(url, headers={"Accept-Encoding": "gzip"})) == plain


# Headers by content

CLASSES = [
    pytest.param("a.html", OCTETS, "attachment", id="HTML"),
    pytest.param("a.HTML", OCTETS, "attachment", id="HTML in upper case"),
    pytest.param("a.png.html", OCTETS, "attachment", id="HTML behind another extension"),
    pytest.param("a.xhtml", OCTETS, "attachment", id="XHTML"),
    pytest.param("a.xml", OCTETS, "attachment", id="XML"),
    pytest.param("a.js", OCTETS, "attachment", id="JavaScript"),
    pytest.param("a.css", OCTETS, "attachment", id="a style sheet"),
    pytest.param("a.wasm", OCTETS, "attachment", id="WebAssembly"),
    pytest.param("a.swf", OCTETS, "attachment", id="Flash"),
    pytest.param("a.mhtml", OCTETS, "attachment", id="an archived page"),
    pytest.param("a.eml", OCTETS, "attachment", id="a message"),
    pytest.param("a.htc", OCTETS, "attachment", id="a component"),
    pytest.param("a.svg", "image/svg+xml", "attachment", id="SVG"),
    pytest.param("a.SVG", "image/svg+xml", "attachment", id="SVG in upper case"),
    pytest.param("a.pdf", "application/pdf", "attachment", id="PDF"),
    pytest.param("a.svgz", "application/gzip", "attachment", id="packed SVG"),
    pytest.param("a.html.gz", "application/gzip", "attachment", id="packed HTML"),
    pytest.param("a.zip", "application/zip", "attachment", id="an archive"),
    pytest.param("a.csv", "text/csv", "attachment", id="a table"),
    pytest.param("a.json", "application/json", "attachment", id="JSON"),
    pytest.param("a.bin", OCTETS, "attachment", id="an unknown extension"),
    pytest.param("html", OCTETS, "attachment", id="no extension"),
    pytest.param(".html", OCTETS, "attachment", id="nothing but an extension"),
    pytest.param("a.txt", "text/plain; charset=utf-8", "inline", id="text"),
    pytest.param("a.html.txt", "text/plain; charset=utf-8", "inline", id="text behind another extension"),
    pytest.param("a.png", "image/png", "inline", id="an image"),
    pytest.param("a.PNG", "image/png", "inline", id="an image in upper case"),
    pytest.param("a.html.png", "image/png", "inline", id="an image behind another extension"),
    pytest.param("a.mp4", "video/mp4", "inline", id="a video"),
    pytest.param("a.mp3", "audio/mpeg", "inline", id="a sound"),
]


@pytest.mark.parametrize(("name", "content_type", "disposition"), CLASSES)
def test_a_file_goes_out_as_what_its_extension_says(name, content_type, disposition, reader, file):
    url = file("login", name, PAGE)
    whole = reader.get(url)
    body_of(whole)
    asked = [{}, {"Range": "bytes=0-3"}, {"If-None-Match": whole.headers["ETag"]}]
    asked += [{"Service-Worker": "script", "Accept": "text/html", "Sec-Fetch-Dest": "script"}]
    responses = [reader.get(url, headers=headers) for headers in asked] + [reader.head(url)]
    assert [response.status_code for response in responses] == [200, 206, 304, 200, 200]
    for response in responses:
        body_of(response)
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Content-Disposition"] == f'{disposition}; filename="{name}"'
        assert response.headers["Content-Security-Policy"] == BASE_CSP
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("level", FIELDS)
@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.js", "a"])
def test_no_level_makes_an_active_file_inline(name, level, reader, file):
    response = reader.get(file(level, name, PAGE))
    assert body_of(response) == PAGE
    assert response.headers["Content-Disposition"].startswith("attachment;")
    assert "html" not in response.headers["Content-Type"]
    assert "script" not in response.headers["Content-Type"]
    assert "sandbox" in response.headers["Content-Security-Policy"].split("; ")


@pytest.mark.parametrize(
    ("name", "query", "expected"),
    [
        pytest.param("a.txt", "?download=1", "attachment", id="what is shown can be saved"),
        pytest.param("a.png", "?download=1", "attachment", id="an image can be saved"),
        pytest.param("a.html", "?download=1", "attachment", id="a page is saved anyhow"),
        pytest.param("a.txt", "?download=0", "inline", id="only 1 says so"),
        pytest.param("a.txt", "?download=", "inline", id="nothing does not say so"),
        pytest.param("a.html", "?download=0", "attachment", id="a page is never shown"),
        pytest.param("a.html", "?download=inline&inline=1", "attachment", id="by no word"),
        pytest.param("a.svg", "?disposition=inline", "attachment", id="nor is an SVG"),
    ],
)
def test_the_query_can_only_turn_showing_into_saving(name, query, expected, reader, file):
    response = reader.get(file("login", name, PAGE) + query)
    assert body_of(response) == PAGE
    assert response.headers["Content-Disposition"] == f'{expected}; filename="{name}"'


@pytest.mark.parametrize(
    "name",
    [
        'folder/a"b.txt',
        "100%25;.txt",
        "a;b='c'.txt",
        "文件 é.pdf",
        "文" * 80 + ".pdf",
        "a\u202etxt.exe",
        "x" * 246 + ".pdf",
        "\uff02\uff1b\u2028.txt",
    ],
    ids=ascii,
)
def test_any_name_makes_one_valid_content_disposition(name, reader, file):
    row = Contract(minutes=name)
    file("login", name)
    response = reader.get(row.minutes.url)
    body_of(response)
    assert response.status_code == 200
    value = response.headers["Content-Disposition"]
    assert re.fullmatch(
        r'(inline|attachment); filename="[^"\\\x00-\x1f\x7f-\uffff]+"'
        r"(; filename\*=UTF-8''[A-Za-z0-9%._~-]+)?",
        value,
    )
    assert len(response.serialize_headers().split(b"\r\n")) == len(response.headers)


# Nothing of B2's own

HOSTILE = {
    "Set-Cookie": "sessionid=stolen",
    "Content-Type": "text/html",
    "Content-Disposition": "inline",
    "Content-Encoding": "gzip",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Cache-Control": "public, max-age=31536000, immutable",
    "Expires": "Fri, 01 Jan 2100 00:00:00 GMT",
    "Location": "https://evil.example/",
    "Refresh": "0; url=https://evil.example/",
    "Clear-Site-Data": '"*"',
    "Content-Security-Policy": "default-src *",
    "X-Frame-Options": "ALLOWALL",
    "Service-Worker-Allowed": "/",
    "Link": "<https://evil.example/x.css>; rel=stylesheet",
    "ETag": '"theirs"',
    "Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT",
    "Vary": "*",
    "X-Bz-Info-hostile": "%0d%0aX-Injected: yes",
    "X-Anything": "at all",
}


@pytest.mark.parametrize("level", FIELDS)
@pytest.mark.parametrize(
    "headers", [{}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"}], ids=["whole", "range", "unchanged"]
)
def test_nothing_but_the_body_and_its_length_comes_from_b2(headers, level, reader, file, emulator):
    url = file(level)
    expected = told(reader.get(url, headers=headers))
    cache.clear()
    emulator.fault(GET, times=None, extra_headers=HOSTILE)
    assert told(reader.get(url, headers=headers)) == expected


@pytest.mark.parametrize("level", FIELDS)
def test_nothing_of_b2s_answer_to_a_head_is_passed_on(level, reader, file, emulator):
    url = file(level)
    expected = told(reader.head(url))
    cache.clear()
    emulator.fault(HEAD, extra_headers=HOSTILE)
    assert told(reader.head(url)) == expected


def test_what_was_stored_with_the_file_is_not_passed_on(reader, file):
    stored = {"b2-content-disposition": "inline", "b2-cache-control": "public", "b2-content-language": "xx"}
    plain = reader.get(file("login", "a.html"))
    dressed = reader.get(file("login", "a.html", **stored))
    for response in (plain, dressed):
        body_of(response)
        del response.headers["ETag"], response.headers["Last-Modified"]
    assert dict(plain.headers) == dict(dressed.headers)


# Ranges


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        pytest.param("bytes=0-0", 0, 0, id="the first byte"),
        pytest.param("bytes=100-199", 100, 199, id="some bytes"),
        pytest.param("bytes=1000-", 1000, 1023, id="from there to the end"),
        pytest.param("bytes=0-", 0, 1023, id="from the start to the end"),
        pytest.param("bytes=-24", 1000, 1023, id="the last bytes"),
        pytest.param("bytes=-5000", 0, 1023, id="more last bytes than there are"),
        pytest.param("bytes=1000-5000", 1000, 1023, id="an end beyond the file"),
        pytest.param("bytes=1023-1023", 1023, 1023, id="the last byte"),
    ],
)
def test_a_range_is_fetched_as_a_range(header, first, last, known, reader, file, emulator):
    url = file()
    if known:
        know(reader, url)
    emulator.clear()
    response = reader.get(url, headers={"Range": header})
    assert (response.status_code, body_of(response)) == (206, DATA[first : last + 1])
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/1024"
    assert response.headers["Content-Length"] == str(last - first + 1)
    assert sum(r["bytes_sent"] for r in emulator.requests() if r["operation"] == GET) == last - first + 1


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    "header",
    [
        pytest.param("bytes=5-2", id="backwards"),
        pytest.param("bytes=0-1,3-4", id="two of them"),
        pytest.param("bytes=" + ",".join(["0-"] * 10_000), id="ten thousand of them"),
        pytest.param("bytes=0-" + "9" * 5000, id="5,000 digits"),
        pytest.param("bytes=" + "9" * 5000 + "-", id="5,000 digits at the start"),
        pytest.param("bytes=-" + "9" * 5000, id="5,000 digits of a suffix"),
        pytest.param("bytes=" + " " * 256 + "0-1", id="over 256 bytes"),
        pytest.param("bytes=\u0661-\u0662", id="digits of another script"),
        pytest.param("bytes=one-two", id="words"),
        pytest.param("lines=0-1", id="another unit"),
        pytest.param("", id="empty"),
    ],
)
def test_a_range_that_makes_no_sense_is_the_whole_file(header, known, reader, file, emulator):
    url = file()
    if known:
        know(reader, url)
    emulator.clear()
    response = reader.get(url, headers={"Range": header})
    assert (response.status_code, body_of(response)) == (200, DATA)
    assert "Content-Range" not in response.headers
    assert [r["range"] for r in emulator.requests() if r["operation"] == GET] == [None]


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-0"])
def test_an_empty_file_has_no_range(header, reader, file):
    url = file("public", "empty.txt", b"")
    whole = reader.get(url)
    assert (whole.status_code, body_of(whole), whole.headers["Content-Length"]) == (200, b"", "0")
    response = reader.get(url, headers={"Range": header})
    assert (response.status_code, body_of(response)) == (416, b"")
    assert response.headers["Content-Range"] == "bytes */0"


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("condition", "status"),
    [
        pytest.param("{etag}", 206, id="the file's tag"),
        pytest.param("{modified}", 206, id="the file's time"),
        pytest.param("W/{etag}", 200, id="the file's tag, but weak"),
        pytest.param('"another"', 200, id="another tag"),
        pytest.param("Sat, 01 Jan 2000 00:00:00 GMT", 200, id="an earlier time"),
        pytest.param("Fri, 01 Jan 2100 00:00:00 GMT", 200, id="a later time"),
        pytest.param("*", 200, id="an asterisk"),
        pytest.param("nonsense", 200, id="nonsense"),
        pytest.param("", 200, id="nothing"),
    ],
)
def test_if_range_wants_exactly_this_version(condition, status, known, reader, file):
    url = file()
    head = reader.head(url)
    condition = condition.format(etag=head.headers["ETag"], modified=head.headers["Last-Modified"])
    if not known:
        cache.clear()
    response = reader.get(url, headers={"Range": "bytes=0-9", "If-Range": condition})
    assert (response.status_code, body_of(response)) == (status, DATA[:10] if status == 206 else DATA)


def test_if_range_means_the_file_that_b2_has_now(reader, file, emulator, bucket):
    url = file()
    head = reader.head(url)
    put(emulator, bucket, "a.txt", b"another file altogether")
    response = reader.get(url, headers={"Range": "bytes=5-9", "If-Range": head.headers["ETag"]})
    assert (response.status_code, body_of(response)) == (200, b"another file altogether")


# Conditions


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        pytest.param({"If-None-Match": "{etag}"}, 304, id="the file's tag"),
        pytest.param({"If-None-Match": "W/{etag}"}, 304, id="the file's tag as a weak one"),
        pytest.param({"If-None-Match": '"other", {etag}'}, 304, id="one of several tags"),
        pytest.param({"If-None-Match": "*"}, 304, id="any version"),
        pytest.param({"If-None-Match": '"other"'}, 200, id="another tag"),
        pytest.param({"If-Modified-Since": "{modified}"}, 304, id="the file's time"),
        pytest.param({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304, id="a later time"),
        pytest.param({"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200, id="an earlier time"),
        pytest.param({"If-Modified-Since": "nonsense"}, 200, id="a time that is none"),
        pytest.param(
            {"If-None-Match": '"other"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
            200,
            id="a tag before a time",
        ),
        pytest.param({"If-Match": "{etag}"}, 200, id="only this version"),
        pytest.param({"If-Match": '"other"'}, 412, id="only another version"),
        pytest.param(
            {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412, id="only an older version"
        ),
        pytest.param({"If-None-Match": "{etag}", "Range": "bytes=0-1"}, 304, id="a condition before a range"),
        pytest.param({"If-None-Match": "{etag}", "Range": "bytes=90000-"}, 304, id="and before a bad one"),
    ],
)
def test_conditions(conditions, status, known, method, reader, file):
    url = file()
    head = reader.head(url)
    values = {"etag": head.headers["ETag"], "modified": head.headers["Last-Modified"]}
    if not known:
        cache.clear()
    headers = {name: value.format(**values) for name, value in conditions.items()}
    response = getattr(reader, method)(url, headers=headers)
    body = body_of(response)
    assert response.status_code == status
    assert body == (DATA if (status, method) == (200, "get") else b"")
    if status == 412:
        assert REFUSAL.items() <= dict(response.headers).items()


def test_a_new_version_has_a_new_tag(reader, emulator, settings):
    row = store("legal.contract.cover", "a.txt")
    first = reader.head(row.cover.url)
    row.cover.storage.delete(row.cover.name)
    put(emulator, settings.B2FIELDS_BUCKET, row.cover.name, b"the file")
    second = reader.head(row.cover.url)
    assert first.headers["ETag"] != second.headers["ETag"]
    assert parse_http_date(second.headers["Last-Modified"]) >= parse_http_date(first.headers["Last-Modified"])


def test_last_modified_is_when_b2_got_the_file(reader, emulator, bucket):
    version = put(emulator, bucket, "a.txt", DATA, src_last_modified_millis="946684800000")
    hold("legal.contract.cover", "a.txt")
    head = reader.head("/b2/legal.contract.cover/a.txt")
    assert head.headers["Last-Modified"] == http_date(version.upload_timestamp // 1000)


# What it costs


@pytest.mark.parametrize(
    ("method", "headers", "known", "expected"),
    [
        pytest.param("get", {}, True, [GET], id="a known file"),
        pytest.param("get", {}, False, [GET], id="an unknown file"),
        pytest.param("get", {"Range": "bytes=0-9"}, True, [GET], id="a range of a known file"),
        pytest.param("get", {"Range": "bytes=0-9"}, False, [GET], id="a range of an unknown file"),
        pytest.param("get", {"Range": "bytes=9-"}, False, [GET], id="the rest of an unknown file"),
        pytest.param("get", {"Range": "bytes=-9"}, True, [GET], id="the end of a known file"),
        pytest.param("get", {"Range": "bytes=-9"}, False, [HEAD, GET], id="the end of an unknown file"),
        pytest.param("get", {"Range": "bytes=90000-"}, True, [HEAD], id="beyond the end of a known file"),
        pytest.param("get", {"If-None-Match": "*"}, True, [], id="304 of a known file"),
        pytest.param("get", {"If-None-Match": "*"}, False, [GET], id="304 of an unknown file"),
        pytest.param("head", {}, True, [], id="HEAD of a known file"),
        pytest.param("head", {}, False, [HEAD], id="HEAD of an unknown file"),
        pytest.param("head", {"If-None-Match": "*"}, True, [], id="HEAD and 304 of a known file"),
        pytest.param("head", {"If-None-Match": "*"}, False, [HEAD], id="HEAD and 304 of an unknown file"),
        pytest.param("head", {"Range": "bytes=0-9"}, True, [], id="HEAD of a range of a known file"),
    ],
)
def test_requests_of_one_answer(method, headers, known, expected, reader, file, emulator):
    url = file("login")
    know(reader, url)
    if not known:
        cache.clear()
    with emulator.counted() as spent:
        body_of(getattr(reader, method)(url, headers=headers))
    assert spent == expected


@pytest.mark.parametrize("label", LEVELS)
def test_showing_a_link_costs_nothing(label, emulator, bucket):
    put(emulator, bucket, full_name(label, "a.txt"))
    row = hold(label, "a.txt")
    field = label.rpartition(".")[2]
    with emulator.counted() as spent:
        assert getattr(row, field).url == path_of(label, "a.txt")
        assert str(getattr(row, field)) == "a.txt"
        assert full_name(label, "a.txt").endswith("a.txt")
    assert spent == []


def test_what_an_upload_told_is_known(reader, emulator):
    row = store("legal.contract.cover", "a.txt", DATA)
    with emulator.counted() as spent:
        head = reader.head(row.cover.url)
        unchanged = reader.get(row.cover.url, headers={"If-None-Match": head.headers["ETag"]})
    assert (head.headers["Content-Length"], unchanged.status_code, spent) == ("1024", 304, [])


def test_what_a_download_told_is_known(reader, file, emulator):
    url = file()
    body_of(reader.get(url, headers={"Range": "bytes=0-0"}))
    with emulator.counted() as spent:
        assert reader.head(url).headers["Content-Length"] == "1024"
    assert spent == []


def test_with_the_cache_of_metadata_off_each_look_asks_b2(reader, file, emulator, settings):
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    url = file()
    know(reader, url)
    with emulator.counted() as spent:
        know(reader, url)
        body_of(reader.get(url))
    assert spent == [HEAD, GET]


def test_a_head_fetches_no_body(reader, file, emulator):
    url = file("public", "a.txt", b"x" * 100_000)
    emulator.clear()
    know(reader, url)
    assert sum(r["bytes_sent"] for r in emulator.requests() if r["operation"] in (GET, HEAD)) == 0


def test_a_thousand_unknown_names_cost_nothing(reader, emulator):
    with emulator.counted() as spent:
        statuses = {reader.get(f"/b2/legal.contract.cover/{n}.txt").status_code for n in range(1000)}
    assert (statuses, spent) == ({404}, [])


# Trouble with B2

UPSTREAM = "upstream text that tells bucket and token"


def unavailable(response):
    """Check a 503 of ours and return what else there is to know."""
    body = body_of(response)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert REFUSAL.items() <= dict(response.headers).items()
    assert not {"ETag", "Last-Modified", "Content-Disposition", "Content-Range"} & set(response.headers)
    assert b"upstream" not in body
    return body


def test_an_expired_token_is_renewed_once_and_unseen(reader, file, emulator):
    url = file()
    know(reader, url)
    emulator.expire_tokens()
    with emulator.counted() as spent:
        response = reader.get(url)
        assert (response.status_code, body_of(response)) == (200, DATA)
    assert spent == [GET, AUTHORIZE, GET]
    with emulator.counted() as spent:
        assert body_of(reader.get(url)) == DATA
    assert spent == [GET]


def test_an_expired_token_is_renewed_for_a_head_too(reader, file, emulator):
    url = file()
    know(reader, url)
    cache.clear()
    emulator.expire_tokens()
    with emulator.counted() as spent:
        know(reader, url)
    assert spent == [HEAD, AUTHORIZE, HEAD]


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 401, "code": "expired_auth_token"}, id="401 for ever"),
        pytest.param({"status": 401, "code": "bad_auth_token"}, id="401 for a bad token"),
        pytest.param({"status": 401, "code": "unauthorized"}, id="401 for lack of a capability"),
        pytest.param({"status": 403, "code": "download_cap_exceeded"}, id="403 for the download cap"),
        pytest.param({"status": 403, "code": "transaction_cap_exceeded"}, id="403 for the transaction cap"),
        pytest.param({"status": 403, "code": "access_denied"}, id="403 for no reason"),
        pytest.param({"status": 408, "code": "request_timeout"}, id="408"),
        pytest.param({"status": 429, "code": "too_many_requests"}, id="429"),
        pytest.param(
            {"status": 429, "code": "too_many_requests", "headers": {"Retry-After": "60"}}, id="429, later"
        ),
        pytest.param({"status": 500, "code": "internal_error"}, id="500"),
        pytest.param({"status": 503, "code": "service_unavailable"}, id="503"),
        pytest.param(
            {"status": 503, "code": "x", "headers": {"Retry-After": "soon"}}, id="503 with a bad Retry-After"
        ),
        pytest.param({"status": 400, "code": "bad_request"}, id="400"),
        pytest.param({"status": 405, "code": "method_not_allowed"}, id="405"),
        pytest.param({"status": 409, "code": "conflict"}, id="409"),
    ],
)
@pytest.mark.filterwarnings("ignore:bad request exception with an unknown `code`:UserWarning")
def test_an_error_of_b2_is_a_503_of_ours(fault, method, reader, file, emulator, settings):
    settings.B2FIELDS_RETRIES = 0
    url = file()
    know(reader, url)
    cache.clear()
    emulator.fault(GET if method == "get" else HEAD, times=None, message=UPSTREAM, **fault)
    unavailable(getattr(reader, method)(url))
    emulator.heal()
    response = getattr(reader, method)(url)
    assert response.status_code == 200
    body_of(response)


def test_a_hiccup_of_b2_is_tried_again_unseen(reader, file, emulator):
    url = file()
    know(reader, url)
    emulator.fault(GET, status=503, code="service_unavailable")
    with emulator.counted() as spent:
        assert body_of(reader.get(url)) == DATA
    assert spent == [GET, GET]


def test_tries_come_to_an_end(reader, file, emulator, settings):
    settings.B2FIELDS_RETRIES = 1
    url = file()
    know(reader, url)
    emulator.fault(GET, times=None, status=503, code="service_unavailable")
    with emulator.counted() as spent:
        unavailable(reader.get(url))
    assert spent == [GET, GET]


def test_trouble_with_authorization_is_a_503_and_not_repeated_at_once(reader, file, emulator, settings):
    url = file()
    settings.B2FIELDS_APPLICATION_KEY = "a wrong key"
    with emulator.counted() as spent:
        for _ in range(3):
            unavailable(reader.get(url))
    assert spent == [AUTHORIZE]


def test_a_b2_that_cannot_be_reached_is_a_503(reader, file, settings):
    url = file()
    settings.B2FIELDS_RETRIES = 0
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{closed.getsockname()[1]}"
        unavailable(reader.get(url))
        unavailable(reader.head(url))


def test_a_b2_that_does_not_answer_in_time_is_a_503(reader, file, emulator, settings):
    url = file()
    know(reader, url)
    settings.B2FIELDS_RETRIES = 0
    settings.B2FIELDS_READ_TIMEOUT = 0.2
    know(reader, url)
    emulator.fault(GET, delay=1)
    unavailable(reader.get(url))


def test_missing_credentials_are_a_503(reader, file, settings, monkeypatch):
    url = file()
    monkeypatch.delenv("B2_APPLICATION_KEY", raising=False)
    settings.B2FIELDS_APPLICATION_KEY = None
    assert (
        unavailable(reader.get(url))
        == b"This file cannot be fetched right now. Please try again in a moment.\n"
    )


TIMES = [
    pytest.param({"X-Bz-Upload-Timestamp": "yesterday"}, id="a time that is no number"),
    pytest.param({"X-Bz-Upload-Timestamp": ""}, id="no time"),
    pytest.param({"X-Bz-Upload-Timestamp": "9" * 30}, id="a time beyond all calendars"),
    pytest.param({"X-Bz-Upload-Timestamp": "-" + "9" * 30}, id="a time before all calendars"),
]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Range": "garbage"}, id="no range"),
        pytest.param({"Content-Range": "bytes 5-9/1024"}, id="another range"),
        pytest.param({"Content-Range": "bytes 0-9/1024"}, id="less than the whole"),
        pytest.param({"Content-Range": "bytes 0-2047/1024"}, id="more than the whole"),
        pytest.param({"Content-Range": "bytes 0-1023/*"}, id="an unknown size"),
        *TIMES,
    ],
)
def test_headers_of_b2_that_make_no_sense_are_a_503(headers, reader, file, emulator):
    url = file()
    know(reader, url)
    cache.clear()
    emulator.fault(GET, extra_headers=headers)
    unavailable(reader.get(url))
    response = reader.get(url)
    assert (response.status_code, body_of(response)) == (200, DATA)


@pytest.mark.parametrize("headers", [pytest.param({"Content-Range": "garbage"}, id="no range"), *TIMES])
def test_headers_of_a_head_that_make_no_sense_are_a_503(headers, reader, file, emulator):
    url = file()
    know(reader, url)
    cache.clear()
    emulator.fault(HEAD, extra_headers=headers)
    unavailable(reader.head(url))
    know(reader, url)


def test_a_lost_file_is_missing_and_not_unavailable(reader, file, emulator):
    url = file()
    know(reader, url)
    cache.clear()
    emulator.fault(GET, status=404, code="not_found", message=UPSTREAM)
    emulator.fault(HEAD, status=404, code="not_found", message=UPSTREAM)
    for response in (reader.get(url), reader.head(url)):
        assert response.status_code == 404
        assert b"upstream" not in body_of(response)
        assert REFUSAL.items() <= dict(response.headers).items()


# A body that breaks off

LARGE = bytes(range(256)) * 4096


@pytest.mark.parametrize(
    "header", [None, "bytes=1000-1000000", "bytes=-900000"], ids=["a whole file", "a range", "a suffix"]
)
@pytest.mark.parametrize("cut", [0, 1, 100_000, 500_001])
def test_a_download_that_is_cut_is_resumed_unseen(cut, header, reader, file, emulator):
    url = file("public", "a.txt", LARGE)
    know(reader, url)
    emulator.fault(GET, cut_after=cut)
    with emulator.counted() as spent:
        response = reader.get(url, headers={"Range": header} if header else {})
        body = body_of(response)
    assert body == {None: LARGE, "bytes=1000-1000000": LARGE[1000:1000001]}.get(header, LARGE[-900000:])
    assert spent == [GET, GET_BY_ID]


def test_a_download_is_resumed_as_often_as_it_gets_on(reader, file, emulator):
    data = LARGE * 6
    url = file("public", "a.txt", data)
    know(reader, url)
    emulator.fault(GET, cut_after=len(LARGE))
    emulator.fault(GET_BY_ID, times=4, cut_after=len(LARGE))
    with emulator.counted() as spent:
        assert body_of(reader.get(url)) == data
    assert spent == [GET, *[GET_BY_ID] * 5]


def test_a_resumed_download_goes_on_with_the_same_version(reader, file, emulator, bucket):
    url = file("public", "a.txt", LARGE)
    know(reader, url)
    emulator.fault(GET, cut_after=500_000)
    response = reader.get(url)
    put(emulator, bucket, "a.txt", b"!" * len(LARGE))
    assert body_of(response) == LARGE


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 503, "code": "service_unavailable", "message": UPSTREAM}, id="B2 is down"),
        pytest.param({"status": 404, "code": "not_found", "message": UPSTREAM}, id="the file is gone"),
        pytest.param({"cut_after": 0}, id="it is cut again"),
        pytest.param({"extra_headers": {"Content-Range": "bytes 0-9/10"}}, id="B2 sends other bytes"),
        pytest.param({"extra_headers": {"Content-Range": "garbage"}}, id="B2 talks nonsense"),
    ],
)
def test_a_download_that_cannot_be_resumed_does_not_end_well(fault, reader, file, emulator, settings):
    settings.B2FIELDS_RETRIES = 0
    url = file("public", "a.txt", LARGE)
    know(reader, url)
    emulator.fault(GET, cut_after=500_000)
    emulator.fault(GET_BY_ID, times=None, **fault)
    response = reader.get(url)
    assert (response.status_code, response.headers["Content-Length"]) == (200, str(len(LARGE)))
    received = []
    with pytest.raises(DamagedFile, match=r"only up to byte|other bytes"):
        received.extend(response.streaming_content)
    response.close()
    assert len(b"".join(received)) < len(LARGE)
    assert LARGE.startswith(b"".join(received))


def test_a_download_that_is_closed_while_it_is_read_leaves_no_bytes_to_the_next(storage, emulator, bucket):
    """Else the rest of a file could pass for B2's answer to another request on the same connection."""
    data = b"HTTP/1.1 200 OK\r\n" * 400_000
    put(emulator, bucket, "a.txt", data)
    port = int(emulator.realm.rpartition(":")[2])
    storage.download("a.txt").close()
    # Others, which tests before have left behind, may end at any time.
    before = sockets(os.getpid(), port)
    for _ in range(20):
        download = storage.download("a.txt")
        assert len(sockets(os.getpid(), port) - before) == 1

        def read(download=download):
            with suppress(ValueError, DamagedFile):
                while download.read():
                    pass

        # As under ASGI, where the one who notices that the client left is not the one who reads.
        reading = threading.Thread(target=read)
        reading.start()
        while not download.position:
            os.sched_yield()
        download.close()
        reading.join()
        # Only one that was read to its end may be used again.
        assert len(sockets(os.getpid(), port) - before) == (download.position == len(data))


# Images


@pytest.mark.parametrize("delivery", ["proxy", "accel"])
@pytest.mark.parametrize(
    ("filename", "data", "content_type"),
    [
        pytest.param("a.jpg", png(3, 2), "image/png", id="a PNG that is named .jpg"),
        pytest.param("a.png", encoded("JPEG"), "image/jpeg", id="a JPEG that is named .png"),
        pytest.param("a.png", encoded("GIF"), "image/gif", id="a GIF that is named .png"),
        pytest.param("photo", encoded("WEBP"), "image/webp", id="a WebP without an extension"),
        pytest.param("a.html", png(3, 2), "image/png", id="a PNG that is named .html"),
        pytest.param("a.png", b"no image", "image/png", id="no image, by its extension"),
    ],
)
def test_an_image_goes_out_as_what_it_is(filename, data, content_type, delivery, emulator, reader, settings):
    settings.B2FIELDS_DELIVERY = delivery
    url = store("legal.picture.image", filename, data).image.url
    for response in (reader.get(url), reader.head(url), reader.get(url, headers={"Range": "bytes=0-3"})):
        body_of(response)
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Content-Disposition"].startswith("inline")


def test_only_an_image_field_tells_a_file_by_its_content(emulator, reader):
    url = store("legal.contract.scan", "a.html", png(3, 2)).scan.url
    response = reader.get(url)
    body_of(response)
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("stored", ["text/html", "image/svg+xml", "application/javascript", "IMAGE/PNG"])
def test_no_other_type_of_b2s_goes_out(stored, emulator, bucket, reader):
    put(emulator, bucket, "a.html", PAGE, content_type=stored)
    hold("legal.picture.image", "a.html")
    response = reader.get(path_of("legal.picture.image", "a.html"))
    body_of(response)
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"].startswith("attachment")
