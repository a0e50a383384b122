"""Where application keys and tokens must never show, and what a forged cache entry is worth."""

import base64
import copy
import json
import logging
import pickle
import re
import socket
import zlib
from os import sep
from secrets import token_hex
from types import NoneType

import pytest
from _pytest._io.saferepr import saferepr_unlimited as saferepr
from django.core import signing
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.core.files.base import ContentFile
from django.db.migrations.writer import MigrationWriter
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

from b2fields import B2FileField, B2Storage
from b2fields.exceptions import AccessRefused, B2FieldsError, B2Unavailable, CapExceeded, NotConfigured
from tests import emulated
from tests.between import between
from tests.legal.models import Contract
from tests.serving import AUTHORIZE, GET, HEAD, body_of, signed_in, store

pytestmark = pytest.mark.django_db

KEY = emulated.KEY
BASIC = base64.b64encode(f"{emulated.KEY_ID}:{KEY}".encode()).decode()
# What tokens of the emulator look like.
TOKEN = re.compile(r"4_(account|upload|part|download)_[A-Za-z0-9_-]{40,}")


def token_of(storage):
    """Return the account token that b2fields uses now."""
    storage.exists("anything")
    return storage.client.api.account_info.get_account_auth_token()


def secrets_in(text):
    return [secret for secret in (KEY, BASIC) if secret in text] + [m[1] for m in TOKEN.finditer(text)]


def cache_entries():
    """Return what Django's local cache holds, by key, as the text that an attacker could read."""
    texts = {}
    for key, pickled in caches["default"]._cache.items():
        value = pickle.loads(pickled)
        texts[key] = repr(value)
        if isinstance(value, str) and ":" in value:
            payload = value.rpartition(":")[0].rpartition(":")[0]
            data = base64.urlsafe_b64decode(payload.removeprefix(".") + "=" * (-len(payload.lstrip(".")) % 4))
            texts[key] += (zlib.decompress(data) if payload.startswith(".") else data).decode()
    return texts


def use(storage):
    """Upload, look, list, download, sign in anew and delete: each request that b2fields knows how to make."""
    name = storage.save("secret plans.txt", ContentFile(b"the file"))
    storage.size(name)
    storage.listdir("")
    with storage.open(name) as file:
        file.read()
    storage.delete(name)
    storage.exists(name)


# At rest


def test_the_key_is_in_no_cache_entry_and_tokens_are_in_one(storage):
    use(storage)
    store("legal.contract.scan", "a.txt")
    entries = cache_entries()
    assert secrets_in("".join(entries)) == []
    holding = {key: secrets_in(text) for key, text in entries.items() if secrets_in(text)}
    assert list(holding.values()) == [["account"]]
    assert next(iter(holding)).startswith(":1:b2fields:account:")


def test_cache_keys_tell_neither_account_nor_bucket_nor_file(storage, bucket):
    name = storage.save("secret plans.txt", ContentFile(b"the file"))
    storage.size(name)
    keys = "".join(cache_entries())
    for word in (emulated.KEY_ID, bucket, "secret", "plans", storage.account.realm):
        assert word not in keys
    assert " " not in keys
    assert keys.isascii()


def test_foreign_cache_entries_survive_everything(storage, emulator, settings):
    cache.set("sentinel", "here")
    use(storage)
    emulator.expire_tokens()
    use(storage)
    settings.B2FIELDS_APPLICATION_KEY = "wrong"
    with pytest.raises(B2FieldsError):
        B2Storage().size("a.txt")
    assert cache.get("sentinel") == "here"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: B2Storage(), id="a storage of the settings"),
        pytest.param(
            lambda: B2Storage(application_key=KEY, application_key_id=emulated.KEY_ID),
            id="a storage of its own",
        ),
    ],
)
def test_a_storage_shows_no_secret(make, emulator):
    storage = make()
    use(storage)
    token = token_of(storage)
    client = storage.client
    shown = {
        "repr": repr(storage),
        "copy": repr(copy.deepcopy(storage)),
        "pickle": pickle.dumps(storage).decode("latin-1"),
        "deconstruct": repr(storage.deconstruct()),
        "account": repr(storage.account) + str(storage.account),
        "client": repr(client) + repr(client.api) + repr(client.api.session) + repr(client.api.account_info),
        "str": str(storage),
        "migration": MigrationWriter.serialize(B2FileField(storage=storage))[0],
    }
    assert {where: secrets_in(text) for where, text in shown.items() if secrets_in(text)} == {}
    assert token not in "".join(shown.values())


