//! `gatehouse revoke`: writes the same revocations as the functions, on an operator's behalf.

use auth::{
    ClientRef, IssuerRef, RevocationContext, RevocationWriter, SessionRef, TokenRef, UserRef,
};
use auth_cognito::{User, UserPoolError};
use auth_dynamodb::DisplayedKey;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::audit_trail::{self, Acted, OperatorAct, Steps};
use crate::operator::{Operator, Printed, failed, in_words};

const TTL: &str = "REFRESH_TOKEN_TTL_SECONDS";
const TTLS: std::ops::RangeInclusive<u64> = 3_600..=315_360_000;

/// The longest time for which a revocation is kept: the longest lifetime of a refresh token.
pub(crate) fn longest_ttl() -> u64 {
    *TTLS.end()
}

/// What to revoke. The table and the pool are those of `REVOCATION_TABLE` and `USER_POOL_ID`.
#[derive(Args)]
pub(crate) struct Revoke {
    #[command(subcommand)]
    what: What,
    /// The reason, for the record.
    #[arg(long, global = true, default_value = "operator")]
    reason: String,
    /// The issuer of the tokens, if not the user pool: another pool's id, or the alias of a trusted
    /// issuer (1 to 55 letters, digits, `-` and `_`). Users are identified by `sub` there, and nothing is revoked at the issuer itself.
    #[arg(long, global = true, value_parser = issuer_id)]
    issuer: Option<String>,
    /// The name of the operator, for the record.
    #[arg(long, global = true, default_value = "cli")]
    actor: String,
    /// The lifetime in seconds of refresh tokens: the revocation is kept for so long, and a day.
    /// The default is `REFRESH_TOKEN_TTL_SECONDS`, else ten years, the maximum of Cognito.
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(TTLS))]
    refresh_token_ttl: Option<u64>,
    /// Show what would be revoked, without revoking it.
    #[arg(long, global = true)]
    dry_run: bool,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// All sessions of a user, here and at Cognito.
    User {
        /// The user's name at Cognito, an alias of it, or `sub`.
        user: String,
    },
    /// One session.
    Session {
        /// The user's `sub`.
        sub: String,
        /// The session's `origin_jti`.
        session: String,
    },
    /// One token.
    Token {
        /// The user's `sub`; for a machine client its client id.
        sub: String,
        /// The token's `jti`.
        token: String,
    },
    /// Everything that was issued to an app client until now.
    Client {
        /// The client's id.
        client_id: String,
    },
    /// Everything that the user pool, or the issuer, has issued until now: all users must sign in
    /// again.
    Everyone,
}

/// A pool's id or an alias, in the form that `TRUSTED_ISSUERS` accepts: the authorizer reads no
/// revocation under another text, such as the issuer's URL.
fn issuer_id(text: &str) -> Result<String, &'static str> {
    let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.is_empty() || text.len() > 55 || !text.bytes().all(is_id) {
        return Err("not a user pool's id or the alias of a trusted issuer");
    }
    Ok(text.to_owned())
}

impl Revoke {
    /// Runs the command.
    ///
    /// # Errors
    /// A text about a failure before any call.
    pub(crate) async fn run(self) -> Result<Acted, String> {
        let operator = Operator::from_environment().await?;
        let mut steps = Steps::default();
        let found = match self.find(&operator).await {
            // The table needs no more than the `sub`: a revocation does not wait for Cognito.
            Err(error) if error != UserPoolError::NotFound && self.names_a_sub() => {
                let taken = "the name was taken for the `sub`, which Cognito could not confirm";
                steps.failed.push(format!("{}; {taken}", in_words(error)));
                Ok(None)
            }
            found => found.map_err(in_words),
        };
        let target = self.audit_target(&operator, found.as_ref().ok().and_then(Option::as_ref));
        let result = match found {
            Ok(found) => self.execute(&operator, found.as_ref(), &mut steps).await,
            Err(problem) => Err(problem),
        };
        let act = match &self.what {
            What::User { .. } => "revoke_user",
            What::Session { .. } => "revoke_session",
            What::Token { .. } => "revoke_token",
            What::Client { .. } => "revoke_client",
            What::Everyone => "revoke_everyone",
        };
        let outcome = match &result {
            Ok(_) if self.dry_run => "dry_run",
            Ok(_) => steps.outcome(),
            Err(_) => "failed",
        };
        let actor = self.actor;
        Ok(Acted {
            result: result.map(|row| Printed::new(vec![row], self.json)),
            failed_steps: steps.failed,
            act: OperatorAct {
                act,
                actor,
                target: Some(target),
                outcome,
            },
        })
    }

    /// A revocation that expires too early brings back what it revoked; one that is kept too long
    /// costs a row.
    fn refresh_token_ttl(&self) -> Result<u64, String> {
        let variable = env_config::process(TTL).filter(|value| !value.trim().is_empty());
        match (self.refresh_token_ttl, variable) {
            (Some(seconds), _) => Ok(seconds),
            (None, None) => Ok(longest_ttl()),
            (None, Some(value)) => {
                let seconds = value.trim().parse().ok();
                let seconds = seconds.filter(|seconds| TTLS.contains(seconds));
                seconds.ok_or_else(|| {
                    format!("{TTL} is not a number of seconds from 3600 to 315360000")
                })
            }
        }
    }

