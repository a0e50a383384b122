"""The test project as a server process runs it: a database in a file, and B2 where the tests have it."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import MIDDLEWARE as USUAL

# It must leave files alone.
MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *USUAL]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SERVING_DATABASE"]}}
# Files bring their own, whatever the project has.
SECURE_CONTENT_TYPE_NOSNIFF = False
LOGIN_URL = "/admin/login/"
MIGRATION_MODULES = dict.fromkeys(["admin", "auth", "contenttypes", "sessions"])
B2FIELDS_REALM = os.environ["SERVING_REALM"]
B2FIELDS_APPLICATION_KEY_ID = os.environ["SERVING_KEY_ID"]
B2FIELDS_APPLICATION_KEY = os.environ["SERVING_KEY"]
B2FIELDS_BUCKET = os.environ["SERVING_BUCKET"]
B2FIELDS_DELIVERY = os.environ["SERVING_DELIVERY"]
B2FIELDS_RETRIES = 0
B2FIELDS_READ_TIMEOUT = 2
