"""b2fields.testing.assert_access_matrix: right projects pass, and every leak is named."""

import pytest
from django.http import HttpResponse
from django.urls import include, path

from b2fields.exceptions import NotConfigured
from b2fields.testing import assert_access_matrix
from tests.legal.models import AnnualReport, Contract, Picture, Report, Ruling

pytestmark = pytest.mark.django_db


def leaky(request, name):
    return HttpResponse("whoever asks")


class EverybodyIsStaff:
    """A middleware such as somebody writes for a demonstration, and forgets."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.user.is_authenticated:
            request.user.is_staff = True
        return self.get_response(request)


urlpatterns = [
    path("b2s/legal.report.file/<path:name>", leaky),
    path("", include("b2fields.urls")),
]


@pytest.mark.parametrize("model", [Contract, Picture, AnnualReport])
def test_a_project_that_enforces_its_policies_passes(model, emulator):
    assert_access_matrix(model)


def test_a_callable_is_judged_by_the_word_of_the_test(visitors, emulator):
    contract = Contract(owner=visitors["owner"])
    visitors = {kind: visitors[kind] for kind in ("anonymous", "owner", "member")}
    assert_access_matrix(Contract, instance=contract, visitors=visitors, may_read={"dossier": ["owner"]})


def test_a_callable_that_lets_others_read_is_named(visitors, emulator):
    contract = Contract(owner=visitors["owner"])
    visitors = {kind: visitors[kind] for kind in ("anonymous", "owner", "member")}
    with pytest.raises(
        AssertionError, match=r"owner at /b2o/legal.contract.dossier/.*: the file, expected 404"
    ):
        assert_access_matrix(Contract, instance=contract, visitors=visitors, may_read={"dossier": []})


def test_a_callable_that_lets_too_few_read_is_named(visitors, emulator):
    contract = Contract(owner=visitors["owner"])
    visitors = {kind: visitors[kind] for kind in ("anonymous", "owner", "member")}
    wanted = {"dossier": ["owner", "member"]}
    with pytest.raises(AssertionError, match=r"member at .*: 404, expected the file"):
        assert_access_matrix(Contract, instance=contract, visitors=visitors, may_read=wanted)


def test_a_callable_that_fails_is_named(emulator):
    with pytest.raises(AssertionError, match=r": 500, expected 404"):
        assert_access_matrix(Ruling, instance=Ruling(answer="failing"), may_read={"file": []})


def test_a_route_that_leaks_is_named(emulator, settings):
    settings.ROOT_URLCONF = __name__
    with pytest.raises(AssertionError) as raised:
        assert_access_matrix(Report)
    assert "  anonymous at /b2s/legal.report.file/" in str(raised.value)
    assert "the file, expected 302 to LOGIN_URL" in str(raised.value)


def test_a_middleware_that_promotes_visitors_is_named(emulator, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.EverybodyIsStaff"]
    with pytest.raises(AssertionError) as raised:
        assert_access_matrix(Report)
    (line,) = str(raised.value).splitlines()[1:2]
    assert line.startswith("  member at /b2s/legal.report.file/")
    assert line.endswith(": the file, expected 403")


def test_files_that_the_row_has_stay_its_files(emulator):
    report = Report()
    assert_access_matrix(Report, instance=report)
    name = report.file.name
    assert name
    assert_access_matrix(Report, instance=report)
    report.refresh_from_db()
    assert report.file.name == name


@pytest.mark.parametrize("delivery", ["redirect", "accel"])
def test_it_understands_every_way_of_delivery(delivery, emulator, settings):
    settings.B2FIELDS_DELIVERY = delivery
    assert_access_matrix(Report)


def test_it_uploads_to_an_emulator_alone(emulator, settings):
    settings.B2FIELDS_REALM = "production"
    with pytest.raises(NotConfigured, match="b2_emulator"):
        assert_access_matrix(Contract)


def test_a_model_without_such_fields_is_a_mistake(emulator, django_user_model):
    with pytest.raises(ValueError, match="has no B2FileField"):
        assert_access_matrix(django_user_model)
