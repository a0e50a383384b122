"""Killed again and again under a mixed load, the emulator keeps all that it acknowledged and nothing else."""

import random
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from .clients import Native, running, sha1

SEED = 20261122
ROUNDS = 6
WORKERS = 4
PART = bytes(range(250)) * 20_000  # the smallest part that is not the last one


@dataclass
class Ledger:
    """What one worker was told, and what it asked for without being told of the end."""

    random: random.Random
    versions: dict[str, tuple[str, str, str | None]] = field(default_factory=dict)  # id: action, name, SHA-1
    parts: dict[str, dict[int, str]] = field(default_factory=dict)  # of unfinished large files
    deleted: set[str] = field(default_factory=set)
    pending: tuple[str, ...] = ()  # the operation that the kill may have caught, and the id it is about


class Worker:
    """Does random things to files of its own in one bucket, for as long as the server lives."""

    def __init__(self, realm, bucket, prefix, ledger, told):
        self.native, self.bucket, self.prefix, self.ledger = Native(realm), bucket, prefix, ledger
        self.random, self.told = ledger.random, told
        self.url = self.native.upload_url(bucket)

    def run(self):
        try:
            while True:
                self.random.choices(
                    [self.upload, self.copy, self.delete, self.hide, self.large], [10, 6, 6, 3, 1]
                )[0]()
                self.ledger.pending = ()
                self.told.release()
        except httpx.TransportError:
            pass
        finally:
            self.native.http.close()

    def name(self):
        return f"{self.prefix}/{self.random.randrange(30)}"

    def keep(self, answer, digest):
        self.ledger.versions[answer["fileId"]] = answer["action"], answer["fileName"], digest

    def some(self):
        uploads = [i for i, (action, _, _) in self.ledger.versions.items() if action == "upload"]
        return self.random.choice(uploads) if uploads else None

    def upload(self):
        body = self.random.randbytes(self.random.choice([0, 1, 1000, 300_000]))
        answer = self.native.send(*self.url, self.name(), body)
        assert answer.status_code == 200, answer.text
        self.keep(answer.json(), sha1(body))

    def large(self):
        native, name, last = self.native, self.name(), self.random.randbytes(1000)
        started = native.call("b2_start_large_file", bucketId=self.bucket, fileName=name, contentType="a/b")
        file_id = started["fileId"]
        parts = self.ledger.parts[file_id] = {}
        self.ledger.versions[file_id] = "start", name, None
        for number, body in enumerate((PART, last), start=1):
            url = native.call("b2_get_upload_part_url", fileId=file_id)
            headers = {
                "Authorization": url["authorizationToken"],
                "X-Bz-Part-Number": str(number),
                "X-Bz-Content-Sha1": sha1(body),
            }
            answer = native.http.post(url["uploadUrl"], content=body, headers=headers)
            assert answer.status_code == 200, answer.text
            parts[number] = sha1(body)
        self.ledger.pending = "finish", file_id, sha1(PART + last)
        answer = native.call("b2_finish_large_file", fileId=file_id, partSha1Array=list(parts.values()))
        del self.ledger.parts[file_id]
        self.keep(answer, sha1(PART + last))

    def hide(self):
        answer = self.native.post("b2_hide_file", bucketId=self.bucket, fileName=self.name())
        if answer.status_code == 200:  # it may be hidden, or not be there
            self.keep(answer.json(), None)

    def delete(self):
        if file_id := self.some():
            self.ledger.pending = "delete", file_id
            name = self.ledger.versions[file_id][1]
            self.native.call("b2_delete_file_version", fileId=file_id, fileName=name)
            del self.ledger.versions[file_id]
            self.ledger.deleted.add(file_id)

    def copy(self):
        if file_id := self.some():
            digest = self.ledger.versions[file_id][2]
            answer = self.native.call("b2_copy_file", sourceFileId=file_id, fileName=self.name())
            # In its own answer a copy may be called one; it is an upload from then on.
            self.keep(answer | {"action": "upload"}, digest)


