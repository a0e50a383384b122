"""File objects: lazy, seekable, verified; writers that upload on close."""

import csv
import io
import random
import zipfile

import pytest
from django.core.files.base import ContentFile
from PIL import Image

from b2fields import B2Storage
from b2fields.exceptions import DamagedFile
from tests.images import png

CONTENT = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def stored(storage):
    return storage.save("a.bin", ContentFile(CONTENT))


@pytest.fixture
def count(emulator):
    """Return what the downloads since the start of the test asked for and moved."""

    def count():
        requests = emulator.requests()
        assert {request["operation"] for request in requests} <= {
            "b2_download_file_by_name",
            "b2_download_file_by_id",
        }
        return len(requests), sum(request["bytes_sent"] for request in requests)

    return count


def test_opening_sends_nothing(storage, stored, emulator):
    with emulator.counted() as operations, storage.open(stored) as file:
        assert file.name == stored
        assert not file.closed
    assert operations == []
    assert file.closed


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda f: f.read(), id="at once"),
        pytest.param(lambda f: b"".join(f.chunks()), id="in chunks"),
        pytest.param(lambda f: b"".join(iter(lambda: f.read(100_000), b"")), id="in reads of some size"),
        pytest.param(lambda f: b"".join(f), id="by lines"),
        pytest.param(lambda f: b"".join(iter(f.readline, b"")), id="by readline"),
    ],
)
def test_reading_from_start_to_end_is_one_request(storage, stored, emulator, count, read):
    emulator.clear()
    with storage.open(stored) as file:
        assert read(file) == CONTENT
    assert count() == (1, len(CONTENT))


def test_reading_by_small_pieces_is_two_requests(storage, stored, emulator, count):
    emulator.clear()
    with storage.open(stored) as file:
        assert b"".join(iter(lambda: file.read(4096), b"")) == CONTENT
    assert count() == (2, len(CONTENT))


def test_reading_here_and_there_gives_the_right_bytes(storage, stored):
    numbers = random.Random(2)
    expected, file = io.BytesIO(CONTENT), storage.open(stored)
    for _ in range(60):
        position, size = numbers.randrange(len(CONTENT) + 10), numbers.choice([1, 100, 40_000, 200_000])
        assert file.seek(position) == expected.seek(position)
        assert file.read(size) == expected.read(size)
        assert file.tell() == expected.tell()
        assert file.readline() == expected.readline()


def test_seeking_from_the_end_and_from_here(storage, stored):
    with storage.open(stored) as file:
        assert file.seek(-10, io.SEEK_END) == len(CONTENT) - 10
        assert file.read() == CONTENT[-10:]
        file.seek(-20, io.SEEK_CUR)
        assert file.read(5) == CONTENT[-20:-15]
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)


def test_reading_past_the_end_gives_nothing(storage, stored):
    with storage.open(stored) as file:
        file.seek(len(CONTENT) + 5)
        assert file.read(10) == b""


def test_a_file_that_was_closed_can_be_opened_again(storage, stored):
    file = storage.open(stored)
    assert file.read(3) == CONTENT[:3]
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()
    assert file.open().read(3) == CONTENT[:3]
    assert file.open().read(3) == CONTENT[:3]


def test_the_names_in_a_zip_archive_are_read_from_its_end(storage, emulator, count):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(20):
            file.writestr(f"{number}.bin", CONTENT[:400_000])
    name = storage.save("big.zip", ContentFile(archive.getvalue()))
    emulator.clear()
    with storage.open(name) as file, zipfile.ZipFile(file) as stored:
        assert len(stored.namelist()) == 20
    requests, moved = count()
    assert requests <= 3
    assert moved < len(archive.getvalue()) / 100


def test_the_names_in_a_zip_archive_cost_one_look_where_nothing_is_remembered(storage, emulator, settings):
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.bin", CONTENT)
    name = storage.save("big.zip", ContentFile(archive.getvalue()))
    with emulator.counted() as operations, storage.open(name) as file, zipfile.ZipFile(file) as stored:
        assert stored.namelist() == ["a.bin"]
    assert operations.count("head_file_by_name") == 1
    assert len(operations) <= 4


