"""The emulator as an ASGI application: which request is which operation, and how errors are told."""

import asyncio
import json
import re
import traceback
from inspect import isawaitable
from typing import Any
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from b2fields.emulator import accounts, auth, browser, control, downloads, rules, s3, testmode, uploads
from b2fields.emulator.call import Call, Json
from b2fields.emulator.downloads import Asked, Download
from b2fields.emulator.errors import B2Error, bad_request, method_not_allowed, not_emulated, not_found
from b2fields.emulator.exchange import ClientGone, Exchange
from b2fields.emulator.faults import Script
from b2fields.emulator.log import LISTS
from b2fields.emulator.operations import NOT_EMULATED, OPERATIONS
from b2fields.emulator.params import Params
from b2fields.emulator.state import State

MAX_JSON = 8 * 1024 * 1024  # far above the largest request there is: 10,000 SHA-1s of parts
AUTHORIZE = "b2_authorize_account"
DOWNLOAD_BY_ID = "b2_download_file_by_id"
UPLOADS = {"b2_upload_file": (uploads.upload_file, "bucket"), "b2_upload_part": (uploads.upload_part, "file")}
_API = re.compile(r"/b2api/v([1-4])/(b2_[a-z_]+)")
_FILE = re.compile(r"/file/([^/]+)/(.+)", re.DOTALL)
JSON_HEADERS = {"content-type": "application/json;charset=UTF-8", "cache-control": downloads.NO_STORE}


class Emulator:
    """Serves one data directory; *script* is the control plane's, or None if that is off."""

    def __init__(self, state: State, script: Script | None = None) -> None:
        self.state = state
        self.script = script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            try:
                if self.script is not None and exchange.path.startswith(control.PREFIX):
                    await self._control(exchange, self.script)
                else:
                    await self._serve(exchange)
            except B2Error as error:
                await _respond_error(exchange, error)
            except ClientGone:
                raise
            except Exception:  # noqa: BLE001 - the last resort of a server
                # Ours to fix, so show it to whoever runs this, and answer as B2 does when it fails.
                traceback.print_exc()
                if not exchange.has_started:
                    await _respond_error(
                        exchange, B2Error(500, "internal_error", "The emulator failed; see its output")
                    )
        except ClientGone:
            pass

    async def _control(self, exchange: Exchange, script: Script) -> None:
        control.check_sender(exchange)
        body = await _read_json(exchange)
        await _respond_json(exchange, 200, control.control(self.state, script, exchange, body))

    async def _serve(self, exchange: Exchange) -> None:
        api, file = _API.fullmatch(exchange.path), _FILE.fullmatch(exchange.path)
        if target := s3.find(self.state, exchange):
            exchange.entry.operation = s3.operation(exchange, target)
        else:
            exchange.entry.operation = _operation(exchange.method, api and api[2], is_file=file is not None)
        place: browser.Place | None = None
        if "origin" in exchange.headers:
            place = browser.Place(target and target.bucket, file and unquote(file[1]), api and api[2])
            if browser.is_preflight(exchange):
                exchange.entry.operation = browser.PREFLIGHT
            else:
                exchange.more_headers = browser.answer_headers(self.state, exchange, place)
        if self.script is not None:
            await self._follow_script(exchange, self.script)
        if place is not None and browser.is_preflight(exchange):
            await exchange.respond(200, browser.preflight_headers(self.state, exchange, place), 0, [])
            return
        if testmode.HEADER in exchange.headers and not target:
            modes = exchange.headers.getlist(testmode.HEADER)
            token = exchange.headers.get("authorization")
            testmode.apply(self.state, modes, exchange.entry.operation, token)
        if target:
            await s3.serve(self.state, exchange, target)
        elif api is not None:
            await self._api(exchange, int(api[1]), api[2])
        elif file is not None:
            _only(exchange, "GET", "HEAD")
            bucket, name = unquote(file[1]), rules.decode_name(file[2])
            await _respond_download(exchange, downloads.by_name(self.state, bucket, name, _asked(exchange)))
        else:
            raise not_found(f"No such path: {exchange.path}")

    async def _follow_script(self, exchange: Exchange, script: Script) -> None:
        script.log.add(exchange.entry)
        exchange.bandwidth = script.bandwidth
        fault = exchange.fault = script.take(exchange.entry.operation)
        delay = script.latency + (fault.delay if fault else 0)
        if delay > 0:
            await asyncio.sleep(delay)
        if fault is not None and fault.reset and fault.cut_after is None:
            await exchange.reset()
        if fault is not None and fault.status is not None:
            raise B2Error(fault.status, fault.code, fault.message)

    async def _api(self, exchange: Exchange, version: int, name: str) -> None:
        state, header = self.state, exchange.headers.get("authorization")
        if name == DOWNLOAD_BY_ID:
            _only(exchange, "GET", "HEAD")
            file_id = Params(exchange.query).text("fileId")
            await _respond_download(exchange, downloads.by_id(state, file_id, _asked(exchange)))
        elif name == AUTHORIZE:
            _only(exchange, "GET", "POST")
            answer = accounts.authorize(state, header, exchange.base_url, version)
            await _respond_json(exchange, 200, answer)
        elif name in UPLOADS:
            _only(exchange, "POST")
            receive, target = UPLOADS[name]
            upload = uploads.Upload(exchange.headers, exchange.query.get(target), exchange.chunks())
            await _respond_json(exchange, 200, await receive(state, upload))
        elif name in OPERATIONS:
            operation = OPERATIONS[name]
            _only(exchange, *(("GET", "POST") if operation.is_read else ("POST",)))
            token = auth.check(state, header, auth.ACCOUNT)
            values = exchange.query if exchange.method == "GET" else await _read_json(exchange)
            result = operation.do(Call(state, token.grant, Params(values), exchange.base_url, version))
            answer = await result if isawaitable(result) else result
            if name in LISTS:
                exchange.entry.bill(answer)
            await _respond_json(exchange, 200, answer)
        elif name in NOT_EMULATED:
            raise not_emulated(name)
        else:
            raise bad_request(f"Unknown operation {name}")


