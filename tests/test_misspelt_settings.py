"""Slips in settings and in arguments of fields that would be noticed late or never: check tells them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import models
from django.test.utils import isolate_apps, override_settings

from b2fields import B2FileField, B2Storage

pytestmark = pytest.mark.django_db


def told(id, **changed):
    """Return what the check of this id says with these settings."""
    with override_settings(**changed):
        return [message for message in run_checks() if message.id == f"b2fields.{id}"]


def aliases(settings, **declared):
    return {"STORAGES": {**settings.STORAGES, **declared}}


def b2(backend="b2fields.B2Storage", **options):
    return {"BACKEND": backend, "OPTIONS": options}


class Archive(B2Storage):
    """A storage of a project's own."""


# The app


MODELS = """
from django.conf import settings
from django.db import models
from b2fields import B2FileField, B2ImageField, B2Storage


def choose():
    return B2Storage(bucket=settings.B2FIELDS_BUCKETS["staff"])


class Contract(models.Model):
    scan = B2FileField(access="staff", cleanup=True)
    cover = B2ImageField(storage=choose)
"""

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""


@pytest.mark.parametrize("command", ["check", "makemigrations"])
def test_fields_whose_app_is_not_installed_say_so_and_break_no_command(tmp_path, command):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    (tmp_path / "settings.py").write_text(SETTINGS)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", "django", command],
        cwd=tmp_path,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.count("b2fields.E039") == 2
    assert done.stderr.count('Add "b2fields" to INSTALLED_APPS.') == 2
    assert done.stderr.count("HINT") == 2
    assert "Traceback" not in done.stderr


# Names of settings


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("B2FIELDS_ACESS", "Did you mean B2FIELDS_ACCESS?", id="a letter too few"),
        pytest.param("B2FIELDS_BUKCET", "Did you mean B2FIELDS_BUCKET?", id="two letters swapped"),
        pytest.param("B2FIELDS_QUUX", "Remove it; the README lists all there are.", id="like no other"),
    ],
)
def test_a_setting_that_does_not_exist_is_told_with_the_one_that_may_be_meant(name, hint):
    (warning,) = told("W042", **{name: "its-secret-value"})
    assert name in warning.msg
    assert warning.hint == hint
    assert "its-secret-value" not in str(warning)


# STORAGES


@pytest.mark.parametrize("backend", ["b2fields.B2Storage", f"{__name__}.Archive"])
def test_an_alias_with_an_unknown_option_is_named_with_the_one_that_may_be_meant(settings, backend):
    (error,) = told("E043", **aliases(settings, archive=b2(backend, acces="staff")))
    assert error.msg.startswith("STORAGES['archive'] cannot be built: ")
    assert "Did you mean 'access'?" in error.msg


def test_an_alias_without_a_backend_is_left_to_django(settings):
    assert told("E043", **aliases(settings, archive={"OPTIONS": {}})) == []


def test_an_alias_whose_backend_b2fields_does_not_have_is_named(settings):
    (error,) = told("E043", **aliases(settings, archive={"BACKEND": "b2fields.B2Storge"}))
    assert "STORAGES['archive']" in error.msg
    assert "B2Storge" in error.msg


def test_an_alias_with_an_unknown_access_is_named(settings):
    (error,) = told("E044", **aliases(settings, archive=b2(access="stuff")))
    assert error.msg == "STORAGES['archive'] has access='stuff', which is no access level."


def test_an_alias_that_follows_a_wrong_setting_is_left_to_the_check_of_the_setting(settings):
    changed = {"B2FIELDS_ACCESS": "stuff", **aliases(settings, archive=b2())}
    assert told("E044", **changed) == []
    assert len(told("E004", **changed)) == 1


# Values of settings


NO_REALMS = {
    "a slip": "prodution",
    "another letter case": "Production",
    "a host alone": "api.example.com",
    "another scheme": "ftp://api.example.com",
    "no host": "http://",
    "no port": "http://127.0.0.1:port",
    "a line end": "http://127.0.0.1:8765\n",
    "nothing": None,
}


@pytest.mark.parametrize("realm", NO_REALMS.values(), ids=NO_REALMS)
def test_a_realm_that_is_none_is_told_once(realm):
    (error,) = told("E045", B2FIELDS_REALM=realm)
    assert error.msg.startswith(f"B2FIELDS_REALM is {realm!r}, ")


