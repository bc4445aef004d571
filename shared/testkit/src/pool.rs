//! A fictional user pool: its issuer, clients, keys and tokens.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::keys::SigningKey;
use crate::token::{TokenBuilder, now};

/// A user pool with two key pairs: like Cognito, it signs ID and access tokens with different keys.
pub struct Pool {
    /// `us-east-1_…`
    pub id: &'static str,
    /// Its app client.
    pub client_id: &'static str,
    /// Signs access tokens.
    pub access_key: SigningKey,
    /// Signs ID tokens.
    pub id_key: SigningKey,
    /// `kid` of the access key.
    pub access_kid: &'static str,
    /// `kid` of the ID key.
    pub id_kid: &'static str,
}

impl Pool {
    /// The pool that the functions under test are configured for. Each process generates its keys
    /// once.
    pub fn ours() -> &'static Self {
        static OURS: OnceLock<Pool> = OnceLock::new();
        OURS.get_or_init(|| Self {
            id: "us-east-1_Gatehouse",
            client_id: "4example0client1id2345678",
            access_key: SigningKey::rsa(),
            id_key: SigningKey::rsa(),
            access_kid: "kNWx0access0key1id+/=",
            id_kid: "fJ2Zid0key1id+/=",
        })
    }

    /// A pool that the functions are not configured for.
    pub fn foreign() -> &'static Self {
        static FOREIGN: OnceLock<Pool> = OnceLock::new();
        FOREIGN.get_or_init(|| Self {
            id: "us-east-1_Stranger1",
            client_id: "9other0client",
            access_key: SigningKey::rsa(),
            id_key: SigningKey::rsa(),
            access_kid: "foreign-access",
            id_kid: "foreign-id",
        })
    }

    /// `iss` in its original form.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("https://cognito-idp.us-east-1.amazonaws.com/{}", self.id)
    }

    /// The published key set.
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.id_key.jwk(self.id_kid), self.access_key.jwk(self.access_kid)]})
    }

    /// A valid access token of a user, as Cognito issues it.
    #[must_use]
    pub fn access_token(&self) -> TokenBuilder<'_> {
        let now = now();
        TokenBuilder::new(
            &json!({"kid": self.access_kid, "alg": "RS256"}),
            &json!({
                "sub": "a1b2c3d4-5678-90ab-cdef-example11111",
                "iss": self.issuer(),
                "client_id": self.client_id,
                "origin_jti": "0a1b2c3d-session-example-000000000001",
                "event_id": "11112222-3333-4444-5555-666677778888",
                "token_use": "access",
                "scope": "aws.cognito.signin.user.admin",
                "auth_time": now - 60,
                "exp": now + 1740,
                "iat": now - 60,
                "jti": "9f8e7d6c-token-example-0000000000001",
                "username": "ada",
            }),
            &self.access_key,
        )
    }

    /// A valid ID token of the same user and session.
    #[must_use]
    pub fn id_token(&self) -> TokenBuilder<'_> {
        let now = now();
        TokenBuilder::new(
            &json!({"kid": self.id_kid, "alg": "RS256"}),
            &json!({
                "sub": "a1b2c3d4-5678-90ab-cdef-example11111",
                "iss": self.issuer(),
                "aud": self.client_id,
                "origin_jti": "0a1b2c3d-session-example-000000000001",
                "event_id": "11112222-3333-4444-5555-666677778888",
                "token_use": "id",
                "auth_time": now - 60,
                "exp": now + 1740,
                "iat": now - 60,
                "jti": "1a2b3c4d-token-example-0000000000002",
                "cognito:username": "ada",
                "email": "ada@example.com",
                "email_verified": true,
            }),
            &self.id_key,
        )
    }

    /// A valid access token of a machine (`client_credentials`).
    #[must_use]
    pub fn machine_token(&self) -> TokenBuilder<'_> {
        let now = now();
        TokenBuilder::new(
            &json!({"kid": self.access_kid, "alg": "RS256"}),
            &json!({
                "sub": self.client_id,
                "iss": self.issuer(),
                "client_id": self.client_id,
                "token_use": "access",
                "scope": "orders/read orders/write",
                "auth_time": now - 60,
                "exp": now + 1740,
                "iat": now - 60,
                "jti": "5e6f7a8b-token-example-0000000000003",
                "version": 2,
            }),
            &self.access_key,
        )
    }
}
