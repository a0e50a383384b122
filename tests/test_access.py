"""Who is served what: the table of decisions, and that no file has a way out but its own field's."""

from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from django.core.files.base import ContentFile
from django.utils.http import url_has_allowed_host_and_scheme

from tests.legal.models import (
    AnnualReport,
    Archive,
    Attachment,
    Contract,
    Payslip,
    Report,
    ReportProxy,
    Ruling,
)
from tests.serving import LEVELS, ROUTES, body_of, full_name, hold, path_of, put, signed_in, store, told

pytestmark = pytest.mark.django_db

KINDS = ("anonymous", "inactive", "member", "owner", "staff", "superuser")
LOGIN = "302 to the login page"
NOT_FOUND = b"404 of the project: There is no such file."

# What each kind of visitor gets for a name that the field does not hold; where a file exists that the
# visitor may read it is 200, and in all other cases the very same.
MISSING = {
    "public": dict.fromkeys(KINDS, 404),
    "login": dict.fromkeys(KINDS, 404) | {"anonymous": LOGIN, "inactive": 403},
    "staff": dict.fromkeys(KINDS, 403) | {"anonymous": LOGIN, "staff": 404, "superuser": 404},
    "object": dict.fromkeys(KINDS, 404) | {"anonymous": LOGIN},
}
READERS = {
    "public": set(KINDS),
    "login": {"member", "owner", "staff", "superuser"},
    "staff": {"staff", "superuser"},
    "legal.contract.dossier": {"owner"},
    "legal.permit.paper": {"superuser"},
    "legal.ruling.file": set(KINDS),
}


def readers(label):
    return READERS.get(label) or READERS[LEVELS[label]]


def outcome(client, path):
    """Return the status of an answer, after what every answer of its kind must look like."""
    response = client.get(path)
    body = body_of(response)
    if response.status_code == 302:
        assert response.headers["Location"] == f"/accounts/login/?next={path}"
        return LOGIN
    assert (b"the file" in body) == (response.status_code == 200)
    return response.status_code


def of_owner(label, visitors):
    """Return what a row of this field needs so that "owner" owns it."""
    return {"owner": visitors["owner"]} if label.startswith("legal.contract.") else {}


def default_storage(settings, **options):
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "b2fields.B2Storage", "OPTIONS": options},
    }


def aliased(settings, **aliases):
    declared = {k: {"BACKEND": "b2fields.B2Storage", "OPTIONS": options} for k, options in aliases.items()}
    settings.STORAGES = {**settings.STORAGES, **declared}


# The table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", LEVELS)
def test_a_file_is_served_to_those_whom_its_field_names(label, kind, visitors, emulator, bucket):
    put(emulator, bucket, full_name(label, "held.txt"))
    hold(label, "held.txt", **of_owner(label, visitors))
    client = signed_in(visitors[kind])
    with emulator.counted() as spent:
        status = outcome(client, path_of(label, "held.txt"))
    if kind in readers(label):
        assert status == 200
        assert spent[-1] == "b2_download_file_by_name"
    else:
        assert (status, spent) == (MISSING[LEVELS[label]][kind], [])


@pytest.mark.parametrize("label", LEVELS)
def test_a_name_that_no_row_holds_is_refused_without_asking_b2(label, visitors, emulator, bucket):
    put(emulator, bucket, full_name(label, "orphan.txt"))
    clients = {kind: signed_in(user) for kind, user in visitors.items()}
    with emulator.counted() as spent:
        orphan = {kind: outcome(client, path_of(label, "orphan.txt")) for kind, client in clients.items()}
        missing = {kind: outcome(client, path_of(label, "missing.txt")) for kind, client in clients.items()}
    assert orphan == missing == MISSING[LEVELS[label]]
    assert spent == []


