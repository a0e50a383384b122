"""Buckets: create, list, update, delete."""

import json
import secrets
from sqlite3 import Row

from b2fields.emulator import cors, encryption, locks, rules
from b2fields.emulator.auth import Grant
from b2fields.emulator.call import Call, Json, readable
from b2fields.emulator.errors import B2Error, bad_request, conflict, not_emulated, unauthorized
from b2fields.emulator.state import State

NO_SETTINGS: Json = {
    "bucketInfo": {},
    "corsRules": [],
    "lifecycleRules": [],
    "encryption": encryption.AUTOMATIC,
    "lock": locks.NOT_ENABLED,
}


def create(state: State, name: str, kind: str, settings: Json | None = None) -> Row:
    """Make a bucket and return its row."""
    rules.check_bucket_name(name)
    rules.check_bucket_type(kind)
    database = state.database
    with database.transaction():
        # Names are unique without regard to case ("Buckets"), over all of B2; here there is one account only.
        if by_name(state, name):
            raise bad_request(f"Bucket name {name} is already in use", "duplicate_bucket_name")
        count = database.row("SELECT count(*) AS count FROM buckets")
        if count is not None and count["count"] >= rules.MAX_BUCKETS:
            raise bad_request(f"The account has {rules.MAX_BUCKETS} buckets already", "too_many_buckets")
        bucket_id = secrets.token_hex(12)
        database.run(
            "INSERT INTO buckets VALUES (?, ?, ?, ?, 1, ?)",
            bucket_id,
            name,
            name.lower(),
            kind,
            json.dumps(NO_SETTINGS | (settings or {})),
        )
    return require(state, bucket_id)


def by_name(state: State, name: str) -> Row | None:
    return state.database.row("SELECT * FROM buckets WHERE folded_name = ?", name.lower())


def require(state: State, bucket_id: str) -> Row:
    """Return a bucket's row, or raise B2's 400."""
    row = state.database.row("SELECT * FROM buckets WHERE bucket_id = ?", bucket_id)
    if row is None:
        raise bad_bucket(bucket_id)
    return row


def bad_bucket(bucket_id: str) -> B2Error:
    return bad_request(f"Bucket {bucket_id} does not exist", "bad_bucket_id")


def create_bucket(call: Call) -> Json:
    call.grant.require_account("writeBuckets")
    call.check_account()
    settings = _settings(call, NO_SETTINGS)
    row = create(call.state, call.params.text("bucketName"), call.params.text("bucketType"), settings)
    return to_json(call, row)


def list_buckets(call: Call) -> Json:
    call.check_account()
    bucket_id = call.params.optional_text("bucketId")
    name = call.params.optional_text("bucketName")
    if bucket_id or name:
        rows = call.state.database.rows(
            "SELECT * FROM buckets WHERE bucket_id = ? OR folded_name = ?", bucket_id, (name or "").lower()
        ).fetchall()
        # A key that is bound to buckets has to name one of them ("Application Keys").
        if not call.grant.may("listBuckets") or (
            call.grant.bucket_ids is not None
            and not any(row["bucket_id"] in call.grant.bucket_ids for row in rows)
        ):
            raise unauthorized("The application key may not list this bucket")
    else:
        call.grant.require_account("listBuckets")
        rows = call.state.database.rows("SELECT * FROM buckets ORDER BY folded_name").fetchall()
    kinds = call.params.texts("bucketTypes") or ["all"]
    return {"buckets": [to_json(call, row) for row in rows if "all" in kinds or row["type"] in kinds]}


def update_bucket(call: Call) -> Json:
    call.check_account()
    bucket_id = call.params.text("bucketId")
    call.grant.require_bucket("writeBuckets", bucket_id)
    row = require(call.state, bucket_id)
    kind = call.params.optional_text("bucketType") or row["type"]
    rules.check_bucket_type(kind)
    revision = call.params.number("ifRevisionIs", row["revision"], 0, 2**53)
    if revision != row["revision"]:
        raise conflict(f"The bucket is at revision {row['revision']}, not {revision}")
    settings = json.loads(row["settings"])
    call.state.database.run(
        "UPDATE buckets SET type = ?, settings = ?, revision = revision + 1 WHERE bucket_id = ?",
        kind,
        json.dumps(settings | _settings(call, settings)),
        bucket_id,
    )
    return to_json(call, require(call.state, bucket_id))


def delete_bucket(call: Call) -> Json:
    call.check_account()
    bucket_id = call.params.text("bucketId")
    call.grant.require_bucket("deleteBuckets", bucket_id)
    row = require(call.state, bucket_id)
    # Hidden files and unfinished large files count: each is a version.
    if call.state.database.row("SELECT 1 FROM versions WHERE bucket_id = ?", bucket_id):
        raise bad_request("Only empty buckets can be deleted", "cannot_delete_non_empty_bucket")
    call.state.database.run("DELETE FROM buckets WHERE bucket_id = ?", bucket_id)
    return to_json(call, row)


def _settings(call: Call, current: Json) -> Json:
    """Return the settings that the call gives, checked, as they are stored."""
    params = call.params
    settings: Json = {"lock": locks.clean_bucket_lock(current["lock"], params, call.grant)}
    if params.mapping("replicationConfiguration"):
        raise not_emulated("Replication")
    if (info := params.mapping("bucketInfo")) is not None:
        if not all(isinstance(value, str) for value in info.values()):
            raise bad_request("bucketInfo must map strings to strings")
        for key, value in info.items():
            if key.lower() == "cache-control":
                rules.check_standard_header("cache-control", value)
        settings["bucketInfo"] = info
    if (cors_rules := params.objects("corsRules")) is not None:
        settings["corsRules"] = cors.clean_rules(cors_rules)
    if (lifecycle := params.objects("lifecycleRules")) is not None:
        settings["lifecycleRules"] = rules.clean_lifecycle(lifecycle)
    if (default := params.mapping("defaultServerSideEncryption")) is not None:
        if not call.grant.may("writeBucketEncryption"):
            raise unauthorized("The application key may not do this: needs writeBucketEncryption")
        settings["encryption"] = encryption.clean_bucket_default(default)
    return settings


def to_json(call: Call, row: Row) -> Json:
    """Return the bucket as answers show it, without what this key may not read."""
    grant: Grant = call.grant
    settings = json.loads(row["settings"])
    return {
        "accountId": call.state.account_id,
        "bucketId": row["bucket_id"],
        "bucketInfo": settings["bucketInfo"],
        "bucketName": row["name"],
        "bucketType": row["type"],
        "corsRules": settings["corsRules"],
        "defaultServerSideEncryption": readable(
            encryption.shown(settings["encryption"]), grant.may("readBucketEncryption")
        ),
        "fileLockConfiguration": readable(settings["lock"], grant.may("readBucketRetentions")),
        "lifecycleRules": settings["lifecycleRules"],
        "options": ["s3"],
        "replicationConfiguration": readable(None, grant.may("readBucketReplications")),
        "revision": row["revision"],
    }
