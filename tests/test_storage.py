"""B2Storage: Django's storage contract."""

import hashlib
import io
import os
import pickle
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import InMemoryUploadedFile, TemporaryUploadedFile
from django.test.utils import override_settings

from b2fields import B2Storage, claims
from b2fields.exceptions import FileMissing, InvalidMetadata, NotConfigured
from tests.between import between

NAMES = [
    pytest.param("plain.txt", id="a plain name"),
    pytest.param("a folder/and another/file name.txt", id="spaces and nested folders"),
    pytest.param("Verträge/合同/عقد.pdf", id="unicode"),
    pytest.param("100%/a+b&c=d?e#f;g.txt", id="characters that mean something in a URL"),
    pytest.param("emoji 👩‍⚖️.txt", id="joined emoji"),
    pytest.param("'quoted' \"twice\".txt", id="quotes"),
    pytest.param("no extension", id="no extension"),
    pytest.param(".hidden", id="a leading dot"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_lives_under_its_name(storage, name):
    assert storage.save(name, ContentFile(b"content")) == name
    assert storage.exists(name)
    assert storage.open(name).read() == b"content"
    assert storage.size(name) == 7
    folder, _, last = name.rpartition("/")
    assert storage.listdir(folder)[1] == [last]
    storage.delete(name)
    assert not storage.exists(name)


def test_times_are_those_of_the_upload(storage):
    name = storage.save("a.txt", ContentFile(b""))
    for told in (storage.get_created_time(name), storage.get_modified_time(name)):
        assert told.tzinfo == UTC
        assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)


@override_settings(USE_TZ=False)
def test_times_are_naive_without_time_zones(storage):
    name = storage.save("a.txt", ContentFile(b""))
    assert abs(storage.get_modified_time(name) - datetime.now()) < timedelta(minutes=1)


def test_a_time_that_the_uploader_stated_is_the_modified_time(emulator):
    storage = B2Storage(metadata={"src_last_modified_millis": "1000000000000"})
    name = storage.save("a.txt", ContentFile(b""))
    assert storage.get_modified_time(name) == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    assert storage.get_created_time(name).year > 2001


@pytest.mark.parametrize("ask", ["size", "get_created_time", "get_modified_time"])
def test_a_missing_file_is_a_FileNotFoundError(storage, ask):
    with pytest.raises(FileNotFoundError, match=r"no 'missing\.txt' in bucket"):
        getattr(storage, ask)("missing.txt")


def test_a_missing_file_is_noticed_when_it_is_read(storage):
    file = storage.open("missing.txt")
    with pytest.raises(FileMissing):
        file.read()


def test_deleting_a_missing_file_is_quiet_and_no_name_is_an_error(storage):
    storage.delete("missing.txt")
    with pytest.raises(ValueError, match="name"):
        storage.delete("")


def test_deleting_removes_every_version_and_no_other_name(emulator):
    storage = B2Storage(overwrite=True)
    for content in (b"1", b"2", b"3"):
        storage.save("a.txt", ContentFile(content))
    storage.save("a.txt.bak", ContentFile(b"other"))
    storage.delete("a.txt")
    assert not storage.exists("a.txt")
    assert storage.listdir("") == ([], ["a.txt.bak"])


def test_listdir_tells_folders_from_files(storage):
    for name in ("a.txt", "b/c.txt", "b/d/e.txt", "b/d/f.txt", "b0.txt", "z/last.txt"):
        storage.save(name, ContentFile(b""))
    assert storage.listdir("") == (["b", "z"], ["a.txt", "b0.txt"])
    assert storage.listdir("b") == storage.listdir("b/") == (["d"], ["c.txt"])
    assert storage.listdir("nothing/here") == ([], [])


def test_a_taken_name_gets_a_suffix(storage):
    first = storage.save("a.tar.gz", ContentFile(b"first"))
    second = storage.save("a.tar.gz", ContentFile(b"second"))
    assert first != second
    assert second.endswith(".tar.gz")
    assert (storage.open(first).read(), storage.open(second).read()) == (b"first", b"second")


def test_overwrite_replaces_what_has_the_name(emulator):
    storage = B2Storage(overwrite=True)
    assert storage.save("a.txt", ContentFile(b"first")) == "a.txt"
    assert storage.save("a.txt", ContentFile(b"second!")) == "a.txt"
    assert storage.open("a.txt").read() == b"second!"
    assert storage.size("a.txt") == 7


def test_unique_names_give_each_file_a_folder(emulator):
    storage = B2Storage(unique_names=True)
    names = {storage.save("f/a.txt", ContentFile(b"")) for _ in range(5)}
    assert len(names) == 5
    assert {(name.split("/")[0], name.split("/")[2]) for name in names} == {("f", "a.txt")}


def test_uploads_of_one_name_at_once_are_files_of_their_own(emulator):
    storage = B2Storage(unique_names=True)
    contents = [f"content {number}".encode() for number in range(50)]
    with ThreadPoolExecutor(16) as threads:
        names = list(threads.map(lambda content: storage.save("a.txt", ContentFile(content)), contents))
        stored = list(threads.map(lambda name: storage.open(name).read(), names))
    assert len(set(names)) == 50
    assert stored == contents


def test_saves_of_one_new_name_at_once_do_not_overwrite_each_other(storage):
    contents = [f"content {number}".encode() for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda content: storage.save("a.txt", ContentFile(content)), contents))
    assert len(set(names)) == 8
    assert [storage.open(name).read() for name in names] == contents


