"""Names claimed while their files are stored: in this process, and for the others in Django's cache."""

import os
import threading
import time

from b2fields.metadata import cache_key, quietly

# Claims that this process remembers; beyond them, those that end first are given up.
_MOST = 10_000

# When each claim ends, on the clock of time.monotonic(). The cache may be down, or remember nothing.
_ends: dict[str, float] = {}
_lock = threading.Lock()


def claim(seconds: float, *space: str) -> bool:
    """Claim a name for a new file; False if another save holds it. *space* is account, bucket and name."""
    key = cache_key("name", *space)
    if not _claim_here(key, seconds):
        return False
    if quietly("add", key, 1, seconds) is False:
        _release_here(key)
        return False
    return True


def shorten(seconds: float, *space: str) -> None:
    """Let the claim of a name end in so many *seconds*."""
    key = cache_key("name", *space)
    with _lock:
        _ends[key] = time.monotonic() + seconds
    quietly("set", key, 1, seconds)


def release(*space: str) -> None:
    key = cache_key("name", *space)
    quietly("delete", key)
    _release_here(key)


def _claim_here(key: str, seconds: float) -> bool:
    now = time.monotonic()
    with _lock:
        if _ends.get(key, now) > now:
            return False
        if len(_ends) >= _MOST:
            _make_room(now)
        _ends[key] = now + seconds
    return True


def _make_room(now: float) -> None:
    """Forget what is over, and of the rest what ends first, a tenth at once, so that this is done seldom."""
    for key in [key for key, end in _ends.items() if end <= now]:
        del _ends[key]
    for key in sorted(_ends, key=_ends.__getitem__)[: max(0, len(_ends) - _MOST * 9 // 10)]:
        del _ends[key]


def _release_here(key: str) -> None:
    with _lock:
        _ends.pop(key, None)


def _after_fork() -> None:
    # The saves under way are the parent's, and their lock may be held by a thread that is not here.
    global _lock
    _lock = threading.Lock()
    _ends.clear()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
