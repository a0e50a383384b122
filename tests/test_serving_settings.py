"""What a project may change of the headers of its files, how far, and that a mistake serves nothing."""

import pytest
from django.core.checks import run_checks
from django.db import models
from django.test.utils import isolate_apps

from b2fields import B2FileField, B2Storage
from b2fields.exceptions import NotConfigured
from b2fields.http import CSP, Serving
from b2fields.testing import assert_access_matrix
from tests.legal.models import Report
from tests.serving import body_of, hold, path_of, put, signed_in

pytestmark = pytest.mark.django_db

FIELDS = {
    "public": "legal.contract.cover",
    "login": "legal.contract.minutes",
    "staff": "legal.contract.scan",
    "object": "legal.permit.paper",
}
PRIVATE = ("login", "staff", "object")
CACHE, CORP, POLICY = "Cache-Control", "Cross-Origin-Resource-Policy", "Content-Security-Policy"
STRICT = "default-src 'none'; img-src 'self'; frame-ancestors 'none'; form-action 'none'; sandbox"
WITHOUT_SANDBOX = CSP.removesuffix("; sandbox")


@pytest.fixture
def headers_of(emulator, bucket, visitors):
    """Return the headers with which a file of this name and level is served, to one who may read it."""
    reader = signed_in(visitors["superuser"])

    def ask(level, name="a.txt", query="", **headers):
        name = f"{level}/{name}"  # A stricter field must not hold it too.
        put(emulator, bucket, name)
        hold(FIELDS[level], name)
        response = reader.get(path_of(FIELDS[level], name) + query, headers=headers)
        body_of(response)
        assert response.status_code in (200, 206, 304)
        return response.headers

    return ask


def kind(headers):
    return headers["Content-Disposition"].partition(";")[0]


@isolate_apps("tests.legal")
def declare(field):
    class Model(models.Model):
        file = field

        class Meta:
            app_label = "legal"

    return Model._meta.get_field("file")


# What may change


def test_the_settings_begin_as_the_table_of_headers_has_it(settings):
    assert B2Storage().serving == Serving()
    assert B2Storage().anonymous == 302


@pytest.mark.parametrize(
    "value", ["public, max-age=86400, immutable", "max-age=60", "no-store", 'public,max-age=9,x="a b"']
)
def test_public_files_are_kept_as_long_as_the_setting_says(headers_of, settings, value):
    before = headers_of("login", "b.txt")[CACHE]
    settings.B2FIELDS_PUBLIC_CACHE_CONTROL = value
    assert headers_of("public")[CACHE] == value
    assert headers_of("login", "c.txt")[CACHE] == before


@pytest.mark.parametrize("value", ["private, no-cache", "private, no-store", "no-store, private, max-age=0"])
def test_private_files_of_every_level_are_kept_as_the_setting_says(headers_of, settings, value):
    settings.B2FIELDS_PRIVATE_CACHE_CONTROL = value
    for level in PRIVATE:
        assert headers_of(level)[CACHE] == value
    assert headers_of("public")[CACHE] == "public, max-age=3600"


def test_public_files_alone_may_be_kept_from_other_sites(headers_of, settings):
    settings.B2FIELDS_PUBLIC_CORP = "same-site"
    assert headers_of("public")[CORP] == "same-site"
    for level in PRIVATE:
        assert headers_of(level)[CORP] == "same-origin"


def test_private_files_vary_by_the_request_headers_that_say_who_asks(headers_of, settings):
    settings.B2FIELDS_VARY = ["Authorization", "X-Api-Key"]
    for level in PRIVATE:
        assert headers_of(level)["Vary"] == "Cookie, Authorization, X-Api-Key"
    assert "Vary" not in headers_of("public")


