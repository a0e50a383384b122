"""CORS: which rules a bucket takes, and what the pages of other origins may do with its files."""

import itertools

import httpx
import pytest

from .clients import problem

PAGE = "https://example.com"
RULE = {
    "corsRuleName": "some-rule",
    "allowedOrigins": [PAGE],
    "allowedOperations": ["b2_download_file_by_name"],
    "maxAgeSeconds": 3600,
}
ALL = [
    *("b2_download_file_by_id", "b2_download_file_by_name", "b2_upload_file", "b2_upload_part"),
    *("s3_delete", "s3_get", "s3_head", "s3_post", "s3_put"),
]


@pytest.fixture
def share(native, bucket_name):
    """Create the test's bucket with CORS rules; each differs from RULE by what is given."""

    def create(*differences, kind="allPublic"):
        rules = [RULE | {"corsRuleName": f"rule-{number}"} | more for number, more in enumerate(differences)]
        return native.create_bucket(bucket_name, kind, corsRules=rules)

    return create


@pytest.fixture
def ask(native, bucket_name):
    """Send a preflight; the method and the headers are those of the request that it asks for."""

    def preflight(path=None, *, origin=PAGE, method="GET", headers=None):
        sent = {"Origin": origin, "Access-Control-Request-Method": method}
        if headers is not None:
            sent["Access-Control-Request-Headers"] = headers
        return native.http.options(path or f"/file/{bucket_name}/name", headers=sent)

    return preflight


def opened(answer):
    """Return the CORS headers of an answer."""
    return {key: value for key, value in answer.headers.items() if key.startswith("access-control-")}


def test_a_bucket_keeps_its_rules(native, bucket_name):
    rules = [
        RULE | {"allowedHeaders": ["range", "x-bz-*"], "exposeHeaders": ["x-bz-content-sha1"]},
        {
            "corsRuleName": "0" * 63,
            "allowedOrigins": ["http://localhost:8000", "https://*.example.com", "https://*:8443", "https"],
            "allowedOperations": ALL,
            "allowedHeaders": ["*"],
            "maxAgeSeconds": 0,
        },
        RULE | {"corsRuleName": "for-all", "allowedOrigins": ["*"], "maxAgeSeconds": 86400},
    ]
    native.create_bucket(bucket_name, corsRules=rules)
    (found,) = native.account_call("b2_list_buckets", bucketName=bucket_name)["buckets"]
    assert found["corsRules"] == rules


def test_an_update_replaces_the_rules(native, share, ask):
    bucket = share({})
    native.account_call("b2_update_bucket", bucketId=bucket, corsRules=[])
    assert ask().status_code == 403


