"""The door to b2sdk, which nothing outside this package knows.

The SDK is imported on first use: it costs 0.2 s and 30 MB, which a process that never opens a file
should not pay. So ``client``, ``connections`` and ``tokens`` import it, and the modules beside them that
do at their top, inside functions.
"""

from b2fields.b2.client import Answer, Client
from b2fields.b2.deadlines import deadline, shared_deadline
from b2fields.b2.tokens import Account

__all__ = ["Account", "Answer", "Client", "deadline", "shared_deadline"]
