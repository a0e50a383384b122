"""Object lock: what a version's retention and legal hold are, and what they forbid ("Object Lock").

Error codes that the pages do not name are those that the integration tests of the ``b2`` command line tool
and of b2sdk meet at the real service (test_b2_command_line.py: file_lock_test, deleting_locked_files).
"""

import json
from collections.abc import Mapping
from sqlite3 import Row
from typing import NamedTuple

from b2fields.emulator.auth import Grant
from b2fields.emulator.call import Json, readable
from b2fields.emulator.errors import B2Error, access_denied, bad_request, unauthorized
from b2fields.emulator.params import Params

GOVERNANCE, COMPLIANCE = "governance", "compliance"
DAY = 86_400_000  # milliseconds
DAYS = {"days": 1, "years": 365}  # of a unit; that a year has 365 is assumed
# "Object Lock": from 1 to 3,000 days. It is assumed to bound the time of a file like the default of a bucket.
MAX_DAYS = 3_000
NO_RETENTION: Json = {"mode": None, "period": None}
NOT_ENABLED: Json = {"isFileLockEnabled": False, "defaultRetention": NO_RETENTION}

MODE = "X-Bz-File-Retention-Mode"
RETAIN_UNTIL = "X-Bz-File-Retention-Retain-Until-Timestamp"
LEGAL_HOLD = "X-Bz-File-Legal-Hold"
UNAUTHORIZED = "X-Bz-Client-Unauthorized-To-Read"


class Lock(NamedTuple):
    """Retention (mode and end in milliseconds, or neither) and legal hold ("on", "off" or never set)."""

    mode: str | None = None
    retain_until: int | None = None
    legal_hold: str | None = None


NO_LOCK = Lock()


def of(row: Row) -> Lock:
    return Lock(row["retention_mode"], row["retain_until"], row["legal_hold"])


def in_headers(headers: Mapping[str, str], now: int) -> Lock:
    """Return the lock that the headers of b2_upload_file ask for."""
    retention = {"mode": headers.get(MODE.lower()), "retainUntilTimestamp": headers.get(RETAIN_UNTIL.lower())}
    # Null is no word for a header: "None", as b2sdk spells it there, is refused (FileRetentionSetting).
    given = any(value is not None for value in retention.values())
    mode, until = clean_retention(retention, now) if given else (None, None)
    if given and mode is None:
        raise bad_request(f"{MODE} must be {GOVERNANCE} or {COMPLIANCE}")
    hold = headers.get(LEGAL_HOLD.lower())
    return Lock(mode, until, None if hold is None else clean_legal_hold(hold))


def in_json(params: Params, now: int) -> Lock:
    """Return the lock that b2_start_large_file or b2_copy_file asks for."""
    mode, until = clean_retention(params.mapping("fileRetention") or {}, now)
    hold = params.optional_text("legalHold")
    return Lock(mode, until, None if hold is None else clean_legal_hold(hold))


def clean_retention(setting: Json, now: int) -> tuple[str | None, int | None]:
    """Return mode and end of a file's retention, or None twice if the setting says that there is none."""
    params = Params(setting)
    mode = params.optional_text("mode")
    if mode in (None, "none"):
        if "retainUntilTimestamp" in params:
            raise bad_request("retainUntilTimestamp needs a mode")
        return None, None
    if mode not in (GOVERNANCE, COMPLIANCE):
        raise bad_request(f"Invalid retention mode {mode}: must be {GOVERNANCE} or {COMPLIANCE}")
    until = params.number("retainUntilTimestamp", None, 0, 2**53)
    if until <= now:
        raise bad_request(
            "The retainUntilTimestamp must be in future", "retain_until_timestamp_must_be_in_future"
        )
    if until > now + MAX_DAYS * DAY:
        raise bad_request(f"The retainUntilTimestamp must be at most {MAX_DAYS} days away")
    return mode, until


def clean_legal_hold(hold: str) -> str:
    if hold not in ("on", "off"):
        raise bad_request("The legal hold must be on or off")
    return hold


def settings_of(bucket: Row) -> Json:
    """Return a bucket's setting of object lock, of the shape that answers show."""
    lock: Json = json.loads(bucket["settings"])["lock"]
    return lock


def require_enabled(bucket: Row) -> None:
    if not settings_of(bucket)["isFileLockEnabled"]:
        raise _not_enabled()


def _not_enabled() -> B2Error:
    return bad_request("The bucket is not file lock enabled", "bucket_missing_file_lock")


def clean_bucket_lock(current: Json, params: Params, grant: Grant) -> Json:
    """Return a bucket's setting after a call that may enable the lock and may set the default retention."""
    enabled: bool = current["isFileLockEnabled"]
    default = params.mapping("defaultRetention")
    wanted = params.flag("fileLockEnabled")
    if (wanted or default is not None) and not grant.may("writeBucketRetentions"):
        raise unauthorized("The application key may not do this: needs writeBucketRetentions")
    if enabled and "fileLockEnabled" in params and not wanted:
        # b2sdk knows the code, and an older service by the message (exception.py, interpret_b2_error).
        raise bad_request(
            "fileLockEnabled value of false is not allowed when bucket is already file lock enabled.",
            "file_lock_conflict",
        )
    enabled = enabled or wanted
    retention = current["defaultRetention"] if default is None else _clean_default(default)
    if retention["mode"] and not enabled:
        raise _not_enabled()
    return {"isFileLockEnabled": enabled, "defaultRetention": retention}