@pytest.mark.parametrize("asked", LEVELS)
def test_no_field_serves_the_file_of_another_field_in_its_bucket(asked, visitors, emulator, bucket):
    others = [label for label in LEVELS if label != asked]
    for other in others:
        put(emulator, bucket, full_name(other, f"of/{other}.txt"))
        hold(other, f"of/{other}.txt", **of_owner(other, visitors))
    clients = {kind: signed_in(user) for kind, user in visitors.items()}
    with emulator.counted() as spent:
        answers = {
            (other, kind): outcome(client, path_of(asked, f"of/{other}.txt"))
            for other in others
            for kind, client in clients.items()
        }
    assert answers == {(other, kind): MISSING[LEVELS[asked]][kind] for other in others for kind in KINDS}
    assert spent == []


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        pytest.param(label, kind, id=f"{kind} at {label}")
        for label in LEVELS
        for kind in KINDS
        if kind not in readers(label)
    ],
)
def test_a_refused_visitor_cannot_tell_whether_a_file_exists(label, kind, visitors, emulator, bucket):
    path = path_of(label, "maybe.txt")
    client = signed_in(visitors[kind])
    asked = {"headers": {"Range": "bytes=90000-", "If-None-Match": "*"}}
    with emulator.counted() as spent:
        missing = told(client.get(path)), told(client.get(path, **asked)), told(client.head(path))
    put(emulator, bucket, full_name(label, "maybe.txt"))
    hold(label, "maybe.txt", **of_owner(label, visitors))
    with emulator.counted() as spent_again:
        existing = told(client.get(path)), told(client.get(path, **asked)), told(client.head(path))
    assert existing == missing
    assert spent == spent_again == []


@pytest.mark.parametrize("kind", ["anonymous", "member", "staff"])
@pytest.mark.parametrize("label", ["legal.contract.minutes", "legal.contract.scan", "legal.contract.dossier"])
def test_every_refusal_says_that_nobody_may_keep_it(label, kind, visitors, emulator):
    response = signed_in(visitors[kind]).get(path_of(label, "missing.txt"))
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


# Names that were assigned as text

READER = {"public": "anonymous", "login": "member", "staff": "staff"}
TAKEN = [
    ("legal.contract.minutes", "legal.contract.cover"),
    ("legal.contract.scan", "legal.contract.cover"),
    ("legal.contract.dossier", "legal.contract.cover"),
    ("legal.permit.paper", "legal.picture.image"),
    ("legal.deed.file", "legal.contract.cover"),
    ("legal.contract.scan", "legal.contract.minutes"),
    ("legal.contract.dossier", "legal.letter.file"),
    ("legal.deed.file", "legal.contract.minutes"),
    ("legal.contract.scan", "legal.ruling.file"),
    ("legal.contract.dossier", "legal.ruling.file"),
    ("legal.permit.paper", "legal.contract.dossier"),
    ("legal.contract.dossier", "legal.contract.scan"),
]
# A name such as the field itself gives; of two callables, or a callable and "staff", neither is the
# laxer one, and only this tells whose the file is.
OWN = {
    "legal.contract.scan": "scans/2026/theirs/secret.txt",
    "legal.contract.dossier": "dossiers/theirs/secret.txt",
    "legal.permit.paper": "permits/theirs/secret.txt",
}


def own_name(label):
    return OWN.get(label, "theirs/secret.txt")


@pytest.mark.parametrize(
    ("stricter", "laxer"), [pytest.param(*pair, id=f"{pair[0]} taken by {pair[1]}") for pair in TAKEN]
)
def test_a_name_assigned_to_a_laxer_field_opens_nothing(stricter, laxer, visitors, emulator, bucket):
    put(emulator, bucket, full_name(stricter, own_name(stricter)))
    hold(stricter, own_name(stricter), **of_owner(stricter, visitors))
    hold(laxer, full_name(stricter, own_name(stricter)), **of_owner(laxer, visitors))
    clients = {kind: signed_in(user) for kind, user in visitors.items()}
    path = path_of(laxer, full_name(stricter, own_name(stricter)))
    with emulator.counted() as spent:
        answers = {kind: outcome(client, path) for kind, client in clients.items()}
    assert answers == MISSING[LEVELS[laxer]]
    assert spent == []


@pytest.mark.parametrize(
    ("stricter", "laxer"), [pytest.param(*pair, id=f"{pair[0]} taken by {pair[1]}") for pair in TAKEN]
)
def test_a_name_assigned_to_a_laxer_field_is_still_served_by_its_own(
    stricter, laxer, visitors, emulator, bucket
):
    put(emulator, bucket, full_name(stricter, own_name(stricter)))
    hold(stricter, own_name(stricter), **of_owner(stricter, visitors))
    hold(laxer, full_name(stricter, own_name(stricter)))
    for kind in readers(stricter):
        assert outcome(signed_in(visitors[kind]), path_of(stricter, own_name(stricter))) == 200


