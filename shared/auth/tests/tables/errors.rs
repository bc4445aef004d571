//! The words of failures in logs, metrics and documents.

use auth::{Cause, DenyReason, Dependency};

#[test]
fn dependencies_have_their_names() {
    for (dependency, name) in [
        (Dependency::Jwks, "jwks"),
        (Dependency::Revocations, "revocations"),
        (Dependency::ApiKeys, "api_keys"),
        (Dependency::Profiles, "profiles"),
        (Dependency::Sessions, "sessions"),
        (Dependency::BrowserSessions, "browser_sessions"),
        (Dependency::Connections, "connections"),
        (Dependency::Attempts, "attempts"),
        (Dependency::PendingGroups, "pending_groups"),
        (Dependency::Legacy, "legacy"),
        (Dependency::Topic, "topic"),
        (Dependency::Cognito, "cognito"),
    ] {
        let failure = format!("{name}_unavailable");
        assert_eq!(dependency.name(), name);
        assert_eq!(dependency.as_str(), failure);
        let unavailable = dependency.unavailable(Cause::Timeout);
        assert_eq!(unavailable.as_str(), failure);
        assert_eq!(unavailable.to_string(), failure);
    }
}

#[test]
fn causes_have_their_names() {
    let names = Cause::ALL.iter().map(|cause| cause.as_str());
    let expected = [
        "timeout",
        "throttled",
        "access_denied",
        "not_found",
        "connection",
        "invalid_response",
        "other",
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn a_status_has_a_cause() {
    for (statuses, cause) in [
        (&[200, 204, 301, 399][..], Cause::Invalid),
        (&[401, 403, 407], Cause::AccessDenied),
        (&[404, 410], Cause::NotFound),
        (&[408, 504], Cause::Timeout),
        (&[429], Cause::Throttled),
        (&[199, 400, 402, 405, 500, 502, 503, 599], Cause::Other),
    ] {
        for status in statuses {
            assert_eq!(Cause::of_status(*status), cause, "{status}");
        }
    }
}

/// The use of a revoked credential is an act for the audit trail.
#[test]
fn six_reasons_are_revocations() {
    let reasons = DenyReason::ALL.iter().filter(|it| it.is_revocation());
    let names: Vec<&str> = reasons.map(|it| it.as_str()).collect();
    let expected = [
        "token_revoked",
        "session_revoked",
        "user_revoked",
        "user_disabled",
        "client_revoked",
        "issuer_revoked",
    ];
    assert_eq!(names, expected);
}
