"""Access under WSGI and ASGI alike: what is no plain function, and users who are not Django's own."""

import functools
import gc
import warnings

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext

from b2fields import has_perm, policy
from b2fields.exceptions import NotConfigured
from tests.legal.models import RULINGS
from tests.serving import LEVELS, ROUTES, body_of, full_name, hold, path_of, put, signed_in
from tests.test_access import KINDS, LOGIN, MISSING, aliased, of_owner, readers
from tests.test_middleware import AUTHENTICATION, SESSION, answer, servers

pytestmark = pytest.mark.django_db


@pytest.fixture
def cookies(visitors):
    """The cookies of each kind of visitor."""
    return {kind: signed_in(user).cookies for kind, user in visitors.items()}


def outcome(client, path):
    status, headers, body = answer(client, "GET", path)
    assert (b"the file" in body) == (status == 200)
    return LOGIN if headers.get("Location") == f"/accounts/login/?next={path}" else status


# The table of decisions, whatever the server


@servers
@pytest.mark.parametrize("label", LEVELS)
def test_the_table_of_decisions_is_the_same_under_any_server(
    label, server, cookies, visitors, emulator, bucket
):
    put(emulator, bucket, full_name(label, "held.txt"))
    hold(label, "held.txt", **of_owner(label, visitors))
    level = LEVELS[label]
    for kind in KINDS:
        client = server(cookies[kind])
        expected = 200 if kind in readers(label) else MISSING[level][kind]
        assert (kind, outcome(client, path_of(label, "held.txt"))) == (kind, expected)
        assert (kind, outcome(client, path_of(label, "none.txt"))) == (kind, MISSING[level][kind])


@servers
def test_a_visitor_whose_account_is_gone_is_anonymous(server, cookies, visitors, emulator, bucket):
    put(emulator, bucket, "held.txt")
    hold("legal.contract.scan", "held.txt")
    client = server(cookies["staff"])
    assert outcome(client, path_of("legal.contract.scan", "held.txt")) == 200
    visitors["staff"].delete()
    assert outcome(client, path_of("legal.contract.scan", "held.txt")) == LOGIN


# Callables that answer later


async def later(request=None, instance=None):
    return True


async def one_by_one(request, instance):
    yield True


class LaterRule:
    async def __call__(self, request, instance):
        return True

    async def decide(self, request, instance):
        return True

    @staticmethod
    async def decide_alone(request, instance):
        return True

    @classmethod
    async def decide_for_all(cls, request, instance):
        return True


class LaterPermission(has_perm):
    async def __call__(self, request, instance):
        return True


LATER = [
    pytest.param(functools.partial(functools.partial(later)), id="a partial of a partial"),
    pytest.param(functools.partial(LaterRule()), id="a partial of an object whose call is a coroutine"),
    pytest.param(LaterRule().decide, id="a method"),
    pytest.param(LaterRule.decide_alone, id="a static method"),
    pytest.param(LaterRule.decide_for_all, id="a class method"),
    pytest.param(functools.partial(LaterRule().decide), id="a partial of a method"),
    pytest.param(LaterPermission("legal.view_permit"), id="a has_perm that was made async"),
    pytest.param(sync_to_async(lambda request, instance: True), id="what asgiref made async"),
    pytest.param(one_by_one, id="an async generator"),
]


@pytest.mark.parametrize("access", LATER)
def test_what_answers_later_is_no_access(access):
    assert not policy.is_valid(access)
    with pytest.raises(NotConfigured, match=r"legal\.contract\.scan has access=.*\(not async\)"):
        policy.level_of(access, "legal.contract.scan")


@servers
@pytest.mark.parametrize("access", LATER)
def test_a_storage_whose_access_answers_later_serves_nobody(
    access, server, cookies, emulator, make_bucket, settings
):
    alone = make_bucket()
    put(emulator, alone, "a.txt")
    aliased(settings, media={"bucket": alone, "access": access})
    for kind in ("superuser", "anonymous"):
        client = server(cookies[kind])
        client.client.raise_request_exception = False
        for prefix in ROUTES.values():
            assert outcome(client, f"/{prefix}/media/a.txt") in (404, 500)


