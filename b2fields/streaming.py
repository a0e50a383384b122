"""A download as the body of a response: in bounded memory, under WSGI and under ASGI."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import StreamingHttpResponse

from b2fields import logs
from b2fields.download import CHUNK, Download
from b2fields.exceptions import B2FieldsError
from b2fields.logs import Delivery

# A download whose client and whose B2 are quick is passed on in larger chunks, up to so many bytes: each
# costs a switch of threads, and a slow one would only fill memory with them.
_MOST = 512 * 1024
_QUICK_SECONDS = 0.05
# The first bytes of a long one do not wait until a whole chunk is there, which from afar takes several
# round trips: about so many come in the first (RFC 6928).
_FIRST = 16 * 1024


class _Threads:
    """Threads for reads that wait for B2, of which the one that was idle last is used next.

    The event loop's own are a few more than there are cores: that many stalled downloads would stop all
    others. And a ThreadPoolExecutor starts another thread when it is asked again before the one that has
    just answered counts as idle: a single download would come to use many, each with memory of its own
    for what it reads. So each of these is an executor of one thread.
    """

    _KEPT = 256

    def __init__(self) -> None:
        self._idle: list[ThreadPoolExecutor] = []

    async def run(self, function: Callable[[], bytes]) -> bytes:
        """Call *function* in a thread that does nothing else meanwhile."""
        try:
            thread = self._idle.pop()
        except IndexError:
            thread = ThreadPoolExecutor(1, "b2fields-read")
        answer = thread.submit(function)
        # First of all, before the loop hears of it. And a read whose client is gone holds its thread on.
        answer.add_done_callback(lambda _: self._give_back(thread))
        return await asyncio.wrap_future(answer)

    def _give_back(self, thread: ThreadPoolExecutor) -> None:
        if len(self._idle) < self._KEPT:
            self._idle.append(thread)
        else:
            thread.shutdown(wait=False)

    def forget(self) -> None:
        """Leave the threads to the process that this one was forked from."""
        self._idle = []


_threads = _Threads()
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_threads.forget)


def stream(delivery: Delivery, download: Download, status: int) -> StreamingHttpResponse:
    """Return a response that sends the download, and closes it when the client has it or is gone."""
    _release_database()
    # Django drains a sync iterator into memory under ASGI, and an async one under WSGI.
    kind = _AsyncBody if isinstance(delivery.request, ASGIRequest) else _Body
    return StreamingHttpResponse(kind(delivery, download, status), status=status)


def _release_database() -> None:
    """Close the connections that decided on access: a slow client would hold them for hours.

    Called before the headers are sent, and again before the body: a middleware may have opened one
    anew, and with ATOMIC_REQUESTS the first call comes too early.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


class _Body:
    """The bytes of a download.

    Not a generator: closing one that was never begun would leave B2's answer open.
    """

    def __init__(self, delivery: Delivery, download: Download, status: int) -> None:
        self._delivery, self._download, self._status = delivery, download, status
        self._has_begun = False
        self._size = CHUNK if download.length <= CHUNK else _FIRST
        self._last_read: float | None = None

    def _read(self) -> bytes:
        now = time.monotonic()
        if self._last_read is not None:
            is_quick = now - self._last_read < _QUICK_SECONDS
            self._size = min(4 * self._size, _MOST) if is_quick else CHUNK
        self._last_read = now
        try:
            return self._download.read(self._size)
        except B2FieldsError as error:
            # Raised on: the server breaks the connection, so that the client sees a short body.
            logs.broke_off(self._delivery, self._status, error)
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            _release_database()
        if data := self._read():
            return data
        raise StopIteration

    def close(self) -> None:
        self._download.close()


class _AsyncBody(_Body):
    """The same for an event loop, which each wait for B2 leaves free."""

    def __init__(self, delivery: Delivery, download: Download, status: int) -> None:
        super().__init__(delivery, download, status)
        self._connections = connections.all()  # of the thread of the view

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            # Nothing else can close them, and seldom is one open: each switch to that thread takes time.
            if any(each.connection is not None for each in self._connections):
                await sync_to_async(_release_database)()
        if self._download.is_at_end:
            self.close()
            raise StopAsyncIteration
        return await _threads.run(self._read)

    __iter__ = None  # type: ignore[assignment]
