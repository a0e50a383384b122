"""b2_import with other names: rows follow their files, and no file takes the place of another."""

from contextlib import closing

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models.signals import post_save, pre_save

from b2fields.importing import Plan, copying, run, running, tasks
from b2fields.models import DroppedFile
from tests.imports import (
    LETTERS,
    REPORTS,
    UPLOAD,
    job,
    letter,
    put,
    ran,
    reasons,
    refusal,
    report,
    told,
)
from tests.legal.models import Letter, Report

pytestmark = pytest.mark.django_db


# New names


def test_new_names_are_the_fields_own_and_rows_follow(old, emulator, tmp_path, versions):
    row = report(old, "2019/a.txt", b"A")
    twin = Report.objects.create(file="2019/a.txt")
    sent = []
    for signal_ in (pre_save, post_save):
        signal_.connect(lambda **kwargs: sent.append(kwargs), weak=False, dispatch_uid="test")
    try:
        with emulator.counted() as operations:
            assert ran(REPORTS, names="new", state=str(tmp_path / "state")) == told(copied=1)
    finally:
        for signal_ in (pre_save, post_save):
            signal_.disconnect(dispatch_uid="test")
    assert operations.count(UPLOAD) == 1
    assert not sent
    row.refresh_from_db()
    twin.refresh_from_db()
    folder, name = row.file.name.split("/")
    assert (len(folder), name) == (22, "a.txt")
    assert twin.file.name == row.file.name
    assert versions() == [row.file.name]
    assert row.file.read() == b"A"


def test_a_second_run_with_new_names_finds_all_there(old, emulator, tmp_path):
    report(old, "a.txt")
    state = str(tmp_path / "state")
    assert ran(REPORTS, names="new", state=state) == told(copied=1)
    with emulator.counted() as operations:
        assert ran(REPORTS, names="new", state=state) == told(there=1)
    assert operations == []


def test_new_names_need_a_file_that_remembers_them(old):
    assert "--state" in refusal(REPORTS, source="old", names="new")


def test_new_names_do_not_collide_where_the_field_has_no_folders_of_its_own(old, tmp_path, storage):
    rows = [letter(old, f"{number}/a.txt", b"%d" % number) for number in range(5)]
    assert ran(LETTERS, names="new", state=str(tmp_path / "state")) == told(copied=5)
    for number, row in enumerate(rows):
        row.refresh_from_db()
        assert row.file.read() == b"%d" % number
    assert len({row.file.name for row in rows}) == 5


def test_a_new_name_is_not_that_of_a_file_still_to_come(old, tmp_path):
    rows = [letter(old, "a/b.txt", b"first"), letter(old, "b.txt", b"second")]
    assert ran(LETTERS, names="new", state=str(tmp_path / "state")) == told(copied=2)
    for row, content in zip(rows, [b"first", b"second"], strict=True):
        row.refresh_from_db()
        assert row.file.read() == content


def test_a_chosen_name_that_somebody_else_took_is_not_overwritten_and_another_is_chosen(
    old, emulator, tmp_path, storage, versions
):
    row = letter(old, "2019/a.txt", b"A")
    state = str(tmp_path / "state")
    emulator.fault(UPLOAD, status=503, times=None)
    assert ran(LETTERS, names="new", state=state, status=1)["failed"] == 1
    emulator.heal()
    storage.upload("a.txt", ContentFile(b"of somebody else"))
    found = ran(LETTERS, "--overwrite", names="new", state=state, status=1)
    assert "chooses another" in reasons(found)["2019/a.txt"]
    assert ran(LETTERS, names="new", state=state) == told(copied=1)
    row.refresh_from_db()
    assert row.file.read() == b"A"
    assert versions() == ["a.txt", row.file.name]
    assert storage.open("a.txt").read() == b"of somebody else"


def test_a_storage_that_overwrites_gives_no_new_names(old, settings, tmp_path):
    settings.B2FIELDS_OVERWRITE = True
    letter(old, "1/a.txt")
    letter(old, "2/a.txt")
    assert "overwrite=True" in refusal(LETTERS, source="old", names="new", state=str(tmp_path / "state"))


def test_a_file_in_neither_place_is_missing_whatever_was_chosen_for_it(old, emulator, storage, tmp_path):
    row = letter(old, "a//b.txt")
    state = str(tmp_path / "state")
    emulator.fault(UPLOAD, status=503, times=None)
    assert ran(LETTERS, names="new", state=state, status=1)["failed"] == 1
    emulator.heal()
    storage.upload("b.txt", ContentFile(b"content"))
    (old / "a" / "b.txt").unlink()
    assert list(reasons(ran(LETTERS, names="new", state=state, status=1))) == ["a//b.txt"]
    row.refresh_from_db()
    assert row.file.name == "a//b.txt"


