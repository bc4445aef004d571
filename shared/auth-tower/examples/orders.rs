//! A service behind [`AuthLayer`], with revocations in memory:
//!
//! ```sh
//! cargo run -p auth-tower --example orders
//! ```
//!
//! It prints a token of the tests' user pool. `curl -H "Authorization: Bearer $TOKEN" localhost:3000/orders/7` answers
//! until `curl -X POST -H "Authorization: Bearer $TOKEN" localhost:3000/logout`.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example that prints a token of a pool which protects nothing"
)]

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use api_gateway::routes::Route;
use auth::memory::{MemoryApiKeys, MemoryKeys, MemoryRevocations};
use auth::{
    Callers, Issuer, KeySet, MAX_TOKEN_BYTES, RevocationContext, RevocationWriter, TokenRules,
    TrustedIssuer, UnixSeconds, Verifier,
};
use auth_cedar::CedarPolicies;
use auth_tower::{AuthLayer, Caller, Gate, Places};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};

fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixSeconds(since.map_or(0, |since| since.as_secs()))
}

async fn order(caller: Caller) -> String {
    format!("an order of {}", caller.subject())
}

/// Revokes the caller's session. The response is sent after the write, so the next request is refused.
async fn log_out(State(store): State<MemoryRevocations>, caller: Caller) -> StatusCode {
    let user = caller.user_ref();
    let Some(session) = caller.session() else {
        return StatusCode::FORBIDDEN;
    };
    let context = RevocationContext {
        reason: "logout",
        actor: caller.subject(),
        at: now(),
        refresh_token_ttl_seconds: 30 * 24 * 60 * 60,
    };
    match store.revoke_session(&user.session(session), &context).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The service, for a user pool with these keys (a JSON Web Key Set).
fn service(pool: &str, client_id: &str, keys: &str) -> Router {
    let url = format!("https://cognito-idp.us-east-1.amazonaws.com/{pool}");
    let issuer = Issuer::user_pool(pool.into(), url, vec![client_id.to_owned()]);
    // In production `auth_jwks::HttpsKeys`, which fetches the set and follows its rotation.
    let keys = MemoryKeys::new([TrustedIssuer {
        issuer: issuer.clone(),
        keys: KeySet::parse(keys.as_bytes()).unwrap(),
    }]);
    let store = MemoryRevocations::default();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let gate: Gate<_, _, MemoryApiKeys> = Gate {
        callers: Callers {
            verifier: Verifier::new(vec![issuer], TokenRules::default()),
            keys,
            revocations: store.clone(),
            api_keys: None,
            max_token_bytes: MAX_TOKEN_BYTES,
            clock: now,
        },
        policies: CedarPolicies::from_folder(&policies, pool).unwrap(),
        routes: vec![Route::parse("GET", "/orders/{id}").unwrap()],
        places: Places::default(),
        sessions: None,
    };
    Router::new()
        .route("/orders/{id}", get(order))
        .route("/admin/orders", get(order))
        .route("/logout", post(log_out))
        .with_state(store)
        .layer(AuthLayer::new(gate))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pool = testkit::Pool::ours();
    println!("{}", pool.access_token().build());
    let service = service(pool.id, pool.client_id, &pool.jwks().to_string());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000")
        .await
        .unwrap();
    axum::serve(listener, service).await.unwrap();
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, header};
    use testkit::Pool;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_logout_takes_effect_on_the_next_request() {
        let pool = Pool::ours();
        let service = service(pool.id, pool.client_id, &pool.jwks().to_string());
        let token = format!("Bearer {}", pool.access_token().build());
        let status = async |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request.header(header::AUTHORIZATION, &token);
            let request = request.body(Body::empty()).unwrap();
            service.clone().oneshot(request).await.unwrap().status()
        };
        assert_eq!(status("GET", "/orders/7").await, StatusCode::OK);
        assert_eq!(status("GET", "/admin/orders").await, StatusCode::FORBIDDEN);
        assert_eq!(status("POST", "/logout").await, StatusCode::NO_CONTENT);
        assert_eq!(status("GET", "/orders/7").await, StatusCode::UNAUTHORIZED);
    }
}
