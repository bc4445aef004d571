//! The cause of a failed call, by the kind of the SDK's error and the service's error code. Messages are
//! not used: they may contain user names, and change.

use auth::{Cause, Dependency, Unavailable};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::ErrorKind;

/// The error codes whose cause is known, of every service that Gatehouse calls and of the common front
/// end.
/// Source: AWS, "Common Errors" of the API references of DynamoDB, Cognito, SQS, SNS, Secrets Manager
/// and API Gateway's management API.
const CODES: &[(Cause, &[&str])] = &[
    (
        Cause::Throttled,
        &[
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "KMSThrottlingException",
            "KmsThrottled",
            "LimitExceededException",
            "OverLimit",
            "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "ServiceQuotaExceededException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyFailedAttemptsException",
            "TooManyRequestsException",
            "TransactionInProgressException",
        ],
    ),
    (
        Cause::AccessDenied,
        &[
            "AccessDenied",
            "AccessDeniedException",
            "AuthorizationError",
            "AuthorizationErrorException",
            "ExpiredToken",
            "ExpiredTokenException",
            "ForbiddenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidSignatureException",
            "KMSAccessDeniedException",
            "KmsAccessDenied",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "NotAuthorizedException",
            "OptInRequired",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "UnauthorizedException",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        ],
    ),
    (
        Cause::NotFound,
        &[
            "AWS.SimpleQueueService.NonExistentQueue",
            "KMSNotFoundException",
            "KmsNotFound",
            "NotFound",
            "NotFoundException",
            "QueueDoesNotExist",
            "ResourceNotFoundException",
            "TableNotFoundException",
            "UserNotFoundException",
        ],
    ),
    (
        Cause::Timeout,
        &["RequestTimeout", "RequestTimeoutException"],
    ),
];

/// The cause of a failed call.
#[must_use]
pub fn cause_of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Cause {
    match error {
        SdkError::TimeoutError(_) => Cause::Timeout,
        SdkError::DispatchFailure(failure) => failure
            .as_connector_error()
            .map_or(Cause::Other, cause_of_connector),
        // The response ended before it was complete.
        SdkError::ResponseError(_) => Cause::Connection,
        SdkError::ServiceError(refused) => match refused.err().code() {
            Some(code) => of_code(code),
            None => None,
        }
        .unwrap_or_else(|| Cause::of_status(refused.raw().status().as_u16())),
        SdkError::ConstructionFailure(_) | _ => Cause::Other,
    }
}

/// Turns the error of a call into the failure of `dependency`, for `map_err`.
pub fn unavailable<E: ProvideErrorMetadata>(
    dependency: Dependency,
) -> impl Fn(SdkError<E, HttpResponse>) -> Unavailable {
    move |error| dependency.unavailable(cause_of(&error))
}

/// The cause of a request without a response.
#[must_use]
pub fn cause_of_connector(failure: &ConnectorError) -> Cause {
    if failure.is_timeout() {
        Cause::Timeout
    } else if failure.is_io() || failure.as_other() == Some(ErrorKind::TransientError) {
        Cause::Connection
    } else {
        Cause::Other
    }
}

fn of_code(code: &str) -> Option<Cause> {
    let has_code = |(_, codes): &&(Cause, &[&str])| codes.contains(&code);
    CODES.iter().find(has_code).map(|(cause, _)| *cause)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    type Error = SdkError<ErrorMetadata, HttpResponse>;

    fn response(status: u16) -> HttpResponse {
        let status = StatusCode::try_from(status).unwrap();
        HttpResponse::new(status, SdkBody::empty())
    }

    fn refused(code: Option<&str>, status: u16) -> Error {
        let metadata = ErrorMetadata::builder();
        let metadata = match code {
            Some(code) => metadata.code(code),
            None => metadata,
        };
        SdkError::service_error(
            metadata.message("user@example.com").build(),
            response(status),
        )
    }

    #[track_caller]
    fn check(error: &Error, expected: &str) {
        let cause = cause_of(error);
        assert_eq!(cause.as_str(), expected);
    }

    #[test]
    fn codes_decide_before_the_status() {
        for (code, expected) in [
            ("AccessDeniedException", "access_denied"),
            ("ThrottlingException", "throttled"),
            ("ProvisionedThroughputExceededException", "throttled"),
            ("RequestLimitExceeded", "throttled"),
            ("TooManyRequestsException", "throttled"),
            ("ResourceNotFoundException", "not_found"),
            ("UnrecognizedClientException", "access_denied"),
            ("ExpiredToken", "access_denied"),
            ("ExpiredTokenException", "access_denied"),
            ("AWS.SimpleQueueService.NonExistentQueue", "not_found"),
            ("ValidationException", "other"),
            ("InternalServerError", "other"),
        ] {
            check(&refused(Some(code), 400), expected);
        }
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        for (status, expected) in [
            (200, "invalid_response"),
            (302, "invalid_response"),
            (400, "other"),
            (401, "access_denied"),
            (403, "access_denied"),
            (404, "not_found"),
            (429, "throttled"),
            (500, "other"),
            (503, "other"),
            (504, "timeout"),
        ] {
            check(&refused(None, status), expected);
            check(&refused(Some("AnotherException"), status), expected);
        }
    }

    #[test]
    fn calls_without_a_response_have_a_cause() {
        let slow = || ConnectorError::timeout("slow".into());
        let other = |kind| SdkError::dispatch_failure(ConnectorError::other("x".into(), kind));
        check(&SdkError::timeout_error("slow"), "timeout");
        check(&SdkError::dispatch_failure(slow()), "timeout");
        let refused = ConnectorError::io("refused".into());
        check(&SdkError::dispatch_failure(refused), "connection");
        check(&other(Some(ErrorKind::TransientError)), "connection");
        check(&other(None), "other");
        check(&SdkError::construction_failure("no region"), "other");
        check(
            &SdkError::response_error("cut", response(200)),
            "connection",
        );
    }

    #[test]
    fn no_code_has_two_causes() {
        let mut seen = HashSet::new();
        for (_, codes) in CODES {
            assert!(codes.is_sorted());
            for code in *codes {
                assert!(seen.insert(code), "{code}");
            }
        }
    }

    #[test]
    fn the_failure_names_the_dependency_and_no_message() {
        let failed = unavailable(Dependency::Profiles)(refused(Some("AccessDenied"), 400));
        assert_eq!(failed.to_string(), "profiles_unavailable");
        assert_eq!(failed.cause, Cause::AccessDenied);
        assert!(!format!("{failed:?}").contains("example"));
    }
}
