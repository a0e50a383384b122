"""Ranges and conditions against a plain reading of RFC 9110, over whatever hypothesis thinks of.

The reading is written here from the RFC's text, and shares no code with the package or with Django: a
mistake in it would agree with itself. Where the RFC lets a server choose, it names what b2fields chose.
"""

import re
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import parse_qs

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from b2fields import http
from tests.serving import body_of, hold, path_of, put, signed_in, store

DATA = bytes(range(40))  # Each byte tells its place.

pure = hypothesis_settings(max_examples=300, derandomize=True, database=None, deadline=None)
# The file of a test stands for all its examples; what an example leaves behind, the cache, is its own to set.
served = hypothesis_settings(
    pure, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


# RFC 9110, 5: fields

OWS = " \t"


def elements(value):
    """Split a list, of which empty elements are ignored (5.6.1.2); a comma within quotes is no end."""
    found, quoted = [""], False
    for character in value:
        quoted ^= character == '"'
        if character == "," and not quoted:
            found.append("")
        else:
            found[-1] += character
    return [element.strip(OWS) for element in found if element.strip(OWS)]


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT, _LONG, _MONTH = "|".join(day[:3] for day in DAYS), "|".join(DAYS), "|".join(MONTHS)
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
HTTP_DATES = [
    rf"(?:{_SHORT}), (?P<day>[0-9]{{2}}) (?P<month>{_MONTH}) (?P<year>[0-9]{{4}}) {_TIME} GMT",
    rf"(?:{_LONG}), (?P<day>[0-9]{{2}})-(?P<month>{_MONTH})-(?P<year>[0-9]{{2}}) {_TIME} GMT",
    rf"(?:{_SHORT}) (?P<month>{_MONTH}) (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
]


def http_date(value):
    """Read a date in any of the three forms (5.6.7); None for what is no valid date."""
    match = next(filter(None, (re.fullmatch(form, value.strip(OWS)) for form in HTTP_DATES)), None)
    if match is None:
        return None
    said = match.groupdict()
    now = datetime.now(UTC)
    year = int(said["year"]) + (now.year // 100 * 100 if len(said["year"]) == 2 else 0)
    month = MONTHS.index(said["month"]) + 1
    clock = [int(said[part]) for part in ("day", "hour", "minute", "second")]
    try:
        date = datetime(year, month, *clock, tzinfo=UTC)
        # What seems to be more than 50 years ahead is of the century before.
        if len(said["year"]) == 2 and date > now.replace(year=now.year + 50):
            date = date.replace(year=year - 100)
    except ValueError:
        return None
    return date


# RFC 9110, 8.8 and 13: validators and conditions


class File(NamedTuple):
    data: bytes
    tag: str  # strong
    modified: datetime  # in whole seconds

    @property
    def last_modified(self):
        return format_datetime(self.modified, usegmt=True)


def matches(value, file, *, weakly):
    """Tell whether If-Match or If-None-Match names the file (13.1.1, 13.1.2, 8.8.3.2)."""
    if value.strip(OWS) == "*":
        return True
    tags = [e for e in elements(value) if re.fullmatch(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"', e)]
    return file.tag in tags or (weakly and f"W/{file.tag}" in tags)


def refusal(asked, file):
    """Return the status of the first condition that does not hold, in the order of 13.2.2."""
    if "If-Match" in asked:
        if not matches(asked["If-Match"], file, weakly=False):
            return 412
    elif (date := http_date(asked.get("If-Unmodified-Since", ""))) and file.modified > date:
        return 412
    if "If-None-Match" in asked:
        return 304 if matches(asked["If-None-Match"], file, weakly=True) else None
    date = http_date(asked.get("If-Modified-Since", ""))
    return 304 if date and file.modified <= date else None


# RFC 9110, 14: ranges

DIGITS = frozenset("0123456789")


def byte_range(value):
    """Read a Range (14.1) of one range as its two numbers; None for one that is not to be heeded.

    A server may ignore a Range (14.2): b2fields does with several ranges, over 256 characters, and with all
    that is malformed. White space may follow "=" (erratum 7306).
    """
    unit, equals, specifier = value.strip(OWS).partition("=")
    first, hyphen, last = specifier.lstrip(OWS).partition("-")
    if unit.lower() != "bytes" or not equals or not hyphen or len(value) > 256:
        return None
    if first == last == "" or set(first + last) - DIGITS:
        return None
    if first and last and int(last) < int(first):
        return None
    return (int(first) if first else None, int(last) if last else None)


def selected(value, size):
    """Return the first and last byte that a Range means, None for the whole file, () for no byte at all."""
    asked = byte_range(value)
    if asked is None:
        return None
    first, last = asked
    if first is None:
        return (max(0, size - last), size - 1) if last else ()
    return (first, size - 1 if last is None else min(last, size - 1)) if first < size else ()


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    length: int | None = None
    content_range: str | None = None


def answer_to(method, asked, file):
    """Return what RFC 9110 has a server answer to a GET or HEAD with these headers."""
    if status := refusal(asked, file):
        return Answer(status)
    size, span = len(file.data), None
    if method == "GET" and asked.get("If-Range", file.tag) in (file.tag, file.last_modified):
        span = selected(asked.get("Range", ""), size)
    if span is None:
        return Answer(200, file.data if method == "GET" else b"", size)
    if not span:
        return Answer(416, b"", 0, f"bytes */{size}")
    body = file.data[span[0] : span[1] + 1]
    return Answer(206, body, len(body), f"bytes {span[0]}-{span[1]}/{size}")


# What clients send

numbers = st.integers(0, 50).map(str) | st.sampled_from(["", "007", "39", "40", "9" * 19, "1" + "0" * 19])
range_specs = st.builds("{}-{}".format, numbers, numbers)
odd_specs = st.sampled_from(["-", "--5", "1-2-3", "a-b", "0x1-2", "+1-2", "1_0-2_0", "1.0-2", "5", "", "*"])
spaced_specs = st.builds("{}{}-{}{}".format, *[st.sampled_from(["", " ", "\t", "\xa0", "1"])] * 4)
specs = range_specs | range_specs | odd_specs | spaced_specs
lists = st.lists(specs, min_size=1, max_size=3).flatmap(
    lambda list_: st.sampled_from([",", ", ", " ,\t", ",,"]).map(lambda comma: comma.join(list_))
)
units = st.sampled_from(["bytes", "Bytes", "BYTES", " bytes", "bytes ", "byte", "items", "", "byte\u017f"])
ranges = (
    range_specs.map("bytes={}".format)
    | st.builds("{}{}{}".format, units, st.sampled_from(["=", "= ", " =", "", "=="]), specs | lists)
    | st.text(st.sampled_from("bytes=-, 0123456789\t\xa0\u0662\uff12\u00b2\x00"), max_size=20)
    | st.text()
)

# "{tag}" and "{imf:+60}" stand for the file's own tag, and for a minute after it was modified.
tags = st.sampled_from(["{tag}", "W/{tag}", '"other"', 'W/"other"', '""', '"a,b"', '"a b"', "bare", "W/"])
tag_lists = st.lists(tags | st.just(""), max_size=4).flatmap(
    lambda list_: st.sampled_from([",", ", ", " ,\t"]).map(lambda comma: comma.join(list_))
)
tag_fields = tag_lists | tags | st.sampled_from(["*", " * ", '"unclosed', '*, "other"', "nonsense", "\xff"])

forms = st.sampled_from(["imf", "rfc850", "asctime"])
near = st.sampled_from([-1, 0, 1])
far = st.integers(-(10**9), 10**9)
dates = st.builds("{{{}:{:+}}}".format, forms, near | near | far)
edges = ["Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 31 Dec 1969 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"]
no_dates = [
    *("", "nonsense", "0", "{iso:+0}", "{iso:-60}", "{imf:+60}, {imf:+60}", "{imf:-60}, {imf:-60}"),
    *("Wed, 31 Feb 2100 00:00:00 GMT", "Fri, 01 Jan 2100 24:00:00 GMT", "Fri, 01 Jan 2100 00:60:00 GMT"),
    *("Fri, 01 Jan 2100 00:00:00 +0000", "Mon, 00 Jan 2000 00:00:00 GMT", "2000-01-01", '"{imf:+60}"'),
]
date_fields = dates | dates | st.sampled_from(edges + no_dates)
if_ranges = (
    st.sampled_from(["{tag}", "{imf:+0}", "W/{tag}", '"other"', "*", "", "{tag}, {tag}"]) | date_fields
)

conditions = {
    "If-Match": tag_fields,
    "If-None-Match": tag_fields,
    "If-Modified-Since": date_fields,
    "If-Unmodified-Since": date_fields,
}
firsts, lasts = st.integers(0, 20) | st.integers(30, 70), st.integers(70, 90) | st.just("")
sound_ranges = st.builds("bytes={}-{}".format, firsts, lasts) | st.integers(1, 90).map("bytes=-{}".format)
requests = (
    st.fixed_dictionaries({"Range": sound_ranges})
    | st.fixed_dictionaries({"Range": sound_ranges, "If-Range": if_ranges})
    | st.fixed_dictionaries({"Range": ranges}, optional={"If-Range": if_ranges})
    | st.fixed_dictionaries({}, optional=conditions)
    | st.fixed_dictionaries({}, optional={"Range": ranges, "If-Range": if_ranges, **conditions})
)
methods = st.sampled_from(["GET", "GET", "GET", "HEAD"])


class Dates:
    """The times around the one when a file was modified: ``f"{Dates(file, 'imf'):+60}"``."""

    def __init__(self, file, form):
        self.file, self.form = file, form

    def __format__(self, seconds):
        date = self.file.modified + timedelta(seconds=int(seconds))
        day, month = DAYS[date.weekday()], MONTHS[date.month - 1]
        return {
            "imf": f"{day[:3]}, {date:%d} {month} {date:%Y %H:%M:%S} GMT",
            "rfc850": f"{day}, {date:%d}-{month}-{date:%y %H:%M:%S} GMT",
            "asctime": f"{day[:3]} {month} {date.day:2} {date:%H:%M:%S %Y}",
            "iso": date.isoformat(),
        }[self.form]


def of_file(asked, file):
    """Fill in what stands for the validators of a file."""
    values = {form: Dates(file, form) for form in ("imf", "rfc850", "asctime", "iso")}
    return {
        name: value if name == "Range" else value.format(tag=file.tag, **values)
        for name, value in asked.items()
    }


# The functions


@pure
@given(header=ranges, size=st.integers(1, 50))
@example(header="bytes= 0-9", size=40)
@example(header="bytes=" + " " * 247 + "0-9", size=40)
@example(header="bytes=" + " " * 248 + "0-9", size=40)
@example(header="byte\u017f=0-9", size=40)
def test_a_range_is_read_as_the_rfc_says(header, size):
    try:
        assert http.parse_range(header, size) == selected(header, size)
    except http.UnsatisfiableRange:
        assert selected(header, size) == ()


@pure
@given(header=ranges)
def test_a_range_is_of_the_end_if_it_has_no_first_byte(header):
    asked = byte_range(header)
    assert http.is_suffix_range(header) is (asked is not None and asked[0] is None)


def test_the_last_bytes_of_an_empty_file_are_all_of_it():
    """RFC 9110, 14.1.2: of an empty file, they alone are satisfiable; 14.2: Range may be ignored then."""
    assert http.parse_range("bytes=-5", 0) is None


parameters = st.sampled_from(
    ["download=1", "download=0", "download=", "download=11", "Download=1", "x=1", ""]
)


@pure
@given(query=st.lists(parameters | st.text("adlnow=1&?;", max_size=5)).map("&".join))
@example(query="&".join(["x=1"] * 5000 + ["download=1"]))
def test_the_last_download_of_a_query_counts(query):
    said = [part for part in query.split("&") if part != "download"]
    last = parse_qs("&".join(said), keep_blank_values=True).get("download", [""])[-1]
    assert http.wants_download(query) is (last == "1")


@pure
@given(query=st.text())
def test_no_query_is_too_odd_to_be_read(query):
    assert http.wants_download(query) in (True, False)


@pure
@given(st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True))
def test_each_version_has_a_strong_tag_of_its_own(file_ids):
    found = {http.etag_of(file_id) for file_id in file_ids}
    assert len(found) == len(file_ids)
    assert all(re.fullmatch(r'"[\x21\x23-\x7e]+"', tag) for tag in found)


# Content-Disposition

TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
ATTRIBUTE = TOKEN - frozenset("*'%")  # RFC 8187, 3.2.1


class Reader:
    """A text that is read from left to right."""

    def __init__(self, text):
        self.text = text

    def take(self, characters):
        rest = self.text.lstrip("".join(characters))
        taken, self.text = self.text[: len(self.text) - len(rest)], rest
        return taken

    def expect(self, text):
        assert self.text.startswith(text), self.text
        self.text = self.text.removeprefix(text)

    def quoted(self):
        """Read a quoted-string (RFC 9110, 5.6.4)."""
        self.expect('"')
        found = ""
        while not self.text.startswith('"'):
            if self.text.startswith("\\"):
                self.expect("\\")
            character = self.text[0]
            assert character == "\t" or (" " <= character != "\x7f"), self.text
            self.expect(character)
            found += character
        self.expect('"')
        return found


def read_disposition(value):
    """Read a header by RFC 6266, 4.1 and RFC 8187, 3.2: the type, and the parameters by their names."""
    reader, parameters = Reader(value), {}
    kind = reader.take(TOKEN)
    while reader.text:
        reader.take(OWS)
        reader.expect(";")
        reader.take(OWS)
        name = reader.take(TOKEN).lower()
        assert name not in parameters
        reader.expect("=")
        if name.endswith("*"):
            charset, language, encoded = reader.take(TOKEN).split("'")
            assert (charset, language) == ("UTF-8", "")
            parameters[name] = extended(encoded)
        else:
            parameters[name] = reader.quoted() if reader.text.startswith('"') else reader.take(TOKEN)
    return kind, parameters


def extended(encoded):
    """Read the value-chars of RFC 8187."""
    octets, reader = b"", Reader(encoded)
    while reader.text:
        octets += reader.take(ATTRIBUTE).encode()
        if reader.text:
            reader.expect("%")
            octets += bytes.fromhex(reader.text[:2])
            reader.text = reader.text[2:]
    return octets.decode()


plain_names = st.from_regex(r"\A[A-Za-z0-9_-][A-Za-z0-9 _.,;=()'!&+-]{0,60}[A-Za-z0-9_-]\Z")
letters = st.characters(categories=["Lu", "Ll", "Lo", "Nd"], max_codepoint=0xFFFF)
worldly_names = st.builds("{}.{}".format, st.text(letters, min_size=1, max_size=40), st.just("pdf"))
# What storage names never hold is read too: a row may have been written by something else.
any_names = st.text(st.characters(codec="utf-8"), max_size=300) | st.builds(
    "{}{}".format,
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.sampled_from(['"', "\\", "\r\nX: y"]),
)


@pure
@given(name=any_names | plain_names | worldly_names, attachment=st.booleans())
@example(name='folder/a".txt', attachment=True)
@example(name="\u202etxt.exe", attachment=False)
def test_any_name_makes_a_disposition_that_all_clients_read_alike(name, attachment):
    value = http.content_disposition(name, attachment=attachment)
    assert re.fullmatch("[ -~]+", value)
    kind, said = read_disposition(value)
    assert kind == ("attachment" if attachment else "inline")
    assert set(said) in ({"filename"}, {"filename", "filename*"})
    saved = said.get("filename*", said["filename"])
    assert saved.strip() not in ("", ".", "..")
    assert len(saved.encode()) <= 200
    assert not re.search(r"[\x00-\x1f\x7f-\x9f/\\\u200e\u200f\u2028-\u202e\u2066-\u2069]", saved)
    # What clients that know no filename* take, or read backslashes and percent signs in their own way.
    assert said["filename"].strip(" .")
    assert not set(said["filename"]) & set('"\\%/')
    assert read_disposition(http.content_disposition(saved, attachment=attachment)) == (kind, said)


@pure
@given(name=plain_names)
def test_a_plain_name_is_kept_as_it_is(name):
    value = http.content_disposition(f"folder/{name}", attachment=True)
    assert read_disposition(value) == ("attachment", {"filename": name})
    header = Message()
    header["Content-Disposition"] = value
    assert (header.get_content_disposition(), header.get_filename()) == ("attachment", name)


@pure
@given(name=worldly_names)
def test_a_name_of_any_script_is_kept_as_it_is(name):
    _, said = read_disposition(http.content_disposition(f"folder/{name}", attachment=True))
    assert said.get("filename*", said["filename"]) == name
    assert said["filename"].endswith(".pdf")


# The view


@pytest.fixture
def client(visitors):
    return signed_in(visitors["superuser"])


def file_of(client, url, data, uploaded, **asked):
    """Return the file as the oracle sees it; *uploaded* is in milliseconds since 1970."""
    tag = client.head(url, headers=asked).headers["ETag"]
    assert re.fullmatch(r'"[\x21\x23-\x7e]*"', tag)
    return File(data, tag, datetime.fromtimestamp(uploaded // 1000, UTC))


def told(response):
    headers = response.headers
    length, content_range = headers.get("Content-Length"), headers.get("Content-Range")
    return Answer(response.status_code, body_of(response), length and int(length), content_range)


def assert_is(answer, response, file):
    expected = answer
    if answer.status in (304, 412):
        # Django's CommonMiddleware gives every response a length.
        expected = answer._replace(length=0)
    assert told(response) == expected
    validators = response.headers.get("ETag"), response.headers.get("Last-Modified")
    if answer.status in (200, 206, 304):
        assert validators == (file.tag, file.last_modified)
    else:
        assert validators in ((None, None), (file.tag, file.last_modified))


def most_requests(method, asked, answer, knows):
    """Return how many requests to B2 an answer may cost."""
    if knows:
        return 0 if method == "HEAD" or answer.status in (304, 412) else 1
    if method == "HEAD":
        return 1
    # The end of a file, and the range of one version, mean nothing before the file is looked up; and of a
    # range beyond the end, B2 does not tell the size.
    asked_range = asked.get("Range", "")
    means_nothing = bool(asked_range) and ("If-Range" in asked or http.is_suffix_range(asked_range))
    return 2 if means_nothing or selected(asked_range, len(DATA)) == () else 1


def is_refuted(asked, answer, file):
    """Tell whether the client knows another version than the row, which is not believed then."""
    return answer.status == 412 or asked.get("If-Range", file.tag) not in (file.tag, file.last_modified)


@pytest.fixture(params=["a row that keeps nothing", "a row that keeps its info"])
def stored(request, client, emulator, bucket):
    """Store a file, and return its URL and the file as it is."""
    if request.param == "a row that keeps its info":
        row = store("legal.exhibit.scan", "a.bin", DATA)
        return row.scan.url, file_of(client, row.scan.url, DATA, row.scan_info["uploaded"])
    version = put(emulator, bucket, "a.bin", DATA)
    hold("legal.contract.cover", "a.bin")
    url = path_of("legal.contract.cover", "a.bin")
    return url, file_of(client, url, DATA, version.upload_timestamp)


@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "not cached"])
@served
@given(method=methods, asked=requests)
def test_an_answer_is_what_the_rfc_says(is_cached, method, asked, stored, client, emulator):
    url, file = stored
    asked = of_file(asked, file)
    if not is_cached:
        cache.clear()
    answer = answer_to(method, asked, file)
    with emulator.counted() as spent:
        assert_is(answer, client.generic(method, url, headers=asked), file)
    knows = is_cached or ("exhibit" in url and not is_refuted(asked, answer, file))
    assert len(spent) <= most_requests(method, asked, answer, knows), spent


@pytest.fixture
def replaced(client, emulator, bucket):
    """Replace a file behind the back of a row that keeps its info; return its URL and both versions."""
    emulator.set_clock(-7200)
    row = store("legal.exhibit.scan", "a.bin", DATA)
    url = row.scan.url
    old = file_of(client, url, DATA, row.scan_info["uploaded"])
    emulator.set_clock(0)
    version = put(emulator, bucket, row.scan.name, DATA[::-1] * 2)
    cache.clear()
    new = file_of(client, url, DATA[::-1] * 2, version.upload_timestamp, **{"If-Match": '"another"'})
    assert old.tag != new.tag
    return url, old, new


@served
@given(method=methods, asked=requests, meant=st.sampled_from(["old", "new"]))
def test_an_answer_is_of_one_version(method, asked, meant, replaced, client):
    url, old, new = replaced
    asked = of_file(asked, old if meant == "old" else new)
    cache.clear()
    response = client.generic(method, url, headers=asked)
    tag = response.headers.get("ETag")
    # Of the old version there is no byte any more.
    is_new = tag == new.tag or (method == "GET" and response.status_code in (200, 206, 416))
    file = new if is_new else old
    assert_is(answer_to(method, asked, file), response, file)
