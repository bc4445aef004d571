//! No parser panics, whatever a client sends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use api_gateway::headers::RawMap;
use api_gateway::routes::Route;
use api_gateway::{MethodArn, bearer, headers, path};
use proptest::prelude::*;
use serde_json::json;

/// Parts of the JSON of an event.
const PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\u0061",
    "\\",
    "null",
    "true",
    "1",
    "1e400",
    "\"cookie\"",
    " ",
];

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(
        text in "\\PC{0,200}",
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..24),
    ) {
        let parts = parts.concat();
        for text in [&text, &parts] {
            let _ = MethodArn::parse(text);
            let _ = bearer::token_of(text);
            let _ = bearer::check(text);
            let _ = bearer::has_scheme(text, "Bearer");
            let _ = path::normalize_path(text);
            let _ = Route::parse("GET", text);
            let header = json!({"authorization": text}).to_string();
            let map = serde_json::from_str(&header).unwrap();
            let value = headers::single_value(&map, &map, "authorization");
            let _ = headers::cookie(None, value, text);
            let _ = serde_json::from_str::<RawMap<'_>>(text);
        }
    }
}
