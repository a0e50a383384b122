"""rclone from Debian: what its users do with B2 works here as at Backblaze."""

import json
import os
import random
import time
from datetime import UTC, datetime

import httpx
import pytest

from .clients import KEY
from .tools import Tool, find

LARGE = random.Random(5).randbytes(12_000_000)
IN_PARTS = ("--b2-chunk-size", "5M", "--b2-upload-cutoff", "5M", "--b2-copy-cutoff", "5M")


@pytest.fixture
def rclone(emulator, tmp_path):
    environment = {
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "RCLONE_B2_ACCOUNT": KEY[0],
        "RCLONE_B2_ENDPOINT": emulator.realm,
        "RCLONE_B2_KEY": KEY[1],
        "RCLONE_CONFIG": str(tmp_path / "none"),
        "RCLONE_LOW_LEVEL_RETRIES": "5",
    }
    return Tool((find("rclone"),), environment)


@pytest.fixture
def remote(bucket, bucket_name):
    return f":b2:{bucket_name}"


@pytest.fixture
def tree(tmp_path):
    """A folder of local files, with a way to make more."""
    folder = tmp_path / "tree"

    def make(name, body=b"content"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, ns=(1_700_000_000_123_000_000,) * 2)
        return path

    make.folder = folder
    return make


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def listed(rclone, *arguments):
    return sorted(rclone("lsf", "-R", "--files-only", *arguments).splitlines())


def test_buckets_are_made_listed_and_purged(rclone, bucket_name, tree):
    tree("a/b")
    tree("c")
    rclone("mkdir", f":b2:{bucket_name}-made")
    assert f"{bucket_name}-made" in rclone("lsd", ":b2:")
    for _ in range(2):
        rclone("copy", "--ignore-times", tree.folder, f":b2:{bucket_name}-made")
    rclone("purge", f":b2:{bucket_name}-made")
    assert f"{bucket_name}-made" not in rclone("lsd", ":b2:")


def test_a_tree_goes_up_is_checked_and_comes_down_with_its_times(rclone, remote, tree, tmp_path):
    for name in ("a", "folder/b", "folder/sub/c"):
        tree(name, name.encode())
    tree("empty", b"")
    rclone("copy", tree.folder, remote)
    rclone("check", tree.folder, remote)
    rclone("check", "--download", tree.folder, remote)
    rclone("copy", remote, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tree.folder)
    for path in (tmp_path / "back").rglob("*"):
        if path.is_file():
            assert path.stat().st_mtime_ns == 1_700_000_000_123_000_000
    assert rclone("cat", f"{remote}/folder/b", "--offset", 2, "--count", 3) == "lde"
    rclone("copyto", tree("a", b"changed"), f"{remote}/folder/b")
    assert "differ" in rclone.fail("check", tree.folder, remote)


def test_sync_makes_the_other_side_alike_and_moves_nothing_twice(rclone, remote, tree, control):
    for name in ("a", "folder/b", "gone"):
        tree(name)
    rclone("sync", tree.folder, remote)
    tree("a", b"changed it")
    tree("folder/new")
    (tree.folder / "gone").unlink()
    rclone("sync", tree.folder, remote)
    assert listed(rclone, remote) == ["a", "folder/b", "folder/new"]
    assert rclone("cat", f"{remote}/a") == "changed it"
    control.clear_requests()
    rclone("sync", tree.folder, remote)
    assert {entry["operation"] for entry in control.requests()} <= {
        "b2_authorize_account",
        "b2_list_buckets",
        "b2_list_file_names",
        "head_file_by_name",
    }


def test_changed_times_are_set_on_the_server(rclone, remote, tree):
    path = tree("name")
    rclone("copy", tree.folder, remote)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    rclone("sync", tree.folder, remote)
    (found,) = json.loads(rclone("lsjson", remote))
    assert datetime.fromisoformat(found["ModTime"]).timestamp() == 1_600_000_000


