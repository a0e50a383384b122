"""Links that open exactly one file until they expire: signed here, or by B2's token for a master key."""

import gc
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import parse_qsl, quote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener
from weakref import ref

import botocore.session
import pytest
from botocore.config import Config
from django.core.checks import run_checks
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from b2fields import B2Storage, names, signing
from b2fields.b2 import connections, links
from b2fields.exceptions import (
    AccessRefused,
    B2Unavailable,
    CannotSign,
    FileMissing,
    NotConfigured,
    PolicyConflict,
)
from tests import emulated
from tests.legal.models import Contract, Picture
from tests.serving import AUTHORIZE, put
from tests.test_secrets import (
    cache_entries,
    error_of,
    everything_logged,  # noqa: F401 - a fixture
    report_of,
    secrets_in,
)

pytestmark = pytest.mark.django_db

WEEK = 604_800
BODY = b"0123456789"
LIST, TOKEN = "b2_list_file_names", "b2_get_download_authorization"
SIGNATURE = re.compile(r"X-Amz-Signature=[0-9a-f]{10}|Authorization=4_")
# What browsers, B2 and Python's quoting could each read in another way.
NAMES = [
    "a.txt",
    "Ordner/ein schöner Name.txt",
    "100%+1.txt",
    "100%25.txt",
    "what?.txt",
    "a#b.txt",
    "a&b=c;d.txt",
    "'single' \"double\" `back`.txt",
    "~tilde~!*()[]{}|^<>$@,:.txt",
    "日本語/文書 №1.pdf",
    "\U0001f600.png",
    "e\u0301.txt",
    " leading and trailing ",
    "...",
    "x" * 250 + "/" + "y" * 250,
    "?X-Amz-Expires=604800",
]


