"""Whose a name in a bucket is, by its prefix: a field's, another storage's of this project, or nobody's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured

from b2fields import names, references
from b2fields.asking import Leaving
from b2fields.exceptions import AccessRefused, NotConfigured
from b2fields.references import AnyFileField
from b2fields.storage import B2Storage


class Scope(NamedTuple):
    """A prefix of names, and a storage whose application key may list them."""

    prefix: str
    storage: B2Storage


class _Place(NamedTuple):
    """Where a field stores: its own folder, within the location of its storage."""

    field: AnyFileField
    own: Scope
    location: Scope


class Places:
    """Where fields and storages of this project store in one bucket, and which of the fields are looked at.

    The longest prefix decides whose a name is. Where a field and an alias of STORAGES have the same it is
    the field's, but for static files, of which no row ever tells.
    """

    def __init__(self, bucket: str, fields: Iterable[AnyFileField], labels: Collection[str]) -> None:
        self.bucket = bucket
        # By the label of the field.
        self._places = dict(_places(fields))
        self._aliases = dict(_aliases_in(bucket))
        self._selected = {
            label: place for label, place in self._places.items() if not labels or label in labels
        }
        looked_at = {place.own.prefix for place in self._selected.values()}
        ours = dict.fromkeys(self._aliases.values(), False)
        ours |= {place.own.prefix: place.own.prefix in looked_at for place in self._places.values()}
        if STATICFILES_STORAGE_ALIAS in self._aliases:
            ours[self._aliases[STATICFILES_STORAGE_ALIAS]] = False
        self._ours = sorted(ours.items(), key=lambda item: len(item[0]), reverse=True)

    def is_ours(self, full_name: str) -> bool:
        """Tell whether a name in the bucket lies in the own place of a field that is looked at."""
        for prefix, is_ours in self._ours:
            if full_name.startswith(prefix):
                return is_ours
        return False

    def is_unlike_ours(self, full_name: str) -> bool:
        """Tell whether a name lies in no folder of ours, and has not the form of an upload either.

        The place of a field that has no location, and no folder at the beginning of its upload_to, is the
        whole bucket.
        """
        if any(prefix and full_name.startswith(prefix) for prefix, _ in self._ours):
            return False
        everywhere = [place.own.storage for place in self._places.values() if not place.own.prefix]
        has_unique_names = any(storage.has_unique_names for storage in everywhere)
        return not (has_unique_names and names.has_unique_folder(full_name))

    def leaving(self, full_name: str) -> Leaving:
        """Return what receivers are told of a file of ours; its field is the one in whose place it lies."""
        around = [place for place in self._places.values() if full_name.startswith(place.own.prefix)]
        longest = max(len(place.own.prefix) for place in around)
        nearest = [place for place in around if len(place.own.prefix) == longest]
        first = nearest[0]
        # Of several in one place, nobody can tell which of them stored it.
        field = first.field if len(nearest) == 1 else None
        return Leaving(field, first.location.storage, full_name.removeprefix(first.location.prefix))

    def is_looked_at(self, field: AnyFileField) -> bool:
        return label_of(field) in self._selected

    def scopes(self) -> list[Scope]:
        """Return the fewest prefixes that hold all places of the fields looked at; they do not overlap."""
        return _disjoint(place.own for place in self._selected.values())

    def shared(self) -> Iterator[str]:
        """Yield why the files of a field cannot be told from those of another storage of the project."""
        for label, place in self._selected.items():
            for alias, prefix in self._aliases.items():
                if prefix == place.own.prefix:
                    yield (
                        f"{label} has no place of its own: STORAGES[{alias!r}] stores in "
                        f"{_shown(prefix)} too, and no row needs to name its files. Give the field an "
                        "upload_to, or one of them another location."
                    )

    def strangers(self) -> Iterator[str]:
        """Yield why somebody unknown must be storing in the locations of the fields looked at.

        Asks B2 for a page of names between our prefixes; one that is hidden from the key is let go.
        """
        for location in _disjoint(place.location for place in self._selected.values()):
            if any(location.prefix.startswith(prefix) for prefix, _ in self._ours):
                continue  # What lies in it may be that field's, or that alias's.
            with suppress(AccessRefused):
                if stranger := self._stranger_in(location):
                    yield (
                        f"Somebody else stores in {_shown(location.prefix)} of bucket {self.bucket!r}: "
                        f"{stranger!r} is under no field's upload_to. Give this project a "
                        "B2FIELDS_LOCATION, or a bucket, of its own."
                    )

    def _stranger_in(self, location: Scope) -> str | None:
        known = [prefix for prefix, _ in self._ours]
        start: str | None = location.prefix
        while start is not None:
            page, start = location.storage.client.list_names(self.bucket, location.prefix, start)
            owner = ""
            for name in page:
                if owner and name.startswith(owner):
                    continue
                found = next((prefix for prefix in known if name.startswith(prefix)), None)
                if found is None:
                    return name
                owner = found
            if start is not None and owner and start.startswith(owner):
                start = max(start, f"{owner[:-1]}0")  # "0" follows "/": past what is left of this prefix.
        return None


def find_places(labels: Collection[str] = ()) -> list[Places]:
    """Return the places of this project's file fields, by bucket; *labels* limits what is looked at.

    Raises NotConfigured for a label that is no file field in B2, and if there is no such field.
    """
    buckets: dict[str, tuple[str, list[AnyFileField]]] = {}
    for field in references.file_fields():
        storage = references.b2_storage_of(field)
        if storage is not None and (name := references.bucket_of(storage)):
            # Bucket names are the same in any letter case (B2 docs, Buckets).
            buckets.setdefault(name.lower(), (name, []))[1].append(field)
    known = sorted(label_of(field) for _, fields in buckets.values() for field in fields)
    if not known:
        raise NotConfigured("No file field of this project stores in B2, or none that has a bucket.")
    for label in labels:
        if label not in known:
            raise NotConfigured(
                f"{label!r} is no file field that stores in B2. There are {', '.join(known)}."
            )
    found = [Places(bucket, fields, labels) for bucket, fields in buckets.values()]
    return [places for places in found if places.scopes()]


def label_of(field: AnyFileField) -> str:
    return f"{field.model._meta.label_lower}.{field.name}"


def prefix_of(field: AnyFileField) -> str | None:
    """Return what the names in the bucket of a field's uploads begin with; None if it can upload nothing.

    That is the location, and of upload_to the folders before the first "%".
    """
    own = references.place_of(field)
    return references.prefix_of(field) + own if names.is_well_formed(f"{own}x") else None


def _places(fields: Iterable[AnyFileField]) -> Iterator[tuple[str, _Place]]:
    """Yield the place of each field, by its label."""
    for field in fields:
        storage, prefix = references.b2_storage_of(field), prefix_of(field)
        if storage is not None and prefix is not None:
            location = Scope(references.prefix_of(field), storage)
            yield label_of(field), _Place(field, Scope(prefix, storage), location)


def _aliases_in(bucket: str) -> Iterator[tuple[str, str]]:
    for alias in settings.STORAGES:
        with suppress(ImproperlyConfigured):  # What cannot be built has stored nothing.
            storage = references.find_alias(alias)
            if storage is not None and (references.bucket_of(storage) or "").lower() == bucket.lower():
                yield alias, f"{storage.location}/" if storage.location else ""


def _disjoint(scopes: Iterable[Scope]) -> list[Scope]:
    found: list[Scope] = []
    for scope in sorted(scopes, key=lambda scope: scope.prefix):
        if not found or not scope.prefix.startswith(found[-1].prefix):
            found.append(scope)
    return found


def _shown(prefix: str) -> str:
    return repr(prefix) if prefix else "the whole bucket"
