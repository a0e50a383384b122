"""Lists."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .asking import Asking
from .values import counts, names, picks, prefixes


class ListRules(Asking):
    @precondition(lambda self: self.buckets)
    @rule(pick=picks, prefix=prefixes, start=st.one_of(st.none(), names), count=counts)
    def list_names(self, pick, prefix, start, count):
        bucket = self.some_bucket(pick)
        if start is not None and not start.startswith(prefix):
            # The simulator wants the start within the prefix.
            start = prefix if start < prefix else prefix + "\U0010ffff"

        def act(side, start=start, count=count):
            if side is self.simulator:
                start = start or prefix  # else it ends at the first name without the prefix
            return side.call("list_file_names", side.ids[bucket], start, count, prefix)

        listed = self.compare("list_file_names", lambda side: act(side)["files"])
        if listed is not None:
            # The simulator's next name is the last with a space, were it the very last; what follows counts.
            theirs, ours = act(self.simulator)["nextFileName"], act(self.emulator)["nextFileName"]
            rest = act(self.simulator, theirs, 1)["files"] if theirs else []
            assert ours == (rest[0]["fileName"] if rest else None)

    @precondition(lambda self: self.buckets)
    @rule(pick=picks, prefix=prefixes, start=st.one_of(st.none(), st.none(), picks), count=counts)
    def list_versions(self, pick, prefix, start, count):
        bucket = self.some_bucket(pick)
        file = None
        if start is not None:
            mine = [f for f, (b, name) in self.files.items() if b == bucket and name.startswith(prefix)]
            file = mine[start % len(mine)] if mine else None
        first = (self.files[file][1], file) if file else (None, None)

        def act(side, name=first[0], file=first[1], count=count):
            if side is self.simulator:
                name = name or prefix  # as for names
            return side.call(
                "list_file_versions", side.ids[bucket], name, side.ids.get(file, file), count, prefix
            )

        listed = self.compare("list_file_versions", lambda side: act(side)["files"])
        if listed is not None:
            theirs, ours = act(self.simulator), act(self.emulator)
            rest = []
            if theirs["nextFileName"]:
                rest = act(self.simulator, theirs["nextFileName"], theirs["nextFileId"], 1)["files"]
            expected = (
                (rest[0]["fileName"], self.simulator.names[rest[0]["fileId"]]) if rest else (None, None)
            )
            assert (ours["nextFileName"], self.emulator.names.get(ours["nextFileId"])) == expected

    @precondition(lambda self: any(map(self.simulated, self.buckets)))
    @rule(
        pick=picks,
        prefix=prefixes,
        delimiter=st.sampled_from(["/", "a", "é"]),
        start=st.one_of(st.none(), names),
        count=st.integers(1, 4),
        operation=st.sampled_from(["list_file_names", "list_file_versions"]),
    )
    def list_folders(self, pick, prefix, delimiter, start, count, operation):
        """The simulator knows no delimiter: its whole list is folded here."""
        living = [bucket for bucket in self.buckets if self.simulated(bucket)]
        bucket = living[pick % len(living)]
        everything = self.simulator.call(
            operation, self.simulator.ids[bucket], prefix, prefix=prefix, max_file_count=10_000
        )["files"]
        expected = []
        for file in everything:
            if start is None or file["fileName"] >= start:
                head, separator, _ = file["fileName"][len(prefix) :].partition(delimiter)
                if not separator:
                    expected.append(self.simulator.names[file["fileId"]])
                elif prefix + head + separator not in expected:
                    expected.append(prefix + head + separator)
        url = f"{self.emulator.api_url}/b2api/v4/b2_{operation}"
        params = {
            "bucketId": self.emulator.ids[bucket],
            "prefix": prefix,
            "delimiter": delimiter,
            "startFileName": start,
            "maxFileCount": count,
        }
        found = []
        while True:
            headers = {"Authorization": self.emulator.token}
            page = self.raw.b2_http.post_json_return_json(url, headers, params)
            assert len(page["files"]) <= count
            found += [self.emulator.names.get(f["fileId"], f["fileName"]) for f in page["files"]]
            if page["nextFileName"] is None:
                break
            params |= {"startFileName": page["nextFileName"], "startFileId": page.get("nextFileId")}
        assert found == expected
