"""Reading a stored file at any place, in few requests."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from b2fields.download import CHUNK, Download, sha1

if TYPE_CHECKING:
    from b2fields.storage import B2Storage

# Reads of at least this many bytes from the start are taken for reading it all: one download.
_STREAM_FROM = 64 * 1024
# Smaller ones, and those after a seek, fetch blocks of this size, more of them as reading goes on.
_BLOCK = 32 * 1024
_MOST_BLOCKS = 32


class B2Reader(io.BufferedIOBase):
    """Read a stored file at any place; nothing is sent before the first read.

    Reading from start to end is one request, two if it is by small pieces, and its SHA-1 is verified.
    After a seek ranges are fetched, with a read-ahead that grows, and kept in a small buffer.
    """

    def __init__(self, storage: B2Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._position = 0
        self._stream: Download | None = None
        self._buffer = b""
        self._buffer_start = 0
        self._blocks = 1
        # The version that is read, and its bytes, once something has told them.
        self._file_id: str | None = None
        self._total: int | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    @property
    def size(self) -> int:
        """Bytes of the whole file: of the version that is read, whatever was uploaded since."""
        if self._total is None:
            known = self._storage.metadata(self._name)
            self._file_id, self._total = known.file_id, known.size
        return self._total

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check_open()
        base = 0
        if whence == os.SEEK_CUR:
            base = self._position
        elif whence == os.SEEK_END:
            base = self.size
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        self._check_open()
        if size is None or size < 0:
            parts = iter(lambda: self._some(CHUNK, whole=True), b"")
            return b"".join(parts)
        parts_read = []
        while size > 0 and (part := self._some(size)):
            parts_read.append(part)
            size -= len(part)
        return b"".join(parts_read)

    def read1(self, size: int = -1) -> bytes:
        # What reads this way, io.TextIOWrapper above all, goes on to the end.
        self._check_open()
        return self._some(CHUNK if size < 0 else size, whole=self._position == 0)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        self._check_open()
        parts: list[bytes] = []
        left = -1 if size is None else size
        while left != 0 and self._peek():
            offset = self._position - self._buffer_start
            end = self._buffer.find(b"\n", offset) + 1 or len(self._buffer)
            part = self._some(end - offset if left < 0 else min(end - offset, left))
            parts.append(part)
            left -= len(part) if left > 0 else 0
            if part.endswith(b"\n"):
                break
        return b"".join(parts)

    def close(self) -> None:
        self._drop_stream()
        self._buffer = b""
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _buffered(self, size: int) -> bytes:
        offset = self._position - self._buffer_start
        return self._buffer[offset : offset + size] if 0 <= offset < len(self._buffer) else b""

    def _fill(self, size: int, *, whole: bool) -> None:
        start = self._position
        self._buffer, self._buffer_start = self._fetch(size, whole=whole), start

    def _peek(self) -> bool:
        """Have the buffer hold the byte at the position, unless the file ends there."""
        if not self._buffered(1):
            self._fill(CHUNK, whole=self._position == 0)
        return bool(self._buffer)

    def _some(self, size: int, *, whole: bool = False) -> bytes:
        """Return from 1 to *size* bytes at the position and move on; none at the end."""
        data = self._buffered(size)
        if not data and size > 0:
            if size >= _BLOCK:
                data = self._fetch(size, whole=whole)
            else:
                self._fill(_BLOCK, whole=whole)
                data = self._buffered(size)
        self._position += len(data)
        return data

    def _fetch(self, size: int, *, whole: bool) -> bytes:
        """Return bytes at the position, from the open stream or from a new one that fits how it is read."""
        stream = self._stream
        goes_on = stream is not None and self._position == stream.position
        if stream and goes_on:
            if self._position <= stream.extent.last:
                return stream.read(size)
            if self._position >= stream.extent.total:
                return b""
        # What has read on from the start beyond one block goes on to the end, verified all along.
        from_start = self._position == 0
        digest = sha1() if from_start else stream.digest if stream and goes_on else None
        reads_all = digest is not None and not from_start
        in_order = from_start or goes_on
        self._blocks = min(self._blocks * 2, _MOST_BLOCKS) if goes_on else 1
        to_the_end = whole or reads_all or (in_order and size >= _STREAM_FROM) or self._blocks == _MOST_BLOCKS
        last = None if to_the_end else self._position + max(size, self._blocks * _BLOCK) - 1
        self._drop_stream()
        try:
            self._stream = self._storage.download(
                self._name, self._position, last, file_id=self._file_id, digest=digest
            )
        except EOFError:
            return b""
        # All reads are of one version, whatever is uploaded under the name meanwhile.
        self._file_id, self._total = self._stream.metadata.file_id, self._stream.extent.total
        return self._stream.read(size)

    def _drop_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
