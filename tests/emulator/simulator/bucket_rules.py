"""Buckets."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .asking import Asking
from .values import bucket_names, picks


class BucketRules(Asking):
    @rule(
        name=st.one_of(bucket_names, st.sampled_from(["Bucket-ONE", "tiny", "b2-reserved", "under_score"])),
        kind=st.sampled_from(["allPrivate", "allPublic"]),
        info=st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"]), max_size=2),
    )
    def create_bucket(self, name, kind, info):
        def act(side):
            return side.call(
                "create_bucket",
                side.account_id,
                name,
                kind,
                bucket_info=info,
            )

        living = [self.buckets[bucket] for bucket in self.buckets if self.simulated(bucket)]
        if name in ("tiny", "b2-reserved"):
            self.refuse("a bucket name of the wrong form", act)
        elif name not in living and name.lower() in map(str.lower, living):
            self.refuse("a bucket name in use but for case", act)
        else:
            new = self.fresh("bucket")
            if self.compare("create_bucket", act, new, "bucketId"):
                self.buckets[new] = name

    @precondition(lambda self: self.buckets)
    @rule(
        pick=picks,
        kind=st.sampled_from(["allPrivate", "allPublic"]),
        info=st.one_of(st.none(), st.just({"c": "3"})),
        lifecycle=st.one_of(st.none(), st.just([{"fileNamePrefix": "a", "daysFromHidingToDeleting": 1}])),
        behind=st.sampled_from([None, 0, 1]),
    )
    def update_bucket(self, pick, kind, info, lifecycle, behind):
        bucket = self.some_bucket(pick)
        found = self.simulated(bucket)
        revision = found.revision - behind if found and behind is not None else None
        self.compare(
            "update_bucket",
            lambda side: side.call(
                "update_bucket",
                side.account_id,
                side.ids[bucket],
                bucket_type=kind,
                bucket_info=info,
                lifecycle_rules=lifecycle,
                if_revision_is=revision,
            ),
        )

    @precondition(lambda self: self.buckets)
    @rule(pick=picks, really=st.sampled_from([False, False, True]))
    def delete_bucket(self, pick, really):
        bucket = self.some_bucket(pick)
        if not really and not self.versions(bucket):
            return  # or there would seldom be anything else to do

        def act(side):
            return side.call("delete_bucket", side.account_id, side.ids[bucket])

        if self.versions(bucket):
            self.refuse("delete a bucket that is not empty", act)
        else:
            self.compare("delete_bucket", act)

    @rule(name=st.one_of(st.none(), bucket_names))
    def list_buckets(self, name):
        living = [self.buckets[bucket] for bucket in self.buckets if self.simulated(bucket)]
        if name and name not in living and name in map(str.lower, living):
            return  # not generated: whether the service finds a bucket by its name in another case
        self.compare(
            "list_buckets",
            lambda side: sorted(
                side.call("list_buckets", side.account_id, bucket_name=name)["buckets"],
                key=lambda bucket: bucket["bucketName"],
            ),
        )
