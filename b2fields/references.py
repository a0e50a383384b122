"""Which rows hold a file: the models are asked, never the name itself."""

from collections.abc import Iterator
from contextlib import suppress

from django.apps import apps
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.core.files.storage import default_storage, storages
from django.db import DatabaseError, connections, models

from b2fields import names, policy
from b2fields.fields import B2FileField
from b2fields.options import is_b2_alias
from b2fields.storage import B2Storage

AnyFileField = models.FileField


def b2_fields() -> Iterator[B2FileField]:
    """Yield every B2 field of every installed model once, each from the model that declares it."""
    return (field for field in file_fields() if isinstance(field, B2FileField))


def file_fields() -> Iterator[AnyFileField]:
    """Yield every file field, Django's own included, once, from the model that declares it."""
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy:
            for field in model._meta.local_concrete_fields:
                if isinstance(field, models.FileField):
                    yield field


def b2_storages() -> Iterator[B2Storage]:
    """Yield the storage of every field, of every alias, and the one that the settings alone describe."""
    yield B2Storage()
    for field in file_fields():
        if found := b2_storage_of(field):
            yield found
    for alias in settings.STORAGES:
        # What cannot be built stores nothing.
        with suppress(ImproperlyConfigured):
            if storage := find_alias(alias):
                yield storage


def bucket_names() -> set[str]:
    """Return the buckets that this project's settings, fields and storages name."""
    return {name for storage in b2_storages() if (name := bucket_of(storage))}


def bucket_of(storage: B2Storage) -> str | None:
    """Return the name of a storage's bucket, or None if it was told of none."""
    try:
        return storage.bucket
    except ImproperlyConfigured:
        return None


def find_field(label: str) -> B2FileField | None:
    """Return the field that a URL names as "app.model.field"."""
    try:
        model_label, _, name = label.rpartition(".")
        field = apps.get_model(model_label)._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist):
        return None
    # An inherited field, or another letter case, is not what the URL of a file says.
    return field if isinstance(field, B2FileField) and field.label == label else None


def find_alias(alias: str) -> B2Storage | None:
    """Return the B2 storage that STORAGES declares under this alias."""
    if alias not in settings.STORAGES or not is_b2_alias(alias):
        return None
    storage = storages[alias]
    return storage if isinstance(storage, B2Storage) else None


def rows(field: AnyFileField, name: str) -> Iterator[models.Model]:
    """Yield the rows whose *field* is exactly this name, those that a default manager hides included."""
    matching = field.model._base_manager.filter(**{field.attname: name})
    # Databases compare by their collation, some without regard to case or Unicode form.
    return (row for row in matching.iterator() if getattr(row, field.attname).name == name)


def is_held(field: AnyFileField, name: str) -> bool:
    """Tell whether a row's *field* is exactly this name."""
    manager = field.model._base_manager
    try:
        held = manager.filter(**{field.attname: name}).values_list(field.attname, flat=True)
        return any(str(value) == name for value in held)
    except DatabaseError:
        connection = connections[manager.db]
        if field.model._meta.db_table in connection.introspection.table_names():
            raise
        return False  # Between a deployment and its migration there is no such table, and no row.


def is_held_by_stricter(storage: B2Storage, name: str, field: B2FileField | None = None) -> bool:
    """Tell whether the file is also that of another field with a stricter policy, in the same bucket.

    A row may hold such a name because somebody assigned it as text; that opens nothing. Where neither
    policy is the laxer one it shall lock nobody out either: a name under the upload_to of *field*, and
    not of the other, is its own.
    """
    full_name = storage.full_name(name)
    for other in file_fields():
        elsewhere = _storage_beside(other, storage)
        if elsewhere is None or not policy.is_stricter(elsewhere.access, storage.access):
            continue
        prefix = f"{elsewhere.location}/" if elsewhere.location else ""
        other_name = full_name.removeprefix(prefix)
        if not full_name.startswith(prefix):
            continue
        own = field is not None and place_of(field) != "" and name.startswith(place_of(field))
        rivals = policy.are_rivals(elsewhere.access, storage.access)
        counts = not (rivals and own) or other_name.startswith(place_of(other))
        if counts and is_held(other, other_name):  # a query, so last
            return True
    return False


