"""What the tests of b2_audit put into B2, and into rows and the outbox."""

from django.utils import timezone

from b2fields import B2Storage
from b2fields.models import DroppedFile
from tests.legal.models import Contract

DAY = 86400


class Stored:
    """What is in a test's bucket: put files there, and ask which are left."""

    def __init__(self, emulator, b2_api):
        self._emulator, self._api = emulator, b2_api

    def _bucket(self, bucket=None):
        return self._api.get_bucket_by_name(bucket or B2Storage().bucket)

    def put(self, *names, days_old=2, bucket=None):
        """Upload a file of each name; the ids of the versions are returned."""
        self._emulator.set_clock(-days_old * DAY)
        found = [self._bucket(bucket).upload_bytes(b"bytes", name).id_ for name in names]
        self._emulator.set_clock(0)
        return found

    def hide(self, *names, days_old=2):
        self._emulator.set_clock(-days_old * DAY)
        for name in names:
            self._bucket().hide_file(name)
        self._emulator.set_clock(0)

    def begin(self, *names, days_old=2):
        """Begin a large upload of each name and let it be."""
        self._emulator.set_clock(-days_old * DAY)
        for name in names:
            self._api.session.start_large_file(self._bucket().id_, name, "text/plain", {})
        self._emulator.set_clock(0)

    def versions(self, bucket=None):
        """Return the names of all versions and markers, in order."""
        listed = self._bucket(bucket).ls(latest_only=False, recursive=True)
        return [version.file_name for version, _ in listed if version.action != "start"]

    def unfinished(self):
        return [found.file_name for found in self._bucket().list_unfinished_large_files()]


def keep(stored, *names):
    """Store files that rows name, so that few are orphans."""
    stored.put(*names)
    for name in names:
        Contract.objects.create(cover=name)


def drop(name):
    now = timezone.now()
    DroppedFile.of(B2Storage().bucket.upper(), name, dropped=now, due=now, next_try=now).save()
