"""Large files."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ..clients import sha1
from .asking import Asking
from .sides import Stream
from .values import BIG, PARTS, content_types, finish_faults, infos, names, picks, prefixes


class LargeFileRules(Asking):
    @precondition(lambda self: self.buckets)
    @rule(pick=picks, name=names, content_type=content_types, info=infos)
    def start_large(self, pick, name, content_type, info):
        self._start_large(self.some_bucket(pick), name, content_type, info)

    def _start_large(self, bucket, name, content_type, info):
        new = self.fresh("file")
        done = self.compare(
            "start_large_file",
            lambda side: side.call("start_large_file", side.ids[bucket], name, content_type, dict(info)),
            new,
            "fileId",
        )
        if done:
            self.files[new] = bucket, name
            self.parts[new] = {}
        return new

    @precondition(lambda self: self.parts)
    @rule(
        pick=picks,
        number=st.integers(1, 3),
        body=st.sampled_from(["one byte", "ten bytes", "ten bytes", "five megabytes"]),
        wrong=st.sampled_from([False, False, True]),
    )
    def upload_part(self, pick, number, body, wrong):
        self._upload_part(self._large(pick), number, PARTS[body], wrong)

    def _upload_part(self, file, number, body, wrong):
        def act(side):
            found = side.call("get_upload_part_url", side.ids[file])
            return side.raw.upload_part(
                found["uploadUrl"],
                found["authorizationToken"],
                number,
                len(body),
                sha1(body + b"!" if wrong else body),
                Stream(body),
            )

        if self.kind(file) != "start":
            self.refuse("a large file that is not unfinished", act)
        elif self.compare("upload_part", act):
            self.parts[file][number] = body

    @precondition(lambda self: self.parts and any(self.kind(file) == "upload" for file in self.files))
    @rule(pick=picks, source=picks, number=st.integers(1, 3), data=st.data())
    def copy_part(self, pick, source, number, data):
        file, source = self._large(pick), self.some_file(source, "upload")
        span, body = None, b""
        if self.kind(source) == "upload":
            bucket = self.simulated(self.files[source][0])
            body = bucket.file_id_to_file[self.simulator.ids[source]].data_bytes
            if body and data.draw(st.booleans()):
                span = 0, data.draw(st.integers(0, min(len(body), 20) - 1), label="last byte")
                body = body[: span[1] + 1]
        if not body:
            return  # not generated: a part of no bytes, which the simulator takes

        def act(side):
            return side.call("copy_part", side.ids[source], side.ids[file], number, span)

        if self.kind(file) != "start":
            self.refuse("a large file that is not unfinished", act)
        elif self.compare("copy_part", act):
            self.parts[file][number] = body

    @precondition(lambda self: self.parts)
    @rule(pick=picks, start=st.integers(1, 3), count=st.integers(1, 3))
    def list_parts(self, pick, start, count):
        file = self._large(pick)

        def act(side):
            return side.call("list_parts", side.ids[file], start, count)

        if self.kind(file) != "start":
            self.refuse("a large file that is not unfinished", act)
        else:
            self.compare("list_parts", act)

    @precondition(lambda self: self.parts)
    @rule(pick=picks, fault=finish_faults)
    def finish(self, pick, fault):
        self._finish(self._large(pick), fault)

    @precondition(lambda self: any(map(self.simulated, self.buckets)))
    @rule(
        name=names,
        sizes=st.sampled_from(
            [["five megabytes", "ten bytes"], ["five megabytes"] * 2, ["ten bytes"] * 2, ["ten bytes"]]
        ),
        fault=finish_faults,
    )
    def large_file_at_once(self, name, sizes, fault):
        """Do what would seldom come about by chance."""
        bucket = next(bucket for bucket in self.buckets if self.simulated(bucket))
        file = self._start_large(bucket, name, "text/plain", {})
        for number, size in enumerate(sizes, start=1):
            self._upload_part(file, number, PARTS[size], wrong=False)
        self._finish(file, fault)

    def _finish(self, file, fault):
        parts = self.parts[file]
        hashes = [sha1(parts[number]) for number in sorted(parts)]
        has_gap = sorted(parts) != list(range(1, len(parts) + 1))
        has_small = any(len(parts[number]) < len(BIG) for number in parts if number != max(parts))
        if fault == "another hash":
            hashes = [sha1(b"another"), *hashes[1:]]
        elif fault == "too many hashes":
            hashes = [*hashes, sha1(b"another")]
        elif fault == "too few hashes":
            hashes = hashes[:-1]

        def act(side):
            return side.call("finish_large_file", side.ids[file], hashes)

        # Not generated: two more faults at once, of which either may be told.
        if self.kind(file) != "start":
            self.refuse("a large file that is not unfinished", act)
        elif not parts:
            if hashes:
                self.refuse("finish without a part", act)
        elif has_gap:
            if fault is None and not has_small:
                self.compare("finish_large_file", act)
        elif len(parts) == 1:
            if fault is None:
                self.refuse("finish with a single part", act)
        elif has_small:
            if fault is None:
                self.refuse("finish with a small part", act)
        elif fault is not None:
            # With one hash too many, the last part is no longer the last, and may be too small.
            self.refuse(f"finish with {fault}", act, or_for="finish with a small part")
        else:
            self.compare("finish_large_file", act)

    @precondition(lambda self: self.parts)
    @rule(pick=picks)
    def cancel(self, pick):
        file = self._large(pick)

        def act(side):
            return side.call("cancel_large_file", side.ids[file])

        if self.kind(file) != "start":
            self.refuse("a large file that is not unfinished", act)
        else:
            self.compare("cancel_large_file", act)

    @precondition(lambda self: self.buckets)
    @rule(pick=picks, prefix=prefixes, count=st.integers(1, 3))
    def list_unfinished(self, pick, prefix, count):
        bucket = self.some_bucket(pick)

        def act(side):
            found, start = [], None
            while True:
                page = side.call("list_unfinished_large_files", side.ids[bucket], start, count, prefix)
                assert len(page["files"]) <= count
                found += page["files"]
                if (start := page["nextFileId"]) is None:
                    return found

        self.compare("list_unfinished_large_files", act)

    def _large(self, pick):
        open_ones = [file for file in self.parts if self.kind(file) == "start"] if pick % 8 else []
        chosen = open_ones or list(self.parts)
        return chosen[pick % len(chosen)]
