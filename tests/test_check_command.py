"""``manage.py b2_check``: whether B2 does what the project declares, by its output and its exit status."""

import io
import json
import re
import socket
import time

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command

from b2fields import B2Storage
from b2fields.b2 import connections, health
from tests import emulated
from tests.between import between
from tests.legal.models import Contract

FILES = ["listFiles", "readFiles", "writeFiles", "deleteFiles"]
NEEDED = ["listBuckets", *FILES]
OF_AN_ACCOUNT = ["b2_authorize_account"]
OF_A_BUCKET = [
    "b2_list_buckets",
    "b2_get_upload_url",
    "b2_upload_file",
    "b2_download_file_by_name",  # with the token,
    "b2_download_file_by_name",  # and without
    "b2_list_file_versions",
    "b2_delete_file_version",
]


@pytest.fixture(autouse=True)
def _in_a_new_process(emulator, monkeypatch):
    for variable in ("B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"):
        monkeypatch.delenv(variable, raising=False)
    connections.close_all()


@pytest.fixture
def declare(settings):
    """Declare a storage in STORAGES; more than one has to have names."""

    def add(alias="archive", **options):
        storage = {"BACKEND": "b2fields.B2Storage", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, alias: storage}

    return add


@pytest.fixture
def make_key(b2_api):
    """Create an application key and return it as options of a storage."""

    def make(capabilities=NEEDED, bucket=None, prefix=None):
        bucket_ids = [b2_api.get_bucket_by_name(bucket).id_] if bucket else None
        key = b2_api.create_key(list(capabilities), "checked", bucket_ids=bucket_ids, name_prefix=prefix)
        return {"application_key_id": key.id_, "application_key": key.application_key}

    return make


@pytest.fixture
def use_key(make_key, settings):
    """Create an application key for the settings."""

    def use(*args, **kwargs):
        key = make_key(*args, **kwargs)
        settings.B2FIELDS_APPLICATION_KEY_ID = key["application_key_id"]
        settings.B2FIELDS_APPLICATION_KEY = key["application_key"]

    return use


def run(*arguments, **options):
    """Return whether all is well, and what the command wrote."""
    out = io.StringIO()
    try:
        call_command("b2_check", *arguments, stdout=out, **options)
    except CommandError as error:
        return False, f"{out.getvalue()}{error}\n"
    return True, out.getvalue()


def as_json(*arguments):
    _, text = run("--json", *arguments)
    return json.JSONDecoder().raw_decode(text)[0]["findings"]


def findings(bucket=None):
    """Return the findings as "status what: message", of one bucket if one is given."""
    found = as_json()
    return [f"{f['status']} {f['tried']}: {f['message']}" for f in found if bucket in (None, f["bucket"])]


def those(status, bucket=None):
    return [finding for finding in findings(bucket) if finding.startswith(status)]


def versions_in(b2_api, bucket):
    return [v.file_name for v, _ in b2_api.get_bucket_by_name(bucket).ls(latest_only=False, recursive=True)]


def matches(patterns, found):
    """Tell whether these are the findings, each by a pattern."""
    return len(patterns) == len(found) and all(map(re.search, patterns, found))


# All is well


def test_it_tells_in_a_few_lines_that_all_is_well(bucket, settings):
    is_well, text = run()
    assert is_well
    name = r"'b2fields-check-\w{22}\.txt'"
    assert re.fullmatch(
        rf"""Key {emulated.KEY_ID} at {settings.B2FIELDS_REALM}
  ok    authorize: B2 takes this key\.
  ok    capabilities: listBuckets, listFiles, readFiles, writeFiles, deleteFiles, shareFiles\.
Key {emulated.KEY_ID} at {settings.B2FIELDS_REALM}, bucket {bucket}
  ok    bucket: It exists \(allPrivate\), for \S+, \S+, \S+ and \d+ more\.
  ok    policy: The bucket's type fits the access \(login, object, public, staff\)\.
  ok    upload: {name} is stored\.
  ok    read: A range of it comes back as it was uploaded\.
  ok    privacy: Nobody reads it without authorization \(401\)\.
  ok    remove: Every version is gone\.
All is well\.
""",
        text,
    )


