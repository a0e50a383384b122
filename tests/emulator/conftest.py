import itertools

import pytest

from .clients import Control, Native, running, sdk

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    """An emulator for the tests of one module."""
    with running(tmp_path_factory.mktemp("emulator") / "data") as found:
        yield found


@pytest.fixture
def native(emulator):
    client = Native(emulator.realm)
    yield client
    client.http.close()


@pytest.fixture
def api(emulator):
    with sdk(emulator.realm) as found:
        yield found


@pytest.fixture
def as_key(emulator):
    """Sign in with another key."""
    clients = []

    def sign_in(key):
        clients.append(Native(emulator.realm, key))
        return clients[-1]

    yield sign_in
    for client in clients:
        client.http.close()


@pytest.fixture
def control(emulator):
    found = Control(emulator.realm)
    found.reset()
    yield found
    found.reset()
    found.http.close()


@pytest.fixture
def bucket_name():
    return f"bucket-{next(numbers):05}"


@pytest.fixture
def bucket(native, bucket_name):
    """The id of a private bucket of the test's own."""
    return native.create_bucket(bucket_name)
