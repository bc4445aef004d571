//! No parser panics, whatever a client sends.

use api_gateway::routes::Route;
use api_gateway::{MethodArn, bearer, path};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,200}") {
        let _ = MethodArn::parse(&text);
        let _ = bearer::token_of(&text);
        let _ = path::normalize_path(&text);
        let _ = Route::parse("GET", &text);
    }
}