def test_a_bucket_costs_the_same_however_many_fields_use_it(emulator):
    with emulator.counted() as operations:
        assert run()[0]
    assert operations == [*OF_AN_ACCOUNT, *OF_A_BUCKET]


def test_keys_and_buckets_cost_their_requests_each(emulator, declare, make_bucket, make_key):
    first = make_bucket()
    declare("one", bucket=first)
    declare("the same", bucket=first.upper(), location="elsewhere")
    declare("another", bucket=make_bucket(), **make_key())
    with emulator.counted() as operations:
        assert run()[0]
    assert sorted(operations) == sorted([*OF_AN_ACCOUNT * 2, *OF_A_BUCKET * 3])


def test_nothing_is_left_in_the_bucket(bucket, b2_api):
    assert run()[0]
    assert versions_in(b2_api, bucket) == []


def test_without_a_round_trip_nothing_is_uploaded(emulator):
    with emulator.counted() as operations:
        assert run("--no-round-trip")[0]
    assert operations == [*OF_AN_ACCOUNT, "b2_list_buckets"]


def test_the_file_goes_to_the_location_of_a_storage(declare, make_bucket):
    bucket = make_bucket()
    declare(bucket=bucket, location="media/files")
    assert "'media/files/b2fields-check-" in "".join(findings(bucket))


def test_files_under_a_key_of_ones_own_are_checked_with_it(declare, make_bucket):
    bucket = make_bucket()
    declare(bucket=bucket, encryption={"mode": "SSE-C", "key": b"k" * 32})
    assert "ok privacy: Nobody reads it without authorization (401)." in findings(bucket)
    assert those("wrong") == []


def test_a_key_of_ones_own_that_is_none_is_found(declare, make_bucket):
    bucket = make_bucket()
    declare(bucket=bucket, encryption={"mode": "SSE-C", "key": lambda: b"short"})
    assert matches(["wrong upload: The key of B2FIELDS_ENCRYPTION must be 32 bytes"], those("wrong", bucket))


def test_a_public_bucket_for_public_files_is_well(declare, make_bucket, emulator):
    bucket = make_bucket("allPublic")
    declare(bucket=bucket, access="public")
    assert those("wrong", bucket) == []
    assert any(finding.startswith("ok remove") for finding in findings(bucket))


def test_json_holds_every_finding_with_what_it_is_about(bucket, settings):
    is_well, text = run("--json")
    answer = json.loads(text)
    assert (is_well, answer["is_well"]) == (True, True)
    assert answer["findings"][0] == {
        "status": "ok",
        "tried": "authorize",
        "message": "B2 takes this key.",
        "realm": settings.B2FIELDS_REALM,
        "key_id": emulated.KEY_ID,
        "bucket": None,
    }
    assert answer["findings"][-1]["bucket"] == bucket


def test_json_is_all_that_stands_in_the_output_when_something_is_wrong(settings, capsys):
    settings.B2FIELDS_BUCKET = "bucket-of-nobody"
    with pytest.raises(CommandError, match=r"^1 thing is wrong\.$"):
        call_command("b2_check", "--json")
    assert json.loads(capsys.readouterr().out)["is_well"] is False


def test_colours_are_for_terminals():
    assert "\x1b[" not in run()[1]
    assert "\x1b[" in run(force_color=True)[1]


# What is remembered is asked anew


def test_a_bucket_that_became_public_is_noticed_at_once(bucket, b2_api, settings):
    B2Storage().save("a.txt", ContentFile(b"content"))
    b2_api.get_bucket_by_name(bucket).update(bucket_type="allPublic")
    assert matches([f"wrong policy: .*bucket '{bucket}' is allPublic"], those("wrong"))


def test_a_key_that_was_deleted_is_noticed_at_once(b2_api, use_key, settings):
    use_key()
    B2Storage().save("a.txt", ContentFile(b"content"))
    b2_api.delete_key_by_id(settings.B2FIELDS_APPLICATION_KEY_ID)
    assert matches(["wrong authorize: B2 refuses this application key. Check that"], those("wrong"))


def test_what_it_learns_is_of_use_to_the_site(emulator):
    run("--no-round-trip")
    connections.close_all()  # as in another process, which shares the cache
    with emulator.counted() as operations:
        B2Storage(overwrite=True).save("a.txt", ContentFile(b"content"))
    assert operations == ["b2_get_upload_url", "b2_upload_file"]


