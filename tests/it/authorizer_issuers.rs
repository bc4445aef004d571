//! Several issuers in one configuration: tokens of other providers and of another pool, and keys that must
//! not verify tokens of each other's issuers.

use auth_tests::{Authorizer, Verdict, environment};
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::rows::{Expected, providers};
use testkit::token::now;
use testkit::{Binary, Pool, SigningKey, TokenBuilder};

use crate::authorizer_rules::{call, example, rules_for_any_user};

/// A provider with a key server of its own.
struct Provider {
    alias: &'static str,
    issuer: &'static str,
    alg: &'static str,
    key: SigningKey,
    jwks: JwksServer,
}

impl Provider {
    async fn start(alias: &'static str, issuer: &'static str, alg: &'static str) -> Self {
        let key = providers::key_for(alg);
        let jwks = JwksServer::start(&json!({"keys": [key.jwk(providers::KID)]})).await;
        Self {
            alias,
            issuer,
            alg,
            key,
            jwks,
        }
    }

    fn configured(&self, audience: &str) -> Value {
        json!({"issuer": self.issuer, "alias": self.alias, "jwks_uri": self.jwks.uri(),
            "audiences": [audience], "algorithms": [self.alg]})
    }

    fn token(&self, claims: &Value) -> TokenBuilder<'_> {
        providers::token(self.issuer, self.alg, &self.key, claims)
    }
}

/// With a rule for users of every issuer.
async fn start(configured: Value) -> Authorizer {
    start_with(configured, rules_for_any_user()).await
}

async fn start_with(configured: Value, rules: &str) -> Authorizer {
    let configured = configured.to_string();
    let more = [("TRUSTED_ISSUERS", &*configured), ("POLICIES_DIR", rules)];
    Authorizer::start_with(&more).await
}

#[tokio::test]
async fn tokens_of_known_providers_are_accepted() {
    let known = providers::known_providers();
    let mut started = Vec::new();
    for known in &known {
        started.push(Provider::start(known.alias, known.issuer, known.alg).await);
    }
    let configured = started.iter().zip(&known);
    let configured = configured.map(|(provider, known)| provider.configured(known.audience));
    let authorizer = start(configured.collect()).await;
    for (provider, known) in started.iter().zip(&known) {
        let token = provider.token(&known.claims);
        let event = auth_tests::request_event(&format!("Bearer {}", token.build()));
        let answer = authorizer.binary.invoke(&event).await.answer();
        let subject = known.claims["sub"].as_str().unwrap();
        assert_eq!(answer["principalId"], format!("{}|{subject}", known.alias));
        assert_eq!(answer["context"]["sub"], subject);
        assert_eq!(answer["context"]["scope"], known.scope, "{subject}");
        assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Allow");
        for row in providers::defects(&token) {
            assert_eq!(
                authorizer.verdict_on(&row.token).await,
                Verdict::Unauthorized,
                "{}: {}",
                known.alias,
                row.name
            );
        }
    }
    let good = Pool::ours().access_token().build();
    assert_eq!(
        authorizer.verdict_on(&good).await,
        Verdict::Allow,
        "the pool's tokens are accepted"
    );
}

#[tokio::test]
async fn keys_are_valid_for_their_own_issuer_only() {
    let one = Provider::start("one", "https://one.example", "RS256").await;
    let two = Provider::start("two", "https://two.example", "ES256").await;
    let authorizer = start(json!([one.configured("api"), two.configured("api")])).await;
    let claims = json!({"sub": "ada", "aud": "api", "sid": "s1"});
    assert_eq!(
        authorizer.verdict_on(&one.token(&claims).build()).await,
        Verdict::Allow
    );
    assert_eq!(
        authorizer.verdict_on(&two.token(&claims).build()).await,
        Verdict::Allow
    );
    let ours = Pool::ours();
    for crossed in [
        one.token(&claims).claim("iss", two.issuer),
        two.token(&claims).claim("iss", one.issuer),
        one.token(&claims).claim("iss", ours.issuer()),
        one.token(&claims).claim("iss", "https://one.example/"),
        ours.access_token()
            .claim("iss", one.issuer)
            .claim("aud", "api"),
        ours.access_token()
            .claim("iss", one.issuer)
            .claim("aud", "api")
            .header("kid", "k1"),
        one.token(&claims)
            .signed_by(&two.key)
            .header("alg", "ES256"),
        two.token(&claims).header("alg", "RS256"),
    ] {
        let token = crossed.build();
        assert_eq!(
            authorizer.verdict_on(&token).await,
            Verdict::Unauthorized,
            "{token}"
        );
    }
}

