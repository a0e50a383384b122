"""The control plane: the log of requests, faults, latency, clock."""

import io
import json
import re
import socket
import time

import httpx
import pytest
from b2sdk.v3.exception import ChecksumMismatch, ServiceError, StorageCapExceeded

from b2fields.emulator import control as control_plane
from b2fields.emulator.log import MAX_ENTRIES, Entry, Log

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


@pytest.fixture
def slow(control):
    """Limit the bandwidth, for one test."""
    yield lambda count: control.set("bandwidth", bytes_per_second=count)
    control.set("bandwidth", bytes_per_second=None)


@pytest.fixture
def wire(emulator, native):
    """Send a GET over a connection of its own; return that, and the body as far as *count* bytes."""
    connections = []

    def get(path, count=0):
        connection = socket.create_connection(("127.0.0.1", emulator.ready["port"]), timeout=20)
        connections.append(connection)
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {native.token}\r\n\r\n"
        connection.sendall(request.encode())
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < count:
            got += connection.recv(65536)
        return connection, got.partition(b"\r\n\r\n")[2]

    yield get
    for connection in connections:
        connection.close()


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


def test_long_lists_are_billed_as_several_transactions(native, bucket, control):
    url = native.upload_url(bucket)
    for number in range(1001):
        native.send(*url, f"{number:04}", b"")
    control.clear_requests()
    for count in (1000, 1001, 10_000):
        native.names(bucket, maxFileCount=count)
    native.call("b2_list_file_versions", bucketId=bucket, maxFileCount=10_000)
    native.names(bucket, prefix="none")
    assert [entry["billed"] for entry in control.requests()] == [1, 2, 2, 2, 1]
    assert control.counters()["classes"] == {"A": 0, "B": 0, "C": 8}
    assert control.counters()["operations"] == {"b2_list_file_names": 4, "b2_list_file_versions": 1}


def test_counters_sum_up_the_log(native, file, bucket_name, control):
    native.get(bucket_name, "name", headers={"Range": "bytes=0-9"})
    native.get(bucket_name, "name", method="HEAD")
    native.http.get("/favicon.ico")
    native.post("b2_list_buckets", token="4_made_up")
    log, counters = control.requests(), control.counters()
    assert counters["operations"] == {
        "b2_download_file_by_name": 1,
        "head_file_by_name": 1,
        "unknown": 1,
        "b2_list_buckets": 1,
    }
    assert counters["classes"] == {"A": 1, "B": 2, "C": 1}
    for name in ("bytes_sent", "bytes_received"):
        assert counters[name] == sum(entry[name] for entry in log) > 0


def test_counters_begin_anew_with_the_log(native, control):
    native.account_call("b2_list_buckets")
    control.clear_requests()
    assert control.counters() == {
        "operations": {},
        "classes": {"A": 0, "B": 0, "C": 0},
        "bytes_sent": 0,
        "bytes_received": 0,
    }


def test_the_log_forgets_the_oldest_and_the_counters_forget_nothing():
    log = Log()
    for number in range(MAX_ENTRIES + 5):
        entry = Entry("b2_hide_file", "POST", str(number), None)
        log.add(entry)
        entry.add_sent(1)
    assert (len(log.entries), log.entries[0].path) == (MAX_ENTRIES, "5")
    assert log.counters()["operations"] == {"b2_hide_file": MAX_ENTRIES + 5}
    assert log.counters()["bytes_sent"] == MAX_ENTRIES + 5


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


def test_a_body_may_stall(native, file, bucket_name, control, wire):
    control.fault("b2_download_file_by_name", stall_after=1000)
    connection, got = wire(f"/file/{bucket_name}/name", 1000)
    connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    assert got == BODY[:1000]
    assert raw_get(native, bucket_name) == (BODY, "whole")


