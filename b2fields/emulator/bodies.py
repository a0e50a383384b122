"""The bytes of files: one plain file per upload, named by a random id, never changed once it has its name."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

CHUNK = 256 * 1024


class Piece(NamedTuple):
    """A slice of a body file."""

    body: str
    start: int
    length: int


class IncomingBody:
    """A body on its way in: written and hashed as it comes, gone at the end of the ``with`` unless kept."""

    def __init__(self, path: Path, kept_in: Path) -> None:
        self.path = path
        self.kept_in = kept_in
        self.file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by __exit__
        self.size = 0
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.is_kept = False

    def write(self, chunk: bytes | memoryview) -> None:
        self._sha1.update(chunk)
        self._md5.update(chunk)
        self.size += len(chunk)
        while chunk:
            chunk = memoryview(chunk)[self.file.write(chunk) :]

    @property
    def sha1(self) -> str:
        return self._sha1.hexdigest()

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()

    def keep(self) -> list[Piece]:
        """Give the whole body its lasting name and return it as pieces, for the commit that follows.

        A process killed between the two leaves a body that nothing refers to; the next start sweeps it away.
        """
        if not self.size:
            return []
        self.file.close()
        os.replace(self.path, self.kept_in / self.path.name)
        self.is_kept = True
        return [Piece(self.path.name, 0, self.size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        if not self.is_kept:
            self.path.unlink()


class Bodies:
    """The two folders of body files: those being received and those that are whole."""

    def __init__(self, data: Path) -> None:
        self.incoming = data / "incoming"
        self.folder = data / "bodies"
        self.incoming.mkdir(exist_ok=True)
        self.folder.mkdir(exist_ok=True)

    def receive(self) -> IncomingBody:
        return IncomingBody(self.incoming / secrets.token_hex(16), self.folder)

    def read(self, pieces: Iterable[Piece], first: int, length: int) -> Iterator[bytes]:
        """Yield *length* bytes from offset *first* of the *pieces* joined, in chunks of bounded size."""
        for body, start, size in slices(pieces, first, length):
            with open(f"{self.folder}/{body}", "rb", buffering=0) as file:  # joining Paths is slow
                file.seek(start)
                while size:
                    chunk = file.read(min(CHUNK, size))
                    if not chunk:
                        raise OSError(f"Body {body} is shorter than its record says")
                    size -= len(chunk)
                    yield chunk

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def empty(self) -> None:
        """Remove all that is whole; what is still being received finds no owner and removes itself."""
        self.remove([path.name for path in self.folder.iterdir()])

    def sweep(self, referred: set[str]) -> None:
        """Remove what a killed process left behind; to be called while no other process uses the folders."""
        for path in self.incoming.iterdir():
            path.unlink()
        self.remove(path.name for path in self.folder.iterdir() if path.name not in referred)


def slices(pieces: Iterable[Piece], first: int, length: int) -> Iterator[Piece]:
    """Yield the part of *pieces* that holds *length* bytes from offset *first*."""
    for body, start, size in pieces:
        if length <= 0:
            return
        if first >= size:
            first -= size
            continue
        taken = min(size - first, length)
        yield Piece(body, start + first, taken)
        length -= taken
        first = 0