def test_no_upload_to_makes_a_file_of_a_stricter_field_ones_own(visitors, emulator, bucket):
    # As after scan's upload_to was changed: the name lies where covers lie.
    put(emulator, bucket, "covers/secret.txt")
    hold("legal.contract.scan", "covers/secret.txt")
    hold("legal.contract.cover", "covers/secret.txt")
    for user in visitors.values():
        assert outcome(signed_in(user), path_of("legal.contract.cover", "covers/secret.txt")) == 404
    assert outcome(signed_in(visitors["staff"]), path_of("legal.contract.scan", "covers/secret.txt")) == 200


def test_a_row_that_the_default_manager_hides_holds_its_file(visitors, emulator, bucket):
    put(emulator, bucket, "archive/old.txt")
    Archive.objects.create(file="archive/old.txt", hidden=True)
    hold("legal.contract.cover", "archive/old.txt")
    staff = signed_in(visitors["staff"])
    assert outcome(staff, path_of("legal.archive.file", "archive/old.txt", "staff")) == 200
    assert outcome(staff, path_of("legal.contract.cover", "archive/old.txt")) == 404


def test_a_name_assigned_to_a_field_of_the_same_policy_is_served_by_both(visitors, emulator, bucket):
    put(emulator, bucket, "shared.txt")
    hold("legal.contract.scan", "shared.txt")
    hold("legal.report.file", "shared.txt")
    client = signed_in(visitors["staff"])
    assert outcome(client, path_of("legal.contract.scan", "shared.txt")) == 200
    assert outcome(client, path_of("legal.report.file", "shared.txt")) == 200


def test_the_same_name_in_another_bucket_is_another_file(visitors, emulator, bucket, make_bucket, settings):
    settings.B2FIELDS_BUCKETS = {"public": make_bucket()}
    put(emulator, settings.B2FIELDS_BUCKETS["public"], "same.txt")
    hold("legal.contract.cover", "same.txt")
    hold("legal.contract.scan", "same.txt")
    assert outcome(signed_in(), path_of("legal.contract.cover", "same.txt")) == 200


# Routes


@pytest.mark.parametrize("label", LEVELS)
def test_a_route_of_another_level_does_not_know_the_field(label, visitors, emulator, bucket):
    put(emulator, bucket, full_name(label, "held.txt"))
    hold(label, "held.txt", **of_owner(label, visitors))
    prefixes = ["b2x", "B2", *(prefix for level, prefix in ROUTES.items() if level != LEVELS[label])]
    clients = [signed_in(user) for user in visitors.values()]
    with emulator.counted() as spent:
        for prefix in prefixes:
            assert {outcome(client, f"/{prefix}/{label}/held.txt") for client in clients} == {404}
    assert spent == []


@pytest.mark.parametrize(
    "label",
    [
        pytest.param("legal.contract.nothing", id="an unknown field"),
        pytest.param("legal.nothing.scan", id="an unknown model"),
        pytest.param("nothing.contract.scan", id="an unknown app"),
        pytest.param("legal.contract", id="a model"),
        pytest.param("legal", id="an app"),
        pytest.param("scan", id="a bare field"),
        pytest.param(".", id="a dot"),
        pytest.param("..", id="two dots"),
        pytest.param("...", id="three dots"),
        pytest.param("legal.contract.scan.name", id="an attribute of a field"),
        pytest.param("legal.contract.title", id="a text field"),
        pytest.param("legal.contract.owner", id="a relation"),
        pytest.param("legal.contract.owner_id", id="a relation's column"),
        pytest.param("auth.user.contract", id="a relation's other side"),
        pytest.param("legal.contract.pk", id="an alias of the primary key"),
        pytest.param("legal.attachment.file", id="Django's own file field"),
        pytest.param("legal.Contract.scan", id="a model in its own letter case"),
        pytest.param("LEGAL.contract.scan", id="an app in upper case"),
        pytest.param("legal.contract.SCAN", id="a field in upper case"),
        pytest.param("legal.contract.scan ", id="a label with a space"),
        pytest.param("legal.contract.scan\n", id="a label with a line feed"),
        pytest.param("legal.contract.scan\0", id="a label with a NUL"),
        pytest.param("legal.document.file", id="an abstract model"),
        pytest.param("legal.annualreport.file", id="a child of the model that declares the field"),
        pytest.param("legal.reportproxy.file", id="a proxy of the model that declares the field"),
        pytest.param("default", id="an alias of a storage that is not ours"),
        pytest.param("x" * 5000, id="a very long label"),
    ],
)
def test_what_is_no_field_of_ours_is_not_found(label, visitors, emulator, bucket):
    put(emulator, bucket, "held.txt")
    Contract.objects.create(title="held.txt", scan="held.txt")
    AnnualReport.objects.create(file="held.txt")
    Attachment.objects.create(file="held.txt")
    client = signed_in(visitors["superuser"])
    with emulator.counted() as spent:
        for prefix in ROUTES.values():
            assert outcome(client, f"/{prefix}/{quote(label)}/held.txt") == 404
    assert spent == []