@pytest.mark.parametrize(
    "difference",
    [
        pytest.param({"corsRuleName": "short"}, id="a name has six characters"),
        pytest.param({"corsRuleName": "n" * 64}, id="a name has 63 characters at most"),
        pytest.param({"corsRuleName": "under_score"}, id="a name has letters, digits and hyphens"),
        pytest.param({"corsRuleName": "B2-rule"}, id="names with b2- are reserved"),
        pytest.param({"corsRuleName": None}, id="a rule has a name"),
        pytest.param({"allowedOrigins": []}, id="a rule has origins"),
        pytest.param({"allowedOrigins": [""]}, id="an origin is not empty"),
        pytest.param({"allowedOrigins": PAGE}, id="origins are a list"),
        pytest.param({"allowedOrigins": [1]}, id="an origin is a string"),
        pytest.param({"allowedOrigins": ["example.com"]}, id="an origin has a scheme"),
        pytest.param({"allowedOrigins": [PAGE + "/"]}, id="an origin has no path"),
        pytest.param({"allowedOrigins": ["https://*.*.com"]}, id="an origin has one asterisk"),
        pytest.param({"allowedOrigins": ["http://localhost:*"]}, id="an asterisk is part of the host"),
        pytest.param({"allowedOrigins": ["*", PAGE]}, id="an origin for all stands alone"),
        pytest.param({"allowedOrigins": ["https", "https"]}, id="https stands once"),
        pytest.param({"allowedOrigins": ["https", PAGE]}, id="https stands last"),
        pytest.param({"allowedOperations": []}, id="a rule has operations"),
        pytest.param({"allowedOperations": ["b2_list_buckets"]}, id="lists are not for browsers"),
        pytest.param({"allowedHeaders": ["*-name"]}, id="an asterisk ends a header"),
        pytest.param({"allowedHeaders": ["*", "range"]}, id="all headers stand alone"),
        pytest.param({"allowedHeaders": ["a b"]}, id="a header is a header"),
        pytest.param({"exposeHeaders": ["x-bz-*"]}, id="exposed headers are whole"),
        pytest.param({"exposeHeaders": ["a\r\nb: c"]}, id="an exposed header is one header"),
        pytest.param({"maxAgeSeconds": None}, id="a rule has an age"),
        pytest.param({"maxAgeSeconds": -1}, id="an age is not negative"),
        pytest.param({"maxAgeSeconds": 86401}, id="an age is a day at most"),
        pytest.param({"maxAgeSeconds": "60"}, id="an age is a number"),
        pytest.param({"allowedMethods": ["GET"]}, id="a rule has no more fields"),
        pytest.param({"allowedHeaders": ["h" * 950]}, id="a rule has less than 1000 bytes"),
    ],
)
def test_rules_that_are_refused(native, bucket_name, difference):
    answer = native.post(
        "b2_create_bucket",
        accountId=native.account["accountId"],
        bucketName=bucket_name,
        bucketType="allPublic",
        corsRules=[RULE | difference],
    )
    assert problem(answer) == (400, "bad_request")


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param([RULE, RULE], id="two rules of one name"),
        pytest.param([RULE | {"corsRuleName": f"rule-{n:03}"} for n in range(101)], id="101 rules"),
    ],
)
def test_sets_of_rules_that_are_refused(native, bucket, rules):
    answer = native.post(
        "b2_update_bucket", accountId=native.account["accountId"], bucketId=bucket, corsRules=rules
    )
    assert problem(answer) == (400, "bad_request")


def test_a_preflight_is_granted_without_authorization(share, ask):
    share({"allowedHeaders": ["range", "x-custom-*"]})
    answer = ask(headers="range, X-Custom-One")
    assert (answer.status_code, answer.content) == (200, b"")
    assert opened(answer) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET",
        "access-control-allow-headers": "range, X-Custom-One",
        "access-control-max-age": "3600",
    }
    assert "Origin" in answer.headers["vary"]


def test_a_preflight_is_refused_by_default(ask, bucket):
    answer = ask()
    assert problem(answer) == (403, "access_denied")
    assert opened(answer) == {}


@pytest.mark.parametrize("path", ["/file/no-such-bucket/name", "/no-such-bucket/name", "/nowhere"])
def test_a_preflight_to_nowhere_is_refused(ask, path):
    assert ask(path).status_code == 403


def test_the_first_rule_that_fits_counts(share, ask):
    share({"allowedOrigins": ["http://elsewhere"], "maxAgeSeconds": 1}, {"maxAgeSeconds": 2}, {})
    assert ask().headers["access-control-max-age"] == "2"


@pytest.mark.parametrize(
    ("allowed", "origin", "granted"),
    [
        pytest.param("*", "null", True, id="an asterisk is any origin"),
        pytest.param("https", "https://a.test:8443", True, id="https is any port"),
        pytest.param("https", "http://a.test", False, id="https is not http"),
        pytest.param("https://*", "https://a.test", True, id="any host"),
        pytest.param("https://*", "https://a.test:8443", False, id="any host, but the default port"),
        pytest.param("https://*:8443", "https://a.test:8443", True, id="any host with a port"),
        pytest.param("https://*.a.test", "https://b.c.a.test", True, id="any host below another"),
        pytest.param("https://*.a.test", "https://a.test", False, id="a host is not below itself"),
        pytest.param("https://*.a.test", "https://evil.test/.a.test", False, id="a path is no host"),
        pytest.param("https://a.test", "https://a.test.evil.test", False, id="an origin is whole"),
        pytest.param("https://a.test", "https://axtest", False, id="a dot is a dot"),
        pytest.param("https://a.test:443", "https://a.test", True, id="a default port may stand there"),
        pytest.param("http://a.test", "http://a.test:80", True, id="or be left out"),
        pytest.param("http://a.test", "http://a.test:443", False, id="each scheme has its own"),
        pytest.param("http://A.test", "http://a.test", True, id="hosts have no case"),
    ],
)
def test_origins(share, ask, allowed, origin, granted):
    share({"allowedOrigins": [allowed]})
    assert ask(origin=origin).status_code == (200 if granted else 403)


