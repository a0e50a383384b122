"""Run benches: ``python -m tests.benchmarks [name ...]``, all of them if none is named.

Prints what they find, and writes it, with its charts, into a folder. Exits with 1 if a target is missed, and
with 2 if something is not installed that a bench compares with.
"""

import argparse
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from . import charts, cleanup, emulator, report, servers, serving, storage

BENCHES = {"emulator": emulator, "storage": storage, "serving": serving, "cleanup": cleanup}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure b2fields.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help=f"default: {RESULTS}")
    options = parser.parse_args()
    names = options.names or list(BENCHES)
    if unknown := set(names) - set(BENCHES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(BENCHES)}")
    options.results.mkdir(parents=True, exist_ok=True)
    print(f"{servers.describe_cores()} {HOW}")
    try:
        missed = sum(run(name, options.results) for name in names)
    except servers.ToolMissing as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if missed else 0


HOW = "Medians of several runs, then their least and greatest."


def run(name: str, results: Path) -> int:
    """Print what a bench finds, section by section, and write it; return how many targets were missed."""
    missed = 0
    begin = last = perf_counter()
    pieces = [f"# {name}\n\n{describe(name)}\n"]
    with tempfile.TemporaryDirectory(prefix="b2fields-bench-") as folder:
        for section in BENCHES[name].bench(Path(folder)):
            section = section._replace(measured=section.measured or name)
            print(f"\n{report.as_text(section)}")
            missed += sum(finding.is_met is False for finding in section.findings)
            print(f"this took {perf_counter() - last:.0f} s", flush=True)
            pieces.append(report.as_markdown(section))
            if section.chart:
                (results / section.chart).write_text(charts.draw(section))
            last = perf_counter()
    (results / f"{name}.md").write_text("\n".join(pieces))
    print(f"\n{name}: {missed or 'no'} missed targets, {perf_counter() - begin:.0f} s")
    return missed


def describe(name: str) -> str:
    """Tell how a bench measured, and with what."""
    bench = BENCHES[name]
    python = f"{platform.system()}, Python {platform.python_version()}"
    packages = ", ".join(f"{package} {version(package)}" for package in bench.PACKAGES)
    how = " ".join((bench.__doc__ or "").split())
    return f"Made by `make bench`. {how}\n\n{servers.describe_cores()} {HOW} {python}, {packages}."


if __name__ == "__main__":
    sys.exit(main())
