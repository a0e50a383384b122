"""What a request makes conditional, against what is known of a file (RFC 9110, 13)."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date

from b2fields import http
from b2fields.metadata import FileMetadata


def set_validators(response: HttpResponseBase, known: FileMetadata) -> None:
    response.headers["ETag"] = http.etag_of(known.file_id)
    response.headers["Last-Modified"] = http_date(known.uploaded // 1000)


def unchanged(request: HttpRequest, known: FileMetadata) -> HttpResponseBase | None:
    """Return 304 or 412 if the request's conditions say so (RFC 9110, 13.2)."""
    response = get_conditional_response(request, http.etag_of(known.file_id), known.uploaded // 1000)
    if response is not None:
        set_validators(response, known)
    return response


def range_is_current(request: HttpRequest, known: FileMetadata) -> bool:
    """Tell whether If-Range, if given, names this version (RFC 9110, 13.1.5: exactly, and no weak tag)."""
    condition = request.META.get("HTTP_IF_RANGE")
    return condition in (None, http.etag_of(known.file_id), http_date(known.uploaded // 1000))


def refute(request: HttpRequest, of_row: FileMetadata) -> bool:
    """Tell whether the client knows of another version than the row, which may be behind B2 for ever."""
    response = unchanged(request, of_row)
    return not range_is_current(request, of_row) or (response is not None and response.status_code == 412)
