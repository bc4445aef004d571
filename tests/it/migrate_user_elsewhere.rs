//! Old stores elsewhere: a PostgreSQL server with TLS, and a user pool of another account.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use testkit::server::Server;

use crate::migrate_user::{HASH, PASSWORD, moved, postgres, sign_in};
use crate::tls::{self, Opening};
use crate::world::World;

/// Source: PostgreSQL, "Message flow", section "SSL session encryption".
const SSL_REQUEST: Opening = Opening {
    request: &[0, 0, 0, 8, 4, 210, 22, 47],
    answer: b"S",
};

#[tokio::test]
async fn postgresql_requires_a_trusted_certificate() {
    let world = World::start().await;
    let address = world.stack.postgres.clone();
    let client = postgres(&address).await;
    let made = format!(
        "CREATE TABLE IF NOT EXISTS tls_people (login text, pw text); TRUNCATE tls_people; \
         INSERT INTO tls_people VALUES ('ada@example.com', '{HASH}')"
    );
    client.batch_execute(&made).await.unwrap();
    let plain = address
        .split('@')
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let (port, trusted) = tls::in_front_of(plain.parse().unwrap(), SSL_REQUEST).await;
    // The root certificate of another server with the same name.
    let (_, other) = tls::in_front_of(plain.parse().unwrap(), SSL_REQUEST).await;
    let (trusted, other) = (trusted.to_str().unwrap(), other.to_str().unwrap());
    let query = "SELECT login AS username, pw AS password_hash, login AS email, \
        true AS email_verified FROM tls_people WHERE login = $1";
    let with_tls =
        |host: &str| format!("postgres://gatehouse@{host}:{port}/postgres?sslmode=require");
    let without = address.clone() + "?sslmode=require";
    // (address, roots, whether it is trusted)
    for (address, roots, trusts) in [
        (with_tls("localhost"), trusted, true),
        (with_tls("localhost"), other, false),
        // The certificate is for another name.
        (with_tls("127.0.0.1"), trusted, false),
        // A server without TLS does not receive the password either.
        (without, trusted, false),
    ] {
        let more = [
            ("LEGACY_SOURCE", "postgres"),
            ("LEGACY_SECRET", &address),
            ("LEGACY_QUERY", query),
            ("SSL_CERT_FILE", roots),
        ];
        let migrate = world.function("migrate-user", &more).await;
        let event = sign_in("ada@example.com", PASSWORD);
        if trusts {
            let status = moved(&migrate, &event).await;
            assert_eq!(status.as_deref(), Some("CONFIRMED"), "{address}");
        } else {
            let answer = migrate.invoke(&event).await;
            assert!(
                answer.is_failure(),
                "an error, not an unknown user: {address} {roots}"
            );
        }
    }
}

#[tokio::test]
async fn an_iam_role_gives_access_to_a_pool_of_another_account() {
    const ROLE: &str = "arn:aws:iam::210987654321:role/reads-the-old-pool";
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    // A fake of STS and the old pool that records the signer of each call.
    let handler = move |headers: HeaderMap, body: String| {
        let authorization = headers["authorization"].to_str().unwrap_or_default();
        let signer = authorization.split(['=', '/']).nth(1).unwrap_or_default();
        let target = headers.get("x-amz-target");
        let operation = target.and_then(|target| target.to_str().ok()?.split('.').nth(1));
        log.lock()
            .unwrap()
            .push(format!("{} by {signer}", operation.unwrap_or("AssumeRole")));
        let answer = match operation {
            None => {
                assert!(body.contains("reads-the-old-pool"), "{body}");
                assumed()
            }
            Some(_) if signer != "ASIAROLE" => (
                StatusCode::BAD_REQUEST,
                json!({"__type": "AccessDeniedException"}).to_string(),
            ),
            Some(operation) => (StatusCode::OK, of_the_pool(operation).to_string()),
        };
        async move { answer }
    };
    let router = axum::Router::new().fallback(handler);
    let elsewhere = Server::start(router).await;
    let url = elsewhere.url();
    let world = World::start().await;
    let base = [
        ("LEGACY_SOURCE", "cognito"),
        ("LEGACY_USER_POOL_ID", "eu-central-1_Old"),
        ("LEGACY_APP_CLIENT_ID", "old-client"),
        ("LEGACY_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL_STS", &url),
        ("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &url),
    ];
    let event = sign_in("ada@example.com", PASSWORD);
    let with_role = [&base[..], &[("LEGACY_ROLE_ARN", ROLE)]].concat();
    let migrate = world.function("migrate-user", &with_role).await;
    for _ in 0..2 {
        let status = moved(&migrate, &event).await;
        assert_eq!(status.as_deref(), Some("CONFIRMED"));
    }
    let log = asked.lock().unwrap().split_off(0);
    let assumed = log
        .iter()
        .filter(|call| call.starts_with("AssumeRole"))
        .count();
    assert_eq!(
        assumed, 1,
        "credentials are kept until they expire: {log:?}"
    );
    assert!(
        log.iter().skip(1).all(|call| call.ends_with("by ASIAROLE")),
        "{log:?}"
    );

    let own = world.function("migrate-user", &base).await;
    assert!(
        own.invoke(&event).await.is_failure(),
        "the function's own role has no access"
    );
}

fn assumed() -> (StatusCode, String) {
    let answer = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
        <SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
        </AssumeRoleResponse>";
    (StatusCode::OK, answer.to_owned())
}

fn of_the_pool(operation: &str) -> Value {
    match operation {
        "AdminGetUser" => json!({"Username": "ada", "Enabled": true, "UserStatus": "CONFIRMED",
            "UserAttributes": [{"Name": "email", "Value": "ada@example.com"},
                {"Name": "email_verified", "Value": "true"}]}),
        "AdminInitiateAuth" => json!({"AuthenticationResult": {"AccessToken": "t"}}),
        _ => json!({}),
    }
}
