//! `gatehouse revoke`: the marks that the functions write, by hand.

use auth::revocation::RowKey;
use auth_cognito::SignOut;
use auth_dynamodb::Ending;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::operator::{Operator, Printed, in_words};

const TTL: &str = "REFRESH_TOKEN_TTL_SECONDS";
const TTLS: std::ops::RangeInclusive<u64> = 3_600..=315_360_000;

/// What to end. The table and the pool are those of `REVOCATION_TABLE` and `USER_POOL_ID`.
#[derive(Args)]
pub(crate) struct Revoke {
    #[command(subcommand)]
    what: What,
    /// A word for the record.
    #[arg(long, global = true, default_value = "operator")]
    reason: String,
    /// Who is doing it, for the record.
    #[arg(long, global = true, default_value = "cli")]
    actor: String,
    /// Seconds that a refresh token lives: for so long, and a day, the mark stays. Without it, what
    /// `REFRESH_TOKEN_TTL_SECONDS` says, else ten years, the longest that Cognito has.
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(TTLS))]
    refresh_token_ttl: Option<u64>,
    /// Say what would be done, and do nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// JSON instead of a table.
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
        /// The user's `sub`; for a machine its client id.
        sub: String,
        /// The token's `jti`.
        token: String,
    },
    /// Everything that an app client got until now.
    Client {
        /// The client's id.
        client_id: String,
    },
    /// Everything of everybody until now: all have to sign in again.
    Everyone,
}

impl Revoke {
    /// Does it.
    ///
    /// # Errors
    /// A text about what kept it from being done.
    pub(crate) async fn run(self) -> Result<Printed, String> {
        let operator = Operator::from_environment().await?;
        let row = self.revoke(&operator).await?;
        Ok(Printed::new(vec![row], self.json))
    }

    /// A mark that goes too early brings back what it ended; one that stays costs a row.
    fn refresh_token_ttl(&self) -> Result<u64, String> {
        let variable = lambda::env::process(TTL).filter(|value| !value.trim().is_empty());
        match (self.refresh_token_ttl, variable) {
            (Some(seconds), _) => Ok(seconds),
            (None, None) => Ok(*TTLS.end()),
            (None, Some(value)) => {
                let seconds = value.trim().parse().ok();
                let seconds = seconds.filter(|seconds| TTLS.contains(seconds));
                seconds.ok_or_else(|| {
                    format!("{TTL} is not a number of seconds from 3600 to 315360000")
                })
            }
        }
    }

    async fn revoke(&self, operator: &Operator) -> Result<Value, String> {
        let pool = operator.user_pool_id.as_str();
        let ending = Ending {
            reason: &self.reason,
            actor: &self.actor,
            at: operator.now,
            refresh_token_ttl_seconds: self.refresh_token_ttl()?,
        };
        let (kind, key, username) = match &self.what {
            What::User { user } => {
                let user = operator.users.get(user).await.map_err(in_words)?;
                let key = RowKey::user(pool, &user.subject);
                ("user", key, Some(user.username))
            }
            What::Session { sub, session } => {
                ("session", RowKey::session(pool, sub, session), None)
            }
            What::Token { sub, token } => ("token", RowKey::token(pool, sub, token), None),
            What::Client { client_id } => ("client", RowKey::client(pool, client_id), None),
            What::Everyone => ("everyone", RowKey::issuer(pool), None),
        };
        let mut at_cognito = "not_asked";
        if !self.dry_run {
            let store = &operator.revocations;
            let written = match self.what {
                What::User { .. } => store.end_user(&key, operator.now, &ending).await,
                What::Session { .. } | What::Token { .. } => store.end(&key, &ending).await,
                What::Client { .. } | What::Everyone => {
                    store.end_all_of(&key, operator.now, &ending).await
                }
            };
            written.map_err(|unavailable| unavailable.to_string())?;
            if let Some(username) = &username {
                at_cognito = match operator.cognito.sign_out_everywhere(username).await {
                    Ok(SignOut::Done | SignOut::Unsupported) => "ended",
                    // The mark is there: our side is closed.
                    Ok(SignOut::Refused) | Err(_) => "failed",
                };
            }
        }
        Ok(json!({
            "ended": kind,
            "pk": key.partition,
            "sk": key.sort,
            "cognito": at_cognito,
            "dry_run": self.dry_run,
        }))
    }
}
