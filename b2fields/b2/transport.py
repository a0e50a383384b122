"""The SDK's HTTP fitted to a web request: timeouts, retries, an overall deadline, enough connections.

Loaded on first use, because importing the SDK is slow.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import b2sdk.v3 as sdk
import requests
from b2sdk.v3.exception import B2ConnectionError, B2Error, SSECKeyError
from django.conf import settings

from b2fields.b2.deadlines import seconds_left

# Idle connections are kept up to as many as were in use at once, by host and for so many hosts: each
# upload URL of B2 may name another one. The SDK's adapter has room for ten of both, and throws away
# the rest, so that every further thread would connect, with a TLS handshake, for each request.
_CONNECTIONS = 256
_HOSTS = 64

_CUSTOMER_KEY = "X-Bz-Server-Side-Encryption-Customer-Key"

_sends_file: ContextVar[bool] = ContextVar("b2fields_sends_file", default=False)


class Http(sdk.B2Http):
    """The SDK's HTTP layer with timeouts and retries that a web request can bear.

    The SDK waits up to 20 minutes for one answer and tries downloads 20 times. It reads these
    attributes, and calls this method, on the instance; it offers no setting for them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The SDK mounts its own adapter over any that a session comes with.
        adapter: Any = type(self.session.get_adapter("https://"))
        self.session.mount("", adapter(pool_connections=_HOSTS, pool_maxsize=_CONNECTIONS))

    def request(self, method: Any, url: str, headers: dict[str, str], *args: Any, **kwargs: Any) -> Any:
        # urllib3 sends the body within the time to connect, which is for files too short.
        token = _sends_file.set("X-Bz-Content-Sha1" in headers)
        try:
            return super().request(method, url, headers, *args, **kwargs)
        finally:
            _sends_file.reset(token)

    # Of each try. The SDK reads them once for all tries; ``WatchedSession`` cuts them to the deadline.

    @property
    def _connect_timeout(self) -> float:
        limit: float = settings.B2FIELDS_CONNECT_TIMEOUT
        return max(limit, settings.B2FIELDS_READ_TIMEOUT) if _sends_file.get() else limit

    @property
    def _read_timeout(self) -> float:
        limit: float = settings.B2FIELDS_READ_TIMEOUT
        return limit

    CONNECTION_TIMEOUT: Any = _connect_timeout
    TIMEOUT: Any = _read_timeout
    TIMEOUT_FOR_COPY: Any = _read_timeout
    TIMEOUT_FOR_UPLOAD: Any = _read_timeout

    def _translate_and_retry(  # type: ignore[override]  # a class method there
        self, fcn: Callable[[], Any], try_count: int, post_params: dict[str, Any] | None = None
    ) -> Any:
        retries: int = min(try_count - 1, settings.B2FIELDS_RETRIES)
        pause = 0.2
        for tries_left in range(retries, -1, -1):
            try:
                return self._answer(fcn, post_params)
            except B2Error as error:
                # The SDK's BucketIdNotFound lacks the attribute.
                wait = max(pause, getattr(error, "retry_after_seconds", None) or 0)
                if not tries_left or not error.should_retry_http() or wait >= seconds_left():
                    # Whoever would try an upload again need not, if it was its upload URL that failed.
                    error.is_final = try_count > 1  # type: ignore[attr-defined]
                    raise
                time.sleep(wait)
                pause *= 3
        raise AssertionError("unreachable")

    def _answer(self, fcn: Callable[[], Any], post_params: dict[str, Any] | None) -> Any:
        def ask() -> requests.Response:
            try:
                response: requests.Response = fcn()
            except (requests.ConnectionError, requests.Timeout):
                raise
            except requests.RequestException:
                # An answer that breaks off in its body. The SDK does not know it, and would log the frames
                # with the key in them.
                raise B2ConnectionError("The answer broke off.") from None
            # A HEAD has no body that says why it is refused. Names were checked before, so what is
            # left is the customer's key: missing or uncalled for (400), wrong (403).
            if response.request.method == "HEAD" and (
                response.status_code == 400
                or (response.status_code == 403 and _CUSTOMER_KEY in response.request.headers)
            ):
                raise SSECKeyError
            return response

        # The SDK logs the parameters of a request that failed, and a customer's key can be among them.
        shown = {name: value for name, value in (post_params or {}).items() if name != "serverSideEncryption"}
        return self._translate_errors(ask, shown)  # type: ignore[no-untyped-call]
