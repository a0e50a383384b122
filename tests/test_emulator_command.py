"""``manage.py b2_emulator``: the emulator that fits the settings."""

import itertools
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def command(tmp_path):
    """Start the command under settings of the test's own; give the process."""

    @contextmanager
    def start(settings, *arguments):
        (tmp_path / "its_settings.py").write_text(f"from tests.settings import *\n{settings}\n")
        shown = {name: value for name, value in os.environ.items() if not name.startswith("B2_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "b2_emulator", "--data", str(tmp_path / "b2"), *arguments],
            cwd=tmp_path,
            env={
                **shown,
                "DJANGO_SETTINGS_MODULE": "its_settings",
                "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.terminate()
                assert process.stderr.read() == ""
        assert process.returncode == 0

    return start


def test_it_is_where_the_realm_says_with_the_key_and_the_buckets_of_the_settings(command, free_port):
    settings = f"""
B2FIELDS_REALM = "http://127.0.0.1:{free_port}/"
B2FIELDS_APPLICATION_KEY_ID, B2FIELDS_APPLICATION_KEY = "dev-id", "dev-key"
B2FIELDS_BUCKET = "acme-files"
B2FIELDS_BUCKETS = {{"staff": "acme-staff"}}
"""
    with command(settings, "--json", "--bucket", "acme-files:allPublic") as process:
        ready = json.loads(process.stdout.readline())
    assert ready["port"] == free_port
    assert (ready["application_key_id"], ready["application_key"]) == ("dev-id", "dev-key")
    assert ready["buckets"] == ["acme-files", "acme-staff"]


def test_a_port_that_is_asked_for_goes_before_that_of_the_realm(command, free_port):
    settings = f'B2FIELDS_REALM = "http://127.0.0.1:{free_port}"'
    with command(settings, "--json", "--port", "0", "--key", "an-id:a-key") as process:
        ready = json.loads(process.stdout.readline())
    assert ready["port"] != free_port


def test_for_the_real_service_it_uses_no_key_of_the_settings_and_tells_what_to_set(command):
    settings = 'B2FIELDS_APPLICATION_KEY_ID, B2FIELDS_APPLICATION_KEY = "real-id", "real-secret-key"'
    with command(settings, "--port", "0") as process:
        text = "".join(itertools.takewhile(lambda line: "rclone" not in line, process.stdout))
    assert "set B2FIELDS_REALM" in text
    assert "real-" not in text
    assert 'B2FIELDS_REALM = "http://127.0.0.1:' in text


def test_without_a_key_in_the_settings_it_makes_one_and_tells(command, free_port):
    settings = f'B2FIELDS_REALM = "http://127.0.0.1:{free_port}"'
    with command(settings, "--json") as process:
        first = json.loads(process.stdout.readline())
    with command(settings, "--json") as process:
        second = json.loads(process.stdout.readline())
    assert first["application_key_id"]
    assert first == second
