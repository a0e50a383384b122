"""Receiving the bytes of a file or of a part of a large file."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from b2fields.emulator import auth, buckets, encryption, files, large_files, locks, rules
from b2fields.emulator.bodies import IncomingBody
from b2fields.emulator.call import Call, Json
from b2fields.emulator.errors import bad_request, bad_token
from b2fields.emulator.state import State

AT_END = "hex_digits_at_end"
UNVERIFIED = "do_not_verify"
SHA1_LENGTH = 40
INFO = "x-bz-info-"
# These have a meaning of their own to HTTP; B2 takes them as file info (b2_upload_file).
FORBIDDEN = (
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "expires",
)


class Upload(NamedTuple):
    """An upload request once its headers are read."""

    headers: Mapping[str, str]
    target: str | None  # the bucket or large file that the URL names
    chunks: AsyncIterator[bytes]


def get_upload_url(call: Call) -> Json:
    bucket_id = call.params.text("bucketId")
    call.grant.require_bucket("writeFiles", bucket_id)
    buckets.require(call.state, bucket_id)
    token = auth.issue(call.state, auth.UPLOAD, call.grant, rules.MAX_TOKEN_SECONDS, bucket_id)
    url = f"{call.base_url}/b2api/v{call.version}/b2_upload_file?cvt=c000_v0001000_t0000&bucket={bucket_id}"
    return {"authorizationToken": token, "bucketId": bucket_id, "uploadUrl": url}


def get_upload_part_url(call: Call) -> Json:
    row = large_files.unfinished(call.state, call.params.text("fileId"))
    call.grant.require_name("writeFiles", row["bucket_id"], row["name"])
    file_id = row["file_id"]
    token = auth.issue(call.state, auth.PART, call.grant, rules.MAX_TOKEN_SECONDS, file_id)
    url = f"{call.base_url}/b2api/v{call.version}/b2_upload_part?cvt=c000_v0001000_t0000&file={file_id}"
    return {"authorizationToken": token, "fileId": file_id, "uploadUrl": url}


async def upload_file(state: State, upload: Upload) -> Json:
    """Store a file of up to 5 GiB and return its version."""
    headers = upload.headers
    with _token(state, upload, auth.UPLOAD) as token:
        bucket_id = str(token.target)
        name = rules.decode_name(_required(headers, "x-bz-file-name"))
        rules.check_file_name(name)
        token.grant.require_name("writeFiles", bucket_id, name)
        for header in FORBIDDEN:
            if header in headers:
                raise bad_request(f"The header {header} is not allowed: use file info")
        if "x-bz-custom-upload-timestamp" in headers:
            # Off on the real service too, unless Backblaze's support enables it for the account.
            raise bad_request("Custom upload timestamps are not allowed", "custom_timestamp_not_allowed")
        bucket = buckets.require(state, bucket_id)
        lock = locks.in_headers(headers, state.now())
        locks.check_new(lock, token.grant, bucket)
        kept_encryption = files.encryption_for(state, bucket_id, encryption.in_headers(headers))
        encoded = {key[len(INFO) :]: value for key, value in headers.items() if key.startswith(INFO)}
        info = {key: rules.decode_name(value) for key, value in encoded.items()}
        info = files.clean_info(bucket, name, info, kept_encryption)
        content_type = rules.resolve_content_type(_required(headers, "content-type"), name)
        with state.bodies.receive() as body:
            sha1 = await _store(upload, body, rules.MAX_SINGLE_FILE)
            pieces = body.keep()
            try:
                row = files.add(
                    state,
                    bucket_id,
                    name,
                    files.UPLOAD,
                    content_type,
                    info,
                    size=body.size,
                    sha1=sha1,
                    md5=body.md5,
                    encryption=kept_encryption,
                    lock=lock,
                    pieces=pieces,
                )
            except BaseException:
                state.bodies.remove(piece.body for piece in pieces)
                raise
    return files.to_json(state, token.grant, row)


async def upload_part(state: State, upload: Upload) -> Json:
    """Store one part of a large file and return it; a part sent again replaces the one before."""
    with _token(state, upload, auth.PART) as token:
        row = large_files.unfinished(state, str(token.target))
        token.grant.require_name("writeFiles", row["bucket_id"], row["name"])
        text = _required(upload.headers, "x-bz-part-number")
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= rules.MAX_PART_NUMBER):
            raise bad_request(f"X-Bz-Part-Number must be from 1 to {rules.MAX_PART_NUMBER}")
        encryption.check_key(row, encryption.customer_in_headers(upload.headers))
        with state.bodies.receive() as body:
            sha1 = await _store(upload, body, rules.MAX_PART)
            if not body.size:
                raise bad_request("A part must have at least one byte")
            return large_files.add_part(state, row, int(text), body.keep(), sha1, body.md5)


@contextmanager
def _token(state: State, upload: Upload, kind: str) -> Iterator[auth.Token]:
    """Check the upload token and hold it: it serves one upload at a time ("Uploading in Parallel")."""
    text = upload.headers.get("authorization", "")
    token = auth.check(state, text, kind)
    if token.target != upload.target:
        raise bad_token()
    if text in state.uploading:
        # b2sdk reads the token out of this message.
        raise bad_request(f"more than one upload using auth token {text}", "auth_token_limit")
    state.uploading.add(text)
    try:
        yield token
    finally:
        state.uploading.discard(text)


async def _store(upload: Upload, body: IncomingBody, limit: int) -> str:
    """Write the request's bytes to *body*, verify them as asked for, return the SHA-1 to remember."""
    expected = _required(upload.headers, "x-bz-content-sha1")
    if expected not in (AT_END, UNVERIFIED):
        rules.check_sha1(expected)
    length = int(_required(upload.headers, "content-length"))
    if expected == AT_END:
        length -= SHA1_LENGTH
    if not 0 <= length <= limit:
        raise bad_request(f"Content-Length does not allow for 0 to {limit} bytes")
    trailer = b""
    async for chunk in upload.chunks:
        room = length - body.size
        if len(chunk) > room:
            trailer += chunk[room:]
            chunk = chunk[:room]
        body.write(chunk)
    if expected == UNVERIFIED:
        return f"unverified:{body.sha1}"
    if body.sha1 != (trailer.decode("latin-1").lower() if expected == AT_END else expected):
        raise bad_request("Checksum did not match data received")
    return body.sha1


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        raise bad_request(f"Missing header: {name}")
    return value
