//! What was asked of the plugin, line by line, and the test that breaks when it is no longer so.
//!
//! The first column names rules of `exec-plugin.md` by section (1 to 10), the fifteen of section 11 (`11.1` to `11.15`), the
//! checks of section 12 (`12.protocol` to `12.kubeconfig`) and the parts of issue 6 (`6.…`). A test is named by the stem of its
//! file in this directory and its function; those of `src/` and of the end-to-end tests (`e2e/`) by their path. The test below
//! fails when one of them is gone.
//!
//! | Item | What has to be so | Tests |
//! |---|---|---|
//! | 1.3 | exactly one kind of credential | `protocol::answers_in_the_version_of_the_question` `exchange::a_token_is_taken_alone` `src/exchange::one_kind_of_credential_is_taken_and_a_foreign_certificate_is_not` |
//! | 1.3 | one line of JSON and nothing else on standard output | `src/exec_credential::answers_one_line_with_one_kind_of_credential` `protocol::where_words_and_answer_share_a_pipe_the_answer_stands_alone` |
//! | 1.3 | children never inherit standard output | `login::the_chosen_browser_gets_the_url_as_one_argument_and_not_our_standard_output` |
//! | 1.4 | expiry by the server's clock, less a margin, left out where near | `src/expiry::clock_of_the_laptop_wrong_by_an_hour` `src/expiry::margin_is_a_tenth_of_short_lives_and_half_a_minute_of_long_ones` `src/expiry::near_or_past_expiry_is_not_announced` `exchange::clock_of_the_laptop_wrong_by_an_hour` `exchange::an_expiry_too_near_is_left_out_and_nothing_is_kept` |
//! | 1.4 | two runs give the same bytes | `protocol::second_call_asks_nobody_and_gives_the_same_bytes` |
//! | 1.5 | the version of the question, of the argument, or v1; an unknown one is named | `protocol::answers_in_the_version_of_the_question` `protocol::unknown_version_is_refused_and_both_known_ones_are_named` `src/config::the_question_decides_the_version_and_the_argument_only_without_one` |
//! | 1.6 | standard input is read only where it is the person's | `protocol::standard_input_that_never_ends_stays_unread` `protocol::standard_input_with_data_stays_unread` `protocol::a_terminal_that_is_not_ours_to_read_stays_unread` |
//! | 1.6 | standard error is never the only way to a person | `terminal::without_a_browser_a_code_is_shown_on_the_terminal_itself` `background::a_login_in_the_background_is_told_on_the_desktop` `device::a_code_that_nobody_could_read_is_not_asked_for` |
//! | 1.6 | exit statuses tell whose turn it is | `snapshots::what_is_typed_wrong` `snapshots::places_where_nobody_can_log_in` `snapshots::providers_that_give_nothing_usable` `snapshots::clusters_that_give_no_credential` |
//! | 1.6 | a deadline of our own, always | `background::browser_closed` `workload::a_program_that_gives_no_token_is_named_and_not_waited_for` `workload::a_pipe_in_place_of_the_file_is_not_waited_for` `src/cache/lock::the_second_waits_and_is_told_who_holds_it` `exchange::a_wait_that_is_too_long_or_not_told_in_seconds_is_none` |
//! | 2.3 | the same program asking again gets another credential, in silence, never with a browser | `exchange::a_program_that_asks_again_gets_a_new_credential_in_silence` `exchange::suspicion_never_opens_a_browser` `src/cache/tests::only_the_same_process_asking_twice_is_suspicious` |
//! | 2.3 | and not within ten seconds | `protocol::second_call_asks_nobody_and_gives_the_same_bytes` |
//! | 2.4 | one certificate for one window, renewed late | `protocol::second_call_asks_nobody_and_gives_the_same_bytes` `src/cache/tests::a_credential_is_kept_until_its_margin` `e2e/clients_expiry::a_watch_goes_on_past_the_renewal` |
//! | 2.4 | a token where the path ends at our own proxy | `exchange::a_token_is_taken_alone` `kubeconfig::the_proxy_is_the_cluster_where_only_it_works` |
//! | 2.4 | the cost of a short life is told next to the setting | `checklist::the_price_of_a_short_life_stands_beside_the_setting` |
//! | 2.5 | where nobody is, it fails within seconds | `background::nobody_here_fails_at_once_with_one_clear_line` |
//! | 2.5 | proxies are honoured, variables of others are not ours | `protocol::proxies_of_the_environment_are_honoured` `surroundings::variables_of_others_and_kubeconfigs_change_nothing` `src/commands/help::the_overview_explains_every_variable_that_is_read_and_no_other` |
//! | 2.5 | `whoami` mentions impersonation | `people::whoami_tells_for_whom_kubectl_acts` |
//! | 2.5 | nothing from `KUBECONFIG` | `surroundings::variables_of_others_and_kubeconfigs_change_nothing` |
//! | 2.5 | what the client says of its server is no matter of audience | `src/config::cluster_block_serves_where_no_endpoint_is_given` `exchange::a_login_is_not_taken_to_another_server` |
//! | 2.5 | a hostile kubeconfig gets no token of another issuer, and nothing by plain HTTP | `src/cache/key::another_client_issuer_or_audience_is_another_session` `src/oidc/documents::refuses_other_issuers_plain_http_and_nonsense` `workload::what_is_no_token_is_sent_nowhere` |
//! | 2.5 | `sudo` is seen and said | `protocol::under_sudo_the_persons_own_login_is_mentioned_and_their_home_is_spared` |
//! | 2.6 | our command is the plugin, and `doctor` prints the entry that allows it | `kubeconfig::writes_a_stanza_that_is_complete_and_holds_no_secret` `doctor::the_plugin_policy_of_kubectl_is_judged_with_its_mend` `e2e/clients_kubectl::kubectls_policy_is_obeyed_in_its_own_words` |
//! | 2.7 | the stanza that we write | `kubeconfig::writes_a_stanza_that_is_complete_and_holds_no_secret` |
//! | 3 | right without question, terminal, standard error, bus or `PATH`, and many at once | `surroundings::a_kept_credential_needs_nothing_around_it` `protocol::descriptors_may_be_closed_from_the_start` `keyring::without_its_bus_a_sealed_login_is_no_session_and_no_error` `crowd::fifty_from_an_empty_cache_are_one_login` `e2e/clients_libraries::each_library_is_let_in_with_an_empty_and_with_a_warm_cache` |
//! | 3 | without a credential: status 3 at once, or one tab | `background::nobody_here_fails_at_once_with_one_clear_line` `background::unanswered_tabs_in_the_background_are_followed_by_a_pause` |
//! | 4.1 | documents of the issuer itself, bounded, HTTPS, kept for an hour | `provider::documents_that_cannot_be_trusted_are_not_used` `src/oidc/documents::refuses_other_issuers_plain_http_and_nonsense` `requests::each_flow_makes_the_requests_it_needs_and_no_other` |
//! | 4.2 | hosts, ports and path as registered, both families for `localhost` | `login::hosts_and_paths_are_those_that_the_client_is_registered_with` `login::localhost_is_bound_in_both_families` `provider::a_provider_that_compares_ports_is_sent_to_one_of_three` |
//! | 4.3 | PKCE, state and nonce, `iss` compared | `login::asks_with_pkce_state_and_nonce_and_shows_who_is_in` `src/authorization_response::issuer_is_compared_byte_for_byte_when_sent_or_announced` |
//! | 4.4 | the listener's answers | `login::noise_at_the_listener_ends_nothing` `login::a_form_post_and_its_preflight_are_taken_from_the_issuer_only` `login::a_refusal_is_told_in_the_terminal_and_on_the_page` |
//! | 4.5 | the browser: which, how, and the address in any case | `surroundings::a_browser_outlives_the_plugin_in_a_group_of_its_own` `src/browser::each_system_has_its_own_programs_and_none_where_nobody_would_see_them` `src/browser::what_forwards_the_url_to_the_person_comes_first_and_text_browsers_are_left_alone` `src/browser::only_https_is_opened` |
//! | 4.6 | codes: shown, asked about with patience, forbidden where the cluster says so | `device::code_and_page_are_shown_and_the_login_goes_on_once_it_was_entered` `device::each_request_to_slow_down_counts_and_for_good` `src/flows/choice::what_is_forbidden_stays_forbidden_whoever_asks` |
//! | 4.7 | pasting, together with the listener | `terminal::a_redirect_of_six_kibibytes_can_be_pasted` `terminal::the_browser_wins_over_the_paste_and_the_next_key_is_the_shells` `src/authorization_response::all_shapes_of_a_paste_are_taken` |
//! | 4.8 | the way fits the place, and the variable wins | `src/flows/choice::the_way_fits_the_place` `src/flows/choice::the_variable_wins_over_the_argument_and_the_place` `src/flows/choice::every_build_server_is_known_by_its_own_variable_and_false_means_no` |
//! | 4.8 | one attempt in the background, then growing pauses | `background::logins_of_one_person_in_the_background_come_one_after_the_other` `src/cache/unanswered::pauses_grow_with_each_login_that_nobody_answers` |
//! | 4.9 | the ID token is judged here too | `login::a_token_that_must_not_be_used_never_reaches_the_cluster` `provider::signatures_that_prove_nothing_are_refused` `provider::a_token_for_two_is_refused_with_and_without_an_authorized_party` `refresh::keys_that_were_rotated_are_fetched_once` `refresh::another_user_from_a_refresh_is_a_new_login` |
//! | 5 | which failures end a session | `refresh::only_invalid_grant_ends_a_session` `provider::other_refusals_than_an_invalid_grant_end_no_session` `refresh::a_provider_that_is_away_costs_nobody_a_login` |
//! | 5 | a cluster that is busy is asked again as it says, and costs nobody a login | `exchange::a_busy_cluster_is_asked_again_as_it_says` `exchange::a_cluster_that_stays_busy_is_asked_four_times` `terminal::a_wait_for_a_busy_cluster_is_told_where_a_person_wonders` |
//! | 5 | rotated tokens are stored first, read again, and never lost | `refresh::a_token_that_somebody_else_rotated_is_used_before_a_session_is_given_up` `refresh::what_somebody_else_got_meanwhile_is_not_refreshed_again` `refresh::fifty_at_once_with_no_grace_for_rotated_tokens_lose_nothing` `killed::a_refresh_killed_at_any_write_costs_a_login_only_between_answer_and_file` |
//! | 5 | logout withdraws the login at the provider | `people_logout::logging_out_forgets_here_and_withdraws_there` `people_logout::only_this_computer_or_the_browser_too` |
//! | 6 | scopes: `openid`, `offline_access` where offered, the provider's own way, and others only where the cluster uses them | `provider::a_provider_is_asked_for_a_refresh_token_in_its_own_way` `src/config::scopes_are_canonical_and_hold_openid` `src/commands/kubeconfig/objects::scopes_follow_the_claims` |
//! | 6 | `resource` and `audience` apart; a profile by host or name, each of its settings overridable | `provider::what_the_tokens_are_for_is_said_with_each_request_that_brings_any` `src/providers::the_host_tells_the_provider_and_its_ways` `src/providers::a_host_that_only_looks_like_it_is_another` `provider::whoever_wrote_the_kubeconfig_knows_better_than_a_profile` |
//! | 7.2 | places, permissions, whole files | `src/config/places::places_follow_our_variable_then_xdg_then_home` `cache::what_is_kept_is_private_whatever_the_umask` `src/platform/unix/dir::written_files_are_private_and_whole` `src/platform/unix/dir::refuses_links_pipes_directories_and_second_names` |
//! | 7.2 | old files go, a few at a time | `src/platform/unix/dir::sweep_removes_only_the_old` `src/cache/tests::logins_that_nobody_uses_are_swept_and_known_servers_stay` `people_logout::how_the_cluster_refused_goes_with_the_login_or_with_time` |
//! | 7.2 | only the key is in the keyring; it may be locked, silent, or gone | `keyring::a_login_is_sealed_and_goes_on_by_itself` `keyring::a_locked_keyring_costs_no_login_and_no_dialog_and_is_remembered` `keyring::a_bus_that_never_answers_is_waited_for_once` `keyring::a_key_deleted_meanwhile_is_one_warning_one_login_and_a_new_key` |
//! | 7.2 | what is remembered of a keyring ends with the day, or by a login | `keyring::a_keyring_is_asked_again_the_next_day` `keyring::a_keyring_is_asked_again_by_a_person_who_logs_in` |
//! | 7.2 | several accounts at one issuer | `people_login::all_contexts_are_logged_in_to_and_a_shared_login_is_one` `people_logout::status_shows_what_is_kept_without_asking_anybody` |
//! | 7.2 | locks beside the data, and leases where there are none | `crowd::a_crowd_is_one_refresh_without_locks_too` `src/cache/lease::a_lease_ends_with_its_holder_or_after_ten_minutes` |
//! | 8.1 | files are found and merged as kubectl does | `src/commands/kubeconfig/merge/files::files_are_those_of_kubectl` `src/kubeconfig_files::the_first_definition_counts_and_paths_are_those_of_the_file` |
//! | 8.2 | kubectl's lock, comments kept, links followed, context in use left alone | `src/commands/kubeconfig/merge/lock::a_lock_is_waited_for_and_given_back` `kubeconfig_fleet::merging_keeps_every_byte_that_is_not_ours` `kubeconfig_fleet::the_context_in_use_changes_only_when_asked` `src/commands/kubeconfig/file::a_symbolic_link_stays_one` |
//! | 8.3 | names by choice or template, acceptable to kubectx and kubens, no entry of the person's replaced | `src/commands/kubeconfig/names::names_are_made_acceptable` `src/commands/kubeconfig/names::by_default_the_clusters_own_name_and_never_a_context_of_the_readers` `src/commands/kubeconfig/names::a_template_is_filled_and_two_equal_names_are_an_error` |
//! | 8.4 | kubectl, kubectx and kubens work with what we write | `e2e/kubeconfig_tools::a_merged_context_is_one_like_any_other` |
//! | 9.1 | options of kubectl mean the same; shadowing is found | `src/kubeconfig_files::options_mean_what_they_mean_to_kubectl` `doctor::what_is_wrong_with_this_computer_is_found` |
//! | 9.2 | one program under several names | `people_completion::kubectl_gets_candidates_and_a_directive` `people_completion::install_makes_the_link_and_says_where` `pinniped::under_its_name_the_other_commands_answer` |
//! | 10 | words: party, what was tried, what to do | `snapshots::providers_that_give_nothing_usable` `snapshots::settings_that_make_no_sense` `snapshots::questions_that_are_none` `successes::what_is_said_when_all_is_well` |
//! | 10 | pages: readable, self-contained, dark too, no code in the address | `src/result_page::loads_nothing_from_anywhere_and_guides_on_every_page` `src/result_page::every_colour_of_text_stands_out_from_what_is_behind_it` `src/result_page::can_be_read_aloud` |
//! | 10 | no token, code or verifier is shown | `people_token::claims_are_shown_and_the_token_is_not` `src/secret::debug_shows_nothing_of_it` `src/oidc/grant::an_unreadable_answer_is_not_quoted` |
//! | 10 | `doctor` finds what is wrong within its time | `doctor::what_is_wrong_with_the_provider_is_found` `doctor::what_is_wrong_with_the_way_is_found` `doctor::what_is_wrong_with_the_cluster_is_found` `src/commands/doctor::the_promise_of_an_end_is_kept` |
//! | 10 | the words of the audit log, and the id to quote | `workload::a_token_for_another_cluster_stays_here_in_the_words_of_the_audit_log` `exchange::a_refusal_names_the_audit_record_and_opens_no_second_browser` |
//! | 11.1 | standard output carries one object or nothing | `src/exec_credential::answers_one_line_with_one_kind_of_credential` `login::the_chosen_browser_gets_the_url_as_one_argument_and_not_our_standard_output` |
//! | 11.2 | works with nothing around it | `surroundings::a_kept_credential_needs_nothing_around_it` `cache::no_place_for_a_cache_is_no_reason_to_fail` `protocol::standard_error_closed_is_nothing_to_die_of` |
//! | 11.3 | a valid cache: no lock, no network, nothing started | `surroundings::a_warm_call_starts_no_thread_opens_no_socket_and_takes_no_lock` `keyring::the_warm_path_asks_no_bus` |
//! | 11.4 | the same bytes, an end never in the past | `protocol::second_call_asks_nobody_and_gives_the_same_bytes` `src/expiry::near_or_past_expiry_is_not_announced` |
//! | 11.5 | one login at a time, the others wait and use it | `background::two_plugins_started_at_once_one_login` `background::those_who_waited_for_a_failed_login_do_not_try_their_own` `crowd::fifty_from_an_empty_cache_are_one_login` |
//! | 11.6 | no tab storms | `background::five_runs_of_one_program_are_one_attempt` `src/cache/entries::a_failed_attempt_speaks_for_its_program_and_for_those_who_waited` `terminal::a_loop_in_a_forgotten_terminal_opens_one_tab` |
//! | 11.7 | only `invalid_grant` ends a session | `refresh::only_invalid_grant_ends_a_session` |
//! | 11.8 | rotated tokens under the lock, first stored | `killed::a_refresh_killed_at_any_write_costs_a_login_only_between_answer_and_file` `refresh::a_token_that_somebody_else_rotated_is_used_before_a_session_is_given_up` |
//! | 11.9 | a suspected 401 is healed in silence | `exchange::a_program_that_asks_again_gets_a_new_credential_in_silence` `e2e/clients_kubectl::a_refused_credential_heals_without_a_person` |
//! | 11.10 | PKCE, state first, wrong state keeps listening, `iss`, HTTPS | `login::asks_with_pkce_state_and_nonce_and_shows_who_is_in` `login::wrong_state_sent_to_the_callback` `login::an_answer_of_another_issuer_stops_the_login_and_its_code_goes_nowhere` |
//! | 11.11 | a token for another audience stays here | `src/oidc/id_token::only_a_token_for_this_cluster_alone_passes` `login::a_token_that_must_not_be_used_never_reaches_the_cluster` `e2e/login_cross_cluster::a_login_to_staging_is_worthless_in_production` |
//! | 11.12 | names of what is kept | `src/cache/key::names_of_known_settings_never_change` `src/cache/key::cosmetics_are_not_in_the_names` `src/cache/key::order_of_scopes_does_not_matter_and_their_set_does` |
//! | 11.13 | no secret and no path in the stanza, old ones keep working | `kubeconfig::writes_a_stanza_that_is_complete_and_holds_no_secret` `src/args::reads_the_stanza_we_write` `src/cache/sessions::a_file_of_the_first_release_is_a_session_without_a_label` |
//! | 11.14 | one margin, with a clock that is handed in | `src/expiry::margin_is_a_tenth_of_short_lives_and_half_a_minute_of_long_ones` `src/expiry::clock_set_back_after_the_answer_came_ends_the_entry` |
//! | 11.15 | every wait has an end and a word | `background::browser_closed` `src/cache/lock::the_second_waits_and_is_told_who_holds_it` `src/oidc/requests::being_told_to_wait_has_a_limit` |
//! | 12.protocol | v1, v1beta1, no question, unknown version, null, a trailing newline | `protocol::answers_in_the_version_of_the_question` `protocol::missing_exec_info_is_fine_when_the_endpoint_is_an_argument` `protocol::unknown_version_is_refused_and_both_known_ones_are_named` `protocol::settings_of_the_cluster_suffice_and_null_is_none` `src/exec_credential::reads_what_client_go_sends` |
//! | 12.protocol | 100 KiB of roots, Python's block | `protocol::a_cluster_block_of_a_hundred_kibibytes_is_read` `protocol::the_raw_cluster_block_of_the_python_client_is_understood` |
//! | 12.runs | one `get`, `apply -f -`, a failing plugin | `e2e/clients_kubectl::a_get_is_one_run` `e2e/clients_kubectl::what_is_piped_into_an_apply_is_left_to_kubectl` `e2e/clients_kubectl::a_failed_login_is_tried_once_however_often_kubectl_asks` |
//! | 12.runs | kube-rs and the others, a 401, expiry within a program | `e2e/clients_libraries::a_library_gets_in` `e2e/clients_libraries::helm_gets_in` `e2e/clients_kubectl::a_refused_credential_heals_without_a_person` `e2e/clients_expiry::a_watch_goes_on_past_the_renewal` |
//! | 12.clock | ten minutes wrong with certificates of five | `e2e/clients_expiry::a_wrong_clock_does_no_harm` `exchange::clock_of_the_laptop_wrong_by_an_hour` |
//! | 12.crowd | fifty: cold, expired, rotated without grace, without locks | `crowd::fifty_from_an_empty_cache_are_one_login` `crowd::fifty_with_an_expired_login_are_one_refresh_where_reuse_ends_it` `crowd::a_crowd_is_one_refresh_without_locks_too` `e2e/login_plugins_together::plugins_started_at_once_share_one_login_and_one_refresh` |
//! | 12.crowd | killed at each step | `killed::a_refresh_killed_at_any_write_costs_a_login_only_between_answer_and_file` `killed::a_login_killed_at_any_write_can_be_had_again` |
//! | 12.crowd | full disk, read-only directory | `cache::a_full_disk_is_one_warning_and_no_failed_login` `cache::a_disk_that_fills_up_later_leaves_whole_files` `cache::a_read_only_disk_is_one_warning_and_what_is_kept_there_is_used` |
//! | 12.callback | wrong state then the right one, an error without state | `login::wrong_state_sent_to_the_callback` `src/authorization_response::refusals_are_believed_only_with_the_right_state_and_cannot_paint_the_terminal` |
//! | 12.callback | form_post, preflight, second delivery | `login::a_form_post_and_its_preflight_are_taken_from_the_issuer_only` |
//! | 12.callback | wrong `Host`, slow-loris | `login::noise_at_the_listener_ends_nothing` |
//! | 12.callback | IPv6 only, a port taken on the other family, no port left | `login::localhost_is_bound_in_both_families` `login::a_port_that_somebody_has_on_the_other_family_is_not_taken_for_localhost` `login::a_port_in_use_is_skipped_or_named` `successes::no_port_is_left_for_the_answer` |
//! | 12.device | pending, denied, expired | `device::code_and_page_are_shown_and_the_login_goes_on_once_it_was_entered` `device::who_says_no_is_believed` `device::a_code_that_has_expired_ends_the_login_where_nobody_can_press_a_key` `terminal::a_code_that_has_expired_is_replaced_once_by_enter` |
//! | 12.device | `slow_down` twice | `device::each_request_to_slow_down_counts_and_for_good` |
//! | 12.device | 500s and dropped connections | `device::a_provider_that_stumbles_is_asked_again` `device::a_provider_that_never_recovers_is_given_up_when_the_code_is_over` |
//! | 12.device | `verification_url`, no interval | `device::googles_spelling_is_understood_and_no_interval_means_five_seconds` |
//! | 12.device | no code given | `device::a_provider_that_gives_no_code_is_quoted_safely` `terminal::a_provider_without_codes_leads_to_pasting_and_so_does_a_prohibition` |
//! | 12.device | a clock that jumps | `src/flows/device::a_code_is_over_when_either_clock_says_so` |
//! | 12.paste | 6 KiB, a bare code, a wrong state | `terminal::a_redirect_of_six_kibibytes_can_be_pasted` `terminal::a_bare_code_can_be_pasted_after_an_address_of_another_login` |
//! | 12.paste | Ctrl-C, and the browser that wins | `terminal::control_c_leaves_the_terminal_sane` `terminal::the_browser_wins_over_the_paste_and_the_next_key_is_the_shells` |
//! | 12.provider | no `id_token` on refresh, no new refresh token, opaque access tokens | `refresh::a_refresh_without_an_id_token_leads_to_one_login_and_is_not_tried_at_each_call` `refresh::a_refresh_token_that_is_not_replaced_stays` `provider::access_tokens_that_a_cluster_could_not_judge_are_refused_here` |
//! | 12.provider | wrong `iss`, documents of another issuer, plain HTTP | `provider::a_response_in_the_name_of_another_issuer_is_not_redeemed` `provider::documents_that_cannot_be_trusted_are_not_used` |
//! | 12.provider | two audiences with and without `azp`, RS256 to ES256, no key set | `provider::a_token_for_two_is_refused_with_and_without_an_authorized_party` `provider::keys_may_roll_from_rsa_to_elliptic_curves` `provider::a_key_set_that_cannot_be_had_stops_a_login_and_costs_nobody_a_kept_one` |
//! | 12.stdin | terminal, pipe with data, never-ending; all closed | `protocol::a_terminal_that_is_not_ours_to_read_stays_unread` `protocol::standard_input_with_data_stays_unread` `protocol::standard_input_that_never_ends_stays_unread` `protocol::descriptors_may_be_closed_from_the_start` |
//! | 12.stdin | standard output closed early, standard error closed | `protocol::standard_output_closed_early_loses_nothing` `protocol::standard_error_closed_is_nothing_to_die_of` |
//! | 12.kubeconfig | linked, commented, locked, read-only | `src/commands/kubeconfig/file::a_symbolic_link_stays_one` `kubeconfig_fleet::merging_keeps_every_byte_that_is_not_ours` `src/commands/kubeconfig/merge/lock::a_linked_file_is_locked_under_both_names` `kubeconfig_fleet::nothing_is_lost_where_nothing_can_be_written` |
//! | 12.kubeconfig | a list of files, an entry in the second, CRLF, JSON | `kubeconfig_fleet::a_new_entry_goes_where_kubectl_puts_it_and_an_old_one_stays_where_it_is` `src/commands/kubeconfig/merge/edit/tests::only_what_changes_is_touched` `src/commands/kubeconfig/merge/edit/tests::json_is_edited_as_json` `src/commands/kubeconfig/merge/edit/tests::everything_else_is_byte_identical` |
//! | 6.ways | jobs: file, variable, command, GitHub, GitLab | `workload::a_projected_token_is_exchanged_and_read_anew_at_each_run` `workload::variables_make_a_persons_kubeconfig_serve_a_job` `workload::a_program_prints_the_token` `workload::github_is_asked_for_the_cluster_s_audience_and_once_for_a_job` |
//! | 6.ways | clients with a secret, never from the arguments | `provider::a_clients_secret_is_shown_where_the_provider_takes_it_and_nowhere_else` `keyring::the_secret_of_a_client_is_put_there_by_hand_and_read_from_there` |
//! | 6.ways | an account is asked for and held to | `login::another_account_than_the_one_asked_for_gets_nowhere_and_is_told_how_to_switch` `device::another_account_gets_nowhere_by_code_either` |
//! | 6.commands | each is explained, and explains itself | `snapshots::help_is_its_page_wherever_it_is_asked_for` `src/commands/help::every_option_that_is_parsed_is_explained_on_its_own_page` `successes::what_is_said_when_all_is_well` |
//! | 6.commands | `explain` | `people_explain::a_refusal_is_explained_with_what_the_administrator_needs` `people_explain::a_reason_is_explained_by_its_code` `people_explain::what_silences_the_plugin_is_named_first_and_no_line_is_too_wide` |
//! | 6.commands | `kubeconfig` of a fleet, and of foreign stanzas | `kubeconfig_fleet::each_cluster_gets_a_file_and_one_that_fails_spoils_no_other` `kubeconfig_from::users_are_rewritten_where_they_stand_and_nothing_else_is` `kubeconfig_from::a_pinniped_user_goes_to_the_same_concierge` |
//! | 6.commands | all settings from the cluster | `protocol::settings_of_the_cluster_suffice_and_null_is_none` `kubeconfig_fleet::settings_can_stand_beside_the_cluster_and_people_can_choose_how_to_log_in` |
//! | 6.pinniped | its kubeconfigs, by kubectl, at a concierge of ours under its names | `e2e/login_pinniped::a_kubeconfig_of_pinnipeds_logs_in_once_through_our_plugin` |
//! | 6.pinniped | its files, by samples that its v0.47.0 wrote; the program itself runs in no test, so that it reads what we write is held by their shape only | `pinniped::a_login_stands_in_the_stock_programs_files` `pinniped::a_credential_of_the_stock_program_is_handed_out` `pinniped::what_others_keep_in_the_files_stays` |
//! | 6.pinniped | its concierge and its Supervisor, by doubles of ours only | `pinniped::a_refusal_of_a_stock_concierge_is_one_though_it_says_created` `pinniped::another_suffix_stands_in_path_and_body` `pinniped_supervisor::a_supervisor_takes_name_and_password_and_trades_the_token_for_the_clusters` |
//! | 6.browser | wrong password, consent, two accounts, other pages, double click, closed tab | `e2e/login_chromium::a_wrong_password_and_then_the_right_one` `e2e/login_chromium::two_accounts_side_by_side` `e2e/login_chromium::consent_given_and_refused` `e2e/login_chromium::strangers_are_turned_away_and_the_login_goes_on` `e2e/login_chromium::two_clicks_are_one_login` `e2e/login_chromium::a_closed_tab_ends_in_words` |
//! | 6.speed | nothing is started on the warm path, and each flow makes the requests it needs | `surroundings::a_warm_call_starts_no_thread_opens_no_socket_and_takes_no_lock` `requests::each_flow_makes_the_requests_it_needs_and_no_other` |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Items that have to have a row: sections with rules, all of section 11, all of section 12, and the parts of the issue.
const ITEMS: &str = "1.3 1.4 1.5 1.6 2.3 2.4 2.5 2.6 2.7 3 4.1 4.2 4.3 4.4 4.5 4.6 4.7 4.8 4.9 5 6 7.2 8.1 8.2 8.3 8.4 9.1 \
    9.2 10 11.1 11.2 11.3 11.4 11.5 11.6 11.7 11.8 11.9 11.10 11.11 11.12 11.13 11.14 11.15 12.protocol 12.runs 12.clock \
    12.crowd 12.callback 12.device 12.paste 12.provider 12.stdin 12.kubeconfig 6.ways 6.commands 6.pinniped 6.browser 6.speed";

