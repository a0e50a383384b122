"""The part of B2's S3-compatible endpoint that browsers use: presigned GET, HEAD and PUT of one object.

``s3ApiUrl`` is the base of URLs in path style, ``{s3ApiUrl}/{bucket}/{name}``: a bucket's name is too long to
be mistaken for ``/file`` or ``/b2api``. Virtual-host style works for ``http://{bucket}.localhost:{port}/{name}``.
This URL has no region, so a signature may name any.

What is not emulated answers 501: all other operations, and signatures in the Authorization header.

Sources are the pages "S3-Compatible API", "S3 Get Object", "S3 Head Object" and "S3 Put Object" of B2's
documentation, and answers of the service that users have published, named where they count. Where both are
silent the codes are Amazon's ("Error responses"); the wording of messages is ours unless a source is named.
"""

import re
import secrets
from http import HTTPStatus
from sqlite3 import Row
from typing import NamedTuple
from urllib.parse import unquote

from b2fields.emulator import auth, buckets, s3_objects, signature
from b2fields.emulator.auth import Grant
from b2fields.emulator.downloads import NO_STORE
from b2fields.emulator.errors import B2Error
from b2fields.emulator.exchange import Exchange
from b2fields.emulator.s3_errors import bad, forbidden, missing, not_emulated, to_xml
from b2fields.emulator.signature import Presigned
from b2fields.emulator.state import State

PREFIX = "s3_"
OPERATIONS = {"GET": "s3_get_object", "HEAD": "s3_head_object", "PUT": "s3_put_object"}
OTHER = "s3_unknown"
# A query with one of these asks for something else than the object's bytes.
SUBRESOURCES = frozenset(
    {
        *("acl", "attributes", "legal-hold", "partNumber", "restore", "retention", "select", "tagging"),
        *("torrent", "uploadId", "uploads"),
    }
)
MAX_SKEW = 15 * 60 * 1000

_BUCKET_HOST = re.compile(r"([A-Za-z0-9-]{6,63})\.localhost(?::[0-9]+)?")
_BUCKET_PATH = re.compile(r"/([A-Za-z0-9-]{6,63})(?:/(.*))?", re.DOTALL)


class Target(NamedTuple):
    """What a request is about; *name* is as in the URL, and empty if it is about a bucket or all of them."""

    bucket: str
    name: str


def find(state: State, exchange: Exchange) -> Target | None:
    """Return what a request is about, or None if it is not for this endpoint."""
    by_host = _BUCKET_HOST.fullmatch(exchange.headers.get("host", ""))
    # The emulator may itself go by such a host name, so a bucket has to exist.
    if by_host and buckets.by_name(state, by_host[1]) is not None:
        return Target(by_host[1], exchange.path[1:])
    if by_path := _BUCKET_PATH.fullmatch(exchange.path):
        return Target(by_path[1], by_path[2] or "")
    if _is_signed(exchange) and (by_host or exchange.path == "/"):
        return Target(by_host[1] if by_host else "", exchange.path[1:])
    return None


def operation(exchange: Exchange, target: Target) -> str:
    """Return the name under which the log and the faults know a request."""
    if (
        not target.name
        or "x-amz-copy-source" in exchange.headers
        or SUBRESOURCES.intersection(exchange.query)
    ):
        return OTHER
    return OPERATIONS.get(exchange.method, OTHER)


