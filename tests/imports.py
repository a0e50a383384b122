"""What the tests of b2_import share: rows with files on a disk, and what a run tells."""

import io
import json

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from b2fields import references
from b2fields.importing import Job
from tests.legal.models import Letter, Report

LETTERS, REPORTS = "legal.letter.file", "legal.report.file"
UPLOAD, LIST = "b2_upload_file", "b2_list_file_names"


def on_disk(folder, backend="django.core.files.storage.FileSystemStorage"):
    return {"BACKEND": backend, "OPTIONS": {"location": str(folder)}}


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def letter(folder, name, content=b"content", **values):
    """A row that names a file as it did before its field was one of B2."""
    return Letter.objects.create(file=put(folder, name, content), **values)


def report(folder, name, content=b"content"):
    return Report.objects.create(file=put(folder, name, content))


def ran(*arguments, source="old", status=0, **options):
    """Return the report of a run that ends with this exit status."""
    out, returned = io.StringIO(), 0
    try:
        call_command("b2_import", *arguments, "--from", source, "--json", stdout=out, **options)
    except CommandError as error:
        returned = error.returncode
    assert returned == status, out.getvalue()
    (report,) = json.loads(out.getvalue()).values()
    return report


def told(copied=0, there=0, changed=0, **failures):
    return {
        **{"copied": copied, "there": there, "changed": changed, "failed": len(failures)},
        "failures": [{"name": name, "reason": reason} for name, reason in failures.items()],
    }


def reasons(report):
    return {failure["name"]: failure["reason"] for failure in report["failures"]}


def refusal(*arguments, **options):
    """Return what a run says that could not start."""
    with pytest.raises(CommandError) as raised:
        call_command("b2_import", *arguments, **options)
    assert raised.value.returncode == 2
    return str(raised.value)


def job(label=REPORTS, rename=None, **values):
    return Job(references.find_field(label), storages["old"], "default", rename, **values)
