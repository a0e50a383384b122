import itertools

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from b2fields import B2Storage
from tests import emulated

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def emulator_process(tmp_path_factory):
    emulator = emulated.start(tmp_path_factory.mktemp("b2"))
    yield emulator
    emulator.close()


@pytest.fixture
def make_bucket(emulator_process):
    """Create a bucket and return its name."""
    from b2sdk import v3

    api = v3.B2Api(v3.InMemoryAccountInfo())
    api.authorize_account(emulated.KEY_ID, emulated.KEY, emulator_process.realm)

    def make(bucket_type="allPrivate"):
        name = f"bucket-{next(_numbers)}"
        api.create_bucket(name, bucket_type)
        return name

    return make


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
