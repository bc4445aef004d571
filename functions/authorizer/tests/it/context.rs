//! The context by `CONTEXT_CLAIMS`, and its page.

use std::collections::BTreeMap;

use auth::memory::{MemoryKeys, MemoryRevocations};
use authorizer::context::{ContextClaim, ContextClaims};
use authorizer::signed_claims::{MAX_BYTES, MAX_NAME_BYTES, MAX_VALUE_BYTES, UnfitName};
use authorizer::{Authorizer, Config};
use runtime::{Handler, InvocationError};
use serde_json::{Value, json};
use testkit::{Pool, TokenBuilder, events};

const PAGE: &str = include_str!("../../../../docs/context.md");

type Memory = Authorizer<MemoryKeys, MemoryRevocations>;

fn authorizer(variables: &[(&str, &str)]) -> Memory {
    crate::in_memory(variables, MemoryRevocations::default())
}

fn with(claims: &str) -> Memory {
    authorizer(&[("CONTEXT_CLAIMS", claims)])
}

async fn answer(
    authorizer: &Memory,
    sample: &str,
    token: &TokenBuilder<'_>,
) -> Result<Value, InvocationError> {
    let text = events::sample(&format!("authorizer/{sample}")).to_string();
    let text = text.replace("{{ACCESS_TOKEN}}", &token.build());
    let event: Value = serde_json::from_str(&text).unwrap();
    let answer = authorizer.handle(&events::raw(&event), "request-1").await?;
    Ok(serde_json::from_str(answer.get()).unwrap())
}

async fn context(claims: &str, token: &TokenBuilder<'_>) -> Result<Value, InvocationError> {
    let answer = answer(&with(claims), "rest-token", token).await?;
    assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Allow");
    Ok(answer["context"].clone())
}

fn user() -> TokenBuilder<'static> {
    Pool::ours().access_token()
}

const REFUSED: Result<Value, InvocationError> = Err(InvocationError::Unauthorized);

