"""The system checks of a field's arguments, one function for each rule. None of them asks B2."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.core.exceptions import (
    AppRegistryNotReady,
    FieldDoesNotExist,
    ImproperlyConfigured,
    SuspiciousFileOperation,
)
from django.db import models
from django.db.migrations.serializer import serializer_factory

from b2fields import metadata, names, policy
from b2fields.exceptions import InvalidMetadata, NotConfigured

if TYPE_CHECKING:
    from b2fields.fields import B2FileField

# What is left at least for the name of a file within its random folder.
_SHORT_NAME = 12

_NAMEABLE = (
    "Use a function at the top level of a module, no lambda and no method of an instance; or an instance of "
    "a class that is @deconstructible, such as has_perm()."
)


def check(field: B2FileField) -> list[CheckMessage]:
    """Return what is wrong with the arguments of *field*."""
    return [
        *_check_app(field),
        *_check_access(field),
        *_check_cleanup(field),
        *_check_metadata(field),
        *_check_file_info(field),
        *_check_upload_to(field),
        *_check_max_length(field),
        *_check_attr_class(field),
        *_check_default(field),
        *_check_storage(field),
        *_check_info_field(field),
        *_check_migrations_can_name(field),
    ]


def _check_app(field: B2FileField) -> Iterator[CheckMessage]:
    # Only here: the checks of the project are the app's, and do not run without it.
    if not apps.is_installed("b2fields"):
        yield Error(
            "The app of this field is not installed, so it has neither settings nor cleanup.",
            hint='Add "b2fields" to INSTALLED_APPS.',
            obj=field,
            id="b2fields.E039",
        )


def _check_access(field: B2FileField) -> Iterator[CheckMessage]:
    if field.access is not None and not policy.is_valid(field.access):
        yield Error(
            f"'access' is {field.access!r}, which is no access level.",
            hint='Use "public", "login", "staff", or a (not async) callable(request, instance) -> bool.',
            obj=field,
            id="b2fields.E001",
        )


def _check_cleanup(field: B2FileField) -> Iterator[CheckMessage]:
    declared: object = field.cleanup
    if declared is not None and not isinstance(declared, bool):
        yield Error(
            f"'cleanup' is {declared!r}, which is neither True nor False.",
            hint="Leave it out for what B2FIELDS_CLEANUP says.",
            obj=field,
            id="b2fields.E034",
        )


def _check_metadata(field: B2FileField) -> Iterator[CheckMessage]:
    declared: object = field.metadata
    if declared is not None and not callable(declared) and not isinstance(declared, Mapping):
        yield Error(
            f"'metadata' is {declared!r}, which is no dict.",
            hint="Pass a dict of B2 file info, or a callable(instance, filename) that returns one.",
            obj=field,
            id="b2fields.E007",
        )


def _check_file_info(field: B2FileField) -> Iterator[CheckMessage]:
    if not isinstance(field.metadata, Mapping):
        return
    try:
        metadata.checked_info(field.metadata, "")
    except InvalidMetadata as error:
        yield Error(
            f"B2 would refuse 'metadata': {error}",
            hint="Correct or remove this key of 'metadata'.",
            obj=field,
            id="b2fields.E040",
        )


def _check_upload_to(field: B2FileField) -> Iterator[CheckMessage]:
    declared: object = field.upload_to
    if callable(declared) or (isinstance(declared, str) and declared.startswith("/")):
        return  # Django tells of the latter (fields.E202).
    try:
        folder = datetime.now().strftime(str(declared))  # as FileField.generate_filename
        names.check_limits(names.storable(posixpath.join(folder, "name")))
    except (SuspiciousFileOperation, ValueError) as error:
        yield Error(
            f"'upload_to' is {declared!r}, under which no file can be stored: {error}",
            hint='Use folders with "/" after each, such as "contracts/%Y/", without "..".',
            obj=field,
            id="b2fields.E041",
        )


def _check_max_length(field: B2FileField) -> Iterator[CheckMessage]:
    if callable(field.upload_to) or not apps.is_installed("b2fields"):
        return
    try:
        if not field.b2_storage.has_unique_names:
            return
    except ImproperlyConfigured:
        return  # That is for another check to tell.
    needed = len(names.fixed_folder(field.upload_to)) + names.UNIQUE_LENGTH + len("/") + _SHORT_NAME
    if field.max_length is not None and field.max_length < needed:
        yield Error(
            f"'max_length' is {field.max_length}, which leaves no room for the random folder of each upload.",
            hint=f"Use {needed} at least, leave it out for 255, or pass unique_names=False.",
            obj=field,
            id="b2fields.E049",
        )


def _check_attr_class(field: B2FileField) -> Iterator[CheckMessage]:
    wanted = type(field)._own_attr_class
    if not issubclass(field.attr_class, wanted):
        yield Error(
            f"'attr_class' is {field.attr_class.__name__}, which knows no metadata, info and cleanup.",
            hint=f"Derive it from b2fields.fieldfiles.{wanted.__name__}.",
            obj=field,
            id="b2fields.E048",
        )


def _check_default(field: B2FileField) -> Iterator[CheckMessage]:
    declared: object = getattr(field, "db_default", None)
    is_computed = hasattr(declared, "resolve_expression") and not isinstance(declared, models.Value)
    if is_computed and apps.is_installed("b2fields") and field.is_cleaned:
        yield Error(
            "'db_default' is computed by the database, so cleanup cannot know the file and would remove it.",
            hint="Give the name itself, or use cleanup=False.",
            obj=field,
            id="b2fields.E050",
        )


def _check_storage(field: B2FileField) -> Iterator[CheckMessage]:
    if field.bucket is not None and field.declared_storage is not None:
        yield Error(
            "'bucket' and 'storage' are both given.",
            hint="Pass one of them: a storage names its own bucket.",
            obj=field,
            id="b2fields.E002",
        )
        return
    if not apps.is_installed("b2fields"):
        return  # What builds it may read settings that are missing.
    try:
        field.storage  # noqa: B018 - building it is the check
    except ImproperlyConfigured as error:
        yield Error(
            str(error),
            hint="Pass a B2Storage, a callable that returns one, or the alias of one in STORAGES.",
            obj=field,
            id="b2fields.E003",
        )


def _check_info_field(field: B2FileField) -> Iterator[CheckMessage]:
    if field.info_field is None:
        return
    name = field.info_field
    try:
        found = field.model._meta.get_field(name)
    except FieldDoesNotExist:
        yield Error(
            f"'info_field' is {name!r}, and the model has no such field.",
            hint=f"Add it below this field: {name} = models.JSONField(null=True, editable=False)",
            obj=field,
            id="b2fields.E012",
        )
        return
    if not isinstance(found, models.JSONField):
        yield Error(
            f"'info_field' is {name!r}, which is no JSONField.",
            hint=f"Make it one: {name} = models.JSONField(null=True, editable=False)",
            obj=field,
            id="b2fields.E013",
        )


def _check_migrations_can_name(field: B2FileField) -> Iterator[CheckMessage]:
    if field.access is not None and not policy.is_valid(field.access):
        return
    for argument, declared in _declared(field).items():
        if not _can_be_named(declared):
            yield Error(
                f"'{argument}' is {declared!r}, which a migration cannot name.",
                hint=_NAMEABLE,
                obj=field,
                id="b2fields.E014",
            )


def refuse_unnameable(field: B2FileField) -> None:
    """Raise NotConfigured for a callable that no migration can name: makemigrations would, but later."""
    if field.access is not None and not policy.is_valid(field.access):
        return  # That is for the check to tell.
    for argument, declared in _declared(field).items():
        if callable(declared) and not _can_be_named(declared):
            raise NotConfigured(
                f"{field.label} has {argument}={declared!r}, which a migration cannot name. {_NAMEABLE}"
            )


def _declared(field: B2FileField) -> dict[str, object]:
    """Return the arguments in which a migration may meet something it cannot write down."""
    return {"access": field.access, "metadata": field.metadata, "storage": field.declared_storage}


def _can_be_named(declared: object) -> bool:
    function = declared
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, MethodType) and not isinstance(function.__self__, type):
        return False  # Django writes it down as if it were a plain function.
    try:
        # What is defined within a function can be written, but is no Python then: "made.<locals>.Rule".
        ast.parse(serializer_factory(declared).serialize()[0], mode="eval")
    except (ValueError, SyntaxError):
        return False
    except AppRegistryNotReady:
        return True  # A text to translate is one to write down, later.
    return True
