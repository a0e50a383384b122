"""easy-thumbnails over B2: sources in a field, thumbnails in an alias of STORAGES."""

import pytest
from django.template import Context, Engine
from easy_thumbnails.files import get_thumbnailer

from b2fields.signals import pre_cleanup
from tests.libraries.models import Exhibit

# Two libraries of these tests have tags of this name.
ENGINE = Engine(libraries={"thumbnail": "easy_thumbnails.templatetags.thumbnail"})
PAGE = ENGINE.from_string("{% load thumbnail %}{% thumbnail exhibit.image 80x60 crop %}")
OPTIONS = {"size": (80, 60), "crop": True}


def test_a_page_shows_a_thumbnail_of_the_right_size_to_staff_alone(exhibit, assert_for_staff_alone):
    assert_for_staff_alone(PAGE.render(Context({"exhibit": exhibit})), (80, 60))


def test_the_first_view_is_four_requests_and_the_next_none(exhibit, emulator):
    with emulator.counted() as operations:
        first = PAGE.render(Context({"exhibit": exhibit}))
    # The source. What an earlier thumbnail left. Is there one still, asks save()? The thumbnail.
    assert operations == [
        "b2_download_file_by_name",
        "b2_list_file_versions",
        "head_file_by_name",
        "b2_upload_file",
    ]
    with emulator.counted() as operations:
        assert PAGE.render(Context({"exhibit": Exhibit.objects.get()})) == first
    assert operations == []


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
def test_the_size_of_a_thumbnail_is_at_most_one_request(exhibit, emulator, settings, kept):
    settings.THUMBNAIL_CACHE_DIMENSIONS = kept
    get_thumbnailer(exhibit.image).get_thumbnail(OPTIONS)
    with emulator.counted() as operations:
        thumbnail = get_thumbnailer(Exhibit.objects.get().image).get_thumbnail(OPTIONS)
        assert (thumbnail.width, thumbnail.height) == (80, 60)
    assert operations == ([] if kept else ["b2_download_file_by_name"])


def test_a_new_source_has_a_new_thumbnail(exhibit, thumbnails):
    before = get_thumbnailer(exhibit.image).get_thumbnail(OPTIONS).name
    exhibit.image.save("statue.png", exhibit.image.file)
    after = get_thumbnailer(exhibit.image).get_thumbnail(OPTIONS).name
    assert before != after
    assert thumbnails.exists(before)
    assert thumbnails.exists(after)


def test_deleting_removes_the_thumbnails(exhibit, thumbnails):
    thumbnailer = get_thumbnailer(exhibit.image)
    name = thumbnailer.get_thumbnail(OPTIONS).name
    assert thumbnailer.delete_thumbnails() == 1
    assert not thumbnails.exists(name)


def test_cleanup_takes_the_thumbnails_along(
    exhibit, thumbnails, settings, django_capture_on_commit_callbacks
):
    """What the README shows."""
    settings.B2FIELDS_CLEANUP = True
    name = get_thumbnailer(exhibit.image).get_thumbnail(OPTIONS).name

    def delete_thumbnails(file, **kwargs):
        get_thumbnailer(file).delete_thumbnails()

    pre_cleanup.connect(delete_thumbnails, sender=Exhibit)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            exhibit.delete()
    finally:
        pre_cleanup.disconnect(delete_thumbnails, sender=Exhibit)
    assert not thumbnails.exists(name)
