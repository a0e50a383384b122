"""What a storage is told: its options, the settings behind them, and its identity."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Self

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, storages
from django.core.signals import setting_changed
from django.db import models
from django.utils.deconstruct import deconstructible
from django.utils.module_loading import import_string

from b2fields import encryption, names, policy, serving, shapes, signing
from b2fields.b2 import Account, Client
from b2fields.encryption import Encryption
from b2fields.exceptions import NotConfigured, PolicyConflict
from b2fields.http import Serving
from b2fields.shapes import NewBucket
from b2fields.shared import Place

# The options of a storage are the lower-case settings.
OPTIONS = (
    "access",
    "account_info",
    "anonymous",
    "application_key",
    "application_key_id",
    "bucket",
    "buckets",
    "cdn",
    "content_security_policy",
    "create_bucket",
    "delete",
    "delivery",
    "encryption",
    "inline_pdf",
    "inline_types",
    "location",
    "max_size",
    "metadata",
    "overwrite",
    "private_cache_control",
    "public_cache_control",
    "public_corp",
    "realm",
    "unique_names",
    "url_expiry",
    "vary",
)

DELIVERIES = ("proxy", "redirect", "accel")


@deconstructible
class _Deconstructible(Storage):
    """Only a base class, because the decorator replaces the method that ConfiguredStorage extends."""


class ConfiguredStorage(_Deconstructible):
    """What B2Storage is told, the settings behind it, and what makes two of them equal."""

    def __init__(self, **options: Any) -> None:
        unknown = sorted(options.keys() - set(OPTIONS))
        if unknown:
            options = {}  # A debug page shows the variables of this frame, and the key is not for it.
            near = difflib.get_close_matches(unknown[0], OPTIONS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(OPTIONS)}."
            raise NotConfigured(f"B2Storage has no option {unknown[0]!r}. {hint}")
        self._options = options
        # The field whose files these are, as "app.model.field"; None for a storage that stands alone.
        self._field_label: str | None = None

    def configured(self, *, field_label: str | None = None, **options: Any) -> Self:
        """Return a copy with the options that are not None; metadata goes over what there is."""
        other = self.__copy__()
        other._options = {**self._options, **{k: v for k, v in options.items() if v is not None}}
        if "metadata" in other._options:
            other._options["metadata"] = {
                **(self._options.get("metadata") or {}),
                **(options.get("metadata") or {}),
            }
        other._field_label = field_label or self._field_label
        return other

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        """Return what a migration writes down: everything but credentials."""
        path, args, kwargs = super().deconstruct()  # type: ignore[misc]
        if path == "b2fields.storage.B2Storage":  # The public name, so that migrations outlive a move.
            path = "b2fields.B2Storage"
        return path, args, _without_secrets(kwargs)

    def __getstate__(self) -> dict[str, Any]:
        # A pickle never holds the key; one that was passed here has to come from the settings then.
        state = self.__dict__.copy()
        state["_options"] = _without_secrets(self._options, but="application_key_id")
        args, kwargs = state["_constructor_args"]
        state["_constructor_args"] = args, _without_secrets(kwargs, but="application_key_id")
        return state

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: Any) -> Self:
        return self.__copy__()

    def __repr__(self) -> str:
        shown = _without_secrets(self._options)
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"

    def __str__(self) -> str:
        """Name the storage in a message: by its field, or its alias, or what it is."""
        if self._field_label:
            return self._field_label
        return f"STORAGES[{self.alias!r}]" if self.alias else repr(self)

    def __eq__(self, other: object) -> bool:
        """Storages are equal when their options lead to the same place."""
        if not isinstance(other, ConfiguredStorage) or type(self) is not type(other):
            return NotImplemented  # Django's default_storage, a proxy, compares from its side then.
        return self._place() == other._place()

    def __hash__(self) -> int:
        return hash(self._place())

    def _place(self) -> tuple[Any, ...]:
        return tuple(self._options.get(k) for k in ("realm", "application_key_id", "bucket", "location"))

    # Options

    def _option(self, name: str) -> Any:
        if name in self._options:
            return self._options[name]
        try:
            return getattr(settings, f"B2FIELDS_{name.upper()}")
        except AttributeError:
            raise NotConfigured(
                'The settings of b2fields are missing. Add "b2fields" to INSTALLED_APPS.'
            ) from None

    @property
    def access(self) -> policy.Access:
        """Who may read: a level or a callable. Raises NotConfigured for anything else."""
        access: policy.Access = self._option("access")
        policy.level_of(access, self)
        return access

    @property
    def level(self) -> str:
        return policy.level_of(self._option("access"), self)

    @property
    def delivery(self) -> str:
        """How files reach those who may read them. Raises NotConfigured for no known way."""
        delivery: object = self._option("delivery")
        if delivery not in DELIVERIES:
            raise NotConfigured(
                f'{self} has delivery={delivery!r}. Use "proxy", "redirect" (a short-lived link to B2) or '
                '"accel" (nginx fetches the file).'
            )
        if delivery != "proxy" and self.needs_key_to_read:
            raise NotConfigured(
                f"{self} has delivery={delivery!r}, but its files are encrypted by a key of yours (SSE-C), "
                'which neither a browser nor nginx sends. Use delivery="proxy".'
            )
        return str(delivery)

    @property
    def bucket(self) -> str:
        """The bucket's name: the option, else the level's of B2FIELDS_BUCKETS, else B2FIELDS_BUCKET."""
        buckets: Mapping[str, str] = self._option("buckets")
        name = self._options.get("bucket") or buckets.get(self.level) or settings.B2FIELDS_BUCKET
        if not name:
            raise NotConfigured(
                f"{self} has no bucket. Set B2FIELDS_BUCKET to a bucket's name, or pass bucket=."
            )
        return str(name)

    @property
    def has_unique_names(self) -> bool:
        """Tell whether each upload gets a random folder of its own."""
        of_field: bool = settings.B2FIELDS_UNIQUE_NAMES and self._field_label is not None
        return bool(self._options.get("unique_names", of_field))

    @property
    def location(self) -> str:
        """The prefix of every name, without slashes at its ends."""
        return names.exact(str(self._option("location")).strip("/"))

    @property
    def account(self) -> Account:
        """The account to use. Raises NotConfigured if there is no application key."""
        return Account(
            str(self._option("realm")).rstrip("/"),
            self._credential("application_key_id"),
            self._credential("application_key"),
            self.account_place,
        )

    @property
    def account_place(self) -> Place | None:
        """Where the account's tokens are shared. Raises NotConfigured."""
        return shapes.account_place(self._option("account_info"))

    def _credential(self, option: str) -> str:
        variable = f"B2_{option.upper()}"
        if value := self._option(option) or os.environ.get(variable):
            return str(value)
        raise NotConfigured(
            f"B2FIELDS_{option.upper()} is not set. Create an application key at Backblaze and give it there "
            f"or in the environment variable {variable}; the emulator (python -m b2fields.emulator) needs no "
            "account."
        )

    @property
    def client(self) -> Client:
        """B2 as this storage uses it: its account, encryption, and the bucket to create if it is missing."""
        return Client(self.account, self.encryption, self.new_bucket)

    @property
    def encryption(self) -> Encryption | None:
        """How files are encrypted. Raises NotConfigured for what is no encryption."""
        return encryption.parse(self._option("encryption"))

    @property
    def needs_key_to_read(self) -> bool:
        """Tell whether B2 wants a customer's key with each request for a file (SSE-C)."""
        declared = self.encryption
        return declared is not None and declared.mode == encryption.SSE_C

    @property
    def cdn(self) -> shapes.Cdn | None:
        """The host that serves the files of a public bucket. Raises NotConfigured."""
        return shapes.cdn(self._option("cdn"))

    @property
    def url_expiry(self) -> int:
        """Seconds that a signed link is valid. Raises NotConfigured."""
        seconds: object = self._option("url_expiry")
        if not signing.is_expiry(seconds):
            raise NotConfigured(
                "B2FIELDS_URL_EXPIRY must be a number of seconds from 1 to "
                f"{signing.MAX_SECONDS}; it is {seconds!r}."
            )
        return seconds

    @property
    def serving(self) -> Serving:
        """What of the headers of its files is configured. Raises NotConfigured."""
        return serving.parse(self._option)

    @property
    def anonymous(self) -> int:
        """The status for an anonymous visitor of a private file: 302 or 404. Raises NotConfigured."""
        return serving.anonymous(self._option("anonymous"))

    @property
    def max_size(self) -> int | None:
        """The most bytes of a file that is stored; None for no limit. Raises NotConfigured."""
        size: object = self._option("max_size")
        if size is not None and (type(size) is not int or size < 1):
            what = f"max_size of {self}" if "max_size" in self._options else "B2FIELDS_MAX_SIZE"
            raise NotConfigured(f"{what} must be None or a number of bytes; it is {size!r}.")
        return size

    @property
    def is_hiding(self) -> bool:
        """Tell whether a file that is deleted is only hidden, so that it can be brought back."""
        way: object = self._option("delete")
        if way not in ("delete", "hide"):
            raise NotConfigured(
                f'B2FIELDS_DELETE must be "delete" (every version) or "hide" (recoverable); it is {way!r}.'
            )
        return way == "hide"

    @property
    def create_bucket(self) -> NewBucket | None:
        """The settings of a bucket to create if it is missing. Raises NotConfigured."""
        declared: object = self._option("create_bucket")
        return None if declared is None else shapes.new_bucket(declared)

    def new_bucket(self) -> NewBucket | None:
        """Return the same for the bucket that is missing now.

        Raises PolicyConflict if it would be public and is for private files.
        """
        new = self.create_bucket
        if new and new.bucket_type != "allPrivate" and self.is_for_private_files:
            raise PolicyConflict(
                f"Bucket {self.bucket!r} of {self} is for private files and is missing, but "
                f"B2FIELDS_CREATE_BUCKET would create it as {new.bucket_type}: everybody could read its "
                'files. Create it yourself as a private one, or pass create_bucket={"bucket_type": '
                '"allPrivate"}.'
            )
        return new

    @property
    def is_for_private_files(self) -> bool:
        """Tell whether this storage, or another one in its bucket, has a private policy."""
        return self.level != "public" or self.bucket.lower() in _private_buckets()

    @property
    def alias(self) -> str | None:
        """The name under which settings.STORAGES declares this storage, if it does."""
        for alias in settings.STORAGES:
            with suppress(ImproperlyConfigured):  # of an alias that cannot be built
                if is_b2_alias(alias) and storages[alias] is self:
                    return str(alias)
        return None