def fetch(url, **headers):
    """Follow a link as it is written; return status, headers and body."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        # By urllib, which sends a URL as it is written.
        answer = build_opener(ProxyHandler({})).open(Request(url, headers=headers))  # noqa: S310 - an emulator's
    except HTTPError as error:
        answer = error
    with answer:
        return SimpleNamespace(status=answer.status, headers=answer.headers, body=answer.read())


def status_of(url, **headers):
    return fetch(url, **headers).status


def parameters_of(url):
    return dict(parse_qsl(urlsplit(url).query))


# The signature


@cache
def signer(endpoint, region, key_id, key):
    return botocore.session.Session().create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


BOTOCORES_NAMES = {
    "response-content-type": "ResponseContentType",
    "response-content-disposition": "ResponseContentDisposition",
    "response-cache-control": "ResponseCacheControl",
}
B2 = ("https://s3.us-west-004.backblazeb2.com", "us-west-004")
ENDPOINTS = [
    pytest.param(*B2, id="B2"),
    pytest.param("https://s3.eu-central-003.backblazeb2.com/", "eu-central-003", id="B2 in Europe"),
    pytest.param("http://127.0.0.1:8765", "us-east-1", id="an emulator"),
    pytest.param("https://storage.example.com/s3", "us-east-1", id="a server below a path"),
]
KEYS = [
    ("0040123456789ab0000000001", "K004abcdefghijklmnopqrstuvwxyz012"),
    ("id/with+odd=characters", "key/with+odd=characters %&"),
]


def assert_signs_like_botocore(endpoint, region, key_id, key, name, seconds, overrides):
    theirs = signer(endpoint, region, key_id, key).generate_presigned_url(
        "get_object",
        {"Bucket": "acme-files", "Key": name} | {BOTOCORES_NAMES[k]: v for k, v in overrides.items()},
        ExpiresIn=seconds,
    )
    date = datetime.strptime(parameters_of(theirs)["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    since = int(date.timestamp())
    ours = signing.presigned_url(
        endpoint, "acme-files", name, overrides, since=since, seconds=seconds, key_id=key_id, key=key
    )
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_a_link_to_any_name_is_botocores_byte_for_byte(name):
    overrides = {
        "response-content-type": "text/plain; charset=utf-8",
        "response-content-disposition": f"attachment; filename=\"a b+c\"; filename*=UTF-8''{quote(name)}",
        "response-cache-control": "private, no-cache",
    }
    assert_signs_like_botocore(*B2, *KEYS[0], name, 300, overrides)


@pytest.mark.parametrize(("key_id", "key"), KEYS)
@pytest.mark.parametrize(("endpoint", "region"), ENDPOINTS)
@pytest.mark.parametrize("seconds", [1, 300, WEEK])
def test_so_it_is_with_any_key_endpoint_and_expiry(endpoint, region, key_id, key, seconds):
    assert_signs_like_botocore(endpoint, region, key_id, key, "a b.txt", seconds, {})


def is_a_name(text):
    return names.is_well_formed(text) and text.isprintable()


@hypothesis_settings(deadline=None)  # the first example makes botocore's client
@given(
    name=st.text(min_size=1, max_size=80).filter(is_a_name),
    seconds=st.integers(1, WEEK),
    overrides=st.dictionaries(
        st.sampled_from(sorted(BOTOCORES_NAMES)), st.text(st.characters(codec="ascii"), min_size=1)
    ),
)
def test_so_it_is_with_whatever_hypothesis_thinks_of(name, seconds, overrides):
    assert_signs_like_botocore(*B2, *KEYS[0], name, seconds, overrides)


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://s3.us-west-000.backblazeb2.com", "us-west-000"),
        ("https://s3.ca-east-006.backblazeb2.com:443/", "ca-east-006"),
        pytest.param(
            "https://s3.us-west-001.backblaze.net", "us-west-001", id="of another domain of Backblaze"
        ),
        ("http://127.0.0.1:8765", "us-east-1"),
        ("http://localhost:8765", "us-east-1"),
        ("https://s3.example.com", "us-east-1"),
        ("https://s3.us-west-004", "us-east-1"),
        ("https://files.s3.us-west-004.example.com", "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_host(endpoint, region):
    assert signing.region_of(endpoint) == region


# Its time


def at(monkeypatch, moment):
    monkeypatch.setattr(signing, "time", SimpleNamespace(time=lambda: moment))


@pytest.mark.parametrize("seconds", [4, 5, 7, 8, 60, 299, 300, 3600, WEEK])
def test_a_link_is_valid_for_no_longer_than_asked_for_and_for_three_quarters_at_least(monkeypatch, seconds):
    for moment in (0, 1, 3.5, 1_790_000_000, 1_790_000_074.999, 1_790_000_075, 1_790_812_345.678):
        at(monkeypatch, moment)
        left = signing.signing_time(seconds) + seconds - moment
        assert seconds * 3 / 4 - 1 < left <= seconds
        if moment == int(moment):  # signatures know whole seconds only
            assert left > seconds * 3 / 4


@pytest.mark.parametrize("seconds", [1, 2, 3])
def test_a_link_for_a_moment_loses_less_than_a_second_of_it(monkeypatch, seconds):
    at(monkeypatch, 1_790_000_000.9)
    assert signing.signing_time(seconds) == 1_790_000_000


def test_a_link_stays_the_same_for_a_quarter_of_its_time(monkeypatch):
    times = []
    for moment in range(1_790_000_000, 1_790_000_600):
        at(monkeypatch, moment)
        times.append(signing.signing_time(300))
    changes = sorted({times.index(time) for time in times})
    assert changes[0] == 0
    assert {later - earlier for earlier, later in pairwise(changes[1:])} == {75}


# Of files


@pytest.fixture
def site(emulator, b2_api, settings):
    """The emulator, and a site with an application key, as B2's S3-compatible endpoint wants it."""
    capabilities = ["listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles"]
    with_key(settings, b2_api, capabilities)
    yield emulator
    emulator.set_clock(0)


@pytest.fixture
def master(emulator):
    """The emulator, and a site with the master key."""
    yield emulator
    emulator.set_clock(0)


def with_key(settings, b2_api, capabilities, **more):
    key = b2_api.create_key(key_name="site", capabilities=capabilities, **more)
    settings.B2FIELDS_APPLICATION_KEY_ID = key.id_
    settings.B2FIELDS_APPLICATION_KEY = key.application_key


@pytest.fixture(
    params=[
        pytest.param("site", id="with an application key"),
        pytest.param("master", id="with the master key"),
    ]
)
def either(request):
    """Each of these two."""
    return request.getfixturevalue(request.param)