@pytest.mark.parametrize(
    ("model", "label"),
    [
        pytest.param(AnnualReport, "legal.report.file", id="a child's file is served by the parent's field"),
        pytest.param(ReportProxy, "legal.report.file", id="a proxy's file is served by the concrete field"),
        pytest.param(Report, "legal.report.file", id="an abstract field is served by each child's own"),
    ],
)
def test_inherited_fields(model, label, visitors, emulator):
    row = model()
    row.file.save("a.txt", ContentFile(b"the file"))
    assert row.file.url == path_of(label, row.file.name)
    assert outcome(signed_in(visitors["staff"]), row.file.url) == 200
    assert outcome(signed_in(visitors["member"]), row.file.url) == 403
    assert outcome(signed_in(visitors["staff"]), path_of("legal.invoice.file", row.file.name)) == 404


# Rows


def test_a_file_is_gone_for_everybody_when_its_row_is(emulator):
    row = store("legal.contract.cover", "a.txt")
    path = row.cover.url
    assert outcome(signed_in(), path) == 200
    row.delete()
    with emulator.counted() as spent:
        assert outcome(signed_in(), path) == 404
    assert spent == []


def test_a_file_is_gone_for_everybody_when_its_row_names_another(emulator):
    row = store("legal.contract.cover", "a.txt")
    path = row.cover.url
    row.cover.save("b.txt", ContentFile(b"the file"))
    assert outcome(signed_in(), path) == 404
    assert outcome(signed_in(), row.cover.url) == 200


def test_a_file_that_b2_lost_is_not_found(emulator):
    hold("legal.contract.cover", "lost.txt")
    response = signed_in().get(path_of("legal.contract.cover", "lost.txt"))
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    "conditions", [{"If-None-Match": "{etag}"}, {"If-None-Match": "*"}, {"Range": "bytes=0-1"}]
)
def test_access_that_was_withdrawn_is_gone_at_once(conditions, visitors, emulator, settings):
    settings.ROOT_URLCONF = "tests.serving.urls"
    row = store("legal.contract.dossier", "a.txt", owner=visitors["owner"])
    client = signed_in(visitors["owner"])
    first = client.get(row.dossier.url)
    body_of(first)
    assert first.status_code == 200
    row.owner = visitors["member"]
    row.save()
    headers = {name: value.format(etag=first.headers["ETag"]) for name, value in conditions.items()}
    headers["If-Modified-Since"] = "Fri, 01 Jan 2100 00:00:00 GMT"
    with emulator.counted() as spent:
        withdrawn = client.get(row.dossier.url, headers=headers)
        assert (withdrawn.status_code, body_of(withdrawn), spent) == (404, NOT_FOUND, [])
    assert "ETag" not in withdrawn.headers


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"is_active": False}, 403, id="a deactivated user is refused"),
        pytest.param({"is_staff": False}, 403, id="who is no longer staff is refused"),
    ],
)
def test_a_user_who_changed_between_two_requests(change, status, visitors, emulator):
    row = store("legal.contract.scan", "a.txt")
    client = signed_in(visitors["staff"])
    first = client.get(row.scan.url)
    body_of(first)
    type(visitors["staff"]).objects.filter(pk=visitors["staff"].pk).update(**change)
    assert client.get(row.scan.url, headers={"If-None-Match": first.headers["ETag"]}).status_code == status


