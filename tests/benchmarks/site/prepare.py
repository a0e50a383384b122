"""Make the site's database: ``python -m tests.benchmarks.site.prepare NAME ...``.

Each name becomes a row's file; printed is a session key of a signed-in user.
"""

import os
import sys

import django


def main(names: list[str]) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.site.settings"
    django.setup()
    from django.apps import apps
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", run_syncdb=True, verbosity=0)
    for name in names:
        apps.get_model("papers", "Paper").objects.create(file=name)
    visitor = Client()
    visitor.force_login(User.objects.create_user("visitor"))
    print(visitor.cookies["sessionid"].value)


if __name__ == "__main__":
    main(sys.argv[1:])
