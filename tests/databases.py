"""Run the tests of cleanup on each database: ``python -m tests.databases [arguments of pytest]``.

PostgreSQL is looked for at PGHOST, PGPORT, PGUSER and PGPASSWORD, by default as postgres at 127.0.0.1:5432,
and MariaDB at MYSQL_HOST, MYSQL_TCP_PORT, MYSQL_USER and MYSQL_PWD, by default as root at 127.0.0.1:3306,
both without a password. The user creates a database for the tests, and drops it in the end.
"""

import os
import subprocess
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.db.utils import ConnectionHandler

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
# The servers, and the database that each has without us.
SERVERS = {"postgresql": "postgres", "mariadb": ""}
# What `make test` leaves out on SQLite, or does less of, since it takes long.
LONG = (
    "tests/cleaning/test_kills.py",
    "tests/cleaning/test_races.py",
    "tests/cleaning/test_sequences.py",
    "tests/importing/test_kills.py",
)


def refusal(name):
    """Return why a server cannot be used, or None."""
    database = settings.DATABASES_BY_NAME[name]
    connection = ConnectionHandler({"default": {**database, "NAME": SERVERS[name]}})["default"]
    try:
        connection.ensure_connection()
    except (DatabaseError, ImproperlyConfigured) as error:
        where = f"{database['USER']} at {database['HOST']}:{database['PORT']}"
        return f"{name} cannot be used as {where}: {error}\nStart it, or see tests/databases.py."
    connection.close()
    return None


def main(arguments):
    refusals = [told for name in SERVERS if (told := refusal(name))]
    if refusals:
        sys.exit("\n".join(refusals))
    statuses = []
    for name in ("sqlite", *SERVERS):
        print(f"{name}:", flush=True)
        tests = LONG if name == "sqlite" else ("tests/cleaning", "tests/auditing")
        command = [sys.executable, "-m", "pytest", *tests, *arguments]
        statuses.append(subprocess.call(command, env={**os.environ, "B2FIELDS_TEST_DATABASE": name}))
    sys.exit(max(statuses))


if __name__ == "__main__":
    main(sys.argv[1:])
