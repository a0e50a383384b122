"""b2sdk's RawSimulator as the second opinion: random operations on both, with the same results and errors.

``B2_SIMULATOR_EXAMPLES=2000`` makes a long search of it.
"""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import initialize, run_state_machine_as_test

from .bucket_rules import BucketRules
from .file_rules import FileRules
from .key_rules import KeyRules
from .large_file_rules import LargeFileRules
from .list_rules import ListRules

EXAMPLES = int(os.environ.get("B2_SIMULATOR_EXAMPLES", "0"))


class BothSides(BucketRules, FileRules, ListRules, LargeFileRules, KeyRules):
    @initialize()
    def begin_with_a_bucket_of_files(self):
        self.create_bucket("bucket-one", "allPrivate", {})
        for name in ("a", "a/b", "\U0001f600"):
            self.upload(1, name, b"0123456789", "text/plain", {}, "before")

    def teardown(self):
        for bucket in self.buckets:
            if self.simulated(bucket):
                self.compare(
                    "list_file_versions",
                    lambda side, bucket=bucket: side.call(
                        "list_file_versions", side.ids[bucket], None, None, 10_000
                    ),
                )


@pytest.fixture
def both_sides(emulator, api, control):
    parts = {"realm": emulator.realm, "raw": api.session.raw_api, "control": control, "seen": Counter()}
    return type("BothSides", (BothSides,), parts)


def test_random_operations_have_the_same_results_and_errors_as_in_the_simulator(both_sides):
    run_state_machine_as_test(
        both_sides,
        settings=settings(
            max_examples=EXAMPLES or 80,
            stateful_step_count=40,
            deadline=None,
            database=None,
            # In CI the same every time; elsewhere each run tries something else.
            derandomize=bool(os.environ.get("CI")) and not EXAMPLES,
            print_blob=True,
            # Making a failing sequence shorter takes minutes.
            phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(both_sides.seen)  # pytest -s shows what has come about
