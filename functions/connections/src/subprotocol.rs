//! The subprotocol of a connection.

use serde_json::{Map, Value};

/// The subprotocol that precedes a token.
const BEARER: &str = "bearer";
/// The longest name of a subprotocol that is returned.
const MAX_SUBPROTOCOL_BYTES: usize = 128;

/// Chooses one of the subprotocols that the client offers: a browser closes a connection whose
/// server chose none of them. The token follows `bearer` and is never chosen; if the client also
/// offers an application's subprotocol, that one is chosen.
pub(crate) fn subprotocol(headers: &Map<String, Value>) -> Option<String> {
    let is_token = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !name.is_empty() && name.len() <= MAX_SUBPROTOCOL_BYTES && name.bytes().all(allowed)
    };
    let offered = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
        .find_map(|(_, value)| value.as_str())?;
    // RFC 9110 section 5.6.3, as the authorizer reads it.
    let mut offered = offered
        .split(',')
        .map(|name| name.trim_matches([' ', '\t']));
    let mut has_bearer = false;
    while let Some(name) = offered.next() {
        if name == BEARER {
            has_bearer = true;
            offered.next();
        } else if is_token(name) {
            return Some(name.to_owned());
        }
    }
    has_bearer.then(|| BEARER.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chooses_a_subprotocol_but_never_the_token() {
        let long = "x".repeat(129);
        let rows = [
            ("bearer, eyJ.e30.c2ln", Some("bearer")),
            (
                "bearer,eyJ.e30.c2ln,graphql-transport-ws",
                Some("graphql-transport-ws"),
            ),
            (
                "graphql-transport-ws, bearer, eyJ.e30.c2ln",
                Some("graphql-transport-ws"),
            ),
            (
                "graphql-transport-ws, graphql-ws",
                Some("graphql-transport-ws"),
            ),
            ("bearer", Some("bearer")),
            ("\u{a0}graphql-ws", None),
            ("\tgraphql-ws \t, x", Some("graphql-ws")),
            ("bearer, eyJ.e30.c2ln, a\r\nset-cookie: x", Some("bearer")),
            ("", None),
            (",", None),
            (&long, None),
        ];
        for (offered, chosen) in rows {
            for name in ["Sec-WebSocket-Protocol", "sec-websocket-protocol"] {
                let headers = json!({"Host": "x", name: offered});
                let headers = headers.as_object().unwrap();
                assert_eq!(subprotocol(headers).as_deref(), chosen, "{offered}");
            }
        }
        for odd in [json!({}), json!({"Sec-WebSocket-Protocol": 7})] {
            assert_eq!(subprotocol(odd.as_object().unwrap()), None, "{odd}");
        }
    }
}
