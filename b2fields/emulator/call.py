"""One API call as the operations see it: no HTTP."""

from dataclasses import dataclass
from typing import Any

from b2fields.emulator.auth import Grant
from b2fields.emulator.errors import bad_request
from b2fields.emulator.params import Params
from b2fields.emulator.state import State

Json = dict[str, Any]


def readable(value: Any, is_readable: bool) -> Json:
    """Return a setting as B2 shows those that have a capability of their own."""
    return {"isClientAuthorizedToRead": is_readable, "value": value if is_readable else None}


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what; *base_url* is how this client reaches the emulator: answers point back to it."""

    state: State
    grant: Grant
    params: Params
    base_url: str
    version: int

    def check_account(self) -> None:
        if self.params.text("accountId") != self.state.account_id:
            raise bad_request("Invalid accountId")