def test_a_row_shows_no_secret(emulator):
    row = store("legal.contract.scan", "a.txt")
    row.scan.read()
    row.scan.close()
    field = Contract._meta.get_field("scan")
    shown = [repr(row), repr(row.scan), repr(row.scan.file), repr(field), repr(field.deconstruct())]
    shown += [pickle.dumps(row).decode("latin-1"), MigrationWriter.serialize(field.clone())[0], row.scan.url]
    assert secrets_in("".join(shown)) == []


def test_a_response_shows_no_secret(emulator, visitors):
    row = store("legal.contract.scan", "a.txt")
    token = token_of(row.scan.storage)
    for kind in ("anonymous", "member", "staff"):
        client = signed_in(visitors[kind])
        for headers in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}):
            response = client.get(row.scan.url, headers=headers)
            shown = response.serialize_headers() + body_of(response) + response.cookies.output().encode()
            assert token.encode() not in shown
            assert secrets_in(shown.decode()) == []


def test_the_admin_shows_no_secret(emulator, visitors):
    row = store("legal.contract.scan", "a.txt")
    token = token_of(row.scan.storage)
    client = signed_in(visitors["superuser"])
    for page in ("/admin/legal/contract/", f"/admin/legal/contract/{row.pk}/change/"):
        text = client.get(page).content.decode()
        assert token not in text
        assert secrets_in(text) == []


# Logs


