"""A small file that goes to B2 and back, and is removed again, to see that it can be done."""

from collections.abc import Callable

from django.utils.crypto import get_random_string

from b2fields.b2 import Client, health
from b2fields.b2.health import Condition, Key
from b2fields.download import Download
from b2fields.exceptions import B2FieldsError, B2Unavailable, DamagedFile, PolicyConflict
from b2fields.usage import Use

# What B2Storage takes (B2 docs, Application Key Capabilities), and this too.
FILE_CAPABILITIES = ("listFiles", "readFiles", "writeFiles", "deleteFiles")
# Where the range begins that is read back.
_FIRST = 9

# Its status ("ok", "hint" or "wrong"), what was tried, and a message.
Trial = tuple[str, str, str]


def try_round_trip(key: Key, condition: Condition, uses: list[Use]) -> list[Trial]:
    """Upload a file, read it, ask for it as a stranger if the bucket is private, and remove it."""
    lacking = [name for name in FILE_CAPABILITIES if name not in key.capabilities]
    if lacking:
        return [("hint", "round trip", f"Left out: this key lacks {', '.join(lacking)}.")]
    if condition.keeps_files:
        return [("hint", "round trip", "Left out: the bucket's default retention would keep the file.")]
    places = [(prefix, use) for use in uses for prefix in (use.folder, use.prefix)]
    allowed = [(prefix, use) for prefix, use in places if prefix.startswith(key.prefix)]
    if not allowed:
        return [("hint", "round trip", "Left out: this key may store no file of this project.")]
    prefix, use = allowed[0]
    name = f"{prefix}b2fields-check-{get_random_string(22)}.txt"
    # As the storage does it, but that no bucket is created.
    client = Client(use.storage.account, use.storage.encryption)
    return _go(client, use.storage.bucket, name, is_private=condition.type == "allPrivate")


def _go(client: Client, bucket: str, name: str, *, is_private: bool) -> list[Trial]:
    content = f"b2fields {get_random_string(22)}".encode()
    done: list[Trial] = []
    try:
        done.append(_tried("upload", lambda: _upload(client, bucket, name, content)))
        if done[0][0] == "ok":
            done.append(_tried("read", lambda: _read(client, bucket, name, content)))
            if is_private:
                done.append(_tried("privacy", lambda: _ask_as_stranger(client, bucket, name)))
    finally:
        # Also after an upload that failed: it may be that only its answer was lost.
        done.append(_tried("remove", lambda: _remove(client, bucket, name)))
    return done


def _tried(what: str, do: Callable[[], str]) -> Trial:
    try:
        return "ok", what, do()
    except B2FieldsError as error:
        return "wrong", what, str(error)


def _upload(client: Client, bucket: str, name: str, content: bytes) -> str:
    client.upload(bucket, name, content, "text/plain", {})
    return f"{name!r} is stored."


def _read(client: Client, bucket: str, name: str, content: bytes) -> str:
    try:
        download = Download(client, bucket, name, _FIRST)
        found = b"".join(iter(download.read, b""))
    except EOFError:
        found = b""
    if found != content[_FIRST:]:
        raise DamagedFile(
            f"{name!r} of bucket {bucket!r} came back with other bytes than were uploaded. Look for what "
            "changes them between this machine and B2, such as a proxy."
        )
    return "A range of it comes back as it was uploaded."


def _ask_as_stranger(client: Client, bucket: str, name: str) -> str:
    status = health.status_for_strangers(client, bucket, name)
    if status in (401, 403):
        return f"Nobody reads it without authorization ({status})."
    if status < 300:
        raise PolicyConflict(
            f"Everybody can read {name!r} in bucket {bucket!r} at its URL, although the bucket is "
            "allPrivate. Look for what authorizes requests between this machine and B2, such as a proxy."
        )
    raise B2Unavailable(
        f"B2 answered {status} for {name!r} in bucket {bucket!r} without authorization, where it should "
        "refuse it (401). Try again later."
    )


def _remove(client: Client, bucket: str, name: str) -> str:
    try:
        client.delete(bucket, name)
    except B2FieldsError as error:
        raise type(error)(f"{error} Then remove {name!r} yourself, if it is there.") from error
    return "Every version is gone."
