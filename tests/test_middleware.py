"""Files behind the middlewares of Django, in any order, under WSGI and ASGI: none of them spoils a file."""

import re
from itertools import permutations

import django
import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction
from django.core import mail
from django.core.cache import cache
from django.test import AsyncClient, Client
from django.utils import translation

from tests.legal.models import Contract
from tests.serving import hold, path_of, put, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def usual_language():
    """LocaleMiddleware leaves the visitor's language behind in this thread."""
    yield
    translation.deactivate()


# Text that a middleware would love to compress, and that is more than one read of ours.
DATA = b"a line of text\n" * 30_000
FIELDS = {
    "public": "legal.contract.cover",
    "login": "legal.contract.minutes",
    "staff": "legal.contract.scan",
    "object": "legal.permit.paper",
}

SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
UPDATE_CACHE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH_FROM_CACHE = "django.middleware.cache.FetchFromCacheMiddleware"

WHO = (SESSION, AUTHENTICATION)
CACHES = (UPDATE_CACHE, FETCH_FROM_CACHE)


def in_any_order(*groups):
    """Return each order of these middlewares, of which those of a group stay together."""
    return [[name for group in order for name in group] for order in permutations(groups)]


class Wsgi:
    """A client of the whole stack that the settings name, as a WSGI server would run it."""

    def __init__(self, cookies, **headers):
        self.client, self.headers = Client(), headers
        self.client.cookies = cookies

    def get_response(self, method, url, headers):
        return self.client.generic(method, url, headers=self.headers | headers)

    def read_slowly(self, response):
        """Return how many pieces were asked for with the first one, and the whole body."""
        first, pulled = next(response.streaming_content), len(PULLED)
        return pulled, first + b"".join(response.streaming_content)

    def read(self, response):
        try:
            return b"".join(response.streaming_content) if response.streaming else response.content
        finally:
            response.close()


class Asgi(Wsgi):
    """The same, as an ASGI server would run it."""

    def __init__(self, cookies, **headers):
        self.client, self.headers = AsyncClient(), headers
        self.client.cookies = cookies

    @async_to_sync
    async def get_response(self, method, url, headers):
        return await self.client.generic(method, url, headers=self.headers | headers)

    @async_to_sync
    async def read_slowly(self, response):
        first, pulled = await anext(response.streaming_content), len(PULLED)
        return pulled, first + b"".join([piece async for piece in response.streaming_content])

    @async_to_sync
    async def read(self, response):
        if not response.streaming:
            return response.content
        assert response.is_async
        return b"".join([chunk async for chunk in response.streaming_content])


servers = pytest.mark.parametrize("server", [Wsgi, Asgi], ids=["WSGI", "ASGI"])


def answer(client, method, url, **headers):
    response = client.get_response(method, url, headers)
    body = client.read(response)
    return response.status_code, dict(response.headers), body


@pytest.fixture
def url(emulator, bucket):
    """Put a text behind the back of b2fields into a field of each level, and return the URL of one."""

    def put_into(level, name="a.txt"):
        put(emulator, bucket, name, DATA)
        hold(FIELDS[level], name)
        return path_of(FIELDS[level], name)

    return put_into


@pytest.fixture
def cookies(visitors):
    """The cookies of each kind of visitor."""
    return {kind: signed_in(user).cookies for kind, user in visitors.items()}


BROWSER = {"Accept-Encoding": "gzip, deflate", "Accept-Language": "de", "Referer": "http://testserver/"}


def all_answers(client, url):
    """Ask for all that can be asked of a file, and return the answers."""
    tag = answer(client, "HEAD", url)[1]["ETag"]
    return {
        "whole": answer(client, "GET", url),
        "part": answer(client, "GET", url, Range="bytes=100-300199"),
        "HEAD": answer(client, "HEAD", url),
        "304": answer(client, "GET", url, **{"If-None-Match": tag}),
        "304 to HEAD": answer(client, "HEAD", url, **{"If-None-Match": tag}),
        "412": answer(client, "GET", url, **{"If-Match": '"another"'}),
        "416": answer(client, "GET", url, Range="bytes=9999999-"),
        "404": answer(client, "GET", f"{url}.txt"),
        "405": answer(client, "POST", url),
    }


def without(headers, *names):
    return {name: value for name, value in headers.items() if name not in names}


# What a middleware adds to any response, and says of it truly.
ADDED = ("Vary", "Content-Language")


