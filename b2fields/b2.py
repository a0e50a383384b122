"""The door to b2sdk: clients, requests and the translation of their errors.

The SDK is imported on first use: it costs 0.2 s and 30 MB, which a process that never opens a file
should not pay.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.core.signals import setting_changed

from b2fields.exceptions import (
    AccessRefused,
    B2TimedOut,
    B2Unavailable,
    BucketMissing,
    CapExceeded,
    FileMissing,
)
from b2fields.http import MAX_FILE_SIZE, Extent, extent_of
from b2fields.metadata import FileMetadata

if TYPE_CHECKING:
    import b2sdk.v3 as sdk
    import requests

    from b2fields.account import Session

_T = TypeVar("_T")

_PAGE = 1000  # B2 bills listings by the thousand entries (B2 docs, b2_list_file_names).


@dataclass(frozen=True)
class Account:
    """Which account to use, where, and in which of Django's caches its tokens are shared, if in any.

    The key is left out of the representation.
    """

    realm: str
    key_id: str
    key: str = field(repr=False)
    cache_alias: str | None = "default"


class Bucket(NamedTuple):
    """A bucket's id and type; the type is None if the key may not see it."""

    id: str
    type: str | None


class Answer(NamedTuple):
    """The SDK's response to a download, and what its headers say."""

    response: requests.Response
    extent: Extent
    metadata: FileMetadata


_clients: dict[Account, Client] = {}
_clients_lock = threading.Lock()


def connect(account: Account) -> Client:
    """Return this process's one client of an account; nothing is sent before it is asked for something."""
    with _clients_lock:
        if account not in _clients:
            _clients[account] = Client(account)
        return _clients[account]


