"""The outbox worked: files that no row names are removed from B2, and their entries go with them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from b2fields import asking, holders, references
from b2fields.asking import Leaving
from b2fields.b2 import deadline
from b2fields.b2.versions import Version
from b2fields.cleanup import outbox
from b2fields.exceptions import NotConfigured
from b2fields.fields import B2FileField
from b2fields.holders import Holder
from b2fields.models import DroppedFile
from b2fields.storage import B2Storage

# Files removed at once, by as many threads. The lock on their entries is held meanwhile.
_AT_ONCE = 16
# Entries read together.
_READ = 500
# A name is written down before the row that drops it: so young an entry is not let go by another process.
_YOUNG = timedelta(seconds=60)
_FIRST_PAUSE = timedelta(seconds=60)
_LONGEST_PAUSE = timedelta(days=1)
# How often a file is looked at again that another database alone names: about four days.
_TRIES_ELSEWHERE = 14

logger = logging.getLogger("b2fields")

# How many entries had which end: "removed", "kept" (named, or vetoed), "failed", "left" (not looked at).
Outcome = Counter[str]


@dataclass
class _Removal:
    """A dropped file on its way out."""

    entry: DroppedFile
    dropped_by: B2FileField | None
    storage: B2Storage
    versions: list[Version] = field(default_factory=list)
    error: Exception | None = None

    @property
    def name(self) -> str:
        """Its name as a row of the field would hold it."""
        location = self.storage.location
        return str(self.entry.name).removeprefix(f"{location}/" if location else "")

    @property
    def leaving(self) -> Leaving:
        return Leaving(self.dropped_by, self.storage, self.name)

    def look(self) -> None:
        entry = self.entry
        if entry.file_id:
            self.versions = [Version(entry.name, entry.file_id, "upload", 0, 0)]
        elif not self.storage.is_hiding:
            self.versions = self.storage.client.versions(entry.bucket, entry.name)

    def remove(self) -> None:
        entry, client = self.entry, self.storage.client
        if self.storage.is_hiding and not entry.file_id:
            client.hide(entry.bucket, entry.name)
        else:
            client.delete_versions(entry.bucket, self.versions)


def work(using: str, pks: list[int]) -> Outcome:
    """Work these entries of a database's outbox, those that are due, within B2FIELDS_DEADLINE.

    After a third of it no more are begun: who waits is a visitor. What is not reached then stays for
    ``b2_cleanup``, and so does what fails. Raises CannotTell within a transaction, as ``work_all`` does.
    """
    holders.refuse_open_transaction()
    begun, limit = time.monotonic(), settings.B2FIELDS_DEADLINE
    outcome: Outcome = Counter()
    due = [
        entry
        for start in range(0, len(pks), _READ)
        for entry in _due(using).filter(pk__in=pks[start : start + _READ])
    ]
    for start in range(0, len(due), _AT_ONCE):
        if time.monotonic() - begun > limit / 3:
            outcome["left"] += len(due) - start
            logger.warning("b2fields leaves %d dropped files to b2_cleanup.", outcome["left"])
            break
        outcome += _work_some(using, due[start : start + _AT_ONCE], begun + limit)
    return outcome


def work_all(using: str, *, retry: bool) -> Iterator[Outcome]:
    """Work all that is due in a database's outbox, and yield what came of each few entries.

    With *retry*, what failed is tried again although the time of its next try has not come.
    """
    holders.refuse_open_transaction()
    due = _due(using)
    if not retry:
        due = due.filter(next_try__lte=timezone.now())
    last = 0
    while entries := list(due.filter(pk__gt=last)[:_AT_ONCE]):
        last = entries[-1].pk
        yield _work_some(using, entries, time.monotonic() + settings.B2FIELDS_DEADLINE, is_patient=True)


def _due(using: str) -> QuerySet[DroppedFile]:
    return DroppedFile.objects.using(using).filter(due__lte=timezone.now()).order_by("pk")


def _work_some(using: str, entries: list[DroppedFile], end: float, *, is_patient: bool = False) -> Outcome:
    outcome: Outcome = Counter()
    try:
        among = _holders(entries)
        named = _named(entries, among)
        # What only another database names: it may be a replica that is behind.
        in_use = [entry for entry in entries if entry.pk in named]
        here = _named(in_use, {bucket: _in_database(using, found) for bucket, found in among.items()})
        for entry in entries:
            if entry.pk in named:
                outcome += _let_go(using, entry, is_patient, is_here=entry.pk in here)
        removals = list(_begin(using, [entry for entry in entries if entry.pk not in named], outcome))
        _each(_Removal.look, removals, end)
        with _locked(using, removals) as locked, ExitStack() as forgetting:
            # Once more, right before: a row may have taken a name meanwhile.
            named = _named([removal.entry for removal in locked], among)
            going = [removal for removal in locked if not removal.error and removal.entry.pk not in named]
            for removal in going:
                forgetting.enter_context(removal.storage.forgetting(removal.name))
            _each(_Removal.remove, going, end)
            removed = [removal for removal in going if not removal.error]
            pks = [removal.entry.pk for removal in removed]
            outbox.delete(using, [*pks, *named])
    except Exception as error:  # noqa: BLE001 - whatever keeps a database or a storage from answering
        # Nobody could tell which files are in use, so none goes.
        return outcome + Counter(failed=sum(_failed(using, entry, error) for entry in entries))
    for removal in locked:
        if removal.error:
            outcome["failed"] += _failed(using, removal.entry, removal.error)
    outcome += Counter(removed=len(removed), kept=len(named))
    for removal in removed:
        asking.tell(removal.leaving)
    return outcome


def _holders(entries: list[DroppedFile]) -> dict[str, list[Holder]]:
    return {bucket: holders.holders(bucket) for bucket in {entry.bucket for entry in entries}}


def _named(entries: list[DroppedFile], among: dict[str, list[Holder]]) -> set[int]:
    """Return the ids of those entries whose file a row names, or is a field's default."""
    named: set[int] = set()
    for bucket in {entry.bucket for entry in entries}:
        ours = [entry for entry in entries if entry.bucket == bucket]
        found = holders.named_among(bucket, {entry.name for entry in ours}, among[bucket])
        named.update(entry.pk for entry in ours if entry.name in found)
    return named


