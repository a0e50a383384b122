"""One task for each file: its row, the name of its copy, and what B2 has under that name."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterator
from copy import copy
from typing import NamedTuple

from django import db
from django.db import models

from b2fields import names
from b2fields.cleanup import outbox
from b2fields.exceptions import (
    AccessRefused,
    B2Unavailable,
    BucketMissing,
    CapExceeded,
    FileMissing,
    NotConfigured,
)
from b2fields.fieldfiles import B2FieldFile
from b2fields.importing.plan import CHANGED, FAILED, Job, Outcome, Plan, told
from b2fields.metadata import FileMetadata
from b2fields.storage import B2Storage

# What B2 says to one file it would say to all.
REFUSALS = (AccessRefused, BucketMissing, CapExceeded, NotConfigured)

# Seconds that a page of a listing is believed: large files take long, and the site goes on uploading.
_PAGE_SECONDS = 60


class Task(NamedTuple):
    """One file to copy: *stored* is what B2 has under the target, *file* that of the first row by its key.

    The storage has the metadata of that row.
    """

    name: str
    target: str | None
    stored: FileMetadata | None
    storage: B2Storage
    file: B2FieldFile

    @property
    def is_renamed(self) -> bool:
        """Tell whether the rows are to hold another name."""
        return self.target != self.name


class _Listing:
    """What B2 has, if it is asked for names in their order: pages that begin with a name that is asked for.

    So one request for each thousand files between the first and the last name, and at most one for each name.
    """

    def __init__(self, storage: B2Storage) -> None:
        self._storage = storage
        self._prefix = f"{storage.location}/" if storage.location else ""
        self._page: dict[str, FileMetadata] = {}
        self._from: str = ""
        self._until: str | None = ""
        self._outdated = 0.0

    def find(self, name: str) -> FileMetadata | None:
        full_name = self._prefix + name
        is_covered = self._from <= full_name and (self._until is None or full_name < self._until)
        if not is_covered or time.monotonic() >= self._outdated:
            self._outdated = time.monotonic() + _PAGE_SECONDS
            self._from = full_name
            self._page, self._until = self._storage.client.list_files(
                self._storage.bucket, self._prefix, full_name
            )
        return self._page.get(full_name)


def tasks(job: Job, plan: Plan) -> Iterator[Task | Outcome]:
    """Yield what is to be copied, and at once what cannot be.

    Raises REFUSALS and B2Unavailable if B2 does not tell what it has, django.db.Error for the rows.
    """
    listing = _Listing(job.field.b2_storage)
    for batch in plan.batches():
        rows = _first_rows(job, [name for name, _, _ in batch])
        for name, target, problem in batch:
            if problem:
                yield Outcome(FAILED, name, None, problem)
            elif name not in rows:
                yield Outcome(CHANGED, name, target)
            else:
                try:
                    task = _task(job, plan, listing, name, target, rows[name])
                except (*REFUSALS, B2Unavailable, db.Error):  # They would say so of the next one, too.
                    raise
                except Exception as error:  # noqa: BLE001 - of upload_to or metadata, functions of the project
                    yield Outcome(FAILED, name, target, told(error))
                else:
                    yield task


def _first_rows(job: Job, wanted: list[str]) -> dict[str, models.Model]:
    field = job.field
    found: dict[str, models.Model] = {}
    for row in job.rows.filter(**{f"{field.attname}__in": wanted}).order_by("pk").iterator():
        found.setdefault(str(getattr(row, field.attname)), row)
    return found


def _task(job: Job, plan: Plan, listing: _Listing, name: str, target: str | None, row: models.Model) -> Task:
    field = job.field
    # Here, because it may ask the database, which the threads must not.
    storage = field.storage_for(row, posixpath.basename(name))
    if target is not None:
        stored = _find_mapped(job, plan, listing, name, target)
    else:
        stored = listing.find(name) if names.is_well_formed(name) else None
        if stored is not None:  # The row's file is in B2 already.
            target = name
        elif (target := plan.chosen(name)) is not None:
            stored = look_up(storage, target)
        elif not job.dry_run:
            target = _new_name(job, plan, name, row)
            plan.choose(name, target)
    # A copy, so that its last upload is this one.
    return Task(name, target, stored, copy(storage), field.attr_class(row, field, target))


def _find_mapped(job: Job, plan: Plan, listing: _Listing, name: str, target: str) -> FileMetadata | None:
    stored = listing.find(target)
    if problem := plan.conflict(name, target, is_stored=stored is not None):
        raise FileExistsError(problem)
    if target == name or job.dry_run:
        return stored
    if job.field.is_cleaned:
        # Else b2_cleanup might remove what a row dropped, or ours in its place, before our rows name it.
        outbox.take_up(job.database, job.field, target)
    # Rows are about to name it, so that B2 had it when it was listed is not enough.
    return None if stored is None else look_up(job.field.b2_storage, target)


def _new_name(job: Job, plan: Plan, name: str, row: models.Model) -> str:
    field, storage = job.field, job.field.b2_storage
    target = field.generate_filename(row, posixpath.basename(name))
    target = storage.get_available_name(target, field.max_length)
    while plan.is_taken(target, name):
        target = storage.get_alternative_name(*posixpath.splitext(target))
        target = storage.get_available_name(target, field.max_length)
    return target


def look_up(storage: B2Storage, name: str) -> FileMetadata | None:
    """Ask B2 what it has under a name."""
    try:
        return storage.look_up(name)
    except FileMissing:
        return None
