//! WebSocket connections are closed when the session or the key that opened them is revoked.

use auth::{IssuerRef, RevocationContext, RevocationWriter, UnixSeconds, UserRef};
use auth_dynamodb::DisplayedKey;
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::token::now;
use testkit::{Binary, FakeAws, Pool, TokenBuilder};

use crate::store::table_client;
use crate::world::{World, text_of, unique, user_token};

fn event(route: &str, id: &str, token: Option<&TokenBuilder<'_>>) -> Value {
    let authorizer = token.map(|token| {
        json!({"principalId": token.get("sub"), "sub": token.get("sub"), "issuer": Pool::ours().id,
            "client_id": token.get("client_id"), "session": token.get("origin_jti"),
            "auth_time": token.get("auth_time").to_string()})
    });
    json!({"requestContext": {"routeKey": route, "connectionId": id, "authorizer": authorizer.unwrap_or(json!({}))}})
}

/// A separate table, because the deployed function handles the stack's own.
async fn table(world: &World) -> String {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    let name = unique("connections");
    let mut create = table_client(&world.stack)
        .await
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let key = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind);
        let definition = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        create = create
            .key_schema(key.build().unwrap())
            .attribute_definitions(definition.build().unwrap());
    }
    create.send().await.unwrap();
    name
}

async fn status(connections: &Binary, event: &Value) -> u64 {
    connections.invoke(event).await.answer()["statusCode"]
        .as_u64()
        .unwrap()
}

/// A record of the revocation table's stream.
fn change(pk: &str, sk: &str) -> Value {
    json!({"eventID": "1", "eventName": "MODIFY", "eventSource": "aws:dynamodb",
        "dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}, "SequenceNumber": "4421584500000000017450439091",
            "StreamViewType": "KEYS_ONLY", "SizeBytes": 80}})
}

fn user_row(token: &TokenBuilder<'_>) -> String {
    format!("{}#user#{}", Pool::ours().id, text_of(token, "sub"))
}

/// The connections that the function closed.
fn closed(api: &FakeAws) -> Vec<String> {
    let calls = api.requests().into_iter().filter_map(|(operation, _)| {
        let path = operation.strip_prefix("DELETE /@connections/")?;
        Some(path.replace("%3D", "="))
    });
    let closed = calls.collect();
    api.forget_requests();
    closed
}

async fn end_session(world: &World, token: &TokenBuilder<'_>, scope: &str) {
    let logout = world.function("logout", &[]).await;
    let event = json!({"httpMethod": "POST", "headers": {"authorization": format!("Bearer {}", token.build())},
        "body": json!({"scope": scope}).to_string()});
    assert_eq!(logout.invoke(&event).await.answer()["statusCode"], 200);
}

#[tokio::test]
async fn revoking_a_session_closes_its_connections() {
    let world = World::start().await;
    let table = table(&world).await;
    let more = [("CONNECTION_TABLE", table.as_str())];
    let connections = world.function("connections", &more).await;
    let closer = world.function("close-connections", &more).await;
    let phone = user_token();
    let laptop = phone.clone().claim("origin_jti", unique("session"));
    let ids = [unique("c") + "=", unique("c") + "=", unique("c") + "="];
    for (id, token) in ids.iter().zip([&phone, &phone, &laptop]) {
        assert_eq!(
            status(&connections, &event("$connect", id, Some(token))).await,
            200
        );
    }
    let act =
        async |records: Vec<Value>| closer.invoke(&json!({"Records": records})).await.answer();
    let revocation = change(
        &user_row(&phone),
        &format!("session#{}", text_of(&phone, "origin_jti")),
    );
    act(vec![revocation.clone()]).await;
    assert_eq!(
        closed(&world.others),
        Vec::<String>::new(),
        "nothing is revoked yet"
    );

    end_session(&world, &phone, "session").await;
    assert_eq!(
        act(vec![revocation.clone()]).await,
        json!({"batchItemFailures": []})
    );
    let mut gone = closed(&world.others);
    gone.sort();
    let mut expected = ids[..2].to_vec();
    expected.sort();
    assert_eq!(gone, expected, "only this session's connections");
    act(vec![revocation.clone()]).await;
    assert_eq!(
        closed(&world.others),
        Vec::<String>::new(),
        "a repeated record closes nothing more"
    );

    // The revocation was written between the authorizer's check and $connect.
    let late = unique("c") + "=";
    assert_eq!(
        status(&connections, &event("$connect", &late, Some(&phone))).await,
        401
    );

    end_session(&world, &laptop, "all").await;
    let revocation = change(&user_row(&phone), "user");
    world.others.set_fault(Fault::Answer(
        429,
        json!({"__type": "LimitExceededException"}).to_string(),
    ));
    let elsewhere = change(Pool::ours().id, "sweep");
    let answer = act(vec![elsewhere, revocation.clone()]).await;
    assert_eq!(
        answer["batchItemFailures"][0]["itemIdentifier"], "4421584500000000017450439091",
        "the record is retried"
    );
    world.others.set_fault(Fault::Answer(
        410,
        json!({"__type": "GoneException"}).to_string(),
    ));
    assert_eq!(
        act(vec![revocation.clone()]).await,
        json!({"batchItemFailures": []}),
        "a connection that is gone counts as closed"
    );
    world.others.set_fault(Fault::None);
    world.others.forget_requests();
    act(vec![revocation]).await;
    assert_eq!(
        closed(&world.others),
        Vec::<String>::new(),
        "its row is deleted"
    );
}