# Settings


def test_a_missing_key_is_one_fault_and_asks_b2_for_nothing(emulator, settings):
    settings.B2FIELDS_APPLICATION_KEY = None
    with emulator.counted() as operations:
        is_well, text = run()
    assert (is_well, operations) == (False, [])
    assert re.match(
        r"Settings\n  wrong \S+, \S+, \S+ and \d+ more: B2FIELDS_APPLICATION_KEY is not set", text
    )
    assert text.endswith("\n1 thing is wrong.\n")


def test_fields_without_a_bucket_are_named(settings):
    settings.B2FIELDS_BUCKET = None
    assert "wrong legal.contract.scan: legal.contract.scan has no bucket. Set B2FIELDS_BUCKET" in "".join(
        those("wrong")
    )


def test_a_storage_that_cannot_be_built_or_used_does_not_stop_the_others(declare, bucket):
    declare("one", bukket="x")
    declare("two", delivery="pigeon", create_bucket="yes")
    assert matches(
        [
            r"wrong STORAGES\['one'\]: .*no option 'bukket'. Did you mean 'bucket'",
            r"wrong STORAGES\['two'\]: .*delivery='pigeon'",
            r"wrong STORAGES\['two'\]: B2FIELDS_CREATE_BUCKET must be a dict",
        ],
        those("wrong"),
    )
    assert any(finding.startswith("ok remove") for finding in findings(bucket))


def test_a_plain_file_field_is_checked_too(monkeypatch, make_bucket):
    from tests.legal.models import Payslip

    bucket = make_bucket("allPublic")
    storage = B2Storage(bucket=bucket, access="staff")
    monkeypatch.setattr(Payslip._meta.get_field("file"), "storage", storage)
    assert matches([r"exists \(allPublic\), for legal.payslip.file\."], findings(bucket)[:1])
    assert matches(["wrong policy"], those("wrong", bucket))


# Buckets


def test_a_missing_bucket_is_not_created_and_does_not_stop_the_others(declare, make_bucket, b2_api, bucket):
    declare("one", bucket="bucket-of-nobody")
    declare("two", bucket=(other := make_bucket()))
    assert matches(["wrong bucket: .*sees no bucket 'bucket-of-nobody'. Create it"], those("wrong"))
    for name in (bucket, other):
        assert any(finding.startswith("ok remove") for finding in findings(name))
    assert "bucket-of-nobody" not in [found.name for found in b2_api.list_buckets()]


def test_a_missing_bucket_may_be_left_to_the_first_upload(settings, b2_api):
    settings.B2FIELDS_BUCKET, settings.B2FIELDS_CREATE_BUCKET = "bucket-of-nobody", {}
    expected = [
        "ok authorize",
        "ok capab",
        "hint bucket: It is missing. The first upload creates it as allPrivate",
    ]
    assert matches(expected, findings())
    assert "bucket-of-nobody" not in [found.name for found in b2_api.list_buckets()]


def test_a_key_that_may_not_create_the_missing_bucket_is_told_of(settings, use_key):
    use_key()
    settings.B2FIELDS_BUCKET = "bucket-of-nobody"
    settings.B2FIELDS_CREATE_BUCKET = {"default_server_side_encryption": "SSE-B2"}
    assert matches(["wrong bucket: .*lacks writeBucketEncryption, writeBuckets to create"], those("wrong"))


def test_a_missing_bucket_that_would_be_public_for_private_files_is_told_of(settings):
    settings.B2FIELDS_BUCKET = "bucket-of-nobody"
    settings.B2FIELDS_CREATE_BUCKET = {"bucket_type": "allPublic"}
    assert matches(["wrong bucket: .*would create it as allPublic: everybody"], those("wrong"))


