"""Tokens and what they allow.

All kinds of tokens lie in one table and survive a restart, as on the real service, so that a site under
development need not sign in again because its emulator was restarted. A token stands for its key: what the
key may do is looked up at each request, and a deleted or expired key takes its tokens with it.
"""

import base64
import binascii
import json
import secrets
from dataclasses import dataclass
from functools import lru_cache
from sqlite3 import Row

from b2fields.emulator.errors import B2Error, bad_token, expired_token, missing_token, unauthorized
from b2fields.emulator.state import State

ACCOUNT, UPLOAD, PART, DOWNLOAD = "account", "upload", "part", "download"


@dataclass(frozen=True, slots=True)
class Grant:
    """What an application key may do."""

    key_id: str
    capabilities: frozenset[str]
    bucket_ids: frozenset[str] | None
    name_prefix: str

    def may(self, capability: str) -> bool:
        return capability in self.capabilities

    def may_in(self, capability: str, bucket_id: str, name: str = "") -> bool:
        return (
            capability in self.capabilities
            and (self.bucket_ids is None or bucket_id in self.bucket_ids)
            and name.startswith(self.name_prefix)
        )

    def require_account(self, capability: str) -> None:
        """Refuse a key that lacks the *capability* or is bound to buckets."""
        if not self.may(capability) or self.bucket_ids is not None:
            raise unauthorized(
                f"The application key may not do this: needs {capability} for the whole account"
            )

    def require_bucket(self, capability: str, bucket_id: str) -> None:
        if not self.may_in(capability, bucket_id, self.name_prefix):
            raise unauthorized(f"The application key may not do this: needs {capability} for this bucket")

    def require_name(self, capability: str, bucket_id: str, name: str) -> None:
        """Refuse a key that lacks the *capability* for files of this *name*, or whose names begin with it."""
        if not self.may_in(capability, bucket_id, name):
            raise unauthorized(
                f"The application key may not do this: needs {capability} for this bucket and name"
            )


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was presented and is in force."""

    kind: str
    grant: Grant
    target: str | None
    name_prefix: str | None
    overrides: dict[str, str]


def issue(
    state: State,
    kind: str,
    grant: Grant,
    seconds: int,
    target: str | None = None,
    name_prefix: str | None = None,
    overrides: dict[str, str] | None = None,
) -> str:
    """Make a token for *seconds*; *target* is the bucket, or the large file, that it is for."""
    token = f"4_{kind}_{secrets.token_urlsafe(32)}"
    state.database.run(
        "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)",
        token,
        kind,
        grant.key_id,
        state.now() + seconds * 1000,
        target,
        name_prefix,
        json.dumps(overrides or {}),
    )
    return token


def check(state: State, text: str | None, *kinds: str) -> Token:
    """Return the token that *text* names, which must be of one of these *kinds*, or raise B2's 401."""
    if not text:
        raise missing_token()
    row = state.database.row(
        "SELECT tokens.*, capabilities, bucket_ids, keys.name_prefix AS key_prefix,"
        " keys.expires AS key_expires FROM tokens JOIN keys USING (key_id) WHERE token = ?",
        text,
    )
    if row is None or row["kind"] not in kinds:
        raise bad_token()
    if row["expires"] <= state.now() or _is_over(state, row["key_expires"]):
        raise expired_token()
    grant = grant_of(row, row["key_prefix"])
    return Token(row["kind"], grant, row["target"], row["name_prefix"], json.loads(row["overrides"]))


def sign_in(state: State, header: str | None) -> tuple[Grant, int | None]:
    """Return what the key of a Basic *header* may do, and when it expires; else raise B2's 401."""
    key_id, secret = _basic(header)
    row = state.database.row("SELECT * FROM keys WHERE key_id = ?", key_id)
    if (
        row is None
        or not secrets.compare_digest(row["secret"].encode(), secret.encode())
        or _is_over(state, row["expires"])
    ):
        # The service answers a wrong key like a wrong token (Backblaze/B2_Command_Line_Tool#645).
        raise bad_token()
    return grant_of(row, row["name_prefix"]), row["expires"]


def expire_all(state: State) -> None:
    """Let every account and upload token be over, as after 24 hours."""
    state.database.run("UPDATE tokens SET expires = 0 WHERE kind != ?", DOWNLOAD)


def _basic(header: str | None) -> tuple[str, str]:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        raise missing_token()
    try:
        key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _bad_basic() from error
    return key_id, secret


def _bad_basic() -> B2Error:
    return unauthorized("The Authorization header is no key id and key in base64", "bad_auth_token")


def _is_over(state: State, expires: int | None) -> bool:
    return expires is not None and expires <= state.now()


def grant_of(row: Row, name_prefix: str | None) -> Grant:
    """Return what the key of a row may do; *name_prefix* is the key's, whatever its column is called."""
    return Grant(
        row["key_id"],
        _set(row["capabilities"]),
        _set(row["bucket_ids"]) if row["bucket_ids"] else None,
        name_prefix or "",
    )


@lru_cache
def _set(texts: str) -> frozenset[str]:
    return frozenset(json.loads(texts))