@pytest.mark.parametrize(
    ("allowed", "asked", "granted"),
    [
        pytest.param(None, "range", False, id="no header by default"),
        pytest.param(None, None, True, id="none is needed for none"),
        pytest.param(["Range"], "range", True, id="names have no case"),
        pytest.param(["range"], "range,x-other", False, id="all must be allowed"),
        pytest.param(["x-bz-*"], "x-bz-file-name", True, id="names by their beginning"),
        pytest.param(["x-bz-*"], "y-x-bz-file-name", False, id="and by that alone"),
        pytest.param(["*"], "anything, at-all", True, id="all headers"),
    ],
)
def test_headers(share, ask, allowed, asked, granted):
    share({"allowedHeaders": allowed})
    assert ask(headers=asked).status_code == (200 if granted else 403)


@pytest.fixture
def urls(native, bucket_name):
    """Give the URL of each kind of request to the test's bucket."""

    def make(bucket_id):
        file_id = native.upload(bucket_id, "name")["fileId"]
        large = native.call(
            "b2_start_large_file", bucketId=bucket_id, fileName="large", contentType="text/plain"
        )
        part = native.call("b2_get_upload_part_url", fileId=large["fileId"])["uploadUrl"]
        return {
            "by name": f"/file/{bucket_name}/name",
            "by id": f"/b2api/v4/b2_download_file_by_id?fileId={file_id}",
            "upload": native.upload_url(bucket_id)[0],
            "part": part,
            "s3": f"/{bucket_name}/name",
        }

    return make


@pytest.mark.parametrize(
    ("operation", "granted"),
    [
        ("b2_download_file_by_name", {("by name", "GET"), ("by name", "HEAD")}),
        ("b2_download_file_by_id", {("by id", "GET"), ("by id", "HEAD")}),
        ("b2_upload_file", {("upload", "POST")}),
        ("b2_upload_part", {("part", "POST")}),
        ("s3_delete", {("s3", "DELETE")}),
        ("s3_get", {("s3", "GET")}),
        ("s3_head", {("s3", "HEAD")}),
        ("s3_post", {("s3", "POST")}),
        ("s3_put", {("s3", "PUT")}),
    ],
)
def test_a_rule_is_for_its_operations_alone(share, ask, urls, operation, granted):
    kinds = urls(share({"allowedOperations": [operation]}))
    methods = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
    assert granted == {
        (kind, method)
        for kind, method in itertools.product(kinds, methods)
        if ask(kinds[kind], method=method).status_code == 200
    }