def test_the_size_of_an_image_is_read_from_its_head(storage, emulator, count):
    name = storage.save("a.png", ContentFile(png(30, 40) + CONTENT))
    emulator.clear()
    with storage.open(name) as file, Image.open(file) as image:
        assert image.size == (30, 40)
    assert count() == (1, 32 * 1024)


def test_an_empty_file_is_empty(storage):
    name = storage.save("empty", ContentFile(b""))
    assert storage.open(name).read() == b""
    assert list(storage.open(name)) == []
    assert storage.open(name).read(10) == b""


def test_an_empty_file_of_unknown_size_is_empty_too(storage, settings):
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    name = storage.save("empty", ContentFile(b""))
    assert storage.open(name).read(10) == b""


def test_text_mode_decodes_UTF8(storage):
    name = storage.save("a.csv", ContentFile("Name,Ort\nGrün,Köln\n".encode()))
    with storage.open(name, "r") as file:
        assert list(csv.reader(file)) == [["Name", "Ort"], ["Grün", "Köln"]]


def test_a_file_that_a_read_finds_missing_exists_no_more(storage, stored, emulator):
    bucket = storage.client.bucket(storage.bucket)
    storage.client.api.session.hide_file(bucket.id, stored)
    assert storage.exists(stored)
    with pytest.raises(FileNotFoundError):
        storage.open(stored).read()
    assert not storage.exists(stored)


# Damage


def test_a_download_that_breaks_off_goes_on_where_it_was(storage, stored, emulator):
    emulator.fault("b2_download_file_by_name", cut_after=1_000_000)
    emulator.clear()
    assert storage.open(stored).read() == CONTENT
    assert emulator.operations() == ["b2_download_file_by_name", "b2_download_file_by_id"]
    assert emulator.requests()[1]["range"].startswith("bytes=")


def test_a_download_that_goes_on_reads_the_version_it_began_with(emulator):
    storage = B2Storage(overwrite=True)
    storage.save("a.bin", ContentFile(CONTENT))
    emulator.fault("b2_download_file_by_name", cut_after=1_000_000)
    file = storage.open("a.bin")
    begin = file.read(500_000)
    storage.save("a.bin", ContentFile(CONTENT[::-1]))
    assert begin + file.read() == CONTENT


def test_a_download_that_keeps_breaking_off_is_an_error(storage, stored, emulator):
    emulator.fault("*", cut_after=1000, times=None)
    with pytest.raises(DamagedFile, match=r"'a\.bin' of bucket '.*' arrived only up to byte"):
        storage.open(stored).read()


def test_bytes_that_differ_from_the_stored_ones_are_an_error(storage, stored, emulator):
    emulator.fault("b2_download_file_by_name", corrupt=True)
    with pytest.raises(DamagedFile, match="another SHA-1"):
        storage.open(stored).read()


def test_reading_by_small_pieces_is_verified_too(storage, stored, emulator):
    emulator.fault("b2_download_file_by_name", corrupt=True)
    with storage.open(stored) as file, pytest.raises(DamagedFile, match="another SHA-1"):
        list(iter(lambda: file.read(4096), b""))


def test_a_reader_reads_one_version(emulator):
    storage = B2Storage(overwrite=True)
    storage.save("a.bin", ContentFile(CONTENT))
    file = storage.open("a.bin")
    begin = file.read(100)
    storage.save("a.bin", ContentFile(CONTENT[::-1]))
    assert begin + file.read() == CONTENT
    assert storage.open("a.bin").read() == CONTENT[::-1]


def test_a_reader_knows_the_end_of_the_version_that_it_reads(emulator):
    storage = B2Storage(overwrite=True)
    storage.save("a.bin", ContentFile(CONTENT))
    file = storage.open("a.bin")
    file.read(100)
    storage.save("a.bin", ContentFile(b"new"))
    assert file.seek(0, io.SEEK_END) == file.size == len(CONTENT)
    file.seek(-10, io.SEEK_END)
    assert file.read() == CONTENT[-10:]
    assert storage.open("a.bin").size == 3


