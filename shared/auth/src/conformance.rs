//! What every store does, for each implementation of the ports: one table of acts for revocations, and one of keys for
//! API keys.
//!
//! Only with the feature `test-helpers`, which belongs into `[dev-dependencies]`.

pub mod api_keys;

use crate::claims::VerifiedClaims;
use crate::claims_builder::ClaimsBuilder;
use crate::error::Unavailable;
use crate::ports::{OwnCalls, RevocationReader, RevocationWriter};
use crate::reason::DenyReason;
use crate::refs::{ClientRef, GroupRef, IssuerRef, UserRef};
use crate::revocation::{KeptSession, OtherSessions, PasswordChange, RevocationContext};
use crate::time::UnixSeconds;

const CLIENT: &str = "example-client";
const GROUP: &str = "editors";
const SUBJECT: &str = "ada";
/// The sessions of the table began these many seconds before now.
const EARLIER: Session = Session {
    id: "earlier",
    age: 100,
};
const LATER: Session = Session {
    id: "later",
    age: 50,
};

/// A session of the one user of a row. Its token `<id>-token` was issued when it began.
#[derive(Clone, Copy)]
struct Session {
    id: &'static str,
    age: u64,
}

/// A write. The numbers are seconds before now.
#[derive(Clone, Copy)]
enum Write {
    Session(Session),
    Token(Session),
    User(u64),
    Others {
        kept: Session,
        age: u64,
        changed: Option<u64>,
    },
    PasswordChange(u64),
    Refresh(u64),
    Disable(u64),
    Delete(u64),
    Enable(u64),
    Client(u64),
    Issuer(u64),
    GroupTokens(u64),
    GroupSessions(u64),
    /// A write that is refused: the session to keep has been revoked.
    RefusedOthers {
        kept: Session,
        age: u64,
    },
    /// A session that was revoked when its refresh token's lifetime is long over.
    LongAgo(Session),
}

struct Row {
    name: &'static str,
    writes: &'static [Write],
    /// Why the token of [`EARLIER`] is refused, and the token of [`LATER`].
    refused: [Option<DenyReason>; 2],
}

const fn row(
    name: &'static str,
    writes: &'static [Write],
    earlier: Option<DenyReason>,
    later: Option<DenyReason>,
) -> Row {
    Row {
        name,
        writes,
        refused: [earlier, later],
    }
}

const OTHERS: Write = Write::Others {
    kept: EARLIER,
    age: 40,
    changed: None,
};