# Callables


@pytest.mark.parametrize("answer", ["False", "1", "yes", "None", "denied"])
def test_nothing_but_true_lets_a_callable_grant(answer, visitors, emulator, bucket):
    put(emulator, bucket, "ruled.txt")
    hold("legal.ruling.file", "ruled.txt", answer=answer)
    clients = {kind: signed_in(user) for kind, user in visitors.items()}
    with emulator.counted() as spent:
        answers = {kind: outcome(c, path_of("legal.ruling.file", "ruled.txt")) for kind, c in clients.items()}
    assert answers == MISSING["object"]
    assert spent == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_callable_that_fails_is_an_error_and_opens_nothing(kind, visitors, emulator, bucket):
    put(emulator, bucket, "ruled.txt")
    hold("legal.ruling.file", "ruled.txt", answer="failing")
    client = signed_in(visitors[kind], raise_request_exception=False)
    with emulator.counted() as spent:
        assert outcome(client, path_of("legal.ruling.file", "ruled.txt")) == 500
    assert spent == []


def test_one_of_several_rows_that_grants_is_enough(visitors, emulator, bucket):
    put(emulator, bucket, "ruled.txt")
    for answer in ("False", "None", "True", "False"):
        hold("legal.ruling.file", "ruled.txt", answer=answer)
    assert outcome(signed_in(visitors["member"]), path_of("legal.ruling.file", "ruled.txt")) == 200
    Ruling.objects.filter(answer="True").delete()
    assert outcome(signed_in(visitors["member"]), path_of("legal.ruling.file", "ruled.txt")) == 404


def test_the_row_that_decides_holds_exactly_this_name(visitors, emulator, bucket):
    put(emulator, bucket, "Ruled.txt")
    hold("legal.ruling.file", "ruled.txt", answer="True")
    hold("legal.ruling.file", "Ruled.txt", answer="False")
    assert outcome(signed_in(visitors["member"]), path_of("legal.ruling.file", "Ruled.txt")) == 404


async def _asynchronous(request, instance):
    return True


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        pytest.param(_asynchronous, 500, id="a coroutine function is a mistake and no grant"),
        pytest.param("stafff", 500, id="a misspelt level is a mistake and no grant"),
        pytest.param("object", 500, id="the name of a route is no level"),
        pytest.param("", 500, id="an empty level is a mistake and no grant"),
        pytest.param(lambda request, row: True, 200, id="a callable is asked"),
        pytest.param(lambda request, row: 1, 404, id="a callable that answers 1 refuses"),
        pytest.param(lambda request, row: row is None or None, 200, id="a storage alone has no row to show"),
    ],
)
def test_access_of_a_storage_in_storages(access, expected, visitors, emulator, bucket, make_bucket, settings):
    alone = make_bucket()
    put(emulator, alone, "a.txt")
    aliased(settings, media={"bucket": alone, "access": access})
    client = signed_in(visitors["superuser"], raise_request_exception=False)
    statuses = {prefix: outcome(client, f"/{prefix}/media/a.txt") for prefix in ROUTES.values()}
    assert statuses["b2o"] == expected
    assert 200 not in [status for prefix, status in statuses.items() if prefix != "b2o"]


# Storages that STORAGES names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["public", "login", "staff"])
def test_a_storage_alone_in_its_bucket_is_served_by_its_level(
    level, kind, visitors, emulator, bucket, make_bucket, settings
):
    alone = make_bucket()
    put(emulator, alone, "derived/a.txt")
    aliased(settings, media={"bucket": alone, "access": level})
    client = signed_in(visitors[kind])
    if kind in READERS[level]:
        assert outcome(client, f"/{ROUTES[level]}/media/derived/a.txt") == 200
        assert outcome(client, f"/{ROUTES[level]}/media/derived/b.txt") == 404
    else:
        with emulator.counted() as spent:
            assert outcome(client, f"/{ROUTES[level]}/media/derived/a.txt") == MISSING[level][kind]
        assert spent == []


