"""Bad input gets a clear error that names the setting or the file, says what to do, and loses nothing."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import caches
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from b2fields import B2Storage
from b2fields.exceptions import (
    AccessRefused,
    B2TimedOut,
    B2Unavailable,
    BucketMissing,
    CapExceeded,
    FileMissing,
    NotConfigured,
    PolicyConflict,
)
from tests import emulated
from tests.between import HTML, between
from tests.legal.models import Contract

pytestmark = pytest.mark.django_db  # the checks of models ask the database what it can


def content():
    return ContentFile(b"content")


def save():
    return B2Storage(overwrite=True).save("a.txt", content())


@pytest.fixture(autouse=True)
def _without_keys_in_the_environment(monkeypatch):
    for variable in ("B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("setting", ["APPLICATION_KEY_ID", "APPLICATION_KEY"])
def test_missing_credentials_are_named(emulator, settings, setting):
    setattr(settings, f"B2FIELDS_{setting}", None)
    with (
        emulator.counted() as operations,
        pytest.raises(NotConfigured, match=f"B2FIELDS_{setting} is not set"),
    ):
        save()
    assert operations == []


def test_credentials_may_come_from_the_environment(emulator, settings, monkeypatch):
    settings.B2FIELDS_APPLICATION_KEY_ID = settings.B2FIELDS_APPLICATION_KEY = None
    monkeypatch.setenv("B2_APPLICATION_KEY_ID", emulated.KEY_ID)
    monkeypatch.setenv("B2_APPLICATION_KEY", emulated.KEY)
    assert save() == "a.txt"


def test_a_missing_bucket_setting_is_named(emulator, settings):
    settings.B2FIELDS_BUCKET = None
    with pytest.raises(ImproperlyConfigured, match="Set B2FIELDS_BUCKET"):
        save()


def test_an_unknown_bucket_is_named_with_what_to_do(emulator, settings):
    settings.B2FIELDS_BUCKET = "no-such-bucket"
    for use in (save, lambda: B2Storage().listdir(""), lambda: B2Storage().delete("a.txt")):
        with pytest.raises(BucketMissing, match=r"no bucket 'no-such-bucket'\. Create it"):
            use()


def test_a_bucket_that_is_created_after_all_is_found(emulator, settings, make_bucket):
    settings.B2FIELDS_BUCKET = "bucket-later"
    with pytest.raises(BucketMissing):
        save()
    settings.B2FIELDS_BUCKET = make_bucket()
    assert save() == "a.txt"


def test_a_bucket_that_was_created_anew_is_found_again(emulator, settings, b2_api):
    settings.B2FIELDS_BUCKET = "bucket-anew"
    gone = b2_api.create_bucket("bucket-anew", "allPrivate")
    B2Storage().exists("a.txt")
    B2Storage().listdir("")
    b2_api.delete_bucket(gone)
    anew = b2_api.create_bucket("bucket-anew", "allPrivate")
    with pytest.raises(BucketMissing, match="no bucket 'bucket-anew'"):
        save()
    assert save() == "a.txt"
    B2Storage().delete("a.txt")
    b2_api.delete_bucket(anew)


def test_a_wrong_key_is_an_error_without_the_key_and_is_not_tried_at_once_again(emulator, settings):
    settings.B2FIELDS_APPLICATION_KEY = "a-wrong-secret"
    with emulator.counted() as operations:
        for _ in range(3):
            with pytest.raises(PermissionError, match="Check B2FIELDS_APPLICATION_KEY_ID") as caught:
                save()
            assert isinstance(caught.value, AccessRefused)
            assert "a-wrong-secret" not in str(caught.value)
    assert operations == ["b2_authorize_account"]


def test_an_unreachable_B2_is_an_OSError_that_names_the_realm(emulator, settings):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(B2Unavailable, match=f"Is '{settings.B2FIELDS_REALM}' the right B2FIELDS_REALM"):
            save()


def test_a_B2_that_accepts_and_never_answers_is_given_up(emulator, settings):
    settings.B2FIELDS_READ_TIMEOUT = 0.2
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(B2TimedOut) as caught:
            save()
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param({"status": 503, "code": "service_unavailable"}, B2Unavailable, id="503"),
        pytest.param(
            {"status": 429, "code": "too_many_requests", "headers": {"Retry-After": "3600"}},
            B2Unavailable,
            id="429 with an hour to wait",
        ),
        pytest.param({"status": 403, "code": "storage_cap_exceeded"}, CapExceeded, id="a cap"),
        pytest.param({"status": 401, "code": "unauthorized"}, AccessRefused, id="a key that may not"),
        pytest.param({"status": 401, "code": "expired_auth_token"}, AccessRefused, id="401 for ever"),
        pytest.param({"status": 418, "code": "teapot"}, B2Unavailable, id="a status nobody knows"),
    ],
)
@pytest.mark.parametrize("operation", ["b2_upload_file", "b2_get_upload_url"])
def test_trouble_of_B2_while_saving(emulator, operation, fault, error):
    emulator.fault(operation, times=None, **fault)
    with pytest.raises(error, match=r"'a\.txt' in bucket 'bucket-"):
        save()
    emulator.heal()
    assert B2Storage().listdir("") == ([], [])
    assert save() == "a.txt"


@pytest.mark.parametrize(
    "fault",
    [{"status": 503, "code": "service_unavailable"}, {"status": 429, "code": "too_many_requests"}],
    ids=["503", "429"],
)
def test_a_passing_fault_is_not_noticed(fault, emulator):
    for operation in ("b2_authorize_account", "b2_list_buckets", "b2_get_upload_url", "b2_upload_file"):
        emulator.fault(operation, **fault)
    assert save() == "a.txt"
    emulator.fault("b2_download_file_by_name", **fault)
    assert B2Storage().open("a.txt").read() == b"content"


def test_an_expired_token_is_renewed_once(emulator):
    save()
    emulator.expire_tokens()
    with emulator.counted() as operations:
        assert B2Storage().open("a.txt").read() == b"content"
        assert B2Storage().listdir("") == ([], ["a.txt"])
    assert operations.count("b2_authorize_account") == 1


def test_threads_that_meet_an_expired_token_authorize_once_between_them(emulator):
    save()
    emulator.expire_tokens()
    storage = B2Storage()
    with emulator.counted() as operations, ThreadPoolExecutor(16) as threads:
        contents = list(threads.map(lambda _: storage.open("a.txt").read(), range(40)))
    assert contents == [b"content"] * 40
    assert operations.count("b2_authorize_account") == 1


# A 404 that tells of no file


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(HTML, id="a page of HTML"),
        pytest.param(b"{}", id="JSON that says nothing"),
        pytest.param(b'{"status": 404, "code": "not_found", "message": "No such path."}', id="B2's own code"),
    ],
)
@pytest.mark.parametrize("operation", ["b2_authorize_account", "b2_list_buckets", "b2_get_upload_url"])
def test_a_404_where_no_file_was_asked_for_is_no_missing_file(emulator, settings, operation, body):
    def change(path, status, original):
        return (404, body) if operation in path else (status, original)

    with between(emulator, change) as settings.B2FIELDS_REALM:
        uses = {"b2_authorize_account": ["exists", "open", "save", "delete"], "b2_list_buckets": ["save"]}
        for use in uses.get(operation, ["save"]):
            with pytest.raises(B2Unavailable, match=settings.B2FIELDS_REALM):
                USES[use](B2Storage())


def test_a_404_on_renewing_a_token_is_no_missing_file_either(emulator, settings):
    authorizing = []

    def change(path, status, original):
        if "b2_authorize_account" in path:
            authorizing.append(path)
            return (status, original) if len(authorizing) == 1 else (404, HTML)
        return status, original

    with between(emulator, change) as settings.B2FIELDS_REALM:
        storage = B2Storage()
        assert not storage.exists("a.txt")
        emulator.expire_tokens()
        with pytest.raises(B2Unavailable):
            storage.exists("a.txt")
    assert len(authorizing) == 2


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(HTML, B2Unavailable, id="a stranger's is not"),
        pytest.param(b'{"status": 404, "code": "not_found", "message": ""}', FileMissing, id="B2's own is"),
    ],
)
def test_a_404_to_a_download_is_a_missing_file_if_it_is_b2s_own(emulator, settings, body, error):
    def change(path, status, original):
        return (404, body) if path.startswith("/file/") else (status, original)

    save()
    with between(emulator, change) as settings.B2FIELDS_REALM, pytest.raises(error):
        B2Storage().open("a.txt").read()


USES = {
    "exists": lambda storage: storage.exists("a.txt"),
    "open": lambda storage: storage.open("a.txt").read(),
    "save": lambda storage: storage.save("a.txt", content()),
    "delete": lambda storage: storage.delete("a.txt"),
}


# Policy and bucket


@pytest.mark.parametrize("access", ["login", "staff", lambda request, instance: True])
def test_a_private_policy_on_a_public_bucket_is_refused_before_a_byte_is_sent(
    emulator, make_bucket, settings, access
):
    settings.B2FIELDS_BUCKET = make_bucket("allPublic")
    storage = B2Storage(access=access, overwrite=True)
    with emulator.counted() as operations:
        with pytest.raises(PolicyConflict, match="is allPublic: everybody could read its files"):
            storage.save("a.txt", content())
        with pytest.raises(PolicyConflict), storage.open("a.txt", "wb") as file:
            file.write(b"content")
    assert not {"b2_get_upload_url", "b2_upload_file"} & set(operations)


def test_a_public_policy_may_stand_on_either_bucket(emulator, make_bucket, settings):
    assert B2Storage(access="public", overwrite=True).save("a.txt", content()) == "a.txt"
    settings.B2FIELDS_BUCKET = make_bucket("allPublic")
    assert B2Storage(access="public", overwrite=True).save("a.txt", content()) == "a.txt"


def restricted_key(realm, **options):
    from b2sdk import v3

    api = v3.B2Api(v3.InMemoryAccountInfo())
    api.authorize_account(emulated.KEY_ID, emulated.KEY, realm)
    bucket_ids = [api.get_bucket_by_name(options.pop("bucket")).id_]
    key = api.create_key(key_name="restricted", bucket_ids=bucket_ids, **options)
    return {"application_key_id": key.id_, "application_key": key.application_key}


def test_a_key_of_one_bucket_is_enough(emulator, bucket):
    capabilities = ["listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles"]
    key = restricted_key(emulator.realm, bucket=bucket, capabilities=capabilities)
    storage = B2Storage(overwrite=True, **key)
    storage.save("a.txt", content())
    assert storage.open("a.txt").read() == b"content"
    storage.delete("a.txt")
    assert not storage.exists("a.txt")
    with pytest.raises(AccessRefused):
        B2Storage(bucket="another-bucket", **key).listdir("")


def test_a_key_that_may_not_see_the_bucket_type_stores_no_private_file(emulator, bucket):
    key = restricted_key(emulator.realm, bucket=bucket, capabilities=["readFiles", "writeFiles"])
    with pytest.raises(PolicyConflict, match="capability listBuckets"):
        B2Storage(overwrite=True, **key).save("a.txt", content())
    assert B2Storage(overwrite=True, access="public", **key).save("a.txt", content()) == "a.txt"


def test_a_key_that_may_not_write_says_so(emulator, bucket):
    key = restricted_key(emulator.realm, bucket=bucket, capabilities=["listBuckets", "readFiles"])
    with pytest.raises(AccessRefused, match=r"'a\.txt' in bucket"):
        B2Storage(overwrite=True, **key).save("a.txt", content())


# Settings


@pytest.mark.parametrize(
    ("setting", "value", "check_id"),
    [
        pytest.param("B2FIELDS_ACCESS", "everybody", "b2fields.E004", id="an unknown default access"),
        pytest.param("B2FIELDS_BUCKETS", {"stuff": "x"}, "b2fields.E005", id="a bucket for an unknown level"),
        pytest.param("B2FIELDS_METADATA", {"a key": "x"}, "b2fields.E011", id="metadata B2 would refuse"),
    ],
)
def test_check_finds(settings, setting, value, check_id):
    setattr(settings, setting, value)
    with pytest.raises(SystemCheckError, match=check_id):
        call_command("check")


def test_check_warns_of_fields_without_a_bucket(settings):
    settings.B2FIELDS_BUCKET = None
    warnings = [warning for warning in run_checks() if warning.id == "b2fields.W008"]
    assert Contract._meta.get_field("scan") in [warning.obj for warning in warnings]
    settings.B2FIELDS_BUCKET = "acme"
    assert not [warning for warning in run_checks() if warning.id == "b2fields.W008"]


def test_check_warns_of_routes_that_are_not_installed(settings):
    assert not [warning for warning in run_checks() if warning.id == "b2fields.W010"]
    settings.ROOT_URLCONF = "tests.empty_urls"
    assert [warning.id for warning in run_checks()].count("b2fields.W010") == 1


def test_check_deploy_warns_of_a_missing_key(settings):
    settings.B2FIELDS_APPLICATION_KEY = None
    settings.B2FIELDS_APPLICATION_KEY_ID = "id"
    (warning,) = (w for w in run_checks(include_deployment_checks=True) if w.id == "b2fields.W009")
    assert "B2FIELDS_APPLICATION_KEY is not set" in warning.msg
    assert not [warning for warning in run_checks() if warning.id == "b2fields.W009"]


def test_check_asks_B2_for_nothing(emulator):
    with emulator.counted() as operations:
        call_command("check")
    assert operations == []


def found_by_deploy():
    return [error for error in run_checks(include_deployment_checks=True) if error.id == "b2fields.E032"]


def test_check_deploy_finds_private_policies_on_a_public_bucket(emulator, make_bucket, settings):
    assert found_by_deploy() == []
    settings.B2FIELDS_BUCKET = make_bucket("allPublic")
    errors = found_by_deploy()
    assert any("legal.contract.scan" in error.msg and "allPublic" in error.msg for error in errors)
    assert not any("legal.contract.cover" in error.msg for error in errors)


def test_check_deploy_creates_no_bucket(emulator, settings, b2_api):
    settings.B2FIELDS_BUCKET, settings.B2FIELDS_CREATE_BUCKET = "bucket-of-nobody", {}
    assert found_by_deploy() == []
    assert "bucket-of-nobody" not in [bucket.name for bucket in b2_api.list_buckets()]


def test_check_deploy_says_nothing_of_buckets_while_B2_does_not_answer(emulator, make_bucket, settings):
    settings.B2FIELDS_BUCKET = make_bucket("allPublic")
    emulator.fault("*", times=None, status=503)
    assert found_by_deploy() == []


def test_an_unknown_kind_of_account_info_is_named(emulator, settings):
    settings.B2FIELDS_ACCOUNT_INFO = {"type": "paper"}
    with pytest.raises(NotConfigured, match=r"B2FIELDS_ACCOUNT_INFO has type 'paper'\. Use"):
        save()


def test_account_info_in_memory_leaves_no_authorization_in_the_cache(emulator, settings):
    from django.core.cache import cache

    settings.B2FIELDS_ACCOUNT_INFO = {"type": "memory"}
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    cache.clear()
    save()
    assert not cache._cache


def test_a_storage_may_share_its_authorization_in_a_cache_of_its_own(emulator, settings):
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {
        "default": {"BACKEND": backend, "LOCATION": "default"},
        "tokens": {"BACKEND": backend, "LOCATION": "tokens"},
    }
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    options = {"account_info": {"type": "cache", "alias": "tokens"}}
    B2Storage(overwrite=True, **options).save("a.txt", content())
    assert len(caches["tokens"]._cache) == 1
    assert not caches["default"]._cache


def test_a_cache_that_is_down_makes_it_slower_and_not_wrong(emulator, settings):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    assert save() == "a.txt"
    assert B2Storage().open("a.txt").read() == b"content"
