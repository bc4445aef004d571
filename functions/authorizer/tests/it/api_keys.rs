//! Decisions about API keys, with keys and revocations in memory and the rules of `policies/examples/api-keys.cedar`.

use std::path::Path;
use std::sync::OnceLock;

use auth::api_key::{CLIENT_ID, NewKey, RANDOM_BYTES, StoredKey};
use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{
    ApiKeyWriter, ClientRef, RevocationContext, RevocationWriter, UnixSeconds, UserRef, Verifier,
};
use authorizer::{ApiKeys, Authorizer, Config};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::{Pool, events, now};

const REFUSED: Result<String, InvocationError> = Err(InvocationError::Unauthorized);

struct Fixture {
    authorizer: Authorizer<MemoryKeys, MemoryRevocations, MemoryApiKeys>,
    revocations: MemoryRevocations,
    keys: MemoryApiKeys,
}

/// A folder with the rules, as the function reads it.
fn policies() -> &'static str {
    // Once: another test must not read a file that is being written.
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("api-keys");
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["api-keys.cedar", "schema.cedarschema"] {
            std::fs::copy(examples.join(file), folder.join(file)).unwrap();
        }
        folder.to_str().unwrap().to_owned()
    })
}

fn fixture() -> Fixture {
    let variables = [("API_KEY_TABLE", "api-keys"), ("POLICIES_DIR", policies())];
    let config = Config::from_lookup(&events::variables(&variables)).unwrap();
    let issuers = config.issuers.into_iter().map(|(issuer, _)| issuer);
    let verifier = Verifier::new(issuers.collect(), config.token_rules);
    let (revocations, keys) = (MemoryRevocations::default(), MemoryApiKeys::default());
    let api_keys = ApiKeys {
        store: keys.clone(),
        issuer_id: Pool::ours().id.into(),
    };
    let (store, no_token_keys) = (revocations.clone(), MemoryKeys::default());
    let settings = config.settings;
    Fixture {
        authorizer: Authorizer::new(verifier, no_token_keys, store, Some(api_keys), settings),
        revocations,
        keys,
    }
}

impl Fixture {
    /// Stores a key of `acme`, the same for the same byte, and returns it.
    async fn key(&self, byte: u8, scope: &str, expires_at: u64) -> NewKey {
        let new = NewKey::mint(&[byte; RANDOM_BYTES]);
        let stored = StoredKey {
            owner: "acme".to_owned(),
            scope: scope.to_owned(),
            created_at: UnixSeconds(now() - 100),
            expires_at: UnixSeconds(expires_at),
            usage_plan_key: Some("plan-key-of-twenty-characters".to_owned()),
            salt: new.salt.clone(),
            hash: new.hash.clone(),
        };
        self.keys.put(&new.id, &stored).await.unwrap();
        new
    }

    async fn answer(&self, key: &str) -> Result<Value, InvocationError> {
        let mut event = events::sample("authorizer/rest-request");
        event["headers"] = json!({"Authorization": format!("ApiKey {key}")});
        event["multiValueHeaders"] = json!(null);
        event["methodArn"] =
            json!("arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/GET/orders");
        event["resource"] = json!("/orders");
        event["httpMethod"] = json!("GET");
        let event = events::raw(&event);
        let answer = self.authorizer.handle(&event, "request-1").await?;
        Ok(serde_json::from_str(answer.get()).unwrap())
    }

