"""b2_import of many files at once, killed at any moment."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage

from b2fields.importing import Plan, run
from tests import emulated
from tests.imports import (
    LETTERS,
    LIST,
    REPORTS,
    UPLOAD,
    job,
    letter,
    on_disk,
    put,
    told,
)
from tests.legal.models import Letter

pytestmark = pytest.mark.django_db


# Many, and killed


class MeetingStorage(FileSystemStorage):
    """A disk that opens files by threes, and counts how many are being opened at once."""

    def __init__(self, **options):
        super().__init__(**options)
        self.lock, self.meeting = threading.Lock(), threading.Barrier(3, timeout=10)
        self.opening = self.most = 0

    def _open(self, name, mode="rb"):
        with self.lock:
            self.opening += 1
            self.most = max(self.most, self.opening)
        self.meeting.wait()
        with self.lock:
            self.opening -= 1
        return super()._open(name, mode)


def test_files_are_copied_several_at_a_time_and_no_more(old, monkeypatch):
    for number in range(30):
        letter(old, f"{number}.txt")
    begun = []
    monkeypatch.setattr(Letter._meta.get_field("file"), "metadata", lambda *row: begun.append(row) or {})
    source = MeetingStorage(location=str(old))
    work = job(LETTERS, str)._replace(source=source)
    with closing(Plan("", work)) as plan:
        plan.collect()
        ahead = [len(begun) - done for done, _ in enumerate(run(work, plan, 3))]
    assert len(ahead) == 30
    assert source.most == 3
    assert max(ahead) <= 6


SETTINGS = """
from tests.settings import *

DATABASES = {{
    "default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}},
    "second": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r} + "-2"}},
}}
STORAGES = {{
    "default": {{"BACKEND": "django.core.files.storage.FileSystemStorage"}},
    "staticfiles": {{"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}},
    "old": {old!r},
}}
B2FIELDS_REALM, B2FIELDS_BUCKET = {realm!r}, {bucket!r}
B2FIELDS_APPLICATION_KEY_ID, B2FIELDS_APPLICATION_KEY = {key_id!r}, {key!r}
B2FIELDS_PART_SIZE = 5_000_000
"""

# The process kills itself once B2 has answered so many requests, and before anybody reads the answer.
KILLED = """
import os, signal, sys, django
django.setup()
from django.core.management import execute_from_command_line
from b2fields.signals import b2_request_finished
left = [int(sys.argv[1])]

def die(operation, **kwargs):
    left[0] -= operation in ("b2_upload_file", "b2_upload_part", "b2_finish_large_file")
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

b2_request_finished.connect(die)
execute_from_command_line(["manage.py", *sys.argv[2:]])
"""


@pytest.fixture
def site(old, tmp_path, emulator, bucket):
    """Start Python as a project with a database in a file; return what the finished process says."""
    values = SETTINGS.format(
        database=str(tmp_path / "site.sqlite3"),
        old=on_disk(old),
        realm=emulator.realm,
        bucket=bucket,
        key_id=emulated.KEY_ID,
        key=emulated.KEY,
    )
    (tmp_path / "site_settings.py").write_text(values)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": path}

    def run_python(*arguments):
        return subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60
        )

    return run_python


MAKE_ROWS = """
import django, sys
django.setup()
from django.core.management import call_command
from tests.legal.models import Report
alias, *names = sys.argv[1:]
call_command("migrate", run_syncdb=True, verbosity=0, database=alias)
Report.objects.using(alias).bulk_create([Report(file=name) for name in names])
"""


@pytest.mark.parametrize("names", ["keep", "new"])
def test_killed_at_any_moment_and_run_again_no_file_is_uploaded_twice(
    old, site, emulator, versions, tmp_path, names, b2_api, bucket
):
    contents = {f"{number}.txt": b"%d" % number for number in range(9)}
    for name, content in contents.items():
        put(old, name, content)
    assert site("-c", MAKE_ROWS, "default", *contents).returncode == 0
    command = ["b2_import", REPORTS, "--from", "old", "--json", "--names", names, "--threads", "2"]
    command += ["--state", str(tmp_path / "state")] if names == "new" else []
    with emulator.counted() as operations:
        for moment in (1, 2, 3):
            killed = site("-c", KILLED, str(moment), *command)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
        finished = site("-m", "django", *command)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)[REPORTS]["failures"] == []
    assert len(versions()) == len(set(versions())) == 9
    answered = [r for r in emulator.requests() if r["operation"] == UPLOAD and r["status"] == 200]
    assert len(answered) == 9
    assert operations.count(LIST) <= 4
    found = b2_api.get_bucket_by_name(bucket)
    for name in site("-c", SHOW_ROWS).stdout.split():
        stored = io.BytesIO()
        found.download_file_by_name(name).save(stored)
        assert stored.getvalue() == contents[name.rpartition("/")[2]]
    again = site("-m", "django", *command)
    assert json.loads(again.stdout) == {REPORTS: told(there=9)}


SHOW_ROWS = """
import django
django.setup()
from tests.legal.models import Report
print(*Report.objects.values_list("file", flat=True), sep="\\n")
"""


def test_rows_of_another_database_are_followed_there(old, site, versions):
    for alias in ("default", "second"):
        put(old, f"{alias}.txt", b"")
        assert site("-c", MAKE_ROWS, alias, f"{alias}.txt").returncode == 0
    assert site("-m", "django", "b2_import", REPORTS, "--from=old", "--database=second").returncode == 0
    assert versions() == ["second.txt"]
