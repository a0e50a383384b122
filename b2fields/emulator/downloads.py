"""Downloads: who may have which version, and the headers it comes with."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sqlite3 import Row

from b2fields.emulator import auth, buckets, encryption, files, locks, ranges, rules
from b2fields.emulator.auth import Grant
from b2fields.emulator.errors import B2Error, not_found, unauthorized
from b2fields.emulator.ranges import Slice
from b2fields.emulator.state import State

NO_STORE = "max-age=0, no-cache, no-store"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client presents with its download."""

    token: str | None
    range: str | None
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def overrides(self) -> dict[str, str]:
        return {name: self.query[name] for name in rules.OVERRIDES if name in self.query}


@dataclass(frozen=True, slots=True)
class Download:
    """A download that was granted: its status, its headers and the bytes to send."""

    status: int
    headers: dict[str, str]
    length: int
    chunks: Iterator[bytes]


def by_name(state: State, bucket_name: str, name: str, asked: Asked) -> Download:
    bucket = buckets.by_name(state, bucket_name)
    if bucket is None:
        raise not_found(f"Bucket {bucket_name} does not exist.")
    grant = _authorize(state, bucket, name, asked, is_by_name=True)
    row = files.newest(state, bucket["bucket_id"], name)
    if row is None or row["action"] != files.UPLOAD:
        raise not_found("File with such name does not exist.")
    return _download(state, bucket, row, asked, grant)


def by_id(state: State, file_id: str, asked: Asked) -> Download:
    row = files.find(state, file_id)
    if row is None:
        # A stranger learns nothing about which ids exist.
        auth.check(state, asked.token, auth.ACCOUNT)
        raise not_found(f"File {file_id} does not exist.")
    bucket = buckets.require(state, row["bucket_id"])
    grant = _authorize(state, bucket, row["name"], asked, is_by_name=False)
    if row["action"] != files.UPLOAD:
        raise not_found(f"File {file_id} does not exist.")
    return _download(state, bucket, row, asked, grant)


def _authorize(state: State, bucket: Row, name: str, asked: Asked, is_by_name: bool) -> Grant | None:
    """Raise B2's 401 unless the token opens this name; public files need one for overrides only.

    Return what the key may do if it is an account's token.
    """
    is_public = bucket["type"] == "allPublic"
    if asked.token is None:
        if is_public and not asked.overrides:
            return None
        raise _refused()
    token = auth.check(state, asked.token, auth.ACCOUNT, auth.DOWNLOAD)
    if token.kind == auth.ACCOUNT:
        allowed = is_public or token.grant.may_in("readFiles", bucket["bucket_id"], name)
    else:
        # A download authorization opens names, never ids, and only with the overrides it was made for
        # (b2_get_download_authorization).
        allowed = (
            (is_by_name or is_public)
            and token.target == bucket["bucket_id"]
            and name.startswith(token.name_prefix or "")
            and token.overrides.items() <= asked.overrides.items()
        )
    if not allowed:
        raise _refused()
    return token.grant if token.kind == auth.ACCOUNT else None


def _refused() -> B2Error:
    return unauthorized("The authorization does not allow this download")


def _download(state: State, bucket: Row, row: Row, asked: Asked, grant: Grant | None) -> Download:
    key = encryption.check_key(row, encryption.customer_in_headers(asked.headers))
    part = ranges.parse(asked.range, row["size"])
    first, length = part or Slice(0, row["size"])
    headers = _headers(bucket, row)
    headers |= encryption.headers(row, key) | locks.headers(locks.of(row), bucket, grant)
    for parameter, value in asked.overrides.items():
        header = rules.OVERRIDES[parameter]
        rules.check_standard_header(header, value)
        headers[header] = value
    if part is not None:
        headers["content-range"] = f"bytes {first}-{first + length - 1}/{row['size']}"
    chunks = state.bodies.read(state.pieces(row["file_id"]), first, length)
    return Download(200 if part is None else 206, headers, length, chunks)


def _headers(bucket: Row, row: Row) -> dict[str, str]:
    """Return the headers that B2 documents for b2_download_file_by_name."""
    headers = {
        "accept-ranges": "bytes",
        "cache-control": cache_control(bucket),
        "content-type": row["content_type"],
        "x-bz-content-sha1": row["sha1"],
        "x-bz-file-id": row["file_id"],
        "x-bz-file-name": rules.encode_name(row["name"]),
        "x-bz-upload-timestamp": str(row["uploaded"]),
    }
    for key, value in json.loads(row["info"]).items():
        if key in rules.STANDARD_HEADERS:
            headers[rules.STANDARD_HEADERS[key]] = value
        else:
            headers[f"x-bz-info-{key}"] = rules.encode_name(value)
    return headers


def cache_control(bucket: Row) -> str:
    """Return the header of all downloads from a bucket, unless the file or the request has another."""
    info = json.loads(bucket["settings"])["bucketInfo"]
    return next((value for key, value in info.items() if key.lower() == "cache-control"), NO_STORE)
