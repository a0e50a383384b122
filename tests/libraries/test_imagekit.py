"""django-imagekit over B2: a spec beside its source field, what it makes in an alias of STORAGES."""

from django.core.files.base import ContentFile

from tests.images import png
from tests.libraries.models import Exhibit


def test_a_spec_has_the_right_size_and_is_for_staff_alone(exhibit, assert_for_staff_alone):
    assert (exhibit.thumbnail.width, exhibit.thumbnail.height) == (40, 30)
    assert_for_staff_alone(exhibit.thumbnail.url, (40, 30))


def test_the_first_view_is_four_requests_and_the_next_none(exhibit, emulator):
    with emulator.counted() as operations:
        first = exhibit.thumbnail.url
    # Is there one? The source. Is there one still, asks save()? The thumbnail.
    assert operations == [
        "head_file_by_name",
        "b2_download_file_by_name",
        "head_file_by_name",
        "b2_upload_file",
    ]
    with emulator.counted() as operations:
        assert Exhibit.objects.get().thumbnail.url == first
    assert operations == []


def test_a_thumbnail_that_only_b2_remembers_is_looked_up_once(exhibit, emulator, forget):
    first = exhibit.thumbnail.url
    forget()
    with emulator.counted() as operations:
        assert Exhibit.objects.get().thumbnail.url == first
        assert Exhibit.objects.get().thumbnail.url == first
    assert operations == ["head_file_by_name"]


def test_loading_rows_asks_nothing(exhibit, emulator):
    with emulator.counted() as operations:
        assert [row.image.name for row in Exhibit.objects.all()] == [exhibit.image.name]
        Exhibit.objects.get().save()
    assert operations == []


def test_a_new_source_has_a_new_thumbnail(exhibit, assert_for_staff_alone):
    before = exhibit.thumbnail.url
    exhibit.image.save("statue.png", ContentFile(png(200, 200)))
    after = Exhibit.objects.get().thumbnail.url
    assert after != before
    assert_for_staff_alone(after, (40, 30))
