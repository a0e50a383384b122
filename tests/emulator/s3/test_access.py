"""Who may read and write: keys, strangers, time, and URLs that were tampered with."""

import pytest

from ..clients import KEY
from .clients import BODY, WEEK, Site, names_stored, s3_problem


def test_strangers_read_what_is_public_and_only_that(browser, emulator, file, bucket_name, public_name):
    answer = browser.get(f"{emulator.realm}/{public_name}/name")
    assert (answer.status_code, answer.content) == (200, BODY)
    assert browser.head(f"{emulator.realm}/{public_name}/name").status_code == 200
    private = browser.get(f"{emulator.realm}/{bucket_name}/name")
    assert s3_problem(private) == (401, "UnauthorizedAccess")
    assert s3_problem(browser.get(f"{emulator.realm}/no-such-bucket/name")) == (404, "NoSuchBucket")


def test_strangers_write_nowhere(browser, native, emulator, bucket, bucket_name, public_name):
    for name in (bucket_name, public_name):
        answer = browser.put(f"{emulator.realm}/{name}/new")
        assert s3_problem(answer) == (401, "UnauthorizedAccess")
    assert native.names(bucket) == []


def test_a_native_token_is_nothing_here(browser, native, emulator, file, bucket_name):
    answer = browser.get(f"{emulator.realm}/{bucket_name}/name", Authorization=native.token)
    assert s3_problem(answer) == (401, "UnauthorizedAccess")


@pytest.mark.parametrize("key_id", [KEY[0], None])
def test_the_master_key_is_refused(emulator, browser, native, file, bucket_name, key_id):
    master = Site(emulator.realm, (key_id or native.account["accountId"], KEY[1]))
    answer = browser.get(master.get(bucket_name, "name"))
    assert s3_problem(answer) == (403, "InvalidAccessKeyId")
    assert "Malformed Access Key Id" in answer.text


def test_an_unknown_key_is_refused(emulator, browser, file, bucket_name):
    answer = browser.get(Site(emulator.realm, ("made-up", "secret")).get(bucket_name, "name"))
    assert s3_problem(answer) == (403, "InvalidAccessKeyId")


def test_a_wrong_secret_is_refused(emulator, browser, key, file, bucket_name):
    answer = browser.get(Site(emulator.realm, (key[0], "secret")).get(bucket_name, "name"))
    assert s3_problem(answer) == (403, "SignatureDoesNotMatch")


def test_a_key_takes_its_urls_with_it(emulator, browser, native, file, bucket_name):
    made = native.create_key("readFiles")
    url = Site(emulator.realm, made).get(bucket_name, "name")
    assert browser.get(url).status_code == 200
    native.call("b2_delete_key", applicationKeyId=made[0])
    assert s3_problem(browser.get(url)) == (403, "InvalidAccessKeyId")


def test_an_expired_key_takes_its_urls_with_it(emulator, browser, native, control, file, bucket_name):
    made = native.create_key("readFiles", validDurationInSeconds=1000)
    url = Site(emulator.realm, made).get(bucket_name, "name", seconds=WEEK)
    assert browser.get(url).status_code == 200
    control.set("clock", offset_seconds=1001)
    assert s3_problem(browser.get(url)) == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize(
    ("capability", "reads", "writes"),
    [("readFiles", True, False), ("writeFiles", False, True), ("listFiles", False, False)],
)
def test_a_key_does_what_it_may(emulator, browser, native, file, bucket_name, capability, reads, writes):
    limited = Site(emulator.realm, native.create_key(capability))
    refused = (403, "AccessDenied")
    get = browser.get(limited.get(bucket_name, "name"))
    assert get.status_code == 200 if reads else s3_problem(get) == refused
    assert browser.head(limited.head(bucket_name, "name")).status_code == (200 if reads else 403)
    put = browser.put(limited.put(bucket_name, "name"))
    assert put.status_code == 200 if writes else s3_problem(put) == refused


def test_a_key_keeps_to_its_buckets_and_names(emulator, browser, native, bucket, bucket_name):
    made = native.create_key("readFiles", "writeFiles", bucketIds=[bucket], namePrefix="in/")
    limited = Site(emulator.realm, made)
    native.upload(bucket, "out/a", BODY)
    other = f"{bucket_name}-o"
    native.upload(native.create_bucket(other), "in/a", BODY)
    assert browser.put(limited.put(bucket_name, "in/a")).status_code == 200
    assert browser.get(limited.get(bucket_name, "in/a")).status_code == 200
    for where, name in ((bucket_name, "out/a"), (other, "in/a")):
        assert s3_problem(browser.get(limited.get(where, name))) == (403, "AccessDenied")
        assert s3_problem(browser.put(limited.put(where, name))) == (403, "AccessDenied")
    assert native.names(bucket) == ["in/a", "out/a"]


def test_another_owner_is_refused(site, browser, native, file, bucket_name):
    mine = native.account["accountId"]
    for owner, status in ((mine, 200), ("000000000000", 403)):
        url = site.get(bucket_name, "name", ExpectedBucketOwner=owner)
        headers = {"x-amz-expected-bucket-owner": owner}
        assert browser.get(url, **headers).status_code == status


