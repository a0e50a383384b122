"""Uploads whose row is not saved for good: what is needed to take them back."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from django.core.files.base import File
from django.db import models

if TYPE_CHECKING:
    from b2fields.fieldfiles import B2FieldFile
    from b2fields.fields import B2FileField

# Where an instance keeps its uploads: as long as it lives, their contents can be uploaded once more.
_UPLOADS = "_b2fields_uploads"


class Upload:
    """A file that was uploaded for a row, which may come to nothing."""

    def __init__(self, file: B2FieldFile, file_id: str) -> None:
        self.field: B2FileField = file.field
        self.name, self.file_id = str(file.name), file_id
        # Whether its row was saved, or failed to be: from then on, the rows tell what is to become of it.
        self.is_settled = False
        # Weak, since a transaction may save many rows, and must not keep all of their contents in memory.
        self._instance = weakref.ref(file.instance)

    def forget(self) -> None:
        """Forget the content: the upload is there to stay."""
        instance = self._instance()
        if instance is not None:
            uploads = _uploads(instance)
            uploads.pop(self, None)

    def take_back(self) -> None:
        """Have the instance hold its file as before the upload, so that saving it again uploads it again."""
        instance = self._instance()
        if instance is None:
            return
        given_name, content = _uploads(instance).pop(self, (self.name, None))
        held = vars(instance).get(self.field.attname)
        if getattr(held, "name", held) == self.name:
            file = self.field.attr_class(instance, self.field, given_name)
            # Else saving it says that there is no such file: it would store an empty one.
            if content is not None and content.seekable():
                file.file = content
            file._committed = False
            vars(instance)[self.field.attname] = file


class _Uploads(dict[Upload, tuple[str, Any]]):
    """Uploads, with the name and the content they were given; a pickle or copy of the instance has none."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Uploads, ()


def _uploads(instance: models.Model) -> _Uploads:
    found: _Uploads | None = vars(instance).get(_UPLOADS)
    return _Uploads() if found is None else found


def add(file: B2FieldFile, file_id: str, given_name: str, content: File[Any]) -> Upload:
    """Keep what was just uploaded for the instance of *file*."""
    upload = Upload(file, file_id)
    # A new dict each time: copies of the instance share what it holds.
    vars(file.instance)[_UPLOADS] = _Uploads({**_uploads(file.instance), upload: (given_name, content)})
    return upload


def uploads_of(instance: models.Model) -> list[Upload]:
    """Return the uploads of an instance that may still come to nothing."""
    return list(_uploads(instance))
