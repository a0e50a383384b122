"""B2FileField and B2ImageField: Django's file fields with a storage policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.checks import CheckMessage
from django.core.files.base import File
from django.core.files.storage import Storage, default_storage, storages
from django.db import models
from django.db.models import signals
from django.db.models.fields.files import FieldFile

from b2fields import fieldchecks, policy, rowinfo
from b2fields.exceptions import FileMissing, NotConfigured
from b2fields.fieldfiles import B2FieldFile, B2ImageFieldFile, B2ImageFileDescriptor
from b2fields.forms import B2ImageFormField
from b2fields.storage import B2Storage

Metadata = Mapping[str, str] | Callable[[Any, str], Mapping[str, str]]

_MAX_LENGTH = 255


class B2FileField(models.FileField):
    """A file in Backblaze B2, with the policy that says where it goes and who may read it.

    Takes all of FileField's arguments, and:

    access -- "public", "login", "staff", or callable(request, instance) -> bool; B2FIELDS_ACCESS if not given
    bucket -- the bucket's name; B2FIELDS_BUCKETS[access] or B2FIELDS_BUCKET if not given
    metadata -- dict of B2 file info, or callable(instance, filename) -> dict; merged over B2FIELDS_METADATA
    unique_names -- put each upload into a random folder of its own; B2FIELDS_UNIQUE_NAMES if not given
    info_field -- the name of a JSONField of the model that keeps what B2 tells of the file
    storage -- a B2Storage, a callable that returns one, or an alias of STORAGES, instead of a bucket
    """

    attr_class = B2FieldFile
    db_index: bool
    # None of these changes the column, so altering them runs no SQL.
    non_db_attrs = (
        *models.FileField.non_db_attrs,
        "access",
        "bucket",
        "info_field",
        "metadata",
        "storage",
        "unique_names",
        "upload_to",
    )

    def __init__(
        self,
        verbose_name: Any = None,
        name: str | None = None,
        upload_to: Any = "",
        storage: B2Storage | Callable[[], B2Storage] | str | None = None,
        *,
        access: policy.Access | None = None,
        bucket: str | None = None,
        metadata: Metadata | None = None,
        unique_names: bool | None = None,
        info_field: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.info_field = info_field
        self.access, self.bucket, self.metadata, self.unique_names = access, bucket, metadata, unique_names
        self._built: tuple[object, B2Storage] | None = None
        kwargs.setdefault("max_length", _MAX_LENGTH)
        # Serving looks files up by name.
        kwargs.setdefault("db_index", True)
        super().__init__(verbose_name, name, upload_to=upload_to, **kwargs)
        # As an alias, so that a migration does not hold what the settings say of it today.
        self.declared_storage = DEFAULT_STORAGE_ALIAS if storage is default_storage else storage

    # Storage

    @property
    def storage(self) -> Storage:
        """This field's B2Storage, built on first use."""
        if "declared_storage" not in self.__dict__:
            return default_storage  # FileField.__init__ asks, too early to build anything.
        declared: object = self.declared_storage
        if isinstance(declared, str):
            declared = storages[declared]
        if self._built is None or self._built[0] is not declared:
            self._built = (declared, self._build(declared))
        return self._built[1]

    @storage.setter
    def storage(self, value: object) -> None:
        # FileField.__init__ assigns its default, which is not for us.
        if "declared_storage" in self.__dict__:
            raise TypeError(
                f"{self.label} takes its storage as an argument. To test without B2, start the emulator and "
                "set B2FIELDS_REALM."
            )

    def _build(self, declared: object) -> B2Storage:
        base = B2Storage() if declared is None else declared() if callable(declared) else declared
        if not isinstance(base, B2Storage):
            raise NotConfigured(
                f"{self.label} has storage={self.declared_storage!r}, which is no B2Storage. Pass one, a "
                "callable that returns one, or the alias of one in STORAGES."
            )
        return base.configured(
            field_label=self.label,
            access=self.access,
            bucket=self.bucket,
            metadata=self.metadata if isinstance(self.metadata, Mapping) else None,
            unique_names=self.unique_names,
        )

    @property
    def b2_storage(self) -> B2Storage:
        """The same as ``storage``, for type checkers."""
        assert isinstance(self.storage, B2Storage)  # noqa: S101
        return self.storage

    def storage_for(self, instance: models.Model, filename: str) -> B2Storage:
        """Return the storage for one upload, with the metadata of this row if it depends on the row."""
        if not callable(self.metadata):
            return self.b2_storage
        return self.b2_storage.configured(metadata=self.metadata(instance, filename))

    @property
    def label(self) -> str:
        """How a URL names this field: "app.model.field", the model being the one that declares it."""
        model = getattr(self, "model", None)
        return f"{model._meta.label_lower}.{self.name}" if model else type(self).__name__

    def contribute_to_class(self, cls: type[models.Model], name: str, *args: Any, **kwargs: Any) -> None:
        super().contribute_to_class(cls, name, *args, **kwargs)
        self._built = None  # That of an abstract model, from which this field was copied, has its label.

    # Migrations and checks

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Return what was passed, no default of ours and nothing that was built from settings."""
        name, path, args, kwargs = super().deconstruct()
        # The public name, so that migrations outlive a change of our modules.
        if type(self) in (B2FileField, B2ImageField):
            path = f"b2fields.{type(self).__name__}"
        for argument in ("storage", "max_length", "db_index"):
            kwargs.pop(argument, None)
        if self.declared_storage is not None:
            kwargs["storage"] = self.declared_storage
        if self.max_length != _MAX_LENGTH:
            kwargs["max_length"] = self.max_length
        if not self.db_index:
            kwargs["db_index"] = False
        for argument in ("access", "bucket", "metadata", "unique_names", "info_field"):
            if getattr(self, argument) is not None:
                kwargs[argument] = getattr(self, argument)
        return name, path, list(args), kwargs

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [*super().check(**kwargs), *fieldchecks.check(self)]

    # Saving

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        file = super().pre_save(model_instance, add)
        if self.info_field:
            rowinfo.drop_outdated(file)
        return file

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Refuse what save() would upload first: update() and bulk_update() would store its mere name."""
        if _is_not_uploaded(value):
            raise ValueError(
                f"{self.label} was given a file that is not uploaded: {value!r}. update() and bulk_update() "
                f"store names only. Save the instance instead, or upload the file before: "
                f"instance.{self.name}.save(name, content, save=False)."
            )
        return super().get_db_prep_save(value, connection)


