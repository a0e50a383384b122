"""What drops a name: the signals of the models whose fields clean up, written down in the outbox."""

from __future__ import annotations

import functools
import logging
from typing import Any

from django.apps import apps
from django.core.exceptions import SuspiciousOperation
from django.core.signals import setting_changed
from django.db import connections, models, router
from django.db.models.signals import class_prepared, post_delete, post_save, pre_delete, pre_save

from b2fields.cleanup import ledger, outbox, pending
from b2fields.exceptions import B2FieldsError
from b2fields.fieldfiles import B2FieldFile, uploaded
from b2fields.fields import SAVING, B2FileField

logger = logging.getLogger("b2fields")


# Which models are listened to


def connect() -> None:
    """Listen to the models whose fields clean up, also to those that come later, and to no other."""
    connect_models()
    class_prepared.connect(_connect_model, dispatch_uid="b2fields.cleanup")
    setting_changed.connect(_on_setting, dispatch_uid="b2fields.cleanup")


def connect_models() -> None:
    # Proxies too: they are senders of their own.
    for model in apps.get_models(include_auto_created=True):
        _connect_model(model)


def _on_setting(*, setting: str, **kwargs: Any) -> None:
    if setting == "B2FIELDS_CLEANUP":
        connect_models()


def _connect_model(sender: type[models.Model], **kwargs: Any) -> None:
    if sender._meta.abstract or sender._meta.apps is not apps:  # a past model, of a migration
        return
    is_wanted = bool(cleaned_fields(sender))
    for signal, receiver in (
        (pre_save, before_save),
        (post_save, after_save),
        (pre_delete, before_delete),
        (post_delete, after_delete),
    ):
        change = signal.connect if is_wanted else signal.disconnect
        change(receiver, sender=sender, dispatch_uid="b2fields.cleanup")
    if is_wanted:
        uploaded.connect(after_upload, dispatch_uid="b2fields.cleanup")
        _watch(sender)


def cleaned_fields(model: type[models.Model]) -> list[B2FileField]:
    """Return the fields of a model that clean up, those of its parents included."""
    return [
        field for field in model._meta.concrete_fields if isinstance(field, B2FileField) and field.is_cleaned
    ]


# Saving


class Saving:
    """One save of a row under way. What it drops is written to the outbox right before the row is."""

    def __init__(self, instance: models.Model, using: str, fields: list[B2FileField]) -> None:
        self.instance, self.using, self.fields = instance, using, fields
        self.dropped: list[int] = []
        self._waiting = {field.model: {f for f in fields if f.model is field.model} for field in fields}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # A copy of the instance is not being saved.

    def about_to_write(self, field: B2FileField, add: bool) -> None:
        """Drop the row's old names, once the last file of its table is uploaded.

        Not before: another process may replace them during an upload.
        """
        waiting = self._waiting.get(field.model, set())
        if field not in waiting:
            return
        waiting.discard(field)
        if not waiting:
            fields = [f for f in self.fields if f.model is field.model]
            stored = {} if add else names_in_row(self.instance, field.model, fields, self.using)
            for each in fields:
                self._write(each, stored.get(each.attname, ""))

    def _write(self, field: B2FileField, old: str) -> None:
        new = name_of(self.instance, field)
        # An upload that was replaced before the row was saved never stood in one.
        uploads = {u.name for u in pending.uploads_of(self.instance) if u.field == field}
        names = {old, *uploads} - {new, ""}
        if new and new != old:
            if new not in uploads or not field.b2_storage.has_unique_names:
                outbox.take_up(self.using, field, new)
            if new not in uploads and old and not _is_stored(field, new):
                # An instance that was loaded before another process replaced the file writes the old name
                # back. It must not take the new file along.
                names.discard(old)
        if names:
            self.dropped += outbox.drop(self.using, field, sorted(names))


