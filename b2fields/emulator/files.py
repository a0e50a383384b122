"""File versions: how they are stored, found and shown, and the calls that concern one of them."""

import json
import secrets
import time
from collections.abc import Iterable
from sqlite3 import Row
from typing import Any

from b2fields.emulator import auth, buckets, encryption, locks, rules
from b2fields.emulator.auth import Grant
from b2fields.emulator.bodies import Piece
from b2fields.emulator.call import Call, Json
from b2fields.emulator.errors import B2Error, bad_request, not_found, unauthorized
from b2fields.emulator.locks import NO_LOCK, Lock
from b2fields.emulator.state import State

UPLOAD, HIDE, START = "upload", "hide", "start"
TIMESTAMP_DIGITS = 14  # of the milliseconds at the end of a file id
HIDE_TYPE = "application/x-bz-hide-marker"


def add(
    state: State,
    bucket_id: str,
    name: str,
    action: str,
    content_type: str,
    info: dict[str, str],
    *,
    size: int = 0,
    sha1: str | None = None,
    md5: str | None = None,
    encryption: Json | None = None,
    lock: Lock = NO_LOCK,
    pieces: Iterable[Piece] = (),
) -> Row:
    """Commit a new newest version of *name* and return it: the caller may acknowledge it.

    A version without a retention of its own gets the bucket's default.
    """
    database = state.database
    with database.transaction():
        # Asked again: the bucket may have been deleted while the bytes came in.
        bucket = buckets.require(state, bucket_id)
        newest = database.row(
            "SELECT max(uploaded) AS uploaded FROM versions WHERE bucket_id = ? AND name = ?", bucket_id, name
        )
        # Newest first is the order of versions, so two of one name never share a millisecond, nor does a
        # clock that was set back put a new one behind.
        uploaded = max(state.now(), ((newest and newest["uploaded"]) or 0) + 1)
        if action != HIDE:
            lock = locks.with_default(lock, bucket, uploaded)
        file_id = new_id(bucket_id, uploaded, is_large=action == START)
        database.run(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            file_id,
            bucket_id,
            name,
            uploaded,
            action,
            size,
            content_type,
            sha1,
            md5,
            json.dumps(info),
            json.dumps(encryption) if encryption else None,
            *lock,
        )
        state.add_pieces(file_id, pieces)
    return require(state, file_id)


def new_id(bucket_id: str, uploaded: int, is_large: bool) -> str:
    """Return a file id of the form that B2's have, with the upload timestamp at its end."""
    moment = time.strftime("_d%Y%m%d_m%H%M%S", time.gmtime(uploaded / 1000))
    unique = ("2" if is_large else "1") + secrets.token_hex(8)
    stamp = f"{uploaded:0{TIMESTAMP_DIGITS}}"
    return f"4_z{bucket_id}_f{unique}{moment}_c000_v0001000_t0000_u{stamp}"


def find(state: State, file_id: str) -> Row | None:
    return state.database.row("SELECT * FROM versions WHERE file_id = ?", file_id)


def require(state: State, file_id: str) -> Row:
    row = find(state, file_id)
    if row is None:
        raise not_found(f"File {file_id} does not exist")
    return row


def newest(state: State, bucket_id: str, name: str) -> Row | None:
    """Return the version that a download by name would meet, which may be a hide marker."""
    return state.database.row(
        "SELECT * FROM versions WHERE bucket_id = ? AND name = ? AND action != 'start'"
        " ORDER BY uploaded DESC LIMIT 1",
        bucket_id,
        name,
    )


def info(row: Row) -> dict[str, str]:
    found: dict[str, str] = json.loads(row["info"])
    return found


def to_json(state: State, grant: Grant, row: Row) -> Json:
    """Return the version as all answers show it."""
    shown = {
        "accountId": state.account_id,
        "action": row["action"],
        "bucketId": row["bucket_id"],
        # Listings of v1 say size, all else says contentLength, and clients mix the versions.
        "contentLength": row["size"],
        "size": row["size"],
        "contentMd5": row["md5"],
        "contentSha1": row["sha1"],
        "contentType": row["content_type"],
        "fileId": row["file_id"],
        "fileInfo": json.loads(row["info"]),
        "fileName": row["name"],
        "replicationStatus": None,
        "serverSideEncryption": encryption.shown(encryption.of(row)),
        "uploadTimestamp": row["uploaded"],
    }
    # "Omitted for hide and folder" (b2_list_file_versions).
    return shown if row["action"] == HIDE else shown | locks.to_json(locks.of(row), grant)


