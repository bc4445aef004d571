//! `POST /logout`: revokes the session of the request's own credential, in the store of this process.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use auth::{
    ApiKeyStore, AuthError, Credential, DenyReason, KeySource, RevocationContext, RevocationReader,
    RevocationWriter, UnverifiedToken, VerifiedClaims,
};
use auth_tower::{Caller, Presented, Refusal, Request};
use aws_lc_rs::rand;
use http::request::Parts;
use runtime::decision_log::Decided;
use runtime::{Audit, clock};

use crate::answer::{self, Answer};
use crate::outcome::Outcome;
use crate::service::ForwardAuth;
use crate::store::Memory;

/// The time limit of a logout, which may have to fetch keys.
const LIMIT: Duration = Duration::from_millis(2_500);

impl<K: KeySource, R: RevocationReader, A: ApiKeyStore> ForwardAuth<K, R, A> {
    /// Revokes the session of the request's own credential, which may have expired.
    pub(crate) async fn log_out(&self, memory: &Memory, parts: &Parts) -> Answer {
        let began = Instant::now();
        let issuer = OnceLock::new();
        let done = tokio::time::timeout(LIMIT, self.logged_out(memory, parts, &issuer)).await;
        let outcome = match done {
            Ok(Ok(outcome) | Err(outcome)) => outcome,
            Err(_) => Outcome::Refused(Refusal::OutOfTime),
        };
        self.metrics.count_logout(outcome.word(), outcome.reason());
        self.log.report(&Decided {
            level: outcome.level(),
            outcome: outcome.word(),
            reason: outcome.reason(),
            cause: outcome.cause(),
            caller: outcome.caller(),
            issuer: issuer.get().map(|id| &**id),
            request_id: None,
            took: began.elapsed(),
        });
        answer::decided(&outcome, &self.settings.challenges, Vec::new())
    }

    async fn logged_out(
        &self,
        memory: &Memory,
        parts: &Parts,
        issuer: &OnceLock<Arc<str>>,
    ) -> Result<Outcome, Outcome> {
        let headers = self.headers_of(parts)?;
        let request = Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &headers,
            client_address: None,
        };
        let presented = self.gate.places.presented(&request);
        let presented = presented.map_err(|reason| Outcome::Refused(reason.into()))?;
        if self.gate.may_be_forged(&presented, &request) {
            return Err(Outcome::ForeignOrigin);
        }
        let claims = self.verified(memory, &presented, issuer).await;
        let claims = claims.map_err(|error| Outcome::Refused(error.into()))?;
        let revocations = self.gate.callers.revocations(&claims).await;
        let revocations = revocations.map_err(|error| Outcome::Refused(error.into()))?;
        revocations.check(&claims).map_err(|reason| {
            Outcome::Refused(match reason.is_revocation() {
                true => Refusal::Revoked(reason, claims.subject_hash()),
                false => Refusal::Unauthorized(reason),
            })
        })?;
        let caller = Caller::from(claims);
        let mut audit = Audit::new("forward-auth", "");
        audit.act("log_out");
        audit.own_act(&caller);
        let outcome = revoke(memory, caller).await;
        self.cache.clear();
        // A server has no invocation whose id could be the act's.
        audit.write(outcome.reason(), &random_id());
        Ok(outcome)
    }

    /// The claims of the request's token. The configuration refuses API keys and browser sessions with this store.
    async fn verified(
        &self,
        memory: &Memory,
        presented: &Presented<'_>,
        known_issuer: &OnceLock<Arc<str>>,
    ) -> Result<VerifiedClaims, AuthError> {
        let bearer = match presented {
            Presented::Credential(Credential::Token(text) | Credential::Cookie(text)) => text,
            Presented::Credential(Credential::ApiKey(_)) => {
                return Err(DenyReason::UnknownApiKey.into());
            }
            Presented::Credential(Credential::Session(_)) | Presented::Session(_) => {
                return Err(DenyReason::UnknownSession.into());
            }
        };
        let callers = &self.gate.callers;
        let token = UnverifiedToken::parse_within(bearer, callers.max_token_bytes)?;
        let issuer = memory.verifier.issuer_of(&token)?;
        known_issuer.get_or_init(|| Arc::clone(&issuer.id));
        let now = (callers.clock)();
        let key = callers
            .keys
            .key_for(issuer, token.unverified_kid(), now)
            .await?;
        let now = (callers.clock)();
        Ok(memory.verifier.verify(token, issuer, &key, now)?)
    }
}

/// Revokes the caller's session, or the token of a caller without a session.
async fn revoke(memory: &Memory, caller: Caller) -> Outcome {
    let user = caller.user_ref();
    let context = RevocationContext {
        reason: "logout",
        actor: caller.subject(),
        at: clock::now(),
        refresh_token_ttl_seconds: memory.refresh_token_ttl_seconds,
    };
    let store = &memory.store;
    let written = match (caller.session(), caller.token_id()) {
        (Some(session), _) => store.revoke_session(&user.session(session), &context).await,
        (None, Some(token)) => store.revoke_token(&user.token(token), &context).await,
        (None, None) => return Outcome::Refused(DenyReason::NoSession.into()),
    };
    match written {
        Ok(()) => Outcome::LoggedOut(caller),
        Err(unavailable) => Outcome::Refused(unavailable.into()),
    }
}

fn random_id() -> String {
    let mut bytes = [0; 8];
    // Without random numbers the line has the id 0: an act is not lost for that.
    let _ = rand::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}
