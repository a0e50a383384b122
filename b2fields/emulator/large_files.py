"""Large files: parts that are sent one by one and become a file when finished."""

from sqlite3 import Row

from b2fields.emulator import buckets, encryption, files, locks, rules
from b2fields.emulator.bodies import Piece
from b2fields.emulator.call import Call, Json
from b2fields.emulator.errors import bad_request
from b2fields.emulator.state import State

MIN_PARTS = 2


def unfinished(state: State, file_id: str) -> Row:
    """Return the large file that is still open for parts, or raise B2's 400."""
    row = files.find(state, file_id)
    if row is None or row["action"] != files.START:
        raise bad_request(f"No active upload for: {file_id}")
    return row


def start_large_file(call: Call) -> Json:
    params = call.params
    bucket_id, name = params.text("bucketId"), params.text("fileName")
    call.grant.require_name("writeFiles", bucket_id, name)
    rules.check_file_name(name)
    bucket = buckets.require(call.state, bucket_id)
    lock = locks.in_json(params, call.state.now())
    locks.check_new(lock, call.grant, bucket)
    kept_encryption = files.encryption_for(call.state, bucket_id, params.mapping("serverSideEncryption"))
    row = files.add(
        call.state,
        bucket_id,
        name,
        files.START,
        rules.resolve_content_type(params.text("contentType"), name),
        files.clean_info(bucket, name, params.mapping("fileInfo") or {}, kept_encryption),
        sha1="none",
        encryption=kept_encryption,
        lock=lock,
    )
    return files.to_json(call.state, call.grant, row)


def add_part(state: State, row: Row, number: int, pieces: list[Piece], sha1: str, md5: str | None) -> Json:
    """Commit a part of the large file *row*, in place of the one of the same number if there is one."""
    file_id = row["file_id"]
    size = sum(piece.length for piece in pieces)
    uploaded = state.now()
    unused: list[str] = [piece.body for piece in pieces]
    try:
        with state.database.transaction():
            # Asked again: the file may have been cancelled while the bytes came in.
            unfinished(state, file_id)
            owner = files.part_owner(file_id, number)
            replaced = state.drop_pieces(owner)
            state.database.run(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
                file_id,
                number,
                uploaded,
                size,
                sha1,
                md5 or "",
            )
            state.add_pieces(owner, pieces)
        unused = replaced
    finally:
        state.bodies.remove(unused)
    return {
        "contentLength": size,
        "contentMd5": md5,
        "contentSha1": sha1,
        "fileId": file_id,
        "partNumber": number,
        "serverSideEncryption": encryption.shown(encryption.of(row)),
        "uploadTimestamp": uploaded,
    }


def list_parts(call: Call) -> Json:
    row = unfinished(call.state, call.params.text("fileId"))
    call.grant.require_name("writeFiles", row["bucket_id"], row["name"])
    count = call.params.number("maxPartCount", 100, 1, 1000)
    start = call.params.number("startPartNumber", 1, 1, rules.MAX_PART_NUMBER)
    parts = call.state.database.rows(
        "SELECT * FROM parts WHERE file_id = ? AND number >= ? ORDER BY number LIMIT ?",
        row["file_id"],
        start,
        count + 1,
    ).fetchall()
    found = [
        {
            "contentLength": part["size"],
            "contentMd5": part["md5"] or None,
            "contentSha1": part["sha1"],
            "fileId": part["file_id"],
            "partNumber": part["number"],
            "serverSideEncryption": encryption.shown(encryption.of(row)),
            "uploadTimestamp": part["uploaded"],
        }
        for part in parts[:count]
    ]
    return {"nextPartNumber": parts[count]["number"] if len(parts) > count else None, "parts": found}


def finish_large_file(call: Call) -> Json:
    """Make the parts a file; their bodies stay where they are and only change hands."""
    state = call.state
    row = unfinished(state, call.params.text("fileId"))
    file_id = row["file_id"]
    call.grant.require_name("writeFiles", row["bucket_id"], row["name"])
    hashes = call.params.texts("partSha1Array") or []
    with state.database.transaction():
        parts = state.database.rows(
            "SELECT * FROM parts WHERE file_id = ? ORDER BY number", file_id
        ).fetchall()
        _check_parts(parts, hashes)
        owners = [files.part_owner(file_id, part["number"]) for part in parts]
        pieces = [piece for owner in owners for piece in state.pieces(owner)]
        state.add_pieces(file_id, pieces)
        for owner in owners:
            state.drop_pieces(owner)
        state.database.run("DELETE FROM parts WHERE file_id = ?", file_id)
        # The upload timestamp stays that of the start, which is also in the file id.
        state.database.run(
            "UPDATE versions SET action = ?, size = ? WHERE file_id = ?",
            files.UPLOAD,
            sum(part["size"] for part in parts),
            file_id,
        )
    return files.to_json(state, call.grant, files.require(state, file_id))


def _check_parts(parts: list[Row], hashes: list[str]) -> None:
    present = {part["number"]: part for part in parts}
    for number, sha1 in enumerate(hashes, start=1):
        part = present.get(number)
        if part is None:
            raise bad_request(f"Part number {number} has not been uploaded", "missing_part")
        if part["sha1"].removeprefix("unverified:") != sha1:
            raise bad_request(f"Sha1 of part number {number} does not match", "part_sha1_mismatch")
        if part["size"] < rules.MIN_PART and number < len(hashes):
            raise bad_request(f"Part number {number} is smaller than {rules.MIN_PART} bytes")
    if len(hashes) < MIN_PARTS:
        # The message is in b2sdk's test_raw_api.py, which runs at the real service.
        raise bad_request(f"large files must have at least {MIN_PARTS} parts")
    if len(present) > len(hashes):
        raise bad_request(f"partSha1Array has {len(hashes)} parts, but {len(present)} have been uploaded")


def cancel_large_file(call: Call) -> Json:
    row = unfinished(call.state, call.params.text("fileId"))
    call.grant.require_name("writeFiles", row["bucket_id"], row["name"])
    # Whatever its lock: that is for the file it would become. Assumed, from S3, where AbortMultipartUpload
    # knows of no lock; B2's pages do not say.
    files.remove(call.state, row["file_id"])
    return {
        "accountId": call.state.account_id,
        "bucketId": row["bucket_id"],
        "fileId": row["file_id"],
        "fileName": row["name"],
    }
