import pytest

from ..clients import Native
from .clients import BODY, Browser, Site


@pytest.fixture(scope="module")
def key(emulator):
    """An application key that reads and writes, for the tests of this module."""
    client = Native(emulator.realm)
    yield client.create_key("readFiles", "writeFiles")
    client.http.close()


@pytest.fixture(scope="module")
def site(emulator, key):
    return Site(emulator.realm, key)


@pytest.fixture
def browser(emulator):
    found = Browser(emulator.realm)
    yield found
    found.http.close()


@pytest.fixture
def bucket(native, bucket_name):
    """The id of a private bucket of the test's own, deleted after it: there are more tests than buckets."""
    found = native.create_bucket(bucket_name)
    yield found
    for version in native.call("b2_list_file_versions", bucketId=found)["files"]:
        native.call("b2_delete_file_version", fileName=version["fileName"], fileId=version["fileId"])
    native.account_call("b2_delete_bucket", bucketId=found)


@pytest.fixture
def file(native, bucket):
    """A file of ten bytes, named ``name``, in the private bucket."""
    return native.upload(bucket, "name", BODY, Content_Type="text/plain")


@pytest.fixture
def public_name(native, bucket_name):
    """The name of a public bucket that holds such a file too."""
    native.upload(native.create_bucket(f"{bucket_name}-p", "allPublic"), "name", BODY)
    return f"{bucket_name}-p"
