"""Another process on the database and bucket of a test: it does one job, and stops at one moment of it.

``tests.cleaning.processes`` starts it, with one argument of JSON. What it has to tell are lines of its
standard output: "there" at the moment, where it waits for a line of its input, or is killed; in the end the
result of its job, or the error it met with.
"""

import json
import os
import signal
import sys
from contextlib import nullcontext
from functools import partial

import django
from django.conf import settings
from django.db import DatabaseError, connection, transaction

told = json.loads(sys.argv[1])
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
settings.DATABASES["default"]["NAME"] = told.pop("database")
for name, value in told.pop("settings").items():
    setattr(settings, name, value)
django.setup()

# Models are there only now.
from b2fields import cleanup, signals  # noqa: E402
from tests.cleaning.conftest import rolled_back, upload  # noqa: E402
from tests.cleaning.models import Note  # noqa: E402

# Moments: each function calls *reached* when it has come


def upload_is_done(reached):
    _after_request("b2_upload_file", 1, reached)


def versions_are_listed(reached):
    _after_request("b2_list_file_versions", 1, reached)


def first_version_is_removed(reached):
    _after_request("b2_delete_file_version", 1, reached)


def second_version_is_removed(reached):
    _after_request("b2_delete_file_version", 2, reached)


def row_is_asked_for(reached):
    _around_sql("SELECT", "cleaning_note", before=reached)


def check_begins(reached):
    # After the transaction, if there is one.
    transaction.on_commit(partial(_around_sql, "SELECT", "cleaning_note", before=reached))


def entry_is_about_to_be_written(reached):
    _around_sql("INSERT", "b2fields_droppedfile", before=reached)


def entry_is_written(reached):
    _around_sql("INSERT", "b2fields_droppedfile", after=reached)


def entry_is_asked_for(reached):
    _around_sql("SELECT", "b2fields_droppedfile", before=reached)


def row_is_about_to_be_written(reached):
    _around_sql("UPDATE", "cleaning_note", before=reached)


def row_is_about_to_go(reached):
    _around_sql("DELETE", "cleaning_note", before=reached)


def row_is_written(reached):
    _around_sql("UPDATE", "cleaning_note", after=reached)
    _around_sql("INSERT", "cleaning_note", after=reached)
    _around_sql("DELETE", "cleaning_note", after=reached)


def transaction_is_committed(reached):
    # The first of its callbacks, before those that work the outbox.
    transaction.on_commit(reached)


def names_are_checked(reached):
    _on_signal("pre_cleanup", reached)


def entry_is_about_to_go(reached):
    _around_sql("DELETE", "b2fields_droppedfile", before=reached)


def entry_is_gone(reached):
    _around_sql("DELETE", "b2fields_droppedfile", after=reached)


def all_is_done(reached):
    _on_signal("post_cleanup", reached)


def _on_signal(name, reached):
    # Not weakly: nobody else keeps the receiver.
    getattr(signals, name).connect(lambda **kwargs: reached(), weak=False)


def _after_request(operation, number, reached):
    seen = []

    def receive(**kwargs):
        if kwargs["operation"] == operation:
            seen.append(kwargs)
            if len(seen) == number:
                reached()

    signals.b2_request_finished.connect(receive, weak=False)


def _around_sql(verb, table, *, before=None, after=None):
    def wrap(execute, sql, params, many, context):
        is_meant = sql.startswith(verb) and table in sql
        if is_meant and before:
            before()
        result = execute(sql, params, many, context)
        if is_meant and after:
            after()
        return result

    connection.execute_wrappers.append(wrap)


# Jobs: what a job reads before it yields is not what the moments are about


def replace():
    note = Note.objects.get()
    yield
    note.scan = upload("new.txt")
    note.save()


def delete():
    note = Note.objects.get()
    yield
    note.delete()


def roll_back():
    yield
    with rolled_back():
        Note.objects.create(title="rolled back", scan=upload("new.txt"))


def save_with(name):
    yield
    Note.objects.create(title="new", scan=name)


def work():
    yield
    return dict(sum(cleanup.work_all("default", retry=True), cleanup.Outcome()))


def main(at, is_killed, in_transaction, job, arguments):
    are_there = False

    def reached():
        nonlocal are_there
        if not are_there:
            are_there = True
            print("there", flush=True)
            if is_killed:
                os.kill(os.getpid(), signal.SIGKILL)
            sys.stdin.readline()

    told = {}
    try:
        with transaction.atomic() if in_transaction else nullcontext():
            steps = globals()[job](**arguments)
            next(steps)
            if at:
                globals()[at](reached)
            try:
                next(steps)
            except StopIteration as end:
                told["result"] = end.value
    except DatabaseError as error:
        told["error"] = str(error)
    print(json.dumps(told), flush=True)


main(**told)
