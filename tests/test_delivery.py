"""The other ways of delivery: a redirect to B2, or a word to nginx. Access is decided before, as ever."""

import re

import httpx
import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from b2fields import B2FileField, B2Storage
from b2fields.b2 import connections
from b2fields.exceptions import NotConfigured
from tests.legal.models import Contract, Recording
from tests.serving import AUTHORIZE, GET, HEAD, body_of, hold, path_of, put, signed_in

pytestmark = pytest.mark.django_db

REFUSAL = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LIST, TOKEN = "b2_list_file_names", "b2_get_download_authorization"
SHARING = ["listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles", "shareFiles"]


@pytest.fixture
def reader(visitors):
    """A client that may read files of every level."""
    return signed_in(visitors["superuser"])


@pytest.fixture
def application_key(b2_api, emulator, settings):
    """An application key: the master key opens nothing at the S3-compatible endpoint."""
    key = b2_api.create_key(SHARING, "delivery")
    settings.B2FIELDS_APPLICATION_KEY_ID, settings.B2FIELDS_APPLICATION_KEY = key.id_, key.application_key
    emulator.clear()
    return key


def fetch(url, **headers):
    return httpx.get(url, headers=headers, trust_env=False)


def video(name="a.mp4", data=b"the file"):
    row = Recording()
    row.video.save(name, ContentFile(data))
    return row.video


# Redirect


@pytest.mark.parametrize("with_key", ["an application key", "the master key"])
def test_a_redirect_leads_to_the_file_for_a_while(with_key, request, reader, emulator):
    if with_key == "an application key":
        request.getfixturevalue("application_key")
    file = video()
    response = reader.get(file.url)
    assert response.status_code == 302
    assert response.headers["Location"].startswith(f"{emulator.realm}/")
    found = fetch(response.headers["Location"])
    assert (found.status_code, found.content, found.headers["Content-Type"]) == (
        200,
        b"the file",
        "video/mp4",
    )
    emulator.set_clock(301)
    try:
        assert fetch(response.headers["Location"]).status_code in (401, 403)
    finally:
        emulator.set_clock(0)


def test_a_redirect_asks_nothing_of_b2(application_key, reader, emulator):
    file = video()
    with emulator.counted() as operations:
        assert reader.get(file.url).status_code == 302
    assert operations == []


def test_a_head_is_answered_by_this_site(application_key, reader, emulator):
    file = video()
    with emulator.counted() as operations:
        response = reader.head(file.url)
    assert (response.status_code, response.headers["Content-Length"]) == (200, "8")
    assert operations == []


def test_the_first_redirect_of_a_process_costs_an_authorization(application_key, reader, emulator):
    file = video()
    connections.close_all()
    cache.clear()
    with emulator.counted() as operations:
        assert reader.get(file.url).status_code == 302
    assert operations == [AUTHORIZE]


def test_a_redirect_stays_the_same_for_a_while(application_key, reader):
    file = video()
    assert len({reader.get(file.url).headers["Location"] for _ in range(3)}) <= 2


def test_nobody_keeps_a_redirect_and_its_link_is_in_no_referer(application_key, reader):
    response = reader.get(video().url)
    assert REFUSAL.items() <= dict(response.headers).items()
    assert "Cookie" in response.headers["Vary"]


@pytest.mark.parametrize(
    ("name", "query", "disposition", "content_type"),
    [
        ("a.mp4", "", 'inline; filename="a.mp4"', "video/mp4"),
        ("a.mp4", "?download=1", 'attachment; filename="a.mp4"', "video/mp4"),
        ("a.html", "", 'attachment; filename="a.html"', "application/octet-stream"),
        ("a.svg", "", 'attachment; filename="a.svg"', "image/svg+xml"),
        ("ü.pdf", "", "attachment; filename=\"u.pdf\"; filename*=UTF-8''%C3%BC.pdf", "application/pdf"),
    ],
)
@pytest.mark.parametrize("with_key", ["an application key", "the master key"])
def test_b2_sends_the_type_and_the_disposition_that_the_site_would(
    with_key, name, query, disposition, content_type, request, reader, emulator
):
    if with_key == "an application key":
        request.getfixturevalue("application_key")
    elif "*" in disposition:
        disposition = disposition.partition(";")[0] + '; filename="u.pdf"'  # B2 takes no other one there
    found = fetch(reader.get(video(name).url + query).headers["Location"])
    assert found.headers["Content-Disposition"] == disposition
    assert found.headers["Content-Type"] == content_type


def test_a_range_goes_to_b2(application_key, reader):
    found = fetch(reader.get(video().url).headers["Location"], Range="bytes=4-")
    assert (found.status_code, found.content) == (206, b"file")


def test_a_link_of_the_master_key_that_would_open_other_files_is_not_made(reader, emulator, bucket):
    put(emulator, bucket, "report.pdf")
    put(emulator, bucket, "report.pdf.bak", b"the backup")
    hold("legal.recording.video", "report.pdf")
    response = reader.get(path_of("legal.recording.video", "report.pdf", "login"))
    assert (response.status_code, body_of(response)) == (200, b"the file")


