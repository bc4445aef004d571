//! Several issuers in one configuration: tokens of other providers and of another pool, and keys that must
//! not verify tokens of each other's issuers.

use auth_tests::{Authorizer, Verdict, environment};
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
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
        let key = match alg {
            "ES256" => SigningKey::p256(),
            "EdDSA" => SigningKey::ed25519(),
            _ => SigningKey::rsa(),
        };
        let jwks = JwksServer::start(&json!({"keys": [key.jwk("k1")]})).await;
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
        let header = json!({"alg": self.alg, "kid": "k1", "typ": "JWT"});
        let token = TokenBuilder::new(&header, claims, &self.key);
        let token = token.claim("iss", self.issuer);
        token.claim("iat", now() - 5).claim("exp", now() + 3_600)
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
    let auth0 = Provider::start("auth0", "https://tenant.eu.auth0.com/", "RS256").await;
    let okta = Provider::start("okta", "https://dev-1.okta.com/oauth2/default", "RS256").await;
    let entra = Provider::start("entra", "https://login.microsoftonline.com/t/v2.0", "RS256").await;
    let google = Provider::start("google", "https://accounts.google.com", "ES256").await;
    let keycloak = Provider::start("keycloak", "https://sso.example/realms/r", "EdDSA").await;
    let configured = json!([
        auth0.configured("https://api.example"),
        okta.configured("api://default"),
        entra.configured("11111111-api"),
        google.configured("1234.apps.googleusercontent.com"),
        keycloak.configured("account"),
    ]);
    let authorizer = start(configured).await;
    let rows = [
        (auth0.token(&json!({"sub": "auth0|5f7c8ec7", "azp": "client1", "scope": "openid read:orders",
            "aud": ["https://api.example", "https://tenant.eu.auth0.com/userinfo"]})), "auth0|5f7c8ec7", "openid read:orders"),
        (okta.token(&json!({"sub": "ada@example.com", "aud": "api://default", "cid": "0oa1", "uid": "00u1",
            "scp": ["openid", "orders"], "ver": 1, "jti": "AT.x", "auth_time": now() - 60})), "ada@example.com", "openid orders"),
        (entra.token(&json!({"sub": "AAAAAA", "aud": "11111111-api", "azp": "client", "scp": "Orders.Read",
            "oid": "o", "tid": "t", "sid": "s1", "groups": ["g1"], "preferred_username": "ada@example.com",
            "nbf": now() - 5, "ver": "2.0"})), "AAAAAA", "Orders.Read"),
        (google.token(&json!({"sub": "110169484474386276334", "aud": "1234.apps.googleusercontent.com",
            "azp": "1234.apps.googleusercontent.com", "email": "ada@example.com", "email_verified": true})), "110169484474386276334", ""),
        (keycloak.token(&json!({"sub": "f:1:ada", "aud": ["x", "account"], "azp": "app", "typ": "Bearer", "sid": "s1",
            "realm_access": {"roles": ["user"]}, "scope": "openid email", "preferred_username": "ada"})), "f:1:ada", "openid email"),
    ];
    let aliases = ["auth0", "okta", "entra", "google", "keycloak"];
    for ((token, subject, scope), alias) in rows.into_iter().zip(aliases) {
        let event = auth_tests::request_event(&format!("Bearer {}", token.build()));
        let answer = authorizer.binary.invoke(&event).await.answer();
        assert_eq!(answer["principalId"], format!("{alias}|{subject}"));
        assert_eq!(answer["context"]["sub"], subject);
        assert_eq!(answer["context"]["scope"], scope, "{subject}");
        assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Allow");
        for broken in [
            token.clone().claim("aud", "other"),
            token.clone().claim("aud", json!(["other"])),
            token.clone().claim("aud", json!([])),
            token.clone().without("aud"),
            token.clone().claim("aud", json!(null)),
            token.clone().claim("exp", now() - 1),
            token.clone().without("exp"),
            token.clone().without("sub"),
            token.clone().claim("iss", "https://evil.example"),
            token.clone().claim("sid", 7),
            token.clone().claim("groups", "admins"),
            token.clone().header("alg", "none"),
        ] {
            let broken = broken.build();
            assert_eq!(
                authorizer.verdict_on(&broken).await,
                Verdict::Unauthorized,
                "{broken}"
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
    let rows = [
        // Auth0
        json!({"sub": "abc@clients", "azp": "abc", "gty": "client-credentials"}),
        json!({"sub": "x|y", "azp": "abc", "gty": ["client_credentials"]}),
        // Okta
        json!({"sub": "0oaMachine", "cid": "0oaMachine", "scp": ["api.read"], "ver": 1}),
        // Entra ID, versions 2 and 1
        json!({"sub": "sp-oid", "oid": "sp-oid", "azp": "cli", "idtyp": "app", "roles": ["r"]}),
        json!({"sub": "sp-oid", "oid": "sp-oid", "azp": "cli", "roles": ["r"], "tid": "t"}),
        json!({"sub": "sp-oid", "oid": "sp-oid", "appid": "cli", "roles": ["r"], "ver": "1.0"}),
        // Keycloak
        json!({"sub": "u", "azp": "Batch", "preferred_username": "service-account-batch",
            "scope": "email profile"}),
        json!({"sub": "u", "azp": "batch", "clientHost": "192.0.2.1", "sid": "s"}),
        // A provider without special rules.
        json!({"sub": "u"}),
        json!({"sub": "u", "azp": "u", "email": "x@example.com"}),
    ];
    for mut claims in rows {
        claims["aud"] = json!("api");
        let token = provider.token(&claims).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::Deny, "{claims}");
    }
    for mut claims in [
        json!({"sub": "00u1", "cid": "0oa1", "uid": "00u1", "scp": ["openid"]}),
        json!({"sub": "AAA", "azp": "cli", "scp": "Orders.Read", "idtyp": "user"}),
        json!({"sub": "auth0|1", "azp": "abc", "scope": "read:orders"}),
        json!({"sub": "u", "azp": "app", "preferred_username": "service-account-other"}),
        json!({"sub": "u", "scope": "openid"}),
    ] {
        claims["aud"] = json!("api");
        let token = provider.token(&claims).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::Allow, "{claims}");
    }
}

