//! Deletes sign-ups that were never confirmed: their codes have expired, and their addresses stay
//! taken until they are deleted.

use std::time::Instant;

use auth::Unavailable;
use auth_cognito::{CognitoUsers, UserPoolError};
use runtime::clock;
use runtime::log::{self, Level, Outcome};
use serde_json::Value;

use crate::PAUSE;

const SECONDS_OF_AN_HOUR: u64 = 3_600;

/// The result of a run.
#[derive(Default)]
struct Run {
    seen: u64,
    deleted: u64,
}

/// Deletes unconfirmed users who were created at least `hours` ago, until the list ends, Cognito
/// throttles, or `until`. The next run continues. Does nothing for 0 hours.
pub(crate) async fn sweep(users: &CognitoUsers, hours: u64, until: Instant, request_id: &str) {
    if hours == 0 {
        return;
    }
    let mut run = Run::default();
    let result = delete(users, hours, until, &mut run).await;
    let (level, outcome) = match result {
        Ok(()) => (Level::Info, Outcome::from("done")),
        Err(UserPoolError::Throttled) => (Level::Warn, "throttled".into()),
        Err(error) => (Level::Error, Unavailable::from(error).into()),
    };
    if run.deleted == 0 && level == Level::Info {
        return;
    }
    let fields = [
        ("outcome", Value::from(outcome.word)),
        ("seen", Value::from(run.seen)),
        ("request_id", Value::from(request_id)),
        ("UnconfirmedDeleted", Value::from(run.deleted)),
        (
            "_aws",
            log::metric("UnconfirmedDeleted", "outcome", clock::unix_seconds()),
        ),
    ];
    log::line(
        level,
        "sweep of unconfirmed users",
        fields.into_iter().chain(log::cause(outcome.cause)),
    );
}

async fn delete(
    users: &CognitoUsers,
    hours: u64,
    until: Instant,
    run: &mut Run,
) -> Result<(), UserPoolError> {
    let age = hours.saturating_mul(SECONDS_OF_AN_HOUR);
    let made_before = clock::unix_seconds().saturating_sub(age);
    let mut next = None;
    loop {
        let page = users.unconfirmed(next).await?;
        for user in page.users {
            run.seen += 1;
            if user.created_at == 0 || user.created_at > made_before {
                continue;
            }
            if Instant::now() >= until {
                return Ok(());
            }
            // The user may have confirmed since the list was read.
            match users.standing(&user.username).await {
                Ok(standing) if standing.is_unconfirmed => {}
                Ok(_) | Err(UserPoolError::NotFound) => continue,
                Err(error) => return Err(error),
            }
            match users.delete(&user.username).await {
                Ok(()) => run.deleted += 1,
                Err(UserPoolError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        next = page.next;
        if next.is_none() || Instant::now() >= until {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
