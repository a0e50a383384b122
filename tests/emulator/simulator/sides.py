"""The emulator and the simulator behind the interface that they share."""

import io
import warnings

from b2sdk.v3 import b2_url_decode
from b2sdk.v3.exception import B2Error

from .differences import FIELDS, FIELDS_OF, FIELDS_OF_HIDE_MARKERS


class Side:
    """The emulator or the simulator, behind the interface that they share, and its ids of things by name."""

    def __init__(self, raw, realm, key):
        self.raw = raw
        self.realm = realm
        self.ids = {}
        self.names = {}
        self.upload_urls = {}
        self.secrets = {}  # of keys, by our names for them
        self.tokens = {}
        account = raw.authorize_account(realm, *key)
        storage = account["apiInfo"]["storageApi"]
        self.account_id = account["accountId"]
        self.token = account["authorizationToken"]
        self.api_url, self.download_url = storage["apiUrl"], storage["downloadUrl"]
        self.remember("the account", self.account_id)

    def remember(self, name, given):
        self.ids[name] = given
        self.names[given] = name

    def call(self, operation, *args, **more):
        return getattr(self.raw, operation)(self.api_url, self.token, *args, **more)

    def upload_url(self, bucket):
        # The simulator has 200 of them.
        if bucket not in self.upload_urls:
            found = self.call("get_upload_url", self.ids[bucket])
            self.upload_urls[bucket] = found["uploadUrl"], found["authorizationToken"]
        return self.upload_urls[bucket]

    def download(self, url, span):
        with self.raw.download_file_from_url(self.token, url, span) as response:
            body = b""
            while chunk := response.raw.read(1_000_000):
                body += chunk
            return response.headers, body


def told(error):
    code = getattr(error, "code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


def outcome(side, act):
    """Return what *act* returns, and the error that it raises as text."""
    with warnings.catch_warnings():
        # b2sdk wonders about codes of the service that it has no exception for.
        warnings.filterwarnings("ignore", "bad request exception with an unknown")
        try:
            return act(side), None
        except B2Error as error:
            return None, told(error)


def pruned(value, model):
    """Return *value* without the fields that *model* lacks: the simulator leaves out what it has not got."""
    if isinstance(value, dict) and isinstance(model, dict):
        return {key: pruned(value[key], model[key]) for key in value if key in model}
    if isinstance(value, list) and isinstance(model, list) and len(value) == len(model):
        return [pruned(*pair) for pair in zip(value, model, strict=True)]
    return value


def normal(side, operation, value):
    """Return an answer without what is not compared, ids by our names for them."""
    if isinstance(value, dict):
        ignored = FIELDS | FIELDS_OF.get(operation, set())
        if value.get("action") == "hide":
            ignored = ignored | FIELDS_OF_HIDE_MARKERS
        kept = {key: normal(side, operation, item) for key, item in value.items() if key not in ignored}
        # null, false, and nothing at all mean the same in these answers.
        return {key: item for key, item in kept.items() if item is not None and item is not False}
    if isinstance(value, list | tuple):
        return [normal(side, operation, item) for item in value]
    return side.names.get(value, value) if isinstance(value, str) else value


class Stream:
    """A body to send; requests would send an empty BytesIO, which can be iterated, in chunks."""

    def __init__(self, body):
        file = io.BytesIO(body)
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


HEADERS = ("content-length", "content-range", "content-type", "x-bz-content-sha1", "x-bz-file-id")


def headers_of(headers):
    found = {name: headers[name] for name in HEADERS if name in headers}
    info = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-bz-info-")}
    encoded = info | {"x-bz-file-name": headers["x-bz-file-name"]}
    return found | {name: b2_url_decode(value) for name, value in encoded.items()}
