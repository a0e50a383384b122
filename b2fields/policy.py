"""Who may read a file: the access levels, and the one function that decides."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.deconstruct import deconstructible

from b2fields.exceptions import NotConfigured

# "public", "login", "staff", or callable(request, instance) -> bool.
Access = str | Callable[[HttpRequest, Any], bool]

# The name of a level is also the name of its route; "object" stands for every callable.
LEVELS = ("public", "login", "staff", "object")
_STRICTNESS = {"public": 0, "login": 1, "staff": 2, "object": 2}


def is_valid(access: object) -> bool:
    """Tell whether *access* is something a field may declare."""
    if isinstance(access, str):
        return access in ("public", "login", "staff")
    return callable(access) and not _is_async(access)


def _is_async(access: Any) -> bool:
    while isinstance(access, partial):
        access = access.func
    return any(
        inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        for function in (access, type(access).__call__)
    )


def level_of(access: object, declared_by: object) -> str:
    """Return the level of a declared access. Raises NotConfigured, so that a mistake opens nothing.

    *declared_by* is what the message names.
    """
    if not is_valid(access):
        raise NotConfigured(
            f'{declared_by} has access={access!r}. Use "public", "login", "staff" or a (not async) '
            "callable(request, instance) that returns True for those who may read."
        )
    return access if isinstance(access, str) else "object"


def level_allows(level: str, request: HttpRequest) -> bool:
    """Decide as far as the level alone can; a callable is asked later, with the row."""
    if level in ("public", "object"):
        return True
    user = getattr(request, "user", None)
    # Users need not have is_active, by Django's own backend (ModelBackend.user_can_authenticate).
    if user is None or not (user.is_authenticated and getattr(user, "is_active", True)):
        return False
    return level == "login" or bool(getattr(user, "is_staff", False))


def row_allows(access: object, request: HttpRequest, instance: object) -> bool:
    """Ask a callable about one row: nothing but True allows, and another error than a denial passes on.

    Http404 denies too: passed on, it would tell that there is such a row.
    """
    if not callable(access):
        return True
    try:
        answer = access(request, instance)
    except (PermissionDenied, Http404):
        return False
    if inspect.iscoroutine(answer):  # of a function that does not look async
        answer.close()  # Else Python warns that it was never awaited.
    return answer is True


def ask_without_row(access: object, request: HttpRequest) -> None:
    """Have ``has_perm`` ask for all rows: else time would tell whether there is a row to be asked about."""
    user = getattr(request, "user", None)
    if isinstance(access, has_perm) and user is not None:
        user.has_perm(access.permission)


def is_stricter(other: object, than: object) -> bool:
    """Tell whether a file under *other* must not be handed out under *than*.

    Of two callables, or a callable and "staff", neither is the laxer one: each counts as stricter.
    """
    return other != than and _strictness(other) >= _strictness(than)


def are_rivals(one: object, other: object) -> bool:
    """Tell whether neither of two policies is the laxer one."""
    return one != other and _strictness(one) == _strictness(other)


def _strictness(access: object) -> int:
    return _STRICTNESS.get(access, 2) if isinstance(access, str) else 2


@deconstructible(path="b2fields.has_perm")
class has_perm:
    """Make an access callable: users with this permission, for all rows or for the row at hand."""

    def __init__(self, permission: str) -> None:
        self.permission = permission

    def __call__(self, request: HttpRequest, instance: object) -> bool:
        user = getattr(request, "user", None)
        if user is None:
            return False
        # Django's own ModelBackend knows no permissions of single objects and denies when given one.
        return bool(user.has_perm(self.permission) or user.has_perm(self.permission, instance))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, has_perm) and other.permission == self.permission

    def __hash__(self) -> int:
        return hash(self.permission)

    def __repr__(self) -> str:
        return f"has_perm({self.permission!r})"
