"""Sending a file to B2: in one request, or in parts, several at a time.

Loaded on first use, because importing the SDK is slow.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

from b2sdk.v3 import EncryptionMode, EncryptionSetting
from b2sdk.v3.exception import B2Error, TooManyRequests, Unauthorized
from django.conf import settings

from b2fields.b2.account import Session
from b2fields.b2.deadlines import deadline_of_its_own, seconds_left
from b2fields.exceptions import DamagedFile

_T = TypeVar("_T")
Version = dict[str, Any]

_TRIES = 3
_MOST_PARTS = 10_000  # B2 docs, Large Files
_CHUNK = 1024 * 1024

logger = logging.getLogger("b2fields")


class Upload(NamedTuple):
    """What a file becomes in B2."""

    bucket_id: str
    name: str
    content_type: str
    info: dict[str, str]
    encryption: EncryptionSetting | None


class _Content(NamedTuple):
    """What is to be sent: *read* takes an offset and a number of bytes, from any thread."""

    size: int
    read: Callable[[int, int], bytes]


class _Stretch(NamedTuple):
    """A part of a file: its number, from 1, the offset of its first byte, and how many there are."""

    number: int
    start: int
    length: int


def send(session: Session, upload: Upload, source: bytes | str) -> Version:
    """Store bytes, or the file at a local path, and return the version as B2 tells it.

    What is larger than B2FIELDS_PART_SIZE, or B2's recommended part size, goes as a large file.
    """
    with _opened(source) as content:
        account_info = session.account_info
        least = account_info.get_absolute_minimum_part_size()
        part_size = max(least, settings.B2FIELDS_PART_SIZE or account_info.get_recommended_part_size())
        if content.size <= part_size:
            # Bytes in one piece would have to be sent within one timeout of the socket; an empty stream would
            # go out chunked, which B2 does not take.
            body = _Body(content, _Stretch(1, 0, content.size)) if content.size else b""
            return _send_whole(session, upload, content, body)
        return _send_parts(session, upload, content, _stretches(content.size, part_size, least))


@contextmanager
def _opened(source: bytes | str) -> Iterator[_Content]:
    if isinstance(source, bytes):
        view = memoryview(source)
        yield _Content(len(source), lambda start, size: bytes(view[start : start + size]))
        return
    place = threading.Lock()
    with open(source, "rb", buffering=0) as file:

        def read(start: int, size: int) -> bytes:
            with place:
                file.seek(start)
                return file.read(size)

        yield _Content(os.fstat(file.fileno()).st_size, read)


def _sha1_of(content: _Content) -> str:
    digest = _sha1()
    for start in range(0, content.size, _CHUNK):
        digest.update(content.read(start, _CHUNK))
    return digest.hexdigest()


def _sha1() -> hashlib._Hash:
    return hashlib.sha1(usedforsecurity=False)


def _send_whole(session: Session, upload: Upload, content: _Content, body: bytes | _Body) -> Version:
    # Not the SDK's Bucket.upload: it hands each upload to a pool of threads, where our deadline is not known.
    bucket_id, name, content_type, info, encryption = upload
    sha1 = _sha1_of(content)
    version: Version = _tried(
        partial(
            session.upload_file, bucket_id, name, content.size, content_type, sha1, info, body, encryption
        ),
        forget_url=partial(session.account_info.clear_bucket_upload_data, bucket_id),
    )
    if version.get("contentLength", content.size) != content.size or not _is_told(sha1, version):
        _deleted(session, version, name)
        raise _damaged(name)
    return version


def _is_told(sha1: str, answer: Mapping[str, Any]) -> bool:
    """Tell whether B2's answer speaks of the bytes that were sent, or of none."""
    return (answer.get("contentSha1") or "none").removeprefix("unverified:") in ("none", sha1)


def _damaged(name: str) -> DamagedFile:
    return DamagedFile(
        f"B2 tells of other bytes of {name!r} than were sent, so nothing of them is kept. Save the file "
        "again; if that fails too, what is between here and B2 damages it."
    )


def _deleted(session: Session, version: Version, name: str) -> None:
    """Remove a version that is not what was sent."""
    try:
        session.delete_file_version(version["fileId"], name)
    except B2Error as error:
        # In words of our own: the SDK's can hold tokens.
        logger.warning("A damaged version of %r stays in B2 (%s).", name, type(error).__name__)


def _tried(request: Callable[[], _T], forget_url: Callable[[], None]) -> _T:
    """Make an upload *request*, again if it failed by no fault of ours; after a 429 it waits first."""
    pause = 0.2
    for tries_left in reversed(range(_TRIES)):
        try:
            return request()
        except B2Error as error:
            # A failed upload needs a new upload URL (B2 docs, Uploading Files), at once but for a 429.
            forget_url()
            wait = 0.0
            if isinstance(error, TooManyRequests):
                wait = max(pause, error.retry_after_seconds or 0)
            if not tries_left or not _may_retry(error) or wait >= seconds_left():
                raise
            time.sleep(wait)
            pause *= 3
    raise AssertionError("unreachable")


def _may_retry(error: B2Error) -> bool:
    # The SDK would send an upload again even where B2 says that the key may not write.
    refused = isinstance(error, Unauthorized) and error.code == "unauthorized"
    is_final = refused or getattr(error, "is_final", False)
    # And it would not send one again that B2 was too busy for.
    may_pass = error.should_retry_upload() or isinstance(error, TooManyRequests)
    return bool(may_pass and not is_final and seconds_left() > 0)


