//! migrate-user: users of old stores are migrated at the first sign-in.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::{Binary, Invocation};

use crate::store::table_client;
use crate::world::{World, unique};

pub(crate) const PASSWORD: &str = "correct horse-\u{dc}n\u{ef}code";
/// The hash of that password, made with pyca's bcrypt.
pub(crate) const HASH: &str = "$2b$05$abcdefghijklmnopqrstuugKvkOgqWN6G.40bnc6Y.fjokmxUzfte";

pub(crate) fn sign_in(name: &str, password: &str) -> Value {
    event("UserMigration_Authentication", name, json!(password))
}

pub(crate) fn forgot(name: &str) -> Value {
    event("UserMigration_ForgotPassword", name, Value::Null)
}

/// The event as AWS documents it, with an additional member, as AWS may add some.
pub(crate) fn event(source: &str, name: &str, password: Value) -> Value {
    let mut event = json!({
        "version": "1", "triggerSource": source, "region": "us-east-1",
        "userPoolId": "us-east-1_Gatehouse", "userName": name, "somethingNew": {"a": [1]},
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "4example"},
        "request": {"password": password, "validationData": null, "userAttributes": null},
        "response": {"userAttributes": null, "forceAliasCreation": null, "enableSMSMFA": null,
            "finalUserStatus": null, "messageAction": null, "desiredDeliveryMediums": null},
    });
    if password.is_null() {
        event["request"].as_object_mut().unwrap().remove("password");
    }
    event
}

/// The status of the migrated user, or `None` if the user is not migrated.
pub(crate) async fn moved(migrate: &Binary, event: &Value) -> Option<String> {
    let answer = migrate.invoke(event).await.answer();
    let mut rest = answer.clone();
    rest["response"] = event["response"].clone();
    assert_eq!(&rest, event, "all other members are unchanged");
    if answer == *event {
        return None;
    }
    let response = &answer["response"];
    assert_eq!(response["messageAction"], "SUPPRESS", "no invitation");
    assert_eq!(
        response["desiredDeliveryMediums"],
        json!(["EMAIL"]),
        "no SMS"
    );
    assert_eq!(
        response["forceAliasCreation"], false,
        "aliases are not moved"
    );
    let attributes = response["userAttributes"].as_object().unwrap();
    for (name, value) in attributes {
        assert!(
            value.is_string() && name != "sub" && !name.starts_with("cognito:"),
            "{name}: a writable attribute with a string"
        );
    }
    Some(response["finalUserStatus"].as_str().unwrap().to_owned())
}

pub(crate) const CONFIRMED: Option<&str> = Some("CONFIRMED");
pub(crate) const RESET: Option<&str> = Some("RESET_REQUIRED");

/// An old table in the emulated DynamoDB, with an index of lower-case names.
pub(crate) struct OldTable {
    pub(crate) world: World,
    pub(crate) name: String,
}

impl OldTable {
    pub(crate) async fn make() -> Self {
        let world = World::start().await;
        let client = table_client(&world.stack).await;
        let name = unique("legacy");
        let all = Projection::builder()
            .projection_type(ProjectionType::All)
            .build();
        let index = GlobalSecondaryIndex::builder()
            .index_name("lower")
            .key_schema(hash_key("username_lower"))
            .projection(all)
            .build()
            .unwrap();
        client
            .create_table()
            .table_name(&name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(text_attribute("username"))
            .attribute_definitions(text_attribute("username_lower"))
            .key_schema(hash_key("username"))
            .global_secondary_indexes(index)
            .send()
            .await
            .unwrap();
        Self { world, name }
    }

    pub(crate) async fn put(&self, row: Value) {
        let client = table_client(&self.world.stack).await;
        let mut put = client.put_item().table_name(&self.name);
        for (name, value) in row.as_object().unwrap() {
            let value = match value {
                Value::String(text) => AttributeValue::S(text.clone()),
                Value::Bool(truth) => AttributeValue::Bool(*truth),
                Value::Null => AttributeValue::Null(true),
                other => AttributeValue::N(other.to_string()),
            };
            put = put.item(name, value);
        }
        let lower = row["username"].as_str().unwrap().to_lowercase();
        put.item("username_lower", AttributeValue::S(lower))
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn function(&self, more: &[(&str, &str)]) -> Binary {
        let mut all = vec![
            ("LEGACY_SOURCE", "dynamodb"),
            ("LEGACY_TABLE", self.name.as_str()),
            ("LEGACY_INDEX", "lower"),
        ];
        all.extend(more);
        self.world.function("migrate-user", &all).await
    }
}

pub(crate) fn text_attribute(name: &str) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap()
}

pub(crate) fn hash_key(name: &str) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(KeyType::Hash)
        .build()
        .unwrap()
}

