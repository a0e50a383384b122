"""b2_import when something goes wrong: what fails is told, and nothing else suffers."""

import io
from contextlib import closing

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, storages
from django.core.management import CommandError, call_command
from django.db import InterfaceError, connection

from b2fields import B2Storage
from b2fields.exceptions import DamagedFile
from b2fields.importing import Plan, copying, tasks
from tests.imports import (
    LETTERS,
    LIST,
    REPORTS,
    UPLOAD,
    job,
    letter,
    on_disk,
    ran,
    reasons,
    refusal,
    report,
    told,
)
from tests.legal.models import Letter

pytestmark = pytest.mark.django_db


class TornStorage(FileSystemStorage):
    """A disk that can read the first byte of each file."""

    def _open(self, name, mode="rb"):
        return TornFile(super()._open(name, mode))


class TornFile(File):
    def chunks(self, chunk_size=None):
        yield self.file.read(1)
        raise OSError("Input/output error")


# What goes wrong


def test_one_failure_stops_no_other(old, storage):
    letter(old, "a.txt")
    letter(old, "b.txt")
    letter(old, "c.txt")
    (old / "b.txt").unlink()
    assert ran(LETTERS, status=1) == told(copied=2, **{"b.txt": "The source has no such file."})


def test_a_source_that_cannot_be_read_to_its_end_uploads_nothing(old, settings, emulator, versions, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "old": on_disk(old, "tests.importing.test_failures.TornStorage"),
    }
    row = report(old, "a.txt")
    with emulator.counted() as operations:
        found = ran(REPORTS, names="new", state=str(tmp_path / "state"), status=1)
    assert reasons(found) == {"a.txt": "Input/output error"}
    assert UPLOAD not in operations
    row.refresh_from_db()
    assert row.file.name == "a.txt"


def test_a_source_in_b2_that_arrives_damaged_uploads_nothing(old, settings, make_bucket, emulator, versions):
    options = {"bucket": make_bucket(), "access": "staff"}
    settings.STORAGES = {
        **settings.STORAGES,
        "elsewhere": {"BACKEND": "b2fields.B2Storage", "OPTIONS": options},
    }
    storages["elsewhere"].upload("a.txt", ContentFile(b"A" * 1000))
    Letter.objects.create(file="a.txt")
    emulator.fault("b2_download_file_by_name", corrupt=True)
    assert "SHA-1" in reasons(ran(LETTERS, source="elsewhere", status=1))["a.txt"]
    assert versions() == []


def test_a_file_that_b2_did_not_get_as_it_was_read_is_removed_again(old, versions):
    report(old, "a.txt")
    work = job(rename=str)
    with closing(Plan("", work)) as plan:
        plan.collect()
        (task,) = tasks.tasks(work, plan)
    with pytest.raises(DamagedFile):
        copying.upload(task, copying.take(work.source, "a.txt")._replace(sha1="0" * 40))
    assert versions() == []


def test_an_upload_that_fails_touches_no_row(old, emulator, tmp_path):
    row = report(old, "a.txt")
    emulator.fault(UPLOAD, status=503, times=None)
    found = ran(REPORTS, names="new", state=str(tmp_path / "state"), status=1)
    assert list(reasons(found)) == ["a.txt"]
    row.refresh_from_db()
    assert row.file.name == "a.txt"


@pytest.mark.parametrize(
    ("status", "code"), [(403, "storage_cap_exceeded"), (401, "unauthorized")], ids=["a cap", "the key"]
)
def test_what_b2_refuses_to_all_stops_at_once(old, emulator, status, code):
    for number in range(50):
        letter(old, f"{number}.txt")
    B2Storage().save("warm", ContentFile(b"warm"))
    emulator.fault(UPLOAD, status=status, code=code, times=None, skip=2)
    out = io.StringIO()
    with emulator.counted() as operations, pytest.raises(CommandError) as raised:
        call_command("b2_import", LETTERS, source="old", threads=2, stdout=out)
    assert raised.value.returncode == 2
    assert operations.count(UPLOAD) < 10
    assert "2 copied" in out.getvalue()


def test_a_b2_that_does_not_tell_what_it_has_stops_the_run(old, emulator):
    for number in range(50):
        letter(old, f"{number}.txt")
    emulator.fault(LIST, status=503, times=None)
    with emulator.counted() as operations:
        assert "Try again later" in refusal(LETTERS, source="old")
    assert operations.count(LIST) == 2  # with its retry
    assert UPLOAD not in operations


def fussy(instance, filename):
    if filename == "b.txt":
        raise KeyError(filename)
    return {}


def test_a_file_whose_metadata_cannot_be_told_fails_alone(old, monkeypatch):
    monkeypatch.setattr(Letter._meta.get_field("file"), "metadata", fussy)
    letter(old, "a.txt")
    letter(old, "b.txt")
    assert ran(LETTERS, status=1) == told(copied=1, **{"b.txt": "'b.txt'"})


def looking_elsewhere(instance, filename):
    if filename == "a.txt":
        B2Storage().look_up("no such file")
    return {}


