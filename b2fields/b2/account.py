"""The SDK fitted to Django: account info shared between processes, one authorization at a time.

Loaded on first use, because importing the SDK is slow.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import b2sdk.v3 as sdk
from b2sdk.v3.exception import (
    B2ConnectionError,
    B2Error,
    B2RequestTimeout,
    InvalidAuthToken,
    MissingAccountData,
    Unauthorized,
)

from b2fields.b2.deadlines import seconds_left
from b2fields.b2.errors import not_found
from b2fields.b2.tokens import Tokens
from b2fields.b2.transport import Http
from b2fields.b2.watching import WatchedSession

# A failed authorization is not repeated for this many seconds, since each try is a paid request and
# holds up a visitor: longer where B2 refused the key, shorter where B2 could not be reached.
_REFUSED_SECONDS = 10
_UNREACHED_SECONDS = 1
# So long one process alone may authorize; the others look for its token this often.
_CLAIM_SECONDS = 5
_POLL_SECONDS = 0.05


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
        self._used.token = self.account_info.tokens.token
        if self._used.token is None:
            self.authorize_automatically()

    def authorize_account(self, *arguments: str) -> None:
        try:
            super().authorize_account(*arguments)  # type: ignore[no-untyped-call]
        except not_found():
            # It tells of no file, but whoever asked for one would take it for that.
            raise B2ConnectionError("There is nothing that authorizes.") from None

    def _execute_with_auth_retry(self, callback: Callable[[], Any], first_attempt: bool = True) -> Any:
        self.ensure_authorized()
        try:
            return super()._execute_with_auth_retry(callback, first_attempt)
        except Unauthorized as error:
            # As the SDK, which tries once more: a HEAD has no body that says why it is refused.
            is_over = isinstance(error, InvalidAuthToken) or not error.code
            if not (is_over and first_attempt and self._used.was_loaded):
                raise
            # The token that another process left was over too.
            self.authorize_automatically()
            return super()._execute_with_auth_retry(callback, first_attempt=False)

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
        if not self._renewal.acquire(timeout=max(0, seconds_left())):
            raise B2RequestTimeout("Another thread has been authorizing for too long.")
        try:
            tokens = self.account_info.tokens
            self._used.was_loaded = tokens.token != self._used.token or tokens.load()
            if not self._used.was_loaded:
                self._authorize_once()
            return True
        finally:
            self._renewal.release()

    def _authorize_once(self) -> None:
        """Authorize, or wait for another process that does and shares its token."""
        info, tokens = self.account_info, self.account_info.tokens
        if self._refusal and self._refusal[0] > time.monotonic():
            raise self._refusal[1].with_traceback(None)
        while not tokens.claim(_CLAIM_SECONDS):
            if seconds_left() < _POLL_SECONDS:
                break  # It may have died. Better two authorizations than none.
            time.sleep(_POLL_SECONDS)
            if tokens.load():
                return
        try:
            if tokens.load():  # by whoever held the claim until now
                return
            self.authorize_account(
                info.get_realm(), info.get_application_key_id(), info.get_application_key()
            )
        except B2Error as error:
            pause = _REFUSED_SECONDS if isinstance(error, Unauthorized) else _UNREACHED_SECONDS
            self._refusal = (time.monotonic() + pause, error)
            raise
        else:
            tokens.store()
        finally:
            tokens.release()


class AccountInfo(sdk.UrlPoolAccountInfo):
    """What the SDK knows of the account, as ``Tokens`` keep it.

    The SDK's own SqliteAccountInfo would write the application key into its file. Upload URLs stay in
    this process too: B2 lets one upload at a time use each, so processes must not share them.
    """

    # No token is a parameter of methods of ours: the SDK's metaclass logs all parameters at DEBUG.

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tokens = tokens

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.get_realm()}>"

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
        self.tokens.authorized(
            {
                "account_id": account_id,
                "account_auth_token": auth_token,
                "api_url": api_url,
                "download_url": download_url,
                "recommended_part_size": recommended_part_size,
                "absolute_minimum_part_size": absolute_minimum_part_size,
                "s3_api_url": s3_api_url,
                "allowed": allowed,
            }
        )

    def clear(self) -> None:
        super().clear()  # type: ignore[no-untyped-call]
        self.tokens.data = {}

    def _known(self, name: str) -> Any:
        try:
            return self.tokens.data[name]
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
        return self.tokens.account.realm

    def get_application_key_id(self) -> str:
        return self.tokens.account.key_id

    def get_application_key(self) -> str:
        return self.tokens.account.key

    def save_bucket(self, bucket: Any) -> None:
        """Do nothing: buckets are remembered with their type, by ``Tokens``."""

    def remove_bucket_name(self, bucket_name: str) -> None:
        self.tokens.forget_bucket(bucket_name)

    def refresh_entire_bucket_name_cache(self, name_id_iterable: Iterable[tuple[str, str]]) -> None:
        """Do nothing, as ``save_bucket``."""

    def list_bucket_names_ids(self) -> list[tuple[str, str]]:
        return [(name, known[0]) for name, known in self.tokens.data.get("buckets", {}).items()]

    def get_bucket_id_or_none_from_bucket_name(self, bucket_name: str) -> str | None:
        return dict(self.list_bucket_names_ids()).get(bucket_name.lower())

    def get_bucket_name_or_none_from_bucket_id(self, bucket_id: str) -> str | None:
        return {known: name for name, known in self.list_bucket_names_ids()}.get(bucket_id)


def open_api(tokens: Tokens) -> sdk.B2Api:
    """Return an API object that authorizes itself on its first request."""
    # The SDK's clock check sets the locale of the whole process for a moment, on every answer.
    config = sdk.B2HttpApiConfig(
        http_session_factory=WatchedSession, install_clock_skew_hook=False, user_agent_append="b2fields"
    )
    return _Api(AccountInfo(tokens), api_config=config)


class _Api(sdk.B2Api):
    SESSION_CLASS = staticmethod(Session)
