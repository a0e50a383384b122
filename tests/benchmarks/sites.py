"""The site's servers, each with its own way to serve the same files, and what serving takes of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from time import perf_counter
from typing import NamedTuple

from ..emulator.clients import ROOT, environment
from . import servers
from .load import Traffic, drive, request
from .subject import Place

# One process each. A thread of gunicorn's serves one download at a time.
THREADS = 32
GUNICORN, UVICORN = "gunicorn", "uvicorn"
COMMANDS = {
    GUNICORN: "gunicorn --worker-class gthread --workers 1 --threads {threads} --log-level error "
    "--bind 127.0.0.1:{port} django.core.wsgi:get_wsgi_application()",
    UVICORN: "uvicorn --lifespan off --log-level error --no-access-log "
    "--host 127.0.0.1 --port {port} --factory django.core.asgi:get_asgi_application",
}
PATIENCE_SECONDS = 30
MEBIBYTE = 1024 * 1024


class Answer(NamedTuple):
    """How many bytes of body came, and how long the first and all of them took."""

    length: int
    first_seconds: float
    seconds: float


class Used(NamedTuple):
    """Processor time of a process, and how far its memory rose above what was resident before."""

    processor_seconds: float
    growth_mebibytes: float


class Site(NamedTuple):
    """A server, the path under which it is asked for files, and the headers of every request."""

    server: servers.Server
    path: str
    headers: dict[str, str]

    def load(self, name: str, connections: int = 1) -> Traffic:
        """Ask for a file on each of the connections at once; what comes back is thrown away."""
        each = request("GET", self.path + name, **self.headers)
        return drive(self.server.port, [iter([each]) for _ in range(connections)])

    def ask(self, name: str, times: int = 1, method: str = "GET", **headers: str) -> list[Answer]:
        """Ask so often, one after the other and on one connection."""
        with closing(HTTPConnection("127.0.0.1", self.server.port, PATIENCE_SECONDS)) as connection:
            connection.connect()
            asked = method, self.path + name, self.headers | headers
            return [_ask(connection, *asked) for _ in range(times)]

    def etag(self, name: str) -> str:
        with closing(HTTPConnection("127.0.0.1", self.server.port, PATIENCE_SECONDS)) as connection:
            connection.request("HEAD", self.path + name, headers=self.headers)
            return connection.getresponse().headers["ETag"]

    @contextmanager
    def used(self) -> Iterator[list[Used]]:
        """Give a list that holds, after the block, what the server's process used for it."""
        used: list[Used] = []
        before = self._usage()
        yield used
        after = self._usage()
        seconds = after["processor_seconds"] - before["processor_seconds"]
        used.append(Used(seconds, after["peak_mebibytes"] - before["resident_mebibytes"]))

    def _usage(self) -> dict[str, float]:
        with closing(HTTPConnection("127.0.0.1", self.server.port, PATIENCE_SECONDS)) as connection:
            connection.request("GET", "/usage")
            usage: dict[str, float] = json.load(connection.getresponse())
            return usage


def _ask(connection: HTTPConnection, method: str, path: str, headers: dict[str, str]) -> Answer:
    begin = perf_counter()
    connection.request(method, path, headers=headers)
    with connection.getresponse() as response:
        length = len(response.read(1))
        first = perf_counter() - begin
        while data := response.read(MEBIBYTE):
            length += len(data)
    if response.status not in (200, 206, 304):
        raise RuntimeError(f"{method} {path} was answered with {response.status}")
    return Answer(length, first, perf_counter() - begin)


@contextmanager
def site(kind: str, path: str, place: Place, cookie: str, delivery: str = "proxy") -> Iterator[Site]:
    """Run the site in a process of its own, by the server of this kind."""
    port = servers.free_port()
    command = COMMANDS[kind].format(port=port, threads=THREADS).split()
    more = _environment(place, delivery)
    with servers.listening(port, [sys.executable, "-m", *command], **more) as server:
        yield Site(server, path, {"cookie": cookie})


def prepare(place: Place, names: list[str]) -> str:
    """Make the database of all sites, with a row for each file; return the cookie of a signed-in user."""
    command = [sys.executable, "-m", "tests.benchmarks.site.prepare", *names]
    process = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**_environment(place)),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return f"sessionid={process.stdout.strip()}"


def _environment(place: Place, delivery: str = "proxy") -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.site.settings",
        "BENCHMARK_PLACE": json.dumps(place),
        "BENCHMARK_DELIVERY": delivery,
    }