def test_a_storage_without_a_level_is_private(visitors, emulator, bucket, make_bucket, settings):
    alone = make_bucket()
    put(emulator, alone, "a.txt")
    aliased(settings, media={"bucket": alone})
    assert outcome(signed_in(), "/b2/media/a.txt") == 404
    assert outcome(signed_in(), "/b2l/media/a.txt") == LOGIN
    assert outcome(signed_in(visitors["member"]), "/b2l/media/a.txt") == 200


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="the same bucket"),
        pytest.param({"location": "vault"}, id="the location of a field"),
        pytest.param({"location": "vault/inner"}, id="a location within that of a field"),
        pytest.param({"location": "scans"}, id="a location that a field stores in"),
    ],
)
@pytest.mark.parametrize("level", ["public", "login", "staff"])
def test_a_storage_that_shares_its_place_serves_neither_files_of_fields_nor_orphans(
    level, options, visitors, emulator, bucket, settings
):
    aliased(settings, media={"access": level, **options})
    for label in LEVELS:
        put(emulator, bucket, full_name(label, f"scans/{label}.txt"))
        hold(label, f"scans/{label}.txt", **of_owner(label, visitors))
    put(emulator, bucket, "scans/orphan.txt")
    put(emulator, bucket, "vault/inner/orphan.txt")
    names = [f"scans/{label}.txt" for label in LEVELS]
    names += [f"{label}.txt" for label in LEVELS]
    names += ["orphan.txt", "scans/orphan.txt", "inner/orphan.txt", "vault/inner/orphan.txt"]
    names += ["vault/scans/legal.deed.file.txt"]
    client = signed_in(visitors["superuser"])
    with emulator.counted() as spent:
        answers = {name: outcome(client, f"/{ROUTES[level]}/media/{name}") for name in names}
    assert answers == dict.fromkeys(names, 404)
    assert spent == []


def test_two_storages_of_one_bucket_serve_nothing_of_each_other(
    visitors, emulator, bucket, make_bucket, settings
):
    shared = make_bucket()
    put(emulator, shared, "a.txt")
    aliased(
        settings,
        media={"bucket": shared, "access": "public"},
        secret={"bucket": shared.upper(), "access": "staff"},
    )
    assert outcome(signed_in(visitors["superuser"]), "/b2/media/a.txt") == 404
    assert outcome(signed_in(visitors["superuser"]), "/b2s/secret/a.txt") == 404


def test_two_storages_with_locations_of_their_own_do_not_share(
    visitors, emulator, bucket, make_bucket, settings
):
    shared = make_bucket()
    put(emulator, shared, "media/a.txt")
    put(emulator, shared, "mediaeval/b.txt")
    aliased(
        settings,
        media={"bucket": shared, "location": "media", "access": "public"},
        mediaeval={"bucket": shared, "location": "mediaeval", "access": "staff"},
    )
    assert outcome(signed_in(), "/b2/media/a.txt") == 200
    assert outcome(signed_in(), "/b2/media/eval/b.txt") == 404
    assert outcome(signed_in(visitors["staff"]), "/b2s/mediaeval/b.txt") == 200


def test_a_plain_field_is_served_by_the_level_of_its_storage(visitors, emulator, bucket, settings):
    default_storage(settings, access="login")
    row = Attachment()
    row.file.save("a.txt", ContentFile(b"the file"))
    assert row.file.url == "/b2l/default/a.txt"
    assert outcome(signed_in(), row.file.url) == LOGIN
    assert outcome(signed_in(visitors["inactive"]), row.file.url) == 403
    assert outcome(signed_in(visitors["member"]), row.file.url) == 200
    row.delete()
    assert outcome(signed_in(visitors["member"]), "/b2l/default/a.txt") == 404


def test_a_plain_field_is_served_before_this_process_used_its_storage(visitors, emulator, bucket, settings):
    default_storage(settings, access="login")
    put(emulator, bucket, "a.txt")
    Attachment.objects.bulk_create([Attachment(file="a.txt")])
    default_storage(settings, access="login")
    assert outcome(signed_in(visitors["member"]), "/b2l/default/a.txt") == 200