def stored(name="a.txt", data=BODY, **options):
    """A storage that holds this file."""
    storage = B2Storage(overwrite=True, **options)
    storage.save(name, ContentFile(data))
    return storage


@pytest.mark.parametrize("name", NAMES)
def test_a_link_opens_its_file(either, bucket, name):
    put(either, bucket, f"medien/{name}", BODY)
    answer = fetch(B2Storage(location="medien").signed_url(name))
    assert (answer.status, answer.body) == (200, BODY)


@pytest.mark.parametrize(
    ("name", "content_type", "kind"),
    [
        ("a.png", "image/png", "inline"),
        ("a.txt", "text/plain; charset=utf-8", "inline"),
        ("a.pdf", "application/pdf", "attachment"),
        ("a.csv", "text/csv", "attachment"),
        ("a.svg", "image/svg+xml", "attachment"),
        ("a.html", "application/octet-stream", "attachment"),
        ("a.js", "application/octet-stream", "attachment"),
        ("a", "application/octet-stream", "attachment"),
    ],
)
def test_a_link_pins_type_and_disposition_whatever_the_object_says(either, bucket, name, content_type, kind):
    put(either, bucket, name, BODY, "text/html", **{"b2-content-disposition": "inline"})
    headers = fetch(B2Storage().signed_url(name)).headers
    assert headers["Content-Type"] == content_type
    assert headers["Content-Disposition"] == f'{kind}; filename="{name}"'
    headers = fetch(B2Storage().signed_url(name, download=True)).headers
    assert headers["Content-Disposition"] == f'attachment; filename="{name}"'


@pytest.mark.parametrize(
    ("access", "expected"),
    [("public", "public, max-age=3600"), ("login", "private, no-cache"), ("staff", "private, no-store")],
)
def test_a_browser_keeps_what_it_got_as_the_level_allows(either, bucket, access, expected):
    put(either, bucket, "a.txt", **{"b2-cache-control": "public, max-age=31536000"})
    assert fetch(B2Storage(access=access).signed_url("a.txt")).headers["Cache-Control"] == expected


def test_a_browser_that_comes_back_to_the_same_link_is_told_that_nothing_changed(site):
    url = stored().signed_url("a.txt")
    assert status_of(url, If_None_Match=fetch(url).headers["ETag"]) == 304


def test_a_name_beyond_ascii_arrives_where_signature_version_4_carries_it(site):
    disposition = fetch(stored('größe; "1".txt').signed_url('größe; "1".txt')).headers["Content-Disposition"]
    plain, _, extended = disposition.partition("; filename*=")
    assert plain == 'inline; filename="groe; _1_.txt"'
    assert extended == "UTF-8''gr%C3%B6%C3%9Fe%3B%20%221%22.txt"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("größe.txt", 'inline; filename="groe.txt"', id="a letter that ASCII lacks"),
        pytest.param(
            "a; filename*=x.txt",
            'inline; filename="a; filename*=x.txt"',
            id="one that looks like a parameter",
        ),
        pytest.param(
            "ü; filename*=x.txt",
            'inline; filename="u; filename*=x.txt"',
            id="one that looks like it, and has both",
        ),
    ],
)
def test_with_a_master_key_it_arrives_in_ascii(master, name, expected):
    assert fetch(stored(name).signed_url(name)).headers["Content-Disposition"] == expected


