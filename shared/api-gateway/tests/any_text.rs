//! No reader of a request panics, whatever a client sends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use api_gateway::headers::{self, RawMap};
use api_gateway::routes::Route;
use api_gateway::{MethodArn, bearer, path};
use proptest::prelude::*;
use serde_json::json;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [&text, &*lossy] {
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
        }
        let _ = serde_json::from_slice::<RawMap<'_>>(&bytes);
    }
}
