"""What ``b2_check`` asks of B2 anew, whatever is remembered: what a key may do, and how a bucket is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings

from b2fields.b2 import buckets, links
from b2fields.b2.client import Client
from b2fields.b2.deadlines import deadline
from b2fields.b2.errors import bucket_missing, translated
from b2fields.exceptions import AccessRefused
from b2fields.shapes import NewBucket

if TYPE_CHECKING:
    from b2fields.b2.account import Session


class Key(NamedTuple):
    """What an application key may do.

    *buckets* are the names, in lower case, that it is restricted to, None if it is not. *prefix* is what all
    names must begin with. *needs_token* tells that links that expire need the capability shareFiles.
    """

    capabilities: frozenset[str]
    buckets: frozenset[str] | None
    prefix: str
    needs_token: bool


class Condition(NamedTuple):
    """How a bucket is, as far as the key may see it: *type* is None and *rules* are empty if it may not.

    *rules* are its lifecycle rules as B2 tells them. *keeps_files* tells that a default retention forbids
    to delete what is uploaded now.
    """

    type: str | None
    rules: list[dict[str, Any]]
    keeps_files: bool


def authorize(client: Client, bucket: str) -> Key:
    """Authorize by one request, whatever is remembered; *bucket* is what an error is about."""
    account = client.account
    try:
        with deadline():
            client.api.session.authorize_account(account.realm, account.key_id, account.key)
    except Exception as error:
        ours = translated(error, account.realm, bucket, None)
        if ours is None:
            raise
        if isinstance(ours, AccessRefused):
            ours = AccessRefused(
                "B2 refuses this application key. Check that B2FIELDS_APPLICATION_KEY_ID and "
                "B2FIELDS_APPLICATION_KEY belong together and to this realm, and that the key was not "
                "deleted and has not expired."
            )
    else:
        return _key(client)
    # Not from theirs, which can hold tokens.
    raise ours


def _key(client: Client) -> Key:
    allowed = client.tokens.data["allowed"]
    # A bucket that was deleted has no name.
    names = frozenset(bucket["name"].lower() for bucket in allowed["buckets"] or [] if bucket["name"])
    return Key(
        frozenset(allowed["capabilities"]),
        names if allowed["buckets"] else None,
        allowed["namePrefix"] or "",
        links.need_token(client.tokens),
    )


def look_up(client: Client, name: str) -> Condition:
    """Return how a bucket is: one request, whose answer and token are shared. Raises BucketMissing."""
    return client._ask(name, None, partial(_look_up, name=name))


def _look_up(session: Session, name: str) -> Condition:
    info = session.account_info
    if "listBuckets" not in info.get_allowed()["capabilities"]:
        return Condition(buckets.look_up(session, name).type, [], False)
    found = session.list_buckets(info.get_account_id(), bucket_name=name)["buckets"]
    if not found:
        raise bucket_missing(name)
    bucket = found[0]
    info.tokens.remember_bucket(name, bucket["bucketId"], bucket["bucketType"])
    lock = (bucket.get("fileLockConfiguration") or {}).get("value") or {}
    retention = lock.get("defaultRetention") or {}
    return Condition(bucket["bucketType"], bucket.get("lifecycleRules") or [], bool(retention.get("mode")))


def lacking_to_create(key: Key, new: NewBucket) -> set[str]:
    """Return the capabilities that the key lacks to create a bucket like this."""
    return buckets.capabilities_for(new) - key.capabilities


def status_for_strangers(client: Client, bucket: str, name: str) -> int:
    """Ask for a file at its URL without any authorization, and return the status: one request."""

    def ask(session: Session) -> int:
        raw_api: Any = session.raw_api
        status: int = raw_api.b2_http.session.get(
            session.get_download_url_by_name(bucket, name),
            timeout=(settings.B2FIELDS_CONNECT_TIMEOUT, settings.B2FIELDS_READ_TIMEOUT),
            allow_redirects=False,
        ).status_code
        return status

    return client._ask(bucket, name, ask)