def essence(answers):
    """Return what no middleware may change. A refusal may be compressed; its text is the project's own."""
    return {
        kind: (status, without(headers, *ADDED), body)
        for kind, (status, headers, body) in answers.items()
        if kind not in ("404", "405")
    }


def statuses(answers):
    return {kind: status for kind, (status, _, _) in answers.items()}


def varies_by(headers):
    return set(re.split(r", *", headers.get("Vary", ""))) - {""}


STATUSES = {
    **{"whole": 200, "part": 206, "HEAD": 200, "304": 304, "304 to HEAD": 304},
    **{"412": 412, "416": 416, "404": 404, "405": 405},
}
FILES = {"whole", "part", "HEAD", "304", "304 to HEAD"}
REFUSAL = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


# Any order


@servers
@pytest.mark.parametrize("level", ["public", "login"])
def test_no_order_of_middlewares_changes_a_file(level, server, url, cookies, settings):
    path = url(level)
    settings.MIDDLEWARE = [*WHO, COMMON]
    plain = all_answers(server(cookies["superuser"]), path)
    assert statuses(plain) == STATUSES
    assert (plain["whole"][2], plain["part"][2]) == (DATA, DATA[100:300200])
    for order in in_any_order(WHO, [GZIP], [CONDITIONAL], [LOCALE, COMMON]):
        settings.MIDDLEWARE = order
        answers = all_answers(server(cookies["superuser"], **BROWSER), path)
        assert (order, essence(answers)) == (order, essence(plain))
        assert (order, statuses(answers)) == (order, STATUSES)
        for kind in FILES:
            assert ("Cookie" in varies_by(answers[kind][1])) == (level != "public")


@servers
@pytest.mark.parametrize("level", FIELDS)
def test_no_order_of_cache_and_session_hands_a_file_to_who_may_not_read_it(
    level, server, url, cookies, settings
):
    path = url(level)
    readers = {"public": 3, "login": 2, "staff": 1, "object": 1}[level]
    kinds = ("superuser", "member", "anonymous")
    expected = [200] * readers
    expected += {"public": [], "login": [302], "staff": [403, 302], "object": [404, 302]}[level]
    for order in in_any_order(WHO, [UPDATE_CACHE], [FETCH_FROM_CACHE], [CONDITIONAL, GZIP]):
        settings.MIDDLEWARE = order
        cache.clear()
        for method in ("GET", "HEAD"):
            answers = [answer(server(cookies[kind], **BROWSER), method, path) for kind in kinds]
            assert (order, method, [status for status, _, _ in answers]) == (order, method, expected)
            for status, headers, body in answers:
                assert body == (DATA if (status, method) == (200, "GET") else b"") or status != 200
                assert status != 200 or headers["Content-Length"] == str(len(DATA))


@servers
@pytest.mark.parametrize("mode", ["proxy", "accel"])
def test_djangos_cache_remembers_no_access(mode, server, url, cookies, settings):
    """It keeps answers that have no body to stream, as those to HEAD, and those that nginx gives a body."""
    settings.B2FIELDS_DELIVERY = mode
    settings.MIDDLEWARE = [UPDATE_CACHE, *WHO, COMMON, FETCH_FROM_CACHE]
    path = url("public")
    client = server(cookies["anonymous"])
    for method in ("HEAD", "GET"):
        assert answer(client, method, path)[0] == 200
    Contract.objects.all().delete()
    for method in ("HEAD", "GET"):
        assert answer(client, method, path)[0] == 404


