"""Which requests are for this endpoint, what it does not do, and the control plane's view of it."""

import httpx
import pytest

from ..clients import problem
from .clients import BODY, names_stored, s3_problem


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("list_objects_v2", {}),
        ("head_bucket", {}),
        ("delete_object", {"Key": "name"}),
        ("create_multipart_upload", {"Key": "name"}),
        ("upload_part", {"Key": "name", "UploadId": "1", "PartNumber": 1}),
        ("get_object_acl", {"Key": "name"}),
        ("get_object_tagging", {"Key": "name"}),
        ("get_object_attributes", {"Key": "name", "ObjectAttributes": ["ETag"]}),
    ],
)
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_other_operations_say_that_they_are_not_there(
    site, browser, native, bucket, bucket_name, file, operation, params, style
):
    endpoint = site.realm.replace("127.0.0.1", "localhost")
    client = site._client(endpoint, style, "us-west-004")
    method = {"head": "HEAD", "delete": "DELETE", "create": "POST", "upload": "PUT"}.get(
        operation.partition("_")[0], "GET"
    )
    url = client.generate_presigned_url(operation, Params={"Bucket": bucket_name, **params})
    answer = browser.send(method, url)
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (501, b"")
    else:
        assert s3_problem(answer) == (501, "NotImplemented")
    assert names_stored(native, bucket) == [("name", "upload")]


def test_a_copy_is_not_taken_for_an_upload(site, browser, native, bucket, bucket_name, file):
    source = f"{bucket_name}/name"
    url = site.sign("copy_object", bucket_name, "copy", CopySource=source)
    answer = browser.put(url, b"", **{"x-amz-copy-source": source})
    assert s3_problem(answer) == (501, "NotImplemented")
    assert native.names(bucket) == ["name"]


def test_signatures_in_headers_are_not_there(emulator, browser, bucket_name, file):
    authorization = "AWS4-HMAC-SHA256 Credential=key/20130524/us-east-1/s3/aws4_request, SignedHeaders=host"
    for path in ("/", f"/{bucket_name}", f"/{bucket_name}/name"):
        answer = browser.get(emulator.realm + path, Authorization=authorization)
        assert s3_problem(answer) == (501, "NotImplemented")


@pytest.mark.parametrize(
    "path", ["/", "/favicon.ico", "/file/only-a-bucket", "/b2api/v9/b2_list_buckets", "/short/name"]
)
def test_paths_that_no_bucket_can_have_are_not_for_this_endpoint(native, path):
    assert problem(native.http.get(path)) == (404, "not_found")


def test_the_emulator_may_have_a_name_like_a_virtual_host(emulator, browser, native, bucket_name, file):
    port = emulator.ready["port"]
    path = f"/file/{bucket_name}/name"
    answer = browser.get(f"http://emulator.localhost:{port}{path}", Authorization=native.token)
    assert answer.content == BODY


def test_the_log_names_the_operations(site, browser, control, bucket, bucket_name):
    control.clear_requests()
    browser.put(site.put(bucket_name, "name"))
    browser.get(site.get(bucket_name, "name"), Range="bytes=0-3")
    browser.head(site.head(bucket_name, "name", style="virtual"))
    browser.send("DELETE", site.sign("delete_object", bucket_name, "name"))
    log = control.requests()
    columns = ("operation", "class", "method", "status", "range")
    assert [tuple(entry[column] for column in columns) for entry in log] == [
        ("s3_put_object", "A", "PUT", 200, None),
        ("s3_get_object", "B", "GET", 206, "bytes=0-3"),
        ("s3_head_object", "B", "HEAD", 200, None),
        ("s3_unknown", "A", "DELETE", 501, None),
    ]
    assert [(entry["bytes_received"], entry["bytes_sent"]) for entry in log[:3]] == [(10, 0), (0, 4), (0, 0)]
    assert log[0]["path"] == f"/{bucket_name}/name"


def test_faults_are_told_in_the_form_of_s3(site, browser, native, control, bucket, bucket_name, file):
    url = site.put(bucket_name, "new")
    control.fault("s3_put_object", status=503, code="SlowDown", headers={"Retry-After": "3"})
    answer = browser.put(url)
    assert s3_problem(answer) == (503, "SlowDown")
    assert answer.headers["retry-after"] == "3"
    assert native.names(bucket) == ["name"]
    assert browser.put(url).status_code == 200
    control.fault("s3_get_object", status=500, message="<a> & <b>")
    answer = browser.get(site.get(bucket_name, "name"))
    assert s3_problem(answer) == (500, "InternalError")
    control.fault("s3_head_object", status=500)
    assert browser.head(site.head(bucket_name, "name")).status_code == 500


def test_a_body_may_be_cut(site, browser, control, bucket, bucket_name, file):
    control.fault("s3_get_object", cut_after=4)
    with pytest.raises(httpx.RemoteProtocolError):
        browser.get(site.get(bucket_name, "name"))
    assert browser.get(site.get(bucket_name, "name")).content == BODY