def test_nothing_is_uploaded_where_a_private_policy_stands_on_a_public_bucket(emulator, declare, make_bucket):
    bucket = make_bucket("allPublic")
    declare("one", bucket=bucket, access="staff")
    declare("two", bucket=bucket, access="login")
    declare("three", bucket=bucket, access="public")
    with emulator.counted() as operations:
        found = findings(bucket)
    assert matches(
        [
            "ok bucket",
            r"wrong policy: STORAGES\['one'\] has access='staff', but .*The same is wrong with \S+'two'\]\.",
            "hint round trip: Left out",
        ],
        found,
    )
    assert operations.count("b2_upload_file") == 1  # of the other bucket


def test_without_any_field_the_storage_of_the_settings_is_checked(settings, bucket):
    settings.INSTALLED_APPS = ["b2fields"]
    assert "ok bucket: It exists (allPrivate), for the settings." in findings(bucket)
    settings.B2FIELDS_BUCKET = None
    assert matches([r"wrong the settings: .* has no bucket"], findings())


def test_the_settings_need_nothing_that_every_storage_brings(settings, declare, bucket, make_key):
    settings.INSTALLED_APPS = ["b2fields"]
    declare(bucket=bucket, **make_key())
    settings.B2FIELDS_BUCKET = settings.B2FIELDS_APPLICATION_KEY = None
    assert run()[0]


def test_the_default_access_is_not_held_against_the_bucket_of_others(settings, declare, make_bucket):
    settings.INSTALLED_APPS = ["b2fields"]
    settings.B2FIELDS_BUCKET = make_bucket("allPublic")
    declare(access="public")
    assert run()[0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({"fileNamePrefix": "", "daysFromUploadingToHiding": 30}, "wrong", id="all files"),
        pytest.param({"fileNamePrefix": "papers/", "daysFromUploadingToHiding": 30}, "wrong", id="its files"),
        pytest.param({"fileNamePrefix": "papers/2020/", "daysFromUploadingToHiding": 30}, "hint", id="a few"),
        pytest.param({"fileNamePrefix": "logs/", "daysFromUploadingToHiding": 30}, None, id="other files"),
        pytest.param({"fileNamePrefix": "", "daysFromHidingToDeleting": 1}, None, id="hidden files"),
    ],
)
def test_a_lifecycle_rule_that_takes_files_in_use(rule, expected, declare, make_bucket, b2_api):
    bucket = make_bucket()
    declare(bucket=bucket, location="papers")
    days = {"daysFromHidingToDeleting": None, "daysFromUploadingToHiding": None}
    b2_api.get_bucket_by_name(bucket).update(lifecycle_rules=[days | rule])
    pattern = rf"{expected} lifecycle: .*begin with '{rule['fileNamePrefix']}' 30 days"
    assert matches([pattern] if expected else [], [f for f in findings(bucket) if "lifecycle" in f])


def test_hidden_files_that_no_rule_ends_are_a_hint(declare, make_bucket, b2_api):
    bucket = make_bucket()
    declare(bucket=bucket, delete="hide")
    assert matches([r"hint lifecycle: Files of STORAGES\['archive'\] are only hidden"], those("hint", bucket))
    assert run()[0]
    rule = {"fileNamePrefix": "", "daysFromHidingToDeleting": 30, "daysFromUploadingToHiding": None}
    b2_api.get_bucket_by_name(bucket).update(lifecycle_rules=[rule])
    assert those("hint", bucket) == []


def test_nothing_is_uploaded_that_a_default_retention_would_keep(declare, make_bucket, b2_api):
    from b2sdk.v3 import BucketRetentionSetting, RetentionMode, RetentionPeriod

    bucket = make_bucket()
    retention = BucketRetentionSetting(RetentionMode.GOVERNANCE, RetentionPeriod(days=1))
    locked = b2_api.get_bucket_by_name(bucket)
    locked.update(is_file_lock_enabled=True)
    locked.update(default_retention=retention)
    declare(bucket=bucket)
    assert matches(["hint round trip: Left out: .*retention"], those("hint", bucket))
    assert versions_in(b2_api, bucket) == []


# Keys


def test_a_wrong_key_is_wrong_without_being_shown(settings):
    settings.B2FIELDS_APPLICATION_KEY = "a-wrong-secret"
    is_well, text = run()
    assert not is_well
    assert "B2 refuses this application key. Check that B2FIELDS_APPLICATION_KEY_ID" in text
    assert "a-wrong-secret" not in text


