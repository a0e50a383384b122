"""The servers and processes of a comparison, and findings that show ours beside the others'."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx

from ..emulator.clients import KEY
from . import servers
from .measure import Finding
from .subject import Place
from .subjects import SUBJECTS
from .worker import Answer, Worker, worker

OURS, RAW, *PEERS = SUBJECTS
S3 = PEERS[-1]
BUCKET = "benchmarks"
PUBLIC_BUCKET = "benchmarks-for-all"
LATENCY = 0.05


class Bench(ExitStack):
    """Two servers, and for each subject a process that has made its first requests."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __enter__(self) -> "Bench":
        buckets = ("--bucket", f"{BUCKET}:allPrivate", "--bucket", f"{PUBLIC_BUCKET}:allPublic")
        (self.folder / "moto").mkdir()
        self.b2 = self.enter_context(servers.emulator(self.folder / "data", "--control", *buckets))
        self.s3 = self.enter_context(servers.s3(self.folder / "moto"))
        httpx.put(f"{self.s3.url}/{BUCKET}", trust_env=False).raise_for_status()
        self.workers = {name: self.enter_context(self.start(name)) for name in SUBJECTS}
        for each in self.workers.values():
            warm_up(each)
        return self

    def server(self, name: str) -> servers.Server:
        return self.s3 if name == S3 else self.b2

    def start(self, name: str, cache_folder: str | None = None) -> AbstractContextManager[Worker]:
        url, folder = self.server(name).url, str(self.folder)
        return worker(name, Place(url, *KEY, BUCKET, PUBLIC_BUCKET, folder, cache_folder))

    def latency(self) -> ExitStack:
        stack = ExitStack()
        for server in (self.b2, self.s3):
            stack.enter_context(server.latency(LATENCY))
        return stack


def warm_up(each: Worker) -> None:
    for method in ("save_unique", "save_over", "save_free", "public_url"):
        each.call(method)
    each.call("read", stored(each))


def stored(each: Worker, method: str = "store", *arguments: object) -> object:
    return called(each, method, *arguments).result


def called(each: Worker, method: str, *arguments: object) -> Answer:
    answer = each.call(method, *arguments)
    if answer is None:
        raise RuntimeError(f"{each.name} cannot {method}")
    return answer


Runs = dict[str, list[float]]  # by the name of the subject


def beside(what: str, unit: str, runs: Runs, **targets: float) -> Finding:
    """Return a finding of ours, with the others' beside it."""
    others = {name: runs[name] for name in (RAW, *PEERS) if name in runs}
    return Finding(what=what, unit=unit, runs=runs[OURS], beside=others, **targets)


def against_raw(what: str, unit: str, runs: Runs, **targets: float) -> Finding:
    """Return a finding of ours, with b2sdk as its yardstick, and the peers beside it."""
    peers = {name: runs[name] for name in PEERS if name in runs}
    return Finding(what=what, unit=unit, runs=runs[OURS], yardstick=runs[RAW], beside=peers, **targets)


def exactly(what: str, wanted: int, counts: Runs) -> Finding:
    return beside(what, "", counts, at_least=wanted, at_most=wanted)
