//! What the checker knows of users and their sessions: revocations that were attempted and acknowledged.

use std::collections::VecDeque;
use std::time::Instant;

use testkit::TokenBuilder;

pub(super) struct Session {
    pub(super) token: TokenBuilder<'static>,
    pub(super) authenticated_at: u64,
    pub(super) since: Instant,
    /// When a revocation of it was acknowledged.
    pub(super) ended: Option<(Instant, &'static str)>,
    /// When its revocation at Cognito was acknowledged.
    pub(super) ended_at_cognito: Option<Instant>,
    /// The id of a browser's session with these tokens, and the access token in it.
    pub(super) cookie: Option<(String, TokenBuilder<'static>)>,
    /// Whether a revocation was attempted: then either verdict is correct.
    pub(super) tried: bool,
}

impl Session {
    pub(super) fn id(&self) -> &str {
        self.token.get("origin_jti").as_str().unwrap()
    }
}

#[derive(Default)]
pub(super) struct User {
    pub(super) sessions: VecDeque<Session>,
    /// Sessions removed from there; thieves have their tokens.
    pub(super) stolen: VecDeque<Session>,
    /// Tokens issued up to this second may be rejected, until a refresh.
    pub(super) outdated_until: u64,
    /// Tokens issued up to this second are rejected, acknowledged at that instant.
    pub(super) outdated: Option<(u64, Instant)>,
    /// Sessions authenticated up to this second may be revoked by attempted calls.
    pub(super) tried_until: u64,
    /// Revocations of all of the user's sessions that are in progress.
    pub(super) trying: u32,
    /// The second of the last disabling, while the user is disabled.
    pub(super) disabled: Option<u64>,
}

impl User {
    pub(super) fn all(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().chain(&self.stolen)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.iter_mut().chain(&mut self.stolen)
    }
}
