"""Rows with and without cleanup: ``python -m tests.benchmarks.rows REALM KEY_ID KEY BUCKET``.

Two tables of one database in memory, the same but for ``cleanup``. Prints what was taken, in turns.
"""

import gc
import json
import sys
from collections.abc import Callable
from time import perf_counter, process_time

import django
from django.conf import settings

ROWS = 100_000
SAVES = 1000
FILES = 64
ROUNDS = 7
# Of what differs by little, if at all.
MANY_ROUNDS = 31


def main(realm: str, key_id: str, key: str, bucket: str) -> None:
    settings.configure(
        INSTALLED_APPS=["b2fields"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        SECRET_KEY="of the bench",
        B2FIELDS_REALM=realm,
        B2FIELDS_APPLICATION_KEY_ID=key_id,
        B2FIELDS_APPLICATION_KEY=key,
        B2FIELDS_BUCKET=bucket,
    )
    django.setup()
    from django.core.management import call_command
    from django.db import connection, models

    from b2fields import B2FileField

    class Plain(models.Model):
        title = models.CharField(max_length=50)
        file = B2FileField(upload_to="plain/", cleanup=False)

        class Meta:
            app_label = "rows"

    class Cleaned(models.Model):
        title = models.CharField(max_length=50)
        file = B2FileField(upload_to="cleaned/", cleanup=True)

        class Meta:
            app_label = "rows"

    call_command("migrate", verbosity=0, run_syncdb=True)
    for model in (Plain, Cleaned):
        with connection.schema_editor() as editor:
            editor.create_model(model)
        rows = [model(title="a", file=f"{model.__name__.lower()}/{n}/a.txt") for n in range(ROWS)]
        model.objects.bulk_create(rows)
    taken = {
        "load": _in_turns(MANY_ROUNDS, lambda model: list(model.objects.all()), Plain, Cleaned),
        "save": _in_turns(ROUNDS, _save, Plain, Cleaned),
        "save_title": _in_turns(ROUNDS, _save_title, Plain, Cleaned),
        "remove": _remove(Plain, Cleaned),
    }
    print(json.dumps(taken))


def _in_turns(rounds: int, call: Callable, *models: type) -> dict[str, list[float]]:
    """Return processor seconds, which leave out what else the machine does."""
    taken: dict[str, list[float]] = {model.__name__: [] for model in models}
    for number in range(rounds):
        # What one leaves behind for the garbage collector is not for the other to pay.
        for model in models if number % 2 else reversed(models):
            gc.collect()
            begin = process_time()
            call(model)
            taken[model.__name__].append(process_time() - begin)
    return taken


def _save(model: type) -> None:
    for row in model.objects.all()[:SAVES]:
        row.save()


def _save_title(model: type) -> None:
    for row in model.objects.all()[:SAVES]:
        row.save(update_fields=["title"])


def _remove(plain: type, cleaned: type) -> dict[str, list[float]]:
    """Remove as many files: each by its storage, and all by one deletion of their rows."""
    from django.core.files.base import ContentFile

    taken: dict[str, list[float]] = {"Plain": [], "Cleaned": []}
    for _ in range(3):
        for model in (plain, cleaned):
            rows = [model.objects.create(file=ContentFile(b"content", "a.txt")) for _ in range(FILES)]
            begin = perf_counter()
            if model is plain:
                for row in rows:
                    row.file.delete(save=False)
            model.objects.filter(pk__in=[row.pk for row in rows]).delete()
            taken[model.__name__].append(perf_counter() - begin)
    return taken


if __name__ == "__main__":
    main(*sys.argv[1:])