def test_a_url_ends_when_it_says(site, browser, control, file, bucket_name):
    url = site.get(bucket_name, "name", seconds=1000)
    control.set("clock", offset_seconds=900)
    assert browser.get(url).status_code == 200
    control.set("clock", offset_seconds=1001)
    answer = browser.get(url)
    assert s3_problem(answer) == (403, "AccessDenied")
    assert "Request has expired" in answer.text


def test_a_clock_may_be_off_by_a_quarter_of_an_hour(site, browser, control, file, bucket_name):
    url = site.get(bucket_name, "name", seconds=60)
    control.set("clock", offset_seconds=-14 * 60)
    assert browser.get(url).status_code == 200
    control.set("clock", offset_seconds=-16 * 60)
    answer = browser.get(url)
    assert s3_problem(answer) == (403, "AccessDenied")
    assert "not yet valid" in answer.text


def test_a_url_lasts_a_week_at_most(site, browser, control, file, bucket_name):
    assert browser.get(site.get(bucket_name, "name", seconds=WEEK)).status_code == 200
    answer = browser.get(site.get(bucket_name, "name", seconds=WEEK + 1))
    assert s3_problem(answer) == (400, "AuthorizationQueryParametersError")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("/name?", "/other?", id="the name"),
        pytest.param("/name?", "/name%2F?", id="a slash more"),
        pytest.param("/name?", "/./name?", id="a dot more"),
        pytest.param("disposition=inline", "disposition=attachment", id="the value of an override"),
        pytest.param("response-content-disposition=inline&", "", id="no override"),
        pytest.param("?", "?response-content-type=text%2Fhtml&", id="one more override"),
        pytest.param("?", "?versionId=4_z&", id="a version"),
        pytest.param("Expires=60", "Expires=604800", id="the time"),
        pytest.param("us-west-004", "us-west-002", id="the region"),
        pytest.param("SignedHeaders=host", "SignedHeaders=accept%3Bhost", id="the signed headers"),
        pytest.param("X-Amz-Signature=", "X-Amz-Signature=0", id="the signature"),
    ],
)
def test_a_changed_url_opens_nothing(site, browser, native, bucket, bucket_name, file, old, new):
    native.upload(bucket, "other", b"other")
    url = site.get(bucket_name, "name", ResponseContentDisposition="inline")
    assert browser.get(url).status_code == 200
    changed = url.replace(old, new, 1)
    assert changed != url
    if "Signature=0" in new:
        changed = changed[:-1]
    assert s3_problem(browser.get(changed)) == (403, "SignatureDoesNotMatch")


def test_a_changed_date_opens_nothing(site, browser, file, bucket_name):
    url = site.get(bucket_name, "name")
    date = url.partition("X-Amz-Date=")[2][:16]
    changed = url.replace(date, f"{date[:-2]}{(int(date[-2]) + 1) % 10}Z")
    assert s3_problem(browser.get(changed)) == (403, "SignatureDoesNotMatch")


def test_a_url_is_for_its_method(site, browser, native, bucket, bucket_name, file):
    url = site.get(bucket_name, "name")
    assert browser.head(url).status_code == 403
    assert s3_problem(browser.put(url)) == (403, "SignatureDoesNotMatch")
    assert s3_problem(browser.get(site.put(bucket_name, "name"))) == (403, "SignatureDoesNotMatch")
    assert names_stored(native, bucket) == [("name", "upload")]


def test_a_url_is_for_its_host(site, browser, file, bucket_name):
    url = site.get(bucket_name, "name")
    assert s3_problem(browser.get(url, Host="elsewhere.example")) == (403, "SignatureDoesNotMatch")


def test_a_signature_is_for_its_bucket(site, browser, native, file, bucket_name):
    native.upload(native.create_bucket(f"{bucket_name}-x"), "name", b"other")
    for style in ("path", "virtual"):
        url = site.get(bucket_name, "name", style=style)
        answer = browser.get(url.replace(bucket_name, f"{bucket_name}-x", 1))
        assert s3_problem(answer) == (403, "SignatureDoesNotMatch")


def test_a_half_signed_url_is_no_anonymous_one(browser, emulator, public_name):
    answer = browser.get(f"{emulator.realm}/{public_name}/name?X-Amz-Signature={'0' * 64}")
    assert s3_problem(answer) == (400, "AuthorizationQueryParametersError")


def test_nothing_may_be_added_to_what_was_signed(site, browser, native, bucket, bucket_name):
    url = site.put(bucket_name, "name", Metadata={"colour": "blue"})
    signed = {"x-amz-meta-colour": "blue"}
    answer = browser.put(url, **signed, **{"x-amz-meta-size": "big"})
    assert s3_problem(answer) == (403, "AccessDenied")
    assert s3_problem(browser.put(url, **{"x-amz-meta-colour": "red"})) == (403, "SignatureDoesNotMatch")
    assert s3_problem(browser.put(url)) == (403, "SignatureDoesNotMatch")
    assert native.names(bucket) == []
    assert browser.put(url, **signed).status_code == 200


def test_a_signed_content_type_is_binding(site, browser, native, bucket, bucket_name):
    url = site.put(bucket_name, "name", ContentType="image/png")
    answer = browser.put(url, **{"Content-Type": "text/html"})
    assert s3_problem(answer) == (403, "SignatureDoesNotMatch")
    assert browser.put(url, **{"Content-Type": "image/png"}).status_code == 200