#[tokio::test]
async fn a_short_context_does_not_prevent_closing() {
    let world = World::start().await;
    let table = table(&world).await;
    let more = [("CONNECTION_TABLE", table.as_str())];
    let connections = world.function("connections", &more).await;
    let closer = world.function("close-connections", &more).await;
    let claims = [("CONTEXT_CLAIMS", "sub,client_id,auth_time,issuer")];
    let authorizer = world.function("authorizer", &claims).await;
    let token = user_token();
    let sample = testkit::events::sample("authorizer/web-socket-connect").to_string();
    let sample = sample.replace("{{ACCESS_TOKEN}}", &token.build());
    let asked: Value = serde_json::from_str(&sample).unwrap();
    let answer = authorizer.invoke(&asked).await.answer();
    let id = unique("c");
    let mut event = event("$connect", &id, None);
    event["requestContext"]["authorizer"] = answer["context"].clone();
    assert_eq!(status(&connections, &event).await, 200);
    end_session(&world, &token, "session").await;
    let sort = format!("session#{}", text_of(&token, "origin_jti"));
    let records = json!({"Records": [change(&user_row(&token), &sort)]});
    let acted = closer.invoke(&records).await.answer();
    assert_eq!(acted, json!({"batchItemFailures": []}));
    assert_eq!(closed(&world.others), [id]);
    assert_eq!(status(&connections, &event).await, 401);
}

#[tokio::test]
async fn revoking_api_keys_and_tokens_closes_their_connections() {
    let world = World::start().await;
    let table = table(&world).await;
    let more = [("CONNECTION_TABLE", table.as_str())];
    let connections = world.function("connections", &more).await;
    let closer = world.function("close-connections", &more).await;
    let store = crate::store::revocations(&world.stack).await;
    let pool = Pool::ours().id;
    let context = || RevocationContext {
        reason: "test",
        actor: "test",
        at: UnixSeconds(now()),
        refresh_token_ttl_seconds: 28_800,
    };
    let act = async |pk: &str, sk: String| {
        let records = json!({"Records": [change(pk, &sk)]});
        assert!(closer.invoke(&records).await.answer()["batchItemFailures"].is_array());
        closed(&world.others)
    };
    // Two tokens of one session.
    let token = user_token();
    let other = token.clone().claim("jti", unique("token"));
    let subject = text_of(&token, "sub");
    let ids = [unique("c"), unique("c"), unique("c")];
    for (id, token) in ids.iter().zip([&token, &other]) {
        let mut event = event("$connect", id, Some(token));
        event["requestContext"]["authorizer"]["token_id"] = token.get("jti").clone();
        assert_eq!(status(&connections, &event).await, 200);
    }
    // An API key of the same user, who signs out everywhere before and after the key connects.
    let owner = UserRef {
        issuer: pool,
        subject: &subject,
    };
    let mut with_key = event("$connect", &ids[2], Some(&token));
    with_key["requestContext"]["authorizer"]["session"] = json!(null);
    with_key["requestContext"]["authorizer"]["key_id"] = json!("k-1");
    let jti = text_of(&token, "jti");
    store
        .revoke_token(&owner.token(&jti), &context())
        .await
        .unwrap();
    let pk = user_row(&token);
    assert_eq!(act(&pk, format!("token#{jti}")).await, ids[..1], "a token");
    store
        .revoke_user_sessions(&owner, UnixSeconds(now()), &context())
        .await
        .unwrap();
    assert_eq!(
        status(&connections, &with_key).await,
        200,
        "a key's connection is not part of a session"
    );
    assert_eq!(
        act(&pk, "user".to_owned()).await,
        ids[1..2],
        "the user's connection"
    );
    store
        .revoke_token(&owner.token("k-1"), &context())
        .await
        .unwrap();
    assert_eq!(
        status(&connections, &with_key).await,
        401,
        "the revoked key"
    );
    with_key["requestContext"]["authorizer"]["key_id"] = json!("k-2");
    assert_eq!(status(&connections, &with_key).await, 200);
    let key = owner.token("k-2");
    store.revoke_token(&key, &context()).await.unwrap();
    assert_eq!(
        act(&pk, DisplayedKey::from(&key).sk).await,
        ids[2..],
        "a key"
    );
    let disabled = [unique("c")];
    let mut with_key = with_key.clone();
    with_key["requestContext"]["connectionId"] = json!(disabled[0]);
    with_key["requestContext"]["authorizer"]["key_id"] = json!("k-3");
    assert_eq!(status(&connections, &with_key).await, 200);
    store
        .disable_user(&owner, UnixSeconds(now()), &context())
        .await
        .unwrap();
    assert_eq!(
        act(&pk, "user".to_owned()).await,
        disabled,
        "the key of a disabled owner"
    );
}

