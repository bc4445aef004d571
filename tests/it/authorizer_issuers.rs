//! Several issuers at once: other providers' token shapes, another pool, and keys that must not
//! serve each other's issuers (T26, T53, T56, T65).

use auth_tests::{Authorizer, Verdict, environment};
use serde_json::{Value, json};
use testkit::jwks_server::JwksServer;
use testkit::token::now;
use testkit::{Binary, Pool, SigningKey, TokenBuilder};

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

async fn start(configured: Value) -> Authorizer {
    Authorizer::start_with(&[("TRUSTED_ISSUERS", &configured.to_string())]).await
}

#[tokio::test]
async fn shapes_of_known_providers() {
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
    for (token, subject, scope) in rows {
        let event = auth_tests::request_event(&format!("Bearer {}", token.build()));
        let answer = authorizer.binary.invoke(&event).await.answer();
        assert_eq!(answer["principalId"], subject);
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
        "the pool's own tokens"
    );
}

#[tokio::test]
async fn a_key_serves_its_own_issuer_only() {
    let one = Provider::start("one", "https://one.example", "RS256").await;
    let two = Provider::start("two", "https://two.example", "ES256").await;
    let authorizer = start(json!([one.configured("api"), two.configured("api")])).await;
    let claims = json!({"sub": "ada", "aud": "api"});
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
            "T53 {token}"
        );
    }
}

#[tokio::test]
async fn algorithms_by_configuration() {
    // A set may hold keys of a kind that the configuration does not name.
    let provider = Provider::start("p", "https://p.example", "ES256").await;
    let mut configured = provider.configured("api");
    configured["algorithms"] = json!(["RS256"]);
    let authorizer = start(json!([configured])).await;
    let token = provider.token(&json!({"sub": "ada", "aud": "api"})).build();
    assert_eq!(
        authorizer.verdict_on(&token).await,
        Verdict::Unauthorized,
        "T26"
    );
}

#[tokio::test]
async fn revocations_by_alias() {
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
async fn another_pool() {
    let foreign = Pool::foreign();
    let jwks = JwksServer::start(&foreign.jwks()).await;
    let authorizer = start(json!([{"issuer": foreign.issuer(), "alias": foreign.id,
        "jwks_uri": jwks.uri(), "audiences": [foreign.client_id]}]))
    .await;
    let theirs = foreign.access_token();
    let ours = Pool::ours();
    assert_eq!(
        authorizer.verdict_on(&theirs.build()).await,
        Verdict::Allow,
        "T53"
    );
    assert_eq!(
        authorizer.verdict_on(&ours.access_token().build()).await,
        Verdict::Allow,
        "T53"
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
            Verdict::Unauthorized,
            "T53"
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
async fn machines_of_other_providers() {
    let auth0 = Provider::start("auth0", "https://t.auth0.com/", "RS256").await;
    let authorizer = start(json!([auth0.configured("api")])).await;
    let machine =
        json!({"sub": "abc@clients", "azp": "abc", "aud": "api", "gty": "client-credentials"});
    let verdict = authorizer.verdict_on(&auth0.token(&machine).build()).await;
    assert_eq!(verdict, Verdict::Deny, "a machine needs a rule of its own");
}

#[tokio::test]
async fn delegation_only_where_allowed() {
    let authorizer = Authorizer::start_with(&[("ALLOW_DELEGATED_TOKENS", "true")]).await;
    let token = Pool::ours()
        .access_token()
        .claim("act", json!({"sub": "agent"}))
        .build();
    assert_eq!(authorizer.verdict_on(&token).await, Verdict::Allow, "T65");
}

#[tokio::test]
async fn issuers_that_must_not_start() {
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
    ];
    for value in rows {
        let more = [("TRUSTED_ISSUERS", value.as_str())];
        let environment = environment("http://127.0.0.1:9/x", "http://127.0.0.1:9", &more);
        let output = Binary::start_refused("authorizer", &environment).await;
        assert!(output.contains("TRUSTED_ISSUERS"), "{value}: {output}");
    }
}
