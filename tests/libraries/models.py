"""A model as a project has it that uses these libraries; needs what the dependency group "test" installs."""

from django.db import models
from imagekit.models import ImageSpecField
from imagekit.processors import ResizeToFill

from b2fields import B2FileField, B2ImageField


class Exhibit(models.Model):
    image = B2ImageField(access="staff", upload_to="exhibits/", blank=True)
    poster = B2ImageField(access="public", upload_to="posters/", blank=True)
    paper = B2FileField(upload_to="papers/", blank=True)

    thumbnail = ImageSpecField(source="image", processors=[ResizeToFill(40, 30)], format="PNG")