#[tokio::test]
async fn values_keep_their_types_and_their_digits() {
    let rows = [
        (json!("ada@example.com"), json!("ada@example.com")),
        (json!(""), json!("")),
        (
            json!("J\u{fc}rgen \u{1f469} \"\\"),
            json!("J\u{fc}rgen \u{1f469} \"\\"),
        ),
        (json!(true), json!(true)),
        (json!(false), json!(false)),
        (json!("true"), json!("true")),
        (json!(0), json!(0)),
        (json!(-12), json!(-12)),
        (json!(1.5), json!(1.5)),
        (
            json!(999_999_999_999_999_u64),
            json!(999_999_999_999_999_u64),
        ),
        (json!(9_007_199_254_740_993_u64), json!("9007199254740993")),
        (json!(u64::MAX), json!("18446744073709551615")),
        (json!([]), json!("[]")),
        (json!(["a", "b,c"]), json!(r#"["a","b,c"]"#)),
        (
            json!({"formatted": "1\nMain"}),
            json!(r#"{"formatted":"1\nMain"}"#),
        ),
        (
            json!([1, null, {"a": [true]}]),
            json!(r#"[1,null,{"a":[true]}]"#),
        ),
    ];
    for (signed, expected) in rows {
        let token = user().claim("x", signed.clone());
        assert_eq!(
            context("x", &token).await,
            Ok(json!({"x": expected})),
            "{signed}"
        );
    }
    let token = user().claim("x", json!(null));
    assert_eq!(context("x,y", &token).await, Ok(json!({})), "absent claims");
}

#[tokio::test]
async fn every_kind_of_api_gets_the_same_members() {
    let token = user()
        .claim("email", "ada@example.com")
        .claim("email_verified", true)
        .claim("custom:tenant", "acme");
    let names = "sub,email,email_verified,custom:tenant";
    let expected = json!({
        "sub": token.get("sub"),
        "email": "ada@example.com",
        "email_verified": true,
        "custom_tenant": "acme",
    });
    let simple = authorizer(&[("CONTEXT_CLAIMS", names), ("HTTP_API_RESPONSE", "simple")]);
    for (sample, member) in [
        ("rest-token", "context"),
        ("rest-request", "context"),
        ("http-1", "context"),
        ("http-2", "context"),
        ("appsync", "resolverContext"),
    ] {
        for authorizer in [&with(names), &simple] {
            let answer = answer(authorizer, sample, &token).await.unwrap();
            assert_eq!(answer[member], expected, "{sample}");
        }
    }
}

#[tokio::test]
async fn a_web_socket_gets_what_closes_its_connection() {
    let token = user();
    for (names, sample, chosen) in [
        ("scope", "web-socket-connect", true),
        ("scope,session,sub", "web-socket-connect", true),
        ("scope", "rest-request", false),
    ] {
        let answer = answer(&with(names), sample, &token).await.unwrap();
        let mut expected = json!({"scope": token.get("scope")});
        if chosen {
            for (name, value) in [
                ("sub", token.get("sub").clone()),
                ("client_id", token.get("client_id").clone()),
                ("auth_time", json!(token.get("auth_time").to_string())),
                ("session", token.get("origin_jti").clone()),
                ("issuer", json!(Pool::ours().id)),
                ("token_id", token.get("jti").clone()),
                ("issued_at", json!(token.get("iat").to_string())),
            ] {
                expected[name] = value;
            }
        }
        assert_eq!(answer["context"], expected, "{names} {sample}");
    }
}

#[tokio::test]
async fn oversized_and_unprintable_values_refuse_the_request() {
    let longest = "x".repeat(MAX_VALUE_BYTES);
    let fitting = |claim: &str, value: &Value| user().claim(claim, value.clone());
    for (claim, key) in [
        ("email", "email"),
        ("custom:*", "custom_a"),
        ("tenant", "tenant"),
    ] {
        let name = if claim == "custom:*" {
            "custom:a"
        } else {
            claim
        };
        let found = context(claim, &fitting(name, &json!(longest))).await;
        assert_eq!(found, Ok(json!({key: longest})), "{claim}");
        for value in [
            json!(format!("{longest}x")),
            json!("\u{e9}".repeat(MAX_VALUE_BYTES / 2 + 1)),
            json!("a\r\nx-admin: true"),
            json!("a\u{0}"),
            json!("\u{7f}"),
            json!("\u{85}"),
        ] {
            let found = context(claim, &fitting(name, &value)).await;
            assert_eq!(found, REFUSED, "{claim} {value}");
        }
    }
    let list: Vec<String> = (0..300).map(|n| format!("role-{n}")).collect();
    for claim in ["roles", "x"] {
        let found = context(claim, &fitting(claim, &json!(list))).await;
        assert_eq!(found, REFUSED, "{claim}");
        let found = context(claim, &fitting(claim, &json!(["\u{7f}"]))).await;
        assert_eq!(found, REFUSED, "{claim}");
    }
    // Keys count, and so do the claims that are not named one by one.
    let sum = |rest: usize| {
        user()
            .claim("custom:a", "x".repeat(MAX_VALUE_BYTES))
            .claim("custom:b", "x".repeat(rest))
    };
    let rest = MAX_BYTES - MAX_VALUE_BYTES - "custom_acustom_b".len();
    for claims in ["custom:*", "custom:a,custom:b", "custom:a,custom:*"] {
        assert!(context(claims, &sum(rest)).await.is_ok(), "{claims}");
        assert_eq!(context(claims, &sum(rest + 1)).await, REFUSED, "{claims}");
    }
    // A caller without permission gets no context, hence the rules' own answer.
    let machine = Pool::ours()
        .machine_token()
        .claim("email", format!("{longest}x"));
    let answer = answer(&with("email"), "rest-token", &machine)
        .await
        .unwrap();
    assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Deny");
    assert_eq!(answer["context"], json!({}));
    // The claims that are not asked for have no bound but the token's.
    let token = user().claim("email", format!("{longest}x"));
    assert!(context("sub", &token).await.is_ok());
}

/// With `PolicyScope=api` the policy of a refused route allows others, whose backends would read the context.
#[tokio::test]
async fn an_unfit_claim_does_not_change_the_answer_to_a_refused_route() {
    let variables = [("CONTEXT_CLAIMS", "email"), ("POLICY_SCOPE", "api")];
    let authorizer = authorizer(&variables);
    let event = |verb: &str, route: &str, path: &str, token: &TokenBuilder<'_>| {
        let text = events::sample("authorizer/rest-request").to_string();
        let text = text.replace("{{ACCESS_TOKEN}}", &token.build());
        let mut event: Value =
            serde_json::from_str(&text.replace("GET/whoami", &format!("{verb}{path}"))).unwrap();
        event["resource"] = json!(route);
        event["path"] = json!(path);
        event["httpMethod"] = json!(verb);
        event
    };
    let effects = async |event: &Value| {
        let answer = authorizer.handle(&events::raw(event), "request-1").await?;
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        let statements = answer["policyDocument"]["Statement"].as_array().unwrap();
        let effects = statements.iter().map(|one| one["Effect"].clone());
        Ok((effects.collect::<Vec<_>>(), answer["context"].clone()))
    };
    let admin = |token: &TokenBuilder<'_>| {
        event(
            "DELETE",
            "/admin/users/{username}",
            "/admin/users/ada",
            token,
        )
    };
    let fit = user().claim("email", "ada@example.com");
    let (found, context) = effects(&admin(&fit)).await.unwrap();
    assert_eq!(found, ["Allow", "Deny"], "of other routes");
    assert_eq!(context, json!({"email": "ada@example.com"}));
    let unfit = user().claim("email", "x".repeat(MAX_VALUE_BYTES + 1));
    let (found, context) = effects(&admin(&unfit)).await.unwrap();
    assert_eq!(found, ["Deny", "Deny"]);
    assert_eq!(context, json!({}));
    let whoami = event("GET", "/whoami", "/whoami", &unfit);
    assert_eq!(effects(&whoami).await, Err(InvocationError::Unauthorized));
}

#[tokio::test]
async fn appsync_reads_the_refusal_from_the_response() {
    let token = user().claim("email", "\u{0}");
    let answer = answer(&with("email"), "appsync", &token).await.unwrap();
    assert_eq!(answer["isAuthorized"], false);
    assert_eq!(answer["resolverContext"], json!({}));
}

#[tokio::test]
async fn custom_attributes_are_added_without_their_names() {
    let token = user()
        .claim("custom:tenant", "acme")
        .claim("custom:a b", 7)
        .claim("custom:none", json!(null))
        .claim("customs", "no")
        .claim("email", "ada@example.com");
    let expected = json!({"custom_a_b": 7, "custom_tenant": "acme"});
    assert_eq!(context("custom:*", &token).await, Ok(expected.clone()));
    let named = context("custom:tenant,custom:*", &token).await;
    assert_eq!(named, Ok(expected), "once");
    assert_eq!(context("custom:*", &user()).await, Ok(json!({})));
    let same_key = token.claim("custom:a_b", 8);
    assert_eq!(context("custom:*", &same_key).await, REFUSED);
    assert_eq!(context("custom:a b,custom:*", &same_key).await, REFUSED);
    let another_case = user().claim("custom:a", 7).claim("custom:A", 8);
    assert_eq!(context("custom:*", &another_case).await, REFUSED);
    assert_eq!(context("custom:a,custom:*", &another_case).await, REFUSED);
}

#[tokio::test]
async fn the_default_has_no_further_claims() {
    let token = user().claim("email", "\u{0}").claim("custom:a", "\u{0}");
    let answer = answer(&authorizer(&[]), "rest-token", &token)
        .await
        .unwrap();
    let members = answer["context"].as_object().unwrap();
    let own = ContextClaim::ALL.map(ContextClaim::as_str);
    assert!(members.keys().all(|name| own.contains(&name.as_str())));
}

#[test]
fn names_that_could_be_taken_for_another_are_refused() {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let rows = [
        ("sub", "sub", UnfitName::Twice),
        ("email", "email", UnfitName::Twice),
        ("custom:*", "custom:*", UnfitName::Twice),
        ("custom:a", "custom_a", UnfitName::Twice),
        ("roles", "roles", UnfitName::Twice),
        ("email", "Email", UnfitName::Twice),
        ("custom:a", "CUSTOM:A", UnfitName::Twice),
        ("sub", "client-id", UnfitName::Reserved),
        ("sub", "key:id", UnfitName::Reserved),
        ("sub", "Sub", UnfitName::Reserved),
        ("sub", "Roles", UnfitName::Reserved),
        ("sub", "claims", UnfitName::Reserved),
        ("sub", "principalId", UnfitName::Reserved),
        ("sub", "principalid", UnfitName::Reserved),
        ("sub", "lambda", UnfitName::Reserved),
        ("sub", "status", UnfitName::Reserved),
        ("sub", "*", UnfitName::Invalid),
        ("sub", "cognito:*", UnfitName::Invalid),
        ("sub", "custom:*x", UnfitName::Invalid),
        ("sub", "__proto__", UnfitName::Invalid),
        ("sub", "2fa", UnfitName::Invalid),
        ("sub", "a\tb", UnfitName::Invalid),
        ("sub", "\u{fc}", UnfitName::Invalid),
        ("sub", long.as_str(), UnfitName::Invalid),
    ];
    for (first, second, unfit) in rows {
        let names = [first.to_owned(), second.to_owned()];
        assert_eq!(ContextClaims::of(&names), Err(vec![(1, unfit)]), "{second}");
    }
    let config = Config::from_lookup(&events::variables(&[(
        "CONTEXT_CLAIMS",
        "sub,secret*,email,email",
    )]));
    let problems = config.err().unwrap().to_string();
    assert!(
        problems.contains("element 2 is not a claim's name"),
        "{problems}"
    );
    assert!(problems.contains("element 4 has the key"), "{problems}");
    assert!(!problems.contains("secret"), "{problems}");
}

/// The rows of the table that follows a heading, without its head.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(heading).unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with('|'));
    let table = lines.take_while(|line| line.starts_with('|')).skip(2);
    table
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[tokio::test]
async fn the_page_shows_keys_and_values_as_they_are() {
    let mut seen = 0;
    for row in rows("### Any other claim") {
        let (name, key, value) = (code(row[0]), code(row[1]), code(row[2]));
        if name == "custom:*" {
            continue;
        }
        let value: Value = serde_json::from_str(value).unwrap();
        let nested = value.as_str().filter(|text| text.starts_with(['[', '{']));
        let signed = match nested {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => value.clone(),
        };
        let token = match name {
            // The token has its own.
            "iss" | "jti" | "exp" => user(),
            "aud" => user().claim("aud", Pool::ours().client_id),
            _ => user().claim(name, signed),
        };
        let found = context(name, &token).await.unwrap();
        let expected = match name {
            "iss" | "jti" | "exp" | "aud" => token.get(name),
            _ => &value,
        };
        assert_eq!(found, json!({key: expected}), "{name}");
        assert_eq!(found[key].is_string(), value.is_string(), "{name}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn the_page_has_every_name_of_our_own_with_its_default() {
    let page: BTreeMap<_, _> = rows("## Claim by claim")
        .into_iter()
        .map(|row| (code(row[1]), row[4] == "yes"))
        .collect();
    let mut expected: BTreeMap<_, _> = ContextClaim::ALL
        .into_iter()
        .map(|claim| {
            let is_of_connections = matches!(claim, ContextClaim::TokenId | ContextClaim::IssuedAt);
            (claim.as_str(), !is_of_connections)
        })
        .collect();
    expected.extend([("roles", false), ("tenant", false)]);
    assert_eq!(page, expected);
}