class Awaitable:
    def __await__(self):
        yield


ANSWERS = [
    pytest.param(later, id="a coroutine"),
    pytest.param(functools.partial(later), id="a coroutine of a partial"),
    pytest.param(lambda: one_by_one(None, None), id="an async generator"),
    pytest.param(lambda: (yield True), id="a generator"),
    pytest.param(Awaitable, id="something to await"),
    pytest.param(lambda: _raise_later(PermissionDenied()), id="a coroutine that would deny"),
]


async def _raise_later(error):
    raise error


@servers
@pytest.mark.parametrize("ruling", ANSWERS)
def test_a_function_that_answers_with_what_must_be_awaited_refuses_and_leaves_nothing_behind(
    ruling, server, cookies, emulator, bucket, monkeypatch
):
    monkeypatch.setitem(RULINGS, "later", ruling)
    put(emulator, bucket, "ruled.txt")
    hold("legal.ruling.file", "ruled.txt", answer="later")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for kind in KINDS:
            status = outcome(server(cookies[kind]), path_of("legal.ruling.file", "ruled.txt"))
            assert (kind, status) == (kind, MISSING["object"][kind])
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@servers
def test_a_function_that_finds_nothing_refuses(server, cookies, emulator, bucket, monkeypatch):
    def finds_nothing():
        raise Http404

    monkeypatch.setitem(RULINGS, "nothing", finds_nothing)
    put(emulator, bucket, "ruled.txt")
    hold("legal.ruling.file", "ruled.txt", answer="nothing")
    for kind in KINDS:
        answers = [
            answer(server(cookies[kind]), "GET", path_of("legal.ruling.file", name))
            for name in ("ruled.txt", "none.txt")
        ]
        assert [(status, headers["Cache-Control"]) for status, headers, _ in answers] == [
            (302 if MISSING["object"][kind] == LOGIN else 404, "private, no-store")
        ] * 2


# Users who are not Django's own

USERS = {}


def signing_in(get_response):
    """Stand in for an authentication of the project's own: the user of a header, or none at all."""

    def middleware(request):
        if (name := request.headers.get("X-User")) is not None:
            request.user = USERS[name]
        return get_response(request)

    return middleware


class Bare:
    """As of a token: no more than Django's documentation asks of a user, and maybe less."""

    is_anonymous, is_authenticated = False, True

    def __init__(self, **attributes):
        vars(self).update(attributes)


class Permitted(Bare):
    def has_perm(self, permission, row=None):
        return permission == "legal.view_permit"


USERS |= {
    "neither": Bare(),
    "active": Bare(is_active=True),
    "inactive": Bare(is_active=False, is_staff=True),
    "staff": Bare(is_active=True, is_staff=True),
    "staff without is_active": Bare(is_staff=True),
    "staff by a word": Bare(is_active=True, is_staff="yes"),
    "None": None,
    "anonymous": AnonymousUser(),
    "permitted": Permitted(is_active=True),
}

# As Django's own backend has it, a user without is_active is an active one.
EXPECTED = {
    "legal.contract.cover": dict.fromkeys(USERS, 200),
    "legal.contract.minutes": dict.fromkeys(USERS, 200)
    | {"inactive": 403, "None": LOGIN, "anonymous": LOGIN},
    "legal.contract.scan": dict.fromkeys(USERS, 403)
    | {
        "staff": 200,
        "staff without is_active": 200,
        "staff by a word": 200,
        "None": LOGIN,
        "anonymous": LOGIN,
    },
}


