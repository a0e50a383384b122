"""The log of requests that tests read, and its sums."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from b2fields.emulator.call import Json
from b2fields.emulator.operations import price_class

MAX_ENTRIES = 100_000
# "If you set maxFileCount to more than 1000 and more than 1000 are returned, the call will be billed as
# multiple transactions" (b2_list_file_names, and so b2_list_file_versions and b2_list_keys). Other lists
# return 1000 at most.
LISTS = {"b2_list_file_names": "files", "b2_list_file_versions": "files", "b2_list_keys": "keys"}
ENTRIES_PER_TRANSACTION = 1000


@dataclass(slots=True)
class Entry:
    """One request of a client as the log shows it; *log* is None if it is not to be in one."""

    operation: str
    method: str
    path: str
    range: str | None
    status: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    billed: int = 1
    log: "Log | None" = None

    def add_sent(self, count: int) -> None:
        self.bytes_sent += count
        if self.log is not None:
            self.log.bytes_sent += count

    def add_received(self, count: int) -> None:
        self.bytes_received += count
        if self.log is not None:
            self.log.bytes_received += count

    def bill(self, answer: Json) -> None:
        """Count the transactions of a long list, which are more than one."""
        more = (len(answer[LISTS[self.operation]]) - 1) // ENTRIES_PER_TRANSACTION
        if more > 0:
            self.billed += more
            if self.log is not None:
                self.log.classes[price_class(self.operation)] += more

    def to_json(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "class": price_class(self.operation),
            "billed": self.billed,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "range": self.range,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
        }


@dataclass(slots=True)
class Log:
    """The newest requests, and sums over all of them."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))
    operations: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    bytes_received: int = 0

    def add(self, entry: Entry) -> None:
        entry.log = self
        self.entries.append(entry)
        self.operations[entry.operation] += 1
        self.classes[price_class(entry.operation)] += entry.billed

    def counters(self) -> dict[str, Any]:
        return {
            "operations": dict(self.operations),
            "classes": {name: self.classes[name] for name in "ABC"},
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
        }