@pytest.fixture
def everything_logged(caplog):
    """Every record of every logger, those that turn propagation off included."""
    caplog.set_level(logging.DEBUG)
    manager = logging.Logger.manager
    loggers = [logging.getLogger(name) for name in list(manager.loggerDict)]
    loggers += [logging.getLogger(name) for name in ("b2sdk", "urllib3", "requests", "b2fields", "django")]
    before = [(logger, logger.level, logger.propagate, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.propagate, logger.disabled = True, False
    yield lambda: "\n".join([caplog.text, *(repr(record.__dict__) for record in caplog.records)])
    for logger, level, propagate, disabled in before:
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled


def test_no_secret_is_logged_while_all_goes_well(storage, emulator, everything_logged, settings):
    use(storage)
    emulator.expire_tokens()
    use(storage)
    row = store("legal.contract.cover", "a.txt")
    body_of(signed_in().get(row.cover.url))
    token = token_of(storage)
    text = everything_logged()
    assert "b2_upload_file" in text
    assert token not in text
    assert secrets_in(text) == []


TROUBLE = [
    pytest.param({"status": 401, "code": "expired_auth_token"}, id="an expired token"),
    pytest.param({"status": 403, "code": "storage_cap_exceeded"}, id="a cap"),
    pytest.param({"status": 503, "code": "service_unavailable"}, id="an outage"),
    pytest.param({"status": 400, "code": "auth_token_limit"}, id="a token in use"),
    pytest.param({"corrupt": True, "cut_after": 10}, id="an answer that is no JSON"),
]
OPERATIONS = {
    "authorize": (AUTHORIZE, lambda storage: storage.size("b.txt")),
    "look up the bucket": ("b2_list_buckets", lambda storage: storage.delete("a.txt")),
    "get an upload URL": ("b2_get_upload_url", lambda storage: storage.save("b.txt", ContentFile(b"x"))),
    "upload": ("b2_upload_file", lambda storage: storage.save("b.txt", ContentFile(b"x"))),
    "look": (HEAD, lambda storage: storage.size("b.txt")),
    "download": (GET, lambda storage: storage.open("a.txt").read()),
    "list": ("b2_list_file_names", lambda storage: storage.listdir("")),
    "delete": ("b2_delete_file_version", lambda storage: storage.delete("a.txt")),
}


def error_of(action):
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever it is, it would be shown
        return error
    return None


def report_of(error):
    """Return all that Django's debug page would show of an error, and of what it came from."""
    if error is None:
        return ""
    reporter = ExceptionReporter(RequestFactory().get("/"), type(error), error, error.__traceback__)
    shown = [reporter.get_traceback_text(), reporter.get_traceback_html()]
    while error is not None:
        shown += [repr(error), str(error), repr(error.args), repr(getattr(error, "__notes__", ""))]
        traceback = error.__traceback__
        while traceback is not None:
            # Those of our frames, in full: the debug page cuts long ones.
            if f"{sep}b2fields{sep}" in traceback.tb_frame.f_code.co_filename:
                shown += [saferepr(value) for value in traceback.tb_frame.f_locals.values()]
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


@pytest.fixture
def broken(settings, emulator):
    """A storage that has a file, in a project whose debug page is on."""
    settings.DEBUG = True
    settings.B2FIELDS_RETRIES = 0
    storage = B2Storage()
    storage.save("a.txt", ContentFile(b"the file"))
    return storage


@pytest.mark.filterwarnings("ignore:bad request exception with an unknown `code`:UserWarning")
@pytest.mark.parametrize("fault", TROUBLE)
@pytest.mark.parametrize(("operation", "action"), OPERATIONS.values(), ids=OPERATIONS)
def test_no_error_shows_a_secret(operation, action, fault, broken, emulator, settings):
    token = token_of(broken)
    if operation in (AUTHORIZE, "b2_list_buckets"):
        cache.clear()
        forget_connections(settings)
    if "status" in fault:  # as B2 words its "auth_token_limit"
        fault = fault | {"message": f"more than one upload using auth token {token}"}
    emulator.fault(operation, times=None, **fault)
    error = error_of(lambda: action(broken))
    text = report_of(error)
    assert token not in text
    assert secrets_in(text) == []
    assert isinstance(error, (B2FieldsError, NoneType))


@pytest.mark.parametrize(("operation", "action"), OPERATIONS.values(), ids=OPERATIONS)
def test_no_secret_is_logged_when_something_goes_wrong(
    operation, action, broken, emulator, everything_logged, settings
):
    if operation in (AUTHORIZE, "b2_list_buckets"):
        cache.clear()
        forget_connections(settings)
    for fault in (
        {"status": 503},
        {"status": 401, "code": "bad_auth_token"},
        {"status": 403},
        {"cut_after": 0},
    ):
        emulator.fault(operation, **fault)
        error_of(lambda: action(broken))
    assert secrets_in(everything_logged()) == []


def test_a_wrong_key_is_not_shown(emulator, everything_logged, settings):
    settings.DEBUG = True
    settings.B2FIELDS_APPLICATION_KEY = wrong = token_hex()
    for _ in range(2):  # the second is answered from what is remembered of the first
        error = error_of(lambda: B2Storage().size("a.txt"))
        assert isinstance(error, AccessRefused)
        text = everything_logged() + report_of(error)
        assert wrong not in text
        assert base64.b64encode(f"{emulated.KEY_ID}:{wrong}".encode()).decode() not in text


def test_a_b2_that_cannot_be_reached_shows_no_secret(emulator, everything_logged, settings):
    settings.DEBUG = True
    settings.B2FIELDS_RETRIES = 0
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{closed.getsockname()[1]}"
        error = error_of(lambda: B2Storage().save("a.txt", ContentFile(b"x")))
    assert isinstance(error, B2Unavailable)
    assert secrets_in(everything_logged() + report_of(error)) == []


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        pytest.param({"B2FIELDS_ACCOUNT_INFO": {"type": "sqlite3"}}, {}, id="a wrong kind of account info"),
        pytest.param({"B2FIELDS_APPLICATION_KEY_ID": None}, {}, id="no key id"),
        pytest.param({"B2FIELDS_BUCKET": None}, {}, id="no bucket"),
        pytest.param({"B2FIELDS_BUCKET": "no-such-bucket"}, {}, id="an unknown bucket"),
        pytest.param({}, {"access": "stafff"}, id="an unknown level"),
        pytest.param({}, {"application_key": KEY, "access": "stafff"}, id="a key beside a wrong option"),
    ],
)
def test_a_wrong_setting_shows_no_secret(
    changes, options, emulator, everything_logged, settings, monkeypatch
):
    settings.DEBUG = True
    monkeypatch.delenv("B2_APPLICATION_KEY_ID", raising=False)
    for name, value in changes.items():
        setattr(settings, name, value)
    storage = B2Storage(**options)
    error = error_of(lambda: storage.save("a.txt", ContentFile(b"x")))
    assert isinstance(error, B2FieldsError)
    assert secrets_in(everything_logged() + report_of(error)) == []


def test_an_unknown_option_shows_no_secret(settings):
    settings.DEBUG = True
    error = error_of(lambda: B2Storage(application_key=KEY, lokation="media"))
    assert isinstance(error, NotConfigured)
    assert secrets_in(report_of(error)) == []


