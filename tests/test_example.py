"""The example site, as one who starts it and a browser see it: processes of their own, and HTTP."""

import hashlib
import html
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from b2sdk import v3
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024
STRANGER = None


class Example:
    """A running example, and what it printed until it was ready."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        self.printed = ""
        for line in process.stdout:
            self.printed += line
            if line.split()[:1] == ["Stop"]:
                break
        else:
            raise RuntimeError(f"The example ended with {process.wait()}: {log.read_text()}")
        self.site = re.search(r"Site +(http://\S+)", self.printed)[1]
        self.realm = re.search(r"emulator at (http://[\d.:]+)", self.printed)[1]

    @contextmanager
    def visitor(self, username=STRANGER):
        """Give an HTTP client, logged in by one click as this user or not at all."""
        with httpx.Client(base_url=self.site, trust_env=False, timeout=60) as client:
            if username:
                assert post(client, "/log-in-as/", username=username).status_code == 302
            yield client

    def stop(self, number):
        """Send a signal; return the exit status and whether everything that listened is gone."""
        self.process.send_signal(number)
        status = self.process.wait(20)
        return status, not listens(self.site) and not listens(self.realm)


def stored(example):
    """Return the names of all files in the bucket, of older versions too."""
    api = v3.B2Api(v3.InMemoryAccountInfo())
    api.authorize_account("example-key-id", "example-application-key", example.realm)
    found = api.get_bucket_by_name("hollis-wren").ls(latest_only=False, recursive=True)
    return [version.file_name for version, _ in found]


@contextmanager
def started(data, port=None, b2_port=None):
    """Start the example, by default on ports that are free, and stop it after the block."""
    log = data.with_suffix(".log")
    command = [sys.executable, ROOT / "example" / "run.py"]
    command += ["--port", str(port or free_port()), "--b2-port", str(b2_port or free_port())]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(data)
        ) as process,
    ):
        try:
            yield Example(process, log)
        finally:
            process.terminate()


@contextmanager
def alone(data):
    """Start the site without its emulator, and give the HTTP client of a stranger."""
    port, nobody = free_port(), free_port()
    with subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", str(port)],
        cwd=ROOT / "example",
        env=environment(data) | {"EXAMPLE_REALM": f"http://127.0.0.1:{nobody}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until_it_listens = httpx.HTTPTransport(retries=8)
            site = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=site, transport=until_it_listens, timeout=60) as client:
                yield client
        finally:
            process.terminate()


def environment(data):
    """Return an environment that says nothing of this test run or of a B2 account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("B2_", "DJANGO_"))}
    return kept | {"EXAMPLE_DATA": str(data), "PYTHONPATH": str(ROOT)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(url):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", httpx.URL(url).port)) == 0


def post(client, path, files=None, **data):
    """Send a form as the page that shows it would, token included."""
    page = client.get("/login/" if path == "/log-in-as/" else path).raise_for_status().text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    return client.post(path, data={"csrfmiddlewaretoken": token, **data}, files=files)


def shown(client):
    """Return what the page shows: for each matter's title, its files as (url, foretold status)."""
    matters = {}
    for article in client.get("/").raise_for_status().text.split("<article")[1:]:
        title = html.unescape(re.search(r"<h2[^>]*>(.*?)</h2>", article)[1])
        matters[title] = [
            (
                html.unescape(re.search(r'<a href="(/b2[^"]+)"', file)[1]),
                int(re.search(r"(\d{3}), ", file)[1]),
            )
            for file in article.split('<li class="file">')[1:]
            if "<a href" in file
        ]
    return matters


def sizes(page):
    """Return what the page says of the size of each file, in its order."""
    return [html.unescape(size) for size in re.findall(r"<h3>[^<]*<small>(.*?)</small>", page)]


class FirstStart(NamedTuple):
    """What a first start did, from its first line to Ctrl-C."""

    printed: str
    status: int
    all_gone: bool
    log: str
    kept: str
    data: Path


@pytest.fixture(scope="module")
def first_start(tmp_path_factory):
    """Start on an empty folder, upload one file, and stop by Ctrl-C."""
    data = tmp_path_factory.mktemp("example") / "data"
    with started(data) as example:
        with example.visitor("anna") as client:
            post(client, "/new/", {"minutes": ("kept.txt", b"still here")}, title="Kept")
            [(kept, _)] = shown(client)["Kept"]
        status, all_gone = example.stop(signal.SIGINT)
    return FirstStart(example.printed, status, all_gone, example.log.read_text(), kept, data)


@pytest.fixture
def data(first_start, tmp_path):
    """A folder of this test's own, as the first start left it."""
    return shutil.copytree(first_start.data, tmp_path / "data")


@pytest.fixture(scope="module")
def example(first_start, tmp_path_factory):
    """The second start, which the tests below share."""
    data = shutil.copytree(first_start.data, tmp_path_factory.mktemp("second") / "data")
    with started(data) as example:
        yield example


def test_the_first_start_prints_the_address_and_the_demo_users(first_start):
    assert "Loaded 3 matters." in first_start.printed
    assert re.search(
        r"Site +http://127.0.0.1:\d+/\n *Admin +http://127.0.0.1:\d+/admin/", first_start.printed
    )
    for user in ("anna", "ben", "sam", "admin"):
        assert f"{user} / {user}" in first_start.printed


def test_ctrl_c_stops_everything(first_start):
    assert (first_start.status, first_start.all_gone) == (0, True)
    assert "Traceback" not in first_start.log


def test_the_next_start_finds_its_data_again(first_start, example):
    assert "Found 4 matters." in example.printed
    with example.visitor("anna") as client:
        assert client.get(first_start.kept).text == "still here"


def test_the_page_shows_the_demo_users_and_their_passwords(example):
    with example.visitor() as client:
        page = client.get("/").text
    for user in ("anna", "ben", "sam", "admin"):
        assert f"{user} / {user}" in page


# The cover is public, the minutes want a login, the scan staff, the dossier the owner of the matter.
ANNAS, BENS = "Two gardens, one hedge", "The lighthouse keeper's will"


@pytest.mark.parametrize(
    ("visitor", "annas", "bens"),
    [
        pytest.param(STRANGER, [200, 302, 302, 302], [200, 302, 302, 302], id="a stranger may see covers"),
        pytest.param("anna", [200, 200, 403, 200], [200, 200, 403, 404], id="anna reads her own dossiers"),
        pytest.param("ben", [200, 200, 403, 404], [200, 200, 403, 200], id="ben reads his own dossier"),
        pytest.param("sam", [200, 200, 200, 404], [200, 200, 200, 404], id="staff reads scans, no dossier"),
        pytest.param("admin", [200, 200, 200, 404], [200, 200, 200, 404], id="nor does the superuser"),
    ],
)
def test_each_visitor_gets_what_the_page_foretells(example, visitor, annas, bens):
    with example.visitor(visitor) as client:
        matters = shown(client)
        answers = {
            title: [client.get(url).status_code for url, _ in files] for title, files in matters.items()
        }
    foretold = {title: [status for _, status in files] for title, files in matters.items()}
    assert (answers[ANNAS], answers[BENS]) == (annas, bens)
    assert foretold == answers


@pytest.mark.parametrize("username", ["anna", "ben", "sam", "admin"])
def test_a_stranger_reads_the_file_after_the_login_that_it_leads_to(example, username):
    with example.visitor() as client:
        minutes = shown(client)[BENS][1][0]
        login = client.get(minutes).headers["Location"]
        asked_for = httpx.URL(login).params["next"]
        back = post(client, login, username=username, password=username, next=asked_for)
        assert client.get(back.headers["Location"]).text.startswith("Present: Anna, Ben.")


@pytest.mark.parametrize(("visitor", "level", "status"), [("ben", "s", 403), ("ben", "o", 404)])
def test_a_refusal_is_a_page_of_the_site_and_repeats_no_name(example, visitor, level, status):
    field = {"s": "scan", "o": "dossier"}[level]
    with example.visitor(visitor) as client:
        answer = client.get(f"/b2{level}/matters.matter.{field}/a-name-nobody-gave.pdf")
    assert answer.status_code == status
    assert "Back to the matters" in answer.text
    assert "a-name-nobody-gave" not in answer.text


def test_one_click_makes_a_visitor_a_demo_user(example):
    with example.visitor("sam") as client:
        page = client.get("/").text
    assert "You are now logged in as sam." in page
    assert "Log out <b>sam</b>" in page


def test_the_one_click_login_wants_its_token_and_knows_demo_users_only(example):
    with example.visitor() as client:
        assert client.post("/log-in-as/", data={"username": "admin"}).status_code == 403
        assert client.get("/log-in-as/").status_code == 405
        assert post(client, "/log-in-as/", username="root").status_code == 404


def test_the_login_page_says_what_it_is_for(example):
    with example.visitor() as client:
        minutes = shown(client)[BENS][1][0]
        assert "Please log in to see this file." in client.get(minutes, follow_redirects=True).text
        assert "Please log in to see this page." in client.get("/new/", follow_redirects=True).text
        assert "Please log in to see" not in client.get("/login/").text


def test_the_start_page_shows_all_sizes_while_b2_is_down(data):
    with alone(data) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    # The newest matter is that of the first start, which has minutes of ten bytes and nothing else.
    assert sizes(answer.text)[:4] == ["no file", "10\xa0bytes", "no file", "no file"]
    assert "size unknown" not in sizes(answer.text)


def test_the_start_page_does_without_a_size_that_only_b2_could_tell(data):
    with closing(sqlite3.connect(data / "db.sqlite3")) as database, database:
        database.execute("UPDATE matters_matter SET minutes_info = NULL WHERE title = 'Kept'")
    with alone(data) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    assert sizes(answer.text)[1] == "size unknown"


def test_the_upload_form_is_for_those_who_are_logged_in(example):
    with example.visitor() as client:
        answer = client.get("/new/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login/?next=/new/")


def test_an_upload_belongs_to_its_uploader_who_can_take_files_away_again(example, tmp_path):
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "cover.png")
    files = {
        "cover": ("ein Bild.png", (tmp_path / "cover.png").read_bytes()),
        "dossier": ("秘密.txt", b"between us"),
    }
    with example.visitor("ben") as ben, example.visitor("anna") as anna:
        assert post(ben, "/new/", files, title="Uploaded by Ben").status_code == 302
        page = ben.get("/").text
        assert "“Uploaded by Ben” has been saved. It belongs to you." in page
        assert re.search(r"64 . 48 pixels", page)
        [(_, cover), (dossier, _)] = shown(ben)["Uploaded by Ben"]
        assert cover == 200
        assert ben.get(dossier).content == b"between us"
        assert anna.get(dossier).status_code == 404

        edit = re.search(r'href="(/\d+/edit/)"\s+aria-label="Edit Uploaded by Ben"', page)[1]
        refusal = anna.get(edit)
        assert (refusal.status_code, "Back to the matters" in refusal.text) == (404, True)
        assert any(name.endswith("秘密.txt") for name in stored(example))
        assert post(ben, edit, title="Uploaded by Ben", **{"dossier-clear": "on"}).status_code == 302
        assert not any(name.endswith("秘密.txt") for name in stored(example))
        assert len(shown(ben)["Uploaded by Ben"]) == 1
        assert ben.get(dossier).status_code == 404


