"""What time it is at B2, by the answers that it gives anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from b2fields.exceptions import B2Unavailable

if TYPE_CHECKING:
    import b2sdk.v3 as sdk
    import requests


@contextmanager
def answer_dates(api: sdk.B2Api) -> Iterator[list[str]]:
    """Give a list of the Date headers of what B2 answers within the block."""
    dates: list[str] = []

    def note(response: requests.Response, **_: object) -> None:
        dates.append(response.headers.get("Date", ""))

    # The hooks of requests, since the SDK keeps the headers of such answers to itself.
    raw_api: Any = api.session.raw_api
    hooks: list[Any] = raw_api.b2_http.session.hooks["response"]
    hooks.append(note)
    try:
        yield dates
    finally:
        hooks.remove(note)


def earliest(dates: list[str]) -> int:
    """Return the earliest of some Date headers in milliseconds since 1970, as B2 counts."""
    try:
        return min(int(parsedate_to_datetime(date).timestamp() * 1000) for date in dates)
    except ValueError as error:
        raise B2Unavailable(
            "B2's answer has no Date, so nobody can tell how old its files are. Does a proxy take it away?"
        ) from error
