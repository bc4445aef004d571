//! Counts the attempts of a request, if the function has a table for them.

use api_gateway::http::Request;
use auth_cognito::AccountError;
use runtime::clock;

use crate::limiter::{Counted, Limiter};
use crate::outcome::ApiError;

/// The limits of this function; without a limiter every attempt is admitted.
pub(crate) struct Attempts {
    pub(crate) limiter: Option<Limiter>,
}

impl Attempts {
    /// Counts an attempt before Cognito sees it.
    pub(crate) async fn admit(
        &self,
        what: &str,
        username: &str,
        request: &Request<'_>,
    ) -> Result<Counted, ApiError> {
        match &self.limiter {
            None => Ok(Counted::nothing()),
            Some(limiter) => {
                let address = request.source_ip();
                limiter
                    .admit(what, username, address.as_deref(), clock::now())
                    .await
            }
        }
    }

    /// Counts a step that proves and reveals nothing. The limit for such steps is higher.
    pub(crate) async fn admit_often(
        &self,
        what: &str,
        username: &str,
        request: &Request<'_>,
    ) -> Result<Counted, ApiError> {
        match &self.limiter {
            None => Ok(Counted::nothing()),
            Some(limiter) => {
                let address = request.source_ip();
                limiter
                    .admit_often(what, username, address.as_deref(), clock::now())
                    .await
            }
        }
    }

    /// Counts an attempt on an object that no other request names, independent of the source
    /// address.
    pub(crate) async fn admit_alone(&self, what: &str, name: &str) -> Result<Counted, ApiError> {
        match &self.limiter {
            None => Ok(Counted::nothing()),
            Some(limiter) => limiter.admit(what, name, None, clock::now()).await,
        }
    }

    /// Remembers the network of a successful sign-in: it keeps a share of the attempts.
    pub(crate) async fn remember(&self, username: &str, request: &Request<'_>) {
        if let (Some(limiter), Some(address)) = (&self.limiter, request.source_ip()) {
            limiter.remember(username, &address, clock::now()).await;
        }
    }

    /// The result of the attempt's call to Cognito. If Cognito rejected the app client's secret, it has judged nothing
    /// that the user sent, and the attempt is refunded.
    pub(crate) async fn judged<T>(
        &self,
        counted: &Counted,
        result: Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        if result.as_ref().is_err_and(AccountError::is_about_secret) {
            self.forgive(counted).await;
        }
        result
    }

    /// Refunds a counted attempt after it succeeded.
    pub(crate) async fn forgive(&self, counted: &Counted) {
        if let Some(limiter) = &self.limiter {
            limiter.forgive(counted).await;
        }
    }
}
