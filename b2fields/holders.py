"""Which files the rows of this project name, in every database: asked before anything is deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connections, models, router

from b2fields import references
from b2fields.defaults import defaults_of
from b2fields.exceptions import B2FieldsError
from b2fields.references import AnyFileField

# The most names in one query: SQLite takes 999 parameters in its older versions, Oracle 1,000.
_NAMES = 500
# Rows read together.
_PAGE = 2000
# What Django makes of {}, such as in {"default": {}, "users": …}.
_NO_DATABASE = "django.db.backends.dummy"


class CannotTell(B2FieldsError):
    """A database cannot say which files its rows name; what follows from that is that none may go."""


class Holder:
    """A file field in one database, whose rows name files of one bucket."""

    def __init__(self, field: AnyFileField, alias: str) -> None:
        self.field, self.alias = field, alias
        self._prefix = references.prefix_of(field)

    def __str__(self) -> str:
        return f"{self.field.model._meta.label}.{self.field.name} in {self.alias!r}"

    def named_among(self, full_names: Iterable[str]) -> Iterator[str]:
        """Yield those of some names in the bucket that a row names."""
        ours = [name.removeprefix(self._prefix) for name in full_names if name.startswith(self._prefix)]
        for start in range(0, len(ours), _NAMES):
            wanted = ours[start : start + _NAMES]
            found = self._rows.filter(**{f"{self.field.attname}__in": wanted})
            # Databases compare by their collation, some without regard to case or Unicode form.
            for name in set(wanted).intersection(map(str, found.values_list(self.field.attname, flat=True))):
                yield self._prefix + name

    def all_named(self) -> Iterator[str]:
        """Yield the name in the bucket of the file of each row that has one."""
        for _, name in by_page(self._rows, self.field.attname):
            if name:
                yield self._prefix + str(name)

    @property
    def _rows(self) -> models.QuerySet[Any]:
        # No manager: even a base manager may hide rows.
        return models.QuerySet(self.field.model, using=self.alias)


def by_page(rows: models.QuerySet[Any], attname: str) -> Iterator[tuple[Any, Any]]:
    """Yield the primary key and this value of each row, with no more than a page of them in memory.

    The drivers of MariaDB and MySQL fetch the whole answer, though ``iterator()`` is asked for.
    """
    found = rows.order_by("pk").values_list("pk", attname)
    if not rows.model._meta.managed:
        # Of a view, the primary key may be that in name alone; a page would end among equal ones.
        yield from rows.order_by().values_list("pk", attname).iterator(_PAGE)
        return
    page = list(found[:_PAGE])
    while page:
        yield from page
        page = list(found.filter(pk__gt=page[-1][0])[:_PAGE]) if len(page) == _PAGE else []


def holders(bucket: str) -> list[Holder]:
    """Return every file field of every concrete model in every database, whose files are in *bucket*.

    Raises CannotTell if a model has no table where its rows are written, DatabaseError if a database does
    not answer.
    """
    for field, reason in references.fields_in_unknown_places():
        raise CannotTell(
            f"Nobody can tell whether files of {field.model._meta.label}.{field.name} are in bucket "
            f"{bucket!r}. {reason}"
        )
    fields = list(references.fields_in(bucket))
    found = []
    for alias in connections if fields else ():
        if not is_database(alias):
            continue
        tables = _tables(alias)
        for field in fields:
            if field.model._meta.db_table in tables:
                found.append(Holder(field, alias))
            elif router.db_for_write(field.model) == alias:
                raise CannotTell(
                    f"{field.model._meta.label} has no table in database {alias!r}, so nobody can tell which "
                    "files its rows name. Run migrate."
                )
    return found


def is_database(alias: str) -> bool:
    """Tell whether there is a database behind an alias."""
    return bool(connections.settings[alias]["ENGINE"] != _NO_DATABASE)


def open_transaction() -> str | None:
    """Return the alias of a database in which this thread has a transaction open, but for that of a test.

    What the rows name within it may be rolled back.
    """
    for connection in connections.all(initialized_only=True):
        if not all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            return str(connection.alias)
    return None


def refuse_open_transaction() -> None:
    """Raise CannotTell within a transaction."""
    if alias := open_transaction():
        raise CannotTell(
            f"A transaction is open in database {alias!r}, and may be rolled back: then rows name files "
            "again that they do not name now. Remove files after the commit."
        )


def _tables(alias: str) -> set[str]:
    return set(connections[alias].introspection.table_names(include_views=True))


def named_among(bucket: str, full_names: Iterable[str], among: list[Holder] | None = None) -> set[str]:
    """Return those of some names in a bucket that a row of any database, or a field's default, names.

    Raises CannotTell and DatabaseError, as ``holders``, which may have been asked before.
    """
    wanted = set(full_names)
    named = wanted & set(defaults(bucket))
    for holder in holders(bucket) if among is None else among:
        named.update(holder.named_among(wanted - named))
    return named


def defaults(bucket: str) -> Iterator[str]:
    """Yield the names in the bucket that fields have for their default."""
    for field in references.fields_in(bucket):
        for name in defaults_of(field):
            yield references.prefix_of(field) + name