def test_s3_style_hosts_have_the_rules_of_their_bucket(emulator, share, native, bucket_name):
    share({"allowedOperations": ["s3_put"]})
    headers = {
        "Host": f"{bucket_name}.localhost:{emulator.ready['port']}",
        "Origin": PAGE,
        "Access-Control-Request-Method": "PUT",
    }
    assert opened(native.http.options("/some/name", headers=headers))["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("missing", ["Origin", "Access-Control-Request-Method"])
def test_what_is_no_preflight_is_no_method(native, share, bucket_name, missing):
    share({})
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    del headers[missing]
    answer = native.http.options(f"/file/{bucket_name}/name", headers=headers)
    assert problem(answer) == (405, "method_not_allowed")


@pytest.mark.parametrize("operation", ["b2_authorize_account", "b2_list_buckets"])
def test_the_rest_of_the_api_is_not_for_browsers(ask, operation):
    assert ask(f"/b2api/v4/{operation}", method="POST", headers="authorization").status_code == 403


def test_a_download_is_shown_to_an_allowed_origin(native, share, bucket_name):
    native.upload(share({"exposeHeaders": ["x-bz-content-sha1", "x-bz-file-id"]}), "name")
    answer = httpx.get(f"{native.realm}/file/{bucket_name}/name", headers={"Origin": PAGE})
    assert answer.content == b"content"
    assert opened(answer) == {
        "access-control-allow-origin": PAGE,
        "access-control-expose-headers": "x-bz-content-sha1, x-bz-file-id",
    }
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", [None, "https://elsewhere.test"])
def test_a_download_is_given_to_all_and_shown_to_no_other(native, share, bucket_name, origin):
    native.upload(share({}), "name")
    headers = {"Origin": origin} if origin else {}
    answer = httpx.get(f"{native.realm}/file/{bucket_name}/name", headers=headers)
    assert (answer.content, opened(answer)) == (b"content", {})


def test_a_head_is_a_download(native, share, bucket_name):
    native.upload(share({}), "name")
    answer = httpx.head(f"{native.realm}/file/{bucket_name}/name", headers={"Origin": PAGE})
    assert opened(answer) == {"access-control-allow-origin": PAGE}


def test_an_error_is_shown_too(native, share, bucket_name):
    share({})
    answer = httpx.get(f"{native.realm}/file/{bucket_name}/missing", headers={"Origin": PAGE})
    assert (answer.status_code, opened(answer)) == (404, {"access-control-allow-origin": PAGE})


def test_a_scripted_error_is_shown_too(native, share, bucket_name, control):
    share({})
    control.fault("*", status=503)
    answer = httpx.get(f"{native.realm}/file/{bucket_name}/name", headers={"Origin": PAGE})
    assert (answer.status_code, opened(answer)) == (503, {"access-control-allow-origin": PAGE})


def test_a_rule_opens_no_private_file(native, share, bucket_name):
    native.upload(share({"allowedOrigins": ["*"]}, kind="allPrivate"), "name")
    answer = httpx.get(f"{native.realm}/file/{bucket_name}/name", headers={"Origin": PAGE})
    assert answer.status_code == 401


def test_a_page_may_use_a_download_authorization(native, share, bucket_name):
    bucket_id = share({"allowedHeaders": ["authorization"]}, kind="allPrivate")
    native.upload(bucket_id, "name")
    token = native.call(
        "b2_get_download_authorization", bucketId=bucket_id, fileNamePrefix="", validDurationInSeconds=60
    )["authorizationToken"]
    url = f"/file/{bucket_name}/name?Authorization={token}"
    answer = native.http.get(url, headers={"Origin": PAGE})
    assert (answer.content, opened(answer)) == (b"content", {"access-control-allow-origin": PAGE})


def test_no_page_sees_what_the_account_token_opens(native, share, bucket_name, ask):
    native.upload(share({}, kind="allPrivate"), "name")
    answer = native.get(bucket_name, "name", headers={"Origin": PAGE})
    assert (answer.content, opened(answer)) == (b"content", {})
    assert ask(f"/file/{bucket_name}/name?Authorization={native.token}").status_code == 403


def test_a_page_may_upload(native, share):
    bucket_id = share({"allowedOperations": ["b2_upload_file"]}, kind="allPrivate")
    url, token = native.upload_url(bucket_id)
    answer = native.send(url, token, "name", b"from a page", Origin=PAGE)
    assert (answer.status_code, opened(answer)) == (200, {"access-control-allow-origin": PAGE})
    answer = native.send(url, token, "name", b"spoilt", Origin=PAGE, X_Bz_Content_Sha1="0" * 40)
    assert (answer.status_code, opened(answer)) == (400, {"access-control-allow-origin": PAGE})


def test_b2sdk_sets_rules_that_count(api, bucket_name, ask):
    api.create_bucket(bucket_name, "allPublic", cors_rules=[RULE])
    assert ask().status_code == 200
    api.get_bucket_by_name(bucket_name).update(cors_rules=[])
    assert ask().status_code == 403


def test_the_log_knows_preflights(share, ask, control):
    share({})
    control.clear_requests()
    ask()
    (entry,) = control.requests()
    assert (entry["operation"], entry["class"], entry["method"], entry["status"]) == (
        "cors_preflight",
        "A",
        "OPTIONS",
        200,
    )
