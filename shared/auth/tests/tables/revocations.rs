//! Which revocations apply to a session and to an API key, without their tokens.

use auth::{
    DenyReason, REVOCATION_MARGIN_SECONDS, RevocationContext, Revocations, UnixSeconds,
    UserRevocation,
};

/// When the session was authenticated and the key created, and when the token was issued.
const SINCE: UnixSeconds = UnixSeconds(1_000);
const ISSUED: UnixSeconds = UnixSeconds(2_000);

fn user(not_before: UnixSeconds, except_session: Option<&str>) -> Revocations {
    Revocations {
        user_not_before: Some(UserRevocation {
            not_before,
            except_session: except_session.map(str::to_owned),
        }),
        ..Revocations::default()
    }
}

/// Revocations, and why they refuse the session `s`, and the API key.
fn rows() -> Vec<(Revocations, Option<DenyReason>, Option<DenyReason>)> {
    use DenyReason as Reason;
    let earlier = |moment: UnixSeconds| Some(UnixSeconds(moment.0 - 1));
    let none = Revocations::default;
    let both =
        |revocations: Revocations, reason: DenyReason| (revocations, Some(reason), Some(reason));
    let never = |revocations: Revocations| (revocations, None, None);
    let signed_in =
        |revocations: Revocations, reason: DenyReason| (revocations, Some(reason), None);
    vec![
        never(none()),
        both(
            Revocations {
                unreadable: true,
                ..none()
            },
            Reason::UnreadableRevocation,
        ),
        both(
            Revocations {
                token: true,
                ..none()
            },
            Reason::TokenRevoked,
        ),
        both(
            Revocations {
                session: true,
                ..none()
            },
            Reason::SessionRevoked,
        ),
        both(
            Revocations {
                user_disabled: true,
                ..none()
            },
            Reason::UserDisabled,
        ),
        // A sign-out everywhere is about sign-ins.
        signed_in(user(SINCE, None), Reason::UserRevoked),
        signed_in(user(SINCE, Some("another")), Reason::UserRevoked),
        never(user(SINCE, Some("s"))),
        never(user(earlier(SINCE).unwrap(), None)),
        signed_in(
            Revocations {
                tokens_not_before: Some(ISSUED),
                ..none()
            },
            Reason::Outdated,
        ),
        never(Revocations {
            tokens_not_before: earlier(ISSUED),
            ..none()
        }),
        both(
            Revocations {
                client_not_before: Some(SINCE),
                ..none()
            },
            Reason::ClientRevoked,
        ),
        never(Revocations {
            client_not_before: earlier(SINCE),
            ..none()
        }),
        both(
            Revocations {
                issuer_not_before: Some(SINCE),
                ..none()
            },
            Reason::IssuerRevoked,
        ),
        never(Revocations {
            issuer_not_before: earlier(SINCE),
            ..none()
        }),
        signed_in(
            Revocations {
                provider_not_before: Some(SINCE),
                ..none()
            },
            Reason::ProviderRemoved,
        ),
        never(Revocations {
            provider_not_before: earlier(SINCE),
            ..none()
        }),
    ]
}

#[test]
fn revocations_apply_to_sessions_and_keys() {
    for (revocations, session, key) in rows() {
        let refused = revocations.check_session(Some("s"), SINCE, ISSUED).err();
        assert_eq!(refused, session, "{revocations:?}");
        assert_eq!(
            revocations.check_api_key(SINCE).err(),
            key,
            "{revocations:?}"
        );
    }
}

#[test]
fn a_session_without_an_id_is_not_the_kept_one() {
    for kept in [Some("s"), None] {
        let refused = user(SINCE, kept).check_session(None, SINCE, ISSUED);
        assert_eq!(refused, Err(DenyReason::UserRevoked), "{kept:?}");
    }
}

#[test]
fn a_revocation_is_kept_for_a_day_longer_than_the_refresh_token() {
    assert_eq!(REVOCATION_MARGIN_SECONDS, 86_400);
    let context = RevocationContext {
        reason: "logout",
        actor: "a",
        at: SINCE,
        refresh_token_ttl_seconds: 3_600,
    };
    assert_eq!(context.kept_seconds(), 90_000);
}
