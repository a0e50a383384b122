"""File names: what B2 takes, what is safe to store, and what a URL may ask for. Pure functions."""

import posixpath
import re
import unicodedata
from contextlib import suppress

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.utils import validate_file_name

# B2 allows 1,024 bytes, its SDK 1,000; a segment between slashes has at most 250 (B2 docs, Files).
MAX_BYTES = 1000
MAX_SEGMENT_BYTES = 250
# Letters and digits of the random folder in which an upload stands alone: 130 bits.
UNIQUE_LENGTH = 22
_IN_UNIQUE_FOLDER = re.compile(rf"(?:.*/)?[A-Za-z0-9]{{{UNIQUE_LENGTH}}}/[^/]+", re.DOTALL)

# Marks that reorder or hide what a person reads, such as the one that shows "exe.pdf" for "fdp.exe".
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_REORDERING = re.compile(f"[{_BIDI}\u2028\u2029\ufeff]")
# Control characters, surrogates, and the mark that stands where invalid UTF-8 stood.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


def exact(name: str) -> str:
    """Return *name* as it is looked up in B2, with "\\" and needless dots and slashes resolved.

    Raises SuspiciousFileOperation for names that no file can have, or that would lead elsewhere:
    the SDK's HTTP layer resolves ".." in the URL, across buckets.
    """
    path = str(name).replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/"):
        raise SuspiciousFileOperation(f"Detected path traversal attempt in {name!r}")
    if _FORBIDDEN.search(path):
        raise SuspiciousFileOperation(f"The file name {name!r} holds control characters.")
    path = posixpath.normpath(path) if path else ""
    return "" if path == "." else path


def storable(name: str) -> str:
    """Return the name under which a new file is stored: as ``exact``, in NFC, without bidi marks.

    Refuses what Django's storages refuse, in their words.
    """
    kept = _kept(name)
    folder, segment = posixpath.split(kept)
    if ".." in folder.split("/"):
        raise SuspiciousFileOperation(f"Detected path traversal attempt in '{folder}'")
    validate_file_name(segment)
    return exact(kept)


def _kept(name: str) -> str:
    return _REORDERING.sub("", unicodedata.normalize("NFC", str(name).replace("\\", "/")))


def valid_segment(segment: str) -> str:
    """Return an uploaded file's own name, kept as it is but for what could mislead or break."""
    kept = _FORBIDDEN.sub("", _REORDERING.sub("", unicodedata.normalize("NFC", segment)))
    kept = kept.replace("/", "").replace("\\", "").strip()
    if kept in ("", ".", ".."):
        raise SuspiciousFileOperation(f"Could not derive file name from {segment!r}")
    return fit_segment(kept)


def fit_segment(
    segment: str, most_chars: int = MAX_SEGMENT_BYTES, most_bytes: int = MAX_SEGMENT_BYTES
) -> str:
    """Cut a segment before its extension, so that it fits both limits.

    Raises SuspiciousFileOperation when nothing of it would be left.
    """
    root, extension = posixpath.splitext(segment)
    if len(extension) > 20:
        root, extension = segment, ""
    root = root[: max(0, most_chars - len(extension))]
    room = max(0, min(most_bytes, MAX_SEGMENT_BYTES) - len(extension.encode()))
    root = root.encode()[:room].decode(errors="ignore").rstrip() if len(root.encode()) > room else root
    if not root:
        raise SuspiciousFileOperation(
            f"No room is left for the file name {segment!r}. Give the field a larger max_length, or a "
            "shorter upload_to or location."
        )
    return root + extension


def fit(name: str, most_chars: int | None, most_bytes: int) -> str:
    """Cut a name's last segment so that the whole fits."""
    folder, segment = posixpath.split(name)
    taken = f"{folder}/" if folder else ""
    chars = MAX_BYTES if most_chars is None else most_chars
    return taken + fit_segment(segment, chars - len(taken), most_bytes - len(taken.encode()))


def fixed_folder(upload_to: object) -> str:
    """Return the folder that all names of a field are in, as far as upload_to tells; "" or with a slash.

    It is as names are stored. Where nothing can be, such as in "../a", it is the folder of no possible name.
    """
    if callable(upload_to):
        return ""
    fixed, percent, _ = _kept(str(upload_to)).partition("%")
    folder = posixpath.dirname(fixed) if percent else fixed
    with suppress(SuspiciousFileOperation):
        folder = exact(folder)
    return f"{folder}/" if folder else ""


def check_limits(name: str) -> None:
    """Raise SuspiciousFileOperation if B2 would refuse to store *name* for its length."""
    if len(name.encode()) > MAX_BYTES or any(
        len(segment.encode()) > MAX_SEGMENT_BYTES for segment in name.split("/")
    ):
        raise SuspiciousFileOperation(
            f"The file name {name!r} is too long for B2: at most {MAX_BYTES} bytes, and "
            f"{MAX_SEGMENT_BYTES} between slashes."
        )


def is_well_formed(name: str) -> bool:
    """Tell whether a URL may name this file at all, before anything is looked up."""
    if not name or len(name.encode(errors="replace")) > 1024:
        return False
    try:
        return exact(name) == name
    except SuspiciousFileOperation:
        return False


def has_unique_folder(name: str) -> bool:
    """Tell whether a name looks as that of an upload with a random folder of its own."""
    return _IN_UNIQUE_FOLDER.fullmatch(name) is not None


def for_download(name: str) -> str:
    """Return the name a browser should save a file under, at most 200 bytes, extension kept."""
    segment = _FORBIDDEN.sub("", _REORDERING.sub("", name.rpartition("/")[2])).replace("\\", "").strip()
    if segment in ("", ".", ".."):
        return "download"
    return fit_segment(segment, most_bytes=200)
