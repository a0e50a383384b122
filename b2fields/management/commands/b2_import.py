"""``manage.py b2_import``: the files of existing rows, copied from another storage into B2."""

import json
import os
import sqlite3
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

from django import db
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InvalidStorageError, Storage, storages
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections, router
from django.utils.module_loading import import_string

from b2fields import references
from b2fields.exceptions import B2FieldsError
from b2fields.fields import B2FileField
from b2fields.importing import CHANGED, COPIED, FAILED, OUTCOMES, THERE, Job, Outcome, Plan, run
from b2fields.progress import progress
from b2fields.storage import B2Storage

_WORDS = {COPIED: "copied", THERE: "already there", CHANGED: "changed meanwhile", FAILED: "failed"}

# Failures of one field that are told one by one; the others are counted, and memory stays bounded.
_MOST_TOLD = 10_000


class Command(BaseCommand):
    help = (
        "Copy the files that the rows of a B2 field name from another storage into B2, each verified by its "
        "SHA-1 before a row is changed. Rows are changed by QuerySet.update, which sends no signals, and "
        "only if they still hold the old name. Run it again after an interruption: what B2 has with the same "
        "size and SHA-1 is not uploaded again. Nothing is removed from the other storage. Exit status: 0 if "
        "all is well, 1 if some files failed, 2 if it could not start or B2 refused to go on."
    )
    # What is wrong with the fields named is told when they are used, with the exit status of a bad start.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("fields", nargs="+", metavar="app.model.field")
        parser.add_argument(
            "--from",
            dest="source",
            required=True,
            metavar="ALIAS",
            help="The alias in STORAGES to copy from.",
        )
        naming = parser.add_mutually_exclusive_group()
        naming.add_argument(
            "--names",
            choices=("keep", "new"),
            default="keep",
            help="keep: the names that the rows hold (the default). new: names as the field gives them to "
            "uploads, which needs --state.",
        )
        naming.add_argument(
            "--map",
            metavar="MODULE.FUNCTION",
            type=_function,
            help="A function that takes the name a row holds and returns the one to store under.",
        )
        parser.add_argument(
            "--state",
            default="",
            metavar="FILE",
            help="Remember here which files are done, so that another run does not read them again, and "
            "which new names were chosen.",
        )
        parser.add_argument(
            "--overwrite",
            action="store_true",
            help="Where B2 has another file of the name, upload that of the source as its newest version. "
            "Without this it fails, and nothing is touched.",
        )
        parser.add_argument("--threads", type=_count, default=4, help="Files copied at once (4).")
        parser.add_argument("--database", metavar="ALIAS", help="By default the one the model is written to.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Tell by names and sizes what would be done."
        )
        parser.add_argument(
            "--json", action="store_true", help="Report in JSON; of the failures, the first 10,000."
        )

    def handle(self, *fields: str, **options: Any) -> None:
        report: dict[str, Any] = {}
        trouble: Exception | None = None
        try:
            # All of them before the first: a mistake is told before anything is copied.
            for job in [_job(label, options) for label in options["fields"]]:
                tally: Counter[str] = Counter()
                failures: list[Outcome] = []
                report[job.field.label] = tally, failures
                self._import(job, options, tally, failures)
        except (B2FieldsError, db.Error, sqlite3.Error) as error:
            trouble = error
        self._tell(report, options)
        if trouble is not None:
            raise CommandError(str(trouble), returncode=2) from trouble
        failed = sum(tally[FAILED] for tally, _ in report.values())
        if failed:
            raise CommandError(f"{failed} failed.", returncode=1)

    def _import(
        self, job: Job, options: dict[str, Any], tally: Counter[str], failures: list[Outcome]
    ) -> None:
        storage = job.field.b2_storage
        storage.client.bucket(storage.bucket, create=not job.dry_run)
        storage.check_policy(create=not job.dry_run)
        is_new = job.dry_run and not os.path.exists(options["state"])
        with closing(Plan("" if is_new else options["state"], job)) as plan:
            tally[THERE] += plan.collect()
            stream = None if options["verbosity"] == 0 else self.stderr
            with progress(stream, len(plan), "files") as advance:
                for outcome in run(job, plan, options["threads"]):
                    tally[outcome.what] += 1
                    if outcome.what == FAILED:
                        if len(failures) < _MOST_TOLD:
                            failures.append(outcome)
                    elif not options["json"] and (job.dry_run or options["verbosity"] > 1):
                        self.stdout.write(_line(outcome))
                    advance()

    def _tell(self, report: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({label: _as_json(*found) for label, found in report.items()}))
            return
        would = "would be: " if options["dry_run"] else ""
        for label, (tally, failures) in report.items():
            counts = ", ".join(f"{tally[what]:,} {_WORDS[what]}" for what in OUTCOMES)
            self.stdout.write(f"{label}: {would}{counts}.")
            for outcome in failures:
                self.stdout.write(_line(outcome))
            if untold := tally[FAILED] - len(failures):
                self.stdout.write(f"  and {untold:,} more that failed.")


