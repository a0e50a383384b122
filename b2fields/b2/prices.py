"""What Backblaze charges for each operation: A is free, a C costs ten times a B.

From "Pricing Organized by API Calls". The HEAD of a file is not listed there: B is assumed, as for
HeadObject of the S3-compatible API.
"""

PRICE_CLASSES = {
    "b2_cancel_large_file": "A",
    "b2_delete_bucket": "A",
    "b2_delete_file_version": "A",
    "b2_delete_key": "A",
    "b2_finish_large_file": "A",
    "b2_get_upload_part_url": "A",
    "b2_get_upload_url": "A",
    "b2_hide_file": "A",
    "b2_start_large_file": "A",
    "b2_update_file_legal_hold": "A",
    "b2_update_file_retention": "A",
    "b2_upload_file": "A",
    "b2_upload_part": "A",
    "b2_download_file_by_id": "B",
    "b2_download_file_by_name": "B",
    "b2_get_file_info": "B",
    "head_file_by_id": "B",
    "head_file_by_name": "B",
    "b2_authorize_account": "C",
    "b2_copy_file": "C",
    "b2_copy_part": "C",
    "b2_create_bucket": "C",
    "b2_create_key": "C",
    "b2_get_bucket_notification_rules": "C",
    "b2_get_download_authorization": "C",
    "b2_list_buckets": "C",
    "b2_list_file_names": "C",
    "b2_list_file_versions": "C",
    "b2_list_keys": "C",
    "b2_list_parts": "C",
    "b2_list_unfinished_large_files": "C",
    "b2_set_bucket_notification_rules": "C",
    "b2_update_bucket": "C",
}
