"""The pages of the site. None of them serves a file: that is what b2fields.urls does."""

import inspect

from django.contrib import messages
from django.contrib.auth import get_user_model, login
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.messages.views import SuccessMessageMixin
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST
from django.views.defaults import page_not_found
from django.views.generic import CreateView, UpdateView

from matters.demo_users import USERS
from matters.forms import MatterForm
from matters.models import Matter, may_read_dossier
from matters.readers import readings


def matters(request):
    """List all matters with their files, and what this visitor may do with them."""
    rows = Matter.objects.select_related("owner")
    context = {
        "matters": [(matter, readings(request, matter)) for matter in rows],
        "demo_users": USERS,
        "source": "\n\n".join(inspect.getsource(part) for part in (may_read_dossier, Matter)),
    }
    return render(request, "matters/matters.html", context)


class NewMatter(LoginRequiredMixin, SuccessMessageMixin, CreateView):
    form_class = MatterForm
    template_name = "matters/form.html"
    success_url = reverse_lazy("matters")
    success_message = "“%(title)s” has been saved. It belongs to you."

    def form_valid(self, form):
        form.instance.owner = self.request.user
        return super().form_valid(form)


class EditMatter(LoginRequiredMixin, SuccessMessageMixin, UpdateView):
    form_class = MatterForm
    template_name = "matters/form.html"
    success_url = reverse_lazy("matters")
    success_message = "Your changes to “%(title)s” have been saved."

    def get_queryset(self):
        return Matter.objects.filter(owner=self.request.user)

    def dispatch(self, request, *args, **kwargs):
        try:
            return super().dispatch(request, *args, **kwargs)
        except Http404 as error:
            # While DEBUG is on, Django would show its own page, which lists all addresses.
            return page_not_found(request, error)


@require_POST
def log_in_as(request):
    """Log in as a demo user, no password asked. For this demo only: never give a real site such a view."""
    demo_users = get_user_model().objects.filter(username__in=[user.username for user in USERS])
    user = get_object_or_404(demo_users, username=request.POST.get("username"))
    login(request, user)
    messages.success(request, f"You are now logged in as {user.username}.")
    return redirect("matters")
