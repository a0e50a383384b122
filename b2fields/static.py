"""Static files in B2: the storages for ``collectstatic``.

One of them is the BACKEND of STORAGES["staticfiles"]: "b2fields.static.B2StaticStorage", or
"b2fields.static.B2ManifestStaticStorage" for hashed names.
"""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import quote

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.base import File
from django.utils.functional import cached_property

from b2fields import collecting, names, references
from b2fields.download import sha1
from b2fields.exceptions import B2TimedOut, NotConfigured, PolicyConflict
from b2fields.http import content_type_of
from b2fields.metadata import FileMetadata
from b2fields.storage import B2Storage

# What a browser runs or reads as a page: it comes from the site's own code here, not from its users.
_TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "mjs": "text/javascript",
    "html": "text/html",
    "htm": "text/html",
    "xml": "text/xml",
    "wasm": "application/wasm",
    "map": "application/json",
    "webmanifest": "application/manifest+json",
    "vtt": "text/vtt",
    "eot": "application/vnd.ms-fontobject",
}

_CACHE_CONTROL = "public, max-age=3600"
_CACHE_CONTROL_OF_HASHED = "public, max-age=31536000, immutable"

_manifest_lock = threading.Lock()


class B2StaticStorage(B2Storage):
    """Keep the static files that ``collectstatic`` finds in a public bucket, under their own names.

    What stands in B2 is listed once, compared by checksum, and uploaded in parallel; a file stays in
    place until its successor is there.
    """

    def __init__(self, **options: Any) -> None:
        if options.get("access", "public") != "public":
            options = {}  # A debug page shows the variables of this frame, and the key is not for it.
            raise NotConfigured(f'{type(self).__name__} takes no access but "public".')
        super().__init__(**{"access": "public", "overwrite": True, "max_size": None, **options})

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        name = names.exact(name)
        names.check_limits(self.full_name(name))
        return name

    def _content_type(self, name: str) -> str:
        extension = posixpath.splitext(name)[1].lower().removeprefix(".")
        return _TYPES.get(extension) or content_type_of(name)

    def _file_info(self, full_name: str) -> dict[str, str]:
        return {"b2-cache-control": _CACHE_CONTROL, **super()._file_info(full_name)}

    def _public_url(self) -> str | None:
        # This site does not serve static files, so B2 is asked, once a day.
        self.learn_public_url()
        return super()._public_url()

    def url(self, name: str | None) -> str:
        name = (name or "").lstrip("/")  # Django's own static files allow for it.
        base = self._public_url()
        if base is None:
            return super().url(name)
        full_name = self.full_name(name)
        # A template may ask for a folder, to give a script what its files' names begin with.
        return base + quote(full_name if name[-1:].strip("/") else posixpath.join(full_name, ""))

    def stored_files(self) -> dict[str, FileMetadata]:
        """Return what is known of all files, by name: one request for each thousand."""
        prefix = posixpath.join(self.full_name(""), "") if self.location else ""
        found: dict[str, FileMetadata] = {}
        start: str | None = prefix
        while start is not None:
            page, start = self.client.list_files(self.bucket, prefix, start)
            found |= {full_name.removeprefix(prefix): known for full_name, known in page.items()}
        return found

    def is_same(self, name: str, content: File[Any], known: FileMetadata) -> bool:
        """Tell whether an upload would change nothing: neither bytes nor what B2 sends with them."""
        return (
            known.content_type == self._content_type(name)
            and self._file_info(self.full_name(name)).items() <= known.info.items()
            and known.sha1 == _sha1_of(content)
        )

    # During collectstatic

    @property
    def _collection(self) -> collecting.Collection | None:
        """What the running collectstatic knows of this storage; None if none is running."""
        return collecting.collection_of(self)

    def check_place(self) -> None:
        """Raise PolicyConflict if this is no place for collectstatic to write, and to clear."""
        if references.keeps_others_files(self):
            raise PolicyConflict(
                f"{self} keeps static files where other files of this project are, and collectstatic "
                "--clear would delete those. Give it a bucket, or a location, of its own."
            )
        if self._public_url() is None:
            raise PolicyConflict(
                f"{self} keeps static files in bucket {self.bucket!r}, and nothing says that visitors can "
                "read it. Give it a public bucket in which no field keeps private files, and the application "
                "key the capability listBuckets; or set B2FIELDS_CDN."
            )

    def exists(self, name: str) -> bool:
        collection = self._collection
        if collection is None or not names.exact(name):
            return super().exists(name)
        return names.exact(name) in collection

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        collection = self._collection
        return super().listdir(path) if collection is None else collection.listdir(names.exact(path))

    def get_modified_time(self, name: str) -> datetime:
        """Return when the file was modified; to collectstatic, as new as its source or a second older.

        It skips a file that is as new as its source, and what counts here is whether the content is the
        same: a checkout or a container build gives all files a new time, or all the same.
        """
        collection = self._collection
        source = finders.find(name) if collection else None
        if collection is None or not isinstance(source, str):
            return super().get_modified_time(name)
        with open(source, "rb") as file:
            is_stored = collection.is_stored(names.exact(name), File(file))
        modified = datetime.fromtimestamp(os.path.getmtime(source), tz=UTC if settings.USE_TZ else None)
        return modified if is_stored else modified - timedelta(seconds=1)

    def delete(self, name: str) -> None:
        collection = self._collection
        if collection is None or not name:
            super().delete(name)
        else:
            collection.delete(names.exact(name))

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        collection = self._collection
        source = collection and collection.open_source(name)
        return source or super()._open(name, mode)

    def _save(self, name: str, content: File[Any]) -> str:
        collection = self._collection
        if collection is None:
            return super()._save(name, content)
        return collection.save(names.exact(name), content)

    def post_process(
        self, paths: Mapping[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[tuple[str, str, bool]]:
        """Wait for the uploads; collectstatic calls this when it has found all files."""
        if collection := self._collection:
            collection.finish()
        yield from ()


class B2ManifestStaticStorage(ManifestFilesMixin, B2StaticStorage):  # type: ignore[misc]
    """As B2StaticStorage, with a copy of each file under a name with its hash, which browsers keep.

    The manifest, staticfiles.json, is read once in each process, when the first URL is asked for.
    """

    def __init__(self, *, manifest_storage: Any = None, **options: Any) -> None:
        # Past ManifestFilesMixin's own, which reads the manifest: building a storage asks B2 nothing.
        super(ManifestFilesMixin, self).__init__(**options)
        self.manifest_storage = self if manifest_storage is None else manifest_storage
        self._hashed_names: set[str] = set()
        self._manifest: tuple[dict[str, str], str] | None = None
        del self.hashed_files  # For the property of that name below.

    @cached_property
    def hashed_files(self) -> dict[str, str]:  # type: ignore[override]  # Django's is a plain attribute
        return self._read_once()[0]

    @cached_property
    def manifest_hash(self) -> str:  # type: ignore[override]  # the same
        return self._read_once()[1]

    def _read_once(self) -> tuple[dict[str, str], str]:
        if not _manifest_lock.acquire(timeout=settings.B2FIELDS_DEADLINE):
            raise B2TimedOut("B2 did not send the manifest of the static files in time. Try again later.")
        try:
            if self._manifest is None:
                self._manifest = cast("tuple[dict[str, str], str]", self.load_manifest())
            return self._manifest
        finally:
            _manifest_lock.release()

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        hashed: str = super().hashed_name(name, content, filename)
        if hashed != name:
            self._hashed_names.add(self.full_name(hashed))
        return hashed

    def _file_info(self, full_name: str) -> dict[str, str]:
        info = super()._file_info(full_name)
        if full_name in self._hashed_names:
            info["b2-cache-control"] = _CACHE_CONTROL_OF_HASHED
        return info

    def post_process(self, paths: Mapping[str, Any], *args: Any, **options: Any) -> Iterator[Any]:
        if collection := self._collection:
            collection.sources = paths
        yield from super().post_process(paths, *args, **options)
        yield from B2StaticStorage.post_process(self, paths, *args, **options)

    def save_manifest(self) -> None:
        # It names no file that is not there.
        if collection := self._collection:
            collection.upload()
        super().save_manifest()


def _sha1_of(content: File[Any]) -> str:
    digest = sha1()
    for chunk in content.chunks():
        digest.update(chunk)
    return digest.hexdigest()
