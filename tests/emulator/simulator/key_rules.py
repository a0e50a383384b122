"""Application keys."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .asking import Asking
from .values import CAPABILITIES, picks, prefixes, segments


class KeyRules(Asking):
    @rule(
        name=st.sampled_from(["a-key", "other", "with space"]),
        capabilities=st.lists(st.sampled_from(CAPABILITIES), min_size=1, unique=True),
        unknown=st.sampled_from([False, False, False, True]),
        picked=st.lists(picks, max_size=2),
        prefix=st.one_of(st.none(), segments),
        seconds=st.sampled_from([None, None, 1000, 0, 86_400_001]),
    )
    def create_key(self, name, capabilities, unknown, picked, prefix, seconds):
        buckets = sorted({self.some_bucket(pick) for pick in picked}) if self.buckets else []
        asked = [*capabilities, "flyFiles"] if unknown else capabilities

        def act(side):
            ids = [side.ids[bucket] for bucket in buckets] or None
            return side.call("create_key", side.account_id, asked, name, seconds, ids, prefix)

        wrong = name == "with space" or seconds in (0, 86_400_001)
        reasons = []
        if unknown:
            reasons.append("key with an unknown capability")
        if not all(map(self.simulated, buckets)):
            reasons.append("key for a bucket that is gone")
        if prefix is not None and not buckets:
            reasons.append("key with a prefix and no bucket")
        if len(reasons) == 1 and not wrong:
            self.refuse(reasons[0], act)
        elif not reasons:
            new = self.fresh("key")
            created = self.compare("create_key", act, new, "applicationKeyId")
            if created:
                self.emulator.secrets[new] = created["applicationKey"]
                self.simulator.secrets[new] = self.simulator.raw.all_application_keys[-1].key
                self._sign_in(new)
                for bucket in filter(self.simulated, self.buckets):
                    for begin in ("", prefix or "a"):
                        self._list_with_key(new, bucket, begin)
                self.keys.append(new)

    @rule(count=st.integers(1, 3))
    def list_keys(self, count):
        def act(side):
            found, start = [], None
            while True:
                page = side.call("list_keys", side.account_id, count, start)
                assert len(page["keys"]) <= count
                found += page["keys"]
                if (start := page["nextApplicationKeyId"]) is None:
                    # In the order of ids, which are random on one side.
                    return sorted(found, key=lambda key: side.names[key["applicationKeyId"]])

        self.compare("list_keys", act)

    @precondition(lambda self: self.keys)
    @rule(pick=picks)
    def delete_key(self, pick):
        key = self.keys[pick % len(self.keys)]

        def act(side):
            return side.call("delete_key", side.ids[key])

        self.compare("delete_key", act)
        self.deleted_keys.add(key)

    @precondition(lambda self: self.keys)
    @rule(pick=picks)
    def sign_in(self, pick):
        self._sign_in(self.keys[pick % len(self.keys)])

    def _sign_in(self, key):
        def act(side):
            account = side.raw.authorize_account(side.realm, side.ids[key], side.secrets[key])
            side.raw.current_token = side.token  # the simulator answers some calls as to whom came last
            side.tokens[key] = account["authorizationToken"]
            allowed = account["apiInfo"]["storageApi"]["allowed"]
            buckets = sorted(allowed["buckets"] or [], key=lambda bucket: side.names[bucket["id"]])
            return allowed | {"buckets": buckets, "capabilities": sorted(allowed["capabilities"])}

        self.compare("authorize_account", act)

    @precondition(lambda self: self.emulator.tokens and any(map(self.simulated, self.buckets)))
    @rule(pick=picks, other=picks, prefix=prefixes)
    def list_with_key(self, pick, other, prefix):
        signed_in = list(self.emulator.tokens)
        key = signed_in[pick % len(signed_in)]
        living = [bucket for bucket in self.buckets if self.simulated(bucket)]
        self._list_with_key(key, living[other % len(living)], prefix)

    def _list_with_key(self, key, bucket, prefix):
        def act(side):
            ids = side.api_url, side.tokens[key], side.ids[bucket]
            return side.raw.list_file_names(*ids, start_file_name=prefix, max_file_count=10, prefix=prefix)[
                "files"
            ]

        if key in self.deleted_keys:
            self.refuse("list with a deleted key", act)
        else:
            self.compare("list_file_names", act)
