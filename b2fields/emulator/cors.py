"""A bucket's CORS rules: what they may say, and which of them a request meets.

Source is the page "Cross-Origin Resource Sharing Rules". Of what our copies of it lack, some is taken from
clients that others wrote (rjframe/b2-client, Backblaze/b2-sdk-java), and what is assumed says so.
"""

import re
from collections.abc import Iterable
from typing import Any

from b2fields.emulator.errors import bad_request
from b2fields.emulator.params import Params

MAX_RULES = 100
MAX_RULE_BYTES = 1000  # "Each rule must be less than 1,000 bytes long": its strings, as UTF-8
MAX_AGE_SECONDS = 86_400
OPERATIONS = {
    *("b2_download_file_by_id", "b2_download_file_by_name", "b2_upload_file", "b2_upload_part"),
    *("s3_delete", "s3_get", "s3_head", "s3_post", "s3_put"),
}

_REQUIRED = {"corsRuleName", "allowedOrigins", "allowedOperations", "maxAgeSeconds"}
_FIELDS = _REQUIRED | {"allowedHeaders", "exposeHeaders"}
_NAME = re.compile(r"[A-Za-z0-9-]{6,63}")
# "A single * as part of the domain name"; a default port may be left out. That nothing may follow is assumed.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?!\*.*\*)[^\s/*:]*\*?[^\s/*:]*(:[0-9]{1,5})?", re.IGNORECASE)
_HEADER = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+")
_HEADERS = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+\*?")


def clean_rules(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check a bucket's rules; return them as they are kept."""
    if len(rules) > MAX_RULES:
        raise bad_request(f"A bucket has at most {MAX_RULES} CORS rules")
    cleaned = [_clean_rule(rule) for rule in rules]
    if len({rule["corsRuleName"] for rule in cleaned}) < len(cleaned):
        raise bad_request("The CORS rules of a bucket must have different names")
    return cleaned


def _clean_rule(rule: dict[str, Any]) -> dict[str, Any]:
    params = Params(rule)
    cleaned = params.values
    if not _REQUIRED <= set(cleaned) <= _FIELDS:
        raise bad_request(
            f"A CORS rule has {', '.join(sorted(_REQUIRED))}, and may have allowedHeaders and exposeHeaders"
        )
    name = params.text("corsRuleName")
    # 63 as for buckets: older editions of that page said 50 for both.
    if not _NAME.fullmatch(name) or name.lower().startswith("b2-"):
        raise bad_request(
            f"Invalid corsRuleName {name!r}: 6 to 63 letters, digits and hyphens, not beginning with b2-"
        )
    origins, operations = _list(cleaned, "allowedOrigins"), _list(cleaned, "allowedOperations")
    allowed, exposed = _list(cleaned, "allowedHeaders"), _list(cleaned, "exposeHeaders")
    _check_origins(origins)
    if not operations or not OPERATIONS.issuperset(operations):
        raise bad_request(f"allowedOperations must be some of {', '.join(sorted(OPERATIONS))}")
    if allowed != ["*"] and not all(_HEADERS.fullmatch(header) for header in allowed):
        raise bad_request("allowedHeaders must be names of headers, which may end with *, or * alone")
    if not all(_HEADER.fullmatch(header) for header in exposed):
        raise bad_request("exposeHeaders must be whole names of headers")
    age = cleaned["maxAgeSeconds"]
    if type(age) is not int or not 0 <= age <= MAX_AGE_SECONDS:
        raise bad_request(f"maxAgeSeconds must be a whole number from 0 to {MAX_AGE_SECONDS}")
    size = sum(len(text.encode()) for text in (name, *origins, *operations, *allowed, *exposed))
    if size >= MAX_RULE_BYTES:
        raise bad_request(f"The strings of CORS rule {name} take {size} bytes; {MAX_RULE_BYTES - 1} may be")
    return cleaned


def _list(rule: dict[str, Any], name: str) -> list[str]:
    value = rule.get(name, [])
    if not isinstance(value, list):
        raise bad_request(f"{name} must be a list of strings")
    return Params(rule).texts(name) or []


def _check_origins(origins: list[str]) -> None:
    if not origins or ("*" in origins and len(origins) > 1):
        raise bad_request("allowedOrigins must be a list of origins, or * alone")
    for position, origin in enumerate(origins):
        if origin not in ("*", "https") and not _ORIGIN.fullmatch(origin):
            raise bad_request(
                f"Invalid origin {origin!r}: such as https://example.com, http://localhost:8000,"
                " https://*.example.com, or https for all that is encrypted, or * for all"
            )
        if origin.startswith("https") and "https" in origins[:position]:
            raise bad_request(f"The origin {origin!r} is part of https, which stands before it")


def find(
    rules: Iterable[dict[str, Any]], operation: str, origin: str, headers: Iterable[str] = ()
) -> dict[str, Any] | None:
    """Return the first rule that lets the *origin* do the *operation* and send these *headers*."""
    for rule in rules:
        if (
            operation in rule["allowedOperations"]
            and any(_covers(allowed, origin) for allowed in rule["allowedOrigins"])
            and all(_allows(rule.get("allowedHeaders", ()), header) for header in headers)
        ):
            return rule
    return None


def _covers(allowed: str, origin: str) -> bool:
    if allowed == "*":
        return True
    if allowed == "https":  # "broader than https://*", which is for the default port alone
        return origin.startswith("https://")
    # An asterisk stands for any characters of a host name.
    pattern = "[^/:]*".join(re.escape(text) for text in _without_default_port(allowed.lower()).split("*"))
    return re.fullmatch(pattern, _without_default_port(origin.lower())) is not None


def _without_default_port(origin: str) -> str:
    scheme, _, _ = origin.partition("://")
    return origin.removesuffix({"http": ":80", "https": ":443"}.get(scheme, "/"))


def _allows(patterns: Iterable[str], header: str) -> bool:
    name = header.lower()
    return any(
        name.startswith(pattern[:-1].lower()) if pattern.endswith("*") else name == pattern.lower()
        for pattern in patterns
    )
