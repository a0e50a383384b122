"""Settings of the example. The first block is all that b2fields asks of yours."""

import os
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("EXAMPLE_DATA", EXAMPLE / "data")).resolve()
DATA.mkdir(parents=True, exist_ok=True)  # for the database, which even check opens

# b2fields: these seven lines, and path("", include("b2fields.urls")) in urls.py.

INSTALLED_APPS = ["b2fields"]  # the rest of the list is below
LOGIN_URL = "login"  # where visitors are sent who must log in to see a file
B2FIELDS_BUCKET = "hollis-wren"  # one private bucket will do: each field still has its own readers
B2FIELDS_CLEANUP = True  # a file is removed when it is replaced or cleared, or its matter is deleted
# Yours come from Backblaze and stay out of the repository: leave these two out and set
# B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY in the environment.
B2FIELDS_APPLICATION_KEY_ID = "example-key-id"
B2FIELDS_APPLICATION_KEY = "example-application-key"
# The local emulator instead of Backblaze; leave this out to talk to the real B2.
B2FIELDS_REALM = os.environ.get("EXAMPLE_REALM", "http://127.0.0.1:8765")

# The rest is Django as usual, for a demo on this machine alone.

DEBUG = True
SECRET_KEY = "only for this example"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "office.urls"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "matters"
TIME_ZONE = "UTC"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "db.sqlite3"}}

INSTALLED_APPS += [
    "matters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
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

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
