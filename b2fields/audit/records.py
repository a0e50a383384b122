"""What an audit has seen of one bucket: on disk, so that this process stays small whatever B2 holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from b2fields.b2.versions import Version

_CACHE_KIB = 8 * 1024

# Of a name that is to be kept, though no row has it.
NO_HOLDER = -1

# SQLite compares text by its bytes: B2 tells names apart that differ by letter case or Unicode form alone.
# Newest first is the order of B2's listing. A marker, "hide", is no file.
_SCHEMA = """
CREATE TABLE listed (
    name TEXT, position INTEGER, file_id TEXT, is_visible INTEGER, is_newest INTEGER, size INTEGER,
    uploaded INTEGER, PRIMARY KEY (name, position)
) WITHOUT ROWID;
CREATE TABLE named (name TEXT, holder INTEGER, spelling TEXT, PRIMARY KEY (name, holder)) WITHOUT ROWID;
CREATE TABLE pending (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE hidden (counts INTEGER);
CREATE TABLE unfinished (name TEXT, file_id TEXT, size INTEGER, uploaded INTEGER);
CREATE VIEW unnamed AS
    SELECT
        name, count(*) AS versions, sum(size) AS size, max(uploaded) AS uploaded,
        max(is_visible) AS is_visible, name IN (SELECT name FROM pending) AS is_pending
    FROM listed WHERE NOT EXISTS (SELECT 1 FROM named WHERE named.name = listed.name) GROUP BY name
    HAVING max(is_visible) OR (SELECT counts FROM hidden);
CREATE VIEW absent AS
    SELECT name, holder, spelling FROM named WHERE holder >= 0 AND NOT EXISTS (
        SELECT 1 FROM listed WHERE listed.name = named.name AND listed.is_visible
    )
"""


class Unnamed(NamedTuple):
    """A name of the listing that no row names: all of its versions."""

    name: str
    versions: int
    size: int
    uploaded: int
    is_visible: bool


class Absent(NamedTuple):
    """A name that a row of a holder, known by its number, has, and that the listing did not show.

    *spelling* is the name as the row has it, if that is another one than B2 is asked for.
    """

    name: str
    holder: int
    spelling: str | None


class Totals(NamedTuple):
    """How many names the listing showed, how many of them no row names, and of these, how many are young.

    *orphans* are neither young nor pending; *bytes* and *versions* are theirs.
    """

    objects: int
    unnamed: int
    young: int
    orphans: int
    bytes: int
    versions: int
    unfinished_files: int


class Records:
    """A temporary database, which ends with this object or this process.

    Files that are hidden count as files only if *counts_hidden*.
    """

    def __init__(self, *, counts_hidden: bool = True) -> None:
        # Without a name, it is a file that SQLite makes and nobody else sees (sqlite.org, inmemorydb).
        self._connection = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {pragma}")
        for statement in _SCHEMA.split(";"):
            self._connection.execute(statement)
        self._connection.execute("INSERT INTO hidden VALUES (?)", (counts_hidden,))
        self._connection.execute("BEGIN")
        self._position = 0
        self._last_name: str | None = None

    def close(self) -> None:
        self._connection.close()

    def add_versions(self, versions: Iterable[Version]) -> None:
        """Take versions in the order of B2's listing."""
        rows = []
        for found in versions:
            is_newest = found.name != self._last_name
            is_visible = is_newest and found.action != "hide"
            self._last_name = found.name
            self._position += 1
            rows.append(
                (found.name, self._position, found.file_id, is_visible, is_newest, found.size, found.uploaded)
            )
        self._connection.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def add_unfinished(self, versions: Iterable[Version]) -> None:
        rows = [(found.name, found.file_id, found.size, found.uploaded) for found in versions]
        self._connection.executemany("INSERT INTO unfinished VALUES (?, ?, ?, ?)", rows)

    def add_named(self, found: Iterable[Absent]) -> None:
        """Take names that rows have, seen or not."""
        self._connection.executemany("INSERT OR IGNORE INTO named VALUES (?, ?, ?)", found)

    def add_pending(self, names: Iterable[str]) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO pending VALUES (?)", ((name,) for name in names))

    def totals(self, limit: int) -> Totals:
        """Count; *limit* is in milliseconds since 1970, and what was uploaded after it is young."""
        (objects,) = self._connection.execute(
            "SELECT count(*) FROM listed WHERE is_newest AND (is_visible OR (SELECT counts FROM hidden))"
        ).fetchone()
        unnamed, young = self._connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE uploaded > ?) FROM unnamed WHERE NOT is_pending",
            (limit,),
        ).fetchone()
        orphans, size, versions = self._connection.execute(
            "SELECT count(*), sum(size), sum(versions) FROM unnamed WHERE NOT is_pending AND uploaded <= ?",
            (limit,),
        ).fetchone()
        (unfinished,) = self._connection.execute(
            "SELECT count(*) FROM unfinished WHERE uploaded <= ?", (limit,)
        ).fetchone()
        return Totals(objects, unnamed, young, orphans, size or 0, versions or 0, unfinished)

    def orphans(self, limit: int) -> Iterator[Unnamed]:
        """Yield what no row names and no cleanup waits for, all of its versions being from before *limit*."""
        rows = self._connection.execute(
            "SELECT name, versions, size, uploaded, is_visible FROM unnamed"
            " WHERE NOT is_pending AND uploaded <= ?",
            (limit,),
        )
        return (Unnamed(*row) for row in rows)

    def pending(self) -> Iterator[Unnamed]:
        """Yield what no row names and a cleanup waits for."""
        rows = self._connection.execute(
            "SELECT name, versions, size, uploaded, is_visible FROM unnamed WHERE is_pending"
        )
        return (Unnamed(*row) for row in rows)

    def file_ids(self, name: str) -> frozenset[str]:
        rows = self._connection.execute("SELECT file_id FROM listed WHERE name = ?", (name,))
        return frozenset(file_id for (file_id,) in rows)

    def unfinished(self, limit: int) -> Iterator[Version]:
        """Yield the large files that were begun before *limit* and are not finished."""
        rows = self._connection.execute(
            "SELECT name, file_id, 'start', size, uploaded FROM unfinished WHERE uploaded <= ?", (limit,)
        )
        return (Version(*row) for row in rows)

    def absent(self) -> Iterator[Absent]:
        """Yield, in the order of names, those that rows have and the listing did not show as a file."""
        rows = self._connection.execute("SELECT name, holder, spelling FROM absent ORDER BY name")
        return (Absent(*row) for row in rows)
