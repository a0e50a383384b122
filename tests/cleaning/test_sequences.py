"""Whatever rows go through, in whatever order: no file that a row names is lost, and no other one stays.

Hypothesis thinks of the sequences. The model is what the rows were told, kept beside the database.
"""

import os
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from b2fields import B2Storage, cleanup
from b2fields.exceptions import B2FieldsError
from b2fields.models import DroppedFile
from tests.cleaning.conftest import RollBack, upload
from tests.cleaning.models import Folder, Note, SealedNote

FIELDS = ("scan", "extra", "kept")
numbers = st.integers(0, 9)
fields = st.sampled_from(FIELDS)
with_rows = precondition(lambda self: self.rows)
within_a_transaction = precondition(lambda self: self.blocks)
outside_of_transactions = precondition(lambda self: not self.blocks)


class Sequences(RuleBasedStateMachine):
    """Rows that change, transactions that end in either way, and a B2 that fails."""

    def __init__(self, emulator):
        super().__init__()
        self.emulator = emulator
        # The names in each row, by its id: as this connection sees them, and as the others do.
        self.rows, self.committed = {}, {}
        # Open blocks, the outermost first: each with the rows as they were at its begin.
        self.blocks = []
        # Files that nobody promised to remove; they may stay.
        self.strays = set()
        self.last = None
        Note.objects.create(code="taken")

    # What is known of the rows

    def some(self, number):
        return Note.objects.get(pk=sorted(self.rows)[number % len(self.rows)])

    def know(self, note):
        held = [field for field in (*FIELDS, "seal") if hasattr(note, field)]
        names = {field: getattr(note, field).name or "" for field in held}
        self.rows[note.pk] = {**self.rows.get(note.pk, {}), **names}
        self.strays.add(note.kept.name)
        # A name in a field that did not store it is never removed by that one; the audit finds it.
        self.strays |= {name for field, name in names.items() if not name.startswith(f"{field}s/")}
        self.publish()

    def publish(self):
        if not self.blocks:
            self.committed = dict(self.rows)

    def save(self, note):
        """Save a row, as somebody who goes on if that fails."""
        try:
            with transaction.atomic() if self.blocks else nullcontext():
                note.save()
        except (DatabaseError, B2FieldsError):
            self.strays.add(note.kept.name)
            return False
        self.know(note)
        return True

    # Saves

    @rule(fields=st.sets(fields), is_sealed=st.booleans())
    def create(self, fields, is_sealed):
        self.last = SealedNote(seal=upload("seal.txt")) if is_sealed else Note()
        for field in fields:
            setattr(self.last, field, upload(f"{field}.txt"))
        self.save(self.last)

    @with_rows
    @rule(number=numbers, field=fields, is_named=st.booleans())
    def replace(self, number, field, is_named):
        note = self.some(number)
        setattr(note, field, upload(f"{field}.txt"))
        if is_named:
            with transaction.atomic():
                note.title = "changed"
                note.save(update_fields=["title"])  # drops nothing
        self.save(note)

    @with_rows
    @rule(number=numbers, field=fields)
    def upload_twice_and_save_once(self, number, field):
        note = self.some(number)
        try:
            for _ in range(2):
                getattr(note, field).save(f"{field}.txt", upload(), save=False)
                self.strays.add(note.kept.name)
        except B2FieldsError:
            self.strays |= {getattr(note, field).name for field in FIELDS}
            return
        self.save(note)

    @with_rows
    @rule(number=numbers, field=fields, value=st.sampled_from(["", None]))
    def clear(self, number, field, value):
        note = self.some(number)
        setattr(note, field, value)
        self.save(note)

    @with_rows
    @rule(number=numbers, field=st.sampled_from(["scan", "extra"]))
    def delete_the_file(self, number, field):
        note = self.some(number)
        getattr(note, field).delete(save=False)
        self.save(note)

    @with_rows
    @rule(number=numbers, field=fields)
    def be_refused_by_the_database(self, number, field):
        for note in (Note(), self.some(number)):
            note.code = "taken"
            setattr(note, field, upload(f"{field}.txt"))
            assert not self.save(note)

    @with_rows
    @rule(number=numbers)
    def copy(self, number):
        note = self.some(number)
        note.pk = None
        self.save(note)

    @with_rows
    @rule(number=numbers, field=fields, other=numbers, others=fields)
    def assign_the_name_of_another(self, number, field, other, others):
        note = self.some(number)
        setattr(note, field, getattr(self.some(other), others).name)
        self.save(note)

    @rule(number=numbers, field=fields)
    def name_what_waits_to_be_removed(self, number, field):
        waiting = sorted({entry.name for entry in DroppedFile.objects.all()} & stored())
        if waiting:
            self.save(Note(**{field: waiting[number % len(waiting)]}))

    @precondition(lambda self: self.last is not None)
    @rule()
    def save_the_last_new_row_again(self):
        """Its row may be there, or may have been deleted or rolled back since."""
        note = self.last
        if note.pk not in self.rows:
            note.pk = note.id = None
        held = [getattr(note, field) for field in (*FIELDS, "seal") if hasattr(note, field)]
        # An instance that is older than its row may hold a name that was removed: nobody can save that.
        if {file.name for file in held if file and file._committed} <= stored():
            self.save(note)

    # Changes without signals

    @with_rows
    @rule(number=numbers, field=fields, other=numbers)
    def update(self, number, field, other):
        note, name = self.some(number), self.some(other).scan.name
        self.strays.add(getattr(note, field).name)
        Note.objects.filter(pk=note.pk).update(**{field: name})
        self.know(Note.objects.get(pk=note.pk))

    @with_rows
    @rule(number=numbers, field=fields)
    def upload_and_forget(self, number, field):
        note = self.some(number)
        try:
            getattr(note, field).save("forgotten.txt", upload(), save=False)
        except B2FieldsError:
            return
        self.strays.add(getattr(note, field).name)

    # Deletions

    @with_rows
    @rule(number=numbers, way=st.sampled_from(["instance", "queryset", "cascade"]))
    def delete(self, number, way):
        note = self.some(number)
        pk = note.pk
        if way == "instance":
            note.delete()
        elif way == "queryset":
            Note.objects.filter(pk=pk).delete()
        else:
            folder = Folder.objects.create()
            Note.objects.filter(pk=pk).update(folder=folder)
            folder.delete()
        del self.rows[pk]
        self.publish()

    # Transactions

    @rule()
    def begin(self):
        block = transaction.atomic()
        block.__enter__()
        self.blocks.append((block, dict(self.rows)))

    @within_a_transaction
    @rule()
    def set_a_savepoint(self):
        self.blocks.append((connection.savepoint(), dict(self.rows)))

    @within_a_transaction
    @rule(way=st.sampled_from(["commit", "commit ", "raise", "set"]))
    def end(self, way):
        block, before = self.blocks.pop()
        is_by_hand = not isinstance(block, transaction.Atomic)
        if way.startswith("commit"):
            if is_by_hand:
                connection.savepoint_commit(block)
            else:
                block.__exit__(None, None, None)
        else:
            self.rows = before
            if is_by_hand:
                transaction.savepoint_rollback(block)
            elif way == "raise":
                block.__exit__(RollBack, RollBack(), None)
            else:
                transaction.set_rollback(True)
                block.__exit__(None, None, None)
        self.publish()

    # B2

    @rule(operation=st.sampled_from(["b2_upload_file", "b2_list_file_versions", "b2_delete_file_version"]))
    def fail_once(self, operation):
        self.emulator.fault(operation, status=400, code="bad_request", times=1)

    @rule()
    def refuse_removals(self):
        """From now on the outbox stays unworked, as after a crash."""
        self.emulator.fault("b2_list_file_versions", status=400, code="bad_request", times=1000)

    @outside_of_transactions
    @rule(is_well=st.booleans())
    def work_the_outbox(self, is_well):
        if is_well:
            self.emulator.heal()
        list(cleanup.work_all("default", retry=True))

    # What holds

    @invariant()
    def nothing_named_is_lost(self):
        assert names_of(self.committed) | names_of(self.rows) <= stored()

    def teardown(self):
        try:
            while self.blocks:
                self.end("commit")
            self.emulator.heal()
            # A minute later: what is named and was written down just now waits until then.
            DroppedFile.objects.update(dropped=F("dropped") - timedelta(minutes=2))
            list(cleanup.work_all("default", retry=True))
            rows = {name for field in FIELDS for name in Note.objects.values_list(field, flat=True)}
            rows |= set(SealedNote.objects.values_list("seal", flat=True))
            assert rows - {"", None} == names_of(self.rows)
            assert names_of(self.rows) <= stored() <= names_of(self.rows) | self.strays
            assert not DroppedFile.objects.exists()
        finally:
            for block, _ in reversed(self.blocks):
                if isinstance(block, transaction.Atomic):
                    block.__exit__(RollBack, RollBack(), None)
            for model in (SealedNote, Note, DroppedFile):
                model.objects.all()._raw_delete("default")
            for name in stored():
                B2Storage().delete(name)


def names_of(rows):
    return {name for names in rows.values() for name in names.values() if name}


def stored():
    """Return the names of the files in the bucket, by a request that does not fail here."""
    storage = B2Storage()
    page, start = storage.client.list_names(storage.bucket, "", "")
    assert start is None
    return set(page)


@pytest.mark.django_db(transaction=True)
def test_no_sequence_loses_a_named_file_or_leaves_another(emulator):
    run_state_machine_as_test(
        lambda: Sequences(emulator),
        settings=hypothesis_settings(
            max_examples=60 if "B2FIELDS_TEST_DATABASE" in os.environ else 20,
            stateful_step_count=25,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
