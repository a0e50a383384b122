"""What the tests of serving share: objects put behind the library's back, rows, visitors and answers."""

import os
from functools import cache
from pathlib import Path

from b2sdk import v3
from django.apps import apps
from django.core.files.base import ContentFile
from django.test import Client

from tests import emulated

ROUTES = {"public": "b2", "login": "b2l", "staff": "b2s", "object": "b2o"}

# The fields of tests.legal and the level that each declares.
LEVELS = {
    "legal.contract.cover": "public",
    "legal.picture.image": "public",
    "legal.contract.minutes": "login",
    "legal.letter.file": "login",
    "legal.contract.scan": "staff",
    "legal.report.file": "staff",
    "legal.invoice.file": "staff",
    "legal.deed.file": "staff",
    "legal.contract.dossier": "object",
    "legal.permit.paper": "object",
    "legal.ruling.file": "object",
}

# The request log is asked for these where only downloads matter and not how they were authorized.
GET, GET_BY_ID, HEAD = "b2_download_file_by_name", "b2_download_file_by_id", "head_file_by_name"
AUTHORIZE = "b2_authorize_account"


@cache
def _api(realm):
    api = v3.B2Api(v3.InMemoryAccountInfo())
    api.authorize_account(emulated.KEY_ID, emulated.KEY, realm)
    return api


@cache
def _bucket(realm, name):
    return _api(realm).get_bucket_by_name(name)


def put(emulator, bucket, name, data=b"the file", content_type="text/html", **info):
    """Put an object into a bucket without b2fields: no row, nothing known of it."""
    return _bucket(emulator.realm, bucket).upload_bytes(
        data, name, content_type=content_type, file_info=info or None
    )


def full_name(label, name):
    return f"vault/{name}" if label == "legal.deed.file" else name


def path_of(label, name, level=None):
    return f"/{ROUTES[level or LEVELS[label]]}/{label}/{name}"


def hold(label, name, **values):
    """Make a row whose field is this name, as assigning text does: nothing is sent to B2."""
    model, _, field = label.rpartition(".")
    return apps.get_model(model).objects.create(**{field: name}, **values)


def store(label, filename, data=b"the file", **values):
    """Upload through the field, and return the row."""
    model, _, field = label.rpartition(".")
    row = apps.get_model(model)(**values)
    getattr(row, field).save(filename, ContentFile(data))
    return row


def signed_in(user=None, **options):
    client = Client(**options)
    if user is not None:
        client.force_login(user)
    return client


def body_of(response):
    """Return the whole body, and let go of what the response holds."""
    try:
        return b"".join(response.streaming_content) if response.streaming else response.content
    finally:
        response.close()


def told(response):
    """Return everything that a client can tell two answers apart by, except the time."""
    headers = {name: value for name, value in response.headers.items() if name != "Date"}
    return response.status_code, headers, response.cookies.output(), body_of(response)


def opened_by(pid):
    """Return what a process has open."""
    names = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.append(os.readlink(entry))
        except FileNotFoundError:
            continue
    return names


def sockets(pid, port):
    """Return the connections to a port of this machine that a process holds open."""
    held = set(opened_by(pid))
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *rest = line.split()
        established = state == "01" and int(remote.rpartition(":")[2], 16) == port
        if established and (socket := f"socket:[{rest[5]}]") in held:
            found.add(socket)
    return found


def connections(pid, port):
    return len(sockets(pid, port))
