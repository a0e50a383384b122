"""Where tokens are shared between processes: a SQLite file instead of the cache."""

import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.files.base import ContentFile

from b2fields import B2Storage
from b2fields.b2 import connections
from b2fields.exceptions import NotConfigured
from tests import emulated

pytestmark = pytest.mark.django_db  # the checks of models ask the database what it can

AUTHORIZE = "b2_authorize_account"


@pytest.fixture
def path(emulator, settings, tmp_path):
    """The file in which the tokens are shared, and nothing in the cache."""
    settings.B2FIELDS_ACCOUNT_INFO = {"type": "sqlite", "path": tmp_path / "tokens.sqlite3"}
    settings.B2FIELDS_METADATA_TIMEOUT = 0
    return tmp_path / "tokens.sqlite3"


def use():
    return B2Storage(overwrite=True).save("a.txt", ContentFile(b"content"))


def spent_by_another_process(emulator):
    """Use B2 as a process that begins anew, and return what that cost."""
    connections.close_all()
    with emulator.counted() as operations:
        use()
    return operations


def test_a_second_process_finds_the_authorization_in_the_file(path, emulator):
    use()
    assert spent_by_another_process(emulator) == ["b2_get_upload_url", "b2_upload_file"]


def test_a_real_second_process_finds_it_too(path, emulator, settings):
    use()
    code = f"""
import django
from django.conf import settings
settings.configure(
    SECRET_KEY={settings.SECRET_KEY!r}, INSTALLED_APPS=["b2fields"],
    B2FIELDS_REALM={emulator.realm!r}, B2FIELDS_BUCKET={settings.B2FIELDS_BUCKET!r},
    B2FIELDS_APPLICATION_KEY_ID={emulated.KEY_ID!r}, B2FIELDS_APPLICATION_KEY={emulated.KEY!r},
    B2FIELDS_ACCOUNT_INFO={{"type": "sqlite", "path": {str(path)!r}}},
)
django.setup()
from b2fields import B2Storage
assert B2Storage().open("a.txt").read() == b"content"
"""
    with emulator.counted() as operations:
        subprocess.run(
            [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
        )
    assert operations == ["b2_download_file_by_name"]


def test_nothing_of_it_is_in_the_cache(path):
    cache.clear()
    use()
    assert not cache._cache


def test_only_its_owner_may_read_the_file(path):
    before = os.umask(0)
    try:
        use()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_holds_no_application_key(path):
    use()
    assert emulated.KEY.encode() not in path.read_bytes()
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT key, entry FROM b2fields_account").fetchall()
    connection.close()
    assert len(rows) == 1
    assert rows[0][0].startswith("b2fields:account:")


def test_an_entry_that_was_tampered_with_is_none(path, emulator):
    use()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE b2fields_account SET entry = 'A' || substr(entry, 2)")
    connection.close()
    assert AUTHORIZE in spent_by_another_process(emulator)
    assert AUTHORIZE not in spent_by_another_process(emulator)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            lambda path: path.write_bytes(b"this is no database, but the notes of somebody"), id="text"
        ),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:100]), id="cut short"),
        pytest.param(lambda path: path.unlink() or path.mkdir(), id="a directory"),
    ],
)
def test_a_damaged_file_costs_an_authorization_and_is_not_touched(path, emulator, caplog, damage):
    use()
    damage(path)
    before = path.is_file() and path.read_bytes()
    assert AUTHORIZE in spent_by_another_process(emulator)
    assert (path.is_file() and path.read_bytes()) == before
    assert "b2fields cannot keep its tokens in" in caplog.text
    assert "B2FIELDS_ACCOUNT_INFO" in caplog.text


def test_an_empty_file_is_filled(path, emulator):
    path.touch()
    use()
    assert AUTHORIZE not in spent_by_another_process(emulator)


def test_a_file_that_is_deleted_is_made_anew(path, emulator):
    use()
    path.unlink()
    assert AUTHORIZE in spent_by_another_process(emulator)
    assert path.exists()


def test_a_folder_that_does_not_exist_makes_it_slower_and_not_wrong(path, emulator, settings):
    settings.B2FIELDS_ACCOUNT_INFO = {"type": "sqlite", "path": path / "nowhere" / "tokens"}
    assert use() == "a.txt"


def test_a_file_that_another_process_holds_locked_makes_it_slower_and_not_wrong(
    path, emulator, monkeypatch, caplog
):
    use()
    monkeypatch.setattr("b2fields.shared._LOCK_SECONDS", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert AUTHORIZE in spent_by_another_process(emulator)
    holder.execute("ROLLBACK")
    holder.close()
    assert "database is locked" in caplog.text


def test_threads_of_a_process_authorize_once_between_them(path, emulator):
    use()
    emulator.expire_tokens()
    storage = B2Storage()
    with emulator.counted() as operations, ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: storage.open("a.txt").read(), range(40)))
    assert found == [b"content"] * 40
    assert operations.count(AUTHORIZE) == 1


def test_writers_of_many_processes_do_not_harm_each_other(path):
    code = """
import sys, django
from django.conf import settings
settings.configure(INSTALLED_APPS=["b2fields"])
django.setup()
from b2fields import shared
place = shared.Place(path=sys.argv[1])
for number in range(50):
    shared.write(place, sys.argv[2], str(number), 60)
    assert shared.read(place, sys.argv[2]) == str(number)
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), f"key-{number}"], env=environment)
        for number in range(4)
    ]
    assert [process.wait(120) for process in running] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        pytest.param({"type": "sqlite"}, "needs a path", id="no path"),
        pytest.param({"type": "sqlite", "path": ""}, "needs a path", id="an empty path"),
        pytest.param({"type": "sqlite", "path": 7}, "needs a path", id="a path that is none"),
        pytest.param({"type": "paper"}, "has type 'paper'", id="an unknown type"),
        pytest.param({"type": "cache", "cache": "default"}, "takes no cache", id="an unknown key"),
        pytest.param("memory", "must be a dict", id="no dict"),
    ],
)
def test_a_wrong_account_info_is_named_when_used_and_by_check(emulator, settings, declared, message):
    settings.B2FIELDS_ACCOUNT_INFO = declared
    with pytest.raises(NotConfigured, match=message):
        use()
    (error,) = (error for error in run_checks() if error.id == "b2fields.E015")
    assert error.hint
