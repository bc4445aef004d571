//! Tests of the real binaries: events in, responses out.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on has failed"
)]

mod acts;
mod admin;
mod api_keys;
mod audit_trail;
mod auth_api;
mod auth_api_account;
mod auth_api_cookies;
mod auth_api_page;
mod auth_api_refresh;
mod auth_api_sign_in;
mod auth_api_sign_up;
mod authorizer_apis;
mod authorizer_concurrency;
mod authorizer_events;
mod authorizer_issuers;
mod authorizer_keys;
mod authorizer_paths;
mod authorizer_policy_scope;
mod authorizer_responses;
mod authorizer_revocations;
mod authorizer_rules;
mod authorizer_store;
mod authorizer_tokens;
mod browser;
mod browser_sessions;
mod causes;
mod chaos;
mod checker;
mod cognito;
mod connections;
mod contracts;
mod custom_message;
mod deployed;
mod explain;
mod fuzz;
mod log_lines;
mod logout;
mod logout_cognito;
mod logout_faults;
mod logout_requests;
mod migrate_user;
mod migrate_user_elsewhere;
mod migrate_user_failures;
mod migrate_user_groups;
mod migrate_user_names;
mod migrate_user_passwords;
mod migrate_user_rules;
mod migrate_user_settings;
mod migrate_user_sources;
mod operator;
mod phantom_keys;
mod post_confirmation;
mod pre_sign_up;
mod pre_token_generation;
mod samples;
mod sessions;
mod settings;
mod store;
mod tls;
mod user_events;
mod user_events_order;
mod user_events_pool;
mod user_sweep;
mod world;
