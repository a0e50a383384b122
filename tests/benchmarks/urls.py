"""The site that serves the files of the storage that a process measures."""

from collections.abc import Callable
from types import SimpleNamespace

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path

urlpatterns = [path("", include(each)) for each in settings.ROUTES]


def signed_in(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let every visitor be a signed-in user, of whom no database tells."""
    visitor = SimpleNamespace(is_authenticated=True, is_anonymous=False, is_active=True, is_staff=False)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request.user = visitor
        return get_response(request)

    return middleware
