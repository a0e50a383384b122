"""Where files are linked to: public ones at the CDN, B2 or this site, private ones at this site alone."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.request import ProxyHandler, build_opener

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from b2fields import B2Storage
from b2fields.b2 import connections
from b2fields.exceptions import NotConfigured
from tests import emulated
from tests.legal.models import Contract
from tests.serving import GET

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
    connections.close_all()
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


def served(row, client):
    """Have the site serve the row's public file, to whoever follows its link."""
    response = client.get(f"/b2/legal.contract.cover/{row.cover.name}")
    return b"".join(response.streaming_content)


def proxied(row):
    return f"/b2/legal.contract.cover/{row.cover.name}"


def direct(row, emulator, public_bucket):
    return f"{emulator.realm}/file/{public_bucket}/{row.cover.name}"


def test_a_link_asks_nobody_and_without_knowing_leads_to_this_site(public_bucket, emulator):
    row = covered()
    with emulator.counted() as operations:
        assert {row.cover.url for _ in range(10)} == {proxied(row)}
    assert operations == []


def test_a_page_of_links_reads_the_shared_entry_once_a_minute(public_bucket, counting_cache, monkeypatch):
    row = covered()
    counting_cache.accesses.clear()
    for _ in range(100):
        row.cover.url  # noqa: B018 - rendered
    assert len(counting_cache.accesses) == 1
    now = time.monotonic()
    monkeypatch.setattr("b2fields.b2.tokens.time.monotonic", lambda: now + 61)
    row.cover.url  # noqa: B018
    assert len(counting_cache.accesses) == 2


def test_the_first_file_that_the_site_serves_tells_where_the_later_links_lead(
    public_bucket, emulator, client
):
    row = covered()
    with emulator.counted() as operations:
        served(row, client)
    assert operations == ["b2_authorize_account", GET, "b2_list_buckets"]
    with emulator.counted() as operations:
        assert row.cover.url == direct(row, emulator, public_bucket)
        served(row, client)
    assert operations == [GET]


def test_another_process_that_shares_the_cache_asks_nothing(public_bucket, emulator, client):
    row = covered()
    served(row, client)
    connections.close_all()
    with emulator.counted() as operations:
        assert row.cover.url == direct(row, emulator, public_bucket)
    assert operations == []


def test_a_process_that_is_authorized_learns_of_the_bucket_from_another(public_bucket, emulator, client):
    row = covered()
    mine = B2Storage(access="public")
    mine.exists("anything")
    ours = connections.connection_to(mine.account)
    connections.close_all()
    served(row, client)
    connections._connections[mine.account] = ours
    with emulator.counted() as operations:
        assert row.cover.url == direct(row, emulator, public_bucket)
    assert operations == []


def test_threads_that_serve_the_first_files_ask_once_between_them(public_bucket, emulator):
    covered()
    storage = B2Storage(access="public")
    storage.exists("anything")
    with emulator.counted() as operations, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: storage.learn_public_url(), range(40)))
    assert operations == ["b2_list_buckets"]


def test_a_link_counts_for_a_day_and_then_follows_the_bucket(
    public_bucket, emulator, b2_api, monkeypatch, client
):
    row = covered()
    served(row, client)
    b2_api.get_bucket_by_name(public_bucket).update(bucket_type="allPrivate")
    now = time.time()
    monkeypatch.setattr("b2fields.b2.tokens.time.time", lambda: now + 23 * 3600)
    assert row.cover.url == direct(row, emulator, public_bucket)
    monkeypatch.setattr("b2fields.b2.tokens.time.time", lambda: now + 25 * 3600)
    assert row.cover.url == proxied(row)
    served(row, client)
    assert row.cover.url == proxied(row)
    b2_api.get_bucket_by_name(public_bucket).update(bucket_type="allPublic")
    monkeypatch.setattr("b2fields.b2.tokens.time.time", lambda: now + 50 * 3600)
    elsewhen = time.monotonic()
    monkeypatch.setattr("b2fields.b2.client.time.monotonic", lambda: elsewhen + 61)
    served(row, client)
    assert row.cover.url == direct(row, emulator, public_bucket)


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}, {"delay": 60}, {"status": 429}], ids=str)
def test_without_an_answer_the_file_is_served_and_nothing_more_is_asked_for_a_minute(
    public_bucket, emulator, settings, fault, caplog, client, monkeypatch
):
    row = covered()
    settings.B2FIELDS_CONNECT_TIMEOUT = 0.3
    emulator.fault("b2_list_buckets", times=None, **fault)
    with emulator.counted() as operations:
        for _ in range(5):
            assert served(row, client) == b"content"
            assert row.cover.url == proxied(row)
    assert 1 <= operations.count("b2_list_buckets") <= 1 + settings.B2FIELDS_RETRIES
    assert "through this site" in caplog.text
    assert emulated.KEY not in caplog.text
    emulator.heal()
    now = time.monotonic()
    monkeypatch.setattr("b2fields.b2.client.time.monotonic", lambda: now + 61)
    served(row, client)
    assert row.cover.url == direct(row, emulator, public_bucket)


def test_a_B2_that_cannot_be_reached_breaks_no_page(settings, public_bucket):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert Contract(cover="a.txt").cover.url == "/b2/legal.contract.cover/a.txt"


def test_a_link_imports_no_sdk():
    program = """
import sys, django
from django.conf import settings
django.setup()
settings.B2FIELDS_BUCKET, settings.B2FIELDS_BUCKETS = "acme-private", {"public": "acme-public"}
settings.B2FIELDS_APPLICATION_KEY_ID = settings.B2FIELDS_APPLICATION_KEY = "some key"
from tests.legal.models import Contract
print(Contract(cover="a.txt").cover.url, "b2sdk" in sys.modules)
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["/b2/legal.contract.cover/a.txt", "False"]


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


def test_nobody_asks_for_the_bucket_of_files_that_no_browser_could_open(public_bucket, emulator):
    storage = B2Storage(access="public", encryption={"mode": "SSE-C", "key": b"k" * 32})
    with emulator.counted() as operations:
        storage.learn_public_url()
    assert operations == []
