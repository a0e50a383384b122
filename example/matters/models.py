"""What the office keeps of a matter: four files, and each says who may read it."""

from django.conf import settings
from django.db import models

from b2fields import B2FileField, B2ImageField


def may_read_dossier(request, matter):
    """The owner of the matter, and nobody else."""
    return request.user == matter.owner


class Matter(models.Model):
    title = models.CharField(max_length=100)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)

    # Everyone. Its width and height are kept in the row, so a page that shows it need not ask B2 for them.
    cover = B2ImageField(
        access="public",
        upload_to="covers/",
        info_field="cover_info",
        width_field="cover_width",
        height_field="cover_height",
        blank=True,
    )
    # Anyone who is logged in: the default for a field that declares no access.
    minutes = B2FileField(upload_to="minutes/", info_field="minutes_info", blank=True)
    # Staff: those who may log in to the admin.
    scan = B2FileField(access="staff", upload_to="scans/%Y/", info_field="scan_info", blank=True)
    # Whoever the function lets in; it is called for each row and each request.
    dossier = B2FileField(
        access=may_read_dossier, upload_to="dossiers/", info_field="dossier_info", blank=True
    )

    # What B2 said of each file when it was uploaded. Pages can show its size even while B2 is down.
    cover_info = models.JSONField(null=True, editable=False)
    minutes_info = models.JSONField(null=True, editable=False)
    scan_info = models.JSONField(null=True, editable=False)
    dossier_info = models.JSONField(null=True, editable=False)
    cover_width = models.PositiveIntegerField(null=True, editable=False)
    cover_height = models.PositiveIntegerField(null=True, editable=False)

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return self.title
