//! Sealed browser sessions: a row opens only as it was written, and the text of a secret reaches no error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use auth::{AuthError, Secret, Unavailable, UnixSeconds};
use auth_sessions::{
    BrowserSession, BrowserSessions, Lease, RowKey, SealedSession, SealedSessions, SealingKeys,
    SessionId,
};
use serde_json::{Value, json};

use crate::edit::edited;
use crate::input::Input;
use crate::wait;
use crate::world::AT;

/// Two keys in base64, of which the last one seals.
const KEYS: [&str; 2] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",
];
const TOKENS: [&str; 2] = ["an-access-token", "another-access-token"];

fn document() -> Value {
    let [old, new] = KEYS;
    json!({"keys": [{"id": "old", "key": old}, {"id": "new", "key": new}], "seal_with": "new"})
}

/// Rows that a test can change.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<HashMap<RowKey, SealedSession>>>);

impl Rows {
    fn all(&self) -> MutexGuard<'_, HashMap<RowKey, SealedSession>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BrowserSessions for Rows {
    async fn find(&self, key: &RowKey) -> Result<Option<SealedSession>, AuthError> {
        Ok(self.all().get(key).cloned())
    }

    async fn create(
        &self,
        key: &RowKey,
        row: &SealedSession,
        _: UnixSeconds,
    ) -> Result<(), Unavailable> {
        self.all().insert(key.clone(), row.clone());
        Ok(())
    }

    async fn replace(&self, _: &RowKey, _: &SealedSession) -> Result<bool, Unavailable> {
        Ok(false)
    }

    async fn lease(
        &self,
        _: &RowKey,
        _: u64,
        _: &Lease,
        _: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        Ok(false)
    }

    async fn delete(&self, key: &RowKey) -> Result<(), Unavailable> {
        self.all().remove(key);
        Ok(())
    }
}

struct Sealed {
    sessions: SealedSessions<Rows>,
    rows: Rows,
    /// Two sessions with their rows.
    written: Vec<(SessionId, SealedSession)>,
}

fn sealed() -> &'static Sealed {
    static SEALED: OnceLock<Sealed> = OnceLock::new();
    SEALED.get_or_init(|| {
        let rows = Rows::default();
        let keys = SealingKeys::from_json(&document().to_string()).expect("keys");
        let sessions = SealedSessions::new(rows.clone(), keys);
        let write = |token: &str| {
            let session = BrowserSession {
                access_token: Secret::new(token.to_owned()),
                refresh_token: Some(Secret::new("a-refresh-token".to_owned())),
                expires_at: AT.plus(100),
            };
            let id = wait(sessions.create(&session, AT)).expect("a session");
            let row = rows.all().get(&id.row_key()).cloned();
            (id, row.expect("a row"))
        };
        let written = TOKENS.into_iter().map(write).collect();
        Sealed {
            sessions,
            rows,
            written,
        }
    })
}

/// Runs the target.
///
/// # Panics
/// A row opens that Gatehouse did not write, an id has two spellings, or an error contains a key.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => id(&input.text()),
        1 => keys(&edited(&document(), input.rest())),
        _ => row(&mut input),
    }
}

fn id(text: &str) {
    let Ok(id) = SessionId::parse(text) else {
        return;
    };
    assert_eq!(id.expose(), text);
    assert_eq!(text.len(), 43);
    assert!(!format!("{id:?}{:?}", id.row_key()).contains(text));
    let found = wait(sealed().sessions.find(&id, AT));
    let written = &sealed().written;
    let is_known = written.iter().any(|(known, _)| known.expose() == text);
    assert_eq!(found.is_ok(), is_known);
}

fn keys(document: &str) {
    if let Err(error) = SealingKeys::from_json(document) {
        let text = format!("{error}{error:?}");
        assert!(!KEYS.iter().any(|key| text.contains(key)));
    }
}

/// A row that was changed, or moved to another id.
fn row(input: &mut Input<'_>) {
    let Sealed {
        sessions,
        rows,
        written,
    } = sealed();
    let (id, original) = &written[input.below(2)];
    let mut row = written[input.below(2)].1.clone();
    while input.has_more() {
        let kind = input.below(7);
        let at = input.below(64) * 4 + input.below(4);
        let argument = input.bytes();
        let byte = argument.first().copied().unwrap_or_default();
        let length = row.sealed.len().max(1);
        match kind {
            0 => row.sealed.truncate(at),
            1 if !row.sealed.is_empty() => row.sealed[at % length] ^= byte,
            2 => row.sealed.extend_from_slice(argument),
            3 => row.version = row.version.wrapping_add(byte.into()),
            4 => row.expires_at = row.expires_at.plus(byte.into()),
            5 => row.key_id = String::from_utf8_lossy(argument).into_owned(),
            _ => row.sealed = argument.to_vec(),
        }
    }
    let is_original = row == *original;
    rows.all().insert(id.row_key(), row);
    let found = wait(sessions.find(id, AT));
    rows.all().insert(id.row_key(), original.clone());
    assert_eq!(
        found.is_ok(),
        is_original,
        "a changed row opens, or an original one does not"
    );
    if let Ok(found) = found {
        assert!(TOKENS.contains(&found.session.access_token.expose()));
    }
}
