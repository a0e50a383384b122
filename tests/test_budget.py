"""The B2 requests that an operation costs in a warm process: each one is paid for."""

import os
import subprocess
import sys

import pytest
from django.core.files.base import ContentFile

from b2fields import B2Storage
from b2fields.b2 import connections
from tests.legal.models import Contract

pytestmark = pytest.mark.django_db


@pytest.fixture
def warm(emulator):
    """A process that has authorized, knows its bucket and holds an upload URL."""
    B2Storage(overwrite=True).save("warm", ContentFile(b"warm"))
    return emulator


def content():
    return ContentFile(b"content")


def test_a_cold_save_authorizes_and_looks_up_bucket_and_upload_url_once(emulator):
    with emulator.counted() as operations:
        B2Storage(overwrite=True).save("a", content())
        B2Storage(overwrite=True).save("b", content())
    assert operations == [
        "b2_authorize_account",
        "b2_list_buckets",
        "b2_get_upload_url",
        "b2_upload_file",
        "b2_upload_file",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"unique_names": True}, ["b2_upload_file"], id="with unique names is one"),
        pytest.param({"overwrite": True}, ["b2_upload_file"], id="with overwrite is one"),
        pytest.param({}, ["head_file_by_name", "b2_upload_file"], id="without them is two"),
    ],
)
def test_a_save(warm, options, expected):
    with warm.counted() as operations:
        B2Storage(**options).save("a.txt", content())
    assert operations == expected


def test_a_file_field_saves_with_one_request(warm):
    with warm.counted() as operations:
        Contract.objects.create(scan=ContentFile(b"content", "a.pdf"))
    assert operations == ["b2_upload_file"]


def ask_everything(storage, name):
    return storage.exists(name), storage.size(name), storage.get_modified_time(name)


def test_what_a_save_told_is_not_asked_again(warm, storage):
    name = storage.save("a.txt", content())
    with warm.counted() as operations:
        ask_everything(storage, name)
    assert operations == []


def test_exists_size_and_time_are_one_request_together(warm, storage):
    name = storage.save("a.txt", content())
    from django.core.cache import cache

    cache.clear()
    with warm.counted() as operations:
        ask_everything(storage, name)
        ask_everything(storage, name)
    assert operations == ["head_file_by_name"]


def test_without_the_metadata_cache_each_look_is_a_request(warm, storage, settings):
    name = storage.save("a.txt", content())
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    with warm.counted() as operations:
        ask_everything(storage, name)
    assert operations[-3:] == ["head_file_by_name"] * 3


def test_opening_and_reading_is_one_request(warm, storage):
    name = storage.save("a.txt", content())
    with warm.counted() as operations:
        assert storage.open(name).read() == b"content"
    assert operations == ["b2_download_file_by_name"]


def test_deleting_is_two_requests(warm, storage):
    name = storage.save("a.txt", content())
    with warm.counted() as operations:
        storage.delete(name)
    assert operations == ["b2_list_file_versions", "b2_delete_file_version"]


def test_a_listing_is_one_request_for_a_thousand_names(warm, storage):
    for number in range(3):
        storage.save(f"{number}.txt", content())
    with warm.counted() as operations:
        storage.listdir("")
    assert operations == ["b2_list_file_names"]


def test_a_url_is_free(warm):
    contract = Contract.objects.create(scan=ContentFile(b"content", "a.pdf"))
    with warm.counted() as operations:
        assert contract.scan.url
        assert str(contract.scan)
    assert operations == []


def test_proxied_requests(warm, client, visitors):
    client.force_login(visitors["staff"])
    url = Contract.objects.create(scan=ContentFile(b"content", "a.pdf")).scan.url
    for headers in ({}, {"Range": "bytes=2-3"}, {"Range": "bytes=-3"}):
        with warm.counted() as operations:
            response = client.get(url, headers=headers)
            assert b"".join(response.streaming_content) in (b"content", b"nt", b"ent")
        assert operations == ["b2_download_file_by_name"]
    with warm.counted() as operations:
        assert client.head(url).status_code == 200
        assert client.get(url, headers={"If-None-Match": response["ETag"]}).status_code == 304
    assert operations == []


def test_a_process_that_finds_an_authorization_in_the_cache_uses_it(warm):
    # As another process would: without what this one holds in memory.
    connections.close_all()
    with warm.counted() as operations:
        B2Storage(overwrite=True).save("b", content())
    assert operations == ["b2_get_upload_url", "b2_upload_file"]


def test_another_process_shares_the_authorization_through_a_shared_cache(emulator, tmp_path, settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path),
        }
    }
    name = B2Storage(overwrite=True).save("a", content())
    code = f"""
import django
from django.conf import settings
settings.configure(
    SECRET_KEY={settings.SECRET_KEY!r}, INSTALLED_APPS=["b2fields"], CACHES={settings.CACHES!r},
    B2FIELDS_REALM={settings.B2FIELDS_REALM!r}, B2FIELDS_BUCKET={settings.B2FIELDS_BUCKET!r},
    B2FIELDS_APPLICATION_KEY_ID={settings.B2FIELDS_APPLICATION_KEY_ID!r},
    B2FIELDS_APPLICATION_KEY={settings.B2FIELDS_APPLICATION_KEY!r},
)
django.setup()
from b2fields import B2Storage
assert B2Storage().size({name!r}) == 7
assert B2Storage().open({name!r}).read() == b"content"
"""
    with emulator.counted() as operations:
        subprocess.run(
            [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
        )
    assert operations == ["b2_download_file_by_name"]
