"""All addresses of the example; the last line serves the files."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from matters import views
from matters.demo_users import USERS

urlpatterns = [
    path("", views.matters, name="matters"),
    path("new/", views.NewMatter.as_view(), name="new"),
    path("<int:pk>/edit/", views.EditMatter.as_view(), name="edit"),
    path("login/", LoginView.as_view(extra_context={"demo_users": USERS}), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("log-in-as/", views.log_in_as, name="log-in-as"),
    path("admin/", admin.site.urls),
    path("", include("b2fields.urls")),
]
