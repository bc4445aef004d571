//! Which Cognito call revokes what. docs/tokens.md has the table, with the reasons for calls that
//! revoke nothing.

/// What a call means for its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Refuses everything of the user until an operator enables the user.
    Disable,
    /// The user may sign in again. Earlier revocations stay in force.
    Enable,
    /// The user is deleted.
    Delete,
    /// Revokes all sessions of the user.
    RevokeSessions,
    /// Revokes all sessions but one that our own API was asked to keep.
    ChangePassword,
    /// The record does not name the revoked session: refuses all tokens that the user has now. A
    /// refresh brings new ones for every session but the revoked one.
    RequireRefresh,
    /// Refuses the user's present tokens, because they contain the old groups.
    RequireRefreshForGroups,
    /// Refuses tokens that contain the group until they are refreshed.
    RequireRefreshOfGroup,
    /// Revokes all sessions of users who signed in with the identity provider.
    RevokeProvider,
    /// Revokes everything that was issued to the app client.
    RevokeClient,
    /// Revokes everything that the user pool issued.
    RevokeIssuer,
    /// Revokes nothing; the topic reports what a user did.
    TellOfUser,
    /// Revokes nothing; the topic reports a changed configuration.
    Tell,
}

/// The target of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    Group,
    Provider,
    Client,
    Pool,
}

/// A call that is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// The call's word in revocations, logs and messages.
    pub(crate) kind: &'static str,
    pub(crate) effect: Effect,
}

/// Every handled call by its name in CloudTrail. The rule in template.yaml has the same names.
const CALLS: [(&str, &str, Effect); 37] = [
    ("AdminDisableUser", "user_disabled", Effect::Disable),
    ("AdminEnableUser", "user_enabled", Effect::Enable),
    ("AdminDeleteUser", "user_deleted", Effect::Delete),
    ("DeleteUser", "user_deleted", Effect::Delete),
    ("AdminUserGlobalSignOut", SIGNED_OUT, Effect::RevokeSessions),
    ("GlobalSignOut", SIGNED_OUT, Effect::RevokeSessions),
    (
        "AdminSetUserPassword",
        "password_set",
        Effect::RevokeSessions,
    ),
    (
        "AdminResetUserPassword",
        "password_set",
        Effect::RevokeSessions,
    ),
    (
        "ConfirmForgotPassword",
        "password_reset",
        Effect::RevokeSessions,
    ),
    ("ChangePassword", "password_changed", Effect::ChangePassword),
    ("RevokeToken", "session_revoked", Effect::RequireRefresh),
    (
        "RevokeUserSession",
        "session_revoked",
        Effect::RequireRefresh,
    ),
    (
        "AdminRevokeUserSession",
        "session_revoked",
        Effect::RequireRefresh,
    ),
    (
        "AdminForgetDevice",
        "device_forgotten",
        Effect::RequireRefresh,
    ),
    ("ForgetDevice", "device_forgotten", Effect::RequireRefresh),
    (
        "AdminAddUserToGroup",
        "groups_changed",
        Effect::RequireRefreshForGroups,
    ),
    (
        "AdminRemoveUserFromGroup",
        "groups_changed",
        Effect::RequireRefreshForGroups,
    ),
    (
        "DeleteGroup",
        "group_changed",
        Effect::RequireRefreshOfGroup,
    ),
    (
        "UpdateGroup",
        "group_changed",
        Effect::RequireRefreshOfGroup,
    ),
    (
        "AdminUpdateUserAttributes",
        "attributes_changed",
        Effect::RequireRefresh,
    ),
    (
        "AdminDeleteUserAttributes",
        "attributes_changed",
        Effect::RequireRefresh,
    ),
    (
        "AdminSetUserMFAPreference",
        "mfa_changed",
        Effect::RevokeSessions,
    ),
    (
        "AdminSetUserSettings",
        "mfa_changed",
        Effect::RevokeSessions,
    ),
    (
        "AdminDisableProviderForUser",
        "provider_unlinked",
        Effect::RevokeSessions,
    ),
    (
        "DeleteIdentityProvider",
        "provider_removed",
        Effect::RevokeProvider,
    ),
    (
        "DeleteUserPoolClient",
        "client_deleted",
        Effect::RevokeClient,
    ),
    ("DeleteUserPool", "pool_deleted", Effect::RevokeIssuer),
    ("UpdateUserAttributes", OWN_ATTRIBUTES, Effect::TellOfUser),
    ("DeleteUserAttributes", OWN_ATTRIBUTES, Effect::TellOfUser),
    ("VerifyUserAttribute", OWN_ATTRIBUTES, Effect::TellOfUser),
    ("SetUserMFAPreference", OWN_MFA, Effect::TellOfUser),
    ("SetUserSettings", OWN_MFA, Effect::TellOfUser),
    ("UpdateUserPool", CONFIGURED, Effect::Tell),
    ("SetUserPoolMfaConfig", CONFIGURED, Effect::Tell),
    ("UpdateUserPoolClient", CONFIGURED, Effect::Tell),
    ("CreateIdentityProvider", CONFIGURED, Effect::Tell),
    ("UpdateIdentityProvider", CONFIGURED, Effect::Tell),
];
const SIGNED_OUT: &str = "signed_out_everywhere";
const OWN_ATTRIBUTES: &str = "own_attributes_changed";
const OWN_MFA: &str = "own_mfa_changed";
const CONFIGURED: &str = "configuration_changed";

impl Action {
    /// Finds a call by its name in CloudTrail.
    pub(crate) fn of(event_name: &str) -> Option<Self> {
        let call = CALLS.iter().find(|(name, ..)| *name == event_name);
        call.map(|&(_, kind, effect)| Self { kind, effect })
    }

    /// The target of the call.
    pub(crate) fn about(&self) -> Kind {
        match self.effect {
            Effect::Disable
            | Effect::Enable
            | Effect::Delete
            | Effect::RevokeSessions
            | Effect::ChangePassword
            | Effect::RequireRefresh
            | Effect::RequireRefreshForGroups
            | Effect::TellOfUser => Kind::User,
            Effect::RequireRefreshOfGroup => Kind::Group,
            Effect::RevokeProvider => Kind::Provider,
            Effect::RevokeClient => Kind::Client,
            Effect::RevokeIssuer | Effect::Tell => Kind::Pool,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::CALLS;
    use crate::record::HEARTBEAT;

    #[test]
    fn the_rule_delivers_every_handled_call() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let rule = template.split("\n  UserEventRule:\n").nth(1).unwrap();
        let names = rule.split("eventName:\n").nth(1).unwrap();
        let delivered: BTreeSet<&str> = names
            .lines()
            .map_while(|line| line.trim().strip_prefix("- "))
            .collect();
        let mut wanted: BTreeSet<&str> = CALLS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(wanted.len(), CALLS.len(), "no name is listed twice");
        wanted.insert(HEARTBEAT);
        assert_eq!(delivered, wanted);
    }
}
