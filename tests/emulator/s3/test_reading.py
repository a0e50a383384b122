"""GET and HEAD of one object."""

from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote

import pytest

from ..clients import sha1
from .clients import BODY, MD5, s3_problem


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_a_url_opens_a_private_file(site, browser, file, bucket_name, style):
    answer = browser.get(site.get(bucket_name, "name", style=style))
    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "10"
    assert answer.headers["etag"] == f'"{MD5}"'
    assert answer.headers["x-amz-version-id"] == file["fileId"]
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "max-age=0, no-cache, no-store"
    assert answer.headers["x-amz-request-id"]
    modified = parsedate_to_datetime(answer.headers["last-modified"]).timestamp()
    assert modified == file["uploadTimestamp"] // 1000
    assert not [name for name in answer.headers if name.startswith("x-bz-")]


def test_a_head_tells_what_a_get_would(site, browser, file, bucket_name):
    head, get = browser.head(site.head(bucket_name, "name")), browser.get(site.get(bucket_name, "name"))
    assert (head.status_code, head.content) == (200, b"")
    vary = {"date", "x-amz-request-id", "x-amz-id-2"}
    assert {k: v for k, v in head.headers.items() if k not in vary} == {
        k: v for k, v in get.headers.items() if k not in vary
    }


NAMES = [
    pytest.param("with space", id="a space"),
    pytest.param("größe/文件/😀.txt", id="characters of all sizes"),
    pytest.param("a+b", id="a plus"),
    pytest.param("100%", id="a percent sign"),
    pytest.param("%41", id="what looks encoded"),
    pytest.param("a?b", id="a question mark"),
    pytest.param("a#b", id="a number sign"),
    pytest.param("a//b", id="an empty segment"),
    pytest.param("/a", id="a slash before"),
    pytest.param("a/", id="a slash behind"),
    pytest.param("~a", id="a tilde"),
    pytest.param("'()*!", id="what browsers leave alone"),
    pytest.param("a&b=c;d", id="what separates parameters"),
    pytest.param("a/../b/./c", id="dots"),
    pytest.param("file/name/b2api/v4/b2_list_buckets", id="what looks like another API"),
]


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("name", NAMES)
def test_names_of_all_sorts_are_written_and_read(site, browser, native, bucket, bucket_name, name, style):
    assert browser.put(site.put(bucket_name, name, style=style)).status_code == 200
    assert native.names(bucket) == [name]
    assert browser.get(site.get(bucket_name, name, style=style)).content == BODY
    assert browser.head(site.head(bucket_name, name, style=style)).status_code == 200


def test_a_path_may_be_encoded_otherwise_than_it_was_signed(site, browser, native, bucket, bucket_name):
    native.upload(bucket, "~'a", BODY)
    url = site.get(bucket_name, "~'a")
    assert "/~%27a?" in url
    for path in ("/~'a?", "/%7E%27%61?"):
        assert browser.get(url.replace("/~%27a?", path)).content == BODY


def test_any_region_is_taken(site, browser, file, bucket_name):
    assert browser.get(site.get(bucket_name, "name", region="us-east-1")).status_code == 200


def test_the_name_of_a_bucket_may_be_in_capitals(site, browser, file, bucket_name):
    assert browser.get(site.get(bucket_name.upper(), "name")).content == BODY


OVERRIDES = {
    "ResponseCacheControl": ("cache-control", "max-age=60"),
    "ResponseContentDisposition": (
        "content-disposition",
        "attachment; filename=\"a b.txt\"; filename*=UTF-8''%C3%A4",
    ),
    "ResponseContentEncoding": ("content-encoding", "identity"),
    "ResponseContentLanguage": ("content-language", "de, en"),
    "ResponseContentType": ("content-type", "image/png"),
    "ResponseExpires": ("expires", "Fri, 01 Jan 2027 00:00:00 GMT"),
}


@pytest.mark.parametrize("parameter", OVERRIDES)
def test_a_signed_url_overrides_headers(site, browser, file, bucket_name, parameter):
    header, value = OVERRIDES[parameter]
    for method in ("get", "head"):
        operation = f"{method}_object"
        url = site.sign(operation, bucket_name, "name", **{parameter: value})
        assert browser.send(method.upper(), url).headers.get_list(header) == [value]


