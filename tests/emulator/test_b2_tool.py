"""The ``b2`` command line tool from PyPI: what its users do with it works here as at Backblaze."""

import base64
import filecmp
import json
import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from .clients import KEY
from .tools import Tool


@pytest.fixture
def tool(emulator, tmp_path):
    """Make a tool that uses a key; what it remembers lies in a file of the test's own."""

    def make(key=KEY):
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
            "B2_ACCOUNT_INFO": str(tmp_path / "account"),
            "B2_APPLICATION_KEY": key[1],
            "B2_APPLICATION_KEY_ID": key[0],
            "B2_ENVIRONMENT": emulator.realm,
            "HOME": str(tmp_path),
        }
        # The tool of this environment, whatever the PATH names.
        return Tool((sys.executable, str(Path(sys.executable).with_name("b2"))), environment)

    return make


@pytest.fixture
def b2(tool):
    return tool()


@pytest.fixture
def put(native, bucket):
    """Upload by other means: each start of the tool takes a third of a second."""
    return lambda name, body=b"content": native.upload(bucket, name, body)


@pytest.fixture
def local(tmp_path):
    """Make a local file."""

    def make(name="file", body=b"content"):
        path = tmp_path / "local" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    return make


def test_an_account_is_authorized_once_and_remembered(tool, emulator, bucket, bucket_name, control):
    forgetful = tool()
    del forgetful.environment["B2_APPLICATION_KEY"], forgetful.environment["B2_APPLICATION_KEY_ID"]
    forgetful("account", "authorize", "--environment", emulator.realm, *KEY)
    account = json.loads(forgetful("account", "get"))
    assert (account["applicationKeyId"], account["applicationKey"]) == KEY
    assert account["apiUrl"] == emulator.realm
    control.clear_requests()
    assert bucket_name in forgetful("bucket", "list")
    assert "b2_authorize_account" not in {entry["operation"] for entry in control.requests()}
    control.set("expire_tokens")
    assert bucket_name in forgetful("bucket", "list")
    forgetful("account", "clear")
    assert "ERROR" in forgetful.fail("bucket", "list")


def test_a_wrong_key_is_refused(tool):
    assert "bad_auth_token" in tool((KEY[0], "wrong")).fail("bucket", "list")


def test_a_bucket_is_made_changed_and_deleted(b2, bucket_name):
    rule = {"fileNamePrefix": "logs/", "daysFromHidingToDeleting": 1, "daysFromUploadingToHiding": 7}
    cors = {
        "corsRuleName": "a-rule",
        "allowedOrigins": ["https://example.com"],
        "allowedOperations": ["b2_download_file_by_name"],
        "allowedHeaders": ["range"],
        "maxAgeSeconds": 60,
    }
    b2(
        *("bucket", "create", bucket_name, "allPublic", "--bucket-info", '{"some": "info"}'),
        *("--lifecycle-rule", json.dumps(rule), "--cors-rules", json.dumps([cors]), "--file-lock-enabled"),
        *("--default-server-side-encryption", "SSE-B2"),
    )
    found = json.loads(b2("bucket", "get", bucket_name))
    assert (found["bucketName"], found["bucketType"]) == (bucket_name, "allPublic")
    assert found["bucketInfo"] == {"some": "info"}
    assert found["lifecycleRules"][0].items() >= rule.items()
    assert found["corsRules"][0].items() >= cors.items()
    assert found["defaultServerSideEncryption"] == {"algorithm": "AES256", "mode": "SSE-B2"}
    assert found["isFileLockEnabled"] is True
    b2(
        *("bucket", "update", bucket_name, "allPrivate", "--bucket-info", '{"other": "info"}'),
        *("--default-retention-mode", "governance", "--default-retention-period", "2 days"),
    )
    found = json.loads(b2("bucket", "get", bucket_name))
    assert (found["bucketType"], found["bucketInfo"]) == ("allPrivate", {"other": "info"})
    assert found["defaultRetention"] == {"mode": "governance", "period": {"duration": 2, "unit": "days"}}
    assert found["lifecycleRules"][0].items() >= rule.items()
    listed = json.loads(b2("bucket", "list", "--json"))
    assert bucket_name in {bucket["bucketName"] for bucket in listed}
    assert "already in use" in b2.fail("bucket", "create", bucket_name, "allPrivate")
    b2("bucket", "delete", bucket_name)
    assert bucket_name in b2.fail("bucket", "get", bucket_name)


