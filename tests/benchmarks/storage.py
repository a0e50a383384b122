"""What the storage costs, beside b2sdk itself, django-backblaze-b2 and the S3 storage of django-storages.

Each is a process of its own. Those for B2 use one emulator; the S3 storage uses moto's server, whose own
speed is in its times. Both servers count requests, and let each wait 50 ms where that is said.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from . import servers
from .large_file import large_file
from .measure import Finding, Section, in_turns
from .side_by_side import OURS, PEERS, RAW, S3, Bench, Runs, against_raw, beside, called, exactly, stored
from .subject import PAGE
from .subjects import SUBJECTS
from .worker import MEMORY_IS_TOLD, ROOT, Worker

PACKAGES = ("django", "b2sdk", "django-backblaze-b2", "django-storages", "boto3", "moto")
SMALL = 100_000  # bytes
THREADS = 8


class Operation(NamedTuple):
    """What is asked of every subject, by the method that does it, and the requests it is to cost us.

    The method gets what *store* returned, if that is named. Of what is *forgotten*, nothing else is known.
    """

    what: str
    method: str
    requests: int
    store: str = "store"
    forgotten: bool = False


OPERATIONS = [
    Operation("save under a unique name", "save_unique", 1, store=""),
    Operation("save over what has the name", "save_over", 1, store=""),
    Operation("save under a name that is free", "save_free", 2, store=""),
    Operation("exists, size, time after a save", "look", 0),
    Operation("exists, size, time of any file", "look", 1, forgotten=True),
    Operation("open and read all", "read", 1),
    Operation("view: GET", "get_proxied", 1),
    Operation("view: GET of a range", "get_range", 1),
    Operation("view: HEAD", "head_proxied", 0),
    Operation("view: HEAD of any file", "head_proxied", 1, forgotten=True),
    Operation("view: 304", "get_unchanged", 0),
    Operation(".url in a public bucket", "public_url", 0, store=""),
    Operation("delete", "delete", 2),
]


def bench(folder: Path) -> Iterator[Section]:
    """Measure the subjects side by side, with data in *folder*."""
    check_packages()
    with Bench(folder) as bench:
        yield requests(bench)
        yield pictures(bench)
        yield page(bench)
        yield small_saves(bench)
        yield threads(bench)
        yield large_file(bench)
    yield imports()


def check_packages() -> None:
    """Raise ToolMissing unless everything that is compared with is installed."""
    try:
        for package in PACKAGES:
            version(package)
    except PackageNotFoundError as error:
        raise servers.ToolMissing(
            f"{error.name} is missing, with which the storage is compared: pip install --group bench"
        ) from None


def requests(bench: Bench) -> Section:
    def count(operation: Operation, name: str) -> list[float]:
        each = bench.workers[name]
        arguments = [stored(each, operation.store)] if operation.store else []
        if operation.forgotten:
            each.call("forget")
        with bench.server(name).counted() as counts:
            answer = each.call(operation.method, *arguments)
        return [counts["requests"]] if answer else []

    findings = [
        exactly(operation.what, operation.requests, {name: count(operation, name) for name in SUBJECTS})
        for operation in OPERATIONS
    ]
    return Section(
        "requests per operation",
        [*new_process(bench), *findings],
        measured=OURS,
        chart="requests.svg",
    )


def new_process(bench: Bench) -> list[Finding]:
    """Count what a process asks for that begins while another, with which it shares a cache, is at work."""
    starts: Runs = {}
    reads: Runs = {}
    for name in SUBJECTS:
        cache_folder = str(bench.folder / f"cache-{len(starts)}")
        server = bench.server(name)
        with bench.start(name, cache_folder) as older:
            file = stored(older)
            with server.counted() as counts, bench.start(name, cache_folder) as newer:
                started = newer.call("start_up")
            starts[name] = [counts["requests"]] if started else []
            with server.counted() as counts, bench.start(name, cache_folder) as newer:
                called(newer, "read", file)
            reads[name] = [counts["requests"]]
    return [
        exactly("start a process, check, .url", 0, starts),
        exactly("first read in a new process", 1, reads),
    ]


def pictures(bench: Bench) -> Section:
    """Ask for the width of a photograph, as large as a camera's, with a thumbnail in front of its numbers."""
    path = bench.folder / "photograph.jpg"
    noise = Image.merge("RGB", [Image.effect_noise((4500, 3350), 90)] * 3)
    noise.save(path, quality=98, subsampling=0, exif=b"Exif\0\0" + bytes(16_000))
    requests, kibibytes, known = {}, {}, {}
    for name in SUBJECTS:
        each, server = bench.workers[name], bench.server(name)
        if name == RAW:
            continue
        row = stored(each, "store_picture", str(path))
        each.call("forget")
        with server.counted() as counts:
            called(each, "width", row)
        requests[name], kibibytes[name] = [counts["requests"]], [counts["bytes"] / 1024]
        row = stored(each, "store_sized_picture", str(path))
        with server.counted() as counts:
            called(each, "sized_width", row)
        known[name] = [counts["requests"]]
    findings = [
        exactly("requests", 1, requests),
        beside("read", "KiB", kibibytes, at_most=64),
        exactly("requests, with width_field", 0, known),
    ]
    return Section(f"width of an image of {path.stat().st_size / 1e6:.0f} MB", findings, measured=OURS)


