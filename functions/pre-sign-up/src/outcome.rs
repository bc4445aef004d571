//! Whether a sign-up may proceed, in the words of the log and of the response.

use auth::{Cause, Unavailable};
use auth_cognito::UserPoolError;
use runtime::InvocationError;
use runtime::log::{self, Level};
use usernames::AddressError;

/// The message of every refusal, independent of its reason. auth-api recognizes a refusal by this
/// text.
const REFUSAL: &str = "sign-up refused";
/// The message for a name of the old store, and for one that the pool has in another spelling. auth-api answers as if
/// the pool knew the name, and that is the same answer as for a new one.
const KNOWN: &str = "already known";

/// A sign-up that may proceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// A new user.
    Admitted,
    /// A user of the old store who is migrated.
    Moved,
    /// A federated identity that now belongs to an account.
    Linked,
    /// A federated identity of its own: the provider has not verified the address.
    NotVouchedFor,
    /// A federated identity of its own: the provider is not authoritative for the address.
    NotItsDomain,
}

/// Why a sign-up is refused, or could not be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignUpError {
    Refused(Refusal),
    /// The name belongs to a user who is not migrated yet.
    Known,
    Failed(Failure),
}

/// Why a sign-up is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    LookAlike,
    /// The domain of the address is denied.
    DomainDenied,
    /// The domain of the address is not among the allowed ones.
    DomainNotAllowed,
    /// A name with capital letters, in a case-sensitive pool.
    NotLowerCase,
    /// The name differs from an existing one only in case.
    CaseTwin,
    /// Several accounts have the verified address.
    AmbiguousAccount,
    DisabledAccount,
    /// The account has a second factor, for which Cognito would not ask a federated user.
    SecondFactor,
    /// The account cannot be linked: only the name has the id at the provider, which may be in another case.
    UnknownSubject,
    /// The account cannot be linked: the name and the mapped attribute have different ids.
    OtherSubject,
}

/// Why a sign-up could not be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The event has no trigger source.
    NoTriggerEvent,
    /// The request or the pool's id is missing or malformed.
    IncompleteEvent,
    UnknownSource,
    TimeIsUp,
    Unavailable(Unavailable),
}

impl Admission {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Moved => "moved",
            Self::Linked => "linked",
            Self::NotVouchedFor => "not_vouched_for",
            Self::NotItsDomain => "not_its_domain",
        }
    }
}

impl SignUpError {
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Refused(_) | Self::Known => Level::Warn,
            Self::Failed(_) => Level::Error,
        }
    }
}

impl Refusal {
    fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::LookAlike => "look_alike",
            Self::DomainDenied => "domain_denied",
            Self::DomainNotAllowed => "domain_not_allowed",
            Self::NotLowerCase => "not_lower_case",
            Self::CaseTwin => "case_twin",
            Self::AmbiguousAccount => "ambiguous_account",
            Self::DisabledAccount => "disabled_account",
            Self::SecondFactor => "second_factor",
            Self::UnknownSubject => "unknown_subject",
            Self::OtherSubject => "other_subject",
        }
    }
}

impl From<SignUpError> for log::Outcome<'static> {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::Refused(refusal) => refusal.as_str().into(),
            SignUpError::Known => "still_to_be_moved".into(),
            SignUpError::Failed(failure) => failure.into(),
        }
    }
}

impl From<Failure> for log::Outcome<'static> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoTriggerEvent => "no_trigger_event".into(),
            Failure::IncompleteEvent => "incomplete_event".into(),
            Failure::UnknownSource => "unknown_source".into(),
            Failure::TimeIsUp => Self::failed("time_is_up", Cause::Timeout),
            Failure::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<Refusal> for SignUpError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for SignUpError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<AddressError> for SignUpError {
    fn from(error: AddressError) -> Self {
        Self::Refused(match error {
            AddressError::Malformed => Refusal::Malformed,
            AddressError::LookAlike => Refusal::LookAlike,
        })
    }
}

impl From<Unavailable> for SignUpError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Failed(Failure::Unavailable(unavailable))
    }
}

impl From<UserPoolError> for SignUpError {
    fn from(error: UserPoolError) -> Self {
        Unavailable::from(error).into()
    }
}

impl From<SignUpError> for InvocationError {
    fn from(error: SignUpError) -> Self {
        match error {
            // As a refusal it would reveal that the account exists.
            SignUpError::Known | SignUpError::Refused(Refusal::CaseTwin) => Self::Refused(KNOWN),
            SignUpError::Refused(_) => Self::Refused(REFUSAL),
            SignUpError::Failed(_) => Self::Internal,
        }
    }
}