def test_the_name_that_is_left_for_the_slower_save_fits_too(storage):
    name = "x" * 36 + ".txt"
    with ThreadPoolExecutor(6) as threads:
        save = lambda number: storage.save(name, ContentFile(b"%d" % number), max_length=40)  # noqa: E731
        names = list(threads.map(save, range(6)))
    assert len(set(names)) == 6
    assert all(len(name) <= 40 for name in names)


def test_a_name_is_free_again_after_its_file_is_deleted_or_was_not_stored(storage, emulator):
    assert storage.save("a.txt", ContentFile(b"")) == "a.txt"
    storage.delete("a.txt")
    emulator.fault("b2_upload_file", status=403, code="storage_cap_exceeded")
    with pytest.raises(OSError, match="cap"):
        storage.save("a.txt", ContentFile(b""))
    assert storage.save("a.txt", ContentFile(b"")) == "a.txt"


LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
FORGETFUL = "django.core.cache.backends.dummy.DummyCache"


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param(FORGETFUL, id="remembers nothing"),
        pytest.param("tests.broken_cache.BrokenCache", id="down"),
    ],
)
def test_saves_of_one_new_name_in_one_process_need_no_cache_to_be_told_apart(storage, settings, backend):
    settings.CACHES = {"default": {"BACKEND": backend}}
    contents = [f"content {number}".encode() for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        names = list(threads.map(lambda content: storage.save("a.txt", ContentFile(content)), contents))
    assert len(set(names)) == 20
    assert [storage.open(name).read() for name in names] == contents


@pytest.fixture
def later(monkeypatch):
    """Set the clocks of this process so many seconds forward."""
    clocks = {"time": time.time, "monotonic": time.monotonic}

    def later(seconds):
        for name, clock in clocks.items():
            monkeypatch.setattr(time, name, lambda clock=clock: clock() + seconds)

    return later


@pytest.mark.parametrize(
    ("backend", "forget"),
    [
        pytest.param(FORGETFUL, lambda: None, id="this process"),
        pytest.param(LOCMEM, claims._ends.clear, id="the cache, for another process"),
    ],
)
def test_an_upload_that_takes_minutes_keeps_its_name_claimed_in(
    storage, emulator, settings, later, backend, forget
):
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "claims"}}
    storage.exists("warm.txt")
    emulator.clear()
    emulator.fault("b2_upload_file", delay=0.7)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(storage.save, "a.txt", ContentFile(b"slow"))
        while "b2_upload_file" not in emulator.operations():
            assert not slow.done()
        later(600)
        forget()
        quick = storage.save("a.txt", ContentFile(b"quick"))
        assert not slow.done()
    assert (slow.result(), storage.open("a.txt").read()) == ("a.txt", b"slow")
    assert storage.open(quick).read() == b"quick"