@pytest.mark.parametrize("label", ["legal.contract.scan", "legal.contract.dossier", "legal.deed.file"])
@pytest.mark.parametrize("level", ["public", "login"])
def test_a_name_assigned_to_a_plain_field_of_a_laxer_storage_opens_nothing(
    level, label, visitors, emulator, bucket, settings
):
    default_storage(settings, access=level)
    put(emulator, bucket, full_name(label, "theirs/secret.txt"))
    hold(label, "theirs/secret.txt", **of_owner(label, visitors))
    attachment = Attachment.objects.create(file=full_name(label, "theirs/secret.txt"))
    assert attachment.file.url == path_of("default", full_name(label, "theirs/secret.txt"), level)
    path = f"/{ROUTES[level]}/default/{full_name(label, 'theirs/secret.txt')}"
    clients = {kind: signed_in(user) for kind, user in visitors.items()}
    with emulator.counted() as spent:
        answers = {kind: outcome(client, path) for kind, client in clients.items()}
    assert answers == MISSING[level]
    assert spent == []


@pytest.mark.parametrize("laxer", ["legal.contract.cover", "legal.contract.minutes"])
def test_the_name_of_a_plain_field_of_a_stricter_storage_opens_nothing(
    laxer, visitors, emulator, bucket, settings
):
    default_storage(settings, access="staff")
    put(emulator, bucket, "theirs/secret.txt")
    Attachment.objects.create(file="theirs/secret.txt")
    hold(laxer, "theirs/secret.txt")
    clients = {kind: signed_in(user) for kind, user in visitors.items()}
    with emulator.counted() as spent:
        answers = {k: outcome(client, path_of(laxer, "theirs/secret.txt")) for k, client in clients.items()}
    assert answers == MISSING[LEVELS[laxer]]
    assert spent == []
    assert outcome(clients["staff"], "/b2s/default/theirs/secret.txt") == 200


def test_an_alias_serves_no_file_of_a_plain_field_on_a_storage_without_alias(
    visitors, emulator, bucket, settings
):
    default_storage(settings, access="login")
    put(emulator, bucket, "payroll/orphan.txt")
    put(emulator, bucket, "payroll/held.txt")
    Payslip.objects.create(file="held.txt")
    member = signed_in(visitors["member"])
    with emulator.counted() as spent:
        for name in ("orphan.txt", "held.txt"):
            assert outcome(member, f"/b2l/default/payroll/{name}") == 404
    assert spent == []


def test_an_alias_that_cannot_be_built_is_no_matter_of_the_others(visitors, emulator, bucket, settings):
    default_storage(settings, access="login")
    settings.STORAGES |= {
        "gone": {"BACKEND": "no.such.module"},
        "odd": {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"x": 1}},
    }
    put(emulator, bucket, "a.txt")
    Attachment.objects.create(file="a.txt")
    assert Attachment.objects.get().file.url == "/b2l/default/a.txt"
    assert outcome(signed_in(visitors["member"]), "/b2l/default/a.txt") == 200


# Methods


