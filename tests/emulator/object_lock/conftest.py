import time

import pytest


@pytest.fixture
def locked(native, bucket_name):
    """The id of a private bucket with object lock."""
    return native.create_bucket(bucket_name, fileLockEnabled=True)


@pytest.fixture
def found(api, locked, bucket_name):
    """The same as b2sdk sees it."""
    return api.get_bucket_by_name(bucket_name)


@pytest.fixture
def plain(native, bucket_name):
    """The id of another one, without lock."""
    return native.create_bucket(f"{bucket_name}-plain")


@pytest.fixture
def now():
    """The time, in milliseconds; the emulator's is the same unless a test moves it."""
    return int(time.time() * 1000)
