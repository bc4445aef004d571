//! Writes what a call revokes.

use auth::{
    ClientRef, GroupRef, IssuerRef, PasswordChange, RevocationContext, RevocationWriter,
    Unavailable, UnixSeconds,
};

use crate::UserEvents;
use crate::action::{Action, Effect};

/// Maximal difference, in seconds, between the times of a password change made by our own API and
/// of its record.
const TOLERANCE: u64 = 10;

impl<R: RevocationWriter> UserEvents<R> {
    pub(crate) async fn revoke(
        &self,
        target: &str,
        action: &Action,
        at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let pool = &self.origin.user_pool_id;
        let user = self.user_ref(target);
        let context = RevocationContext {
            reason: action.kind,
            actor: "cognito",
            at: now,
            refresh_token_ttl_seconds: self.refresh_token_ttl_seconds,
        };
        let store = &self.revocations;
        match action.effect {
            Effect::Disable => store.disable_user(&user, at, &context).await,
            Effect::Delete => store.delete_user(&user, at, &context).await,
            Effect::Enable => store.enable_user(&user, at, &context).await,
            Effect::RevokeSessions => store.revoke_user_sessions(&user, at, &context).await,
            Effect::ChangePassword => {
                let change = PasswordChange {
                    changed_at: at,
                    tolerance_seconds: TOLERANCE,
                };
                store
                    .revoke_sessions_before_password_change(&user, &change, &context)
                    .await
            }
            Effect::RequireRefresh | Effect::RequireRefreshForGroups => {
                store.require_refresh(&user, at, &context).await
            }
            Effect::RequireRefreshOfGroup => {
                let group = GroupRef {
                    issuer: pool,
                    group: target,
                };
                store.require_refresh_of_group(&group, at, &context).await
            }
            Effect::RevokeProvider => {
                // Cognito keeps the users of a provider in a group of this name.
                let group = format!("{pool}_{target}");
                let group = GroupRef {
                    issuer: pool,
                    group: &group,
                };
                store.revoke_group_sessions(&group, at, &context).await
            }
            Effect::RevokeClient => {
                let client = ClientRef {
                    issuer: pool,
                    client_id: target,
                };
                store.revoke_client(&client, at, &context).await
            }
            Effect::RevokeIssuer => {
                let issuer = IssuerRef { issuer: pool };
                store.revoke_issuer(&issuer, at, &context).await
            }
            Effect::TellOfUser | Effect::Tell => Ok(()),
        }
    }
}