def _line(outcome: Outcome) -> str:
    # Names with line feeds are to stay on one line.
    renamed = f" -> {outcome.target!r}" if outcome.target not in (None, outcome.name) else ""
    reason = f": {outcome.reason}" if outcome.reason else ""
    return f"  {_WORDS[outcome.what]}: {outcome.name!r}{renamed}{reason}"


def _as_json(tally: Counter[str], failures: list[Outcome]) -> dict[str, Any]:
    return {
        **{what: tally[what] for what in OUTCOMES},
        "failures": [{"name": failure.name, "reason": failure.reason} for failure in failures],
    }


def _job(label: str, options: dict[str, Any]) -> Job:
    field = _field(label)
    database: str = options["database"] or router.db_for_write(field.model)
    if database not in connections:
        raise CommandError(f"DATABASES has no {database!r}.", returncode=2)
    rename: Callable[[str], str] | None = options["map"] or str
    if options["names"] == "new":
        if not options["state"] and not options["dry_run"]:
            raise CommandError(
                "--names new needs --state FILE, where the new names are kept: without them, another run "
                "would not find what one that was killed has uploaded.",
                returncode=2,
            )
        if field.b2_storage._option("overwrite") and not field.b2_storage.has_unique_names:
            raise CommandError(
                f"The storage of {label} has overwrite=True, so its new names need not be free. Use --map, "
                "or let the field have unique_names=True.",
                returncode=2,
            )
        rename = None
    source = _source(options["source"], field)
    return Job(field, source, database, rename, options["overwrite"], options["dry_run"])


def _field(label: str) -> B2FileField:
    model, _, name = label.rpartition(".")
    field = references.find_field(f"{model.lower()}.{name}")
    if field is None:
        known = ", ".join(sorted(field.label for field in references.b2_fields()))
        raise CommandError(f"{label!r} is no B2 field of a model; these are: {known}.", returncode=2)
    return field


def _source(alias: str, field: B2FileField) -> Storage:
    if alias not in storages.backends:
        known = ", ".join(sorted(storages.backends))
        raise CommandError(f"STORAGES has no {alias!r}; it has: {known}.", returncode=2)
    try:
        source = storages[alias]
    except (InvalidStorageError, ImproperlyConfigured) as error:
        raise CommandError(str(error), returncode=2) from error
    own = field.b2_storage
    if isinstance(source, B2Storage) and _place_of(source) == _place_of(own):
        raise CommandError(f"STORAGES[{alias!r}] is where {field.label} stores its files.", returncode=2)
    return source


def _place_of(storage: B2Storage) -> tuple[str, ...]:
    return storage.account.realm, storage.bucket.lower(), storage.location


def _function(path: str) -> Callable[[str], str]:
    try:
        found: object = import_string(path.replace(":", "."))
    except ImportError as error:
        raise ArgumentTypeError(str(error)) from error
    if not callable(found):
        raise ArgumentTypeError(f"{path} is no function.")
    return found


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise ArgumentTypeError("Use a number from 1 to 100.")
    return int(text)