    /// The user at Cognito, if the pool is to be asked for one.
    async fn find(&self, operator: &Operator) -> Result<Option<User>, UserPoolError> {
        match &self.what {
            What::User { user } if self.issuer(operator) == operator.user_pool_id => {
                operator.users.get(user).await.map(Some)
            }
            What::User { .. }
            | What::Session { .. }
            | What::Token { .. }
            | What::Client { .. }
            | What::Everyone => Ok(None),
        }
    }

    /// Whether the user is named as Cognito names a `sub`: a UUID in lower case.
    fn names_a_sub(&self) -> bool {
        let What::User { user } = &self.what else {
            return false;
        };
        auth_cognito::is_uuid(user) && !user.contains(|c: char| c.is_ascii_uppercase())
    }

    /// The hash of the user, also for a session and a token, so that all that was done to a user is found by one hash.
    fn audit_target(&self, operator: &Operator, found: Option<&User>) -> String {
        let issuer = self.issuer(operator);
        let id = match &self.what {
            What::User { user } => found.map_or(user.as_str(), |found| &found.subject),
            What::Session { sub, .. } | What::Token { sub, .. } => sub,
            What::Client { client_id } => client_id,
            What::Everyone => issuer,
        };
        audit_trail::target(issuer, id)
    }

    /// The issuer id of the revocations.
    fn issuer<'a>(&'a self, operator: &'a Operator) -> &'a str {
        self.issuer.as_deref().unwrap_or(&operator.user_pool_id)
    }

    async fn execute(
        &self,
        operator: &Operator,
        found: Option<&User>,
        steps: &mut Steps,
    ) -> Result<Value, String> {
        let issuer = self.issuer(operator);
        let context = RevocationContext {
            reason: &self.reason,
            actor: &self.actor,
            at: operator.now,
            refresh_token_ttl_seconds: self.refresh_token_ttl()?,
        };
        let user = |subject| UserRef { issuer, subject };
        let target = match &self.what {
            What::User { user: name } => {
                let subject = found.map_or(name, |found| &found.subject);
                Target::User(user(subject))
            }
            What::Session { sub, session } => Target::Session(user(sub).session(session)),
            What::Token { sub, token } => Target::Token(user(sub).token(token)),
            What::Client { client_id } => Target::Client(ClientRef { issuer, client_id }),
            What::Everyone => Target::Everyone(IssuerRef { issuer }),
        };
        let (mut in_table, mut at_cognito) = ("not_asked", "not_asked");
        if !self.dry_run {
            let store = &operator.revocations;
            let not_before = operator.not_before();
            let written = match &target {
                Target::User(user) => store.revoke_user_sessions(user, not_before, &context).await,
                Target::Session(session) => store.revoke_session(session, &context).await,
                Target::Token(token) => store.revoke_token(token, &context).await,
                Target::Client(client) => store.revoke_client(client, not_before, &context).await,
                Target::Everyone(issuer) => store.revoke_issuer(issuer, not_before, &context).await,
            };
            let mut until = not_before;
            if let Some(user) = found {
                in_table = steps.word(written, "written");
                // Also if the write failed: the sessions cannot refresh then, and CloudTrail's record of the call
                // leads to the revocation.
                let signed_out = operator.cognito.sign_out_everywhere(&user.username).await;
                at_cognito = steps.word(signed_out, "ended");
                // The revocation for CloudTrail's record of the call covers that whole second.
                until = until.max(operator.time().plus(1));
            } else {
                // The only step.
                written.map_err(failed)?;
                in_table = "written";
                if !steps.failed.is_empty() {
                    at_cognito = "failed";
                }
            }
            if !matches!(target, Target::Session(_) | Target::Token(_)) {
                operator.until_after(until).await;
            }
        }
        let DisplayedKey { pk, sk } = target.key();
        Ok(json!({
            "ended": target.kind(),
            "pk": pk,
            "sk": sk,
            "table": in_table,
            "cognito": at_cognito,
            "dry_run": self.dry_run,
        }))
    }
}

/// What a command revokes, with the user's `sub` looked up.
enum Target<'a> {
    User(UserRef<'a>),
    Session(SessionRef<'a>),
    Token(TokenRef<'a>),
    Client(ClientRef<'a>),
    Everyone(IssuerRef<'a>),
}

impl Target<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Session(_) => "session",
            Self::Token(_) => "token",
            Self::Client(_) => "client",
            Self::Everyone(_) => "everyone",
        }
    }

    fn key(&self) -> DisplayedKey {
        match self {
            Self::User(user) => user.into(),
            Self::Session(session) => session.into(),
            Self::Token(token) => token.into(),
            Self::Client(client) => client.into(),
            Self::Everyone(issuer) => issuer.into(),
        }
    }
}
