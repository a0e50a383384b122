"""Helpers for the tests of projects that use b2fields: a local B2, and a budget of requests to it.

With pytest, put ``pytest_plugins = ["b2fields.testing"]`` into the ``conftest.py`` at the root; a test that
asks for ``b2_emulator`` has a B2 of its own then, and ``b2_assert_max_num_requests`` counts what a block
costs. Elsewhere, ``with emulator():`` does the same. ``assert_access_matrix`` checks who reaches the files
of a model. All of it needs ``pip install "django-b2fields[emulator]"``.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from b2fields import references
from b2fields.accessmatrix import assert_access_matrix
from b2fields.storage import B2Storage

__all__ = ["Emulator", "assert_access_matrix", "emulator", "pointed_at", "run"]

BUCKET = "test-bucket"  # where the settings name none
_MASTER_KEY = "emulator-master-key"
_END_SECONDS = 10

# What listens on this machine is not asked through a proxy.
_opener = build_opener(ProxyHandler({}))


class Emulator:
    """A running emulator, as the tests see it and spoil it.

    *realm* is its URL; *application_key_id* and *application_key* are those the settings were given.
    """

    application_key_id = _MASTER_KEY
    application_key = _MASTER_KEY

    def __init__(self, realm: str, process: "subprocess.Popen[str]") -> None:
        self.realm = realm
        self.process = process

    def control(self, method: str, name: str, **values: Any) -> Any:
        """Ask the control plane; ``b2fields/emulator/control.py`` tells what it can do."""
        request = Request(  # noqa: S310 - of a server that we started
            f"{self.realm}/_emulator/{name}", json.dumps(values).encode(), method=method
        )
        try:
            with _opener.open(request) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise ValueError(json.load(error)["message"]) from None

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests since the log was last cleared: ``operation``, ``class``, ``status``, …"""
        found: list[dict[str, Any]] = self.control("GET", "requests")["requests"]
        return found

    def operations(self) -> list[str]:
        """Return the names of the operations asked for, such as ``b2_upload_file``."""
        return [request["operation"] for request in self.requests()]

    def clear(self) -> None:
        """Empty the log of requests."""
        self.control("DELETE", "requests")

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """Give a list that holds, after the block, the operations that the block cost."""
        operations: list[str] = []
        before = self._count()
        yield operations
        operations += [request["operation"] for request in self._since(before)]

    @contextmanager
    def assert_max_num_requests(self, most: int) -> Iterator[None]:
        """Raise AssertionError after a block that made more than *most* requests to B2, naming them.

        Every request counts, and so do those of other threads and processes. Connecting was done before the
        test began: authorizing, finding the buckets, and one upload URL for each.
        """
        before = self._count()
        yield
        found = self._since(before)
        if len(found) > most:
            lines = [f"  {entry['operation']} ({entry['method']} {entry['path']})" for entry in found]
            raise AssertionError(
                f"{len(found)} requests to B2 were made, at most {most} expected:\n" + "\n".join(lines)
            )

    def _count(self) -> int:
        return sum(self.control("GET", "counters")["operations"].values())

    def _since(self, before: int) -> list[dict[str, Any]]:
        count = self._count() - before
        return self.requests()[-count:] if count else []

    def fault(self, operation: str, **fault: Any) -> None:
        """Let an operation fail once, or as often as ``times`` says: ``fault("b2_upload_file", status=503)``.

        ``b2fields/emulator/control.py`` lists the faults there are.
        """
        self.control("POST", "faults", operation=operation, **fault)

    def heal(self) -> None:
        """Forget all faults."""
        self.control("DELETE", "faults")

    def expire_tokens(self) -> None:
        """Let all tokens be over, as B2 does after a day."""
        self.control("POST", "expire_tokens")

    def set_clock(self, offset_seconds: float) -> None:
        """Set the emulator's clock this far from the real one."""
        self.control("POST", "clock", offset_seconds=offset_seconds)

    def empty(self, buckets: Mapping[str, str]) -> None:
        """Begin anew with these buckets, by name and type, no files, and a new application key."""
        key = self.control("POST", "reset", buckets=dict(buckets))
        self.application_key_id = key["applicationKeyId"]
        self.application_key = key["applicationKey"]


