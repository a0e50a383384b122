"""Server-side encryption: what a request asks for, and which key opens a file ("Server-Side Encryption").

It shows in answers and is enforced, but the bytes on disk are not encrypted: who can read the data directory
can read them. A customer's key (SSE-C) is never kept. A salted hash of it is, as on the real service
("Server-Side Encryption FAQ"): it knows the key when it comes again and yields nothing else.

A *setting* is an object like ``serverSideEncryption`` as requests have it; what is *kept* of it is another.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from sqlite3 import Row

from b2fields.emulator.call import Json
from b2fields.emulator.errors import access_denied, bad_request
from b2fields.emulator.params import Params

SSE_B2, SSE_C = "SSE-B2", "SSE-C"
ALGORITHM = "AES256"
KEY_LENGTH = 32
SALT_LENGTH = 16
NONE: Json = {"mode": None, "algorithm": None}
# What a bucket has unless it was told otherwise ("Use Server-Side Encryption with the B2 Native API").
AUTOMATIC: Json = {"mode": SSE_B2, "algorithm": ALGORITHM, "is_automatic": True}
HEADER = "x-bz-server-side-encryption"
CUSTOMER_ALGORITHM = f"{HEADER}-customer-algorithm"
CUSTOMER_KEY = f"{HEADER}-customer-key"
CUSTOMER_KEY_MD5 = f"{HEADER}-customer-key-md5"


def in_headers(headers: Mapping[str, str]) -> Json | None:
    """Return the setting that the headers of an upload are."""
    algorithm, customer = headers.get(HEADER), customer_in_headers(headers)
    if algorithm is None:
        return customer
    if customer is not None:
        raise bad_request(f"A file is encrypted with {SSE_B2} or with {SSE_C}, not with both")
    return {"mode": SSE_B2, "algorithm": algorithm}


def customer_in_headers(headers: Mapping[str, str]) -> Json | None:
    """Return the setting that the headers of a download or of a part are: SSE-C or nothing."""
    names = {
        "algorithm": CUSTOMER_ALGORITHM,
        "customerKey": CUSTOMER_KEY,
        "customerKeyMd5": CUSTOMER_KEY_MD5,
    }
    given = {field: headers[name] for field, name in names.items() if name in headers}
    return {"mode": SSE_C, **given} if given else None


def clean(setting: Json) -> Json:
    """Return what is kept of a setting."""
    params = Params(setting)
    mode, algorithm = params.optional_text("mode"), params.optional_text("algorithm")
    if mode in (None, "none"):
        return NONE
    if mode not in (SSE_B2, SSE_C) or algorithm != ALGORITHM:
        raise bad_request(f"Server-side encryption must be {SSE_B2} or {SSE_C}, with {ALGORITHM}")
    kept: Json = {"mode": mode, "algorithm": algorithm}
    if (key := customer_key(setting)) is not None:
        salt = secrets.token_bytes(SALT_LENGTH)
        kept |= {"salt": salt.hex(), "hash": _hash(key, salt)}
    return kept


def clean_bucket_default(setting: Json) -> Json:
    """Return what is kept of a bucket's default: without a mode, that which every bucket has.

    SSE-C cannot be one, as its key comes with each request.
    """
    if setting.get("mode") == SSE_C:
        raise bad_request(f"{SSE_C} cannot be the default of a bucket")
    kept = clean(setting)
    return kept if kept["mode"] else AUTOMATIC


def is_automatic(kept: Json) -> bool:
    """Tell whether nobody asked for what is kept of a file's encryption."""
    return bool(kept.get("is_automatic"))


def customer_key(setting: Json | None) -> bytes | None:
    """Return the customer's key that a setting of SSE-C holds."""
    if not setting or setting.get("mode") != SSE_C:
        return None
    params = Params(setting)
    if params.optional_text("algorithm") != ALGORITHM:
        raise bad_request(f"The algorithm of {SSE_C} must be {ALGORITHM}")
    try:
        key = base64.b64decode(params.optional_text("customerKey") or "", validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_LENGTH:
        raise bad_request(f"The customer's key must be {KEY_LENGTH} bytes in base64")
    if params.optional_text("customerKeyMd5") != _md5(key):
        raise bad_request("The MD5 of the customer's key, in base64, must come with the key and match it")
    return key


def _md5(key: bytes) -> str:
    return base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()


def _hash(key: bytes, salt: bytes) -> str:
    return hashlib.blake2b(key, salt=salt, digest_size=32).hexdigest()


def shown(kept: Json) -> Json:
    """Return what is kept of an encryption as answers show it."""
    return {"mode": kept["mode"], "algorithm": kept["algorithm"]}


def of(row: Row) -> Json:
    """Return what is kept of a version's encryption; hide markers have none."""
    kept: Json = json.loads(row["encryption"]) if row["encryption"] else NONE
    return kept


def check_key(row: Row, setting: Json | None) -> bytes | None:
    """Return the customer's key that opens a version, None if it needs none, or refuse the request.

    Status, code and the message on a missing key are those that the integration tests of the ``b2`` command
    line tool met at the real service (test_b2_command_line.py, sse_c_test). That a key for a file without
    SSE-C is refused is assumed, from S3.
    """
    key = customer_key(setting)
    found = of(row)
    if found["mode"] != SSE_C:
        if key is not None:
            raise bad_request("The encryption parameters are not applicable to this object.")
    elif key is None:
        raise bad_request(
            "The object was stored using a form of Server Side Encryption."
            " The correct parameters must be provided to retrieve the object."
        )
    elif not secrets.compare_digest(_hash(key, bytes.fromhex(found["salt"])), str(found["hash"])):
        raise access_denied("The provided customer-managed encryption key is wrong")
    return key


def headers(row: Row, key: bytes | None) -> dict[str, str]:
    """Return the headers of a download of a version, opened by *key*."""
    if key is not None:
        return {CUSTOMER_ALGORITHM: ALGORITHM, CUSTOMER_KEY_MD5: _md5(key)}
    return {HEADER: ALGORITHM} if of(row)["mode"] == SSE_B2 else {}
