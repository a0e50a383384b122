"""Server-side encryption as a project declares it: by B2's keys (SSE-B2) or by its own (SSE-C)."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from b2fields.exceptions import NotConfigured

SSE_B2, SSE_C = "SSE-B2", "SSE-C"
# B2 docs, b2_upload_file: the most bytes of an encrypted file's name and info.
INFO_BYTES = 2048
# The file info in which b2sdk, and so we, keep which key a file was encrypted with.
KEY_ID_INFO = "sse_c_key_id"

_KEY_BYTES = 32
_SHAPE = (
    'Use None, "SSE-B2", or {"mode": "SSE-C", "key": …, "key_id": …}, with a key of 32 bytes, the same '
    "in base64, or a callable that returns either, and with any text for key_id, which may be left out."
)


@dataclass(frozen=True)
class Encryption:
    """How files are encrypted; the key is left out of the representation."""

    mode: str
    key: bytes | str | Callable[[], bytes | str] | None = field(default=None, repr=False)
    key_id: str | None = None

    def secret(self) -> bytes:
        """Return the customer's key. Raises NotConfigured if what the callable returned is none."""
        return _key_bytes(self.key() if callable(self.key) else self.key)

    @property
    def info(self) -> dict[str, str]:
        """The file info that tells which key it was."""
        return {} if self.key_id is None else {KEY_ID_INFO: self.key_id}


def parse(declared: object) -> Encryption | None:
    """Read the option ``encryption``. Raises NotConfigured, whose message never holds what was declared."""
    match declared:
        case None:
            return None
        case "SSE-B2":
            return Encryption(SSE_B2)
        case Mapping():
            return _parse_mapping(declared)
    raise NotConfigured(f"B2FIELDS_ENCRYPTION is a {type(declared).__name__} of another shape. {_SHAPE}")


def _parse_mapping(declared: Mapping[Any, Any]) -> Encryption:
    mode, key, key_id = declared.get("mode"), declared.get("key"), declared.get("key_id")
    allowed = {"mode", "algorithm"} | ({"key", "key_id"} if mode == SSE_C else set())
    if mode not in (SSE_B2, SSE_C):
        raise NotConfigured(f"B2FIELDS_ENCRYPTION has no mode that B2 knows. {_SHAPE}")
    if unknown := sorted(str(name) for name in declared.keys() - allowed):
        raise NotConfigured(f"B2FIELDS_ENCRYPTION with mode {mode!r} takes no {', '.join(unknown)}. {_SHAPE}")
    if declared.get("algorithm", "AES256") != "AES256":
        raise NotConfigured("B2FIELDS_ENCRYPTION has an algorithm that B2 does not know. Leave it out.")
    if mode == SSE_B2:
        return Encryption(SSE_B2)
    if key is None:
        raise NotConfigured(
            'B2FIELDS_ENCRYPTION has mode "SSE-C" and no key. A key that was passed to a storage is never '
            "pickled nor written into a migration: pass a function of a module, which is."
        )
    if key_id is not None and not isinstance(key_id, str):
        raise NotConfigured("The key_id of B2FIELDS_ENCRYPTION must be a text.")
    if not callable(key):
        _key_bytes(key)
    return Encryption(SSE_C, key, key_id)


def _key_bytes(key: object) -> bytes:
    data: object = key
    if isinstance(key, str):
        try:
            data = base64.b64decode(key, validate=True)
        except ValueError:
            data = None
    if isinstance(data, bytes) and len(data) == _KEY_BYTES:
        return data
    raise NotConfigured("The key of B2FIELDS_ENCRYPTION must be 32 bytes, or 32 bytes in base64.")


def without_key(declared: object) -> object:
    """Return what may be shown of the option ``encryption``: a key only if it is the name of a function."""
    if declared in (None, SSE_B2):
        return declared
    if not isinstance(declared, Mapping):
        return "…"  # A key where none belongs.
    shown = {name: declared[name] for name in ("mode", "algorithm", "key_id") if name in declared}
    key = declared.get("key")
    if inspect.isfunction(key) and key.__qualname__.isidentifier():
        shown["key"] = key
    return shown
