"""``manage.py b2_emulator``: the emulator, fitted to the settings of the project."""

import argparse
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from b2fields import references
from b2fields.emulator.__main__ import add_arguments, run
from b2fields.exceptions import NotConfigured
from b2fields.storage import B2Storage

_TO_SET = """\
B2FIELDS_REALM is "production", so this project does not use the emulator yet, which has a key of its own.
In the settings of your development machine, set B2FIELDS_REALM, B2FIELDS_APPLICATION_KEY_ID and
B2FIELDS_APPLICATION_KEY to what it prints now:
"""


class Command(BaseCommand):
    help = (
        "Run a local Backblaze B2 where B2FIELDS_REALM says, with the application key of the settings and "
        "every bucket that settings, fields and storages name."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)
        realm = urlsplit(settings.B2FIELDS_REALM)
        if realm.hostname:
            parser.set_defaults(host=realm.hostname, port=realm.port or 80)

    def handle(self, **options: Any) -> None:
        if urlsplit(settings.B2FIELDS_REALM).hostname:
            if options["key"] is None:
                options["key"] = _key_of_the_settings()
        elif not options["json"]:
            # The key of the settings may be a real one, which the emulator would print.
            self.stdout.write(_TO_SET)
        named = {name for name, _ in options["bucket"]}
        options["bucket"] += [(name, "allPrivate") for name in sorted(references.bucket_names() - named)]
        run(argparse.Namespace(**options))


def _key_of_the_settings() -> tuple[str, str] | None:
    try:
        account = B2Storage().account
    except NotConfigured:  # the emulator makes one and prints it
        return None
    return account.key_id, account.key
