"""The README's snippets are a project that works, and its table of settings is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from b2fields.conf import B2FieldsConf
from tests import emulated

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

USE = """
import django
django.setup()
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from contracts.models import Contract

lawyer = User.objects.create_user("lawyer")
contract = Contract(lawyer=lawyer)
for name in ("scan", "minutes", "dossier"):
    getattr(contract, name).save("acme.pdf", ContentFile(name.encode()), save=False)
contract.save()

for user in (None, lawyer):
    client = Client()
    if user:
        client.force_login(user)
    print([client.get(getattr(contract, name).url).status_code for name in ("scan", "minutes", "dossier")])
"""


def snippet(first_line):
    match = re.search(rf"```python\n# {re.escape(first_line)}\n(.*?)```", README, re.DOTALL)
    assert match, first_line
    return match[1]


@pytest.fixture
def run(tmp_path, emulator):
    """Run Python in the README's smallest project, and return what it printed."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "site_.settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "B2_APPLICATION_KEY_ID": emulated.KEY_ID,
        "B2_APPLICATION_KEY": emulated.KEY,
    }

    def run(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def append(path, text):
        with (tmp_path / path).open("a") as file:
            file.write(text)

    run("-m", "django", "startproject", "site_", ".", "--settings", "tests.settings")
    run("-m", "django", "startapp", "contracts", "--settings", "tests.settings")
    (tmp_path / "contracts" / "models.py").write_text(snippet("contracts/models.py"))
    append("site_/urls.py", snippet("urls.py, below what startproject wrote"))
    append("site_/settings.py", snippet("settings.py, below what startproject wrote"))
    run("manage.py", "makemigrations", "contracts")
    return run


def test_the_smallest_project_works_as_it_stands(run, emulator, bucket, tmp_path):
    with (tmp_path / "site_" / "settings.py").open("a") as settings:
        settings.write(f'ALLOWED_HOSTS = ["*"]\nB2FIELDS_REALM = "{emulator.realm}"\n')
        settings.write(f'B2FIELDS_BUCKET = "{bucket}"\n')
    run("manage.py", "migrate")
    assert run("-c", USE).splitlines() == ["[302, 302, 302]", "[403, 200, 200]"]


def test_the_examples_for_tests_of_that_project_pass(run, tmp_path):
    (tmp_path / "conftest.py").write_text(snippet("conftest.py"))
    (tmp_path / "test_contracts.py").write_text(snippet("test_contracts.py"))
    assert "3 passed" in run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    (tmp_path / "contracts" / "tests.py").write_text(snippet("contracts/tests.py"))
    run("manage.py", "test", "contracts")


@pytest.mark.parametrize("setting", sorted(k for k in vars(B2FieldsConf) if k.isupper()))
def test_the_readme_tells_every_setting(setting):
    assert f"`B2FIELDS_{setting}`" in README