def test_kills_at_random_moments_lose_nothing_acknowledged_and_leave_nothing_half_done(tmp_path):
    chance = random.Random(SEED)
    print(f"seed {SEED}")  # pytest shows it when this fails
    ledgers = [Ledger(random.Random(f"{SEED} {number}")) for number in range(WORKERS)]
    bucket = None
    for round_ in range(ROUNDS + 1):
        with running(tmp_path / "data") as emulator:
            native = Native(emulator.realm)
            bucket = bucket or native.create_bucket("some-bucket")
            check_all(native, bucket, ledgers)
            check_folders(tmp_path / "data", tmp_path / f"copy-{round_}")
            if round_ < ROUNDS:
                told = threading.Semaphore(0)
                with ThreadPoolExecutor(WORKERS) as pool:
                    workers = [
                        Worker(emulator.realm, bucket, str(number), ledger, told)
                        for number, ledger in enumerate(ledgers)
                    ]
                    runs = [pool.submit(worker.run) for worker in workers]
                    for _ in range(chance.randrange(20, 200)):
                        assert told.acquire(timeout=10)
                    emulator.kill()
                    for run in runs:
                        run.result()
            native.http.close()
    assert sum(len(ledger.versions) for ledger in ledgers) > 50


def check_all(native, bucket, ledgers):
    """See that all that was acknowledged is so, and that the rest is whole or not there."""
    listed, start = {}, {}
    while True:
        page = native.call("b2_list_file_versions", bucketId=bucket, maxFileCount=1000, **start)
        listed |= {file["fileId"]: file for file in page["files"]}
        start = {"startFileName": page["nextFileName"], "startFileId": page["nextFileId"]}
        if start["startFileName"] is None:
            break
    known = set()
    for ledger in ledgers:
        settle(ledger, listed)
        for file_id, (action, name, digest) in ledger.versions.items():
            known.add(file_id)
            assert (listed[file_id]["action"], listed[file_id]["fileName"]) == (action, name)
            if digest is not None:
                assert downloaded(native, file_id) == digest
        for file_id, parts in ledger.parts.items():
            found = native.call("b2_list_parts", fileId=file_id)["parts"]
            hashes = {part["partNumber"]: part["contentSha1"] for part in found}
            assert parts.items() <= hashes.items()
        assert not ledger.deleted & listed.keys()
    # What was done without being acknowledged: at most one thing for each worker, and whole. It is known from
    # now on.
    by_prefix = {str(number): ledger for number, ledger in enumerate(ledgers)}
    unknown = [file for file_id, file in listed.items() if file_id not in known]
    prefixes = [file["fileName"].partition("/")[0] for file in unknown]
    assert len(set(prefixes)) == len(unknown)
    for prefix, file in zip(prefixes, unknown, strict=True):
        digest = downloaded(native, file["fileId"]) if file["action"] == "upload" else None
        if digest is not None and file["contentSha1"] != "none":
            assert digest == file["contentSha1"]
        by_prefix[prefix].versions[file["fileId"]] = file["action"], file["fileName"], digest
        if file["action"] == "start":
            by_prefix[prefix].parts[file["fileId"]] = {}


def settle(ledger, listed):
    """Decide what became of the operation that the kill caught: it was done, or it was not."""
    match ledger.pending:
        case "delete", file_id if file_id not in listed:
            del ledger.versions[file_id]
            ledger.deleted.add(file_id)
        case "finish", file_id, digest if listed[file_id]["action"] == "upload":
            ledger.versions[file_id] = "upload", listed[file_id]["fileName"], digest
            del ledger.parts[file_id]
    ledger.pending = ()


def downloaded(native, file_id):
    answer = native.http.get(
        "/b2api/v4/b2_download_file_by_id",
        params={"fileId": file_id},
        headers={"Authorization": native.token},
    )
    assert answer.status_code == 200, answer.text
    return sha1(answer.content)


def check_folders(data, copy):
    """See that the folders hold what the database names, and nothing else: no request is on its way now."""
    # A copy, since the server keeps the database to itself.
    copy.mkdir()
    for path in data.glob("emulator.sqlite3*"):
        shutil.copy(path, copy)
    database = sqlite3.connect(copy / "emulator.sqlite3")
    named = dict(database.execute("SELECT body, max(start + length) FROM pieces GROUP BY body"))
    database.close()
    bodies = {path.name: path.stat().st_size for path in (data / "bodies").iterdir()}
    assert bodies.keys() == named.keys()
    assert all(named[body] <= size for body, size in bodies.items())
    assert list((data / "incoming").iterdir()) == []
