"""Small files."""

from b2sdk.v3 import MetadataDirectiveMode
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ..clients import sha1
from .asking import Asking
from .sides import Stream, headers_of
from .values import bodies, content_types, info_keys, infos, names, picks, segments


class FileRules(Asking):
    @precondition(lambda self: self.buckets)
    @rule(
        pick=picks,
        name=names,
        body=bodies,
        content_type=content_types,
        info=infos,
        check=st.sampled_from(["before", "before", "after", "wrong"]),
    )
    def upload(self, pick, name, body, content_type, info, check):
        bucket = self.some_bucket(pick)
        if not self.simulated(bucket):
            self.compare("get_upload_url", lambda side: side.call("get_upload_url", side.ids[bucket]))
            return
        digest = sha1(body if check != "wrong" else body + b"!")
        sent = body + digest.encode() if check == "after" else body

        def act(side):
            return side.raw.upload_file(
                *side.upload_url(bucket),
                name,
                len(sent),
                content_type,
                "hex_digits_at_end" if check == "after" else digest,
                dict(info),
                Stream(sent),
            )

        new = self.fresh("file")
        if self.compare("upload_file", act, new, "fileId"):
            self.files[new] = bucket, name

    @precondition(lambda self: self.files)
    @rule(pick=picks, other=names, again=st.booleans())
    def hide(self, pick, other, again):
        bucket, name = self.files[self.some_file(pick, "upload")]
        name = name if again else other

        def act(side):
            return side.call("hide_file", side.ids[bucket], name)

        newest = self.newest(bucket, name)
        if self.simulated(bucket) and newest is None:
            self.refuse("hide what is not there", act)
        elif newest is not None and self.kind(newest) == "hide":
            self.refuse("hide what is hidden", act)
        else:
            new = self.fresh("file")
            if self.compare("hide_file", act, new, "fileId"):
                self.files[new] = bucket, name

    @precondition(lambda self: any(self.kind(file) == "hide" for file in self.files))
    @rule(pick=picks)
    def unhide(self, pick):
        """Delete the marker, as SDKs do."""
        self._delete(self.some_file(pick, "hide"), None)

    @precondition(lambda self: self.files)
    @rule(pick=picks, kind=st.sampled_from(["upload", "start", None]), name=st.one_of(st.none(), names))
    def delete_version(self, pick, kind, name):
        self._delete(self.some_file(pick, kind), name if pick % 5 == 0 else None)

    def _delete(self, file, name):
        _, own = self.files[file]
        self.compare(
            "delete_file_version",
            lambda side: side.call("delete_file_version", side.ids[file], own if name is None else name),
        )

    @precondition(lambda self: self.files)
    @rule(pick=picks, kind=st.sampled_from(["upload", "hide", "start"]))
    def file_info(self, pick, kind):
        file = self.some_file(pick, kind)

        def act(side):
            return side.call("get_file_info_by_id", side.ids[file])

        if self.kind(file) is None:
            self.refuse("info of what is gone", act)
        else:
            self.compare("get_file_info", act)

    @precondition(lambda self: self.files)
    @rule(pick=picks, other=names, again=st.booleans())
    def head(self, pick, other, again):
        bucket, name = self.files[self.some_file(pick, "upload")]
        name = name if again else other
        newest = self.newest(bucket, name)

        def act(side):
            if side is self.simulator and newest is not None:
                # Its own HEAD would describe an unfinished large file, were that newer.
                return headers_of(
                    self.simulated(bucket).file_id_to_file[side.ids[newest]].as_download_headers()
                )
            return headers_of(
                side.raw.get_file_info_by_name(side.download_url, side.token, self.buckets[bucket], name)
            )

        if not self.simulated(bucket) or newest is None or self.kind(newest) == "hide":
            self.refuse("HEAD of what is hidden", act)
        else:
            self.compare("head", act)

    @precondition(lambda self: any(self.kind(file) == "upload" for file in self.files))
    @rule(
        pick=picks,
        kind=st.sampled_from(["upload", "upload", "hide", "start"]),
        by_id=st.booleans(),
        data=st.data(),
    )
    def download(self, pick, kind, by_id, data):
        file = self.some_file(pick, kind)
        bucket, name = self.files[file]
        met = file if by_id else self.newest(bucket, name)
        span = None
        if met and self.kind(met) == "upload" and (size := self.size(met)) < 100 and data.draw(st.booleans()):
            first = data.draw(st.integers(0, size + 1), label="first byte")
            span = first, first + data.draw(st.integers(0, 5), label="more bytes")

        def act(side):
            if by_id:
                url = side.raw.get_download_url_by_id(side.download_url, side.ids[file])
            else:
                url = side.raw.get_download_url_by_name(side.download_url, self.buckets[bucket], name)
            headers, body = side.download(url, span)
            # The simulator's headers are wrong for ranges that end behind the file; its bytes are right.
            beyond = span is not None and span[1] >= size
            return body if beyond else [headers_of(headers), body]

        if met is None or not self.simulated(bucket) or self.kind(met) is None:
            self.refuse("download of what is gone", act)
        elif self.kind(met) != "upload":
            self.refuse("download of what is no upload", act)
        elif span is not None and span[0] >= size:
            self.refuse("range behind the end", act)
        else:
            self.compare("download", act)

    @precondition(lambda self: self.files and any(map(self.simulated, self.buckets)))
    @rule(
        pick=picks,
        kind=st.sampled_from(["upload", "upload", "upload", "hide", "start"]),
        name=names,
        to=st.one_of(st.none(), picks),
        replace=st.sampled_from([None, "COPY", "REPLACE", "nothing said"]),
        content_type=content_types,
        info=st.dictionaries(info_keys, segments, min_size=1, max_size=2),
        data=st.data(),
    )
    def copy(self, pick, kind, name, to, replace, content_type, info, data):
        source = self.some_file(pick, kind)
        target = self.files[source][0] if to is None else self.some_bucket(to)
        is_upload = self.kind(source) == "upload"
        span = None
        size = self.size(source) if is_upload else 0
        if size and data.draw(st.booleans()):
            first = data.draw(st.integers(0, min(size, 20) - 1), label="first byte")
            span = first, data.draw(st.integers(first, min(size, 20) - 1), label="last byte")
            if pick % 7 == 0:
                span = size + 1, size + 2
        if is_upload and source in self.parts and (span is None or span[1] - span[0] + 1 == size):
            return
        has_metadata = replace in ("REPLACE", "nothing said")

        def act(side):
            return side.call(
                "copy_file",
                side.ids[source],
                name,
                span,
                MetadataDirectiveMode[replace] if replace in ("COPY", "REPLACE") else None,
                content_type if has_metadata else None,
                dict(info) if has_metadata else None,
                side.ids[target] if to is not None else None,
            )

        if self.kind(source) is None:
            if self.simulated(target):
                self.refuse("copy of what is gone", act)
        elif not is_upload:
            if self.simulated(target):
                self.refuse("copy of what is no upload", act)
        elif not self.simulated(target):
            self.refuse("copy to a bucket that is gone", act)
        elif replace == "nothing said":
            self.refuse("copy with metadata but no directive", act)
        else:
            new = self.fresh("file")
            if self.compare("copy_file", act, new, "fileId"):
                self.files[new] = target, name
