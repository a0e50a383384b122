"""What it costs that Django serves the files, with every check, and not B2 itself.

Beside the view of b2fields is the floor, the least that a view can do: it streams the answer that b2sdk gets,
without a check, a range or resuming. Each runs in a process of its own, of one project with startproject's
middleware, for a visitor whose session is in SQLite. B2 is the emulator on the same machine, which lets each
request wait 50 ms where that is said; curl gets the same file straight from it. The peer is the view of
django-backblaze-b2 for signed-in users.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ..emulator.clients import ROOT, Native, sha1
from . import front, servers
from .emulator import BLOCK, BLOCKS, MEBIBYTE, sha1_of_blocks
from .load import request
from .measure import Finding, Section, in_turns
from .sites import GUNICORN, UVICORN, Site, prepare, site
from .subject import Place
from .worker import MEMORY_IS_TOLD

PACKAGES = ("django", "b2sdk", "gunicorn", "uvicorn", "django-backblaze-b2")
VIEWS = OURS, FLOOR, PEER = "b2fields", "floor", "django-backblaze-b2"
CHECKED = "floor that checks"
CURL, B2 = "curl from B2", "B2 itself"
BUCKET = "benchmarks"
CAPABILITIES = ("listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles", "shareFiles")
LATENCY = 0.05
ROUNDS = 7

LARGE, MEDIUM, SMALL, TINY = "1-gib.bin", "5-mb.bin", "100-kb.bin", "1-kb.txt"
SIZES = {MEDIUM: 5_000_000, SMALL: 100_000, TINY: 1000}
AT_ONCE = 64
READERS = 200
READING_SECONDS = 15

KINDS = (GUNICORN, UVICORN)
PATHS = {
    (OURS, GUNICORN): "/b2l/papers.paper.file/",
    (FLOOR, GUNICORN): "/floor/wsgi/",
    (OURS, UVICORN): "/b2l/papers.paper.file/",
    (FLOOR, UVICORN): "/floor/asgi/",
    (PEER, GUNICORN): "/peer/b2l/",
    (CHECKED, GUNICORN): "/checked/wsgi/",
    (CHECKED, UVICORN): "/checked/asgi/",
}


class Bench(NamedTuple):
    """B2 itself, and each way to serve its files by the name of the view and the kind of server."""

    b2: Site
    sites: dict[tuple[str, str], Site]


def bench(folder: Path) -> Iterator[Section]:
    """Measure all ways to serve a file side by side, with data in *folder*."""
    check_tools()
    with ExitStack() as stack:
        bucket = ("--bucket", f"{BUCKET}:allPrivate")
        emulator = stack.enter_context(servers.emulator(folder / "data", "--control", *bucket))
        native = Native(emulator.url)
        stack.callback(native.http.close)
        store_files(native)
        # As a site has one: links of a master key are not signed without asking B2.
        key = native.create_key(*CAPABILITIES)
        place = Place(emulator.url, *key, BUCKET, BUCKET, str(folder))
        cookie = prepare(place, [LARGE, *SIZES])
        sites = {
            (name, kind): stack.enter_context(site(kind, path, place, cookie))
            for (name, kind), path in PATHS.items()
        }
        b2 = Site(emulator, f"/file/{BUCKET}/", {"authorization": native.token})
        bench = Bench(b2, sites)
        for each in sites.values():
            for name in SIZES:
                each.ask(name)
        yield requests(bench)
        yield large_file(bench)
        yield first_byte(bench)
        yield small_file(bench)
        yield slow_readers(bench.sites[OURS, UVICORN])
        behind = stack.enter_context(site(GUNICORN, PATHS[OURS, GUNICORN], place, cookie, "accel"))
        yield by_nginx(*stack.enter_context(front.nginx(behind, b2, folder)))


def check_tools() -> None:
    """Raise ToolMissing unless everything that is compared with is installed."""
    servers.find_nginx()
    if shutil.which("curl") is None:
        raise servers.ToolMissing("curl is missing, with which downloads are compared: apt install curl")
    try:
        for package in PACKAGES:
            version(package)
    except PackageNotFoundError as error:
        raise servers.ToolMissing(
            f"{error.name} is missing, with which serving is compared: pip install --group bench"
        ) from None


def store_files(native: Native) -> None:
    (bucket,) = native.account_call("b2_list_buckets", bucketName=BUCKET)["buckets"]
    for name in SIZES:
        native.upload(bucket["bucketId"], name, content(name))
    native.upload(
        bucket["bucketId"],
        LARGE,
        repeat(BLOCK, BLOCKS),
        content_length=str(BLOCKS * MEBIBYTE),
        x_bz_content_sha1=sha1_of_blocks(BLOCKS),
    )


def content(name: str) -> bytes:
    size = SIZES[name]
    return (BLOCK * (size // MEBIBYTE + 1))[:size]


def requests(bench: Bench) -> Section:
    """Count the requests to B2 that one to a view leads to, by both servers."""
    etag = bench.sites[OURS, GUNICORN].etag(SMALL)

    def count(site: Site, method: str, **headers: str) -> float:
        with bench.b2.server.counted() as counts:
            site.ask(SMALL, method=method, **headers)
        return counts["requests"]

    def exactly(wanted: int, what: str, method: str = "GET", peer: bool = False, **headers: str) -> Finding:
        runs = [count(bench.sites[OURS, kind], method, **headers) for kind in KINDS]
        beside = {PEER: [count(bench.sites[PEER, GUNICORN], method)]} if peer else {}
        return Finding(what=what, unit="", runs=runs, beside=beside, at_least=wanted, at_most=wanted)

    findings = [
        exactly(1, "GET", peer=True),
        exactly(1, "GET of a range", Range="bytes=100-199"),
        exactly(0, "HEAD", "HEAD", peer=True),
        exactly(0, "304", **{"If-None-Match": etag}),
    ]
    return Section("requests to B2", findings, measured=OURS)


class Download(NamedTuple):
    """What downloads of the large file took, which go on at the same time."""

    megabytes_per_second: float
    processor_seconds: float  # per GiB
    growth_mebibytes: float  # per download


def download(site: Site, times: int = 1) -> Download:
    with site.used() as used:
        traffic = site.load(LARGE, times)
    size = times * BLOCKS * MEBIBYTE
    if traffic.body_bytes != size:
        raise RuntimeError(f"{size} bytes were expected, and {traffic.body_bytes} came")
    gibibytes = size / 2**30
    return Download(
        size / traffic.seconds / 1e6, used[0].processor_seconds / gibibytes, used[0].growth_mebibytes / times
    )


def large_file(bench: Bench) -> Section:
    """Download it by one client, and by four at the same time."""
    keys = [key for key in bench.sites if PEER not in key and CHECKED not in key]
    alone: dict[tuple[str, str], list[Download]] = {key: [] for key in bench.sites}
    together: dict[tuple[str, str], list[Download]] = {key: [] for key in bench.sites}
    by_curl = []
    for number in range(ROUNDS):
        # There and back, so that none always comes after the same.
        for key in keys if number % 2 else reversed(keys):
            alone[key].append(download(bench.sites[key]))
        by_curl.append(curl(bench.b2))
    for _ in range(3):
        for key in keys:
            together[key].append(download(bench.sites[key], 4))
    # Once: it keeps whole files in memory.
    alone[PEER, GUNICORN].append(download(bench.sites[PEER, GUNICORN]))

    def find(kind: str, what: str, unit: str, figure: str, **targets: float) -> Finding:
        taken = together if what == "memory for each of four" else alone
        runs = {name: [getattr(each, figure) for each in taken.get((name, kind), ())] for name in VIEWS}
        beside = {PEER: runs[PEER]} | ({CURL: by_curl} if unit == "MB/s" else {})
        return Finding(
            what=f"{kind}: {what}",
            unit=unit,
            runs=runs[OURS],
            yardstick=runs[FLOOR],
            beside=beside,
            **targets,
        )

    findings = []
    for kind in KINDS:
        findings += [
            find(kind, "throughput", "MB/s", "megabytes_per_second", ratio_at_least=0.95),
            find(kind, "processor time", "s", "processor_seconds", ratio_at_most=1.1),
        ]
        if MEMORY_IS_TOLD:
            findings += [
                find(kind, "memory for one", "MiB", "growth_mebibytes", at_most=8),
                find(kind, "memory for each of four", "MiB", "growth_mebibytes", at_most=8),
            ]
    return Section("download of 1 GiB", findings, FLOOR, OURS, chart="serving.svg")


def curl(b2: Site) -> float:
    """Return the MB/s at which curl gets the large file."""
    (token,) = b2.headers.values()
    command = ["curl", "--silent", "--show-error", "--fail", "--output", os.devnull]
    command += ["--write-out", "%{speed_download}", "--header", f"Authorization: {token}"]
    url = f"{b2.server.url}{b2.path}{LARGE}"
    told = subprocess.run([*command, url], check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(told) / 1e6


def first_byte(bench: Bench) -> Section:
    """Wait for the first byte of a file larger than what is read at once."""

    def milliseconds(site: Site) -> float:
        _, *answers = site.ask(MEDIUM, 6)  # the first one connects
        return 1000 * median(answer.first_seconds for answer in answers)

    def measure(when: str) -> list[Finding]:
        keys = [key for key in bench.sites if PEER not in key]
        *taken, by_b2 = in_turns(
            ROUNDS, *(partial(milliseconds, site) for site in (*map(bench.sites.get, keys), bench.b2))
        )
        runs = dict(zip(keys, taken, strict=True))
        return [
            Finding(
                what=f"{kind}, {when}",
                unit="ms",
                runs=runs[OURS, kind],
                yardstick=by_b2,
                beside={name: runs[name, kind] for name in (FLOOR, CHECKED)},
                excess_at_most=3,
            )
            for kind in KINDS
        ]

    findings = measure("without latency")
    with bench.b2.server.latency(LATENCY):
        findings += measure("at 50 ms")
    return Section("first byte of a body of 5 MB", findings, B2, OURS)


def small_file(bench: Bench) -> Section:
    """Get it by one client, and by many at once."""

    def alone(site: Site) -> float:
        _, *answers = site.ask(SMALL, 6)  # the first one connects
        return 1000 * median(answer.seconds for answer in answers)

    def together(site: Site) -> float:
        return 1000 * site.load(SMALL, AT_ONCE).seconds

    with bench.b2.server.latency(LATENCY):
        for site in bench.sites.values():
            together(site)  # a connection to B2 for each, which a site has after a while
        measures = [partial(each, site) for site in bench.sites.values() for each in (alone, together)]
        *taken, by_b2 = in_turns(ROUNDS, *measures, partial(alone, bench.b2))
    one = dict(zip(bench.sites, taken[::2], strict=True))
    many = dict(zip(bench.sites, taken[1::2], strict=True))
    times = {key: [m / o for m, o in zip(many[key], one[key], strict=True)] for key in bench.sites}

    def find(
        what: str, unit: str, runs: dict[tuple[str, str], list[float]], **targets: float
    ) -> list[Finding]:
        beside_all = {B2: by_b2} if runs is one else {}
        return [
            Finding(
                what=f"{kind}: {what}",
                unit=unit,
                runs=runs[OURS, kind],
                beside={name: runs[name, kind] for name in (FLOOR, CHECKED, PEER) if (name, kind) in runs}
                | beside_all,
                **targets,
            )
            for kind in KINDS
        ]

    findings = [
        *find("one", "ms", one, at_most=55),
        *find(f"{AT_ONCE} at once", "ms", many),
        *find(f"{AT_ONCE} at once over one", "times", times, at_most=4),
    ]
    return Section("GET of 100 KB at 50 ms", findings, measured=OURS)


def slow_readers(site: Site) -> Section:
    """Let many read a file slowly, and others ask for little meanwhile."""
    etag = {"If-None-Match": site.etag(TINY)}
    complete, growths = [], []
    gets: list[list[float]] = [[], []]
    unchanged: list[list[float]] = [[], []]

    def ask(number: int) -> None:
        """Ask for a little file, and whether it has changed, for a while."""
        taken, taken_unchanged = [], []
        end = time.monotonic() + READING_SECONDS * 0.6
        while time.monotonic() < end:
            taken += site.ask(TINY, 5)[1:]
            taken_unchanged += site.ask(TINY, 5, **etag)[1:]
            time.sleep(0.05)
        for all_runs, answers in ((gets, taken), (unchanged, taken_unchanged)):
            all_runs[number].append(1000 * median(answer.seconds for answer in answers))

    for _ in range(3):
        ask(0)
        with site.used() as used, reading(site) as process:
            ask(1)
            read = json.loads(process.stdout.read())
        complete.append(read.count([SIZES[MEDIUM], sha1(content(MEDIUM))]))
        growths.append(used[0].growth_mebibytes / READERS)
    findings = [
        Finding(
            what="complete, with the right SHA-1", unit="", runs=complete, at_least=READERS, at_most=READERS
        ),
        Finding(what="GET of 1 KB meanwhile", unit="ms", runs=gets[1], yardstick=gets[0], ratio_at_most=3),
        Finding(what="304 meanwhile", unit="ms", runs=unchanged[1], yardstick=unchanged[0], ratio_at_most=3),
    ]
    if MEMORY_IS_TOLD:
        findings.append(Finding(what="memory for each", unit="MiB", runs=growths, at_most=1))
    return Section(f"{READERS} slow readers of 5 MB, uvicorn", findings, "without them", "with them")


@contextmanager
def reading(site: Site) -> Iterator["subprocess.Popen[str]"]:
    """Begin to read slowly, in a process that tells what it read when it has all."""
    each = request("GET", site.path + MEDIUM, **site.headers).decode()
    arguments = [str(site.server.port), str(READERS), str(READING_SECONDS), each]
    command = [sys.executable, "-m", "tests.benchmarks.slow_readers", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout.readline() != "begun\n":
                raise RuntimeError("The slow readers could not begin")
            yield process
        finally:
            process.kill()


def by_nginx(ours: Site, straight: Site) -> Section:
    """Have nginx fetch the large file from B2, because the site says so and because it always does."""

    def speed(site: Site) -> float:
        traffic = site.load(LARGE)
        if traffic.body_bytes != BLOCKS * MEBIBYTE:
            raise RuntimeError(f"{traffic.body_bytes} bytes came by nginx")
        return traffic.body_bytes / traffic.seconds / 1e6

    for each in (ours, straight):
        each.ask(SMALL)
    runs, yardstick = in_turns(ROUNDS, partial(speed, ours), partial(speed, straight))
    finding = Finding(what="throughput", unit="MB/s", runs=runs, yardstick=yardstick, ratio_at_least=0.9)
    return Section("download of 1 GiB by nginx", [finding], "nginx without us", "accel")
