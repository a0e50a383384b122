"""One line in the log "b2fields" for each delivery that is refused, fails or breaks off.

Its fields are attributes of the record, for formatters that write JSON: ``event``, ``status_code``,
``method``, ``level``, ``field`` (or the alias of STORAGES), ``file_name``, ``user_id`` and ``reason``.
None of them ever holds a token.
"""

import logging
from typing import Any, NamedTuple

from django.http import HttpRequest

logger = logging.getLogger("b2fields")


class Delivery(NamedTuple):
    """What was asked for, and by whom: *label* is that of the field or the alias in the URL."""

    request: HttpRequest
    level: str
    label: str
    name: str


def refused(delivery: Delivery, status: int, reason: str, *, whoever_asks: bool) -> None:
    """Log a refusal; the user of one that met anybody is not looked up for it."""
    _write(logging.WARNING, "refused", delivery, status, reason, tells_user=not whoever_asks)


def failed(delivery: Delivery, status: int, error: Exception) -> None:
    _write(logging.ERROR, "failed", delivery, status, str(error))


def broke_off(delivery: Delivery, status: int, error: Exception) -> None:
    _write(logging.ERROR, "broke off", delivery, status, str(error))


def _write(
    severity: int, event: str, delivery: Delivery, status: int, reason: str, *, tells_user: bool = True
) -> None:
    request, level, label, name = delivery
    fields: dict[str, Any] = {
        "event": event,
        "status_code": status,
        "method": request.method,
        "level": level,
        "field": label,
        "file_name": name,
        # The user of a public file is nobody's business: to look would read the session.
        "user_id": getattr(getattr(request, "user", None), "pk", None)
        if tells_user and level != "public"
        else None,
        "reason": reason,
    }
    # Names and labels with line feeds, which somebody may ask for, are to stay on one line.
    message = "%(event)s: %(method)s %(field)r (%(level)s) %(file_name)r, %(status_code)s: %(reason)s"
    logger.log(severity, message, fields, extra=fields)
