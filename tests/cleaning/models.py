"""Models whose files follow their rows, in the shapes that rows take."""

from django.db import models

from b2fields import B2FileField, B2ImageField, B2Storage


class Folder(models.Model):
    name = models.CharField(max_length=50, blank=True)


class Note(models.Model):
    title = models.CharField(max_length=50, blank=True)
    code = models.CharField(max_length=20, null=True, blank=True, unique=True)
    folder = models.ForeignKey(Folder, models.CASCADE, null=True, blank=True)
    scan = B2FileField(upload_to="scans/", cleanup=True, blank=True)
    extra = B2FileField(upload_to="extras/", cleanup=True, null=True, blank=True)
    kept = B2FileField(upload_to="kept/", cleanup=False, blank=True)


class NoteProxy(Note):
    class Meta:
        proxy = True


class SealedNote(Note):
    """A child table with a file of its own."""

    seal = B2FileField(upload_to="seals/", cleanup=True, blank=True)


class Image(models.Model):
    photo = B2ImageField(
        upload_to="photos/", cleanup=True, info_field="info", width_field="width", height_field="height"
    )
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    info = models.JSONField(null=True)


class Shown(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(is_hidden=False)


class Hidden(models.Model):
    """Rows that the default manager hides, in the bucket of the others."""

    is_hidden = models.BooleanField(default=True)
    file = B2FileField(upload_to="scans/", blank=True)

    objects = Shown()


class Logo(models.Model):
    """A file that a field has for its default."""

    image = B2FileField(upload_to="logos/", default="logos/ours.png", cleanup=True)


class Stamp(models.Model):
    """A file that the database gives a row which is given none."""

    image = B2FileField(upload_to="stamps/", db_default="stamps/ours.png", cleanup=True)


class Undecided(models.Model):
    """A field that does what the setting says."""

    file = B2FileField(upload_to="undecided/", blank=True)


class Plain(models.Model):
    """Django's own field, in the bucket of the others."""

    file = models.FileField(storage=B2Storage(access="staff"), upload_to="scans/", blank=True)


class Replaced(models.Model):
    """Files under their own names, each upload in place of the one before."""

    file = B2FileField(storage=B2Storage(overwrite=True), unique_names=False, cleanup=True, blank=True)


class Person(models.Model):
    """A place that holds the place of another field."""

    file = B2FileField(upload_to="people/", cleanup=True, blank=True)
    passport = B2FileField(upload_to="people/passports/", access="staff", blank=True)


class Kept(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(is_deleted=False)


class Shelf(models.Model):
    """Rows that are deleted softly, hidden even by the base manager."""

    is_deleted = models.BooleanField(default=False)
    file = B2FileField(upload_to="shelves/", cleanup=True, blank=True)

    objects = Kept()

    class Meta:
        base_manager_name = "objects"
