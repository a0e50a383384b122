"""Listing names and versions."""

import pytest


def listed(native, operation, **params):
    """Return (name, action) of every entry and the start of the next page."""
    answer = native.call(operation, **params)
    return [(file["fileName"], file["action"]) for file in answer["files"]], answer["nextFileName"]


@pytest.fixture
def tree(native, bucket):
    url = native.upload_url(bucket)
    for name in ("a/1", "a/2", "a/b/3", "a", "b", "a-c", "ä", "Z"):
        assert native.send(*url, name, b"content").status_code == 200
    return bucket


def test_names_are_in_the_order_of_their_utf8_bytes(native, tree):
    assert native.names(tree) == ["Z", "a", "a-c", "a/1", "a/2", "a/b/3", "b", "ä"]


def test_order_is_by_bytes_beyond_16_bits_too(native, bucket):
    names = ["\ue000", "\U00010000", "~"]
    for name in names:
        native.upload(bucket, name)
    assert native.names(bucket) == sorted(names, key=str.encode)


@pytest.mark.parametrize(
    ("params", "names", "following"),
    [
        pytest.param({"maxFileCount": 2}, ["Z", "a"], "a-c", id="a page tells where the next begins"),
        pytest.param({"startFileName": "b"}, ["b", "ä"], None, id="a start is included"),
        pytest.param(
            {"startFileName": "a/1x"}, ["a/2", "a/b/3", "b", "ä"], None, id="a start need not exist"
        ),
        pytest.param({"maxFileCount": 8, "startFileName": ""}, None, None, id="a full last page is the last"),
        pytest.param({"prefix": "a/"}, ["a/1", "a/2", "a/b/3"], None, id="a prefix is no folder"),
        pytest.param({"prefix": "a"}, ["a", "a-c", "a/1", "a/2", "a/b/3"], None, id="but any beginning"),
        pytest.param({"prefix": "a/", "startFileName": "a/2"}, ["a/2", "a/b/3"], None, id="both together"),
        pytest.param({"prefix": "a/", "startFileName": "b"}, [], None, id="a start behind the prefix"),
        pytest.param(
            {"delimiter": "/"}, ["Z", "a", "a-c", "a/", "b", "ä"], None, id="a delimiter makes folders"
        ),
        pytest.param({"delimiter": "/", "prefix": "a/"}, ["a/1", "a/2", "a/b/"], None, id="within a folder"),
        pytest.param({"delimiter": "/", "prefix": "a"}, ["a", "a-c", "a/"], None, id="beside a folder"),
        pytest.param(
            {"delimiter": "/", "maxFileCount": 3}, ["Z", "a", "a-c"], "a/", id="a page before a folder"
        ),
        pytest.param(
            {"delimiter": "/", "startFileName": "a/", "maxFileCount": 1},
            ["a/"],
            "b",
            id="a page with a folder",
        ),
        pytest.param({"delimiter": None, "prefix": None}, None, None, id="a null is as good as nothing"),
    ],
)
def test_listing_names(native, tree, params, names, following):
    entries, found = listed(native, "b2_list_file_names", bucketId=tree, **params)
    expected = ["Z", "a", "a-c", "a/1", "a/2", "a/b/3", "b", "ä"] if names is None else names
    assert [name for name, _ in entries] == expected
    assert found == following
    assert all(action == ("folder" if name.endswith("/") else "upload") for name, action in entries)


def test_pages_put_together_are_the_whole(native, tree):
    names, start = [], ""
    while start is not None:
        entries, start = listed(
            native, "b2_list_file_names", bucketId=tree, startFileName=start, maxFileCount=3
        )
        names += [name for name, _ in entries]
    assert names == native.names(tree)


@pytest.mark.parametrize("count", [0, 10_001, -1, "many", True])
def test_a_page_has_1_to_10000_entries(native, bucket, count):
    for operation in ("b2_list_file_names", "b2_list_file_versions"):
        assert native.post(operation, bucketId=bucket, maxFileCount=count).status_code == 400


def test_a_page_has_100_entries_unless_told(native, bucket):
    url = native.upload_url(bucket)
    for number in range(101):
        native.send(*url, f"{number:03}", b"")
    assert len(native.names(bucket)) == 100
    assert len(native.names(bucket, maxFileCount=10_000)) == 101


