"""Faults that tests script, and the log of requests they read."""

from dataclasses import dataclass, field
from typing import Any

from b2fields.emulator.operations import price_class
from b2fields.emulator.params import Params


@dataclass(slots=True)
class Fault:
    """What is to go wrong with an operation (``*``: any), how often, and after how many good requests."""

    operation: str
    times: int | None
    skip: int
    delay: float
    status: int | None
    code: str
    message: str
    headers: dict[str, str]
    extra_headers: dict[str, str]
    cut_after: int | None
    stall_after: int | None
    corrupt: bool


@dataclass(slots=True)
class Entry:
    """One request of a client as the log shows it."""

    operation: str
    method: str
    path: str
    range: str | None
    status: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "class": price_class(self.operation),
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "range": self.range,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
        }


@dataclass(slots=True)
class Script:
    """The faults to come, a delay for every request, and the log."""

    faults: list[Fault] = field(default_factory=list)
    latency: float = 0.0
    entries: list[Entry] = field(default_factory=list)

    def take(self, operation: str) -> Fault | None:
        """Return the fault that is due for this request, if any, and count it."""
        for fault in self.faults:
            if fault.operation not in ("*", operation) or fault.times == 0:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None


def parse_fault(values: dict[str, Any]) -> Fault:
    """Read a fault from what a test posted."""
    params = Params(values)

    def count(name: str) -> int | None:
        return params.number(name, None, 0, 2**53) if name in params else None

    return Fault(
        operation=params.text("operation"),
        # Absent means once and null for ever: here, unlike in B2's API, a null is not as good as nothing.
        times=count("times") if "times" in values else 1,
        skip=params.number("skip", 0, 0, 2**53),
        delay=params.seconds("delay"),
        status=params.number("status", None, 400, 599) if "status" in params else None,
        code=params.optional_text("code") or "internal_error",
        message=params.optional_text("message") or "a fault that the control plane asked for",
        headers=params.headers("headers"),
        extra_headers=params.headers("extra_headers"),
        cut_after=count("cut_after"),
        stall_after=count("stall_after"),
        corrupt=params.flag("corrupt"),
    )