def test_a_connection_may_be_reset_before_any_answer(control, wire):
    control.fault("unknown", reset=True)
    connection, _ = wire("/")
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    entry = control.requests()[-1]
    assert (entry["operation"], entry["status"], entry["bytes_sent"]) == ("unknown", None, 0)


def test_an_operation_that_is_reset_is_not_done(native, bucket, control):
    url = native.upload_url(bucket)
    control.fault("b2_upload_file", reset=True)
    with pytest.raises(httpx.TransportError):
        native.send(*url, "name", BODY)
    assert native.names(bucket) == []


def test_a_connection_may_be_reset_within_the_body(file, bucket_name, control, wire):
    control.fault("b2_download_file_by_name", cut_after=1000, reset=True)
    connection, got = wire(f"/file/{bucket_name}/name", 1000)
    assert got == BODY[:1000]
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert control.requests()[-1]["bytes_sent"] == 1000


def test_b2sdk_gets_over_a_reset(api, bucket, bucket_name, control):
    control.fault("b2_list_buckets", reset=True)
    assert api.get_bucket_by_name(bucket_name).id_ == bucket
    assert [entry["status"] for entry in control.requests()] == [None, 200]


def test_connections_may_be_refused_for_a_while(emulator, native, control):
    address = ("127.0.0.1", emulator.ready["port"])
    native.account_call("b2_list_buckets")
    control.set("refuse", seconds=600)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
    assert len(control.requests()) == 1  # by the one connection that is left
    control.set("refuse", seconds=0)
    control.requests()
    socket.create_connection(address).close()
    native.account_call("b2_list_buckets")


def test_connections_are_accepted_again_by_themselves(emulator, control):
    address = ("127.0.0.1", emulator.ready["port"])
    control.set("refuse", seconds=0.1)
    refusals = 0
    while True:
        try:
            socket.create_connection(address).close()
            break
        except ConnectionRefusedError:
            refusals += 1
    assert refusals > 0


def test_answers_under_way_break_off_when_connections_are_refused(control, file, bucket_name, wire):
    control.fault("b2_download_file_by_name", stall_after=1000)
    connection, _ = wire(f"/file/{bucket_name}/name", 1000)
    control.set("refuse", seconds=0)
    assert connection.recv(1) == b""


def test_downloads_may_be_slow(native, file, bucket_name, control, slow):
    slow(1_000_000)
    started = time.monotonic()
    headers = {"Authorization": native.token, "Range": "bytes=0-299999"}
    with native.http.stream("GET", f"/file/{bucket_name}/name", headers=headers) as answer:
        chunks = list(answer.iter_raw())
    assert b"".join(chunks) == BODY[:300_000]
    assert len(chunks) >= 5  # it came evenly
    assert time.monotonic() - started >= 0.2


def test_uploads_may_be_slow(native, bucket, bucket_name, slow):
    url = native.upload_url(bucket)
    slow(2_000_000)
    started = time.monotonic()
    assert native.send(*url, "name", BODY[:600_000]).status_code == 200
    assert time.monotonic() - started >= 0.2
    slow(None)
    assert native.get(bucket_name, "name").content == BODY[:600_000]


def test_a_slow_body_may_be_cut_and_counted(native, file, bucket_name, control, slow):
    slow(10_000_000)
    control.fault("b2_download_file_by_name", cut_after=700_000, corrupt=True)
    got, end = raw_get(native, bucket_name)
    assert (len(got), got[1:], end) == (700_000, BODY[1:700_000], "broken off")
    assert got[0] != BODY[0]
    assert control.requests()[-1]["bytes_sent"] == 700_000


def test_a_wrong_checksum_is_noticed_by_b2sdk(api, file, bucket_name, control):
    found = api.get_bucket_by_name(bucket_name)
    control.fault("b2_download_file_by_name", times=None, headers={"x-bz-content-sha1": "0" * 40})
    with pytest.raises(ChecksumMismatch):
        found.download_file_by_name("name").save(io.BytesIO())


