"""What was acknowledged is there after any end; what was not has left no trace."""

import io
import threading

import httpx

from .clients import KEY, Native, running, sdk, sha1


def test_a_restart_keeps_buckets_files_keys_and_tokens(tmp_path):
    with running(tmp_path) as emulator:
        native = Native(emulator.realm)
        bucket = native.create_bucket("some-bucket", bucketInfo={"some": "info"})
        native.upload(bucket, "folder/name", b"content", x_bz_info_color="green")
        key = native.create_key("readFiles", "listBuckets")
        before = native.account_call("b2_list_buckets"), native.call("b2_list_file_versions", bucketId=bucket)
        native.http.close()
    with running(tmp_path) as emulator:
        again = Native(emulator.realm)
        again.token = native.token
        after = again.account_call("b2_list_buckets"), again.call("b2_list_file_versions", bucketId=bucket)
        assert after == before
        assert again.get("some-bucket", "folder/name").content == b"content"
        again.http.close()
        with sdk(emulator.realm, key) as api:
            found = io.BytesIO()
            api.get_bucket_by_name("some-bucket").download_file_by_name("folder/name").save(found)
            assert found.getvalue() == b"content"


def test_a_kill_in_the_middle_of_an_upload_shows_no_half_file(tmp_path):
    half_sent, killed = threading.Event(), threading.Event()

    def body():
        yield bytes(500_000)
        half_sent.set()
        killed.wait(10)
        yield bytes(500_000)

    def upload():
        try:
            native.send(*url, "half", body(), content_length="1000000")
        except httpx.TransportError:
            broken.append(True)

    broken = []
    with running(tmp_path) as emulator:
        native = Native(emulator.realm)
        bucket = native.create_bucket("some-bucket")
        native.upload(bucket, "whole", b"content")
        url = native.upload_url(bucket)
        thread = threading.Thread(target=upload)
        thread.start()
        assert half_sent.wait(10)
        emulator.kill()
        killed.set()
        thread.join()
        native.http.close()
    assert broken
    with running(tmp_path) as emulator:
        again = Native(emulator.realm)
        assert again.names(bucket) == ["whole"]
        assert again.get("some-bucket", "whole").content == b"content"
        assert again.get("some-bucket", "half").status_code == 404
        again.http.close()
    assert list((tmp_path / "incoming").iterdir()) == []
    assert len(list((tmp_path / "bodies").iterdir())) == 1


def test_a_kill_under_load_loses_nothing_that_was_acknowledged(tmp_path):
    acknowledged = {}
    enough = threading.Event()

    def upload(worker):
        native = Native(emulator.realm)
        try:
            url = native.upload_url(bucket)
            for number in range(10_000):
                body = f"{worker} {number}".encode() * 500
                name = f"{worker}/{number}"
                if native.send(*url, name, body).status_code == 200:
                    acknowledged[name] = sha1(body)
                if len(acknowledged) > 300:
                    enough.set()
        except httpx.TransportError:
            pass
        finally:
            native.http.close()

    with running(tmp_path) as emulator:
        native = Native(emulator.realm)
        bucket = native.create_bucket("some-bucket")
        native.http.close()
        threads = [threading.Thread(target=upload, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(20)
        emulator.kill()
        for thread in threads:
            thread.join()
    with running(tmp_path) as emulator:
        again = Native(emulator.realm)
        listed = again.call("b2_list_file_names", bucketId=bucket, maxFileCount=10_000)["files"]
        assert acknowledged.items() <= {file["fileName"]: file["contentSha1"] for file in listed}.items()
        for file in listed:  # an upload that was stored but not acknowledged is whole as well
            body = again.get("some-bucket", file["fileName"]).content
            assert sha1(body) == file["contentSha1"]
        again.http.close()


def test_a_large_upload_and_download_take_little_memory(tmp_path):
    size = 200_000_000
    with running(tmp_path) as emulator:
        native = Native(emulator.realm, KEY)
        bucket = native.create_bucket("some-bucket")
        chunk = bytes(1_000_000)
        body = (chunk for _ in range(size // len(chunk)))
        native.upload(bucket, "large", body, content_length=str(size))
        with native.http.stream(
            "GET", "/file/some-bucket/large", headers={"Authorization": native.token}
        ) as answer:
            assert sum(len(part) for part in answer.iter_raw(1_000_000)) == size
        native.http.close()
        with open(f"/proc/{emulator.process.pid}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 100_000  # kilobytes
