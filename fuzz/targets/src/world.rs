//! An issuer with a key that signs in microseconds, and its tokens.

use std::sync::{Arc, OnceLock};

use auth::{
    Algorithm, Issuer, IssuerKind, KeySet, TokenRules, TokenUse, UnixSeconds, UnverifiedToken,
    VerifiedClaims, Verifier,
};
use serde_json::{Value, json};
use testkit::{Pool, SigningKey, TokenBuilder};

/// The `kid` of the issuer's key.
pub(crate) const KID: &str = "signing-key";
/// The time of decisions.
pub(crate) const AT: UnixSeconds = UnixSeconds(1_800_000_000);
/// The alias of the second issuer.
pub(crate) const ALIAS: &str = "partner";
/// The address of the second issuer, which is no user pool.
pub(crate) const PARTNER: &str = "https://partner.example";
/// The subject of the tokens.
pub(crate) const SUBJECT: &str = "a1b2c3d4-5678-90ab-cdef-example11111";

/// Keys and issuers.
pub(crate) struct World {
    /// The key of both issuers.
    pub(crate) key: SigningKey,
    /// A key that no issuer publishes.
    pub(crate) foreign: SigningKey,
    /// The published keys.
    pub(crate) keys: KeySet,
    /// Accepts the tokens of both issuers.
    pub(crate) verifier: Verifier,
    /// The time of every decision that takes a time, so that an input has one result.
    pub(crate) at: UnixSeconds,
}

/// The world of this process.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let key = SigningKey::ed25519();
        let keys = json!({"keys": [key.jwk(KID)]}).to_string();
        let rules = TokenRules {
            token_uses: vec![TokenUse::Access, TokenUse::Id],
            allow_delegated: true,
            ..TokenRules::default()
        };
        World {
            keys: KeySet::parse(keys.as_bytes()).expect("a key set"),
            verifier: Verifier::new(vec![user_pool(), partner()], rules),
            foreign: SigningKey::ed25519(),
            key,
            at: AT,
        }
    })
}

/// The user pool of the tests, but its key is of another algorithm.
pub(crate) fn user_pool() -> Issuer {
    let pool = Pool::ours();
    Issuer {
        algorithms: vec![Algorithm::EdDsa],
        ..Issuer::user_pool(
            Arc::from(pool.id),
            pool.issuer(),
            vec![pool.client_id.to_owned()],
        )
    }
}

fn partner() -> Issuer {
    Issuer {
        id: Arc::from(ALIAS),
        alias: Some(Arc::from(ALIAS)),
        url: PARTNER.to_owned(),
        kind: IssuerKind::Oidc,
        takes_id_tokens: true,
        ..user_pool()
    }
}

/// The claims of an access token that is valid at `at`.
pub(crate) fn access_claims(at: UnixSeconds) -> Value {
    let pool = Pool::ours();
    json!({
        "sub": SUBJECT,
        "iss": pool.issuer(),
        "client_id": pool.client_id,
        "origin_jti": "0a1b2c3d-session-example-000000000001",
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "auth_time": at.0 - 60,
        "exp": at.0 + 1740,
        "iat": at.0 - 60,
        "jti": "9f8e7d6c-token-example-0000000000001",
        "username": "ada",
        "cognito:groups": ["editors"],
    })
}

/// The claims of the partner's token.
pub(crate) fn partner_claims(at: UnixSeconds) -> Value {
    json!({
        "sub": "auth0|ada",
        "iss": PARTNER,
        "aud": [Pool::ours().client_id, "https://partner.example/userinfo"],
        "azp": Pool::ours().client_id,
        "sid": "partner-session",
        "scope": "openid email",
        "auth_time": at.0 - 60,
        "exp": at.0 + 1740,
        "iat": at.0 - 60,
        "jti": "partner-token",
        "preferred_username": "ada",
        "groups": ["editors"],
        "amr": ["mfa"],
    })
}

impl World {
    /// A token with these claims, JSON or not, and a valid signature.
    pub(crate) fn signed(&self, claims: &str) -> String {
        let header = json!({"kid": KID, "alg": "EdDSA"});
        TokenBuilder::new(&header, &json!({}), &self.key).build_raw(header.to_string(), claims)
    }

    /// The claims as a caller has them after the verification, unless they are refused.
    pub(crate) fn verified(&self, claims: &str) -> Option<VerifiedClaims> {
        let token = self.signed(claims);
        let token = UnverifiedToken::parse(&token).ok()?;
        let issuer = self.verifier.issuer_of(&token).ok()?;
        let key = self.keys.get(token.unverified_kid())?;
        self.verifier.verify(token, issuer, key, self.at).ok()
    }
}