def test_a_row_that_changes_meanwhile_is_left_alone_and_its_upload_is_removed(old, versions):
    rows = [report(old, "a.txt"), report(old, "b.txt")]
    work = job()
    with closing(Plan("", work)) as plan:
        plan.collect()
        outcomes = run(work, plan, 1)
        assert next(outcomes).what == "copied"
        Report.objects.filter(pk=rows[1].pk).update(file="another.txt")
        assert [(outcome.what, outcome.name) for outcome in outcomes] == [("changed", "b.txt")]
    for row in rows:
        row.refresh_from_db()
    assert rows[1].file.name == "another.txt"
    assert versions() == [rows[0].file.name]


def test_a_row_that_changes_at_the_last_moment_is_left_alone(old, versions):
    row = report(old, "a.txt")

    def change_first(execute, sql, parameters, many, context):
        if sql.startswith("UPDATE"):
            context["cursor"].cursor.execute("UPDATE legal_report SET file = 'another.txt'")
        return execute(sql, parameters, many, context)

    work = job()
    with closing(Plan("", work)) as plan, connection.execute_wrapper(change_first):
        plan.collect()
        assert [outcome.what for outcome in run(work, plan, 1)] == ["changed"]
    row.refresh_from_db()
    assert row.file.name == "another.txt"
    assert versions() == []


@pytest.mark.parametrize("stays", [True, False])
def test_a_file_that_keeps_its_name_goes_with_its_last_row(old, versions, stays):
    row = report(old, "a.txt")
    if stays:
        Letter.objects.create(file="a.txt")
    work = job(rename=lambda name: name)
    with closing(Plan("", work)) as plan:
        plan.collect()
        (task,) = tasks.tasks(work, plan)
        result = copying.copy_file(work, task)
        Report.objects.filter(pk=row.pk).delete()
        assert running.finish(work, plan, task, result).what == "changed"
    assert versions() == (["a.txt"] if stays else [])


def test_an_upload_that_cannot_be_removed_is_told(old, versions, emulator):
    rows = [report(old, "a.txt"), report(old, "b.txt")]
    work = job()
    with closing(Plan("", work)) as plan:
        plan.collect()
        outcomes = run(work, plan, 1)
        next(outcomes)
        Report.objects.filter(pk=rows[1].pk).delete()
        emulator.fault("b2_delete_file_version", status=503, times=None)
        (outcome,) = outcomes
    assert outcome.what == "failed"
    assert "no row names it" in outcome.reason
    assert outcome.target in versions()


def test_an_upload_that_another_row_has_come_to_name_stays(old, versions):
    row = report(old, "a.txt")
    work = job(rename=lambda name: f"moved/{name}")
    with closing(Plan("", work)) as plan:
        plan.collect()
        (task,) = tasks.tasks(work, plan)
        result = copying.copy_file(work, task)
        Report.objects.filter(pk=row.pk).update(file="moved/a.txt")
        assert running.finish(work, plan, task, result).what == "changed"
    assert versions() == ["moved/a.txt"]


def test_a_row_that_changed_before_its_turn_costs_nothing(old, emulator):
    row = report(old, "a.txt")
    work = job(rename=str)
    with closing(Plan("", work)) as plan:
        plan.collect()
        Report.objects.filter(pk=row.pk).update(file="another.txt")
        with emulator.counted() as operations:
            assert [outcome.what for outcome in run(work, plan, 1)] == ["changed"]
    assert operations == []


def without_media(name):
    return name.removeprefix("media/")


def same(name):
    return "same.txt"


def confused(name):
    raise KeyError(name)


def test_a_function_may_map_the_names(old, storage):
    row = letter(old, "media/a.txt", b"A")
    assert ran(LETTERS, "--map", "tests.importing.test_names:without_media") == told(copied=1)
    row.refresh_from_db()
    assert row.file.name == "a.txt"
    assert storage.open("a.txt").read() == b"A"
    assert ran(LETTERS, "--map", "tests.importing.test_names:without_media") == told(there=1)


def test_two_files_that_are_mapped_to_one_name_are_not_mixed(old, storage):
    rows = [letter(old, "a.txt", b"A"), letter(old, "b.txt", b"B")]
    found = ran(LETTERS, "--map", "tests.importing.test_names:same", status=1)
    assert (found["copied"], list(reasons(found))) == (1, ["b.txt"])
    for row, content in zip(rows, ["same.txt", "b.txt"], strict=True):
        row.refresh_from_db()
        assert row.file.name == content
    assert storage.open("same.txt").read() == b"A"


def test_a_name_that_other_rows_hold_is_not_given_to_another_file(old, storage):
    rows = [letter(old, "media/a.txt", b"of media"), letter(old, "a.txt", b"A")]
    for _ in range(2):
        found = ran(LETTERS, "--map", "tests.importing.test_names:without_media", status=1)
        assert list(reasons(found)) == ["media/a.txt"]
    for row, name in zip(rows, ["media/a.txt", "a.txt"], strict=True):
        row.refresh_from_db()
        assert row.file.name == name
    assert storage.open("a.txt").read() == b"A"