@pytest.mark.parametrize(
    "realm", ["production", "production/", "staging", "dev", "https://api.example.com/", "http://[::1]:1"]
)
def test_a_realm_that_is_one_is_passed(realm):
    assert told("E045", B2FIELDS_REALM=realm) == []


def test_the_realm_of_a_storage_is_checked_too(settings):
    (error,) = told("E045", **aliases(settings, archive=b2(realm="prodution")))
    assert error.msg.startswith("STORAGES['archive'] has realm='prodution', ")


def test_an_alias_that_CACHES_lacks_is_told_once():
    (error,) = told("E046", B2FIELDS_ACCOUNT_INFO={"type": "cache", "alias": "nope"})
    assert error.msg.startswith("B2FIELDS_ACCOUNT_INFO is {'type': 'cache', 'alias': 'nope'}, ")


def test_the_account_info_of_a_storage_is_checked_too(settings):
    (error,) = told("E046", **aliases(settings, archive=b2(account_info={"alias": "nope"})))
    assert error.msg.startswith("STORAGES['archive'] has account_info={'alias': 'nope'}, ")


@pytest.mark.parametrize("account_info", [{"type": "cache", "alias": "default"}, {"type": "memory"}, {}])
def test_account_info_that_names_no_other_cache_is_passed(account_info):
    assert told("E046", B2FIELDS_ACCOUNT_INFO=account_info) == []


def test_an_unknown_delivery_is_told_of_the_setting_and_of_whoever_declares_one_too(settings):
    changed = aliases(settings, archive=b2(delivery="nginx"), follower=b2())
    of_setting, of_alias = told("E030", B2FIELDS_DELIVERY="redir", **changed)
    assert of_setting.msg == "B2FIELDS_DELIVERY is 'redir', which is no way of delivery."
    assert of_alias.msg.startswith("STORAGES['archive'] has delivery='nginx'.")


# Arguments of fields


@isolate_apps("tests.legal")
def found(**arguments):
    class Model(models.Model):
        file = B2FileField(**arguments)

        class Meta:
            app_label = "legal"

    return Model._meta.get_field("file").check()


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"dépt": 5}, id="a letter that a key cannot have"),
        pytest.param({"k" * 51: "x"}, id="a key that is too long"),
        pytest.param({"a": "x" * 7000}, id="values that are too long"),
    ],
)
def test_metadata_that_B2_would_refuse_is_told(metadata):
    (error,) = found(metadata=metadata)
    assert error.id == "b2fields.E040"
    assert error.obj.name == "file"


@pytest.mark.parametrize(
    ("upload_to", "id"),
    [
        pytest.param("../x", "b2fields.E041", id="above its place"),
        pytest.param("a/../../x", "b2fields.E041", id="above its place, later"),
        pytest.param("..\\x", "b2fields.E041", id="above its place, by backslashes"),
        pytest.param("a\n/", "b2fields.E041", id="with a line end"),
        pytest.param("x" * 251, "b2fields.E041", id="longer than a folder may be"),
        pytest.param(Path("/abs"), "b2fields.E041", id="a path that is absolute"),
        pytest.param("/abs", "fields.E202", id="absolute, of which Django tells"),
    ],
)
def test_an_upload_to_under_which_no_file_can_be_stored_is_told(upload_to, id):
    (error,) = found(upload_to=upload_to, max_length=500)
    assert error.id == id


@pytest.mark.parametrize(
    "arguments",
    [
        {"metadata": {"department": "legal", "year": 2026}, "upload_to": "contracts/%Y/%m"},
        {"upload_to": "./a//b/", "metadata": {}},
        {"upload_to": "", "storage": B2Storage(bucket="a")},
    ],
)
def test_arguments_that_can_be_stored_are_passed(arguments):
    assert found(**arguments) == []


def test_a_project_without_such_slips_hears_of_none(emulator, settings):
    settings.STORAGES = {**settings.STORAGES, "archive": b2(access="staff", realm="production")}
    slips = {
        f"b2fields.{id}" for id in ("E039", "E040", "E041", "W042", "E043", "E044", "E045", "E046", "E047")
    }
    assert slips.isdisjoint(message.id for message in run_checks())
