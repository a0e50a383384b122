"""Servers as processes of their own, and what the tests see of them."""

import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from tests import emulated
from tests.serving import sockets

_EMPTY_ROWS = {
    "legal_contract": dict.fromkeys(("title", "cover", "minutes", "scan", "dossier"), ""),
    "legal_exhibit": dict.fromkeys(("title", "scan", "photo"), "") | {"photo_info": "{}"},
}


class Server:
    """A server process, and the table that its database and the tests share."""

    def __init__(self, kind, database, realm, bucket, key=(emulated.KEY_ID, emulated.KEY), delivery="proxy"):
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.serving.settings",
            "SERVING_DATABASE": str(database),
            "SERVING_REALM": realm,
            "SERVING_KEY_ID": key[0],
            "SERVING_KEY": key[1],
            "SERVING_BUCKET": bucket,
            "SERVING_DELIVERY": delivery,
        }
        self.kind, self.database = kind, database
        self.b2_port = int(realm.rpartition(":")[2])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving.run", kind],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=Path(__file__).parent.parent.parent,
        )
        self.port = int(self.process.stdout.readline())
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=20)

    def hold(self, name, column="cover", table="legal_contract"):
        """Make a row whose field is this name."""
        row = _EMPTY_ROWS[table] | {column: name}
        with closing(sqlite3.connect(self.database)) as connection, connection:
            columns, marks = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608
                list(row.values()),
            )

    @property
    def pid(self):
        """The process that answers, which is gunicorn's worker."""
        if self.kind != "gunicorn":
            return self.process.pid
        until(lambda: self._children())
        return int(self._children()[0])

    def _children(self):
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    @contextmanager
    def assert_memory_grows_less_than(self, most):
        """Raise AssertionError after a block during which it held so many bytes more than before."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # the peak begins anew (proc(5))
        before = self._peak_memory()
        yield
        grown = self._peak_memory() - before
        assert grown < most, f"its memory grew by {grown} bytes, less than {most} expected"

    def _peak_memory(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def connections_to_b2(self):
        """Count them, but for those that gunicorn's worker has inherited and leaves alone."""
        ours = sockets(self.pid, self.b2_port)
        return len(ours if self.pid == self.process.pid else ours - sockets(self.process.pid, self.b2_port))

    def raw(self, path, *headers, method="GET"):
        """Ask for *path* exactly as it is, and return the status and all bytes of the answer."""
        request = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall("\r\n".join(request).encode("latin-1"))
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(answer.split()[1]), answer

    def close(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def until(condition):
    """Wait for what a process does in its own time."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        os.sched_yield()


def settled(value):
    """Return a value that has stayed the same for half a second."""
    latest, since = value(), time.monotonic()
    while time.monotonic() < since + 0.5:
        if (now := value()) != latest:
            latest, since = now, time.monotonic()
        os.sched_yield()
    return latest