def test_a_link_opens_ranges_of_its_file(either):
    answer = fetch(stored().signed_url("a.txt"), Range="bytes=2-4")
    assert (answer.status, answer.body) == (206, b"234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"


def test_a_link_opens_until_it_expires(either):
    url = stored().signed_url("a.txt", 400)
    assert status_of(url) == 200
    either.set_clock(290)
    assert status_of(url) == 200
    either.set_clock(402)
    assert status_of(url) in (401, 403)


def test_a_link_expires_by_the_setting_unless_the_storage_or_the_call_says_otherwise(either, settings):
    settings.B2FIELDS_URL_EXPIRY = 100
    storage = stored(url_expiry=200)
    urls = [B2Storage().signed_url("a.txt"), storage.signed_url("a.txt"), storage.signed_url("a.txt", 400)]
    either.set_clock(102)
    assert [status_of(url) == 200 for url in urls] == [False, True, True]
    either.set_clock(202)
    assert [status_of(url) == 200 for url in urls] == [False, False, True]


def test_a_link_expires_after_five_minutes_by_default(site):
    assert parameters_of(B2Storage().signed_url("a.txt"))["X-Amz-Expires"] == "300"


def test_a_link_opens_no_other_file(either):
    storage = stored("report.pdf")
    url = storage.signed_url("report.pdf")
    # Uploaded after the link was made; a token of B2 opens what begins like its name.
    for other in ("other.pdf", "report", "Report.pdf"):
        stored(other)
        assert status_of(url.replace("/report.pdf", f"/{other}")) in (401, 403)


def test_a_signature_does_not_open_names_that_begin_alike(site):
    stored("report.pdf.bak")
    stored("report.pdf/x")
    url = stored("report.pdf").signed_url("report.pdf")
    assert status_of(url) == 200
    assert status_of(url.replace("/report.pdf?", "/report.pdf.bak?")) == 403
    assert status_of(url.replace("/report.pdf?", "/report.pdf/x?")) == 403


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda url: url.replace("attachment", "inline"), id="another disposition"),
        pytest.param(lambda url: re.sub("octet-stream", "xhtml%2Bxml", url), id="another type"),
        pytest.param(lambda url: re.sub("[^&?]*isposition=[^&]*&", "", url, flags=re.I), id="no disposition"),
        pytest.param(lambda url: re.sub("&?[^&?]*ontent-?[tT]ype=[^&]*", "", url), id="no type"),
    ],
)
def test_what_a_link_pins_cannot_be_changed(either, change):
    url = stored("a.html").signed_url("a.html")
    assert change(url) != url
    assert status_of(url) == 200
    assert status_of(change(url)) in (401, 403)


def test_nothing_can_be_added_to_a_signed_link(site):
    url = stored().signed_url("a.txt")
    assert status_of(f"{url}&response-expires=Thu%2C%2001%20Jan%202099%2000%3A00%3A00%20GMT") == 403
    assert status_of(url.replace("X-Amz-Expires=300", "X-Amz-Expires=604800")) == 403


# What it is asked for


def test_a_file_of_a_row_has_a_link(site):
    row = Contract.objects.create(scan=ContentFile(BODY, "größe.html"))
    answer = fetch(row.scan.signed_url())
    assert answer.body == BODY
    assert answer.headers["Content-Disposition"].startswith("attachment")
    url = row.scan.signed_url(3600, download=True)
    assert parameters_of(url)["X-Amz-Expires"] == "3600"
    assert fetch(url).body == BODY


def test_a_public_file_has_one_too(site, make_bucket, settings):
    settings.B2FIELDS_BUCKETS = {"public": make_bucket("allPublic")}
    row = Contract.objects.create(cover=ContentFile(BODY, "a.txt"))
    assert fetch(row.cover.signed_url()).body == BODY


@pytest.mark.parametrize("field", [Contract().scan, Picture().image], ids=["of a file", "of an image"])
def test_a_field_without_a_file_has_no_link(field):
    with pytest.raises(ValueError, match="no file associated"):
        field.signed_url()


@pytest.mark.parametrize("name", ["", None, ".", "./"])
def test_an_empty_name_has_no_link(site, name):
    with pytest.raises(ValueError, match="has no URL"):
        B2Storage(location="media").signed_url(name)


@pytest.mark.parametrize("name", ["../other-bucket/x", "a/../../x", "/etc/passwd", "a\nb", "a\x00b"])
def test_a_name_that_leads_elsewhere_has_no_link(site, name):
    with site.counted() as operations, pytest.raises(SuspiciousFileOperation):
        B2Storage().signed_url(name)
    assert operations == []


@pytest.mark.parametrize("expires", [0, -1, WEEK + 1, 1.5, "300", True])
def test_a_link_expires_after_a_second_to_a_week(site, expires):
    with pytest.raises(ValueError, match="604800"):
        B2Storage().signed_url("a.txt", expires)


