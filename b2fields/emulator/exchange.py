"""One HTTP request and its answer, with the faults that were scripted for it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from email.utils import formatdate

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from b2fields.emulator.faults import Entry, Fault


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
        host = self.headers.get("host") or "{}:{}".format(*scope["server"])
        self.base_url = f"{scope['scheme']}://{host}"
        self.entry = Entry("unknown", self.method, self.path, self.headers.get("range"))
        self.fault: Fault | None = None
        self.has_started = False
        self._receive = receive
        self._send = send
        self._more_to_read = True
        self._has_read = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the request's body as it arrives; raises ClientGone when it breaks off."""
        while self._more_to_read:
            self._has_read = True
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._more_to_read = message.get("more_body", False)
            body: bytes = message.get("body", b"")
            self.entry.bytes_received += len(body)
            if body:
                yield body

    async def respond(
        self, status: int, headers: dict[str, str], length: int, chunks: Iterable[bytes]
    ) -> None:
        """Send the answer, and spoil it as the fault says."""
        sent_headers = {"date": formatdate(usegmt=True), "content-length": str(length)} | headers
        if not await self._read_rest():
            sent_headers["connection"] = "close"
        if self.fault is not None:
            sent_headers |= self.fault.extra_headers
        self.has_started = True
        self.entry.status = status
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent_headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if self.method == "HEAD" or not length:
            await self._send({"type": "http.response.body", "body": b""})
        else:
            await self._send_body(length, chunks)

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
        try:
            for chunk in chunks:
                if fault is not None:
                    if fault.corrupt and not sent:
                        chunk = bytes([chunk[0] ^ 0xFF]) + chunk[1:]
                    chunk = chunk[: limit - sent]
                sent += len(chunk)
                if watch is None and sent < limit:
                    watch = asyncio.create_task(self._gone())
                await self._send({"type": "http.response.body", "body": chunk, "more_body": sent < length})
                if watch is not None and sent < limit:
                    # To a client that is gone, sending succeeds and never waits: let the watch notice.
                    await asyncio.sleep(0)
                    if watch.done():
                        raise ClientGone
                # No await lies between the last bytes and this, so the log never lags behind a client.
                self.entry.bytes_sent = sent
                if sent >= limit:
                    break
            if limit < length and fault is not None and fault.stall_after == limit:
                await self._gone()
            # Returning before the last byte makes the server close the connection.
        finally:
            if watch is not None:
                watch.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
