"""System checks of the settings; those of a field are its own ``check()``. None of them asks B2."""

from typing import Any

import django
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from b2fields import policy

# Earlier ones ignore Cache-Control in mixed case and send session cookies with public responses.
_SAFE_DJANGO = {(5, 2): (5, 2, 15), (6, 0): (6, 0, 6)}


@register()
def check_access(**kwargs: Any) -> list[CheckMessage]:
    access: object = settings.B2FIELDS_ACCESS
    if policy.is_valid(access):
        return []
    return [
        Error(
            f"B2FIELDS_ACCESS is {access!r}, which is no access level.",
            hint='Use "public", "login", "staff", or a (not async) callable(request, instance) -> bool.',
            id="b2fields.E004",
        )
    ]


@register()
def check_buckets(**kwargs: Any) -> list[CheckMessage]:
    buckets: dict[str, str] = settings.B2FIELDS_BUCKETS
    return [
        Error(
            f"B2FIELDS_BUCKETS has the key {level!r}, which is no access level.",
            hint='Its keys are "public", "login", "staff" and "object" (for callables).',
            id="b2fields.E005",
        )
        for level in buckets
        if level not in policy.LEVELS
    ]


@register()
def check_django(**kwargs: Any) -> list[CheckMessage]:
    wanted = _SAFE_DJANGO.get(django.VERSION[:2])
    if wanted is None or django.VERSION[:3] >= wanted:
        return []
    version = ".".join(map(str, wanted))
    return [
        Warning(
            f"Django {django.get_version()} may let a shared cache keep a private file.",
            hint=f"Update to Django {version} or later.",
            id="b2fields.W006",
        )
    ]