def _clean_default(setting: Json) -> Json:
    params = Params(setting)
    mode, period = params.optional_text("mode"), Params(params.mapping("period") or {})
    if mode in (None, "none"):
        return NO_RETENTION
    if mode not in (GOVERNANCE, COMPLIANCE):
        raise bad_request(f"Invalid retention mode {mode}: must be {GOVERNANCE} or {COMPLIANCE}")
    unit = period.text("unit")
    if unit not in DAYS:
        raise bad_request("The unit of a retention period must be days or years")
    duration = period.number("duration", None, 1, MAX_DAYS // DAYS[unit])
    return {"mode": mode, "period": {"duration": duration, "unit": unit}}


def check_new(lock: Lock, grant: Grant, bucket: Row) -> None:
    """Refuse a new file's lock that the key may not set, or that the bucket does not know.

    The capabilities come first: a key without them learns nothing about the bucket.
    """
    if lock.mode and not grant.may("writeFileRetentions"):
        raise unauthorized("The application key may not do this: needs writeFileRetentions")
    if lock.legal_hold and not grant.may("writeFileLegalHolds"):
        raise unauthorized("The application key may not do this: needs writeFileLegalHolds")
    if lock != NO_LOCK:
        require_enabled(bucket)


def with_default(lock: Lock, bucket: Row, uploaded: int) -> Lock:
    """Return the *lock* of a new file with the bucket's default retention, unless it has one of its own.

    The time counts from the upload timestamp, which for a large file is that of its start (assumed).
    """
    default = settings_of(bucket)["defaultRetention"]
    if lock.mode or not default["mode"]:
        return lock
    days = default["period"]["duration"] * DAYS[default["period"]["unit"]]
    return lock._replace(mode=default["mode"], retain_until=uploaded + days * DAY)


def _retains(lock: Lock, mode: str, now: int) -> bool:
    return lock.mode == mode and lock.retain_until is not None and lock.retain_until > now


def check_change(current: Lock, mode: str | None, until: int | None, bypass: bool, now: int) -> None:
    """Refuse a change of retention that the current one forbids.

    Compliance can only be prolonged. Governance can be prolonged, or turned into compliance, and shortened or
    taken away by who may bypass it ("Object Lock"; the command line tool's "File Update").
    """
    weaker = until is None or current.retain_until is None or until < current.retain_until
    if _retains(current, COMPLIANCE, now) and (weaker or mode != COMPLIANCE):
        raise access_denied("Compliance retention can only be prolonged")
    if _retains(current, GOVERNANCE, now) and weaker and not bypass:
        raise access_denied("To shorten or remove governance retention needs bypassGovernance")


def check_deletion(lock: Lock, bypass: bool, now: int) -> None:
    """Refuse to delete a version that is held or retained.

    With 401, not 403: Unauthorized is what b2sdk's test_raw_api.py expects at the real service, and "Access
    Denied" the message that the command line tool does.
    """
    if (
        lock.legal_hold == "on"
        or _retains(lock, COMPLIANCE, now)
        or (_retains(lock, GOVERNANCE, now) and not bypass)
    ):
        raise unauthorized("Access Denied", "access_denied")


def to_json(lock: Lock, grant: Grant) -> Json:
    """Return the two fields that answers show, without what this key may not read."""
    retention = {"mode": lock.mode, "retainUntilTimestamp": lock.retain_until}
    return {
        "fileRetention": readable(retention, grant.may("readFileRetentions")),
        "legalHold": readable(lock.legal_hold, grant.may("readFileLegalHolds")),
    }


def headers(lock: Lock, bucket: Row, grant: Grant | None) -> dict[str, str]:
    """Return the headers of a download; *grant* is of the account token it came with, if any.

    Who may not read one is told its name, whether it is set or not. That this goes for downloads without a
    token, and with a download authorization, is assumed.
    """
    if not settings_of(bucket)["isFileLockEnabled"]:
        return {}
    found: dict[str, str] = {}
    withheld: list[str] = []
    if grant is None or not grant.may("readFileRetentions"):
        withheld += [MODE, RETAIN_UNTIL]
    elif lock.mode:
        found |= {MODE.lower(): lock.mode, RETAIN_UNTIL.lower(): str(lock.retain_until)}
    if grant is None or not grant.may("readFileLegalHolds"):
        withheld.append(LEGAL_HOLD)
    elif lock.legal_hold:
        found[LEGAL_HOLD.lower()] = lock.legal_hold
    if withheld:
        found[UNAUTHORIZED.lower()] = ",".join(withheld)
    return found
