//! Cognito's exceptions and what each means to a client.

use auth_cognito::AccountError;

use crate::outcome::Outcome;

/// Every exception of Cognito's service model. docs/outcomes.md has this table, and a test compares
/// both with the SDK, so that no exception is left out.
pub const EXCEPTIONS: &[(&str, Outcome)] = &[
    ("AccessDeniedException", Outcome::Internal),
    ("AliasExistsException", Outcome::AlreadyTaken),
    ("CodeDeliveryFailureException", Outcome::DeliveryFailed),
    ("CodeMismatchException", Outcome::InvalidCode),
    ("ConcurrentModificationException", Outcome::Conflict),
    ("DeviceKeyExistsException", Outcome::BadRequest),
    ("DuplicateProviderException", Outcome::Internal),
    ("EnableSoftwareTokenMFAException", Outcome::InvalidCode),
    ("ExpiredCodeException", Outcome::InvalidCode),
    ("FeatureUnavailableInTierException", Outcome::Internal),
    ("ForbiddenException", Outcome::Forbidden),
    ("GroupExistsException", Outcome::Internal),
    ("InternalErrorException", Outcome::Unavailable),
    ("InternalServerException", Outcome::Unavailable),
    (
        "InvalidEmailRoleAccessPolicyException",
        Outcome::DeliveryFailed,
    ),
    ("InvalidLambdaResponseException", Outcome::TriggerFailed),
    ("InvalidOAuthFlowException", Outcome::Internal),
    ("InvalidParameterException", Outcome::BadRequest),
    ("InvalidPasswordException", Outcome::PasswordPolicy),
    (
        "InvalidSmsRoleAccessPolicyException",
        Outcome::DeliveryFailed,
    ),
    (
        "InvalidSmsRoleTrustRelationshipException",
        Outcome::DeliveryFailed,
    ),
    ("InvalidUserPoolConfigurationException", Outcome::Internal),
    ("LimitExceededException", Outcome::TooManyRequests),
    ("ManagedLoginBrandingExistsException", Outcome::Internal),
    ("MFAMethodNotFoundException", Outcome::MfaNotSetUp),
    ("NotAuthorizedException", Outcome::InvalidCredentials),
    ("OperationNotEnabledException", Outcome::Unavailable),
    (
        "PasswordHistoryPolicyViolationException",
        Outcome::PasswordReused,
    ),
    (
        "PasswordResetRequiredException",
        Outcome::PasswordResetRequired,
    ),
    ("PreconditionNotMetException", Outcome::Conflict),
    ("RefreshTokenReuseException", Outcome::InvalidCredentials),
    ("ResourceNotFoundException", Outcome::Internal),
    ("ScopeDoesNotExistException", Outcome::Internal),
    ("ServiceQuotaExceededException", Outcome::TooManyRequests),
    ("SoftwareTokenMFANotFoundException", Outcome::MfaNotSetUp),
    ("TermsExistsException", Outcome::Internal),
    ("TierChangeNotAllowedException", Outcome::Internal),
    ("TooManyFailedAttemptsException", Outcome::TooManyRequests),
    ("TooManyRequestsException", Outcome::TooManyRequests),
    ("UnauthorizedException", Outcome::InvalidCredentials),
    ("UnexpectedLambdaException", Outcome::TriggerFailed),
    ("UnsupportedIdentityProviderException", Outcome::Internal),
    ("UnsupportedOperationException", Outcome::Internal),
    ("UnsupportedTokenTypeException", Outcome::InvalidCredentials),
    ("UnsupportedUserStateException", Outcome::BadRequest),
    ("UserImportInProgressException", Outcome::Unavailable),
    ("UserLambdaValidationException", Outcome::TriggerFailed),
    ("UserNotConfirmedException", Outcome::UserNotConfirmed),
    ("UserNotFoundException", Outcome::InvalidCredentials),
    ("UserPoolAddOnNotEnabledException", Outcome::Internal),
    ("UserPoolTaggingException", Outcome::Internal),
    ("UsernameExistsException", Outcome::AlreadyTaken),
    ("WebAuthnChallengeNotFoundException", Outcome::BadRequest),
    ("WebAuthnClientMismatchException", Outcome::BadRequest),
    ("WebAuthnConfigurationMissingException", Outcome::Internal),
    (
        "WebAuthnCredentialNotSupportedException",
        Outcome::BadRequest,
    ),
    ("WebAuthnNotEnabledException", Outcome::Internal),
    ("WebAuthnOriginNotAllowedException", Outcome::Forbidden),
    ("WebAuthnRelyingPartyMismatchException", Outcome::BadRequest),
];

/// The text in the exception's message when pre-sign-up rejects, rather than fails.
const SIGN_UP_REFUSED: &str = "sign-up refused";

/// The text for a name that is still to be migrated: it is treated as a name that the pool knows.
const STILL_TO_BE_MOVED: &str = "already known";

/// Exceptions of the common AWS front end, which are not in the model.
const THROTTLED: &[&str] = &["ThrottlingException", "Throttling", "RequestThrottled"];

/// The message of `NotAuthorizedException` when Cognito has locked the user after wrong passwords.
const LOCKED: &str = "attempts exceeded";

/// Whether the exception is a limit of a single user, which Cognito never reports for an unknown
/// name. `TooManyRequestsException` is about the quotas of the whole account.
/// Source: AWS, `ForgotPassword` and `InitiateAuth`, errors; "Quotas in Amazon Cognito".
pub(crate) fn limits_one_user(refused: &AccountError) -> bool {
    match refused.exception.as_deref() {
        Some("LimitExceededException" | "TooManyFailedAttemptsException") => true,
        Some("NotAuthorizedException") => refused.message.contains(LOCKED),
        _ => false,
    }
}

impl From<&AccountError> for Outcome {
    fn from(refused: &AccountError) -> Self {
        let Some(exception) = refused.exception.as_deref() else {
            return Self::Unavailable;
        };
        if refused.is_about_secret() {
            return Self::Internal;
        }
        if exception == "NotAuthorizedException" && refused.message.contains(LOCKED) {
            return Self::TooManyRequests;
        }
        if exception == "UserLambdaValidationException" && refused.message.contains(SIGN_UP_REFUSED)
        {
            return Self::SignUpRefused;
        }
        if exception == "UserLambdaValidationException"
            && refused.message.contains(STILL_TO_BE_MOVED)
        {
            return Self::AlreadyTaken;
        }
        if THROTTLED.contains(&exception) {
            return Self::TooManyRequests;
        }
        let known = EXCEPTIONS.iter().find(|(name, _)| *name == exception);
        known.map_or(Self::Internal, |(_, outcome)| *outcome)
    }
}
