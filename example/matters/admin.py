from django.contrib import admin

from matters.models import Matter


@admin.register(Matter)
class MatterAdmin(admin.ModelAdmin):
    list_display = ["title", "owner"]
    list_filter = ["owner"]
    # The admin links to files as any page does: a dossier's owner may follow the link, the admin may not.
    fields = ["title", "owner", "cover", "minutes", "scan", "dossier"]
