//! The authorizer's verdict on malformed, forged and expired tokens. After each rejected token a valid
//! one must be accepted, so that hostile input does not affect later requests.

use auth_tests::{Authorizer, Verdict, request_event, token_event};
use serde_json::{Value, json};
use testkit::pool::Pool;
use testkit::rows::authorization::authorization_values;
use testkit::rows::{Expected, TokenRow, claims, headers, segments, times};
use testkit::token::{TokenBuilder, now};

/// The verdict of the shipped Cedar policies, which allow users and deny machines.
fn verdict_of(expected: Expected) -> Verdict {
    match expected {
        Expected::User => Verdict::Allow,
        Expected::Machine => Verdict::Deny,
        Expected::Refused(_) => Verdict::Unauthorized,
    }
}

/// Passes rows through one authorizer.
async fn check<const N: usize>(authorizer: &Authorizer, tables: [Vec<TokenRow>; N]) {
    let good = valid().build();
    for row in tables.into_iter().flatten() {
        let verdict = authorizer.verdict_on(&row.token).await;
        let expected = verdict_of(row.expected);
        assert_eq!(verdict, expected, "{}: {:.400}", row.name, row.token);
        assert_eq!(
            authorizer.verdict_on(&good).await,
            Verdict::Allow,
            "after {}",
            row.name
        );
    }
}

fn valid() -> TokenBuilder<'static> {
    Pool::ours().access_token()
}

#[tokio::test]
async fn rejects_malformed_authorization_headers() {
    let authorizer = Authorizer::start().await;
    for row in authorization_values(&valid().build()) {
        let expected = Verdict::passing(row.refused.is_none());
        let mut event = token_event("");
        event["authorizationToken"] = row.value.clone();
        let verdict = authorizer.verdict(&event).await;
        assert_eq!(verdict, expected, "TOKEN event, {}", row.name);
        let mut event = request_event("");
        event["headers"]["Authorization"] = row.value.clone();
        event["multiValueHeaders"]["Authorization"] = json!([row.value]);
        let verdict = authorizer.verdict(&event).await;
        assert_eq!(verdict, expected, "REQUEST event, {}", row.name);
    }
}

#[tokio::test]
async fn rejects_malformed_compact_serializations() {
    let authorizer = Authorizer::start().await;
    let tables = [
        segments::segment_counts(),
        segments::overlong_tokens(),
        segments::encodings(),
        segments::signatures(),
    ];
    check(&authorizer, tables).await;
}

#[tokio::test]
async fn rejects_malformed_segments() {
    let authorizer = Authorizer::start().await;
    let tables = [
        segments::invalid_json(),
        segments::other_json_types(),
        segments::duplicate_members(),
        segments::unknown_members(),
    ];
    check(&authorizer, tables).await;
}

#[tokio::test]
async fn rejects_invalid_jose_headers() {
    let authorizer = Authorizer::start().await;
    let fetches = authorizer.jwks.fetches();
    let tables = [
        headers::unsigned(),
        headers::alg_types(),
        headers::other_algorithms(),
        headers::unsupported_members(),
        headers::kid_types(),
        headers::unknown_kids(),
        headers::other_keys(&authorizer.jwks.uri()),
    ];
    check(&authorizer, tables).await;
    assert!(
        authorizer.jwks.fetches() <= fetches + 1,
        "a token caused requests to other hosts"
    );
    for word in ["attacker", "passwd"] {
        let log = authorizer.binary.output();
        assert!(!log.contains(word), "the log contains a kid");
    }
    check(&authorizer, [headers::accepted_headers()]).await;
}

#[tokio::test]
async fn rejects_every_flipped_bit() {
    let authorizer = Authorizer::start().await;
    let (good, flipped) = segments::flipped_bits();
    // One bit in each byte, at a moving position: `shared/auth/tests/tables` tries all of them.
    for (index, (token, at)) in flipped.enumerate() {
        if index % 7 == at % 7 {
            let verdict = authorizer.verdict_on(&token).await;
            assert_eq!(verdict, Verdict::Unauthorized, "byte {at}");
        }
    }
    assert_eq!(authorizer.verdict_on(&good).await, Verdict::Allow);
}

#[tokio::test]
async fn rejects_bad_time_claims() {
    let authorizer = Authorizer::start().await;
    let now = now();
    let tables = [
        times::invalid_times(),
        times::contradictory_times(now),
        times::expired(now),
        times::not_yet_valid(now),
        times::valid_times(now),
    ];
    check(&authorizer, tables).await;
}

#[tokio::test]
async fn leeway_is_configurable() {
    let authorizer = Authorizer::start_with(&[("CLOCK_LEEWAY_SECONDS", "60")]).await;
    check(&authorizer, [times::leeway_of_a_minute(now())]).await;
}

#[tokio::test]
async fn rejects_unknown_issuers() {
    let authorizer = Authorizer::start().await;
    let tables = [claims::unknown_issuers(), claims::invalid_issuers()];
    check(&authorizer, tables).await;
}

