"""The outbox worked by a Django Tasks backend; loaded only if B2FIELDS_TASKS names one.

Django has tasks of its own from 6.0; before, it is the package django-tasks.
"""

from django.conf import settings

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task  # type: ignore[no-redef]

from b2fields.cleanup import worker


@task(backend=settings.B2FIELDS_TASKS)
def work_outbox(using: str, pks: list[int]) -> dict[str, int]:
    """Work these entries of a database's outbox; the result counts what came of them."""
    return dict(worker.work(using, pks))


def enqueue(using: str, pks: list[int]) -> None:
    work_outbox.using(backend=settings.B2FIELDS_TASKS).enqueue(using, pks)