pub(crate) fn ada(name: &str) -> Value {
    json!({"username": name, "password_hash": HASH, "email": "Ada@Example.com", "email_verified": true})
}

pub(crate) fn with(mut row: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

#[tokio::test]
async fn only_the_right_password_migrates_a_user() {
    let old = OldTable::make().await;
    let migrate = old.function(&[]).await;
    old.put(ada("Ada@Example.com")).await;
    let rows: Vec<(&str, Value, Option<&str>)> = vec![
        (
            "right password",
            sign_in("Ada@Example.com", PASSWORD),
            CONFIRMED,
        ),
        (
            "lower case",
            sign_in("ada@example.com", PASSWORD),
            CONFIRMED,
        ),
        (
            "upper case",
            sign_in("ADA@EXAMPLE.COM", PASSWORD),
            CONFIRMED,
        ),
        (
            "repeated event",
            sign_in("Ada@Example.com", PASSWORD),
            CONFIRMED,
        ),
        (
            "wrong password",
            sign_in("Ada@Example.com", "another-password"),
            None,
        ),
        (
            "unknown user",
            sign_in("unknown@example.com", PASSWORD),
            None,
        ),
        (
            "leading space",
            sign_in("Ada@Example.com", &format!(" {PASSWORD}")),
            None,
        ),
        (
            "password in lower case",
            sign_in("Ada@Example.com", &PASSWORD.to_lowercase()),
            None,
        ),
        (
            "another normalization form",
            sign_in("Ada@Example.com", "correct horse-U\u{308}ni\u{308}code"),
            None,
        ),
        ("empty password", sign_in("Ada@Example.com", ""), None),
        (
            "password missing",
            event(
                "UserMigration_Authentication",
                "Ada@Example.com",
                Value::Null,
            ),
            None,
        ),
        (
            "password is a number",
            event("UserMigration_Authentication", "Ada@Example.com", json!(7)),
            None,
        ),
        (
            "longest password",
            sign_in("Ada@Example.com", &"x".repeat(256)),
            None,
        ),
        (
            "password too long",
            sign_in("Ada@Example.com", &"x".repeat(1_500_000)),
            None,
        ),
        ("forgotten password", forgot("ada@example.com"), RESET),
        (
            "forgotten, unknown user",
            forgot("unknown@example.com"),
            None,
        ),
        ("SQL injection", sign_in("' OR '1'='1", PASSWORD), None),
        ("LDAP injection", sign_in("*)(uid=*", PASSWORD), None),
        (
            "unknown trigger source",
            event(
                "UserMigration_Something",
                "Ada@Example.com",
                json!(PASSWORD),
            ),
            None,
        ),
        (
            "another trigger",
            event("PreSignUp_SignUp", "Ada@Example.com", json!(PASSWORD)),
            None,
        ),
        ("name too long", sign_in(&"x".repeat(129), PASSWORD), None),
        ("empty name", sign_in("", PASSWORD), None),
    ];
    for (case, event, expected) in rows {
        assert_eq!(
            moved(&migrate, &event).await.as_deref(),
            expected,
            "{case} {event:.200}"
        );
    }
    for validation in [
        json!(null),
        json!({"x": "y".repeat(100_000)}),
        json!(["evil"]),
    ] {
        let mut event = sign_in("ada@example.com", PASSWORD);
        event["request"]["validationData"] = validation.clone();
        event["request"]["clientMetadata"] = validation;
        assert_eq!(
            moved(&migrate, &event).await.as_deref(),
            CONFIRMED,
            "client data is ignored"
        );
    }
    for event in [
        json!(null),
        json!([]),
        json!({}),
        json!({"triggerSource": "UserMigration_Authentication"}),
    ] {
        assert_eq!(
            migrate.invoke(&event).await.answer(),
            event,
            "incomplete events"
        );
    }
    let answer = migrate
        .invoke(&sign_in("ada@example.com", PASSWORD))
        .await
        .answer();
    let attributes = json!({"email": "ada@example.com", "email_verified": "true"});
    assert_eq!(answer["response"]["userAttributes"], attributes);
    let output = migrate.output();
    for secret in [PASSWORD, "another-password", "example.com", HASH] {
        assert!(!output.contains(secret), "not logged: {secret}");
    }
}

#[tokio::test]
async fn records_decide_on_migration_and_attributes() {
    let old = OldTable::make().await;
    let attributes = json!({"full_name": "name", "dept": "custom:department"}).to_string();
    let migrate = old
        .function(&[("LEGACY_ATTRIBUTES", attributes.as_str())])
        .await;
    let rows: Vec<(&str, Value, Option<&str>)> = vec![
        ("barred", json!({"enabled": false}), None),
        ("barred", json!({"disabled": true}), None),
        ("barred", json!({"disabled": 1}), None),
        ("barred", json!({"locked": "yes"}), None),
        ("barred", json!({"deleted": "2024-01-01T00:00:00Z"}), None),
        ("barred", json!({"status": "Suspended"}), None),
        (
            "active",
            json!({"disabled": false, "locked": null, "deleted": null, "status": "active"}),
            CONFIRMED,
        ),
        ("empty hash", json!({"password_hash": ""}), None),
        (
            "incomplete hash",
            json!({"password_hash": "$2b$05$abc"}),
            None,
        ),
        ("no hash", json!({"password_hash": null}), None),
        (
            "costly hash",
            json!({"password_hash": HASH.replace("$05$", "$31$")}),
            None,
        ),
        (
            "unsalted hash",
            json!({"password_hash": "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="}),
            None,
        ),
        (
            "weak hash",
            json!({"password_hash": "md5$seasaltseasalt12$92d273007e6faa63d25453d26a682a59"}),
            None,
        ),
        ("no address", json!({"email": null}), None),
        (
            "address too long",
            json!({"email": "x".repeat(2_049)}),
            None,
        ),
        (
            "optional attribute too long",
            json!({"nickname": "x".repeat(2_049)}),
            CONFIRMED,
        ),
        ("unverified", json!({"email_verified": false}), CONFIRMED),
        ("must reset", json!({"must_reset": true}), RESET),
        ("unconfirmed", json!({"confirmed": false}), None),
    ];
    for (at, (case, more, expected)) in rows.into_iter().enumerate() {
        let name = format!("user{at}@example.com");
        old.put(with(ada(&name), more.clone())).await;
        let found = moved(&migrate, &sign_in(&name, PASSWORD)).await;
        assert_eq!(found.as_deref(), expected, "{case} {more}");
        if case == "barred" && expected.is_none() {
            assert_eq!(
                moved(&migrate, &forgot(&name)).await,
                None,
                "forgotten password {more}"
            );
        }
        if case == "unverified" {
            assert_eq!(
                moved(&migrate, &forgot(&name)).await,
                None,
                "no verified address for the code"
            );
        }
    }
    old.put(with(ada("full@example.com"), json!({
        "full_name": "<b>Ada</b>", "dept": 7, "role": "admin", "custom:role": "admin", "sub": "x",
        "cognito:groups": "admins", "email_verified": "no", "given_name": "", "phone_number_verified": true,
    }))).await;
    let answer = migrate
        .invoke(&sign_in("full@example.com", PASSWORD))
        .await
        .answer();
    assert_eq!(
        answer["response"]["userAttributes"],
        json!({
            "email": "ada@example.com", "name": "<b>Ada</b>", "custom:department": "7",
        }),
        "only mapped and standard attributes"
    );

    // A password that the new policy would refuse has to be changed.
    let strict = [
        ("PASSWORD_MIN_LENGTH", "20"),
        ("PASSWORD_REQUIRES", "uppercase,numbers"),
    ];
    let migrate = old.function(&strict).await;
    assert_eq!(
        moved(&migrate, &sign_in("full@example.com", PASSWORD))
            .await
            .as_deref(),
        CONFIRMED,
        "refused by the policy"
    );
    let weak = [
        ("ALLOW_WEAK_HASHES", "true"),
        ("LEGACY_UNCONFIRMED", "reset"),
    ];
    let migrate = old.function(&weak).await;
    assert_eq!(
        moved(&migrate, &sign_in("user12@example.com", PASSWORD))
            .await
            .as_deref(),
        CONFIRMED,
        "weak hashes are allowed"
    );
    assert_eq!(
        moved(&migrate, &sign_in("user18@example.com", PASSWORD))
            .await
            .as_deref(),
        RESET
    );
}

#[tokio::test]
async fn the_conflict_rule_selects_one_of_the_users_of_a_name() {
    let old = OldTable::make().await;
    let refuse = old.function(&[]).await;
    let verified = old.function(&[("CONFLICT_RULE", "verified-wins")]).await;
    let latest = old
        .function(&[("CONFLICT_RULE", "latest-sign-in-wins")])
        .await;
    let other = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let pair = async |name: &str, first: Value, second: Value| {
        let capital = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let first = with(json!({"email": name}), first);
        old.put(with(ada(&capital), first)).await;
        let second = with(json!({"password_hash": other, "email": name}), second);
        old.put(with(ada(name), second)).await;
    };
    pair(
        "bob@x.example",
        json!({"last_sign_in": 1_700_000_000}),
        json!({"email_verified": false, "last_sign_in": "2020-01-01T00:00:00Z"}),
    )
    .await;
    // Each password is right for one of the two users: the rule decides, not the password.
    for name in ["bob@x.example", "Bob@x.example", "BOB@X.EXAMPLE"] {
        for (migrate, expected) in [
            (&refuse, None),
            (&verified, CONFIRMED),
            (&latest, CONFIRMED),
        ] {
            assert_eq!(
                moved(migrate, &sign_in(name, PASSWORD)).await.as_deref(),
                expected,
                "{name}"
            );
        }
        for migrate in [&refuse, &verified, &latest] {
            assert_eq!(
                moved(migrate, &sign_in(name, "U*U")).await,
                None,
                "the other user's password: {name}"
            );
        }
        assert_eq!(
            moved(&refuse, &forgot(name)).await,
            None,
            "forgotten password"
        );
    }
    pair("eve@x.example", json!({}), json!({})).await;
    pair(
        "kim@x.example",
        json!({"last_sign_in": 5}),
        json!({"last_sign_in": 5}),
    )
    .await;
    pair(
        "dan@x.example",
        json!({"enabled": false, "last_sign_in": 9}),
        json!({"email_verified": false, "last_sign_in": 5}),
    )
    .await;
    for name in ["eve@x.example", "kim@x.example", "dan@x.example"] {
        for migrate in [&verified, &latest] {
            assert_eq!(
                moved(migrate, &sign_in(name, PASSWORD)).await,
                None,
                "{name}"
            );
        }
    }
    assert!(refuse.output().contains("\"ambiguous\""));
}

#[tokio::test]
async fn an_unavailable_store_is_an_error_and_is_not_called_again_at_once() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    for fault in [Fault::Cut, Fault::Hang, Fault::Answer(500, "{}".to_owned())] {
        let migrate = old.function(&[]).await;
        old.world.store.set_fault(fault);
        old.world.store.forget_requests();
        for _ in 0..3 {
            let failed = migrate.invoke(&sign_in("ada@example.com", PASSWORD)).await;
            let Invocation::Error(text, _) = failed else {
                panic!("{failed:?}");
            };
            assert_eq!(text, "Internal Server Error");
        }
        assert!(
            old.world.store.requests().len() <= 2,
            "no call for each of the three attempts"
        );
        old.world.store.set_fault(Fault::None);
    }
}

