"""What a file field has for its default: a file that is every row's and no row's, and is never removed."""

import os
from typing import Any

from django.core.files.base import File
from django.db import models


def defaults_of(field: Any) -> set[str]:
    """Return the names that a new row of *field* may get without being given one.

    A default that the database computes is not known here.
    """
    found = [field.get_default() if field.has_default() else None, getattr(field, "db_default", None)]
    values = [value.value if isinstance(value, models.Value) else value for value in found]
    return {str(value) for value in values if value and isinstance(value, str | os.PathLike | File)}
