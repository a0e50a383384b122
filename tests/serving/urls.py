"""The URLs of a project with error handlers of its own, which show what they are told."""

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [path("", include("b2fields.urls"))]


def handler403(request, exception):
    return HttpResponse(f"403 of the project: {exception}", status=403)


def handler404(request, exception):
    return HttpResponse(f"404 of the project: {exception}", status=404)
