"""Route -> field -> policy -> delivery. The order of the decisions is that of the threats they answer."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    QueryDict,
)
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import get_resolver, get_urlconf

from b2fields import delivery, http, names, policy, references, rowinfo
from b2fields.exceptions import FileMissing
from b2fields.storage import B2Storage

_METHODS = ["GET", "HEAD", "OPTIONS"]


def serve(request: HttpRequest, level: str, label: str, name: str) -> HttpResponseBase:
    """Serve the file *name* of the field, or the STORAGES alias, that *label* names.

    Cheap decisions come before expensive ones, and B2 is asked last. A refused visitor cannot tell
    whether the file exists.
    """
    if request.method == "OPTIONS":
        return _with_refusal_headers(HttpResponse(status=204, headers={"Allow": ", ".join(_METHODS)}))
    if request.method not in _METHODS:
        return _with_refusal_headers(HttpResponseNotAllowed(_METHODS))
    if not names.is_well_formed(name):
        return _not_found(request)

    field = references.find_field(label)
    storage = field.b2_storage if field else references.find_alias(label)
    if storage is None or storage.level != level:
        return _not_found(request)
    if not policy.level_allows(level, request):
        return _refused(request)

    known = None
    if field:
        row = _granting_row(request, storage, references.rows(field, name))
        may_read = row is not None
        known = rowinfo.recall(getattr(row, field.attname)) if row is not None else None
    else:
        may_read = _alias_grants(request, storage, name)
    if not may_read or references.is_held_by_stricter(storage, name, field):
        return _not_found(request) if level != "object" or _is_signed_in(request) else _refused(request)

    try:
        response = delivery.proxy(request, storage, name, known)
    except FileMissing:
        return _not_found(request)
    if response.status_code < 400:
        storage.learn_public_url()
    return response


def _granting_row(request: HttpRequest, storage: B2Storage, rows: Iterable[Model]) -> Model | None:
    """Return a row that holds the file and grants it, if there is one."""
    access = storage.access
    return next((row for row in rows if policy.row_allows(access, request, row)), None)


def _alias_grants(request: HttpRequest, storage: B2Storage, name: str) -> bool:
    """Decide for a storage that stands alone in STORAGES, under plain file fields or none.

    Where other policies store within the same names, only a row of a plain file field on this very
    storage tells its files from theirs; where none does, the storage's own policy is enough, and a
    callable is asked with None for the row.
    """
    for field in references.plain_fields_on(storage):
        if _granting_row(request, storage, references.rows(field, name)) is not None:
            return True
    return not references.shares_its_place(storage) and policy.row_allows(storage.access, request, None)


def _is_signed_in(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return user is not None and user.is_authenticated


def _refused(request: HttpRequest) -> HttpResponseBase:
    if not _is_signed_in(request):
        return _with_refusal_headers(HttpResponseRedirect(_login_url(request)))
    return _error(request, 403, PermissionDenied("You may not read this file."))


def _login_url(request: HttpRequest) -> str:
    # As django.contrib.auth.views.redirect_to_login, whose module needs auth's models to be installed.
    url = urlsplit(resolve_url(settings.LOGIN_URL))
    query = QueryDict(url.query, mutable=True)
    query[REDIRECT_FIELD_NAME] = request.get_full_path()
    return url._replace(query=query.urlencode(safe="/")).geturl()


def _not_found(request: HttpRequest) -> HttpResponseBase:
    return _error(request, 404, Http404("There is no such file."))


def _error(request: HttpRequest, status: int, exception: Exception) -> HttpResponseBase:
    """Render an error by the project's own handler, which, raised, would not take our headers."""
    handler: Any = get_resolver(get_urlconf()).resolve_error_handler(status)
    return _with_refusal_headers(handler(request, exception=exception))


def _with_refusal_headers(response: HttpResponseBase) -> HttpResponseBase:
    for header, value in http.REFUSAL_HEADERS.items():
        response.headers[header] = value
    return response