@pytest.mark.parametrize("capability", NEEDED)
def test_a_capability_that_is_lacking_is_named(capability, use_key, b2_api, bucket):
    use_key([name for name in NEEDED if name != capability])
    found = those("wrong")
    assert re.search(f"wrong capabilities: This key lacks {capability}. Use one that has ", found[0])
    assert versions_in(b2_api, bucket) == []


def test_a_key_of_one_bucket_needs_not_see_its_type_for_public_files(declare, make_bucket, make_key):
    bucket = make_bucket()
    declare(bucket=bucket, access="public", **make_key(FILES, bucket))
    assert those("wrong") == []
    assert any(finding.startswith("ok remove") for finding in findings(bucket))


def test_a_key_that_hides_need_not_delete(declare, make_bucket, make_key):
    bucket = make_bucket()
    capabilities = [name for name in NEEDED if name != "deleteFiles"]
    declare(bucket=bucket, delete="hide", **make_key(capabilities, bucket))
    assert those("wrong") == []
    assert "hint round trip: Left out: this key lacks deleteFiles." in findings(bucket)


@pytest.mark.parametrize(("delivery", "lacks"), [("redirect", True), ("accel", True), ("proxy", False)])
def test_links_that_b2_signs_need_a_key_that_shares(
    delivery, lacks, emulator, settings, declare, make_bucket, make_key
):
    def change(path, status, body):
        # An account without the S3-compatible endpoint.
        return status, re.sub(rb'"s3ApiUrl": ?"[^"]*"', b'"s3ApiUrl":""', body)

    declare(bucket=make_bucket(), delivery=delivery, **(key := make_key()))
    with between(emulator, change) as settings.B2FIELDS_REALM:
        found = as_json("--no-round-trip")
    (finding,) = (
        f for f in found if (f["key_id"], f["tried"]) == (key["application_key_id"], "capabilities")
    )
    assert ("This key lacks shareFiles." in finding["message"]) is lacks


def test_a_key_for_another_bucket_is_told_of_before_b2_refuses(emulator, use_key, make_bucket, bucket):
    other = make_bucket()
    use_key(bucket=other)
    with emulator.counted() as operations:
        found = those("wrong")
    assert matches([f"wrong bucket: This key is restricted to {other}, .* in '{bucket}'"], found)
    assert operations == OF_AN_ACCOUNT


def test_a_key_for_a_bucket_that_was_deleted_is_told_of(use_key, b2_api):
    gone = b2_api.create_bucket("bucket-that-goes", "allPrivate")
    use_key(bucket=gone.name)
    b2_api.delete_bucket(gone)
    assert matches(["restricted to buckets that were deleted"], those("wrong"))


def test_a_key_for_other_names_is_told_of(declare, make_bucket, make_key):
    bucket = make_bucket()
    key = make_key(bucket=bucket, prefix="media/")
    declare("outside", bucket=bucket, location="papers", **key)
    declare("anywhere", bucket=bucket, **key)
    declare("inside", bucket=bucket, location="media/papers", **key)
    found = findings(bucket)
    expected = [r"wrong names: .*begin with 'media/', and those of \S+'outside'\], \S+'anywhere'\] do not"]
    assert matches(expected, [finding for finding in found if finding.startswith("wrong")])
    assert "'media/papers/b2fields-check-" in "".join(found)


def test_a_key_for_the_names_that_upload_to_makes_is_well(use_key, bucket):
    use_key(bucket=bucket, prefix="scans/")
    (wrong,) = those("wrong", bucket)
    assert "legal.contract.scan" not in wrong
    assert "'scans/b2fields-check-" in "".join(findings(bucket))


def test_what_a_callable_upload_to_returns_is_a_hint(use_key, bucket, monkeypatch):
    monkeypatch.setattr(Contract._meta.get_field("scan"), "upload_to", lambda instance, filename: filename)
    use_key(bucket=bucket, prefix="scans/")
    assert "hint names" in "".join(
        finding for finding in findings(bucket) if "legal.contract.scan" in finding
    )


# B2 fails


