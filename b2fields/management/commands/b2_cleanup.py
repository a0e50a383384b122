"""``manage.py b2_cleanup``: work the outbox."""

import signal
import threading
from collections import Counter
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, close_old_connections, connections

from b2fields import cleanup
from b2fields.cleanup import outbox
from b2fields.exceptions import B2FieldsError
from b2fields.models import DroppedFile

_INTERVAL_SECONDS = 60


class Command(BaseCommand):
    help = (
        "Remove from B2 the files that rows have dropped and that wait in the outbox: those that are due, "
        "and those that could not be removed before. Files that a row names stay. The exit status is 1 if "
        "some could not be removed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            action="append",
            choices=tuple(connections),
            help="Work the outbox of this database only; may be repeated. All that have one, if not given.",
        )
        parser.add_argument(
            "--loop",
            action="store_true",
            help="Go on as a worker until SIGTERM or Ctrl-C; what failed is tried again at its own time.",
        )
        parser.add_argument(
            "--interval",
            type=float,
            default=_INTERVAL_SECONDS,
            metavar="SECONDS",
            help="With --loop: the pause between two looks (default: %(default)s).",
        )

    def handle(
        self, *, database: list[str] | None, loop: bool, interval: float, verbosity: int, **options: Any
    ) -> None:
        aliases = database or [alias for alias in connections if outbox.is_in(alias)]
        if not loop:
            self._work(aliases, retry=True, verbosity=verbosity)
            return
        if interval <= 0:
            raise CommandError("--interval must be a number of seconds above 0.")
        stopping = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            stopping.set()

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not stopping.is_set():
                try:
                    self._work(aliases, retry=False, verbosity=verbosity, stopping=stopping)
                except CommandError as error:
                    self.stderr.write(str(error))  # It will be better next time.
                # A database may close what is idle for long.
                close_old_connections()
                stopping.wait(interval)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _work(
        self, aliases: list[str], *, retry: bool, verbosity: int, stopping: threading.Event | None = None
    ) -> None:
        total: cleanup.Outcome = Counter()
        troubles: list[str] = []
        has_outbox = False
        for alias in aliases:
            try:
                if not outbox.exists(alias):
                    continue
                has_outbox = True
                outcome = self._work_one(alias, retry, stopping)
            except (B2FieldsError, Error) as error:
                # The others have files to remove, too.
                troubles.append(f"The outbox in database {alias!r} cannot be worked: {error}")
                continue
            total += outcome
            if outcome["failed"]:
                waiting = DroppedFile.objects.using(alias).exclude(error="").first()
                reason = f" The first of them: {waiting.error}" if waiting else ""
                troubles.append(f"{outcome['failed']} of the files could not be removed.{reason}")
        if verbosity > 0 and (total or retry):
            self.stdout.write(_told(total))
        if not has_outbox and not troubles:
            troubles.append(f"There is no outbox in {', '.join(map(repr, aliases))}. Run migrate.")
        if troubles:
            raise CommandError("\n".join(troubles))

    def _work_one(self, alias: str, retry: bool, stopping: threading.Event | None) -> cleanup.Outcome:
        total: cleanup.Outcome = Counter()
        for outcome in cleanup.work_all(alias, retry=retry):
            total += outcome
            if stopping is not None and stopping.is_set():
                break
        return total


def _told(total: cleanup.Outcome) -> str:
    done = "hidden" if settings.B2FIELDS_DELETE == "hide" else "removed"
    return (
        f"{total['removed']} {done}, {total['kept']} kept because they are in use or a receiver wants them, "
        f"{total['failed']} failed, {total['left']} left for later."
    )
