"""What a declaration writes into migrations, and that none of Django's commands needs B2 or a key."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.db import connection, migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from b2fields import B2FileField, B2ImageField, B2Storage, has_perm
from tests.legal.models import is_owner, letter_info


def choose_storage():
    return B2Storage(bucket="chosen")


def rebuilt(field):
    _, _, args, kwargs = field.deconstruct()
    return type(field)(*args, **kwargs)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(B2FileField(), {}, id="nothing but Django's upload_to when nothing was passed"),
        pytest.param(B2FileField(access="staff"), {"access": "staff"}, id="a level"),
        pytest.param(B2FileField(access=is_owner), {"access": is_owner}, id="a callable"),
        pytest.param(B2FileField(bucket="acme"), {"bucket": "acme"}, id="a bucket"),
        pytest.param(B2FileField(metadata={"a": "b"}), {"metadata": {"a": "b"}}, id="metadata"),
        pytest.param(B2FileField(metadata=letter_info), {"metadata": letter_info}, id="a metadata callable"),
        pytest.param(B2FileField(unique_names=False), {"unique_names": False}, id="an explicit False"),
        pytest.param(B2FileField(storage="alias"), {"storage": "alias"}, id="an alias as such"),
        pytest.param(
            B2FileField(storage=choose_storage), {"storage": choose_storage}, id="a callable storage"
        ),
        pytest.param(
            B2FileField(storage=default_storage), {"storage": "default"}, id="the default storage's alias"
        ),
        pytest.param(B2FileField(max_length=100), {"max_length": 100}, id="Django's default length"),
        pytest.param(B2FileField(db_index=False), {"db_index": False}, id="no index"),
        pytest.param(
            B2ImageField(width_field="w", height_field="h"),
            {"width_field": "w", "height_field": "h"},
            id="an image's dimension fields",
        ),
    ],
)
def test_deconstruct_returns_what_was_passed(settings, field, expected):
    backend = {"BACKEND": "b2fields.storage.B2Storage"}
    settings.STORAGES = {**settings.STORAGES, "default": backend, "alias": backend}
    _, path, args, kwargs = field.deconstruct()
    assert path == f"b2fields.{type(field).__name__}"
    assert (args, kwargs) == ([], {"upload_to": "", **expected})
    assert rebuilt(field).deconstruct()[3] == kwargs


def test_a_migration_with_every_argument_can_be_written_and_run_again():
    field = B2FileField(
        access=has_perm("legal.view_contract"),
        bucket="acme",
        metadata=letter_info,
        unique_names=False,
        upload_to="x/",
    )
    text, imports = MigrationWriter.serialize(field)
    scope = {}
    exec("\n".join(sorted(imports)), scope)  # noqa: S102 - what a migration file would hold
    again = eval(text, scope)  # noqa: S307
    assert again.deconstruct()[3] == field.deconstruct()[3]


def test_a_migration_of_a_given_storage_holds_no_credential():
    storage = B2Storage(bucket="acme", application_key_id="the-id", application_key="the-secret")
    text, _ = MigrationWriter.serialize(B2FileField(storage=storage))
    assert "the-secret" not in text
    assert "acme" in text


def state_with(field):
    state = ProjectState()
    state.add_model(ModelState("legal", "Paper", [("id", models.AutoField(primary_key=True)), ("f", field)]))
    return state


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"access": "public"}, id="access"),
        pytest.param({"bucket": "other"}, id="bucket"),
        pytest.param({"metadata": {"a": "b"}}, id="metadata"),
        pytest.param({"unique_names": False}, id="unique_names"),
        pytest.param({"storage": choose_storage}, id="storage"),
        pytest.param({"upload_to": "elsewhere/"}, id="upload_to"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_changing_a_policy_makes_a_migration_without_SQL(change):
    before, after = state_with(B2FileField()), state_with(B2FileField(**change))
    changes = MigrationAutodetector(before, after)._detect_changes()
    (operation,) = changes["legal"][0].operations
    assert isinstance(operation, migrations.AlterField)
    with connection.schema_editor(collect_sql=True) as editor:
        operation.database_forwards("legal", editor, before, after)
    assert [line for line in editor.collected_sql if not line.startswith("--")] == []


def test_an_unchanged_field_makes_no_migration():
    field = B2FileField(access=has_perm("legal.view_contract"), metadata=letter_info)
    assert MigrationAutodetector(state_with(field), state_with(rebuilt(field)))._detect_changes() == {}


MODELS = """
from django.db import models
from b2fields import B2FileField, B2ImageField, has_perm


def may_read(request, instance):
    return False


class Base(models.Model):
    scan = B2FileField(access="staff")

    class Meta:
        abstract = True


class Contract(Base):
    dossier = B2FileField(access=may_read, metadata={"a": "b"}, bucket="acme")
    permit = B2FileField(access=has_perm("shop.view_contract"))


class Annex(Contract):
    image = B2ImageField(access="public", width_field="w", height_field="h")
    w = models.IntegerField(null=True)
    h = models.IntegerField(null=True)


class ContractProxy(Contract):
    class Meta:
        proxy = True
"""

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["b2fields", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "urls"
# Nothing listens here, and no key is set: these commands need neither.
B2FIELDS_REALM = "http://127.0.0.1:9"
"""

URLS = """
from django.urls import include, path
urlpatterns = [path("", include("b2fields.urls"))]
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "urls.py").write_text(URLS)
    return tmp_path


def django_admin(project, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("B2")}
    environment |= {
        # A model file that is written twice within a second may meet its old bytecode.
        "PYTHONDONTWRITEBYTECODE": "1",
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(project), str(Path(__file__).parents[1])]),
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "django", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_of_a_new_project_work_without_B2_and_without_a_key(project):
    for arguments in (
        ["makemigrations", "shop"],
        ["makemigrations", "--check", "--dry-run"],
        ["migrate"],
        ["check"],
    ):
        done = django_admin(project, *arguments)
        assert done.returncode == 0, done.stderr
    assert "No changes detected" in django_admin(project, "makemigrations").stdout


def test_a_change_of_access_is_a_migration_that_prints_no_SQL(project):
    django_admin(project, "makemigrations", "shop")
    (project / "shop" / "models.py").write_text(MODELS.replace('access="staff"', 'access="login"'))
    django_admin(project, "makemigrations", "shop", "-n", "two")
    assert "migrations.AlterField" in (project / "shop" / "migrations" / "0002_two.py").read_text()
    lines = django_admin(project, "sqlmigrate", "shop", "0002").stdout.splitlines()
    assert [line for line in lines if line and not line.startswith("--")] in ([], ["BEGIN;", "COMMIT;"])


def test_starting_up_does_not_import_the_SDK(project):
    code = "import django, sys; django.setup(); import shop.models; print('b2sdk' in sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings"}
    environment["PYTHONPATH"] = os.pathsep.join([str(project), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
