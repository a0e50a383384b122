"""The control plane: the log of requests, faults, latency, clock."""

import io
import socket
import time

import httpx
import pytest
from b2sdk.v3.exception import ServiceError

from .clients import problem

BODY = b"0123456789" * 100_000


@pytest.fixture
def file(native, bucket, control):
    found = native.upload(bucket, "name", BODY)
    control.clear_requests()
    return found


def raw_get(native, bucket_name):
    """Download and return the body as far as it came."""
    got = b""
    headers = {"Authorization": native.token}
    try:
        with native.http.stream("GET", f"/file/{bucket_name}/name", headers=headers) as answer:
            for chunk in answer.iter_raw():
                got += chunk
    except httpx.RemoteProtocolError:
        return got, "broken off"
    return got, "whole"


def test_the_log_tells_each_request_in_order(api, native, bucket, bucket_name, control):
    found = api.get_bucket_by_name(bucket_name)
    control.clear_requests()
    version = found.upload_bytes(b"content", "some name")
    found.download_file_by_name("some name", range_=(1, 3)).save(io.BytesIO())
    found.get_file_info_by_name("some name")
    api.download_file_by_id(version.id_).save(io.BytesIO())
    api.get_file_info(version.id_)
    log = control.requests()
    columns = ("operation", "class", "method", "status", "range")
    assert [tuple(entry[column] for column in columns) for entry in log] == [
        ("b2_get_upload_url", "A", "POST", 200, None),
        ("b2_upload_file", "A", "POST", 200, None),
        ("b2_download_file_by_name", "B", "GET", 206, "bytes=1-3"),
        ("head_file_by_name", "B", "HEAD", 200, None),
        ("b2_download_file_by_id", "B", "GET", 200, None),
        ("b2_get_file_info", "B", "POST", 200, None),
    ]
    assert log[1]["bytes_received"] == 7
    assert [entry["bytes_sent"] for entry in log[2:5]] == [3, 0, 7]
    assert log[2]["path"] == f"/file/{bucket_name}/some%20name"


def test_the_log_tells_failures_and_strangers_too(native, control):
    native.post("b2_list_buckets", token="4_made_up")
    native.http.get("/favicon.ico")
    log = [(entry["operation"], entry["class"], entry["status"]) for entry in control.requests()]
    assert log == [("b2_list_buckets", "C", 401), ("unknown", "A", 404)]


def test_the_log_can_be_cleared_and_leaves_itself_out(native, control):
    native.account_call("b2_list_buckets")
    control.clear_requests()
    assert control.requests() == []


def test_the_log_has_a_request_by_the_time_its_answer_is_whole(native, file, bucket_name, control):
    for _ in range(50):
        native.get(bucket_name, "name", headers={"Range": "bytes=0-299999"})
        assert control.requests()[-1]["bytes_sent"] == 300_000


def test_a_download_that_the_client_breaks_off_is_logged_with_what_was_sent(
    native, bucket, bucket_name, control
):
    size = 40_000_000
    native.upload(bucket, "large", bytes(size))
    control.clear_requests()
    headers = {"Authorization": native.token}
    with native.http.stream("GET", f"/file/{bucket_name}/large", headers=headers) as answer:
        next(answer.iter_raw(100_000))
    for _ in range(20):  # time enough for the emulator to see the end and to count wrongly
        (entry,) = control.requests()
    assert (entry["operation"], entry["status"]) == ("b2_download_file_by_name", 200)
    assert 100_000 <= entry["bytes_sent"] < size


def test_a_fault_answers_as_told_and_as_often_as_told(native, bucket, control):
    control.fault("b2_list_file_names", times=2, status=503, code="service_unavailable", message="busy")
    for _ in range(2):
        answer = native.post("b2_list_file_names", bucketId=bucket)
        assert problem(answer) == (503, "service_unavailable")
        assert answer.json()["message"] == "busy"
    assert native.names(bucket) == []
    assert [entry["status"] for entry in control.requests()] == [503, 503, 200]


def test_a_fault_happens_once_unless_told(native, bucket, control):
    control.fault("b2_list_file_names", status=500)
    assert native.post("b2_list_file_names", bucketId=bucket).status_code == 500
    assert native.post("b2_list_file_names", bucketId=bucket).status_code == 200


def test_a_fault_may_be_for_ever_until_it_is_cleared(native, bucket, control):
    control.fault("*", times=None, status=500)
    for _ in range(5):
        assert native.post("b2_list_file_names", bucketId=bucket).status_code == 500
    control.reset()
    assert native.post("b2_list_file_names", bucketId=bucket).status_code == 200


def test_a_fault_may_let_requests_through_first(native, bucket, control):
    control.fault("b2_list_file_names", skip=2, status=500)
    statuses = [native.post("b2_list_file_names", bucketId=bucket).status_code for _ in range(4)]
    assert statuses == [200, 200, 500, 200]


def test_a_fault_for_one_operation_leaves_others_alone(native, bucket, control):
    control.fault("b2_list_file_versions", status=500)
    assert native.names(bucket) == []


def test_a_refused_operation_is_not_done(native, bucket, control):
    control.fault("b2_upload_file", status=503)
    assert native.send(*native.upload_url(bucket), "name", BODY).status_code == 503
    assert native.names(bucket) == []


