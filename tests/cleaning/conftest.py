import pytest
from django.core.files.base import ContentFile

from b2fields import B2Storage


def upload(name="a.txt", content=b"content"):
    return ContentFile(content, name)


@pytest.fixture
def names(emulator, bucket):
    """Return the names of all files in the bucket that have a version which is no hide marker."""

    def names():
        found, start = set(), (None, None)
        while True:
            page, start = B2Storage().client.list_versions(bucket, "", start)
            found |= {version.name for version in page if version.action == "upload"}
            if start[0] is None:
                return found

    return names