def _operation(method: str, name: str | None, is_file: bool) -> str:
    """Return the name under which the log and the faults know a request."""
    if is_file:
        name = "b2_download_file_by_name"
    if method == "HEAD" and name in ("b2_download_file_by_name", DOWNLOAD_BY_ID):
        return name.replace("b2_download_", "head_")
    return name or "unknown"


def _only(exchange: Exchange, *methods: str) -> None:
    if exchange.method not in methods:
        raise method_not_allowed(exchange.method)


def _asked(exchange: Exchange) -> Asked:
    token = exchange.headers.get("authorization") or exchange.query.get("Authorization")
    return Asked(token, exchange.headers.get("range"), exchange.query, exchange.headers)


async def _read_json(exchange: Exchange) -> Json:
    data = bytearray()
    async for chunk in exchange.chunks():
        data += chunk
        if len(data) > MAX_JSON:
            raise bad_request("The request body is too large")
    try:
        values: Any = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise bad_request("The request body is not valid JSON", "bad_json") from error
    if not isinstance(values, dict):
        raise bad_request("The request body must be a JSON object", "bad_json")
    return values


async def _respond_json(
    exchange: Exchange, status: int, answer: Json, headers: dict[str, str] | None = None
) -> None:
    body = json.dumps(answer).encode()
    await exchange.respond(status, JSON_HEADERS | (headers or {}), len(body), [body])


async def _respond_error(exchange: Exchange, error: B2Error) -> None:
    if exchange.entry.operation.startswith(s3.PREFIX):
        await s3.respond_error(exchange, error)
    elif exchange.method == "HEAD":
        await exchange.respond(error.status, error.headers, 0, [])
    else:
        answer = {"code": error.code, "message": error.message, "status": error.status}
        await _respond_json(exchange, error.status, answer, error.headers)


async def _respond_download(exchange: Exchange, download: Download) -> None:
    await exchange.respond(download.status, download.headers, download.length, download.chunks)
