"""Other processes on the database and the bucket of a test, that stop where it wants them to."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, contextmanager

from django.conf import settings
from django.db import connection, connections

_PATIENCE_SECONDS = 60
_SETTINGS = ("REALM", "APPLICATION_KEY_ID", "APPLICATION_KEY", "BUCKET", "CLEANUP_DELAY")


@contextmanager
def starting(folder):
    """Give the function that starts a process; the test's own database is one that both can open."""
    with ExitStack() as stack:
        database = stack.enter_context(_database_in_file(folder / "database.sqlite3"))

        def start(job, *, at=None, is_killed=False, in_transaction=False, **arguments):
            told = {
                "job": job,
                "arguments": arguments,
                "at": at,
                "is_killed": is_killed,
                "in_transaction": in_transaction,
                "database": str(database),
                "settings": {f"B2FIELDS_{name}": getattr(settings, f"B2FIELDS_{name}") for name in _SETTINGS},
            }
            command = [sys.executable, "-m", "tests.cleaning.child", json.dumps(told)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return Child(process)

        yield start


@contextmanager
def _database_in_file(path):
    """Copy SQLite's database in memory into a file, and use that; give the name to connect to."""
    usual = connections["default"]
    if usual.vendor != "sqlite":
        yield usual.settings_dict["NAME"]
        return
    usual.ensure_connection()
    copy = sqlite3.connect(path)
    usual.connection.backup(copy)
    copy.close()
    connections["default"] = type(usual)({**usual.settings_dict, "NAME": str(path)}, "default")
    try:
        yield path
    finally:
        connections["default"].close()
        connections["default"] = usual


class Child:
    """A process that does one job; see ``tests.cleaning.child``."""

    def __init__(self, process):
        self._process = process

    def arrives(self):
        """Wait until it has come to the moment where it stops."""
        assert self._process.stdout.readline() == "there\n"

    def go_on(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self):
        """Wait for its end, and return what it told: its result, or the error that it met with."""
        told = self._process.stdout.readline()
        assert self._process.wait(_PATIENCE_SECONDS) == 0
        return json.loads(told)

    def is_killed(self):
        """Wait until it has killed itself, and its database knows: what it had locked is free then."""
        self.arrives()
        assert self._process.wait(_PATIENCE_SECONDS) == -signal.SIGKILL


def is_lock_awaited():
    """Tell whether a process waits for a lock of the database's server."""
    asked = {
        "postgresql": (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ),
        "mysql": (
            "SELECT variable_value FROM information_schema.global_status "
            "WHERE variable_name = 'Innodb_row_lock_current_waits'"
        ),
    }
    with connection.cursor() as cursor:
        cursor.execute(asked[connection.vendor])
        return int(cursor.fetchone()[0]) > 0
