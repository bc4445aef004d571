//! Deadlines of one request: until when Cognito may answer, and when to send a response whose time
//! could reveal whether a name has an account.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use auth::{Cause, Dependency, Unavailable};
use auth_cognito::AccountError;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// The budget for all calls to Cognito of one request. The store (0.8 s) and the queue (3 s)
/// follow.
const COGNITO: Duration = Duration::from_secs(10);
/// The latest response, below the function's 15 seconds.
const LATEST: Duration = Duration::from_secs(14);

tokio::task_local! {
    static TIMES: Times;
}

struct Times {
    began: Instant,
    /// Whether the response may depend on what Cognito knows about a name.
    depends_on_user: Cell<bool>,
}

/// Runs `answer` as one request, which begins now.
pub(crate) async fn of_request<T>(answer: impl Future<Output = T>) -> T {
    let times = Times {
        began: Instant::now(),
        depends_on_user: Cell::new(false),
    };
    TIMES.scope(times, answer).await
}

/// A call to Cognito, limited to the remaining time of the request.
///
/// # Errors
/// The call's own; [`AccountError::unanswered`] if the time is up.
pub(crate) async fn within<T>(
    call: impl Future<Output = Result<T, AccountError>>,
) -> Result<T, AccountError> {
    let until = TIMES.try_with(|times| times.began + COGNITO);
    match until {
        Ok(until) => timeout_at(until, call)
            .await
            .unwrap_or_else(|_| Err(AccountError::unanswered(Cause::Timeout))),
        Err(_) => call.await,
    }
}

/// The same, limited to `limit` too.
///
/// # Errors
/// As [`within`].
pub(crate) async fn within_at_most<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, AccountError>>,
) -> Result<T, AccountError> {
    timeout(limit, within(call))
        .await
        .unwrap_or_else(|_| Err(AccountError::unanswered(Cause::Timeout)))
}

/// The same as [`within`] for an administrator's call, whose error says nothing to the client.
///
/// # Errors
/// The call's own, or a timeout.
pub(crate) async fn done<T, E: Into<Unavailable>>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, Unavailable> {
    let call = async {
        call.await
            .map_err(|error| AccountError::unanswered(error.into().cause))
    };
    let done = within(call).await;
    done.map_err(|refused| Dependency::Cognito.unavailable(refused.cause))
}

/// From here on the response may depend on what Cognito knows about a name.
pub(crate) fn depends_on_user() {
    let _ = TIMES.try_with(|times| times.depends_on_user.set(true));
}

/// The response depends on no user, or on the caller's own account, which a password or code has
/// proved.
pub(crate) fn tells_nothing() {
    let _ = TIMES.try_with(|times| times.depends_on_user.set(false));
}

/// Returns when the response may be sent: at once or, if it depends on a user, at the next multiple
/// of `grid` since the request began.
pub(crate) async fn leave(grid: Duration) {
    let times = TIMES.try_with(|times| (times.began, times.depends_on_user.get()));
    if let Ok((began, true)) = times {
        sleep_until(began + leaves_after(began.elapsed(), grid)).await;
    }
}

/// How long after the start of a request its response is sent, if it is ready after `took`.
fn leaves_after(took: Duration, grid: Duration) -> Duration {
    let (took_nanos, grid_nanos) = (took.as_nanos(), grid.as_nanos());
    if grid_nanos == 0 {
        return took;
    }
    let multiple = took_nanos
        .div_ceil(grid_nanos)
        .max(1)
        .saturating_mul(grid_nanos);
    let multiple = u64::try_from(multiple).map_or(LATEST, Duration::from_nanos);
    multiple.min(LATEST).max(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_sent_on_the_grid_and_before_the_timeout() {
        for (took, grid, expected) in [
            (0, 500, 500),
            (1, 500, 500),
            (499, 500, 500),
            (500, 500, 500),
            (501, 500, 1_000),
            (1_234, 500, 1_500),
            (13_900, 500, 14_000),
            (13_900, 5_000, 14_000),
            (14_200, 500, 14_200),
            (3, 60_000, 14_000),
            (123, 0, 123),
        ] {
            let found = leaves_after(Duration::from_millis(took), Duration::from_millis(grid));
            assert_eq!(found, Duration::from_millis(expected), "{took} {grid}");
        }
        let longest = leaves_after(Duration::ZERO, Duration::MAX);
        assert_eq!(longest, LATEST, "for every grid");
    }

    #[test]
    fn a_call_ends_at_the_deadline_of_the_request() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let hanging = async {
            let begun_long_ago = Times {
                began: Instant::now() - COGNITO,
                depends_on_user: Cell::new(false),
            };
            let call = std::future::pending::<Result<(), AccountError>>();
            TIMES.scope(begun_long_ago, within(call)).await
        };
        let refused = runtime.block_on(hanging).unwrap_err();
        assert_eq!(refused.exception, None);
    }
}
