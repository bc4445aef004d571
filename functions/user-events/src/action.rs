//! Which of Cognito's calls ends what.

/// What a call means for a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing of theirs passes until they are enabled.
    Disable,
    /// They may sign in again. What was ended stays ended.
    Enable,
    /// They are gone.
    Delete,
    /// All sessions until now are over.
    EndSessions,
    /// The same, but for a session that our own API was asked to spare.
    ChangePassword,
    /// Which session ended is not recorded: all tokens until now are refused, and whoever can
    /// still refresh goes on.
    Outdate,
    /// The same, because tokens still name the old groups.
    OutdateForGroups,
}

/// A call that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// The word for it in marks, logs and messages.
    pub(crate) kind: &'static str,
    pub(crate) effect: Effect,
}

impl Action {
    /// By the call's name in CloudTrail.
    pub(crate) fn of(event_name: &str) -> Option<Self> {
        let (kind, effect) = match event_name {
            "AdminDisableUser" => ("user_disabled", Effect::Disable),
            "AdminEnableUser" => ("user_enabled", Effect::Enable),
            "AdminDeleteUser" | "DeleteUser" => ("user_deleted", Effect::Delete),
            "AdminUserGlobalSignOut" | "GlobalSignOut" => {
                ("signed_out_everywhere", Effect::EndSessions)
            }
            "AdminSetUserPassword" | "AdminResetUserPassword" => {
                ("password_set", Effect::EndSessions)
            }
            "ConfirmForgotPassword" => ("password_reset", Effect::EndSessions),
            "ChangePassword" => ("password_changed", Effect::ChangePassword),
            "RevokeToken" | "RevokeUserSession" | "AdminRevokeUserSession" => {
                ("session_revoked", Effect::Outdate)
            }
            "AdminAddUserToGroup" | "AdminRemoveUserFromGroup" => {
                ("groups_changed", Effect::OutdateForGroups)
            }
            _ => return None,
        };
        Some(Self { kind, effect })
    }
}
