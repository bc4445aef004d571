//! Browser sessions of users with many groups: what the browser, forward-auth and the backend exchange stays small.

use std::sync::Arc;

use auth::memory::MemoryRevocations;
use auth::{Secret, UnixSeconds};
use auth_sessions::{BrowserSession, MemoryBrowserSessions, SealedSessions, SealingKeys};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forward_auth::Store;
use testkit::{Pool, now};
use tokio::io::AsyncWriteExt;

use super::store::over;
use super::{read, serve};

const SESSIONS: usize = 1_000;
const GROUPS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the sizes are a result")]
async fn a_thousand_sessions_with_a_hundred_groups_have_small_cookies() {
    let key = format!(
        "{{\"keys\": [{{\"id\": \"k1\", \"key\": \"{}\"}}]}}",
        STANDARD.encode([7; 32])
    );
    let store = MemoryBrowserSessions::new(SESSIONS);
    let keys = || SealingKeys::from_json(&key).unwrap();
    let writer = SealedSessions::new(store.clone(), keys());
    let groups: Vec<String> = (0..GROUPS)
        .map(|number| format!("team-{number:03}-of-acme"))
        .collect();
    let mut cookies = Vec::new();
    let mut token_bytes = 0;
    for number in 0..SESSIONS {
        let token = Pool::ours()
            .access_token()
            .claim("sub", format!("user-{number}"))
            .claim("origin_jti", format!("session-{number}"))
            .claim("cognito:groups", groups.clone())
            .build();
        token_bytes = token_bytes.max(token.len());
        let session = BrowserSession {
            access_token: Secret::new(token),
            refresh_token: Some(Secret::new("refresh".repeat(250))),
            expires_at: UnixSeconds(now() + 3_600),
        };
        let id = writer.create(&session, UnixSeconds(now())).await.unwrap();
        cookies.push(format!("__Host-session={}", id.expose()));
    }
    let reader = SealedSessions::new(store, keys());
    let revocations = Store::Memory(MemoryRevocations::default());
    let variables = [
        ("TOKEN_SOURCES", "cookie"),
        ("ALLOWED_ORIGINS", "https://app.example"),
    ];
    let server = Arc::new(serve(over(revocations, Some(Box::new(reader)), &variables)).await);
    let cookies = Arc::new(cookies);
    let clients: Vec<_> = (0..20)
        .map(|client| {
            let (server, cookies) = (Arc::clone(&server), Arc::clone(&cookies));
            let groups = groups.join(",");
            tokio::spawn(async move {
                let mut stream = server.connection().await;
                let (mut largest_request, mut largest_reply) = (0, 0);
                for number in (client..SESSIONS).step_by(20) {
                    let head = format!(
                        "GET /auth HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-Host: a\r\n\
                         X-Original-URI: /x\r\nCookie: {}\r\n\r\n",
                        cookies[number]
                    );
                    stream.write_all(head.as_bytes()).await.unwrap();
                    let reply = read(&mut stream).await.unwrap();
                    assert_eq!(reply.status, 200, "{number}");
                    let subject = format!("user-{number}");
                    assert_eq!(reply.header("x-auth-subject"), Some(subject.as_str()));
                    assert_eq!(reply.header("x-auth-groups"), Some(groups.as_str()));
                    largest_request = largest_request.max(head.len());
                    largest_reply = largest_reply.max(reply.head.len());
                }
                (largest_request, largest_reply)
            })
        })
        .collect();
    let (mut request, mut reply) = (0, 0);
    for client in clients {
        let (sent, received) = client.await.unwrap();
        request = request.max(sent);
        reply = reply.max(received);
    }
    let cookie = cookies.iter().map(String::len).max().unwrap();
    println!(
        "{SESSIONS} sessions, {GROUPS} groups each: token {token_bytes} bytes, cookie {cookie}, request {request}, \
         response {reply}"
    );
    assert!(cookie < 200 && token_bytes > 2_000);
    assert!(
        reply <= 4_096 + 512,
        "identity headers have at most 4,096 bytes"
    );
}
