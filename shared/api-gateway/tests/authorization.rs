//! From the headers of an event to the token.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use api_gateway::{bearer, headers};
use auth::DenyReason;
use serde_json::json;
use testkit::rows::authorization::authorization_values;

#[test]
fn accepts_one_bearer_token_and_nothing_else() {
    let token = testkit::Pool::ours().access_token().build();
    for row in authorization_values(&token) {
        let members = json!({"Accept": "*/*", "Authorization": row.value}).to_string();
        let members = serde_json::from_str(&members).unwrap();
        let value = headers::single_value(&members, &Default::default(), "authorization");
        let found = value.and_then(|value| bearer::token_of(&value).map(str::to_owned));
        let expected = row.refused.map_or(Ok(token.as_str()), Err);
        let found = found
            .as_deref()
            .map_err(|reason| DenyReason::as_str(*reason));
        assert_eq!(found, expected, "{}", row.name);
    }
}
