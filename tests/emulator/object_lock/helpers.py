"""What the tests of object lock share."""

from b2sdk.v3 import RetentionMode

PART = 5_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
GOVERNANCE, COMPLIANCE = RetentionMode.GOVERNANCE, RetentionMode.COMPLIANCE
NOTHING = {"mode": None, "retainUntilTimestamp": None}
HIDDEN = {"isClientAuthorizedToRead": False, "value": None}
BASE = ("listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles")
MODE, RETAIN_UNTIL = "X-Bz-File-Retention-Mode", "X-Bz-File-Retention-Retain-Until-Timestamp"
LEGAL_HOLD, WITHHELD = "X-Bz-File-Legal-Hold", "X-Bz-Client-Unauthorized-To-Read"


def retention(mode, until):
    return {"mode": mode, "retainUntilTimestamp": until}


def lock_headers(mode=None, until=None, hold=None):
    given = {MODE: mode, RETAIN_UNTIL: until, LEGAL_HOLD: hold}
    return {name.replace("-", "_"): str(value) for name, value in given.items() if value is not None}


def set_default(native, bucket_id, mode, duration=1, unit="days"):
    default = {"mode": mode, "period": {"duration": duration, "unit": unit}}
    return native.account_call("b2_update_bucket", bucketId=bucket_id, defaultRetention=default)


def update(client, file, mode, until, **params):
    named = {"fileId": file["fileId"], "fileName": file["fileName"]}
    return client.post("b2_update_file_retention", fileRetention=retention(mode, until), **named, **params)


def hold(client, file, value):
    named = {"fileId": file["fileId"], "fileName": file["fileName"]}
    return client.post("b2_update_file_legal_hold", legalHold=value, **named)


def delete(client, file, **params):
    return client.post("b2_delete_file_version", fileId=file["fileId"], fileName=file["fileName"], **params)


def lock_of(native, file):
    info = native.call("b2_get_file_info", fileId=file["fileId"])
    return info["fileRetention"]["value"], info["legalHold"]["value"]
