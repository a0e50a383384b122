"""One HTTP request and its answer, with the faults that were scripted for it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from email.utils import formatdate
from http import HTTPStatus

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from b2fields.emulator.faults import Fault, SpoiltHeaders
from b2fields.emulator.log import Entry

# A limited bandwidth is kept in steps of this many a second.
STEPS = 20
# How to close a socket so that it sends a reset: wait for 0 seconds until all is sent.
NO_LINGER = struct.pack("ii", 1, 0)


class ClientGone(Exception):
    """The client closed the connection."""


class Exchange:
    """Reads the request in chunks and sends the answer in chunks, counting both in the log's entry."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        # As the client sent it: names are decoded exactly once, by us.
        self.path: str = scope["raw_path"].decode("latin-1")
        self.headers = Headers(scope=scope)
        self.query = QueryParams(scope["query_string"])
        self.host = self.headers.get("host") or "{}:{}".format(*scope["server"])
        self.base_url = f"{scope['scheme']}://{self.host}"
        self.transport: asyncio.Transport = scope["state"]["transport"]
        self.entry = Entry("unknown", self.method, self.path, self.headers.get("range"))
        self.fault: Fault | None = None
        self.bandwidth: int | None = None
        self.more_headers: dict[str, str] = {}  # for the answer, whatever it will be
        self.has_started = False
        self._receive = receive
        self._send = send
        self._more_to_read = True
        self._has_read = False
        self._due = 0.0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the request's body as it arrives; raises ClientGone when it breaks off."""
        while self._more_to_read:
            self._has_read = True
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._more_to_read = message.get("more_body", False)
            body: bytes = message.get("body", b"")
            self.entry.add_received(len(body))
            if body and self.bandwidth is None:
                yield body
            elif body:
                for step in self._steps([body]):
                    await self._pace(len(step))
                    yield step

    async def respond(
        self, status: int, headers: dict[str, str], length: int, chunks: Iterable[bytes]
    ) -> None:
        """Send the answer, and spoil it as the fault says."""
        sent = {"date": formatdate(usegmt=True), "content-length": str(length)} | headers | self.more_headers
        if status == HTTPStatus.NOT_MODIFIED:
            del sent["content-length"]  # it would be that of the file (RFC 9110, 8.6)
        if not await self._read_rest():
            sent["connection"] = "close"
        self.has_started = True
        self.entry.status = status
        pairs = sent.items() if self.fault is None else _spoil(sent, self.fault.headers)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if self.method == "HEAD" or not length:
            await self._send({"type": "http.response.body", "body": b""})
        else:
            await self._send_body(length, chunks)

    async def reset(self) -> None:
        """Close the connection by a TCP RST, which also drops what the kernel has not sent yet."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self.transport.abort()
        await self._gone()
        raise ClientGone

    async def _read_rest(self) -> bool:
        """Read what is left of the request, so that a client still sending meets our answer and not a reset.

        Return False if the client waits for leave to send ("Expect: 100-continue"): reading would give it.
        """
        if "expect" in self.headers and not self._has_read:
            return False
        async for _ in self.chunks():
            pass
        return True

    async def _send_body(self, length: int, chunks: Iterable[bytes]) -> None:
        fault = self.fault
        limits = [n for n in (fault.cut_after, fault.stall_after) if n is not None] if fault else []
        limit = min([length, *limits])
        watch: asyncio.Task[None] | None = None
        sent = 0
        if self.bandwidth is not None:
            chunks = self._steps(chunks)
        try:
            for chunk in chunks:
                if fault is not None:
                    if fault.corrupt and not sent:
                        chunk = bytes([chunk[0] ^ 0xFF]) + chunk[1:]
                    chunk = chunk[: limit - sent]
                if watch is None and sent + len(chunk) < limit:
                    watch = asyncio.create_task(self._gone())
                if self.bandwidth is not None:
                    await self._pace(len(chunk))
                sent += len(chunk)
                await self._send({"type": "http.response.body", "body": chunk, "more_body": sent < length})
                if watch is not None and sent < limit:
                    # To a client that is gone, sending succeeds and never waits: let the watch notice.
                    await asyncio.sleep(0)
                    if watch.done():
                        raise ClientGone
                # No await lies between the last bytes and this, so the log never lags behind a client.
                self.entry.add_sent(len(chunk))
                if sent >= limit:
                    break
            if limit < length and fault is not None:
                if fault.stall_after == limit:
                    await self._gone()
                elif fault.reset:
                    await self.reset()
            # Returning before the last byte makes the server close the connection.
        finally:
            if watch is not None:
                watch.cancel()

    def _steps(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Cut the *chunks* so small that a limited bandwidth is used evenly."""
        size = max(1, (self.bandwidth or 0) // STEPS)
        for chunk in chunks:
            for start in range(0, len(chunk), size):
                yield chunk[start : start + size]

    async def _pace(self, count: int) -> None:
        """Wait for the turn of *count* more bytes; what a slow peer leaves unused is lost, as on a wire."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due or now, now - 1 / STEPS) + count / (self.bandwidth or 1)
        await asyncio.sleep(self._due - now)
        if self.transport.is_closing():
            raise ClientGone

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _spoil(headers: dict[str, str], spoilt: SpoiltHeaders) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in headers.items() if name not in spoilt]
    return kept + [(name, value) for name, values in spoilt.items() for value in values]
