"""Rows with files, in the fields of the storage that a process measures."""

from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

FileField, ImageField = map(import_string, settings.FIELDS)


class Paper(models.Model):
    file = FileField()


class KnownPaper(models.Model):
    """A paper that keeps in its row what is known of its file, if the field can do that."""

    file = FileField(**settings.FILE_OPTIONS)
    info = models.JSONField(null=True)


class Picture(models.Model):
    image = ImageField()


class SizedPicture(models.Model):
    """A picture whose width and height stand in the row."""

    image = ImageField(width_field="width", height_field="height")
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
