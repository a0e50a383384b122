"""The emulator as the tests see it: a process of its own, and its control plane."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

KEY_ID = "test-key-id"
KEY = "test-application-key-that-must-never-show"


class Emulator:
    """A running emulator and what its control plane tells and does."""

    def __init__(self, realm: str, process: subprocess.Popen[str]) -> None:
        self.realm = realm
        self.process = process
        self._control = httpx.Client(base_url=f"{realm}/_emulator", trust_env=False)

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests of all clients since the log was last cleared."""
        answer = self._control.get("/requests").raise_for_status().json()
        requests: list[dict[str, Any]] = answer["requests"]
        return requests

    def operations(self) -> list[str]:
        return [request["operation"] for request in self.requests()]

    def clear(self) -> None:
        self._control.delete("/requests").raise_for_status()

    def fault(self, operation: str, **fault: Any) -> None:
        """Script a fault; see b2fields.emulator.control for what it may be."""
        self._control.post("/faults", json={"operation": operation, **fault}).raise_for_status()

    def heal(self) -> None:
        self._control.delete("/faults").raise_for_status()

    def expire_tokens(self) -> None:
        self._control.post("/expire_tokens", json={}).raise_for_status()

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """Give a list that holds, after the block, the operations that the block cost."""
        operations: list[str] = []
        self.clear()
        yield operations
        operations += self.operations()

    def close(self) -> None:
        self._control.close()
        self.process.terminate()
        self.process.wait(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def start(data: Path, *arguments: str, port: int = 0) -> Emulator:
    """Start an emulator on a free port and wait until it accepts requests."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("B2_")}
    process = subprocess.Popen(
        [
            sys.executable,
            *("-m", "b2fields.emulator", "--json", "--control", "--port", str(port)),
            *("--data", str(data), "--key", f"{KEY_ID}:{KEY}", *arguments),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"The emulator did not start: exit status {process.wait()}")
    return Emulator(json.loads(line)["realm"], process)
