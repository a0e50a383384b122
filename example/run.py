"""Start the example: the B2 emulator and the site, two processes that begin and end together.

Needs the standard library and the installed package, no more; ``make example`` sees to the package.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from matters.demo_users import USERS
from office import settings

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
Process = subprocess.Popen[str]


class Stopped(Exception):
    """Somebody asked the example to stop."""


class Failed(Exception):
    """The example cannot go on; the message says why."""


# A handler that raised could strike between the start of a process and our knowing it, so it takes a
# note, which every wait looks at.
signals_seen: list[int] = []


def main() -> int:
    options = parse()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: signals_seen.append(number))
    try:
        run(options)
    except Stopped:
        say("\nStopped. The data is kept for the next start.")
        return 0
    except Failed as reason:
        print(f"\n{reason}", file=sys.stderr, flush=True)
    return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Start the example site and its B2 emulator.")
    parser.add_argument("--port", type=int, default=8000, help="port of the site (default: %(default)s)")
    parser.add_argument(
        "--b2-port", type=int, default=8765, help="port of the emulator (default: %(default)s)"
    )
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    """Run both processes until one of them ends (Failed) or somebody asks to stop (Stopped)."""
    for module in ("b2fields", "PIL", "starlette", "uvicorn"):
        if find_spec(module) is None:
            raise Failed(
                f'{module} is missing here: run "make example", or pip install -e ".[images,emulator]"'
            )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "office.settings",
        "EXAMPLE_DATA": str(settings.DATA),
        # What listens on this machine is not asked through a proxy.
        "no_proxy": HOST,
    }
    manage = [sys.executable, str(HERE / "manage.py")]

    b2_port = free_port(options.b2_port, "the emulator")
    with started(emulator_command(b2_port), environment, stdout=subprocess.PIPE) as emulator:
        environment["EXAMPLE_REALM"] = realm = ready(emulator)
        finish([*manage, "migrate", "--verbosity", "0"], environment)
        finish([*manage, "load_demo"], environment)

        port = free_port(options.port, "the site")
        command = [*manage, "runserver", "--noreload", f"{HOST}:{port}"]
        # Its banner would say again what we are about to say.
        with started(command, environment, stdout=subprocess.DEVNULL) as site:
            while not accepts(port):
                pause(emulator=emulator, site=site)
            announce(f"http://{HOST}:{port}/", realm)
            while True:
                pause(emulator=emulator, site=site)


def emulator_command(port: int) -> list[str]:
    key = f"{settings.B2FIELDS_APPLICATION_KEY_ID}:{settings.B2FIELDS_APPLICATION_KEY}"
    return [
        *(sys.executable, "-m", "b2fields.emulator", "--json"),
        *("--host", HOST, "--port", str(port), "--data", str(settings.DATA / "b2")),
        *("--key", key, "--bucket", f"{settings.B2FIELDS_BUCKET}:allPrivate"),
    ]


def free_port(wanted: int, whose: str) -> int:
    """Return the port that is wanted, or the next that is free."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            # As servers do: a port that the last run left a moment ago counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        if port != wanted:
            say(f"Port {wanted} is busy; {whose} uses {port}.")
        return port
    raise Failed(f"No port from {wanted} to {wanted + 99} is free for {whose}.")


@contextmanager
def started(command: list[str], environment: dict[str, str], **options: Any) -> Iterator[Process]:
    """Run a process, and end it when the block ends."""
    # In a session of its own, Ctrl-C reaches us alone, and we end the site before its storage.
    process = subprocess.Popen(command, env=environment, text=True, start_new_session=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def ready(emulator: Process) -> str:
    """Wait until the emulator accepts requests, and return its address."""
    line = emulator.stdout.readline()
    if not line:
        emulator.wait()
        raise Failed(
            "The emulator did not start. "
            "If the example is already running in another terminal, stop that one."
        )
    return json.loads(line)["realm"]


def finish(command: list[str], environment: dict[str, str]) -> None:
    """Run a command of manage.py to its end."""
    with started(command, environment) as process:
        while process.poll() is None:
            pause()
    if process.returncode:
        raise Failed(f"manage.py {command[2]} failed, so the site was not started.")


def pause(**needed: Process) -> None:
    """Wait a moment. Raises Stopped or Failed if there is nothing left to wait for."""
    time.sleep(0.05)
    if signals_seen:
        raise Stopped
    for name, process in needed.items():
        if process.poll() is not None:
            raise Failed(f"The {name} ended (exit status {process.returncode}), so the example stops.")


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def announce(site: str, realm: str) -> None:
    users = [f"{f'{user.username} / {user.username}':<15} {user.role}" for user in USERS]
    say(f"""
  The b2fields example is ready.

  Site     {site}
  Admin    {site}admin/
  Users    {users[0]}
           {users[1]}
           {users[2]}
           {users[3]}
  B2       the emulator at {realm}, bucket {settings.B2FIELDS_BUCKET}
  Data     {settings.DATA} (delete it to start over)
  Stop     Ctrl-C
""")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
