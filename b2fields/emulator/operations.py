"""The operations of the native API that answer JSON: which function does each, and what B2 charges for it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from b2fields.emulator import accounts, buckets, copying, files, large_files, listing, locking, uploads
from b2fields.emulator.call import Call, Json


class Operation(NamedTuple):
    """How to do an operation; *is_read* ones may also be called by GET with a query string."""

    do: Callable[[Call], Json | Awaitable[Json]]
    is_read: bool = False


OPERATIONS = {
    "b2_cancel_large_file": Operation(large_files.cancel_large_file),
    "b2_copy_file": Operation(copying.copy_file),
    "b2_copy_part": Operation(copying.copy_part),
    "b2_create_bucket": Operation(buckets.create_bucket),
    "b2_create_key": Operation(accounts.create_key),
    "b2_delete_bucket": Operation(buckets.delete_bucket),
    "b2_delete_file_version": Operation(files.delete_file_version),
    "b2_delete_key": Operation(accounts.delete_key),
    "b2_finish_large_file": Operation(large_files.finish_large_file),
    "b2_get_download_authorization": Operation(files.get_download_authorization, is_read=True),
    "b2_get_file_info": Operation(files.get_file_info, is_read=True),
    "b2_get_upload_part_url": Operation(uploads.get_upload_part_url, is_read=True),
    "b2_get_upload_url": Operation(uploads.get_upload_url, is_read=True),
    "b2_hide_file": Operation(files.hide_file),
    "b2_list_buckets": Operation(buckets.list_buckets, is_read=True),
    "b2_list_file_names": Operation(listing.list_file_names, is_read=True),
    "b2_list_file_versions": Operation(listing.list_file_versions, is_read=True),
    "b2_list_keys": Operation(accounts.list_keys, is_read=True),
    "b2_list_parts": Operation(large_files.list_parts, is_read=True),
    "b2_list_unfinished_large_files": Operation(listing.list_unfinished_large_files, is_read=True),
    "b2_start_large_file": Operation(large_files.start_large_file),
    "b2_update_bucket": Operation(buckets.update_bucket),
    "b2_update_file_legal_hold": Operation(locking.update_file_legal_hold),
    "b2_update_file_retention": Operation(locking.update_file_retention),
}

# Operations of B2 that this emulator knows of and does not do.
NOT_EMULATED = frozenset(
    {
        "b2_get_bucket_notification_rules",
        "b2_set_bucket_notification_rules",
    }
)

# B2's price classes ("Pricing Organized by API Calls"); what is not named here is free, class A. The class of
# a HEAD by name is not listed there: B is assumed, as for the S3 HeadObject.
CLASS_B = frozenset(
    {
        "b2_download_file_by_id",
        "b2_download_file_by_name",
        "b2_get_file_info",
        "head_file_by_id",
        "head_file_by_name",
        "s3_get_object",
        "s3_head_object",
    }
)
CLASS_C = frozenset(
    {
        "b2_authorize_account",
        "b2_copy_file",
        "b2_copy_part",
        "b2_create_bucket",
        "b2_create_key",
        "b2_get_bucket_notification_rules",
        "b2_get_download_authorization",
        "b2_list_buckets",
        "b2_list_file_names",
        "b2_list_file_versions",
        "b2_list_keys",
        "b2_list_parts",
        "b2_list_unfinished_large_files",
        "b2_set_bucket_notification_rules",
        "b2_update_bucket",
    }
)


def price_class(operation: str) -> str:
    return "B" if operation in CLASS_B else "C" if operation in CLASS_C else "A"
