"""Ranges, media types and headers as functions of strings and numbers."""

import re
from urllib.parse import unquote

import pytest

from b2fields import http
from b2fields.http import UnsatisfiableRange, content_disposition, content_type_of, etag_of, parse_range

BASE_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'; "
    "frame-ancestors 'self'; sandbox"
)


# Ranges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("bytes=0-0", (0, 0), id="one byte is a range"),
        pytest.param("bytes=2-5", (2, 5), id="both ends count"),
        pytest.param("bytes=0-9", (0, 9), id="a range may be the whole file"),
        pytest.param("bytes=7-99", (7, 9), id="an end past the file is cut to it"),
        pytest.param("bytes=3-", (3, 9), id="an open range goes to the end"),
        pytest.param("bytes=-3", (7, 9), id="a suffix is the last bytes"),
        pytest.param("bytes=-30", (0, 9), id="a suffix longer than the file is all of it"),
        pytest.param("bytes=0-" + "9" * 200, (0, 9), id="200 digits are a number"),
        pytest.param("BYTES=2-5", (2, 5), id="the unit has no letter case"),
        pytest.param("bytes=007-008", (7, 8), id="leading zeros say nothing"),
        pytest.param("bytes=5-2", None, id="a backwards range is ignored"),
        pytest.param("bytes=-", None, id="a bare hyphen is ignored"),
        pytest.param("bytes=", None, id="no range at all is ignored"),
        pytest.param("", None, id="an empty header is ignored"),
        pytest.param("bytes", None, id="a bare unit is ignored"),
        pytest.param("bytes=a-b", None, id="letters are ignored"),
        pytest.param("bytes=1", None, id="a bare number is ignored"),
        pytest.param("bytes=+1-2", None, id="a sign is ignored"),
        pytest.param("bytes=--5", None, id="two hyphens are ignored"),
        pytest.param("bytes=1-2-3", None, id="three numbers are ignored"),
        pytest.param("bytes=0x0-0x5", None, id="hexadecimal is ignored"),
        pytest.param("bytes=1.0-2.0", None, id="fractions are ignored"),
        pytest.param("bytes=1_0-2_0", None, id="underscores are ignored"),
        pytest.param("items=0-5", None, id="another unit is ignored"),
        pytest.param("bytes=0-1,3-4", None, id="several ranges are ignored"),
        pytest.param("bytes=0-1,", None, id="a trailing comma is ignored"),
        pytest.param("bytes=" + ",".join(["0-1"] * 10_000), None, id="ten thousand ranges are ignored"),
        pytest.param("bytes=0-" + "9" * 5000, None, id="an absurd offset is ignored"),
        pytest.param("bytes=" + "9" * 5000 + "-", None, id="an absurd start is ignored"),
        pytest.param("bytes=0-" + "0" * 200 + "5", (0, 5), id="200 leading zeros say nothing"),
        pytest.param("bytes=0-" + "0" * 250 + "5", None, id="257 bytes of header are ignored"),
        pytest.param("bytes=0-5" + " " * 260, None, id="a header over 256 bytes is ignored"),
        pytest.param("bytes=\u0662-\u0665", None, id="Arabic digits are ignored"),
        pytest.param("bytes=\uff12-\uff15", None, id="full-width digits are ignored"),
        pytest.param("bytes=\u00b2-\u2075", None, id="superscript digits are ignored"),
        pytest.param("bytes=2-5\x00", None, id="a NUL is ignored"),
        pytest.param("bytes=2\u20135", None, id="a dash that is no hyphen is ignored"),
    ],
)
def test_range_of_a_ten_byte_file(header, expected):
    assert parse_range(header, size=10) == expected


@pytest.mark.parametrize(
    ("header", "size"),
    [
        pytest.param("bytes=10-", 10, id="a start right behind the end"),
        pytest.param("bytes=10-20", 10, id="a range behind the end"),
        pytest.param("bytes=9999999999999999999-", 10, id="a start far behind the end"),
        pytest.param("bytes=-0", 10, id="the last no bytes"),
        pytest.param("bytes=0-", 0, id="an open range of an empty file"),
        pytest.param("bytes=0-0", 0, id="the first byte of an empty file"),
    ],
)
def test_a_range_without_a_byte_is_unsatisfiable(header, size):
    with pytest.raises(UnsatisfiableRange):
        parse_range(header, size)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=-5", True),
        ("bytes=5-", False),
        ("bytes=5-6", False),
        ("bytes=0-1,-5", False),
        ("bytes=-" + "9" * 5000, False),
        ("nonsense", False),
    ],
)
def test_which_ranges_ask_for_the_last_bytes(header, expected):
    assert http.is_suffix_range(header) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"content-length": "10"}, (0, 9, 10), id="a whole file"),
        pytest.param({"content-length": "0"}, (0, -1, 0), id="an empty file"),
        pytest.param({"content-length": "3", "content-range": "bytes 2-4/10"}, (2, 4, 10), id="a range"),
    ],
)
def test_what_an_answer_of_b2_carries(headers, expected):
    assert http.extent_of(headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no length"),
        pytest.param({"content-length": "many"}, id="a length that is no number"),
        pytest.param({"content-length": "10", "content-range": "bytes 2-4/*"}, id="an unknown size"),
        pytest.param({"content-length": "10", "content-range": "bytes */10"}, id="no range"),
        pytest.param({"content-length": "10", "content-range": "2-4/10"}, id="no unit"),
        pytest.param({"content-length": "10", "content-range": ""}, id="an empty range"),
        pytest.param({"content-length": "-5"}, id="a negative length"),
        pytest.param({"content-length": "3", "content-range": "bytes 4-2/10"}, id="a backwards range"),
        pytest.param({"content-length": "3", "content-range": "bytes 2-4/3"}, id="a range past the size"),
    ],
)
def test_an_answer_of_b2_that_does_not_say(headers):
    with pytest.raises((KeyError, ValueError)):
        http.extent_of(headers)