def test_a_name_stays_claimed_for_as_long_as_another_save_may_have_looked_before_it_was_stored(
    storage, bucket, settings, later, b2_api
):
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    storage.save("a.txt", ContentFile(b""))
    b2_api.get_bucket_by_name(bucket).hide_file("a.txt")  # so that looking finds none
    later(100)
    assert storage.save("a.txt", ContentFile(b"")) != "a.txt"
    later(130)
    assert storage.save("a.txt", ContentFile(b"")) == "a.txt"


def test_no_more_than_some_thousand_claims_are_remembered_and_the_longest_of_them(settings, bucket):
    settings.CACHES = {"default": {"BACKEND": FORGETFUL}}
    assert claims.claim(3600, bucket, "long")
    for number in range(claims._MOST + 10):
        assert claims.claim(60, bucket, str(number))
    assert len(claims._ends) <= claims._MOST
    assert not claims.claim(60, bucket, "long")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_claims_names_though_a_thread_of_its_parent_was_about_to(bucket):
    with claims._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            os._exit(0 if claims.claim(60, bucket, "forked") else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    "options",
    [{}, {"unique_names": True}, {"overwrite": True}],
    ids=["as it is", "unique names", "overwrite"],
)
def test_max_length_is_kept(emulator, options):
    storage = B2Storage(**options)
    storage.save("f/" + "x" * 30 + ".txt", ContentFile(b""))
    name = "f/" + "x" * 30 + ".txt"
    if options.get("overwrite"):
        assert storage.get_available_name(name, max_length=36) == name
        assert storage.get_available_name(name, max_length=10) == "f/xxxx.txt"
    available = storage.get_available_name(name, max_length=36)
    assert len(available) <= 36
    assert available.endswith(".txt")
    with pytest.raises(SuspiciousFileOperation):
        storage.get_available_name(name, max_length=6)


def test_location_is_a_prefix_that_names_do_not_show(emulator):
    storage = B2Storage(location="/media/files/")
    assert storage.save("a.txt", ContentFile(b"content")) == "a.txt"
    assert storage.listdir("") == ([], ["a.txt"])
    assert B2Storage().listdir("media/files") == ([], ["a.txt"])
    assert storage.open("a.txt").read() == b"content"
    storage.delete("a.txt")
    assert B2Storage().listdir("") == ([], [])


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/passwd", "..", "a\\..\\..\\b", "a\x00b", "a\nb", "a\x7fb", "a/../b"],
)
def test_a_name_that_leads_elsewhere_never_reaches_B2(emulator, name):
    storage = B2Storage(location="inside")
    with emulator.counted() as operations:
        for use in (storage.exists, storage.size, storage.delete, storage.get_modified_time):
            with pytest.raises(SuspiciousFileOperation):
                use(name)
        with pytest.raises(SuspiciousFileOperation):
            storage.open(name).read()
        with pytest.raises(SuspiciousFileOperation):
            storage.save(name, ContentFile(b""))
    assert operations == []


def test_a_new_name_is_stored_in_NFC_and_without_marks_that_reorder_it(storage):
    assert storage.save("Vertra\u0308ge/a\u202egpj.exe", ContentFile(b"")) == "Vertr\u00e4ge/agpj.exe"


def test_a_name_of_nothing_but_marks_is_refused(storage):
    with pytest.raises(SuspiciousFileOperation, match="Could not derive file name"):
        storage.save("folder/\u202e", ContentFile(b""))


def test_an_empty_name_is_the_location_which_exists(storage):
    assert storage.exists("")
    with pytest.raises(FileNotFoundError):
        storage.size("")


def test_there_is_no_local_path(storage):
    with pytest.raises(NotImplementedError):
        storage.path("a.txt")


# What can be saved