def test_a_large_file_goes_in_chunks_and_is_copied_in_parts(rclone, remote, tree, control, tmp_path):
    tree("large", LARGE)
    control.clear_requests()
    rclone("copy", *IN_PARTS, tree.folder, remote)
    rclone("copyto", *IN_PARTS, f"{remote}/large", f"{remote}/copy")
    operations = [entry["operation"] for entry in control.requests()]
    assert operations.count("b2_upload_part") == 3
    assert operations.count("b2_copy_part") == 3
    rclone("check", "--download", tree.folder, remote, "--one-way")
    hashes = {file["Path"]: file["Hashes"]["sha1"] for file in json.loads(rclone("lsjson", "--hash", remote))}
    assert hashes["large"] == hashes["copy"] != ""
    rclone("copyto", f"{remote}/copy", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == LARGE


def test_a_stream_of_unknown_length_is_uploaded(rclone, remote, tree):
    rclone.pipe(tree("source", LARGE), "rcat", *IN_PARTS, f"{remote}/streamed")
    assert json.loads(rclone("lsjson", remote))[0]["Size"] == len(LARGE)


def test_small_files_are_copied_and_moved_on_the_server(rclone, remote, tree, control):
    tree("a")
    rclone("copy", tree.folder, remote)
    control.clear_requests()
    rclone("copyto", f"{remote}/a", f"{remote}/copy/a")
    rclone("moveto", f"{remote}/a", f"{remote}/moved")
    assert listed(rclone, remote) == ["copy/a", "moved"]
    assert not {"b2_upload_file", "b2_download_file_by_name", "b2_download_file_by_id"} & {
        entry["operation"] for entry in control.requests()
    }


def test_deleting_hides_and_versions_and_times_bring_back(rclone, remote, tree, bucket, native, tmp_path):
    tree("name", b"first")
    rclone("copy", tree.folder, remote)
    between = datetime.fromtimestamp(next_moment(native, bucket), UTC).isoformat(timespec="milliseconds")
    tree("name", b"second one")
    rclone("copy", "--ignore-times", tree.folder, remote)
    rclone("deletefile", f"{remote}/name")
    assert listed(rclone, remote) == []
    actions = [file["action"] for file in native.call("b2_list_file_versions", bucketId=bucket)["files"]]
    assert actions == ["hide", "upload", "upload"]
    old = listed(rclone, "--b2-versions", remote)
    assert len(old) == 2
    assert {rclone("cat", "--b2-versions", f"{remote}/{name}") for name in old} == {"first", "second one"}
    assert listed(rclone, "--b2-version-at", between, remote) == ["name"]
    rclone("copy", "--b2-version-at", between, remote, tmp_path / "back")
    assert contents(tmp_path / "back") == {"name": b"first"}
    rclone("cleanup", remote)
    assert native.call("b2_list_file_versions", bucketId=bucket)["files"] == []


def next_moment(native, bucket):
    """Wait for the millisecond after the newest version's; return it in seconds."""
    stamps = [f["uploadTimestamp"] for f in native.call("b2_list_file_versions", bucketId=bucket)["files"]]
    moment = (max(stamps) + 1) / 1000
    while time.time() <= moment:
        pass
    return moment


def test_cleanup_keeps_what_is_current_and_cancels_old_unfinished_files(
    rclone, remote, tree, bucket, native, control
):
    for body in (b"first", b"second one"):
        tree("name", body)
        rclone("copy", "--ignore-times", tree.folder, remote)
    control.set("clock", offset_seconds=-3 * 86_400)
    native.call("b2_start_large_file", bucketId=bucket, fileName="large", contentType="a/b")
    control.set("clock", offset_seconds=0)
    rclone("cleanup", remote)
    (left,) = native.call("b2_list_file_versions", bucketId=bucket)["files"]
    assert (left["fileName"], left["contentLength"]) == ("name", 10)


def test_a_hard_delete_leaves_no_marker(rclone, remote, tree, bucket, native):
    tree("name")
    rclone("copy", tree.folder, remote)
    rclone("delete", "--b2-hard-delete", remote)
    assert native.call("b2_list_file_versions", bucketId=bucket)["files"] == []


def test_more_names_than_a_page_holds_are_all_listed(rclone, remote, bucket, native):
    url = native.upload_url(bucket)
    for number in range(1100):
        assert native.send(*url, f"folder/{number:04}", b"").status_code == 200
    expected = [f"folder/{number:04}" for number in range(1100)]
    assert listed(rclone, remote) == expected
    assert rclone("lsf", remote).split() == ["folder/"]
    assert rclone("size", remote).splitlines()[0].endswith("(1100)")


ODD = (
    "with space",
    "per%cent %2F %",
    "pl+us & am=p?",
    'quo\'te "double" #hash',
    "back\\slash",
    "\u00e9 \u00fc e\u0301",
    "\U0001f600 \uff5e \u4e2d\u6587",
    "new\nline \t tab \x7f",
    "tilde~star*",
    "semi;colon:comma,",
    "-dash",
    "[brackets] {braces} |pipe| <angles>",
)


def test_odd_names_come_back_as_they_went(rclone, remote, tree, tmp_path):
    for name in ODD:
        tree(f"{name}/{name}", name.encode())
    rclone("copy", tree.folder, remote)
    rclone("check", "--download", tree.folder, remote)
    rclone("copy", remote, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tree.folder)
    rclone("delete", remote)
    assert listed(rclone, remote) == []


def test_a_link_opens_the_file(rclone, remote, bucket_name, tree):
    tree("folder/name")  # rclone 1.60 would not escape a stranger one
    rclone("copy", tree.folder, remote)
    link = rclone("link", "--expire", "60s", f"{remote}/folder/name").strip()
    assert "Authorization=" in link
    with httpx.Client(verify=False) as client:  # noqa: S501 - it is plain HTTP
        assert client.get(link).content == b"content"
        assert client.get(link.partition("?")[0]).status_code == 401


@pytest.mark.parametrize("mode", ["fail_some_uploads", "expire_some_account_authorization_tokens"])
def test_a_tree_arrives_in_spite_of_the_failures_that_rclone_asks_for(rclone, remote, tree, mode, control):
    for number in range(4):
        tree(f"{number}")
    control.clear_requests()
    rclone("copy", "--b2-test-mode", mode, tree.folder, remote)
    assert len(listed(rclone, remote)) == 4
    assert any(entry["status"] != 200 for entry in control.requests())


def test_a_cap_that_rclone_asks_for_is_told(rclone, remote, tree):
    tree("name")
    told = rclone.fail("copy", "--b2-test-mode", "force_cap_exceeded", "--retries", 1, tree.folder, remote)
    assert "cap" in told.lower()
