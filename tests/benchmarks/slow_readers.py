"""Clients that take their time: ``python -m tests.benchmarks.slow_readers PORT READERS SECONDS REQUEST``.

Each sends the request, on a connection with a small buffer, and reads the body evenly within these seconds
at least. One line tells that all have begun to read; the other, in the end, the lengths and SHA-1 of what
they read, as JSON.
"""

import hashlib
import json
import socket
import sys
import time

BUFFER = 32 * 1024  # which the kernel doubles (socket(7), SO_RCVBUF)
TICK = 0.1
PATIENCE_SECONDS = 60


class Reader:
    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(request)
        self.digest = hashlib.sha1(usedforsecurity=False)
        self.read = 0

    def begin(self) -> None:
        """Read the head, and learn from it how long the body is."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._receive(1)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode("latin-1"))
        self.length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        self.socket.setblocking(False)

    def _receive(self, size: int) -> bytes:
        data = self.socket.recv(size)
        if not data:
            raise EOFError(f"The body ended after {self.read} bytes")
        return data

    def catch_up(self, part: float) -> None:
        """Read what is there, up to this part of the body."""
        while wanted := int(self.length * part) - self.read:
            try:
                data = self._receive(min(wanted, BUFFER))
            except BlockingIOError:
                return
            self.digest.update(data)
            self.read += len(data)


def main(port: str, count: str, seconds: str, request: str) -> None:
    readers = [Reader(int(port), request.encode()) for _ in range(int(count))]
    for reader in readers:
        reader.begin()
    print("begun", flush=True)
    begin = time.monotonic()
    while unread := [reader for reader in readers if reader.read < reader.length]:
        taken = time.monotonic() - begin
        if taken > float(seconds) + PATIENCE_SECONDS:
            raise TimeoutError(f"{len(unread)} of {count} did not get the whole body")
        for reader in unread:
            reader.catch_up(min(1, taken / float(seconds)))
        time.sleep(TICK)
    print(json.dumps([(reader.read, reader.digest.hexdigest()) for reader in readers]))


if __name__ == "__main__":
    main(*sys.argv[1:])
