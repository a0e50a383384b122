"""What is compared: b2fields, b2sdk itself, and two other storages for Django."""

import io
import os
import shutil
from functools import cached_property
from typing import Any, ClassVar

from .subject import CONTENT, DjangoStorage, Subject


class Sdk(Subject):
    """b2sdk, by one who knows it."""

    @cached_property
    def bucket(self) -> Any:
        from b2sdk import v3

        api = v3.B2Api(v3.InMemoryAccountInfo())
        api.authorize_account(self.place.key_id, self.place.key, self.place.url)
        return api.get_bucket_by_name(self.place.bucket)

    def save_unique(self, content: bytes = CONTENT) -> str:
        name = self.name()
        self.bucket.upload_bytes(content, name)
        return name

    store = save_over = save_unique

    def save_free(self) -> None:
        from b2sdk.v3.exception import FileNotPresent

        name = self.name()
        try:
            self.bucket.get_file_info_by_name(name)
        except FileNotPresent:
            self.bucket.upload_bytes(CONTENT, name)

    def public_url(self) -> None:
        self.bucket.get_download_url("a/b.txt")

    def look(self, name: str) -> None:
        self.bucket.get_file_info_by_name(name)

    def read(self, name: str) -> None:
        self.bucket.download_file_by_name(name).save(io.BytesIO())

    def delete(self, name: str) -> None:
        file = self.bucket.get_file_info_by_name(name)
        self.bucket.api.delete_file_version(file.id_, name)

    def prepare_upload(self, path: str) -> None:
        self.upload = os.path.join(self.place.folder, self.name())
        shutil.copyfile(path, self.upload)

    def save_upload(self) -> str:
        name = self.name()
        self.bucket.upload_local_file(self.upload, name)
        os.unlink(self.upload)
        return name

    def read_large(self, name: str) -> None:
        # By one request, and verified: what cannot seek is not downloaded in several streams.
        with open(os.devnull, "wb") as nowhere:
            self.bucket.download_file_by_name(name).save(nowhere, allow_seeking=False)


class B2Fields(DjangoStorage):
    APP = "b2fields"
    FIELDS = ("b2fields.B2FileField", "b2fields.B2ImageField")
    FILE_OPTIONS: ClassVar[dict[str, str]] = {"info_field": "info"}

    def settings(self) -> dict[str, Any]:
        return {
            "ROUTES": ["b2fields.urls"],
            "B2FIELDS_REALM": self.place.url,
            "B2FIELDS_APPLICATION_KEY_ID": self.place.key_id,
            "B2FIELDS_APPLICATION_KEY": self.place.key,
            "B2FIELDS_BUCKET": self.place.bucket,
            "B2FIELDS_BUCKETS": {"public": self.place.public_bucket},
            "STORAGES": {
                alias: {"BACKEND": "b2fields.B2Storage", "OPTIONS": options}
                for alias, options in {
                    "default": {"unique_names": True},
                    "overwriting": {"overwrite": True},
                    "free": {},
                    "public": {"access": "public"},
                }.items()
            },
        }

    def forget(self) -> None:
        from django.core.cache import cache

        cache.clear()

    def get_proxied(self, name: str, method: str = "get", **headers: str) -> Any:
        """Ask the view for a file, as a browser does, and return the headers of its answer."""
        from django.test import Client

        url = self.model()(file=name).file.url
        response = getattr(Client(), method)(url, headers=headers)
        if response.status_code >= 400:
            raise RuntimeError(f"The view answered {response.status_code}")
        response.getvalue()
        return dict(response.headers)

    def get_range(self, name: str) -> None:
        self.get_proxied(name, Range="bytes=100-199")

    def head_proxied(self, name: str) -> None:
        self.get_proxied(name, method="head")

    def get_unchanged(self, name: str) -> None:
        etag = self.get_proxied(name, method="head")["ETag"]
        self.get_proxied(name, **{"If-None-Match": etag})


class Backblaze(DjangoStorage):
    """django-backblaze-b2 as its documentation sets it up; its own view serves signed-in users."""

    APP = "django_backblaze_b2"

    def settings(self) -> dict[str, Any]:
        backend = "django_backblaze_b2.storages.LoggedInStorage"
        return {
            "ROUTES": ["django_backblaze_b2.urls"],
            "CACHES": {"default": self.cache(), "django-backblaze-b2": self.cache()},
            "BACKBLAZE_CONFIG": {
                "realm": self.place.url,
                "application_key_id": self.place.key_id,
                "application_key": self.place.key,
                "bucket": self.place.bucket,
                "specific_bucket_names": {"public": self.place.public_bucket},
            },
            "STORAGES": {
                "default": {"BACKEND": backend},
                "overwriting": {"BACKEND": backend, "OPTIONS": {"opts": {"allow_file_overwrites": True}}},
                "free": {"BACKEND": backend},
                "public": {"BACKEND": "django_backblaze_b2.storages.PublicStorage"},
            },
        }

    def get_proxied(self, name: str) -> None:
        from django.test import Client

        response = Client().get(self.model()(file=name).file.url)
        if response.status_code >= 400:
            raise RuntimeError(f"The view answered {response.status_code}")
        response.getvalue()


class S3(DjangoStorage):
    """The S3 storage of django-storages, as it is but for where it stores and that it keeps what is there."""

    APP = "storages"

    def settings(self) -> dict[str, Any]:
        backend = "storages.backends.s3.S3Storage"
        keeping = {"BACKEND": backend, "OPTIONS": {"file_overwrite": False}}
        return {
            "AWS_S3_ENDPOINT_URL": self.place.url,
            "AWS_S3_ACCESS_KEY_ID": self.place.key_id,
            "AWS_S3_SECRET_ACCESS_KEY": self.place.key,
            "AWS_S3_REGION_NAME": "us-east-1",
            "AWS_STORAGE_BUCKET_NAME": self.place.bucket,
            "STORAGES": {
                "default": keeping,
                "overwriting": {"BACKEND": backend},
                "free": keeping,
                "public": {"BACKEND": backend},
            },
        }


SUBJECTS: dict[str, type[Subject]] = {
    "b2fields": B2Fields,
    "b2sdk": Sdk,
    "django-backblaze-b2": Backblaze,
    "django-storages (S3)": S3,
}