@servers
@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("label", EXPECTED)
def test_a_user_is_judged_by_what_it_says_of_itself(label, name, server, cookies, emulator, bucket, settings):
    settings.MIDDLEWARE = ["tests.test_access_edges.signing_in"]
    put(emulator, bucket, "held.txt")
    hold(label, "held.txt")
    client = server(cookies["anonymous"], **{"X-User": name})
    assert outcome(client, path_of(label, "held.txt")) == EXPECTED[label][name]


@servers
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("permitted", 200, id="who has the permission reads"),
        pytest.param("anonymous", LOGIN, id="the anonymous visitor may sign in"),
        pytest.param("None", LOGIN, id="so may nobody"),
        pytest.param("active", 500, id="a user that knows no permissions is a mistake and no grant"),
    ],
)
def test_has_perm_asks_any_user(name, expected, server, cookies, emulator, bucket, settings):
    settings.MIDDLEWARE = ["tests.test_access_edges.signing_in"]
    put(emulator, bucket, "held.txt")
    hold("legal.permit.paper", "held.txt")
    client = server(cookies["anonymous"], **{"X-User": name})
    client.client.raise_request_exception = False
    assert outcome(client, path_of("legal.permit.paper", "held.txt")) == expected


def test_time_does_not_tell_of_a_row_that_has_perm_refuses(visitors, emulator, bucket):
    put(emulator, bucket, "held.txt")
    hold("legal.permit.paper", "held.txt")
    asked = []
    for name in ("held.txt", "none.txt"):
        client = signed_in(visitors["member"])
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path_of("legal.permit.paper", name)).status_code == 404
        asked.append([query["sql"].partition(" WHERE ")[0] for query in queries])
    assert asked[0] == asked[1]


# Backends


class Guarded:
    """A backend with permissions of single rows: odd ones for users, those without a title for everybody."""

    def authenticate(self, request, **credentials):
        return None

    def get_user(self, pk):
        return None

    def has_perm(self, user, permission, row=None):
        if permission != "legal.view_permit" or row is None:
            return False
        return row.pk == 1 or (user.is_authenticated and row.pk % 2 == 1)


class Denying(Guarded):
    """A backend whose word is the last one."""

    def has_perm(self, user, permission, row=None):
        raise PermissionDenied


@pytest.fixture
def permits(emulator, bucket):
    """Three rows that hold a file of their own, and one that shares the file of the third."""
    for name in ("1.txt", "2.txt", "3.txt"):
        put(emulator, bucket, name)
    for pk, name in enumerate(("1.txt", "2.txt", "3.txt", "3.txt"), 1):
        hold("legal.permit.paper", name, pk=pk)
    return [path_of("legal.permit.paper", name) for name in ("1.txt", "2.txt", "3.txt")]


@servers
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("anonymous", [200, LOGIN, LOGIN], id="anonymous"),
        pytest.param("member", [200, 404, 200], id="a member"),
        pytest.param("superuser", [200, 200, 200], id="a superuser"),
    ],
)
def test_a_backend_that_knows_rows_decides_for_each(kind, expected, server, cookies, permits, settings):
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "tests.test_access_edges.Guarded"]
    client = server(cookies[kind])
    assert [outcome(client, path) for path in permits] == expected


@servers
def test_a_backend_that_denies_ends_the_question(server, cookies, permits, settings):
    settings.AUTHENTICATION_BACKENDS = [
        *("tests.test_access_edges.Denying", "tests.test_access_edges.Guarded"),
        *settings.AUTHENTICATION_BACKENDS,
    ]
    settings.MIDDLEWARE = [SESSION, AUTHENTICATION]
    client = server(cookies["member"])
    assert [outcome(client, path) for path in permits] == [404, 404, 404]


def test_django_asks_no_visitor_of_a_public_file_to_log_in(settings, emulator, bucket):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    put(emulator, bucket, "a.txt")
    hold("legal.contract.cover", "a.txt")
    public = signed_in().get(path_of("legal.contract.cover", "a.txt"))
    assert (public.status_code, body_of(public)) == (200, b"the file")
    assert signed_in().get(path_of("legal.contract.scan", "a.txt")).status_code == 302
