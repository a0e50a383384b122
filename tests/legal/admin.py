from django.contrib import admin

from tests.legal.models import Contract

admin.site.register(Contract)
