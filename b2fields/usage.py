"""What this project stores where: its fields and storages by account and bucket."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.db import models

from b2fields import references
from b2fields.b2 import Account
from b2fields.fields import B2FileField
from b2fields.storage import B2Storage

# What raises when it is read, if it was declared wrongly.
_OPTIONS = ("level", "bucket", "location", "account", "encryption", "delivery", "is_hiding", "create_bucket")
_MOST_SHOWN = 3


class Use(NamedTuple):
    """A storage and who stores there.

    *folder* is the storage's location as a prefix of names; all names begin with *prefix*, or with more
    than that if an upload_to is a callable (*is_callable*).
    """

    label: str
    storage: B2Storage
    folder: str
    prefix: str
    is_callable: bool


# Who cannot store anything, by the message that says why.
Faults = dict[str, list[str]]


def collect() -> tuple[list[Use], Faults]:
    """Return what fields and aliases use.

    The storage that the settings alone describe counts where nothing else uses its bucket, and its faults
    where nothing else is declared.
    """
    uses: list[Use] = []
    faults: Faults = {}
    for label, build, upload_to in _declared():
        uses += _usable(label, build, upload_to, faults)
    unused: Faults = {}
    alone = _usable("the settings", B2Storage, "", unused)
    if not uses and not faults:
        return alone, unused
    return uses + [use for use in alone if _place_of(use) not in map(_place_of, uses)], faults


def _declared() -> Iterator[tuple[str, Callable[[], object], object]]:
    """Yield what a message calls it, what builds its storage, and its upload_to."""
    for model in apps.get_models(include_auto_created=True):
        for field in [] if model._meta.proxy else model._meta.local_concrete_fields:
            if isinstance(field, B2FileField):
                yield field.label, partial(getattr, field, "storage"), field.upload_to
            elif isinstance(field, models.FileField):
                label = f"{model._meta.label_lower}.{field.name}"
                yield label, partial(references.b2_storage_of, field), field.upload_to
    for alias in settings.STORAGES:
        yield f"STORAGES[{alias!r}]", partial(references.find_alias, alias), ""


def _usable(label: str, build: Callable[[], object], upload_to: object, faults: Faults) -> list[Use]:
    """Return the use of a storage of ours, if it can be used; else tell *faults* why."""
    try:
        storage = build()
    except ImproperlyConfigured as error:
        _add(faults, error, label)
        return []
    if not isinstance(storage, B2Storage):
        return []
    is_usable = True
    for option in _OPTIONS:
        try:
            getattr(storage, option)
        except (ImproperlyConfigured, SuspiciousFileOperation) as error:
            _add(faults, error, label)
            is_usable = False
    if not is_usable:
        return []
    folder = f"{storage.location}/" if storage.location else ""
    begin = "" if callable(upload_to) else str(upload_to).partition("%")[0]
    return [Use(label, storage, folder, folder + begin, callable(upload_to))]


def _add(faults: Faults, error: Exception, label: str) -> None:
    labels = faults.setdefault(str(error), [])
    if label not in labels:
        labels.append(label)


def _place_of(use: Use) -> tuple[Account, str]:
    # Bucket names are unique in any letter case (B2 docs, Buckets).
    return use.storage.account, use.storage.bucket.lower()


def grouped(uses: Iterable[Use]) -> dict[Account, list[list[Use]]]:
    """Return the uses by account, and there those of one bucket together."""
    found: dict[Account, dict[str, list[Use]]] = {}
    for use in uses:
        account, bucket = _place_of(use)
        found.setdefault(account, {}).setdefault(bucket, []).append(use)
    return {account: list(buckets.values()) for account, buckets in found.items()}


def named(uses: Iterable[Use]) -> str:
    """Name who stores there, the first few of them."""
    return shortened([use.label for use in uses])


def shortened(labels: list[str]) -> str:
    shown = ", ".join(labels[:_MOST_SHOWN])
    more = len(labels) - _MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