def encryption_for(state: State, bucket_id: str, setting: Json | None) -> Json:
    """Return what a new file keeps: the encryption that the request asks for, else the bucket's default."""
    bucket = buckets.require(state, bucket_id)
    asked = encryption.clean(setting or {})
    default: Json = json.loads(bucket["settings"])["encryption"]
    return asked if asked["mode"] else default


def clean_info(bucket: Row, name: str, given: dict[str, Any], kept_encryption: Json) -> dict[str, str]:
    """Return a new file's info as it is kept, or refuse it; encryption and object lock leave less room.

    It is assumed that the encryption which B2 gave to all buckets took no room from files that had it.
    """
    has_lock: bool = locks.settings_of(bucket)["isFileLockEnabled"]
    is_small = has_lock or not encryption.is_automatic(kept_encryption)
    return rules.clean_info(name, given, encrypted=is_small)


def get_file_info(call: Call) -> Json:
    row = require(call.state, call.params.text("fileId"))
    call.grant.require_name("readFiles", row["bucket_id"], row["name"])
    return to_json(call.state, call.grant, row)


def hide_file(call: Call) -> Json:
    bucket_id, name = call.params.text("bucketId"), call.params.text("fileName")
    call.grant.require_name("writeFiles", bucket_id, name)
    buckets.require(call.state, bucket_id)
    row = newest(call.state, bucket_id, name)
    if row is None:
        raise bad_request(f"File not present: {name}", "no_such_file")
    if row["action"] == HIDE:
        raise bad_request(f"File already hidden: {name}", "already_hidden")
    return to_json(call.state, call.grant, add(call.state, bucket_id, name, HIDE, HIDE_TYPE, {}))


def delete_file_version(call: Call) -> Json:
    file_id, name = call.params.text("fileId"), call.params.text("fileName")
    row = find(call.state, file_id)
    if row is not None:
        call.grant.require_name("deleteFiles", row["bucket_id"], name)
    if row is None or row["name"] != name:
        raise not_present(name, file_id)
    bypass = call.params.flag("bypassGovernance")
    if bypass and not call.grant.may("bypassGovernance"):
        raise unauthorized("The application key may not do this: needs bypassGovernance")
    if row["action"] != START:
        # For an unfinished large file this is b2_cancel_large_file, which its lock does not stop (see there).
        locks.check_deletion(locks.of(row), bypass, call.state.now())
    remove(call.state, file_id)
    return {"fileId": file_id, "fileName": name}


def not_present(name: str, file_id: str) -> B2Error:
    return bad_request(f"File not present: {name} {file_id}", "file_not_present")


def remove(state: State, file_id: str) -> None:
    """Delete a version, its parts and the bodies that nothing else refers to."""
    database = state.database
    with database.transaction():
        numbers = database.rows("SELECT number FROM parts WHERE file_id = ?", file_id).fetchall()
        owners = [file_id, *(part_owner(file_id, row["number"]) for row in numbers)]
        unused = [body for owner in owners for body in state.drop_pieces(owner)]
        database.run("DELETE FROM versions WHERE file_id = ?", file_id)
    state.bodies.remove(unused)


def part_owner(file_id: str, number: int) -> str:
    return f"{file_id}/{number}"


def get_download_authorization(call: Call) -> Json:
    bucket_id, prefix = call.params.text("bucketId"), call.params.text("fileNamePrefix")
    call.grant.require_name("shareFiles", bucket_id, prefix)
    buckets.require(call.state, bucket_id)
    seconds = call.params.number("validDurationInSeconds", None, 1, rules.MAX_SHARE_SECONDS)
    overrides = {}
    for parameter, header in rules.OVERRIDES.items():
        if (value := call.params.optional_text(parameter)) is not None:
            rules.check_standard_header(header, value)
            overrides[parameter] = value
    token = auth.issue(call.state, auth.DOWNLOAD, call.grant, seconds, bucket_id, prefix, overrides)
    return {"authorizationToken": token, "bucketId": bucket_id, "fileNamePrefix": prefix}