def _is_not_uploaded(value: Any) -> bool:
    if not isinstance(value, FieldFile):
        return isinstance(value, File)
    # One whose file was deleted is not committed either, but has neither a name nor content.
    is_committed: bool = value._committed  # type: ignore[attr-defined]
    return not is_committed and (bool(value) or getattr(value, "_file", None) is not None)


class B2ImageField(B2FileField, models.ImageField):
    """An image in Backblaze B2: B2FileField and Django's ImageField in one.

    Width and height are taken from the upload, and kept in ``width_field`` and ``height_field``;
    loading a row never reads the image.
    """

    attr_class = B2ImageFieldFile
    descriptor_class = B2ImageFileDescriptor
    width_field: str | None
    height_field: str | None

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": B2ImageFormField, **kwargs})

    def stored_dimensions(self, instance: models.Model) -> tuple[int, int] | None:
        """Return width and height in pixels as the row has them, None if it lacks one."""
        row = instance.__dict__
        width = row.get(self.width_field) if self.width_field else None
        height = row.get(self.height_field) if self.height_field else None
        return (width, height) if width and height else None

    def contribute_to_class(self, cls: type[models.Model], name: str, *args: Any, **kwargs: Any) -> None:
        super().contribute_to_class(cls, name, *args, **kwargs)
        if not cls._meta.abstract and (self.width_field or self.height_field):
            signals.pre_save.connect(self.complete_dimensions, sender=cls)

    def complete_dimensions(self, instance: models.Model, raw: bool = False, **kwargs: Any) -> None:
        """Read the numbers of a new row that was given a stored file by its name, as Django does."""
        if instance._state.adding and not raw and getattr(instance, self.attname):
            # Without a file there are no numbers, and the row is none the worse for it.
            with suppress(FileMissing):
                models.ImageField.update_dimension_fields(self, instance)

    def copy_dimensions(self, file: B2ImageFieldFile, instance: models.Model) -> None:
        """Give *instance* the numbers of the row that *file* comes from, known or not."""
        for ours, theirs in (
            (self.width_field, file.field.width_field),
            (self.height_field, file.field.height_field),
        ):
            if ours:
                setattr(instance, ours, getattr(file.instance, theirs) if theirs else None)

    def update_dimension_fields(
        self, instance: models.Model, force: bool = False, *args: Any, **kwargs: Any
    ) -> None:
        if (self.width_field or self.height_field) and self.attname in instance.__dict__:
            file = getattr(instance, self.attname)
            if file and file._committed and not hasattr(file, "_dimensions_cache"):
                if not force:
                    return  # The row was just loaded: what it lacks is not worth a request.
                # Another stored file was assigned: the row's numbers are those of the one before.
                for name in filter(None, (self.width_field, self.height_field)):
                    setattr(instance, name, None)
        super().update_dimension_fields(instance, force, *args, **kwargs)
