"""Cleanup where rows are in two databases: in a project of its own, since the tests of this one use one."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_cleanup_with_two_databases():
    tests = HERE / "with_two_databases.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)]
    found = subprocess.run(
        [*command, "--ds", "tests.cleaning.two_databases"],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stdout
    assert " passed" in found.stdout