def test_refusals_are_those_of_the_table(application_key, visitors, emulator):
    url = video().url
    with emulator.counted() as operations:
        assert signed_in().get(url).headers["Location"] == f"/accounts/login/?next={url}"
        assert signed_in(visitors["inactive"]).get(url).status_code in (302, 403)
        assert signed_in(visitors["member"]).get(url + "x").status_code == 404
        assert signed_in(visitors["staff"]).get(url.replace("/b2l/", "/b2s/")).status_code == 404
    assert operations == []


def test_trouble_with_the_first_authorization_is_a_503(application_key, reader, emulator):
    file = video()
    connections.close_all()
    cache.clear()
    emulator.fault("*", times=None, status=503)
    response = reader.get(file.url)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")


def test_the_account_token_is_in_no_redirect(reader, application_key):
    location = reader.get(video().url).headers["Location"]
    assert B2Storage().client.tokens.token not in location
    assert application_key.application_key not in location


# By field, by storage and by setting


def test_the_field_decides_and_then_the_setting(application_key, reader, settings):
    settings.B2FIELDS_DELIVERY = "redirect"
    row = Recording()
    row.transcript.save("a.txt", ContentFile(b"the file"))
    assert body_of(reader.get(row.transcript.url)) == b"the file"
    contract = Contract.objects.create(scan=ContentFile(b"the file", "a.txt"))
    assert reader.get(contract.scan.url).status_code == 302
    settings.B2FIELDS_DELIVERY = "proxy"
    assert body_of(reader.get(contract.scan.url)) == b"the file"
    assert reader.get(video().url).status_code == 302


def test_an_alias_may_have_its_own(application_key, reader, settings, make_bucket):
    options = {"access": "staff", "delivery": "redirect", "bucket": make_bucket()}
    settings.STORAGES = {**settings.STORAGES, "scans": {"BACKEND": "b2fields.B2Storage", "OPTIONS": options}}
    name = storages["scans"].save("a.txt", ContentFile(b"the file"))
    assert fetch(reader.get(storages["scans"].url(name)).headers["Location"]).content == b"the file"


def test_delivery_is_part_of_a_migration_and_of_no_column():
    field = B2FileField(delivery="accel")
    assert field.deconstruct()[3] == {"upload_to": "", "delivery": "accel"}
    assert "delivery" in field.non_db_attrs


@pytest.mark.parametrize("delivery", ["nginx", "", None, 7, "Proxy"])
def test_another_way_is_named_by_check_and_never_taken(delivery, settings, emulator, reader):
    settings.B2FIELDS_DELIVERY = delivery
    (error,) = (error for error in run_checks() if error.id == "b2fields.E030")
    assert error.msg.startswith(f"B2FIELDS_DELIVERY is {delivery!r}, ")
    with pytest.raises(NotConfigured, match="delivery"):
        B2Storage().delivery  # noqa: B018
    contract = Contract.objects.create(scan=ContentFile(b"the file", "a.txt"))
    assert reader.get(contract.scan.url).status_code == 503


@pytest.mark.parametrize("delivery", ["redirect", "accel"])
def test_files_under_a_key_of_your_own_are_sent_by_this_site_alone(delivery, settings):
    settings.B2FIELDS_ENCRYPTION = {"mode": "SSE-C", "key": b"k" * 32}
    settings.B2FIELDS_DELIVERY = delivery
    assert any(error.id == "b2fields.E030" and "SSE-C" in error.msg for error in run_checks())
    with pytest.raises(NotConfigured, match="SSE-C"):
        B2Storage().delivery  # noqa: B018


# nginx; what it makes of this is in test_nginx.py


def test_nginx_is_told_where_to_go_and_gets_no_body(application_key, reader, settings, bucket, emulator):
    settings.B2FIELDS_DELIVERY = "accel"
    contract = Contract.objects.create(scan=ContentFile(b"the file", "a b.txt"))
    with emulator.counted() as operations:
        response = reader.get(contract.scan.url)
    assert operations == []
    assert (response.status_code, response.content) == (200, b"")
    target, _, query = response.headers["X-Accel-Redirect"].partition("?")
    assert target == f"/_b2fields/{bucket}/{contract.scan.name.replace(' ', '%20')}"
    assert "X-Amz-Expires=60&" in query
    assert B2Storage().client.tokens.token not in query
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["Content-Disposition"] == 'inline; filename="a b.txt"'
    assert re.fullmatch('"[0-9a-f]{32}"', response.headers["ETag"])


def test_what_nobody_knows_yet_is_asked_for_once(application_key, reader, settings, bucket, emulator):
    settings.B2FIELDS_DELIVERY = "accel"
    put(emulator, bucket, "a.txt")
    hold("legal.contract.scan", "a.txt")
    with emulator.counted() as operations:
        for _ in range(3):
            assert "X-Accel-Redirect" in reader.get(path_of("legal.contract.scan", "a.txt")).headers
    assert operations == [AUTHORIZE, HEAD]


