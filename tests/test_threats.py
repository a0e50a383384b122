"""Where each threat that concerns serving and storing is tested, by its number in the list of threats."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Number and threat -> tests.
THREATS = {
    "1 wrong level reads a file": [
        "test_access.test_no_field_serves_the_file_of_another_field_in_its_bucket",
        "test_access.test_a_name_assigned_to_a_laxer_field_opens_nothing",
        "test_access.test_a_name_that_no_row_holds_is_refused_without_asking_b2",
    ],
    "2 bucket is world-readable": [
        "test_errors.test_check_deploy_finds_private_policies_on_a_public_bucket",
        "test_options.test_no_public_bucket_is_created_for_a_private_policy",
    ],
    "3 a signed URL opens more than one file": [
        "test_delivery.test_a_link_of_the_master_key_that_would_open_other_files_is_not_made",
    ],
    "4 account token handed out": [
        "test_secrets.test_a_response_shows_no_secret",
        "test_secrets.test_the_admin_shows_no_secret",
        "test_delivery.test_the_account_token_is_in_no_redirect",
    ],
    "5 secrets at rest": [
        "test_secrets.test_the_key_is_in_no_cache_entry_and_tokens_are_in_one",
        "test_secrets.test_no_error_shows_a_secret",
        "test_deadlines.test_no_record_of_trouble_holds_a_secret_in_its_frames",
    ],
    "6 poisoned token cache": [
        "test_secrets.test_a_forged_entry_costs_an_authorization_and_no_more",
        "test_secrets.test_no_entry_leads_to_a_foreign_host",
    ],
    "7 permission fails open": [
        "test_access.test_nothing_but_true_lets_a_callable_grant",
        "test_access.test_a_callable_that_fails_is_an_error_and_opens_nothing",
        "test_access.test_a_storage_without_a_level_is_private",
    ],
    "8 cleanup deletes a file in use": [
        "cleaning/test_outbox.test_a_file_that_is_named_elsewhere_stays",
        "cleaning/test_outbox.test_the_last_of_two_copies_takes_the_file_with_it",
        "cleaning/test_outbox.test_the_default_that_the_database_gives_stays",
    ],
    "9 cleanup command empties the bucket": [
        "auditing/test_stopping.test_it_stops_where_a_database_does_not_answer",
        "auditing/test_stopping.test_it_stops_where_a_table_is_missing",
        "auditing/test_stopping.test_it_stops_where_an_alias_stores_in_the_same_place",
        "auditing/test_removing.test_what_is_younger_than_a_day_is_left_alone_unasked",
    ],
    "10 front-server mode chosen by the client": [
        "test_delivery.test_the_way_comes_from_the_settings_alone",
        "test_nginx.test_no_header_of_the_visitor_chooses_the_way_or_the_file",
    ],
    "11 stored XSS": [
        "test_serving.test_no_level_makes_an_active_file_inline",
        "test_browser.test_an_upload_that_could_run_is_downloaded_when_opened",
    ],
    "12 upload used as code": [
        "test_serving.test_a_file_goes_out_as_what_its_extension_says",
        "test_browser.test_an_upload_is_no_script_of_a_page_that_trusts_its_own_site",
    ],
    "13 reflected XSS": ["test_access.test_a_refusal_repeats_nothing_of_the_request"],
    "14 shared cache keeps a private file": [
        "test_serving.test_a_private_file_is_not_kept_by_djangos_cache",
        "test_names.test_the_query_changes_neither_the_file_nor_its_headers",
    ],
    "15 cookie stored with a public file": [
        "test_serving.test_a_response_that_sets_a_cookie_is_never_public",
        "test_serving.test_a_public_file_leaves_the_session_to_the_middleware",
    ],
    "16 uploads overwrite each other": [
        "test_storage.test_saves_of_one_new_name_at_once_do_not_overwrite_each_other",
    ],
    "17 deleted file returns": [
        "cleaning/test_outbox.test_every_version_of_the_name_goes",
        "auditing/test_removing.test_delete_removes_orphans_with_all_versions_and_markers",
    ],
    "18 deletion ahead of the truth": [
        "cleaning/test_drops.test_nothing_goes_with_a_transaction_that_is_rolled_back",
        "cleaning/test_drops.test_nothing_goes_with_a_savepoint_that_is_rolled_back",
        "cleaning/test_command.test_within_a_transaction_nothing_is_removed",
        "cleaning/test_drops.test_a_save_that_does_not_write_the_file_drops_nothing",
        "cleaning/test_drops.test_a_fixture_drops_nothing",
        "cleaning/test_outbox.test_trouble_with_b2_breaks_no_request_and_is_noted",
    ],
    "19 check-then-delete race": [
        "cleaning/test_outbox.test_a_reference_that_is_committed_between_the_check_and_the_removal_keeps_the_file",
        "cleaning/test_command.test_what_a_row_may_be_about_to_drop_is_left_for_later",
        "cleaning/test_hostile.test_an_instance_that_writes_an_old_name_back_takes_no_new_file_along",
        "auditing/test_removing.test_a_file_that_a_row_names_in_the_meantime_is_kept",
    ],
    "20 file taken over by its name": [
        "cleaning/test_takeover.test_the_file_of_another_row_cannot_be_named",
        "cleaning/test_takeover.test_clearing_the_name_of_another_row_removes_nothing",
        "cleaning/test_outbox.test_a_name_in_the_place_of_another_field_is_never_removed",
        "test_access.test_a_name_assigned_to_a_laxer_field_opens_nothing",
    ],
    "21 front-server redirect": [
        "test_nginx.test_every_name_arrives_whole_with_the_headers_of_the_site",
        "test_nginx.test_what_the_site_hands_to_nginx_opens_this_file_alone_for_a_minute",
        "test_nginx.test_the_snippet_agrees_with_the_code",
    ],
    "22 odd names on reading": [
        "test_names.test_an_odd_name_is_not_found_and_costs_nothing",
        "test_servers.test_an_odd_path_is_not_found_and_costs_nothing",
    ],
    "23 odd names on upload": [
        "test_names.test_an_uploaded_name",
        "test_names.test_an_upload_to_that_leads_out_is_refused_before_b2_is_asked",
    ],
    "24 range as a weapon": [
        "test_serving.test_a_range_that_makes_no_sense_is_the_whole_file",
        "test_serving.test_a_range_is_fetched_as_a_range",
        "test_http_properties.test_a_range_is_read_as_the_rfc_says",
    ],
    "25 memory and held workers": [
        "test_servers.test_a_large_file_arrives_whole_and_in_bounded_memory",
        "test_servers.test_a_client_that_leaves_makes_the_server_leave_b2",
    ],
    "26 image bombs and odd formats": [
        "libraries/test_rest_framework.test_a_bomb_is_refused_before_anything_decodes_it",
    ],
    "27 oversized or lying uploads": [
        "libraries/test_rest_framework.test_what_is_larger_than_the_setting_is_refused_and_not_uploaded",
    ],
    "28 our bill as a target": [
        "test_serving.test_a_thousand_unknown_names_cost_nothing",
        "test_serving.test_showing_a_link_costs_nothing",
        "test_serving.test_trouble_with_authorization_is_a_503_and_not_repeated_at_once",
    ],
    "29 existence oracle": ["test_access.test_a_refused_visitor_cannot_tell_whether_a_file_exists"],
    "30 conditional bypass": ["test_access.test_access_that_was_withdrawn_is_gone_at_once"],
    "31 header injection by name": [
        "test_serving.test_any_name_makes_one_valid_content_disposition",
        "test_servers.test_a_name_makes_one_header_on_the_wire",
    ],
    "32 open redirect": ["test_access.test_the_login_page_never_leads_to_another_site"],
    "33 upstream trouble": [
        "test_serving.test_an_error_of_b2_is_a_503_of_ours",
        "test_serving.test_a_download_that_cannot_be_resumed_does_not_end_well",
        "test_servers.test_a_body_that_breaks_off_for_good_is_visibly_short",
    ],
    "34 signed redirect lives on": [
        "test_delivery.test_nobody_keeps_a_redirect_and_its_link_is_in_no_referer",
        "test_delivery.test_b2_sends_the_type_and_the_disposition_that_the_site_would",
    ],
    "35 our use of the project's cache": [
        "test_secrets.test_foreign_cache_entries_survive_everything",
        "test_secrets.test_a_cache_that_is_down_makes_files_slower_and_not_unavailable",
    ],
    "36 state change through the file view": ["test_access.test_every_method_but_reading_is_refused"],
}


@pytest.mark.parametrize("threat", THREATS)
def test_a_threat_has_its_tests(threat):
    for place in THREATS[threat]:
        module, _, name = place.rpartition(".")
        tree = ast.parse((TESTS / f"{module}.py").read_text())
        assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