def test_an_override_needs_a_signature(browser, emulator, public_name):
    url = f"{emulator.realm}/{public_name}/name"
    assert browser.get(url).status_code == 200
    assert s3_problem(browser.get(f"{url}?response-content-type=text/html")) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("ResponseContentType", "nonsense"), ("ResponseContentDisposition", "a\r\nSet-Cookie: b=c")],
)
def test_an_override_must_be_a_header(site, browser, file, bucket_name, parameter, value):
    answer = browser.get(site.get(bucket_name, "name", **{parameter: value}))
    assert s3_problem(answer) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        pytest.param("bytes=2-4", 206, b"234", "bytes 2-4/10", id="within"),
        pytest.param("bytes=8-99", 206, b"89", "bytes 8-9/10", id="beyond the end"),
        pytest.param("bytes=-3", 206, b"789", "bytes 7-9/10", id="a suffix"),
        pytest.param("bytes=5-", 206, b"56789", "bytes 5-9/10", id="an open end"),
        pytest.param("bytes=0-1,3-4", 200, BODY, None, id="several count as none"),
    ],
)
def test_ranges(site, browser, file, bucket_name, asked, status, body, content_range):
    answer = browser.get(site.get(bucket_name, "name"), Range=asked)
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("content-range") == content_range
    head = browser.head(site.head(bucket_name, "name"), Range=asked)
    assert (head.status_code, head.headers["content-length"]) == (status, str(len(body)))


def test_a_range_behind_the_end_is_refused(site, browser, file, bucket_name):
    answer = browser.get(site.get(bucket_name, "name"), Range="bytes=10-")
    assert s3_problem(answer) == (416, "InvalidRange")
    assert answer.headers["content-range"] == "bytes */10"


def at(file, seconds):
    return formatdate(file["uploadTimestamp"] // 1000 + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        pytest.param({"If-None-Match": "ETAG"}, 304, id="what the client has"),
        pytest.param({"If-None-Match": 'W/ETAG, "b"'}, 304, id="what it has, among others"),
        pytest.param({"If-None-Match": "*"}, 304, id="anything at all"),
        pytest.param({"If-None-Match": '"b"'}, 200, id="what it has is old"),
        pytest.param({"If-Modified-Since": 0}, 304, id="not modified since"),
        pytest.param({"If-Modified-Since": -1}, 200, id="modified since"),
        pytest.param({"If-Modified-Since": "yesterday"}, 200, id="since no date"),
        pytest.param(
            {"If-Modified-Since": f"Fri, 01 Jan {'9' * 30} 00:00:00 GMT"}, 200, id="since no year of ours"
        ),
        pytest.param({"If-None-Match": '"b"', "If-Modified-Since": 0}, 200, id="tags weigh more than dates"),
        pytest.param({"If-Match": "ETAG"}, 200, id="still the same"),
        pytest.param({"If-Match": '"b", ETAG'}, 200, id="one of several"),
        pytest.param({"If-Match": '"b"'}, 412, id="not the same any more"),
        pytest.param({"If-Unmodified-Since": 0}, 200, id="unmodified since"),
        pytest.param({"If-Unmodified-Since": -1}, 412, id="modified meanwhile"),
        pytest.param({"If-Match": "ETAG", "If-Unmodified-Since": -1}, 200, id="here too"),
        pytest.param({"If-Match": '"b"', "If-None-Match": "ETAG"}, 412, id="a refusal comes first"),
    ],
)
def test_conditions(site, browser, file, bucket_name, conditions, status):
    headers = {
        name: at(file, value) if isinstance(value, int) else value.replace("ETAG", f'"{MD5}"')
        for name, value in conditions.items()
    }
    for method in ("GET", "HEAD"):
        url = site.sign(f"{method.lower()}_object", bucket_name, "name")
        answer = browser.send(method, url, headers=headers)
        assert answer.status_code == status
        if status == 304:
            assert answer.content == b""
            assert answer.headers["etag"] == f'"{MD5}"'
            assert "content-length" not in answer.headers
        elif status == 412 and method == "GET":
            assert s3_problem(answer) == (412, "PreconditionFailed")


@pytest.mark.parametrize(
    ("condition", "status"),
    [("ETAG", 206), ("DATE", 206), ('"b"', 200), ("Fri, 24 May 2013 00:00:00 GMT", 200)],
)
def test_a_range_of_what_has_changed_is_the_whole(site, browser, file, bucket_name, condition, status):
    condition = condition.replace("ETAG", f'"{MD5}"').replace("DATE", at(file, 0))
    answer = browser.get(site.get(bucket_name, "name"), **{"Range": "bytes=0-1", "If-Range": condition})
    assert answer.status_code == status


def test_a_signed_header_counts_as_sent(site, browser, file, bucket_name):
    url = site.get(bucket_name, "name", Range="bytes=2-4")
    assert browser.get(url, Range="bytes=2-4").content == b"234"
    for headers in ({}, {"Range": "bytes=2-5"}):
        assert s3_problem(browser.get(url, **headers)) == (403, "SignatureDoesNotMatch")


