"""B2Storage: Django's storage contract over Backblaze B2."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.urls import NoReverseMatch, reverse
from django.utils.crypto import get_random_string

from b2fields import claims, metadata, names, signing
from b2fields.b2 import shared_deadline
from b2fields.download import Digest, Download
from b2fields.encryption import INFO_BYTES
from b2fields.exceptions import CannotSign, FileMissing, NotConfigured, PolicyConflict
from b2fields.files import B2File, upload_source
from b2fields.http import content_type_of, file_headers
from b2fields.metadata import FileMetadata
from b2fields.options import ConfiguredStorage
from b2fields.signals import file_saved, send_safely

# Longer than any upload is expected to take, and how long a name stays blocked if its process is killed.
_UPLOAD_SECONDS = 6 * 3600
# Longer than any save between finding its name free and claiming it.
_LOOKING_SECONDS = 120
# That of the save at hand, which Django does not tell _save.
_max_length: ContextVar[int | None] = ContextVar("b2fields_max_length", default=None)


class B2Storage(ConfiguredStorage):
    """Store files in a B2 bucket.

    Takes the lower-case settings as options, such as ``B2Storage(bucket="acme", access="staff")``; an
    option that is not given is read from its setting whenever it is used. ``unique_names`` alone is
    False unless given: libraries that derive names must find their files again.
    """

    # Name and metadata of what this very object uploaded last: a field's file asks its own copy.
    last_upload: tuple[str, FileMetadata] | None = None
    # Whether these are the files of an image field, and the type that it found in the one it uploads.
    holds_images = False
    found_type: str | None = None
    # Whether the temporary file of an upload stays, since it may have to be uploaded once more.
    keeps_source = False

    # Names

    def full_name(self, name: str) -> str:
        """Return the name in the bucket. Raises SuspiciousFileOperation for one that leads elsewhere."""
        return posixpath.join(self.location, names.exact(name))

    def get_valid_name(self, name: str) -> str:
        """Return an uploaded file's own name, kept but for characters that could mislead or break.

        But what shares its folder with others is named as in every storage of Django.
        """
        valid = names.valid_segment(str(name))
        return valid if self.has_unique_names else super().get_valid_name(valid)

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        if self._option("overwrite"):  # asked for only to cut what is too long
            return names.fit_segment(file_root + file_ext)
        return names.fit_segment(super().get_alternative_name(file_root, file_ext))

    def generate_filename(self, filename: str | os.PathLike[str]) -> str:
        return names.storable(super().generate_filename(filename))

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        if self._option("overwrite"):
            return max_length is None or len(name) <= max_length
        return super().is_name_available(name, max_length)

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Return the name to store under: in a random folder of its own, or the first that is free."""
        name = names.storable(name)
        room = names.MAX_BYTES - len(self.full_name("").encode()) - 1
        if self.has_unique_names:
            folder, segment = posixpath.split(name)
            # Chosen without asking B2, which itself never refuses a name that exists.
            unique = posixpath.join(
                folder, get_random_string(names.UNIQUE_LENGTH), names.valid_segment(segment)
            )
            return names.fit(unique, max_length, room)
        available = super().get_available_name(name, max_length)
        names.check_limits(self.full_name(available))
        return available

    # What is known of a file

    def metadata(self, name: str) -> FileMetadata:
        """Return what is known of a file: from the cache, else by one request. Raises FileMissing."""
        return self.known_metadata(name) or self.look_up(name)

    def look_up(self, name: str) -> FileMetadata:
        """Ask B2 what it knows of a file: one request, whose answer is remembered. Raises FileMissing."""
        full_name = self.full_name(name)
        if not names.exact(name):
            raise FileMissing("An empty name is no file.")
        found = self.client.head(self.bucket, full_name)
        self.remember(name, found)
        return found

    def known_metadata(self, name: str) -> FileMetadata | None:
        """Return what is known of a file without asking B2."""
        return metadata.recall(*self._space(name))

    def remember(self, name: str, known: FileMetadata) -> None:
        metadata.remember(known, *self._space(name))

    def _space(self, name: str) -> tuple[str, ...]:
        account = self.account
        return (account.realm, account.key_id, self.bucket, self.full_name(name))

    # The contract

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return B2File(self, name, mode)

    def download(
        self,
        name: str,
        first: int = 0,
        last: int | None = None,
        *,
        file_id: str | None = None,
        digest: Digest | None = None,
    ) -> Download:
        """Begin to read a file; what its answer tells is remembered. See Download for the arguments."""
        try:
            download = Download(
                self.client, self.bucket, self.full_name(name), first, last, file_id=file_id, digest=digest
            )
        except FileMissing:
            metadata.forget(*self._space(name))
            raise
        if file_id is None:  # else it may be an older version than the one that has the name now
            self.remember(name, download.metadata)
        return download

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        token = _max_length.set(max_length)
        try:
            with shared_deadline():
                return super().save(name, content, max_length)
        finally:
            _max_length.reset(token)

    def _save(self, name: str, content: File[Any]) -> str:
        if self.has_unique_names or self._option("overwrite"):
            return self.upload(name, content)
        # B2 never refuses a name that exists, so two savers of one new name, both told that it is
        # free, settle here who may have it; the claim outlives the upload, and their looking.
        while not claims.claim(_UPLOAD_SECONDS, *self._space(name)):
            is_taken = self.exists(name)
            available = self.get_available_name(name, _max_length.get())
            if is_taken and available == name:
                return self.upload(name, content)  # A subclass insists on it.
            if available == name:  # whose first upload is under way
                alternative = self.get_alternative_name(*posixpath.splitext(name))
                available = self.get_available_name(alternative, _max_length.get())
            name = available
        try:
            stored_name = self.upload(name, content)
        except BaseException:
            claims.release(*self._space(name))
            raise
        claims.shorten(_LOOKING_SECONDS, *self._space(name))
        return stored_name

    def upload(self, name: str, content: File[Any]) -> str:
        """Store *content* under exactly this name, as a new version if there is a file of that name."""
        name = names.exact(name)
        full_name = self.full_name(name)
        names.check_limits(full_name)
        info = self._file_info(full_name)
        self.check_policy()
        with upload_source(content, self.max_size, keep=self.keeps_source) as source:
            stored = self.client.upload(self.bucket, full_name, source, self._content_type(name), info)
        self.remember(name, stored)
        self.last_upload = (name, stored)
        send_safely(file_saved, type(self), storage=self, name=name, metadata=stored)
        return name

    def check_policy(self, *, create: bool = True) -> None:
        """Raise PolicyConflict if a private policy stands on a bucket that everybody can read.

        One that is missing is created, if *create* and the settings say so.
        """
        if self.level == "public":
            return
        bucket_type = self.client.bucket(self.bucket, create=create).type
        if bucket_type is None:
            raise PolicyConflict(
                f"{self} has access={self.level!r}, but this application key may not see whether "
                f"bucket {self.bucket!r} is private. Use a key with the capability listBuckets."
            )
        if bucket_type != "allPrivate":
            raise PolicyConflict(
                f"{self} has access={self.level!r}, but bucket {self.bucket!r} is {bucket_type}: "
                "everybody could read its files. Make the bucket private, choose another, or declare "
                'access="public".'
            )

    def _content_type(self, name: str) -> str:
        return self.found_type or content_type_of(name)

    def _file_info(self, full_name: str) -> dict[str, str]:
        own: Mapping[str, str] = self._options.get("metadata") or {}
        declared = {**settings.B2FIELDS_METADATA, **own}
        encryption = self.encryption
        if encryption is not None:
            # The SDK adds what tells the key, and the sum counts.
            metadata.checked_info({**declared, **encryption.info}, full_name, INFO_BYTES)
        return metadata.checked_info(declared, full_name)

    def delete(self, name: str) -> None:
        if not name:
            raise ValueError("The name must be given to delete().")
        full_name = self.full_name(name)
        with self.forgetting(name):
            if self.is_hiding:
                self.client.hide(self.bucket, full_name)
            else:
                self.client.delete(self.bucket, full_name)

    @contextmanager
    def forgetting(self, name: str) -> Iterator[None]:
        """Forget what is known of a file that is removed within."""
        # Before and after: a reader in between may have remembered it again.
        metadata.forget(*self._space(name))
        yield
        metadata.forget(*self._space(name))
        claims.release(*self._space(name))

    def exists(self, name: str) -> bool:
        if not names.exact(name):
            return True  # The location itself; collectstatic --clear asks for it.
        try:
            self.metadata(name)
        except FileMissing:
            return False
        return True

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        prefix = posixpath.join(self.full_name(path), "") if self.full_name(path) else ""
        folders: list[str] = []
        files: list[str] = []
        start: str | None = prefix
        while start is not None:
            page, start = self.client.list_names(self.bucket, prefix, start)
            for full_name in page:
                first, slash, _ = full_name.removeprefix(prefix).partition("/")
                if not slash:
                    files.append(first)
                elif first not in folders[-1:]:
                    folders.append(first)
            if page and start is not None and folders and page[-1].startswith(f"{prefix}{folders[-1]}/"):
                # Go past what is left of a folder ("0" follows "/") instead of paging through it.
                start = max(start, f"{prefix}{folders[-1]}0")
        return folders, files

    def size(self, name: str) -> int:
        return self.metadata(name).size

    def url(self, name: str | None) -> str:
        """Return where those who may read the file find it: a path of this site, which asks nobody.

        But public files in a bucket of their own are found at the CDN or, where it is known that the
        bucket is public, at B2 itself.
        """
        if not name:
            raise ValueError("A file without a name has no URL.")
        name = str(name)
        if self._field_label is None:
            # Whatever opens the file links to it; but what a row says is looked up as it stands.
            with suppress(SuspiciousFileOperation):
                name = names.exact(name)
        label = self._field_label or self.alias
        base = self._public_url()
        if base is None and label is None:
            self.learn_public_url()  # No other link leads there until somebody knows.
            base = self._public_url()
        if base is not None and names.is_well_formed(name):
            return base + quote(self.full_name(name))
        if label is None:
            raise NotConfigured(
                f"{self!r} has no URL: no B2FileField and no alias in STORAGES names it, so nothing says "
                "where its access is enforced. Declare it in STORAGES, or use a B2FileField."
            )
        if not names.is_well_formed(name):
            # No file has such a name, but a row may hold it, and its page should still be shown: the
            # link leads to a 404, and to nowhere else.
            name = quote(name, safe="")
        try:
            return reverse(f"b2fields:{self.level}", args=[label, name])
        except NoReverseMatch:
            raise NotConfigured(
                'The URLs of b2fields are not installed. Add path("", include("b2fields.urls")) to the '
                "urlconf."
            ) from None

    def _public_url(self) -> str | None:
        """Return what stands before the names of files that everybody can read without this site."""
        if self.level != "public":
            return None
        cdn = self.cdn
        if self.needs_key_to_read:
            return None  # No browser sends it.
        try:
            if self.is_for_private_files:  # So the bucket is private.
                return None
            return cdn.url(self.bucket) if cdn else self.client.public_url(self.bucket)
        except NotConfigured:  # Without a key or a bucket there is no such file, and its page is shown.
            return None

    def learn_public_url(self) -> None:
        """Ask B2 for the bucket's type, if links depend on it and nothing has told it within a day."""
        is_asked = self.level == "public" and not self.cdn and not self.needs_key_to_read
        if is_asked and not self.is_for_private_files:
            self.client.learn_public_url(self.bucket)

    def signed_url(self, name: str | None, expires: int | None = None, *, download: bool = False) -> str:
        """Return a link that opens exactly this file until it expires, for everybody who holds it.

        *expires* is in seconds, at most a week; None: B2FIELDS_URL_EXPIRY. The link stays the same for a
        quarter of them, and may end by as much earlier. It opens a GET, whole or in ranges. B2 is asked
        for nothing, so not whether there is such a file; but with a master key, by two requests.
        Raises ValueError, CannotSign.
        """
        if not name or not names.exact(name):
            raise ValueError("A file without a name has no URL.")
        if expires is not None and not signing.is_expiry(expires):
            raise ValueError(
                f"A link expires after 1 to {signing.MAX_SECONDS} seconds, a whole number; not {expires!r}."
            )
        client = self.client
        if self.needs_key_to_read:
            raise CannotSign(
                f"The files of {self} are encrypted with a key of your own (SSE-C), which no browser sends. "
                "Let this site serve them: link to url."
            )
        if self.level != "public" and client.public_url(self.bucket):
            self.check_policy()
        known = self.known_metadata(name) if self.holds_images else None
        stored_type = known.content_type if known else None
        headers = file_headers(self.level, name, self.serving, download=download, stored_type=stored_type)
        return client.signed_url(
            self.bucket,
            self.full_name(name),
            self.url_expiry if expires is None else expires,
            headers["Content-Type"],
            headers["Content-Disposition"],
            headers["Cache-Control"],
        )

    def get_created_time(self, name: str) -> datetime:
        return _as_time(self.metadata(name).uploaded)

    def get_modified_time(self, name: str) -> datetime:
        return _as_time(self.metadata(name).modified)


def _as_time(milliseconds: int) -> datetime:
    time = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return time if settings.USE_TZ else time.astimezone().replace(tzinfo=None)
