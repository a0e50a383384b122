"""What one transaction dropped and uploaded, and what becomes of it when the transaction ends."""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connections, transaction
from django.utils.module_loading import import_string

from b2fields.cleanup import outbox, worker
from b2fields.cleanup.pending import Upload
from b2fields.fields import B2FileField
from b2fields.holders import Holder, open_transaction

logger = logging.getLogger("b2fields")

# Where a connection keeps its ledger, weakly: only the callbacks of the transaction hold it.
_LEDGER = "_b2fields_ledger"


class Ledger:
    """Waits among a transaction's callbacks. If all of them are dropped, it was rolled back.

    Django tells nobody of a rollback; it forgets the callbacks of the transaction, or of the savepoint.
    What the database says is believed all the same: a savepoint that was rolled back by hand forgets none.
    """

    def __init__(self, using: str) -> None:
        connection = connections[using]
        self.using = using
        self.dropped: list[int] = []
        self.uploads: list[Upload] = []
        # By field, the names of rows that are being deleted.
        self.leaving: dict[B2FileField, set[str]] = {}
        self._connection = weakref.ref(connection)
        self._thread = threading.get_ident()
        # The transaction around a test, which ends when B2 may be gone.
        self._is_of_a_test = any(
            getattr(block, "_from_testcase", False) for block in connection.atomic_blocks[:1]
        )

    def commit(self) -> None:
        """Work what was dropped, and take back the uploads that no row names."""
        # The next transaction has a ledger of its own: an error that somebody keeps, such as a log, may keep
        # this one by its frames, and then no rollback would end it.
        self._detach()
        dropped, self.dropped = self.dropped, []
        uploads, self.uploads = self.uploads, []
        # What was uploaded for a row that nobody has saved yet is no orphan yet.
        finish(self.using, dropped, [upload for upload in uploads if upload.is_settled])

    def _detach(self) -> None:
        """Let the connection forget this ledger."""
        connection = self._connection()
        known = vars(connection).get(_LEDGER) if connection else None
        if known and known() in (self, None):  # None for one that is being deleted
            del vars(connection)[_LEDGER]

    def __del__(self) -> None:
        connection = self._connection()
        if not self.uploads or connection is None or sys.is_finalizing():
            return
        if self._thread != threading.get_ident():
            return
        self._detach()
        for upload in self.uploads:
            upload.is_settled = True
        if connection.in_atomic_block:  # A savepoint was rolled back; the transaction may commit.
            at_the_end(self.using, uploads=self.uploads)
        elif not self._is_of_a_test:
            # There is a transaction until autocommit is on again.
            last = Ledger(self.using)
            last.uploads = self.uploads
            hooks: list[Any] = connection.run_on_commit
            hooks.append((set(), last.commit, True))
            connection.run_commit_hooks_on_set_autocommit_on = True


def at_the_end(using: str, *, dropped: list[int] | None = None, uploads: list[Upload] | None = None) -> None:
    """Work what was dropped, and see what became of uploads, when the transaction ends; else now."""
    connection = connections[using]
    ledger = _ledger(using) or _open(using)
    ledger.dropped += dropped or []
    ledger.uploads += uploads or []
    if connection.in_atomic_block or connection.get_autocommit():
        transaction.on_commit(ledger.commit, using=using, robust=True)
    # Else the project commits by hand, and b2_cleanup finds what was dropped.


def leave(using: str, field: B2FileField, names: set[str]) -> None:
    """Note the names of a row that this transaction is about to delete."""
    ledger = _ledger(using) or _open(using)
    if not ledger.leaving:
        # It goes if the transaction is rolled back.
        transaction.on_commit(ledger.commit, using=using, robust=True)
    ledger.leaving.setdefault(field, set()).update(names)


def drop_leaving(using: str) -> None:
    """Write what was noted into the outbox."""
    ledger = _ledger(using)
    if ledger and ledger.leaving:
        leaving, ledger.leaving = ledger.leaving, {}
        for field, names in leaving.items():
            ledger.dropped += outbox.drop(using, field, sorted(names))


def _ledger(using: str) -> Ledger | None:
    known = vars(connections[using]).get(_LEDGER)
    return known() if known else None


def _open(using: str) -> Ledger:
    ledger = Ledger(using)
    vars(connections[using])[_LEDGER] = weakref.ref(ledger)
    return ledger


def finish(using: str, dropped: list[int], uploads: list[Upload]) -> None:
    """Work the entries of what was dropped, and take back those uploads that no row names.

    There is no transaction any more.
    """
    pks = [*dropped, *_take_back(using, uploads)]
    if not pks:
        return
    if other := open_transaction():
        # What rows name in that database is not settled. After a rollback there b2_cleanup goes on.
        transaction.on_commit(partial(finish, using, pks, []), using=other, robust=True)
        return
    if settings.B2FIELDS_TASKS:
        # By its name, because it needs Django 6 or the package django-tasks.
        import_string("b2fields.cleanup.tasks.enqueue")(using, pks)
    else:
        worker.work(using, pks)


def _take_back(using: str, uploads: list[Upload]) -> Iterable[int]:
    """Write the uploads that no row names into the outbox, and yield the ids of their entries."""
    for field in {upload.field for upload in uploads}:
        # A save that failed may have told of an upload twice.
        ours = dict.fromkeys(upload for upload in uploads if upload.field == field)
        named = set(Holder(field, using).named_among([_full_name(upload) for upload in ours]))
        for upload in ours:
            if _full_name(upload) in named:
                upload.forget()
            else:
                upload.take_back()
                yield from outbox.drop_upload(using, field, upload.name, upload.file_id)


def _full_name(upload: Upload) -> str:
    return upload.field.b2_storage.full_name(upload.name)