@pytest.mark.parametrize("expires", [30, WEEK])
def test_a_link_for_half_a_minute_or_a_week_opens(either, expires):
    assert fetch(stored().signed_url("a.txt", expires)).body == BODY


def test_a_file_under_a_key_of_ones_own_has_no_link_and_the_error_says_why(site):
    storage = B2Storage(encryption={"mode": "SSE-C", "key": bytes(32)})
    with site.counted() as operations, pytest.raises(CannotSign, match="no browser sends"):
        storage.signed_url("a.txt")
    assert operations == []


def test_a_private_file_in_a_bucket_known_as_public_has_no_link(either, make_bucket, settings):
    settings.B2FIELDS_BUCKET = make_bucket("allPublic")
    B2Storage(access="public", overwrite=True).save("a.txt", ContentFile(BODY))
    with pytest.raises(PolicyConflict):
        B2Storage(access="staff").signed_url("a.txt")


# What it costs


@pytest.fixture
def warm(site):
    stored()
    return site


def test_a_link_costs_no_request(warm):
    row = Contract.objects.create(scan=ContentFile(BODY, "a.txt"))
    with warm.counted() as operations:
        assert len({B2Storage().signed_url(f"{number}.txt") for number in range(50)}) == 50
        row.scan.signed_url()
        row.scan.signed_url(60, download=True)
    assert operations == []


def test_nobody_asks_whether_there_is_such_a_file(warm):
    with warm.counted() as operations:
        url = B2Storage().signed_url("missing.txt")
    assert operations == []
    assert status_of(url) == 404


def test_the_first_link_of_all_costs_an_authorization(site):
    with site.counted() as operations:
        B2Storage().signed_url("a.txt")
        B2Storage().signed_url("b.txt")
    assert operations == [AUTHORIZE]


def test_a_new_process_signs_by_what_another_was_told_and_without_the_sdk(warm, settings, tmp_path):
    settings.B2FIELDS_ACCOUNT_INFO = {"type": "sqlite", "path": tmp_path / "tokens"}
    B2Storage().signed_url("a.txt")
    code = f"""
import sys
import django
from django.conf import settings
from tests import settings as ours
settings.configure(
    SECRET_KEY=ours.SECRET_KEY,
    INSTALLED_APPS=["b2fields"],
    B2FIELDS_REALM={settings.B2FIELDS_REALM!r},
    B2FIELDS_BUCKET={settings.B2FIELDS_BUCKET!r},
    B2FIELDS_APPLICATION_KEY_ID={settings.B2FIELDS_APPLICATION_KEY_ID!r},
    B2FIELDS_APPLICATION_KEY={settings.B2FIELDS_APPLICATION_KEY!r},
    B2FIELDS_ACCOUNT_INFO={{"type": "sqlite", "path": {str(tmp_path / "tokens")!r}}},
)
django.setup()
from b2fields import B2Storage
print(B2Storage().signed_url("a.txt"))
assert not any(name.split(".")[0] in ("b2sdk", "botocore") for name in sys.modules)
"""
    with warm.counted() as operations:
        url = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        ).stdout.strip()
    assert operations == []
    assert fetch(url).body == BODY


def test_a_link_stays_the_same_for_a_while_and_changes_then(warm, monkeypatch):
    at(monkeypatch, 1_790_000_025)
    first = B2Storage().signed_url("a.txt", 300)
    at(monkeypatch, 1_790_000_099)
    assert B2Storage().signed_url("a.txt", 300) == first
    at(monkeypatch, 1_790_000_100)
    assert B2Storage().signed_url("a.txt", 300) != first


# What the key may do


@pytest.mark.parametrize(
    "restriction",
    [
        pytest.param({"capabilities": ["listBuckets", "writeFiles"]}, id="the key may not read"),
        pytest.param({"bucket_ids": True}, id="the key is for another bucket"),
        pytest.param({"bucket_ids": True, "name_prefix": "media/"}, id="the key is for other names"),
    ],
)
def test_no_link_is_made_that_would_open_nothing(emulator, b2_api, make_bucket, settings, restriction):
    more = {"capabilities": ["listBuckets", "readFiles"], **restriction}
    if "bucket_ids" in more:
        bucket = settings.B2FIELDS_BUCKET if "name_prefix" in more else make_bucket()
        more["bucket_ids"] = [b2_api.get_bucket_by_name(bucket).id_]
    with_key(settings, b2_api, **more)
    with pytest.raises(AccessRefused, match="readFiles"):
        B2Storage().signed_url("a.txt")


