"""Large files through b2sdk: parts, resuming, cancelling, joining."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..clients import sha1
from .conftest import MIN_PART
from .saving import read


def start(bucket, name):
    return bucket.api.session.start_large_file(bucket.id_, name, "text/plain", {})["fileId"]


def send_part(api, file_id, body):
    url = api.session.get_upload_part_url(file_id)
    raw = api.session.raw_api
    raw.upload_part(url["uploadUrl"], url["authorizationToken"], 1, len(body), sha1(body), io.BytesIO(body))


def operations(control):
    return [entry["operation"] for entry in control.requests()]


@pytest.mark.parametrize("how", ["source", "file", "unbound stream"])
def test_a_large_upload_goes_in_parts_and_comes_back_whole(v, bucket, large, control, tmp_path, how):
    control.clear_requests()
    if how == "source":
        version = bucket.upload(v.UploadSourceBytes(large), "large", min_part_size=MIN_PART)
    elif how == "file":
        (tmp_path / "file").write_bytes(large)
        version = bucket.upload(v.UploadSourceLocalFile(tmp_path / "file"), "large", min_part_size=MIN_PART)
    else:
        stream = io.BytesIO(large)
        version = bucket.upload_unbound_stream(
            stream, "large", recommended_upload_part_size=MIN_PART, buffer_size=MIN_PART, buffers_count=3
        )
    assert operations(control).count("b2_upload_part") >= 2
    assert version.size == len(large)
    if how != "unbound stream":  # which does not know the hash before it ends
        assert version.get_content_sha1() == sha1(large)
    assert read(bucket.download_file_by_name("large")) == large
    across = (MIN_PART - 5, MIN_PART + 4)
    part = bucket.download_file_by_name("large", range_=across)
    assert read(part) == large[across[0] : across[1] + 1]


def test_an_upload_that_failed_is_taken_up_where_it_stopped(v, bucket, large, control):
    def upload():
        return bucket.upload(v.UploadSourceBytes(large), "large", min_part_size=MIN_PART)

    control.fault("b2_finish_large_file", status=400, code="bad_request")
    with pytest.raises(v.exception.BadRequest):
        upload()
    (unfinished,) = bucket.list_unfinished_large_files()
    control.clear_requests()
    version = upload()
    assert version.id_ == unfinished.file_id
    assert "b2_upload_part" not in operations(control)
    assert list(bucket.list_unfinished_large_files()) == []
    assert read(bucket.download_file_by_name("large")) == large


def test_a_part_that_fails_is_sent_again(v, bucket, large, control):
    control.fault("b2_upload_part", status=503, code="service_unavailable")
    bucket.upload(v.UploadSourceBytes(large), "large", min_part_size=MIN_PART)
    assert read(bucket.download_file_by_name("large")) == large


def test_an_unfinished_file_is_listed_with_its_parts_and_cancelled(v, api, bucket, large):
    file_id = start(bucket, "folder/large")
    send_part(api, file_id, large[:1000])
    assert [f.file_name for f in bucket.list_unfinished_large_files(prefix="folder/")] == ["folder/large"]
    assert list(bucket.list_unfinished_large_files(prefix="other/")) == []
    assert [(p.part_number, p.content_length) for p in api.list_parts(file_id)] == [(1, 1000)]
    api.cancel_large_file(file_id)
    assert list(bucket.list_unfinished_large_files()) == []
    with pytest.raises(v.exception.BadRequest):
        api.cancel_large_file(file_id)


def test_unfinished_files_are_listed_oldest_first_and_in_pages(bucket):
    started = [start(bucket, name) for name in ("d", "a", "c", "b", "a")]
    assert [f.file_id for f in bucket.list_unfinished_large_files(batch_size=2)] == started


def test_files_are_joined_on_the_server(v, bucket, large):
    source = bucket.upload_bytes(large[: MIN_PART + 100], "source")
    pieces = [
        v.CopySource(source.id_, offset=0, length=MIN_PART),
        v.UploadSourceBytes(large[MIN_PART : 2 * MIN_PART]),
        v.CopySource(source.id_, offset=100, length=MIN_PART),
    ]
    joined = bucket.concatenate(pieces, "joined", recommended_upload_part_size=MIN_PART)
    expected = large[: 2 * MIN_PART] + large[100 : MIN_PART + 100]
    assert joined.size == len(expected)
    assert read(bucket.download_file_by_name("joined")) == expected


def test_a_file_is_made_of_overlapping_pieces(v, bucket, large):
    """Emerge: the SDK plans which bytes the server copies, and which are sent."""
    old = bucket.upload_bytes(large[: MIN_PART + 1000], "old")
    intents = [
        v.WriteIntent(v.CopySource(old.id_, offset=0, length=old.size), destination_offset=0),
        v.WriteIntent(v.UploadSourceBytes(large[MIN_PART - 500 :]), destination_offset=MIN_PART - 500),
    ]
    bucket.create_file(intents, "new", recommended_upload_part_size=MIN_PART)
    assert read(bucket.download_file_by_name("new")) == large


def test_a_copy_of_a_large_file_is_whole(v, bucket, large):
    version = bucket.upload(v.UploadSourceBytes(large), "large", min_part_size=MIN_PART)
    copy = bucket.copy(version.id_, "copy")
    assert copy.size == len(large)
    assert read(bucket.download_file_by_name("copy")) == large


def test_a_large_file_is_downloaded_in_several_streams(api, v, bucket, large, control, tmp_path):
    bucket.upload_bytes(large, "large")
    api.services.download_manager.strategies[0].min_part_size = MIN_PART
    control.clear_requests()
    bucket.download_file_by_name("large").save_to(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == large
    assert operations(control).count("b2_download_file_by_name") >= 1


def test_the_server_checks_the_parts_when_a_file_is_finished(v, api, bucket, large):
    file_id, body = start(bucket, "large"), large[:MIN_PART]
    send_part(api, file_id, body)
    with pytest.raises(v.exception.PartSha1Mismatch):
        api.session.finish_large_file(file_id, [sha1(b"other")])
    with pytest.raises(v.exception.MissingPart):
        api.session.finish_large_file(file_id, [sha1(body), sha1(b"other")])


class Waiting:
    """A body that waits for leave to be read."""

    def __init__(self, body):
        self.file, self.begun, self.leave = io.BytesIO(body), threading.Event(), threading.Event()

    def seek(self, *arguments):
        return self.file.seek(*arguments)

    def read(self, *arguments):
        self.begun.set()
        assert self.leave.wait(10)
        return self.file.read(*arguments)


def test_an_upload_token_serves_one_upload_at_a_time(v, api, bucket):
    url = api.session.get_upload_url(bucket.id_)
    pair = url["uploadUrl"], url["authorizationToken"]

    def send(body):
        raw = api.session.raw_api
        return raw.upload_file(*pair, "name", 7, "text/plain", sha1(b"content"), {}, body)

    slow = Waiting(b"content")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, slow)
        try:
            assert slow.begun.wait(10)
            with pytest.raises(v.exception.B2Error, match="More than one concurrent upload"):
                send(io.BytesIO(b"content"))
        finally:
            slow.leave.set()
        assert first.result()["fileName"] == "name"
