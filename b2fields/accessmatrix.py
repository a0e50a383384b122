"""Check that the files of a model reach those whom its fields name, and nobody else by any address."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.db import models
from django.shortcuts import resolve_url
from django.test import Client, RequestFactory
from django.urls import reverse

from b2fields import policy, references
from b2fields.exceptions import NotConfigured
from b2fields.fields import B2FileField, B2ImageField

SERVED, TO_LOGIN, FORBIDDEN, NOT_FOUND = "the file", "302 to LOGIN_URL", "403", "404"

# A name that no row has.
_NONE = "b2fields-access-matrix/none.txt"
# One pixel.
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def assert_access_matrix(
    model: type[models.Model],
    *,
    instance: models.Model | None = None,
    visitors: Mapping[str, Any] | None = None,
    may_read: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Ask for each file of a row as each visitor, by right addresses and wrong ones; judge every answer.

    The row is *instance*, or one made of the model's defaults; a B2 field without a file gets one. It is
    asked for by the field's own address, by those of other levels, and by those of every other B2 field of
    the project. *visitors* are users by a name of your choice, None for the anonymous one; without them they
    are "anonymous", "inactive", "member", "staff" and "superuser". A field whose access is a callable has
    to serve the visitors that *may_read* lists under the field's name, else those whom the callable allows.

    Raises AssertionError that names every wrong answer. It uploads, so B2FIELDS_REALM has to be an
    emulator on this machine: see :func:`emulator`.
    """
    fields = [field for field in model._meta.concrete_fields if isinstance(field, B2FileField)]
    if not fields:
        raise ValueError(f"{model._meta.label} has no B2FileField.")
    _refuse_another_realm(fields)
    row = _with_files(instance if instance is not None else model(), fields)
    everybody = _make_visitors() if visitors is None else dict(visitors)
    wrong = [
        line
        for visitor, user in everybody.items()
        for line in _wrong_answers(row, fields, visitor, user, may_read or {})
    ]
    if wrong:
        raise AssertionError(f"{model._meta.label}: {len(wrong)} wrong answers\n" + "\n".join(wrong))


def _refuse_another_realm(fields: list[B2FileField]) -> None:
    for field in fields:
        realm = field.b2_storage.account.realm
        if urlsplit(realm).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise NotConfigured(
                f"assert_access_matrix uploads files, and {field.label} would store them at {realm!r}. Start "
                "an emulator for the test: the fixture b2_emulator, or b2fields.testing.emulator()."
            )


def _with_files(row: models.Model, fields: list[B2FileField]) -> models.Model:
    empty = [field for field in fields if not getattr(row, field.attname)]
    for field in empty:
        start = _PNG if isinstance(field, B2ImageField) else b""
        name = f"{field.name}.{'png' if start else 'txt'}"
        setattr(row, field.attname, ContentFile(start + secrets.token_bytes(16), name))
    if empty or row.pk is None:
        row.save()
    return row


def _make_visitors() -> dict[str, Any]:
    kinds: dict[str, dict[str, bool]] = {
        "inactive": {"is_active": False},
        "member": {},
        "staff": {"is_staff": True},
        "superuser": {"is_staff": True, "is_superuser": True},
    }
    user_model: Any = get_user_model()
    known = {field.name for field in user_model._meta.get_fields()}
    made: dict[str, Any] = {"anonymous": None}
    for kind, claims in kinds.items():
        # At random, beside users that are there; some projects take e-mail addresses for names.
        values = {user_model.USERNAME_FIELD: f"{kind}-{secrets.token_hex(4)}@example.com", **claims}
        made[kind] = user_model._base_manager.create(**{k: v for k, v in values.items() if k in known})
    return made


def _wrong_answers(
    row: models.Model,
    fields: list[B2FileField],
    visitor: str,
    user: Any,
    may_read: Mapping[str, Collection[str]],
) -> Iterator[str]:
    # Errors of the project's callables are answers of 500, which are wrong.
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    others = {
        other: _answer(client, other, other.b2_storage.level, _NONE) for other in references.b2_fields()
    }
    for field in fields:
        name = getattr(row, field.attname).name
        level = field.b2_storage.level
        listed = may_read.get(field.name)
        grants = _grants(field, row, user) if listed is None else visitor in listed
        yield from _judge(client, field, level, name, visitor, {SERVED} if grants else _refusal(field, user))
        for other_level in sorted(set(policy.LEVELS) - {level}):
            yield from _judge(client, field, other_level, name, visitor, {NOT_FOUND})
        for other, of_nothing in others.items():
            if other.label != field.label and not references.is_held(other, name):
                its_level = other.b2_storage.level
                yield from _judge(client, other, its_level, name, visitor, {of_nothing} - {SERVED})


def _grants(field: B2FileField, row: models.Model, user: Any) -> bool:
    """Tell whether the field's own policy lets a user read the file of a row."""
    request = RequestFactory().get("/")
    # Here, because it needs the app, which a project may lack.
    from django.contrib.auth.models import AnonymousUser

    request.user = AnonymousUser() if user is None else user
    storage = field.b2_storage
    return policy.level_allows(storage.level, request) and policy.row_allows(storage.access, request, row)


def _refusal(field: B2FileField, user: Any) -> set[str]:
    storage = field.b2_storage
    level, to_anonymous = storage.level, TO_LOGIN if storage.anonymous == 302 else NOT_FOUND
    if user is None:
        return {to_anonymous}
    refused = {FORBIDDEN} if level in ("login", "staff") else {NOT_FOUND}
    # Most backends take an inactive user for an anonymous one.
    return refused if getattr(user, "is_active", True) else refused | {to_anonymous}


def _judge(
    client: Client, field: B2FileField, level: str, name: str, visitor: str, expected: set[str]
) -> Iterator[str]:
    found = _answer(client, field, level, name)
    if found not in expected:
        address = reverse(f"b2fields:{level}", args=[field.label, name])
        yield f"  {visitor} at {address}: {found}, expected {' or '.join(sorted(expected))}"


def _answer(client: Client, field: B2FileField, level: str, name: str) -> str:
    # By TLS, since a project may redirect everything else to it.
    response = client.get(reverse(f"b2fields:{level}", args=[field.label, name]), secure=True)
    try:
        location = response.headers.get("Location", "")
        if response.status_code == 200:
            return SERVED
        if response.status_code == 302:
            login_url = resolve_url(settings.LOGIN_URL)
            return TO_LOGIN if location.partition("?")[0] == login_url.partition("?")[0] else SERVED
        return str(response.status_code)
    finally:
        response.close()
