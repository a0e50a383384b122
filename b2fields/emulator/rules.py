"""B2's limits and the syntax of its names, as pure functions that raise the error B2 would answer.

Sources are pages of B2's documentation, named where the rule stands.
"""

import mimetypes
import re
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote_plus

from b2fields.emulator.errors import bad_request
from b2fields.emulator.params import is_unicode

MEBI = 1024 * 1024
MAX_SINGLE_FILE = 5 * 1024 * MEBI  # "Files": 5 GiB in one upload
MAX_COPY = 5_000_000_000  # b2_copy_file: the result must be smaller than 5 GB
MIN_PART = 5_000_000  # "Large Files": every part but the last
MAX_PART = 5_000_000_000
RECOMMENDED_PART = 100_000_000
MAX_PART_NUMBER = 10_000
MAX_BUCKETS = 100
MAX_RULES = 100  # lifecycle rules of a bucket
BUCKET_TYPES = ("allPublic", "allPrivate")
HEADER_LIMIT = 7_000  # b2_upload_file: name and info together
HEADER_LIMIT_ENCRYPTED = 2_048  # and for any file in a bucket with object lock
MAX_TOKEN_SECONDS = 86_400  # b2_authorize_account: "at most 24 hours"
MAX_SHARE_SECONDS = 604_800  # b2_get_download_authorization: a week

CAPABILITIES = (
    *("listKeys", "writeKeys", "deleteKeys"),
    *("listBuckets", "listAllBucketNames", "readBuckets", "writeBuckets", "deleteBuckets"),
    *("readBucketEncryption", "writeBucketEncryption", "readBucketRetentions", "writeBucketRetentions"),
    *("readFileRetentions", "writeFileRetentions", "readFileLegalHolds", "writeFileLegalHolds"),
    *("readBucketReplications", "writeBucketReplications", "bypassGovernance"),
    *("listFiles", "readFiles", "shareFiles", "writeFiles", "deleteFiles"),
    *("readBucketNotifications", "writeBucketNotifications"),
)
# A key that is bound to buckets may not make or unmake keys, or it could free itself of its bounds.
ACCOUNT_CAPABILITIES = frozenset({"listKeys", "writeKeys", "deleteKeys"})

# Info that becomes a header of the download ("Add File Information with the Native API").
STANDARD_HEADERS = {
    "b2-content-disposition": "content-disposition",
    "b2-content-language": "content-language",
    "b2-expires": "expires",
    "b2-cache-control": "cache-control",
    "b2-content-encoding": "content-encoding",
}
# The same as parameters of a download (b2_download_file_by_name).
OVERRIDES = {
    "b2ContentDisposition": "content-disposition",
    "b2ContentLanguage": "content-language",
    "b2Expires": "expires",
    "b2CacheControl": "cache-control",
    "b2ContentEncoding": "content-encoding",
    "b2ContentType": "content-type",
}

_BUCKET_NAME = re.compile(r"[A-Za-z0-9-]{6,63}")
_KEY_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_INFO_KEY = re.compile(r"[A-Za-z0-9\-_.`~!#$%^&*'|+]{1,50}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+( *;[\x20-\x7e]*)?")
_LANGUAGES = re.compile(r"[A-Za-z0-9-]+( *, *[A-Za-z0-9-]+)*")
# Python's own table only: the one of the machine would make the answer depend on the machine.
_TYPES = mimetypes.MimeTypes(filenames=())


def check_bucket_name(name: str) -> None:
    """Apply the page "Buckets": 6 to 63 letters, digits and hyphens; ``b2-`` is Backblaze's own."""
    if not _BUCKET_NAME.fullmatch(name) or name.lower().startswith("b2-"):
        raise bad_request(
            f"Invalid bucket name {name!r}: 6 to 63 letters, digits and hyphens, not beginning with b2-"
        )


def check_bucket_type(kind: str) -> None:
    if kind not in BUCKET_TYPES:
        raise bad_request(f"Invalid bucketType {kind!r}: must be one of {', '.join(BUCKET_TYPES)}")


def check_file_name(name: str) -> None:
    """Apply the page "Files": 1 to 1024 bytes of UTF-8 without control characters.

    Older editions also refused backslashes, empty segments and long ones; the service has since let them in
    (rclone's documentation of B2 dates the backslash to May 2020).
    """
    if not 1 <= len(name.encode()) <= 1024:
        raise bad_request("File names must be 1 to 1024 bytes of UTF-8")
    if any(character < " " or character == "\x7f" for character in name):
        raise bad_request("File names must not contain control characters")


def check_key_name(name: str) -> None:
    if not _KEY_NAME.fullmatch(name):
        raise bad_request("keyName must be 1 to 100 letters, digits and hyphens")


