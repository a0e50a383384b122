"""A project as startproject makes one, with a file field of ours, the floor's views and those of a peer.

BENCHMARK_PLACE tells where it stores, as the JSON of a ``Place``; BENCHMARK_DELIVERY, how b2fields delivers.
"""

import json
import os

from ..subject import APPS, Place

PLACE = Place(*json.loads(os.environ["BENCHMARK_PLACE"]))

SECRET_KEY = "only for benchmarks"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.benchmarks.site.urls"
INSTALLED_APPS = [
    *APPS,
    "django.contrib.sessions",
    "django.contrib.messages",
    "b2fields",
    "django_backblaze_b2",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{PLACE.folder}/database.sqlite3"}}
CACHES = {
    alias: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": alias}
    for alias in ("default", "django-backblaze-b2")
}

# That the peer answers HEAD with a body too.
LOGGING = {"version": 1, "loggers": {"gunicorn.http.wsgi": {"level": "ERROR"}}}

# For tests.benchmarks.papers
FIELDS = ("b2fields.B2FileField", "b2fields.B2ImageField")
FILE_OPTIONS: dict[str, str] = {}

B2FIELDS_REALM = PLACE.url
B2FIELDS_APPLICATION_KEY_ID = PLACE.key_id
B2FIELDS_APPLICATION_KEY = PLACE.key
B2FIELDS_BUCKET = PLACE.bucket
B2FIELDS_DELIVERY = os.environ["BENCHMARK_DELIVERY"]
BACKBLAZE_CONFIG = {
    "realm": PLACE.url,
    "application_key_id": PLACE.key_id,
    "application_key": PLACE.key,
    "bucket": PLACE.bucket,
}
