//! The invocation that the current task handles, for lines that are written far from its handler.

use std::future::Future;

/// The ids of one invocation.
#[derive(Clone)]
pub(crate) struct Invocation {
    /// Lambda's request id.
    pub(crate) request_id: String,
    /// X-Ray's trace id (`_X_AMZN_TRACE_ID`), if Lambda sent one.
    pub(crate) trace_id: Option<String>,
}

tokio::task_local! {
    static INVOCATION: Invocation;
}

impl Invocation {
    /// Runs `handling` as this invocation.
    pub(crate) async fn scope<T>(self, handling: impl Future<Output = T>) -> T {
        INVOCATION.scope(self, handling).await
    }
}

/// The current invocation; `None` during init, and in tasks that outlive an invocation.
pub(crate) fn current() -> Option<Invocation> {
    INVOCATION.try_with(Clone::clone).ok()
}

/// The request id of the current invocation.
pub(crate) fn request_id() -> Option<String> {
    current().map(|invocation| invocation.request_id)
}
