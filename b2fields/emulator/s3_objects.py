"""Reading and writing one object by the S3-compatible endpoint; the native API sees the same versions."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from sqlite3 import Row

from b2fields.emulator import encryption, files, ranges, rules, signature
from b2fields.emulator.bodies import IncomingBody, Piece
from b2fields.emulator.downloads import Download, cache_control
from b2fields.emulator.errors import B2Error
from b2fields.emulator.ranges import Slice
from b2fields.emulator.s3_errors import bad, missing, not_emulated, not_implemented
from b2fields.emulator.state import State

OVERRIDES = {
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-content-type": "content-type",
    "response-expires": "expires",
}
META = "x-amz-meta-"
ENCRYPTION = "x-amz-server-side-encryption"
CUSTOMER_KEY = "x-amz-server-side-encryption-customer-"
# What a PUT may carry ("S3 Put Object"), besides metadata.
KNOWN = frozenset(
    {
        *("x-amz-acl", "x-amz-content-sha256", "x-amz-date", "x-amz-expected-bucket-owner"),
        *(ENCRYPTION, "x-amz-storage-class", "x-amz-user-agent"),
        *(name.lower() for name in signature.PARAMETERS),
    }
)
NOT_EMULATED = (CUSTOMER_KEY, "x-amz-object-lock-")
DEFAULT_TYPE = "application/octet-stream"


def get(
    state: State, bucket: Row, name: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> Download:
    """Return what a GET or HEAD of the object is answered, or raise its error."""
    row = _find(state, bucket["bucket_id"], name, query.get("versionId"))
    if encryption.of(row)["mode"] == encryption.SSE_C:
        if any(header.startswith(CUSTOMER_KEY) for header in headers):
            raise not_emulated("SSE-C")
        raise bad("InvalidRequest", "The object was stored with SSE-C: its key must be given")
    pieces = state.pieces(row["file_id"])
    etag, modified = _etag(row, pieces), row["uploaded"] // 1000
    answer = _headers(bucket, row) | {"etag": etag, "last-modified": formatdate(modified, usegmt=True)}
    for parameter, header in OVERRIDES.items():
        if (value := query.get(parameter)) is not None:
            rules.check_standard_header(header, value)
            answer[header] = value
    if _is_unmodified(headers, etag, modified):
        return Download(HTTPStatus.NOT_MODIFIED, answer, 0, iter(()))
    part = None
    # A range of what the client no longer has is of no use to it (RFC 9110, 13.1.5).
    if headers.get("if-range", etag) in (etag, answer["last-modified"]):
        part = ranges.parse(headers.get("range"), row["size"])
    first, length = part or Slice(0, row["size"])
    if part is not None:
        answer["content-range"] = f"bytes {first}-{first + length - 1}/{row['size']}"
    status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
    return Download(status, answer, length, state.bodies.read(pieces, first, length))


def _find(state: State, bucket_id: str, name: str, file_id: str | None) -> Row:
    row = files.newest(state, bucket_id, name) if file_id is None else files.find(state, file_id)
    if row is None or (row["bucket_id"], row["name"], row["action"]) != (bucket_id, name, files.UPLOAD):
        if file_id is not None:
            raise missing("NoSuchVersion", "The object has no such version")
        # The message is in backblaze-b2-samples/cloudflare-b2#22.
        raise missing("NoSuchKey", "Key not found")
    return row


def _etag(row: Row, pieces: list[Piece]) -> str:
    """Return the MD5 in quotes; large files have none, and S3 marks what is none by a hyphen."""
    if row["md5"]:
        return f'"{row["md5"]}"'
    digest = hashlib.md5(row["file_id"].encode(), usedforsecurity=False).hexdigest()
    return f'"{digest}-{len(pieces)}"'


def _headers(bucket: Row, row: Row) -> dict[str, str]:
    headers = {
        "accept-ranges": "bytes",
        "cache-control": cache_control(bucket),
        "content-type": row["content_type"],
        "x-amz-version-id": row["file_id"],
    }
    if encryption.of(row)["mode"] == encryption.SSE_B2:
        headers[ENCRYPTION] = "AES256"
    for key, value in files.info(row).items():
        if key in rules.STANDARD_HEADERS:
            headers[rules.STANDARD_HEADERS[key]] = value
        else:
            # Metadata that comes by S3 is ASCII; how B2 shows what the native API took beyond it is assumed.
            is_plain = value.isascii() and value.isprintable()
            headers[META + key] = value if is_plain else rules.encode_name(value)
    return headers


def _is_unmodified(headers: Mapping[str, str], etag: str, modified: int) -> bool:
    """Evaluate the preconditions in the order of RFC 9110, 13.2.2; True means 304, and a 412 is raised."""
    if "if-match" in headers:
        holds = _names(headers["if-match"], etag)
    else:
        moment = _moment(headers.get("if-unmodified-since"))
        holds = moment is None or modified <= moment
    if not holds:
        raise B2Error(HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed", "A precondition does not hold")
    if "if-none-match" in headers:
        return _names(headers["if-none-match"].replace("W/", ""), etag)
    moment = _moment(headers.get("if-modified-since"))
    return moment is not None and modified <= moment


def _names(header: str, etag: str) -> bool:
    """Tell whether a list of entity tags holds this one; S3 takes them without quotes too."""
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or etag in tags or etag.strip('"') in tags


def _moment(header: str | None) -> float | None:
    """Return a date in seconds since 1970; what is no date counts as absent."""
    try:
        return parsedate_to_datetime(header or "").replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


async def put(
    state: State, bucket: Row, name: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
) -> dict[str, str]:
    """Store the body as the newest version of *name* and return the headers of the answer."""
    rules.check_file_name(name)
    _check_headers(bucket, headers)
    md5, sha256 = _expected_md5(headers), _expected_sha256(headers)
    if "content-length" not in headers:
        raise B2Error(HTTPStatus.LENGTH_REQUIRED, "MissingContentLength", "Content-Length is missing")
    if int(headers["content-length"]) > rules.MAX_SINGLE_FILE:
        raise bad("EntityTooLarge", f"An object has at most {rules.MAX_SINGLE_FILE} bytes")
    content_type = headers.get("content-type", DEFAULT_TYPE)
    rules.check_standard_header("content-type", content_type)
    setting = {"mode": "SSE-B2", "algorithm": headers[ENCRYPTION]} if ENCRYPTION in headers else None
    kept_encryption = files.encryption_for(state, bucket["bucket_id"], setting)
    info = files.clean_info(bucket, name, _info(headers), kept_encryption)
    with state.bodies.receive() as body:
        await _receive(body, chunks, md5, sha256)
        pieces = body.keep()
        try:
            row = files.add(
                state,
                bucket["bucket_id"],
                name,
                files.UPLOAD,
                content_type,
                info,
                size=body.size,
                sha1=body.sha1,
                md5=body.md5,
                encryption=kept_encryption,
                pieces=pieces,
            )
        except BaseException:
            state.bodies.remove(piece.body for piece in pieces)
            raise
    answer = {"etag": _etag(row, pieces), "x-amz-version-id": row["file_id"]}
    return answer | ({ENCRYPTION: "AES256"} if encryption.of(row)["mode"] == encryption.SSE_B2 else {})


def _check_headers(bucket: Row, headers: Mapping[str, str]) -> None:
    """Refuse what would have to be pretended, and what B2 refuses."""
    for header in headers:
        if header.startswith(NOT_EMULATED):
            raise not_emulated(header)
        if header.startswith("x-amz-") and not header.startswith(META) and header not in KNOWN:
            # So B2 answers checksums and all else it does not know (jschneier/django-storages#1498).
            raise bad("InvalidArgument", f"Unsupported header '{header}' received for this API call.")
    if "if-match" in headers or "if-none-match" in headers:
        # B2 has no conditional writes (sathinduga/obsidian-s3-sync-and-backup#78).
        raise not_implemented("A header you provided implies functionality that is not implemented")
    if "aws-chunked" in headers.get("content-encoding", ""):
        raise not_emulated("A body in signed chunks")
    acl = headers.get("x-amz-acl")
    if acl is not None and acl != ("public-read" if bucket["type"] == "allPublic" else "private"):
        # "If supplied, must be the same as the bucket ACL"; the answer is in saltbo/zpan#126.
        raise bad("InvalidArgument", f"Unsupported value for canned acl '{acl}'")
    if headers.get("x-amz-storage-class", "STANDARD") != "STANDARD":
        raise bad("InvalidStorageClass", "The only storage class is STANDARD")


def _info(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata and the standard headers of the request as file info."""
    info = {name[len(META) :]: value for name, value in headers.items() if name.startswith(META)}
    if not all(value.isascii() for value in info.values()):
        raise bad("InvalidArgument", "Metadata must be ASCII")
    standard = {key: headers[header] for key, header in rules.STANDARD_HEADERS.items() if header in headers}
    return info | standard


