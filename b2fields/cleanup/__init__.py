"""Files follow their rows: what a row no longer names waits in the outbox, and goes after the commit.

``drops`` listens to the models, ``outbox`` keeps what they dropped, ``pending`` what they have uploaded,
``ledger`` waits for the end of the transaction, and ``worker`` removes.
"""

from b2fields.cleanup.worker import Outcome, work, work_all

__all__ = ["Outcome", "work", "work_all"]