def test_a_bucket_tells_how_much_is_in_it(b2, bucket_name, put):
    put("name")
    found = json.loads(b2("bucket", "get", "--show-size", bucket_name))
    assert (found["fileCount"], found["totalSize"]) == (1, 7)
    assert "ERROR" in b2.fail("bucket", "delete", bucket_name)


def test_a_file_goes_up_and_comes_down_with_all_that_is_known_of_it(b2, bucket, bucket_name, local, tmp_path):
    answer = b2(
        *("file", "upload", "--content-type", "text/x-some", "--info", "color=green \u00e9 +%"),
        *("--cache-control", "max-age=60", bucket_name, local(), "folder/n\u00e4me +%.txt"),
    )
    file_id = json.loads(answer[answer.index("{") :])["fileId"]
    uri = f"b2://{bucket_name}/folder/n\u00e4me +%.txt"
    for where in (uri, f"b2id://{file_id}"):
        info = json.loads(b2("file", "info", where))
        assert (info["fileName"], info["contentType"], info["size"]) == (
            "folder/n\u00e4me +%.txt",
            "text/x-some",
            7,
        )
        assert info["fileInfo"]["color"] == "green \u00e9 +%"
        b2("file", "download", "--no-progress", where, tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == b"content"
    source = (tmp_path / "local" / "file").stat()
    assert abs((tmp_path / "down").stat().st_mtime - source.st_mtime) < 0.01
    assert b2("file", "cat", "--no-progress", uri) == "content"


def test_a_large_pipe_goes_up_in_parts(b2, bucket, bucket_name, tmp_path, control):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.write(b"beginning")
        file.truncate(101_000_000)  # more than one part of the recommended size
    control.clear_requests()
    b2.pipe(path, "file", "upload", "--quiet", bucket_name, "-", "large")
    assert [entry["operation"] for entry in control.requests()].count("b2_upload_part") == 2
    b2("file", "download", "--no-progress", f"b2://{bucket_name}/large", tmp_path / "down")
    assert filecmp.cmp(path, tmp_path / "down", shallow=False)


def test_a_file_is_copied_on_the_server(b2, bucket_name, put, control):
    put("name", b"0123456789")
    control.clear_requests()
    uri = f"b2://{bucket_name}/name"
    b2("file", "server-side-copy", uri, f"b2://{bucket_name}/copy")
    b2(
        *("file", "server-side-copy", "--range", "5,8", "--content-type", "text/x-some", "--info", "a=b"),
        *(uri, f"b2://{bucket_name}/part"),
    )
    found = json.loads(b2("ls", "--json", f"b2://{bucket_name}"))
    by_name = {file["fileName"]: (file["size"], file["contentType"], file["fileInfo"]) for file in found}
    assert by_name["copy"] == by_name["name"]
    assert by_name["part"] == (4, "text/x-some", {"a": "b"})
    assert b2("file", "cat", "--no-progress", f"b2://{bucket_name}/part") == "5678"
    assert sum(entry["bytes_received"] for entry in control.requests()) < 5000


def test_a_small_pipe_is_one_upload(b2, bucket, bucket_name, local, control):
    control.clear_requests()
    b2.pipe(local(), "file", "upload", "--quiet", bucket_name, "-", "piped")
    assert [entry["operation"] for entry in control.requests()].count("b2_upload_file") == 1
    assert b2("file", "cat", "--no-progress", f"b2://{bucket_name}/piped") == "content"


def test_lists_show_folders_versions_and_wildcards(b2, bucket_name, put):
    for name in ("a.txt", "b/1.txt", "b/2.png", "b/c/3.txt"):
        put(name)
    put("a.txt", b"longer content")
    bucket = f"b2://{bucket_name}"
    assert b2("ls", bucket).split() == ["a.txt", "b/"]
    assert b2("ls", f"{bucket}/b/").split() == ["b/1.txt", "b/2.png", "b/c/"]
    assert b2("ls", "-r", bucket).split() == ["a.txt", "b/1.txt", "b/2.png", "b/c/3.txt"]
    assert b2("ls", "-r", "--with-wildcard", f"{bucket}/b/*.txt").split() == ["b/1.txt", "b/c/3.txt"]
    assert b2("ls", "-r", "--exclude", "*.txt", bucket).split() == ["b/2.png"]
    long = [line.split() for line in b2("ls", "--long", "--versions", f"{bucket}/a.txt").splitlines()]
    assert [(line[1], *line[4:]) for line in long] == [("upload", "14", "a.txt"), ("upload", "7", "a.txt")]


def test_hiding_unhiding_and_removing(b2, bucket_name, put):
    put("name", b"first")
    put("name", b"second")
    uri = f"b2://{bucket_name}/name"
    b2("file", "hide", uri)
    assert b2("ls", f"b2://{bucket_name}") == ""
    assert "not present" in b2.fail("file", "cat", uri)
    b2("file", "unhide", uri)
    b2("rm", "--no-progress", uri)
    assert b2("file", "cat", "--no-progress", uri) == "first"
    b2("rm", "--no-progress", "--versions", "-r", f"b2://{bucket_name}")
    b2("bucket", "delete", bucket_name)


def test_sync_makes_both_sides_alike(b2, bucket, bucket_name, local, native, tmp_path):
    for name in ("a", "folder/b", "folder/c"):
        local(f"tree/{name}", name.encode())
    tree, there = tmp_path / "local" / "tree", f"b2://{bucket_name}/there"
    b2("sync", "--no-progress", tree, there)
    assert native.names(bucket) == ["there/a", "there/folder/b", "there/folder/c"]
    (tree / "a").unlink()
    local("tree/d", b"new")
    later = time.time() + 10
    os.utime(local("tree/folder/b", b"changed"), (later, later))
    b2("sync", "--no-progress", "--delete", tree, there)
    back = tmp_path / "back"
    back.mkdir()
    (back / "stale").write_bytes(b"stale")
    b2("sync", "--no-progress", "--delete", there, back)
    assert contents(back) == contents(tree) == {"d": b"new", "folder/b": b"changed", "folder/c": b"folder/c"}
    assert "upload" not in b2("sync", "--no-progress", tree, there)
    b2("sync", "--no-progress", there, f"b2://{bucket_name}/elsewhere")
    copied = native.names(bucket, prefix="elsewhere/")
    assert copied == ["elsewhere/d", "elsewhere/folder/b", "elsewhere/folder/c"]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_restricted_key_does_what_it_may(b2, tool, bucket_name, put):
    put("mine/name")
    put("other/name")
    made = bucket_name
    restriction = "--bucket", made, "--name-prefix", "mine/"
    key = b2("key", "create", *restriction, "a-key", "listBuckets,listFiles,readFiles").split()
    assert "a-key" in b2("key", "list", "--long")
    theirs = tool((key[0], key[1]))
    assert theirs("file", "cat", "--no-progress", f"b2://{made}/mine/name") == "content"
    assert theirs("ls", f"b2://{made}/mine/").split() == ["mine/name"]
    for refused in (
        ("file", "cat", f"b2://{made}/other/name"),
        ("ls", f"b2://{made}/other/"),
        ("file", "hide", f"b2://{made}/mine/name"),
        ("key", "create", "more", "readFiles"),
        ("bucket", "list"),
    ):
        assert "ERROR" in theirs.fail(*refused)
    b2("key", "delete", key[0])
    assert "bad_auth_token" in theirs.fail("ls", f"b2://{made}/mine/")


def test_a_download_authorization_and_links(b2, bucket_name, put):
    put("shared/name")
    token = b2("bucket", "get-download-auth", "--prefix", "shared/", "--duration", 60, bucket_name).strip()
    uri = f"b2://{bucket_name}/shared/name"
    url = b2("file", "url", uri).strip()
    signed = b2("file", "url", "--with-auth", "--duration", 60, uri).strip()
    with httpx.Client(verify=False) as client:  # noqa: S501 - it is plain HTTP
        assert client.get(url).status_code == 401
        assert client.get(url, headers={"Authorization": token}).content == b"content"
        assert client.get(signed).content == b"content"


def test_unfinished_large_files_are_listed_and_cancelled(b2, bucket, bucket_name, native):
    native.call("b2_start_large_file", bucketId=bucket, fileName="other", contentType="a/b")
    started = native.call("b2_start_large_file", bucketId=bucket, fileName="large", contentType="a/b")
    file_id = started["fileId"]
    url = native.call("b2_get_upload_part_url", fileId=file_id)
    native.send(url["uploadUrl"], url["authorizationToken"], "", b"content", x_bz_part_number="1")
    listed = b2("file", "large", "unfinished", "list", f"b2://{bucket_name}").splitlines()
    assert [line.split()[1] for line in listed] == ["other", "large"]
    parts = [line.split() for line in b2("file", "large", "parts", f"b2id://{file_id}").splitlines()]
    assert [part[:2] for part in parts] == [["1", "7"]]
    b2("file", "large", "unfinished", "cancel", f"b2id://{file_id}")
    assert len(b2("file", "large", "unfinished", "list", f"b2://{bucket_name}").splitlines()) == 1
    b2("file", "large", "unfinished", "cancel", f"b2://{bucket_name}")
    assert b2("file", "large", "unfinished", "list", f"b2://{bucket_name}") == ""


def test_a_customers_key_is_needed_to_read_what_it_encrypted(b2, bucket, bucket_name, local, tmp_path):
    mine, other = (base64.b64encode(letter * 32).decode() for letter in (b"m", b"o"))
    up = ("file", "upload", "--no-progress", "--destination-server-side-encryption", "SSE-C")
    b2(
        *up,
        bucket_name,
        local(),
        "name",
        B2_DESTINATION_SSE_C_KEY_B64=mine,
        B2_DESTINATION_SSE_C_KEY_ID="an-id",
    )
    uri = f"b2://{bucket_name}/name"
    down = ("file", "download", "--no-progress", "--source-server-side-encryption", "SSE-C", uri)
    b2(*down, tmp_path / "down", B2_SOURCE_SSE_C_KEY_B64=mine)
    assert (tmp_path / "down").read_bytes() == b"content"
    assert "ERROR" in b2.fail(*down, tmp_path / "not", B2_SOURCE_SSE_C_KEY_B64=other)


def test_locks_hold_until_they_are_lifted(b2, bucket_name, local):
    b2("bucket", "create", "--file-lock-enabled", bucket_name, "allPrivate")
    until = str(int(time.time() * 1000) + 86_400_000)
    b2(
        *("file", "upload", "--quiet", "--legal-hold", "on", "--file-retention-mode", "governance"),
        *("--retain-until", until, bucket_name, local(), "name"),
    )
    uri = f"b2://{bucket_name}/name"
    info = json.loads(b2("file", "info", uri))
    assert info["fileRetention"] == {"mode": "governance", "retainUntilTimestamp": int(until)}
    assert info["legalHold"] == "on"
    assert "Access Denied" in b2.fail("rm", "--no-progress", "--bypass-governance", uri)
    b2("file", "update", "--legal-hold", "off", uri)
    assert "Access Denied" in b2.fail("rm", "--no-progress", uri)
    b2("file", "update", "--file-retention-mode", "none", "--bypass-governance", uri)
    b2("rm", "--no-progress", uri)
    b2("bucket", "delete", bucket_name)
