"""What a row keeps of its file: the JSON of a field's ``info_field``, and when it is believed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models.signals import post_save

from b2fields.metadata import FileMetadata

if TYPE_CHECKING:
    from b2fields.fieldfiles import B2FieldFile
    from b2fields.fields import B2FileField

# Where an instance holds the names of the fields whose info changed since its row was saved.
_UNSAVED = "_b2fields_unsaved_info"


def recall(file: B2FieldFile) -> FileMetadata | None:
    """Return what the row keeps of its stored file; None if that is nothing, or of another file."""
    match _kept(file):
        case {
            "file_id": str(file_id),
            "size": int(size),
            "sha1": str() | None as sha1,
            "content_type": str(content_type),
            "uploaded": int(uploaded),
            "info": dict(info),
        } if size >= 0:
            version = {
                "fileId": file_id,
                "contentLength": size,
                "contentSha1": sha1,
                "contentType": content_type,
                "uploadTimestamp": uploaded,
                "fileInfo": info,
            }
            with suppress(ValueError):  # of a time that no clock will ever show
                return FileMetadata.from_version(version)
    return None


def recall_dimensions(file: B2FieldFile) -> tuple[int, int] | None:
    """Return width and height in pixels, if the row keeps them of its stored file."""
    match _kept(file):
        case {"width": int(width), "height": int(height)}:
            return width, height
    return None


def _kept(file: B2FieldFile) -> object:
    field = file.field
    if not field.info_field or not file.name:
        return None
    # A deferred field is loaded like any attribute: a query costs less than a request to B2.
    with suppress(ObjectDoesNotExist):  # of a row that is gone
        kept = getattr(file.instance, field.info_field, None)
        # The name alone may have been changed by update(), and the settings since the upload.
        if kept and isinstance(kept, dict) and kept.items() >= _identity(file).items():
            return kept
    return None


def _identity(file: B2FieldFile) -> dict[str, str]:
    storage = file.field.b2_storage
    return {"bucket": storage.bucket, "location": storage.location, "name": str(file.name)}


def keep(file: B2FieldFile, known: FileMetadata, dimensions: tuple[int, int] | None) -> None:
    """Have the row keep what an upload told; the next save of the row writes it."""
    info: dict[str, Any] = {**_identity(file), **known._asdict()}
    if dimensions is not None:
        info["width"], info["height"] = dimensions
    _assign(file.instance, file.field, info)


def drop(instance: models.Model, field: B2FileField) -> None:
    """Have the row keep nothing of its file; the next save of the row writes that."""
    info_field = instance._meta.get_field(str(field.info_field))
    _assign(instance, field, None if getattr(info_field, "null", True) else {})


def drop_outdated(file: B2FieldFile) -> None:
    """Drop what is of another file than the row's, when the row is about to be saved.

    Only names are compared, since rows are saved where B2 is not configured, too.
    """
    kept = vars(file.instance).get(str(file.field.info_field))
    if kept and isinstance(kept, dict) and kept.get("name") != file.name:
        drop(file.instance, file.field)


def _assign(instance: models.Model, field: B2FileField, info: dict[str, Any] | None) -> None:
    setattr(instance, str(field.info_field), info)
    # A new set each time: copies of the instance share what it holds.
    vars(instance)[_UNSAVED] = vars(instance).get(_UNSAVED, frozenset()) | {field.name}


def connect() -> None:
    """Have rows write what the save of their file left out; called by the fields that keep info.

    For all senders, because a child's model, or a proxy, is another sender than the field's own model.
    """
    post_save.connect(save_what_was_left_out, dispatch_uid="b2fields.rowinfo")


def save_what_was_left_out(
    sender: type[models.Model],
    instance: models.Model,
    using: str,
    update_fields: frozenset[str] | None = None,
    **kwargs: Any,
) -> None:
    """Write the info that the save of its file left out.

    That is so if update_fields has the file alone, and if the info stands before the file and so was
    read before the upload. Until it is written, the old info names another file and is not believed.
    """
    unsaved: frozenset[str] = vars(instance).get(_UNSAVED, frozenset())
    if not unsaved:
        return
    order = instance._meta.concrete_fields
    left_out = {}
    for name in unsaved:
        field: Any = instance._meta.get_field(name)
        if update_fields is not None and name not in update_fields:
            continue
        unsaved = unsaved - {name}
        info_field: Any = instance._meta.get_field(field.info_field)
        is_written = update_fields is None or info_field.name in update_fields
        if not is_written or order.index(info_field) < order.index(field):
            left_out[info_field.name] = getattr(instance, info_field.name)
    vars(instance)[_UNSAVED] = unsaved
    if left_out:
        sender._base_manager.using(using).filter(pk=instance.pk).update(**left_out)