class Unseekable(io.RawIOBase):
    """A stream such as a network connection: it can be read once."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._content.readinto(buffer)


def temporary_upload(content):
    file = TemporaryUploadedFile("a.bin", "text/html", len(content), None)
    file.write(content)
    file.seek(0)
    return file


def moved(content):
    file = ContentFile(content)
    file.read(5)
    return file


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(ContentFile, id="a ContentFile"),
        pytest.param(io.BytesIO, id="a bare file object"),
        pytest.param(lambda c: File(Unseekable(c), "a.bin"), id="a stream that cannot seek"),
        pytest.param(temporary_upload, id="an upload that Django put on disk"),
        pytest.param(
            lambda c: InMemoryUploadedFile(io.BytesIO(c), "f", "a.bin", "text/html", len(c), None),
            id="an upload in memory",
        ),
        pytest.param(moved, id="a file that was read a little before"),
    ],
)
def test_save_stores_all_of(storage, make, size):
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    file = make(content)
    name = storage.save("a.bin", file)
    assert storage.open(name).read() == content
    assert storage.size(name) == size
    assert not file.closed
    file.close()


def test_a_file_over_the_part_size_goes_up_in_parts_and_comes_back_verified(storage, emulator, tmp_path):
    size = 110_000_000  # B2 recommends parts of 100 MB, and takes none below 5 MB but the last
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.write(b"begin")
        file.truncate(size)
    with emulator.counted() as operations, path.open("rb") as file:
        name = storage.save("large.bin", File(file))
    assert {"b2_start_large_file", "b2_upload_part", "b2_finish_large_file"} <= set(operations)
    stored = storage.metadata(name)
    digest = hashlib.sha1(usedforsecurity=False)
    with storage.open(name) as file:
        for chunk in file.chunks(1_000_000):
            digest.update(chunk)
    assert (stored.size, stored.sha1) == (size, digest.hexdigest())


def test_a_deletion_that_is_interrupted_brings_no_older_version_back(emulator):
    storage = B2Storage(overwrite=True)
    for content in (b"old", b"older", b"new"):
        storage.save("a.txt", ContentFile(content))
    emulator.fault("b2_delete_file_version", skip=1, status=403, code="access_denied")
    with pytest.raises(PermissionError):
        storage.delete("a.txt")
    assert storage.open("a.txt").read() == b"new"
    storage.delete("a.txt")
    assert not storage.exists("a.txt")


def test_a_version_whose_listing_tells_no_action_is_deleted_too(storage, emulator, settings):
    storage.save("a.txt", ContentFile(b""))

    def change(path, status, body):
        if "b2_list_file_versions" in path:
            body = body.replace(b'"action"', b'"another"')
        return status, body

    with between(emulator, change) as settings.B2FIELDS_REALM:
        storage.delete("a.txt")
        assert not storage.exists("a.txt")


def test_the_temporary_file_of_an_upload_is_used_up(storage):
    file = temporary_upload(b"content")
    storage.save("a.bin", file)
    assert not os.path.exists(file.temporary_file_path())
    assert file.read() == b"content"
    file.close()


def test_the_temporary_file_of_a_failed_upload_is_still_there(storage, emulator):
    emulator.fault("b2_upload_file", status=403, code="storage_cap_exceeded")
    with temporary_upload(b"content") as file:
        with pytest.raises(OSError, match="cap"):
            storage.save("a.bin", file)
        assert storage.open(storage.save("a.bin", file)).read() == b"content"


def test_text_is_stored_as_UTF8(storage):
    name = storage.save("a.txt", ContentFile("Grüße, 世界"))
    assert storage.open(name).read() == "Grüße, 世界".encode()
    name = storage.save("b.txt", io.StringIO("ü" * 100_000))
    assert storage.size(name) == 200_000


def test_the_type_comes_from_the_name_and_never_from_the_client(storage):
    upload = InMemoryUploadedFile(io.BytesIO(b"x"), "f", "a.png", "text/html", 1, None)
    assert storage.metadata(storage.save("a.PNG", upload)).content_type == "image/png"
    assert storage.metadata(storage.save("a.html", ContentFile(b"x"))).content_type == (
        "application/octet-stream"
    )


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        pytest.param({"a key": "x"}, "'a key'", id="a key with a space"),
        pytest.param({"k" * 51: "x"}, "up to 50", id="a key of 51 characters"),
        pytest.param({"key": "x" * 7000}, "at most 7000", id="more than the headers may hold"),
    ],
)
def test_metadata_that_B2_would_refuse_is_refused_before_the_upload(emulator, metadata, complaint):
    with emulator.counted() as operations, pytest.raises(InvalidMetadata, match=complaint):
        B2Storage(metadata=metadata, overwrite=True).save("a.txt", ContentFile(b""))
    assert operations == []


# Options, URLs and identity


def test_an_unknown_option_names_the_nearest_one():
    with pytest.raises(NotConfigured, match=r"no option 'buckt'\. Did you mean 'bucket'"):
        B2Storage(buckt="acme")


def test_a_private_storage_that_nothing_names_has_no_url(storage):
    with pytest.raises(NotConfigured, match="no alias in STORAGES names it"):
        storage.url("a.txt")


def test_a_storage_alias_has_the_route_of_its_level(settings):
    backend = "b2fields.storage.B2Storage"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": backend},
        "legal": {"BACKEND": backend, "OPTIONS": {"access": "staff"}},
    }
    assert storages["legal"].url("a b/ü?.txt") == "/b2s/legal/a%20b/%C3%BC%3F.txt"
    assert default_storage.url("a.txt") == "/b2l/default/a.txt"


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/../b", "a\x00b", ".."])
def test_the_url_of_a_name_that_no_file_has_leads_to_a_404(emulator, settings, client, name):
    settings.STORAGES = {
        **settings.STORAGES,
        "public": {"BACKEND": "b2fields.storage.B2Storage", "OPTIONS": {"access": "public"}},
    }
    url = storages["public"].url(name)
    assert url.startswith("/b2/public/")
    assert "/../" not in url
    with emulator.counted() as operations:
        assert client.get(url).status_code == 404
    assert operations in ([], ["b2_authorize_account", "b2_download_file_by_name"])


def test_a_url_without_the_routes_installed_says_so(settings):
    settings.ROOT_URLCONF = "tests.empty_urls"
    settings.STORAGES = {**settings.STORAGES, "legal": {"BACKEND": "b2fields.storage.B2Storage"}}
    with pytest.raises(NotConfigured, match=r'include\("b2fields.urls"\)'):
        storages["legal"].url("a.txt")


def test_storages_of_one_place_are_equal():
    assert B2Storage(bucket="a") == B2Storage(bucket="a", access="public")
    assert B2Storage(bucket="a") != B2Storage(bucket="b")
    assert len({B2Storage(bucket="a"), B2Storage(bucket="a")}) == 1


def test_the_default_storage_is_itself(settings):
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "b2fields.storage.B2Storage"}}
    assert default_storage == default_storage
    assert default_storage == storages["default"]


def test_a_pickled_storage_works_and_holds_no_key(storage):
    name = storage.save("a.txt", ContentFile(b"content"))
    again = pickle.loads(pickle.dumps(storage))
    assert again.open(name).read() == b"content"
    assert again.deconstruct() == storage.deconstruct()
    assert b"secret" not in pickle.dumps(B2Storage(application_key="secret"))


def test_settings_are_read_when_used(emulator, make_bucket, settings):
    storage = B2Storage()
    storage.save("a.txt", ContentFile(b""))
    settings.B2FIELDS_BUCKET = make_bucket()
    assert not storage.exists("a.txt")


def test_a_path_is_a_name(storage):
    path = Path("folder") / "a.txt"
    assert storage.save(path, ContentFile(b"content")) == "folder/a.txt"
    with storage.open(path) as file:
        assert (str(file), file.read()) == ("folder/a.txt", b"content")
    assert (storage.exists(path), storage.size(path)) == (True, 7)
    assert storage.listdir(Path()) == (["folder"], [])


class Insisting(B2Storage):
    """A storage of a project's own that overwrites, as Django's documentation shows one."""

    def get_available_name(self, name, max_length=None):
        return name


def test_a_subclass_that_insists_on_a_name_gets_it(emulator):
    storage = Insisting()
    assert storage.save("a.txt", ContentFile(b"old")) == "a.txt"
    assert storage.save("a.txt", ContentFile(b"new")) == "a.txt"
    assert storage.open("a.txt").read() == b"new"


def test_a_name_that_shares_its_folder_is_made_valid_as_in_every_storage_of_django(storage):
    assert storage.get_valid_name("test with space.txt") == "test_with_space.txt"


@pytest.mark.parametrize("name", ["w/x.txt", "w\\x.txt", "./w/x.txt", Path("w/x.txt")], ids=str)
def test_whatever_opens_a_file_of_an_alias_links_to_it(name, settings, emulator):
    settings.STORAGES = {**settings.STORAGES, "scans": {"BACKEND": "b2fields.B2Storage"}}
    assert storages["scans"].url(name) == "/b2l/scans/w/x.txt"