@pytest.mark.parametrize("label", LEVELS)
def test_every_method_but_reading_is_refused(label, visitors, emulator, bucket):
    put(emulator, bucket, full_name(label, "held.txt"))
    row = hold(label, "held.txt", **of_owner(label, visitors))
    clients = [signed_in(visitors["anonymous"]), signed_in(visitors["superuser"])]
    with emulator.counted() as spent:
        for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
            for client in clients:
                held = client.generic(method, path_of(label, "held.txt"), b"data")
                assert (held.status_code, held.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
                assert held.headers["Cache-Control"] == "private, no-store"
                assert told(held) == told(client.generic(method, path_of(label, "missing.txt"), b"data"))
    assert spent == []
    field = label.rpartition(".")[2]
    assert getattr(type(row).objects.get(), field).name == "held.txt"


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_no_header_changes_the_method(header, emulator):
    row = store("legal.contract.cover", "a.txt")
    assert signed_in().post(row.cover.url, headers={header: "GET"}).status_code == 405
    assert body_of(signed_in().get(row.cover.url, headers={header: "DELETE"})) == b"the file"
    assert body_of(signed_in().get(row.cover.url)) == b"the file"


@pytest.mark.parametrize("label", LEVELS)
def test_options_says_nothing_about_the_file(label, visitors, emulator, bucket):
    client = signed_in(visitors["superuser"])
    with emulator.counted() as spent:
        missing = told(client.options(path_of(label, "maybe.txt")))
        unknown = told(client.options("/b2/nothing/maybe.txt"))
    assert spent == []
    put(emulator, bucket, full_name(label, "maybe.txt"))
    hold(label, "maybe.txt", **of_owner(label, visitors))
    existing = told(client.options(path_of(label, "maybe.txt")))
    assert existing == missing == unknown
    assert existing[0] in (200, 204)
    assert existing[1]["Allow"] == "GET, HEAD, OPTIONS"
    assert existing[3] == b""


# What refusals say


@pytest.mark.parametrize("name", ["a b.txt", "évil.txt", "a&b=c.txt", "a+b%20c.txt", "a?b#c.txt"])
def test_the_login_page_returns_to_the_file(name, visitors, emulator, bucket):
    put(emulator, bucket, name)
    row = hold("legal.contract.minutes", name)
    location = signed_in().get(row.minutes.url + "?download=1").headers["Location"]
    assert location.startswith("/accounts/login/?next=/b2l/legal.contract.minutes/")
    assert unquote(next_of(location)) == unquote(row.minutes.url) + "?download=1"
    assert outcome(signed_in(visitors["member"]), next_of(location)) == 200


def next_of(location):
    return parse_qs(urlsplit(location).query)["next"][0]


@pytest.mark.parametrize(
    "path",
    [
        "/b2l/legal.contract.minutes/evil.example",
        "/b2l/legal.contract.minutes/http:evil.example",
        "/b2l/legal.contract.minutes/%40evil.example",
        "/b2l/legal.contract.minutes/x?next=//evil.example",
        "/b2l/legal.contract.minutes/x?next=https://evil.example/&next=//evil.example",
    ],
)
def test_the_login_page_never_leads_to_another_site(path, emulator):
    response = signed_in().get(path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert response.status_code == 302
    target = next_of(response.headers["Location"])
    assert target.startswith("/b2l/")
    assert url_has_allowed_host_and_scheme(target, None)


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        pytest.param(
            "/b2/legal.contract.cover/%3Cscript%3Ealert(1)%3C/script%3E.html", "member", 404, id="404"
        ),
        pytest.param(
            "/b2s/legal.contract.scan/%3Cscript%3Ealert(1)%3C/script%3E.html", "member", 403, id="403"
        ),
    ],
)
def test_a_refusal_repeats_nothing_of_the_request(path, kind, status, visitors, emulator, bucket):
    response = signed_in(visitors[kind]).get(path + "?q=reflected")
    assert response.status_code == status
    everything = repr(told(response))
    for word in ("script", "alert", "reflected", bucket, "legal"):
        assert word not in everything


def test_refusals_are_rendered_by_the_projects_own_handlers(visitors, emulator, settings):
    settings.ROOT_URLCONF = "tests.serving.urls"
    missing = signed_in().get("/b2/legal.contract.cover/missing.txt")
    refused = signed_in(visitors["member"]).get("/b2s/legal.contract.scan/missing.txt")
    assert (missing.status_code, missing.content) == (404, NOT_FOUND)
    assert (refused.status_code, refused.content) == (403, b"403 of the project: You may not read this file.")
    assert missing.headers["Cache-Control"] == refused.headers["Cache-Control"] == "private, no-store"


def test_without_a_user_on_the_request_only_public_files_are_served(emulator, bucket, settings):
    settings.MIDDLEWARE = []
    answers = {}
    for label in (
        "legal.contract.cover",
        "legal.contract.minutes",
        "legal.contract.scan",
        "legal.permit.paper",
    ):
        put(emulator, bucket, f"{label}.txt")
        hold(label, f"{label}.txt")
        answers[label] = outcome(signed_in(), path_of(label, f"{label}.txt"))
    assert answers == {
        "legal.contract.cover": 200,
        "legal.contract.minutes": LOGIN,
        "legal.contract.scan": LOGIN,
        "legal.permit.paper": LOGIN,
    }
