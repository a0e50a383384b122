"""Authorizing an account and managing its application keys."""

import json
import secrets
from collections.abc import Iterable
from sqlite3 import Row
from typing import Any

from b2fields.emulator import auth, rules
from b2fields.emulator.call import Call, Json
from b2fields.emulator.errors import bad_request, unauthorized
from b2fields.emulator.state import State

MAX_KEY_SECONDS = 1000 * 86_400 - 1  # b2_create_key: "less than 1000 days"
MAX_KEY_COUNT = 10_000


def authorize(state: State, header: str | None, base_url: str, version: int) -> Json:
    """Sign in with the key of a Basic *header*; the answer has the shape of the API *version*."""
    grant, expires = auth.sign_in(state, header)
    buckets = None if grant.bucket_ids is None else _named(state, sorted(grant.bucket_ids))
    if version < 4 and buckets is not None and len(buckets) > 1:
        # Only v4 has a place for several buckets ("Multi-Bucket Application Keys", b2_authorize_account).
        raise unauthorized("Keys for several buckets need b2_authorize_account v4", "unsupported")
    shared = {
        "absoluteMinimumPartSize": rules.MIN_PART,
        "apiUrl": base_url,
        "downloadUrl": base_url,
        "recommendedPartSize": rules.RECOMMENDED_PART,
        "s3ApiUrl": base_url,
    }
    answer: Json = {
        "accountId": state.account_id,
        "authorizationToken": auth.issue(state, auth.ACCOUNT, grant, rules.MAX_TOKEN_SECONDS),
    }
    capabilities = [name for name in rules.CAPABILITIES if grant.may(name)]
    prefix = grant.name_prefix or None
    if version >= 4:
        allowed = {"buckets": buckets, "capabilities": capabilities, "namePrefix": prefix}
        storage = {**shared, "allowed": allowed}
    else:
        only = buckets[0] if buckets else {"id": None, "name": None}
        restriction = {
            "bucketId": only["id"],
            "bucketName": only["name"],
            "capabilities": capabilities,
            "namePrefix": prefix,
        }
        if version < 3:
            old = {"minimumPartSize": rules.RECOMMENDED_PART} if version == 1 else {}
            return answer | shared | old | {"allowed": restriction}
        storage = {**shared, **restriction, "infoType": "storageApi"}
    return answer | {"apiInfo": {"storageApi": storage}, "applicationKeyExpirationTimestamp": expires}


def create_key(call: Call) -> Json:
    call.grant.require_account("writeKeys")
    call.check_account()
    params = call.params
    name = params.text("keyName")
    rules.check_key_name(name)
    # v4 has bucketIds, older versions one bucketId.
    single = params.optional_text("bucketId")
    bucket_ids = params.texts("bucketIds") or ([single] if single else None)
    capabilities = params.texts("capabilities") or []
    rules.check_capabilities(capabilities, restricted=bucket_ids is not None)
    prefix = params.optional_text("namePrefix")
    if prefix and not bucket_ids:
        raise bad_request("namePrefix needs a bucket")
    for bucket_id in bucket_ids or ():
        if call.state.database.row("SELECT 1 FROM buckets WHERE bucket_id = ?", bucket_id) is None:
            raise bad_request(f"Bucket {bucket_id} does not exist", "bad_bucket_id")
    expires = None
    if "validDurationInSeconds" in params:
        expires = call.state.now() + 1000 * params.number("validDurationInSeconds", None, 1, MAX_KEY_SECONDS)
    key_id, secret = add_key(call.state, name, capabilities, bucket_ids, prefix, expires)
    return _key(call, _row(call.state, key_id)) | {"applicationKey": secret}


def add_key(
    state: State,
    name: str,
    capabilities: list[str],
    bucket_ids: list[str] | None = None,
    prefix: str | None = None,
    expires: int | None = None,
) -> tuple[str, str]:
    """Make an application key and return its id and its secret."""
    key_id = f"000{secrets.token_hex(6)}{secrets.randbelow(10**10):010}"
    secret = "K000" + secrets.token_urlsafe(20)
    state.database.run(
        "INSERT INTO keys VALUES (?, ?, ?, 0, ?, ?, ?, ?)",
        key_id,
        secret,
        name,
        json.dumps(capabilities),
        json.dumps(bucket_ids) if bucket_ids else None,
        prefix,
        expires,
    )
    return key_id, secret


def list_keys(call: Call) -> Json:
    call.grant.require_account("listKeys")
    call.check_account()
    count = call.params.number("maxKeyCount", 100, 1, MAX_KEY_COUNT)
    rows = call.state.database.rows(
        "SELECT * FROM keys WHERE NOT is_master AND key_id >= ? ORDER BY key_id LIMIT ?",
        call.params.optional_text("startApplicationKeyId") or "",
        count + 1,
    ).fetchall()
    following = rows[count]["key_id"] if len(rows) > count else None
    return {"keys": [_key(call, row) for row in rows[:count]], "nextApplicationKeyId": following}


def delete_key(call: Call) -> Json:
    call.grant.require_account("deleteKeys")
    row = _row(call.state, call.params.text("applicationKeyId"))
    call.state.database.run("DELETE FROM keys WHERE key_id = ?", row["key_id"])
    return _key(call, row)


def _row(state: State, key_id: str) -> Row:
    row = state.database.row("SELECT * FROM keys WHERE NOT is_master AND key_id = ?", key_id)
    if row is None:
        raise bad_request(f"Application key {key_id} does not exist")
    return row


def _key(call: Call, row: Row) -> Json:
    bucket_ids = json.loads(row["bucket_ids"]) if row["bucket_ids"] else None
    key: Json = {
        "accountId": call.state.account_id,
        "applicationKeyId": row["key_id"],
        "capabilities": json.loads(row["capabilities"]),
        "expirationTimestamp": row["expires"],
        "keyName": row["name"],
        "namePrefix": row["name_prefix"],
        "options": ["s3"],
    }
    if call.version >= 4:
        return key | {"bucketIds": bucket_ids}
    return key | {"bucketId": bucket_ids[0] if bucket_ids else None}


def _named(state: State, bucket_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return the buckets of a key; one that was deleted has no name any more."""
    found = []
    for bucket_id in bucket_ids:
        row = state.database.row("SELECT name FROM buckets WHERE bucket_id = ?", bucket_id)
        found.append({"id": bucket_id, "name": row["name"] if row else None})
    return found
