"""A running emulator and a plain HTTP client for it; b2sdk is the other client of these tests."""

import hashlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from b2sdk.v3 import B2Api, InMemoryAccountInfo

ROOT = Path(__file__).resolve().parents[2]
# All is plain HTTP; without this, every client would spend 30 ms on loading certificates.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
KEY = ("key-of-the-tests", "secret-of-the-tests")


def environment(**more: str) -> dict[str, str]:
    """Return the environment of an emulator process: without Django and without the user's keys."""
    hidden = ("DJANGO_SETTINGS_MODULE", "B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY")
    return {name: value for name, value in os.environ.items() if name not in hidden} | more


def spawn(*arguments: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "b2fields.emulator", *arguments],
        cwd=ROOT,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Running:
    """An emulator that accepts connections."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def realm(self) -> str:
        return str(self.ready["realm"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running(data: Path, *arguments: str) -> Iterator[Running]:
    """Start an emulator with control plane on a free port; stop it at the end and see that it ended well."""
    key = ":".join(KEY)
    process = spawn("--port", "0", "--data", str(data), "--key", key, "--control", "--json", *arguments)
    with process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield Running(process, json.loads(line))
        finally:
            was_killed = process.poll() is not None
            process.terminate()
            errors = process.stderr.read()
    assert errors == "", errors
    assert was_killed or process.returncode == 0


def sha1(body: bytes) -> str:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()


class Native:
    """B2's native API by plain HTTP, with one application key."""

    def __init__(self, realm: str, key: tuple[str, str] = KEY) -> None:
        self.realm = realm
        self.http = httpx.Client(base_url=realm, timeout=20, verify=NO_CERTIFICATES)
        answer = self.http.get("/b2api/v4/b2_authorize_account", auth=key)
        assert answer.status_code == 200, answer.text
        self.account = answer.json()
        self.token = self.account["authorizationToken"]

    def post(
        self, operation: str, *, version: int = 4, token: str | None = None, **params: Any
    ) -> httpx.Response:
        headers = {"Authorization": self.token if token is None else token}
        return self.http.post(f"/b2api/v{version}/{operation}", json=params, headers=headers)

    def call(self, operation: str, **params: Any) -> Any:
        answer = self.post(operation, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def account_call(self, operation: str, **params: Any) -> Any:
        return self.call(operation, accountId=self.account["accountId"], **params)

    def create_bucket(self, name: str, kind: str = "allPrivate", **params: Any) -> str:
        bucket = self.account_call("b2_create_bucket", bucketName=name, bucketType=kind, **params)
        return str(bucket["bucketId"])

    def create_key(self, *capabilities: str, **params: Any) -> tuple[str, str]:
        key = self.account_call("b2_create_key", capabilities=capabilities, keyName="a-key", **params)
        return key["applicationKeyId"], key["applicationKey"]

    def upload_url(self, bucket_id: str) -> tuple[str, str]:
        answer = self.call("b2_get_upload_url", bucketId=bucket_id)
        return answer["uploadUrl"], answer["authorizationToken"]

    def send(self, url: str, token: str, name: str, body: Any, **headers: str | None) -> httpx.Response:
        """Upload; *headers* with underscores add to or replace the usual ones, None takes one away."""
        sent: dict[str, str | None] = {
            "Authorization": token,
            "X-Bz-File-Name": quote(name),
            "Content-Type": "b2/x-auto",
            "X-Bz-Content-Sha1": sha1(body) if isinstance(body, bytes) else "do_not_verify",
        }
        sent |= {key.replace("_", "-").title(): value for key, value in headers.items()}
        kept = {key: value for key, value in sent.items() if value is not None}
        return self.http.post(url, content=body, headers=kept)

    def upload(self, bucket_id: str, name: str, body: Any = b"content", **headers: str | None) -> Any:
        answer = self.send(*self.upload_url(bucket_id), name, body, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(
        self, bucket: str, name: str, *, method: str = "GET", token: str | None = None, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": self.token if token is None else token} | more.pop("headers", {})
        return self.http.request(method, f"/file/{bucket}/{quote(name)}", headers=headers, **more)

    def raw_get(self, path: str) -> httpx.Response:
        """GET a path exactly as given, percent signs and dots included."""
        headers = {"Authorization": self.token}
        return self.http.get("/", headers=headers, extensions={"target": path.encode()})

    def names(self, bucket_id: str, **params: Any) -> list[str]:
        return [
            file["fileName"]
            for file in self.call("b2_list_file_names", bucketId=bucket_id, **params)["files"]
        ]


class Control:
    """The control plane."""

    def __init__(self, realm: str) -> None:
        self.http = httpx.Client(base_url=f"{realm}/_emulator", timeout=20, verify=NO_CERTIFICATES)

    def _do(self, method: str, name: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._do("GET", "requests")["requests"]
        return found

    def counters(self) -> dict[str, Any]:
        found: dict[str, Any] = self._do("GET", "counters")
        return found

    def clear_requests(self) -> None:
        self._do("DELETE", "requests")

    def fault(self, operation: str, **params: Any) -> None:
        self._do("POST", "faults", {"operation": operation, **params})

    def set(self, name: str, **params: Any) -> None:
        self._do("POST", name, params)

    def reset(self) -> None:
        self._do("DELETE", "faults")
        self.set("latency", seconds=0)
        self.set("clock", offset_seconds=0)
        self.clear_requests()


@contextmanager
def sdk(realm: str, key: tuple[str, str] = KEY) -> Iterator[B2Api]:
    """Give b2sdk, signed in at the emulator."""
    api = B2Api(InMemoryAccountInfo())
    api.authorize_account(*key, realm)
    yield api
    api.session.raw_api.b2_http.session.close()


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an error, having seen that it is told as B2 tells errors."""
    body = answer.json()
    assert set(body) == {"status", "code", "message"}
    assert body["status"] == answer.status_code
    assert body["message"]
    return answer.status_code, body["code"]
