"""Comparing a bucket with the rows: files without a row, rows without their file, unfinished uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import SuspiciousFileOperation
from django.db import connections
from django.db.models import QuerySet

from b2fields import holders, names, references
from b2fields.audit.places import Places, Scope, label_of
from b2fields.audit.records import NO_HOLDER, Absent, Records, Unnamed
from b2fields.b2 import Client
from b2fields.b2.versions import Version
from b2fields.exceptions import AccessRefused, B2FieldsError
from b2fields.holders import Holder
from b2fields.models import DroppedFile

_ROWS = 1000
_MISSING = 100

_T = TypeVar("_T")

_NO_ROW = "no row names it"


class Finding(NamedTuple):
    """What an audit tells of one file. *kind* is "orphan", "missing", "unfinished" or "pending".

    *size* is in bytes, of all *versions*; *uploaded* is when the newest was, or the unfinished one begun.
    *outcome* is None unless something was to be done: "deleted", "hidden", "cancelled", "kept" or "failed".
    """

    kind: str
    bucket: str
    name: str
    reason: str
    size: int | None = None
    versions: int | None = None
    uploaded: datetime | None = None
    file_id: str | None = None
    field: str | None = None
    database: str | None = None
    pk: Any = None
    outcome: str | None = None


class Survey:
    """What one bucket holds under the prefixes of our fields, and what rows name there.

    Ask in this order: ``list_bucket``, ``read_rows``, then the rest. Were the database read first, a file
    that was saved meanwhile would look like an orphan. Times are B2's: by the Date of its answer to the
    first listing, so a local clock that is wrong makes no file old.
    """

    def __init__(self, places: Places, older_than: float) -> None:
        self.places, self.bucket = places, places.bucket
        self._older_than = older_than
        self._scopes = places.scopes()
        self._clients = {scope.prefix: scope.storage.client for scope in self._scopes}
        # Before anything is listed: a missing table is known at once.
        self.holders = holders.holders(self.bucket)
        # What is hidden as B2FIELDS_DELETE says is left to the lifecycle rules of the bucket.
        are_hiding = all(scope.storage.is_hiding for scope in self._scopes)
        self._records = Records(counts_hidden=not are_hiding)
        self._references = 0
        self._limit = 0

    def close(self) -> None:
        self._records.close()

    # Looking

    def list_bucket(self, advance: Callable[[int], object]) -> None:
        """List all versions under our prefixes, in one pass, and the unfinished large files."""
        for scope in self._scopes:
            client = self._clients[scope.prefix]
            client.bucket(self.bucket, create=False)
            (page, start), now = client.timed(partial(client.list_versions, self.bucket, scope.prefix))
            self._limit = self._limit or now - int(self._older_than * 1000)
            self._take(page, advance)
            while start[0] is not None:
                page, start = client.list_versions(self.bucket, scope.prefix, start)
                self._take(page, advance)
            next_id: str | None = None
            while True:
                page, next_id = client.list_unfinished(self.bucket, scope.prefix, next_id)
                self._records.add_unfinished(found for found in page if self.places.is_ours(found.name))
                if next_id is None:
                    break

    def _take(self, page: list[Version], advance: Callable[[int], object]) -> None:
        # An unfinished large file ("start") is no version yet.
        self._records.add_versions(
            version for version in page if version.action != "start" and self.places.is_ours(version.name)
        )
        advance(len(page))

    def read_rows(self, advance: Callable[[int], object]) -> None:
        """Read which files the rows of every field in the bucket name, and for which a cleanup waits."""
        for number, holder in enumerate(self.holders):
            shown = number if self.places.is_looked_at(holder.field) else NO_HOLDER
            prefix = references.prefix_of(holder.field)
            for batch in batches(holder.all_named(), _ROWS):
                self._records.add_named(
                    found for name in batch for found in _names_meant(name, prefix, shown)
                )
                self._references += len(batch)
                advance(len(batch))
        defaults = holders.defaults(self.bucket)
        self._records.add_named(Absent(name, NO_HOLDER, None) for name in defaults)
        for dropped in dropped_files():
            entries = holders.by_page(dropped.filter(bucket__iexact=self.bucket), "name")
            self._records.add_pending(name for _, name in entries)
        self.totals = self._records.totals(self._limit)

    # Telling

    def stops(self) -> Iterator[str]:
        """Yield why nothing should be removed, unless somebody knows better."""
        totals = self.totals
        if not totals.orphans and not totals.unfinished_files:
            return
        if not self._references:
            yield (
                f"No row of any file field names a file in bucket {self.bucket!r}. Is this the right "
                "database, with its data?"
            )
        elif totals.orphans and totals.unnamed * 2 > totals.objects:
            yield (
                f"{totals.unnamed} of {totals.objects} files in bucket {self.bucket!r} are named by no row. "
                "Is this the right database, with all of its data, and is it the only one that uses them?"
            )
        yield from self.places.shared()
        yield from self.places.strangers()
        unlike = (found.name for found in self._records.orphans(self._limit))
        if name := next(filter(self.places.is_unlike_ours, unlike), None):
            yield (
                f"{name!r} in bucket {self.bucket!r} is named by no row, and not as uploads of this project "
                "are: it may be somebody else's. A field without a folder at the beginning of its upload_to "
                "may store anywhere in the bucket. Give the project a B2FIELDS_LOCATION, or a bucket, of its "
                "own."
            )

    def orphans(self, *, visible_only: bool = False) -> Iterator[Finding]:
        for found in self._records.orphans(self._limit):
            if found.is_visible or not visible_only:
                yield self._orphan(found)

    def unfinished(self) -> Iterator[Finding]:
        for version in self._records.unfinished(self._limit):
            yield self._unfinished(version)

    def file_ids(self, name: str) -> frozenset[str]:
        """Return the ids of all versions of a name that were listed."""
        return self._records.file_ids(name)

    def pending(self) -> Iterator[Finding]:
        """Yield what b2_cleanup is to remove."""
        for found in self._records.pending():
            reason = f"{_NO_ROW}, and b2_cleanup will remove it when it is due"
            yield self._orphan(found)._replace(kind="pending", reason=reason)

    def missing(self) -> Iterator[Finding]:
        """Yield the rows whose file is not there: asked of B2 once more, now that the rows are known."""
        for batch in batches(self._still_absent(), _MISSING):
            for number, group in groupby(sorted(batch), lambda found: found[0].holder):
                yield from self._rows_of(self.holders[number], dict(group))

    def _rows_of(self, holder: Holder, absent: dict[Absent, str]) -> Iterator[Finding]:
        field, prefix = holder.field, references.prefix_of(holder.field)
        wanted = {
            found.name.removeprefix(prefix) if found.spelling is None else found.spelling: reason
            for found, reason in absent.items()
        }
        rows = field.model._base_manager.using(holder.alias).filter(**{f"{field.attname}__in": wanted})
        for pk, value in holders.by_page(rows, field.attname):
            # Databases compare by their collation, some without regard to case or Unicode form.
            if (name := str(value)) in wanted:
                yield Finding(
                    "missing",
                    self.bucket,
                    prefix + name,
                    wanted[name],
                    field=label_of(field),
                    database=holder.alias,
                    pk=pk,
                )

    def _still_absent(self) -> Iterator[tuple[Absent, str]]:
        # What was saved since the listing is there by now, and a row may name what lies outside its field's
        # prefix. The names come in order, so one page answers for all that lie on it.
        pages: dict[str, _Page | None] = {}
        for absent in self._records.absent():
            prefix, client = self._lister_of(absent)
            page = pages.get(prefix)
            if not names.is_well_formed(absent.name):
                yield absent, "no file can have this name"
                continue
            if prefix not in pages or (page is not None and page.ends_before(absent.name)):
                page = pages[prefix] = self._page(client, prefix, absent.name)
            if page is None:
                yield absent, "the application key may not look there"
            elif absent.name not in page.names:
                yield absent, "there is no such file"

    def scope_of(self, name: str) -> Scope:
        """Return the scope in which a name was listed."""
        return next(scope for scope in self._scopes if name.startswith(scope.prefix))

    def _lister_of(self, absent: Absent) -> tuple[str, Client]:
        for prefix, client in self._clients.items():
            if absent.name.startswith(prefix):
                return prefix, client
        field = self.holders[absent.holder].field
        storage = references.b2_storage_of(field)
        if storage is None:  # since a moment ago, by a setting that changed
            raise B2FieldsError(f"{label_of(field)} has no storage any more.")
        return references.prefix_of(field), storage.client

    def _page(self, client: Client, prefix: str, start: str) -> _Page | None:
        try:
            page, following = client.list_names(self.bucket, prefix, start)
        except AccessRefused:
            return None
        return _Page(frozenset(page), None if following is None else (page or [start])[-1])

    def _orphan(self, found: Unnamed) -> Finding:
        return Finding(
            "orphan",
            self.bucket,
            found.name,
            _NO_ROW if found.is_visible else f"{_NO_ROW}, and it is hidden",
            found.size,
            found.versions,
            _time(found.uploaded),
        )

    def _unfinished(self, version: Version) -> Finding:
        return Finding(
            "unfinished",
            self.bucket,
            version.name,
            "its upload was begun and not finished",
            uploaded=_time(version.uploaded),
            file_id=version.file_id,
        )


class _Page(NamedTuple):
    """The visible files of a listing from one name to *last*, or to the end."""

    names: frozenset[str]
    last: str | None

    def ends_before(self, name: str) -> bool:
        return self.last is not None and self.last < name


def batches(found: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of up to *size*."""
    iterator = iter(found)
    while batch := list(islice(iterator, size)):
        yield batch


def dropped_files() -> Iterator[QuerySet[DroppedFile]]:
    """Yield the entries of the outbox in each database that has one."""
    for alias in connections:
        if not holders.is_database(alias):
            continue
        if DroppedFile._meta.db_table in connections[alias].introspection.table_names():
            yield DroppedFile._base_manager.using(alias).order_by()


def _names_meant(full_name: str, prefix: str, holder: int) -> Iterator[Absent]:
    """Yield the name that B2 is asked for when a row has *full_name*, and that itself if it is another."""
    own = full_name.removeprefix(prefix)
    try:
        meant = prefix + names.exact(own)
    except SuspiciousFileOperation:
        meant = full_name
    if meant == full_name:
        yield Absent(full_name, holder, None)
    else:
        yield Absent(meant, holder, own)
        yield Absent(full_name, NO_HOLDER, None)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
