"""What b2sdk's RawSimulator does otherwise than the service, and why that is not compared.

Not generated at all, because the simulator cannot be followed:

- ``do_not_verify`` for a checksum: it raises ValueError
- ``b2/x-auto``, and info keys in upper case: it keeps them as they are
- a copied range that ends behind the file: it refuses some; the service's answer is not documented
- whole copies of large files: it hashes them, and whether the service does is not documented
- the name of a bucket in another case for b2_list_buckets: it finds nothing; what the service does is not
  documented
- uploads with a restricted key: it refuses them all
- two faults at once, of which either may be told
"""

from b2sdk.v3 import RawSimulator

# What the emulator answers where the simulator does something else; the simulator is not asked, so that the
# two stay alike.
ANSWERS = {
    # The simulator checks the characters of a bucket name only ("Buckets": 6 to 63, b2- is reserved).
    "a bucket name of the wrong form": "BadRequest bad_request",
    # It compares names of buckets exactly ("Buckets": bucket names are not case-sensitive).
    "a bucket name in use but for case": "DuplicateBucketName",
    # It deletes buckets with all that is in them (b2_delete_bucket: "Only buckets that contain no version of
    # any files can be deleted").
    "delete a bucket that is not empty": "BadRequest cannot_delete_non_empty_bucket",
    # It hides whatever it is told to (b2sdk's interpret_b2_error knows what the service says).
    "hide what is not there": "FileNotPresent",
    "hide what is hidden": "FileAlreadyHidden",
    # Its HEAD by name describes hide markers ("File Versions": a hidden file is not found by its name).
    "HEAD of what is hidden": "FileOrBucketNotFound",
    # Its dictionaries raise KeyError for what is gone or never was.
    "info of what is gone": "FileNotPresent",
    "download of what is gone": "FileNotPresent",
    "copy of what is gone": "FileNotPresent",
    "copy to a bucket that is gone": "BucketIdNotFound",
    # It cancels finished files, lists parts of any file, and adds parts to finished ones.
    "a large file that is not unfinished": "BadRequest bad_request",
    # It downloads hide markers by their id, as empty files, and copies them.
    "download of what is no upload": "FileNotPresent",
    "copy of what is no upload": "BadRequest bad_request",
    # It ignores a content type that comes without REPLACE (b2_copy_file: a 400 will be returned).
    "copy with metadata but no directive": "BadRequest bad_request",
    # It sends nothing if a range begins behind the end (b2_download_file_by_name: 416).
    "range behind the end": "UnsatisfiableRange",
    # It compares the lists of hashes as wholes, has no smallest size of parts, and is content with one.
    "finish with a single part": "BadRequest bad_request",
    "finish without a part": "MissingPart",
    "finish with another hash": "PartSha1Mismatch",
    "finish with too many hashes": "MissingPart",
    "finish with too few hashes": "BadRequest bad_request",
    "finish with a small part": "BadRequest bad_request",
    # It takes any text for a capability, any bucket id, and a prefix without a bucket.
    "key with an unknown capability": "BadRequest bad_request",
    "key for a bucket that is gone": "BucketIdNotFound",
    "key with a prefix and no bucket": "BadRequest bad_request",
    # Tokens of a deleted key stay valid in it.
    "list with a deleted key": "InvalidAuthToken bad_auth_token",
}

# The simulator's errors, by operation, that b2sdk would never make of an answer of the service.
ERRORS = {
    # It raises these itself; an answer bad_bucket_id becomes BucketIdNotFound (b2sdk's interpret_b2_error).
    ("*", "NonExistentBucket"): "BucketIdNotFound",
    # It looks for the bucket of a file before the file, and for b2_delete_file_version there is none.
    ("delete_file_version", "NonExistentBucket"): "FileNotPresent",
    # The service says bad_auth_token (Backblaze/B2_Command_Line_Tool#645).
    ("authorize_account", "InvalidAuthToken"): "InvalidAuthToken bad_auth_token",
    # No code of the service leads to these: a wrong checksum is a plain 400.
    ("upload_file", "FileSha1Mismatch"): "BadRequest bad_request",
    ("upload_part", "PartSha1Mismatch"): "BadRequest bad_request",
    # It says "malformed JSON" where a value is at fault.
    ("create_bucket", "BadJson"): "BadRequest bad_request",
    ("create_key", "BadJson"): "BadRequest bad_request",
}

# Fields of answers that are not compared.
FIELDS = {
    "uploadTimestamp",  # the simulator's are small counters; the order of versions is compared
    "expirationTimestamp",  # its clock is read at another moment
    "options",  # it has none
    "replicationConfiguration",  # it leaves out the wrapper that tells that it may be read
    "authorizationToken",
    "applicationKey",
}
FIELDS_OF = {
    "delete_file_version": {"uploadTimestamp"},
}
# A hide marker has no content and no lock: the service says null and application/x-bz-hide-marker, the
# simulator "none" and null.
FIELDS_OF_HIDE_MARKERS = {"contentType", "contentSha1", "fileRetention", "legalHold"}


class Bucket(RawSimulator.BUCKET_SIMULATOR_CLASS):
    MAX_SIMPLE_COPY_SIZE = 5_000_000_000  # it has 200, so that its users can test large copies

    def __init__(self, api, *args, **more):
        super().__init__(api, *args, **more)
        # Each of its buckets counts file ids on its own, and one id then means files of two buckets.
        self.file_id_counter = api.file_id_counter

    def copy_file(self, token, file_id, name, bytes_range=None, directive=None, *args, **more):
        copied = super().copy_file(token, file_id, name, bytes_range, directive, *args, **more)
        # It forgets the bucket of a copy ...
        self.api.file_id_to_bucket_id[copied.file_id] = copied.bucket.bucket_id
        return copied

    def list_file_names(self, *args, **more):
        # An unfinished large file hides older files of its name from it ("Large Files": the name still means
        # what was there before, until the new file is finished).
        everything = self.file_name_and_id_to_file
        self.file_name_and_id_to_file = {k: f for k, f in everything.items() if f.action != "start"}
        try:
            return super().list_file_names(*args, **more)
        finally:
            self.file_name_and_id_to_file = everything


class Simulator(RawSimulator):
    BUCKET_SIMULATOR_CLASS = Bucket

    def __init__(self):
        super().__init__()
        self.file_id_counter = iter(range(Bucket.FIRST_FILE_NUMBER, 0, -1))
