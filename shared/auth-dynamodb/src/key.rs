//! The keys of the table's rows. No value of a claim can forge another row's key.

use std::collections::HashMap;

use auth::{ClientRef, IssuerRef, SessionRef, TokenRef, UserRef};
use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The partition and sort key of a row in the revocation table (see ARCHITECTURE.md).
///
/// No `Debug`: some issuers' `sub` is an e-mail address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowKey {
    /// `pk`.
    pub(crate) partition: String,
    /// `sk`.
    pub(crate) sort: String,
}

/// The key of a revocation's row, to be displayed. No function of the store accepts it.
pub struct DisplayedKey {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

impl From<RowKey> for DisplayedKey {
    fn from(key: RowKey) -> Self {
        Self {
            pk: key.partition,
            sk: key.sort,
        }
    }
}

macro_rules! displayed {
    ($($reference:ident),+) => {
        $(impl From<&$reference<'_>> for DisplayedKey {
            fn from(reference: &$reference<'_>) -> Self {
                RowKey::from(reference).into()
            }
        })+
    };
}

displayed!(UserRef, SessionRef, TokenRef, ClientRef, IssuerRef);

/// A user: `<issuer-id>#user#<sub>` / `user`.
impl From<&UserRef<'_>> for RowKey {
    fn from(user: &UserRef<'_>) -> Self {
        Self::of_user(user, "user".to_owned())
    }
}

/// One sign-in of the user: `session#<origin_jti>`.
impl From<&SessionRef<'_>> for RowKey {
    fn from(session: &SessionRef<'_>) -> Self {
        Self::of_user(&session.user, format!("session#{}", part(session.session)))
    }
}

/// One token of the user: `token#<jti>`.
impl From<&TokenRef<'_>> for RowKey {
    fn from(token: &TokenRef<'_>) -> Self {
        Self::of_user(&token.user, format!("token#{}", part(token.token)))
    }
}

/// An app client: `<issuer-id>#client#<client_id>` / `client`.
impl From<&ClientRef<'_>> for RowKey {
    fn from(client: &ClientRef<'_>) -> Self {
        Self {
            partition: format!("{}#client#{}", part(client.issuer), part(client.client_id)),
            sort: "client".to_owned(),
        }
    }
}

/// All tokens of an issuer: `<issuer-id>` / `issuer`.
impl From<&IssuerRef<'_>> for RowKey {
    fn from(issuer: &IssuerRef<'_>) -> Self {
        Self::of_issuer(issuer.issuer, "issuer")
    }
}

impl RowKey {
    /// The revocations of the issuer's groups: `<issuer-id>` / `groups`.
    pub(crate) fn groups(issuer_id: &str) -> Self {
        Self::of_issuer(issuer_id, "groups")
    }

    /// The position of the sweep through the pool's users: `<issuer-id>` / `sweep`.
    pub(crate) fn sweep(issuer_id: &str) -> Self {
        Self::of_issuer(issuer_id, "sweep")
    }

    /// A call to the issuer that Gatehouse itself made: `<issuer-id>#call#<request-id>` / `call`.
    pub(crate) fn call(issuer_id: &str, request_id: &str) -> Self {
        Self {
            partition: format!("{}#call#{}", part(issuer_id), part(request_id)),
            sort: "call".to_owned(),
        }
    }

    /// A key that no row has.
    pub(crate) fn missing() -> Self {
        Self::of_issuer("", "issuer")
    }

    fn of_issuer(issuer_id: &str, sort: &str) -> Self {
        Self {
            partition: part(issuer_id),
            sort: sort.to_owned(),
        }
    }

    fn of_user(user: &UserRef<'_>, sort: String) -> Self {
        Self {
            partition: format!("{}#user#{}", part(user.issuer), part(user.subject)),
            sort,
        }
    }
}

/// A variable part of a key: the value itself if it is unambiguous, otherwise `~` and its SHA-256.
/// Neither form contains a `#`, so no value can forge another row's key.
fn part(value: &str) -> String {
    const MAX_PLAIN_BYTES: usize = 128;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@|+=".contains(&byte);
    if !value.is_empty() && value.len() <= MAX_PLAIN_BYTES && value.bytes().all(plain) {
        value.to_owned()
    } else {
        format!(
            "~{}",
            URL_SAFE_NO_PAD.encode(digest(&SHA256, value.as_bytes()))
        )
    }
}

