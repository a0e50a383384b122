"""AWS Signature Version 4, by Amazon's published examples."""

import hashlib
from datetime import UTC, datetime

import pytest

from b2fields.emulator import signature

from .clients import WEEK

EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EXAMPLE_SCOPE = "20130524/us-east-1/s3/aws4_request"
EXAMPLE_HOST = {"host": "examplebucket.s3.amazonaws.com"}
EMPTY = hashlib.sha256(b"").hexdigest()
EXAMPLE = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": f"AKIAIOSFODNN7EXAMPLE/{EXAMPLE_SCOPE}",
    "X-Amz-Date": "20130524T000000Z",
    "X-Amz-Expires": "86400",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
}


def test_amazons_example_of_a_presigned_url_is_valid():
    query = list(EXAMPLE.items())
    presigned = signature.parse(query)
    assert presigned.key_id == "AKIAIOSFODNN7EXAMPLE"
    assert presigned.begins == datetime(2013, 5, 24, tzinfo=UTC).timestamp() * 1000
    assert presigned.ends == presigned.begins + 86_400_000
    assert signature.is_valid(presigned, EXAMPLE_SECRET, "GET", "/test.txt", query, EXAMPLE_HOST)
    assert not signature.is_valid(presigned, "another", "GET", "/test.txt", query, EXAMPLE_HOST)


@pytest.mark.parametrize(
    ("method", "path", "query", "more", "payload", "expected"),
    [
        pytest.param(
            "GET",
            "/test.txt",
            [],
            {"range": "bytes=0-9"},
            EMPTY,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            id="GET Object",
        ),
        pytest.param(
            "PUT",
            "/test$file.text",
            [],
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            id="PUT Object",
        ),
        pytest.param(
            "GET",
            "/",
            [("lifecycle", "")],
            {},
            EMPTY,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="GET Bucket Lifecycle",
        ),
        pytest.param(
            "GET",
            "/",
            [("prefix", "J"), ("max-keys", "2")],
            {},
            EMPTY,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="Get Bucket, List Objects",
        ),
    ],
)
def test_amazons_other_examples_have_their_signatures(method, path, query, more, payload, expected):
    headers = EXAMPLE_HOST | more | {"x-amz-content-sha256": payload, "x-amz-date": "20130524T000000Z"}
    canonical = signature.canonical_request(method, path, query, headers, sorted(headers), payload)
    assert signature.sign(EXAMPLE_SECRET, EXAMPLE_SCOPE, "20130524T000000Z", canonical) == expected


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"X-Amz-Algorithm": "AWS4-ECDSA-P256-SHA256"}, id="another algorithm"),
        pytest.param({"X-Amz-Credential": "key/20130525/us-east-1/s3/aws4_request"}, id="two dates"),
        pytest.param({"X-Amz-Credential": "key/20130524/us-east-1/ec2/aws4_request"}, id="another service"),
        pytest.param({"X-Amz-Credential": "key/20130524/us east/s3/aws4_request"}, id="no region"),
        pytest.param({"X-Amz-Credential": f"/{EXAMPLE_SCOPE}"}, id="no key"),
        pytest.param({"X-Amz-Credential": EXAMPLE_SCOPE}, id="nothing before the scope"),
        pytest.param({"X-Amz-Date": "2013-05-24T00:00:00Z"}, id="another form of date"),
        pytest.param({"X-Amz-Date": "20130524T250000Z"}, id="no moment"),
        pytest.param({"X-Amz-Date": "20130524T00000Z"}, id="a digit short"),
        pytest.param({"X-Amz-Expires": "0"}, id="no time at all"),
        pytest.param({"X-Amz-Expires": str(WEEK + 1)}, id="more than a week"),
        pytest.param({"X-Amz-Expires": "-1"}, id="a negative time"),
        pytest.param({"X-Amz-Expires": "\u0661"}, id="a digit of another script"),
        pytest.param({"X-Amz-SignedHeaders": "range"}, id="the host is not signed"),
        pytest.param({"X-Amz-SignedHeaders": "range;host"}, id="headers out of order"),
        pytest.param({"X-Amz-SignedHeaders": "Host"}, id="headers in capitals"),
        pytest.param({"X-Amz-SignedHeaders": "host;host"}, id="a header twice"),
        pytest.param({"X-Amz-Signature": "aeeed9"}, id="a short signature"),
    ],
)
def test_what_is_no_signature_of_version_4(change):
    with pytest.raises(signature.Malformed):
        signature.parse((EXAMPLE | change).items())


@pytest.mark.parametrize("name", signature.PARAMETERS)
def test_a_signature_has_each_parameter_once(name):
    with pytest.raises(signature.Malformed):
        signature.parse([pair for pair in EXAMPLE.items() if pair[0] != name])
    with pytest.raises(signature.Malformed):
        signature.parse([*EXAMPLE.items(), (name, EXAMPLE[name])])


def test_a_week_is_the_longest_and_a_second_the_shortest():
    for seconds in (1, WEEK):
        presigned = signature.parse((EXAMPLE | {"X-Amz-Expires": str(seconds)}).items())
        assert presigned.ends - presigned.begins == seconds * 1000


def test_a_query_without_such_parameters_is_not_signed():
    assert signature.parse([("response-content-type", "text/plain")]) is None


def test_headers_are_signed_with_single_spaces_and_repeated_ones_as_a_list():
    headers = signature.join_headers([("Host", "a"), ("X-Amz-Meta-B", " c   d "), ("x-amz-meta-b", "e")])
    canonical = signature.canonical_request("GET", "/", [], headers, sorted(headers), EMPTY)
    assert canonical.splitlines()[3:] == ["host:a", "x-amz-meta-b:c d,e", "", "host;x-amz-meta-b", EMPTY]
