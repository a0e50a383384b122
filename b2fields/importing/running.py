"""The run: files are copied in threads, and here their rows are changed, once each is safe."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from django import db

from b2fields import holders, rowinfo
from b2fields.exceptions import B2FieldsError
from b2fields.importing.copying import Copy, copy_file, remove
from b2fields.importing.plan import CHANGED, COPIED, FAILED, THERE, Job, Outcome, Plan, told
from b2fields.importing.tasks import REFUSALS, Task, tasks
from b2fields.metadata import FileMetadata

_ROWS = 500  # that one query changes


def run(job: Job, plan: Plan, threads: int) -> Iterator[Outcome]:
    """Copy what *plan* has collected, and yield what becomes of each name.

    Stops, once those under way are done, with what B2 says that is one of REFUSALS, and with B2FieldsError or
    django.db.Error if B2 cannot be asked what it has, or the database for the rows.
    """
    refusal: Exception | None = None
    coming = tasks(job, plan)
    running: dict[Future[Copy], Task] = {}
    with ThreadPoolExecutor(threads, "b2fields-import") as pool:
        while refusal is None or running:
            while refusal is None and len(running) < 2 * threads:
                try:
                    task = next(coming, None)
                except (B2FieldsError, db.Error) as error:
                    refusal = error
                    break
                if task is None:
                    break
                if isinstance(task, Outcome):
                    yield task
                else:
                    running[pool.submit(copy_file, job, task)] = task
            if not running:
                break
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in [each for each in running if each in done]:  # in the order of their beginning
                task, result = running.pop(future), future.result()
                if isinstance(result.error, REFUSALS):
                    refusal = result.error
                    # Those under way may still end well, and their rows shall know.
                    running = {later: todo for later, todo in running.items() if not later.cancel()}
                else:
                    yield finish(job, plan, task, result)
    if refusal is not None:
        raise refusal


def finish(job: Job, plan: Plan, task: Task, result: Copy) -> Outcome:
    """Have the rows follow their file, and tell what became of it."""
    name, target = task.name, task.target
    is_new = job.rename is None and task.is_renamed
    if result.error is not None:
        if is_new and isinstance(result.error, FileExistsError) and not job.dry_run:
            plan.forget(name)
        return Outcome(FAILED, name, target, told(result.error))
    if job.dry_run:
        return Outcome(result.what, name, target)
    what, reason = result.what, ""
    if result.stored is not None:
        try:
            changed = _change_rows(job, task, result.stored, result.dimensions)
        except db.Error as error:
            what, reason = FAILED, f"The rows could not be changed: {told(error)}"
        else:
            what = what if changed or _is_still_named(job, task, what) else CHANGED
        # What stood under a name that the project maps to may be somebody else's.
        is_ours = result.what == COPIED or is_new
        if what in (FAILED, CHANGED) and is_ours and (task.is_renamed or what == CHANGED):
            reason += _take_back(task, result.stored)
    if what in (COPIED, THERE):
        plan.choose(name, name if result.stored is None else str(target), done=True)
    return Outcome(FAILED if reason else what, name, target, reason)


def _is_still_named(job: Job, task: Task, what: str) -> bool:
    """Tell whether rows that keep their name have it still, now that its file is copied."""
    if task.is_renamed:
        return False
    return what != COPIED or job.rows.filter(**{job.field.attname: task.name}).exists()


def _change_rows(job: Job, task: Task, stored: FileMetadata, dimensions: tuple[int, int] | None) -> int:
    """Give the rows that still hold the name what they are to hold; return how many did."""
    field = job.field
    values: dict[str, Any] = {}
    if task.is_renamed:
        values[field.attname] = task.target
    if field.info_field:
        rowinfo.keep(task.file, stored, dimensions)
        values[field.info_field] = getattr(task.file.instance, field.info_field)
    if not values:
        return 0
    holding = job.rows.filter(**{field.attname: task.name})
    changed, page = 0, list(holding.order_by("pk").values("pk", field.attname, *values)[:_ROWS])
    while page:
        # Databases compare by their collation, some without regard to case or Unicode form.
        exact = [row for row in page if str(row[field.attname]) == task.name]
        stale = [row["pk"] for row in exact if any(row[key] != value for key, value in values.items())]
        changed += holding.filter(pk__in=stale).update(**values)
        after = holding.filter(pk__gt=page[-1]["pk"]).order_by("pk")
        page = list(after.values("pk", field.attname, *values)[:_ROWS])
    return changed


def _take_back(task: Task, stored: FileMetadata) -> str:
    """Remove an upload that no row has come to name; return what is to be said if it stays."""
    target = str(task.target)
    try:
        if not holders.named_among(task.storage.bucket, [task.storage.full_name(target)]):
            remove(task.storage, target, stored)
    except (B2FieldsError, db.Error) as error:
        return f" Its copy {target!r} is in B2 and no row names it: {told(error)}"
    return ""
