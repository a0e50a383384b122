"""Buckets: found by their name, remembered with their type, created if the project says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from b2fields.b2.errors import bucket_missing
from b2fields.exceptions import AccessRefused, NotConfigured
from b2fields.shapes import NewBucket

if TYPE_CHECKING:
    from b2fields.b2.account import Session

# A bucket's type may be changed in Backblaze's console; it is asked again after this many seconds.
_SECONDS = 3600


class Bucket(NamedTuple):
    """A bucket's id and type; the type is None if the key may not see it."""

    id: str
    type: str | None


def look_up(session: Session, name: str, seconds: float = _SECONDS) -> Bucket:
    """Return a bucket as it is remembered for up to so many *seconds*, else by one request."""
    info = session.account_info
    known = info.tokens.bucket(name, seconds)
    if known:
        return Bucket(*known)
    allowed = info.get_allowed()
    if "listBuckets" not in allowed["capabilities"]:
        for bucket in allowed["buckets"] or []:
            if bucket["name"] == name:
                return Bucket(bucket["id"], None)
        raise AccessRefused(
            f"The application key may not look up bucket {name!r}: it lacks the capability "
            "listBuckets. Use a key that has it."
        )
    found = session.list_buckets(info.get_account_id(), bucket_name=name)["buckets"]
    if not found:
        raise bucket_missing(name)
    return _remembered(session, name, found[0])


def create(session: Session, name: str, new: NewBucket) -> Bucket:
    """Create a bucket, or return the one that another thread or process has just created."""
    from b2sdk.v3 import SSE_B2_AES
    from b2sdk.v3.exception import BadRequest, DuplicateBucketName

    info = session.account_info
    lacking = capabilities_for(new) - set(info.get_allowed()["capabilities"])
    if lacking:
        raise AccessRefused(
            f"There is no bucket {name!r}, and the application key may not create it as "
            f"B2FIELDS_CREATE_BUCKET says: it lacks {', '.join(sorted(lacking))}. Create the bucket, or use "
            "another key."
        )
    settings = new._asdict()
    if new.default_server_side_encryption is not None:  # SSE-B2, since it passed
        settings["default_server_side_encryption"] = SSE_B2_AES
    try:
        made = session.create_bucket(info.get_account_id(), name, **settings)
    except DuplicateBucketName:
        # Somebody was faster, or it is the name of another account's bucket, which this one does not see.
        return look_up(session, name)
    except BadRequest as error:
        refusal = error.code
    else:
        return _remembered(session, name, made)
    raise NotConfigured(
        f"B2 refuses to create bucket {name!r} ({refusal}). Correct its name, which has 6 to 63 letters, "
        "digits and hyphens, or the settings in B2FIELDS_CREATE_BUCKET."
    )


def capabilities_for(new: NewBucket) -> set[str]:
    """Return what a key needs to create such a bucket (B2 docs, b2_create_bucket)."""
    needed = {"writeBuckets"}
    if new.default_server_side_encryption is not None:
        needed.add("writeBucketEncryption")
    if new.is_file_lock_enabled is not None:
        needed.add("writeBucketRetentions")
    return needed


def _remembered(session: Session, name: str, found: dict[str, Any]) -> Bucket:
    bucket_id, bucket_type = str(found["bucketId"]), str(found["bucketType"])
    session.account_info.tokens.remember_bucket(name, bucket_id, bucket_type)
    return Bucket(bucket_id, bucket_type)
