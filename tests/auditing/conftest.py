"""The buckets that the tests of b2_audit look into."""

import pytest

from b2fields import B2Storage, testing
from b2fields.emulator import buckets, files
from b2fields.emulator.state import State
from tests import emulated
from tests.auditing.running import surveyed
from tests.auditing.stored import DAY, Stored, keep
from tests.legal.models import Contract, Permit


@pytest.fixture
def stored(db, emulator, b2_api):
    yield Stored(emulator, b2_api)
    emulator.set_clock(0)


@pytest.fixture
def survey(stored):
    """What the audit knows when somebody is asked whether to delete: covers/lost.pdf is an orphan."""
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    with surveyed() as survey:
        assert [found.name for found in survey.orphans()] == ["covers/lost.pdf"]
        yield survey


@pytest.fixture
def permits(stored, settings, make_bucket):
    """The bucket of fields that have a folder each of their own: permits/, dossiers/, rulings/."""
    settings.B2FIELDS_BUCKETS = {"object": make_bucket()}
    name = settings.B2FIELDS_BUCKETS["object"]
    stored.put("permits/a.pdf", "permits/b.pdf", "permits/lost.pdf", bucket=name)
    Permit.objects.create(paper="permits/a.pdf")
    Permit.objects.create(paper="permits/b.pdf")
    return name


@pytest.fixture
def many(tmp_path, db, settings):
    """An emulator with 3,500 files, each named by a row but for 100, and connected to it."""
    state = State(tmp_path / "b2")
    state.clock_offset = -2 * DAY
    bucket_id = buckets.create(state, "many-files", "allPrivate")["bucket_id"]
    names = [f"covers/{number:05}.pdf" for number in range(3500)]
    for name in names:
        files.add(state, bucket_id, name, files.UPLOAD, "application/pdf", {}, size=10)
    state.close()
    Contract.objects.bulk_create(Contract(cover=name) for name in names[100:])
    with testing.run(tmp_path / "b2", "--key", f"{emulated.KEY_ID}:{emulated.KEY}") as running:
        settings.B2FIELDS_REALM = running.realm
        settings.B2FIELDS_APPLICATION_KEY_ID = emulated.KEY_ID
        settings.B2FIELDS_APPLICATION_KEY = emulated.KEY
        settings.B2FIELDS_BUCKET = "many-files"
        B2Storage().client.bucket("many-files")
        yield running
