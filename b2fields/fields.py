"""B2FileField and B2ImageField: Django's file fields with a storage policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.checks import CheckMessage
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.files.storage import Storage, default_storage, storages
from django.db import models, router
from django.db.models import signals
from django.db.models.fields.files import FieldFile
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from b2fields import fieldchecks, names, policy, rowinfo
from b2fields.defaults import defaults_of
from b2fields.exceptions import FileMissing, FileTooLarge, NotConfigured
from b2fields.fieldfiles import B2FieldFile, B2ImageFieldFile, B2ImageFileDescriptor
from b2fields.files import check_size
from b2fields.forms import FORMATS, IMAGE_ERRORS, MAX_FRAMES, B2ImageFormField, check_image
from b2fields.storage import B2Storage

Metadata = Mapping[str, str] | Callable[[Any, str], Mapping[str, str]]

_MAX_LENGTH = 255

# What deconstruct() returns if it was passed.
_ARGUMENTS = (
    *("access", "bucket", "cleanup", "delivery", "metadata", "unique_names"),
    *("info_field", "inline_pdf", "max_size"),
)

# Where an instance holds who listens to its save: an object with about_to_write(field, add).
SAVING = "_b2fields_saving"


class B2FileField(models.FileField):
    """A file in Backblaze B2, with the policy that says where it goes and who may read it.

    Takes all of FileField's arguments, and:

    access -- "public", "login", "staff", or callable(request, instance) -> bool; B2FIELDS_ACCESS if not given
    bucket -- the bucket's name; B2FIELDS_BUCKETS[access] or B2FIELDS_BUCKET if not given
    cleanup -- remove a file that is replaced, or whose row goes; B2FIELDS_CLEANUP if not given
    delivery -- "proxy", "redirect" or "accel"; B2FIELDS_DELIVERY if not given
    inline_pdf -- have browsers show PDF instead of saving it; B2FIELDS_INLINE_PDF if not given
    max_size -- the most bytes of a file; B2FIELDS_MAX_SIZE if not given
    metadata -- dict of B2 file info, or callable(instance, filename) -> dict; merged over B2FIELDS_METADATA
    unique_names -- put each upload into a random folder of its own; B2FIELDS_UNIQUE_NAMES if not given
    info_field -- the name of a JSONField of the model that keeps what B2 tells of the file
    storage -- a B2Storage, a callable that returns one, or an alias of STORAGES, instead of a bucket
    """

    attr_class = _own_attr_class = B2FieldFile
    default_error_messages: ClassVar[dict[str, Any]] = {
        "too_large": _("The file is too large: at most %(limit)s."),
        "not_uploaded": _("The name of a stored file cannot be set. Upload the file."),
    }
    db_index: bool
    # None of these changes the column, so altering them runs no SQL.
    non_db_attrs = (
        *models.FileField.non_db_attrs,
        "access",
        "bucket",
        "cleanup",
        "delivery",
        "info_field",
        "inline_pdf",
        "max_size",
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
        cleanup: bool | None = None,
        delivery: str | None = None,
        metadata: Metadata | None = None,
        unique_names: bool | None = None,
        info_field: str | None = None,
        inline_pdf: bool | None = None,
        max_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.delivery, self.inline_pdf, self.max_size = delivery, inline_pdf, max_size
        self.cleanup, self.info_field = cleanup, info_field
        self.access, self.bucket, self.metadata, self.unique_names = access, bucket, metadata, unique_names
        self._built: tuple[object, B2Storage] | None = None
        self._returned: object = None  # by a callable storage, which is called once
        given: Any = storage
        # Not isinstance(), which would have a lazy object build what it stands for.
        if issubclass(type(given), type) and not issubclass(given, Storage):
            raise TypeError(  # FileField's words; functions are not called before the storage is used
                f"{type(self).__qualname__}.storage must be a subclass/instance of "
                f"{Storage.__module__}.{Storage.__qualname__}"
            )
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
        chosen = self._choose()
        if self._built is None or self._built[0] is not chosen:
            self._built = (chosen, self._build(chosen))
        return self._built[1]

    @storage.setter
    def storage(self, value: object) -> None:
        # FileField.__init__ assigns its default, which is not for us.
        if "declared_storage" in self.__dict__:
            raise TypeError(
                f"{self.label} takes its storage as an argument. To test without B2, start the emulator and "
                "set B2FIELDS_REALM."
            )

    def _choose(self) -> object:
        """Return the storage that was passed, or is named by what was passed, or was returned by it."""
        declared: object = self.declared_storage
        if not callable(declared):
            return storages[declared] if isinstance(declared, str) else declared
        if self._returned is None:
            self._returned = declared()
        # Not the storage behind it: tests change what STORAGES says.
        return storages[DEFAULT_STORAGE_ALIAS] if self._returned is default_storage else self._returned

    def _build(self, chosen: object) -> B2Storage:
        base = B2Storage() if self.declared_storage is None else chosen
        if not isinstance(base, B2Storage):
            raise NotConfigured(
                f"{self.label} has storage={self.declared_storage!r}, which is no B2Storage. Pass one, a "
                "callable that returns one, or the alias of one in STORAGES."
            )
        storage = base.configured(
            field_label=self.label,
            access=self.access,
            bucket=self.bucket,
            delivery=self.delivery,
            inline_pdf=self.inline_pdf,
            max_size=self.max_size,
            metadata=self.metadata if isinstance(self.metadata, Mapping) else None,
            unique_names=self.unique_names,
        )
        storage.holds_images = isinstance(self, models.ImageField)
        return storage

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

    @property
    def is_cleaned(self) -> bool:
        """Tell whether files that rows drop are removed."""
        return bool(settings.B2FIELDS_CLEANUP if self.cleanup is None else self.cleanup)

    def contribute_to_class(self, cls: type[models.Model], name: str, *args: Any, **kwargs: Any) -> None:
        super().contribute_to_class(cls, name, *args, **kwargs)
        if not cls._meta.abstract and cls.__module__ != "__fake__":  # that of a migration's past models
            fieldchecks.refuse_unnameable(self)
        self._built = None  # That of an abstract model, from which this field was copied, has its label.
        if self.info_field:
            rowinfo.connect()

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
        for argument in _ARGUMENTS:
            if getattr(self, argument) is not None:
                kwargs[argument] = getattr(self, argument)
        return name, path, list(args), kwargs

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [*super().check(**kwargs), *fieldchecks.check(self)]

    # Validation, of forms, of the admin and of serializers alike

    @property
    def validators(self) -> list[Any]:
        return [*super().validators, self.validate_upload]

    def validate_upload(self, value: Any) -> None:
        """Raise ValidationError for what must not be uploaded; what is uploaded is not looked at."""
        if isinstance(value, File) and _is_not_uploaded(value):
            self._check_upload(value.file if isinstance(value, FieldFile) else value)

    def _check_upload(self, file: File[Any]) -> None:
        limit = self.b2_storage.max_size
        if limit is not None:
            try:
                check_size(file, limit)
            except FileTooLarge as error:
                most = {"limit": filesizeformat(limit)}
                raise ValidationError(self.error_messages["too_large"], "too_large", most) from error

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        if model_instance is not None and isinstance(value, FieldFile) and value and value._committed:  # type: ignore[attr-defined]
            self._check_name(str(value.name), model_instance)

    def _check_name(self, name: str, instance: models.Model) -> None:
        """Raise ValidationError for a name that somebody wrote there, instead of uploading a file.

        A row may keep what it has, and take a name of this field's own that no other row has.
        """
        if name in defaults_of(self):
            return
        using = instance._state.db or router.db_for_write(self.model, instance=instance)
        rows = self.model._base_manager.using(using).filter(**{self.attname: name})
        # Exactly: databases compare by their collation.
        holders = {pk for pk, held in rows.values_list("pk", self.attname) if held == name}
        is_own = names.is_well_formed(name) and name.startswith(names.fixed_folder(self.upload_to))
        if (holders or not is_own) and instance._get_pk_val(self.model._meta) not in holders:
            raise ValidationError(self.error_messages["not_uploaded"], "not_uploaded")

    # Saving

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        file = super().pre_save(model_instance, add)
        if self.info_field:
            rowinfo.drop_outdated(file)
        if saving := vars(model_instance).get(SAVING):
            saving.about_to_write(self, add)
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
        # Also a file of Python's own, whose representation would be stored.
        return isinstance(value, File) or hasattr(value, "read")
    # One whose file was deleted is not committed either, but has neither a name nor content.
    is_committed: bool = value._committed  # type: ignore[attr-defined]
    return not is_committed and (bool(value) or getattr(value, "_file", None) is not None)


class B2ImageField(B2FileField, models.ImageField):
    """An image in Backblaze B2: B2FileField and Django's ImageField in one.

    Width and height are taken from the upload, and kept in ``width_field`` and ``height_field``;
    loading a row never reads the image.

    Subclass it for other ``formats`` (by Pillow's names), and for how many ``max_frames`` an animation
    may have. The most pixels are ``PIL.Image.MAX_IMAGE_PIXELS``.
    """

    formats: ClassVar[tuple[str, ...]] = FORMATS
    max_frames: ClassVar[int] = MAX_FRAMES

    attr_class = _own_attr_class = B2ImageFieldFile
    default_error_messages = IMAGE_ERRORS
    descriptor_class = B2ImageFileDescriptor
    width_field: str | None
    height_field: str | None

    def formfield(self, **kwargs: Any) -> Any:
        if "form_class" not in kwargs:
            kwargs |= {
                "form_class": B2ImageFormField,
                "check": self.validate_upload,
                "formats": self.formats,
            }
        return super().formfield(**kwargs)

    def _check_upload(self, file: File[Any]) -> None:
        super()._check_upload(file)
        check_image(file, self.formats, self.max_frames)

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