def test_file_info_becomes_metadata_and_headers(site, browser, native, bucket, bucket_name):
    native.upload(
        bucket,
        "name",
        BODY,
        **{
            "X-Bz-Info-Colour": "blue",
            "X-Bz-Info-place": quote("Köln"),
            "X-Bz-Info-b2-content-disposition": quote('attachment; filename="a.txt"'),
            "X-Bz-Info-b2-cache-control": "max-age=5",
            "X-Bz-Info-b2-content-language": "de",
        },
    )
    headers = browser.get(site.get(bucket_name, "name")).headers
    assert headers["x-amz-meta-colour"] == "blue"
    assert headers["x-amz-meta-place"] == "K%C3%B6ln"
    assert headers["content-disposition"] == 'attachment; filename="a.txt"'
    assert headers["content-language"] == "de"
    assert headers.get_list("cache-control") == ["max-age=5"]
    url = site.get(bucket_name, "name", ResponseCacheControl="no-store")
    assert browser.get(url).headers.get_list("cache-control") == ["no-store"]


def test_a_bucket_has_a_cache_control_of_its_own(site, browser, native, bucket_name):
    found = native.create_bucket(f"{bucket_name}-c", bucketInfo={"Cache-Control": "max-age=7"})
    native.upload(found, "name", BODY)
    assert browser.get(site.get(f"{bucket_name}-c", "name")).headers["cache-control"] == "max-age=7"


def test_a_large_file_has_an_etag_that_is_no_md5(site, browser, native, bucket, bucket_name):
    part = bytes(5_000_000)
    started = native.call("b2_start_large_file", bucketId=bucket, fileName="large", contentType="text/plain")
    for number, body in enumerate((part, BODY), start=1):
        where = native.call("b2_get_upload_part_url", fileId=started["fileId"])
        headers = {
            "Authorization": where["authorizationToken"],
            "X-Bz-Part-Number": str(number),
            "X-Bz-Content-Sha1": sha1(body),
        }
        assert native.http.post(where["uploadUrl"], content=body, headers=headers).status_code == 200
    hashes = [sha1(part), sha1(BODY)]
    native.call("b2_finish_large_file", fileId=started["fileId"], partSha1Array=hashes)
    answer = browser.get(site.get(bucket_name, "large"), Range="bytes=4999998-5000003")
    assert answer.content == b"\0\0" + BODY[:4]
    etag = answer.headers["etag"]
    assert etag.startswith('"')
    assert etag.endswith('-2"')
    assert browser.head(site.head(bucket_name, "large")).headers["etag"] == etag
    url = site.get(bucket_name, "large")
    assert browser.get(url, **{"If-None-Match": etag}).status_code == 304


def test_an_older_version_is_read_by_its_id(site, browser, native, bucket, bucket_name, file):
    native.upload(bucket, "name", b"newer")
    native.call("b2_hide_file", bucketId=bucket, fileName="name")
    answer = browser.get(site.get(bucket_name, "name", VersionId=file["fileId"]))
    assert answer.content == BODY
    assert answer.headers["x-amz-version-id"] == file["fileId"]


def test_a_version_goes_with_its_name_and_bucket(site, browser, native, bucket, bucket_name, file):
    native.upload(bucket, "other", b"other")
    hidden = native.call("b2_hide_file", bucketId=bucket, fileName="name")["fileId"]
    native.create_bucket(f"{bucket_name}-x")
    for where, name, file_id in [
        (bucket_name, "other", file["fileId"]),
        (f"{bucket_name}-x", "name", file["fileId"]),
        (bucket_name, "name", hidden),
        (bucket_name, "name", "4_z_nothing"),
    ]:
        answer = browser.get(site.get(where, name, VersionId=file_id))
        assert s3_problem(answer) == (404, "NoSuchVersion")


def test_what_does_not_exist(site, browser, native, bucket, bucket_name, file):
    assert s3_problem(browser.get(site.get(bucket_name, "nothing"))) == (404, "NoSuchKey")
    assert s3_problem(browser.get(site.get("no-such-bucket", "name"))) == (404, "NoSuchBucket")
    assert s3_problem(browser.put(site.put("no-such-bucket", "name"))) == (404, "NoSuchBucket")
    native.call("b2_hide_file", bucketId=bucket, fileName="name")
    assert s3_problem(browser.get(site.get(bucket_name, "name"))) == (404, "NoSuchKey")


def test_an_unfinished_large_file_does_not_exist_yet(site, browser, native, bucket, bucket_name):
    native.call("b2_start_large_file", bucketId=bucket, fileName="name", contentType="text/plain")
    assert s3_problem(browser.get(site.get(bucket_name, "name"))) == (404, "NoSuchKey")


def test_an_error_to_a_head_has_no_body(site, browser, bucket, bucket_name):
    answer = browser.head(site.head(bucket_name, "nothing"))
    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["x-amz-request-id"]


@pytest.mark.parametrize("encoded", ["%ff", "%c3"])
def test_a_name_that_is_no_utf8_is_refused(browser, emulator, public_name, encoded):
    answer = browser.get(f"{emulator.realm}/{public_name}/{encoded}")
    assert s3_problem(answer) == (400, "InvalidURI")
