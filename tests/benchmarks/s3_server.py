"""moto's S3 behind a control plane: ``python -m tests.benchmarks.s3_server`` prints its port as JSON.

Its requests can be counted and made to wait as those of the emulator are; see b2fields/emulator/control.py.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

PREFIX = "/_emulator/"


class Watched:
    """A WSGI application whose requests are counted and made to wait."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._latency = 0.0
        self._counters: dict[str, Any] = {"operations": {}, "bytes_sent": 0}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith(PREFIX):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            answer = json.dumps(self._control(path.removeprefix(PREFIX), body)).encode()
            start_response("200 OK", [("Content-Length", str(len(answer)))])
            return [answer]
        time.sleep(self._latency)
        method = environ["REQUEST_METHOD"]
        with self._lock:
            self._counters["operations"][method] = self._counters["operations"].get(method, 0) + 1
        return self._counted(self._application(environ, start_response))

    def _control(self, name: str, body: bytes) -> dict[str, Any]:
        if name == "latency":
            self._latency = json.loads(body)["seconds"]
            return {}
        with self._lock:
            return self._counters

    def _counted(self, body: Any) -> Iterator[bytes]:
        try:
            for piece in body:
                with self._lock:
                    self._counters["bytes_sent"] += len(piece)
                yield piece
        finally:
            if hasattr(body, "close"):
                body.close()


class Quiet(WSGIRequestHandler):
    disable_nagle_algorithm = True  # else each answer, whose head and body are two writes, waits for 40 ms

    def log(self, *args: Any) -> None:
        """Write nothing: a line per request is not what is measured."""


if __name__ == "__main__":
    server = make_server(
        "127.0.0.1",
        0,
        Watched(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=Quiet,
    )
    print(json.dumps({"port": server.server_port}), flush=True)
    sys.exit(server.serve_forever())