def test_even_if_it_asks_b2_for_a_file_that_is_missing(old, monkeypatch):
    monkeypatch.setattr(Letter._meta.get_field("file"), "metadata", looking_elsewhere)
    letter(old, "a.txt")
    letter(old, "b.txt")
    found = ran(LETTERS, status=1)
    assert (found["copied"], list(reasons(found))) == (1, ["a.txt"])


def test_without_a_folder_for_temporary_files_nothing_passes_for_missing(old, settings, storage, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "nowhere")
    settings.B2FIELDS_MAX_MEMORY_SIZE = 10
    storage.upload("a.txt", ContentFile(b"B"))
    letter(old, "a.txt", b"A" * 11)
    assert "FILE_UPLOAD_TEMP_DIR" in refusal(LETTERS, source="old")


@pytest.mark.django_db(transaction=True)
def test_a_database_that_hangs_up_is_told_and_the_next_run_goes_on(old, emulator, tmp_path):
    report(old, "a.txt")
    gone = []

    def hang_up(execute, sql, parameters, many, context):
        if gone or sql.startswith("UPDATE"):
            gone.append(sql)
            raise InterfaceError("connection already closed")
        return execute(sql, parameters, many, context)

    state = str(tmp_path / "state")
    with connection.execute_wrapper(hang_up):
        found = ran(REPORTS, names="new", state=state, status=1)
    assert "no row names it: connection already closed" in reasons(found)["a.txt"]
    assert ran(REPORTS, names="new", state=state) == told(there=1)


def test_a_database_that_does_not_tell_the_rows_stops_the_run(old):
    report(old, "a.txt")
    asked = []

    def hang_up(execute, sql, parameters, many, context):
        asked.append(sql)
        if len(asked) == 2:
            raise InterfaceError("connection already closed")
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(hang_up):
        assert refusal(REPORTS, source="old") == "connection already closed"


class ElsewhereStorage(B2Storage):
    """A storage of the project's own, whose uploads do not end where they were sent."""

    def upload(self, name, content):
        return name


def test_a_file_that_stands_where_an_upload_should_is_not_removed(old, storage, versions):
    storage.upload("a.txt", ContentFile(b"of somebody else"))
    report(old, "a.txt")
    work = job(rename=str)
    with closing(Plan("", work)) as plan:
        plan.collect()
        (task,) = tasks.tasks(work, plan)
    with pytest.raises(DamagedFile):
        copying.upload(task._replace(storage=ElsewhereStorage()), copying.take(work.source, "a.txt"))
    assert versions() == ["a.txt"]


def lost(name):
    raise KeyError(name)


def test_of_very_many_failures_not_all_are_kept_to_be_told(old):
    Letter.objects.bulk_create([Letter(file=f"{number}.txt") for number in range(10_002)])
    out = io.StringIO()
    with pytest.raises(CommandError, match="10002 failed"):
        call_command("b2_import", LETTERS, source="old", map="tests.importing.test_failures.lost", stdout=out)
    assert "10,002 failed." in out.getvalue()
    assert out.getvalue().count("  failed: ") == 10_000
    assert out.getvalue().endswith("  and 2 more that failed.\n")


def unconnected(instance, filename):
    raise InterfaceError("connection already closed")


def test_but_a_database_that_it_cannot_ask_stops_the_run(old, monkeypatch):
    monkeypatch.setattr(Letter._meta.get_field("file"), "metadata", unconnected)
    letter(old, "a.txt")
    assert refusal(LETTERS, source="old") == "connection already closed"


def test_a_bucket_that_is_missing_is_told_before_anything_is_read(old, settings, emulator):
    settings.B2FIELDS_BUCKET = "no-such-bucket"
    letter(old, "a.txt")
    assert "no-such-bucket" in refusal(LETTERS, source="old")


def test_a_public_bucket_is_no_place_for_private_files(old, settings, make_bucket):
    settings.B2FIELDS_BUCKET = make_bucket("allPublic")
    assert "allPublic" in refusal(LETTERS, source="old")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["legal.letter.nothing"], "no B2 field", id="a field that there is not"),
        pytest.param(["legal.attachment.file"], "no B2 field", id="a field of Django's own"),
        pytest.param(
            [LETTERS, "--from", "nothing"],
            "no 'nothing'; it has: default, old, same",
            id="an alias that there is not",
        ),
        pytest.param([LETTERS, "--from", "same"], "where legal.letter.file stores", id="its own storage"),
        pytest.param([LETTERS, "--database", "nothing"], "nothing", id="no such database"),
    ],
)
def test_what_cannot_start_says_why(old, settings, arguments, message):
    settings.STORAGES = {**settings.STORAGES, "same": {"BACKEND": "b2fields.B2Storage"}}
    if "--from" not in arguments:
        arguments = [*arguments, "--from", "old"]
    assert message in refusal(*arguments)


def test_a_state_file_that_is_something_else_or_in_use_is_told(old, tmp_path):
    letter(old, "a.txt")
    other = tmp_path / "notes"
    other.write_bytes(b"shopping list" * 1000)
    assert "database" in refusal(LETTERS, source="old", state=str(other))
    with closing(Plan(str(tmp_path / "state"), job())):
        assert "locked" in refusal(LETTERS, source="old", state=str(tmp_path / "state"))
