//! The pool's app clients.

use auth::{Cause, Dependency};
use aws_client::Call;
use aws_sdk_cognitoidentityprovider::types::{ExplicitAuthFlowsType, OAuthFlowType, TimeUnitsType};

use super::list::PAGE;
use super::{CognitoUsers, UserPoolError, classify};

/// An app client and its refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppClient {
    /// Its name; its id if it has none.
    pub name: String,
    /// The lifetime of its refresh tokens in seconds; `None` if it gets none, because only machines
    /// use it.
    pub refresh_token_seconds: Option<u64>,
    /// Whether tokens name a session that can be revoked (`EnableTokenRevocation`).
    pub revokes_tokens: bool,
}

impl CognitoUsers {
    /// `ListUserPoolClients`: the ids of the pool's app clients.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn client_ids(&self) -> Result<Vec<String>, UserPoolError> {
        let call = self.client.list_user_pool_clients();
        let call = call.user_pool_id(&self.user_pool_id).max_results(PAGE);
        let pages = call.into_paginator().items().send();
        let clients = pages.try_collect().in_span(Dependency::Cognito).await;
        let clients = clients.map_err(|error| classify(&error))?.into_iter();
        Ok(clients.filter_map(|client| client.client_id).collect())
    }

    /// `DescribeUserPoolClient`: the lifetime of an app client's refresh tokens.
    ///
    /// # Errors
    /// [`UserPoolError`].
    pub async fn app_client(&self, client_id: &str) -> Result<AppClient, UserPoolError> {
        let call = self.client.describe_user_pool_client();
        let call = call.user_pool_id(&self.user_pool_id).client_id(client_id);
        let answer = call
            .send()
            .in_span(Dependency::Cognito)
            .await
            .map_err(|error| classify(&error))?;
        let client = answer
            .user_pool_client()
            .ok_or(UserPoolError::Unavailable(Cause::Invalid))?;
        let unit = client
            .token_validity_units()
            .and_then(|units| units.refresh_token());
        let seconds = match unit {
            Some(TimeUnitsType::Seconds) => 1,
            Some(TimeUnitsType::Minutes) => 60,
            Some(TimeUnitsType::Hours) => 3_600,
            // Cognito's default, also used for an unknown unit.
            _ => 86_400,
        };
        let validity = u64::try_from(client.refresh_token_validity()).unwrap_or_default();
        // AWS: "If you don't specify a value", or with 0, it is 30 days.
        let (validity, seconds) = if validity == 0 {
            (30, 86_400)
        } else {
            (validity, seconds)
        };
        let flows = client.explicit_auth_flows();
        // AWS: without a list, SRP and custom sign-ins are enabled.
        let signs_in = flows.is_empty()
            || flows
                .iter()
                .any(|flow| !matches!(flow, ExplicitAuthFlowsType::AllowRefreshTokenAuth));
        let only_machines = client.allowed_o_auth_flows() == [OAuthFlowType::ClientCredentials];
        Ok(AppClient {
            name: client.client_name().unwrap_or(client_id).to_owned(),
            refresh_token_seconds: (signs_in || !only_machines)
                .then(|| validity.saturating_mul(seconds)),
            revokes_tokens: client.enable_token_revocation().unwrap_or(false),
        })
    }
}
