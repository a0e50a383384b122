"""What an import costs a project of Django's own apps: ``python -m tests.benchmarks.importing MODULE``.

The time is the processor's, so what else the machine does is not in it.
"""

import json
import sys
from importlib import import_module
from time import process_time

import django
from django.apps import AppConfig, apps
from django.conf import settings

from .worker import MEMORY_IS_TOLD, status

APPS = ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")


def main(module: str) -> None:
    settings.configure(INSTALLED_APPS=[f"django.contrib.{app}" for app in APPS])
    django.setup()
    resident = _resident()
    begin = process_time()
    import_module(module)
    imported = process_time()
    taken = {"milliseconds": 1000 * (imported - begin), "mebibytes": _resident() - resident}
    if module == "b2fields":
        # As django.setup() does with what INSTALLED_APPS names.
        config = AppConfig.create(module)
        config.apps = apps
        config.import_models()
        config.ready()
    taken["installed_milliseconds"] = 1000 * (process_time() - begin)
    taken["modules"] = sum(name.partition(".")[0] == "b2sdk" for name in sys.modules)
    print(json.dumps(taken))


def _resident() -> float:
    return status("VmRSS") / 1024 if MEMORY_IS_TOLD else 0


if __name__ == "__main__":
    main(sys.argv[1])