def test_a_fault_may_send_headers(native, bucket, control):
    control.fault("*", status=429, code="too_many_requests", headers={"Retry-After": "7"})
    answer = native.post("b2_list_file_names", bucketId=bucket)
    assert problem(answer) == (429, "too_many_requests")
    assert answer.headers["retry-after"] == "7"


def test_b2sdk_retries_an_upload_at_another_url(api, bucket, bucket_name, control):
    control.fault("b2_upload_file", times=2, status=503, code="service_unavailable")
    api.get_bucket_by_name(bucket_name).upload_bytes(b"content", "name")
    operations = [entry["operation"] for entry in control.requests()]
    assert operations.count("b2_get_upload_url") == operations.count("b2_upload_file") == 3


def test_b2sdk_sees_a_head_error_without_a_body(api, native, file, bucket_name, control, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # b2sdk waits between its tries
    control.fault("head_file_by_name", times=None, status=503)
    with pytest.raises(ServiceError):
        api.get_bucket_by_name(bucket_name).get_file_info_by_name("name")


@pytest.mark.parametrize("count", [0, 1, 300_000])
def test_a_body_may_be_cut(native, file, bucket_name, control, count):
    control.fault("b2_download_file_by_name", cut_after=count)
    assert raw_get(native, bucket_name) == (BODY[:count], "broken off")
    assert control.requests()[-1]["bytes_sent"] == count
    assert raw_get(native, bucket_name) == (BODY, "whole")


def test_an_answer_may_be_lost_after_the_deed(native, bucket, control):
    control.fault("b2_upload_file", cut_after=0)
    url = native.upload_url(bucket)
    with pytest.raises(httpx.RemoteProtocolError):
        native.send(*url, "name", b"content")
    assert native.names(bucket) == ["name"]


def test_a_body_may_stall(emulator, native, file, bucket_name, control):
    control.fault("b2_download_file_by_name", stall_after=1000)
    request = f"GET /file/{bucket_name}/name HTTP/1.1\r\nHost: x\r\nAuthorization: {native.token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.ready["port"])) as connection:
        connection.sendall(request.encode())
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 1000:
            got += connection.recv(65536)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert got.partition(b"\r\n\r\n")[2] == BODY[:1000]
    assert raw_get(native, bucket_name) == (BODY, "whole")


def test_bytes_may_be_corrupted(native, file, bucket_name, control):
    control.fault("b2_download_file_by_name", corrupt=True)
    spoilt = native.get(bucket_name, "name").content
    assert (len(spoilt), spoilt[1:]) == (len(BODY), BODY[1:])
    assert spoilt != BODY
    assert native.get(bucket_name, "name").content == BODY


def test_a_download_may_bring_hostile_headers(native, file, bucket_name, control):
    control.fault(
        "b2_download_file_by_name", extra_headers={"Set-Cookie": "a=b", "Content-Type": "text/html"}
    )
    headers = native.get(bucket_name, "name").headers
    assert headers["set-cookie"] == "a=b"
    assert headers.get_list("content-type") == ["text/html"]


def test_a_request_may_be_delayed(native, bucket, control):
    control.fault("b2_list_file_names", delay=0.2)
    took = []
    for _ in range(2):
        started = time.monotonic()
        native.names(bucket)
        took.append(time.monotonic() - started)
    assert took[0] >= 0.2 > took[1]


def test_all_requests_may_be_slow(native, bucket, control):
    control.set("latency", seconds=0.1)
    started = time.monotonic()
    native.names(bucket)
    assert time.monotonic() - started >= 0.1
    control.set("latency", seconds=0)


def test_the_clock_stamps_files_but_not_the_date_header(native, bucket, control):
    control.set("clock", offset_seconds=86_400 * 30)
    later = native.http.get("/b2api/v4/b2_authorize_account")
    assert httpx.Headers(later.headers)["date"][:16] in {
        time.strftime("%a, %d %b %Y", time.gmtime(t)) for t in now()
    }
    control.set("clock", offset_seconds=-3600)
    stamp = native.upload(bucket, "name")["uploadTimestamp"] / 1000
    assert stamp == pytest.approx(time.time() - 3600, abs=60)


def now():
    return (time.time() - 5, time.time())


@pytest.mark.parametrize(
    ("method", "name", "body", "status"),
    [
        pytest.param("POST", "faults", {}, 400, id="a fault has an operation"),
        pytest.param("POST", "faults", {"operation": "*", "times": "many"}, 400, id="times is a number"),
        pytest.param("POST", "faults", {"operation": "*", "status": 200}, 400, id="a fault is an error"),
        pytest.param(
            "POST",
            "faults",
            {"operation": "*", "headers": {"a": "b\r\nc: d"}},
            400,
            id="a header is one header",
        ),
        pytest.param("POST", "latency", {"seconds": "long"}, 400, id="seconds are a number"),
        pytest.param("POST", "requests", {}, 405, id="a log is not written"),
        pytest.param("GET", "nothing", None, 404, id="there is no more"),
    ],
)
def test_what_the_control_plane_refuses(control, method, name, body, status):
    assert control.http.request(method, f"/{name}", json=body).status_code == status
