"""A model with a field of each access level, all in one bucket, and the shapes that fields must survive."""

from django.core.exceptions import PermissionDenied
from django.db import models

from b2fields import B2FileField, B2ImageField, B2Storage, has_perm


def is_owner(request, instance):
    return request.user == instance.owner


def letter_info(instance, filename):
    return {"department": instance.department, "uploaded-as": filename}


class Contract(models.Model):
    owner = models.ForeignKey("auth.User", models.CASCADE, null=True, blank=True)
    title = models.CharField(max_length=100, blank=True)

    cover = B2FileField(access="public", upload_to="covers/", blank=True)
    minutes = B2FileField(upload_to="minutes/", blank=True)
    scan = B2FileField(access="staff", upload_to="scans/%Y/", blank=True)
    dossier = B2FileField(access=is_owner, upload_to="dossiers/", blank=True)


class Permit(models.Model):
    paper = B2FileField(access=has_perm("legal.view_permit"), upload_to="permits/", blank=True)


class Picture(models.Model):
    image = B2ImageField(access="public", width_field="width", height_field="height", null=True, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)


class Letter(models.Model):
    department = models.CharField(max_length=50)
    file = B2FileField(metadata=letter_info, unique_names=False, blank=True)


class Document(models.Model):
    file = B2FileField(access="staff", metadata={"kind": "document"}, blank=True)

    class Meta:
        abstract = True


class Report(Document):
    pass


class Invoice(Document):
    pass


class AnnualReport(Report):
    year = models.PositiveIntegerField(default=2026)


class ReportProxy(Report):
    class Meta:
        proxy = True


RULINGS = {
    "True": lambda: True,
    "False": lambda: False,
    "1": lambda: 1,
    "yes": lambda: "yes",
    "None": lambda: None,
    "denied": lambda: _raise(PermissionDenied("PermissionDenied, says the callable")),
    "failing": lambda: _raise(ValueError("ValueError, says the callable")),
}


def _raise(error):
    raise error


def ruling(request, instance):
    return RULINGS[instance.answer]()


class Ruling(models.Model):
    """A row whose callable answers what the row says, mistakes included."""

    answer = models.CharField(max_length=20, default="True")
    file = B2FileField(access=ruling, upload_to="rulings/", blank=True)


def vault():
    return B2Storage(location="vault")


class Unhidden(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(hidden=False)


class Archive(models.Model):
    """A model whose default manager hides rows; their files are referenced all the same."""

    hidden = models.BooleanField(default=False)
    file = B2FileField(access="staff", upload_to="archive/", blank=True)

    objects = Unhidden()


class Deed(models.Model):
    """A field within a location of its own, in the bucket of all others."""

    file = B2FileField(access="staff", storage=vault, blank=True)


class Payslip(models.Model):
    """Django's own field in a storage that STORAGES does not name."""

    file = models.FileField(storage=B2Storage(location="payroll", access="staff"), blank=True)


class Attachment(models.Model):
    """Django's own field, in whatever storage STORAGES calls the default one."""

    file = models.FileField(blank=True)


class Exhibit(models.Model):
    """Rows that keep what is known of their files."""

    title = models.CharField(max_length=100, blank=True)
    scan = B2FileField(access="staff", upload_to="exhibits/", info_field="scan_info", blank=True)
    scan_info = models.JSONField(null=True, editable=False)
    photo = B2ImageField(access="staff", upload_to="photos/", info_field="photo_info", blank=True)
    photo_info = models.JSONField(default=dict, editable=False)


class ExhibitProxy(Exhibit):
    class Meta:
        proxy = True


class SealedExhibit(Exhibit):
    """A child table with a file and info of its own, beside those of its parent."""

    seal = B2FileField(access="staff", upload_to="seals/", info_field="seal_info", blank=True)
    seal_info = models.JSONField(null=True, editable=False)


class Testimony(models.Model):
    """Info that stands above its file, so that a save reads it before the upload."""

    audio_info = models.JSONField(null=True, editable=False)
    audio = B2FileField(access="staff", unique_names=False, info_field="audio_info", blank=True)

    class Meta:
        abstract = True


class Hearing(Testimony):
    pass


class Recording(models.Model):
    """Files that the visitor fetches from B2, and files that this site sends whatever the setting says."""

    video = B2FileField(delivery="redirect", blank=True)
    transcript = B2FileField(delivery="proxy", blank=True)
