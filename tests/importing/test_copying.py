"""b2_import: existing files copied into B2, each row touched only when its file is safe."""

import hashlib
import io
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from b2fields import B2Storage
from b2fields.importing import Plan, copying, tasks
from b2fields.signals import b2_request_finished
from tests.images import png
from tests.imports import (
    LETTERS,
    LIST,
    REPORTS,
    UPLOAD,
    job,
    letter,
    put,
    ran,
    reasons,
    report,
    told,
)
from tests.legal.models import Archive, Deed, Exhibit, Letter, Picture, Report

pytestmark = pytest.mark.django_db


# Copying


def test_files_keep_their_names_and_rows_need_no_change(old, storage, django_assert_num_queries):
    row = letter(old, "letters/2019/a.txt", b"A")
    with django_assert_num_queries(3):  # all names; the rows of some names; whether a name is still there
        assert ran(LETTERS) == told(copied=1)
    row.refresh_from_db()
    assert row.file.name == "letters/2019/a.txt"
    assert row.file.read() == b"A"


def test_the_location_of_the_fields_storage_stands_before_the_names(old, versions):
    Deed.objects.create(file=put(old, "a.txt", b"A"))
    assert ran("legal.deed.file") == told(copied=1)
    assert versions() == ["vault/a.txt"]


def test_what_a_run_costs(old, emulator):
    for number in range(20):
        letter(old, f"{number}.txt", b"%d" % number)
    B2Storage().save("warm", ContentFile(b"warm"))
    with emulator.counted() as operations:
        assert ran(LETTERS, threads=1) == told(copied=20)
    assert sorted(operations) == [LIST] + [UPLOAD] * 20


def test_of_what_else_the_bucket_holds_no_more_is_listed_than_lies_between(old, emulator, b2_api, bucket):
    other = b2_api.get_bucket_by_name(bucket)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: other.upload_bytes(b"", f"m{number:04}"), range(1002)))
    other.upload_bytes(b"content", "z.txt")
    for name in ("a.txt", "b.txt", "z.txt"):
        letter(old, name)
    with emulator.counted() as operations:
        assert ran(LETTERS) == told(copied=2, there=1)
    assert operations.count(LIST) == 2


def test_rows_that_a_default_manager_hides_are_no_exception(old, storage):
    Archive.objects.create(hidden=True, file=put(old, "archive/a.txt", b"A"))
    assert ran("legal.archive.file") == told(copied=1)
    assert storage.exists("archive/a.txt")


def test_rows_without_a_file_are_left_out(old):
    Letter.objects.create()
    Picture.objects.create(image=None)
    assert ran(LETTERS) == told()
    assert ran("legal.picture.image") == told()


def test_two_rows_with_one_file_upload_it_once(old, emulator):
    letter(old, "a.txt")
    letter(old, "b.txt")
    letter(old, "a.txt")
    with emulator.counted() as operations:
        assert ran(LETTERS) == told(copied=2)
    assert operations.count(UPLOAD) == 2


def test_names_of_any_script_are_copied(old, storage):
    names = ["žluťoučký kůň.txt", "契約/書類 1.txt", "e\u0301.txt", "\u00e9.txt", "😀 +%#?.txt"]
    for name in names:
        letter(old, name, name.encode())
    assert ran(LETTERS) == told(copied=len(names))
    assert [storage.open(name).read().decode() for name in names] == names
    assert ran(LETTERS) == told(there=len(names))


def test_an_upload_has_what_a_normal_one_would_have(old, storage):
    letter(old, "letters/a.txt", department="legal")
    assert ran(LETTERS) == told(copied=1)
    found = storage.look_up("letters/a.txt")
    assert found.info == {"department": "legal", "uploaded-as": "a.txt"}
    assert found.content_type == "text/plain"


def test_an_image_is_stored_as_what_it_is_and_its_dimension_fields_stay(old, storage):
    row = Picture(image=put(old, "photo.txt", png(3, 2)), width=7, height=8)
    Picture.objects.bulk_create([row])
    assert ran("legal.picture.image") == told(copied=1)
    assert storage.look_up("photo.txt").content_type == "image/png"
    row.refresh_from_db()
    assert (row.width, row.height) == (7, 8)


