"""The control plane: how tests watch the emulator and make it fail. Off unless started with ``--control``.

JSON over HTTP under ``/_emulator/``; its own requests are neither logged nor spoilt. It needs no key, so it
refuses web pages: requests with an Origin, and with a Host that is neither an address nor a local name.

``GET /_emulator/requests``
    The requests of clients in order of arrival::

        {"requests": [{"operation": "b2_upload_file", "class": "A", "billed": 1, "method": "POST",
                       "path": "/b2api/v4/...", "status": 200, "range": null,
                       "bytes_sent": 512, "bytes_received": 1024}, ...]}

    Downloads are ``b2_download_file_by_name`` and ``b2_download_file_by_id``, their HEADs
    ``head_file_by_name`` and ``head_file_by_id``; of the S3-compatible endpoint there are ``s3_get_object``,
    ``s3_head_object``, ``s3_put_object`` and, for what is not emulated, ``s3_unknown``. A browser's preflight
    is ``cors_preflight``, anything that is not B2's API ``unknown``. ``path`` has no query string. ``class``
    is B2's price class, and ``billed`` how many transactions of it B2 counts: 1, and for a list one per 1,000
    entries begun. That failures are billed too is assumed. ``range`` is the header as sent. ``status`` is
    null until the answer begins. The bytes are those of bodies. For a client that went away, ``bytes_sent``
    counts what had left the emulator: some of it may not have reached the client (what lay in the kernel's
    buffers, and at most one chunk of 256 KiB). The log keeps the newest 100,000 requests. ``GET
    /_emulator/counters`` Sums over all requests, also over those that the log no longer holds: requests by
    operation, transactions as B2 bills them by class, bytes of bodies:: {"operations": {"b2_list_file_names":
    1}, "classes": {"A": 0, "B": 0, "C": 10}, "bytes_sent": 4096, "bytes_received": 60}
``DELETE /_emulator/requests``
    Empty the log and begin the counters anew; requests that are under way are in neither.
``POST /_emulator/faults``
    Script a fault; the first one that is due applies to a request, alone::

        {"operation": "b2_upload_file",  or "*" for any, else a name as in the log
         "times": 1,                     how often; null for ever; 1 if left out
         "skip": 0,                      let so many matching requests through first
         "delay": 0.5,                   seconds to wait before all else
         "reset": true,                  close the connection with a TCP reset, and do not do the operation
         "status": 503, "code": "service_unavailable", "message": "...",
                                         answer this, and do not do the operation
         "cut_after": 100,               close the connection after so many bytes of the answer's body; with
                                         "reset" by a reset, of which the client gets at most so many
         "stall_after": 100,             send so many bytes of it, then nothing, and leave the connection open
         "corrupt": true,                send the first byte of the body changed
         "headers": {...}}               add to the answer's headers, or replace them; a list of values sends
                                         a header several times ("extra_headers" is the same)

    All but ``operation`` may be left out, and they combine. Without ``status`` and ``reset`` the operation is
    done, so a ``cut_after`` of 0 stores a file and loses the answer. The headers that say where a body ends
    cannot be spoilt. For example::

        {"operation": "b2_list_buckets", "reset": true}
        {"operation": "b2_upload_file", "cut_after": 0}
        {"operation": "b2_download_file_by_name", "cut_after": 1000, "reset": true}
        {"operation": "b2_download_file_by_name", "stall_after": 1000}
        {"operation": "b2_download_file_by_name", "corrupt": true}
        {"operation": "*", "headers": {"x-bz-content-sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}}
        {"operation": "*", "status": 401, "code": "expired_auth_token"}
        {"operation": "b2_upload_file", "status": 403, "code": "storage_cap_exceeded"}
        {"operation": "b2_download_file_by_name", "status": 403, "code": "download_cap_exceeded"}
        {"operation": "*", "status": 403, "code": "transaction_cap_exceeded"}
        {"operation": "b2_upload_part", "times": 2, "status": 503, "code": "service_unavailable"}
        {"operation": "*", "status": 429, "code": "too_many_requests", "headers": {"Retry-After": "1"}}
        {"operation": "*", "headers": {"Set-Cookie": ["a=1", "b=2"], "Content-Encoding": "gzip"}}
``DELETE /_emulator/faults``
    Forget all faults. Bodies that stall stay stalled until the client goes.
``POST /_emulator/latency``
    ``{"seconds": 0.05}``: let every request wait so long from now on.
``POST /_emulator/bandwidth``
    ``{"bytes_per_second": 100000}``: let the body of each upload and of each answer pass so fast at most,
    evenly; null for no limit. Of an upload, its client's machine takes the first megabytes at once.
``POST /_emulator/refuse``
    ``{"seconds": 1.5}``: refuse connections for so long, and close all that are open but the one that asks.
    Asked again meanwhile, the time begins again.
``POST /_emulator/expire_tokens``
    All account and upload tokens are over from now on: 401 expired_auth_token. Download authorizations stay.
``POST /_emulator/clock``
    ``{"offset_seconds": 86400}``: set the emulator's clock, which stamps files and ends tokens and keys, this
    far from the real one. The Date header stays true: b2sdk refuses a server whose clock is off.
``POST /_emulator/reset``
    ``{"buckets": {"acme-files": "allPrivate"}}``: begin anew, with these buckets, no files, no keys but the
    master key and a new one that may do everything: ``{"applicationKeyId": "...", "applicationKey": "..."}``.
"""

