"""sorl-thumbnail over B2: sources in a field, thumbnails in an alias of STORAGES."""

import sorl.thumbnail
from django.core.files.base import ContentFile
from django.template import Context, Engine
from sorl.thumbnail import get_thumbnail
from sorl.thumbnail.models import KVStore

from b2fields.signals import pre_cleanup
from tests.images import png
from tests.libraries.models import Exhibit

# Two libraries of these tests have tags of this name.
ENGINE = Engine(libraries={"thumbnail": "sorl.thumbnail.templatetags.thumbnail"})
PAGE = ENGINE.from_string(
    "{% load thumbnail %}"
    '{% thumbnail exhibit.image "80x60" crop="center" as im %}'
    "{{ im.url }} {{ im.width }}x{{ im.height }}"
    "{% endthumbnail %}"
)


def test_a_page_shows_a_thumbnail_of_the_right_size_to_staff_alone(exhibit, assert_for_staff_alone):
    url, size = PAGE.render(Context({"exhibit": exhibit})).split()
    assert size == "80x60"
    assert_for_staff_alone(url, (80, 60))


def test_the_first_view_is_four_requests_and_the_next_none(exhibit, emulator):
    with emulator.counted() as operations:
        first = PAGE.render(Context({"exhibit": exhibit}))
    # Is there one? The source. Is there one still, asks save()? The thumbnail.
    assert operations == [
        "head_file_by_name",
        "b2_download_file_by_name",
        "head_file_by_name",
        "b2_upload_file",
    ]
    with emulator.counted() as operations:
        assert PAGE.render(Context({"exhibit": Exhibit.objects.get()})) == first
    assert operations == []


def test_a_thumbnail_that_only_the_database_remembers_costs_nothing(exhibit, emulator, forget):
    made = get_thumbnail(exhibit.image, "80x60")
    forget()
    with emulator.counted() as operations:
        assert get_thumbnail(exhibit.image, "80x60").url == made.url
    assert operations == []


def test_a_thumbnail_that_only_b2_remembers_is_not_made_again(exhibit, emulator, forget):
    made = get_thumbnail(exhibit.image, "80x60")
    KVStore.objects.all().delete()
    forget()
    with emulator.counted() as operations:
        assert get_thumbnail(exhibit.image, "80x60").name == made.name
    # sorl-thumbnail opens both for their sizes, which it keeps.
    assert operations == ["head_file_by_name", "b2_download_file_by_name", "b2_download_file_by_name"]


def test_two_sizes_of_an_image_are_two_files(exhibit, thumbnails):
    names = {get_thumbnail(exhibit.image, geometry).name for geometry in ("80x60", "40x30")}
    assert len(names) == 2
    assert all(thumbnails.exists(name) for name in names)


def test_a_public_source_does_not_make_its_thumbnail_public(thumbnails, assert_for_staff_alone):
    exhibit = Exhibit.objects.create(poster=ContentFile(png(400, 300), "poster.png"))
    assert_for_staff_alone(get_thumbnail(exhibit.poster, "80x60").url, (80, 60))


def test_deleting_removes_the_source_and_its_thumbnails(exhibit, thumbnails):
    thumbnail = get_thumbnail(exhibit.image, "80x60")
    sorl.thumbnail.delete(exhibit.image)
    assert not thumbnails.exists(thumbnail.name)
    assert not exhibit.image.storage.exists(exhibit.image.name)


def test_thumbnails_among_files_of_other_policies_are_shown_to_nobody(exhibit, client, visitors, settings):
    url = get_thumbnail(exhibit.image, "80x60").url
    client.force_login(visitors["superuser"])
    assert client.get(url).getvalue()
    settings.B2FIELDS_LOCATION = ""  # So that a field may have stored a file below "thumbnails/" too.
    assert client.get(url).status_code == 404


def test_cleanup_takes_the_thumbnails_along(
    exhibit, thumbnails, settings, django_capture_on_commit_callbacks
):
    """What the README shows."""
    settings.B2FIELDS_CLEANUP = True
    name = get_thumbnail(exhibit.image, "80x60").name

    def delete_thumbnails(file, **kwargs):
        sorl.thumbnail.delete(file, delete_file=False)

    pre_cleanup.connect(delete_thumbnails, sender=Exhibit)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            exhibit.delete()
    finally:
        pre_cleanup.disconnect(delete_thumbnails, sender=Exhibit)
    assert not thumbnails.exists(name)
    assert not KVStore.objects.exists()
