"""How fast the emulator is: its start, small requests, a large file up and down, and the memory it needs.

The targets: at least 1,000 small requests per second on one core, and a download of 1 GiB at half or more of
the throughput of nginx. Memory shows that no body is ever held whole.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import cycle, repeat
from pathlib import Path
from time import perf_counter

from ..emulator.clients import Native, sha1
from . import servers
from .load import Traffic, drive, request
from .measure import Finding, Section, in_turns

CONNECTIONS = 8
SECONDS = 1.0  # each run of small requests and of ranges
MEBIBYTE = 1024 * 1024
SMALL = b"1 KiB of text..\n" * 64
BLOCK = random.Random(1).randbytes(MEBIBYTE)
BLOCKS = 1024  # 1 GiB: never in memory, always the same mebibyte again
PART_BLOCKS = 100
BUCKET = "benchmarks"
PACKAGES = ("starlette", "uvicorn")


def bench(folder: Path) -> Iterator[Section]:
    """Measure the emulator beside nginx, with data in *folder*."""
    servers.find_nginx()  # before anything else is begun
    yield start(folder)
    root = folder / "root"
    root.mkdir()
    (root / "small").write_bytes(SMALL)
    with open(root / "large", "wb") as file:
        file.writelines(repeat(BLOCK, BLOCKS))
    with servers.emulator(folder / "data") as emulator, servers.nginx(root, folder) as nginx:
        native = Native(f"http://127.0.0.1:{emulator.port}")
        with closing(native.http):
            bucket = native.create_bucket(BUCKET)
            yield small_requests(emulator, nginx, native, bucket)
            yield uploads(native, bucket)
            yield downloads(emulator, nginx, native)
        peak = emulator.peak_megabytes
        if peak is not None:
            memory = Finding(what="peak, all of the above done", unit="MB", runs=[peak], at_most=100)
            yield Section("resident memory", [memory])


def start(folder: Path) -> Section:
    def milliseconds(number: int) -> float:
        begin = perf_counter()
        with servers.emulator(folder / f"empty-{number}"):
            return 1000 * (perf_counter() - begin)

    runs = [milliseconds(number) for number in range(5)]
    return Section("start", [Finding(what="until the ready line", unit="ms", runs=runs)])


def small_requests(emulator: servers.Server, nginx: servers.Server, native: Native, bucket: str) -> Section:
    # A folder of five among a thousand files, so that neither look-ups nor listings have it easy.
    url, token = native.upload_url(bucket)
    for number in range(1000):
        native.send(url, token, f"others/{number}", SMALL).raise_for_status()
    for number in range(5):
        file = native.upload(bucket, f"five/{number}", SMALL)
    path, key = f"/file/{BUCKET}/five/0", {"authorization": native.token}

    def call(operation: str, **params: object) -> list[Iterator[bytes]]:
        body = json.dumps(params).encode()
        return same(request("POST", f"/b2api/v4/{operation}", body, **key))

    kinds = {
        "b2_get_file_info": call("b2_get_file_info", fileId=file["fileId"]),
        "b2_list_file_names, five files": call("b2_list_file_names", bucketId=bucket, prefix="five/"),
        "HEAD by name": same(request("HEAD", path, **key)),
        "download of 1 KiB by name": same(request("GET", path, **key)),
        "upload of 1 KiB": [small_uploads(native, bucket, number) for number in range(CONNECTIONS)],
    }

    def rate(server: servers.Server, requests: list[Iterator[bytes]]) -> float:
        return drive(server.port, requests, SECONDS).rate

    yardstick = partial(rate, nginx, same(request("GET", "/small")))
    measures = [partial(rate, emulator, each) for each in kinds.values()]
    with servers.on_one_core(emulator, nginx):
        *taken, by_nginx = in_turns(5, *measures, yardstick)
    findings = [
        Finding(what=what, unit="/s", runs=runs, at_least=1000)
        for what, runs in zip(kinds, taken, strict=True)
    ]
    # What the load generator can do at least: were it little, the figures above would be its own.
    generator = Finding(
        what="the load generator: 1 KiB from nginx", unit="/s", runs=by_nginx, at_least=10_000
    )
    return Section(f"small requests on one core, {CONNECTIONS} connections", [*findings, generator])


def same(each: bytes) -> list[Iterator[bytes]]:
    return [repeat(each)] * CONNECTIONS


def small_uploads(native: Native, bucket: str, connection: int) -> Iterator[bytes]:
    """Return uploads without end; each connection has an upload URL and a thousand names of its own."""
    url, token = native.upload_url(bucket)
    headers = {"authorization": token, "content-type": "text/plain", "x-bz-content-sha1": sha1(SMALL)}
    names = [f"new/{connection}/{number}" for number in range(1000)]
    path = url.removeprefix(native.realm)
    return cycle([request("POST", path, SMALL, **headers, x_bz_file_name=name) for name in names])


def uploads(native: Native, bucket: str) -> Section:
    """Upload 1 GiB in one request and in parts, each block made when it is sent."""
    counts = [min(PART_BLOCKS, BLOCKS - first) for first in range(0, BLOCKS, PART_BLOCKS)]
    hashes = {count: sha1_of_blocks(count) for count in {*counts, BLOCKS}}

    def send(url: str, token: str, count: int, **headers: str | None) -> None:
        length, blocks = str(count * MEBIBYTE), repeat(BLOCK, count)
        answer = native.send(
            url, token, "large", blocks, content_length=length, x_bz_content_sha1=hashes[count], **headers
        )
        answer.raise_for_status()

    def in_one() -> None:
        send(*native.upload_url(bucket), BLOCKS)

    def in_parts() -> None:
        file = native.call("b2_start_large_file", bucketId=bucket, fileName="large", contentType="b2/x-auto")
        answer = native.call("b2_get_upload_part_url", fileId=file["fileId"])
        for number, count in enumerate(counts, start=1):
            send(
                answer["uploadUrl"],
                answer["authorizationToken"],
                count,
                x_bz_part_number=str(number),
                x_bz_file_name=None,
                content_type=None,
            )
        sha1s = [hashes[count] for count in counts]
        native.call("b2_finish_large_file", fileId=file["fileId"], partSha1Array=sha1s)

    def speed(upload: Callable[[], None]) -> float:
        for file in native.call("b2_list_file_versions", bucketId=bucket, prefix="large")["files"]:
            native.call("b2_delete_file_version", fileName=file["fileName"], fileId=file["fileId"])
        begin = perf_counter()
        upload()
        return BLOCKS * MEBIBYTE / (perf_counter() - begin) / 1e6

    whole, parts = in_turns(3, *(partial(speed, each) for each in (in_one, in_parts)))
    return Section(
        "upload of 1 GiB",
        [
            Finding(what="in one request", unit="MB/s", runs=whole),
            Finding(what=f"in parts of {PART_BLOCKS} MiB", unit="MB/s", runs=parts),
        ],
    )


def sha1_of_blocks(count: int) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    for block in repeat(BLOCK, count):
        digest.update(block)
    return digest.hexdigest()


def downloads(emulator: servers.Server, nginx: servers.Server, native: Native) -> Section:
    """Download by name with a token, discarding the bytes, and the same bytes from nginx."""
    native_get = partial(request, "GET", f"/file/{BUCKET}/large", authorization=native.token)
    nginx_get = partial(request, "GET", "/large")

    def whole(server: servers.Server, get: Callable[..., bytes], connections: int) -> float:
        traffic = drive(server.port, [iter([get()]) for _ in range(connections)])
        return megabytes_per_second(traffic, BLOCKS * MEBIBYTE)

    def ranges(server: servers.Server, get: Callable[..., bytes]) -> float:
        places = random.Random(2)

        def pick() -> Iterator[bytes]:
            while True:
                first = places.randrange((BLOCKS - 1) * MEBIBYTE)
                yield get(range=f"bytes={first}-{first + MEBIBYTE - 1}")

        traffic = drive(server.port, [pick() for _ in range(CONNECTIONS)], SECONDS)
        return megabytes_per_second(traffic, MEBIBYTE)

    pairs = ((emulator, native_get), (nginx, nginx_get))
    ways = [
        ("1 GiB, one connection", [partial(whole, *pair, 1) for pair in pairs], 0.5),
        ("1 GiB each on four connections", [partial(whole, *pair, 4) for pair in pairs], 0.5),
        (f"1 MiB anywhere, {CONNECTIONS} connections", [partial(ranges, *pair) for pair in pairs], None),
    ]
    findings = []
    for what, measures, wanted in ways:
        runs, by_nginx = in_turns(5, *measures)
        findings.append(Finding(what=what, unit="MB/s", runs=runs, yardstick=by_nginx, ratio_at_least=wanted))
    return Section("download by name with a token", findings, "nginx")


def megabytes_per_second(traffic: Traffic, size: int) -> float:
    if traffic.body_bytes != traffic.answers * size:
        raise RuntimeError("A download had not the size it should have")
    return traffic.body_bytes / traffic.seconds / 1e6
