//! What every store of API keys does: one table of keys.

use std::sync::Arc;

use crate::api_key::{NewKey, PresentedKey, StoredKey};
use crate::claims::MAX_ID_BYTES;
use crate::error::AuthError;
use crate::ports::{ApiKeyStore, ApiKeyWriter};
use crate::reason::DenyReason;
use crate::time::UnixSeconds;

const ISSUER: &str = "conformance";

struct Row {
    name: &'static str,
    owner: String,
    scope: &'static str,
    usage_plan_key: Option<&'static str>,
    /// How many seconds the key is still valid.
    lifetime: u64,
    refused: Option<DenyReason>,
}

fn table() -> Vec<Row> {
    let plain = || Row {
        name: "a key",
        owner: "acme".to_owned(),
        scope: "orders/read orders/write",
        usage_plan_key: None,
        lifetime: 1_000,
        refused: None,
    };
    vec![
        plain(),
        Row {
            name: "a key of a usage plan",
            usage_plan_key: Some("plan-key-of-twenty-characters"),
            ..plain()
        },
        Row {
            name: "a key without a scope",
            scope: "",
            ..plain()
        },
        Row {
            name: "an owner with other letters",
            owner: "\u{c5}sa|#\u{1f511}".to_owned(),
            ..plain()
        },
        Row {
            name: "the longest owner",
            owner: "x".repeat(MAX_ID_BYTES),
            ..plain()
        },
        Row {
            name: "an expired key",
            lifetime: 0,
            refused: Some(DenyReason::Expired),
            ..plain()
        },
    ]
}

/// Where this store differs from the table, in words: nothing if it conforms. `mint` makes keys that the store does not
/// contain.
///
/// # Errors
/// A call that should have succeeded failed.
pub async fn deviations<S: ApiKeyStore + ApiKeyWriter>(
    store: &S,
    mint: impl Fn() -> NewKey,
    now: UnixSeconds,
) -> Result<Vec<String>, AuthError> {
    let mut deviations = Vec::new();
    let mut deviates = |row: &Row, what: &str| deviations.push(format!("{}: {what}", row.name));
    for row in table() {
        let new = mint();
        let key = StoredKey {
            owner: row.owner.clone(),
            scope: row.scope.to_owned(),
            created_at: UnixSeconds(now.0.saturating_sub(100)),
            expires_at: now.plus(row.lifetime),
            usage_plan_key: row.usage_plan_key.map(str::to_owned),
            salt: new.salt.clone(),
            hash: new.hash.clone(),
        };
        if store.find(&new.id).await?.is_some() {
            deviates(&row, "found before it was stored");
        }
        store.put(&new.id, &key).await?;
        check(store, &row, &new, &key, now, &mut deviates).await?;

        // Another key with this id.
        let other = StoredKey {
            owner: "another".to_owned(),
            ..key.clone()
        };
        if store.put(&new.id, &other).await.is_ok() {
            deviates(&row, "replaced by another key with its id");
        }
        check(store, &row, &new, &key, now, &mut deviates).await?;

        // Ids that are almost this one.
        let (shorter, longer) = (new.id.get(1..).unwrap_or_default(), format!("{}0", new.id));
        for id in [shorter, &longer] {
            if store.find(id).await?.is_some() {
                deviates(&row, "found by another id");
            }
        }
    }
    Ok(deviations)
}

/// Compares what is found with the key that was stored.
async fn check<S: ApiKeyStore>(
    store: &S,
    row: &Row,
    new: &NewKey,
    key: &StoredKey,
    now: UnixSeconds,
    deviates: &mut impl FnMut(&Row, &str),
) -> Result<(), AuthError> {
    let Some(found) = store.find(&new.id).await? else {
        deviates(row, "not found");
        return Ok(());
    };
    if (&found.salt, &found.hash) != (&key.salt, &key.hash) {
        deviates(row, "another hash");
    }
    let presented = PresentedKey::parse(&new.text)?;
    match found.verify(&presented, &Arc::from(ISSUER), now) {
        Ok(claims) => {
            let found = (claims.subject(), claims.scope(), claims.usage_plan_key());
            let times = (claims.issued_at(), claims.expires_at());
            if found != (&*key.owner, &*key.scope, key.usage_plan_key.as_deref())
                || times != (key.created_at, key.expires_at)
                || row.refused.is_some()
            {
                deviates(row, "other claims");
            }
        }
        Err(reason) if Some(reason) == row.refused => {}
        Err(reason) => deviates(row, reason.as_str()),
    }
    Ok(())
}