def _disconnect(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith(("B2FIELDS_", "SECRET_KEY", "CACHES")):
        _clients.clear()


def _after_fork() -> None:
    # The parent's sockets and locks are not the child's to use.
    global _clients_lock
    _clients_lock = threading.Lock()
    _clients.clear()


setting_changed.connect(_disconnect, dispatch_uid="b2fields.b2")
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


class Client:
    """B2's operations in terms of bucket and file names, with errors in our words."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._opening = threading.Lock()
        self._api: sdk.B2Api | None = None

    @property
    def api(self) -> sdk.B2Api:
        """The SDK's API object, unauthorized until its first request."""
        with self._opening:
            if self._api is None:
                from b2fields import account as fitted

                a = self.account
                self._api = fitted.open_api(fitted.AccountInfo(a.realm, a.key_id, a.key, a.cache_alias))
            return self._api

    def _ask(self, bucket: str, name: str | None, call: Callable[[Session], _T]) -> _T:
        """Make the requests of *call* within the deadline, and let none of the SDK's errors out.

        Their text, and the variables of their frames, can hold tokens; so ours is raised after the
        except block, which keeps theirs out of logs and debug pages altogether.
        """
        api = self.api
        from b2fields.account import deadline

        try:
            with deadline():
                session: Session = api.session  # type: ignore[assignment]  # ours, by _Api.SESSION_CLASS
                session.ensure_authorized()
                return call(session)
        except Exception as error:
            ours = _translated(error, self.account, bucket, name)
            if ours is None:
                raise
            if isinstance(ours, BucketMissing):
                api.account_info.remove_bucket_name(bucket)
        raise ours

    # Buckets

    def bucket(self, name: str) -> Bucket:
        """Return id and type of a bucket: one request, the answer is remembered and shared."""
        return self._ask(name, None, lambda session: self._look_up_bucket(session, name))

    def _look_up_bucket(self, session: Session, name: str) -> Bucket:
        info = session.account_info
        known = info.bucket(name)
        if known:
            return Bucket(*known)
        allowed = info.get_allowed()
        if "listBuckets" not in allowed["capabilities"]:
            for bucket in allowed["buckets"] or []:
                if bucket["name"] == name:
                    return Bucket(bucket["id"], None)
            raise AccessRefused(
                f"The application key may not look up bucket {name!r}: it lacks the capability "
                "listBuckets. Use a key that has it."
            )
        found = session.list_buckets(info.get_account_id(), bucket_name=name)["buckets"]
        if not found:
            raise _bucket_missing(name)
        info.remember_bucket(name, found[0]["bucketId"], found[0]["bucketType"])
        return Bucket(found[0]["bucketId"], found[0]["bucketType"])

    # Files

    def head(self, bucket: str, name: str) -> FileMetadata:
        """Look a file up by its name: one request. Raises FileMissing."""

        def look(session: Session) -> FileMetadata:
            headers = session.get_file_info_by_name(bucket, name)
            return FileMetadata.from_headers(headers, extent_of(headers).total)

        return self._ask(bucket, name, look)

    def upload(
        self, bucket: str, name: str, source: bytes | str, content_type: str, info: dict[str, str]
    ) -> FileMetadata:
        """Store bytes, or the file at a local path, under *name*; B2 verifies the SHA-1.

        One request, or several at once for what is larger than B2FIELDS_PART_SIZE.
        """
        bucket_id = self.bucket(bucket).id

        def send(session: Session) -> FileMetadata:
            from b2fields import uploads

            return FileMetadata.from_version(
                uploads.send(session, bucket_id, name, source, content_type, info)
            )

        return self._ask(bucket, name, send)

    def get(
        self, bucket: str, name: str, first: int, last: int | None, file_id: str | None = None
    ) -> Answer | None:
        """Ask for a file, or its bytes *first* to *last*; the body of the answer is still unread.

        By id if one is given: the same version, whatever was uploaded since. None means that the file
        ends before *first*. Raises FileMissing.
        """

        def begin(session: Session) -> Answer | None:
            from b2sdk.v3.exception import UnsatisfiableRange

            if file_id is None:
                url = session.get_download_url_by_name(bucket, name)
            else:
                url = session.get_download_url_by_id(file_id)
            whole = first == 0 and last is None
            byte_range = None if whole else (first, MAX_FILE_SIZE if last is None else last)
            try:
                # The SDK's context manager does not close the response.
                with session.download_file_from_url(url, range_=byte_range) as response:
                    extent = extent_of(response.headers)
                    return Answer(response, extent, FileMetadata.from_headers(response.headers, extent.total))
            except UnsatisfiableRange:
                return None

        return self._ask(bucket, name, begin)

    def list_names(self, bucket: str, prefix: str, start: str) -> tuple[list[str], str | None]:
        """Return up to 1,000 visible files in the order of their names, and the name to go on from."""
        bucket_id = self.bucket(bucket).id
        page = self._ask(
            bucket, None, lambda session: session.list_file_names(bucket_id, start, _PAGE, prefix)
        )
        return [file["fileName"] for file in page["files"]], page["nextFileName"]

    def delete(self, bucket: str, name: str) -> None:
        """Remove every version and hide marker of exactly this name; a missing file is no error.

        Removing only the newest version would bring the one before it back under the same name.
        """
        bucket_id = self.bucket(bucket).id
        start: tuple[str | None, str | None] = (name, None)
        while start[0] == name:
            page = self._ask(
                bucket, name, partial(_list_versions, bucket_id=bucket_id, start=start, prefix=name)
            )
            start = (page["nextFileName"], page["nextFileId"])
            # The oldest first: whatever interrupts this, no older version becomes the current one.
            for version in reversed(page["files"]):
                # An unfinished large file ("start") is no version yet: it is for its uploader to cancel.
                if version["fileName"] == name and version["action"] != "start":
                    self._ask(bucket, name, partial(_delete_version, file_id=version["fileId"], name=name))


def _list_versions(
    session: Session, bucket_id: str, start: tuple[str | None, str | None], prefix: str
) -> dict[str, Any]:
    page: dict[str, Any] = session.list_file_versions(bucket_id, *start, _PAGE, prefix)
    return page


def _delete_version(session: Session, file_id: str, name: str) -> None:
    from b2sdk.v3.exception import FileNotPresent

    with suppress(FileNotPresent):  # another process was faster
        session.delete_file_version(file_id, name)


def _bucket_missing(name: str) -> BucketMissing:
    return BucketMissing(
        f"This application key sees no bucket {name!r}. Create it, correct the field's bucket argument, "
        "B2FIELDS_BUCKETS or B2FIELDS_BUCKET, or use a key that may read it."
    )


def _translated(error: Exception, account: Account, bucket: str, name: str | None) -> Exception | None:
    """Return our error for one of the SDK's, or None to let *error* pass."""
    import requests
    from b2sdk.v3 import exception as b2

    what = f"bucket {bucket!r}" if name is None else f"{name!r} in bucket {bucket!r}"
    # The base class of all that answers 404; the SDK's public module does not name it.
    not_found = type(b2.interpret_b2_error(404, None, None, {}))
    match error:
        case b2.MaxRetriesExceeded() if error.exception_info_list:
            return _translated(error.exception_info_list[-1], account, bucket, name)
        case b2.BucketIdNotFound() | b2.NonExistentBucket():
            return _bucket_missing(bucket)
        case _ if isinstance(error, not_found):
            return FileMissing(f"There is no {what}.")
        case b2.Unauthorized() | b2.AccessDenied() | b2.RestrictedBucket():
            return AccessRefused(
                f"B2 refuses {what} to this application key. Check B2FIELDS_APPLICATION_KEY_ID and "
                "B2FIELDS_APPLICATION_KEY, that the key has not expired, and that it may use this bucket."
            )
        case b2.CapExceeded() | b2.UnknownError() if "cap" in type(error).__name__.lower() + str(error):
            return CapExceeded(f"B2 refuses {what}: the account reached a cap. Raise it at Backblaze.")
        case b2.B2RequestTimeout() | b2.RequestTimeout() | requests.Timeout():
            return B2TimedOut(
                f"B2 did not answer for {what} in time (B2FIELDS_READ_TIMEOUT, B2FIELDS_DEADLINE). "
                "Try again later."
            )
        # A KeyError or ValueError of the SDK: the answer lacked a field, or was no JSON.
        case b2.B2Error() | requests.RequestException() | KeyError() | ValueError():
            return B2Unavailable(
                f"B2 gave no usable answer for {what} ({type(error).__name__}). Is {account.realm!r} the "
                "right B2FIELDS_REALM, and is it up? Try again later."
            )
    return None
