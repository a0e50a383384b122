"""Where files are linked to: public ones at the CDN, B2 or this site, private ones at this site alone."""

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.request import ProxyHandler, build_opener

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from b2fields import B2Storage, b2
from b2fields.exceptions import NotConfigured
from tests import emulated
from tests.legal.models import Contract

pytestmark = pytest.mark.django_db

NAME = "ordner/ein schöner Name+100%?#&=;'(1).txt"
QUOTED = "ordner/ein%20sch%C3%B6ner%20Name%2B100%25%3F%23%26%3D%3B%27%281%29.txt"


def content():
    return ContentFile(b"content")


def fetch(url):
    with build_opener(ProxyHandler({})).open(url) as response:
        return response.read()


@pytest.fixture
def public_bucket(emulator, make_bucket, settings):
    """A public bucket for the public files alone; the private ones are in another."""
    name = make_bucket("allPublic")
    settings.B2FIELDS_BUCKETS = {"public": name}
    return name


@pytest.fixture
def cdn(settings):
    """A CDN before a bucket for the public files alone."""
    settings.B2FIELDS_BUCKET = "acme-private"
    settings.B2FIELDS_BUCKETS = {"public": "acme-public"}
    settings.B2FIELDS_CDN = {"base_url": "https://cdn.example.com/x"}


def begin_anew():
    """Forget what this process knows, and what processes share."""
    b2._clients.clear()
    cache.clear()


def covered(name="a.txt"):
    """A row whose public file was uploaded some time ago, by a process that is no more."""
    row = Contract.objects.create(cover=ContentFile(b"content", name))
    begin_anew()
    return row


# CDN


@pytest.mark.parametrize("base_url", ["https://cdn.example.com", "https://cdn.example.com/"])
@pytest.mark.parametrize(
    ("with_segments", "path"), [(True, "/file/acme-covers/covers/a.txt"), (False, "/covers/a.txt")]
)
def test_a_public_file_is_linked_to_at_the_cdn(settings, base_url, with_segments, path):
    settings.B2FIELDS_CDN = {"base_url": base_url, "include_bucket_url_segments": with_segments}
    storage = B2Storage(access="public", bucket="acme-covers")
    assert storage.url("covers/a.txt") == f"https://cdn.example.com{path}"


def test_the_bucket_is_left_out_of_a_cdn_url_unless_asked_for(settings):
    settings.B2FIELDS_CDN = {"base_url": "https://cdn.example.com/x/y/"}
    assert B2Storage(access="public", bucket="b").url("a.txt") == "https://cdn.example.com/x/y/a.txt"


def test_a_cdn_url_needs_neither_b2_nor_a_key(emulator, cdn, settings):
    settings.B2FIELDS_APPLICATION_KEY = settings.B2FIELDS_APPLICATION_KEY_ID = None
    with emulator.counted() as operations:
        assert Contract(cover="covers/a.txt").cover.url == "https://cdn.example.com/x/covers/a.txt"
    assert operations == []


@pytest.mark.parametrize(
    ("private", "public"),
    [("acme", "acme"), ("acme", "ACME"), ("ACME", "acme")],  # one bucket to B2
)
def test_a_public_file_in_a_bucket_with_private_ones_is_linked_to_at_this_site(
    emulator, cdn, settings, private, public
):
    settings.B2FIELDS_BUCKET, settings.B2FIELDS_BUCKETS = private, {"public": public}
    with emulator.counted() as operations:
        assert Contract(cover="covers/a.txt").cover.url == "/b2/legal.contract.cover/covers/a.txt"
        settings.B2FIELDS_CDN = None
        assert Contract(cover="covers/a.txt").cover.url == "/b2/legal.contract.cover/covers/a.txt"
    assert operations == []


