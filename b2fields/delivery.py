"""How the bytes of a file reach the client. Access has been decided before anything here is called."""

from functools import partial
from typing import Any
from weakref import ref

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from b2fields import conditions, http, logs
from b2fields.exceptions import B2FieldsError, B2Unavailable, CannotSign, FileMissing
from b2fields.logs import Delivery
from b2fields.metadata import FileMetadata
from b2fields.storage import B2Storage
from b2fields.streaming import stream

_RETRY_AFTER_SECONDS = 10

# What the view decides on by itself (RFC 9110, 13).
_DECIDED = (
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_UNMODIFIED_SINCE",
)
# With any of these headers, what is known of the file may spare the request to B2, or decides on it.
_CONDITIONS = ("HTTP_RANGE", *_DECIDED)

# What nginx.conf, beside this module, and the view agree on: the internal location, the header with the
# range to ask for, and the seconds within which nginx begins to fetch.
ACCEL_LOCATION = "/_b2fields"
ACCEL_RANGE = "X-B2fields-Range"
_ACCEL_SECONDS = 60


def deliver(delivery: Delivery, storage: B2Storage, of_row: FileMetadata | None = None) -> HttpResponseBase:
    """Answer with the file, or the way to it, or 304. Raises FileMissing; other trouble with B2 becomes 503.

    *of_row* is what the row keeps of the file, which needs neither B2 nor the cache.
    """
    serving = storage.serving  # Before B2 is asked for anything: a mistake in it serves nothing.
    try:
        response = _MODES[storage.delivery](delivery, storage, of_row)
    except FileMissing:
        raise
    except B2FieldsError as error:
        logs.failed(delivery, 503, error)
        response = HttpResponse(
            "This file cannot be fetched right now. Please try again in a moment.\n",
            content_type="text/plain; charset=utf-8",
            status=503,
            headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
        )
    _set_headers(response, delivery, storage, serving)
    return response


def _set_headers(
    response: HttpResponseBase, delivery: Delivery, storage: B2Storage, serving: http.Serving
) -> None:
    request = delivery.request
    if response.status_code in (200, 206, 304):
        stored_type = response.headers.get("Content-Type") if storage.holds_images else None
        download = _wants_download(request)
        headers = http.file_headers(
            storage.level, delivery.name, serving, download=download, stored_type=stored_type
        )
    else:
        headers = dict(http.REFUSAL_HEADERS)
    if "Vary" in headers:
        patch_vary_headers(response, headers.pop("Vary").split(", "))
    # GZipMiddleware would compress a text file, which has no length, range or strong ETag any more.
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    # And ConditionalGetMiddleware would decide once more, by other rules than RFC 9110's, and make a 304 of
    # its own that has none of these headers.
    for condition in _DECIDED:
        request.META.pop(condition, None)
    # Django's cache middleware would keep what has no body to stream, and hand it on: a 304 to visitors who
    # have no copy, the way to B2 after it expired, and all of it without what keeps cookies private.
    request._cache_update_cache = False  # type: ignore[attr-defined]
    if http.may_be_shared(headers["Cache-Control"]):
        # Weakly, since a response that Django drops, as when a client leaves early, must go at once
        # and take its connection to B2 with it.
        response.__dict__["set_cookie"] = partial(_set_cookie_privately, ref(response))
    for header, value in headers.items():
        response.headers[header] = value


def _set_cookie_privately(reference: ref[HttpResponseBase], *args: Any, **kwargs: Any) -> None:
    """Set a cookie, as sessions and messages do on any response, and keep both out of shared caches."""
    response = reference()
    assert response is not None  # noqa: S101 - it is its method that was called
    response.headers["Cache-Control"] = "private, no-cache"
    type(response).set_cookie(response, *args, **kwargs)


def _wants_download(request: HttpRequest) -> bool:
    return http.wants_download(request.META.get("QUERY_STRING", ""))


# Modes


