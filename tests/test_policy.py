"""What may be declared as access, and what each declaration decides."""

import functools
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from b2fields import has_perm, policy
from b2fields.exceptions import NotConfigured


def allow(request, instance):
    return True


async def allow_later(request, instance):
    return True


class Rule:
    def __call__(self, request, instance):
        return True


class LaterRule:
    async def __call__(self, request, instance):
        return True


def request_of(user=None):
    request = HttpRequest()
    if user is not None:
        request.user = user
    return request


VALID = [
    pytest.param("public", "public", id="public"),
    pytest.param("login", "login", id="login"),
    pytest.param("staff", "staff", id="staff"),
    pytest.param(allow, "object", id="a function"),
    pytest.param(lambda request, instance: True, "object", id="a lambda"),
    pytest.param(Rule(), "object", id="an object that can be called"),
    pytest.param(functools.partial(allow), "object", id="a partial function"),
    pytest.param(has_perm("legal.view_permit"), "object", id="has_perm"),
]
INVALID = [
    pytest.param("object", id="the name of the callables' route"),
    pytest.param("Public", id="another letter case"),
    pytest.param("public ", id="a space"),
    pytest.param("stafff", id="a slip of the pen"),
    pytest.param("", id="nothing"),
    pytest.param(None, id="None"),
    pytest.param(True, id="True"),
    pytest.param(0, id="a number"),
    pytest.param(["public"], id="a list"),
    pytest.param({"public"}, id="a set"),
    pytest.param(b"public", id="bytes"),
    pytest.param(allow_later, id="a coroutine function"),
    pytest.param(functools.partial(allow_later), id="a partial coroutine function"),
    pytest.param(LaterRule(), id="an object whose call is a coroutine"),
]


@pytest.mark.parametrize(("access", "level"), VALID)
def test_levels_and_callables_are_access(access, level):
    assert policy.is_valid(access)
    assert policy.level_of(access, "legal.contract.scan") == level
    assert level in policy.LEVELS


@pytest.mark.parametrize("access", INVALID)
def test_anything_else_is_a_mistake_that_names_who_made_it(access):
    assert not policy.is_valid(access)
    with pytest.raises(NotConfigured, match=r"legal\.contract\.scan has access="):
        policy.level_of(access, "legal.contract.scan")


USERS = {
    "nobody": None,
    "anonymous": AnonymousUser(),
    "inactive staff": SimpleNamespace(is_authenticated=True, is_active=False, is_staff=True),
    "member": SimpleNamespace(is_authenticated=True, is_active=True, is_staff=False),
    "staff": SimpleNamespace(is_authenticated=True, is_active=True, is_staff=True),
}


@pytest.mark.parametrize(
    ("level", "allowed"),
    [
        pytest.param("public", set(USERS), id="public lets everybody in"),
        pytest.param("object", set(USERS), id="a callable is asked later"),
        pytest.param("login", {"member", "staff"}, id="login lets active users in"),
        pytest.param("staff", {"staff"}, id="staff lets active staff in"),
        pytest.param("anything", {"staff"}, id="an unknown level lets nobody in whom staff keeps out"),
    ],
)
def test_what_a_level_decides_alone(level, allowed):
    assert {name for name, user in USERS.items() if policy.level_allows(level, request_of(user))} == allowed


def answering(answer):
    def access(request, instance):
        if isinstance(answer, Exception):
            raise answer
        return answer

    return access


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(True, True, id="True grants"),
        pytest.param(False, False, id="False refuses"),
        pytest.param(None, False, id="None refuses"),
        pytest.param(1, False, id="1 refuses"),
        pytest.param("True", False, id="a string refuses"),
        pytest.param([True], False, id="a list refuses"),
        pytest.param(object(), False, id="an object refuses"),
        pytest.param(PermissionDenied(), False, id="PermissionDenied refuses"),
    ],
)
def test_what_a_callable_decides(answer, expected):
    assert policy.row_allows(answering(answer), request_of(), None) is expected


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AttributeError("x")], ids=repr)
def test_the_error_of_a_callable_passes_on(error):
    with pytest.raises(type(error)):
        policy.row_allows(answering(error), request_of(), None)


