//! A check costs the same with many revocations as with few.

use std::time::Instant;

use auth_tests::{Stack, Verdict, environment, request_event};
use testkit::jwks_server::JwksServer;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool};

use super::system::make_table;
use crate::world::unique;

/// Reads for 50 checks on a busy machine, where a slow read is repeated.
const RETRIED: usize = 55;

/// The cost of a check does not grow with the number of revocations: the same request, a response of the
/// same length.
#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the caller sets the number of rows and reads their cost"
)]
async fn the_cost_of_a_check_stays_flat() {
    let many = std::env::var("GATEHOUSE_ROWS").ok();
    let many = many.and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let stack = Stack::of_this_run();
    // A table of its own: other tests scan the stack's.
    let table = unique("flat");
    make_table(&stack.tables, &table).await;
    let jwks = JwksServer::start(&Pool::ours().jwks()).await;
    let store = FakeAws::in_front_of(&stack.tables).await;
    let more = [("REVOCATION_TABLE", table.as_str())];
    let binary = Binary::start("authorizer", &environment(&jwks.uri(), &store.url(), &more)).await;
    let subject = unique("flat");
    let token = Pool::ours().access_token().claim("sub", subject.clone());
    let event = request_event(&format!("Bearer {}", token.build()));
    let mut written = 0;
    let mut seen = Vec::new();
    for rows in [10, 1_000, many] {
        end_sessions(&stack, &table, &subject, written..rows).await;
        written = rows;
        let mut times = Vec::new();
        // After five seconds, the lifetime of cached revocations, all reads are alike.
        store.forget_requests();
        for _ in 0..50 {
            let began = Instant::now();
            assert_eq!(
                auth_tests::verdict(&binary.invoke(&event).await),
                Verdict::Allow
            );
            times.push(began.elapsed());
        }
        times.sort();
        let requests = store.requests();
        let keys: Vec<usize> = requests
            .iter()
            .map(|(operation, request)| {
                assert_eq!(operation, "BatchGetItem");
                request["RequestItems"][&table]["Keys"]
                    .as_array()
                    .unwrap()
                    .len()
            })
            .collect();
        let most = keys.iter().copied().max().unwrap();
        println!(
            "{rows} revoked sessions: {} reads for 50 checks, of {most} keys at most, median {:?}",
            requests.len(),
            times[25]
        );
        seen.push((requests.len(), most));
    }
    assert!(
        seen.iter()
            .all(|(reads, keys)| (50..=RETRIED).contains(reads) && *keys <= 6),
        "{seen:?}"
    );
}

/// Rows of revoked sessions, as logout writes them.
async fn end_sessions(stack: &Stack, table: &str, subject: &str, numbers: std::ops::Range<u64>) {
    use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
    let client = crate::store::table_client(stack).await;
    let text = |text: String| AttributeValue::S(text);
    let expires_at = AttributeValue::N((now() + 100_000).to_string());
    let pk = format!("{}#user#{subject}", Pool::ours().id);
    let numbers: Vec<u64> = numbers.collect();
    for chunk in numbers.chunks(25) {
        let writes = chunk.iter().map(|number| {
            let put = PutRequest::builder()
                .item("pk", text(pk.clone()))
                .item("sk", text(format!("session#{number}")))
                .item("revoked_at", AttributeValue::N("1".to_owned()))
                .item("expires_at", expires_at.clone())
                .build()
                .unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let call = client.batch_write_item();
        call.request_items(table, writes.collect())
            .send()
            .await
            .unwrap();
    }
}
