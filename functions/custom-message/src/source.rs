//! The events for which Cognito sends a message.

/// `triggerSource`, without `CustomMessage_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    SignUp,
    AdminCreateUser,
    ResendCode,
    ForgotPassword,
    UpdateUserAttribute,
    VerifyUserAttribute,
    Authentication,
}

impl Source {
    pub(crate) const ALL: [Self; 7] = [
        Self::SignUp,
        Self::AdminCreateUser,
        Self::ResendCode,
        Self::ForgotPassword,
        Self::UpdateUserAttribute,
        Self::VerifyUserAttribute,
        Self::Authentication,
    ];

    /// The variant for the trigger's name; `None` for an unknown trigger.
    pub(crate) fn of(trigger_source: &str) -> Option<Self> {
        let name = trigger_source.strip_prefix("CustomMessage_")?;
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::SignUp => "SignUp",
            Self::AdminCreateUser => "AdminCreateUser",
            Self::ResendCode => "ResendCode",
            Self::ForgotPassword => "ForgotPassword",
            Self::UpdateUserAttribute => "UpdateUserAttribute",
            Self::VerifyUserAttribute => "VerifyUserAttribute",
            Self::Authentication => "Authentication",
        }
    }

    /// Its key in a brand's texts.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::AdminCreateUser => "admin_create_user",
            Self::ResendCode => "resend_code",
            Self::ForgotPassword => "forgot_password",
            Self::UpdateUserAttribute => "update_user_attribute",
            Self::VerifyUserAttribute => "verify_user_attribute",
            Self::Authentication => "authentication",
        }
    }

    /// Whether the message may contain a confirmation link. A temporary password never appears in a
    /// URL: it may contain any character, and histories and logs store URLs.
    pub(crate) fn has_link(self) -> bool {
        matches!(self, Self::SignUp | Self::ResendCode)
    }

    /// Whether Cognito requires the user's name in the message.
    pub(crate) fn names_user(self) -> bool {
        self == Self::AdminCreateUser
    }

    /// Whether the message may greet its reader by name. At a sign-up, or for a new address, the
    /// mailbox may belong to another person and the name may be an attacker's text, so the message
    /// contains only the template's words.
    pub(crate) fn may_greet_by_name(self) -> bool {
        matches!(
            self,
            Self::AdminCreateUser | Self::ForgotPassword | Self::Authentication
        )
    }
}