def _without_secrets(options: Mapping[str, Any], but: str = "") -> dict[str, Any]:
    """Return the options that may be shown and stored, and *but*, the one that stays nevertheless."""
    kept = {k: v for k, v in options.items() if not k.startswith("application_key") or k == but}
    if "encryption" in kept:
        kept["encryption"] = encryption.without_key(kept["encryption"])
    return kept


def is_b2_alias(alias: str) -> bool:
    """Tell whether STORAGES declares a storage of ours under this alias, without building it."""
    try:
        backend = import_string(settings.STORAGES[alias].get("BACKEND", ""))
    except ImportError:
        return False
    return isinstance(backend, type) and issubclass(backend, ConfiguredStorage)


# The buckets of private files, and the list of models they were found in.
_known_private: tuple[list[type[models.Model]], frozenset[str]] | None = None


def _private_buckets() -> frozenset[str]:
    """Return the buckets, in lower case, of the fields and aliases with a private policy."""
    global _known_private
    # The same list until a model is added.
    every_model = apps.get_models(include_auto_created=True)
    known = _known_private
    if known is None or known[0] is not every_model:
        known = _known_private = (every_model, frozenset(_find_private_buckets(every_model)))
    return known[1]


def _find_private_buckets(every_model: list[type[models.Model]]) -> Iterator[str]:
    fields = (field for model in every_model for field in model._meta.local_concrete_fields)
    places: list[Callable[[], object]] = [
        partial(getattr, field, "storage") for field in fields if isinstance(field, models.FileField)
    ]
    places += [partial(storages.__getitem__, alias) for alias in settings.STORAGES if is_b2_alias(alias)]
    for place in places:
        with suppress(ImproperlyConfigured):  # What cannot be built has stored nothing.
            storage = place()
            if isinstance(storage, ConfiguredStorage) and storage.level != "public":
                yield storage.bucket.lower()


def _forget_private_buckets(*, setting: str, **kwargs: Any) -> None:
    global _known_private
    if setting == "STORAGES" or setting.startswith("B2FIELDS_"):
        _known_private = None


setting_changed.connect(_forget_private_buckets, dispatch_uid="b2fields.options")
