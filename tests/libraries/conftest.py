import io

import easy_thumbnails.storage
import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils.functional import empty
from PIL import Image
from sorl.thumbnail import default as sorl
from sorl.thumbnail.images import get_or_create_storage

from b2fields import B2Storage
from tests.images import png
from tests.libraries.models import Exhibit


def forget_storages():
    """Let the libraries that keep a storage for the life of the process take it from STORAGES again."""
    sorl.storage._wrapped = empty
    get_or_create_storage.cache_clear()
    easy_thumbnails.storage.thumbnail_default_storage = easy_thumbnails.storage.get_storage()


@pytest.fixture
def thumbnails(db, emulator, settings):
    """The storage of thumbnails, for staff as their sources are, in the bucket of all fields."""
    settings.B2FIELDS_LOCATION = "media"
    backend = {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"access": "staff", "location": "thumbnails"}}
    settings.STORAGES = {**settings.STORAGES, "thumbnails": backend}
    settings.THUMBNAIL_STORAGE = "thumbnails"  # sorl-thumbnail
    settings.THUMBNAIL_DEFAULT_STORAGE_ALIAS = "thumbnails"  # easy-thumbnails
    settings.IMAGEKIT_DEFAULT_FILE_STORAGE = "thumbnails"
    forget_storages()
    yield storages["thumbnails"]
    forget_storages()


@pytest.fixture
def forget():
    """Empty the cache, where the libraries and we keep what we know, and be connected again."""

    def forget():
        cache.clear()
        B2Storage(overwrite=True).save("warm", ContentFile(b"warm"))

    return forget


@pytest.fixture
def exhibit(thumbnails, forget):
    """A row with a staff image of 400 x 300 pixels, in a process that is connected and knows nothing."""
    Exhibit.objects.create(image=ContentFile(png(400, 300), "statue.png"))
    forget()
    return Exhibit.objects.get()


@pytest.fixture
def assert_for_staff_alone(client, visitors):
    """Fetch a thumbnail by its URL as each visitor; staff alone get an image, of this size and colour."""

    def check(url, size):
        assert url.startswith("/b2s/thumbnails/")
        assert client.get(url).status_code == 302
        for name in ("inactive", "member", "owner"):
            client.force_login(visitors[name])
            assert client.get(url).status_code == 403
        for name in ("staff", "superuser"):
            client.force_login(visitors[name])
            response = client.get(url)
            assert response.status_code == 200
            with Image.open(io.BytesIO(response.getvalue())) as image:
                assert image.size == size
                assert image.convert("RGB").getpixel((5, 5)) == pytest.approx((0, 128, 128), abs=3)

    return check