/// The key's attributes.
pub(crate) fn key_attributes(key: &RowKey) -> HashMap<String, AttributeValue> {
    let text = |value: &String| AttributeValue::S(value.clone());
    HashMap::from([
        ("pk".to_owned(), text(&key.partition)),
        ("sk".to_owned(), text(&key.sort)),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn user<'a>(issuer: &'a str, subject: &'a str) -> UserRef<'a> {
        UserRef { issuer, subject }
    }

    fn client<'a>(issuer: &'a str, client_id: &'a str) -> ClientRef<'a> {
        ClientRef { issuer, client_id }
    }

    #[test]
    fn row_keys_have_the_documented_form() {
        let row = |key: RowKey| format!("{} / {}", key.partition, key.sort);
        let pool = "us-east-1_Ab1";
        let user = user(pool, "s-1");
        assert_eq!(row(RowKey::from(&user)), "us-east-1_Ab1#user#s-1 / user");
        assert_eq!(
            row(RowKey::from(&user.session("o-1"))),
            "us-east-1_Ab1#user#s-1 / session#o-1"
        );
        assert_eq!(
            row(RowKey::from(&user.token("j-1"))),
            "us-east-1_Ab1#user#s-1 / token#j-1"
        );
        assert_eq!(
            row(RowKey::from(&client(pool, "c-1"))),
            "us-east-1_Ab1#client#c-1 / client"
        );
        assert_eq!(
            row(RowKey::from(&IssuerRef { issuer: pool })),
            "us-east-1_Ab1 / issuer"
        );
        assert_eq!(row(RowKey::groups(pool)), "us-east-1_Ab1 / groups");
        assert_eq!(row(RowKey::sweep(pool)), "us-east-1_Ab1 / sweep");
        assert_eq!(
            row(RowKey::call(pool, "r-1")),
            "us-east-1_Ab1#call#r-1 / call"
        );
    }

    #[test]
    fn no_value_forges_another_rows_key() {
        let long = "x".repeat(2_048);
        let values = [
            "a",
            "a#user",
            "a#user#a",
            "user",
            "#",
            "",
            "~",
            "*",
            "a/b",
            "a|b",
            "a b",
            "ä",
            "a\u{308}",
            "session#a",
            "token#a",
            "client",
            "issuer",
            "\0",
            &long,
            "A",
        ];
        let mut seen = HashSet::new();
        for one in values {
            assert!(
                seen.insert(RowKey::from(&IssuerRef { issuer: one })),
                "{one}"
            );
            assert!(seen.insert(RowKey::groups(one)), "{one}");
            assert!(seen.insert(RowKey::sweep(one)), "{one}");
            for other in values {
                assert!(
                    seen.insert(RowKey::from(&user(one, other))),
                    "{one} {other}"
                );
                assert!(
                    seen.insert(RowKey::from(&client(one, other))),
                    "{one} {other}"
                );
                assert!(seen.insert(RowKey::call(one, other)), "{one} {other}");
                assert!(
                    seen.insert(RowKey::from(&user("p", one).session(other))),
                    "{one} {other}"
                );
                assert!(
                    seen.insert(RowKey::from(&user("p", one).token(other))),
                    "{one} {other}"
                );
            }
        }
        assert!(
            seen.iter()
                .all(|key| key.partition.len() + key.sort.len() < 600)
        );
    }

    #[test]
    fn a_part_of_at_most_128_plain_bytes_is_not_hashed() {
        let hashed = |value: &str| part(value).starts_with('~');
        for (value, expected) in [
            (&*"x".repeat(128), false),
            (&"x".repeat(129), true),
            ("", true),
            ("a-b_c.d:e@f|g+h=1", false),
            ("a#b", true),
            ("a~b", true),
            ("a b", true),
            ("a/b", true),
        ] {
            assert_eq!(hashed(value), expected, "{value}");
        }
        assert_eq!(part("#").len(), 44, "~ and 32 bytes in base64url");
        assert!(!RowKey::missing().partition.is_empty());
        assert!(RowKey::missing() == RowKey::from(&IssuerRef { issuer: "" }));
    }

    #[test]
    fn a_key_is_displayed_and_requested_as_it_is_stored() {
        let user = user("pool", "s-1");
        let DisplayedKey { pk, sk } = (&user.session("o-1")).into();
        assert_eq!((&*pk, &*sk), ("pool#user#s-1", "session#o-1"));
        let attributes = key_attributes(&RowKey::from(&user));
        let text = |name: &str| attributes.get(name).and_then(|value| value.as_s().ok());
        assert_eq!(text("pk").map(String::as_str), Some("pool#user#s-1"));
        assert_eq!(text("sk").map(String::as_str), Some("user"));
        assert_eq!(attributes.len(), 2);
    }
}
