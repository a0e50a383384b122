"""The command line: ``python -m b2fields.emulator``."""

import argparse
import errno
import json
import os
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

try:
    import starlette  # noqa: F401 - asked here, so that the answer is a sentence
    import uvicorn  # noqa: F401
except ImportError:
    sys.exit('The emulator needs Starlette and uvicorn: pip install "django-b2fields[emulator]"')

from b2fields.emulator import buckets, rules
from b2fields.emulator.app import Emulator
from b2fields.emulator.database import DataInUse, OtherSchema
from b2fields.emulator.errors import B2Error
from b2fields.emulator.faults import Script
from b2fields.emulator.server import bind, exit_on_eof, exit_on_signals, serve
from b2fields.emulator.state import State

DEFAULT_DATA = ".b2-emulator"
# Where clients on this machine find a server that listens everywhere.
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - this only reads what the user asked for


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m b2fields.emulator",
        description="A local Backblaze B2: its native API over HTTP, its data in a directory.",
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    if options.key is None:
        key_id, secret = os.environ.get("B2_APPLICATION_KEY_ID"), os.environ.get("B2_APPLICATION_KEY")
        if bool(key_id) != bool(secret):
            parser.error(
                "set both B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY in the environment, or neither"
            )
        options.key = (key_id, secret) if key_id else None
    run(options)


def run(options: argparse.Namespace) -> None:
    """Run the emulator until it is told to stop; *options* are those of ``add_arguments``."""
    exit_on_signals()
    if options.until_eof:
        exit_on_eof()
    # The port first: where it is busy, no data directory is left behind.
    with open_port(options) as bound, closing(open_state(options)) as state:
        key = state.set_master_key(options.key)
        for name, kind in options.bucket:
            if buckets.by_name(state, name) is None:
                buckets.create(state, name, kind)
        emulator = Emulator(state, Script() if options.control else None)
        host = ANYWHERE.get(options.host, f"[{options.host}]" if ":" in options.host else options.host)
        port = bound.getsockname()[1]
        serve(emulator, bound, lambda: announce(options, state, key, f"http://{host}:{port}", port))


def open_port(options: argparse.Namespace) -> socket.socket:
    try:
        return bind(options.host, options.port)
    except OSError as error:
        fail(explain(options, error))


def open_state(options: argparse.Namespace) -> State:
    try:
        return State(options.data)
    except DataInUse:
        fail(f"Another emulator uses {options.data}. Stop it, or choose another directory with --data.")
    except OtherSchema:
        fail(
            f"Another version of the emulator made {options.data}. "
            "Delete it, or choose another directory with --data."
        )
    except (OSError, sqlite3.Error) as error:
        fail(f"Cannot keep data in {options.data}: {error}. Choose another directory with --data.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8765, help="0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(DEFAULT_DATA),
        metavar="DIR",
        help="where files live (default: ./%(default)s)",
    )
    parser.add_argument(
        "--key",
        type=application_key,
        metavar="ID:SECRET",
        help="the master application key (default: B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY of the "
        "environment, else one that is made, kept in DIR and printed)",
    )
    parser.add_argument(
        "--bucket",
        type=bucket,
        action="append",
        default=[],
        metavar="NAME:TYPE",
        help="create this bucket if it is missing; TYPE: allPrivate (default) or allPublic; repeatable",
    )
    parser.add_argument(
        "--control", action="store_true", help="serve the control plane for tests at /_emulator/"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON when ready, instead of prose"
    )
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="stop when standard input ends, and so with the program that holds its other end",
    )


def port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


def application_key(text: str) -> tuple[str, str]:
    key_id, _, secret = text.partition(":")
    if not key_id or not secret:
        raise argparse.ArgumentTypeError("must be ID:SECRET")
    return key_id, secret


def bucket(text: str) -> tuple[str, str]:
    name, _, kind = text.partition(":")
    try:
        rules.check_bucket_name(name)
        rules.check_bucket_type(kind or "allPrivate")
    except B2Error as error:
        raise argparse.ArgumentTypeError(error.message) from error
    return name, kind or "allPrivate"


def explain(options: argparse.Namespace, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {options.port} of {options.host} is busy. Stop what listens there, "
            "or choose another port with --port (0 takes a free one)."
        )
    return f"Cannot listen on port {options.port} of {options.host}: {error.strerror or error}."


def fail(message: str) -> NoReturn:
    sys.exit(message)


def announce(options: argparse.Namespace, state: State, key: tuple[str, str], realm: str, port: int) -> None:
    """Tell that connections are accepted, and how to use them."""
    rows = state.database.rows("SELECT name, type FROM buckets ORDER BY folded_name").fetchall()
    if options.json:
        line = {
            "event": "ready",
            "realm": realm,
            "port": port,
            "application_key_id": key[0],
            "application_key": key[1],
            "data": str(options.data),
            "buckets": [row["name"] for row in rows],
        }
        print(json.dumps(line), flush=True)
        return
    names = ", ".join(f"{row['name']} ({row['type']})" for row in rows) or "none yet"
    print(
        f"""\
Backblaze B2 emulator at {realm}, data in {options.data.resolve()}. Ctrl-C stops it.

  application key id  {key[0]}
  application key     {key[1]}
  buckets             {names}
  control plane       {f"{realm}/_emulator/" if options.control else "off (--control)"}

  b2fields   B2FIELDS_REALM = "{realm}"
  b2sdk      B2Api(InMemoryAccountInfo()).authorize_account("{key[0]}", "{key[1]}", "{realm}")
  b2         B2_ENVIRONMENT={realm} B2_APPLICATION_KEY_ID={key[0]} B2_APPLICATION_KEY={key[1]} b2 bucket list
  rclone     RCLONE_B2_ENDPOINT={realm} RCLONE_B2_ACCOUNT={key[0]} RCLONE_B2_KEY={key[1]} rclone lsd :b2:
  boto3      endpoint_url="{realm}", any region: presigned URLs, by a key of b2_create_key (not the one above)
""",
        flush=True,
    )


if __name__ == "__main__":
    main()
