"""The signals that b2fields sends.

Receivers cannot break what they are told of: what they raise is logged, by Django's logger
``django.dispatch``. They are called in the thread that did the work.
"""

import logging
from typing import Any

from django.dispatch import Signal

logger = logging.getLogger("b2fields")

b2_request_finished = Signal()
"""Sent after every HTTP request that this process made to B2, each try and each failed one included.

Nothing is measured while no receiver is connected. The sender is None. The arguments tell no file,
bucket, account or token, so all of them are fit for a metric:

``operation``
    B2's name for it, such as ``"b2_upload_file"`` or ``"b2_download_file_by_name"``. B2 has no name for
    the HEAD of a file: ``"head_file_by_name"``. ``"unknown"`` if it is none of B2's.
``price_class``
    ``"A"`` (free), ``"B"`` or ``"C"``, or None for an operation that b2fields does not know. B2 bills
    one transaction for each request that b2fields makes.
``status``
    The HTTP status; None if no answer came. What found no connection is told of too, though B2 never
    saw it, and bills nothing.
``bytes_sent``, ``bytes_received``
    Bytes of the bodies: what was handed to the connection, and what was read from it.
``seconds``
    From the begin of the request to the end of its answer. A download ends when its last byte has been
    read, or when it is closed: a slow visitor's takes long.
``seconds_to_first_byte``
    Until B2 began to answer; None if it did not.

A download that ends before its last byte is told of later, when this process makes its next request.
A receiver should count and return: several threads make requests at once, and wait for it. It must
not ask B2 for anything itself.
"""

file_saved = Signal()
"""Sent after each upload of a file, by the storage's class.

``storage``
    The ``B2Storage`` that stored it.
``name``
    Its name in that storage, as a field holds it.
``metadata``
    What B2 told of it, a ``b2fields.metadata.FileMetadata``: ``file_id``, ``size`` in bytes, ``sha1``, …

The row that will hold the name is not saved yet, and its transaction may still be rolled back. An error
of a receiver is logged and not raised: it would keep the row from being saved, and nothing would
name the file that B2 has.
"""

pre_cleanup = Signal()
"""Sent before a file that no row names is removed from B2, by the model of its field.

By cleanup for what rows have dropped, and by ``b2_audit --delete`` and ``--hide`` for orphans. A
receiver that returns False keeps the file. One that raises keeps it for now: cleanup notes the error, and
``b2_cleanup`` tries again; the audit tells it, and its next run finds the file. It can still be read.

``field``
    The field that dropped it; None, and then the sender too, if there is no such field any more. For an
    orphan, the field in whose place (location and ``upload_to``) it lies, the innermost one; None if several
    fields have that place. A receiver that is to keep such orphans is connected without a sender.
``file``
    What a row would hold, such as thumbnail libraries take: with ``name``, ``storage``, ``open()``, … It
    has no instance. None without a field.
``name``
    Its name in the storage, as the field held it.
``storage``
    The ``B2Storage`` that it is removed from.
"""

post_cleanup = Signal()
"""Sent with the same arguments after the file was removed, or hidden (B2FIELDS_DELETE, ``b2_audit --hide``).

It may be sent twice for one file, if a process was killed. An error of a receiver is logged.
"""


def send_safely(signal: Signal, sender: type | None, **arguments: Any) -> None:
    """Send a signal so that no receiver can break its sender."""
    try:
        signal.send_robust(sender, **arguments)
    except Exception:
        # Django cannot call an async receiver from synchronous code in an event loop's own thread.
        logger.exception("b2fields could not send a signal to all of its receivers.")
