"""How long B2 may keep somebody waiting."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings

# When the requests under way are to be over, on the clock of time.monotonic().
_end: ContextVar[float | None] = ContextVar("b2fields_deadline", default=None)
# What is left, in seconds, of a deadline that several questions to B2 share.
_shared: ContextVar[list[float] | None] = ContextVar("b2fields_shared_deadline", default=None)


@contextmanager
def deadline(seconds: float | None = None) -> Iterator[None]:
    """Wait no longer than these, or B2FIELDS_DEADLINE, seconds for the requests within."""
    limit: float = settings.B2FIELDS_DEADLINE if seconds is None else seconds
    shared = _shared.get()
    if shared is not None:
        limit = min(limit, shared[0])
    begun = time.monotonic()
    token = _end.set(min(begun + limit, _end.get() or float("inf")))
    try:
        yield
    finally:
        _end.reset(token)
        if shared is not None:
            shared[0] -= time.monotonic() - begun


@contextmanager
def shared_deadline() -> Iterator[None]:
    """Let all that is asked of B2 within share one deadline.

    What this site does between the questions, such as reading a slow client's upload, is not counted.
    """
    if _shared.get() is not None:
        yield
        return
    token = _shared.set([settings.B2FIELDS_DEADLINE])
    try:
        yield
    finally:
        _shared.reset(token)


@contextmanager
def deadline_of_its_own() -> Iterator[None]:
    """Give one request among many the whole of B2FIELDS_DEADLINE: those of a large file take as they need."""
    tokens = _end.set(None), _shared.set(None)
    try:
        with deadline():
            yield
    finally:
        _end.reset(tokens[0])
        _shared.reset(tokens[1])


def seconds_left() -> float:
    end = _end.get()
    return settings.B2FIELDS_DEADLINE if end is None else end - time.monotonic()
