"""One connection of this process to each account, whoever asks."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from django.core.signals import setting_changed

from b2fields.b2.tokens import Account, Tokens

if TYPE_CHECKING:
    import b2sdk.v3 as sdk


class Connection:
    """What this process has of an account; nothing is sent before B2 is asked for something."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.tokens = Tokens(account)
        self._opening = threading.Lock()
        self._api: sdk.B2Api | None = None
        # For ``Client.learn_public_url``: one thread asks, and no bucket again before its time.
        self.learning = threading.Lock()
        self.learn_again: dict[str, float] = {}

    @property
    def api(self) -> sdk.B2Api:
        with self._opening:
            if self._api is None:
                from b2fields.b2 import account as fitted

                self._api = fitted.open_api(self.tokens)
            return self._api


_connections: dict[Account, Connection] = {}
_lock = threading.Lock()


def connection_to(account: Account) -> Connection:
    with _lock:
        if account not in _connections:
            _connections[account] = Connection(account)
        return _connections[account]


def close_all() -> None:
    """Forget all connections, and what their authorizations told."""
    _connections.clear()


def _after_setting_changed(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith(("B2FIELDS_", "SECRET_KEY", "CACHES")):
        close_all()


def _after_fork() -> None:
    # The parent's sockets and locks are not the child's to use.
    global _lock
    _lock = threading.Lock()
    close_all()


setting_changed.connect(_after_setting_changed, dispatch_uid="b2fields.b2")
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