def check_capabilities(capabilities: list[str], restricted: bool) -> None:
    unknown = [name for name in capabilities if name not in CAPABILITIES]
    if unknown or not capabilities:
        raise bad_request(f"Invalid capabilities: {', '.join(unknown) or 'none given'}")
    if restricted and ACCOUNT_CAPABILITIES.intersection(capabilities):
        raise bad_request("A key that is restricted to buckets cannot have capabilities for keys")


def check_sha1(value: str) -> None:
    if not _SHA1.fullmatch(value):
        raise bad_request("A SHA-1 must be 40 lower-case hexadecimal digits")


def check_standard_header(name: str, value: str) -> None:
    """Check the *value* of a header that a download will carry, so that it can be sent as it is."""
    valid = bool(_HEADER_VALUE.fullmatch(value))
    if valid and name == "expires":
        try:
            parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # the latter of a year that no machine counts to
            valid = False
    elif valid and name == "content-language":
        valid = bool(_LANGUAGES.fullmatch(value))
    elif valid and name == "content-type":
        valid = bool(_MEDIA_TYPE.fullmatch(value))
    if not valid:
        raise bad_request(f"Invalid value for {name}: {value!r}")


def clean_info(name: str, info: dict[str, Any], encrypted: bool) -> dict[str, str]:
    """Return file info as B2 keeps it, keys in lower case, or refuse it.

    *name* is the file's: name and info share one limit, since both travel in headers.
    """
    cleaned: dict[str, str] = {}
    for key, value in info.items():
        if not _INFO_KEY.fullmatch(key):
            raise bad_request(f"Invalid file info name {key!r}")
        if not isinstance(value, str) or not is_unicode(value):
            raise bad_request(f"File info {key!r} must be a string")
        lower = key.lower()
        if lower.startswith("b2-"):
            if lower not in STANDARD_HEADERS:
                raise bad_request(f"Unknown file info {key!r}: names with b2- are reserved")
            check_standard_header(STANDARD_HEADERS[lower], value)
        cleaned[lower] = value
    limit = HEADER_LIMIT_ENCRYPTED if encrypted else HEADER_LIMIT
    if (total := header_size(name, cleaned)) > limit:
        raise bad_request(f"File name and file info take {total} bytes; the limit is {limit}")
    return cleaned


def header_size(name: str, info: dict[str, str]) -> int:
    """Return how many bytes a file's name and info take of the limit they share."""
    return len(name.encode()) + sum(len(key) + len(value.encode()) for key, value in info.items())


def resolve_content_type(content_type: str, name: str) -> str:
    """Return the type to store; ``b2/x-auto`` asks for the one of the name's extension."""
    if content_type.lower() != "b2/x-auto":
        check_standard_header("content-type", content_type)
        return content_type
    last = name.rpartition("/")[2]
    extension = "." + last.rpartition(".")[2].lower() if "." in last else ""
    return _TYPES.types_map[True].get(extension, "application/octet-stream")


def clean_lifecycle(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check a bucket's rules as the page "Lifecycle Rules" has them; they are kept, never carried out."""
    if len(rules) > MAX_RULES:
        raise bad_request(f"A bucket has at most {MAX_RULES} lifecycle rules")
    fields = (
        "daysFromHidingToDeleting",
        "daysFromUploadingToHiding",
        "daysFromStartingToCancelingUnfinishedLargeFiles",
    )
    cleaned = []
    prefixes: list[str] = []
    for rule in rules:
        prefix = rule.get("fileNamePrefix")
        if not isinstance(prefix, str) or not set(rule) <= {"fileNamePrefix", *fields}:
            raise bad_request("A lifecycle rule has a fileNamePrefix and numbers of days")
        if any(prefix.startswith(other) or other.startswith(prefix) for other in prefixes):
            raise bad_request("Lifecycle rules of a bucket must not overlap")
        prefixes.append(prefix)
        days = {field: rule.get(field) for field in fields}
        numbers = [number for number in days.values() if number is not None]
        if not numbers or not all(type(number) is int and number > 0 for number in numbers):
            raise bad_request("The days of a lifecycle rule must be positive or null, and not all null")
        cleaned.append({"fileNamePrefix": prefix, **days})
    return cleaned


def decode_name(raw: str) -> str:
    """Decode a file name from a URL or a header: percent signs and ``+`` ("Native API String Encoding")."""
    try:
        return unquote_plus(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise bad_request("Not percent-encoded UTF-8") from error


def encode_name(name: str) -> str:
    """Encode a file name or file info value for a header; that page lists the safe characters."""
    return quote(name, safe="/._-~!$'()*;=:@")
