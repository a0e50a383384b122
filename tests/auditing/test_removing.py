"""``b2_audit --delete`` and ``--hide`` remove orphans, old ones, after a last look."""

import time
from contextlib import closing

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command

from b2fields import B2Storage
from b2fields.audit import Survey, find_places, hide, remove
from tests.auditing.running import audit, surveyed
from tests.auditing.stored import DAY, drop, keep
from tests.legal.models import Contract, Report


def test_delete_removes_orphans_with_all_versions_and_markers(stored):
    keep(stored, "covers/a.pdf", "covers/b.pdf", "covers/c.pdf")
    stored.put("covers/lost.pdf", "covers/lost.pdf", "covers/shown.pdf")
    stored.hide("covers/lost.pdf")

    found = audit("--delete")

    assert found.names("orphan", "deleted") == ["covers/lost.pdf", "covers/shown.pdf"]
    assert stored.versions() == ["covers/a.pdf", "covers/b.pdf", "covers/c.pdf"]
    assert found.status == 0


def test_older_versions_of_a_named_file_stay(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/a.pdf", "covers/a.pdf")

    audit("--delete", "--force")

    assert stored.versions() == ["covers/a.pdf"] * 3


def test_delete_cancels_large_files_that_were_not_finished(stored):
    keep(stored, "covers/a.pdf")
    stored.begin("covers/large.bin")

    found = audit("--delete")

    assert found.names("unfinished", "cancelled") == ["covers/large.bin"]
    assert stored.unfinished() == []


def test_hide_hides_orphans_by_one_request_each_and_keeps_their_versions(stored, emulator):
    keep(stored, "covers/a.pdf", "covers/b.pdf", "covers/c.pdf")
    stored.put("covers/lost.pdf", "covers/gone.pdf")
    stored.hide("covers/gone.pdf")
    stored.begin("covers/large.bin")

    with emulator.counted() as operations:
        found = audit("--hide")

    assert found.names("orphan", "hidden") == ["covers/lost.pdf"]
    assert operations.count("b2_hide_file") == 1
    assert stored.versions().count("covers/lost.pdf") == 2
    assert stored.unfinished() == ["covers/large.bin"]
    assert found.status == 1  # for the upload


def test_what_the_cache_knew_of_a_removed_file_is_forgotten(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    assert B2Storage().exists("covers/lost.pdf")

    audit("--delete")

    assert not B2Storage().exists("covers/lost.pdf")


@pytest.mark.parametrize(
    ("age", "days_old", "is_deleted"),
    [
        pytest.param("24h", 0.9, False, id="younger than hours"),
        pytest.param("24h", 1.1, True, id="older than hours"),
        pytest.param("7d", 6, False, id="younger than days"),
        pytest.param("7d", 8, True, id="older than days"),
        pytest.param("90m", 1 / 24, False, id="younger than minutes"),
        pytest.param("90m", 2 / 24, True, id="older than minutes"),
        pytest.param("3600", 0.5 / 24, False, id="younger than seconds"),
        pytest.param("0", 0.001, True, id="of any age"),
    ],
)
def test_what_is_younger_than_that_is_left_alone(stored, age, days_old, is_deleted):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf", days_old=days_old)
    stored.begin("covers/large.bin", days_old=days_old)

    found = audit("--delete", "--older-than", age)

    assert ("covers/lost.pdf" not in stored.versions()) is is_deleted
    assert (stored.unfinished() == []) is is_deleted
    assert found.document["young"] == (not is_deleted)


def test_what_is_younger_than_a_day_is_left_alone_unasked(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf", days_old=0.9)

    found = audit("--delete")

    assert (found.status, found.findings) == (0, [])
    assert "covers/lost.pdf" in stored.versions()


def test_a_new_version_makes_an_old_orphan_young(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    stored.put("covers/lost.pdf", days_old=0)

    found = audit("--delete")

    assert (found.status, found.findings) == (0, [])
    assert stored.versions().count("covers/lost.pdf") == 2


def test_a_local_clock_that_is_days_fast_makes_no_file_old(stored, monkeypatch):
    keep(stored, "covers/a.pdf")
    stored.put("covers/fresh.pdf", days_old=0)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3 * DAY)

    audit("--delete")

    assert "covers/fresh.pdf" in stored.versions()


def test_an_answer_without_a_date_ends_the_audit(stored, emulator):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    emulator.fault("b2_list_file_versions", headers={"Date": "soon"})

    found = audit("--delete")

    assert "nobody can tell how old" in found.message
    assert (found.status, "covers/lost.pdf" in stored.versions()) == (2, True)


@pytest.mark.parametrize("age", ["yesterday", "-1", "1w", "", "1.5h"])
def test_an_age_that_is_none_is_refused(age):
    with pytest.raises(CommandError, match="is no age"):
        call_command("b2_audit", "--older-than", age)


@pytest.mark.parametrize("change", [remove, hide])
def test_a_file_that_a_row_names_in_the_meantime_is_kept(survey, stored, change):
    Report.objects.create(file="covers/lost.pdf")

    assert [found.outcome for found in change(survey)] == ["kept"]
    assert stored.versions() == ["covers/a.pdf", "covers/lost.pdf"]


def test_a_file_that_cleanup_is_to_remove_in_the_meantime_is_left_to_it(survey, stored):
    drop("covers/lost.pdf")

    assert [found.outcome for found in remove(survey)] == ["kept"]
    assert "covers/lost.pdf" in stored.versions()


@pytest.mark.parametrize("change", [remove, hide])
def test_a_file_that_is_uploaded_again_in_the_meantime_is_kept(survey, stored, change):
    stored.put("covers/lost.pdf", days_old=0)

    assert [found.outcome for found in change(survey)] == ["kept"]
    assert stored.versions().count("covers/lost.pdf") == 2
    assert B2Storage().exists("covers/lost.pdf")


def test_between_the_last_look_and_the_removal_nobody_is_told_anything(stored):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/gone.pdf", "covers/lost.pdf")
    with surveyed() as survey:
        Report.objects.create(file="covers/gone.pdf")

        # What is told may be written to a pager, which waits for somebody to read on.
        assert next(remove(survey)).outcome == "kept"

    assert "covers/lost.pdf" not in stored.versions()


def test_a_file_that_is_gone_in_the_meantime_is_no_error(survey, stored):
    B2Storage().client.delete(B2Storage().bucket, "covers/lost.pdf")

    assert [found.outcome for found in remove(survey)] == ["deleted"]


def test_files_saved_while_the_audit_looks_are_neither_orphans_nor_missing(stored):
    keep(stored, "covers/a.pdf")
    [places] = find_places()
    with closing(Survey(places, 0)) as survey:
        survey.list_bucket(lambda count: None)
        Contract.objects.create(cover=ContentFile(b"new", "new.pdf"))
        survey.read_rows(lambda count: None)

        assert [*survey.orphans(), *survey.unfinished(), *survey.missing()] == []