def test_an_unchanged_file_has_the_configured_headers_too(headers_of, settings):
    settings.B2FIELDS_VARY = ("Authorization",)
    settings.B2FIELDS_PRIVATE_CACHE_CONTROL = "private, no-store"
    etag = headers_of("login")["ETag"]
    headers = headers_of("login", **{"If-None-Match": etag})
    assert (headers["Vary"], headers[CACHE]) == ("Cookie, Authorization", "private, no-store")


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(CSP, id="the base policy"),
        pytest.param(STRICT, id="fewer sources, and directives that forbid more"),
        pytest.param("DEFAULT-SRC 'NONE'; frame-ancestors 'SELF'; Sandbox;", id="in capitals"),
        pytest.param(
            "default-src; frame-ancestors; sandbox; sandbox allow-scripts",
            id="a second one that does not count",
        ),
        pytest.param(f"{CSP}; script-src 'none'; report-uri /csp", id="what forbids again, and reports"),
    ],
)
def test_the_policy_may_be_made_stricter(headers_of, settings, policy):
    settings.B2FIELDS_CONTENT_SECURITY_POLICY = policy
    for level in FIELDS:
        assert headers_of(level)[POLICY] == policy
    assert not [error for error in run_checks() if error.id == "b2fields.E026"]


def test_more_types_are_shown_inline(headers_of, settings):
    assert kind(headers_of("login", "a.flac")) == "attachment"
    settings.B2FIELDS_INLINE_TYPES = ("audio/flac", "image/bmp")
    for name in ("b.flac", "b.bmp", "b.png"):
        assert kind(headers_of("login", name)) == "inline"
    for name in ("b.svg", "b.html", "b.pdf", "b.zip"):
        assert kind(headers_of("login", name)) == "attachment"
    assert kind(headers_of("login", "b.flac", "?download=1")) == "attachment"


def test_a_pdf_is_shown_without_sandbox_if_the_settings_say_so(headers_of, settings):
    settings.B2FIELDS_INLINE_PDF = True
    for level in FIELDS:
        headers = headers_of(level, "a.PDF")
        assert (kind(headers), headers[POLICY]) == ("inline", WITHOUT_SANDBOX)
        assert headers["Content-Type"] == "application/pdf"
    for name in ("a.txt", "a.svg", "a.html", "a.pdf.html", "a.zip"):
        headers = headers_of("login", name)
        assert kind(headers) == ("inline" if name == "a.txt" else "attachment")
        assert headers[POLICY] == CSP


def test_a_pdf_that_is_shown_keeps_the_rest_of_the_policy_of_the_project(headers_of, settings):
    settings.B2FIELDS_INLINE_PDF = True
    settings.B2FIELDS_CONTENT_SECURITY_POLICY = STRICT
    assert headers_of("login", "a.pdf")[POLICY] == STRICT.removesuffix("; sandbox")
    assert headers_of("login", "a.png")[POLICY] == STRICT


def test_a_download_of_a_pdf_is_an_attachment_in_a_sandbox(headers_of, settings):
    settings.B2FIELDS_INLINE_PDF = True
    headers = headers_of("login", "a.pdf", "?download=1")
    assert (kind(headers), headers[POLICY]) == ("attachment", CSP)


def test_a_field_shows_its_pdf_whatever_the_setting_says(settings):
    assert declare(B2FileField(inline_pdf=True)).storage.serving.inline_pdf
    settings.B2FIELDS_INLINE_PDF = True
    assert declare(B2FileField()).storage.serving.inline_pdf
    assert not declare(B2FileField(inline_pdf=False)).storage.serving.inline_pdf


def test_a_storage_of_the_settings_has_headers_of_its_own(emulator, bucket, settings, visitors):
    settings.B2FIELDS_LOCATION = "media"
    own = {"location": "papers", "inline_pdf": True, "private_cache_control": "private, no-store"}
    backend = {"BACKEND": "b2fields.B2Storage", "OPTIONS": own}
    settings.STORAGES = {**settings.STORAGES, "papers": backend}
    put(emulator, bucket, "papers/a.pdf")
    response = signed_in(visitors["member"]).get("/b2l/papers/a.pdf")
    body_of(response)
    assert (response.status_code, kind(response.headers)) == (200, "inline")
    assert response.headers[CACHE] == "private, no-store"


