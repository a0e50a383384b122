"""What ``b2_check`` finds: whether B2 does what the fields and storages of this project declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from b2fields import usage
from b2fields.b2 import Client, health
from b2fields.b2.health import Condition, Key
from b2fields.exceptions import B2FieldsError, B2Unavailable, BucketMissing, PolicyConflict
from b2fields.roundtrip import FILE_CAPABILITIES, try_round_trip
from b2fields.usage import Use, named


class Finding(NamedTuple):
    """What was tried, and how it went: "ok", "hint", or "wrong" with what to do.

    *bucket* is None for what concerns the key, and *realm* and *key_id* too for what the settings say.
    """

    status: str
    tried: str
    message: str
    realm: str | None = None
    key_id: str | None = None
    bucket: str | None = None


def diagnose(*, round_trip: bool = True) -> Iterator[Finding]:
    """Yield what is found, key by key and bucket by bucket; without *round_trip* nothing is uploaded."""
    uses, faults = usage.collect()
    for message, labels in faults.items():
        yield Finding("wrong", usage.shortened(labels), message)
    silent: set[str] = set()
    for account, buckets in usage.grouped(uses).items():
        # It is told of no bucket to create.
        client = Client(account)
        for finding in _of_account(client, buckets, silent, round_trip):
            yield finding._replace(realm=account.realm, key_id=account.key_id)


def _of_account(
    client: Client, buckets: list[list[Use]], silent: set[str], round_trip: bool
) -> Iterator[Finding]:
    realm = client.account.realm
    if realm in silent:
        yield Finding("wrong", "authorize", "Not tried: this realm gave no answer for another key.")
        return
    try:
        key = health.authorize(client, buckets[0][0].storage.bucket)
    except B2FieldsError as error:
        if isinstance(error, B2Unavailable):
            silent.add(realm)
        yield Finding("wrong", "authorize", str(error))
        return
    yield Finding("ok", "authorize", "B2 takes this key.")
    yield _capabilities(key, [use for uses in buckets for use in uses])
    for uses in buckets:
        for finding in _of_bucket(client, key, uses, round_trip):
            yield finding._replace(bucket=uses[0].storage.bucket)


def _capabilities(key: Key, uses: list[Use]) -> Finding:
    needed = [*FILE_CAPABILITIES]
    if all(use.storage.is_hiding for use in uses):
        needed.remove("deleteFiles")
    # Else nobody knows the type of a bucket, and a key for the whole account not even its id.
    if key.buckets is None or any(use.storage.level != "public" for use in uses):
        needed.insert(0, "listBuckets")
    if key.needs_token and any(use.storage.delivery != "proxy" for use in uses):
        needed.append("shareFiles")
    lacking = [name for name in needed if name not in key.capabilities]
    if lacking:
        message = f"This key lacks {', '.join(lacking)}. Use one that has {', '.join(needed)}."
        return Finding("wrong", "capabilities", message)
    return Finding("ok", "capabilities", f"{', '.join(needed)}.")


def _of_bucket(client: Client, key: Key, uses: list[Use], round_trip: bool) -> Iterator[Finding]:
    name = uses[0].storage.bucket
    if key.buckets is not None and name.lower() not in key.buckets:
        only = ", ".join(sorted(key.buckets)) or "buckets that were deleted"
        yield Finding(
            "wrong",
            "bucket",
            f"This key is restricted to {only}, so that {named(uses)} cannot store in {name!r}. Use a key "
            "that may, or correct the bucket's name.",
        )
        return
    try:
        condition = health.look_up(client, name)
    except BucketMissing as error:
        yield _missing(key, uses, error)
        return
    except B2FieldsError as error:
        yield Finding("wrong", "bucket", str(error))
        return
    kind = condition.type or "its type is not for this key to see"
    yield Finding("ok", "bucket", f"It exists ({kind}), for {named(uses)}.")
    policy = _policy(uses)
    yield policy
    yield from _names(key, uses)
    if condition.type is not None:
        yield from _lifecycle(condition, uses)
    if round_trip:
        if policy.status == "wrong":
            yield Finding("hint", "round trip", "Left out: nothing is uploaded against the declared access.")
        else:
            for trial in try_round_trip(key, condition, uses):
                yield Finding(*trial)


def _missing(key: Key, uses: list[Use], error: BucketMissing) -> Finding:
    creating = [use.storage for use in uses if use.storage.create_bucket]
    try:
        new = creating[0].new_bucket() if creating else None
    except PolicyConflict as conflict:
        return Finding("wrong", "bucket", str(conflict))
    if new is None:
        return Finding("wrong", "bucket", str(error))
    lacking = sorted(health.lacking_to_create(key, new))
    if lacking:
        return Finding(
            "wrong",
            "bucket",
            f"It is missing, and this key lacks {', '.join(lacking)} to create it as B2FIELDS_CREATE_BUCKET "
            "says. Create it, or use another key.",
        )
    return Finding(
        "hint",
        "bucket",
        f"It is missing. The first upload creates it as {new.bucket_type} (B2FIELDS_CREATE_BUCKET).",
    )


def _policy(uses: list[Use]) -> Finding:
    refused: list[Use] = []
    message = ""
    for use in uses:
        try:
            use.storage.check_policy(create=False)
        except B2FieldsError as error:
            refused.append(use)
            message = message or str(error)
    if not refused:
        levels = ", ".join(sorted({use.storage.level for use in uses}))
        return Finding("ok", "policy", f"The bucket's type fits the access ({levels}).")
    if refused[1:]:
        message += f" The same is wrong with {named(refused[1:])}."
    return Finding("wrong", "policy", message)


def _names(key: Key, uses: list[Use]) -> Iterator[Finding]:
    """Compare the prefix that a key is restricted to with the names that are stored."""
    outside = [use for use in uses if not use.prefix.startswith(key.prefix)]
    # What a callable upload_to returns, only the project knows.
    unknown = [use for use in outside if use.is_callable and key.prefix.startswith(use.prefix)]
    if refused := [use for use in outside if use not in unknown]:
        yield Finding(
            "wrong",
            "names",
            f"This key is restricted to names that begin with {key.prefix!r}, and those of {named(refused)} "
            "do not. Set B2FIELDS_LOCATION or upload_to so that they do, or use another key.",
        )
    if unknown:
        yield Finding(
            "hint",
            "names",
            f"This key is restricted to names that begin with {key.prefix!r}: see to it that those which "
            f"the upload_to of {named(unknown)} returns do.",
        )


def _lifecycle(condition: Condition, uses: list[Use]) -> Iterator[Finding]:
    for rule in condition.rules:
        days, prefix = rule.get("daysFromUploadingToHiding"), rule["fileNamePrefix"]
        if days is None:
            continue
        hides = (
            f"A lifecycle rule hides files whose names begin with {prefix!r} {days} days after their upload"
        )
        if taken := [use for use in uses if use.prefix.startswith(prefix)]:
            yield Finding(
                "wrong",
                "lifecycle",
                f"{hides}, so those of {named(taken)}, though rows still name them. Remove the rule, or "
                "restrict it to other names.",
            )
        elif perhaps := [use for use in uses if prefix.startswith(use.prefix)]:
            message = f"{hides}: see to it that no file of {named(perhaps)} is called so."
            yield Finding("hint", "lifecycle", message)
    ending = [rule["fileNamePrefix"] for rule in condition.rules if rule.get("daysFromHidingToDeleting")]
    kept = [use for use in uses if use.storage.is_hiding and not use.prefix.startswith(tuple(ending))]
    if kept:
        yield Finding(
            "hint",
            "lifecycle",
            f"Files of {named(kept)} are only hidden (B2FIELDS_DELETE), and no lifecycle rule ends that: "
            "they stay, and cost. Give the bucket a rule with daysFromHidingToDeleting.",
        )
