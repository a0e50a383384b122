"""The SDK's errors in our words."""

from __future__ import annotations

from b2fields.exceptions import (
    AccessRefused,
    B2TimedOut,
    B2Unavailable,
    BucketMissing,
    CapExceeded,
    FileMissing,
)

_OTHER_KEY = (
    "B2 opens {} only with the customer's key it was stored with (SSE-C), and with none if it was stored "
    "without. Check B2FIELDS_ENCRYPTION, or the storage's option encryption."
)
_START_EMULATOR = "Try again later, or start the emulator: manage.py b2_emulator."


def bucket_missing(name: str) -> BucketMissing:
    return BucketMissing(
        f"This application key sees no bucket {name!r}. Create it, correct the field's bucket argument, "
        "B2FIELDS_BUCKETS or B2FIELDS_BUCKET, or use a key that may read it."
    )


def file_missing(bucket: str, name: str) -> FileMissing:
    return FileMissing(f"There is no {name!r} in bucket {bucket!r}.")


def not_found() -> type[Exception]:
    """Return the SDK's class of every answer 404, which its public module does not name."""
    from b2sdk.v3.exception import interpret_b2_error

    return type(interpret_b2_error(404, None, None, {}))


def translated(error: Exception, realm: str, bucket: str, name: str | None) -> Exception | None:
    """Return our error for one of the SDK's, or None to let *error* pass.

    That a file is missing is not told here: only who asked for a file knows what a 404 is about.
    """
    import requests
    from b2sdk.v3 import exception as b2

    what = f"bucket {bucket!r}" if name is None else f"{name!r} in bucket {bucket!r}"
    match error:
        case b2.MaxRetriesExceeded() if error.exception_info_list:
            return translated(error.exception_info_list[-1], realm, bucket, name)
        case b2.BucketIdNotFound() | b2.NonExistentBucket():
            return bucket_missing(bucket)
        case b2.SSECKeyError():
            return AccessRefused(_OTHER_KEY.format(what))
        case b2.BadRequest() if "encryption" in str(error).lower():
            return AccessRefused(_OTHER_KEY.format(what))
        case b2.Unauthorized() | b2.AccessDenied() | b2.RestrictedBucket():
            return AccessRefused(
                f"B2 refuses {what} to this application key. Check B2FIELDS_APPLICATION_KEY_ID and "
                "B2FIELDS_APPLICATION_KEY, that the key has not expired, and that it may use this bucket."
            )
        case b2.CapExceeded() | b2.UnknownError() if "cap" in type(error).__name__.lower() + str(error):
            return CapExceeded(f"B2 refuses {what}: the account reached a cap. Raise it at Backblaze.")
        case b2.B2RequestTimeout() | b2.RequestTimeout() | requests.Timeout():
            return B2TimedOut(
                f"B2 did not answer for {what} in time (B2FIELDS_READ_TIMEOUT, B2FIELDS_DEADLINE). "
                "Try again later."
            )
        # A KeyError or ValueError of the SDK: the answer lacked a field, or was no JSON.
        case b2.B2Error() | requests.RequestException() | KeyError() | ValueError():
            # B2 itself is never reached without TLS.
            remedy = _START_EMULATOR if realm.startswith("http://") else "Try again later."
            return B2Unavailable(
                f"B2 gave no usable answer for {what} ({type(error).__name__}). Is {realm!r} the "
                f"right B2FIELDS_REALM, and is it up? {remedy}"
            )
    return None