# Large files


def _stretches(size: int, part_size: int, least: int) -> list[_Stretch]:
    """Cut a file into parts of the same size, but for the last; larger than asked if they were too many."""
    count = min(math.ceil(size / part_size), _MOST_PARTS)
    length = max(math.ceil(size / count), least)
    starts = range(0, size, length)
    return [_Stretch(number, start, min(length, size - start)) for number, start in enumerate(starts, 1)]


def _send_parts(session: Session, upload: Upload, content: _Content, stretches: list[_Stretch]) -> Version:
    bucket_id, name, content_type, info, encryption = upload
    # The one checksum of a large file is what its uploader says (B2 docs, Large Files).
    info = {"large_file_sha1": _sha1_of(content), **info}
    with deadline_of_its_own():
        file_id = session.start_large_file(bucket_id, name, content_type, info, encryption)["fileId"]
    try:
        hashes = _in_parallel(session, file_id, name, content, stretches, _of_parts(encryption))
        with deadline_of_its_own():
            version: Version = session.finish_large_file(file_id, hashes)
    except BaseException:
        finished = _cancelled(session, file_id)
        if finished is None:
            raise
        return finished
    finally:
        session.account_info.clear_large_file_upload_urls(file_id)
    return version


def _of_parts(encryption: EncryptionSetting | None) -> EncryptionSetting | None:
    """Return what each part says of the encryption: the customer's key, if any (B2 docs, b2_upload_part)."""
    return encryption if encryption and encryption.mode == EncryptionMode.SSE_C else None


def _cancelled(session: Session, file_id: str) -> Version | None:
    """Remove the parts of a large file; return its version if it turns out to be finished.

    So it is if B2 did what it was asked for and only its answer was lost.
    """
    try:
        with deadline_of_its_own():
            session.cancel_large_file(file_id)
    except B2Error:
        try:
            with deadline_of_its_own():
                version: Version = session.get_file_info_by_id(file_id)
        except B2Error as error:
            # In words of our own: the SDK's can hold tokens.
            logger.warning("An unfinished large file stays in B2 (%s).", type(error).__name__)
            return None
        return version if version["action"] == "upload" else None
    return None


def _in_parallel(
    session: Session,
    file_id: str,
    name: str,
    content: _Content,
    stretches: list[_Stretch],
    encryption: EncryptionSetting | None,
) -> list[str]:
    """Send all parts and return their SHA-1 in order; after one that failed no other is begun."""
    threads: int = settings.B2FIELDS_UPLOAD_THREADS
    stopped = threading.Event()

    def send_unless_stopped(stretch: _Stretch) -> str:
        if stopped.is_set():
            raise _Stopped
        try:
            return _send_part(session, file_id, name, content, stretch, encryption)
        except BaseException:
            stopped.set()
            raise

    try:
        with ThreadPoolExecutor(min(threads, len(stretches)), "b2fields-upload") as pool:
            sent = [pool.submit(send_unless_stopped, stretch) for stretch in stretches]
    except BaseException:  # of this thread, such as KeyboardInterrupt
        stopped.set()
        raise
    for error in filter(None, (part.exception() for part in sent)):
        if not isinstance(error, _Stopped):
            raise error
    return [part.result() for part in sent]


def _send_part(
    session: Session,
    file_id: str,
    name: str,
    content: _Content,
    stretch: _Stretch,
    encryption: EncryptionSetting | None,
) -> str:
    body = _Body(content, stretch, sha1_at_end=True)
    with deadline_of_its_own():
        answer = _tried(
            partial(
                session.upload_part, file_id, stretch.number, len(body), "hex_digits_at_end", body, encryption
            ),
            forget_url=partial(session.account_info.clear_large_file_upload_urls, file_id),
        )
    if not _is_told(body.sha1, answer):
        raise _damaged(name)
    return body.sha1


class _Stopped(Exception):
    """Another part has failed."""


class _Body(io.RawIOBase):
    """A stretch of a file as a request's body, sent from its start each time.

    With *sha1_at_end* its checksum in hexadecimal follows, so that it is read once (B2 docs, b2_upload_part).
    """

    def __init__(self, content: _Content, stretch: _Stretch, sha1_at_end: bool = False) -> None:
        self._content, self._stretch = content, stretch
        self._digest = _sha1() if sha1_at_end else None
        self._has_digest = sha1_at_end
        self._position = 0

    def __len__(self) -> int:
        return self._stretch.length + (40 if self._has_digest else 0)

    @property
    def sha1(self) -> str:
        return self._digest.hexdigest() if self._digest else ""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if (offset, whence) != (0, os.SEEK_SET):
            raise io.UnsupportedOperation("The body of a request begins anew or goes on.")
        self._position = 0
        self._digest = _sha1() if self._has_digest else None
        return 0

    def read(self, size: int = -1) -> bytes:
        left = self._stretch.length - self._position
        wanted = len(self) - self._position if size < 0 else size
        if left <= 0:
            # Behind the bytes, if anything, stands the checksum.
            data = self.sha1.encode()[-left:][:wanted] if self._has_digest else b""
        else:
            data = self._content.read(self._stretch.start + self._position, min(wanted, left))
            if not data:
                raise OSError("The file became shorter while it was sent.")
            if self._digest is not None:
                self._digest.update(data)
        self._position += len(data)
        return data
