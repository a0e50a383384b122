"""What saving and reading a file of 1 GiB takes, in time and in memory."""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import repeat

from ..emulator.clients import Native
from .emulator import BLOCK, BLOCKS, sha1_of_blocks
from .measure import Section
from .side_by_side import BUCKET, OURS, PEERS, RAW, S3, Bench, Runs, against_raw, called, warm_up
from .subjects import SUBJECTS
from .worker import MEMORY_IS_TOLD, Answer


def large_file(bench: Bench) -> Section:
    """Save and read in new processes, so that their memory tells of nothing else."""
    path = bench.folder / "large"
    with open(path, "wb") as file:
        file.writelines(repeat(BLOCK, BLOCKS))
    saves: dict[str, list[Answer]] = {name: [] for name in SUBJECTS}
    reads: dict[str, list[Answer]] = {name: [] for name in SUBJECTS}
    names = dict.fromkeys(SUBJECTS, store_verified(bench))

    def save(name: str) -> None:
        with bench.start(name) as each:
            warm_up(each)
            called(each, "prepare_upload", str(path))
            os.sync()  # so that the disk is not busy yet
            saves[name].append(called(each, "save_upload"))
            if name == S3:
                names[S3] = saves[S3][0].result  # the one that there is
            else:
                called(each, "delete", saves[name][-1].result)

    for _ in range(3):
        for name in (OURS, RAW):
            save(name)
    for name in PEERS:
        save(name)
    with ExitStack() as stack:
        workers = {name: stack.enter_context(bench.start(name)) for name in SUBJECTS}
        for each in workers.values():
            warm_up(each)
        for _ in range(9):
            for name in (OURS, RAW):
                reads[name].append(called(workers[name], "read_large", names[name]))
        for name in PEERS:
            reads[name].append(called(workers[name], "read_large", names[name]))

    def runs(answers: dict[str, list[Answer]], figure: Callable[[Answer], float]) -> Runs:
        return {name: [figure(each) for each in all_of_one] for name, all_of_one in answers.items()}

    # Without the times over moto, which copies the whole file for each piece of it that it is asked for.
    on_b2 = (OURS, RAW, PEERS[0])
    seconds = runs({name: saves[name] for name in on_b2}, lambda each: each.seconds)
    speeds = runs(
        {name: reads[name] for name in on_b2}, lambda each: len(BLOCK) * BLOCKS / each.seconds / 1e6
    )
    findings = [
        against_raw("save a TemporaryUploadedFile", "s", seconds, ratio_at_most=1.1),
        against_raw("read it, open().chunks()", "MB/s", speeds, ratio_at_least=0.9),
    ]
    if MEMORY_IS_TOLD:
        growths = [runs(answers, lambda each: each.growth_mebibytes or 0) for answers in (saves, reads)]
        findings += [
            against_raw("memory to save it", "MiB", growths[0], excess_at_most=24),
            against_raw("memory to read it", "MiB", growths[1], at_most=16),
        ]
    return Section("a file of 1 GiB", findings, RAW, OURS, chart="large-file.svg")


def store_verified(bench: Bench) -> str:
    """Store the large file in one request, so that B2 tells a SHA-1 which b2sdk compares too."""
    native = Native(bench.b2.url)
    with closing(native.http):
        (bucket,) = native.account_call("b2_list_buckets", bucketName=BUCKET)["buckets"]
        url, token = native.upload_url(bucket["bucketId"])
        length, checksum = str(BLOCKS * len(BLOCK)), sha1_of_blocks(BLOCKS)
        native.send(
            url, token, "verified", repeat(BLOCK, BLOCKS), content_length=length, x_bz_content_sha1=checksum
        ).raise_for_status()
    return "verified"
