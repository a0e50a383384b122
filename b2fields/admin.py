"""The outbox in the admin: what waits to be removed, why it could not be, and how to keep it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db import router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
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
    list_display = ("name", "field", "due", "tries", "next_try", "trouble")
    list_filter = ("bucket", "field")
    search_fields = ("name", "error")
    actions = ("delete_selected", "remove_now")

    @admin.display(description=_("error"))
    def trouble(self, entry: DroppedFile) -> str:
        return Truncator(entry.error).chars(60)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DroppedFile | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DroppedFile | None = None) -> bool:
        """Take away Django's own buttons, whose words say the opposite of what would happen."""
        return False

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Tell whether somebody may take entries out of the outbox, and so decide on their files."""
        return super().has_delete_permission(request)

    @admin.action(description=_("Keep the selected files in B2"), permissions=["decide"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[DroppedFile]) -> None:
        """Delete the entries, in place of Django's own action."""
        count, _by_model = queryset.delete()
        told = ngettext(
            "%(count)d file stays in B2, though no row names it.",
            "%(count)d files stay in B2, though no row names them.",
            count,
        )
        self.message_user(request, told % {"count": count}, messages.SUCCESS)

    @admin.action(description=_("Remove the selected files that are due now"), permissions=["decide"])
    def remove_now(self, request: HttpRequest, queryset: QuerySet[DroppedFile]) -> None:
        using, pks = router.db_for_write(DroppedFile), list(queryset.values_list("pk", flat=True))
        outcomes: list[Counter[str]] = []
        # At once, unless the project has the whole request in a transaction (ATOMIC_REQUESTS).
        transaction.on_commit(lambda: outcomes.append(cleanup.work(using, pks)), using=using)
        if not outcomes:
            self.message_user(request, _("They are removed when this request is committed."))
            return
        told = _("%(removed)d removed, %(kept)d in use and kept, %(failed)d failed.")
        counts = {name: outcomes[0][name] for name in ("removed", "kept", "failed")}
        level = messages.WARNING if counts["failed"] else messages.SUCCESS
        self.message_user(request, told % counts, level)
