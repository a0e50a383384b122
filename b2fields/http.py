"""HTTP without Django's ORM: ranges, validators and the headers of a file. Pure functions."""

import hashlib
import posixpath
import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from b2fields import names

# By lower-cased extension: never from the client, from B2 or from the host's MIME database, which
# differ from machine to machine. What a browser would run has no place here and goes out as
# application/octet-stream: HTML, XML, scripts, styles, wasm, Flash, MHTML, messages.
_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "svg": "image/svg+xml",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "heic": "image/heic",
    "ico": "image/vnd.microsoft.icon",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "avi": "video/x-msvideo",
    "mkv": "video/x-matroska",
    "txt": "text/plain",
    "csv": "text/csv",
    "md": "text/markdown",
    "rtf": "application/rtf",
    "json": "application/json",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "gz": "application/gzip",
    "tgz": "application/gzip",
    "svgz": "application/gzip",
    "bz2": "application/x-bzip2",
    "xz": "application/x-xz",
    "7z": "application/x-7z-compressed",
    "tar": "application/x-tar",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "epub": "application/epub+zip",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
    "dcm": "application/dicom",
}

# B2 stores no larger file: 10 TB (B2 docs, Files).
MAX_FILE_SIZE = 10**13

_INLINE = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "video/mp4",
        "video/webm",
        "text/plain",
    }
)

CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'; "
    "frame-ancestors 'self'; sandbox"
)

_CACHE_CONTROL = {
    "login": "private, no-cache",
    "staff": "private, no-store",
    "object": "private, no-cache",
}

PDF, SVG = "application/pdf", "image/svg+xml"
# What a project may show inline too: never what a browser would run, which has no type in the table.
MAY_BE_INLINE = frozenset(_TYPES.values()) - {PDF, SVG}


class Serving(NamedTuple):
    """What of the headers of files a project may choose; serving.py knows the limits."""

    public_cache_control: str = "public, max-age=3600"
    private_cache_control: str | None = None  # None: by level
    public_corp: str = "cross-origin"
    inline_types: frozenset[str] = frozenset()
    inline_pdf: bool = False
    content_security_policy: str = CSP
    vary: tuple[str, ...] = ()


_USUAL = Serving()

# Of refusals, redirects and errors.
REFUSAL_HEADERS = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class UnsatisfiableRange(Exception):
    """No byte of the file is meant by the Range header."""


class ByteRange(NamedTuple):
    """Offsets of the first and last byte, both inclusive."""

    first: int
    last: int


class Extent(NamedTuple):
    """The bytes that an answer carries, both ends inclusive, and the size of the whole file."""

    first: int
    last: int
    total: int


