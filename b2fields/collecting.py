"""What one run of collectstatic knows of the stored files, and what it puts off to its end."""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import FrameType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.contrib.staticfiles.management.commands.collectstatic import Command
from django.core.files.base import ContentFile, File

from b2fields.metadata import FileMetadata
from b2fields.storage import B2Storage

if TYPE_CHECKING:
    from b2fields.static import B2StaticStorage


_collections: WeakKeyDictionary[Command, Collection] = WeakKeyDictionary()


def collection_of(storage: B2StaticStorage) -> Collection | None:
    """Return what the collectstatic that is asking knows of *storage*; None if none is."""
    command = _asking_command()
    if command is None or command.storage != storage:
        return None
    if command not in _collections:
        storage.check_place()
        _collections[command] = Collection(storage, may_wait=command.post_process)
    return _collections[command]


def _asking_command() -> Command | None:
    """Return the collectstatic at work in this thread.

    It tells a storage neither that it begins nor that it ends, and what may be put off depends on both.
    If this finds none, every call does what it says, at once.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not Command.collect.__code__:
        frame = frame.f_back
    command: Command | None = frame and frame.f_locals["self"]
    return command


class Collection:
    """One listing at the beginning, uploads beside the search for files, deletions at the end.

    collectstatic deletes a file before it saves it anew; put off, that leaves no moment without the
    file, and nothing to do where the content is the same. With *may_wait* false, since nobody will
    call finish(), all is done at once. For one thread, that of the command.
    """

    def __init__(self, storage: B2StaticStorage, *, may_wait: bool) -> None:
        self._storage, self._may_wait = storage, may_wait
        # None for what was uploaded since.
        self._stored: dict[str, FileMetadata | None] = dict(storage.stored_files())
        self._present = set(self._stored)
        # To collectstatic a folder exists; what does not, --clear does not look into.
        self._folders = {folder for name in self._stored for folder in _folders_of(name)}
        self._processed: dict[str, File[Any]] = {}
        # By name in the storage, as collectstatic knows them: the finder's storage, and the path there.
        self.sources: Mapping[str, tuple[Any, str]] = {}
        self._threads: int = settings.B2FIELDS_UPLOAD_THREADS
        self._pool = ThreadPoolExecutor(self._threads, "b2fields-static")
        self._running: set[Future[Any]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._present or name in self._folders

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        prefix = posixpath.join(path, "") if path else ""
        rests = sorted(name.removeprefix(prefix) for name in self._present if name.startswith(prefix))
        folders = dict.fromkeys(rest.partition("/")[0] for rest in rests if "/" in rest)
        return list(folders), [rest for rest in rests if "/" not in rest]

    def is_stored(self, name: str, content: File[Any]) -> bool:
        """Tell whether B2 has the file already, with this content."""
        known = self._stored.get(name)
        return known is not None and self._storage.is_same(name, content, known)

    def open_source(self, name: str) -> File[Any] | None:
        """Open the local file that was saved under this name, if there is one."""
        if name in self._folders and name not in self._present:
            raise IsADirectoryError(f"{name!r} is a folder.")
        if name not in self.sources:
            return None
        storage, path = self.sources[name]
        opened: File[Any] = storage.open(path)
        return opened

    def save(self, name: str, content: File[Any]) -> str:
        self._present.add(name)
        self._folders.update(_folders_of(name))
        self._processed.pop(name, None)
        if self.is_stored(name, content):
            return name
        if self._may_wait and isinstance(content, ContentFile):
            # Post-processing saves the same file again in each of its passes; only the last counts.
            self._processed[name] = content
        else:
            self._upload(name, content)
        return name

    def delete(self, name: str) -> None:
        self._present.discard(name)
        self._processed.pop(name, None)
        if not self._may_wait:
            self._stored.pop(name, None)
            B2Storage.delete(self._storage, name)

    def upload(self) -> None:
        """Upload what is left, and wait until all is there. Raises what any upload raised."""
        processed, self._processed = self._processed, {}
        for name, content in processed.items():
            self._upload(name, content)
        self._wait(ALL_COMPLETED)

    def finish(self) -> None:
        """Upload what is left, then delete what nothing has taken the place of."""
        self.upload()
        for name in sorted(self._stored.keys() - self._present):
            self._begin(B2Storage.delete, self._storage, name)
        self._wait(ALL_COMPLETED)
        self._pool.shutdown()
        self._may_wait = False

    def _upload(self, name: str, content: File[Any]) -> None:
        self._stored[name] = None
        limit: int = settings.B2FIELDS_MAX_MEMORY_SIZE
        content.seek(0)
        # Into memory, because the source is closed when collectstatic goes on to the next.
        if self._may_wait and len(data := content.read(limit + 1)) <= limit:
            self._begin(self._storage.upload, name, ContentFile(data))
        else:
            # What is large goes up in parts, several at a time, anyway.
            self._storage.upload(name, content)

    def _begin(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have another thread do it, once one is free."""
        if len(self._running) >= self._threads:
            self._wait(FIRST_COMPLETED)
        self._running.add(self._pool.submit(call, *arguments))

    def _wait(self, until: str) -> None:
        done, self._running = wait(self._running, return_when=until)
        for error in filter(None, (future.exception() for future in done)):
            self._pool.shutdown()
            raise error


def _folders_of(name: str) -> Iterator[str]:
    return (name[:place] for place, character in enumerate(name) if character == "/")
