"""The servers that are measured, as processes of their own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from ..emulator.clients import KEY, NO_CERTIFICATES, ROOT, environment, spawn

NGINX_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
NGINX_CONFIGURATION = """\
daemon off;
# One process and no master: it would hand its worker to another user when started by root.
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/nginx-temporary;
    proxy_temp_path {folder}/nginx-temporary;
    fastcgi_temp_path {folder}/nginx-temporary;
    uwsgi_temp_path {folder}/nginx-temporary;
    scgi_temp_path {folder}/nginx-temporary;
    server {{
        listen 127.0.0.1:{port};
        root {root};
    }}
}}
"""


class ToolMissing(Exception):
    """Something that a bench compares with is not installed."""


class Server(NamedTuple):
    """A server that accepts connections on this port of 127.0.0.1."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def control(self, method: str, name: str, **values: object) -> Any:
        """Ask the control plane, if the server was started with one."""
        answer = httpx.request(
            method, f"{self.url}/_emulator/{name}", json=values, verify=NO_CERTIFICATES, trust_env=False
        )
        return answer.raise_for_status().json()

    @contextmanager
    def latency(self, seconds: float) -> Iterator[None]:
        """Let every request wait so long."""
        self.control("POST", "latency", seconds=seconds)
        try:
            yield
        finally:
            self.control("POST", "latency", seconds=0)

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """Give a counter that holds, after the block, its requests and the bytes of their answers' bodies."""
        counts: Counter[str] = Counter()
        before = self._counts()
        yield counts
        counts.update(self._counts() - before)

    def _counts(self) -> Counter[str]:
        counters = self.control("GET", "counters")
        return Counter(requests=sum(counters["operations"].values()), bytes=counters["bytes_sent"])

    @property
    def peak_megabytes(self) -> float | None:
        """Return the most memory that the process ever had resident, if the system tells."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except FileNotFoundError:
            return None
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


# The cores that this process was given; none where the system cannot pin.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextmanager
def on_one_core(*servers: Server) -> Iterator[None]:
    """Keep the *servers* on one core and this process, the load, on another, if there are two."""
    processes = [0, *(server.process.pid for server in servers)]
    if CORES:
        for process in processes:
            os.sched_setaffinity(process, {CORES[0] if process else CORES[-1]})
    try:
        yield
    finally:
        if CORES:
            for process in processes:
                os.sched_setaffinity(process, CORES)


def describe_cores() -> str:
    if not CORES:
        return "This system pins no process to a core: what is said of one core was measured on any."
    return f"{len(CORES)} cores." if len(CORES) > 1 else "One core, shared by the servers and their load."


@contextmanager
def emulator(data: Path, *arguments: str) -> Iterator[Server]:
    """Run an emulator as developers have it: without the control plane, unless *arguments* ask for it."""
    process = spawn("--port", "0", "--data", str(data), "--key", ":".join(KEY), "--json", *arguments)
    with _stopped_at_end(process):
        yield Server(process, _port(process))


@contextmanager
def s3(folder: Path) -> Iterator[Server]:
    """Run moto, an S3 for tests, with a control plane like the emulator's and its data in *folder*."""
    command = [sys.executable, "-m", "tests.benchmarks.s3_server"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(TMPDIR=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with _stopped_at_end(process):
        yield Server(process, _port(process))


def _port(process: subprocess.Popen[str]) -> int:
    """Wait for the line that tells where a server listens."""
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args[2]} did not start")
    port: int = json.loads(line)["port"]
    return port


def find_nginx() -> str:
    found = shutil.which("nginx", path=NGINX_PLACES)
    if found is None:
        raise ToolMissing("nginx is missing, with which downloads are compared: apt install nginx-light")
    return found


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[Server]:
    """Serve the files under *root* by one nginx process, which keeps what it needs in *folder*."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX_CONFIGURATION.format(folder=folder, root=root, port=port))
    command = [find_nginx(), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    with listening(port, command) as server:
        yield server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def listening(port: int, command: list[str], **more: str) -> Iterator[Server]:
    """Run a server that does not tell when it is ready, with *more* in its environment."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment(**more), stderr=subprocess.PIPE, text=True)
    with _stopped_at_end(process):
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} did not start")
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                break
        yield Server(process, port)


@contextmanager
def _stopped_at_end(process: subprocess.Popen[str]) -> Iterator[None]:
    """Stop the *process* in the end and show what it complained of."""
    with process:
        try:
            yield
        finally:
            process.terminate()
            sys.stderr.write(process.stderr.read())
