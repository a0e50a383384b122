"""Running the emulator: its socket, its signals, its end."""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from b2fields.emulator.app import Emulator

# Idle connections are kept longer than clients do, so that none is closed in the face of its next request.
KEEP_ALIVE_SECONDS = 120
# After a signal, answers on their way get this long.
GRACE_SECONDS = 1


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; raises OSError if the port is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


class _Connection(HttpToolsProtocol):
    """Gives each request its connection: what a fault does to that, ASGI has no words for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, bound: socket.socket, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.bound = bound
        self.ready = ready
        self.opening: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    def refuse(self, seconds: float, spared: asyncio.Transport) -> None:
        """Refuse connections for so long from now on, and close all that are open but the *spared* one."""
        if self.opening is not None:
            self.opening.cancel()
        else:
            host, port = self.bound.getsockname()[:2]
            self.servers[0].close()
            # A port that nobody holds could be given to a client, even to one that then talks to itself.
            self.bound = bind(host, port)
        self.opening = asyncio.get_running_loop().create_task(self._open_after(seconds))
        for connection in list(self.server_state.connections):
            if connection.transport is not spared:
                connection.transport.abort()

    async def _open_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await super().startup([self.bound])
        self.opening = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.opening is not None:
            self.opening.cancel()
        await super().shutdown([self.bound])


def exit_on_signals() -> None:
    """Make SIGINT and SIGTERM a normal end; uvicorn raises them again once it has shut down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))


def exit_on_eof() -> None:
    """End, as by SIGTERM, when standard input does."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def serve(emulator: Emulator, bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; call *ready* once connections are accepted."""
    config = uvicorn.Config(
        emulator,
        http=_Connection,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config, bound, ready)
    if emulator.script is not None:
        emulator.script.refuse = server.refuse
    server.run([bound])