def test_a_callable_sees_the_request_and_the_row():
    seen = []
    request, row = request_of(), object()
    policy.row_allows(lambda *arguments: seen.append(arguments), request, row)
    assert seen == [(request, row)]


PERMITS, CONTRACTS = has_perm("legal.view_permit"), has_perm("legal.view_contract")


@pytest.mark.parametrize(
    ("other", "than", "expected"),
    [
        pytest.param("public", "public", False, id="public is no stricter than public"),
        pytest.param("staff", "staff", False, id="staff is no stricter than staff"),
        pytest.param("login", "public", True, id="login is stricter than public"),
        pytest.param("staff", "public", True, id="staff is stricter than public"),
        pytest.param("staff", "login", True, id="staff is stricter than login"),
        pytest.param("public", "login", False, id="public is not stricter than login"),
        pytest.param("login", "staff", False, id="login is not stricter than staff"),
        pytest.param(allow, "public", True, id="a callable is stricter than public"),
        pytest.param(allow, "login", True, id="a callable is stricter than login"),
        pytest.param(allow, "staff", True, id="a callable may be stricter than staff"),
        pytest.param("login", allow, False, id="login is not stricter than a callable"),
        pytest.param("staff", allow, True, id="staff may be stricter than a callable"),
        pytest.param(allow, allow, False, id="a callable is no stricter than itself"),
        pytest.param(PERMITS, has_perm("legal.view_permit"), False, id="equal permissions are equal"),
        pytest.param(PERMITS, CONTRACTS, True, id="another permission may be stricter"),
        pytest.param("stafff", "public", True, id="what nobody knows counts as strict"),
    ],
)
def test_which_policy_is_stricter(other, than, expected):
    assert policy.is_stricter(other, than) is expected


# has_perm


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "holds", "expected"),
    [
        pytest.param({}, True, True, id="a user who holds the permission is let in"),
        pytest.param({}, False, False, id="a user who does not hold it is not"),
        pytest.param({"is_staff": True}, False, False, id="staff does not hold it by itself"),
        pytest.param({"is_superuser": True}, False, True, id="a superuser holds every permission"),
        pytest.param({"is_active": False}, True, False, id="an inactive user holds none"),
        pytest.param({"is_active": False, "is_superuser": True}, True, False, id="nor an inactive superuser"),
    ],
)
def test_has_perm(values, holds, expected):
    user = User.objects.create_user("someone", **values)
    if holds:
        user.user_permissions.add(Permission.objects.get(codename="view_permit"))
    assert has_perm("legal.view_permit")(request_of(user), object()) is expected


@pytest.mark.parametrize("user", [None, AnonymousUser()], ids=["no user", "an anonymous user"])
def test_has_perm_refuses(user):
    assert has_perm("legal.view_permit")(request_of(user), object()) is False


class PerRow:
    """A backend that grants permission for single rows."""

    def authenticate(self, request, **credentials):
        return None

    def get_user(self, pk):
        return None

    def has_perm(self, user, permission, row=None):
        return permission == "legal.view_permit" and row == "their row"


@pytest.mark.django_db
def test_has_perm_asks_for_the_row_too(settings):
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "tests.test_policy.PerRow"]
    user = User.objects.create_user("someone")
    assert has_perm("legal.view_permit")(request_of(user), "their row") is True
    assert has_perm("legal.view_permit")(request_of(user), "another row") is False
    assert has_perm("legal.view_contract")(request_of(user), "their row") is False


def test_has_perm_shows_the_permission_alone():
    assert repr(has_perm("legal.view_permit")) == "has_perm('legal.view_permit')"
    assert len({has_perm("a.b"), has_perm("a.b"), has_perm("a.c")}) == 2
