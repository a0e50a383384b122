"""The outbox in the admin: what waits to be removed, why it could not be, and how to keep it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from b2fields import cleanup
from b2fields.models import DroppedFile

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[DroppedFile]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(DroppedFile)
class DroppedFileAdmin(_ModelAdmin):
    list_display = ("name", "bucket", "field", "dropped", "due", "tries", "next_try", "error")
    list_filter = ("bucket", "field")
    search_fields = ("name", "error")
    actions = ("delete_selected", "remove_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DroppedFile | None = None) -> bool:
        return False

    @admin.action(description=_("Keep the selected files in B2"), permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[DroppedFile]) -> None:
        """Delete the entries: in place of Django's own action, whose words would say the opposite."""
        count, _by_model = queryset.delete()
        told = ngettext(
            "%(count)d file stays in B2, though no row names it.",
            "%(count)d files stay in B2, though no row names them.",
            count,
        )
        self.message_user(request, told % {"count": count}, messages.SUCCESS)

    @admin.action(description=_("Remove the selected files that are due now"), permissions=["delete"])
    def remove_now(self, request: HttpRequest, queryset: QuerySet[DroppedFile]) -> None:
        outcome: Counter[str] = cleanup.work(queryset.db, list(queryset.values_list("pk", flat=True)))
        told = _("%(removed)d removed, %(kept)d in use and kept, %(failed)d failed.")
        counts = {name: outcome[name] for name in ("removed", "kept", "failed")}
        self.message_user(request, told % counts, messages.WARNING if outcome["failed"] else messages.SUCCESS)
