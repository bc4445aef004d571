//! Claims of other OpenID Connect providers, read in a second pass: in a Cognito token, a claim of the same name may
//! have any type.

use serde::Deserialize;
use serde::de::Deserializer;

use crate::claims::{MAX_ID_BYTES, MAX_NAME_BYTES};

/// The claims that say which kind of token it is, of which client and for which audiences.
#[derive(Deserialize)]
pub(crate) struct OidcClaims {
    aud: OneOrMany,
    /// OpenID Connect Core section 2.
    pub(crate) azp: Option<String>,
    /// OpenID Connect Back-Channel Logout section 2.1.
    pub(crate) sid: Option<String>,
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// Replaces `scope`: a list at Okta, a string at Entra ID.
    pub(crate) scp: Option<OneOrMany>,
    pub(crate) preferred_username: Option<String>,
    /// Okta's and Entra ID's (version 1) names for the client.
    pub(crate) cid: Option<String>,
    pub(crate) appid: Option<String>,
    /// Entra ID: `app` or `user`. Not sent by default.
    idtyp: Option<String>,
    /// Auth0: the grant type of the token.
    gty: Option<OneOrMany>,
    /// Keycloak: `Bearer`, `ID`, `Logout`.
    typ: Option<Anything>,
    /// OpenID Connect Core sections 2 and 3.1.3.6: members of an ID token.
    nonce: Option<Anything>,
    at_hash: Option<Anything>,
    c_hash: Option<Anything>,
    /// OpenID Connect Back-Channel Logout section 2.4.
    events: Option<Anything>,
    /// Keycloak: the host of a service account's request.
    #[serde(rename = "clientHost")]
    client_host: Option<Anything>,
    #[serde(rename = "clientAddress")]
    client_address: Option<Anything>,
    /// Present for persons only.
    email: Option<Anything>,
    name: Option<Anything>,
    upn: Option<Anything>,
    uid: Option<Anything>,
    amr: Option<Anything>,
}

/// A claim whose presence matters, with its text if it is a string.
struct Anything(Option<String>);

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.as_str().map(str::to_owned)))
    }
}