def _proxy(
    delivery: Delivery,
    storage: B2Storage,
    of_row: FileMetadata | None = None,
    fresh: FileMetadata | None = None,
) -> HttpResponseBase:
    """Send the bytes through this site: one request to B2, begun before the first of them is promised.

    *fresh* is what B2 has just told, and is believed before the cache, which may be behind for ever.
    """
    request, name = delivery.request, delivery.name
    is_plain = request.method == "GET" and request.META.keys().isdisjoint(_CONDITIONS)
    # For a plain GET all that is needed comes with the file: the cache may be another host.
    known = fresh or (None if is_plain else _known(delivery, storage, of_row))
    if request.method == "HEAD":
        return _without_bytes(request, known or storage.metadata(name))
    header = request.META.get("HTTP_RANGE")
    if known is None and header and ("HTTP_IF_RANGE" in request.META or http.is_suffix_range(header)):
        known = fresh = storage.look_up(name)
    if known and (unchanged := conditions.unchanged(request, known)):
        return unchanged

    try:
        byte_range = _range(request, known)
        download = storage.download(name, *(byte_range or ()))
    except (http.UnsatisfiableRange, EOFError):
        return _unsatisfiable(delivery, storage, known, fresh)
    if unchanged := conditions.unchanged(request, download.metadata):
        download.close()
        return unchanged
    if byte_range is not None and known and known.file_id != download.metadata.file_id:
        # The range, and If-Range, were read as for another version than B2 has.
        download.close()
        if fresh:
            raise B2Unavailable(f"{name!r} is replaced more often than it can be read. Try again later.")
        return _proxy(delivery, storage, fresh=download.metadata)
    response = stream(delivery, download, 200 if byte_range is None else 206)
    conditions.describe(response, download.metadata)
    response.headers["Content-Length"] = str(download.length)
    if byte_range is not None:
        first, last, total = download.extent
        response.headers["Content-Range"] = f"bytes {first}-{last}/{total}"
    return response


def _redirect(delivery: Delivery, storage: B2Storage, of_row: FileMetadata | None) -> HttpResponseBase:
    """Send the client to B2, by a link that opens this file for a while; nothing is asked of B2."""
    if delivery.request.method == "HEAD":
        # The link would not open: it is signed for GET.
        return _proxy(delivery, storage, of_row)
    try:
        url = storage.signed_url(delivery.name, download=_wants_download(delivery.request))
    except CannotSign:
        return _proxy(delivery, storage, of_row)
    return HttpResponseRedirect(url)


def _accel(delivery: Delivery, storage: B2Storage, of_row: FileMetadata | None) -> HttpResponseBase:
    """Have nginx fetch the file, as nginx.conf says; what the headers need is known, or asked for."""
    request, name = delivery.request, delivery.name
    known = _known(delivery, storage, of_row) or storage.metadata(name)
    if request.method == "HEAD":
        return _without_bytes(request, known)
    if unchanged := conditions.unchanged(request, known):
        return unchanged
    try:
        byte_range = _range(request, known)
        url = storage.signed_url(name, _ACCEL_SECONDS, download=_wants_download(request))
    except http.UnsatisfiableRange:
        return _unsatisfiable(delivery, storage, known, None)
    except CannotSign:
        return _proxy(delivery, storage, of_row)
    response = HttpResponse()
    conditions.describe(response, known)
    # Path and query as they were signed, behind what no name can replace.
    response.headers["X-Accel-Redirect"] = ACCEL_LOCATION + url[url.index("/", len("https://")) :]
    if byte_range is not None:
        response.headers[ACCEL_RANGE] = f"bytes={byte_range.first}-{byte_range.last}"
    return response


_MODES = {"proxy": _proxy, "redirect": _redirect, "accel": _accel}


def _known(delivery: Delivery, storage: B2Storage, of_row: FileMetadata | None) -> FileMetadata | None:
    """Return what the row, unless the request refutes it, or the cache knows of the file."""
    if of_row and not conditions.refute(delivery.request, of_row):
        return of_row
    return storage.known_metadata(delivery.name)


def _without_bytes(request: HttpRequest, known: FileMetadata) -> HttpResponseBase:
    if unchanged := conditions.unchanged(request, known):
        return unchanged
    response = HttpResponse(headers={"Content-Length": str(known.size)})
    conditions.describe(response, known)
    return response


def _range(request: HttpRequest, known: FileMetadata | None) -> http.ByteRange | None:
    """Return the range to send, None for the whole file. Raises UnsatisfiableRange."""
    header = request.META.get("HTTP_RANGE")
    if not header or (known and not conditions.range_is_current(request, known)):
        return None
    # While the size is unknown, a range may end beyond it: B2 cuts it.
    return http.parse_range(header, known.size if known else http.MAX_FILE_SIZE)


def _unsatisfiable(
    delivery: Delivery, storage: B2Storage, known: FileMetadata | None, fresh: FileMetadata | None
) -> HttpResponseBase:
    request = delivery.request
    current = fresh or storage.look_up(delivery.name)
    if known and known.file_id != current.file_id:
        return _proxy(delivery, storage, fresh=current)
    # The other conditions come first (RFC 9110, 13.2.2).
    headers = {"Content-Range": f"bytes */{current.size}"}
    return conditions.unchanged(request, current) or HttpResponse(status=416, headers=headers)
