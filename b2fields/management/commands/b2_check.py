"""``manage.py b2_check``: whether B2 does what this project declares, told by the exit status."""

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from b2fields.diagnosis import Finding, diagnose


class Command(BaseCommand):
    help = (
        "Ask B2 whether it does what the fields and storages of this project declare: the application keys "
        "and what they may do, the buckets and their types, and a small file that goes there and back. "
        "The exit status is 1 if something is wrong. No bucket is created."
    )
    # What concerns B2 is found here; the rest need not keep from asking B2.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--no-round-trip",
            dest="round_trip",
            action="store_false",
            help="Upload no file to see that it works.",
        )
        parser.add_argument("--json", action="store_true", help="Write the findings as one JSON object.")

    def handle(self, **options: Any) -> None:
        findings = diagnose(round_trip=options["round_trip"])
        found = self._as_json(findings) if options["json"] else self._as_text(findings)
        wrong = sum(finding.status == "wrong" for finding in found)
        if wrong:
            raise CommandError(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong.")
        if not options["json"]:
            self.stdout.write("All is well.")

    def _as_json(self, findings: Iterator[Finding]) -> list[Finding]:
        found = list(findings)
        is_well = all(finding.status != "wrong" for finding in found)
        answer = {"is_well": is_well, "findings": [finding._asdict() for finding in found]}
        self.stdout.write(json.dumps(answer, indent=2))
        return found

    def _as_text(self, findings: Iterator[Finding]) -> list[Finding]:
        styles = {"ok": self.style.SUCCESS, "hint": self.style.WARNING, "wrong": self.style.ERROR}
        found: list[Finding] = []
        for finding in findings:
            heading = _heading(finding)
            if not found or heading != _heading(found[-1]):
                self.stdout.write(heading)
            found.append(finding)
            status = styles[finding.status](f"{finding.status:5}")
            self.stdout.write(f"  {status} {finding.tried}: {finding.message}")
            self.stdout.flush()
        return found


def _heading(finding: Finding) -> str:
    if finding.key_id is None:
        return "Settings"
    key = f"Key {finding.key_id} at {finding.realm}"
    return key if finding.bucket is None else f"{key}, bucket {finding.bucket}"