def test_errors_say_which_file_and_what_to_do(storage, emulator, bucket):
    storage.save("a.txt", ContentFile(b"the file"))
    emulator.fault(GET, status=403, code="download_cap_exceeded", message="upstream text")
    with pytest.raises(CapExceeded) as raised:
        storage.open("a.txt").read()
    assert "'a.txt'" in str(raised.value)
    assert bucket in str(raised.value)
    assert "upstream" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


# Forged entries of the cache


@pytest.fixture
def entry(storage, emulator):
    """The cache key and the value of the shared account entry, while this process has forgotten it."""
    token_of(storage)
    (key,) = [key for key in caches["default"]._cache if ":b2fields:account:" in key]
    return key.removeprefix(":1:")


def forget_connections(settings):
    """Drop the clients of this process, as a change of settings does: only the cache knows the token."""
    settings.B2FIELDS_RETRIES = 1 - settings.B2FIELDS_RETRIES


def look(storage, emulator, settings):
    forget_connections(settings)
    with emulator.counted() as spent:
        storage.exists("another")
    return spent


def test_an_entry_spares_another_process_the_authorization(entry, storage, emulator, settings):
    assert look(storage, emulator, settings) == [HEAD]


ANEW = [AUTHORIZE, HEAD]


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda value: None, id="nothing"),
        pytest.param(lambda value: "", id="an empty text"),
        pytest.param(lambda value: "garbage", id="garbage"),
        pytest.param(lambda value: 7, id="a number"),
        pytest.param(lambda value: b"bytes", id="bytes"),
        pytest.param(lambda value: ["a", "list"], id="a list"),
        pytest.param(lambda value: {"account_auth_token": "x"}, id="a dict"),
        pytest.param(lambda value: value[:-1], id="an entry cut short"),
        pytest.param(lambda value: value[: len(value) // 2], id="half an entry"),
        pytest.param(lambda value: value[:-5] + "AAAAA", id="another signature"),
        pytest.param(lambda value: "A" + value[1:], id="another first letter"),
        pytest.param(lambda value: value.rpartition(":")[0], id="no signature"),
        pytest.param(lambda value: value + ":" + value, id="an entry twice"),
        pytest.param(lambda value: signing.dumps({"account_auth_token": "x"}), id="another salt"),
    ],
)
def test_a_forged_entry_costs_an_authorization_and_no_more(forged, entry, storage, emulator, settings):
    cache.set(entry, forged(cache.get(entry)))
    assert look(storage, emulator, settings) == ANEW
    assert look(storage, emulator, settings) == [HEAD]


def signed(storage, **changes):
    """Return an entry with changes, signed as only the holder of SECRET_KEY could."""
    tokens = storage.client.tokens
    return signing.dumps({**tokens.data, **changes}, salt=tokens._salt)


@pytest.mark.parametrize("url", ["api_url", "download_url"])
@pytest.mark.parametrize(
    "foreign",
    [
        "http://evil.example",
        "https://evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example/127.0.0.1",
        "http://127.0.0.1@evil.example",
        "https://127.0.0.1",
        "//127.0.0.1",
        "file:///etc/passwd",
        "",
        None,
        7,
        "http://localhost",
        "http://[",
    ],
)
def test_no_entry_leads_to_a_foreign_host(foreign, url, entry, storage, emulator, settings, monkeypatch):
    """Not even a signed one, as from a copy of the site that shares SECRET_KEY."""
    cache.set(entry, signed(storage, **{url: foreign}))
    asked = []
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: asked.append(host) or resolve(host, *rest, **more)
    )
    assert look(storage, emulator, settings) == ANEW
    assert set(asked) <= {"127.0.0.1"}


def test_no_entry_leads_to_another_port_of_the_host(entry, storage, emulator, settings):
    with socket.socket() as evil:
        evil.bind(("127.0.0.1", 0))
        evil.listen()
        evil.settimeout(0)
        cache.set(entry, signed(storage, download_url=f"http://127.0.0.1:{evil.getsockname()[1]}"))
        settings.B2FIELDS_READ_TIMEOUT = 0.2
        assert look(storage, emulator, settings) == ANEW
        with pytest.raises(BlockingIOError):
            evil.accept()


@pytest.mark.parametrize(
    "missing", ["account_auth_token", "api_url", "download_url", "allowed", "account_id"]
)
def test_an_entry_of_an_older_format_counts_as_none(missing, entry, storage, emulator, settings):
    tokens = storage.client.tokens
    data = {name: value for name, value in tokens.data.items() if name != missing}
    cache.set(entry, signing.dumps(data, salt=tokens._salt))
    forget_connections(settings)
    with emulator.counted() as spent:
        storage.save("a.txt", ContentFile(b"x"))
    assert spent[0] == AUTHORIZE


