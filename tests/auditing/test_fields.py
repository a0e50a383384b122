"""``b2_audit --field`` limits what is looked at, and not what protects."""

from tests.auditing.running import audit
from tests.auditing.stored import keep
from tests.legal.models import Contract, Report


def test_field_limits_what_is_looked_at(stored):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf", "minutes/lost.pdf")
    Contract.objects.create(minutes="minutes/gone.pdf")

    found = audit("--delete", "--field", "legal.contract.cover")

    assert found.names("orphan", "deleted") == ["covers/lost.pdf"]
    assert found.names("missing") == []
    assert stored.versions() == ["covers/a.pdf", "minutes/lost.pdf"]


def test_field_may_be_repeated(stored):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf", "minutes/lost.pdf")

    found = audit("--field", "legal.contract.cover", "--field", "legal.contract.minutes")

    assert found.names("orphan") == ["covers/lost.pdf", "minutes/lost.pdf"]


def test_rows_of_fields_that_are_not_looked_at_protect_too(stored):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/borrowed.pdf")
    Report.objects.create(file="covers/borrowed.pdf")

    found = audit("--delete", "--field", "legal.contract.cover")

    assert (found.status, found.findings) == (0, [])


def test_a_field_that_is_none_is_refused(stored):
    found = audit("--field", "legal.contract.title")

    assert (found.status, "'legal.contract.title' is no file field" in found.message) == (2, True)