def test_an_alias_with_a_private_policy_counts_too(cdn, settings):
    public = {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"access": "public", "bucket": "acme-other"}}
    settings.STORAGES = {**settings.STORAGES, "covers": public}
    assert storages["covers"].url("a.txt") == "https://cdn.example.com/x/a.txt"
    private = {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"access": "staff", "bucket": "acme-other"}}
    settings.STORAGES = {**settings.STORAGES, "scans": private}
    assert storages["covers"].url("a.txt") == "/b2/covers/a.txt"


def test_names_are_quoted_as_b2_reads_them_and_the_location_is_part(public_bucket, emulator, settings):
    storage = B2Storage(access="public", location="medien", overwrite=True)
    storage.save(NAME, content())
    assert storage.url(NAME) == f"{emulator.realm}/file/{public_bucket}/medien/{QUOTED}"
    assert fetch(storage.url(NAME)) == b"content"
    settings.B2FIELDS_CDN = {"base_url": f"{emulator.realm}/", "include_bucket_url_segments": True}
    assert fetch(storage.url(NAME)) == b"content"


def test_each_storage_may_have_a_cdn_of_its_own_or_none(public_bucket, emulator, settings):
    settings.B2FIELDS_CDN = {"base_url": "https://cdn.example.com/"}
    other = B2Storage(access="public", cdn={"base_url": "https://other.example.com/"})
    assert other.url("a.txt") == "https://other.example.com/a.txt"
    assert B2Storage(access="public", cdn=None).url("a.txt").startswith(emulator.realm)


def test_a_public_storage_that_nothing_names_has_no_url_in_a_private_bucket(bucket):
    with pytest.raises(NotConfigured, match="has no URL"):
        B2Storage(access="public").url("a.txt")


@pytest.mark.parametrize("field", ["minutes", "scan", "dossier"])
@pytest.mark.parametrize("bucket_type", ["allPrivate", "allPublic"])
def test_a_private_file_is_linked_to_at_this_site_alone(emulator, make_bucket, settings, field, bucket_type):
    settings.B2FIELDS_BUCKET = make_bucket(bucket_type)
    B2Storage(access="public", overwrite=True).save("a.txt", content())  # so that its type is known
    settings.B2FIELDS_CDN = {"base_url": "https://cdn.example.com/"}
    assert getattr(Contract(**{field: "a/b.txt"}), field).url.startswith("/b2")
    settings.B2FIELDS_CDN = None
    with emulator.counted() as operations:
        assert getattr(Contract(**{field: "a/b.txt"}), field).url.startswith("/b2")
    assert operations == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "//evil.example/x", "a\\b", "a//b", "."])
def test_an_odd_name_leads_to_no_other_place(cdn, name):
    assert Contract(cover=name).cover.url.startswith("/b2/legal.contract.cover/")


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param({}, id="no base_url"),
        pytest.param({"base_url": "cdn.example.com"}, id="no scheme"),
        pytest.param({"base_url": "ftp://cdn.example.com"}, id="another scheme"),
        pytest.param({"base_url": "https://"}, id="no host"),
        pytest.param({"base_url": "https://[/"}, id="a host that is none"),
        pytest.param({"base_url": "https://cdn.example.com/?x="}, id="a query"),
        pytest.param({"base_url": 7}, id="a number"),
        pytest.param(
            {"base_url": "https://a.example", "include_bucket_url_segments": "no"}, id="a text for a bool"
        ),
        pytest.param({"base_url": "https://a.example", "bucket": True}, id="an unknown key"),
        pytest.param("https://cdn.example.com/", id="no dict"),
    ],
)
def test_a_wrong_cdn_is_named_when_used_and_by_check(settings, declared):
    settings.B2FIELDS_CDN = declared
    with pytest.raises(NotConfigured, match="B2FIELDS_CDN"):
        B2Storage(access="public", bucket="b").url("a.txt")
    (error,) = (error for error in run_checks() if error.id == "b2fields.E017")
    assert error.hint


# B2 itself


@pytest.fixture
def private_bucket(emulator, make_bucket, settings):
    """A private bucket for the public files alone."""
    settings.B2FIELDS_BUCKETS = {"public": make_bucket()}
    return settings.B2FIELDS_BUCKETS["public"]


