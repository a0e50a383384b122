"""Say of each file who may read it, why, and what the present visitor would get.

The page shows this to explain itself. The library decides anew when a file is asked for.
"""

import posixpath
from typing import NamedTuple

from django.db.models.fields.files import FieldFile
from django.template.defaultfilters import filesizeformat

from b2fields import B2FileField, policy

WHO = {
    "public": "Everyone",
    "login": "Anyone who is logged in",
    "staff": "Staff only",
}


class Reading(NamedTuple):
    """One file as the page shows it."""

    label: str
    file: FieldFile
    filename: str
    who: str
    why: str
    allowed: bool
    answer: str
    size: str


def b2_fields(model):
    return [field for field in model._meta.fields if isinstance(field, B2FileField)]


def readings(request, matter):
    """Return what the visitor should know of each file of a matter."""
    return [reading(request, getattr(matter, field.name)) for field in b2_fields(type(matter))]


def reading(request, file):
    storage = file.storage
    allowed = policy.level_allows(storage.level, request)
    allowed = allowed and policy.row_allows(storage.access, request, file.instance)
    return Reading(
        label=file.field.verbose_name,
        file=file,
        filename=filename_of(file) if file else "",
        who=who_may_read(file.field),
        why=why(file.field),
        allowed=allowed,
        answer="200, the file" if allowed else refusal(request, storage.level),
        size=size_of(file) if file else "no file",
    )


def who_may_read(field):
    """Return the readers in words; a function's docstring tells its own."""
    storage = field.storage
    return WHO[storage.level] if storage.level in WHO else storage.access.__doc__.rstrip(".")


def why(field):
    """Return the declaration as it stands in models.py, or the setting that stands in for it."""
    if field.access is None:
        return f"no access declared, so B2FIELDS_ACCESS: {field.storage.access!r}".replace("'", '"')
    declared = f'"{field.access}"' if isinstance(field.access, str) else field.access.__name__
    return f"access={declared}"


def refusal(request, level):
    """Return the answer that the library gives to those who may not read."""
    if not request.user.is_authenticated:
        return "302, to the login"
    if level == "object":
        return "404, as if there were no such file"
    return "403, forbidden"


def filename_of(file):
    """Return the name as it was uploaded: the folders before it are upload_to's and a random one."""
    return posixpath.basename(file.name)


def size_of(file):
    """Return the size in words. The row knows it; B2 is asked only about rows that have no info yet."""
    try:
        return filesizeformat(file.size)
    except FileNotFoundError:
        return "no longer in B2"
    except OSError:  # B2 is down, or refuses the key: no reason for the page to fail.
        return "size unknown"
