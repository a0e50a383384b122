"""``manage.py b2_audit``: what lies in B2 without a row, and which rows lack their file."""

import argparse
import json
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError
from django.template.defaultfilters import filesizeformat, pluralize

from b2fields.audit import Finding, Survey, Totals, find_places, hide, remove
from b2fields.exceptions import B2FieldsError
from b2fields.progress import progress

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SOMETHING_LEFT, _STOPPED = 1, 2
_OUTCOMES = ("deleted", "hidden", "cancelled", "kept", "failed")


def seconds(text: str) -> int:
    """Return the seconds that "90m", "24h", "7d" or a plain number mean."""
    match = re.fullmatch("([0-9]{1,9})([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age. Use for example 24h, 7d, 90m, or seconds.")
    return int(match[1]) * _UNITS[match[2]]


class Command(BaseCommand):
    help = (
        "Find files in B2 that no row names (orphans), rows whose file is missing, and large files whose "
        "upload was never finished. Nothing is changed without --delete or --hide. Exit status: 0 if there "
        "is nothing left to tell of, 1 if there is, 2 if it stopped or failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        action = parser.add_mutually_exclusive_group()
        action.add_argument(
            "--delete", action="store_true", help="Delete orphans with all of their versions; cancel uploads."
        )
        action.add_argument(
            "--hide", action="store_true", help="Hide orphans, so that they can be brought back."
        )
        parser.add_argument(
            "--older-than",
            type=seconds,
            default="24h",
            metavar="AGE",
            help="Leave alone what is younger by B2's clock: 24h (the default), 7d, 90m, or seconds.",
        )
        parser.add_argument(
            "--field",
            action="append",
            default=[],
            metavar="APP.MODEL.FIELD",
            help="Look only where this field stores; may be repeated. The rows of all fields protect.",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="Go on where it would stop: no row names any file, over half of the files are orphans, "
            "somebody else seems to store in the same place.",
        )
        parser.add_argument("--json", action="store_true", help="Write one JSON document.")
        parser.add_argument(
            "--no-input",
            "--noinput",
            action="store_false",
            dest="interactive",
            help="Do not ask before deleting or hiding.",
        )

    def handle(self, **options: Any) -> None:
        is_changing = options["delete"] or options["hide"]
        if is_changing and options["interactive"] and not sys.stdin.isatty():
            raise CommandError(
                "There is no terminal on which to ask. Add --no-input to do it unasked.", returncode=_STOPPED
            )
        self.counts: Counter[str] = Counter()
        self.stopped: list[str] = []
        self.is_surveyed = False
        write = self._write_json if options["json"] else self._write_text
        write(self._audit(options))
        if self.stopped:
            raise CommandError("\n".join(self.stopped), returncode=_STOPPED)
        if status := self._status():
            sys.exit(status)

    def _status(self) -> int:
        if self.stopped or self.counts["failed"]:
            return _STOPPED
        left = ("orphan", "missing", "unfinished", "kept")
        return _SOMETHING_LEFT if any(self.counts[kind] for kind in left) else 0

    def _audit(self, options: dict[str, Any]) -> Iterator[Finding]:
        """Yield the findings, and what became of them; note why it stops."""
        try:
            for finding in self._findings(options):
                self.counts[finding.outcome or finding.kind] += 1
                yield finding
        except B2FieldsError as error:
            self.stopped.append(str(error))
        except DatabaseError as error:
            self.stopped.append(
                f"A database does not answer, so nobody can tell which files its rows name: {error}"
            )
        except sqlite3.Error as error:
            self.stopped.append(
                f"The temporary file cannot be used: {error}. Set SQLITE_TMPDIR to a folder with more room."
            )

    def _findings(self, options: dict[str, Any]) -> Iterator[Finding]:
        with ExitStack() as stack:
            surveys = [
                stack.enter_context(closing(Survey(places, options["older_than"])))
                for places in find_places(options["field"])
            ]
            # The bucket before the database, for all of them: see Survey.
            with self._progress("file versions", options) as advance:
                for survey in surveys:
                    survey.list_bucket(advance)
            with self._progress("rows", options) as advance:
                for survey in surveys:
                    survey.read_rows(advance)
                    self.counts.update(survey.totals._asdict())
            self.is_surveyed = True
            is_changing = options["delete"] or options["hide"]
            doubts = [doubt for survey in surveys for doubt in survey.stops()]
            if options["force"]:
                for doubt in doubts:
                    self.stderr.write(f"Forced: {doubt}")
            elif doubts:
                self.stopped += doubts
                self.stopped.append("Nothing was changed. If you know better, add --force.")
            if is_changing and not self.stopped and options["interactive"]:
                self._confirm(options)
            if is_changing and self.stopped:
                return
            for survey in surveys:
                yield from survey.missing()
                yield from survey.pending()
                yield from self._change(survey, options)

    def _change(self, survey: Survey, options: dict[str, Any]) -> Iterator[Finding]:
        if options["delete"]:
            yield from remove(survey)
            return
        yield from hide(survey) if options["hide"] else survey.orphans()
        yield from survey.unfinished()

    def _progress(self, unit: str, options: dict[str, Any]) -> AbstractContextManager[Callable[..., None]]:
        is_wanted = options["verbosity"] and not options["json"]
        return progress(self.stderr if is_wanted else None, None, unit)

    def _confirm(self, options: dict[str, Any]) -> None:
        counts = self.counts
        if not counts["orphans"] and not counts["unfinished_files"]:
            return
        what = (
            f"{_counted(counts['orphans'], 'file')} that no row names "
            f"({_counted(counts['versions'], 'version')}, {filesizeformat(counts['bytes'])})"
        )
        question = f"Hide {what}?" if options["hide"] else f"Delete {what} for good"
        if options["delete"]:
            question += f", and cancel {_counted(counts['unfinished_files'], 'unfinished upload')}?"
        # Not by input(), which would write into a JSON document.
        self.stderr.write(f"{question} [y/N] ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            self.stopped.append("Nothing was changed.")

    # Reporting

    def _write_text(self, findings: Iterator[Finding]) -> None:
        for found in findings:
            self.stdout.write(_line(found))
        if not self.is_surveyed:
            return  # The counts would be zero, or of some buckets only.
        counts = self.counts
        self.stdout.write(
            f"{_counted(counts['objects'], 'file')} in B2; {counts['orphans']} that no row names "
            f"({filesizeformat(counts['bytes'])}); "
            f"{_counted(counts['missing'], 'row')} whose file is missing; "
            f"{_counted(counts['unfinished_files'], 'unfinished upload')}; "
            f"{counts['pending']} for b2_cleanup to remove; {counts['young']} too young to tell."
        )
        done = [f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES if counts[outcome]]
        if done:
            self.stdout.write(f"{', '.join(done)}.")

    def _write_json(self, findings: Iterator[Finding]) -> None:
        # Piece by piece, since the findings may be millions.
        self.stdout.write('{"findings": [', ending="")
        separator = "\n"
        for found in findings:
            shown = json.dumps(found._asdict(), cls=DjangoJSONEncoder, ensure_ascii=False)
            self.stdout.write(separator + shown, ending="")
            separator = ",\n"
        rest = {
            **{name: self.counts[name] for name in (*Totals._fields, "missing", "pending", *_OUTCOMES)},
            "stopped": self.stopped,
            "status": self._status(),
        }
        self.stdout.write(f"],\n{json.dumps(rest, ensure_ascii=False)[1:]}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{pluralize(number)}"


def _line(found: Finding) -> str:
    # With repr(), which shows what would reorder or hide a part of the line.
    words = [found.outcome or found.kind, f"{found.bucket}: {found.name!r}"]
    if found.versions is not None:
        size = f"{_counted(found.versions, 'version')}, {_counted(found.size or 0, 'byte')}"
        words.append(f"({size}, {found.uploaded:%Y-%m-%d %H:%M} UTC)")
    elif found.uploaded is not None:
        words.append(f"(begun {found.uploaded:%Y-%m-%d %H:%M} UTC)")
    if found.field is not None:
        words.append(
            f"is named by {found.field} of the row with primary key {found.pk!r} in {found.database!r}"
        )
    return f"{' '.join(words)}: {found.reason}"