#[tokio::test]
async fn both_issuer_forms_of_a_pool_are_accepted() {
    let pool = Pool::ours();
    let updated = pool.issuer().replace("cognito-idp", "issuer-cognito-idp");
    let jwks = pool.jwks().to_string();
    let authorizer = Authorizer::start_with(&[
        ("ISSUER", &format!("{},{updated}", pool.issuer())),
        ("JWKS_URI", ""),
        ("JWKS", &jwks),
    ])
    .await;
    for (issuer, passes) in [
        (pool.issuer(), true),
        (updated.clone(), true),
        (format!("{}/", pool.issuer()), false),
    ] {
        let token = valid().claim("iss", issuer.as_str()).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::passing(passes), "{issuer}");
    }
    assert_eq!(authorizer.jwks.fetches(), 0, "inline keys need no fetch");

    let both = format!("{},{updated}", pool.issuer());
    let authorizer = Authorizer::start_with(&[("ISSUER", &both)]).await;
    for issuer in both.split(',') {
        let token = valid().claim("iss", issuer).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::Allow, "both forms have one key set URL");
    }
}

#[tokio::test]
async fn rejects_bad_subjects_clients_and_token_uses() {
    let authorizer = Authorizer::start().await;
    let tables = [
        claims::token_uses(),
        claims::clients(),
        claims::audiences(),
        claims::subjects(),
        claims::sessions(),
        claims::groups_and_scopes(),
        claims::delegation(),
        claims::machines(),
    ];
    check(&authorizer, tables).await;
}

#[tokio::test]
async fn accepted_token_uses_are_configurable() {
    let authorizer =
        Authorizer::start_with(&[("TOKEN_USE", "any"), ("REQUIRE_SESSION", "false")]).await;
    check(&authorizer, [claims::any_token_use()]).await;

    // An access token is the good one of `check`, so this deployment has its own loop.
    let authorizer = Authorizer::start_with(&[("TOKEN_USE", "id")]).await;
    for row in claims::id_tokens_only() {
        let verdict = authorizer.verdict_on(&row.token).await;
        assert_eq!(verdict, verdict_of(row.expected), "{}", row.name);
    }
    let authorizer = Authorizer::start_with(&[("RESOURCE_AUDIENCE", claims::RESOURCE)]).await;
    for row in claims::required_audience() {
        let verdict = authorizer.verdict_on(&row.token).await;
        assert_eq!(verdict, verdict_of(row.expected), "{}", row.name);
    }

    let authorizer = Authorizer::start_with(&[("RESOURCE_AUDIENCE", "*")]).await;
    check(&authorizer, [claims::any_audience()]).await;
}

#[tokio::test]
async fn iat_may_be_slightly_in_the_future() {
    let now = now();
    let authorizer = Authorizer::start().await;
    check(&authorizer, [times::iat_leeway(now)]).await;
    let (soon, later) = (times::issued_at(now + 40), times::issued_at(now + 60));
    let authorizer = Authorizer::start_with(&[("IAT_LEEWAY_SECONDS", "0")]).await;
    let verdict = authorizer.verdict_on(&later).await;
    assert_eq!(verdict, Verdict::Unauthorized);
    let authorizer = Authorizer::start_with(&[("IAT_LEEWAY_SECONDS", "60")]).await;
    assert_eq!(authorizer.verdict_on(&soon).await, Verdict::Allow);
}

#[tokio::test]
async fn the_token_length_limit_is_configurable() {
    let [usual, long, longer] = segments::long_tokens();
    let by_default = Authorizer::start().await;
    let raised = Authorizer::start_with(&[("MAX_TOKEN_BYTES", "10240")]).await;
    for (name, authorizer, token, passes) in [
        ("usual length", &by_default, &usual, true),
        ("above the default limit", &by_default, &long, false),
        ("usual length", &raised, &usual, true),
        ("within the configured limit", &raised, &long, true),
        ("above the configured limit", &raised, &longer, false),
    ] {
        let verdict = authorizer.verdict_on(token).await;
        assert_eq!(verdict, Verdict::passing(passes), "{name}");
        let verdict = authorizer.verdict_on(&valid().build()).await;
        assert_eq!(verdict, Verdict::Allow, "after {name}");
    }
}

#[tokio::test]
async fn all_rejections_look_alike() {
    let authorizer = Authorizer::start().await;
    let tokens = [
        String::new(),
        valid().claim("exp", now() - 1).build(),
        valid().header("kid", "unknown").build(),
        valid().signed_by(&Pool::foreign().access_key).build(),
        valid().claim("client_id", "x").build(),
    ];
    for token in tokens {
        let event = request_event(&format!("Bearer {token}"));
        let outcome = format!("{:?}", authorizer.binary.invoke(&event).await);
        assert_eq!(outcome, r#"Error("Unauthorized", "Unauthorized")"#);
    }
}

#[tokio::test]
async fn tokens_are_never_logged() {
    let authorizer = Authorizer::start().await;
    let good = valid().claim("username", "ada.secret@example.com").build();
    let bad = valid().claim("exp", 1).claim("x", "secret-claim").build();
    for token in [&good, &bad] {
        authorizer.verdict_on(token).await;
    }
    let log = authorizer.binary.output();
    for segment in good.split('.').chain(bad.split('.')) {
        assert!(!log.contains(segment), "{log}");
    }
    assert!(
        !log.contains("secret") && !log.contains("@example.com"),
        "{log}"
    );
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reasons: Vec<_> = lines
        .iter()
        .map(|line| line["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        ["allowed", "invalid_claims"],
        "one line per decision"
    );
}