def page(bench: Bench) -> Section:
    """Read .url and .size of the files of a page, of which ours stand in the rows, by info_field."""
    storages = {name: each for name, each in bench.workers.items() if name != RAW}

    def milliseconds(each: Worker) -> float:
        return 1000 * called(each, "page").seconds

    firsts, first_times, nexts = {}, {}, {}
    for name, each in storages.items():
        called(each, "fill_page")
        each.call("forget")
        with bench.latency(), bench.server(name).counted() as counts:
            first_times[name] = [milliseconds(each)]
        firsts[name] = [counts["requests"]]
        with bench.server(name).counted() as counts:
            milliseconds(each)
        nexts[name] = [counts["requests"]]
    times = in_turns(5, *(partial(milliseconds, each) for each in storages.values()))
    findings = [
        exactly("requests, seen for the first time", 0, firsts),
        exactly("requests, seen again", 0, nexts),
        beside("time for the first time, at 50 ms", "ms", first_times),
        beside("time again, without latency", "ms", dict(zip(storages, times, strict=True))),
    ]
    return Section(f"a page of {PAGE} files with .url and .size", findings, measured=OURS)


def small_saves(bench: Bench) -> Section:
    def milliseconds(each: Worker, times: int) -> float:
        return 1000 * called(each, "saves", times, SMALL).seconds / times

    def saves(times: int) -> Runs:
        measures = [partial(milliseconds, each, times) for each in bench.workers.values()]
        return dict(zip(SUBJECTS, in_turns(7, *measures), strict=True))

    with bench.latency():
        late = saves(4)
    findings = [
        against_raw("at 50 ms", "ms", late, ratio_at_most=1.1),
        against_raw("without latency", "ms", saves(20)),
    ]
    return Section("save of 100 KB under a unique name", findings, RAW, OURS)


def threads(bench: Bench) -> Section:
    times = 8

    def rates(each: Worker) -> tuple[float, float]:
        alone = called(each, "saves", times, 1000).seconds
        together = called(each, "saves", times, 1000, THREADS).seconds
        return times / alone, THREADS * times / together

    for each in bench.workers.values():
        each.call("saves", 1, 1000, THREADS)  # an upload URL for each thread, which a site has after a while
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in SUBJECTS}
    with bench.latency():
        for _ in range(5):
            for name, each in bench.workers.items():
                taken[name].append(rates(each))
    alone = {name: [each[0] for each in pairs] for name, pairs in taken.items()}
    together = {name: [each[1] for each in pairs] for name, pairs in taken.items()}
    gains = {name: [both / one for one, both in pairs] for name, pairs in taken.items()}
    findings = [
        beside("one thread", "/s", alone),
        beside(f"{THREADS} threads", "/s", together),
        beside(f"{THREADS} threads over one", "times", gains, at_least=6),
    ]
    return Section("saves of 1 KB at 50 ms", findings, measured=OURS)


MODULES = {
    OURS: "b2fields",
    RAW: "b2sdk.v3",
    PEERS[0]: "django_backblaze_b2.storage",
    S3: "storages.backends.s3",
}


def imports() -> Section:
    """Import each in a new process of a project with startproject's apps."""
    # Compiled once, as a project is: not what some environments forbid.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def take(module: str) -> dict[str, float]:
        command = [sys.executable, "-m", "tests.benchmarks.importing", module]
        process = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
        taken: dict[str, float] = json.loads(process.stdout)
        return taken

    for module in MODULES.values():
        take(module)
    rounds = [{name: take(module) for name, module in MODULES.items()} for _ in range(7)]

    def runs(key: str) -> Runs:
        return {name: [taken[name][key] for taken in rounds] for name in MODULES}

    findings = [
        beside("processor time", "ms", runs("milliseconds"), at_most=20),
        beside("the same, as an app of the project", "ms", {OURS: runs("installed_milliseconds")[OURS]}),
        exactly("modules of b2sdk", 0, runs("modules")),
    ]
    if MEMORY_IS_TOLD:
        findings.append(beside("memory", "MiB", runs("mebibytes")))
    return Section("import in a configured project", findings, measured=OURS)