def test_a_file_of_a_public_bucket_is_linked_to_at_b2(public_bucket, emulator):
    row = Contract.objects.create(cover=ContentFile(b"content", "a.txt"))
    with emulator.counted() as operations:
        url = row.cover.url
    assert operations == []
    assert url == f"{emulator.realm}/file/{public_bucket}/{row.cover.name}"
    assert fetch(url) == b"content"


def test_a_public_file_of_a_private_bucket_is_linked_to_at_this_site(private_bucket, emulator):
    row = Contract.objects.create(cover=ContentFile(b"content", "a.txt"))
    with emulator.counted() as operations:
        assert row.cover.url == f"/b2/legal.contract.cover/{row.cover.name}"
    assert operations == []


def test_the_first_link_of_all_asks_once_and_is_the_same_as_the_later_ones(public_bucket, emulator):
    row = covered()
    with emulator.counted() as operations:
        urls = {row.cover.url for _ in range(10)}
    assert operations == ["b2_authorize_account", "b2_list_buckets"]
    assert urls == {f"{emulator.realm}/file/{public_bucket}/{row.cover.name}"}


def test_another_process_that_shares_the_cache_asks_nothing(public_bucket, emulator):
    row = covered()
    first = row.cover.url
    b2._clients.clear()
    with emulator.counted() as operations:
        assert row.cover.url == first
    assert operations == []


def test_threads_that_render_the_first_links_ask_once_between_them(public_bucket, emulator):
    row = covered()
    with emulator.counted() as operations, ThreadPoolExecutor(16) as threads:
        urls = set(threads.map(lambda _: row.cover.url, range(40)))
    assert operations == ["b2_authorize_account", "b2_list_buckets"]
    assert urls == {f"{emulator.realm}/file/{public_bucket}/{row.cover.name}"}


def test_a_link_stays_the_same_for_a_day_without_a_request_and_then_follows_the_bucket(
    public_bucket, emulator, b2_api, monkeypatch
):
    row = covered()
    direct = row.cover.url
    b2_api.get_bucket_by_name(public_bucket).update(bucket_type="allPrivate")
    now = b2.time.time()
    monkeypatch.setattr("b2fields.account.time.time", lambda: now + 23 * 3600)
    with emulator.counted() as operations:
        assert row.cover.url == direct
    assert operations == []
    monkeypatch.setattr("b2fields.account.time.time", lambda: now + 25 * 3600)
    with emulator.counted() as operations:
        assert row.cover.url == f"/b2/legal.contract.cover/{row.cover.name}"
        assert row.cover.url == f"/b2/legal.contract.cover/{row.cover.name}"
    assert operations == ["b2_list_buckets"]


def test_a_known_link_stays_while_b2_is_down(public_bucket, emulator, monkeypatch, settings):
    row = covered()
    direct = row.cover.url
    now = b2.time.time()
    monkeypatch.setattr("b2fields.account.time.time", lambda: now + 25 * 3600)
    emulator.fault("*", times=None, status=503)
    with emulator.counted() as operations:
        assert {row.cover.url for _ in range(10)} == {direct}
    assert set(operations) == {"b2_list_buckets"}
    assert len(operations) <= 1 + settings.B2FIELDS_RETRIES


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 401, "code": "unauthorized"},
        {"reset": True},
        {"delay": 60},
        {"status": 429},
    ],
    ids=str,
)
def test_without_an_answer_the_page_is_shown_and_nothing_more_is_asked(
    public_bucket, emulator, settings, fault, caplog
):
    row = covered()
    settings.B2FIELDS_CONNECT_TIMEOUT = 0.3
    emulator.fault("*", times=None, **fault)
    with emulator.counted() as operations:
        assert {row.cover.url for _ in range(20)} == {f"/b2/legal.contract.cover/{row.cover.name}"}
    assert 1 <= len(operations) <= 1 + settings.B2FIELDS_RETRIES
    assert "through this site" in caplog.text
    assert emulated.KEY not in caplog.text