def test_a_file_that_b2_lacks_is_not_found_by_the_site(application_key, reader, settings):
    settings.B2FIELDS_DELIVERY = "accel"
    hold("legal.contract.scan", "none.txt")
    response = reader.get(path_of("legal.contract.scan", "none.txt"))
    assert response.status_code == 404
    assert "X-Accel-Redirect" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Sendfile-Type": "X-Accel-Redirect"},
        {"X-Accel-Mapping": "/=/_b2fields/"},
        {"X-Accel-Redirect": "/_b2fields/x"},
        {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil.example"},
    ],
    ids=lambda headers: next(iter(headers)),
)
@pytest.mark.parametrize("delivery", ["proxy", "accel"])
def test_the_way_comes_from_the_settings_alone(
    headers, delivery, application_key, reader, settings, emulator
):
    settings.B2FIELDS_DELIVERY = delivery
    contract = Contract.objects.create(scan=ContentFile(b"the file", "a.txt"))
    plain, asked = reader.get(contract.scan.url), reader.get(contract.scan.url, headers=headers)
    assert (
        asked.headers.get("X-Accel-Redirect", "").partition("?")[0]
        == (plain.headers.get("X-Accel-Redirect", "").partition("?")[0])
    )
    assert body_of(asked) == body_of(plain)
    assert ("X-Accel-Redirect" in asked.headers) == (delivery == "accel")


# The log


def lines(caplog):
    return [
        (record.event, record.status_code, record.level, record.field, record.user_id)
        for record in caplog.records
        if record.name == "b2fields"
    ]


def test_a_refusal_is_one_line_in_the_log(caplog, visitors, emulator):
    url = path_of("legal.contract.scan", "a.txt")
    signed_in().get(url)
    signed_in(visitors["member"]).get(url)
    signed_in(visitors["staff"]).get(url)
    member, staff = visitors["member"].pk, visitors["staff"].pk
    assert lines(caplog) == [
        ("refused", 302, "staff", "legal.contract.scan", None),
        ("refused", 403, "staff", "legal.contract.scan", member),
        ("refused", 404, "staff", "legal.contract.scan", staff),
    ]
    assert caplog.records[0].getMessage() == (
        "refused: GET 'legal.contract.scan' (staff) 'a.txt', 302: the visitor lacks the level"
    )


def test_a_failed_delivery_is_one_line_in_the_log(caplog, reader, emulator):
    contract = Contract.objects.create(scan=ContentFile(b"the file", "a.txt"))
    emulator.fault(GET, times=None, status=503)
    reader.get(contract.scan.url)
    assert [line[:2] for line in lines(caplog)] == [("failed", 503)]
    assert caplog.records[-1].levelname == "ERROR"


def test_a_missing_file_is_one_line_in_the_log(caplog, reader, emulator):
    hold("legal.contract.scan", "none.txt")
    reader.get(path_of("legal.contract.scan", "none.txt"))
    assert [line[:2] for line in lines(caplog)] == [("failed", 404)]


@pytest.mark.parametrize(("headers", "status"), [({}, 200), ({"Range": "bytes=0-"}, 206)])
def test_a_delivery_that_breaks_off_is_one_line_in_the_log(headers, status, caplog, reader, emulator):
    contract = Contract.objects.create(scan=ContentFile(b"x" * 500_000, "a.txt"))
    emulator.fault(GET, cut_after=100_000)
    emulator.fault("b2_download_file_by_id", times=None, status=503)
    with pytest.raises(OSError, match="arrived only up to"):
        body_of(reader.get(contract.scan.url, headers=headers))
    assert [line[:2] for line in lines(caplog)] == [("broke off", status)]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("legal.contract.scan/a%0Ab2fields%20granted.txt", id="a name"),
        pytest.param("legal.contract%0Ab2fields%20granted/a.txt", id="a label"),
    ],
)
def test_a_line_feed_stays_on_one_line_of_the_log(path, caplog, emulator):
    signed_in().get(f"/b2s/{path}")
    assert "\n" not in caplog.records[0].getMessage()
    assert caplog.records[0].status_code == 404


@pytest.mark.parametrize(
    "path", ["legal.contract.scan/a%00", "legal.nothing.scan/a", "legal.contract.cover/a"]
)
def test_a_path_that_is_nobodys_file_does_not_look_up_the_visitor(
    path, visitors, emulator, django_assert_num_queries
):
    staff = signed_in(visitors["staff"])
    with django_assert_num_queries(0):
        assert staff.get(f"/b2s/{path}").status_code == 404


def test_a_delivered_file_is_no_line_in_the_log(caplog, reader, emulator):
    contract = Contract.objects.create(scan=ContentFile(b"the file", "a.txt"))
    body_of(reader.get(contract.scan.url))
    assert lines(caplog) == []
