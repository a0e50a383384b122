"""The outbox filled: which names a field may have removed, and their entries."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Collection, Iterable
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.db import connections, router, transaction
from django.utils import timezone

from b2fields import holders, references
from b2fields.fields import B2FileField
from b2fields.models import DroppedFile, digest_of
from b2fields.storage import B2Storage

logger = logging.getLogger("b2fields")

# Entries by one statement: no database takes one of any length.
_AT_ONCE = 500
# Where a connection keeps that its database has the table.
_HAS_OUTBOX = "_b2fields_has_outbox"


def drop(using: str, field: B2FileField, names: Collection[str]) -> list[int]:
    """Write down that a row no longer holds these names of *field*, and return the ids of the entries.

    Names that are not the field's own are left out: whoever wrote them into a row must not have the file
    of another field removed by that.
    """
    place = _place(field)
    if place is None:
        return []
    bucket, storage = place
    inner = references.inner_places(field)
    own = [name for name in names if _is_own(field, name, inner)]
    if len(own) < len(names):
        logger.warning(
            "b2fields leaves in B2 what rows of %s no longer name (files: %d), since it is not under the "
            "field's own upload_to.",
            field.label,
            len(names) - len(own),
        )
    full_names = [_full_name(storage, name) for name in own]
    delay = timedelta(seconds=settings.B2FIELDS_CLEANUP_DELAY)
    if delay:
        # The last drop counts: between the two a row had the file again.
        forget(using, bucket, filter(None, full_names))
    now = timezone.now()
    entries = [
        DroppedFile.of(bucket, name, field=field.label, dropped=now, due=now + delay, next_try=now + delay)
        for name in full_names
        if name
    ]
    return _insert(using, entries)


def drop_upload(using: str, field: B2FileField, name: str, file_id: str) -> list[int]:
    """Write down that an upload was for nothing: this one version of the name goes, without delay."""
    place = _place(field)
    full_name = _full_name(place[1], name) if place else None
    if not place or not full_name:
        return []
    now = timezone.now()
    moments = {"dropped": now, "due": now, "next_try": now}
    return _insert(
        using, [DroppedFile.of(place[0], full_name, field=field.label, file_id=file_id, **moments)]
    )


def forget(using: str, bucket: str, full_names: Iterable[str]) -> None:
    """Take names out of the outbox, because a row is about to have them again."""
    entries = DroppedFile.objects.using(using)
    digests = [digest_of(bucket, name) for name in full_names]
    for start in range(0, len(digests), _AT_ONCE):
        found = entries.filter(digest__in=digests[start : start + _AT_ONCE])
        # By their ids, as workers lock them: MariaDB locks the index that it finds a row by, too, and would
        # meet a worker from the other side (deadlock).
        if pks := list(found.values_list("pk", flat=True)):
            delete(using, pks)


def delete(using: str, pks: Iterable[int]) -> None:
    """Take entries out of the outbox, after waiting for those who work on them if the database can lock."""
    with transaction.atomic(using=using, savepoint=False):
        # One by one: asked for several, MariaDB may read the whole of a small table, and wait for every lock.
        for pk in pks:
            DroppedFile.objects.using(using).filter(pk=pk).delete()


def take_up(using: str, field: B2FileField, name: str) -> None:
    """Keep a file that waits to be removed, because a row is about to name it."""
    place = _place(field)
    full_name = _full_name(place[1], name) if place else None
    if place and full_name and is_in(using) and exists(using):
        forget(using, place[0], [full_name])


def is_in(using: str) -> bool:
    """Tell whether the router lets an outbox be in this database."""
    return holders.is_database(using) and bool(router.allow_migrate_model(using, DroppedFile))


def exists(using: str) -> bool:
    """Tell whether there is an outbox in this database, which may not be migrated yet; asked until it is."""
    connection = connections[using]
    if not getattr(connection, _HAS_OUTBOX, False):
        found = DroppedFile._meta.db_table in connection.introspection.table_names()
        setattr(connection, _HAS_OUTBOX, found)
        return found
    return True


def _insert(using: str, entries: list[DroppedFile]) -> list[int]:
    if entries and not (is_in(using) and exists(using)):
        logger.error(
            "Database %r has no outbox, so %d dropped files stay in B2. Run migrate there, and let the "
            "database router allow the app b2fields.",
            using,
            len(entries),
        )
        return []
    if connections[using].features.can_return_rows_from_bulk_insert:
        DroppedFile.objects.using(using).bulk_create(entries, _AT_ONCE)
    else:  # MySQL, which would not tell their ids
        for entry in entries:
            entry.save(using=using, force_insert=True)
    return [entry.pk for entry in entries]


def _place(field: B2FileField) -> tuple[str, B2Storage] | None:
    """Return where a field stores; None if nothing is stored, for want of settings."""
    try:
        return field.b2_storage.bucket, field.b2_storage
    except ImproperlyConfigured:
        return None


def _full_name(storage: B2Storage, name: str) -> str | None:
    try:
        full_name = storage.full_name(name)
    except SuspiciousFileOperation:
        return None  # No file has such a name.
    # Nor does one that B2 would have under another name than the row says.
    return full_name if posixpath.join(storage.location, name) == full_name else None


def _is_own(field: B2FileField, name: str, inner: frozenset[str]) -> bool:
    """Tell whether a field may have stored a file under this name: below its upload_to, and no other's."""
    if not name or not name.startswith(references.place_of(field)):
        return False
    full_name = references.prefix_of(field) + name
    # Of two places within each other, the inner one stored what is there.
    return not full_name.startswith(tuple(inner))