def test_a_new_file_and_its_removal_exclude_each_other_in_the_words_of_the_form(example):
    with example.visitor("anna") as anna:
        edit = re.search(r'href="(/\d+/edit/)"\s+aria-label="Edit Two gardens', anna.get("/").text)[1]
        assert "Remove this file</label>" in anna.get(edit).text
        files = {"scan": ("new.txt", b"new")}
        answer = post(anna, edit, files, title="Two gardens", **{"scan-clear": "on"})
    assert "tick “Remove this file”, but not both" in answer.text
    assert "clear checkbox" not in answer.text
    assert answer.text.count("checked> Remove this file") == 1


def test_staff_finds_the_matters_in_the_admin(example):
    with example.visitor("sam") as client:
        page = client.get("/admin/matters/matter/").raise_for_status().text
        change = re.search(r'href="(/admin/matters/matter/\d+/change/[^"]*)">The lighthouse', page)[1]
        page = client.get(html.unescape(change)).raise_for_status().text
        scan = re.search(r'href="(/b2s/[^"]+)"', page)[1]
        assert client.get(scan).content.startswith(b"%PDF-")


def test_64_mib_go_through_the_form_and_come_back_to_their_owner_alone(example, tmp_path):
    source = tmp_path / "große Akte.bin"
    numbers = random.Random(64)
    sent = hashlib.sha256()
    with source.open("wb") as file:
        for _ in range(64):
            block = numbers.randbytes(MIB)
            sent.update(block)
            file.write(block)

    with example.visitor("ben") as ben:
        with source.open("rb") as file:
            assert post(ben, "/new/", {"dossier": (source.name, file)}, title="Heavy").status_code == 302
        [(dossier, _)] = shown(ben)["Heavy"]

        got = hashlib.sha256()
        with ben.stream("GET", dossier) as answer:
            assert answer.status_code == 200
            assert answer.headers["Content-Length"] == str(64 * MIB)
            for block in answer.iter_bytes():
                got.update(block)
    assert got.hexdigest() == sent.hexdigest()

    for visitor, status in ((STRANGER, 302), ("anna", 404), ("sam", 404), ("admin", 404)):
        with example.visitor(visitor) as client:
            refusal = client.get(dossier)
            assert (refusal.status_code, len(refusal.content) < MIB) == (status, True)