@pytest.mark.parametrize("value", ["max-age=600", "no-cache", "s-maxage=9, max-age=600", "Public, max-age=9"])
def test_a_cookie_keeps_a_public_file_out_of_shared_caches_whatever_the_setting(headers_of, settings, value):
    settings.B2FIELDS_PUBLIC_CACHE_CONTROL = value
    settings.SESSION_SAVE_EVERY_REQUEST = True
    headers = headers_of("public")
    assert headers[CACHE] == "private, no-cache"


def test_a_link_that_b2_serves_says_the_same(storage, settings, emulator, bucket):
    put(emulator, bucket, "a.pdf")
    assert "attachment" in storage.signed_url("a.pdf")
    settings.B2FIELDS_INLINE_PDF = True
    assert "inline" in storage.signed_url("a.pdf")
    assert "attachment" in storage.signed_url("a.pdf", download=True)
    settings.B2FIELDS_CONTENT_SECURITY_POLICY = "sandbox"
    with pytest.raises(NotConfigured, match="lacks"):
        storage.signed_url("a.pdf")


# What may not


def wrong(setting, values, check_id):
    return [pytest.param(setting, value, check_id, id=f"{setting} {what}") for what, value in values.items()]


LAXER = {
    "without a sandbox": CSP.removesuffix("; sandbox"),
    "with a hole in the sandbox": f"{CSP} allow-scripts",
    "without default-src": CSP.removeprefix("default-src 'none'; "),
    "without frame-ancestors": CSP.replace("frame-ancestors 'self'; ", ""),
    "with another default-src": CSP.replace("'none'", "'self'"),
    "with more images": CSP.replace("img-src 'self'", "img-src 'self' https:"),
    "with a wildcard": CSP.replace("frame-ancestors 'self'", "frame-ancestors *"),
    "with scripts": f"script-src 'self'; {CSP}",
    "with scripts of elements": f"script-src-elem 'unsafe-inline'; {CSP}",
    "with a laxer directive before the strict one": f"sandbox allow-scripts; {CSP}",
    "with an unknown directive": f"{CSP}; allow everything",
    "with a second policy": f"default-src 'none', script-src *; {CSP}",
    "with another header": f"{CSP}\r\nSet-Cookie: a=b",
    "with a line end": f"{CSP}\n",
    "with letters outside ASCII": f"{CSP}; report-uri /ü",
    "that is empty": "",
    "that is no text": ["sandbox"],
}
INJECTED = {
    "with another header": "public\r\nSet-Cookie: a=b",
    "with a line end": "public\n",
    "that is empty": "",
    "that ends in a comma": "public,",
    "that is no text": 60,
    "that is None": None,
}
NOT_PRIVATE = {
    "that is public": "public, max-age=60",
    "that is public as well": "private, public, no-cache",
    "with s-maxage": "private, no-cache, s-maxage=9",
    "with immutable": "private, no-cache, immutable",
    "that is kept for a while": "private, max-age=60",
    "that is kept though asked for": "private, no-cache, max-age=60",
    "that says only private": "private",
    "that does not say private": "no-cache",
    "that is private in part": 'private="Set-Cookie", no-store',
    "that is asked for in part": 'private, no-cache="Set-Cookie"',
    "in capitals": "Private, no-cache",
    "with another header": "private, no-cache\r\nSet-Cookie: a=b",
    "with a line end": "private, no-cache\n",
    "that is empty": "",
    "that is no text": 0,
}
NOT_INLINE = {
    media_type: (media_type,)
    for media_type in (
        *("text/html", "application/xhtml+xml", "text/xml", "application/xml", "application/atom+xml"),
        *("text/javascript", "text/css", "application/wasm", "application/x-shockwave-flash"),
        *("message/rfc822", "multipart/related", "text/x-component", "image/svg+xml", "application/pdf"),
        *("application/octet-stream", "*/*", "image/*", "Audio/FLAC", "audio/flac\r\nX: y", "", 7),
    )
} | {"as a lone string": "audio/flac", "as None": None}
WRONG = [
    *wrong("PRIVATE_CACHE_CONTROL", NOT_PRIVATE, "b2fields.E024"),
    *wrong("INLINE_TYPES", NOT_INLINE, "b2fields.E025"),
    *wrong("INLINE_PDF", {"as text": "False", "as a number": 1, "as None": None}, "b2fields.E025"),
    *wrong("CONTENT_SECURITY_POLICY", LAXER, "b2fields.E026"),
    *wrong("PUBLIC_CACHE_CONTROL", INJECTED, "b2fields.E028"),
    *wrong(
        "PUBLIC_CORP", {"unknown": "none", "with a line end": "same-site\n", "a list": []}, "b2fields.E028"
    ),
    *wrong(
        "VARY",
        {"of all": ("*",), "as text": "Authorization", "of two": ("A, B",), "injected": ("A\r\nB: c",)},
        "b2fields.E028",
    ),
]