/// Item, words, and the tests' names.
fn rows() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let lines = include_str!("checklist.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    let rows = lines.skip(1).map(|line| {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let [item, words, tests] = cells[..] else { panic!("three cells: {line}") };
        (item, words, tests.split('`').filter(|name| !name.trim().is_empty()).collect())
    });
    rows.collect()
}

fn file_of(module: &str) -> PathBuf {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR"));
    match (module.strip_prefix("e2e/"), module.strip_prefix("src/")) {
        (Some(name), _) => plugin.join("../tests/tests").join(format!("{name}.rs")),
        (None, Some(path)) => plugin.join("src").join(format!("{path}.rs")),
        (None, None) => plugin.join("tests/cli").join(format!("{module}.rs")),
    }
}

/// Whether the function is a test, or a step that one of the file's tests takes.
fn is_run(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let begins = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|line| line.strip_prefix(function)).is_some_and(|rest| rest.starts_with('('))
    };
    let Some(at) = lines.iter().position(|line| begins(line)) else { return false };
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let attributes: Vec<&&str> = above.collect();
    let is_test = attributes.iter().any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"));
    let call = format!("{function}(");
    let is_step = lines.iter().any(|line| !begins(line) && !line.starts_with("//") && line.contains(&call));
    // Generated by a macro for tables of properties.
    let is_property = source.contains("proptest!") && attributes.iter().any(|line| line.starts_with("#[test"));
    is_test || is_step || is_property
}

