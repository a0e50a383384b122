"""AWS Signature Version 4 in its query form, as presigned URLs carry it: pure functions.

Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" of the Amazon S3 API
reference. B2 takes version 4 only ("Call the S3-Compatible API").
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
MAX_SECONDS = 604_800
PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)
PAYLOAD = "x-amz-content-sha256"

Pairs = Iterable[tuple[str, str]]

_CREDENTIAL = re.compile(r"(.+)/(([0-9]{8})/[A-Za-z0-9-]+/s3/aws4_request)")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SECONDS = re.compile(r"[1-9][0-9]{0,5}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class Malformed(ValueError):
    """The parameters are no signature of version 4; the message says why."""


class Presigned(NamedTuple):
    """What the query of a presigned URL says about its signature.

    *begins* and *ends* are milliseconds since 1970. The region in *scope* may be any: our URL has none.
    """

    key_id: str
    scope: str
    date: str
    begins: int
    ends: int
    signed_headers: tuple[str, ...]
    signature: str


def parse(query: Pairs) -> Presigned | None:
    """Read the decoded *query*, or return None if nothing in it belongs to a signature."""
    values: dict[str, list[str]] = {}
    for name, value in query:
        if name in PARAMETERS:
            values.setdefault(name, []).append(value)
    if not values:
        return None
    if any(len(values.get(name, ())) != 1 for name in PARAMETERS):
        raise Malformed(f"A presigned URL has exactly one of each of {', '.join(PARAMETERS)}")
    algorithm, credential, date, seconds, names, signature = (values[name][0] for name in PARAMETERS)
    if algorithm != ALGORITHM:
        raise Malformed(f"X-Amz-Algorithm must be {ALGORITHM}")
    begins = _milliseconds(date)
    match = _CREDENTIAL.fullmatch(credential)
    if match is None or match[3] != date[:8]:
        raise Malformed("X-Amz-Credential must be KEY/DATE/REGION/s3/aws4_request, with X-Amz-Date's date")
    if not _SECONDS.fullmatch(seconds) or int(seconds) > MAX_SECONDS:
        raise Malformed(f"X-Amz-Expires must be a number of seconds from 1 to {MAX_SECONDS}")
    headers = tuple(names.split(";"))
    if "host" not in headers or headers != tuple(sorted({name.lower() for name in headers})):
        raise Malformed("X-Amz-SignedHeaders must be sorted names in lower case, host among them")
    if not _SIGNATURE.fullmatch(signature):
        raise Malformed("X-Amz-Signature must be 64 hexadecimal digits")
    ends = begins + int(seconds) * 1000
    return Presigned(match[1], match[2], date, begins, ends, headers, signature)


def join_headers(headers: Pairs) -> dict[str, str]:
    """Return headers by name in lower case; the values of a repeated one are joined by commas."""
    joined: dict[str, str] = {}
    for name, value in headers:
        name, value = name.lower(), value.strip()
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def payload_hash(presigned: Presigned, query: Pairs, headers: Mapping[str, str]) -> str:
    """Return the SHA-256 of the body that was signed for, or UNSIGNED-PAYLOAD.

    Signers for browsers move the header into the query (AWS SDK for JavaScript, version 3), where it is
    signed like all else; a header counts only if it is signed.
    """
    for name, value in query:
        if name.lower() == PAYLOAD:
            return value
    return headers.get(PAYLOAD, UNSIGNED_PAYLOAD) if PAYLOAD in presigned.signed_headers else UNSIGNED_PAYLOAD


def is_valid(
    presigned: Presigned, secret: str, method: str, path: str, query: Pairs, headers: Mapping[str, str]
) -> bool:
    """Tell whether the holder of *secret* signed this request.

    *path* is as received, *query* decoded and whole, *headers* from ``join_headers``.
    """
    if any(name not in headers for name in presigned.signed_headers):
        return False
    pairs = [(name, value) for name, value in query if name != "X-Amz-Signature"]
    payload = payload_hash(presigned, pairs, headers)
    canonical = canonical_request(method, path, pairs, headers, presigned.signed_headers, payload)
    expected = sign(secret, presigned.scope, presigned.date, canonical)
    return hmac.compare_digest(expected, presigned.signature)


def canonical_request(
    method: str,
    path: str,
    query: Pairs,
    headers: Mapping[str, str],
    signed_headers: Iterable[str],
    payload: str,
) -> str:
    """Return the text that is signed.

    The path is decoded and encoded once, so that a client which writes ``~`` as ``%7E`` agrees with one that
    does not; unlike for other services of AWS, dots and double slashes stay.
    """
    names = list(signed_headers)
    pairs = sorted((_encode(name), _encode(value)) for name, value in query)
    return "\n".join(
        [
            method,
            quote(unquote_to_bytes(path), safe="/-._~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            ";".join(names),
            payload,
        ]
    )


def sign(secret: str, scope: str, date: str, canonical: str) -> str:
    """Return the signature of a canonical request; *scope* is ``DATE/REGION/s3/aws4_request``."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"{ALGORITHM}\n{date}\n{scope}\n{digest}".encode(), "sha256").hex()


def _milliseconds(date: str) -> int:
    try:
        if _DATE.fullmatch(date):  # strptime alone would take fewer digits
            moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return int(moment.timestamp()) * 1000
    except ValueError:
        pass
    raise Malformed("X-Amz-Date must be a moment of UTC in the form 20130524T000000Z")


def _encode(text: str) -> str:
    return quote(text, safe="-._~")
