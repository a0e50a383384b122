"""What B2 refuses is told, and nothing is guessed instead."""

import pytest

from b2fields import B2Storage
from tests import emulated
from tests.auditing.running import audit
from tests.auditing.stored import keep
from tests.legal.models import Contract


def test_a_key_for_one_prefix_is_enough_for_the_fields_under_it(stored, settings, b2_api):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf", "minutes/lost.pdf")
    row = Contract.objects.create(cover="minutes/lost.pdf")
    key = b2_api.create_key(
        ["listBuckets", "listFiles", "readFiles", "deleteFiles"],
        "covers-only",
        bucket_ids=[b2_api.get_bucket_by_name(settings.B2FIELDS_BUCKET).id_],
        name_prefix="covers/",
    )
    settings.B2FIELDS_APPLICATION_KEY_ID = key.id_
    settings.B2FIELDS_APPLICATION_KEY = key.application_key

    found = audit("--delete", "--field", "legal.contract.cover")

    assert found.names("orphan", "deleted") == ["covers/lost.pdf"]
    [missing] = [each for each in found.findings if each["kind"] == "missing"]
    assert (missing["pk"], missing["reason"]) == (row.pk, "the application key may not look there")


def test_a_key_that_may_not_delete_ends_it_with_b2s_refusal(stored, settings, b2_api):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    key = b2_api.create_key(["listBuckets", "listFiles"], "reading")
    settings.B2FIELDS_APPLICATION_KEY_ID = key.id_
    settings.B2FIELDS_APPLICATION_KEY = key.application_key

    found = audit("--delete")

    assert found.names("orphan", "failed") == ["covers/lost.pdf"]
    assert (found.status, "B2 refuses 'covers/lost.pdf'" in found.message) == (2, True)


def test_one_file_that_b2_does_not_delete_leaves_the_others_to_go(stored, emulator):
    keep(stored, *(f"covers/{number}.pdf" for number in range(3)))
    stored.put("covers/lost.pdf", "covers/gone.pdf")
    emulator.fault("b2_delete_file_version", status=401, code="access_denied")

    found = audit("--delete")

    assert len(found.names("orphan", "deleted")) == len(found.names("orphan", "failed")) == 1
    assert found.document["stopped"] == []
    assert found.status == 2


def test_a_bucket_that_is_missing_is_told_and_not_created(stored, settings, emulator):
    settings.B2FIELDS_BUCKET = "no-such-bucket"
    settings.B2FIELDS_CREATE_BUCKET = {"bucket_type": "allPrivate"}

    with emulator.counted() as operations:
        found = audit()

    assert (found.status, "sees no bucket 'no-such-bucket'" in found.message) == (2, True)
    assert "b2_create_bucket" not in operations


def test_b2_that_is_down_is_told(stored, emulator):
    keep(stored, "covers/a.pdf")
    emulator.fault("b2_list_file_versions", status=503, code="service_unavailable", times=None)

    assert audit("--delete").status == 2


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 401, "code": "bad_auth_token"}, id="a token that is over"),
        pytest.param({"status": 401, "code": "access_denied"}, id="a refusal"),
        pytest.param({"status": 503, "code": "service_unavailable"}, id="no service"),
        pytest.param({"status": 400, "code": "bad_request"}, id="a request that is none"),
        pytest.param({"headers": {"Date": "soon"}}, id="no time of day"),
    ],
)
@pytest.mark.parametrize("operation", ["b2_list_file_versions", "b2_delete_file_version"])
def test_no_failure_shows_a_key_or_a_token(stored, emulator, capsys, caplog, operation, fault):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    B2Storage().exists("covers/a.pdf")
    token = B2Storage().client.tokens.token
    emulator.fault(operation, **fault, times=None)
    caplog.set_level("DEBUG")

    found = audit("--delete", "--verbosity", "3")

    shown = f"{found.document} {found.message} {capsys.readouterr()} {caplog.text}"
    assert token
    assert token not in shown
    assert emulated.KEY not in shown
