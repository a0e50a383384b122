"""What a request makes conditional, against what is known of a file (RFC 9110, 13)."""

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import http_date, parse_http_date_safe

from b2fields import http
from b2fields.metadata import FileMetadata


def describe(response: HttpResponseBase, known: FileMetadata) -> None:
    """Give the response the validators of a version, and its type as B2 has it, for images."""
    response.headers["Content-Type"] = known.content_type
    response.headers["ETag"] = http.etag_of(known.file_id)
    response.headers["Last-Modified"] = http_date(known.uploaded // 1000)


def unchanged(request: HttpRequest, known: FileMetadata) -> HttpResponseBase | None:
    """Return 304 or 412 if the request's conditions say so (RFC 9110, 13.2.2).

    Not by Django's get_conditional_response: for it, a condition that names no valid tag, and a date of 1970,
    are none.
    """
    status = _refusal(request, http.etag_of(known.file_id), known.uploaded // 1000)
    if status is None:
        return None
    response = HttpResponseNotModified() if status == 304 else HttpResponse(status=status)
    describe(response, known)
    return response


def _refusal(request: HttpRequest, etag: str, modified: int) -> int | None:
    if (tags := request.META.get("HTTP_IF_MATCH")) is not None:
        if not http.names_tag(tags, etag, weakly=False):
            return 412
    elif (date := _date(request, "HTTP_IF_UNMODIFIED_SINCE")) is not None and modified > date:
        return 412
    if (tags := request.META.get("HTTP_IF_NONE_MATCH")) is not None:
        return 304 if http.names_tag(tags, etag, weakly=True) else None
    date = _date(request, "HTTP_IF_MODIFIED_SINCE")
    return 304 if date is not None and modified <= date else None


def _date(request: HttpRequest, header: str) -> int | None:
    return parse_http_date_safe(request.META.get(header, ""))


def range_is_current(request: HttpRequest, known: FileMetadata) -> bool:
    """Tell whether If-Range, if given, names this version (RFC 9110, 13.1.5: exactly, and no weak tag)."""
    condition = request.META.get("HTTP_IF_RANGE")
    return condition in (None, http.etag_of(known.file_id), http_date(known.uploaded // 1000))


def refute(request: HttpRequest, of_row: FileMetadata) -> bool:
    """Tell whether the client knows of another version than the row, which may be behind B2 for ever."""
    if _refusal(request, http.etag_of(of_row.file_id), of_row.uploaded // 1000) == 412:
        return True
    # Without a range If-Range means nothing (RFC 9110, 13.1.5).
    return "HTTP_RANGE" in request.META and not range_is_current(request, of_row)
