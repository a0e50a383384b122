"""How the bytes of a file reach the client. Access has been decided before anything here is called."""

import asyncio
import logging
from functools import partial
from typing import Any, Self
from weakref import ref

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import http_date

from b2fields import http
from b2fields.download import Download
from b2fields.exceptions import B2FieldsError, FileMissing
from b2fields.metadata import FileMetadata
from b2fields.storage import B2Storage

logger = logging.getLogger("b2fields")

_RETRY_AFTER_SECONDS = 10


def proxy(
    request: HttpRequest, storage: B2Storage, name: str, of_row: FileMetadata | None = None
) -> HttpResponseBase:
    """Answer with the file, a range of it, or 304. Raises FileMissing; other trouble with B2 becomes 503.

    *of_row* is what the row keeps of the file, which needs neither B2 nor the cache.
    """
    try:
        response = _answer(request, storage, name, of_row)
    except FileMissing:
        raise
    except B2FieldsError as error:
        logger.error("b2fields could not deliver a file of %s: %s", storage, error)  # noqa: TRY400
        response = HttpResponse(status=503, headers={"Retry-After": str(_RETRY_AFTER_SECONDS)})
    if response.status_code in (200, 206, 304):
        download = http.wants_download(request.META.get("QUERY_STRING", ""))
        headers = http.file_headers(storage.level, name, download=download)
        if "Vary" in headers:
            patch_vary_headers(response, [headers.pop("Vary")])
    else:
        headers = http.REFUSAL_HEADERS
    # GZipMiddleware would compress a text file, which has no length, range or strong ETag any more.
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    if response.status_code == 304:
        # Django's cache middleware would keep it, and hand it to visitors who have no copy.
        request._cache_update_cache = False  # type: ignore[attr-defined]
    if headers["Cache-Control"].startswith("public"):
        # Weakly, since a response that Django drops, as when a client leaves early, must go at once
        # and take its connection to B2 with it.
        response.__dict__["set_cookie"] = partial(_set_cookie_privately, ref(response))
    for header, value in headers.items():
        response.headers[header] = value
    return response


def _answer(
    request: HttpRequest, storage: B2Storage, name: str, of_row: FileMetadata | None = None
) -> HttpResponseBase:
    if of_row and _is_refuted(request, of_row):
        of_row = None
    known = of_row or storage.known_metadata(name)
    if request.method == "HEAD":
        known = known or storage.metadata(name)
        return _unchanged(request, known) or _with_validators(HttpResponse(), known, known.size)
    header = request.META.get("HTTP_RANGE")
    if known is None and header and ("HTTP_IF_RANGE" in request.META or http.is_suffix_range(header)):
        known = storage.metadata(name)
    if known and (unchanged := _unchanged(request, known)):
        return unchanged

    byte_range = None
    if header and (known is None or _range_is_current(request, known)):
        try:
            # While the size is unknown, a range may end beyond it: B2 cuts it.
            byte_range = http.parse_range(header, known.size if known else http.MAX_FILE_SIZE)
        except http.UnsatisfiableRange:
            return _unsatisfiable(request, storage, name, known)
    try:
        download = storage.download(name, *(byte_range or ()))
    except EOFError:
        return _unsatisfiable(request, storage, name, known)
    if unchanged := _unchanged(request, download.metadata):
        download.close()
        return unchanged
    if byte_range is not None and known and known.file_id != download.metadata.file_id:
        # The range, and If-Range, were read as for another version than B2 has.
        download.close()
        return _answer(request, storage, name)
    response = _with_validators(_streaming(request, download), download.metadata, download.length)
    if byte_range is not None:
        first, last, total = download.extent
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {first}-{last}/{total}"
    return response


def _with_validators(response: HttpResponseBase, known: FileMetadata, length: int) -> HttpResponseBase:
    response.headers["ETag"] = http.etag_of(known.file_id)
    response.headers["Last-Modified"] = http_date(known.uploaded // 1000)
    response.headers["Content-Length"] = str(length)
    return response


def _unchanged(request: HttpRequest, known: FileMetadata) -> HttpResponseBase | None:
    """Return 304 or 412 if the request's conditions say so (RFC 9110, 13.2)."""
    etag = http.etag_of(known.file_id)
    response = get_conditional_response(request, etag, known.uploaded // 1000)
    if response is not None:
        response.headers["ETag"] = etag
        response.headers["Last-Modified"] = http_date(known.uploaded // 1000)
    return response


def _is_refuted(request: HttpRequest, of_row: FileMetadata) -> bool:
    """Tell whether the client knows of another version than the row, which may be behind B2 for ever."""
    unchanged = _unchanged(request, of_row)
    return not _range_is_current(request, of_row) or (unchanged is not None and unchanged.status_code == 412)


def _range_is_current(request: HttpRequest, known: FileMetadata) -> bool:
    """Tell whether If-Range, if given, names this version (RFC 9110, 13.1.5: exactly, and no weak tag)."""
    condition = request.META.get("HTTP_IF_RANGE")
    return condition in (None, http.etag_of(known.file_id), http_date(known.uploaded // 1000))


def _unsatisfiable(
    request: HttpRequest, storage: B2Storage, name: str, known: FileMetadata | None
) -> HttpResponseBase:
    current = storage.look_up(name)
    if known and known.file_id != current.file_id:
        return _answer(request, storage, name)
    # The other conditions come first (RFC 9110, 13.2.2).
    headers = {"Content-Range": f"bytes */{current.size}"}
    return _unchanged(request, current) or HttpResponse(status=416, headers=headers)


def _streaming(request: HttpRequest, download: Download) -> StreamingHttpResponse:
    _release_database()
    # Django drains a sync iterator into memory under ASGI, and an async one under WSGI.
    body = _AsyncBody(download) if isinstance(request, ASGIRequest) else _Body(download)
    return StreamingHttpResponse(body)


def _set_cookie_privately(reference: ref[HttpResponseBase], *args: Any, **kwargs: Any) -> None:
    """Set a cookie, as sessions and messages do on any response, and keep both out of shared caches."""
    response = reference()
    assert response is not None  # noqa: S101 - it is its method that was called
    response.headers["Cache-Control"] = "private, no-cache"
    type(response).set_cookie(response, *args, **kwargs)


def _release_database() -> None:
    """Close the connections that decided on access: a slow client would hold them for hours.

    Called before the headers are sent, and again before the body: a middleware may have opened one
    anew, and with ATOMIC_REQUESTS the first call comes too early.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


class _Body:
    """The bytes of a download.

    Not a generator: closing one that was never begun would leave B2's answer open.
    """

    def __init__(self, download: Download) -> None:
        self._download = download
        self._has_begun = False

    def _read(self) -> bytes:
        try:
            return self._download.read()
        except B2FieldsError as error:
            # Raised on: the server breaks the connection, so that the client sees a short body.
            logger.error("b2fields broke off a delivery: %s", error)  # noqa: TRY400
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            _release_database()
        if data := self._read():
            return data
        raise StopIteration

    def close(self) -> None:
        self._download.close()


class _AsyncBody(_Body):
    """The same for an event loop, which each wait for B2 leaves free."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            # In the thread of the view, whose connections they are.
            await sync_to_async(_release_database)()
        if data := await asyncio.to_thread(self._read):
            return data
        raise StopAsyncIteration

    __iter__ = None  # type: ignore[assignment]
