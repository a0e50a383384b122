"""The file objects: a lazy, seekable reader, a writer that uploads on close, and what to upload from."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.base import File

from b2fields.download import CHUNK, Download, sha1
from b2fields.exceptions import FileTooLarge

if TYPE_CHECKING:
    from b2fields.storage import B2Storage

    _File = File[Any]
else:
    _File = File  # Generic to type checkers only.

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


class B2File(_File):
    """A file of a B2Storage: lazy to read, uploaded once when closed if it was opened to write.

    An exception inside ``with`` uploads nothing.
    """

    file: Any

    # Django's 64 KiB make 16,000 trips through the layers of a file of 1 GiB: a fifth of the speed.
    DEFAULT_CHUNK_SIZE = 1024 * 1024

    def __init__(self, storage: B2Storage, name: str, mode: str) -> None:
        self._storage = storage
        self.name = str(name or "")  # A path is a name, too, and str() of a file has to be a string.
        self._begin(mode)

    def _begin(self, mode: str) -> None:
        kind = mode.replace("b", "").replace("t", "")
        if kind not in ("r", "w", "a", "x", "r+", "w+", "a+", "x+"):
            raise ValueError(f"invalid mode: {mode!r}")
        self.mode = mode
        self._discarded = False
        self._spool: Any = None
        self._most: int | None = None
        raw: Any
        if kind == "r":
            raw = self._reader = B2Reader(self._storage, self._required_name)
        else:
            raw = self._spool = self._begin_spool(kind)
        self.file = raw if "b" in mode else io.TextIOWrapper(raw, encoding="utf-8")

    @property
    def _required_name(self) -> str:
        if not self.name:
            raise ValueError("The file has no name.")
        return self.name

    def _begin_spool(self, kind: str) -> Any:
        name = self._required_name
        if kind.startswith("x") and self._storage.exists(name):
            raise FileExistsError(f"There is a file {name!r} already.")
        # B2 changes no stored file: "a" and "r+" begin with a copy of it, and upload the whole.
        stored = None
        if kind.startswith("r") or (kind.startswith("a") and self._storage.exists(name)):
            stored = self._storage.download(name, digest=sha1())
        self._most = self._storage.max_size
        limit: int = settings.B2FIELDS_MAX_MEMORY_SIZE
        spool = tempfile.SpooledTemporaryFile(max_size=limit)  # noqa: SIM115 - closed by close()
        try:
            while stored and (data := stored.read()):
                spool.write(data)
        except BaseException:
            spool.close()
            raise
        if kind.startswith("r"):
            spool.seek(0)
        return spool

    def write(self, data: Any) -> int:
        """Write on; what is more than the storage takes is refused here, before it fills the disk."""
        written: int = self.file.write(data)
        _check_size(self._spool.tell(), self._most, self.name)
        return written

    @property
    def size(self) -> int:
        if self._spool is None:
            return self._reader.size
        position = self._spool.tell()
        end: int = self._spool.seek(0, os.SEEK_END)
        self._spool.seek(position)
        return end

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> B2File:
        """Go back to the start, or open the file again if it was closed."""
        if not self.closed and mode in (None, self.mode):
            self.seek(0)
        else:
            self.close()
            self._begin(mode or self.mode)
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self._discarded = exc_type is not None
        self.close()

    def close(self) -> None:
        if self.closed:
            return
        try:
            if self._spool is not None and not self._discarded:
                self.file.flush()
                self._spool.seek(0)
                self._storage.upload(self._required_name, File(self._spool, self.name))
        finally:
            self.file.close()
            if self._spool is not None:
                self._spool.close()


def _check_size(size: int, limit: int | None, name: object) -> None:
    if limit is not None and size > limit:
        raise FileTooLarge(
            f"{name!r} has more than {limit} bytes, the max_size of its field, of its storage, or of "
            "B2FIELDS_MAX_SIZE."
        )


def check_size(content: File[Any], limit: int) -> None:
    """Raise FileTooLarge if *content*, whatever it says of itself, has more bytes than *limit*.

    It is left at its start. What can be read only once is not read: an upload counts while it reads.
    """
    path = getattr(content, "temporary_file_path", None)
    if path is not None:
        content.flush()
        _check_size(os.path.getsize(path()), limit, content.name)
    elif content.seekable():
        try:
            for _ in _chunks_of(content, limit):
                pass
        finally:
            content.seek(0)


@contextmanager
def upload_source(content: File[Any], max_size: int | None = None) -> Iterator[bytes | str]:
    """Give the bytes of *content*, or the path of a file on disk that holds them, from the very start.

    Text becomes UTF-8. What is larger than B2FIELDS_MAX_MEMORY_SIZE and not on disk yet is written
    to a temporary file. *content* is left open, for it is the caller's; but the temporary file of an
    upload, once used without an error, is gone, as after FileSystemStorage has moved it.
    Raises FileTooLarge beyond *max_size* bytes, counted and not believed.
    """
    path = getattr(content, "temporary_file_path", None)
    if path is not None:
        content.flush()
        _check_size(os.path.getsize(path()), max_size, content.name)
        yield path()
        with suppress(FileNotFoundError):
            os.unlink(path())
        return
    limit: int = settings.B2FIELDS_MAX_MEMORY_SIZE
    head = io.BytesIO()
    chunks = _chunks_of(content, max_size)
    for chunk in chunks:
        head.write(chunk)
        if head.tell() > limit:
            break
    else:
        yield head.getvalue()
        return
    with tempfile.NamedTemporaryFile(prefix="b2fields-") as spool:
        spool.write(head.getbuffer())
        del head
        for chunk in chunks:
            spool.write(chunk)
        spool.flush()
        yield spool.name


def _chunks_of(content: File[Any], limit: int | None) -> Iterator[bytes]:
    size = 0
    for chunk in content.chunks():
        data = chunk.encode() if isinstance(chunk, str) else bytes(chunk)
        size += len(data)
        _check_size(size, limit, content.name)
        yield data
