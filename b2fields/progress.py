"""A line that shows on a terminal how far a long command is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TextIO

from django.core.management.base import OutputWrapper

_SECONDS_BETWEEN = 0.1


@contextmanager
def progress(
    stream: TextIO | OutputWrapper | None, total: int | None, unit: str
) -> Iterator[Callable[..., None]]:
    """Give ``advance(count=1)``, to be called from any thread, which draws how many *unit* are done.

    Nothing is written unless *stream* is a terminal; None, for verbosity 0, is none. The line vanishes at
    the end, so that what the command reports stands alone.
    """
    if stream is None or not stream.isatty():
        yield lambda count=1: None
        return
    write: Callable[[str], object] = stream.write
    if isinstance(stream, OutputWrapper):  # that of a command, which ends lines and colours errors
        write = partial(stream.write, style_func=str, ending="")
    lock = threading.Lock()
    done, width, due = 0, 0, 0.0

    def advance(count: int = 1) -> None:
        nonlocal done, width, due
        with lock:
            done += count
            if time.monotonic() < due:
                return
            line = _line(done, total, unit)
            # What was longer is painted over.
            write(f"\r{line.ljust(width)}")
            stream.flush()
            width, due = len(line), time.monotonic() + _SECONDS_BETWEEN

    try:
        advance(0)
        yield advance
    finally:
        write(f"\r{' ' * width}\r")
        stream.flush()


def _line(done: int, total: int | None, unit: str) -> str:
    if total is None:
        return f"{done:,} {unit}"
    # Of nothing, all is done; and more than was expected is no more than all.
    percent = min(100, 100 * done // total) if total else 100
    return f"{done:,} of {total:,} {unit} ({percent} %)"
