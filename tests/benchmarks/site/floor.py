"""The least that a view must do: no check, no conditions, no range, and what is cut off stays cut off.

It reads as much at once as b2fields, so that it differs by what else b2fields does.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

from b2sdk import v3
from django.apps import apps
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import aget_object_or_404, get_object_or_404

from b2fields.download import CHUNK


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

    def chunks() -> Iterator[bytes]:
        while data := answer.raw.read(CHUNK):
            yield data

    return respond(chunks(), answer)


async def asgi(request: HttpRequest, name: str) -> StreamingHttpResponse:
    answer = await asyncio.to_thread(download, name)

    async def chunks() -> AsyncIterator[bytes]:
        while data := await asyncio.to_thread(answer.raw.read, CHUNK):
            yield data

    return respond(chunks(), answer)


# The same for those who are signed in, and for names that a row has: what any site with accounts would ask.


@login_required
def checked_wsgi(request: HttpRequest, name: str) -> StreamingHttpResponse:
    get_object_or_404(apps.get_model("papers", "Paper"), file=name)
    return wsgi(request, name)


@login_required
async def checked_asgi(request: HttpRequest, name: str) -> StreamingHttpResponse:
    await aget_object_or_404(apps.get_model("papers", "Paper"), file=name)
    return await asgi(request, name)


def respond(chunks: Any, answer: Any) -> StreamingHttpResponse:
    headers = {name: answer.headers[name] for name in ("Content-Type", "Content-Length")}
    return StreamingHttpResponse(chunks, headers=headers)
