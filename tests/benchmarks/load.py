"""A load generator: raw sockets and little Python per answer, so that it is not what is measured."""

import math
import selectors
import socket
import sys
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

BUFFER = 1024 * 1024
# Where the kernel can drop the bytes of a body (tcp(7)), copying them is not the load's bottleneck.
DROP = socket.MSG_TRUNC if sys.platform == "linux" else 0
PATIENCE_SECONDS = 30


class Traffic(NamedTuple):
    """What came back, and how long it took."""

    answers: int
    body_bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of a request; underscores in the names of *headers* become hyphens."""
    sent = {"host": "127.0.0.1"} | headers | ({"content-length": str(len(body))} if method == "POST" else {})
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items()]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


class _Connection:
    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = requests
        self.head = b""
        self.is_in_body = False
        self.body_left = 0

    def send(self) -> bool:
        """Send the next request, if there is one."""
        request = next(self.requests, None)
        if request is None:
            return False
        self.is_head = request.startswith(b"HEAD ")
        self.socket.sendall(request)
        return True

    def take(self, data: memoryview) -> int | None:
        """Read a piece of the answer; return the size of its body when it is whole."""
        if self.is_in_body:
            self.body_left -= len(data)
        else:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return None
            if not self.head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 206 ")):
                raise RuntimeError(f"An answer of the server under load: {self.head.decode('latin-1')}")
            start = self.head[:end].lower().index(b"\r\ncontent-length:") + len("\r\ncontent-length:")
            self.length = 0 if self.is_head else int(self.head[start:end].partition(b"\r\n")[0])
            self.body_left = self.length - (len(self.head) - end - 4)
            self.is_in_body = True
        if self.body_left:
            return None
        self.head, self.is_in_body = b"", False
        return self.length


def drive(port: int, requests: Sequence[Iterator[bytes]], seconds: float = math.inf) -> Traffic:
    """Send each connection's *requests* one after the other, until they run out or the time is up.

    The bytes that come back are counted and thrown away.
    """
    answers = body_bytes = 0
    buffer = memoryview(bytearray(BUFFER))
    connections = [_Connection(port, each) for each in requests]
    with selectors.DefaultSelector() as selector:
        begin = perf_counter()
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        while selector.get_map():
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                raise RuntimeError(f"No answer for {PATIENCE_SECONDS} seconds")
            for key, _ in ready:
                connection = key.data
                count = connection.socket.recv_into(buffer, BUFFER, DROP if connection.is_in_body else 0)
                if not count:
                    raise RuntimeError("The server closed a connection under load")
                length = connection.take(buffer[:count])
                if length is None:
                    continue
                answers += 1
                body_bytes += length
                if perf_counter() - begin >= seconds or not connection.send():
                    selector.unregister(connection.socket)
        taken = perf_counter() - begin
    for connection in connections:
        connection.socket.close()
    return Traffic(answers, body_bytes, taken)
