"""Byte ranges of a request."""

import re
from typing import NamedTuple

from b2fields.emulator.errors import range_not_satisfiable

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))")


class Slice(NamedTuple):
    """A stretch of a file: offset of its first byte, and how many there are."""

    first: int
    length: int


def parse(header: str | None, size: int) -> Slice | None:
    """Return the stretch that a Range *header* asks for, or None for the whole file.

    An end behind the file is cut to it; what is malformed, or asks for several ranges, counts as no header
    (RFC 9110, 14.2; what B2 does with those is not documented). Raises B2's 416 if the file has no such byte.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None:
        return None
    start, end, suffix = match.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        if not length:
            raise range_not_satisfiable(size)
        return Slice(size - length, length)
    first = int(start)
    last = min(int(end), size - 1) if end is not None else size - 1
    if end is not None and int(end) < first:
        return None
    if first >= size:
        raise range_not_satisfiable(size)
    return Slice(first, last - first + 1)