#[tokio::test]
async fn algorithms_are_configured_per_issuer() {
    // A key set may contain keys for algorithms that the configuration does not name.
    let provider = Provider::start("p", "https://p.example", "ES256").await;
    let mut configured = provider.configured("api");
    configured["algorithms"] = json!(["RS256"]);
    let authorizer = start(json!([configured])).await;
    let token = provider.token(&json!({"sub": "ada", "aud": "api"})).build();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Unauthorized);
}

#[tokio::test]
async fn revocations_are_kept_by_issuer_alias() {
    let provider = Provider::start("p", "https://p.example", "RS256").await;
    let authorizer = start(json!([provider.configured("api")])).await;
    let token = provider
        .token(&json!({"sub": "ada", "aud": "api", "sid": "s1", "jti": "j1"}))
        .build();
    let later = json!({"expires_at": {"N": (now() + 1_000).to_string()}});
    for (sort, refused) in [
        ("session#s1", true),
        ("token#j1", true),
        ("session#s2", false),
    ] {
        authorizer.store.clear();
        authorizer.store.put("p#user#ada", sort, later.clone());
        let expected = Verdict::passing(!refused);
        assert_eq!(authorizer.verdict_on(&token).await, expected, "{sort}");
    }
}

#[tokio::test]
async fn tokens_of_a_second_pool_are_accepted_only_if_configured() {
    let foreign = Pool::foreign();
    let jwks = JwksServer::start(&foreign.jwks()).await;
    let authorizer = start(json!([{"issuer": foreign.issuer(), "alias": foreign.id,
        "jwks_uri": jwks.uri(), "audiences": [foreign.client_id]}]))
    .await;
    let theirs = foreign.access_token();
    let ours = Pool::ours();
    assert_eq!(authorizer.verdict_on(&theirs.build()).await, Verdict::Allow);
    assert_eq!(
        authorizer.verdict_on(&ours.access_token().build()).await,
        Verdict::Allow
    );
    for crossed in [
        theirs.clone().claim("client_id", ours.client_id),
        theirs.clone().claim("iss", ours.issuer()),
        theirs
            .clone()
            .signed_by(&ours.access_key)
            .header("kid", ours.access_kid),
        ours.access_token().claim("iss", foreign.issuer()),
        theirs.clone().without("origin_jti"),
    ] {
        assert_eq!(
            authorizer.verdict_on(&crossed.build()).await,
            Verdict::Unauthorized
        );
    }
    let key = foreign.access_token();
    let user = format!("{}#user#{}", foreign.id, key.get("sub").as_str().unwrap());
    authorizer
        .store
        .put(&user, "user", json!({"disabled": {"BOOL": true}}));
    assert_eq!(
        authorizer.verdict_on(&theirs.build()).await,
        Verdict::Unauthorized
    );
    assert_eq!(
        authorizer.verdict_on(&ours.access_token().build()).await,
        Verdict::Allow
    );
}

#[tokio::test]
async fn revocations_of_another_pool_are_kept_under_its_id() {
    let foreign = Pool::foreign();
    let jwks = JwksServer::start(&foreign.jwks()).await;
    let authorizer = start(json!([{"issuer": foreign.issuer(), "alias": "partner",
        "jwks_uri": jwks.uri(), "audiences": [foreign.client_id]}]))
    .await;
    let theirs = foreign.access_token();
    let sub = theirs.get("sub").as_str().unwrap().to_owned();
    let event = auth_tests::request_event(&format!("Bearer {}", theirs.build()));
    let answer = authorizer.binary.invoke(&event).await.answer();
    assert_eq!(answer["principalId"], format!("partner|{sub}"));
    assert_eq!(answer["context"]["issuer"], foreign.id);
    for (partition, expected) in [
        (format!("partner#user#{sub}"), Verdict::Allow),
        (format!("{}#user#{sub}", foreign.id), Verdict::Unauthorized),
    ] {
        authorizer.store.clear();
        let disabled = json!({"disabled": {"BOOL": true}});
        authorizer.store.put(&partition, "user", disabled);
        assert_eq!(
            authorizer.verdict_on(&theirs.build()).await,
            expected,
            "{partition}"
        );
    }
}

