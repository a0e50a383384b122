"""Running the emulator: its socket, its signals, its end."""

import signal
import socket
import sys
from collections.abc import Callable

import uvicorn

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


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()


def exit_on_signals() -> None:
    """Make SIGINT and SIGTERM a normal end; uvicorn raises them again once it has shut down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))


def serve(emulator: Emulator, bound: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; call *ready* once connections are accepted."""
    config = uvicorn.Config(
        emulator,
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
    _Server(config, ready).run([bound])
