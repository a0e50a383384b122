"""Settings that are dicts: what they may hold, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from b2fields import encryption
from b2fields.exceptions import NotConfigured
from b2fields.shared import Place


class NewBucket(NamedTuple):
    """The settings of a bucket to create, as the SDK's ``create_bucket`` names them."""

    bucket_type: str = "allPrivate"
    bucket_info: dict[str, str] | None = None
    cors_rules: list[Any] | None = None
    lifecycle_rules: list[Any] | None = None
    default_server_side_encryption: str | Mapping[str, str] | None = None
    is_file_lock_enabled: bool | None = None


_TYPES: dict[str, tuple[type, ...]] = {
    "bucket_info": (dict,),
    "cors_rules": (list, tuple),
    "lifecycle_rules": (list, tuple),
    "default_server_side_encryption": (str, dict),
    "is_file_lock_enabled": (bool,),
}


def new_bucket(declared: object) -> NewBucket:
    """Read B2FIELDS_CREATE_BUCKET. Raises NotConfigured."""
    settings = _checked("B2FIELDS_CREATE_BUCKET", declared, NewBucket._fields)
    if settings.get("bucket_type", "allPrivate") not in ("allPrivate", "allPublic"):
        raise NotConfigured(
            f"B2FIELDS_CREATE_BUCKET has the bucket_type {settings['bucket_type']!r}. "
            'B2 creates "allPrivate" and "allPublic".'
        )
    for key, types in _TYPES.items():
        if settings.get(key) is not None and not isinstance(settings[key], types):
            raise NotConfigured(f"The {key} of B2FIELDS_CREATE_BUCKET must be a {types[0].__name__}.")
    default = encryption.parse(settings.get("default_server_side_encryption"))
    if default is not None and default.mode != encryption.SSE_B2:
        raise NotConfigured(
            'The default_server_side_encryption of B2FIELDS_CREATE_BUCKET can be "SSE-B2" only: the key of '
            "SSE-C comes with each request, by B2FIELDS_ENCRYPTION."
        )
    return NewBucket(**settings)


class Cdn(NamedTuple):
    """A host that serves a public bucket."""

    base_url: str
    include_bucket_url_segments: bool

    def url(self, bucket: str) -> str:
        """Return what stands before the names of the bucket's files."""
        return f"{self.base_url}file/{quote(bucket)}/" if self.include_bucket_url_segments else self.base_url


def cdn(declared: object) -> Cdn | None:
    """Read B2FIELDS_CDN. Raises NotConfigured."""
    if declared is None:
        return None
    settings = _checked("B2FIELDS_CDN", declared, Cdn._fields)
    base_url = settings.get("base_url")
    try:
        url = urlsplit(base_url if isinstance(base_url, str) else "")
    except ValueError:
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.netloc or url.query or url.fragment:
        raise NotConfigured(
            f"B2FIELDS_CDN has the base_url {base_url!r}. Give the URL before the names of files, such as "
            '"https://cdn.example.com/".'
        )
    with_segments = settings.get("include_bucket_url_segments", False)
    if not isinstance(with_segments, bool):
        raise NotConfigured("include_bucket_url_segments of B2FIELDS_CDN must be True or False.")
    return Cdn(f"{str(base_url).rstrip('/')}/", with_segments)


def account_place(declared: object) -> Place | None:
    """Read B2FIELDS_ACCOUNT_INFO: where tokens are shared, None if nowhere. Raises NotConfigured."""
    settings = _checked("B2FIELDS_ACCOUNT_INFO", declared, ("type", "alias", "path"))
    kind = settings.get("type", "cache")
    match kind:
        case "cache":
            return Place(alias=str(settings.get("alias", "default")))
        case "memory":
            return None
        case "sqlite":
            path = settings.get("path")
            if not path or not isinstance(path, (str, os.PathLike)):
                raise NotConfigured(
                    'B2FIELDS_ACCOUNT_INFO of type "sqlite" needs a path, that of a file of its own which '
                    'nobody else may read: {"type": "sqlite", "path": BASE_DIR / "b2-tokens.sqlite3"}.'
                )
            return Place(path=os.fspath(path))
    raise NotConfigured(f'B2FIELDS_ACCOUNT_INFO has type {kind!r}. Use "cache", "sqlite" or "memory".')


def _checked(setting: str, declared: object, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(declared, Mapping):
        raise NotConfigured(f"{setting} must be a dict with the keys {', '.join(keys)}.")
    if unknown := sorted(str(key) for key in declared.keys() - set(keys)):
        raise NotConfigured(f"{setting} takes no {', '.join(unknown)}. Its keys are {', '.join(keys)}.")
    return dict(declared)