#[tokio::test]
async fn machine_tokens_of_other_providers_are_recognised() {
    let provider = Provider::start("p", "https://p.example", "RS256").await;
    let authorizer = start(json!([provider.configured("api")])).await;
    for row in providers::machines_and_users() {
        let token = provider.token(&row.claims).build();
        let verdict = authorizer.verdict_on(&token).await;
        // The policy allows users only.
        let expected = match row.expected {
            Expected::User => Verdict::Allow,
            Expected::Machine => Verdict::Deny,
            Expected::Refused(_) => Verdict::Unauthorized,
        };
        assert_eq!(verdict, expected, "{}", row.name);
    }
}

#[tokio::test]
async fn client_id_comes_from_the_client_claim_and_not_the_audience() {
    let provider = Provider::start("p", "https://p.example", "RS256").await;
    let authorizer = start(json!([provider.configured("api")])).await;
    for name in providers::CLIENT_CLAIMS {
        let claims = providers::user_with(&json!({name: "app1"}));
        let token = provider.token(&claims).build();
        let event = auth_tests::request_event(&format!("Bearer {token}"));
        let answer = authorizer.binary.invoke(&event).await.answer();
        assert_eq!(answer["context"]["client_id"], "app1", "{name}");
    }
    let mut configured = provider.configured("api");
    configured["clients"] = json!(["app1", "app2"]);
    let authorizer = start(json!([configured])).await;
    for row in providers::limited_clients() {
        let token = provider.token(&row.claims).build();
        let verdict = authorizer.verdict_on(&token).await;
        let expected = Verdict::passing(row.expected == Expected::User);
        assert_eq!(verdict, expected, "{}", row.name);
    }
}

#[tokio::test]
async fn rejects_id_and_logout_tokens_of_other_providers() {
    let provider = Provider::start("p", "https://p.example", "RS256").await;
    let authorizer = start(json!([provider.configured("api")])).await;
    let mut configured = provider.configured("api");
    configured["token"] = json!("id");
    let takes_id = start(json!([configured])).await;
    for row in providers::token_kinds() {
        let token = provider.token(&row.claims).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::passing(row.is_access), "{}", row.name);
        let verdict = takes_id.verdict_on(&token).await;
        let expected = Verdict::passing(row.is_access || row.is_id);
        assert_eq!(verdict, expected, "{}", row.name);
    }
}

#[tokio::test]
async fn rules_distinguish_issuers() {
    let provider = Provider::start("partner", "https://p.example", "RS256").await;
    let configured = || json!([provider.configured("api")]);
    let ours = Pool::ours().access_token();
    let sub = ours.get("sub").clone();
    let theirs = provider.token(&json!({"sub": sub, "sid": "s", "aud": "api",
        "groups": ["admins"], "tenant": "acme", "custom:department": "QA"}));
    // The shipped rule applies only to users of the pool.
    let configured_text = configured().to_string();
    let authorizer = Authorizer::start_with(&[("TRUSTED_ISSUERS", &configured_text)]).await;
    assert_eq!(authorizer.verdict_on(&ours.build()).await, Verdict::Allow);
    assert_eq!(authorizer.verdict_on(&theirs.build()).await, Verdict::Deny);
    for (name, verb, route) in [
        ("own-data", "GET", "/users/{sub}"),
        ("roles", "GET", "/tenants/{tenant}/invoices"),
        ("claims", "POST", "/tests"),
    ] {
        let folder = example(name);
        let authorizer = start_with(configured(), folder.to_str().unwrap()).await;
        let same = ours
            .clone()
            .claim("tenant", "acme")
            .claim("custom:department", "QA");
        for (token, expected) in [(&same, Verdict::Allow), (&theirs, Verdict::Deny)] {
            let mut event = call(token, verb, route, "/x");
            event["pathParameters"] = json!({"sub": sub, "tenant": "acme"});
            assert_eq!(authorizer.verdict(&event).await, expected, "{name}");
        }
    }
    let folder = example("other-issuers");
    let authorizer = start_with(configured(), folder.to_str().unwrap()).await;
    let machine =
        |client: &str| provider.token(&json!({"sub": client, "azp": client, "aud": "api"}));
    for (token, verb, route, expected) in [
        (&theirs, "GET", "/reports", Verdict::Allow),
        (&theirs, "POST", "/reports", Verdict::Deny),
        (&theirs, "GET", "/orders", Verdict::Deny),
        (&ours, "GET", "/orders", Verdict::Allow),
        (&machine("batch"), "POST", "/reports", Verdict::Allow),
        (&machine("other"), "POST", "/reports", Verdict::Deny),
        (&machine("batch"), "GET", "/reports", Verdict::Deny),
    ] {
        let verdict = authorizer.verdict(&call(token, verb, route, route)).await;
        assert_eq!(verdict, expected, "{verb} {route}");
    }
}

