"""System checks of the values of settings, and of the same as options of storages. None of them asks B2."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import storages

from b2fields import names, policy, references
from b2fields.b2.tokens import REALMS
from b2fields.exceptions import NotConfigured, PolicyConflict
from b2fields.options import DELIVERIES, is_b2_alias
from b2fields.storage import B2Storage

# Name -> what it has to be, whether it may be a fraction, and the range; PART_SIZE may be None too.
_NUMBERS: dict[str, tuple[str, bool, Callable[[float], bool]]] = {
    "MAX_MEMORY_SIZE": ("a number of bytes, 0 or more", False, lambda n: n >= 0),
    # B2 docs, Large Files: 5 MB to 5 GB.
    "PART_SIZE": ("None or a number of bytes from 5000000 to 5000000000", False, lambda n: 5e6 <= n <= 5e9),
    "UPLOAD_THREADS": ("a number, 1 or more", False, lambda n: n >= 1),
    "CLEANUP_DELAY": ("a number of seconds, 0 or more", True, lambda n: n >= 0),
    "METADATA_TIMEOUT": ("a number of seconds, 0 or more", False, lambda n: n >= 0),
    "CONNECT_TIMEOUT": ("a number of seconds above 0", True, lambda n: n > 0),
    "READ_TIMEOUT": ("a number of seconds above 0", True, lambda n: n > 0),
    "RETRIES": ("a number, 0 or more", False, lambda n: n >= 0),
    "DEADLINE": ("a number of seconds above 0", True, lambda n: n > 0),
}

# Of a signed link.
_LONG_SECONDS = 3600


@register()
def check_aliases(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for alias, declared in settings.STORAGES.items():
        try:
            if is_b2_alias(alias) or declared.get("BACKEND", "").startswith("b2fields."):
                storages[alias]
        except ImproperlyConfigured as error:
            found.append(
                Error(
                    f"STORAGES[{alias!r}] cannot be built: {error}",
                    hint="Correct its BACKEND, or its OPTIONS: those are settings of b2fields in lower case.",
                    id="b2fields.E043",
                )
            )
    return found


@register()
def check_access_of_storages(**kwargs: Any) -> list[CheckMessage]:
    """Find aliases whose own access is none; B2FIELDS_ACCESS and the fields' are told by other checks."""
    return [
        Error(
            f"{storage} has access={storage._options['access']!r}, which is no access level.",
            hint='Use "public", "login", "staff", or a (not async) callable(request, instance) -> bool.',
            id="b2fields.E044",
        )
        for storage in _aliases()
        if "access" in storage._options and not policy.is_valid(storage._options["access"])
    ]


@register()
def check_realm(**kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{said}, which neither names a service of Backblaze nor is an http(s) URL.",
            hint='Use "production", or a URL such as the emulator\'s "http://127.0.0.1:8765".',
            id="b2fields.E045",
        )
        for said in _wrong("realm", _is_realm)
    ]


def _is_realm(realm: object) -> bool:
    text = str(realm).rstrip("/")
    try:
        url = urlsplit(text)
        is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # of a host or a port that is none
        return False
    # urlsplit() passes over the line end that an environment variable may bring.
    return text in REALMS or (is_url and text.split() == [text])


@register()
def check_cache(**kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{said}, and CACHES has no such alias.",
            hint='Name a key of CACHES, or leave "alias" out for the default cache.',
            id="b2fields.E046",
        )
        for said in _wrong("account_info", _is_of_a_cache)
    ]


def _is_of_a_cache(account_info: object) -> bool:
    if not isinstance(account_info, Mapping) or "alias" not in account_info:
        return True  # What is no dict is for check_account_info to tell.
    return str(account_info["alias"]) in settings.CACHES


@register()
def check_account_info(**kwargs: Any) -> list[CheckMessage]:
    return _errors_of(
        lambda storage: storage.account_place,
        hint='Use {"type": "cache", "alias": …}, {"type": "sqlite", "path": …} or {"type": "memory"}.',
        id="b2fields.E015",
    )