@pytest.mark.parametrize("names", ["keep", "new"])
def test_the_info_field_is_filled_as_an_upload_fills_it(old, names, tmp_path):
    put(old, "a.png", png(3, 2))
    Exhibit.objects.bulk_create([Exhibit(photo="a.png"), Exhibit(photo="a.png")])
    assert ran("legal.exhibit.photo", names=names, state=str(tmp_path / "state")) == told(copied=1)
    uploaded = Exhibit.objects.create(photo=ContentFile(png(3, 2), "a.png"))
    uploaded.refresh_from_db()
    its_own = ("name", "file_id", "uploaded")
    for row in Exhibit.objects.exclude(pk=uploaded.pk):
        assert row.photo_info["name"] == row.photo.name
        assert row.photo_info["file_id"] == row.photo.storage.look_up(row.photo.name).file_id
        without, expected = dict(row.photo_info), dict(uploaded.photo_info)
        for key in its_own:
            del without[key], expected[key]
        assert without == expected


def test_info_that_a_killed_run_did_not_write_is_written_by_the_next(old, storage):
    storage.upload("a.txt", ContentFile(b"A"))
    Exhibit.objects.bulk_create([Exhibit(scan=put(old, "a.txt", b"A"))])
    assert ran("legal.exhibit.scan") == told(there=1)
    assert Exhibit.objects.get().scan_info["sha1"] == hashlib.sha1(b"A").hexdigest()  # noqa: S324


@pytest.fixture
def spools(settings, tmp_path):
    """The temporary files that there were while B2 was asked for something, and a function for those left."""
    folder = tmp_path / "spools"
    folder.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(folder)
    seen = set()

    def look(**kwargs):
        seen.update(os.listdir(folder))

    b2_request_finished.connect(look)
    yield seen, lambda: os.listdir(folder)
    b2_request_finished.disconnect(look)


def test_a_large_file_goes_in_parts_from_disk_and_is_verified(old, emulator, settings, storage, spools):
    settings.B2FIELDS_PART_SIZE = 5_000_000
    content = random.Random(9).randbytes(12_000_000)
    letter(old, "large.bin", content)
    seen, left = spools
    with emulator.counted() as operations:
        assert ran(LETTERS) == told(copied=1)
    assert operations.count("b2_upload_part") == 3
    assert storage.look_up("large.bin").sha1 == hashlib.sha1(content).hexdigest()  # noqa: S324
    assert (len(seen), left()) == (1, [])
    with emulator.counted() as operations:
        assert ran(LETTERS) == told(there=1)
    assert (operations, left()) == ([LIST], [])


def test_files_of_another_b2_storage_are_copied(old, settings, make_bucket, storage):
    options = {"bucket": make_bucket(), "access": "staff"}
    settings.STORAGES = {
        **settings.STORAGES,
        "elsewhere": {"BACKEND": "b2fields.B2Storage", "OPTIONS": options},
    }
    storages["elsewhere"].upload("a.txt", ContentFile(b"A"))
    Letter.objects.create(file="a.txt")
    assert ran(LETTERS, source="elsewhere") == told(copied=1)
    assert storage.open("a.txt").read() == b"A"


# What is in B2 already


def test_a_second_run_uploads_nothing(old, emulator):
    for number in range(5):
        letter(old, f"{number}.txt")
    assert ran(LETTERS) == told(copied=5)
    with emulator.counted() as operations:
        assert ran(LETTERS) == told(there=5)
    assert operations == [LIST]


def test_a_file_that_differs_is_told_and_stays(old, storage, versions):
    storage.upload("a.txt", ContentFile(b"B"))
    letter(old, "a.txt", b"A")
    found = ran(LETTERS, status=1)
    assert "--overwrite" in reasons(found)["a.txt"]
    assert storage.open("a.txt").read() == b"B"
    assert versions() == ["a.txt"]


def test_overwrite_lets_that_of_the_source_win_and_keeps_the_other_as_an_older_version(
    old, storage, versions
):
    storage.upload("a.txt", ContentFile(b"B"))
    letter(old, "a.txt", b"A")
    assert ran(LETTERS, "--overwrite") == told(copied=1)
    assert B2Storage().open("a.txt").read() == b"A"
    assert versions() == ["a.txt", "a.txt"]
    assert ran(LETTERS, "--overwrite") == told(there=1)