@pytest.mark.parametrize(("setting", "value", "check_id"), WRONG)
def test_check_finds(settings, setting, value, check_id):
    assert not [error for error in run_checks() if error.id == check_id]
    setattr(settings, f"B2FIELDS_{setting}", value)
    (error,) = [error for error in run_checks() if error.id == check_id]
    assert setting in error.msg
    assert error.hint


@pytest.mark.parametrize(("setting", "value", "check_id"), WRONG)
def test_with_such_a_mistake_nothing_is_served_and_b2_is_not_asked(
    emulator, bucket, client, settings, setting, value, check_id
):
    put(emulator, bucket, "a.txt")
    hold(FIELDS["public"], "a.txt")
    body_of(client.get(path_of(FIELDS["public"], "a.txt")))
    setattr(settings, f"B2FIELDS_{setting}", value)
    with emulator.counted() as operations, pytest.raises(NotConfigured, match=f"B2FIELDS_{setting}"):
        client.get(path_of(FIELDS["public"], "a.txt"))
    assert operations == []


def test_check_looks_at_the_storages_of_the_project_and_its_fields(settings):
    own = {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"content_security_policy": "sandbox"}}
    settings.STORAGES = {**settings.STORAGES, "own": own}
    assert [error.id for error in run_checks() if error.id == "b2fields.E026"] == ["b2fields.E026"]


@pytest.mark.parametrize("value", [404, 302])
def test_anonymous_visitors_may_be_sent_to_log_in_or_told_nothing(settings, value):
    settings.B2FIELDS_ANONYMOUS = value
    assert B2Storage().anonymous == value
    assert not [error for error in run_checks() if error.id == "b2fields.E027"]


@pytest.mark.parametrize("value", [200, 301, 403, "404", 404.0, None, True])
def test_anonymous_visitors_get_no_other_status(settings, value):
    settings.B2FIELDS_ANONYMOUS = value
    with pytest.raises(NotConfigured, match="B2FIELDS_ANONYMOUS must be 302 or 404"):
        B2Storage().anonymous  # noqa: B018
    (error,) = [error for error in run_checks() if error.id == "b2fields.E027"]
    assert error.hint


@pytest.mark.parametrize("level", PRIVATE)
def test_with_404_an_anonymous_visitor_is_told_nothing(level, settings, emulator, bucket):
    settings.B2FIELDS_ANONYMOUS = 404
    put(emulator, bucket, "a.txt")
    hold(FIELDS[level], "a.txt")
    held, missing = (signed_in().get(path_of(FIELDS[level], name)) for name in ("a.txt", "none.txt"))
    assert held.status_code == missing.status_code == 404
    assert "Location" not in held.headers
    assert held.content == missing.content


def test_with_404_a_signed_in_visitor_is_answered_as_ever(settings, visitors, emulator):
    settings.B2FIELDS_ANONYMOUS = 404
    assert signed_in(visitors["member"]).get(path_of(FIELDS["staff"], "a.txt")).status_code == 403
    assert_access_matrix(Report)