# ASCII digits only. The white space is that of RFC 9110, 5.5 and its erratum 7306.
_RANGE = re.compile(r"[ \t]*bytes=[ \t]*(?!-[ \t]*$)([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE | re.ASCII)


def parse_range(header: str, size: int) -> ByteRange | None:
    """Return the bytes a Range header asks for, or None to send the whole file.

    Both ends are inclusive byte offsets, as in b2sdk's ``range_``.
    Malformed headers and several ranges count as no header at all (RFC 9110, 14.2).
    Raises UnsatisfiableRange when no byte of a *size*-byte file is meant.
    """
    match = _RANGE.fullmatch(header) if len(header) <= 256 else None
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        if int(last) == 0:
            raise UnsatisfiableRange
        if size == 0:
            return None
        return ByteRange(max(0, size - int(last)), size - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRange
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)


def wants_download(query: str) -> bool:
    """Tell whether a query string ends its say on "download" with 1.

    By hand, because Django answers too many parameters with an error.
    """
    return [part for part in query.split("&") if part.startswith("download=")][-1:] == ["download=1"]


def is_suffix_range(header: str) -> bool:
    """Tell whether a Range header asks for the last bytes, which says nothing before the size is known."""
    match = _RANGE.fullmatch(header) if len(header) <= 256 else None
    return match is not None and match.group(1) == ""


def extent_of(headers: Mapping[str, str]) -> Extent:
    """Read what an answer of B2 carries. Raises ValueError or KeyError if it does not say."""
    content_range = headers.get("content-range")
    if content_range is None:  # B2 sent the whole file.
        total = int(headers["content-length"])
        if total < 0:
            raise ValueError(total)
        return Extent(0, total - 1, total)
    match = re.fullmatch(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", content_range)
    first, last, total = map(int, match.groups()) if match else (0, 0, 0)
    if not first <= last < total:
        raise ValueError(content_range)
    return Extent(first, last, total)


def content_type_of(name: str) -> str:
    """Return the media type to store and to send for a file of this name."""
    extension = posixpath.splitext(name)[1].lower().removeprefix(".")
    return _TYPES.get(extension, "application/octet-stream")


def image_type_of(head: bytes) -> str | None:
    """Return the media type of an image, by its first 12 bytes, if browsers show its format."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return "image/avif" if head[4:12] == b"ftypavif" else None


def etag_of(file_id: str) -> str:
    """Return a strong validator: B2 gives every upload an id of its own and never changes its bytes."""
    return f'"{hashlib.sha256(file_id.encode()).hexdigest()[:32]}"'


def _ascii(text: str) -> str:
    plain = re.sub(r'["\\%]', "_", text)
    # Full-width and ligature forms can turn into what means something in a path.
    decomposed = (
        c if c.isascii() else re.sub(r'["\\%/:]', "_", unicodedata.normalize("NFKD", c)) for c in plain
    )
    return "".join(decomposed).encode("ascii", "ignore").decode()


_TAG = re.compile(r'(?:W/)?"[^"]*"')


def names_tag(value: str, etag: str, *, weakly: bool) -> bool:
    """Tell whether If-Match or If-None-Match is "*", or has this tag (RFC 9110, 13.1.1 and 13.1.2)."""
    if value.strip(" \t") == "*":
        return True
    tags = _TAG.findall(value)
    return etag in tags or (weakly and f"W/{etag}" in tags)


def content_disposition(name: str, *, attachment: bool) -> str:
    """Return a header value that every client reads alike (RFC 6266, appendix D)."""
    kind = "attachment" if attachment else "inline"
    filename = names.for_download(name)
    root, extension = posixpath.splitext(filename)
    ascii_name = (_ascii(root) if _ascii(root).strip(" .") else "download") + _ascii(extension)
    value = f'{kind}; filename="{ascii_name}"'
    if ascii_name != filename:
        value += f"; filename*=UTF-8''{quote(filename, safe='')}"
    return value


def may_be_shared(cache_control: str) -> bool:
    """Tell whether a cache that serves many visitors may keep a response with this Cache-Control."""
    return {"private", "no-store"}.isdisjoint(re.split(r"[\s,]+", cache_control.lower()))


def directives(policy: str) -> dict[str, str]:
    """Return the directives of a Content-Security-Policy by their names; of two the first counts."""
    found: dict[str, str] = {}
    for directive in filter(None, map(str.strip, policy.split(";"))):
        found.setdefault(directive.split()[0].lower(), directive)
    return found


def _without_sandbox(policy: str) -> str:
    return "; ".join(text for name, text in directives(policy).items() if name != "sandbox")


def file_headers(
    level: str, name: str, serving: Serving = _USUAL, *, download: bool, stored_type: str | None = None
) -> dict[str, str]:
    """Return the headers of a file response that follow from its level, its name and what is configured.

    *stored_type* is what an image field found in the file; it counts if it is an image that is shown.
    """
    is_image = stored_type in _INLINE and str(stored_type).startswith("image/")
    content_type = str(stored_type) if is_image else content_type_of(name)
    is_shown_pdf = content_type == PDF and serving.inline_pdf and not download
    attachment = download or not (is_shown_pdf or content_type in _INLINE | serving.inline_types)
    policy = serving.content_security_policy
    headers = {
        "Content-Type": f"{content_type}; charset=utf-8" if content_type == "text/plain" else content_type,
        "Content-Disposition": content_disposition(name, attachment=attachment),
        # The viewers of browsers do not work in a sandbox.
        "Content-Security-Policy": _without_sandbox(policy) if is_shown_pdf else policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
        "Accept-Ranges": "bytes",
    }
    if level == "public":
        headers["Cache-Control"] = serving.public_cache_control
        headers["Cross-Origin-Resource-Policy"] = serving.public_corp
    else:
        headers["Cache-Control"] = serving.private_cache_control or _CACHE_CONTROL[level]
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Vary"] = ", ".join(["Cookie", *serving.vary])
        headers["X-Robots-Tag"] = "noindex"
    return headers
