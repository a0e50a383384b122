import itertools
import os

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from b2fields import B2Storage, testing
from tests import emulated
from tests.counting_cache import CountingCache

# What starts other programs takes a third of the time. `make test LONG=1` runs it too, and so does CI.
if not os.environ.get("LONG"):
    collect_ignore = [
        "emulator/test_b2_tool.py",
        "emulator/test_command_line.py",
        "emulator/test_rclone.py",
        "test_browser.py",
        "test_example.py",
        "test_readme.py",
    ]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def emulator_process(tmp_path_factory):
    key = f"{emulated.KEY_ID}:{emulated.KEY}"
    with testing.run(tmp_path_factory.mktemp("b2"), "--key", key) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def b2_api(emulator_process):
    """The SDK itself, for what happens behind the back of b2fields."""
    from b2sdk import v3

    api = v3.B2Api(v3.InMemoryAccountInfo())
    api.authorize_account(emulated.KEY_ID, emulated.KEY, emulator_process.realm)
    return api


@pytest.fixture
def make_bucket(b2_api, emulator_process):
    """Create a bucket and return its name."""
    made = []

    def make(bucket_type="allPrivate"):
        made.append(b2_api.create_bucket(f"bucket-{next(_numbers)}", bucket_type))
        return made[-1].name

    yield make
    # An account has at most 100 buckets, and there are more tests than that.
    emulator_process.heal()
    for bucket in made:
        for version, _ in bucket.ls(latest_only=False, recursive=True):
            if version.action == "start":
                b2_api.cancel_large_file(version.id_)
            else:
                b2_api.delete_file_version(version.id_, version.file_name)
        b2_api.delete_bucket(bucket)


@pytest.fixture
def bucket(make_bucket, emulator_process, settings):
    """A private bucket of this test's own, and the settings that make it everybody's."""
    cache.clear()
    settings.B2FIELDS_REALM = emulator_process.realm
    settings.B2FIELDS_APPLICATION_KEY_ID = emulated.KEY_ID
    settings.B2FIELDS_APPLICATION_KEY = emulated.KEY
    settings.B2FIELDS_BUCKET = make_bucket()
    return settings.B2FIELDS_BUCKET


@pytest.fixture
def emulator(bucket, emulator_process):
    """The emulator, ready for this test: no faults, an empty log."""
    emulator_process.heal()
    emulator_process.clear()
    yield emulator_process
    emulator_process.heal()


@pytest.fixture
def storage(emulator):
    return B2Storage()


@pytest.fixture
def owner(db):
    return User.objects.create_user("owner", password="owner")


@pytest.fixture
def visitors(db, owner):
    """One user of each kind; None is the anonymous visitor."""
    return {
        "anonymous": None,
        "inactive": User.objects.create_user("inactive", password="x", is_active=False, is_staff=True),
        "member": User.objects.create_user("member", password="x"),
        "owner": owner,
        "staff": User.objects.create_user("staff", password="x", is_staff=True),
        "superuser": User.objects.create_superuser("superuser", password="x"),
    }


@pytest.fixture
def counting_cache(emulator, settings):
    """Django's cache, with a list of its accesses."""
    settings.CACHES = {"default": {"BACKEND": "tests.counting_cache.CountingCache", "LOCATION": "counting"}}
    yield CountingCache
    cache.clear()