def test_what_was_uploaded_since_the_field_is_one_of_b2_needs_no_source(old, storage, tmp_path):
    letter(old, "old.txt")
    Letter.objects.create(file=ContentFile(b"new", "new.txt"))
    assert ran(LETTERS) == told(copied=1, there=1)
    assert ran(LETTERS, names="new", state=str(tmp_path / "state")) == told(there=2)


def test_a_file_uploaded_after_b2_was_listed_is_not_buried(old, storage, versions):
    letter(old, "a.txt", b"A")
    letter(old, "b.txt", b"B")
    work = job(LETTERS, str)
    with closing(Plan("", work)) as plan:
        plan.collect()
        coming = tasks.tasks(work, plan)
        first = next(coming)
        storage.upload(first.name, ContentFile(b"of somebody else"))
        assert copying.copy_file(work, first).what == "failed"
    assert versions() == ["a.txt"]


def test_what_b2_listed_long_ago_is_asked_again(old, emulator, b2_api, bucket, monkeypatch):
    letter(old, "a.txt", b"A")
    letter(old, "b.txt", b"B")
    work = job(LETTERS, str)
    with closing(Plan("", work)) as plan:
        plan.collect()
        coming = tasks.tasks(work, plan)
        assert next(coming).stored is None
        b2_api.get_bucket_by_name(bucket).upload_bytes(b"of somebody else", "b.txt")
        later = time.monotonic() + 61
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert next(coming).stored.size == 16


def test_a_state_file_saves_the_source_from_being_read_again(old, tmp_path):
    letter(old, "a.txt")
    state = str(tmp_path / "state")
    assert ran(LETTERS, state=state) == told(copied=1)
    (old / "a.txt").write_bytes(b"another")
    assert ran(LETTERS, state=state) == told(there=1)
    assert "a.txt" in reasons(ran(LETTERS, status=1))


# Telling


def test_a_dry_run_tells_what_would_be_done_and_does_nothing(old, emulator, storage, tmp_path, versions):
    storage.upload("there.txt", ContentFile(b"content"))
    storage.upload("differs.txt", ContentFile(b"other content"))
    for name in ("there.txt", "differs.txt", "copy.txt", "missing.txt"):
        letter(old, name)
    (old / "missing.txt").unlink()
    out = io.StringIO()
    state = tmp_path / "state"
    with emulator.counted() as operations, pytest.raises(CommandError) as raised:
        call_command("b2_import", LETTERS, "--dry-run", source="old", stdout=out, state=str(state))
    assert raised.value.returncode == 1
    assert operations == [LIST]
    assert versions() == ["differs.txt", "there.txt"]
    assert not state.exists()
    assert "would be: 1 copied, 1 already there, 0 changed meanwhile, 2 failed." in out.getvalue()
    assert "copied: 'copy.txt'" in out.getvalue()


def test_a_dry_run_with_new_names_chooses_none(old, emulator, tmp_path, versions):
    report(old, "a.txt")
    assert ran(REPORTS, "--dry-run", names="new") == told(copied=1)
    assert versions() == []
    assert Report.objects.get().file.name == "a.txt"


def test_the_report_names_what_failed_and_why_and_counts_the_rest(old):
    letter(old, "a.txt")
    Letter.objects.create(file="b.txt")
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 failed"):
        call_command("b2_import", LETTERS, source="old", stdout=out)
    assert out.getvalue() == (
        "legal.letter.file: 1 copied, 0 already there, 0 changed meanwhile, 1 failed.\n"
        "  failed: 'b.txt': The source has no such file.\n"
    )


def test_several_fields_are_reported_apart(old):
    letter(old, "a.txt")
    report(old, "b.txt")
    out = io.StringIO()
    call_command("b2_import", LETTERS, "legal.Report.file", source="old", stdout=out)
    assert [line.partition(":")[0] for line in out.getvalue().splitlines()] == [LETTERS, REPORTS]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_how_far_it_is_and_a_pipe_nothing(old):
    letter(old, "a.txt")
    terminal, pipe = Terminal(), io.StringIO()
    call_command("b2_import", LETTERS, source="old", stdout=io.StringIO(), stderr=terminal)
    call_command("b2_import", LETTERS, source="old", stdout=io.StringIO(), stderr=pipe)
    assert "of 1 files" in terminal.getvalue()
    assert pipe.getvalue() == ""
