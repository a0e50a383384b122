"""Downloading by name and by id."""

import io
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
import pytest

from .clients import problem

BODY = b"0123456789"


@pytest.fixture
def file(native, bucket):
    """A file of ten bytes, named ``name``, in the private bucket."""
    return native.upload(bucket, "name", BODY)


@pytest.fixture
def public_name(native, bucket_name):
    """The name of a public bucket that holds such a file too."""
    native.upload(native.create_bucket(f"{bucket_name}-p", "allPublic"), "name", BODY)
    return f"{bucket_name}-p"


def by_id(native, file, method="GET", **more):
    headers = {"Authorization": native.token} | more.pop("headers", {})
    query = {"fileId": file["fileId"]} | more.pop("params", {})
    return native.http.request(method, "/b2api/v4/b2_download_file_by_id", params=query, headers=headers)


NAMES = [
    pytest.param("with space", id="a space"),
    pytest.param("a+b", id="a plus"),
    pytest.param("100%", id="a percent sign"),
    pytest.param("%41", id="what looks encoded"),
    pytest.param("%2541", id="what looks encoded twice"),
    pytest.param("a&b=c", id="an ampersand"),
    pytest.param("a?b", id="a question mark"),
    pytest.param("a#b", id="a number sign"),
    pytest.param("größe/文件/😀.txt", id="characters of all sizes"),
    pytest.param("e\u0301", id="a combining accent stays apart"),
    pytest.param("q\"u'o;te,s", id="quotes"),
    pytest.param("back\\slash", id="a backslash"),
    pytest.param("a//b", id="an empty segment"),
    pytest.param("/a", id="a slash before"),
    pytest.param("a/", id="a slash behind"),
    pytest.param("x" * 300, id="a long segment"),
    pytest.param("y/" * 511 + "zz", id="1024 bytes"),
    pytest.param(" ", id="nothing but a space"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_found_by_the_name_it_was_given(native, bucket, bucket_name, name):
    uploaded = native.upload(bucket, name, BODY)
    assert uploaded["fileName"] == name
    assert native.names(bucket) == [name]
    found = native.raw_get(f"/file/{bucket_name}/{quote(name, safe='/')}")
    assert (found.status_code, found.content) == (200, BODY)
    assert httpx.URL(f"http://x/{found.headers['x-bz-file-name']}").path == f"/{name}"


@pytest.mark.parametrize("name", ["with space", "a+b", "100%", "größe/文件/😀.txt", "a?b#c&d"])
def test_b2sdk_finds_names_of_all_sorts(api, bucket, bucket_name, name):
    found = api.get_bucket_by_name(bucket_name)
    found.upload_bytes(BODY, name)
    read = io.BytesIO()
    download = found.download_file_by_name(name)
    download.save(read)
    assert read.getvalue() == BODY
    assert download.download_version.file_name == found.get_file_info_by_name(name).file_name == name


@pytest.mark.parametrize(
    ("encoded", "name"),
    [
        pytest.param("a%2Fb", "a/b", id="an encoded slash is a slash"),
        pytest.param("a+b", "a b", id="a plus is a space"),
        pytest.param("a%20b", "a b", id="so is %20"),
        pytest.param("a%2Bb", "a+b", id="%2B is a plus"),
        pytest.param("a%2541", "a%41", id="a name is decoded once"),
        pytest.param("%61", "a", id="what need not be encoded may be"),
        pytest.param("a/../b", "a/../b", id="dots are part of the name"),
        pytest.param("a/./b", "a/./b", id="a single dot too"),
        pytest.param("%2e%2e/x", "../x", id="encoded dots too"),
        pytest.param("a//b", "a//b", id="slashes are not joined"),
        pytest.param("%c3%bc", "ü", id="hexadecimal digits of any case"),
    ],
)
def test_the_path_of_a_download_is_read_exactly(native, bucket, bucket_name, encoded, name):
    native.upload(bucket, name, BODY)
    assert native.raw_get(f"/file/{bucket_name}/{encoded}").content == BODY


@pytest.mark.parametrize("encoded", ["%ff", "%c3", "%ed%a0%80"])
def test_a_path_that_is_no_utf8_is_refused(native, bucket, bucket_name, encoded):
    assert problem(native.raw_get(f"/file/{bucket_name}/{encoded}")) == (400, "bad_request")


def test_a_bucket_is_found_in_any_case(native, file, bucket_name):
    assert native.get(bucket_name.upper(), "name").content == BODY


@pytest.mark.parametrize("path", ["nothing", "name/", "Name", "name%20"])
def test_a_name_must_match_exactly(native, file, bucket_name, path):
    assert problem(native.raw_get(f"/file/{bucket_name}/{path}")) == (404, "not_found")


def test_a_bucket_that_is_not_there(native):
    assert problem(native.get("no-such-bucket", "name")) == (404, "not_found")


@pytest.mark.parametrize("how", ["by name", "by id"])
def test_a_download_has_all_headers_of_b2_and_so_has_its_head(native, file, bucket_name, how):
    def get(method):
        return (
            native.get(bucket_name, "name", method=method)
            if how == "by name"
            else by_id(native, file, method)
        )

    answer, head = get("GET"), get("HEAD")
    expected = {
        "accept-ranges": "bytes",
        "cache-control": "max-age=0, no-cache, no-store",
        "content-length": "10",
        "content-type": "application/octet-stream",
        "x-bz-content-sha1": file["contentSha1"],
        "x-bz-file-id": file["fileId"],
        "x-bz-file-name": "name",
        "x-bz-server-side-encryption": "AES256",
        "x-bz-upload-timestamp": str(file["uploadTimestamp"]),
    }
    for found in (answer, head):
        headers = dict(found.headers)
        assert parsedate_to_datetime(headers.pop("date"))
        assert (found.status_code, headers) == (200, expected)
    assert (answer.content, head.content) == (BODY, b"")


@pytest.mark.parametrize(
    ("asked", "content", "answered"),
    [
        pytest.param("bytes=0-0", b"0", "bytes 0-0/10", id="one byte"),
        pytest.param("bytes=2-4", b"234", "bytes 2-4/10", id="some bytes"),
        pytest.param("bytes=0-9", BODY, "bytes 0-9/10", id="all bytes are a range too"),
        pytest.param("bytes=7-99", b"789", "bytes 7-9/10", id="an end past the file is cut to it"),
        pytest.param("bytes=7-", b"789", "bytes 7-9/10", id="no end is the end of the file"),
        pytest.param("bytes=-3", b"789", "bytes 7-9/10", id="a suffix"),
        pytest.param("bytes=-99", BODY, "bytes 0-9/10", id="a suffix longer than the file is all of it"),
        pytest.param("bytes=10-", None, "bytes */10", id="a start past the file cannot be"),
        pytest.param("bytes=10-20", None, "bytes */10", id="nor with an end"),
        pytest.param("bytes=-0", None, "bytes */10", id="nor a suffix of nothing"),
        pytest.param("bytes=5-2", BODY, None, id="a backwards range is ignored"),
        pytest.param("bytes=0-1,4-5", BODY, None, id="several ranges are ignored"),
        pytest.param("bytes=a-b", BODY, None, id="letters are ignored"),
        pytest.param("lines=1-2", BODY, None, id="other units are ignored"),
        pytest.param("bytes=0-" + "9" * 5000, BODY, None, id="an absurd offset is ignored"),
    ],
)
def test_range_of_a_ten_byte_file(native, file, bucket_name, asked, content, answered):
    for answer in (
        native.get(bucket_name, "name", headers={"Range": asked}),
        by_id(native, file, headers={"Range": asked}),
    ):
        assert answer.headers.get("content-range") == answered
        if content is None:
            assert problem(answer) == (416, "range_not_satisfiable")
        else:
            assert answer.status_code == (206 if answered else 200)
            assert answer.content == content
            assert answer.headers["content-length"] == str(len(content))


def test_a_head_of_a_range_tells_the_range(native, file, bucket_name):
    head = native.get(bucket_name, "name", method="HEAD", headers={"Range": "bytes=2-4"})
    assert (head.status_code, head.headers["content-range"], head.headers["content-length"]) == (
        206,
        "bytes 2-4/10",
        "3",
    )


def test_an_empty_file_has_no_range(native, bucket, bucket_name):
    native.upload(bucket, "empty", b"")
    answer = native.get(bucket_name, "empty", headers={"Range": "bytes=0-9"})
    assert problem(answer) == (416, "range_not_satisfiable")


def test_a_private_file_needs_a_token(native, file, bucket_name):
    assert problem(native.http.get(f"/file/{bucket_name}/name")) == (401, "unauthorized")
    query = {"fileId": file["fileId"]}
    assert problem(native.http.get("/b2api/v4/b2_download_file_by_id", params=query)) == (401, "unauthorized")


@pytest.mark.parametrize("token", ["4_made_up", "Bearer x"])
def test_a_private_file_needs_a_token_that_was_issued(native, file, bucket_name, token):
    assert problem(native.get(bucket_name, "name", token=token)) == (401, "bad_auth_token")


def test_an_upload_token_downloads_nothing(native, bucket, file, bucket_name):
    token = native.upload_url(bucket)[1]
    assert problem(native.get(bucket_name, "name", token=token)) == (401, "bad_auth_token")


def test_a_token_may_stand_in_the_query(native, file, bucket_name):
    answer = native.http.get(f"/file/{bucket_name}/name", params={"Authorization": native.token})
    assert answer.content == BODY


@pytest.mark.parametrize("bound", ["capability", "bucket", "prefix", "nothing"])
def test_a_key_reads_within_its_bounds(native, as_key, bucket, file, bucket_name, bound):
    other = native.create_bucket(f"{bucket_name}-b")
    key = {
        "capability": lambda: native.create_key("listFiles", "shareFiles", "writeFiles"),
        "bucket": lambda: native.create_key("readFiles", bucketIds=[other]),
        "prefix": lambda: native.create_key("readFiles", bucketIds=[bucket], namePrefix="other/"),
        "nothing": lambda: native.create_key("readFiles", bucketIds=[bucket], namePrefix="na"),
    }[bound]()
    mine = as_key(key)
    answers = [mine.get(bucket_name, "name"), by_id(mine, file)]
    if bound == "nothing":
        assert [answer.content for answer in answers] == [BODY, BODY]
    else:
        assert [problem(answer) for answer in answers] == [(401, "unauthorized")] * 2


def test_a_stranger_does_not_learn_whether_a_private_file_is_there(native, bucket, bucket_name):
    assert problem(native.http.get(f"/file/{bucket_name}/nothing")) == (401, "unauthorized")
    answer = native.http.get("/b2api/v4/b2_download_file_by_id", params={"fileId": "4_nothing"})
    assert answer.status_code == 401


def test_a_public_file_needs_no_token(native, public_name):
    assert native.http.get(f"/file/{public_name}/name").content == BODY
    assert native.get(public_name, "name").content == BODY


def test_a_wrong_token_is_refused_for_public_files_too(native, public_name):
    assert problem(native.get(public_name, "name", token="4_made_up")) == (401, "bad_auth_token")


def test_head_errors_have_no_body(native, bucket_name, file):
    answers = [
        native.http.head(f"/file/{bucket_name}/name"),
        native.get(bucket_name, "nothing", method="HEAD"),
        native.get(bucket_name, "name", method="HEAD", headers={"Range": "bytes=99-"}),
        native.http.head("/b2api/v4/b2_list_buckets"),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 416, 405]
    for answer in answers:
        assert (answer.content, answer.headers["content-length"]) == (b"", "0")
        assert "date" in answer.headers


def test_errors_have_date_and_length(native, bucket_name):
    answer = native.get(bucket_name, "nothing")
    assert parsedate_to_datetime(answer.headers["date"])
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"


def share(native, bucket, prefix, seconds=60, **overrides):
    params = {"bucketId": bucket, "fileNamePrefix": prefix, "validDurationInSeconds": seconds, **overrides}
    return native.call("b2_get_download_authorization", **params)["authorizationToken"]


def test_a_download_authorization_opens_its_prefix_in_its_bucket(native, bucket, file, bucket_name):
    other = native.create_bucket(f"{bucket_name}-b")
    native.upload(other, "name", BODY)
    token = share(native, bucket, "na")
    assert native.get(bucket_name, "name", token=token).content == BODY
    signed = native.http.get(f"/file/{bucket_name}/name", params={"Authorization": token})
    assert signed.content == BODY
    assert problem(native.get(bucket_name, "other", token=token)) == (401, "unauthorized")
    assert problem(native.get(f"{bucket_name}-b", "name", token=token)) == (401, "unauthorized")
    refused = by_id(native, file, headers={"Authorization": token})
    assert problem(refused) == (401, "unauthorized")


def test_b2sdk_makes_a_link_that_a_browser_can_follow(api, file, bucket_name):
    bucket = api.get_bucket_by_name(bucket_name)
    token = bucket.get_download_authorization("name", 60)
    assert httpx.get(f"{bucket.get_download_url('name')}?Authorization={token}").content == BODY


def test_a_download_authorization_ends_in_time(native, bucket, file, bucket_name, control):
    token = share(native, bucket, "", seconds=100)
    control.set("clock", offset_seconds=90)
    assert native.get(bucket_name, "name", token=token).status_code == 200
    control.set("clock", offset_seconds=101)
    assert problem(native.get(bucket_name, "name", token=token)) == (401, "expired_auth_token")


@pytest.mark.parametrize("seconds", [0, 604_801, None])
def test_a_download_authorization_lasts_from_a_second_to_a_week(native, bucket, seconds):
    params = {"bucketId": bucket, "fileNamePrefix": "", "validDurationInSeconds": seconds}
    assert problem(native.post("b2_get_download_authorization", **params)) == (400, "bad_request")


OVERRIDES = {
    "b2ContentDisposition": ("content-disposition", 'inline; filename="ü.txt"'.replace("ü", "u")),
    "b2ContentLanguage": ("content-language", "fr"),
    "b2Expires": ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
    "b2CacheControl": ("cache-control", "public, max-age=60"),
    "b2ContentEncoding": ("content-encoding", "identity"),
    "b2ContentType": ("content-type", "text/plain"),
}


@pytest.mark.parametrize("parameter", OVERRIDES)
def test_a_download_may_override_a_header(native, file, bucket_name, parameter):
    header, value = OVERRIDES[parameter]
    assert native.get(bucket_name, "name", params={parameter: value}).headers[header] == value
    assert by_id(native, file, params={parameter: value}).headers[header] == value


def test_an_override_needs_a_token_even_for_public_files(native, public_name):
    query = {"b2ContentType": "text/plain"}
    assert problem(native.http.get(f"/file/{public_name}/name", params=query)) == (401, "unauthorized")
    assert native.get(public_name, "name", params=query).headers["content-type"] == "text/plain"


def test_an_override_must_be_a_header_value(native, file, bucket_name):
    answer = native.get(bucket_name, "name", params={"b2ContentDisposition": "a\r\nSet-Cookie: b"})
    assert problem(answer) == (400, "bad_request")


def test_overrides_of_the_authorization_must_be_repeated(native, bucket, file, bucket_name):
    token = share(native, bucket, "name", b2ContentDisposition="attachment")

    def get(**query):
        return native.get(bucket_name, "name", token=token, params=query)

    assert get(b2ContentDisposition="attachment").headers["content-disposition"] == "attachment"
    assert problem(get()) == (401, "unauthorized")
    assert problem(get(b2ContentDisposition="inline")) == (401, "unauthorized")


def test_cache_control_comes_from_the_request_then_the_file_then_the_bucket(native, bucket_name):
    bucket = native.create_bucket(f"{bucket_name}-c", bucketInfo={"Cache-Control": "max-age=1"})
    native.upload(bucket, "plain")
    native.upload(bucket, "own", x_bz_info_b2_cache_control="max-age%3D2")

    def cache_control(name, **query):
        return native.get(f"{bucket_name}-c", name, params=query).headers["cache-control"]

    assert cache_control("plain") == "max-age=1"
    assert cache_control("own") == "max-age=2"
    assert cache_control("own", b2CacheControl="max-age=3") == "max-age=3"


def test_conditions_are_ignored(native, file, bucket_name):
    answer = native.get(bucket_name, "name", headers={"If-None-Match": "*", "If-Modified-Since": "now"})
    assert answer.status_code == 200
    assert not {"etag", "last-modified"} & set(answer.headers)


def test_downloads_are_by_get_and_head_only(native, file, bucket_name):
    assert problem(native.get(bucket_name, "name", method="POST")) == (405, "method_not_allowed")
    assert problem(by_id(native, file, method="DELETE")) == (405, "method_not_allowed")