# Types

OCTETS = "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "image/png"),
        ("a.PNG", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.jpeg", "image/jpeg"),
        ("a.svg", "image/svg+xml"),
        ("a.pdf", "application/pdf"),
        ("a.txt", "text/plain"),
        ("a.mp4", "video/mp4"),
        ("a.zip", "application/zip"),
        ("a.svgz", "application/gzip"),
        ("a.html.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a.html.png", "image/png"),
        ("a.png.html", OCTETS),
        ("folder.png/a", OCTETS),
        ("a", OCTETS),
        ("a.", OCTETS),
        (".png", OCTETS),
        ("a.png ", OCTETS),
        ("a.png\n", OCTETS),
        ("a.pn\u0261", OCTETS),
        ("a.unknown", OCTETS),
        ("", OCTETS),
    ],
)
def test_the_type_is_that_of_the_extension(name, expected):
    assert content_type_of(name) == expected


ACTIVE = [
    *("html", "htm", "xhtml", "xht", "shtml", "xml", "xsl", "xslt", "rss"),
    *("atom", "rdf", "mathml", "js", "mjs", "cjs", "jsonp", "css", "wasm"),
    *("swf", "swfl", "mht", "mhtml", "eml", "mht", "htc", "vbs", "hta"),
    *("xul", "xaml", "jar", "class", "php", "asp", "jsp", "cgi", "pl"),
    *("py", "sh", "exe", "msi", "svgx", "xpi", "manifest", "appcache"),
]


@pytest.mark.parametrize("extension", ACTIVE)
def test_what_a_browser_or_host_would_run_has_no_type(extension):
    assert content_type_of(f"a.{extension}") == OCTETS
    assert content_type_of(f"a.{extension.upper()}") == OCTETS


SAFE_INLINE = {
    *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"),
    *("audio/mpeg", "audio/ogg", "audio/wav", "video/mp4", "video/webm", "text/plain"),
}


def test_no_type_in_the_table_is_active():
    active = re.compile(r"html|xml(?!formats)|script|css|wasm|shockwave|message/|multipart/|x-component")
    types = set(http._TYPES.values())
    assert {t for t in types if active.search(t)} == {"image/svg+xml"}
    assert types >= SAFE_INLINE


@pytest.mark.parametrize("extension", sorted(http._TYPES))
def test_only_the_safe_types_are_shown_in_the_browser(extension):
    headers = http.file_headers("public", f"a.{extension}", download=False)
    media_type = headers["Content-Type"].partition(";")[0]
    kind = headers["Content-Disposition"].partition(";")[0]
    assert kind == ("inline" if media_type in SAFE_INLINE else "attachment")
    assert headers["Content-Security-Policy"] == BASE_CSP


# Validators


def test_an_etag_is_strong_and_tells_nothing_of_the_file_id():
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag_of("4_z27c88f1d182b150646ff0b16_f1004ba650fe24e6b"))
    assert etag_of("one") != etag_of("two")
    assert "one" not in etag_of("one")


# Content-Disposition


def read_disposition(value):
    """Read a Content-Disposition by RFC 6266; return the type, filename and filename*."""
    token = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    match = re.fullmatch(
        rf'({token}); filename="((?:[^"\\\x00-\x1f\x7f]|\\.)*)"(?:; filename\*=UTF-8\'\'([^\s;"]+))?', value
    )
    assert match is not None, value
    kind, plain, extended = match.groups()
    assert value.isascii()
    # RFC 5987: what may stand unencoded in an extended value.
    assert extended is None or re.fullmatch(r"(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+", extended)
    return kind, plain, extended and unquote(extended, errors="strict")


