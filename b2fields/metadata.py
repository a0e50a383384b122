"""What is known of a stored file, and its place in Django's cache."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import unquote_plus

from django.conf import settings
from django.core.cache import caches

from b2fields.exceptions import InvalidMetadata

_INFO_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.`~!#$%^&*'|+")
_INFO_BYTES = 7000  # B2 docs, b2_upload_file

_END_OF_TIME = 253_402_300_800_000  # the year 10000, which no datetime reaches

logger = logging.getLogger("b2fields")


class FileMetadata(NamedTuple):
    """What B2 told of one file version. *size* is in bytes, *uploaded* in milliseconds since 1970.

    *sha1* is None where B2 knows none: for large files whose uploader gave no ``large_file_sha1``.
    """

    file_id: str
    size: int
    sha1: str | None
    content_type: str
    uploaded: int
    info: dict[str, str]

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], size: int) -> Self:
        """Read the headers of a download or HEAD (B2 docs, b2_download_file_by_name)."""
        prefix = "x-bz-info-"
        info = {
            name.lower().removeprefix(prefix): unquote_plus(value)
            for name, value in headers.items()
            if name.lower().startswith(prefix)
        }
        return cls(
            file_id=headers["x-bz-file-id"],
            size=size,
            sha1=_known_sha1(headers.get("x-bz-content-sha1"), info),
            content_type=headers["content-type"],
            uploaded=_milliseconds(headers["x-bz-upload-timestamp"]),
            info=info,
        )

    @classmethod
    def from_version(cls, version: Mapping[str, Any]) -> Self:
        """Read a file version as uploads and listings answer it (B2 docs, b2_upload_file)."""
        info = dict(version.get("fileInfo") or {})
        return cls(
            file_id=version["fileId"],
            size=int(version["contentLength"] if "contentLength" in version else version["size"]),
            sha1=_known_sha1(version.get("contentSha1"), info),
            content_type=version.get("contentType") or "application/octet-stream",
            uploaded=_milliseconds(version["uploadTimestamp"]),
            info=info,
        )

    @property
    def modified(self) -> int:
        """Milliseconds since 1970 when the content was last changed, by the uploader's word or B2's clock."""
        stated = self.info.get("src_last_modified_millis", "")
        try:
            return _milliseconds(stated)
        except ValueError:
            return self.uploaded


def _milliseconds(stated: str | int) -> int:
    milliseconds = int(stated)
    if not 0 <= milliseconds < _END_OF_TIME:
        raise ValueError(stated)
    return milliseconds


def _known_sha1(stated: str | None, info: Mapping[str, str]) -> str | None:
    # "none" stands for large files; "unverified:" for uploads whose sender asked B2 not to check.
    sha1 = (stated or "none").removeprefix("unverified:")
    return info.get("large_file_sha1") if sha1 == "none" else sha1


def checked_info(
    metadata: Mapping[str, str], full_name: str, most_bytes: int = _INFO_BYTES
) -> dict[str, str]:
    """Return *metadata* as B2 file info. Raises InvalidMetadata for what B2 would refuse to store."""
    info = {str(key).lower(): str(value) for key, value in metadata.items()}
    for key in info:
        if not 0 < len(key) <= 50 or set(key) - _INFO_KEY_CHARACTERS:
            raise InvalidMetadata(
                f"{key!r} is no key of B2 file info. It takes up to 50 letters, digits and "
                "-_.`~!#$%^&*'|+ (B2 docs, Files: file information)."
            )
    size = len(full_name.encode()) + sum(len(k) + len(v.encode()) for k, v in info.items())
    if size > most_bytes:
        raise InvalidMetadata(
            f"The name and metadata of {full_name!r} have {size} bytes; B2 takes at most {most_bytes}."
        )
    return info


def cache_key(kind: str, *parts: str) -> str:
    """Return a key that tells neither account nor file name, and that memcached accepts."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"b2fields:{kind}:{digest[:40]}"


def recall(*space: str) -> FileMetadata | None:
    """Return what is remembered of a file; *space* is account, bucket and name."""
    if not settings.B2FIELDS_METADATA_TIMEOUT:
        return None
    value = quietly("get", cache_key("file", *space))
    match value:
        case (str(), int(size), str() | None, str(), int(uploaded), dict()) if size >= 0:
            return FileMetadata(*value) if 0 <= uploaded < _END_OF_TIME else None
    return None  # Nothing, or what another version of this package wrote.


def remember(metadata: FileMetadata, *space: str) -> None:
    timeout: int = settings.B2FIELDS_METADATA_TIMEOUT
    if timeout:
        quietly("set", cache_key("file", *space), tuple(metadata), timeout)


def forget(*space: str) -> None:
    quietly("delete", cache_key("file", *space))


def quietly(method: str, *arguments: Any, alias: str | None = None) -> Any:
    """Use a cache, that of B2FIELDS_ACCOUNT_INFO if none is named; one that is down makes us only slower."""
    options: dict[str, str] = settings.B2FIELDS_ACCOUNT_INFO
    try:
        return getattr(caches[alias or options.get("alias", "default")], method)(*arguments)
    except Exception as error:  # noqa: BLE001 - each cache backend raises what its client library does
        # Without its traceback, whose frames hold what was to be kept.
        kind = type(error).__name__
        logger.warning("Django's cache does not answer (%s); b2fields goes on without it.", kind)
        return None
