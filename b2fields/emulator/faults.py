"""What a test scripts to go wrong."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from b2fields.emulator.errors import bad_request
from b2fields.emulator.log import Log
from b2fields.emulator.params import Params

# What the server can put on the wire as one header: no test is to write a second one, or a body, into it.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Where the answer ends is said by the server alone; for less of a body there is cut_after.
_FRAMING = ("content-length", "transfer-encoding")

SpoiltHeaders = dict[str, list[str]]


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
    headers: SpoiltHeaders
    cut_after: int | None
    stall_after: int | None
    reset: bool
    corrupt: bool


@dataclass(slots=True)
class Script:
    """The faults to come, what all requests suffer, and the log.

    *refuse* is the server's: it takes seconds, and the transport of the connection to spare.
    """

    faults: list[Fault] = field(default_factory=list)
    latency: float = 0.0
    bandwidth: int | None = None
    log: Log = field(default_factory=Log)
    refuse: Callable[[float, Any], None] = lambda *_: None

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

    def clear(self) -> None:
        """Let nothing more go wrong, and begin a new log."""
        self.faults.clear()
        self.latency = 0.0
        self.bandwidth = None
        self.log = Log()


def parse_fault(values: dict[str, Any]) -> Fault:
    """Read a fault from what a test posted."""
    unknown = values.keys() - Fault.__dataclass_fields__.keys() - {"extra_headers"}
    if unknown:
        raise bad_request(f"A fault has no {', '.join(sorted(unknown))}")
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
        headers=_headers(params, "headers") | _headers(params, "extra_headers"),
        cut_after=count("cut_after"),
        stall_after=count("stall_after"),
        reset=params.flag("reset"),
        corrupt=params.flag("corrupt"),
    )


def _headers(params: Params, name: str) -> SpoiltHeaders:
    """Return the headers to send by name in lower case; a list of values is a header sent several times."""
    headers: SpoiltHeaders = {}
    for header, given in (params.mapping(name) or {}).items():
        values = given if isinstance(given, list) else [given]
        if not _HEADER_NAME.fullmatch(header) or header.lower() in _FRAMING:
            raise bad_request(f"{name} cannot hold a header {header!r}")
        if not all(isinstance(value, str) and _HEADER_VALUE.fullmatch(value) for value in values):
            raise bad_request(f"The values of {header} must be strings of Latin-1 without control characters")
        headers[header.lower()] = values
    return headers
