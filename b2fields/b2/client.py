"""B2's operations, in terms of bucket and file names."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

from django.conf import settings

from b2fields import encryption, signing
from b2fields.b2 import buckets, clock, links, versions
from b2fields.b2.buckets import Bucket
from b2fields.b2.connections import connection_to
from b2fields.b2.deadlines import deadline
from b2fields.b2.errors import file_missing, not_found, translated
from b2fields.b2.tokens import Account, Tokens
from b2fields.b2.versions import PAGE, Start, Version
from b2fields.encryption import Encryption
from b2fields.exceptions import B2FieldsError, BucketMissing, FileMissing
from b2fields.http import MAX_FILE_SIZE, Extent, extent_of
from b2fields.metadata import FileMetadata
from b2fields.shapes import NewBucket

if TYPE_CHECKING:
    import b2sdk.v3 as sdk
    import requests

    from b2fields.b2.account import Session

_T = TypeVar("_T")

# Seconds that a bucket's type is believed for making links, and after which one that is unknown is asked for.
_LINK_SECONDS = 24 * 3600
_LEARN_AGAIN_SECONDS = 60

logger = logging.getLogger("b2fields")


class Answer(NamedTuple):
    """The SDK's response to a download, and what its headers say."""

    response: requests.Response
    extent: Extent
    metadata: FileMetadata