def test_a_key_that_may_only_read_below_a_prefix_signs_what_is_there(emulator, bucket, b2_api, settings):
    put(emulator, bucket, "media/a.txt", BODY)
    bucket_ids = [b2_api.get_bucket_by_name(bucket).id_]
    with_key(settings, b2_api, ["readFiles"], bucket_ids=bucket_ids, name_prefix="media/")
    assert fetch(B2Storage(location="media").signed_url("a.txt")).body == BODY


# With a master key


def test_a_link_with_a_master_key_costs_two_requests_once_in_a_while(master, monkeypatch):
    storage = stored()
    at(monkeypatch, 1_790_000_025)
    with master.counted() as operations:
        first = storage.signed_url("a.txt", 300)
        at(monkeypatch, 1_790_000_099)
        assert B2Storage().signed_url("a.txt", 300) == first
    assert operations == [LIST, TOKEN]
    at(monkeypatch, 1_790_000_100)
    with master.counted() as operations:
        assert storage.signed_url("a.txt", 300) != first
    assert operations == [LIST, TOKEN]


@pytest.mark.parametrize(
    ("args", "options"),
    [((60,), {}), ((), {"download": True})],
    ids=["another time", "another disposition"],
)
def test_another_link_to_the_file_has_a_token_of_its_own(master, args, options):
    storage = stored()
    usual, other = storage.signed_url("a.txt"), storage.signed_url("a.txt", *args, **options)
    assert parameters_of(usual)["Authorization"] != parameters_of(other)["Authorization"]
    assert fetch(other).body == BODY


@pytest.mark.parametrize("neighbour", ["report.pdf.bak", "report.pdf2", "report.pdf/x", "report.pdf "])
def test_no_link_is_made_that_would_open_a_neighbour(master, bucket, neighbour):
    put(master, bucket, neighbour)
    storage = stored("report.pdf")
    with master.counted() as operations, pytest.raises(CannotSign, match="begins like this"):
        storage.signed_url("report.pdf")
    assert operations == [LIST]


def test_a_neighbour_is_found_where_the_file_itself_is_missing(master, bucket):
    put(master, bucket, "report.pdf2")
    with pytest.raises(CannotSign):
        B2Storage().signed_url("report.pdf")


@pytest.mark.parametrize("neighbour", ["report.pd", "report", "Report.pdf", "a/report.pdf"])
def test_names_that_only_look_alike_are_no_neighbours(master, bucket, neighbour):
    put(master, bucket, neighbour)
    assert fetch(stored("report.pdf").signed_url("report.pdf")).body == BODY


def test_a_missing_file_has_no_link_with_a_master_key(master):
    with pytest.raises(FileMissing):
        B2Storage().signed_url("missing.txt")


def test_unique_names_are_no_neighbours_of_each_other(master):
    rows = [Contract.objects.create(scan=ContentFile(BODY, "a.txt")) for _ in range(3)]
    assert [fetch(row.scan.signed_url()).body for row in rows] == [BODY] * 3


def test_the_last_thousand_links_with_a_master_key_are_remembered(bucket):
    connection = connections.connection_to(B2Storage().account)
    for number in range(1001):
        links.keep(connection, f"link {number}", "a.txt", number)
    assert links.kept(connection, "a.txt", 0) is None
    assert links.kept(connection, "a.txt", 1) == "link 1"
    assert links.kept(connection, "a.txt", 1000) == "link 1000"


def test_they_are_forgotten_with_the_account(master):
    storage = stored()
    first = storage.signed_url("a.txt")
    connection = ref(connections.connection_to(storage.account))
    connections.close_all()
    assert storage.signed_url("a.txt") != first
    gc.collect()
    assert connection() is None


