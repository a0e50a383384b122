"""Links that expire: AWS Signature Version 4 in its query form, for one object. Pure functions and a clock.

Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" of the Amazon S3 API
reference; B2's S3-compatible endpoint takes no other version ("Call the S3-Compatible API").
"""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeGuard
from urllib.parse import quote, urlsplit

MAX_SECONDS = 604_800  # a week

_ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = re.compile(r"s3\.([a-z]{2}-[a-z]+-[0-9]+)\..+")


def is_expiry(seconds: object) -> TypeGuard[int]:
    """Tell whether a link can be valid for so many seconds."""
    return type(seconds) is int and 1 <= seconds <= MAX_SECONDS


def signing_time(seconds: int) -> int:
    """Return the time from which a link is valid for *seconds*, in seconds since 1970.

    It stays the same for a quarter of them, and with it the link, so that browsers can keep what it led to;
    in return the link may end by so much earlier. Signatures know whole seconds only.
    """
    now = int(time.time())
    return now - now % max(1, seconds // 4)


def region_of(endpoint: str) -> str:
    """Return the region that signatures for an endpoint name: the one in its host, such as "us-west-004".

    Elsewhere S3's first region, which servers that have none of their own expect.
    """
    match = _REGION.fullmatch(urlsplit(endpoint).hostname or "")
    return match[1] if match else "us-east-1"


def presigned_url(
    endpoint: str,
    bucket: str,
    name: str,
    overrides: Mapping[str, str],
    *,
    since: int,
    seconds: int,
    key_id: str,
    key: str,
) -> str:
    """Return the URL, in path style, that opens one object for *seconds* from *since* (since 1970).

    *overrides* are the headers to answer with, as "response-content-type"; they are part of what is signed.
    """
    base = urlsplit(endpoint)
    path = f"{base.path.rstrip('/')}/{quote(bucket)}/{quote(name)}"
    date = datetime.fromtimestamp(since, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/{region_of(endpoint)}/s3/aws4_request"
    query = {
        **overrides,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{key_id}/{scope}",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    in_order = query_string(dict(sorted(query.items())))
    canonical = f"GET\n{path}\n{in_order}\nhost:{base.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = _signature(key, scope, f"{_ALGORITHM}\n{date}\n{scope}\n{digest}")
    return f"{base.scheme}://{base.netloc}{path}?{query_string(query)}&X-Amz-Signature={signature}"


def query_string(query: Mapping[str, str]) -> str:
    """Return a query in the one encoding that signatures know, which has no "+" for a space."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())


def _signature(key: str, scope: str, text: str) -> str:
    signing_key = f"AWS4{key}".encode()
    for part in scope.split("/"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    return hmac.digest(signing_key, text.encode(), "sha256").hex()
