"""What runs in threads, on B2 and the source alone: they share no connection to a database."""

from __future__ import annotations

import io
import posixpath
from contextlib import closing
from typing import Any, NamedTuple

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.core.files.uploadedfile import TemporaryUploadedFile

from b2fields import names
from b2fields.download import sha1
from b2fields.exceptions import DamagedFile, NotConfigured
from b2fields.importing.plan import COPIED, FAILED, THERE, Job
from b2fields.importing.tasks import Task, look_up
from b2fields.metadata import FileMetadata
from b2fields.storage import B2Storage

_MISSING = "The source has no such file."
_DIFFERS = "B2 has another file of this name, which stays. --overwrite would let that of the source win."
_TAKEN = "B2 has another file under the name that was chosen. Run the import again: it chooses another."


class Copy(NamedTuple):
    """How a task went; *stored* is None if B2 tells nothing that its rows could keep."""

    what: str
    stored: FileMetadata | None = None
    dimensions: tuple[int, int] | None = None
    error: Exception | None = None


class Taken(NamedTuple):
    """What was read from the source, once: in memory, or beyond B2FIELDS_MAX_MEMORY_SIZE on disk."""

    file: File[Any]
    size: int
    sha1: str


def copy_file(job: Job, task: Task) -> Copy:
    """Copy the file of a task, or tell what that would do if the job is a dry run."""
    try:
        return _compare(job, task) if job.dry_run else _transfer(job, task)
    except Exception as error:  # noqa: BLE001 - each storage raises what its client library does
        return Copy(FAILED, error=error)


def take(source: Storage, name: str) -> Taken:
    """Read a file from the source, to be closed by the caller."""
    limit: int = settings.B2FIELDS_MAX_MEMORY_SIZE
    digest, size, head = sha1(), 0, io.BytesIO()
    spool: File[Any] | None = None
    with source.open(name, "rb") as content:
        try:
            for chunk in content.chunks():
                digest.update(chunk)
                size += len(chunk)
                if spool is None and size > limit:
                    spool = _spool()
                    spool.write(head.getbuffer())
                    head = io.BytesIO()
                (head if spool is None else spool).write(chunk)
        except BaseException:
            if spool is not None:
                spool.close()
            raise
    if spool is None:
        spool = ContentFile(head.getvalue())
    spool.name, spool.size = posixpath.basename(name), size
    spool.seek(0)
    return Taken(spool, size, digest.hexdigest())


def _spool() -> File[Any]:
    try:
        return TemporaryUploadedFile("import", None, 0, None)
    except FileNotFoundError as error:  # which would pass for the source's
        raise NotConfigured(f"FILE_UPLOAD_TEMP_DIR is no folder: {error}") from error


def _transfer(job: Job, task: Task) -> Copy:
    target = str(task.target)
    try:
        taken = take(job.source, task.name)
    except FileNotFoundError:
        return _only_in_b2(task)
    with closing(taken.file):
        # Somebody may have uploaded it since B2 was asked: processes that share a cache know.
        recent = task.stored is None and task.storage.known_metadata(target) is not None
        stored = look_up(task.storage, target) if recent else task.stored
        dimensions = task.file._dimensions_of(taken.file) if job.field.info_field else None
        if stored is not None and (stored.size, stored.sha1) == (taken.size, taken.sha1):
            return Copy(THERE, stored, dimensions)
        if stored is not None and (refusal := _refusal_to_replace(job, task)):
            return Copy(FAILED, error=refusal)
        return Copy(COPIED, upload(task, taken), dimensions)


def _refusal_to_replace(job: Job, task: Task) -> FileExistsError | None:
    """Return why the other file that B2 has under the target stays, unless --overwrite is for it."""
    if job.rename is None and task.is_renamed:  # Nobody meant that one.
        return FileExistsError(_TAKEN)
    return None if job.overwrite else FileExistsError(_DIFFERS)


def upload(task: Task, taken: Taken) -> FileMetadata:
    """Upload what was taken, and return what B2 has then. Raises DamagedFile if that is something else."""
    storage, target = task.storage, str(task.target)
    storage.found_type = task.file._type_of(taken.file)
    storage.upload(target, taken.file)
    uploaded, known = storage.last_upload or (None, None)
    is_ours = known is not None and uploaded == target
    if known is None or not is_ours:  # A storage of the project's own may upload in another way.
        known = storage.look_up(target)
    if (known.size, known.sha1) != (taken.size, taken.sha1):
        if not is_ours:
            raise DamagedFile(f"B2 has other bytes under {target!r} than were read from the source.")
        remove(storage, target, known)
        raise DamagedFile("B2 got other bytes than were read from the source; they are removed again.")
    return known


def remove(storage: B2Storage, name: str, known: FileMetadata) -> None:
    """Remove this one version of a file."""
    with storage.forgetting(name):
        storage.client.delete_version(storage.bucket, storage.full_name(name), known.file_id)


def _only_in_b2(task: Task) -> Copy:
    """Tell what to do about a file that the source lacks: nothing, if it was uploaded to B2."""
    if task.is_renamed:
        found = names.is_well_formed(task.name) and look_up(task.storage, task.name) is not None
    else:
        found = task.stored is not None
    return Copy(THERE) if found else Copy(FAILED, error=FileNotFoundError(_MISSING))


def _compare(job: Job, task: Task) -> Copy:
    """Tell what _transfer would do, by sizes alone: nothing is read."""
    try:
        size = job.source.size(task.name)
    except FileNotFoundError:
        return _only_in_b2(task)
    if task.stored is None:
        return Copy(COPIED)
    if task.stored.size == size:
        return Copy(THERE)
    refusal = _refusal_to_replace(job, task)
    return Copy(FAILED, error=refusal) if refusal else Copy(COPIED)