@pytest.mark.parametrize("state", ["", "state"], ids=["without a state", "with a state"])
def test_overwrite_does_not_replace_what_the_import_itself_has_stored(old, storage, tmp_path, state):
    letter(old, "a.txt", b"A")
    letter(old, "b.txt", b"B")
    state = state and str(tmp_path / state)
    for _ in range(2):
        found = ran(LETTERS, "--overwrite", "--map", "tests.importing.test_names:same", state=state, status=1)
        assert "b.txt" in reasons(found)
    assert storage.open("same.txt").read() == b"A"


def strict(name):
    return "same.txt" if name != "same.txt" else confused(name)


def test_nor_are_they_mixed_around_a_name_that_the_function_refuses(old, storage):
    for name in ("a.txt", "same.txt", "b.txt"):
        letter(old, name, name.encode())
    assert ran(LETTERS, "--map", "tests.importing.test_names:strict", status=1)["failed"] == 3
    assert not storage.exists("same.txt")
    assert set(Letter.objects.values_list("file", flat=True)) == {"a.txt", "same.txt", "b.txt"}


def moved_on(name):
    return f"{int(name) + 1}"


def test_files_that_take_the_names_of_others_wait_until_those_have_moved(old, storage):
    rows = [letter(old, "1", b"one"), letter(old, "2", b"two")]
    assert ran(LETTERS, "--map", "tests.importing.test_names:moved_on", status=1)["copied"] == 1
    rows[1].refresh_from_db()
    assert (rows[1].file.name, rows[1].file.read()) == ("3", b"two")
    rows[0].refresh_from_db()
    assert rows[0].file.name == "1"


def test_even_if_b2_has_the_same_file_there(old, storage):
    rows = [letter(old, "1", b"one"), letter(old, "2", b"two")]
    storage.upload("2", ContentFile(b"one"))
    assert ran(LETTERS, "--map", "tests.importing.test_names:moved_on", status=1)["copied"] == 1
    for row, name in zip(rows, ["1", "3"], strict=True):
        row.refresh_from_db()
        assert row.file.name == name


def test_rows_that_a_killed_run_left_behind_follow_their_file(old, storage):
    moved, left = letter(old, "media/a.txt", b"A"), letter(old, "media/a.txt", b"A")
    storage.upload("a.txt", ContentFile(b"A"))
    Letter.objects.filter(pk=moved.pk).update(file="a.txt")
    assert ran(LETTERS, "--map", "tests.importing.test_names:without_media") == told(there=2)
    left.refresh_from_db()
    assert left.file.name == "a.txt"


def test_a_dropped_file_that_rows_come_to_name_waits_no_longer_to_be_removed(old, storage, settings):
    settings.B2FIELDS_CLEANUP, settings.B2FIELDS_CLEANUP_DELAY = True, 3600
    storage.upload("a.txt", ContentFile(b"A"))
    Letter.objects.create(file="a.txt").delete()
    assert DroppedFile.objects.count() == 1
    letter(old, "media/a.txt", b"A")
    assert ran(LETTERS, "--map", "tests.importing.test_names:without_media") == told(there=1)
    assert not DroppedFile.objects.exists()


def test_a_file_that_was_removed_since_b2_was_listed_is_copied_again(old, storage, b2_api, bucket):
    for name in ("media/a.txt", "media/b.txt"):
        letter(old, name, b"content")
        storage.upload(name.removeprefix("media/"), ContentFile(b"content"))
    work = job(LETTERS, without_media)
    with closing(Plan("", work)) as plan:
        plan.collect()
        coming = tasks.tasks(work, plan)
        next(coming)
        storage.delete("b.txt")
        assert copying.copy_file(work, next(coming)).what == "copied"
    assert storage.exists("b.txt")


def test_a_name_that_the_function_does_not_know_fails_alone(old):
    letter(old, "a.txt")
    assert list(reasons(ran(LETTERS, "--map", "tests.importing.test_names:confused", status=1))) == ["a.txt"]


@pytest.mark.parametrize(
    "name", ["n" * 251, "a/./b.txt", "a//b.txt", "a\x07.txt"], ids=["long", "dot", "slashes", "control"]
)
def test_a_name_that_b2_cannot_take_is_told_and_can_be_made_anew(old, tmp_path, name):
    on_disk_name = name if len(name) < 251 else put(old, name[:250], b"")
    row = letter(old, on_disk_name)
    Letter.objects.filter(pk=row.pk).update(file=name)
    assert "--names new" in reasons(ran(LETTERS, status=1))[name]
    if name != on_disk_name:
        return
    assert ran(LETTERS, names="new", state=str(tmp_path / "state")) == told(copied=1)
    row.refresh_from_db()
    assert row.file.read() == b"content"
