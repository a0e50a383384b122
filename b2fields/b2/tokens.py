"""What an authorization answered, kept in this process and, signed, where other processes find it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.core import signing
from django.utils.crypto import salted_hmac

from b2fields import shared
from b2fields.metadata import cache_key
from b2fields.shared import Place

# B2 issues tokens for 24 hours (B2 docs, b2_authorize_account); the entry goes a little earlier.
_ENTRY_SECONDS = 23 * 3600
# While pages are rendered, the shared entry is read again for an unknown bucket after so many seconds.
_READ_AGAIN_SECONDS = 60

# What the entry holds; with less or more, another version of this package wrote it.
_ENTRY_KEYS = {
    "account_id",
    "account_auth_token",
    "api_url",
    "download_url",
    "s3_api_url",
    "recommended_part_size",
    "absolute_minimum_part_size",
    "allowed",
    "buckets",
}

# As b2sdk names the services of Backblaze (REALM_URLS), which cannot be imported in time.
REALMS = {
    "production": "https://api.backblazeb2.com",
    "dev": "http://api.backblazeb2.xyz:8180",
    "staging": "https://api.backblaze.net",
}


@dataclass(frozen=True)
class Account:
    """Which account to use, of which realm, and the place where its tokens are shared, if anywhere.

    The key is left out of the representation.
    """

    realm: str
    key_id: str
    key: str = field(repr=False)
    shared: Place | None


class Tokens:
    """The token, the hosts and the buckets of an account.

    No token is a parameter of these methods, and the application key stays in ``account``.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        # The key takes part, by a keyed hash, so that an entry made with the right key is no answer
        # for a wrong one.
        secret = f"{account.realm}\0{account.key_id}\0{account.key}"
        fingerprint = salted_hmac("b2fields.account", secret, algorithm="sha256").hexdigest()
        self._salt = f"b2fields.account.{fingerprint}"
        self.entry = cache_key("account", self._salt)
        self.data: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._read_again: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.account.realm}>"

    @property
    def token(self) -> str | None:
        return self.data.get("account_auth_token")

    def load(self) -> bool:
        """Take what another process authorized, if it is another token than the one at hand."""
        data = self._read()
        if data is None or data["account_auth_token"] == self.token:
            return False
        self.data = data
        return True

    def store(self) -> None:
        """Let other processes use what this one authorized."""
        if self.account.shared is not None:
            entry = signing.dumps(self.data, salt=self._salt)
            shared.write(self.account.shared, self.entry, entry, _ENTRY_SECONDS)

    def claim(self, seconds: int) -> bool:
        """Be the one process that authorizes for so many *seconds*; False if another one is."""
        return self.account.shared is None or shared.claim(
            self.account.shared, f"{self.entry}:claim", seconds
        )

    def release(self) -> None:
        if self.account.shared is not None:
            shared.release(self.account.shared, f"{self.entry}:claim")

    def _read(self) -> dict[str, Any] | None:
        if self.account.shared is None:
            return None
        entry = shared.read(self.account.shared, self.entry)
        try:
            data: dict[str, Any] = signing.loads(entry, salt=self._salt, max_age=_ENTRY_SECONDS)
            usable = data.keys() == _ENTRY_KEYS and all(
                self._is_of_the_realm(data[url]) for url in ("api_url", "download_url")
            )
        # Whatever else the entry holds, it only costs an authorization.
        except (signing.BadSignature, TypeError, KeyError, ValueError, AttributeError):
            return None
        return data if usable else None

    def _is_of_the_realm(self, url: str) -> bool:
        found = urlsplit(url)
        realm = urlsplit(REALMS.get(self.account.realm, self.account.realm))
        if found.scheme != realm.scheme or self.account.realm not in REALMS:
            return found[:2] == realm[:2]
        # The service answers from other hosts of its domain (f004.backblazeb2.com, api004.…).
        domain = ".".join((realm.hostname or "").split(".")[-2:])
        return found.port == realm.port and f".{found.hostname}".endswith(f".{domain}")

    def authorized(self, answer: dict[str, Any]) -> None:
        """Take what an authorization answered; buckets are remembered as they are."""
        with self._lock:
            self.data = {**answer, "buckets": self.data.get("buckets", {})}

    # Buckets: name -> [id, type or None, time of asking]

    def bucket(self, name: str, seconds: float) -> tuple[str, str] | None:
        """Return id and type of a bucket, if they were asked for within the last *seconds*."""
        return _fresh(self.data, name, seconds)

    def shared_bucket(self, name: str, seconds: float) -> tuple[str, str] | None:
        """Return the same, by another process's word if need be, for which it is asked once a minute."""
        known = self.bucket(name, seconds)
        now = time.monotonic()
        if known is None and now >= self._read_again.get(name, 0):
            self._read_again[name] = now + _READ_AGAIN_SECONDS
            data = self._read() or {}
            known = _fresh(data, name, seconds)
            if known and self.token is None:
                self.data = data
            elif known:
                self._remember(name, data["buckets"][name.lower()])
        return known

    def remember_bucket(self, name: str, bucket_id: str, bucket_type: str) -> None:
        self._remember(name, [bucket_id, bucket_type, time.time()])
        self.store()

    def _remember(self, name: str, known: list[Any]) -> None:
        with self._lock:
            self.data = {**self.data, "buckets": {**self.data.get("buckets", {}), name.lower(): known}}

    def forget_bucket(self, name: str) -> None:
        with self._lock:
            buckets = {k: v for k, v in self.data.get("buckets", {}).items() if k != name.lower()}
            self.data = {**self.data, "buckets": buckets}
        self.store()


def _fresh(data: dict[str, Any], name: str, seconds: float) -> tuple[str, str] | None:
    bucket_id, bucket_type, asked = data.get("buckets", {}).get(name.lower(), (None, None, 0))
    if bucket_type is None or time.time() - asked > seconds:
        return None
    return bucket_id, bucket_type
