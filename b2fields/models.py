"""The outbox: the files that rows have dropped and that wait to be removed."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class DroppedFile(models.Model):
    """A file in B2 that a row no longer names; to be removed unless another row does.

    It is written in the transaction that drops the name, in that database, and deleted when the work is
    done. Deleting it before keeps the file.
    """

    field: models.TextField[str, str] = models.TextField(
        _("field"), help_text=_("The field that dropped it.")
    )
    bucket: models.CharField[str, str] = models.CharField(_("bucket"), max_length=63)
    name: models.TextField[str, str] = models.TextField(
        _("name"), help_text=_("Its name in the bucket, location included.")
    )
    # Of bucket and name: no index of MariaDB holds a name of 1,000 bytes.
    digest: models.CharField[str, str] = models.CharField(max_length=64, db_index=True, editable=False)
    # That of an upload whose row was never saved: this one version goes.
    file_id: models.CharField[str, str] = models.CharField(max_length=200, blank=True, editable=False)
    dropped: models.DateTimeField[datetime, datetime] = models.DateTimeField(_("dropped"))
    due: models.DateTimeField[datetime, datetime] = models.DateTimeField(
        _("due"), help_text=_("It is kept until then (B2FIELDS_CLEANUP_DELAY).")
    )
    tries: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(_("tries"), default=0)
    next_try: models.DateTimeField[datetime, datetime] = models.DateTimeField(_("next try"), db_index=True)
    error: models.TextField[str, str] = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("dropped file")
        verbose_name_plural = _("dropped files")
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, bucket: str, name: str, **values: Any) -> DroppedFile:
        """Return a new entry for a file by its bucket and its name there."""
        return cls(bucket=bucket, name=name, digest=digest_of(bucket, name), **values)


def digest_of(bucket: str, name: str) -> str:
    # Bucket names are the same in any letter case, file names are not (B2 docs).
    return hashlib.sha256(f"{bucket.lower()}/{name}".encode()).hexdigest()