def test_b2sdk_signs_in_again_when_its_token_is_over(api, bucket, bucket_name, control):
    control.fault("b2_list_buckets", status=401, code="expired_auth_token")
    assert api.get_bucket_by_name(bucket_name).id_ == bucket
    operations = [entry["operation"] for entry in control.requests()]
    assert operations == ["b2_list_buckets", "b2_authorize_account", "b2_list_buckets"]


def test_b2sdk_tells_a_cap(api, bucket, bucket_name, control):
    found = api.get_bucket_by_name(bucket_name)
    control.fault("b2_upload_file", status=403, code="storage_cap_exceeded")
    with pytest.raises(StorageCapExceeded):
        found.upload_bytes(b"content", "name")


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


def test_a_header_may_come_several_times_and_be_long(native, file, bucket_name, control):
    control.fault(
        "b2_download_file_by_name",
        headers={"Set-Cookie": ["a=1", "b=2"], "ETag": ["x", "y"], "X-Long": "l" * 60_000, "X-Latin": "\xe9"},
    )
    headers = native.get(bucket_name, "name").headers
    assert headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert headers.get_list("etag") == ["x", "y"]
    assert headers["x-long"] == "l" * 60_000
    assert (b"x-latin", b"\xe9") in headers.raw


def test_each_fault_that_the_documentation_shows_is_one(control):
    shown = re.findall(r'^ +(\{"operation": .*\})$', control_plane.__doc__, re.MULTILINE)
    assert len(shown) >= 13
    for example in shown:
        control.fault(**json.loads(example))


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
        pytest.param(
            "POST", "faults", {"operation": "*", "headers": {"a": "\u2603"}}, 400, id="a header is Latin-1"
        ),
        pytest.param(
            "POST", "faults", {"operation": "*", "headers": {"a: b": "c"}}, 400, id="a name is a name"
        ),
        pytest.param(
            "POST", "faults", {"operation": "*", "headers": {"a": [1]}}, 400, id="values are strings"
        ),
        pytest.param(
            "POST",
            "faults",
            {"operation": "*", "headers": {"Content-Length": "1"}},
            400,
            id="a length is the server's",
        ),
        pytest.param("POST", "faults", {"operation": "*", "tims": 2}, 400, id="a fault has no other parts"),
        pytest.param("POST", "latency", {"seconds": "long"}, 400, id="seconds are a number"),
        pytest.param("POST", "refuse", {"seconds": "long"}, 400, id="those of refusing too"),
        pytest.param("POST", "bandwidth", {"bytes_per_second": 0}, 400, id="a bandwidth is positive"),
        pytest.param("POST", "counters", {}, 405, id="counters are not written"),
        pytest.param("POST", "requests", {}, 405, id="a log is not written"),
        pytest.param("GET", "nothing", None, 404, id="there is no more"),
    ],
)
def test_what_the_control_plane_refuses(control, method, name, body, status):
    assert control.http.request(method, f"/{name}", json=body).status_code == status


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://127.0.0.1:8765"])
def test_the_control_plane_is_not_for_web_pages(control, method, origin):
    # What a page can send without a preflight: a form, or fetch() with such a content type.
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    answer = control.http.request(method, "/faults", headers=headers, content=b'{"operation": "*"}')
    assert problem(answer) == (403, "access_denied")


def test_no_preflight_opens_the_control_plane(control):
    headers = {"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}
    answer = control.http.options("/faults", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("[::1]:8765", 200),
        ("localhost", 200),
        ("some-bucket.localhost:80", 200),
        ("emulator:8765", 200),
        ("192.168.1.2", 200),
        ("evil.test", 403),
        ("127.0.0.1.evil.test:8765", 403),
        ("localhost.evil.test", 403),
        ("evil.test:80:80", 403),
    ],
)
def test_the_control_plane_goes_by_no_name_that_a_stranger_could_have(control, host, status):
    assert control.http.get("/requests", headers={"Host": host}).status_code == status