@contextmanager
def run(data: Path, *arguments: str) -> Iterator[Emulator]:
    """Run an emulator on a free port, with what *data* holds; no setting is changed."""
    command = [
        *(sys.executable, "-m", "b2fields.emulator", "--json", "--control", "--port", "0"),
        "--until-eof",  # so that it ends with this process, even if that is killed
        *("--key", f"{_MASTER_KEY}:{_MASTER_KEY}", "--data", str(data), *arguments),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("B2_")}
    with subprocess.Popen(  # noqa: S603 - our own module, with the arguments of a test
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            # Its standard error is ours, so whoever runs the tests sees why it did not start.
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError(f"The emulator did not start (exit status {process.wait(_END_SECONDS)}).")
            yield Emulator(json.loads(line)["realm"], process)
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def emulator(buckets: Mapping[str, str] | None = None, **changed: Any) -> Iterator[Emulator]:
    """Start an emulator on a free port, with fresh data, and point the settings at it until the block ends.

    It has every bucket that the settings, fields and storages name, all private unless *buckets* gives
    another type: ``{"acme-covers": "allPublic"}``. Other arguments are settings to override, such as
    ``B2FIELDS_ACCESS="public"``. A storage that brings its own ``realm`` or application key keeps it.
    """
    with (
        tempfile.TemporaryDirectory() as data,
        run(Path(data)) as running,
        pointed_at(running, buckets, **changed),
    ):
        yield running


@contextmanager
def pointed_at(running: Emulator, buckets: Mapping[str, str] | None = None, **changed: Any) -> Iterator[None]:
    """Empty a running emulator and point the settings at it until the block ends; see :func:`emulator`."""
    bucket = {} if settings.B2FIELDS_BUCKET else {"B2FIELDS_BUCKET": BUCKET}
    with override_settings(**bucket, **changed):
        running.empty(dict.fromkeys(references.bucket_names(), "allPrivate") | dict(buckets or {}))
        # A new key for each test: what the process, or a cache it shares, remembers of the files and tokens
        # of the test before belongs to the key of that test.
        with override_settings(
            B2FIELDS_REALM=running.realm,
            B2FIELDS_APPLICATION_KEY_ID=running.application_key_id,
            B2FIELDS_APPLICATION_KEY=running.application_key,
        ):
            _connect()
            running.clear()
            yield


def _connect() -> None:
    """Do what a running process has done: authorize, find the buckets, get an upload URL for each."""
    client = B2Storage().client
    ours = {references.bucket_of(storage) for storage in references.b2_storages() if _is_pointed_at(storage)}
    for bucket in filter(None, ours):
        client.upload(bucket, "b2fields-testing", b"", "text/plain", {})
        client.delete(bucket, "b2fields-testing")


def _is_pointed_at(storage: B2Storage) -> bool:
    with suppress(ImproperlyConfigured):
        return storage.account == B2Storage().account
    return False


with suppress(ImportError):  # without pytest, the fixtures have no use
    import pytest

    @pytest.fixture(scope="session")
    def _b2_emulator(tmp_path_factory: "pytest.TempPathFactory") -> Iterator[Emulator]:
        with run(tmp_path_factory.mktemp("b2-emulator")) as running:
            yield running

    @pytest.fixture
    def b2_emulator(_b2_emulator: Emulator) -> Iterator[Emulator]:
        """A B2 for this test, empty, and the settings that point at it: an :class:`Emulator`."""
        with pointed_at(_b2_emulator):
            yield _b2_emulator

    @pytest.fixture
    def b2_assert_max_num_requests(b2_emulator: Emulator) -> Callable[[int], AbstractContextManager[None]]:
        """Fail the test if a block makes more requests to B2: ``with b2_assert_max_num_requests(1): ...``."""
        return b2_emulator.assert_max_num_requests
