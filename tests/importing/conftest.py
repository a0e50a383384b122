import os

import pytest

from tests.imports import on_disk

# Processes that die again and again take their time: `make test-databases` runs them.
if "B2FIELDS_TEST_DATABASE" not in os.environ:
    collect_ignore = ["test_kills.py"]


@pytest.fixture
def old(tmp_path, settings, emulator):
    """Where the files are: a folder, which STORAGES calls "old"."""
    settings.STORAGES = {**settings.STORAGES, "old": on_disk(tmp_path / "old")}
    return tmp_path / "old"


@pytest.fixture
def versions(b2_api, bucket):
    """The names of all versions that the bucket holds, in order."""
    return lambda: [
        version.file_name
        for version, _ in b2_api.get_bucket_by_name(bucket).ls(latest_only=False, recursive=True)
    ]