#[test]
fn every_item_has_a_test_that_is_there() {
    let mut sources = BTreeMap::new();
    let mut gone = Vec::new();
    for (item, words, tests) in rows() {
        assert!(!tests.is_empty() && !words.is_empty(), "{item} {words}");
        for name in tests {
            let (module, function) = name.split_once("::").unwrap_or_else(|| panic!("{item}: {name}"));
            let path = file_of(module);
            let source = sources.entry(path.clone()).or_insert_with(|| fs::read_to_string(&path).unwrap_or_default());
            let sleeps = source
                .lines()
                .filter_map(|line| line.trim_start().strip_prefix("#["))
                .any(|it| it.starts_with("ignore"));
            assert!(!sleeps, "{module}: a test that never runs proves nothing");
            if !is_run(source, function) {
                gone.push(format!("{item}: {name}"));
            }
        }
    }
    assert!(gone.is_empty(), "no such test:\n{}", gone.join("\n"));
}

#[test]
fn no_item_is_forgotten_and_none_is_made_up() {
    let found: BTreeSet<&str> = rows().into_iter().map(|(item, _, _)| item).collect();
    assert_eq!(found, ITEMS.split_ascii_whitespace().collect());
}

#[test]
fn a_name_that_nobody_runs_is_told_from_a_test() {
    let source = "#[test]\nfn here() {}\n#[tokio::test]\nasync fn later() {}\nfn idle() {}\nasync fn step() {}\n\
        #[test]\nfn walks() { step(); }\n// idle()\n";
    for (name, run) in
        [("here", true), ("later", true), ("idle", false), ("step", true), ("her", false), ("gone", false)]
    {
        assert_eq!(is_run(source, name), run, "{name}");
    }
}

/// Where an administrator reads it: in the object's own documentation (`kubectl explain`).
#[test]
fn the_price_of_a_short_life_stands_beside_the_setting() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/manifests/jwtauthenticators.yaml");
    let words = fs::read_to_string(manifest).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let setting = words.split("How long a credential lives").nth(1).unwrap();
    let price = setting.find("watches and followed logs break").expect("its price");
    assert!(price < setting.find("lifetimeSeconds").unwrap_or(usize::MAX) && price < 700, "beside the setting");
}