#[tokio::test]
async fn failures_do_not_affect_other_records_or_connections() {
    let world = World::start().await;
    let table = table(&world).await;
    let more = [("CONNECTION_TABLE", table.as_str())];
    let connections = world.function("connections", &more).await;
    let closer = world.function("close-connections", &more).await;
    let store = crate::store::revocations(&world.stack).await;
    // Uses a pool of its own, so that the users of other tests are not revoked.
    let pool = unique("us-east-1_Closed");
    let ids = [unique("a"), unique("b")];
    let token = user_token();
    for id in &ids {
        let mut event = event("$connect", id, Some(&token));
        event["requestContext"]["authorizer"]["issuer"] = json!(pool);
        assert_eq!(status(&connections, &event).await, 200);
    }
    let context = RevocationContext {
        reason: "test",
        actor: "test",
        at: UnixSeconds(now()),
        refresh_token_ttl_seconds: 28_800,
    };
    let issuer = IssuerRef { issuer: &pool };
    let revoked = store.revoke_issuer(&issuer, UnixSeconds(now()), &context);
    revoked.await.unwrap();
    let batch = json!({"Records": [change(&pool, "sweep"), change(&pool, "issuer")]});
    let refused = Fault::Answer(403, json!({"__type": "ForbiddenException"}).to_string());
    world.others.set_fault_times(refused, 1);
    let answer = closer.invoke(&batch).await.answer();
    assert_eq!(
        answer["batchItemFailures"].as_array().unwrap().len(),
        1,
        "the record is retried"
    );
    let mut asked = closed(&world.others);
    asked.sort();
    assert_eq!(asked, ids, "the other connection is closed nevertheless");
    let answer = closer.invoke(&batch).await.answer();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(
        closed(&world.others).len(),
        1,
        "only the connection whose first request failed"
    );
    // The function has read the issuer's revocation a moment ago, when there was none.
    let late = unique("c");
    let mut event = event("$connect", &late, Some(&token));
    event["requestContext"]["authorizer"]["issuer"] = json!(pool);
    assert_eq!(status(&connections, &event).await, 401);
    let pk = format!("{pool}#user#{}", text_of(&token, "sub"));
    let sk = format!("connection#{late}");
    let row = world.row(&table, &[("pk", &pk), ("sk", &sk)]).await;
    assert_eq!(row, json!({}));
}

#[tokio::test]
async fn connect_confirms_the_subprotocol() {
    let world = World::start().await;
    let table = table(&world).await;
    let more = [("CONNECTION_TABLE", table.as_str())];
    let connections = world.function("connections", &more).await;
    let token = user_token();
    let answer = async |offered: Value, token: Option<&TokenBuilder<'_>>| {
        let mut event = event("$connect", &unique("c"), token);
        event["headers"] = json!({"Sec-WebSocket-Protocol": offered});
        connections.invoke(&event).await.answer()
    };
    let offered = json!(format!("bearer, {}", token.build()));
    let chosen = json!({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "bearer"}});
    assert_eq!(answer(offered.clone(), Some(&token)).await, chosen);
    let none = answer(json!(null), Some(&token)).await;
    assert_eq!(none, json!({"statusCode": 200}));
    assert_eq!(answer(offered, None).await, json!({"statusCode": 401}));
}

#[tokio::test]
async fn closed_connections_are_deleted_and_malformed_requests_register_nothing() {
    let world = World::start().await;
    let table = table(&world).await;
    let more = [("CONNECTION_TABLE", table.as_str())];
    let connections = world.function("connections", &more).await;
    let token = user_token();
    let id = unique("c") + "=";
    let sort = format!("connection#{id}");
    let pk = user_row(&token);
    let key = [("pk", pk.as_str()), ("sk", sort.as_str())];
    assert_eq!(
        status(&connections, &event("$connect", &id, Some(&token))).await,
        200
    );
    let row = world.row(&table, &key).await;
    assert_eq!(row["session"], *token.get("origin_jti"));
    assert_eq!(
        status(&connections, &event("$disconnect", &id, Some(&token))).await,
        200
    );
    assert_eq!(world.row(&table, &key).await, json!({}));

    assert_eq!(
        status(&connections, &event("$connect", &id, None)).await,
        401
    );
    assert_eq!(
        status(&connections, &event("$disconnect", &id, None)).await,
        200
    );
    assert_eq!(
        status(&connections, &event("other", &id, Some(&token))).await,
        404
    );
    for odd in [json!({}), json!(null), json!([]), json!("x")] {
        assert_eq!(status(&connections, &odd).await, 400, "{odd}");
    }
    world.store.set_fault(Fault::Answer(500, "{}".to_owned()));
    let failed = connections
        .invoke(&event("$connect", &id, Some(&token)))
        .await;
    assert!(
        failed.is_failure(),
        "an unknown state does not count as valid"
    );
}