#[tokio::test]
async fn token_lifetime_is_configurable() {
    const DAY: u64 = 24 * 60 * 60;
    let provider = Provider::start("p", "https://p.example", "RS256").await;
    let mut longer = provider.configured("api");
    longer["max_lifetime_seconds"] = json!(30 * DAY);
    let by_default = start(json!([provider.configured("api")])).await;
    let longer = start(json!([longer])).await;
    for row in providers::lifetimes() {
        let token = provider.token(&providers::user_with(&json!({})));
        let token = token.claim("exp", now() + row.seconds).build();
        let verdict = by_default.verdict_on(&token).await;
        assert_eq!(
            verdict,
            Verdict::passing(row.within_a_day),
            "{}",
            row.seconds
        );
        let verdict = longer.verdict_on(&token).await;
        assert_eq!(
            verdict,
            Verdict::passing(row.within_30_days),
            "{}",
            row.seconds
        );
    }
}

#[tokio::test]
async fn delegated_tokens_are_accepted_only_if_allowed() {
    let authorizer = Authorizer::start_with(&[("ALLOW_DELEGATED_TOKENS", "true")]).await;
    let token = Pool::ours()
        .access_token()
        .claim("act", json!({"sub": "agent"}))
        .build();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow);
}

#[tokio::test]
async fn rejects_invalid_issuer_configurations() {
    let good = || {
        json!({"issuer": "https://p.example", "alias": "p", "audiences": ["api"],
            "jwks_uri": "http://127.0.0.1:9/jwks.json"})
    };
    let with = |member: &str, value: Value| {
        let mut issuer = good();
        issuer[member] = value;
        json!([issuer]).to_string()
    };
    let rows = [
        "nonsense".to_owned(),
        "{}".to_owned(),
        json!([{}]).to_string(),
        json!([good(), good()]).to_string(),
        with("issuer", json!("http://p.example")),
        with("issuer", json!("https://u@p.example")),
        with("issuer", json!(Pool::ours().issuer())),
        with("alias", json!("")),
        with("alias", json!("a#b")),
        with("alias", json!(Pool::ours().id)),
        with("audiences", json!([])),
        with("audiences", json!(["*"])),
        with("audiences", json!([""])),
        with("algorithms", json!(["HS256"])),
        with("algorithms", json!(["none"])),
        with("jwks_uri", json!("http://p.example/jwks.json")),
        with("kind", json!("saml")),
        with("unknown", json!(1)),
        with("token", json!("any")),
        with("max_lifetime_seconds", json!(0)),
        with("max_lifetime_seconds", json!(2_592_001)),
        // The pool itself, with the other form of its issuer.
        with(
            "issuer",
            json!(format!(
                "https://issuer-cognito-idp.us-east-1.amazonaws.com/{}",
                Pool::ours().id
            )),
        ),
    ];
    for value in rows {
        let more = [("TRUSTED_ISSUERS", value.as_str())];
        let environment = environment("http://127.0.0.1:9/x", "http://127.0.0.1:9", &more);
        let output = Binary::start_refused("authorizer", &environment).await;
        assert!(output.contains("TRUSTED_ISSUERS"), "{value}: {output}");
    }
}
