//! Sealed sessions over the store in memory: what opens, what does not, and who wins a race.
//! `tests/it/store.rs` runs the same conformance table on DynamoDB.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use auth::{AuthError, Cause, DenyReason, Dependency, Secret, Unavailable, UnixSeconds};
use auth_sessions::{
    BrowserSession, BrowserSessions, Found, Lease, MemoryBrowserSessions, RowKey, SealedSession,
    SealedSessions, SealingKeys, SessionId, conformance,
};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
/// 2033-05-18, the expiry of the known rows.
const END: UnixSeconds = UnixSeconds(2_000_000_000);
const ID: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// The 32 bytes 0x00 to 0x1f.
const KEY: &str = r#"{"id":"2026-11","key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;
/// The 32 bytes 0x07.
const OTHER_KEY: &str = r#"{"id":"2026-12","key":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}"#;

fn keys(entries: &[&str]) -> SealingKeys {
    SealingKeys::from_json(&format!(r#"{{"keys":[{}]}}"#, entries.join(","))).unwrap()
}

fn sessions(
    store: &MemoryBrowserSessions,
    entries: &[&str],
) -> SealedSessions<MemoryBrowserSessions> {
    SealedSessions::new(store.clone(), keys(entries))
}

fn session(access: &str, refresh: Option<&str>) -> BrowserSession {
    BrowserSession {
        access_token: Secret::new(access.to_owned()),
        refresh_token: refresh.map(|text| Secret::new(text.to_owned())),
        expires_at: END,
    }
}

fn tokens(found: &Found) -> (&str, Option<&str>) {
    let session = &found.session;
    (
        session.access_token.expose(),
        session.refresh_token.as_ref().map(Secret::expose),
    )
}

fn refused(result: Result<Found, AuthError>) -> Option<DenyReason> {
    match result {
        Err(AuthError::Unauthorized(reason)) => Some(reason),
        Ok(_) | Err(AuthError::Unavailable(_)) => None,
    }
}

/// A row that another implementation sealed, for [`ID`]: `AESGCM` and `HKDF` of Python's `cryptography`.
fn known(key_id: &str, sealed: &str) -> SealedSession {
    SealedSession {
        version: 1,
        expires_at: END,
        key_id: key_id.to_owned(),
        sealed: hex::decode(sealed).unwrap(),
    }
}

const KNOWN: &str = "a0a1a2a3a4a5a6a7a8a9aaab9d3a1d4e26ae71cc3d11e8b86214e2e452cd7772bcd46040be7c43e00dce06698\
                     d022894ca4c71077dee26b5ee506ebb91edbb3280966dd618b7bb70";
const KNOWN_GENERATED: &str = "a0a1a2a3a4a5a6a7a8a9aaabc918737b3b374041f7774e160a86fde3ed92b9b7f402bcc0d588b550688ed4\
                               ea9ce461e6060632274897b3635773e36e45d48f6a15e278ed476d869c";

#[tokio::test]
async fn rows_of_another_implementation_open() {
    let store = MemoryBrowserSessions::default();
    let id = SessionId::parse(ID).unwrap();
    let key = id.row_key();
    store
        .create(&key, &known("2026-11", KNOWN), NOW)
        .await
        .unwrap();
    let found = sessions(&store, &[KEY]).find(&id, NOW).await.unwrap();
    assert_eq!((tokens(&found), found.version), (("a.b.c", Some("r")), 1));

    store.delete(&key).await.unwrap();
    let generated = format!(r#"{{"keys":[],"generated":"{}"}}"#, "a1B2".repeat(16));
    let generated = SealingKeys::from_json(&generated).unwrap();
    let row = known("generated", KNOWN_GENERATED);
    store.create(&key, &row, NOW).await.unwrap();
    let sessions = SealedSessions::new(store, generated);
    let found = sessions.find(&id, NOW).await.unwrap();
    assert_eq!(tokens(&found), ("a.b.c", Some("r")));
}

#[tokio::test]
async fn a_changed_or_moved_row_does_not_open() {
    let id = SessionId::parse(ID).unwrap();
    let good = known("2026-11", KNOWN);
    let mut changed: Vec<(String, SealedSession)> = Vec::new();
    for position in 0..good.sealed.len() {
        let mut row = good.clone();
        if let Some(byte) = row.sealed.get_mut(position) {
            *byte ^= 1;
        }
        changed.push((format!("byte {position}"), row));
    }
    for length in [0, 1, 11, 12, 27, 28, good.sealed.len() - 1] {
        let mut row = good.clone();
        row.sealed.truncate(length);
        changed.push((format!("{length} bytes"), row));
    }
    let mut longer = good.clone();
    longer.sealed.push(0);
    changed.push(("one byte more".to_owned(), longer));
    for (name, row) in [
        (
            "a later end",
            SealedSession {
                expires_at: END.plus(1),
                ..good.clone()
            },
        ),
        (
            "an earlier end",
            SealedSession {
                expires_at: NOW.plus(1),
                ..good.clone()
            },
        ),
        (
            "another version",
            SealedSession {
                version: 2,
                ..good.clone()
            },
        ),
        (
            "another key",
            SealedSession {
                key_id: "2026-12".to_owned(),
                ..good.clone()
            },
        ),
    ] {
        changed.push((name.to_owned(), row));
    }
    for (name, row) in changed {
        let store = MemoryBrowserSessions::default();
        store.create(&id.row_key(), &row, NOW).await.unwrap();
        let found = sessions(&store, &[KEY, OTHER_KEY]).find(&id, NOW).await;
        assert_eq!(
            refused(found),
            Some(DenyReason::UnreadableRevocation),
            "{name}"
        );
    }

    // Two good rows, each under the other's key.
    let store = MemoryBrowserSessions::default();
    let of_one = sessions(&store, &[KEY]);
    let one = of_one.create(&session("one", None), NOW).await.unwrap();
    let other = of_one.create(&session("other", None), NOW).await.unwrap();
    let (first, second) = (one.row_key(), other.row_key());
    let rows = (
        store.find(&first).await.unwrap().unwrap(),
        store.find(&second).await.unwrap().unwrap(),
    );
    for key in [&first, &second] {
        store.delete(key).await.unwrap();
    }
    store.create(&first, &rows.1, NOW).await.unwrap();
    store.create(&second, &rows.0, NOW).await.unwrap();
    for id in [&one, &other] {
        let found = of_one.find(id, NOW).await;
        assert_eq!(refused(found), Some(DenyReason::UnreadableRevocation));
    }
}

#[tokio::test]
async fn keys_rotate_and_a_withdrawn_one_ends_its_sessions() {
    let store = MemoryBrowserSessions::default();
    let before = sessions(&store, &[KEY]);
    let id = before
        .create(&session("old", Some("r1")), NOW)
        .await
        .unwrap();

    // The new key opens, and does not seal before every process has it.
    let text = format!(r#"{{"keys":[{OTHER_KEY},{KEY}],"seal_with":"2026-11"}}"#);
    let first = SealedSessions::new(store.clone(), SealingKeys::from_json(&text).unwrap());
    let of_first = first.create(&session("first", None), NOW).await.unwrap();
    assert!(before.find(&of_first, NOW).await.is_ok());
    assert!(first.find(&id, NOW).await.is_ok());

    // The new key seals, the old one still opens.
    let during = sessions(&store, &[OTHER_KEY, KEY]);
    let found = during.find(&id, NOW).await.unwrap();
    assert_eq!(tokens(&found), ("old", Some("r1")));
    let access = Secret::new("new".to_owned());
    assert!(during.replace(&found, access, None).await.unwrap());
    let idle = before.create(&session("idle", None), NOW).await.unwrap();

    let after = sessions(&store, &[OTHER_KEY]);
    let found = after.find(&id, NOW).await.unwrap();
    assert_eq!((tokens(&found), found.version), (("new", None), 2));
    let unreadable = Some(DenyReason::UnreadableRevocation);
    assert_eq!(refused(after.find(&idle, NOW).await), unreadable);
    // A process that has not read the new key yet.
    assert_eq!(refused(before.find(&id, NOW).await), unreadable);

    // Another key under the same id.
    let wrong = OTHER_KEY.replace("BwcH", "CAgI");
    let wrong = sessions(&store, &[&wrong]);
    assert_eq!(refused(wrong.find(&id, NOW).await), unreadable);
}

#[tokio::test]
async fn a_session_ends_at_its_expiry_or_when_it_is_deleted() {
    let store = MemoryBrowserSessions::default();
    let sessions = sessions(&store, &[KEY]);
    let id = sessions.create(&session("a", None), NOW).await.unwrap();
    let just_before = UnixSeconds(END.0 - 1);
    assert!(sessions.find(&id, just_before).await.is_ok());
    assert_eq!(
        refused(sessions.find(&id, END).await),
        Some(DenyReason::UnknownSession)
    );
    sessions.delete(&id).await.unwrap();
    assert_eq!(
        refused(sessions.find(&id, NOW).await),
        Some(DenyReason::UnknownSession)
    );
    let unknown = SessionId::parse(ID).unwrap();
    assert_eq!(
        refused(sessions.find(&unknown, NOW).await),
        Some(DenyReason::UnknownSession)
    );
}

#[tokio::test]
async fn rows_contain_neither_the_id_nor_a_token() {
    let store = MemoryBrowserSessions::default();
    let sessions = sessions(&store, &[KEY]);
    let secret = session("access-token-of-ada", Some("refresh-token-of-ada"));
    let id = sessions.create(&secret, NOW).await.unwrap();
    let row = store.find(&id.row_key()).await.unwrap().unwrap();
    let seen = format!(
        "{} {}",
        id.row_key().as_str(),
        String::from_utf8_lossy(&row.sealed)
    );
    for part in [id.expose(), "ada", "token"] {
        assert!(!seen.contains(part), "{part}");
    }
    // The same tokens are sealed differently each time.
    let again = sessions.create(&secret, NOW).await.unwrap();
    let again = store.find(&again.row_key()).await.unwrap().unwrap();
    assert!(again.sealed != row.sealed);
}

#[tokio::test]
async fn one_of_two_refreshes_gets_the_lease_and_the_other_sees_its_tokens() {
    let store = MemoryBrowserSessions::default();
    let sessions = sessions(&store, &[KEY]);
    let id = sessions
        .create(&session("a1", Some("r1")), NOW)
        .await
        .unwrap();
    let (one, other) = (
        sessions.find(&id, NOW).await.unwrap(),
        sessions.find(&id, NOW).await.unwrap(),
    );
    let held = sessions.lease(&one, NOW).await.unwrap().unwrap();
    assert!(sessions.lease(&other, NOW).await.unwrap().is_none());

    // A lease that is returned, or has ended, is free.
    sessions.release(&one, held, NOW).await.unwrap();
    assert!(sessions.lease(&other, NOW).await.unwrap().is_some());
    let later = NOW.plus(auth_sessions::LEASE_SECONDS);
    assert!(sessions.lease(&one, later).await.unwrap().is_some());

    let new = || Secret::new("a2".to_owned());
    let refresh = || Some(Secret::new("r2".to_owned()));
    assert!(sessions.replace(&one, new(), refresh()).await.unwrap());
    assert!(
        !sessions
            .replace(&other, Secret::new("late".to_owned()), None)
            .await
            .unwrap()
    );
    let found = sessions.find(&id, NOW).await.unwrap();
    assert_eq!((tokens(&found), found.version), (("a2", Some("r2")), 2));
    // Its lease ended with the version.
    assert!(sessions.lease(&other, NOW).await.unwrap().is_none());
    assert!(sessions.lease(&found, NOW).await.unwrap().is_some());

    // A session that was deleted in the meantime is not created again.
    sessions.delete(&id).await.unwrap();
    assert!(!sessions.replace(&found, new(), refresh()).await.unwrap());
    assert_eq!(
        refused(sessions.find(&id, NOW).await),
        Some(DenyReason::UnknownSession)
    );
}

#[tokio::test]
async fn memory_is_bounded_and_expired_sessions_make_room() {
    let store = MemoryBrowserSessions::new(3);
    let sessions = sessions(&store, &[KEY]);
    let soon = |end: UnixSeconds| BrowserSession {
        expires_at: end,
        ..session("a", None)
    };
    for _ in 0..3 {
        sessions.create(&soon(NOW.plus(10)), NOW).await.unwrap();
    }
    let full = sessions.create(&soon(END), NOW).await.err();
    assert_eq!(
        full,
        Some(Dependency::BrowserSessions.unavailable(Cause::Throttled))
    );
    let later = NOW.plus(10);
    let id = sessions.create(&soon(END), later).await.unwrap();
    assert!(sessions.find(&id, later).await.is_ok());
}

#[tokio::test]
async fn the_store_in_memory_does_what_every_store_does() {
    let deviations = conformance::deviations(&MemoryBrowserSessions::default(), NOW).await;
    assert_eq!(deviations.unwrap(), Vec::<String>::new());
}

/// The control: a store that ignores versions and holders.
struct Careless(MemoryBrowserSessions);

impl BrowserSessions for Careless {
    async fn find(&self, key: &RowKey) -> Result<Option<SealedSession>, AuthError> {
        self.0.find(key).await
    }

    async fn create(
        &self,
        key: &RowKey,
        row: &SealedSession,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        self.0.delete(key).await?;
        self.0.create(key, row, now).await
    }

    async fn replace(&self, key: &RowKey, row: &SealedSession) -> Result<bool, Unavailable> {
        self.create(key, row, NOW).await.map(|()| true)
    }

    async fn lease(
        &self,
        _: &RowKey,
        _: u64,
        _: &Lease,
        _: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        Ok(true)
    }

    async fn delete(&self, _: &RowKey) -> Result<(), Unavailable> {
        Ok(())
    }
}

#[tokio::test]
async fn the_table_detects_a_careless_store() {
    let store = Careless(MemoryBrowserSessions::default());
    let deviations = conformance::deviations(&store, NOW).await.unwrap();
    for expected in [
        "created over another row",
        "a held lease was taken",
        "replaced twice from one version",
        "two replacements of one version, or none",
        "found after it was deleted",
    ] {
        assert!(
            deviations.iter().any(|found| found == expected),
            "{expected}: {deviations:?}"
        );
    }
}
