"""Listing files: names, versions, and unfinished large files."""

from collections.abc import Iterator
from sqlite3 import Row

from b2fields.emulator import buckets, files
from b2fields.emulator.call import Call, Json
from b2fields.emulator.errors import bad_request

MAX_COUNT = 10_000
MAX_UNFINISHED = 100
# The last code point: of the names in a folder, only those that hold it themselves sort behind the folder
# followed by it. The walk meets them and passes them over.
LAST = "\U0010ffff"
END_OF_TIME = 2**62


def list_file_names(call: Call) -> Json:
    """List the newest version of each name that is not hidden."""
    count, found = _page(
        call, call.params.optional_text("startFileName") or "", END_OF_TIME, newest_only=True
    )
    following = found[count]["fileName"] if len(found) > count else None
    return {"files": found[:count], "nextFileName": following}


def list_file_versions(call: Call) -> Json:
    """List all versions, hide markers and unfinished large files included."""
    name, file_id = call.params.optional_text("startFileName") or "", call.params.optional_text("startFileId")
    before = END_OF_TIME
    if file_id:
        if not name:
            raise bad_request("startFileId needs startFileName")
        before = _uploaded(file_id)
    count, found = _page(call, name, before, newest_only=False)
    following = found[count] if len(found) > count else {"fileName": None, "fileId": None}
    return {"files": found[:count], "nextFileName": following["fileName"], "nextFileId": following["fileId"]}


def _uploaded(file_id: str) -> int:
    """Return the time that an id tells: so a list goes on where it was although that version was deleted."""
    digits = file_id.rpartition("_u")[2]
    if not (digits.isascii() and digits.isdecimal() and len(digits) == files.TIMESTAMP_DIGITS):
        raise bad_request(f"Invalid fileId {file_id}")
    return int(digits)


def _page(call: Call, start: str, before: int, newest_only: bool) -> tuple[int, list[Json]]:
    """Return how many entries the caller wants, and up to one more than that."""
    params = call.params
    bucket_id = params.text("bucketId")
    prefix, delimiter = params.optional_text("prefix") or "", params.optional_text("delimiter") or ""
    call.grant.require_name("listFiles", bucket_id, prefix)
    buckets.require(call.state, bucket_id)
    count = params.number("maxFileCount", 100, 1, MAX_COUNT)
    found: list[Json] = []
    for entry in _walk(call, bucket_id, start, before, prefix, delimiter, newest_only):
        found.append(entry)
        if len(found) > count:
            break
    return count, found


def _walk(
    call: Call, bucket_id: str, start: str, before: int, prefix: str, delimiter: str, newest_only: bool
) -> Iterator[Json]:
    if start < prefix:  # equal to the order of their UTF-8 bytes, which is SQLite's too
        start, before = prefix, END_OF_TIME
    folder = None
    while True:
        for row in _rows(call, bucket_id, start, before, newest_only):
            name: str = row["name"]
            if not name.startswith(prefix):
                return
            head, separator, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if not separator:
                yield files.to_json(call.state, call.grant, row)
            elif folder != prefix + head + separator:
                folder = prefix + head + separator
                yield _folder(call, bucket_id, folder)
                start, before = folder + LAST, END_OF_TIME
                break  # and look up what follows the folder, instead of reading all of it
        else:
            return


def _rows(call: Call, bucket_id: str, start: str, before: int, newest_only: bool) -> Iterator[Row]:
    cursor = call.state.database.rows(
        "SELECT * FROM versions WHERE bucket_id = ?1 AND name >= ?2 AND (name, -uploaded) >= (?2, -?3)"
        " ORDER BY bucket_id, name, uploaded DESC",
        bucket_id,
        start,
        before,
    )
    if not newest_only:
        yield from cursor
        return
    last = None
    for row in cursor:
        if row["action"] == files.START or row["name"] == last:
            continue
        last = row["name"]
        if row["action"] != files.HIDE:
            yield row


def _folder(call: Call, bucket_id: str, name: str) -> Json:
    return {
        "accountId": call.state.account_id,
        "action": "folder",
        "bucketId": bucket_id,
        "contentLength": 0,
        "size": 0,
        "contentMd5": None,
        "contentSha1": None,
        "contentType": None,
        "fileId": None,
        "fileInfo": {},
        "fileName": name,
        "replicationStatus": None,
        "serverSideEncryption": None,
        "uploadTimestamp": 0,
    }


def list_unfinished_large_files(call: Call) -> Json:
    params = call.params
    bucket_id = params.text("bucketId")
    prefix = params.optional_text("namePrefix") or ""
    call.grant.require_name("listFiles", bucket_id, prefix)
    buckets.require(call.state, bucket_id)
    count = params.number("maxFileCount", 100, 1, MAX_UNFINISHED)
    start = params.optional_text("startFileId")
    # "In the order they were started, with the oldest one first" (b2_list_unfinished_large_files); the row
    # number tells apart those of one millisecond.
    rows = call.state.database.rows(
        "SELECT * FROM versions WHERE bucket_id = ? AND action = 'start' AND substr(name, 1, length(?)) = ?"
        " AND (uploaded, rowid) >= (?, coalesce((SELECT rowid FROM versions WHERE file_id = ?), 0))"
        " ORDER BY uploaded, rowid LIMIT ?",
        bucket_id,
        prefix,
        prefix,
        _uploaded(start) if start else 0,
        start,
        count + 1,
    ).fetchall()
    following = rows[count]["file_id"] if len(rows) > count else None
    return {
        "files": [files.to_json(call.state, call.grant, row) for row in rows[:count]],
        "nextFileId": following,
    }
