//! A signed-in user's attributes and password.

use std::collections::HashMap;

use auth::{Cause, Dependency, Secret};
use aws_client::Call;
use aws_sdk_cognitoidentityprovider::types::AttributeType;

use super::{AccountError, CognitoAccounts};

/// A user as returned by `GetUser`.
pub struct Account {
    /// The attributes, by name.
    pub attributes: HashMap<String, String>,
    /// `SOFTWARE_TOKEN_MFA` and the like.
    pub mfa: Vec<String>,
}

impl CognitoAccounts {
    /// `ChangePassword`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn change_password(
        &self,
        access_token: &str,
        current: &Secret,
        new: &Secret,
    ) -> Result<(), AccountError> {
        let call = self.client.change_password().access_token(access_token);
        let call = call
            .previous_password(current.expose())
            .proposed_password(new.expose());
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }

    /// `GetUser`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn get(&self, access_token: &str) -> Result<Account, AccountError> {
        let call = self.client.get_user().access_token(access_token);
        let user = call.send().in_span(Dependency::Cognito).await?;
        let mfa = user.user_mfa_setting_list().to_vec();
        let attributes = user.user_attributes.into_iter();
        Ok(Account {
            attributes: attributes
                .filter_map(|one| Some((one.name, one.value?)))
                .collect(),
            mfa,
        })
    }

    /// `UpdateUserAttributes`. Returns the names of the attributes whose change awaits a code.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn update(
        &self,
        access_token: &str,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<String>, AccountError> {
        let call = self.client.update_user_attributes();
        let call = call
            .access_token(access_token)
            .set_user_attributes(Some(attribute_list(attributes)?));
        let answer = call.send().in_span(Dependency::Cognito).await?;
        let pending = answer.code_delivery_details_list.unwrap_or_default();
        Ok(pending
            .into_iter()
            .filter_map(|details| details.attribute_name)
            .collect())
    }

    /// `VerifyUserAttribute`.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn verify_attribute(
        &self,
        access_token: &str,
        attribute: &str,
        code: &Secret,
    ) -> Result<(), AccountError> {
        let call = self.client.verify_user_attribute();
        let call = call
            .access_token(access_token)
            .attribute_name(attribute)
            .code(code.expose());
        Ok(call.send().in_span(Dependency::Cognito).await.map(drop)?)
    }
}

pub(crate) fn attribute_list(
    attributes: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<AttributeType>, AccountError> {
    let attributes = attributes.into_iter().map(|(name, value)| {
        let attribute = AttributeType::builder().name(name).value(value);
        attribute
            .build()
            .map_err(|_| AccountError::unanswered(Cause::Other))
    });
    attributes.collect()
}