class Client:
    """B2's operations in terms of bucket and file names, with errors in our words.

    *new_bucket* is asked how to create a bucket when one is missing; None means not at all.
    """

    def __init__(
        self,
        account: Account,
        encryption: Encryption | None = None,
        new_bucket: Callable[[], NewBucket | None] = lambda: None,
    ) -> None:
        self._connection = connection_to(account)
        self._encryption = encryption
        self._new_bucket = new_bucket

    @property
    def account(self) -> Account:
        return self._connection.account

    @property
    def tokens(self) -> Tokens:
        return self._connection.tokens

    @property
    def api(self) -> sdk.B2Api:
        """The SDK's API object, unauthorized until its first request."""
        return self._connection.api

    def _ask(
        self, bucket: str, name: str | None, call: Callable[[Session], _T], seconds: float | None = None
    ) -> _T:
        """Make the requests of *call* within the deadline, and let none of the SDK's errors out.

        Their text, and the variables of their frames, can hold tokens; so ours is raised after the
        except block, which keeps theirs out of logs and debug pages altogether.
        """
        api = self.api
        try:
            with deadline(seconds):
                session: Session = api.session  # type: ignore[assignment]  # ours, by _Api.SESSION_CLASS
                session.ensure_authorized()
                return call(session)
        except Exception as error:
            ours = translated(error, self.account.realm, bucket, name)
            if ours is None:
                raise
            if isinstance(ours, BucketMissing):
                self.tokens.forget_bucket(bucket)
        raise ours

    def timed(self, ask: Callable[[], _T]) -> tuple[_T, int]:
        """Return what *ask* gets from B2 through this client, and what time it is there, or was a moment ago.

        In milliseconds since 1970, by the Date of B2's answer: no request more, and no local clock.
        """
        with clock.answer_dates(self.api) as dates:
            answer = ask()
        return answer, clock.earliest(dates)

    # Buckets

    def bucket(self, name: str, *, create: bool = True) -> Bucket:
        """Return id and type of a bucket: one request, the answer is remembered and shared.

        One that is missing is created, by one request more, if *create* and this client was told how.
        """
        try:
            return self._ask(name, None, partial(buckets.look_up, name=name))
        except BucketMissing:
            new = self._new_bucket() if create else None
            if new is None:
                raise
        return self._ask(name, None, partial(buckets.create, name=name, new=new))

    def public_url(self, bucket: str) -> str | None:
        """Return what stands before the names of a bucket's files, if everybody can read it there.

        Nobody is asked, since pages are rendered meanwhile: None also where nothing told the bucket's
        type within a day.
        """
        tokens = self.tokens
        known = tokens.shared_bucket(bucket, _LINK_SECONDS)
        if known is None or known[1] != "allPublic":
            return None
        return f"{tokens.data['download_url']}/file/{quote(bucket)}/"

    def learn_public_url(self, bucket: str) -> None:
        """Ask what ``public_url`` needs, unless it is known or another thread asks; once a minute at most."""
        connection = self._connection
        if connection.tokens.bucket(bucket, _LINK_SECONDS) or not connection.learning.acquire(blocking=False):
            return
        try:
            if time.monotonic() >= connection.learn_again.get(bucket, 0):
                connection.learn_again[bucket] = time.monotonic() + _LEARN_AGAIN_SECONDS
                look = partial(buckets.look_up, name=bucket, seconds=_LINK_SECONDS)
                self._ask(bucket, None, look, settings.B2FIELDS_CONNECT_TIMEOUT)
        except B2FieldsError as error:
            logger.warning("b2fields links to files of %r through this site: %s", bucket, error)
        finally:
            connection.learning.release()

    # Files

    def head(self, bucket: str, name: str) -> FileMetadata:
        """Look a file up by its name: one request. Raises FileMissing."""

        setting = self._setting_to_read()

        def look(session: Session) -> FileMetadata | FileMissing:
            try:
                headers = session.head_file(bucket, name, setting)
            except not_found():  # A HEAD has no body that could say more.
                return file_missing(bucket, name)
            return FileMetadata.from_headers(headers, extent_of(headers).total)

        found = self._ask(bucket, name, look)
        if isinstance(found, FileMissing):
            raise found
        return found

    def upload(
        self, bucket: str, name: str, source: bytes | str, content_type: str, info: dict[str, str]
    ) -> FileMetadata:
        """Store bytes, or the file at a local path, under *name*; B2 verifies the SHA-1.

        One request, or several at once for what is larger than B2FIELDS_PART_SIZE.
        """
        setting = _sdk_setting(self._encryption)
        bucket_id = self.bucket(bucket).id

        def send(session: Session) -> FileMetadata:
            from b2fields.b2 import uploads

            upload = uploads.Upload(bucket_id, name, content_type, info, setting)
            return FileMetadata.from_version(uploads.send(session, upload, source))

        return self._ask(bucket, name, send)

    def get(
        self,
        bucket: str,
        name: str,
        first: int,
        last: int | None,
        file_id: str | None = None,
        seconds: float | None = None,
    ) -> Answer | None:
        """Ask for a file, or its bytes *first* to *last*; the body of the answer is still unread.

        By id if one is given: the same version, whatever was uploaded since. None means that the file
        ends before *first*. Raises FileMissing.
        """

        setting = self._setting_to_read()

        def begin(session: Session) -> Answer | FileMissing | None:
            from b2sdk.v3.exception import FileNotPresent, UnsatisfiableRange

            if file_id is None:
                url = session.get_download_url_by_name(bucket, name)
            else:
                url = session.get_download_url_by_id(file_id)
            whole = first == 0 and last is None
            byte_range = None if whole else (first, MAX_FILE_SIZE if last is None else last)
            try:
                # The SDK's context manager does not close the response.
                with session.download_file_from_url(url, byte_range, setting) as response:
                    extent = extent_of(response.headers)
                    return Answer(response, extent, FileMetadata.from_headers(response.headers, extent.total))
            except UnsatisfiableRange:
                return None
            except FileNotPresent:  # B2's own word; another 404 is that of a stranger
                return file_missing(bucket, name)

        answer = self._ask(bucket, name, begin, seconds)
        if isinstance(answer, FileMissing):
            raise answer
        return answer

    def _setting_to_read(self) -> sdk.EncryptionSetting | None:
        # B2 decrypts by its own keys unasked.
        if self._encryption is None or self._encryption.mode != encryption.SSE_C:
            return None
        return _sdk_setting(self._encryption)

    def signed_url(
        self,
        bucket: str,
        name: str,
        seconds: int,
        content_type: str,
        disposition: str,
        cache_control: str | None = None,
    ) -> str:
        """Return a link to a file that ends after *seconds*, or up to a quarter of them earlier.

        The headers are part of what is signed. No request, where an authorization is known; but with a
        master key two, once in a quarter of the time. Raises CannotSign, AccessRefused.
        """
        headers = {"content-type": content_type, "content-disposition": disposition}
        if cache_control is not None:
            headers["cache-control"] = cache_control
        tokens = self.tokens
        if tokens.token is None and not tokens.load():
            self._ask(bucket, name, lambda session: None)
        if not links.need_token(tokens):
            return links.sign(tokens, bucket, name, seconds, headers)
        asked = (bucket, name, seconds, *headers.values(), signing.signing_time(seconds))
        link = links.kept(self._connection, *asked)
        if link is None:
            link = self._link_with_token(bucket, name, seconds, headers)
            links.keep(self._connection, link, *asked)
        return link

    def _link_with_token(self, bucket: str, name: str, seconds: int, headers: dict[str, str]) -> str:
        bucket_id = self.bucket(bucket).id
        found = self._ask(bucket, name, partial(links.find_alike, bucket_id=bucket_id, name=name))
        links.check_alone(found, bucket, name)

        def make(session: Session) -> str:
            return links.with_token(session, bucket, bucket_id, name, seconds, headers)

        return self._ask(bucket, name, make)

    def list_names(self, bucket: str, prefix: str, start: str) -> tuple[list[str], str | None]:
        """Return up to 1,000 visible files in the order of their names, and the name to go on from."""
        bucket_id = self.bucket(bucket).id
        page = self._ask(
            bucket, None, lambda session: session.list_file_names(bucket_id, start, PAGE, prefix)
        )
        return [file["fileName"] for file in page["files"]], page["nextFileName"]

    def list_files(self, bucket: str, prefix: str, start: str) -> tuple[dict[str, FileMetadata], str | None]:
        """Return what is known of up to 1,000 visible files, by name, and the name to go on from."""
        bucket_id = self.bucket(bucket).id

        def list_page(session: Session) -> tuple[dict[str, FileMetadata], str | None]:
            page = session.list_file_names(bucket_id, start, PAGE, prefix)
            files = {file["fileName"]: FileMetadata.from_version(file) for file in page["files"]}
            return files, page["nextFileName"]

        return self._ask(bucket, None, list_page)

    # Versions

    def list_versions(
        self, bucket: str, prefix: str, start: Start = (None, None)
    ) -> tuple[list[Version], Start]:
        """Return up to 1,000 versions of the names with *prefix*, and where to go on; see Start."""
        bucket_id = self.bucket(bucket).id
        return self._ask(bucket, None, lambda session: versions.list_page(session, bucket_id, prefix, start))

    def list_unfinished(
        self, bucket: str, prefix: str, start: str | None = None
    ) -> tuple[list[Version], str | None]:
        """Return up to 100 unfinished large files, and the id to go on from."""
        bucket_id = self.bucket(bucket).id
        return self._ask(
            bucket, None, lambda session: versions.list_unfinished(session, bucket_id, prefix, start)
        )

    def versions(self, bucket: str, name: str) -> list[Version]:
        """Return every version and hide marker of exactly this name, the newest first: one request."""
        found: list[Version] = []
        start: Start = (name, None)
        while start[0] == name:
            page, start = self.list_versions(bucket, name, start)
            # An unfinished large file ("start") is no version yet: it is for its uploader to cancel.
            found += [version for version in page if version.name == name and version.action != "start"]
        return found

    def delete(self, bucket: str, name: str) -> None:
        """Remove every version and hide marker of exactly this name; a missing file is no error."""
        self.delete_versions(bucket, self.versions(bucket, name))

    def delete_versions(self, bucket: str, found: list[Version]) -> None:
        """Remove these versions of one name.

        Removing only the newest version would bring the one before it back under the same name.
        """
        # The oldest first: whatever interrupts this, no older version becomes the current one.
        for version in reversed(found):
            self.delete_version(bucket, version.name, version.file_id)

    def delete_version(self, bucket: str, name: str, file_id: str) -> None:
        """Remove one version or hide marker; one that is gone is no error."""
        self._ask(bucket, name, partial(versions.remove, name=name, file_id=file_id))

    def cancel_unfinished(self, bucket: str, name: str, file_id: str) -> None:
        """Cancel an unfinished large file; one that is finished or gone is no error."""
        self._ask(bucket, name, partial(versions.cancel, file_id=file_id))

    def hide(self, bucket: str, name: str) -> None:
        """Hide a file, so that it can be brought back: one request; a missing file is no error."""
        bucket_id = self.bucket(bucket).id
        self._ask(bucket, name, partial(versions.hide, bucket_id=bucket_id, name=name))


def _sdk_setting(declared: Encryption | None) -> sdk.EncryptionSetting | None:
    if declared is None:
        return None
    from b2sdk.v3 import SSE_B2_AES, EncryptionAlgorithm, EncryptionKey, EncryptionMode, EncryptionSetting

    if declared.mode == encryption.SSE_B2:
        return SSE_B2_AES
    key = EncryptionKey(declared.secret(), declared.key_id)
    return EncryptionSetting(EncryptionMode.SSE_C, EncryptionAlgorithm.AES256, key)
