"""Django REST framework over B2: serializers as ModelSerializer makes them of our fields."""

import io

import pytest
from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image, ImageFile
from rest_framework import serializers
from rest_framework.test import APIClient

from b2fields import B2Storage
from tests.images import encoded, png, png_that_claims
from tests.libraries.models import Exhibit
from tests.libraries.urls import ExhibitSerializer


@pytest.fixture
def api(emulator, settings, visitors):
    settings.ROOT_URLCONF = "tests.libraries.urls"
    B2Storage().client.bucket(settings.B2FIELDS_BUCKET)
    client = APIClient()
    client.force_login(visitors["staff"])
    return client


def upload(name, content):
    return SimpleUploadedFile(name, content)


def test_the_serializer_fields_are_those_of_django_fields():
    fields = ExhibitSerializer().get_fields()
    assert isinstance(fields["image"], serializers.ImageField)
    assert isinstance(fields["poster"], serializers.ImageField)
    assert type(fields["paper"]) is serializers.FileField


def test_an_upload_is_stored_and_its_url_is_in_the_answer(api, client, emulator):
    image = png(20, 10)
    response = api.post("/api/exhibits/", {"image": upload("statue.png", image)})
    assert response.status_code == 201
    exhibit = Exhibit.objects.get()
    assert response.json() == {
        "image": f"http://testserver{exhibit.image.url}",
        "poster": None,
        "paper": None,
    }
    assert "/b2s/libraries.exhibit.image/exhibits/" in response.json()["image"]
    assert api.get(exhibit.image.url).getvalue() == image
    assert client.get(exhibit.image.url).status_code == 302
    assert (exhibit.image.width, exhibit.image.height) == (20, 10)


def test_an_upload_is_one_request_to_b2(api, emulator):
    api.post("/api/exhibits/", {"paper": upload("first.pdf", b"%PDF")})
    with emulator.counted() as operations:
        api.post("/api/exhibits/", {"paper": upload("a.pdf", b"%PDF"), "image": upload("a.png", png(9, 9))})
    assert operations == ["b2_upload_file", "b2_upload_file"]


def test_a_list_of_rows_asks_nothing(api, emulator):
    for number in range(3):
        api.post("/api/exhibits/", {"paper": upload(f"{number}.pdf", b"%PDF")})
    with emulator.counted() as operations:
        urls = [row["paper"] for row in api.get("/api/exhibits/").json()]
    assert operations == []
    assert len(set(urls)) == 3
    assert all(url.startswith("http://testserver/b2l/libraries.exhibit.paper/papers/") for url in urls)


def test_a_replacement_is_a_file_of_its_own(api):
    api.post("/api/exhibits/", {"paper": upload("a.pdf", b"old")})
    first = Exhibit.objects.get()
    response = api.patch(f"/api/exhibits/{first.pk}/", {"paper": upload("a.pdf", b"new")})
    assert response.status_code == 200
    second = Exhibit.objects.get()
    assert second.paper.name != first.paper.name
    assert second.paper.open().read() == b"new"


def test_a_file_is_cleared_by_null(api):
    api.post("/api/exhibits/", {"paper": upload("a.pdf", b"old"), "image": upload("a.png", png(9, 9))})
    exhibit = Exhibit.objects.get()
    url = exhibit.paper.url
    response = api.patch(f"/api/exhibits/{exhibit.pk}/", {"paper": None}, format="json")
    assert response.json()["paper"] is None
    exhibit.refresh_from_db()
    assert not exhibit.paper
    assert exhibit.image
    assert api.get(url).status_code == 404


def test_other_changes_leave_the_file_alone(api, emulator):
    api.post("/api/exhibits/", {"paper": upload("a.pdf", b"old")})
    exhibit = Exhibit.objects.get()
    with emulator.counted() as operations:
        api.patch(f"/api/exhibits/{exhibit.pk}/", {"poster": None}, format="json")
    assert operations == []
    assert Exhibit.objects.get().paper.name == exhibit.paper.name


def test_what_is_no_image_is_refused_and_not_uploaded(api, emulator):
    with emulator.counted() as operations:
        response = api.post("/api/exhibits/", {"image": upload("a.png", b"<script>alert(1)</script>")})
    assert response.status_code == 400
    assert "image" in response.json()
    assert operations == []


@pytest.fixture
def decoded(monkeypatch):
    """The classes of the images that Pillow decodes."""
    classes = []
    load = ImageFile.ImageFile.load

    def recorded(self):
        classes.append(type(self).__name__)
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", recorded)
    return classes


def ico():
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "ICO")
    return file.getvalue()


def test_django_alone_decodes_an_icon_when_it_opens_it(decoded):
    forms.ImageField().clean(upload("a.png", ico()))
    assert decoded


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        pytest.param(ico(), "PNG, JPEG, GIF or WEBP", id="an icon that is named .png, which opening decodes"),
        pytest.param(encoded("TIFF"), "PNG, JPEG, GIF or WEBP", id="a TIFF that is named .png"),
        pytest.param(png_that_claims(30_000, 30_000), "image", id="an image of 900 million pixels"),
        pytest.param(png_that_claims(10_000, 9_000), "image", id="an image a little over the limit"),
        pytest.param(encoded("GIF", frames=1200), "more than 1000 frames", id="an endless animation"),
    ],
)
def test_a_bomb_is_refused_before_anything_decodes_it(api, emulator, decoded, image, complaint):
    decoded.clear()
    with emulator.counted() as operations:
        response = api.post("/api/exhibits/", {"image": upload("a.png", image)})
    assert response.status_code == 400
    assert complaint in str(response.json()["image"])
    assert operations == []
    assert decoded == []


@pytest.mark.parametrize("field", ["image", "paper"])
@pytest.mark.parametrize("size", [100_001, 3_000_000], ids=["in memory", "on disk"])
def test_what_is_larger_than_the_setting_is_refused_and_not_uploaded(api, emulator, settings, field, size):
    settings.B2FIELDS_MAX_SIZE = 100_000
    with emulator.counted() as operations:
        response = api.post("/api/exhibits/", {field: upload("a.png", b"x" * size)})
    assert response.status_code == 400
    assert response.json() == {field: ["The file is too large: at most 97.7\xa0KB."]}
    assert operations == []


def test_a_field_that_a_serializer_declares_may_take_the_checks_of_the_models(api, emulator):
    class Declared(serializers.Serializer):
        file = serializers.FileField(validators=Exhibit._meta.get_field("image").validators)

    assert not Declared(data={"file": upload("a.png", ico())}).is_valid()
    assert Declared(data={"file": upload("a.png", png(2, 2))}).is_valid()


def test_a_name_as_text_is_no_upload(api, emulator):
    api.post("/api/exhibits/", {"image": upload("a.png", png(9, 9))})
    name = Exhibit.objects.get().image.name
    response = api.post("/api/exhibits/", {"paper": name}, format="json")
    assert response.status_code == 400


def test_visitors_without_permission_upload_nothing(api, visitors, emulator):
    api.force_login(visitors["member"])
    with emulator.counted() as operations:
        assert api.post("/api/exhibits/", {"paper": upload("a.pdf", b"x")}).status_code == 403
    assert operations == []