const TABLE: &[Row] = &[
    row("nothing", &[], None, None),
    row(
        "one session",
        &[Write::Session(LATER)],
        None,
        Some(DenyReason::SessionRevoked),
    ),
    row(
        "one session, twice",
        &[Write::Session(LATER), Write::Session(LATER)],
        None,
        Some(DenyReason::SessionRevoked),
    ),
    row(
        "a session whose revocation has expired",
        &[Write::LongAgo(LATER)],
        None,
        None,
    ),
    row(
        "an expired revocation of a session, renewed",
        &[Write::LongAgo(LATER), Write::Session(LATER)],
        None,
        Some(DenyReason::SessionRevoked),
    ),
    row(
        "one token",
        &[Write::Token(EARLIER)],
        Some(DenyReason::TokenRevoked),
        None,
    ),
    row(
        "sessions up to a time",
        &[Write::User(70)],
        Some(DenyReason::UserRevoked),
        None,
    ),
    row(
        "sessions up to the very second",
        &[Write::User(50)],
        Some(DenyReason::UserRevoked),
        Some(DenyReason::UserRevoked),
    ),
    row(
        "an earlier time that arrives late",
        &[Write::User(50), Write::User(200)],
        Some(DenyReason::UserRevoked),
        Some(DenyReason::UserRevoked),
    ),
    row(
        "all sessions but one",
        &[OTHERS],
        None,
        Some(DenyReason::UserRevoked),
    ),
    row(
        "all sessions but one, and then that one",
        &[OTHERS, Write::User(40)],
        Some(DenyReason::UserRevoked),
        Some(DenyReason::UserRevoked),
    ),
    row(
        "to keep a session that was revoked",
        &[
            Write::User(70),
            Write::RefusedOthers {
                kept: EARLIER,
                age: 40,
            },
        ],
        Some(DenyReason::UserRevoked),
        None,
    ),
    row(
        "a password change elsewhere revokes the kept session",
        &[OTHERS, Write::PasswordChange(41)],
        Some(DenyReason::UserRevoked),
        Some(DenyReason::UserRevoked),
    ),
    row(
        "the record of the own password change keeps it",
        &[
            Write::Others {
                kept: EARLIER,
                age: 40,
                changed: Some(40),
            },
            Write::PasswordChange(41),
        ],
        None,
        Some(DenyReason::UserRevoked),
    ),
    row(
        "a refresh is required",
        &[Write::Refresh(70)],
        Some(DenyReason::Outdated),
        None,
    ),
    row(
        "an earlier refresh that arrives late",
        &[Write::Refresh(70), Write::Refresh(200)],
        Some(DenyReason::Outdated),
        None,
    ),
    row(
        "disabled",
        &[Write::Disable(200)],
        Some(DenyReason::UserDisabled),
        Some(DenyReason::UserDisabled),
    ),
    row(
        "disabled and enabled",
        &[Write::Disable(70), Write::Enable(60)],
        Some(DenyReason::UserRevoked),
        None,
    ),
    row(
        "enabled and disabled, in the other order",
        &[Write::Enable(60), Write::Disable(70)],
        Some(DenyReason::UserRevoked),
        None,
    ),
    row(
        "disabled and enabled in one second",
        &[Write::Enable(60), Write::Disable(60)],
        Some(DenyReason::UserDisabled),
        Some(DenyReason::UserDisabled),
    ),
    row(
        "deleted",
        &[Write::Delete(70)],
        Some(DenyReason::UserDisabled),
        Some(DenyReason::UserDisabled),
    ),
    row(
        "an app client",
        &[Write::Client(70)],
        Some(DenyReason::ClientRevoked),
        None,
    ),
    row(
        "an app client, an earlier time late",
        &[Write::Client(70), Write::Client(200)],
        Some(DenyReason::ClientRevoked),
        None,
    ),
    row(
        "the issuer",
        &[Write::Issuer(70)],
        Some(DenyReason::IssuerRevoked),
        None,
    ),
    row(
        "the tokens of a group",
        &[Write::GroupTokens(70)],
        Some(DenyReason::Outdated),
        None,
    ),
    row(
        "the sessions of a group",
        &[Write::GroupSessions(70)],
        Some(DenyReason::ProviderRemoved),
        None,
    ),
    row(
        "a group, an earlier time late",
        &[Write::GroupSessions(70), Write::GroupSessions(200)],
        Some(DenyReason::ProviderRemoved),
        None,
    ),
];

/// Applies every row of the table to `store`, each to an issuer of its own whose id begins with
/// `prefix`, and returns the differences.
///
/// # Errors
/// [`Unavailable`] of the store.
pub async fn deviations<S: RevocationReader + RevocationWriter + OwnCalls>(
    store: &S,
    prefix: &str,
    now: UnixSeconds,
) -> Result<Vec<String>, Unavailable> {
    let mut deviations = Vec::new();
    for (index, row) in TABLE.iter().enumerate() {
        let issuer = format!("{prefix}-{index}");
        for write in row.writes {
            // Every write can be repeated.
            for _ in 0..2 {
                if !apply(store, &issuer, *write, now).await? {
                    deviations.push(format!("{}: a write has another result", row.name));
                }
            }
        }
        for (session, expected) in [EARLIER, LATER].into_iter().zip(row.refused) {
            let claims = claims(&issuer, session, now);
            let found = store.revocations(&claims, now).await?;
            let refused = found.check(&claims).err();
            if refused != expected {
                let id = session.id;
                deviations.push(format!("{}: {id}: {refused:?}", row.name));
            }
        }
        // Another user, client, session and group of the issuer.
        let other = ClaimsBuilder::user("grace", before(now, LATER.age))
            .issuer_id(&issuer)
            .client_id("other-client")
            .session(Some(LATER.id))
            .token_id(Some("other-token"))
            .build();
        let refused = store.revocations(&other, now).await?.check(&other).err();
        if refused.is_some() {
            deviations.push(format!("{}: another user: {refused:?}", row.name));
        }
    }
    deviations.extend(deviations_of_calls(store, prefix, now).await?);
    Ok(deviations)
}

