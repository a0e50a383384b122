"""Starting and stopping ``python -m b2fields.emulator``."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import httpx
import pytest

from .clients import KEY, ROOT, Control, Native, environment, running, spawn


def read_prose(process):
    """Return the first lines of a start without --json."""
    lines = iter(process.stdout.readline, "")
    text = ""
    for line in lines:
        text += line
        if "boto3" in line:
            return text
    raise AssertionError(process.stderr.read())


def test_the_ready_line_tells_how_to_connect(tmp_path):
    with running(
        tmp_path / "data", "--bucket", "some-bucket", "--bucket", "open-bucket:allPublic"
    ) as emulator:
        assert emulator.ready == {
            "event": "ready",
            "realm": f"http://127.0.0.1:{emulator.ready['port']}",
            "port": emulator.ready["port"],
            "application_key_id": KEY[0],
            "application_key": KEY[1],
            "data": str(tmp_path / "data"),
            "buckets": ["open-bucket", "some-bucket"],
        }


def test_buckets_of_the_command_line_have_the_type_that_it_gives(tmp_path):
    with running(tmp_path, "--bucket", "some-bucket", "--bucket", "open-bucket:allPublic") as emulator:
        native = Native(emulator.realm)
        buckets = native.account_call("b2_list_buckets")["buckets"]
        native.http.close()
    assert {b["bucketName"]: b["bucketType"] for b in buckets} == {
        "some-bucket": "allPrivate",
        "open-bucket": "allPublic",
    }


def test_the_prose_tells_each_client_where_to_go(tmp_path):
    with spawn("--port", "0", "--data", str(tmp_path), "--key", "an-id:a-secret") as process:
        text = read_prose(process)
        process.terminate()
    realm = text.split()[4].rstrip(",")
    assert f'B2FIELDS_REALM = "{realm}"' in text
    assert f'authorize_account("an-id", "a-secret", "{realm}")' in text
    assert f"B2_ENVIRONMENT={realm}" in text
    assert f"RCLONE_B2_ENDPOINT={realm}" in text
    assert f'endpoint_url="{realm}"' in text
    assert str(tmp_path) in text


def test_a_made_key_is_kept_with_the_data(tmp_path):
    keys = []
    for _ in range(2):
        with spawn("--port", "0", "--data", str(tmp_path), "--json") as process:
            ready = json.loads(process.stdout.readline())
            process.terminate()
        keys.append((ready["application_key_id"], ready["application_key"]))
    assert keys[0] == keys[1]


def test_the_key_of_the_environment_is_the_master_key(tmp_path):
    variables = {"B2_APPLICATION_KEY_ID": "from-env", "B2_APPLICATION_KEY": "secret-from-env"}
    with spawn("--port", "0", "--data", str(tmp_path), "--json", **variables) as process:
        ready = json.loads(process.stdout.readline())
        process.terminate()
    assert (ready["application_key_id"], ready["application_key"]) == ("from-env", "secret-from-env")


def test_another_key_on_the_command_line_replaces_the_master_key(tmp_path):
    with running(tmp_path):
        pass
    with spawn("--port", "0", "--data", str(tmp_path), "--json", "--key", "new:secret") as process:
        realm = json.loads(process.stdout.readline())["realm"]
        old = httpx.get(f"{realm}/b2api/v4/b2_authorize_account", auth=KEY)
        new = httpx.get(f"{realm}/b2api/v4/b2_authorize_account", auth=("new", "secret"))
        process.terminate()
    assert (old.status_code, new.status_code) == (401, 200)


def test_a_busy_port_is_one_clear_line_and_leaves_no_data_behind(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with spawn("--port", port, "--data", str(tmp_path / "data")) as process:
            output, errors = process.communicate()
    assert process.returncode == 1
    assert output == ""
    assert errors.count("\n") == 1
    assert f"Port {port} of 127.0.0.1 is busy" in errors
    assert "--port" in errors
    assert not (tmp_path / "data").exists()


def test_a_second_emulator_on_the_same_data_is_refused(tmp_path):
    with running(tmp_path), spawn("--port", "0", "--data", str(tmp_path)) as second:
        output, errors = second.communicate()
    assert second.returncode == 1
    assert output == ""
    assert errors.count("\n") == 1
    assert f"Another emulator uses {tmp_path}" in errors
    assert "--data" in errors


def test_a_data_directory_of_another_version_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "emulator.sqlite3")) as database:
        database.execute("PRAGMA user_version = 1")
    with spawn("--port", "0", "--data", str(tmp_path)) as process:
        output, errors = process.communicate()
    assert process.returncode == 1
    assert output == ""
    assert errors.count("\n") == 1
    assert f"Another version of the emulator made {tmp_path}" in errors
    assert "--data" in errors


def test_a_data_directory_that_cannot_be_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with spawn("--port", "0", "--data", str(tmp_path / "file")) as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "Choose another directory with --data" in errors


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_a_missing_dependency_is_one_clear_line(module):
    hide = f"import runpy, sys; sys.modules[{module!r}] = None; "
    hide += "runpy.run_module('b2fields.emulator', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", hide], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'pip install "django-b2fields[emulator]"' in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--port", "http"), id="a port is a number"),
        pytest.param(("--port", "65536"), id="a port is below 65536"),
        pytest.param(("--key", "only-an-id"), id="a key has an id and a secret"),
        pytest.param(("--bucket", "tiny"), id="a bucket name has six characters"),
        pytest.param(("--bucket", "some-bucket:public"), id="a bucket type is one of B2's"),
    ],
)
def test_wrong_arguments_are_refused(arguments):
    with spawn(*arguments) as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert f"argument {arguments[0]}" in errors


def test_half_a_key_in_the_environment_is_refused(tmp_path):
    with spawn("--data", str(tmp_path), B2_APPLICATION_KEY_ID="alone") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "B2_APPLICATION_KEY" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_although_a_connection_is_open(tmp_path, number):
    with running(tmp_path) as emulator, httpx.Client() as client:
        client.get(emulator.realm)
        emulator.process.send_signal(number)
        assert emulator.process.wait(timeout=10) == 0  # far less than a connection is kept alive


def test_it_can_be_asked_to_end_with_the_program_that_started_it(tmp_path):
    starter = (
        "import os, subprocess, sys; "
        "emulator = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, text=True); "
        "sys.stdin.readline(); os._exit(1)"
    )
    command = [sys.executable, "-m", "b2fields.emulator", "--port", "0", "--json", "--until-eof"]
    with subprocess.Popen(
        [sys.executable, "-c", starter, *command, "--data", str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert json.loads(process.stdout.readline())["event"] == "ready"
        process.stdin.write("now\n")
        process.stdin.flush()
        assert process.wait(10) == 1
        # The emulator holds the other end of this pipe for as long as it lives.
        assert process.stdout.read() == ""


def test_a_download_on_its_way_does_not_keep_it_from_ending(tmp_path):
    with running(tmp_path, "--bucket", "some-bucket") as emulator:
        native = Native(emulator.realm)
        bucket_id = native.account_call("b2_list_buckets")["buckets"][0]["bucketId"]
        native.upload(bucket_id, "large", bytes(20_000_000))
        headers = {"Authorization": native.token}
        with httpx.stream("GET", f"{emulator.realm}/file/some-bucket/large", headers=headers) as answer:
            assert answer.status_code == 200
            emulator.process.terminate()
            assert emulator.process.wait(timeout=10) == 0
        native.http.close()


def idle(emulator, native, control):
    return socket.create_connection(("127.0.0.1", emulator.ready["port"]))


def uploading(emulator, native, control):
    """Send the beginning of a file, and see it arrive."""
    bucket_id = native.account_call("b2_list_buckets")["buckets"][0]["bucketId"]
    url, token = native.upload_url(bucket_id)
    connection = socket.create_connection(("127.0.0.1", emulator.ready["port"]))
    head = f"POST {url.removeprefix(native.realm)} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
    head += "X-Bz-File-Name: name\r\nContent-Type: text/plain\r\nX-Bz-Content-Sha1: do_not_verify\r\n"
    connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + bytes(1000))
    while control.requests()[-1]["bytes_received"] < 1000:
        pass
    return connection


def downloading(emulator, native, control, bytes_per_second=None):
    """Ask for a file, and see the answer begin."""
    native.upload(native.account_call("b2_list_buckets")["buckets"][0]["bucketId"], "name", bytes(2_000_000))
    control.set("bandwidth", bytes_per_second=bytes_per_second)
    connection = asking(emulator, native, control)
    connection.recv(1)
    return connection


def asking(emulator, native, control):
    """Ask for a file, and see that the emulator knows."""
    connection = socket.create_connection(("127.0.0.1", emulator.ready["port"]))
    request = f"GET /file/some-bucket/name HTTP/1.1\r\nHost: x\r\nAuthorization: {native.token}\r\n\r\n"
    connection.sendall(request.encode())
    while control.requests()[-1]["operation"] != "b2_download_file_by_name":
        pass
    return connection


def stalled(emulator, native, control):
    control.fault("b2_download_file_by_name", stall_after=1000)
    return downloading(emulator, native, control)


def paced(emulator, native, control):
    return downloading(emulator, native, control, bytes_per_second=1000)


def delayed(emulator, native, control):
    control.fault("b2_download_file_by_name", delay=600)
    return asking(emulator, native, control)


def refused(emulator, native, control):
    connection = idle(emulator, native, control)
    control.set("refuse", seconds=600)
    return connection


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("situation", [uploading, downloading, stalled, paced, delayed, refused])
def test_a_signal_ends_it_cleanly_whatever_it_is_doing(tmp_path, situation, number):
    with running(tmp_path, "--bucket", "some-bucket") as emulator:
        native, control = Native(emulator.realm), Control(emulator.realm)
        with situation(emulator, native, control):
            emulator.process.send_signal(number)
            assert emulator.process.wait(timeout=10) == 0
        native.http.close()
        control.http.close()
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("name", ["requests", "faults", "refuse", "reset", ""])
def test_the_control_plane_is_off_unless_asked_for(uncontrolled, method, name):
    assert httpx.request(method, f"{uncontrolled}/_emulator/{name}").status_code == 404


@pytest.fixture(scope="module")
def uncontrolled(tmp_path_factory):
    """The realm of an emulator without control plane."""
    with spawn("--port", "0", "--data", str(tmp_path_factory.mktemp("data")), "--json") as process:
        yield json.loads(process.stdout.readline())["realm"]
        process.terminate()


def test_the_data_directory_is_its_users_alone(tmp_path):
    with running(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_the_data_directory_keeps_itself_out_of_git(tmp_path):
    with running(tmp_path / "data"):
        pass
    assert (tmp_path / "data" / ".gitignore").read_text() == "*\n"
