"""Where an account's tokens are shared between processes: one of Django's caches, or a SQLite file.

What is kept there is signed and checked by its reader. A place that fails makes us slower, never wrong.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple

from b2fields.metadata import quietly

# Another process holds the file for the time of one small write.
_LOCK_SECONDS = 2
_TABLE = "CREATE TABLE IF NOT EXISTS b2fields_account (key TEXT PRIMARY KEY, entry TEXT NOT NULL)"

logger = logging.getLogger("b2fields")


class Place(NamedTuple):
    """A cache by its alias, or a SQLite file by its path; the other one is None."""

    alias: str | None = None
    path: str | None = None


def read(place: Place, key: str) -> Any:
    """Return what is kept under *key*, None if there is nothing."""
    if place.path is None:
        return quietly("get", key, alias=place.alias)
    # Connecting would create the file, with the rights that the process gives to any.
    if not os.path.exists(place.path):
        return None
    try:
        with _connected(place.path) as connection:
            row = connection.execute("SELECT entry FROM b2fields_account WHERE key = ?", [key]).fetchone()
    except sqlite3.Error:
        return None  # a new file without a table, or one that is damaged
    return row[0] if row else None


def write(place: Place, key: str, entry: str, seconds: int) -> None:
    """Keep *entry* under *key*: a cache for so many *seconds*, a file until the next one."""
    if place.path is None:
        quietly("set", key, entry, seconds, alias=place.alias)
        return
    try:
        with suppress(FileExistsError):
            # Before SQLite does, which would let everybody read it. Its journal has the rights of the file.
            os.close(os.open(place.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with _connected(place.path) as connection:
            connection.execute(_TABLE)
            connection.execute("INSERT OR REPLACE INTO b2fields_account VALUES (?, ?)", [key, entry])
    except (OSError, sqlite3.Error) as error:
        logger.warning(
            "b2fields cannot keep its tokens in %r (%s), so that each process authorizes itself. Correct the "
            "path of B2FIELDS_ACCOUNT_INFO, or delete the file if it is damaged.",
            place.path,
            error,
        )


def claim(place: Place, key: str, seconds: int) -> bool:
    """Tell whether nobody else holds *key*, and hold it for so many *seconds*; a file knows no claims."""
    return place.path is not None or quietly("add", key, 1, seconds, alias=place.alias) is not False


def release(place: Place, key: str) -> None:
    if place.path is None:
        quietly("delete", key, alias=place.alias)


@contextmanager
def _connected(path: str) -> Iterator[sqlite3.Connection]:
    # One for each use: neither a thread nor a forked process may go on with another's.
    with closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as connection, connection:
        yield connection