#[tokio::test]
async fn client_id_comes_from_the_client_claim_and_not_the_audience() {
    let provider = Provider::start("p", "https://p.example", "RS256").await;
    let authorizer = start(json!([provider.configured("api")])).await;
    for name in ["client_id", "azp", "cid", "appid"] {
        let claims = json!({"sub": "u", "sid": "s", "aud": "api", name: "app1"});
        let token = provider.token(&claims).build();
        let event = auth_tests::request_event(&format!("Bearer {token}"));
        let answer = authorizer.binary.invoke(&event).await.answer();
        assert_eq!(answer["context"]["client_id"], "app1", "{name}");
    }
    let mut configured = provider.configured("api");
    configured["clients"] = json!(["app1", "app2"]);
    let authorizer = start(json!([configured])).await;
    for (claim, expected) in [
        (json!({"azp": "app2"}), Verdict::Allow),
        (json!({"azp": "app3"}), Verdict::Unauthorized),
        (json!({"cid": "app3"}), Verdict::Unauthorized),
        (json!({}), Verdict::Unauthorized),
    ] {
        let mut claims = json!({"sub": "u", "sid": "s", "aud": "api"});
        claims
            .as_object_mut()
            .unwrap()
            .extend(claim.as_object().unwrap().clone());
        let token = provider.token(&claims).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, expected, "{claims}");
    }
}

#[tokio::test]
async fn rejects_id_and_logout_tokens_of_other_providers() {
    let provider = Provider::start("p", "https://p.example", "RS256").await;
    let authorizer = start(json!([provider.configured("api")])).await;
    let mut configured = provider.configured("api");
    configured["token"] = json!("id");
    let takes_id = start(json!([configured])).await;
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (more, is_access, is_id) in [
        (json!({}), true, false),
        (json!({"nonce": "n"}), false, true),
        (json!({"at_hash": "h"}), false, true),
        (json!({"c_hash": "h", "typ": "Bearer"}), false, true),
        (json!({"typ": "ID"}), false, true),
        // Keycloak's access tokens have had a nonce.
        (json!({"nonce": "n", "typ": "Bearer"}), true, false),
        (json!({"events": logout}), false, false),
        (json!({"typ": "Logout"}), false, false),
        (json!({"typ": "Refresh"}), false, false),
    ] {
        let mut claims = json!({"sub": "u", "sid": "s", "aud": "api"});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let token = provider.token(&claims).build();
        let verdict = authorizer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::passing(is_access), "{claims}");
        let verdict = takes_id.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::passing(is_access || is_id), "{claims}");
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
    for (seconds, passes, passes_longer) in [
        (DAY - 60, true, true),
        (2 * DAY, false, true),
        (30 * DAY - 60, false, true),
        (31 * DAY, false, false),
    ] {
        let token = provider.token(&json!({"sub": "u", "sid": "s", "aud": "api"}));
        let token = token.claim("exp", now() + seconds).build();
        let verdict = by_default.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::passing(passes), "{seconds}");
        let verdict = longer.verdict_on(&token).await;
        assert_eq!(verdict, Verdict::passing(passes_longer), "{seconds}");
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