async def serve(state: State, exchange: Exchange, target: Target) -> None:
    if exchange.entry.operation == OTHER:
        raise not_emulated(f"This {exchange.method} request")
    if _has_signed_header(exchange):
        raise not_emulated("A signature in the Authorization header")
    try:
        name = unquote(target.name, errors="strict")
    except UnicodeDecodeError as cause:
        raise bad("InvalidURI", "The name is not percent-encoded UTF-8") from cause
    query = exchange.query.multi_items()
    headers = signature.join_headers(exchange.headers.items())
    try:
        presigned = signature.parse(query)
    except signature.Malformed as cause:
        raise bad("AuthorizationQueryParametersError", str(cause)) from cause
    grant = None
    if presigned is not None:
        grant = _grant(state, exchange, presigned, headers)
        # Signers for browsers move such headers into the query, where the signature covers them too.
        headers |= {name.lower(): value for name, value in query if name.lower().startswith("x-amz-")}
    bucket = buckets.by_name(state, target.bucket)
    if bucket is None:
        raise missing("NoSuchBucket", "The specified bucket does not exist")
    capability = "writeFiles" if exchange.method == "PUT" else "readFiles"
    if grant is None:
        _check_anonymous(exchange, bucket)
    elif not grant.may_in(capability, bucket["bucket_id"], name):
        raise forbidden("AccessDenied", "not entitled")  # rclone/rclone#4689
    if headers.get("x-amz-expected-bucket-owner", state.account_id) != state.account_id:
        raise forbidden("AccessDenied", "The bucket has another owner")
    if exchange.method == "PUT":
        stored = await s3_objects.put(state, bucket, name, headers, exchange.chunks())
        await exchange.respond(HTTPStatus.OK, {"cache-control": NO_STORE} | _ids() | stored, 0, [])
    else:
        found = s3_objects.get(state, bucket, name, headers, exchange.query)
        await exchange.respond(found.status, _ids() | found.headers, found.length, found.chunks)


def _is_signed(exchange: Exchange) -> bool:
    return "X-Amz-Algorithm" in exchange.query or _has_signed_header(exchange)


def _has_signed_header(exchange: Exchange) -> bool:
    return exchange.headers.get("authorization", "").startswith(signature.ALGORITHM)


def _grant(state: State, exchange: Exchange, presigned: Presigned, headers: dict[str, str]) -> Grant:
    """Return what the key that signed the request may do, once the signature is found to be good."""
    row = state.database.row("SELECT * FROM keys WHERE key_id = ?", presigned.key_id)
    if row is not None and row["is_master"]:
        # Master keys have no access ("S3-Compatible App Keys"); the answer is in AlistGo/alist#8364.
        raise _bad_key("Malformed Access Key Id")
    now = state.now()
    if row is None or (row["expires"] is not None and row["expires"] <= now):
        raise _bad_key("The application key does not exist or has expired")
    if presigned.begins > now + MAX_SKEW:
        raise forbidden("AccessDenied", "Request is not yet valid")
    if now > presigned.ends:
        raise forbidden("AccessDenied", "Request has expired")
    query = exchange.query.multi_items()
    if not signature.is_valid(presigned, row["secret"], exchange.method, exchange.path, query, headers):
        # The message is in quarfie/s3presignedUrl_FMFunction#5.
        raise forbidden("SignatureDoesNotMatch", "Signature validation failed")
    # Amazon's rule, without which the holder of a URL could add to what was signed; of B2 it is assumed.
    if any(
        name.startswith("x-amz-") and name not in (*presigned.signed_headers, signature.PAYLOAD)
        for name in headers
    ):
        raise forbidden("AccessDenied", "There were headers present in the request which were not signed")
    return auth.grant_of(row, row["name_prefix"])


def _bad_key(message: str) -> B2Error:
    return forbidden("InvalidAccessKeyId", message)


def _check_anonymous(exchange: Exchange, bucket: Row) -> None:
    """Let strangers read what is public, as it is."""
    if exchange.method == "PUT" or bucket["type"] != "allPublic":
        # Code and message are in Backblaze/b2-sdk-python#136, the status in backblaze-labs/genblaze#246.
        message = f"bucket is not authorized: {bucket['name']}"
        raise B2Error(HTTPStatus.UNAUTHORIZED, "UnauthorizedAccess", message)
    if any(name in exchange.query for name in s3_objects.OVERRIDES):
        raise bad("InvalidRequest", "Response headers need a signed request")


def _ids() -> dict[str, str]:
    return {"x-amz-request-id": secrets.token_hex(8), "x-amz-id-2": secrets.token_urlsafe(24)}


async def respond_error(exchange: Exchange, problem: B2Error) -> None:
    """Tell an error, or a scripted fault, in S3's form."""
    headers = {"content-type": "application/xml", "cache-control": NO_STORE} | _ids() | problem.headers
    if exchange.method == "HEAD":
        await exchange.respond(problem.status, headers, 0, [])
        return
    body = to_xml(problem)
    await exchange.respond(problem.status, headers, len(body), [body])
