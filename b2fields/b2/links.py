"""Links that open one file, for whoever holds them, until they expire.

Signed here for the account's S3-compatible endpoint, by a signature that names one file. That endpoint
refuses master keys ("S3-Compatible App Keys"), for which B2 itself makes a token; such a token opens every
name that begins like the file's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from b2fields import signing
from b2fields.b2.connections import Connection
from b2fields.b2.tokens import Tokens
from b2fields.exceptions import AccessRefused, CannotSign, FileMissing

if TYPE_CHECKING:
    from b2fields.b2.account import Session

# How a download's parameters are called, by the header that they set (B2 docs, b2_download_file_by_name).
_PARAMETERS = {
    "content-type": "b2ContentType",
    "content-disposition": "b2ContentDisposition",
    "cache-control": "b2CacheControl",
}
_MOST_KEPT = 1000

# Links with a token, by what they were asked for, of each connection; they end with it.
_kept: WeakKeyDictionary[Connection, dict[tuple[Any, ...], str]] = WeakKeyDictionary()


def need_token(tokens: Tokens) -> bool:
    """Tell whether links need B2's token: of master keys, whose id is the account's, and without S3."""
    return tokens.data["account_id"] == tokens.account.key_id or not tokens.data["s3_api_url"]


def sign(tokens: Tokens, bucket: str, name: str, seconds: int, headers: dict[str, str]) -> str:
    """Return a link, by no request. Raises AccessRefused if it is known that it would open nothing."""
    allowed = tokens.data["allowed"]
    buckets = [known["name"].lower() for known in allowed["buckets"] or [] if known["name"]]
    if (
        "readFiles" not in allowed["capabilities"]
        or (allowed["buckets"] and bucket.lower() not in buckets)
        or not name.startswith(allowed["namePrefix"] or "")
    ):
        raise AccessRefused(
            f"This application key may not read {name!r} in bucket {bucket!r}, so that a link signed with it "
            "would open nothing. Use a key with the capability readFiles for this bucket and name."
        )
    # B2 parses the disposition, and takes a name in UTF-8 that is quoted as ours are (kyantech/Palmr#262).
    return signing.presigned_url(
        tokens.data["s3_api_url"],
        bucket,
        name,
        {f"response-{header}": value for header, value in headers.items()},
        since=signing.signing_time(seconds),
        seconds=seconds,
        key_id=tokens.account.key_id,
        key=tokens.account.key,
    )


def kept(connection: Connection, *asked: object) -> str | None:
    """Return the link that was made when the same was asked for."""
    return _kept.get(connection, {}).get(asked)


def keep(connection: Connection, link: str, *asked: object) -> None:
    """Remember a link, and forget the oldest if there are many. Without a lock, which a fork might catch."""
    links = _kept.setdefault(connection, {})
    links[asked] = link
    for old in list(links)[:-_MOST_KEPT]:
        links.pop(old, None)


def find_alike(session: Session, bucket_id: str, name: str) -> list[str]:
    """Return the file and one more whose name begins like it, as far as they are there."""
    return [file["fileName"] for file in session.list_file_names(bucket_id, name, 2, name)["files"]]


def check_alone(found: list[str], bucket: str, name: str) -> None:
    """Raise CannotSign if B2's token would open another file that was found too, or FileMissing."""
    if any(other != name for other in found):
        raise CannotSign(
            f"No link is made for {name!r} in bucket {bucket!r}: with a master key it would open each file "
            "whose name begins like this, and there are others. Use an application key, or unique names."
        )
    if not found:
        raise FileMissing(f"There is no {name!r} in bucket {bucket!r}.")


def with_token(
    session: Session, bucket: str, bucket_id: str, name: str, seconds: int, headers: dict[str, str]
) -> str:
    """Return a link, by one request for its token. Raises AccessRefused if the key may not share files."""
    info = session.account_info
    if "shareFiles" not in info.get_allowed()["capabilities"]:
        raise AccessRefused(
            f"This application key may not share files of bucket {bucket!r}: it lacks the capability "
            "shareFiles. Use a key that has it."
        )
    parameters = {_PARAMETERS[header]: value for header, value in headers.items()}
    # Here B2 takes no other name beside the plain one (RFC 6266, 4.3).
    disposition = parameters["b2ContentDisposition"]
    if not disposition.endswith('"'):
        parameters["b2ContentDisposition"] = disposition.rpartition("; filename*=")[0] or disposition
    token = _token(session, bucket_id, name, seconds, parameters)
    # Each download has to repeat what the token is bound to (B2 docs, b2_get_download_authorization).
    query = signing.query_string({"Authorization": token, **parameters})
    return f"{info.get_download_url()}/file/{quote(bucket)}/{quote(name)}?{query}"


def _token(session: Session, bucket_id: str, name: str, seconds: int, parameters: dict[str, str]) -> str:
    info = session.account_info
    raw_api: Any = session.raw_api

    def ask() -> Any:
        # The SDK's own call has no place for the headers that the token is bound to.
        return raw_api._post_json(
            info.get_api_url(),
            "b2_get_download_authorization",
            info.get_account_auth_token(),
            bucketId=bucket_id,
            fileNamePrefix=name,
            validDurationInSeconds=seconds,
            **parameters,
        )

    token: str = session._execute_with_auth_retry(ask)["authorizationToken"]
    return token