@pytest.mark.parametrize("data", [[], "text", None, 7, {}, {"account_auth_token": None}], ids=repr)
def test_a_signed_entry_of_another_shape_counts_as_none(data, entry, storage, emulator, settings):
    cache.set(entry, signing.dumps(data, salt=storage.client.tokens._salt))
    assert look(storage, emulator, settings) == ANEW


def test_an_entry_of_another_account_counts_as_none(entry, storage, emulator, settings):
    value = cache.get(entry)
    settings.B2FIELDS_APPLICATION_KEY = "a wrong key"
    other = B2Storage().client
    theirs = other.tokens.entry
    assert theirs != entry
    cache.set(theirs, value)
    with emulator.counted() as spent, pytest.raises(AccessRefused):
        B2Storage().size("a.txt")
    assert spent == [AUTHORIZE]


def test_an_entry_of_another_secret_key_counts_as_none(entry, storage, emulator, settings):
    value = cache.get(entry)
    settings.SECRET_KEY = "another one"
    cache.set(storage.client.tokens.entry, value)
    assert look(storage, emulator, settings) == ANEW


def test_an_entry_is_plain_data(entry):
    value = cache.get(entry)
    assert isinstance(value, str)
    payload, _, _ = value.rsplit(":", 2)
    data = base64.urlsafe_b64decode(payload.lstrip(".") + "=" * (-len(payload.lstrip(".")) % 4))
    assert isinstance(json.loads(zlib.decompress(data) if payload.startswith(".") else data), dict)


def test_a_fresh_token_replaces_the_expired_one_for_all(entry, storage, emulator, settings):
    emulator.expire_tokens()
    assert look(storage, emulator, settings) == [HEAD, AUTHORIZE, HEAD]
    assert look(storage, emulator, settings) == [HEAD]


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param("garbage", id="a text"),
        pytest.param((), id="too little"),
        pytest.param(("a", "b", "c", "d", "e", "f"), id="texts for numbers"),
        pytest.param((None, None, None, None, None, None), id="nothing six times"),
        pytest.param(("id", -5, None, "text/html", 10**30, {}), id="numbers that cannot be"),
        pytest.param({"size": 5}, id="a dict"),
    ],
)
def test_garbage_about_a_file_counts_as_none(garbage, emulator):
    row = store("legal.contract.cover", "a.txt")
    (key,) = [key for key in caches["default"]._cache if ":b2fields:file:" in key]
    cache.set(key.removeprefix(":1:"), garbage)
    head = signed_in().head(row.cover.url)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "8")


class Down(BaseCache):
    """A cache backend that is out of order."""

    def __init__(self, location, options):
        super().__init__(options)

    def _fail(self, *arguments, **options):
        raise ConnectionError("the cache is down")

    add = get = set = delete = touch = has_key = _fail


def test_a_cache_that_is_down_makes_files_slower_and_not_unavailable(emulator, settings, caplog):
    row = store("legal.contract.cover", "a.txt")
    settings.CACHES = {"default": {"BACKEND": "tests.test_secrets.Down"}}
    for _ in range(2):
        response = signed_in().get(row.cover.url)
        assert (response.status_code, body_of(response)) == (200, b"the file")
    assert "cache does not answer" in caplog.text
    assert secrets_in(caplog.text) == []


def test_a_netrc_of_the_user_changes_no_request(storage, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    cache.clear()
    with monkeypatch.context() as environment:
        environment.setenv("NETRC", str(netrc))
        name = storage.save("a.txt", ContentFile(b"content"))
        cache.clear()
        assert storage.open(name).read() == b"content"
        assert storage.exists(name)
        storage.delete(name)
        assert not storage.exists(name)


def test_a_download_follows_no_redirect(storage, emulator):
    """It could lead elsewhere, with the account's token."""
    name = storage.save("a.txt", ContentFile(b"content"))
    asked = []

    def redirect(path, status, body):
        asked.append(path)
        return (302, b"") if "/file/" in path else (status, body)

    with between(emulator, redirect) as realm:
        elsewhere = B2Storage(realm=realm)
        with pytest.raises(B2Unavailable):
            elsewhere.open(name).read()
    assert len([path for path in asked if "/file/" in path]) >= 1