@register()
def check_numbers(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name, (meaning, may_be_fraction, is_in_range) in _NUMBERS.items():
        value: object = getattr(settings, f"B2FIELDS_{name}")
        if value is None and name == "PART_SIZE":
            continue
        is_number = type(value) is int or (may_be_fraction and type(value) is float and math.isfinite(value))
        if not is_number or not is_in_range(value):  # type: ignore[arg-type]  # mypy does not follow is_number
            found.append(
                Error(
                    f"B2FIELDS_{name} must be {meaning}; it is {value!r}.",
                    hint="Leave it out for the default.",
                    id="b2fields.E016",
                )
            )
    return found


@register()
def check_cdn(**kwargs: Any) -> list[CheckMessage]:
    return _errors_of(
        lambda storage: storage.cdn,
        hint='Use for example {"base_url": "https://cdn.example.com/", "include_bucket_url_segments": True}.',
        id="b2fields.E017",
    )


@register()
def check_create_bucket(**kwargs: Any) -> list[CheckMessage]:
    return _errors_of(
        lambda storage: storage.create_bucket,
        hint="Use None, {} for a private bucket, or the settings of B2's b2_create_bucket.",
        id="b2fields.E018",
    )


@register()
def check_encryption(**kwargs: Any) -> list[CheckMessage]:
    return _errors_of(
        lambda storage: storage.encryption,
        hint='Use None, "SSE-B2", or {"mode": "SSE-C", "key": …}.',
        id="b2fields.E019",
    )


@register()
def check_public_buckets(**kwargs: Any) -> list[CheckMessage]:
    """Find buckets that would be created for everybody to read, and are for private files too."""
    return _errors_of(
        lambda storage: storage.level == "public" and storage.bucket and storage.new_bucket(),
        hint='Give public files a bucket of their own: B2FIELDS_BUCKETS = {"public": …}.',
        id="b2fields.E020",
        kind=PolicyConflict,
    )


@register()
def check_delivery(**kwargs: Any) -> list[CheckMessage]:
    hint, id = 'Use "proxy", "redirect" or "accel".', "b2fields.E030"
    setting = settings.B2FIELDS_DELIVERY
    if setting in DELIVERIES:
        return _errors_of(lambda storage: storage.delivery, hint, id)
    return [
        Error(f"B2FIELDS_DELIVERY is {setting!r}, which is no way of delivery.", hint=hint, id=id),
        # Told once, and not by each storage that follows it.
        *_errors_of(lambda storage: "delivery" in storage._options and storage.delivery, hint, id),
    ]


@register()
def check_delete(**kwargs: Any) -> list[CheckMessage]:
    return _errors_of(
        lambda storage: storage.is_hiding,
        hint='Use "delete" or "hide".',
        id="b2fields.E033",
    )


@register()
def check_url_expiry(**kwargs: Any) -> list[CheckMessage]:
    errors = _errors_of(
        lambda storage: storage.url_expiry,
        hint="Use for example 300. B2 signs no link for longer than a week.",
        id="b2fields.E022",
    )
    warnings = [
        Warning(
            f"B2FIELDS_URL_EXPIRY is {seconds}: for so many seconds a signed link opens its file to whoever "
            "holds it, also to those who may not read the file any more.",
            hint=f"Use at most {_LONG_SECONDS}, and signed_url(expires=…) for the links that need more.",
            id="b2fields.W023",
        )
        for seconds in sorted(set(_expiries()))
        if seconds > _LONG_SECONDS
    ]
    return [*errors, *warnings]


def _expiries() -> Iterator[int]:
    for storage in _storages():
        with suppress(NotConfigured):
            yield storage.url_expiry


@register()
def check_location(**kwargs: Any) -> list[CheckMessage]:
    found: dict[object, CheckMessage] = {}
    for storage in _storages():
        location = storage._option("location")
        if not _is_location(location):
            found[repr(location)] = Error(
                f"B2FIELDS_LOCATION is {location!r}, which is no prefix of file names.",
                hint='Use segments with "/" between them, such as "media/files", without "." or "..".',
                id="b2fields.E021",
            )
    return list(found.values())


def _is_location(location: object) -> bool:
    if not isinstance(location, str):
        return False
    try:
        names.check_limits(location)
        return names.exact(location.strip("/")) == location.strip("/")
    except SuspiciousFileOperation:
        return False


def _storages() -> Iterator[B2Storage]:
    """Yield the storage that the settings describe, and of aliases and fields those that can be built."""
    yield B2Storage()
    yield from _aliases()
    for field in references.b2_fields():
        with suppress(ImproperlyConfigured):
            yield field.b2_storage


def _aliases() -> Iterator[B2Storage]:
    for alias in settings.STORAGES:
        with suppress(ImproperlyConfigured):
            if storage := references.find_alias(alias):
                yield storage


def _wrong(option: str, is_right: Callable[[object], bool]) -> list[str]:
    """Say once where each wrong value of an option stands: in the setting, or in a storage's own options."""
    found: dict[tuple[bool, str], str] = {}
    for storage in _storages():
        value, is_own = storage._option(option), option in storage._options
        if not is_right(value):
            where = f"{storage} has {option}=" if is_own else f"B2FIELDS_{option.upper()} is "
            # Fields have the options of their alias, which comes first.
            found.setdefault((is_own, repr(value)), f"{where}{value!r}")
    return list(found.values())


def _errors_of(
    read: Callable[[B2Storage], object],
    hint: str,
    id: str,
    kind: type[NotConfigured] | None = None,
) -> list[CheckMessage]:
    """Report what reading raises: of this *kind* only, if one is given, for the rest is for other checks."""
    found: dict[str, CheckMessage] = {}
    for storage in _storages():
        try:
            read(storage)
        except NotConfigured as error:
            if kind is None or isinstance(error, kind):
                found[str(error)] = Error(str(error), hint=hint, id=id)
    return list(found.values())
