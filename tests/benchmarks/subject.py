"""What every subject of a comparison does, by methods that ``worker`` calls by their names.

What a subject has no method for, it cannot do. Each runs in a process and with settings of its own.
"""

import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, ClassVar, NamedTuple

CONTENT = b"1 KiB of text..\n" * 64
PAGE = 100
APPS = ("django.contrib.contenttypes", "django.contrib.auth", "tests.benchmarks.papers")


class Place(NamedTuple):
    """Where a subject stores, by which key, and the folder for its temporary files.

    The public bucket is one that everybody can read. A cache folder is for processes that share a cache;
    without one, each has its own in memory.
    """

    url: str
    key_id: str
    key: str
    bucket: str
    public_bucket: str
    folder: str
    cache_folder: str | None = None


class Subject:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._numbers = count()

    def name(self) -> str:
        return f"{os.getpid()}-{next(self._numbers)}.txt"

    def forget(self) -> None:
        """Drop what is remembered of files, so that the next look is the first."""

    def saves(self, times: int, size: int, threads: int = 1) -> None:
        """Save so many new files in each of the threads."""
        content = bytes(size)

        def save(_: int) -> None:
            for _ in range(times):
                self.save_unique(content)

        if threads == 1:
            save(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(save, range(threads)))

    def save_unique(self, content: bytes = CONTENT) -> str:
        raise NotImplementedError


class DjangoStorage(Subject):
    """A storage for Django, through what Django asks of every storage and of every file field.

    STORAGES has a "default" one that never overwrites, an "overwriting" one, one that keeps a name that is
    "free", and a "public" one, in a bucket that everybody can read if there are such.
    """

    APP: str
    FIELDS = ("django.db.models.FileField", "django.db.models.ImageField")
    FILE_OPTIONS: ClassVar[dict[str, str]] = {}

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        import django
        from django.conf import settings

        settings.configure(
            SECRET_KEY="only for benchmarks",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF="tests.benchmarks.urls",
            INSTALLED_APPS=[*APPS, self.APP],
            MIDDLEWARE=["tests.benchmarks.urls.signed_in"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            FILE_UPLOAD_TEMP_DIR=place.folder,
            FIELDS=self.FIELDS,
            FILE_OPTIONS=self.FILE_OPTIONS,
            **{"ROUTES": [], "CACHES": {"default": self.cache()}, **self.settings()},
        )
        django.setup()
        from django.apps import apps
        from django.db import connection

        with connection.schema_editor() as editor:
            for model in apps.get_app_config("papers").get_models():
                editor.create_model(model)

    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def cache(self) -> dict[str, Any]:
        folder = self.place.cache_folder
        backend = "locmem.LocMemCache" if folder is None else "filebased.FileBasedCache"
        return {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": folder or "here"}

    def storage(self, alias: str = "default") -> Any:
        from django.core.files.storage import storages

        return storages[alias]

    def model(self, name: str = "Paper") -> Any:
        from django.apps import apps

        return apps.get_model("papers", name)

    # Files

    def store(self, model: str = "Paper") -> str:
        """Save a file in a row; return its name."""
        from django.core.files.base import ContentFile

        row = self.model(model).objects.create(file=ContentFile(CONTENT, self.name()))
        return str(row.file.name)

    def save_unique(self, content: bytes = CONTENT, alias: str = "default") -> str:
        from django.core.files.base import ContentFile

        return str(self.storage(alias).save(self.name(), ContentFile(content)))

    def save_over(self) -> None:
        self.save_unique(alias="overwriting")

    def save_free(self) -> None:
        self.save_unique(alias="free")

    def public_url(self) -> None:
        self.storage("public").url("a/b.txt")

    def look(self, name: str) -> None:
        storage = self.storage()
        storage.exists(name), storage.size(name), storage.get_modified_time(name)

    def read(self, name: str) -> None:
        with self.storage().open(name) as file:
            file.read()

    def delete(self, name: str) -> None:
        self.storage().delete(name)

    # Rows and pages

    def start_up(self) -> None:
        from django.core.management import call_command

        call_command("check", stdout=io.StringIO(), stderr=io.StringIO())
        self.model()(file="a/b.txt").file.url  # noqa: B018 - asking is what is measured

    def fill_page(self) -> None:
        for _ in range(PAGE):
            self.store("KnownPaper")

    def page(self) -> None:
        """Read URL and size of a page of files, as a template does."""
        for row in self.model("KnownPaper").objects.all():
            row.file.url, row.file.size  # noqa: B018 - asking is what is measured

    def store_picture(self, path: str, model: str = "Picture") -> int:
        from django.core.files.images import ImageFile

        with open(path, "rb") as file:
            return int(self.model(model).objects.create(image=ImageFile(file, "a.jpg")).pk)

    def store_sized_picture(self, path: str) -> int:
        return self.store_picture(path, "SizedPicture")

    def width(self, pk: int, model: str = "Picture") -> int:
        return int(self.model(model).objects.get(pk=pk).image.width)

    def sized_width(self, pk: int) -> int:
        return self.width(pk, "SizedPicture")

    # A large file

    def prepare_upload(self, path: str) -> None:
        from django.core.files.uploadedfile import TemporaryUploadedFile

        size = os.path.getsize(path)
        self.upload = TemporaryUploadedFile("large.bin", "application/octet-stream", size, None)
        shutil.copyfile(path, self.upload.temporary_file_path())

    def save_upload(self) -> str:
        name = str(self.storage().save("large.bin", self.upload))
        self.upload.close()
        return name

    def read_large(self, name: str) -> None:
        with self.storage().open(name) as file:
            for _ in file.chunks():
                pass