@pytest.mark.parametrize(
    ("name", "plain", "extended"),
    [
        pytest.param("a.txt", "a.txt", None, id="a plain name"),
        pytest.param("folder/of/a.txt", "a.txt", None, id="the last segment"),
        pytest.param("a b.txt", "a b.txt", None, id="a space"),
        pytest.param("a;b,c=d.txt", "a;b,c=d.txt", None, id="separators"),
        pytest.param('a"b.txt', "a_b.txt", 'a"b.txt', id="a quote"),
        pytest.param("a%41b.txt", "a_41b.txt", "a%41b.txt", id="a percent sign"),
        pytest.param("a'b.txt", "a'b.txt", None, id="an apostrophe"),
        pytest.param("naïve.txt", "naive.txt", "naïve.txt", id="an accent"),
        pytest.param("Ünïcödé.pdf", "Unicode.pdf", "Ünïcödé.pdf", id="accents in another form"),
        pytest.param("文件.pdf", "download.pdf", "文件.pdf", id="no Latin letter"),
        pytest.param("a文b.pdf", "ab.pdf", "a文b.pdf", id="few Latin letters"),
        pytest.param("😀.png", "download.png", "😀.png", id="an emoji"),
        pytest.param("a\r\nSet-Cookie: x=y.txt", "aSet-Cookie: x=y.txt", None, id="a line break"),
        pytest.param("a.txt\n", "a.txt", None, id="a trailing line feed"),
        pytest.param("a\x00b\x1f\x7f.txt", "ab.txt", None, id="control characters"),
        pytest.param("a\u202efdp.exe", "afdp.exe", None, id="a mark that reorders"),
        pytest.param("a\u2028b\ufeff.txt", "ab.txt", None, id="a line separator and a byte order mark"),
        pytest.param("a\\b.txt", "ab.txt", None, id="a backslash"),
        pytest.param("..", "download", None, id="two dots"),
        pytest.param("folder/.", "download", None, id="a dot"),
        pytest.param("", "download", None, id="nothing"),
        pytest.param("folder/", "download", None, id="a folder"),
        pytest.param("\u202e\n", "download", None, id="nothing but marks"),
        pytest.param("   ", "download", None, id="nothing but spaces"),
    ],
)
def test_the_name_a_file_is_saved_under(name, plain, extended):
    assert read_disposition(content_disposition(name, attachment=True)) == ("attachment", plain, extended)
    assert read_disposition(content_disposition(name, attachment=False)) == ("inline", plain, extended)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a" * 300 + ".pdf", id="300 letters"),
        pytest.param("文" * 300 + ".pdf", id="300 characters of three bytes"),
        pytest.param("é" * 101 + ".pdf", id="a cut within a character"),
        pytest.param("a." + "x" * 300, id="an extension of 300 letters"),
        pytest.param("😀" * 80 + ".tar.gz", id="two extensions"),
    ],
)
def test_a_long_name_is_cut_to_200_bytes_before_its_extension(name):
    _, plain, extended = read_disposition(content_disposition(name, attachment=True))
    saved = extended or plain
    assert 180 <= len(saved.encode()) <= 200 or saved.startswith("😀")
    assert len(plain) <= 200
    if len(name.rpartition(".")[2]) < 20:
        assert saved.endswith("." + name.rpartition(".")[2])
        assert plain.endswith("." + name.rpartition(".")[2])
    assert saved.partition(".")[0] in name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("\uff0e\uff0e\uff0fetc\uff0fpasswd.txt", id="full-width dots and slashes"),
        pytest.param("a\uff0fb.txt", id="a full-width slash"),
        pytest.param("a\uff3cb.txt", id="a full-width backslash"),
        pytest.param("a\uff02; filename=\uff02b.html", id="full-width quotes"),
        pytest.param("c\u2105.txt", id="a sign that decomposes to a slash"),
        pytest.param("\u2024\u2024\u2044x.txt", id="leaders and a fraction slash"),
    ],
)
def test_no_character_turns_into_part_of_a_path(name):
    _, plain, _ = read_disposition(content_disposition(name, attachment=True))
    assert not set(plain) & set('/\\":')


# Headers of a file


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param(
            "public",
            {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"},
            id="public",
        ),
        pytest.param(
            "login",
            {
                "Cache-Control": "private, no-cache",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Vary": "Cookie",
                "X-Robots-Tag": "noindex",
            },
            id="login",
        ),
        pytest.param(
            "object",
            {
                "Cache-Control": "private, no-cache",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Vary": "Cookie",
                "X-Robots-Tag": "noindex",
            },
            id="callable",
        ),
        pytest.param(
            "staff",
            {
                "Cache-Control": "private, no-store",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Vary": "Cookie",
                "X-Robots-Tag": "noindex",
            },
            id="staff",
        ),
    ],
)
def test_headers_by_level(level, expected):
    assert http.file_headers(level, "a.txt", download=False) == expected | {
        "Accept-Ranges": "bytes",
        "Content-Disposition": 'inline; filename="a.txt"',
        "Content-Security-Policy": BASE_CSP,
        "Content-Type": "text/plain; charset=utf-8",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
    }


@pytest.mark.parametrize("extension", ["png", "html", "svg", "pdf", "txt", "zip"])
def test_download_makes_an_attachment_and_changes_nothing_else(extension):
    shown = http.file_headers("login", f"a.{extension}", download=False)
    saved = http.file_headers("login", f"a.{extension}", download=True)
    assert saved.pop("Content-Disposition").startswith("attachment; ")
    shown.pop("Content-Disposition")
    assert saved == shown
