"""``manage.py b2_audit`` run as a cron job does, and what it tells."""

import io
import json
from contextlib import closing, contextmanager

from django.core.management import CommandError, call_command

from b2fields.audit import Survey, find_places
from tests.auditing.stored import DAY


class Audited:
    def __init__(self, status, document, message):
        self.status, self.message, self.document = status, message, document
        self.findings = document["findings"]

    def names(self, kind, outcome=None):
        return [
            found["name"] for found in self.findings if (found["kind"], found["outcome"]) == (kind, outcome)
        ]


def audit(*arguments):
    """Run the command as a cron job does."""
    out, message, status = io.StringIO(), "", 0
    try:
        call_command("b2_audit", "--json", "--no-input", *arguments, stdout=out, stderr=io.StringIO())
    except CommandError as error:
        message, status = str(error), error.returncode
    except SystemExit as error:
        status = error.code
    document = json.loads(out.getvalue())
    assert document["status"] == status
    return Audited(status, document, message)


@contextmanager
def surveyed():
    """Give what an audit knows when it is about to remove what it found."""
    [places] = find_places()
    with closing(Survey(places, DAY)) as survey:
        survey.list_bucket(lambda count: None)
        survey.read_rows(lambda count: None)
        yield survey
