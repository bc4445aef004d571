//! migrate-user: users of old stores are migrated at the first sign-in. Other files use its table of old users.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use serde_json::{Value, json};
use testkit::Binary;

use crate::store::table_client;
use crate::world::{World, unique};

pub(crate) const PASSWORD: &str = "correct horse-\u{dc}n\u{ef}code";

/// The hash of that password, made with pyca's bcrypt.
pub(crate) const HASH: &str = "$2b$05$abcdefghijklmnopqrstuugKvkOgqWN6G.40bnc6Y.fjokmxUzfte";

/// A client of this database.
pub(crate) async fn postgres(address: &str) -> tokio_postgres::Client {
    let connecting = tokio_postgres::connect(address, tokio_postgres::NoTls);
    let (client, connection) = connecting.await.unwrap();
    tokio::spawn(connection);
    client
}

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

/// An old table in the emulated DynamoDB, with an index of lower-case names that has a part of each row.
pub(crate) struct OldTable {
    pub(crate) world: World,
    pub(crate) name: String,
}

impl OldTable {
    pub(crate) async fn make() -> Self {
        let world = World::start().await;
        let client = table_client(&world.stack).await;
        let name = unique("legacy");
        // A part of the row, without the members that bar a user.
        let part = Projection::builder()
            .projection_type(ProjectionType::Include)
            .non_key_attributes("password_hash")
            .non_key_attributes("email")
            .build();
        let index = GlobalSecondaryIndex::builder()
            .index_name("lower")
            .key_schema(hash_key("username_lower"))
            .projection(part)
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
                Value::Array(items) if items.is_empty() => AttributeValue::L(Vec::new()),
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
        ("barred", json!({"enabled": "off"}), None),
        ("barred", json!({"enabled": "disabled"}), None),
        ("barred", json!({"enabled": null}), None),
        ("barred", json!({"disabled": true}), None),
        ("barred", json!({"disabled": 1}), None),
        ("barred", json!({"locked": "yes"}), None),
        ("barred", json!({"deleted": "2024-01-01T00:00:00Z"}), None),
        ("barred", json!({"status": "Suspended"}), None),
        ("barred", json!({"status": 0}), None),
        ("barred", json!({"status": "LOCKED_OUT"}), None),
        ("barred", json!({"blocked": true}), None),
        ("unknown status", json!({"status": "vip"}), None),
        ("active", json!({"status": 1}), CONFIRMED),
        (
            "active",
            json!({"disabled": false, "locked": null, "deleted": null, "status": "active"}),
            CONFIRMED,
        ),
        (
            "active",
            json!({"enabled": "on", "disabled": "off", "locked": "off"}),
            CONFIRMED,
        ),
        (
            "active",
            json!({"enabled": "2024-01-01T00:00:00Z"}),
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
        ("must reset", json!({"must_reset": "pending"}), RESET),
        (
            "no reset",
            json!({"must_reset": "off", "confirmed": "on"}),
            CONFIRMED,
        ),
        ("no reset", json!({"must_reset": null}), CONFIRMED),
        ("unconfirmed", json!({"confirmed": false}), None),
        ("unconfirmed", json!({"confirmed": "pending"}), None),
        ("unconfirmed", json!({"confirmed": "0000-00-00"}), None),
        (
            "confirmed at",
            json!({"confirmed": "2024-01-01 00:00:00"}),
            CONFIRMED,
        ),
        (
            "confirmed on",
            json!({"confirmed": "2024-01-01", "enabled": "2024-01-01 00:00:00+00"}),
            CONFIRMED,
        ),
        (
            "padded",
            json!({"confirmed": "true ", "disabled": "N    ", "status": "active  "}),
            CONFIRMED,
        ),
        ("padded and locked", json!({"status": "locked  "}), None),
        ("no required actions", json!({"must_reset": []}), CONFIRMED),
        ("zero time", json!({"confirmed": -62_135_596_800_i64}), None),
    ];
    let name_of = |at: usize| format!("user{at}@example.com");
    let first = |case: &str| name_of(rows.iter().position(|row| row.0 == case).unwrap());
    let (weak_hash, unconfirmed) = (first("weak hash"), first("unconfirmed"));
    for (at, (case, more, expected)) in rows.into_iter().enumerate() {
        let name = name_of(at);
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
        moved(&migrate, &sign_in(&weak_hash, PASSWORD))
            .await
            .as_deref(),
        CONFIRMED,
        "weak hashes are allowed"
    );
    assert_eq!(
        moved(&migrate, &sign_in(&unconfirmed, PASSWORD))
            .await
            .as_deref(),
        RESET
    );
}