@servers
@pytest.mark.parametrize("condition", ["no tag at all", ""])
def test_a_condition_that_names_no_tag_is_not_decided_once_more(condition, server, url, cookies, settings):
    """Django takes such an If-None-Match for none, and heeds If-Modified-Since; RFC 9110, 13.1.3 does not."""
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.MIDDLEWARE = [*WHO, CONDITIONAL]
    conditions = {"If-None-Match": condition, "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    status, headers, body = answer(server(cookies["member"], **conditions), "GET", url("public"))
    assert (status, body) == (200, DATA)
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, no-cache"


@servers
def test_no_cookie_stands_beside_a_public_answer_that_djangos_cache_kept(server, url, cookies, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.MIDDLEWARE = [*WHO, UPDATE_CACHE, FETCH_FROM_CACHE]
    path = url("public")
    client = server(cookies["member"])
    for _ in range(2):
        response = client.get_response("HEAD", path, {})
        assert response.cookies
        assert response.headers["Cache-Control"] == "private, no-cache"


# All of them, and none


# What a project may say beside what files say.
OF_THE_PROJECT = {"Cross-Origin-Opener-Policy", "Content-Security-Policy-Report-Only", *ADDED}


@pytest.fixture
def strict(settings):
    """A project that uses all of Django's middlewares, and says in them other than what files need."""
    settings.SECURE_REFERRER_POLICY = "unsafe-url"
    settings.X_FRAME_OPTIONS = "DENY"
    settings.SECURE_CSP = {"default-src": ["'self'"]}
    settings.SECURE_CSP_REPORT_ONLY = {"default-src": ["'none'"]}
    settings.MIDDLEWARE = [
        *(UPDATE_CACHE, "django.middleware.security.SecurityMiddleware", GZIP, SESSION, LOCALE, CONDITIONAL),
        *("django.middleware.common.BrokenLinkEmailsMiddleware", COMMON),
        *("django.middleware.csrf.CsrfViewMiddleware", AUTHENTICATION),
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        *(["django.middleware.csp.ContentSecurityPolicyMiddleware"] if django.VERSION >= (6,) else []),
        FETCH_FROM_CACHE,
    ]


@servers
def test_without_any_middleware_a_file_is_what_it_is_with_all_of_them(server, url, cookies, strict, settings):
    path = url("public")
    dressed = all_answers(server(cookies["anonymous"], **BROWSER), path)
    settings.MIDDLEWARE = []
    bare = all_answers(server(cookies["anonymous"], **BROWSER), path)
    assert statuses(bare) == statuses(dressed) == STATUSES
    for kind in FILES:
        # Without CommonMiddleware it is the server that tells the length of an empty body.
        hidden = {*OF_THE_PROJECT, *(["Content-Length"] if kind.startswith("304") else [])}
        assert without(bare[kind][1], *hidden) == without(dressed[kind][1], *hidden)
        assert bare[kind][2] == dressed[kind][2]
    for kind in STATUSES.keys() - FILES:
        # The project's middlewares may add to these.
        assert REFUSAL.items() <= bare[kind][1].items()
        assert REFUSAL.items() <= dressed[kind][1].items()


@servers
@pytest.mark.filterwarnings("ignore:Django 2028 will not have a default mailer")
def test_a_broken_link_is_told_to_the_managers_and_the_answer_is_the_same(
    server, url, cookies, strict, settings
):
    settings.MANAGERS = ["managers@example.com"] if django.VERSION >= (6,) else [("", "managers@example.com")]
    path = url("login")
    client = server(cookies["member"], **BROWSER)
    broken = answer(client, "GET", f"{path}.txt", Referer="http://elsewhere.example/")
    assert broken[0] == 404
    assert broken[1]["Cache-Control"] == "private, no-store"
    assert [message.to for message in mail.outbox] == [["managers@example.com"]]
    assert settings.B2FIELDS_BUCKET not in mail.outbox[0].body


# Bodies

PULLED = []  # the size of each piece that was asked of a body


class Counting:
    """The innermost middleware: it sees what the others ask of a body, and when."""

    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        return (
            self.call_async(request) if iscoroutinefunction(self) else self.count(self.get_response(request))
        )

    async def call_async(self, request):
        return self.count(await self.get_response(request))

    def count(self, response):
        if response.streaming:
            pieces = response.streaming_content
            response.streaming_content = noted_async(pieces) if response.is_async else noted(pieces)
        return response


def noted(pieces):
    for piece in pieces:
        PULLED.append(len(piece))
        yield piece


async def noted_async(pieces):
    async for piece in pieces:
        PULLED.append(len(piece))
        yield piece


@servers
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=1-"}], ids=["whole", "part"])
def test_no_order_of_middlewares_reads_a_body_before_the_client_does(asked, server, url, cookies, settings):
    path = url("public")
    for order in in_any_order([*WHO, LOCALE, COMMON], CACHES, [GZIP], [CONDITIONAL]):
        settings.MIDDLEWARE = [*order, "tests.test_middleware.Counting"]
        client = server(cookies["superuser"], **BROWSER)
        PULLED.clear()
        response = client.get_response("GET", path, asked)
        assert (order, PULLED) == (order, [])
        pulled, body = client.read_slowly(response)
        assert (order, pulled, len(body)) == (order, 1, sum(PULLED))
        assert DATA.endswith(body)
        assert max(PULLED) <= 256 * 1024 < len(body)