def test_a_B2_that_stalls_holds_a_page_up_for_no_longer_than_connecting_may_take(
    public_bucket, emulator, settings
):
    row = covered()
    settings.B2FIELDS_CONNECT_TIMEOUT = 0.3
    settings.B2FIELDS_READ_TIMEOUT = 1
    emulator.fault("*", times=None, delay=60)
    with emulator.counted() as operations:
        assert row.cover.url.startswith("/b2/")
    assert len(operations) == 1  # no time is left for a second try


def test_a_bucket_whose_type_was_not_told_is_asked_for_again_after_a_minute(
    public_bucket, emulator, monkeypatch
):
    row = covered()
    emulator.fault("*", times=None, status=503)
    assert row.cover.url.startswith("/b2/")
    emulator.heal()
    with emulator.counted() as operations:
        assert row.cover.url.startswith("/b2/")
    assert operations == []
    now = b2.time.monotonic()
    monkeypatch.setattr("b2fields.b2.time.monotonic", lambda: now + 61)
    assert row.cover.url == f"{emulator.realm}/file/{public_bucket}/{row.cover.name}"


def test_a_B2_that_cannot_be_reached_breaks_no_page(settings, public_bucket):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert Contract(cover="a.txt").cover.url == "/b2/legal.contract.cover/a.txt"


@pytest.mark.parametrize("setting", ["APPLICATION_KEY_ID", "APPLICATION_KEY", "BUCKET"])
def test_without_a_key_or_a_bucket_the_link_is_to_this_site(
    public_bucket, emulator, settings, monkeypatch, setting
):
    settings.B2FIELDS_BUCKETS = settings.B2FIELDS_BUCKETS if setting != "BUCKET" else {}
    for variable in ("B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"):
        monkeypatch.delenv(variable, raising=False)
    setattr(settings, f"B2FIELDS_{setting}", None)
    with emulator.counted() as operations:
        assert Contract(cover="a.txt").cover.url == "/b2/legal.contract.cover/a.txt"
    assert operations == []


def test_a_link_creates_no_bucket(emulator, settings, b2_api):
    settings.B2FIELDS_BUCKETS = {"public": "bucket-of-nobody"}
    settings.B2FIELDS_CREATE_BUCKET = {}
    assert Contract(cover="a.txt").cover.url == "/b2/legal.contract.cover/a.txt"
    assert "bucket-of-nobody" not in [bucket.name for bucket in b2_api.list_buckets()]


def test_a_key_that_may_not_see_the_type_links_to_this_site(public_bucket, emulator, b2_api):
    bucket_ids = [b2_api.get_bucket_by_name(public_bucket).id_]
    key = b2_api.create_key(key_name="blind", capabilities=["readFiles"], bucket_ids=bucket_ids)
    storage = B2Storage(access="public", application_key_id=key.id_, application_key=key.application_key)
    storage = storage.configured(field_label="legal.contract.cover")
    assert storage.url("a.txt") == "/b2/legal.contract.cover/a.txt"


def test_a_public_storage_that_nothing_names_has_a_url_in_a_public_bucket(public_bucket, emulator):
    storage = B2Storage(access="public", overwrite=True)
    storage.save("a.txt", content())
    assert fetch(storage.url("a.txt")) == b"content"


def test_the_site_still_serves_what_is_linked_to_elsewhere(public_bucket, client):
    row = Contract.objects.create(cover=ContentFile(b"content", "a.txt"))
    response = client.get(f"/b2/legal.contract.cover/{row.cover.name}")
    assert b"".join(response.streaming_content) == b"content"


def test_no_link_holds_a_token(public_bucket, emulator):
    row = Contract.objects.create(cover=ContentFile(b"content", "a.txt"))
    token = B2Storage().client.api.account_info.get_account_auth_token()
    assert token not in row.cover.url
    assert "?" not in row.cover.url
