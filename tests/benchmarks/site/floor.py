"""The least that a view must do: no check, no conditions, no range, and what is cut off stays cut off."""

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from b2sdk import v3
from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse

# The fastest of 64 KiB, 128 KiB, 256 KiB and 1 MiB, under both servers.
CHUNK = 128 * 1024


@cache
def bucket() -> v3.Bucket:
    api = v3.B2Api(v3.InMemoryAccountInfo())
    api.authorize_account(settings.PLACE.key_id, settings.PLACE.key, settings.PLACE.url)
    return api.get_bucket_by_name(settings.PLACE.bucket)


def download(name: str) -> Any:
    """Return the answer of B2 as requests has it, its body unread."""
    return bucket().download_file_by_name(name).response


def wsgi(request: HttpRequest, name: str) -> StreamingHttpResponse:
    answer = download(name)
    return respond(answer.iter_content(CHUNK), answer)


async def asgi(request: HttpRequest, name: str) -> StreamingHttpResponse:
    answer = await asyncio.to_thread(download, name)

    async def chunks() -> AsyncIterator[bytes]:
        while data := await asyncio.to_thread(answer.raw.read, CHUNK):
            yield data

    return respond(chunks(), answer)


def respond(chunks: Any, answer: Any) -> StreamingHttpResponse:
    headers = {name: answer.headers[name] for name in ("Content-Type", "Content-Length")}
    return StreamingHttpResponse(chunks, headers=headers)
