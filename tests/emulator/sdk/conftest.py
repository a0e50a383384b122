import importlib
import random

import pytest

from ..clients import KEY

MIN_PART = 5_000_000
# Enough for three parts.
LARGE = random.Random(7).randbytes(2 * MIN_PART + 1000)


@pytest.fixture(params=["v2", "v3"])
def v(request):
    """One of the numbered interfaces of b2sdk."""
    return importlib.import_module(f"b2sdk.{request.param}")


@pytest.fixture
def sign_in(emulator, v):
    """Make an API of that interface that uses a key."""
    made = []

    def authorize(key=KEY):
        api = v.B2Api(v.InMemoryAccountInfo())
        made.append(api)
        if v.__name__ == "b2sdk.v2":
            api.authorize_account(emulator.realm, *key)
        else:
            api.authorize_account(*key, emulator.realm)
        return api

    yield authorize
    for api in made:
        api.session.raw_api.b2_http.session.close()


@pytest.fixture
def api(sign_in):
    return sign_in()


@pytest.fixture
def bucket(api, bucket_name):
    return api.create_bucket(bucket_name, "allPrivate")


@pytest.fixture
def large():
    return LARGE