def test_a_reader_that_asked_for_the_end_first_reads_the_version_whose_end_it_is(emulator):
    storage = B2Storage(overwrite=True)
    storage.save("a.bin", ContentFile(CONTENT))
    file = storage.open("a.bin")
    file.seek(-10, io.SEEK_END)
    storage.save("a.bin", ContentFile(CONTENT[::-1] + b"longer"))
    assert file.read() == CONTENT[-10:]


def test_what_is_known_of_a_file_is_not_that_of_an_older_version_which_is_still_read(emulator):
    storage = B2Storage(overwrite=True)
    storage.save("a.bin", ContentFile(CONTENT))
    file = storage.open("a.bin")
    file.read(100)
    storage.save("a.bin", ContentFile(b"new"))
    assert len(file.read()) == len(CONTENT) - 100
    assert storage.size("a.bin") == 3


def test_reading_again_from_the_start_is_one_request_too(storage, stored, count, emulator):
    with storage.open(stored) as file:
        file.read()
        emulator.clear()
        assert b"".join(file.chunks()) == CONTENT
    assert count() == (1, len(CONTENT))


def test_a_file_that_was_empty_once_is_read_as_it_is_now(storage, settings):
    storage.save("a.txt", ContentFile(b""))
    overwriting = B2Storage(overwrite=True)
    settings.B2FIELDS_METADATA_TIMEOUT = 0  # as another process would, whose cache is its own
    overwriting.save("a.txt", ContentFile(b"content"))
    settings.B2FIELDS_METADATA_TIMEOUT = 3600
    assert storage.open("a.txt").read() == b"content"


# Writing


def test_a_writer_uploads_once_when_it_is_closed(storage, emulator):
    with emulator.counted() as operations:
        file = storage.open("w.bin", "wb")
        file.write(b"one ")
        file.write(b"two")
        assert emulator.operations() == []
        file.close()
        file.close()
    assert operations.count("b2_upload_file") == 1
    assert storage.open("w.bin").read() == b"one two"


def test_a_writer_that_meets_an_exception_uploads_nothing(storage, emulator):
    def write():
        with storage.open("w.bin", "wb") as file:
            file.write(b"half")
            raise RuntimeError

    with emulator.counted() as operations, pytest.raises(RuntimeError):
        write()
    assert operations == []


def test_a_writer_replaces_what_was_there(storage):
    storage.save("w.txt", ContentFile(b"old"))
    with storage.open("w.txt", "w") as file:
        file.write("neu: ü")
    assert storage.open("w.txt", "r").read() == "neu: ü"
    assert storage.size("w.txt") == 7


def test_a_writer_spools_to_disk_what_is_large(storage, settings):
    settings.B2FIELDS_MAX_MEMORY_SIZE = 100_000
    with storage.open("w.bin", "wb") as file:
        for start in range(0, len(CONTENT), 10_000):
            file.write(CONTENT[start : start + 10_000])
        assert file.size == len(CONTENT)
    assert storage.open("w.bin").read() == CONTENT


def test_appending_and_updating_keep_what_was_stored(storage):
    storage.save("w.txt", ContentFile(b"one"))
    with storage.open("w.txt", "ab") as file:
        file.write(b" two")
    with storage.open("w.txt", "rb+") as file:
        file.write(b"ONE")
    assert storage.open("w.txt").read() == b"ONE two"


def test_exclusive_writing_refuses_a_name_that_is_taken(storage):
    storage.save("w.txt", ContentFile(b"one"))
    with pytest.raises(FileExistsError):
        storage.open("w.txt", "xb")


def test_a_mode_that_is_none_is_refused(storage):
    with pytest.raises(ValueError, match="invalid mode"):
        storage.open("w.txt", "q")
