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
mod auth_api_page;
mod auth_api_sign_in;
mod auth_api_sign_up;
mod authorizer_apis;
mod authorizer_concurrency;
mod authorizer_events;
mod authorizer_issuers;
mod authorizer_keys;
mod authorizer_rules;
mod authorizer_store;
mod authorizer_tokens;
mod browser;
mod causes;
mod checker;
mod checker_cognito;
mod cognito;
mod connections;
mod contracts;
mod custom_message;
mod deployed;
mod explain;
mod fuzz;
mod logout;
mod logout_cognito;
mod migrate_user;
mod migrate_user_elsewhere;
mod migrate_user_groups;
mod migrate_user_rules;
mod migrate_user_sources;
mod operator;
mod post_confirmation;
mod pre_sign_up;
mod pre_token_generation;
mod samples;
mod sessions;
mod settings;
mod store;
mod tls;
mod user_events;
mod user_sweep;
mod world;
