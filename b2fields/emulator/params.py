"""The parameters of one API call, as a JSON object or a query string gave them."""

import math
from collections.abc import Mapping
from typing import Any

from b2fields.emulator.errors import bad_request


def is_unicode(text: str) -> bool:
    """Tell whether *text* can be written as UTF-8; JSON's ``\\u`` escapes can make lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


class Params:
    """Typed access to the parameters; a null counts as absent, as clients send it for what they leave out."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        value = self.optional_text(name)
        if value is None:
            raise bad_request(f"required field {name} is missing")
        return value

    def optional_text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is not None and not (isinstance(value, str) and is_unicode(value)):
            raise bad_request(f"{name} must be a string of Unicode characters")
        return value

    def number(self, name: str, default: int | None, low: int, high: int) -> int:
        """Return a whole number from *low* to *high*; without a *default* it must be given."""
        value = self.values.get(name, default)
        if value is None:
            raise bad_request(f"required field {name} is missing")
        if isinstance(value, str):  # a query string has no numbers
            value = int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise bad_request(f"{name} must be a whole number from {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name, False)
        if value in ("true", "false"):
            return bool(value == "true")
        if not isinstance(value, bool):
            raise bad_request(f"{name} must be true or false")
        return value

    def texts(self, name: str) -> list[str] | None:
        value = self.values.get(name)
        if isinstance(value, str):  # a query string has no lists; B2 documents commas for them
            value = value.split(",")
        if value is not None and not (
            isinstance(value, list) and all(isinstance(text, str) and is_unicode(text) for text in value)
        ):
            raise bad_request(f"{name} must be a list of strings of Unicode characters")
        return value

    def mapping(self, name: str) -> dict[str, Any] | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise bad_request(f"{name} must be an object")
        return value

    def objects(self, name: str) -> list[dict[str, Any]] | None:
        value = self.values.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(v, dict) for v in value)):
            raise bad_request(f"{name} must be a list of objects")
        return value

    def seconds(self, name: str) -> float:
        value = self.values.get(name, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise bad_request(f"{name} must be a number of seconds")
        return float(value)

    def texts_by_name(self, name: str) -> dict[str, str]:
        value = self.mapping(name) or {}
        if not all(isinstance(text, str) for text in value.values()):
            raise bad_request(f"{name} must map strings to strings")
        return value
