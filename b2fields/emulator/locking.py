"""Changing the object lock of a file that exists: its retention, its legal hold."""

from sqlite3 import Row

from b2fields.emulator import buckets, files, locks, rules
from b2fields.emulator.call import Call, Json
from b2fields.emulator.errors import access_denied, bad_request


def update_file_retention(call: Call) -> Json:
    row = _lockable(call, "writeFileRetentions")
    setting = call.params.mapping("fileRetention")
    if setting is None:
        raise bad_request("required field fileRetention is missing")
    now = call.state.now()
    mode, until = locks.clean_retention(setting, now)
    bypass = call.params.flag("bypassGovernance")
    if bypass and not call.grant.may("bypassGovernance"):
        raise access_denied("The application key may not do this: needs bypassGovernance")
    locks.check_change(locks.of(row), mode, until, bypass, now)
    call.state.database.run(
        "UPDATE versions SET retention_mode = ?, retain_until = ? WHERE file_id = ?",
        mode,
        until,
        row["file_id"],
    )
    retention = {"mode": mode, "retainUntilTimestamp": until}
    return {"fileId": row["file_id"], "fileName": row["name"], "fileRetention": retention}


def update_file_legal_hold(call: Call) -> Json:
    row = _lockable(call, "writeFileLegalHolds")
    hold = locks.clean_legal_hold(call.params.text("legalHold"))
    call.state.database.run("UPDATE versions SET legal_hold = ? WHERE file_id = ?", hold, row["file_id"])
    return {"fileId": row["file_id"], "fileName": row["name"], "legalHold": hold}


def _lockable(call: Call, capability: str) -> Row:
    """Return the file that the call names, if its lock can be changed and this key may do so."""
    file_id, name = call.params.text("fileId"), call.params.text("fileName")
    row = files.find(call.state, file_id)
    if row is None or row["name"] != name:
        raise files.not_present(name, file_id)
    # 403 here where other operations answer 401, as these two pages list it; b2sdk tells it as such.
    if not call.grant.may_in(capability, row["bucket_id"], name):
        raise access_denied(f"The application key may not do this: needs {capability} for this file")
    locks.require_enabled(buckets.require(call.state, row["bucket_id"]))
    if row["action"] != files.UPLOAD:
        # Hide markers have no lock; that the lock of an unfinished file cannot be changed is assumed.
        raise bad_request(f"File {file_id} has no object lock: it is no finished upload")
    if rules.header_size(name, files.info(row)) > rules.HEADER_LIMIT_ENCRYPTED:
        # Only a file from before its bucket had the lock can be like this.
        raise bad_request(
            "This operation is not allowed because of the current file metadata size", "metadata_exceeded"
        )
    return row
