"""The SDK fitted to Django: account info shared between processes, one authorization at a time.

Only ``b2`` loads this module, on first use, because importing the SDK is slow.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import b2sdk.v3 as sdk
from b2sdk.v3.exception import B2Error, MissingAccountData, Unauthorized
from django.core import signing
from django.utils.crypto import salted_hmac

from b2fields import shared
from b2fields.metadata import cache_key
from b2fields.shared import Place
from b2fields.transport import Http

# B2 issues tokens for 24 hours (B2 docs, b2_authorize_account); the entry goes a little earlier.
_ENTRY_SECONDS = 23 * 3600
# A failed authorization is not repeated for this many seconds, since each try is a paid request and
# holds up a visitor: longer where B2 refused the key, shorter where B2 could not be reached.
_REFUSED_SECONDS = 10
_UNREACHED_SECONDS = 1

# What the cache entry holds; with less or more, another version of this package wrote it.
_ENTRY_KEYS = {
    "account_id",
    "account_auth_token",
    "api_url",
    "download_url",
    "s3_api_url",
    "recommended_part_size",
    "absolute_minimum_part_size",
    "allowed",
    "buckets",
}


class Session(sdk.B2Session):
    """A session in which threads that meet the same expired token authorize once between them."""

    B2HTTP_CLASS = staticmethod(Http)
    account_info: "AccountInfo"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._renewal = threading.Lock()
        self._used = threading.local()
        self._refusal: tuple[float, B2Error] | None = None

    def ensure_authorized(self) -> None:
        """Authorize unless this process, or another that shares the cache, already has."""
        self._used.token = self.account_info.token
        if self._used.token is None:
            self.authorize_automatically()

    def _execute_with_auth_retry(self, callback: Callable[[], Any], first_attempt: bool = True) -> Any:
        self.ensure_authorized()
        return super()._execute_with_auth_retry(callback, first_attempt)

    def head_file(
        self, bucket_name: str, name: str, encryption: sdk.EncryptionSetting | None
    ) -> Mapping[str, str]:
        """Ask for a file's headers by its name; the SDK's own way has no place for a customer's key."""

        def ask() -> Any:
            headers = {"Authorization": self.account_info.get_account_auth_token()}
            if encryption is not None:
                encryption.add_to_download_headers(headers)
            url = self.get_download_url_by_name(bucket_name, name)
            raw_api: Any = self.raw_api
            return raw_api.b2_http.head_content(url, headers).headers

        found: Mapping[str, str] = self._execute_with_auth_retry(ask)
        return found

    def authorize_automatically(self) -> bool:
        with self._renewal:
            info = self.account_info
            if info.token != self._used.token or info.load():
                return True
            if self._refusal and self._refusal[0] > time.monotonic():
                raise self._refusal[1].with_traceback(None)
            try:
                self.authorize_account(
                    info.get_realm(), info.get_application_key_id(), info.get_application_key()
                )
            except B2Error as error:
                pause = _REFUSED_SECONDS if isinstance(error, Unauthorized) else _UNREACHED_SECONDS
                self._refusal = (time.monotonic() + pause, error)
                raise
            info.store()
            return True


