"""What a project may change of the headers of its files, and how far. Pure functions.

Each reads the value of one setting, or of the storage's option of the same name, and raises NotConfigured for
what would open more than security allows: a mistake serves nothing.
"""

import re
from collections.abc import Callable
from typing import Any

from b2fields import http
from b2fields.exceptions import NotConfigured
from b2fields.http import Serving

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110, 5.6.2
_DIRECTIVE = rf'{_TOKEN}(?:=(?:{_TOKEN}|"[\x20\x21\x23-\x7e]*"))?'
_CACHE_CONTROL = re.compile(rf"{_DIRECTIVE}(?: *, *{_DIRECTIVE})*")

# What a private Cache-Control may say, and of these at least "private" and one that stops unasked reuse.
_PRIVATE = {
    *("private", "no-cache", "no-store", "must-revalidate", "proxy-revalidate", "no-transform", "max-age=0"),
}

# Directives that the base policy lacks and that can only forbid, or report, more.
_STRICTER = {
    *("base-uri", "form-action", "upgrade-insecure-requests", "require-trusted-types-for", "trusted-types"),
    *("report-to", "report-uri"),
}
# default-src stands in for the other directives that end so, and for none of these.
_REQUIRED = ("default-src", "frame-ancestors", "sandbox")


def public_cache_control(declared: object) -> str:
    if not isinstance(declared, str) or not _CACHE_CONTROL.fullmatch(declared):
        raise NotConfigured(f"B2FIELDS_PUBLIC_CACHE_CONTROL is {declared!r}, which is no Cache-Control.")
    return declared


def private_cache_control(declared: object) -> str | None:
    if declared is None:
        return None
    # As they are, since some caches do not know directives in upper case.
    said = set(re.split(" *, *", declared)) if isinstance(declared, str) else set()
    if not said <= _PRIVATE or "private" not in said or said.isdisjoint({"no-cache", "no-store"}):
        raise NotConfigured(
            f"B2FIELDS_PRIVATE_CACHE_CONTROL is {declared!r}, which is not between 'private, no-cache' and "
            "'private, no-store'."
        )
    return str(declared)


def public_corp(declared: object) -> str:
    if declared not in ("cross-origin", "same-site", "same-origin"):
        raise NotConfigured(
            f"B2FIELDS_PUBLIC_CORP is {declared!r}, which is no Cross-Origin-Resource-Policy."
        )
    return str(declared)


def inline_types(declared: object) -> frozenset[str]:
    types = _strings("INLINE_TYPES", declared)
    for media_type in types:
        if media_type not in http.MAY_BE_INLINE:
            raise NotConfigured(f"B2FIELDS_INLINE_TYPES has {media_type!r}, which is never shown inline.")
    return frozenset(types)


def inline_pdf(declared: object) -> bool:
    if not isinstance(declared, bool):
        raise NotConfigured(f"B2FIELDS_INLINE_PDF must be True or False; it is {declared!r}.")
    return declared


def content_security_policy(declared: object) -> str:
    """Return the policy: a project's own is whole, and forbids all that the base policy forbids."""
    if declared is None:
        return http.CSP
    # A comma would begin another policy.
    if not isinstance(declared, str) or not re.fullmatch(r"[\x20-\x2b\x2d-\x7e]+", declared):
        raise NotConfigured(f"B2FIELDS_CONTENT_SECURITY_POLICY is {declared!r}, which is no policy.")
    base, own = http.directives(http.CSP), http.directives(declared)
    for name in _REQUIRED:
        if name not in own:
            raise NotConfigured(f"B2FIELDS_CONTENT_SECURITY_POLICY lacks {base[name]!r}.")
    for name, directive in own.items():
        is_source_list = name in base or name.endswith(("-src", "-src-elem", "-src-attr"))
        if not (_sources(directive) <= _sources(base.get(name, "")) if is_source_list else name in _STRICTER):
            raise NotConfigured(
                f"B2FIELDS_CONTENT_SECURITY_POLICY says {directive!r}, where b2fields says "
                f"{base.get(name, base['default-src'])!r}: it may be made stricter only."
            )
    return declared


def _sources(directive: str) -> set[str]:
    return set(directive.lower().split()[1:]) - {"'none'"}


def vary(declared: object) -> tuple[str, ...]:
    headers = _strings("VARY", declared)
    for header in headers:
        if header == "*" or not re.fullmatch(_TOKEN, header):
            raise NotConfigured(f"B2FIELDS_VARY has {header!r}, which is no name of a request header.")
    return headers


def anonymous(declared: object) -> int:
    """Return the status that an anonymous visitor gets for a private file."""
    if type(declared) is not int or declared not in (302, 404):
        raise NotConfigured(f"B2FIELDS_ANONYMOUS must be 302 or 404; it is {declared!r}.")
    return declared


def _strings(setting: str, declared: object) -> tuple[str, ...]:
    # A lone string would count as its characters.
    if not isinstance(declared, (tuple, list, set, frozenset)) or not all(
        isinstance(item, str) for item in declared
    ):
        raise NotConfigured(f"B2FIELDS_{setting} must be a tuple of strings; it is {declared!r}.")
    return tuple(declared)


# By option; each is a field of Serving.
READERS: dict[str, Callable[[object], Any]] = {
    "public_cache_control": public_cache_control,
    "private_cache_control": private_cache_control,
    "public_corp": public_corp,
    "inline_types": inline_types,
    "inline_pdf": inline_pdf,
    "content_security_policy": content_security_policy,
    "vary": vary,
}


def parse(option: Callable[[str], object]) -> Serving:
    """Return all of it, from a function that returns the value of an option. Raises NotConfigured."""
    return Serving(**{name: read(option(name)) for name, read in READERS.items()})
