"""What it costs that files follow their rows, beside the same rows without ``cleanup``.

Both are tables of one SQLite database in memory, measured in turns by one process. Loading and saving are
the processor's time; files are removed with 50 ms for each request to B2.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ..emulator.clients import KEY
from . import servers
from .measure import Finding, Section
from .rows import FILES, ROWS, SAVES
from .worker import ROOT

PACKAGES = ("django", "b2sdk")
BUCKET = "benchmarks"
LATENCY = 0.05


def bench(folder: Path) -> Iterator[Section]:
    """Measure rows with and without cleanup, with data in *folder*."""
    place = (folder / "data", "--control", "--bucket", f"{BUCKET}:allPrivate")
    with servers.emulator(*place) as b2, b2.latency(LATENCY):
        command = [sys.executable, "-m", "tests.benchmarks.rows", b2.url, *KEY, BUCKET]
        process = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    taken = json.loads(process.stdout)

    def finding(what: str, key: str, unit: str, factor: float, **target: float) -> Finding:
        runs = {name: [factor * seconds for seconds in runs] for name, runs in taken[key].items()}
        return Finding(what=what, unit=unit, runs=runs["Cleaned"], yardstick=runs["Plain"], **target)

    findings = [
        finding(f"load {ROWS:,} rows", "load", "ms", 1000, ratio_at_most=1.02),
        finding("save a row, title alone", "save_title", "ms", 1000 / SAVES),
        finding("save a row, its file unchanged", "save", "ms", 1000 / SAVES),
        finding(f"remove {FILES} files and their rows", "remove", "s", 1),
    ]
    yield Section("rows whose files follow them", findings, "without cleanup", "with cleanup")
