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

from b2fields import delivery, http, logs, names, policy, references, rowinfo
from b2fields.exceptions import FileMissing
from b2fields.logs import Delivery
from b2fields.metadata import FileMetadata
from b2fields.storage import B2Storage

_METHODS = ["GET", "HEAD", "OPTIONS"]


class _Refusal(Exception):
    """The visitor does not get the file. The reason is for the log, and the visitor is told none."""

    def __init__(self, status: int, reason: str, *, whoever_asks: bool = False) -> None:
        self.status, self.reason, self.whoever_asks = status, reason, whoever_asks


def serve(request: HttpRequest, level: str, label: str, name: str) -> HttpResponseBase:
    """Serve the file *name* of the field, or the STORAGES alias, that *label* names."""
    if request.method == "OPTIONS":
        return _with_refusal_headers(HttpResponse(status=204, headers={"Allow": ", ".join(_METHODS)}))
    if request.method not in _METHODS:
        return _with_refusal_headers(HttpResponseNotAllowed(_METHODS))
    asked = Delivery(request, level, label, name)
    try:
        storage, known = _granted(asked)
        response = delivery.deliver(asked, storage, known)
    except _Refusal as refusal:
        logs.refused(asked, refusal.status, refusal.reason, whoever_asks=refusal.whoever_asks)
        return _render(request, refusal.status)
    except FileMissing as error:
        logs.failed(asked, 404, error)
        return _render(request, 404)
    if response.status_code < 400:
        storage.learn_public_url()
    return response


# The view decides itself: Django's LoginRequiredMiddleware would send visitors of public files to log in.
serve.login_required = False  # type: ignore[attr-defined]


def _granted(asked: Delivery) -> tuple[B2Storage, FileMetadata | None]:
    """Return the storage of a file that the visitor may read, and what its row keeps of it.

    Cheap decisions come before expensive ones, and B2 is not asked. Raises _Refusal: a refused visitor
    cannot tell whether the file exists.
    """
    request, level, label, name = asked
    if not names.is_well_formed(name):
        raise _Refusal(404, "no file has such a name", whoever_asks=True)
    field = references.find_field(label)
    storage = field.b2_storage if field else references.find_alias(label)
    if storage is None or storage.level != level:
        raise _Refusal(404, "no such field or alias has this access", whoever_asks=True)
    if not policy.level_allows(level, request):
        raise _Refusal(_outcome(request, storage, 403), "the visitor lacks the level")

    policy.ask_without_row(storage.access, request)
    known = None
    if field:
        row = _granting_row(request, storage, references.rows(field, name))
        may_read = row is not None
        known = rowinfo.recall(getattr(row, field.attname)) if row is not None else None
    else:
        may_read = _alias_grants(request, storage, name)
    # Of a callable's refusal a signed-in visitor must not learn whether there is a row.
    status = _outcome(request, storage, 404) if level == "object" else 404
    if not may_read:
        raise _Refusal(status, "no row that grants it has this name")
    if references.is_held_by_stricter(storage, name, field):
        raise _Refusal(status, "a field with a stricter policy has this name too")
    return storage, known


def _outcome(request: HttpRequest, storage: B2Storage, signed_in: int) -> int:
    """Return the status for a refused visitor: an anonymous one may sign in, unless the project says 404."""
    user = getattr(request, "user", None)
    return signed_in if user is not None and user.is_authenticated else storage.anonymous


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


def _render(request: HttpRequest, status: int) -> HttpResponseBase:
    if status == 302:
        return _with_refusal_headers(HttpResponseRedirect(_login_url(request)))
    # By the project's own handler, which, raised, would not take our headers.
    forbidden, not_found = PermissionDenied("You may not read this file."), Http404("There is no such file.")
    exception = forbidden if status == 403 else not_found
    handler: Any = get_resolver(get_urlconf()).resolve_error_handler(status)
    return _with_refusal_headers(handler(request, exception=exception))


def _login_url(request: HttpRequest) -> str:
    # As django.contrib.auth.views.redirect_to_login, whose module needs auth's models to be installed.
    url = urlsplit(resolve_url(settings.LOGIN_URL))
    query = QueryDict(url.query, mutable=True)
    query[REDIRECT_FIELD_NAME] = request.get_full_path()
    return url._replace(query=query.urlencode(safe="/")).geturl()


def _with_refusal_headers(response: HttpResponseBase) -> HttpResponseBase:
    for header, value in http.REFUSAL_HEADERS.items():
        response.headers[header] = value
    return response