import re
from http import HTTPStatus
from ipaddress import ip_address

from b2fields.emulator import auth, fresh
from b2fields.emulator.call import Json
from b2fields.emulator.errors import B2Error, method_not_allowed, not_found
from b2fields.emulator.exchange import Exchange
from b2fields.emulator.faults import Script, parse_fault
from b2fields.emulator.log import Log
from b2fields.emulator.params import Params
from b2fields.emulator.state import State

PREFIX = "/_emulator/"
NAMES = (
    *("bandwidth", "clock", "counters", "expire_tokens", "faults", "latency", "refuse", "requests", "reset"),
)
_HOST = re.compile(r"\[(?P<v6>[^]]*)\](:[0-9]+)?|(?P<other>[^:]*)(:[0-9]+)?")


def check_sender(exchange: Exchange) -> None:
    """Refuse what a browser may send for a web page.

    Browsers name the page's origin in all that changes anything. If a page's own name was made to point here
    (DNS rebinding) they may leave it out, but then that name is the Host, and it has a dot.
    """
    match = _HOST.fullmatch(exchange.host)
    host = match and (match["v6"] or match["other"])
    if "origin" in exchange.headers or not host or not _is_local(host):
        raise B2Error(
            HTTPStatus.FORBIDDEN,
            "access_denied",
            "The control plane is not for web pages: leave out Origin; use an address or a name without dots",
        )


def _is_local(host: str) -> bool:
    if "." not in host or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def control(state: State, script: Script, exchange: Exchange, body: Json) -> Json:
    """Do what the method and the path after the prefix ask for."""
    match exchange.method, exchange.path.removeprefix(PREFIX):
        case "GET", "requests":
            return {"requests": [entry.to_json() for entry in script.log.entries]}
        case "GET", "counters":
            return script.log.counters()
        case "DELETE", "requests":
            script.log = Log()
        case "POST", "faults":
            script.faults.append(parse_fault(body))
        case "DELETE", "faults":
            script.faults.clear()
        case "POST", "latency":
            script.latency = Params(body).seconds("seconds")
        case "POST", "bandwidth":
            params = Params(body)
            is_limited = "bytes_per_second" in params
            script.bandwidth = params.number("bytes_per_second", None, 1, 2**53) if is_limited else None
        case "POST", "refuse":
            script.refuse(Params(body).seconds("seconds"), exchange.transport)
        case "POST", "expire_tokens":
            auth.expire_all(state)
        case "POST", "clock":
            state.clock_offset = Params(body).seconds("offset_seconds")
        case "POST", "reset":
            return fresh.begin(state, script, Params(body))
        case _, name if name in NAMES:
            raise method_not_allowed(exchange.method)
        case _, name:
            raise not_found(f"The control plane has no {name}")
    return {}
