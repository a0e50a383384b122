"""The routes of files: ``path("", include("b2fields.urls"))``."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from b2fields.views import serve


class _FileNameConverter(StringConverter):
    # Any character, line feeds too: a malformed name is for the view to refuse.
    regex = "(?s:.+)"


register_converter(_FileNameConverter, "b2name")

app_name = "b2fields"

urlpatterns = [
    path("b2/<str:label>/<b2name:name>", serve, {"level": "public"}, name="public"),
    path("b2l/<str:label>/<b2name:name>", serve, {"level": "login"}, name="login"),
    path("b2s/<str:label>/<b2name:name>", serve, {"level": "staff"}, name="staff"),
    path("b2o/<str:label>/<b2name:name>", serve, {"level": "object"}, name="object"),
]
