//! Changes a user at Cognito, in the table of revocations and in the profile.

use auth::{RevocationContext, RevocationWriter, UnixSeconds, UserRef};
use auth_cognito::{User, UserPoolError};
use auth_dynamodb::{RevocationRow, Status};
use runtime::{Audit, clock};
use serde_json::{Value, json};

use crate::Admin;
use crate::outcome::AdminError;

impl Admin {
    /// The user of this name.
    pub(crate) async fn user(&self, name: &str, audit: &mut Audit<'_>) -> Result<User, AdminError> {
        let user = self.users.get(name).await?;
        audit.target(&user.subject);
        Ok(user)
    }

    /// Disables the user.
    pub(crate) async fn disable(
        &self,
        user: &User,
        context: &RevocationContext<'_>,
    ) -> Result<Value, AdminError> {
        self.lock_out(user, context).await?;
        Ok(json!({"done": "disabled", "sub": user.subject}))
    }

    /// Enables the user.
    pub(crate) async fn enable(
        &self,
        user: &User,
        context: &RevocationContext<'_>,
    ) -> Result<Value, AdminError> {
        self.users.enable(&user.username).await?;
        let target = self.user_ref(user);
        self.revocations
            .enable_user(&target, context.at, context)
            .await?;
        if let Some(profiles) = &self.profiles {
            profiles.enabled(&user.subject, context.at).await?;
        }
        Ok(json!({"done": "enabled", "sub": user.subject}))
    }

    /// Revokes all sessions of the user.
    pub(crate) async fn sign_out(
        &self,
        user: &User,
        context: &RevocationContext<'_>,
    ) -> Result<Value, AdminError> {
        let not_before = context.at.plus(self.config.leeway_seconds);
        let target = self.user_ref(user);
        let revocations = &self.revocations;
        let revoked = revocations.revoke_user_sessions(&target, not_before, context);
        let revoked = revoked.await;
        let signed_out = self.cognito.sign_out_everywhere(&user.username).await;
        revoked?;
        signed_out?;
        // The revocation for CloudTrail's record of the call covers that whole second.
        let made_at = clock::now();
        clock::until_after(not_before.max(made_at).0).await;
        Ok(json!({"done": "signed_out", "sub": user.subject}))
    }

    /// Deletes the user. The profile is deleted only after the user: after a deletion that failed, the user is
    /// disabled, and can be enabled again.
    pub(crate) async fn delete(
        &self,
        user: &User,
        context: &RevocationContext<'_>,
    ) -> Result<Value, AdminError> {
        self.lock_out(user, context).await?;
        match self.users.delete(&user.username).await {
            // The SDK repeats a deletion whose response was lost, and the user existed when it was disabled.
            Ok(()) | Err(UserPoolError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        // Neither write waits for the other's success: a repeated request finds no user any more. What was not
        // written here, user-events writes for CloudTrail's record of the deletion.
        let target = self.user_ref(user);
        let revocations = &self.revocations;
        // From here on the row is needed only until the issued tokens expire.
        let revoked = revocations.delete_user(&target, context.at, context).await;
        // Later than an enabling that preceded it at Cognito, and whose write is still under way.
        self.set_profile_status(user, Status::Deleted, clock::now().plus(1))
            .await?;
        revoked?;
        Ok(json!({"done": "deleted", "sub": user.subject}))
    }

    /// Reads the user's revocations.
    pub(crate) async fn revocations_of(
        &self,
        user: &User,
        now: UnixSeconds,
    ) -> Result<Value, AdminError> {
        let target = self.user_ref(user);
        let rows = self.revocations.revocations_of_user(&target, now).await?;
        let rows: Vec<Value> = rows.into_iter().map(describe).collect();
        Ok(json!({"sub": user.subject, "enabled": user.enabled, "marks": rows}))
    }

    /// Writes the revocation, then disables the user at Cognito even if that failed, then updates
    /// the profile.
    async fn lock_out(
        &self,
        user: &User,
        context: &RevocationContext<'_>,
    ) -> Result<(), AdminError> {
        let target = self.user_ref(user);
        let revocations = &self.revocations;
        let revoked = revocations.disable_user(&target, context.at, context).await;
        let disabled = self.users.disable(&user.username).await;
        let signed_out = self.cognito.sign_out_everywhere(&user.username).await;
        revoked?;
        disabled?;
        signed_out?;
        // As with a sign-out: a user who is enabled again at once signs in after the revoked
        // second.
        clock::until_after(clock::unix_seconds()).await;
        self.set_profile_status(user, Status::Disabled, context.at)
            .await
    }

    async fn set_profile_status(
        &self,
        user: &User,
        status: Status,
        at: UnixSeconds,
    ) -> Result<(), AdminError> {
        match &self.profiles {
            Some(profiles) => Ok(profiles.set_status(&user.subject, status, at).await?),
            None => Ok(()),
        }
    }

    fn user_ref<'a>(&'a self, user: &'a User) -> UserRef<'a> {
        UserRef {
            issuer: &self.config.user_pool_id,
            subject: &user.subject,
        }
    }
}

fn describe(row: RevocationRow) -> Value {
    json!({"of": row.of, "expired": row.expired, "attributes": row.attributes})
}
