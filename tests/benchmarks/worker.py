"""A subject in a process of its own, which does what it is told by a line of JSON and answers what that took.

``python -m tests.benchmarks.worker NAME PLACE`` is the process; ``worker()`` starts it.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PROCESS = Path("/proc/self")
MEMORY_IS_TOLD = PROCESS.joinpath("clear_refs").exists()


class Answer(NamedTuple):
    """What a call returned, what it took, and how far memory rose above what was resident before.

    The growth is None where the system does not tell.
    """

    result: Any
    seconds: float
    growth_mebibytes: float | None


class Worker(NamedTuple):
    name: str
    process: "subprocess.Popen[str]"

    def call(self, method: str, *arguments: object) -> Answer | None:
        """Call a method of the subject; return None if it has none of that name."""
        print(json.dumps([method, *arguments]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} failed at {method}; its traceback stands above")
        answer = json.loads(line)
        return Answer(*answer) if answer else None


@contextmanager
def worker(name: str, place: tuple[str | None, ...]) -> Iterator[Worker]:
    command = [sys.executable, "-m", "tests.benchmarks.worker", name, json.dumps(place)]
    # Without what the user's shell says of other accounts.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "B2_"))}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            process.stdout.readline()  # until it is ready
            yield Worker(name, process)
        finally:
            process.kill()


def _measured(call: Any, arguments: list[object]) -> Answer:
    gc.collect()
    if MEMORY_IS_TOLD:
        # From now on the peak is counted from what is resident now (proc(5), clear_refs).
        PROCESS.joinpath("clear_refs").write_text("5")
        before = status("VmRSS")
    begin = perf_counter()
    result = call(*arguments)
    seconds = perf_counter() - begin
    return Answer(result, seconds, (status("VmHWM") - before) / 1024 if MEMORY_IS_TOLD else None)


def status(key: str) -> int:
    """Return one of the figures that the system tells of this process, in KiB."""
    return int(PROCESS.joinpath("status").read_text().partition(f"{key}:")[2].split()[0])


def main(name: str, place: str) -> None:
    from .subject import Place
    from .subjects import SUBJECTS

    answers = sys.stdout
    sys.stdout = sys.stderr  # what Django's commands print is no answer
    subject = SUBJECTS[name](Place(*json.loads(place)))
    print("null", file=answers, flush=True)
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        call = getattr(subject, method, None)
        answer = _measured(call, arguments) if call else None
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
