"""What a storage is told: its options, the settings behind them, and its identity."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, storages
from django.utils.deconstruct import deconstructible
from django.utils.module_loading import import_string

from b2fields import names, policy
from b2fields.b2 import Account, Client, connect
from b2fields.exceptions import NotConfigured

# The options of a storage are the lower-case settings.
OPTIONS = (
    "access",
    "account_info",
    "application_key",
    "application_key_id",
    "bucket",
    "buckets",
    "location",
    "metadata",
    "overwrite",
    "realm",
    "unique_names",
)


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
        return path, args, {k: v for k, v in kwargs.items() if not k.startswith("application_key")}

    def __getstate__(self) -> dict[str, Any]:
        # A pickle never holds the key; one that was passed here has to come from the settings then.
        state = self.__dict__.copy()
        state["_options"] = {k: v for k, v in self._options.items() if k != "application_key"}
        args, kwargs = state["_constructor_args"]
        state["_constructor_args"] = args, {k: v for k, v in kwargs.items() if k != "application_key"}
        return state

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __deepcopy__(self, memo: Any) -> Self:
        return self.__copy__()

    def __repr__(self) -> str:
        shown = {k: v for k, v in self._options.items() if not k.startswith("application_key")}
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
    def _unique_names(self) -> bool:
        of_field: bool = settings.B2FIELDS_UNIQUE_NAMES and self._field_label is not None
        return bool(self._options.get("unique_names", of_field))

    @property
    def location(self) -> str:
        """The prefix of every name, without slashes at its ends."""
        return names.exact(str(self._option("location")).strip("/"))

    @property
    def account(self) -> Account:
        """The account to use. Raises NotConfigured if there is no application key."""
        account_info: Mapping[str, str] = self._option("account_info")
        kind = account_info.get("type", "cache")
        if kind not in ("cache", "memory"):
            raise NotConfigured(f'B2FIELDS_ACCOUNT_INFO has type {kind!r}. Use "cache" or "memory".')
        return Account(
            str(self._option("realm")).rstrip("/"),
            self._credential("application_key_id"),
            self._credential("application_key"),
            cache_alias=account_info.get("alias", "default") if kind == "cache" else None,
        )

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
        return connect(self.account)

    @property
    def alias(self) -> str | None:
        """The name under which settings.STORAGES declares this storage, if it does."""
        for alias in settings.STORAGES:
            with suppress(ImproperlyConfigured):  # of an alias that cannot be built
                if is_b2_alias(alias) and storages[alias] is self:
                    return str(alias)
        return None


def is_b2_alias(alias: str) -> bool:
    """Tell whether STORAGES declares a storage of ours under this alias, without building it."""
    try:
        backend = import_string(settings.STORAGES[alias]["BACKEND"])
    except ImportError:
        return False
    return isinstance(backend, type) and issubclass(backend, ConfiguredStorage)
