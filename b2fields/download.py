"""A file's bytes as they come from B2: bounded, resumed when cut off, never silently short."""

import hashlib
import threading
import time
from typing import NoReturn, Protocol

from django.conf import settings

from b2fields.b2 import Client
from b2fields.exceptions import B2FieldsError, B2TimedOut, DamagedFile

# Bytes that one read asks of the network; a download holds a small multiple of it in memory.
CHUNK = 128 * 1024
# How often in a row a download may be cut off with less than this many bytes in between: each time
# costs a request, but a slow reader of a long file may well be cut off often.
_RESUMPTIONS = 2
_PROGRESS = 1024 * 1024


class Digest(Protocol):
    """A hash such as hashlib makes."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def sha1() -> Digest:
    """Return the hash that B2 keeps of every file."""
    return hashlib.sha1(usedforsecurity=False)


class Download:
    """One request for a file, or for its bytes *first* to *last*, and the stream of its answer.

    With *file_id*, of that version whatever was uploaded since. *digest* is a SHA-1 that has seen all
    bytes before *first*; with it, the end of the file raises DamagedFile unless it is the stored one.
    Raises FileMissing, and EOFError when the file ends before *first*.
    """

    def __init__(
        self,
        client: Client,
        bucket: str,
        name: str,
        first: int = 0,
        last: int | None = None,
        *,
        file_id: str | None = None,
        digest: Digest | None = None,
    ) -> None:
        self._client, self._bucket, self._name = client, bucket, name
        answer = client.get(bucket, name, first, last, file_id)
        if answer is None:
            raise EOFError(f"{name!r} ends before byte {first}.")
        self._response, self.extent, self.metadata = answer
        self.position = first
        self._closed = False
        self._reading = False
        self._lock = threading.Lock()
        self._resumptions = 0
        self._resumed_at = first
        end = self.extent.total - 1
        if self.extent[:2] != (first, end if last is None else min(last, end)):
            self._damaged("with other bytes than were asked for")
        self.digest = digest

    @property
    def length(self) -> int:
        """Bytes that the answer carries."""
        return self.extent.last - self.extent.first + 1

    @property
    def is_at_end(self) -> bool:
        """Tell whether all bytes have been read."""
        return self.position > self.extent.last

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to *size* bytes, none at the end."""
        wanted = min(size, self.extent.last + 1 - self.position)
        if wanted <= 0:
            self.close()
            return b""
        with self._lock:
            if self._closed:
                raise ValueError("read of closed download")
            self._reading = True
        try:
            data = self._read_or_resume(wanted)
        finally:
            self._end_reading()
        self.position += len(data)
        if self.is_at_end:
            self.close()
        if self.digest is not None:
            self.digest.update(data)
            at_the_end = self.position == self.extent.total
            if at_the_end and self.metadata.sha1 not in (None, self.digest.hexdigest()):
                self._damaged("with another SHA-1 than was stored")
        return data

    def _end_reading(self) -> None:
        with self._lock:
            self._reading = False
            if self._closed:
                self._response.close()

    def _read_or_resume(self, wanted: int) -> bytes:
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        begun = time.monotonic()
        while True:
            trouble: Exception | None = None
            try:
                data: bytes = self._response.raw.read(wanted, decode_content=False)
            except (OSError, HTTPError) as error:
                data, trouble = b"", error
            if data:
                return data
            self._response.close()
            if self._closed:
                raise ValueError("read of closed download")
            if self.position - self._resumed_at >= _PROGRESS:
                self._resumptions = 0
            self._resumptions += 1
            self._resumed_at = self.position
            seconds_left = settings.B2FIELDS_DEADLINE - (time.monotonic() - begun)
            if seconds_left <= 0 or (
                self._resumptions > _RESUMPTIONS and isinstance(trouble, ReadTimeoutError)
            ):
                self._timed_out()
            if self._resumptions > _RESUMPTIONS:
                self._damaged(f"only up to byte {self.position} of {self.extent.total}")
            self._resume(seconds_left)

    def _resume(self, seconds: float) -> None:
        # The same version by its id: the name may have a newer one by now.
        try:
            answer = self._client.get(
                self._bucket, self._name, self.position, self.extent.last, self.metadata.file_id, seconds
            )
        except B2FieldsError:
            return
        if answer is None or answer.extent[:2] != (self.position, self.extent.last):
            self._damaged("with other bytes than were asked for")
        self._response = answer.response

    def _timed_out(self) -> NoReturn:
        self.close()
        raise B2TimedOut(
            f"B2 sent {self._name!r} of bucket {self._bucket!r} only up to byte {self.position} of "
            f"{self.extent.total} in time (B2FIELDS_READ_TIMEOUT, B2FIELDS_DEADLINE). Try again later."
        )

    def _damaged(self, how: str) -> NoReturn:
        self.close()
        raise DamagedFile(
            f"{self._name!r} of bucket {self._bucket!r} arrived {how}. Read it again; if that fails too, "
            "the stored file or the way to it is damaged."
        )

    def close(self) -> None:
        """Give the connection back, or cut it if bytes are still to come.

        While another thread reads, that is left to it: closed under its hands, the connection could
        return to the pool with bytes still to come, and they would pass for the next answer.
        """
        with self._lock:
            self._closed = True
            if not self._reading:
                self._response.close()
