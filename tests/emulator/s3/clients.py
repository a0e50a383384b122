"""A site that signs URLs with botocore, and a browser that follows them exactly as they are written."""

import base64
import hashlib
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

import botocore.session
import httpx
from botocore import parsers
from botocore.config import Config

from b2fields.emulator import signature

from ..clients import NO_CERTIFICATES

BODY = b"0123456789"
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
WEEK = 604_800


class Site:
    """Signs URLs with one application key, as the server of a site does."""

    _session = botocore.session.Session()

    def __init__(self, realm, key):
        self.realm = realm
        self.key = key

    @cache  # noqa: B019 - making a client takes long, and a site lives as long as a test
    def _client(self, endpoint, style, region):
        config = Config(signature_version="s3v4", s3={"addressing_style": style})
        return self._session.create_client(
            "s3",
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=self.key[0],
            aws_secret_access_key=self.key[1],
            config=config,
        )

    def sign(self, operation, bucket, name, seconds=60, style="path", region="us-west-004", **params):
        endpoint = self.realm.replace("127.0.0.1", "localhost") if style == "virtual" else self.realm
        client = self._client(endpoint, style, region)
        params |= {"Bucket": bucket, "Key": name}
        url = client.generate_presigned_url(operation, Params=params, ExpiresIn=seconds)
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
        return url

    def get(self, bucket, name, **more):
        return self.sign("get_object", bucket, name, **more)

    def head(self, bucket, name, **more):
        return self.sign("head_object", bucket, name, **more)

    def put(self, bucket, name, **more):
        return self.sign("put_object", bucket, name, **more)


class Browser:
    """Sends requests for URLs exactly as they are written; all hosts lead to the emulator."""

    def __init__(self, realm):
        self.http = httpx.Client(base_url=realm, timeout=20, verify=NO_CERTIFICATES)

    def send(self, method, url, **more):
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Host": parts.netloc} | more.pop("headers", {})
        return self.http.request(method, "/", headers=headers, extensions={"target": target.encode()}, **more)

    def get(self, url, **headers):
        return self.send("GET", url, headers=headers)

    def head(self, url, **headers):
        return self.send("HEAD", url, headers=headers)

    def put(self, url, content=BODY, **headers):
        return self.send("PUT", url, content=content, headers=headers)


def s3_problem(answer):
    """Return status and code of an error, as a client of S3 reads them."""
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["x-amz-request-id"]
    response = {"status_code": answer.status_code, "headers": answer.headers, "body": answer.content}
    error = parsers.create_parser("rest-xml").parse(response, None)["Error"]
    assert error["Message"]
    return answer.status_code, error["Code"]


def names_stored(native, bucket):
    return [
        (file["fileName"], file["action"])
        for file in native.call("b2_list_file_versions", bucketId=bucket)["files"]
    ]


def presign_by_hand(emulator, key, path, query, headers=None, payload="UNSIGNED-PAYLOAD"):
    """Sign a PUT as botocore does not: with more in the query, or with the digest of the body."""
    host = emulator.realm.removeprefix("http://")
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/us-west-004/s3/aws4_request"
    signed = {"host": host} | (headers or {})
    pairs = {
        **query,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{key[0]}/{scope}",
        "X-Amz-Date": date,
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": ";".join(sorted(signed)),
    }
    canonical = signature.canonical_request("PUT", path, pairs.items(), signed, sorted(signed), payload)
    pairs["X-Amz-Signature"] = signature.sign(key[1], scope, date, canonical)
    return f"{emulator.realm}{path}?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in pairs.items())


def md5_header(body):
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def stored_bodies(emulator):
    data = Path(emulator.ready["data"])
    return sorted(path.name for folder in ("incoming", "bodies") for path in (data / folder).iterdir())


def wait_until(condition):
    """Ask again and again, but not for ever."""
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