#[tokio::test]
async fn failures_are_counted_and_limited() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    let table = old.world.stack.attempt_table.clone();
    let more = [
        ("ATTEMPT_TABLE", table.as_str()),
        ("FAILURES_PER_USER", "3"),
    ];
    let migrate = old.function(&more).await;
    let name = "ada@example.com";
    let mut blocked = false;
    // A new window may begin once during the attempts.
    for _ in 0..8 {
        assert_eq!(
            moved(&migrate, &sign_in(name, "wrong-password")).await,
            None
        );
        blocked = blocked || migrate.output().contains("too_many_failures");
    }
    assert!(blocked, "too many failures");
    assert_eq!(
        moved(&migrate, &sign_in("ADA@example.com", PASSWORD)).await,
        None,
        "names are counted without case"
    );
    // Concurrent guesses count too.
    let name = format!("{}@example.com", unique("burst"));
    let right = old.world.stack.attempt_table.clone();
    let more = [
        ("ATTEMPT_TABLE", right.as_str()),
        ("FAILURES_PER_USER", "3"),
    ];
    let mut processes = Vec::new();
    for _ in 0..7 {
        processes.push(old.function(&more).await);
    }
    let guess = sign_in(&name, "wrong-password");
    let guesses = processes.iter().map(|process| moved(process, &guess));
    futures_util::future::join_all(guesses).await;
    let looked = processes
        .iter()
        .filter(|process| process.output().contains("unknown_user"));
    // A new window may begin once during the attempts.
    assert!(looked.count() <= 6, "concurrent guesses");

    // The limit of all users; a right password takes its count back.
    let all = [("ATTEMPT_TABLE", right.as_str()), ("FAILURES_IN_ALL", "1")];
    let strict = old.function(&all).await;
    for _ in 0..3 {
        let name = format!("{}@example.com", unique("any"));
        assert_eq!(
            moved(&strict, &sign_in(&name, "wrong-password")).await,
            None
        );
    }
    assert!(strict.output().contains("too_many_failures_in_all"));

    let name = "ada@example.com";
    let failed = {
        old.world.store.set_fault(Fault::Cut);
        migrate.invoke(&sign_in(name, PASSWORD)).await
    };
    assert!(
        failed.is_failure(),
        "without the counter no password is checked"
    );
}