def test_an_upload_whose_answer_was_lost_is_removed(emulator, b2_api, bucket):
    emulator.fault("b2_upload_file", times=None, cut_after=0)
    found = those("wrong")
    assert matches(["wrong upload: B2 "], found)
    assert versions_in(b2_api, bucket) == []


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param({"times": 3, "status": 503}, "wrong read: B2 gave no usable answer", id="an error"),
        pytest.param({"corrupt": True}, "wrong read: .*came back with other bytes", id="other bytes"),
        pytest.param(
            {"skip": 1, "times": None, "status": 503}, "wrong privacy: B2 answered 503", id="no refusal"
        ),
    ],
)
def test_a_download_that_fails_leaves_nothing_behind(fault, expected, emulator, settings, b2_api, bucket):
    settings.B2FIELDS_RETRIES = 2
    emulator.fault("b2_download_file_by_name", **fault)
    found = findings(bucket)
    assert matches([expected], [finding for finding in found if finding.startswith("wrong")])
    assert found[-1] == "ok remove: Every version is gone."
    assert versions_in(b2_api, bucket) == []


def test_a_private_file_that_strangers_can_read_is_found(emulator, settings, b2_api, bucket):
    def change(path, status, body):
        return (200, b"the file") if status == 401 and path.startswith("/file/") else (status, body)

    with between(emulator, change) as settings.B2FIELDS_REALM:
        found = those("wrong")
    assert matches(["wrong privacy: Everybody can read 'b2fields-check-"], found)
    assert versions_in(b2_api, bucket) == []


def test_a_stranger_brings_no_password_of_this_user(emulator, settings, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    refusals = []

    def change(path, status, body):
        refusals.extend([json.loads(body)["code"]] if status == 401 else [])
        return status, body

    with between(emulator, change) as settings.B2FIELDS_REALM, monkeypatch.context() as patch:
        client, name = B2Storage().client, B2Storage().save("a.txt", ContentFile(b"content"))
        patch.setenv("NETRC", str(tmp_path / "netrc"))
        assert health.status_for_strangers(client, settings.B2FIELDS_BUCKET, name) == 401
    assert refusals == ["unauthorized"]  # for none, and not "bad_auth_token" for a wrong one


def test_a_file_that_cannot_be_removed_is_named(emulator):
    emulator.fault("b2_delete_file_version", times=None, status=503)
    assert matches(
        [r"wrong remove: B2 gave no .*Then remove 'b2fields-check-\w+\.txt' yourself"], those("wrong")
    )


def test_trouble_in_one_bucket_does_not_stop_the_others(emulator, declare, make_bucket):
    declare(bucket=make_bucket())
    emulator.fault("b2_list_buckets", times=2, status=503)
    found = findings()
    assert sum(finding.startswith("wrong bucket: B2 gave no usable answer") for finding in found) == 1
    assert sum(finding.startswith("ok remove") for finding in found) == 1


def test_an_unreachable_b2_is_told_of_once_for_all_buckets(settings, declare):
    declare(bucket="another-bucket")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert matches([f"wrong authorize: B2 .*Is '{settings.B2FIELDS_REALM}' the right"], findings())


def test_a_b2_that_never_answers_is_given_up_within_the_deadline(settings, declare):
    settings.B2FIELDS_DEADLINE, settings.B2FIELDS_RETRIES = 1, 5
    declare(application_key_id="another", application_key="key")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings.B2FIELDS_REALM = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        found = findings()
    assert time.monotonic() - begun < 5  # of the twenty that it waits for an answer
    expected = ["wrong authorize: B2 did not answer", "wrong authorize: Not tried: this realm gave no answer"]
    assert matches(expected, found)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"operation": "*", "times": 0}, id="nothing wrong"),
        pytest.param({"operation": "b2_authorize_account", "status": 401}, id="no authorization"),
        pytest.param({"operation": "b2_upload_file", "times": None, "status": 500}, id="no upload"),
        pytest.param({"operation": "b2_download_file_by_name", "status": 403}, id="no download"),
    ],
)
def test_no_key_and_no_token_shows(fault, emulator, capsys):
    emulator.fault(**fault)
    for arguments in ([], ["--json"]):
        text = run(*arguments, "--traceback")[1] + "".join(capsys.readouterr())
        assert emulated.KEY not in text
        assert not re.search(r"4_(account|upload|part|download)_", text)
    cache.clear()
