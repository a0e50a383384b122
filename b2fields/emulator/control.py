"""The control plane: how tests watch the emulator and make it fail. Off unless started with ``--control``.

JSON over HTTP under ``/_emulator/``; its own requests are neither logged nor spoilt.

``GET /_emulator/requests``
    The requests of clients in order of arrival::

        {"requests": [{"operation": "b2_upload_file", "class": "A", "method": "POST", "path": "/b2api/v4/...",
                       "status": 200, "range": null, "bytes_sent": 512, "bytes_received": 1024}, ...]}

    Downloads are ``b2_download_file_by_name`` and ``b2_download_file_by_id``, their HEADs
    ``head_file_by_name`` and ``head_file_by_id``, anything that is not B2's API ``unknown``. ``path`` has no
    query string. ``class`` is B2's price class. ``range`` is the header as sent. ``status`` is null until the
    answer begins. The bytes are those of bodies. For a client that went away, ``bytes_sent`` counts what had
    left the emulator: some of it may not have reached the client (what lay in the kernel's buffers, and at
    most one chunk of 256 KiB).
``DELETE /_emulator/requests``
    Empty the log.
``POST /_emulator/faults``
    Script a fault; the first one that is due applies to a request, alone::

        {"operation": "b2_upload_file",  or "*" for any, else a name as in the log
         "times": 1,                     how often; null for ever; 1 if left out
         "skip": 0,                      let so many matching requests through first
         "delay": 0.5,                   seconds to wait before all else
         "status": 503, "code": "service_unavailable", "message": "...", "headers": {"Retry-After": "1"},
                                         answer this, and do not do the operation
         "cut_after": 100,               close the connection after so many bytes of the answer's body
         "stall_after": 100,             send so many bytes of it, then nothing, and leave the connection open
         "corrupt": true,                send the first byte of the body changed
         "extra_headers": {...}}         add to the answer's headers, or replace them

    All but ``operation`` may be left out, and they combine. Without ``status`` the operation is done, so
    ``{"operation": "b2_upload_file", "cut_after": 0}`` stores the file and loses the answer.
``DELETE /_emulator/faults``
    Forget all faults. Bodies that stall stay stalled until the client goes.
``POST /_emulator/latency``
    ``{"seconds": 0.05}``: let every request wait so long from now on.
``POST /_emulator/expire_tokens``
    All account and upload tokens are over from now on: 401 expired_auth_token. Download authorizations stay.
``POST /_emulator/clock``
    ``{"offset_seconds": 86400}``: set the emulator's clock, which stamps files and ends tokens and keys, this
    far from the real one. The Date header stays true: b2sdk refuses a server whose clock is off.
"""

from b2fields.emulator import auth
from b2fields.emulator.call import Json
from b2fields.emulator.errors import method_not_allowed, not_found
from b2fields.emulator.faults import Script, parse_fault
from b2fields.emulator.params import Params
from b2fields.emulator.state import State

PREFIX = "/_emulator/"


def control(state: State, script: Script, method: str, name: str, body: Json) -> Json:
    """Do what *method* and *name*, the path after the prefix, ask for."""
    match method, name:
        case "GET", "requests":
            return {"requests": [entry.to_json() for entry in script.entries]}
        case "DELETE", "requests":
            script.entries.clear()
        case "POST", "faults":
            script.faults.append(parse_fault(body))
        case "DELETE", "faults":
            script.faults.clear()
        case "POST", "latency":
            script.latency = Params(body).seconds("seconds")
        case "POST", "expire_tokens":
            auth.expire_all(state)
        case "POST", "clock":
            state.clock_offset = Params(body).seconds("offset_seconds")
        case _, "requests" | "faults" | "latency" | "expire_tokens" | "clock":
            raise method_not_allowed(method)
        case _:
            raise not_found(f"The control plane has no {name}")
    return {}
