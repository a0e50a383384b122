"""Requests of web pages of other origins: the answers to preflights, and the headers that open other answers.

CORS shows answers to scripts; it replaces no authorization ("Cross-Origin Resource Sharing Rules"). Assumed
are: that errors are shown as successes are, that the answer repeats the origin where the rule says ``*``, and
that a refused preflight is 403 access_denied (that it is no success is in
mattwelke/upload-file-to-backblaze-b2-from-browser-example#170).
"""

import json
from http import HTTPStatus
from sqlite3 import Row
from typing import Any, NamedTuple

from b2fields.emulator import auth, buckets, cors, files
from b2fields.emulator.errors import B2Error
from b2fields.emulator.exchange import Exchange
from b2fields.emulator.state import State

PREFLIGHT = "cors_preflight"  # the log's name for it
DOWNLOAD_METHODS = ("GET", "HEAD")
S3_METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")


class Place(NamedTuple):
    """What the URL names: a bucket of the S3-compatible endpoint, one of ``/file/``, an operation, none."""

    s3_bucket: str | None
    file_bucket: str | None
    operation: str | None


def is_preflight(exchange: Exchange) -> bool:
    """Tell whether a request that has an Origin only asks for leave to send another."""
    return exchange.method == "OPTIONS" and "access-control-request-method" in exchange.headers


def preflight_headers(state: State, exchange: Exchange, place: Place) -> dict[str, str]:
    """Return the headers that grant what a preflight asks for, or refuse it; no authorization is needed."""
    origin = exchange.headers["origin"]
    method = exchange.headers["access-control-request-method"]
    listed = exchange.headers.get("access-control-request-headers", "").split(",")
    asked = [name.strip() for name in listed if name.strip()]
    rule = _rule(state, exchange, place, method, asked)
    if rule is None:
        raise B2Error(HTTPStatus.FORBIDDEN, "access_denied", "No CORS rule of the bucket allows this request")
    granted = {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": method,
        "access-control-max-age": str(rule["maxAgeSeconds"]),
        "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }
    return granted | ({"access-control-allow-headers": ", ".join(asked)} if asked else {})


def answer_headers(state: State, exchange: Exchange, place: Place) -> dict[str, str]:
    """Return the headers, if any, that show an answer to the scripts of the request's Origin."""
    rule = _rule(state, exchange, place, exchange.method, [])
    if rule is None:
        return {}
    headers = {"access-control-allow-origin": exchange.headers["origin"], "vary": "Origin"}
    exposed = rule.get("exposeHeaders")
    return headers | ({"access-control-expose-headers": ", ".join(exposed)} if exposed else {})


def _rule(
    state: State, exchange: Exchange, place: Place, method: str, asked: list[str]
) -> dict[str, Any] | None:
    bucket, operation = _find(state, exchange, place, method)
    if bucket is None or operation is None or _has_account_token(state, exchange):
        return None
    rules = json.loads(bucket["settings"])["corsRules"]
    return cors.find(rules, operation, exchange.headers["origin"], asked)


def _find(state: State, exchange: Exchange, place: Place, method: str) -> tuple[Row | None, str | None]:
    """Return the bucket whose rules count, and what the rules call the *method* there."""
    if place.s3_bucket is not None:
        operation = f"s3_{method.lower()}" if method in S3_METHODS else None
        return buckets.by_name(state, place.s3_bucket), operation
    if place.file_bucket is not None:
        operation = "b2_download_file_by_name" if method in DOWNLOAD_METHODS else None
        return buckets.by_name(state, place.file_bucket), operation
    match place.operation, method:
        case "b2_download_file_by_id", "GET" | "HEAD":
            return _bucket_of_file(state, exchange.query.get("fileId")), place.operation
        case "b2_upload_part", "POST":
            return _bucket_of_file(state, exchange.query.get("file")), place.operation
        case "b2_upload_file", "POST":
            return _bucket(state, exchange.query.get("bucket")), place.operation
    return None, None


def _bucket_of_file(state: State, file_id: str | None) -> Row | None:
    version = files.find(state, file_id or "")
    return None if version is None else _bucket(state, version["bucket_id"])


def _bucket(state: State, bucket_id: str | None) -> Row | None:
    return state.database.row("SELECT * FROM buckets WHERE bucket_id = ?", bucket_id)


def _has_account_token(state: State, exchange: Exchange) -> bool:
    """Tell whether the credentials are those of the account, which do not belong into a web page.

    An older edition of the page says that such preflights are denied. That a download is granted and not
    shown is assumed: so no page can use it, and a client that sends an Origin for no reason still works.
    """
    token = exchange.headers.get("authorization") or exchange.query.get("Authorization")
    return (
        token is not None
        and state.database.row("SELECT 1 FROM tokens WHERE token = ? AND kind = ?", token, auth.ACCOUNT)
        is not None
    )
