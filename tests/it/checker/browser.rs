//! Browser sessions and phantom tokens for clients of forward-auth.

use std::path::PathBuf;

use auth::{Secret, UnixSeconds};
use auth_dynamodb::DynamoBrowserSessions;
use auth_sessions::{BrowserSession, SealedSessions, SealingKeys};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use testkit::token::now;
use testkit::{FakeAws, TokenBuilder};

use super::cognito::refresh_token;
use super::system::Checker;
use crate::world::unique;

pub(super) const COOKIE: &str = "__Host-session";
pub(super) const ORIGIN: &str = "https://app.test";
/// The backend, for which phantom tokens are minted.
pub(super) const HOST: &str = "orders.test";
const AUDIENCE: &str = "orders";
const ISSUER: &str = "https://phantom.test";

/// The table of browser sessions, the secret of their keys, and the key of phantom tokens.
pub(super) struct Browsers {
    sessions: SealedSessions<DynamoBrowserSessions>,
    table: String,
    secrets: FakeAws,
    keys: PhantomKeys,
}

/// The key of phantom tokens, in a file.
struct PhantomKeys {
    file: PathBuf,
    public: UnparsedPublicKey<Vec<u8>>,
}

impl Drop for PhantomKeys {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl PhantomKeys {
    /// A new key that has been published for long enough to sign.
    fn new() -> Self {
        use std::os::unix::fs::OpenOptionsExt;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let key = json!({"kid": "p-1", "alg": "ES256", "not_before": now() - 3_600,
            "private_key": STANDARD.encode(document.as_ref())});
        let file = std::env::temp_dir().join(format!("gatehouse-{}", unique("phantom")));
        let mut options = std::fs::OpenOptions::new();
        let mut opened = options
            .create(true)
            .write(true)
            .mode(0o600)
            .open(&file)
            .unwrap();
        serde_json::to_writer(&mut opened, &json!({"keys": [key]})).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
        Self { file, public }
    }
}

impl Browsers {
    /// The table in the database at `url`.
    pub(super) async fn start(url: &str) -> Self {
        use aws_sdk_dynamodb::types::{
            AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        };
        let sdk = crate::store::sdk(url).await;
        let table = unique("browser-sessions");
        let id = AttributeDefinition::builder().attribute_name("id");
        let key = KeySchemaElement::builder().attribute_name("id");
        let made = aws_sdk_dynamodb::Client::new(&sdk)
            .create_table()
            .table_name(&table)
            .attribute_definitions(id.attribute_type(ScalarAttributeType::S).build().unwrap())
            .key_schema(key.key_type(KeyType::Hash).build().unwrap())
            .billing_mode(BillingMode::PayPerRequest);
        made.send().await.unwrap();
        let text = json!({"keys": [], "generated": "a1B2".repeat(16)}).to_string();
        let secrets = FakeAws::agreeable().await;
        let secret = json!({"ARN": "arn", "Name": "n", "VersionId": "v", "SecretString": text});
        secrets.set_answer("GetSecretValue", secret);
        let rows = DynamoBrowserSessions::new(&sdk, table.clone());
        Self {
            sessions: SealedSessions::new(rows, SealingKeys::from_json(&text).unwrap()),
            table,
            secrets,
            keys: PhantomKeys::new(),
        }
    }

    /// The variables of functions that read sessions.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("BROWSER_SESSION_TABLE", self.table.clone()),
            (
                "BROWSER_SESSION_KEYS_ARN",
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:keys".to_owned(),
            ),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets.url()),
            ("ALLOWED_ORIGINS", ORIGIN.to_owned()),
        ]
    }

    /// Those of forward-auth.
    pub(super) fn variables_of_server(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.variables();
        let file = self.keys.file.to_str().unwrap();
        variables.extend([
            ("TOKEN_SOURCES", "header,session".to_owned()),
            ("PHANTOM_ISSUER", ISSUER.to_owned()),
            ("PHANTOM_KEYS_FILE", file.to_owned()),
            ("PHANTOM_AUDIENCES", json!({HOST: AUDIENCE}).to_string()),
        ]);
        variables
    }

    /// Stores these tokens; the session's id, or `None` while the table is not reachable.
    async fn create(&self, token: &TokenBuilder<'_>, session: &str) -> Option<String> {
        let at = UnixSeconds(now());
        let session = BrowserSession {
            access_token: Secret::new(token.build()),
            refresh_token: Some(Secret::new(refresh_token(session))),
            expires_at: at.plus(7_200),
        };
        let created = self.sessions.create(&session, at).await;
        created.ok().map(|id| id.expose().to_owned())
    }

    /// The `sub` of a valid phantom token for the backend.
    pub(super) fn subject_of(&self, token: &str) -> Option<String> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.keys
            .public
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let is_for_us = claims["aud"] == AUDIENCE && claims["iss"] == ISSUER;
        let is_valid = is_for_us && claims["exp"].as_u64()? > now();
        is_valid.then(|| claims["sub"].as_str().map(str::to_owned))?
    }
}

impl Checker {
    /// The cookie of a browser that holds this session, and its token. `None` where there are no browser sessions.
    pub(super) async fn cookie(
        &self,
        user: u64,
        id: &str,
        token: &TokenBuilder<'static>,
    ) -> Option<(String, TokenBuilder<'static>)> {
        let browsers = self.browsers.as_ref()?;
        if let Some(known) = self.with(user, id, |session| session.cookie.clone())? {
            return Some(known);
        }
        let cookie = (browsers.create(token, id).await?, token.clone());
        self.with(user, id, |session| session.cookie = Some(cookie.clone()));
        Some(cookie)
    }
}
