"""Clients that are programs of their own, run as their users run them."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest


def find(program: str) -> str:
    """Return the path of a *program* that pip cannot install; CI fails where it is missing, others skip."""
    # Debian keeps servers where only root looks.
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin")
    if path is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(f"{program} is not installed: .ci/run installs it from Debian")
    return path


@dataclass(frozen=True)
class Tool:
    """A program, and the environment that points it at the emulator."""

    command: tuple[str, ...]
    environment: dict[str, str]

    def __call__(self, *arguments: Any, **more: str) -> str:
        """Run it with *more* environment, see it succeed, and return what it printed."""
        done = self._run(arguments, more)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def pipe(self, source: Path, *arguments: Any) -> str:
        """The same, with the bytes of a file as standard input."""
        with open(source, "rb") as given:
            done = self._run(arguments, {}, given)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def fail(self, *arguments: Any, **more: str) -> str:
        """Run it, see it fail, and return its complaint."""
        done = self._run(arguments, more)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def _run(
        self, arguments: tuple[Any, ...], more: dict[str, str], given: BinaryIO | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *map(str, arguments)],
            env=self.environment | more,
            stdin=given or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
