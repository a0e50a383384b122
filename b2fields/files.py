"""The file objects: Django's File around a reader or a writer that uploads on close; what to upload from."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.base import File

from b2fields.download import sha1
from b2fields.exceptions import FileTooLarge
from b2fields.reader import B2Reader

if TYPE_CHECKING:
    from b2fields.storage import B2Storage

    _File = File[Any]
else:
    _File = File  # Generic to type checkers only.


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
def upload_source(
    content: File[Any], max_size: int | None = None, *, keep: bool = False
) -> Iterator[bytes | str]:
    """Give the bytes of *content*, or the path of a file on disk that holds them, from the very start.

    Text becomes UTF-8. What is larger than B2FIELDS_MAX_MEMORY_SIZE and not on disk yet is written
    to a temporary file. *content* is left open, for it is the caller's; but the temporary file of an
    upload, once used without an error, is gone, as after FileSystemStorage has moved it, unless *keep*.
    Raises FileTooLarge beyond *max_size* bytes, counted and not believed.
    """
    path = getattr(content, "temporary_file_path", None)
    if path is not None:
        content.flush()
        _check_size(os.path.getsize(path()), max_size, content.name)
        yield path()
        if not keep:
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