    /// The effect of the answer, or the error.
    async fn decision(&self, key: &str) -> Result<String, InvocationError> {
        let answer = self.answer(key).await?;
        let effect = &answer["policyDocument"]["Statement"][0]["Effect"];
        Ok(effect.as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn a_key_grants_its_scope() {
    let fixture = fixture();
    let key = fixture.key(1, "orders/read x", now() + 100).await;
    let answer = fixture.answer(&key.text).await.unwrap();
    assert_eq!(answer["principalId"], "acme");
    assert_eq!(
        answer["usageIdentifierKey"],
        "plan-key-of-twenty-characters"
    );
    assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Allow");
    let context = &answer["context"];
    assert_eq!(context["token_use"], "api_key");
    assert_eq!(context["key_id"], json!(key.id));
    assert_eq!(context["scope"], "orders/read x");
    assert!(!answer.to_string().contains(&key.text));
    let other = fixture.key(2, "orders/readwrite", now() + 100).await;
    assert_eq!(fixture.decision(&other.text).await, Ok("Deny".to_owned()));
}

#[tokio::test]
async fn refuses_keys_that_are_not_in_the_table_as_they_are_sent() {
    let fixture = fixture();
    let good = fixture.key(1, "orders/read", now() + 100).await;
    let expired = fixture.key(2, "orders/read", now()).await;
    let broken = fixture.key(3, "orders/read", now() + 100).await;
    fixture.keys.set_unreadable(&broken.id);
    let unknown = NewKey::mint(&[4; RANDOM_BYTES]);
    let of_another_row = good.text.replace(&good.id, &expired.id);
    for (name, key) in [
        ("unknown", unknown.text.as_str()),
        ("expired", &expired.text),
        ("a row that Gatehouse did not write", &broken.text),
        ("the secret of another key", &of_another_row),
        ("malformed", "nonsense"),
        ("empty", ""),
    ] {
        assert_eq!(fixture.decision(key).await, REFUSED, "{name}");
        let after = fixture.decision(&good.text).await;
        assert_eq!(after, Ok("Allow".to_owned()), "{name}: after");
    }
}

#[tokio::test]
async fn revocations_of_the_key_its_owner_or_all_keys_refuse_it() {
    let issuer = Pool::ours().id;
    let user = UserRef {
        issuer,
        subject: "acme",
    };
    let client = ClientRef {
        issuer,
        client_id: CLIENT_ID,
    };
    let at = UnixSeconds(now());
    let context = &RevocationContext {
        reason: "test",
        actor: "test",
        at,
        refresh_token_ttl_seconds: 3_600,
    };
    let allowed = Ok("Allow".to_owned());
    for (kind, after) in [
        ("key", REFUSED),
        ("owner disabled", REFUSED),
        ("all keys", REFUSED),
        ("issuer", REFUSED),
        // A key is not a session.
        ("owner signed out", allowed.clone()),
        ("owner's tokens outdated", allowed.clone()),
    ] {
        let fixture = fixture();
        let key = fixture.key(1, "orders/read", now() + 100).await;
        assert_eq!(fixture.decision(&key.text).await, allowed, "{kind}: before");
        let store = &fixture.revocations;
        let written = match kind {
            "key" => store.revoke_token(&user.token(&key.id), context).await,
            "owner disabled" => store.disable_user(&user, at, context).await,
            "all keys" => store.revoke_client(&client, at, context).await,
            "issuer" => store.revoke_issuer(&user.issuer_ref(), at, context).await,
            "owner signed out" => store.revoke_user_sessions(&user, at, context).await,
            _ => store.require_refresh(&user, at, context).await,
        };
        written.unwrap();
        assert_eq!(fixture.decision(&key.text).await, after, "{kind}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_available_allows_nothing() {
    let fixture = fixture();
    let key = fixture.key(1, "orders/read", now() + 100).await;
    let failed = Err(InvocationError::Internal);
    fixture.keys.set_available(false);
    assert_eq!(fixture.decision(&key.text).await, failed);
    // No table is read for a malformed key.
    assert_eq!(fixture.decision("nonsense").await, REFUSED);
    fixture.keys.set_available(true);
    fixture.revocations.set_available(false);
    assert_eq!(fixture.decision(&key.text).await, failed);
    fixture.revocations.set_available(true);
    assert_eq!(fixture.decision(&key.text).await, Ok("Allow".to_owned()));
}
