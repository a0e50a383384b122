"""Run benches: ``python -m tests.benchmarks [name ...]``, all of them if none is named.

Exits with 1 if a target is missed, and with 2 if something is not installed that a bench compares with.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from . import emulator, servers

BENCHES = {"emulator": emulator.bench}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure b2fields.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHES)}; default: all")
    names = parser.parse_args().names or list(BENCHES)
    if unknown := set(names) - set(BENCHES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(BENCHES)}")
    print(f"{servers.describe_cores()} Medians of several runs, then their least and greatest.")
    try:
        missed = sum(run(name) for name in names)
    except servers.ToolMissing as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if missed else 0


def run(name: str) -> int:
    """Print what a bench finds, section by section; return how many targets were missed."""
    missed = 0
    begin = last = perf_counter()
    with tempfile.TemporaryDirectory(prefix="b2fields-bench-") as folder:
        for section in BENCHES[name](Path(folder)):
            print(f"\n{section.heading(name)}")
            for finding in section.findings:
                print(finding)
                missed += finding.is_met is False
            print(f"  this took {perf_counter() - last:.0f} s", flush=True)
            last = perf_counter()
    print(f"\n{name}: {missed or 'no'} missed targets, {perf_counter() - begin:.0f} s")
    return missed


if __name__ == "__main__":
    sys.exit(main())