def test_a_listing_may_be_asked_for_by_get(native, tree):
    query = {"bucketId": tree, "prefix": "a/", "maxFileCount": "2"}
    headers = {"Authorization": native.token}
    answer = native.http.get("/b2api/v1/b2_list_file_names", params=query, headers=headers).json()
    assert [file["fileName"] for file in answer["files"]] == ["a/1", "a/2"]


def test_versions_are_newest_first(native, bucket):
    ids = [native.upload(bucket, "name", body)["fileId"] for body in (b"1", b"22", b"333")]
    files = native.call("b2_list_file_versions", bucketId=bucket)["files"]
    assert [file["fileId"] for file in files] == ids[::-1]
    times = [file["uploadTimestamp"] for file in files]
    assert times == sorted(set(times), reverse=True)


def test_a_clock_set_back_does_not_put_a_new_version_behind(native, bucket, bucket_name, control):
    native.upload(bucket, "name", b"old")
    control.set("clock", offset_seconds=-3600)
    native.upload(bucket, "name", b"new")
    assert native.get(bucket_name, "name").content == b"new"


def test_a_hidden_name_is_left_out_until_it_is_uploaded_again(native, bucket, bucket_name):
    native.upload(bucket, "name")
    native.upload(bucket, "other")
    native.call("b2_hide_file", bucketId=bucket, fileName="name")
    assert native.names(bucket) == ["other"]
    assert native.get(bucket_name, "name").status_code == 404
    native.upload(bucket, "name")
    assert native.names(bucket) == ["name", "other"]
    entries, _ = listed(native, "b2_list_file_versions", bucketId=bucket, prefix="name")
    assert entries == [("name", "upload"), ("name", "hide"), ("name", "upload")]


def test_a_folder_of_hidden_files_is_no_folder_among_names(native, bucket):
    native.upload(bucket, "folder/name")
    native.call("b2_hide_file", bucketId=bucket, fileName="folder/name")
    assert native.names(bucket, delimiter="/") == []
    entries, _ = listed(native, "b2_list_file_versions", bucketId=bucket, delimiter="/")
    assert entries == [("folder/", "folder")]


def test_pages_of_versions_go_on_within_a_name(native, bucket):
    ids = [native.upload(bucket, "name")["fileId"] for _ in range(4)][::-1]
    ids.append(native.upload(bucket, "next")["fileId"])
    found, start = [], {}
    while start is not None:
        page = native.call("b2_list_file_versions", bucketId=bucket, maxFileCount=2, **start)
        found += [file["fileId"] for file in page["files"]]
        start = {"startFileName": page["nextFileName"], "startFileId": page["nextFileId"]}
        start = start if page["nextFileId"] else None
    assert found == ids


def test_pages_of_versions_go_on_although_their_start_was_deleted(native, bucket):
    ids = [native.upload(bucket, "name")["fileId"] for _ in range(3)][::-1]
    page = native.call("b2_list_file_versions", bucketId=bucket, maxFileCount=1)
    native.call("b2_delete_file_version", fileName="name", fileId=ids[1])
    start = {"startFileName": page["nextFileName"], "startFileId": page["nextFileId"]}
    rest = native.call("b2_list_file_versions", bucketId=bucket, **start)["files"]
    assert [file["fileId"] for file in rest] == [ids[2]]


def test_a_start_id_needs_a_start_name(native, bucket):
    file = native.upload(bucket, "name")
    answer = native.post("b2_list_file_versions", bucketId=bucket, startFileId=file["fileId"])
    assert answer.status_code == 400


@pytest.mark.parametrize("file_id", ["nothing", "4_z_u" + "9" * 30, "4_z_u-1"])
def test_a_start_id_must_be_a_file_id(native, bucket, file_id):
    start = {"startFileName": "name", "startFileId": file_id}
    assert native.post("b2_list_file_versions", bucketId=bucket, **start).status_code == 400


def test_b2sdk_walks_folders(api, tree, bucket_name):
    found = api.get_bucket_by_name(bucket_name)
    assert {folder for _, folder in found.ls() if folder} == {"a/"}
    assert [version.file_name for version, _ in found.ls(recursive=True)] == [
        *("Z", "a", "a-c", "a/1", "a/2", "a/b/3", "b", "ä")
    ]
    assert [version.file_name for version, _ in found.ls("a/", fetch_count=1)] == ["a/1", "a/2", "a/b/3"]