def test_an_expired_account_token_is_renewed_for_a_link(master):
    storage = stored()
    master.expire_tokens()
    with master.counted() as operations:
        assert fetch(storage.signed_url("a.txt")).body == BODY
    assert operations[:4] == [LIST, AUTHORIZE, LIST, TOKEN]


@pytest.mark.parametrize("capability", ["shareFiles", None])
def test_where_there_is_no_s3_endpoint_an_application_key_needs_to_share_files(
    emulator, bucket, b2_api, settings, capability
):
    # The emulator always has one, so the link is asked for by the way that is left then.
    put(emulator, bucket, "a.txt", BODY)
    with_key(settings, b2_api, ["listBuckets", "listFiles", "readFiles", *filter(None, [capability])])
    headers = {"content-type": "text/plain", "content-disposition": 'inline; filename="a.txt"'}
    if capability:
        assert fetch(B2Storage().client._link_with_token(bucket, "a.txt", 60, headers)).body == BODY
    else:
        with pytest.raises(AccessRefused, match="shareFiles"):
            B2Storage().client._link_with_token(bucket, "a.txt", 60, headers)


# Secrets


TROUBLE = [
    pytest.param({"status": 401, "code": "unauthorized"}, AccessRefused, id="a refusal"),
    pytest.param({"status": 503, "code": "service_unavailable"}, B2Unavailable, id="an outage"),
    pytest.param({"corrupt": True, "cut_after": 10}, B2Unavailable, id="an answer that is no JSON"),
]


@pytest.mark.parametrize(("fault", "expected"), TROUBLE)
@pytest.mark.parametrize("operation", [LIST, TOKEN])
def test_no_error_of_a_link_shows_a_secret(master, settings, operation, fault, expected):
    settings.DEBUG = True
    settings.B2FIELDS_RETRIES = 0
    storage = stored()
    account_token = storage.client.tokens.token
    master.fault(operation, **fault)
    error = error_of(lambda: storage.signed_url("a.txt"))
    assert isinstance(error, expected)
    report = report_of(error)
    assert "a.txt" in report
    assert account_token not in report
    assert secrets_in(report) == []


def test_no_link_is_logged_or_shared(either, everything_logged, settings):  # noqa: F811
    url = stored().signed_url("a.txt")
    assert status_of(url) == 200
    text = everything_logged() + "".join(cache_entries().values())
    assert SIGNATURE.search(url)
    assert not SIGNATURE.search(text)
    assert [secret for secret in secrets_in(text) if secret != "account"] == []
    assert settings.B2FIELDS_APPLICATION_KEY not in url + text


def test_no_link_holds_the_accounts_token_or_key(either, settings):
    storage = stored()
    url = storage.signed_url("a.txt")
    assert storage.client.tokens.token not in url
    assert settings.B2FIELDS_APPLICATION_KEY not in url
    assert emulated.KEY not in url


# The setting


def ids_of(**changed):
    with override_settings(**changed):
        return {message.id for message in run_checks()}


@pytest.mark.parametrize("value", [0, -1, WEEK + 1, None, "300", 300.0, True])
def test_check_finds_an_expiry_that_makes_no_sense(value, site):
    assert "b2fields.E022" in ids_of(B2FIELDS_URL_EXPIRY=value)
    with override_settings(B2FIELDS_URL_EXPIRY=value), pytest.raises(NotConfigured, match="URL_EXPIRY"):
        B2Storage().signed_url("a.txt")


@pytest.mark.parametrize("value", [1, 300, 3600])
def test_check_passes_an_expiry_of_up_to_an_hour(value):
    assert not {"b2fields.E022", "b2fields.W023"} & ids_of(B2FIELDS_URL_EXPIRY=value)


@pytest.mark.parametrize("value", [3601, WEEK])
def test_check_warns_of_a_longer_one(value):
    found = ids_of(B2FIELDS_URL_EXPIRY=value)
    assert "b2fields.W023" in found
    assert "b2fields.E022" not in found


@pytest.mark.parametrize(("value", "expected"), [(0, "b2fields.E022"), (WEEK, "b2fields.W023")])
def test_check_looks_at_the_expiry_of_storages_too(settings, value, expected):
    backend = {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"url_expiry": value}}
    assert expected in ids_of(STORAGES={**settings.STORAGES, "archive": backend})