/// The same for the calls of Gatehouse itself.
async fn deviations_of_calls<S: RevocationWriter + OwnCalls>(
    store: &S,
    prefix: &str,
    now: UnixSeconds,
) -> Result<Vec<String>, Unavailable> {
    let other = format!("{prefix}-other");
    for _ in 0..2 {
        store.note_call(prefix, "noted", now).await?;
    }
    let mut deviations = Vec::new();
    for (issuer, id, expected) in [
        (prefix, "noted", true),
        (prefix, "another", false),
        (&other, "noted", false),
    ] {
        if store.is_own_call(issuer, id).await? != expected {
            deviations.push(format!("the call {id} of {issuer}: {}", !expected));
        }
    }
    Ok(deviations)
}

fn before(now: UnixSeconds, seconds: u64) -> UnixSeconds {
    UnixSeconds(now.0.saturating_sub(seconds))
}

fn claims(issuer: &str, session: Session, now: UnixSeconds) -> VerifiedClaims {
    let began = before(now, session.age);
    ClaimsBuilder::user(SUBJECT, began)
        .issuer_id(issuer)
        .client_id(CLIENT)
        .groups([GROUP])
        .session(Some(session.id))
        .token_id(Some(&token_id(session)))
        .build()
}

fn token_id(session: Session) -> String {
    format!("{}-token", session.id)
}

/// Whether the write had the expected result.
async fn apply<S: RevocationWriter>(
    store: &S,
    issuer: &str,
    write: Write,
    now: UnixSeconds,
) -> Result<bool, Unavailable> {
    let context = RevocationContext {
        reason: "conformance",
        actor: "test",
        at: now,
        refresh_token_ttl_seconds: 3_600,
    };
    let context = &context;
    let user = UserRef {
        issuer,
        subject: SUBJECT,
    };
    let client = ClientRef {
        issuer,
        client_id: CLIENT,
    };
    let group = GroupRef {
        issuer,
        group: GROUP,
    };
    let at = |age| before(now, age);
    let others = |kept: Session, age, changed: Option<u64>| OtherSessions {
        not_before: at(age),
        kept: KeptSession {
            session: kept.id,
            authenticated_at: at(kept.age),
        },
        password_changed_at: changed.map(at),
    };
    match write {
        Write::Session(session) => {
            store
                .revoke_session(&user.session(session.id), context)
                .await?
        }
        Write::Token(session) => {
            let id = token_id(session);
            store.revoke_token(&user.token(&id), context).await?;
        }
        Write::LongAgo(session) => {
            let long_ago = RevocationContext {
                at: before(now, 30 * 24 * 60 * 60),
                ..context.clone()
            };
            store
                .revoke_session(&user.session(session.id), &long_ago)
                .await?;
        }
        Write::User(age) => store.revoke_user_sessions(&user, at(age), context).await?,
        Write::Others { kept, age, changed } => {
            let others = others(kept, age, changed);
            return store.revoke_other_sessions(&user, &others, context).await;
        }
        Write::RefusedOthers { kept, age } => {
            let others = others(kept, age, None);
            let written = store.revoke_other_sessions(&user, &others, context).await?;
            return Ok(!written);
        }
        Write::PasswordChange(age) => {
            let change = PasswordChange {
                changed_at: at(age),
                tolerance_seconds: 10,
            };
            store
                .revoke_sessions_before_password_change(&user, &change, context)
                .await?;
        }
        Write::Refresh(age) => store.require_refresh(&user, at(age), context).await?,
        Write::Disable(age) => store.disable_user(&user, at(age), context).await?,
        Write::Delete(age) => store.delete_user(&user, at(age), context).await?,
        Write::Enable(age) => store.enable_user(&user, at(age), context).await?,
        Write::Client(age) => store.revoke_client(&client, at(age), context).await?,
        Write::Issuer(age) => {
            // The revocation covers every user of the issuer who began before it.
            store
                .revoke_issuer(&IssuerRef { issuer }, at(age), context)
                .await?;
        }
        Write::GroupTokens(age) => {
            store
                .require_refresh_of_group(&group, at(age), context)
                .await?
        }
        Write::GroupSessions(age) => {
            store
                .revoke_group_sessions(&group, at(age), context)
                .await?
        }
    }
    Ok(true)
}