def _expected_md5(headers: Mapping[str, str]) -> str | None:
    if "content-md5" not in headers:
        return None
    try:
        digest = base64.b64decode(headers["content-md5"], validate=True)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.md5(usedforsecurity=False).digest_size:
        raise bad("InvalidDigest", "Content-MD5 is no MD5 in base64")
    return digest.hex()


def _expected_sha256(headers: Mapping[str, str]) -> str | None:
    value = headers.get(signature.PAYLOAD, signature.UNSIGNED_PAYLOAD)
    if value.startswith("STREAMING-"):
        raise not_emulated("A body in signed chunks")
    return None if value == signature.UNSIGNED_PAYLOAD else value


async def _receive(
    body: IncomingBody, chunks: AsyncIterator[bytes], md5: str | None, sha256: str | None
) -> None:
    """Write the request's bytes to *body* and compare them with the digests that the request names."""
    digest = hashlib.sha256()
    async for chunk in chunks:
        body.write(chunk)
        if sha256 is not None:
            digest.update(chunk)
    if md5 is not None and md5 != body.md5:
        raise bad("BadDigest", "The Content-MD5 you specified did not match what we received.")
    if sha256 is not None and sha256 != digest.hexdigest():
        raise bad("XAmzContentSHA256Mismatch", "The provided x-amz-content-sha256 does not match the body")