#[tokio::test]
async fn guesses_at_one_name_do_not_lock_out_other_users() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    // A separate table, because all tests share the row with the count of all users.
    let attempts = unique("attempts");
    table_client(&old.world.stack)
        .await
        .create_table()
        .table_name(&attempts)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text_attribute("id"))
        .key_schema(hash_key("id"))
        .send()
        .await
        .unwrap();
    let migrate = old
        .function(&[
            ("ATTEMPT_TABLE", attempts.as_str()),
            ("FAILURES_PER_USER", "2"),
            ("FAILURES_IN_ALL", "6"),
        ])
        .await;
    let hammered = format!("{}@example.com", unique("hammered"));
    for _ in 0..12 {
        let guess = sign_in(&hammered, "wrong-password");
        assert_eq!(moved(&migrate, &guess).await, None);
    }
    let answer = moved(&migrate, &sign_in("ada@example.com", PASSWORD)).await;
    assert_eq!(answer.as_deref(), CONFIRMED, "another user");
    assert!(
        !migrate.output().contains("too_many_failures_in_all"),
        "{}",
        migrate.output()
    );
}

#[tokio::test]
async fn invalid_configurations_are_refused_by_name() {
    let rows: Vec<(Vec<(&str, &str)>, &str)> = vec![
        (vec![], "LEGACY_SOURCE is not set"),
        (vec![("LEGACY_SOURCE", "ldap")], "another source"),
        (
            vec![("LEGACY_SOURCE", "cognito")],
            "LEGACY_USER_POOL_ID is not set",
        ),
        (
            vec![("LEGACY_SOURCE", "postgres"), ("LEGACY_QUERY", "SELECT $1")],
            "LEGACY_SECRET_ARN is not set",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "postgres"),
                ("LEGACY_SECRET", "x"),
                ("LEGACY_QUERY", "SELECT 1"),
            ],
            "LEGACY_QUERY",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "http"),
                ("LEGACY_SECRET", "x"),
                ("LEGACY_URL", "http://example.com"),
            ],
            "LEGACY_URL",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "dynamodb"),
                ("LEGACY_TABLE", "t"),
                ("CONFLICT_RULE", "first"),
            ],
            "CONFLICT_RULE",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "dynamodb,cognito"),
                ("LEGACY_TABLE", "t"),
                ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
                ("LEGACY_APP_CLIENT_ID", "old-client"),
                ("CONFLICT_RULE", "latest-sign-in-wins"),
            ],
            "doesn't tell when users signed in",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "cognito"),
                ("LEGACY_USER_POOL_ID", "us-east-1_Old"),
                ("LEGACY_APP_CLIENT_ID", "old-client"),
                ("LEGACY_CASE_SENSITIVE", "true"),
            ],
            "LEGACY_SPELLINGS_TABLE is not set",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "dynamodb"),
                ("LEGACY_TABLE", "t"),
                ("PASSWORD_CHANGE_ATTRIBUTE", "nickname"),
                ("REFUSAL_STEP_MS", "0"),
            ],
            "PASSWORD_CHANGE_ATTRIBUTE",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "dynamodb"),
                ("LEGACY_TABLE", "t"),
                ("LEGACY_ATTRIBUTES", "{\"a\":\"sub\"}"),
            ],
            "LEGACY_ATTRIBUTES",
        ),
        (
            vec![
                ("LEGACY_SOURCE", "dynamodb"),
                ("LEGACY_TABLE", "t"),
                ("LEGACY_FIELDS", "{\"pw\":\"x\"}"),
            ],
            "LEGACY_FIELDS",
        ),
    ];
    let mut seen = BTreeSet::new();
    for (more, problem) in rows {
        let environment: Vec<(&str, String)> = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let output = Binary::start_refused("migrate-user", &environment).await;
        assert!(output.contains(problem), "{problem}: {output}");
        seen.insert(problem);
    }
    assert_eq!(seen.len(), 12);
}

/// The number of copies of a text in the writable memory of a process.
fn copies_in_memory(pid: u32, needle: &[u8]) -> usize {
    use std::io::{Read, Seek, SeekFrom};
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut copies = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.seek(SeekFrom::Start(start)).unwrap();
        if memory.read_exact(&mut bytes).is_ok() {
            copies += bytes
                .windows(needle.len())
                .filter(|part| *part == needle)
                .count();
        }
    }
    copies
}

#[tokio::test]
async fn passwords_are_wiped_from_memory() {
    let old = OldTable::make().await;
    old.put(ada("ada@example.com")).await;
    let migrate = old.function(&[]).await;
    let secret = "Sesame-of-this-very-test-1906";
    assert_eq!(
        moved(&migrate, &sign_in("ada@example.com", secret)).await,
        None
    );
    // The next events overwrite the buffer of the connection.
    for _ in 0..3 {
        assert_eq!(
            moved(&migrate, &sign_in("bob@example.com", "another-one")).await,
            None
        );
    }
    assert_eq!(copies_in_memory(migrate.pid(), secret.as_bytes()), 0);
}
