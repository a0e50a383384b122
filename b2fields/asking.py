"""The receivers of ``pre_cleanup`` and ``post_cleanup``: asked and told of a file, whoever removes it."""

from __future__ import annotations

from typing import Any, NamedTuple

from b2fields.references import AnyFileField
from b2fields.signals import post_cleanup, pre_cleanup, send_safely
from b2fields.storage import B2Storage


class Leaving(NamedTuple):
    """A file on its way out: by its name as a row of the field would hold it; None if no field is known."""

    field: AnyFileField | None
    storage: B2Storage
    name: str

    @property
    def sender(self) -> type | None:
        return self.field.model if self.field else None

    @property
    def arguments(self) -> dict[str, Any]:
        of: Any = self.field
        # Without an instance: the row may be gone, and holds another name if it is not.
        file = of.attr_class(None, of, self.name) if of else None
        return {"field": of, "file": file, "name": self.name, "storage": self.storage}


def may_go(leaving: Leaving) -> bool:
    """Ask the receivers of pre_cleanup: False is their veto. Raises what one of them raised."""
    answers = [answer for _, answer in pre_cleanup.send_robust(leaving.sender, **leaving.arguments)]
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return not any(answer is False for answer in answers)


def tell(leaving: Leaving) -> None:
    """Tell the receivers of post_cleanup."""
    send_safely(post_cleanup, leaving.sender, **leaving.arguments)
