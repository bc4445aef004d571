//! Connections of clients that keep no rules.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Reply, Running, good, read, start};

/// In place of a status: the connection is closed.
const CLOSED: u16 = 0;

/// The head of a request for a decision about `path`, without its empty line.
fn head(line: &str, token: &str, path: &str) -> String {
    format!(
        "{line}\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-Host: a\r\nX-Original-URI: {path}\r\n{token}\r\n"
    )
}

fn get(token: &str, path: &str) -> String {
    head("GET /auth HTTP/1.1", token, path)
}

/// All that the server sends until it closes the connection, or until it is silent for a moment.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        // An error is a closed connection.
        let _ = stream.read_to_end(&mut bytes).await;
    };
    let _ = tokio::time::timeout(Duration::from_millis(300), reading).await;
    String::from_utf8(bytes).unwrap()
}

/// The reply to these bytes, within a second: the server waits for no more of them.
async fn answer_to(server: &Running, bytes: &[u8]) -> (Reply, TcpStream) {
    let mut stream = server.connection().await;
    stream.write_all(bytes).await.unwrap();
    let reply = tokio::time::timeout(Duration::from_secs(1), read(&mut stream)).await;
    (reply.unwrap().unwrap(), stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_are_answered_beside_slow_ones() {
    let server = start(&[]).await;
    let token = good();
    let request = get(&token, "/x") + "\r\n";
    let mut silent = Vec::new();
    let mut slow = Vec::new();
    for _ in 0..500 {
        silent.push(server.connection().await);
        let mut stream = server.connection().await;
        stream.write_all(b"GET /auth HT").await.unwrap();
        slow.push(stream);
    }
    let mut open = Vec::new();
    for _ in 0..1_000 {
        let mut stream = server.connection().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        open.push(stream);
    }
    for stream in &mut open {
        assert_eq!(read(stream).await.unwrap().status, 200);
    }
    let metrics = server.get("/metrics").await.body;
    let all = "gatehouse_forward_auth_connections 2001\n";
    assert!(metrics.contains(all), "{metrics}");
    // A head that came in single bytes.
    let mut stream = slow.pop().unwrap();
    for byte in request.strip_prefix("GET /auth HT").unwrap().as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(read(&mut stream).await.unwrap().status, 200);
    drop((silent, slow, open, stream));
    let closed = async {
        while !server
            .get("/metrics")
            .await
            .body
            .contains("_connections 1\n")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(5), closed).await;
    closed.unwrap();
}

#[tokio::test]
async fn a_decision_waits_for_no_body() {
    let server = start(&[]).await;
    let token = good();
    let post = head("POST /auth HTTP/1.1", &token, "/x");
    for (name, fields) in [
        ("a large one", "Content-Length: 10000000000\r\n\r\n"),
        (
            "one that is expected",
            "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        ),
        ("chunks", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
        (
            "chunks without an end",
            "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        ),
        ("all of it", "Content-Length: 5\r\n\r\nabcde"),
        ("nothing", "Content-Length: 0\r\n\r\n"),
    ] {
        let (reply, _) = answer_to(&server, format!("{post}{fields}").as_bytes()).await;
        assert_eq!(reply.status, 200, "{name}");
    }
    let (reply, mut stream) = answer_to(
        &server,
        format!("{post}Content-Length: 10000000000\r\n\r\n").as_bytes(),
    )
    .await;
    assert_eq!(reply.status, 200);
    // It does not read the rest either.
    let sent = async { while stream.write_all(&[0; 65_536]).await.is_ok() {} };
    let sent = tokio::time::timeout(Duration::from_secs(5), sent).await;
    sent.expect("the connection is closed");
}

/// Fails if a body, or a second framing of it, is read as a request.
#[tokio::test]
async fn a_body_is_never_a_request() {
    let server = start(&[]).await;
    let token = good();
    let post = head("POST /auth HTTP/1.1", &token, "/x");
    let hidden = get(&token, "/hidden") + "\r\n";
    let length = hidden.len();
    for (name, request) in [
        (
            "a length",
            format!("{post}Content-Length: {length}\r\n\r\n{hidden}"),
        ),
        (
            "chunks",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
        ),
        (
            "both framings",
            format!(
                "{post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
            ),
        ),
        (
            "two lengths",
            format!("{post}Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{hidden}"),
        ),
        (
            "an unknown encoding",
            format!("{post}Transfer-Encoding: gzip\r\n\r\n{hidden}"),
        ),
        (
            "a length that is no number",
            format!("{post}Content-Length: +{length}\r\n\r\n{hidden}"),
        ),
    ] {
        let mut stream = server.connection().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let replies = rest(&mut stream).await;
        assert_eq!(replies.matches("HTTP/1.1 ").count(), 1, "{name}: {replies}");
    }
}

#[tokio::test]
async fn requests_that_are_sent_at_once_are_answered_in_order() {
    let server = start(&[]).await;
    let token = good();
    let rows = [("/x", 200), ("/admin/x", 403), ("/x/../y", 403), ("x", 400)];
    let requests = (0..10).flat_map(|_| rows);
    let all: String = requests
        .map(|(path, _)| get(&token, path) + "\r\n")
        .collect();
    let mut stream = server.connection().await;
    stream.write_all(all.as_bytes()).await.unwrap();
    let replies = rest(&mut stream).await;
    let statuses: Vec<u16> = replies
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|reply| reply[..3].parse().unwrap())
        .collect();
    let expected: Vec<u16> = (0..10)
        .flat_map(|_| rows.map(|(_, status)| status))
        .collect();
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn versions_and_lines_of_other_kinds_have_their_answers() {
    let server = start(&[]).await;
    let token = good();
    // nginx asks with HTTP/1.0 unless it is told otherwise.
    let old = head("GET /auth HTTP/1.0", &token, "/x") + "\r\n";
    let (reply, mut stream) = answer_to(&server, old.as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(rest(&mut stream).await, "", "closed");
    let line = |line: &str| head(line, &token, "/x") + "\r\n";
    for (name, request, status) in [
        ("no decision", line("HEAD /auth HTTP/1.1"), 200),
        ("a tunnel", line("CONNECT a:1 HTTP/1.1"), 404),
        ("an asterisk", line("OPTIONS * HTTP/1.1"), 404),
        (
            "an absolute address",
            line("GET http://b/auth HTTP/1.1"),
            200,
        ),
        ("another path", line("GET http://b/x HTTP/1.1"), 404),
        ("a line break in a path", line("GET /auth\n HTTP/1.1"), 400),
        (
            "a folded field",
            line("GET /auth HTTP/1.1\r\nX: 1\r\n 2"),
            400,
        ),
        (
            "a space before a colon",
            line("GET /auth HTTP/1.1\r\nX : 1"),
            400,
        ),
        ("a zero byte", line("GET /auth HTTP/1.1\r\nX: \0"), 400),
        (
            "HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            CLOSED,
        ),
        ("TLS", "\u{16}\u{3}\u{1}\0\u{1}\0\r\n\r\n".to_owned(), 400),
        (
            "a proxy's prologue",
            format!(
                "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n{}",
                line("GET /auth HTTP/1.1")
            ),
            400,
        ),
        (
            "an upgrade",
            line("GET /auth HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket"),
            200,
        ),
        (
            "a long path",
            line(&format!("GET /auth?{} HTTP/1.1", "a".repeat(70_000))),
            414,
        ),
    ] {
        let mut stream = server.connection().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = tokio::time::timeout(Duration::from_secs(1), read(&mut stream)).await;
        let reply = reply.expect(name);
        let found = reply.as_ref().map_or(CLOSED, |reply| reply.status);
        assert_eq!(found, status, "{name}");
        let identity = reply
            .as_ref()
            .and_then(|reply| reply.header("x-auth-subject"));
        assert_eq!(identity.is_some(), found == 200, "{name}");
        assert_eq!(
            server.ask("GET", "/x", &[&token]).await.status,
            200,
            "after {name}"
        );
    }
}

/// Every request that a client sends completely while the server still accepts some has a complete answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_no_request() {
    let mut server = start(&[]).await;
    let request = get(&good(), "/x") + "\r\n";
    let stopped = std::time::Instant::now() + Duration::from_millis(300);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let (address, request) = (server.address, request.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                let mut stream = TcpStream::connect(address).await.unwrap();
                loop {
                    if stream.write_all(request.as_bytes()).await.is_err() {
                        break answered;
                    }
                    let began = std::time::Instant::now();
                    match read(&mut stream).await {
                        Some(reply) => {
                            assert_eq!(reply.status, 200);
                            answered += 1;
                            if reply.header("connection") == Some("close") {
                                break answered;
                            }
                        }
                        // It was closed while it was idle, after the time for which requests are accepted.
                        None => {
                            assert!(began > stopped + Duration::from_millis(1_900));
                            break answered;
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep_until(stopped.into()).await;
    server.stop.take().unwrap().send(()).unwrap();
    for client in clients {
        assert!(client.await.unwrap() > 10);
    }
    let ended = tokio::time::timeout(Duration::from_secs(6), server.served).await;
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn a_half_sent_request_does_not_hold_up_a_stop() {
    let mut server = start(&[]).await;
    let mut stream = server.connection().await;
    stream.write_all(b"GET /auth HTTP/1.1\r\n").await.unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(9), server.served).await;
    ended.unwrap().unwrap();
    assert_eq!(rest(&mut stream).await, "");
}
