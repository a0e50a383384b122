"""The SQLite file that holds everything but the bytes of files."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE keys (
    key_id TEXT PRIMARY KEY, secret TEXT NOT NULL, name TEXT NOT NULL, is_master INTEGER NOT NULL,
    capabilities TEXT NOT NULL, bucket_ids TEXT, name_prefix TEXT, expires INTEGER
);
CREATE TABLE tokens (
    token TEXT PRIMARY KEY, kind TEXT NOT NULL, key_id TEXT NOT NULL, expires INTEGER NOT NULL,
    target TEXT, name_prefix TEXT, overrides TEXT
);
CREATE INDEX tokens_expires ON tokens (expires);
CREATE TABLE buckets (
    bucket_id TEXT PRIMARY KEY, name TEXT NOT NULL, folded_name TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
    revision INTEGER NOT NULL, settings TEXT NOT NULL
);
CREATE TABLE versions (
    file_id TEXT PRIMARY KEY, bucket_id TEXT NOT NULL REFERENCES buckets, name TEXT NOT NULL,
    uploaded INTEGER NOT NULL, action TEXT NOT NULL, size INTEGER NOT NULL, content_type TEXT NOT NULL,
    sha1 TEXT, md5 TEXT, info TEXT NOT NULL, encryption TEXT,
    retention_mode TEXT, retain_until INTEGER, legal_hold TEXT
);
CREATE UNIQUE INDEX versions_newest ON versions (bucket_id, name, uploaded DESC);
CREATE TABLE parts (
    file_id TEXT NOT NULL REFERENCES versions ON DELETE CASCADE, number INTEGER NOT NULL,
    uploaded INTEGER NOT NULL, size INTEGER NOT NULL, sha1 TEXT NOT NULL, md5 TEXT NOT NULL,
    PRIMARY KEY (file_id, number)
) WITHOUT ROWID;
-- The bytes of a version or a part are slices of body files in order: finishing and copying move no bytes.
CREATE TABLE pieces (
    owner TEXT NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, PRIMARY KEY (owner, position)
) WITHOUT ROWID;
CREATE INDEX pieces_body ON pieces (body);
"""
# Only what makes asking faster: a data directory from before has it as soon as it is opened.
INDEXES = """
CREATE INDEX IF NOT EXISTS versions_unfinished ON versions (bucket_id, uploaded) WHERE action = 'start';
"""


class DataInUse(Exception):
    """Another process holds the data directory."""


class OtherSchema(Exception):
    """Another version of the emulator made the data directory."""


class Database:
    """One connection, used by the event loop's thread only; statements are tiny and never awaited within."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        self.connection.row_factory = sqlite3.Row
        try:
            # Before WAL is entered: then SQLite locks the file for as long as this process lives and needs no
            # shared memory beside it. The lock dies with the process, SIGKILL included.
            self.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self.connection.close()
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:  # the rest tells which kind of busy
                raise DataInUse from error
            raise
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            self.connection.close()
            raise OtherSchema
        if version == 0:
            for statement in SCHEMA.split(";\n"):
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for statement in INDEXES.split(";\n"):
            self.connection.execute(statement)
        self.connection.execute("COMMIT")
        # What the kernel was given survives the death of this process; only a power cut could take an
        # acknowledged write with it, and that is not worth an fsync per upload on a developer's machine.
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        self.connection.close()

    def run(self, sql: str, *values: Any) -> int:
        """Execute one statement and return how many rows it changed."""
        return self.connection.execute(sql, values).rowcount

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.connection.execute(sql, values).fetchone()
        return row

    def rows(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Return the rows lazily; do not write while iterating."""
        return self.connection.execute(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the statements inside one: all of them or none. Never await inside."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
