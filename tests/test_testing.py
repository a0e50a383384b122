"""What b2fields.testing promises to the tests of other projects."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from b2fields import B2Storage, testing
from b2fields.exceptions import B2Unavailable
from tests.legal.models import Contract, Payslip

ROOT = Path(__file__).parents[1]


def save(name="a.txt"):
    return B2Storage(overwrite=True).save(name, ContentFile(b"content"))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One process for the tests of this module, that each of them begins anew."""
    with testing.run(tmp_path_factory.mktemp("b2")) as found:
        yield found


@pytest.fixture
def b2(running):
    with testing.pointed_at(running):
        yield running


def test_a_block_has_an_emulator_of_its_own_and_the_settings_are_as_before_after_it(settings):
    settings.B2FIELDS_BUCKET = None
    before = {name: getattr(settings, name) for name in dir(settings) if name.startswith("B2FIELDS_")}
    with testing.emulator() as b2:
        assert b2.realm == django_settings.B2FIELDS_REALM
        assert B2Storage().open(save()).read() == b"content"
    assert {name: getattr(django_settings, name) for name in before} == before
    assert b2.process.returncode == 0


def test_the_emulator_ends_with_a_block_that_fails():
    with pytest.raises(ZeroDivisionError), testing.emulator() as b2:
        _ = 1 / 0
    assert b2.process.returncode == 0


def test_a_block_can_override_further_settings():
    with testing.emulator(B2FIELDS_LOCATION="media"):
        save("a.txt")
        assert B2Storage(location="").exists("media/a.txt")


def test_every_bucket_that_the_project_names_is_there(running, settings):
    settings.B2FIELDS_BUCKET = "acme-files"
    settings.B2FIELDS_BUCKETS = {"staff": "acme-staff"}
    settings.STORAGES = {
        **settings.STORAGES,
        "archive": {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"bucket": "acme-archive"}},
    }
    with testing.pointed_at(running):
        save()
        storages["archive"].save("a.txt", ContentFile(b"content"))
        Contract._meta.get_field("scan").storage.save("a.txt", ContentFile(b"content"))


def test_the_bucket_of_a_field_of_django_in_a_storage_of_its_own_is_there_too(running, monkeypatch):
    field = Payslip._meta.get_field("file")
    monkeypatch.setattr(field, "storage", B2Storage(bucket="acme-payroll", access="staff"))
    with testing.pointed_at(running):
        assert field.storage.open(field.storage.save("a.txt", ContentFile(b"content"))).read() == b"content"


def test_a_bucket_is_private_unless_told_otherwise(running, settings):
    settings.B2FIELDS_BUCKET = "acme-files"
    with testing.pointed_at(running):
        assert B2Storage().client.bucket("acme-files").type == "allPrivate"
    with testing.pointed_at(running, {"acme-files": "allPublic"}):
        assert B2Storage().client.bucket("acme-files").type == "allPublic"


@pytest.mark.parametrize("time", ["first", "second"])
def test_each_test_begins_with_nothing_stored_and_nothing_remembered(b2, time):
    assert not B2Storage().exists("a.txt")
    save("a.txt")
    assert B2Storage().exists("a.txt")


def test_a_test_begins_connected_with_an_empty_log_and_no_faults(running):
    with testing.pointed_at(running) as _:
        running.fault("*", status=503, times=None)
        running.set_clock(86_400)
    with testing.pointed_at(running):
        assert running.requests() == []
        with running.counted() as operations:
            save()
        assert operations == ["b2_upload_file"]


def test_a_budget_that_is_kept_passes(b2):
    with b2.assert_max_num_requests(2):
        save()


def test_a_budget_that_is_broken_fails_and_names_the_requests(b2):
    def save_and_read():
        with b2.assert_max_num_requests(1):
            save()
            B2Storage().open("a.txt").read()

    with pytest.raises(AssertionError) as failed:
        save_and_read()
    assert str(failed.value).splitlines()[0] == "2 requests to B2 were made, at most 1 expected:"
    assert "b2_upload_file (POST /b2api/" in str(failed.value)
    assert "b2_download_file_by_name (GET /file/" in str(failed.value)


def test_budgets_nest(b2):
    with b2.assert_max_num_requests(2):
        save()
        with b2.assert_max_num_requests(1):
            save()


def test_an_error_in_a_budgeted_block_is_not_covered_up(b2):
    def save_and_fail():
        with b2.assert_max_num_requests(0):
            save()
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        save_and_fail()


def test_faults_are_as_scripted_until_healed(b2, settings):
    settings.B2FIELDS_RETRIES = 0
    b2.fault("b2_upload_file", times=None, status=503)
    with pytest.raises(B2Unavailable):
        save()
    b2.heal()
    assert save() == "a.txt"


def test_expired_tokens_cost_one_authorization(b2):
    save()
    b2.expire_tokens()
    with b2.counted() as operations:
        B2Storage().open("a.txt").read()
    assert operations.count("b2_authorize_account") == 1


def test_a_misspelt_fault_is_told(b2):
    with pytest.raises(ValueError, match="status"):
        b2.fault("b2_upload_file", status="high")


def test_an_emulator_that_cannot_start_says_so(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="did not start"), testing.run(tmp_path / "file"):
        pass
    assert "Cannot keep data" in capfd.readouterr().err


def test_the_fixtures_work_in_a_project_of_others_and_a_broken_budget_is_a_failed_test(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["b2fields.testing"]\n')
    (tmp_path / "test_files.py").write_text(
        textwrap.dedent("""
        from django.core.files.base import ContentFile
        from b2fields import B2Storage

        def test_fresh(b2_emulator):
            B2Storage().save("a.txt", ContentFile(b"content"))
            assert b2_emulator.operations() == ["head_file_by_name", "b2_upload_file"]

        def test_fresh_again(b2_emulator):
            assert B2Storage().listdir("") == ([], [])

        def test_kept(b2_assert_max_num_requests):
            with b2_assert_max_num_requests(2):
                B2Storage().save("a.txt", ContentFile(b"content"))

        def test_broken(b2_assert_max_num_requests):
            with b2_assert_max_num_requests(1):
                B2Storage().save("a.txt", ContentFile(b"content"))
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--ds=tests.settings", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert "AssertionError: 2 requests to B2 were made, at most 1 expected" in done.stdout


def test_without_pytest_the_context_manager_is_still_there():
    code = (
        "import sys; sys.modules['pytest'] = None; import b2fields.testing; print(b2fields.testing.emulator)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "function emulator" in done.stdout, done.stderr
