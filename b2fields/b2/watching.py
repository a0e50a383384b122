"""What each request to B2 was, cost and took, for the receivers of ``b2_request_finished``.

Loaded on first use, with the SDK.
"""

import re
import time
from collections import deque
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import MaxRetryError

from b2fields.b2.deadlines import seconds_left
from b2fields.b2.prices import PRICE_CLASSES
from b2fields.signals import b2_request_finished, send_safely

# Whichever comes first: a file may be named like an operation.
_OPERATION = re.compile(r"/file/|/b2api/v\d+/(b2_[a-z_]+)")

# Downloads that ended before their last byte, to be told of with the next request. It may have been the
# garbage collector that closed them, and have interrupted a receiver with a lock in its hands: then no
# receiver can be called there and then.
_ended_early: deque[dict[str, Any]] = deque()


def operation_of(request: requests.PreparedRequest) -> str:
    """Return B2's name for a request; see ``b2_request_finished``."""
    # The path of an upload URL is B2's own affair (B2 docs, Uploading Files).
    if "X-Bz-Part-Number" in request.headers:
        return "b2_upload_part"
    if "X-Bz-File-Name" in request.headers:
        return "b2_upload_file"
    found = _OPERATION.search(request.path_url.partition("?")[0])
    if found is None:
        return "unknown"
    operation = found[1] or "b2_download_file_by_name"
    return operation.replace("b2_download_", "head_") if request.method == "HEAD" else operation


class WatchedSession(requests.Session):
    """Sends each request within the deadline, and tells of it, if anybody listens.

    Each try of the SDK is one ``send``.
    """

    def __init__(self) -> None:
        super().__init__()
        # Else requests would put what the user's .netrc says of the host in place of our token.
        self.auth = lambda request: request
        self._environments: dict[tuple[str, str], dict[str, Any]] = {}

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        if not kwargs.get("stream"):
            return super().request(method, url, **kwargs)
        # A download, of which there are many: requests would ask the environment, .netrc and its cookies
        # anew for each, which takes longer than all else it does. And it would follow a redirect.
        request = requests.PreparedRequest()
        request.method, request.url = method, url
        request.prepare_headers(kwargs["headers"])
        request.prepare_cookies({})
        environment = self._environment(url)
        return self.send(request, **environment, timeout=kwargs["timeout"], allow_redirects=False)

    def _environment(self, url: str) -> dict[str, Any]:
        """Return the proxies and certificates to use for the host of a download."""
        host = urlsplit(url)[:2]
        if host not in self._environments:
            self._environments[host] = self.merge_environment_settings(url, {}, True, None, None)
        return self._environments[host]

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = tuple(max(0.1, min(limit, seconds_left())) for limit in kwargs["timeout"])
        if not b2_request_finished.has_listeners():
            return super().send(request, **kwargs)
        with suppress(IndexError):  # none, or none any more
            while True:
                send_safely(b2_request_finished, None, **_ended_early.popleft())
        watch = _Watch(request)
        try:
            # The body is read below, where it is seen to break off.
            response = super().send(request, **{**kwargs, "stream": True})
            watch.answered(response)
            if kwargs.get("stream") and response.status_code in (200, 206):
                vars(response)["close"] = watch.close
                return response
            watch.read(response.content)
        except BaseException as error:
            watch.end(error)
            raise
        watch.end()
        return response


class _Watch:
    """What is known of a request under way."""

    def __init__(self, request: requests.PreparedRequest) -> None:
        self._has_ended = False
        self._operation = operation_of(request)
        self._body: Any = request.body
        self._raw: Any = None
        self._status: int | None = None
        self._length: int | None = None
        self._seconds_to_first_byte: float | None = None
        self._begun = time.perf_counter()

    def answered(self, response: requests.Response) -> None:
        self._seconds_to_first_byte = time.perf_counter() - self._begun
        self._raw, self._status = response.raw, response.status_code

    def read(self, content: bytes) -> None:
        # urllib3 does not count what it reads of an answer that comes in chunks.
        self._length = len(content)

    def close(self) -> None:
        """Close the response, as its own method does, which would hold it: it must go when it is dropped."""
        self._raw.close()
        self._raw.release_conn()
        if self._raw.length_remaining == 0:
            self.end()
        else:
            self._end_early()

    def end(self, error: BaseException | None = None) -> None:
        """Tell of this request, once."""
        if not self._has_ended:
            self._has_ended = True
            send_safely(b2_request_finished, None, **self._measured(error))

    def _end_early(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            _ended_early.append(self._measured())

    __del__ = _end_early

    def _measured(self, error: BaseException | None = None) -> dict[str, Any]:
        received = self._length
        if received is None:
            received = self._raw.tell() if self._raw is not None else 0
        return {
            "operation": self._operation,
            "price_class": PRICE_CLASSES.get(self._operation),
            "status": self._status,
            "bytes_sent": 0 if _found_no_connection(error) else _bytes_sent(self._body),
            "bytes_received": received,
            "seconds": time.perf_counter() - self._begun,
            "seconds_to_first_byte": self._seconds_to_first_byte,
        }


def _found_no_connection(error: BaseException | None) -> bool:
    # requests wraps what urllib3 raises, and that is for connecting alone: no more is retried there.
    return error is not None and any(isinstance(cause, MaxRetryError) for cause in error.args)


def _bytes_sent(body: Any) -> int:
    if body is None:
        return 0
    position: int = body.tell() if hasattr(body, "tell") else len(body)
    return position
