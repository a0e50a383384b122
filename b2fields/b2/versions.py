"""File versions: listed, hidden and removed, each by one request."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from b2fields.b2.errors import not_found

if TYPE_CHECKING:
    from b2fields.b2.account import Session

PAGE = 1000  # B2 bills listings by the thousand entries (B2 docs, b2_list_file_names).
_UNFINISHED_PAGE = 100  # its most (B2 docs, b2_list_unfinished_large_files)

# The name and the file id that a listing of versions goes on from; (None, None) is begin and end.
Start = tuple[str | None, str | None]


class Version(NamedTuple):
    """What a listing tells of one file version. *size* is in bytes, *uploaded* in milliseconds since 1970.

    *action* is "upload", "hide" (a marker, whose name has no file now), or "start" (an unfinished large
    file, which is none yet).
    """

    name: str
    file_id: str
    action: str
    size: int
    uploaded: int


def list_page(session: Session, bucket_id: str, prefix: str, start: Start) -> tuple[list[Version], Start]:
    """Return up to 1,000 versions, by name and the newest first, and where to go on."""
    page = session.list_file_versions(bucket_id, *start, PAGE, prefix)
    return [_version(found) for found in page["files"]], (page["nextFileName"], page["nextFileId"])


def list_unfinished(
    session: Session, bucket_id: str, prefix: str, start: str | None
) -> tuple[list[Version], str | None]:
    """Return up to 100 unfinished large files, and the id to go on from."""
    page = session.list_unfinished_large_files(bucket_id, start, _UNFINISHED_PAGE, prefix)
    return [_version({**found, "action": "start"}) for found in page["files"]], page["nextFileId"]


def _version(found: dict[str, Any]) -> Version:
    size = found.get("contentLength") or found.get("size") or 0
    return Version(
        found["fileName"],
        found["fileId"],
        found.get("action", "upload"),
        int(size),
        int(found.get("uploadTimestamp") or 0),
    )


def remove(session: Session, name: str, file_id: str) -> None:
    """Delete one version, or a hide marker; one that is gone is no error."""
    from b2sdk.v3.exception import FileNotPresent

    with suppress(FileNotPresent):  # another process was faster
        session.delete_file_version(file_id, name)


def cancel(session: Session, file_id: str) -> None:
    """Cancel an unfinished large file; one that is finished or gone is no error."""
    from b2sdk.v3.exception import BadRequest, FileNotPresent

    with suppress(FileNotPresent, BadRequest, not_found()):
        session.cancel_large_file(file_id)


def hide(session: Session, bucket_id: str, name: str) -> None:
    """Hide the newest version of a name; a name that has none, or is hidden already, is no error."""
    from b2sdk.v3.exception import FileAlreadyHidden, FileNotPresent

    with suppress(FileAlreadyHidden, FileNotPresent):
        session.hide_file(bucket_id, name)
