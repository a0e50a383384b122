import os
from contextlib import contextmanager, suppress

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from b2fields import B2Storage

# Processes that race and die take their time: `make test-databases` runs them, on SQLite too.
if "B2FIELDS_TEST_DATABASE" not in os.environ:
    collect_ignore = ["test_kills.py", "test_races.py"]


class RollBack(Exception):
    """What a block in a transaction meets with."""


@contextmanager
def rolled_back(using=None):
    """Run a block in a transaction, or in a savepoint of one, that is rolled back by an error."""
    with suppress(RollBack), transaction.atomic(using=using):
        yield
        raise RollBack


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