/// A string or a list of strings.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OidcClaims {
    pub(crate) fn read(payload: &str) -> Option<Self> {
        let mut claims: Self = serde_json::from_str(payload).ok()?;
        claims.groups.retain(|group| !group.is_empty());
        let ids = [&claims.azp, &claims.sid, &claims.cid, &claims.appid];
        let bounded = |text: &String, bytes: usize| {
            !text.is_empty() && text.len() <= bytes && !text.chars().any(char::is_control)
        };
        let name = &claims.preferred_username;
        let all_bounded =
            ids.into_iter()
                .flatten()
                .all(|id| bounded(id, MAX_ID_BYTES))
                && name
                    .as_ref()
                    .is_none_or(|name| bounded(name, MAX_NAME_BYTES))
                && claims.groups.iter().all(|group| {
                    group.len() <= MAX_NAME_BYTES && !group.chars().any(char::is_control)
                });
        all_bounded.then_some(claims)
    }

    /// Whether it is a logout token, or another type that grants no access.
    pub(crate) fn is_logout_token(&self) -> bool {
        self.events.is_some() || self.has_type(&["Logout", "Refresh", "Offline"])
    }

    /// Whether it is an ID token. Some Keycloak versions put a `nonce` into access tokens, but name
    /// the type in `typ`.
    pub(crate) fn is_id_token(&self) -> bool {
        let by_nonce = self.nonce.is_some() && !self.has_type(&["Bearer"]);
        by_nonce || self.at_hash.is_some() || self.c_hash.is_some() || self.has_type(&["ID"])
    }

    fn has_type(&self, names: &[&str]) -> bool {
        let typ = self.typ.as_ref().and_then(|typ| typ.0.as_deref());
        typ.is_some_and(|typ| names.iter().any(|name| typ.eq_ignore_ascii_case(name)))
    }

    /// Whether a client acts on its own behalf: it is its own subject, to which Auth0 adds a
    /// suffix, or a provider-specific claim says so.
    pub(crate) fn is_machine(&self, subject: &str, client_id: &str) -> bool {
        let is_grant = |grant: &String| grant.replace('_', "-") == "client-credentials";
        let by_grant = match &self.gty {
            None => false,
            Some(OneOrMany::One(grant)) => is_grant(grant),
            Some(OneOrMany::Many(grants)) => grants.iter().any(is_grant),
        };
        let own_names = [
            Some(client_id),
            self.azp.as_deref(),
            self.cid.as_deref(),
            self.appid.as_deref(),
        ];
        let is_own = |name: &str| own_names.contains(&Some(name));
        let account = self.preferred_username.as_deref().and_then(|name| {
            let (prefix, rest) = name.split_at_checked("service-account-".len())?;
            prefix
                .eq_ignore_ascii_case("service-account-")
                .then_some(rest)
        });
        let is_account = account.is_some_and(|account| {
            let mut names = own_names.into_iter().flatten();
            names.any(|name| name.eq_ignore_ascii_case(account))
        });
        by_grant
            || is_account
            || is_own(subject)
            || subject.ends_with("@clients")
            || self
                .idtyp
                .as_deref()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("app"))
            || self.client_host.is_some()
            || self.client_address.is_some()
    }

    /// Whether any claim shows that a person signed in. Without one, the token may be a machine's,
    /// from a provider that this crate does not know.
    pub(crate) fn is_person(&self, subject: &str, scope: &str, has_auth_time: bool) -> bool {
        let about_a_person = [&self.email, &self.name, &self.upn, &self.uid, &self.amr];
        has_auth_time
            || self.sid.is_some()
            || self.scp.is_some()
            || self.preferred_username.is_some()
            || self.is_id_token()
            || about_a_person.into_iter().any(Option::is_some)
            || scope.split(' ').any(|word| word == "openid")
            // Auth0's `auth0|...`: the connection through which a user signed in.
            || subject.contains('|')
    }

    pub(crate) fn audiences(&self) -> impl Iterator<Item = &String> {
        match &self.aud {
            OneOrMany::One(audience) => std::slice::from_ref(audience).iter(),
            OneOrMany::Many(audiences) => audiences.iter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> OidcClaims {
        OidcClaims::read(json).unwrap()
    }

    #[test]
    fn each_kind_of_token_has_its_claims() {
        // (claims, a logout token, an ID token, a machine's, a person's)
        let rows = [
            (r#"{"aud": "api"}"#, [false, false, false, false]),
            (
                r#"{"aud": "api", "events": {}}"#,
                [true, false, false, false],
            ),
            (
                r#"{"aud": "api", "typ": "refresh"}"#,
                [true, false, false, false],
            ),
            (r#"{"aud": "api", "typ": "ID"}"#, [false, true, false, true]),
            (
                r#"{"aud": "api", "at_hash": "x"}"#,
                [false, true, false, true],
            ),
            (
                r#"{"aud": "api", "nonce": "x"}"#,
                [false, true, false, true],
            ),
            (
                r#"{"aud": "api", "nonce": "x", "typ": "Bearer"}"#,
                [false, false, false, false],
            ),
            (r#"{"aud": "api", "typ": 7}"#, [false, false, false, false]),
            (
                r#"{"aud": "api", "cid": "the-subject"}"#,
                [false, false, true, false],
            ),
            (
                r#"{"aud": "api", "gty": "client-credentials"}"#,
                [false, false, true, false],
            ),
            (
                r#"{"aud": "api", "gty": ["x", "client_credentials"]}"#,
                [false, false, true, false],
            ),
            (
                r#"{"aud": "api", "idtyp": "APP"}"#,
                [false, false, true, false],
            ),
            (
                r#"{"aud": "api", "clientHost": "10.0.0.1"}"#,
                [false, false, true, false],
            ),
            (
                r#"{"aud": "api", "preferred_username": "Service-Account-THE-CLIENT"}"#,
                [false, false, true, true],
            ),
            (
                r#"{"aud": "api", "preferred_username": "service-account-another"}"#,
                [false, false, false, true],
            ),
            (
                r#"{"aud": ["api"], "email": null}"#,
                [false, false, false, false],
            ),
            (
                r#"{"aud": ["api"], "email": "a@example.com"}"#,
                [false, false, false, true],
            ),
            (
                r#"{"aud": ["api"], "sid": "s"}"#,
                [false, false, false, true],
            ),
        ];
        for (json, expected) in rows {
            let claims = claims(json);
            let found = [
                claims.is_logout_token(),
                claims.is_id_token(),
                claims.is_machine("the-subject", "the-client"),
                claims.is_person("the-subject", "read", false),
            ];
            assert_eq!(found, expected, "{json}");
        }
        let neither = claims(r#"{"aud": "api"}"#);
        assert!(neither.is_machine("x@clients", "x"), "Auth0's machines");
        assert!(
            neither.is_machine("x", "x"),
            "a client that is its own subject"
        );
        assert!(neither.is_person("auth0|x", "", false), "Auth0's users");
        assert!(neither.is_person("x", "read openid", false));
        assert!(neither.is_person("x", "", true), "with a sign-in time");
    }

    #[test]
    fn names_are_bounded_and_have_no_control_characters() {
        for (name, longest) in [
            ("azp", MAX_ID_BYTES),
            ("sid", MAX_ID_BYTES),
            ("preferred_username", MAX_NAME_BYTES),
            ("cid", MAX_ID_BYTES),
            ("appid", MAX_ID_BYTES),
        ] {
            let with = |value: &str| {
                let json = serde_json::json!({"aud": ["a", "b"], name: value}).to_string();
                OidcClaims::read(&json)
            };
            assert!(with(&"x".repeat(longest)).is_some(), "{name}");
            assert!(with(&"x".repeat(longest + 1)).is_none(), "{name}");
            assert!(with("").is_none(), "{name}");
            assert!(with("a\nb").is_none(), "{name}");
        }
        let group = |value: String| {
            OidcClaims::read(&serde_json::json!({"aud": "a", "groups": [value]}).to_string())
        };
        assert!(group("x".repeat(MAX_NAME_BYTES)).is_some());
        assert!(group("x".repeat(MAX_NAME_BYTES + 1)).is_none());
        assert!(group("a\u{0}".to_owned()).is_none());
        let groups = group(String::new()).map(|claims| claims.groups);
        assert_eq!(groups, Some(Vec::new()), "an empty name is no group");
        assert!(OidcClaims::read("{}").is_none(), "without an audience");
    }
}