def before_save(
    sender: type[models.Model],
    instance: models.Model,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    """Have the fields tell when they are about to be written; a fixture says what is, and drops nothing."""
    fields = [
        field
        for field in cleaned_fields(sender)
        if update_fields is None or not update_fields.isdisjoint((field.name, field.attname))
    ]
    if fields and not raw:
        vars(instance)[SAVING] = Saving(instance, using, fields)


def after_save(sender: type[models.Model], instance: models.Model, using: str, **kwargs: Any) -> None:
    saving: Saving | None = vars(instance).pop(SAVING, None)
    if saving is None:
        return
    uploads = _settle(instance, saving)
    if not connections[using].in_atomic_block:
        for upload in uploads:
            upload.forget()
        uploads = []
    if saving.dropped or uploads:
        # The uploads once more: they may have been made for another database than the row was saved in.
        ledger.at_the_end(using, dropped=saving.dropped, uploads=uploads)


def _settle(instance: models.Model, saving: Saving) -> list[pending.Upload]:
    """Return the uploads of a save that has ended: the rows tell now what is to become of them."""
    uploads = [upload for upload in pending.uploads_of(instance) if upload.field in saving.fields]
    for upload in uploads:
        upload.is_settled = True
    return uploads


def after_upload(
    sender: type[B2FieldFile], file: B2FieldFile, file_id: str, given_name: str, content: Any, **kwargs: Any
) -> None:
    """Remember an upload until its row is saved for good."""
    instance = file.instance
    upload = pending.add(file, file_id, given_name, content)
    saving: Saving | None = vars(instance).get(SAVING)
    using = saving.using if saving else router.db_for_write(type(instance), instance=instance)
    if connections[using].in_atomic_block:
        ledger.at_the_end(using, uploads=[upload])


def _watch(model: type[models.Model]) -> None:
    """Have a model take back what it uploaded for a save that fails; Django sends no signal then."""
    save_base = model.save_base
    if getattr(save_base, "_b2fields_watches", False):
        return

    @functools.wraps(save_base)
    def watched(self: models.Model, *args: Any, **kwargs: Any) -> None:
        # A receiver may save the instance once more within its save.
        outer = vars(self).pop(SAVING, None)
        try:
            save_base(self, *args, **kwargs)
        except BaseException:
            _give_up(self)
            raise
        finally:
            vars(self).pop(SAVING, None)
            if outer is not None:
                vars(self)[SAVING] = outer

    watched._b2fields_watches = True  # type: ignore[attr-defined]
    model.save_base = watched  # type: ignore[method-assign]


def _give_up(instance: models.Model) -> None:
    """Let the rows tell what a save that raised has written, and what of its files is to go."""
    saving: Saving | None = vars(instance).pop(SAVING, None)
    if saving is None:
        return
    uploads = _settle(instance, saving)
    if not saving.dropped and not uploads:
        return
    using = saving.using
    try:
        if connections[using].in_atomic_block or not connections[using].get_autocommit():
            ledger.at_the_end(using, dropped=saving.dropped, uploads=uploads)
        else:
            ledger.finish(using, saving.dropped, uploads)
    except Exception:
        # The error of the save is the one to raise.
        logger.exception("b2fields could not remove what a failed save uploaded; b2_audit will find it.")


# Deleting


def before_delete(
    sender: type[models.Model], instance: models.Model, using: str, origin: Any = None, **kwargs: Any
) -> None:
    """Note the names of a row that is about to go, in the transaction that deletes it."""
    table = sender._meta.concrete_model
    fields = [field for field in cleaned_fields(sender) if field.model is table]
    held = vars(instance)
    # What a cascade or a queryset found was just loaded. The instance that somebody deletes, and the
    # parents that were made of it, hold what they were given.
    is_loaded = origin is not None and not isinstance(origin, sender)
    if is_loaded and all(field.attname in held for field in fields):
        stored = {field.attname: name_of(instance, field) for field in fields}
    else:
        stored = names_in_row(instance, table, fields, using)
    uploads = pending.uploads_of(instance)
    for field in fields:
        # With uploads that no row will name any more.
        names = {stored.get(field.attname, ""), *(u.name for u in uploads if u.field == field)} - {""}
        if names:
            ledger.leave(using, field, names)


def after_delete(sender: type[models.Model], using: str, **kwargs: Any) -> None:
    """Drop what was noted, at once for all rows: Django tells of each before it deletes the first."""
    ledger.drop_leaving(using)


# Rows


def _is_stored(field: B2FileField, name: str) -> bool:
    """Tell whether B2 has a file: one request, whatever is remembered; False if it cannot be told."""
    try:
        field.b2_storage.look_up(name)
    except (B2FieldsError, SuspiciousOperation):
        return False
    return True


def name_of(instance: models.Model, field: B2FileField) -> str:
    """Return the name that an instance holds."""
    return str(getattr(getattr(instance, field.attname), "name", None) or "")


def names_in_row(instance: models.Model, table: Any, fields: list[B2FileField], using: str) -> dict[str, str]:
    """Return the names that the row holds in the database, whatever the instance does."""
    pk = instance._get_pk_val(table._meta)
    if not fields or pk is None:
        return {}
    # No manager: even a base manager may hide rows.
    rows: models.QuerySet[Any] = models.QuerySet(table, using=using).filter(pk=pk)
    connection = connections[using]
    if connection.in_atomic_block and connection.features.has_select_for_update:
        # Else another transaction could replace the name between this and our update.
        rows = rows.select_for_update(no_key=connection.features.has_select_for_no_key_update)
    attnames = [field.attname for field in fields]
    row = next(iter(rows.values(*attnames)), None)
    return {attname: str(row[attname] or "") for attname in attnames} if row else {}