def _in_database(using: str, among: list[Holder]) -> list[Holder]:
    return [holder for holder in among if holder.alias == using]


def _let_go(using: str, entry: DroppedFile, is_patient: bool, *, is_here: bool) -> Outcome:
    """Forget about a file that is in use."""
    found = DroppedFile.objects.using(using).filter(pk=entry.pk)
    if is_patient and entry.dropped > timezone.now() - _YOUNG:
        # The row that drops it may be about to be written.
        found.update(next_try=entry.dropped + _YOUNG)
        return Counter(left=1)
    if not is_here and entry.tries < _TRIES_ELSEWHERE:
        found.update(tries=entry.tries + 1, next_try=timezone.now() + _pause_after(entry.tries))
        return Counter(left=1)
    DroppedFile.objects.using(using).filter(pk=entry.pk).delete()
    return Counter(kept=1)


def _begin(using: str, entries: list[DroppedFile], outcome: Outcome) -> Iterator[_Removal]:
    """Yield what is to be removed, after asking the receivers of pre_cleanup."""
    for entry in entries:
        try:
            removal = _Removal(entry, *_place_of(entry))
        except ImproperlyConfigured as error:
            outcome["failed"] += _failed(using, entry, error)
            continue
        try:
            may_go = asking.may_go(removal.leaving)
        except Exception as error:  # noqa: BLE001 - whatever a receiver raises postpones this file alone
            outcome["failed"] += _failed(using, entry, error)
            continue
        if may_go:
            yield removal
        else:
            DroppedFile.objects.using(using).filter(pk=entry.pk).delete()
            outcome["kept"] += 1


def _place_of(entry: DroppedFile) -> tuple[B2FileField | None, B2Storage]:
    """Return the field that dropped a file, and a storage for it. Raises NotConfigured."""
    dropped_by = references.find_field(entry.field)
    storages = [dropped_by.b2_storage] if dropped_by else []
    # The field may have moved to another bucket, or may be gone.
    for storage in (*storages, *references.b2_storages()):
        if (references.bucket_of(storage) or "").lower() == entry.bucket.lower():
            return dropped_by, storage
    raise NotConfigured(
        f"Nothing in this project stores in bucket {entry.bucket!r} any more. Declare a storage for it in "
        "STORAGES, or keep the file by deleting this entry."
    )


def _each(call: Callable[[_Removal], None], removals: list[_Removal], end: float) -> None:
    """Do this for all at once, by B2 alone: threads share no connection to a database."""

    def attempt(removal: _Removal) -> None:
        try:
            with deadline(max(0, end - time.monotonic())):
                call(removal)
        except Exception as error:  # noqa: BLE001 - of one file; it is kept, told, and the others go on
            removal.error = error

    going = [removal for removal in removals if not removal.error]
    if len(going) == 1:
        attempt(going[0])
    elif going:
        with ThreadPoolExecutor(len(going), "b2fields-cleanup") as pool:
            list(pool.map(attempt, going))


@contextmanager
def _locked(using: str, removals: list[_Removal]) -> Iterator[list[_Removal]]:
    """Lock the entries of these files, where the database can, and give those that nobody else works on.

    Whoever saves a row with a name that waits here removes its entry, and so waits for us, or we skip it.
    """
    entries = DroppedFile.objects.using(using).order_by()
    pks = [removal.entry.pk for removal in removals]
    features = connections[using].features
    with ExitStack() as stack:
        if features.has_select_for_update:
            stack.enter_context(transaction.atomic(using=using))
            entries = entries.select_for_update(skip_locked=features.has_select_for_update_skip_locked)
        elif pks:
            # SQLite knows who writes, and no more: this waits for whoever has taken a name, and the check
            # that follows sees the row.
            entries.filter(pk__in=pks).update(tries=F("tries"))
        # One by one, see outbox.delete.
        pks = [pk for pk in pks if entries.filter(pk=pk).values_list("pk").first()]
        yield [removal for removal in removals if removal.entry.pk in pks]


def _failed(using: str, entry: DroppedFile, error: Exception) -> int:
    """Note why a file could not be removed, and when that is tried again."""
    next_try = timezone.now() + _pause_after(entry.tries)
    told = str(error).replace("\0", "")  # PostgreSQL takes no NUL.
    note = {"tries": entry.tries + 1, "next_try": next_try, "error": told}
    logger.warning("b2fields could not remove a dropped file; b2_cleanup will try again: %s", error)
    DroppedFile.objects.using(using).filter(pk=entry.pk).update(**note)
    return 1


def _pause_after(tries: int) -> timedelta:
    return min(_FIRST_PAUSE * (1 << min(tries, 20)), _LONGEST_PAUSE)
