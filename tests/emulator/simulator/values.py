"""What the random operations are made of."""

from hypothesis import strategies as st

# Few, so that names collide: and a character beyond the basic plane, which UTF-16 sorts before U+FF5E and
# UTF-8 behind it.
LETTERS = "ab %+é\uff5e\U0001f600"
segments = st.text(LETTERS, min_size=1, max_size=2)
names = st.lists(segments, min_size=1, max_size=2).map("/".join)
prefixes = st.one_of(st.just(""), segments, segments.map("{}/".format))
bodies = st.sampled_from([b"", b"x", b"0123456789"])
BIG = bytes(range(250)) * 20_000  # the smallest part that is not the last: 5,000,000 bytes
# By name: Hypothesis would write the bytes into its report.
PARTS = {"one byte": b"x", "ten bytes": b"0123456789", "five megabytes": BIG}
finish_faults = st.sampled_from([None, None, None, "another hash", "too many hashes", "too few hashes"])
info_keys = st.sampled_from(["color", "large_file_sha1", "a.b"])
infos = st.dictionaries(info_keys, st.text(LETTERS, max_size=2), max_size=2)
content_types = st.sampled_from(["text/plain", "image/png"])
picks = st.integers(0, 10**6)
counts = st.one_of(st.none(), st.integers(1, 3))
bucket_names = st.sampled_from(["bucket-one", "bucket-two", "bucket-three"])
CAPABILITIES = ["listBuckets", "listFiles", "readFiles", "writeFiles", "deleteFiles", "shareFiles"]
