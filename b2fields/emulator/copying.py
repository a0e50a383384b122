"""Copies made by the server, of whole files or of ranges. They share the bodies of their source."""

import asyncio
import hashlib
from sqlite3 import Row

from b2fields.emulator import buckets, encryption, files, large_files, locks, ranges, rules
from b2fields.emulator.bodies import Piece, slices
from b2fields.emulator.call import Call, Json
from b2fields.emulator.errors import bad_request
from b2fields.emulator.ranges import Slice
from b2fields.emulator.state import State


async def copy_file(call: Call) -> Json:
    state, params = call.state, call.params
    source = _source(call)
    name = params.text("fileName")
    bucket_id = params.optional_text("destinationBucketId") or source["bucket_id"]
    call.grant.require_name("writeFiles", bucket_id, name)
    rules.check_file_name(name)
    bucket = buckets.require(state, bucket_id)
    # Of encryption and lock nothing comes over from the source.
    lock = locks.in_json(params, state.now())
    locks.check_new(lock, call.grant, bucket)
    setting = params.mapping("destinationServerSideEncryption")
    kept_encryption = files.encryption_for(state, bucket_id, setting)
    content_type, info = source["content_type"], None
    directive = params.optional_text("metadataDirective") or "COPY"
    if directive == "REPLACE":
        content_type = rules.resolve_content_type(params.text("contentType"), name)
        info = params.mapping("fileInfo") or {}
    elif directive != "COPY":
        raise bad_request(f"Invalid metadataDirective {directive}: must be COPY or REPLACE")
    elif "contentType" in params or "fileInfo" in params:
        raise bad_request("contentType and fileInfo need the metadataDirective REPLACE")
    info = files.clean_info(bucket, name, files.info(source) if info is None else info, kept_encryption)
    part = _part(call, source)
    if part.length >= rules.MAX_COPY:
        raise bad_request(f"Copy source too big: {part.length}", "source_too_large")
    is_whole = part.length == source["size"]
    sha1, md5 = (source["sha1"], source["md5"]) if is_whole else await _digests(state, source, part)
    row = files.add(
        state,
        bucket_id,
        name,
        files.UPLOAD,
        content_type,
        info,
        size=part.length,
        sha1=sha1,
        md5=md5,
        encryption=kept_encryption,
        lock=lock,
        pieces=slices(_pieces(state, source), part.first, part.length),
    )
    # In this answer alone ("b2_copy_file"); from then on it is an upload like others.
    return files.to_json(state, call.grant, row) | {"action": "copy"}


async def copy_part(call: Call) -> Json:
    state = call.state
    number = call.params.number("partNumber", None, 1, rules.MAX_PART_NUMBER)
    source = _source(call)
    target = large_files.unfinished(state, call.params.text("largeFileId"))
    call.grant.require_name("writeFiles", target["bucket_id"], target["name"])
    encryption.check_key(target, call.params.mapping("destinationServerSideEncryption"))
    part = _part(call, source)
    sha1, md5 = await _digests(state, source, part)
    pieces = list(slices(_pieces(state, source), part.first, part.length))
    return large_files.add_part(state, target, number, pieces, sha1, md5)


def _source(call: Call) -> Row:
    row = files.require(call.state, call.params.text("sourceFileId"))
    call.grant.require_name("readFiles", row["bucket_id"], row["name"])
    if row["action"] != files.UPLOAD:
        raise bad_request(f"File {row['file_id']} cannot be copied: it is no finished upload")
    encryption.check_key(row, call.params.mapping("sourceServerSideEncryption"))
    return row


def _part(call: Call, source: Row) -> Slice:
    header = call.params.optional_text("range")
    part = ranges.parse(header, source["size"])
    if header and part is None:
        raise bad_request(f"Invalid range {header}")
    return part or Slice(0, source["size"])


def _pieces(state: State, source: Row) -> list[Piece]:
    files.require(state, source["file_id"])  # it may be gone since it was read
    return state.pieces(source["file_id"])


async def _digests(state: State, source: Row, part: Slice) -> tuple[str, str]:
    sha1, md5 = hashlib.sha1(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
    for chunk in state.bodies.read(_pieces(state, source), part.first, part.length):
        sha1.update(chunk)
        md5.update(chunk)
        await asyncio.sleep(0)  # other requests go on meanwhile
    return sha1.hexdigest(), md5.hexdigest()
