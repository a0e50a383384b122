"""What is to be imported: the names that rows hold, what they are to become, and what is done already."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage
from django.db import models

from b2fields import names
from b2fields.fields import B2FileField

COPIED, THERE, CHANGED, FAILED = "copied", "there", "changed", "failed"
OUTCOMES = (COPIED, THERE, CHANGED, FAILED)

_BATCH = 100  # names, whose rows one query finds


class Job(NamedTuple):
    """What to import: *rename* turns a row's name into that of its copy; None has the field choose it."""

    field: B2FileField
    source: Storage
    database: str
    rename: Callable[[str], str] | None
    overwrite: bool = False
    dry_run: bool = False

    @property
    def rows(self) -> models.QuerySet[Any]:
        """The field's rows, those that a default manager hides included."""
        return self.field.model._base_manager.using(self.database).order_by()


class Outcome(NamedTuple):
    """What became of one file: *what* is one of OUTCOMES, *reason* says why it failed."""

    what: str
    name: str
    target: str | None
    reason: str = ""


class Plan:
    """The names to import, on disk, and what an earlier run chose and finished, in a file if one is given.

    Without a file all of it is temporary. Raises sqlite3.Error for a file that is something else, or that
    another process uses.
    """

    def __init__(self, path: str, job: Job) -> None:
        storage = job.field.b2_storage
        self._job = job
        self._place = json.dumps([job.field.label, job.database, storage.bucket, storage.location])
        # "" is SQLite's word for a temporary database.
        self._database = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            self._database.executescript(
                """
                PRAGMA locking_mode = EXCLUSIVE;
                BEGIN EXCLUSIVE;
                CREATE TABLE IF NOT EXISTS chosen (place, name, target, done, PRIMARY KEY (place, name));
                CREATE INDEX IF NOT EXISTS chosen_target ON chosen (place, target);
                COMMIT;
                CREATE TEMP TABLE wanted (name PRIMARY KEY, target, problem) WITHOUT ROWID;
                CREATE INDEX temp.wanted_target ON wanted (target);
                """
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._database.close()

    def collect(self) -> int:
        """Note every name that a row holds; return how many of their files an earlier run has finished."""
        field = self._job.field
        held = self._job.rows.values_list(field.attname, flat=True).iterator()
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT OR IGNORE INTO wanted VALUES (?, ?, ?)",
            ((name, *self._target_of(name)) for name in map(str, filter(None, held))),
        )
        finished = self._database.execute(
            "DELETE FROM wanted WHERE name IN (SELECT target FROM chosen WHERE place = ? AND done)",
            [self._place],
        ).rowcount
        self._database.execute("COMMIT")
        return finished

    def _target_of(self, name: str) -> tuple[str | None, str | None]:
        """Return the name in B2 where it does not depend on the row, and what is wrong with it."""
        rename = self._job.rename
        if rename is None:
            return None, None
        try:
            target = rename(name)
            _check_name(target, self._job.field)
        except Exception as error:  # noqa: BLE001 - of a function of the project
            return None, f"{told(error).rstrip('.')}. Try --names new."
        return target, None

    def __len__(self) -> int:
        count: int = self._database.execute("SELECT count(*) FROM wanted").fetchone()[0]
        return count

    def batches(self) -> Iterator[list[tuple[str, str | None, str | None]]]:
        """Yield name, target and problem of each, in the order of B2's listings."""
        # SQLite compares the bytes of UTF-8, as B2 does.
        found = self._database.execute("SELECT * FROM wanted ORDER BY coalesce(target, name)")
        while batch := found.fetchmany(_BATCH):
            yield batch

    # Names that an earlier run chose

    def chosen(self, name: str) -> str | None:
        """Return the target that an earlier run chose for a name."""
        found = self._one("SELECT target FROM chosen WHERE place = ? AND name = ?", self._place, name)
        return found and str(found[0])

    def choose(self, name: str, target: str, *, done: bool = False) -> None:
        """Remember the target of a name: before its upload, and when its rows are *done*."""
        self._database.execute(
            "INSERT OR REPLACE INTO chosen VALUES (?, ?, ?, ?)", [self._place, name, target, done]
        )

    def forget(self, name: str) -> None:
        """Forget the target of a name, so that the next run chooses another."""
        self._database.execute("DELETE FROM chosen WHERE place = ? AND name = ?", [self._place, name])

    # Names that others have

    def is_taken(self, target: str, name: str) -> bool:
        """Tell whether the import has another use for a target than *name*."""
        return self._is_chosen(target, name) or self._is_held(target, name)

    def conflict(self, name: str, target: str, *, is_stored: bool) -> str | None:
        """Tell why a name must not become the target that the project's function gives it; None if it may.

        Where rows hold that target it may at most turn out to be the same file, one that *is_stored*.
        """
        if target == name:
            return None
        others = "SELECT min(name) FROM wanted WHERE target = ? AND name != ?"
        if self._is_chosen(target, name) or self._one(others, target, target)[0] != name:
            return f"Another file becomes {target!r}, too."
        held = self._one("SELECT target FROM wanted WHERE name = ?", target)
        if held and held[0] not in (None, target):
            return f"Rows hold {target!r}, whose file becomes {held[0]!r}. Run the import again after that."
        if held and (self._job.overwrite or not is_stored):
            return f"Rows hold {target!r} already, and not for this file."
        return None

    def _is_chosen(self, target: str, name: str) -> bool:
        query = "SELECT 1 FROM chosen WHERE place = ? AND target = ? AND name != ?"
        return self._one(query, self._place, target, name) is not None

    def _is_held(self, target: str, name: str) -> bool:
        return self._one("SELECT 1 FROM wanted WHERE name = ? AND name != ?", target, name) is not None

    def _one(self, query: str, *arguments: str) -> Any:
        return self._database.execute(query, arguments).fetchone()


def _check_name(name: str, field: B2FileField) -> None:
    """Raise SuspiciousFileOperation for a name that B2, a URL or the column would not take as it is."""
    full_name = field.b2_storage.full_name(name)
    names.check_limits(full_name)
    if not names.is_well_formed(name):
        raise SuspiciousFileOperation(f"The file name {name!r} is empty, or has needless dots or slashes.")
    if field.max_length is not None and len(name) > field.max_length:
        raise SuspiciousFileOperation(f"{name!r} is longer than the max_length of {field.label}.")


def told(error: Exception) -> str:
    """Return what an error says."""
    return str(error) or type(error).__name__
