//! Identifies callers by tokens and API keys, over stores in memory.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use auth::api_key::{NewKey, PresentedKey, RANDOM_BYTES, StoredKey};
use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{
    ApiKeyWriter, ApiKeys, AuthError, Callers, ClaimsBuilder, Credential, DenyReason, Issuer,
    KeySet, RevocationContext, RevocationWriter, Secret, TokenRules, TrustedIssuer, UnixSeconds,
    Verifier, subject_hash,
};
use testkit::{Pool, now};

type MemoryCallers = Callers<MemoryKeys, MemoryRevocations, MemoryApiKeys>;

fn clock() -> UnixSeconds {
    UnixSeconds(now())
}

fn callers(max_token_bytes: usize) -> MemoryCallers {
    let pool = Pool::ours();
    let clients = vec![pool.client_id.to_owned()];
    let issuer = || Issuer::user_pool(pool.id.into(), pool.issuer(), clients.clone());
    let keys = MemoryKeys::new([TrustedIssuer {
        issuer: issuer(),
        keys: KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap(),
    }]);
    Callers {
        verifier: Verifier::new(vec![issuer()], TokenRules::default()),
        keys,
        revocations: MemoryRevocations::default(),
        api_keys: Some(ApiKeys {
            store: MemoryApiKeys::default(),
            issuer_id: Arc::from(pool.id),
        }),
        max_token_bytes,
        clock,
    }
}

/// The caller's `sub`, or why it is refused.
async fn subject(
    callers: &MemoryCallers,
    credential: &Credential<'_>,
) -> Result<String, DenyReason> {
    let issuer = OnceLock::new();
    let claims = callers.verify(credential, &issuer).await;
    let claims = claims.map_err(|error| match error {
        AuthError::Unauthorized(reason) => reason,
        AuthError::Unavailable(_) => panic!("the stores are available"),
    })?;
    assert_eq!(issuer.get().map(|id| &**id), Some(Pool::ours().id));
    let revocations = callers.revocations(&claims).await.unwrap();
    callers.check(&claims, &revocations)?;
    Ok(claims.subject().to_owned())
}

#[tokio::test]
async fn a_revocation_of_the_user_refuses_each_kind_of_token() {
    let text = Pool::ours().access_token().build();
    let credentials = [
        Credential::Token(Cow::Borrowed(&text)),
        Credential::Cookie(Cow::Borrowed(&text)),
        Credential::Session(Secret::new(text.clone())),
    ];
    let is_cookie = credentials.each_ref().map(Credential::is_cookie);
    assert_eq!(is_cookie, [false, true, true]);
    let callers = callers(8_192);
    let mut claims = None;
    for credential in &credentials {
        assert!(subject(&callers, credential).await.is_ok());
        claims = callers.verify(credential, &OnceLock::new()).await.ok();
    }
    let context = RevocationContext {
        reason: "logout",
        actor: "a",
        at: clock(),
        refresh_token_ttl_seconds: 3_600,
    };
    let claims = claims.unwrap();
    let user = claims.user_ref();
    let revoked = callers
        .revocations
        .revoke_user_sessions(&user, clock(), &context);
    revoked.await.unwrap();
    for credential in &credentials {
        let refused = subject(&callers, credential).await;
        assert_eq!(refused, Err(DenyReason::UserRevoked));
    }
}

/// A header has a limit; the store of browser sessions has another one.
#[tokio::test]
async fn the_limit_of_a_token_depends_on_its_place() {
    let text = Pool::ours().access_token().build();
    for (limit, expected) in [
        (text.len(), None),
        (text.len() - 1, Some(DenyReason::MalformedToken)),
    ] {
        let callers = callers(limit);
        let token = Credential::Token(Cow::Borrowed(&text));
        let refused = subject(&callers, &token).await.err();
        assert_eq!(refused, expected, "{limit}");
        let session = Credential::Session(Secret::new(text.clone()));
        assert!(subject(&callers, &session).await.is_ok(), "{limit}");
    }
}

#[tokio::test]
async fn an_api_key_names_its_owner() {
    let callers = callers(8_192);
    let key = NewKey::mint(&[7; RANDOM_BYTES]);
    let stored = StoredKey {
        owner: "owner".to_owned(),
        scope: "read".to_owned(),
        created_at: UnixSeconds(now() - 10),
        expires_at: UnixSeconds(now() + 1_000),
        usage_plan_key: None,
        salt: key.salt.clone(),
        hash: key.hash.clone(),
    };
    assert_eq!(
        PresentedKey::parse(&key.text).map(|key| key.id().to_owned()),
        Ok(key.id.clone())
    );
    let credential = Credential::ApiKey(Cow::Borrowed(&key.text));
    assert!(!credential.is_cookie());
    let unknown = subject(&callers, &credential).await;
    assert_eq!(unknown, Err(DenyReason::UnknownApiKey));
    let store = &callers.api_keys.as_ref().unwrap().store;
    store.put(&key.id, &stored).await.unwrap();
    assert_eq!(subject(&callers, &credential).await, Ok("owner".to_owned()));
    let none = MemoryCallers {
        api_keys: None,
        ..callers
    };
    let refused = subject(&none, &credential).await;
    assert_eq!(refused, Err(DenyReason::MissingToken));
}

#[test]
fn claims_name_their_issuer_and_hide_their_subject() {
    let at = clock();
    let own = ClaimsBuilder::user("ada", at).issuer_id("pool").build();
    assert_eq!((own.issuer_alias(), own.issuer_name()), (None, "pool"));
    // printf 'pool|ada' | sha256sum
    assert_eq!(own.subject_hash(), "78b85a4b7f7d1512");
    assert_eq!(subject_hash("pool", "ada"), own.subject_hash());
    let trusted = ClaimsBuilder::user("ada", at).issuer_alias("other").build();
    assert_eq!(
        (trusted.issuer_alias(), trusted.issuer_name()),
        (Some("other"), "other")
    );
}

/// A cache with a bound counts it.
#[test]
fn claims_say_how_much_memory_they_take() {
    let builder = || ClaimsBuilder::user("ada", clock());
    let (plain, large) = (
        builder().build(),
        builder().username(&"u".repeat(1_000)).build(),
    );
    assert!(plain.memory_bytes() > size_of_val(&plain));
    // The name is a claim, and a part of the payload.
    let more = large.memory_bytes() - plain.memory_bytes();
    assert!((1_000..5_000).contains(&more), "{more}");
    let groups: Vec<String> = (100..300).map(|number| number.to_string()).collect();
    let many = builder().groups(groups.iter().map(String::as_str)).build();
    let each = (many.memory_bytes() - plain.memory_bytes()) / groups.len();
    // A `String`, its three bytes and the allocator's own, in a `Vec` that may have room for as many more.
    let least = size_of::<String>() + 3;
    assert!((least + 8..2 * least + 40).contains(&each), "{each}");
}

#[test]
fn claims_say_who_acts_for_the_user() {
    let act = |claim: Option<serde_json::Value>| {
        let builder = ClaimsBuilder::user("ada", clock());
        let claims = match claim {
            Some(act) => builder.claim("act", act).build(),
            None => builder.build(),
        };
        claims.act().map(|act| act.get().to_owned())
    };
    assert_eq!(act(None), None);
    let agent = serde_json::json!({"sub": "agent"});
    assert_eq!(act(Some(agent)).as_deref(), Some(r#"{"sub":"agent"}"#));
    assert_eq!(act(Some(serde_json::Value::Null)).as_deref(), Some("null"));
}