class AccountInfo(sdk.UrlPoolAccountInfo):
    """What an authorization answered, kept in this process and, signed, where others find it.

    The application key stays in this object; the SDK's own SqliteAccountInfo would write it into its
    file. Upload URLs stay too: B2 lets one upload at a time use each, so processes must not share them.
    """

    def __init__(self, realm: str, key_id: str, key: str, place: Place | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._realm, self._key_id, self._key = realm, key_id, key
        self._place = place
        # The key takes part, by a keyed hash, so that an entry made with the right key is no answer
        # for a wrong one.
        fingerprint = salted_hmac("b2fields.account", f"{realm}\0{key_id}\0{key}", algorithm="sha256")
        self._salt = f"b2fields.account.{fingerprint.hexdigest()}"
        self._data: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._realm}>"

    # What is shared

    @property
    def token(self) -> str | None:
        return self._data.get("account_auth_token")

    # No token is a parameter of these methods: the SDK's metaclass logs all parameters at DEBUG.

    def load(self) -> bool:
        """Take what another process authorized, if it is another token than the one at hand."""
        if self._place is None:
            return False
        entry = shared.read(self._place, cache_key("account", self._salt))
        try:
            data = signing.loads(entry, salt=self._salt, max_age=_ENTRY_SECONDS)
            usable = (
                data.keys() == _ENTRY_KEYS
                and data["account_auth_token"] != self.token
                and all(self._is_of_the_realm(data[url]) for url in ("api_url", "download_url"))
            )
        # Whatever else the entry holds, it only costs an authorization.
        except (signing.BadSignature, TypeError, KeyError, ValueError, AttributeError):
            return False
        if usable:
            self._data = data
        return usable

    def store(self) -> None:
        """Let other processes use what this one authorized."""
        if self._place is not None:
            entry = signing.dumps(self._data, salt=self._salt)
            shared.write(self._place, cache_key("account", self._salt), entry, _ENTRY_SECONDS)

    def _is_of_the_realm(self, url: str) -> bool:
        found = urlsplit(url)
        realm = urlsplit(sdk.REALM_URLS.get(self._realm, self._realm))
        if found.scheme != realm.scheme or self._realm not in sdk.REALM_URLS:
            return found[:2] == realm[:2]
        # The service answers from other hosts of its domain (f004.backblazeb2.com, api004.…).
        domain = ".".join((realm.hostname or "").split(".")[-2:])
        return found.port == realm.port and f".{found.hostname}".endswith(f".{domain}")

    # Buckets: name -> [id, type or None, time of asking]

    def bucket(self, name: str, seconds: float) -> tuple[str, str] | None:
        """Return id and type of a bucket, if they were asked for within the last *seconds*."""
        bucket_id, bucket_type, asked = self._data.get("buckets", {}).get(name.lower(), (None, None, 0))
        if bucket_type is None or time.time() - asked > seconds:
            return None
        return bucket_id, bucket_type

    def remember_bucket(self, name: str, bucket_id: str, bucket_type: str) -> None:
        with self._lock:
            buckets = dict(self._data.get("buckets", {}))
            buckets[name.lower()] = [bucket_id, bucket_type, time.time()]
            self._data = {**self._data, "buckets": buckets}
        self.store()

    # The SDK's contract (AbstractAccountInfo)

    def _set_auth_data(
        self,
        account_id: str,
        auth_token: str,
        api_url: str,
        download_url: str,
        recommended_part_size: int,
        absolute_minimum_part_size: int,
        application_key: str,
        realm: str,
        s3_api_url: str,
        allowed: dict[str, Any],
        application_key_id: str,
    ) -> None:
        with self._lock:
            self._data = {
                "account_id": account_id,
                "account_auth_token": auth_token,
                "api_url": api_url,
                "download_url": download_url,
                "recommended_part_size": recommended_part_size,
                "absolute_minimum_part_size": absolute_minimum_part_size,
                "s3_api_url": s3_api_url,
                "allowed": allowed,
                "buckets": self._data.get("buckets", {}),
            }

    def clear(self) -> None:
        super().clear()  # type: ignore[no-untyped-call]
        self._data = {}

    def _known(self, name: str) -> Any:
        try:
            return self._data[name]
        except KeyError:
            raise MissingAccountData(name) from None

    def get_account_id(self) -> str:
        value: str = self._known("account_id")
        return value

    def get_account_auth_token(self) -> str:
        value: str = self._known("account_auth_token")
        return value

    def get_api_url(self) -> str:
        value: str = self._known("api_url")
        return value

    def get_download_url(self) -> str:
        value: str = self._known("download_url")
        return value

    def get_s3_api_url(self) -> str:
        value: str = self._known("s3_api_url")
        return value

    def get_recommended_part_size(self) -> int:
        value: int = self._known("recommended_part_size")
        return value

    def get_absolute_minimum_part_size(self) -> int:
        value: int = self._known("absolute_minimum_part_size")
        return value

    def get_allowed(self) -> dict[str, Any]:
        value: dict[str, Any] = self._known("allowed")
        return value

    def get_realm(self) -> str:
        return self._realm

    def get_application_key_id(self) -> str:
        return self._key_id

    def get_application_key(self) -> str:
        return self._key

    def save_bucket(self, bucket: Any) -> None:
        """Do nothing: buckets are remembered with their type, by ``remember_bucket``."""

    def remove_bucket_name(self, bucket_name: str) -> None:
        with self._lock:
            buckets = {k: v for k, v in self._data.get("buckets", {}).items() if k != bucket_name.lower()}
            self._data = {**self._data, "buckets": buckets}
        self.store()

    def refresh_entire_bucket_name_cache(self, name_id_iterable: Iterable[tuple[str, str]]) -> None:
        """Do nothing, as ``save_bucket``."""

    def list_bucket_names_ids(self) -> list[tuple[str, str]]:
        return [(name, known[0]) for name, known in self._data.get("buckets", {}).items()]

    def get_bucket_id_or_none_from_bucket_name(self, bucket_name: str) -> str | None:
        return dict(self.list_bucket_names_ids()).get(bucket_name.lower())

    def get_bucket_name_or_none_from_bucket_id(self, bucket_id: str) -> str | None:
        return {known: name for name, known in self.list_bucket_names_ids()}.get(bucket_id)


def open_api(info: AccountInfo) -> sdk.B2Api:
    """Return an API object that authorizes itself on its first request."""
    # The SDK's clock check sets the locale of the whole process for a moment, on every answer.
    config = sdk.B2HttpApiConfig(install_clock_skew_hook=False, user_agent_append="b2fields")
    return _Api(info, api_config=config)


class _Api(sdk.B2Api):
    SESSION_CLASS = staticmethod(Session)
