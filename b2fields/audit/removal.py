"""Removing what an audit found, each file after one more look at the rows and at B2."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress

from django.core.exceptions import SuspiciousFileOperation

from b2fields import asking, holders
from b2fields.audit.survey import Finding, Survey, batches, dropped_files
from b2fields.b2 import Client
from b2fields.b2.versions import Version
from b2fields.exceptions import B2FieldsError
from b2fields.models import digest_of

_THREADS = 8
# So many names are looked up in the databases together, right before they are removed.
_BATCH = 64

# What becomes of an orphan, given all of its versions. In a thread, which asks B2 and no database.
_Act = Callable[[Client, Finding, list[Version]], None]


def remove(survey: Survey) -> Iterator[Finding]:
    """Delete the orphans and cancel unfinished large files; yield what became of each.

    Raises what B2 answered, when nothing of what was asked of it together worked.
    """
    holders.refuse_open_transaction()
    with ThreadPoolExecutor(_THREADS, "b2fields-audit") as pool:
        yield from _each(survey, survey.orphans(), pool, _delete, "deleted")
        for batch in batches(survey.unfinished(), _BATCH):
            futures = [pool.submit(_cancel, _client(survey, found), found) for found in batch]
            yield from _ends(batch, futures, "cancelled")


def hide(survey: Survey) -> Iterator[Finding]:
    """Hide the orphans that are not hidden yet; yield what became of each. Raises as ``remove``."""
    holders.refuse_open_transaction()
    with ThreadPoolExecutor(_THREADS, "b2fields-audit") as pool:
        yield from _each(survey, survey.orphans(visible_only=True), pool, _hide, "hidden")


def _each(
    survey: Survey, orphans: Iterable[Finding], pool: ThreadPoolExecutor, act: _Act, outcome: str
) -> Iterator[Finding]:
    for batch in batches(orphans, _BATCH):
        asked = [_asked(survey, found) for found in _checked(survey, batch)]
        # Once more, right before: the receivers may have taken their time.
        checked = _checked(survey, asked)
        going = [found for found in checked if not found.outcome]
        with ExitStack() as forgetting:
            for found in going:
                _forget(survey, found.name, forgetting)
            futures = [
                pool.submit(_look_and, act, _client(survey, found), found, survey.file_ids(found.name))
                for found in going
            ]
            wait(futures)
        # Not before: whoever takes these may take his time, a pager for example.
        yield from (found for found in checked if found.outcome)
        for found in _ends(going, futures, outcome):
            if found.outcome == outcome:
                asking.tell(survey.places.leaving(found.name))
            yield found


def _checked(survey: Survey, batch: list[Finding]) -> list[Finding]:
    """Ask the databases once more; those to be kept have an outcome."""
    names = {digest_of(survey.bucket, found.name): found.name for found in batch if not found.outcome}
    reasons = {}
    for dropped in dropped_files():
        for digest in dropped.filter(digest__in=names).values_list("digest", flat=True):
            reasons[names[digest]] = "b2_cleanup will remove it by now"
    for name in holders.named_among(survey.bucket, names.values(), survey.holders):
        reasons[name] = "a row names it by now"
    return [
        found._replace(outcome="kept", reason=reasons[found.name]) if found.name in reasons else found
        for found in batch
    ]


def _asked(survey: Survey, found: Finding) -> Finding:
    """Ask the receivers of pre_cleanup; what they keep has an outcome."""
    if found.outcome:
        return found
    try:
        if asking.may_go(survey.places.leaving(found.name)):
            return found
    except Exception as error:  # noqa: BLE001 - whatever a receiver raises keeps this file alone
        return found._replace(outcome="failed", reason=f"a receiver of pre_cleanup raised {error!r}")
    return found._replace(outcome="kept", reason="a receiver of pre_cleanup keeps it")


def _look_and(act: _Act, client: Client, found: Finding, file_ids: frozenset[str]) -> bool:
    """Do it, unless there is a version by now that was not listed."""
    versions = client.versions(found.bucket, found.name)
    is_as_listed = all(version.file_id in file_ids for version in versions)
    if is_as_listed:
        act(client, found, versions)
    return is_as_listed


def _delete(client: Client, found: Finding, versions: list[Version]) -> None:
    client.delete_versions(found.bucket, versions)


def _hide(client: Client, found: Finding, versions: list[Version]) -> None:
    client.hide(found.bucket, found.name)


def _cancel(client: Client, found: Finding) -> bool:
    client.cancel_unfinished(found.bucket, found.name, found.file_id or "")
    return True


def _ends(batch: list[Finding], futures: list[Future[bool]], outcome: str) -> Iterator[Finding]:
    errors = []
    for found, future in zip(batch, futures, strict=True):
        try:
            is_done = future.result()
        except B2FieldsError as error:
            errors.append(error)
            yield found._replace(outcome="failed", reason=str(error))
        else:
            kept = found._replace(outcome="kept", reason="it has a newer version than was listed")
            yield found._replace(outcome=outcome) if is_done else kept
    if errors and len(errors) == len(batch):
        raise errors[0]  # The key, the bucket or B2 itself is not what it was: the others would fail too.


def _client(survey: Survey, found: Finding) -> Client:
    return survey.scope_of(found.name).storage.client


def _forget(survey: Survey, full_name: str, stack: ExitStack) -> None:
    """Forget what the cache knows of a file that is removed until the stack ends."""
    leaving = survey.places.leaving(full_name)
    with suppress(SuspiciousFileOperation):  # of a name that this storage would not ask for
        stack.enter_context(leaving.storage.forgetting(leaving.name))