def plain_fields_on(storage: B2Storage) -> Iterator[AnyFileField]:
    """Yield Django's own file fields that store in exactly this storage."""
    for field in file_fields():
        if not isinstance(field, B2FileField) and _storage_of(field) is storage:
            yield field


def fields_in(bucket: str) -> Iterator[AnyFileField]:
    """Yield every file field, Django's own included, whose files are in this bucket."""
    for field in file_fields():
        storage = b2_storage_of(field)
        if storage is not None and (bucket_of(storage) or "").lower() == bucket.lower():
            yield field


def fields_in_unknown_places() -> Iterator[tuple[AnyFileField, str]]:
    """Yield the file fields of which nobody can tell where they store, and why."""
    for field in file_fields():
        try:
            storage = _storage_of(field)
            if isinstance(storage, B2Storage):
                storage.bucket  # noqa: B018 - reading it is the question
                storage.location  # noqa: B018
        except ImproperlyConfigured as error:
            yield field, str(error)


def b2_storage_of(field: AnyFileField) -> B2Storage | None:
    """Return the storage of a field, if it is one of ours and can be built."""
    try:
        storage = _storage_of(field)
    except ImproperlyConfigured:  # What cannot be built has stored nothing.
        return None
    return storage if isinstance(storage, B2Storage) else None


def prefix_of(field: AnyFileField) -> str:
    """Return what stands before a field's names in the bucket: its storage's location."""
    storage = b2_storage_of(field)
    return f"{storage.location}/" if storage is not None and storage.location else ""


def place_of(field: AnyFileField) -> str:
    """Return the folder that all names of a field are in, as far as upload_to tells; "" or with a slash."""
    return names.fixed_folder(field.upload_to)


def inner_places(field: B2FileField) -> frozenset[str]:
    """Return the prefixes of other fields and of aliases in STORAGES that lie within that of *field*."""
    own = prefix_of(field) + place_of(field)
    bucket = field.b2_storage.bucket
    places = {prefix_of(other) + place_of(other) for other in fields_in(bucket)}
    for alias in settings.STORAGES:
        # What cannot be built has stored nothing.
        with suppress(ImproperlyConfigured):
            found = find_alias(alias)
            if found is not None and found.location and found.bucket.lower() == bucket.lower():
                places.add(f"{found.location}/")
    return frozenset(place for place in places if len(place) > len(own) and place.startswith(own))


def shares_its_place(storage: B2Storage) -> bool:
    """Tell whether other policies store within the same names of the same bucket."""
    others: list[AnyFileField | B2Storage] = list(file_fields())
    for alias in settings.STORAGES:
        # What cannot be built has stored nothing.
        with suppress(ImproperlyConfigured):
            others += [other] if (other := find_alias(alias)) else []
    beside = (_storage_beside(other, storage) for other in others)
    return any(other is not None and _overlap(other.location, storage.location) for other in beside)


def keeps_others_files(storage: B2Storage) -> bool:
    """Tell whether something else of this project stores under the prefix of this storage."""
    others: list[AnyFileField | B2Storage] = [*b2_storages(), *file_fields()]
    beside = (_storage_beside(other, storage) for other in others)
    prefix = f"{storage.location}/" if storage.location else ""
    return any(other is not None and f"{other.location}/".startswith(prefix) for other in beside)


def _overlap(one: str, other: str) -> bool:
    one, other = f"{one}/" if one else "", f"{other}/" if other else ""
    return one.startswith(other) or other.startswith(one)


def _storage_of(field: AnyFileField) -> object:
    # default_storage is a lazy object around the storage itself, which may not have been built yet.
    return storages[DEFAULT_STORAGE_ALIAS] if field.storage is default_storage else field.storage


def _storage_beside(other: AnyFileField | B2Storage, storage: B2Storage) -> B2Storage | None:
    """Return the storage of *other* if it is another one in the same bucket."""
    try:
        elsewhere = other if isinstance(other, B2Storage) else _storage_of(other)
        if not isinstance(elsewhere, B2Storage) or elsewhere is storage:
            return None
        # Bucket names are unique in the whole of B2, in any letter case (B2 docs, Buckets).
        return elsewhere if elsewhere.bucket.lower() == storage.bucket.lower() else None
    except ImproperlyConfigured:  # What has no bucket has stored nothing.
        return None
