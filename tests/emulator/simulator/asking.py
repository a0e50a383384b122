"""The ground that the rules stand on."""

from collections import Counter

from hypothesis.stateful import RuleBasedStateMachine

from ..clients import KEY
from .differences import ANSWERS, ERRORS, Simulator
from .sides import Side, normal, outcome, pruned


class Asking(RuleBasedStateMachine):
    """How the rules ask both sides, and what they know of what there is."""

    realm = ""
    raw = None
    control = None
    seen = Counter()

    def __init__(self):
        super().__init__()
        made = self.control._do("POST", "reset", {})
        self.emulator = Side(self.raw, self.realm, KEY)
        self.emulator.call("delete_key", made["applicationKeyId"])
        simulator = Simulator()
        self.simulator = Side(simulator, "", simulator.create_account())
        self.buckets = {}  # name of ours: name of the bucket; those that were deleted too
        self.files = {}  # name of ours: bucket, name of the file
        self.parts = {}  # of large files: number: body
        self.keys = []
        self.deleted_keys = set()
        self.number = 0

    # --- Asking

    def compare(self, operation, act, new=None, field=None):
        """Do *act* on both sides, see them agree, and remember the id in *field* under the name *new*."""
        theirs, error = outcome(self.simulator, act)
        ours, our_error = outcome(self.emulator, act)
        if error is not None:
            error = ERRORS.get((operation, error.split()[0]), ERRORS.get(("*", error.split()[0]), error))
        assert our_error == error, (operation, ours, theirs)
        self.seen[operation, error] += 1
        if error is not None:
            return None
        if new is not None:
            self.emulator.remember(new, ours[field])
            self.simulator.remember(new, theirs[field])
        seen = normal(self.emulator, operation, pruned(ours, theirs))
        assert seen == normal(self.simulator, operation, theirs), operation
        return ours

    def refuse(self, reason, act, or_for=None):
        """See the emulator answer what stands in the table, and leave the simulator alone."""
        ours, error = outcome(self.emulator, act)
        assert error in (ANSWERS[reason], ANSWERS[or_for or reason]), (reason, ours)
        self.seen[reason] += 1

    def fresh(self, kind):
        self.number += 1
        return f"{kind} {self.number}"

    # --- Knowing

    def simulated(self, bucket):
        """Return the simulator's own bucket, or None if it was deleted."""
        return self.simulator.raw.bucket_id_to_bucket.get(self.simulator.ids[bucket])

    def kind(self, file):
        """Return upload, hide or start, or None if the version is gone."""
        bucket = self.simulated(self.files[file][0])
        found = bucket and bucket.file_id_to_file.get(self.simulator.ids[file])
        return found.action if found else None

    def size(self, file):
        return len(self.simulated(self.files[file][0]).file_id_to_file[self.simulator.ids[file]].data_bytes)

    def versions(self, bucket, name=None):
        """Return the simulator's versions, newest first within each name, as pairs of name and our name."""
        found = self.simulated(bucket)
        listed = sorted(found.file_name_and_id_to_file) if found else []
        return [(n, self.simulator.names[i]) for n, i in listed if name in (None, n)]

    def newest(self, bucket, name):
        """Return our name for what a download by name meets, hide markers included."""
        return next((f for _, f in self.versions(bucket, name) if self.kind(f) != "start"), None)

    def some_bucket(self, pick):
        # One that was deleted now and then: its id must be dead.
        living = [bucket for bucket in self.buckets if self.simulated(bucket)]
        chosen = living if living and pick % 8 else list(self.buckets)
        return chosen[pick % len(chosen)]

    def some_file(self, pick, kind=None):
        chosen = [file for file in self.files if self.kind(file) == kind] if pick % 8 else []
        chosen = chosen or list(self.files)
        return chosen[pick % len(chosen)]
