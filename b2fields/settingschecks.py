"""System checks of the values of settings, and of the same as options of storages. None of them asks B2."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation

from b2fields import names, references
from b2fields.exceptions import NotConfigured, PolicyConflict
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
    return _errors_of(
        lambda storage: storage.delivery,
        hint='Use "proxy", "redirect" or "accel".',
        id="b2fields.E030",
    )


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
    for alias in settings.STORAGES:
        with suppress(ImproperlyConfigured):
            if storage := references.find_alias(alias):
                yield storage
    for field in references.b2_fields():
        with suppress(ImproperlyConfigured):
            yield field.b2_storage


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