def test_a_request_to_terminate_stops_everything(data):
    with started(data) as example:
        assert example.stop(signal.SIGTERM) == (0, True)
    assert "Traceback" not in example.log.read_text()


def test_busy_ports_are_left_to_those_who_have_them(example, data):
    busy, b2_busy = httpx.URL(example.site).port, httpx.URL(example.realm).port
    with started(data, busy, b2_busy) as other:
        assert f"Port {busy} is busy; the site uses " in other.printed
        assert f"Port {b2_busy} is busy; the emulator uses " in other.printed
        with other.visitor() as client:
            assert len(shown(client)) == 4


def test_a_second_start_on_the_same_data_says_why_it_ends(example):
    data = Path(re.search(r"Data +(\S+)", example.printed)[1])
    command = [sys.executable, ROOT / "example" / "run.py", "--b2-port", str(free_port())]
    answer = subprocess.run(
        command, env=environment(data), capture_output=True, text=True, timeout=30, check=False
    )
    assert answer.returncode == 1
    assert "If the example is already running in another terminal, stop that one." in answer.stderr
    assert "Traceback" not in answer.stderr


def test_when_the_emulator_dies_the_site_goes_too_and_the_reason_is_told(data):
    with started(data) as example:
        os.kill(emulator_of(example), signal.SIGKILL)
        assert example.process.wait(20) == 1
        assert not listens(example.site)
    assert "The emulator ended (exit status -9), so the example stops." in example.log.read_text()


def emulator_of(example):
    """Return the process id of its emulator, from Linux's /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == example.process.pid and b"b2fields.emulator" in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise LookupError("The example has no emulator.")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["makemigrations", "--check", "--dry-run"], "No changes detected\n"),
        (["check"], "System check identified no issues (0 silenced).\n"),
    ],
    ids=["the models have all their migrations", "check finds nothing"],
)
def test_before_the_first_start(tmp_path, command, said):
    answer = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *command],
        cwd=ROOT / "example",
        env=environment(tmp_path / "data"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, said, "")
