"""What a row holds: Django's FieldFile, uploaded with what its row gives it, known by what its row keeps."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.files.base import File
from django.core.files.images import get_image_dimensions
from django.db import models
from django.db.models.fields.files import FieldFile, ImageFieldFile, ImageFileDescriptor
from django.dispatch import Signal

from b2fields import rowinfo
from b2fields.http import image_type_of
from b2fields.metadata import FileMetadata

if TYPE_CHECKING:
    from b2fields.fields import B2FileField, B2ImageField


uploaded = Signal()
"""Sent when a row's field has uploaded a file, if it cleans up: with the file, and what it was given."""


class B2FieldFile(FieldFile):
    """What a row holds: Django's FieldFile, uploaded with the metadata that its row gives it."""

    field: B2FileField
    _committed: bool

    @property
    def metadata(self) -> FileMetadata:
        """What is known of the stored file: by its row, else the cache, else B2. Raises FileMissing."""
        self._require_file()  # type: ignore[attr-defined]
        return rowinfo.recall(self) or self.field.b2_storage.metadata(str(self.name))

    @property
    def size(self) -> int:
        return self.metadata.size if self and self._committed else super().size

    @property
    def sha1(self) -> str | None:
        """The SHA-1 of the stored file in hexadecimal; None where B2 knows none."""
        return self.metadata.sha1

    @property
    def modified_time(self) -> datetime:
        """The same as the storage's ``get_modified_time``: aware if USE_TZ."""
        return datetime.fromtimestamp(self.metadata.modified / 1000, tz=UTC if settings.USE_TZ else None)

    def signed_url(self, expires: int | None = None, *, download: bool = False) -> str:
        """Return a link that opens exactly this file until it expires; see the storage's ``signed_url``."""
        self._require_file()  # type: ignore[attr-defined]
        return self.field.b2_storage.signed_url(str(self.name), expires, download=download)

    def open(self, mode: str = "rb") -> Self:  # type: ignore[override]
        opened = super().open(mode)
        if self.field.info_field and not set(mode).isdisjoint("wax+"):
            # Closing it makes another version under this name.
            rowinfo.drop(self.instance, self.field)
        return opened

    def save(self, name: str, content: File[Any], save: bool = True) -> None:
        if isinstance(content, File) and content.name is None:
            # ImageField takes a file without a name for none, and would leave its dimensions out.
            content.name = name
        dimensions = self._dimensions_of(content) if self.field.info_field else None
        usual = self.storage
        # A copy, so that its last upload is this one.
        storage = self.storage = copy(self.field.storage_for(self.instance, name))
        storage.found_type = self._type_of(content)
        storage.keeps_source = self.field.is_cleaned
        try:
            super().save(name, content, save=False)
        finally:
            self.storage = usual
        stored_name, known = storage.last_upload or (None, None)
        if stored_name != self.name:
            known = None  # A storage of the project's own may upload in another way.
        if self.field.is_cleaned:
            file_id = known.file_id if known else ""
            uploaded.send(type(self), file=self, file_id=file_id, given_name=name, content=content)
        if self.field.info_field:
            if known is not None:
                rowinfo.keep(self, known, dimensions)
            else:
                rowinfo.drop(self.instance, self.field)
        if save:
            self.instance.save()

    save.alters_data = True  # type: ignore[attr-defined]

    def delete(self, save: bool = True) -> None:
        """Delete the file, as Django does; if the field cleans up, when the row is saved without it."""
        if self and self.field.info_field:
            rowinfo.drop(self.instance, self.field)
        if not self.field.is_cleaned:
            super().delete(save)
        elif self:
            self.close()
            for known in ("_file", "_dimensions_cache"):
                vars(self).pop(known, None)
            self.name = None
            setattr(self.instance, self.field.attname, None)
            self._committed = False
            if save:
                self.instance.save()

    delete.alters_data = True  # type: ignore[attr-defined]

    def _type_of(self, content: File[Any]) -> str | None:
        """Return the media type to store an upload under; None for that of its extension."""
        return None

    def _dimensions_of(self, content: File[Any]) -> tuple[int, int] | None:
        """Return width and height of an upload, if it is an image's field and Pillow can tell."""
        return None


class B2ImageFieldFile(B2FieldFile, ImageFieldFile):
    """Django's ImageFieldFile; a stored image's size is taken from its row, if it stands there."""

    field: B2ImageField

    def recall_dimensions(self) -> None:
        """Take width and height from the row of a stored file, so that nobody reads them from B2."""
        if self.instance is not None:  # as in the file that receivers of pre_cleanup are given
            self._remember_dimensions(self.field.stored_dimensions(self.instance))

    def _remember_dimensions(self, known: tuple[int, int] | None) -> None:
        if known is not None and self._committed and not hasattr(self, "_dimensions_cache"):
            self._dimensions_cache = known

    def _get_image_dimensions(self) -> tuple[int, int]:
        self.recall_dimensions()
        if not hasattr(self, "_dimensions_cache"):
            self._remember_dimensions(rowinfo.recall_dimensions(self))
        # Private to Django, but the one place that width, height and both dimension fields go through.
        dimensions: tuple[int, int] = super()._get_image_dimensions()  # type: ignore[misc]
        return dimensions

    def _type_of(self, content: File[Any]) -> str | None:
        if not content.seekable():
            return None
        position = content.tell()
        content.seek(0)
        head = content.read(12)
        content.seek(position)
        return image_type_of(head) if isinstance(head, bytes) else None

    def _dimensions_of(self, content: File[Any]) -> tuple[int, int] | None:
        # Pillow raises what its formats raise; an image that it cannot read has no size.
        with suppress(Exception):
            width, height = get_image_dimensions(content)
            return (width, height) if width and height else None
        return None


class B2ImageFileDescriptor(ImageFileDescriptor):
    """Django's descriptor, which would read an image again by refresh, by a form, or from another row."""

    field: B2ImageField

    def __set__(self, instance: models.Model, value: Any) -> None:
        held = instance.__dict__.get(self.field.attname)
        if value is held and isinstance(value, B2ImageFieldFile) and value._committed:
            return  # A form without an upload gives back what the row has.
        if isinstance(value, B2ImageFieldFile) and value._committed and value.instance is not instance:
            value.recall_dimensions()
            if held is not None:
                instance.__dict__[self.field.attname] = value
                self.field.copy_dimensions(value, instance)
                return
        super().__set__(instance, value)
