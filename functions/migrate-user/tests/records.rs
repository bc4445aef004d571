//! Which row of a DynamoDB table is a user's record, over a fake AWS.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use migrate_user::{Config, MigrateUser};
use runtime::Handler;
use serde_json::{Value, json};
use testkit::{FakeAws, events};

const PASSWORD: &str = "correct horse-\u{dc}n\u{ef}code";
/// The hash of that password, made with pyca's bcrypt.
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuugKvkOgqWN6G.40bnc6Y.fjokmxUzfte";

struct Fixture {
    migrate: MigrateUser,
    aws: FakeAws,
}

impl Fixture {
    async fn with(more: &[(&str, &str)]) -> Self {
        let aws = FakeAws::agreeable().await;
        let variables = [
            &[
                ("LEGACY_SOURCE", "dynamodb"),
                ("LEGACY_TABLE", "users"),
                ("LEGACY_INDEX", "lower"),
                ("REFUSAL_STEP_MS", "25"),
            ],
            more,
        ]
        .concat();
        let config = Config::from_lookup(&events::variables(&variables)).unwrap();
        let migrate = MigrateUser::new(&aws.sdk(), config).await.unwrap();
        Self { migrate, aws }
    }

    /// The status of the user who signs in with the right password while the index and the table have these items.
    async fn moved(&self, projected: &Value, row: Option<&Value>) -> Option<String> {
        let items = json!({"Items": [projected], "Count": 1});
        self.aws.set_answer("Query", items);
        let row = row.map_or_else(|| json!({}), |row| json!({"Item": row}));
        self.aws.set_answer("GetItem", row);
        let event = json!({
            "version": "1", "triggerSource": "UserMigration_Authentication", "region": "us-east-1",
            "userPoolId": "us-east-1_Gatehouse", "userName": "Ada",
            "request": {"password": PASSWORD}, "response": {"userAttributes": null},
        });
        let answer = self.migrate.handle(&events::raw(&event), "request-1").await;
        let answer: Value = serde_json::from_str(answer.ok()?.get()).unwrap();
        let status = answer["response"]["finalUserStatus"].as_str();
        status.map(str::to_owned)
    }
}

/// A row in DynamoDB's JSON.
fn row(more: &Value) -> Value {
    let mut row = json!({
        "username": {"S": "Ada"}, "username_lower": {"S": "ada"}, "password_hash": {"S": HASH},
        "email": {"S": "ada@example.com"}, "email_verified": {"BOOL": true},
    });
    let members = more.as_object().unwrap().clone();
    row.as_object_mut().unwrap().extend(members);
    row
}

const CONFIRMED: Option<&str> = Some("CONFIRMED");
const RESET: Option<&str> = Some("RESET_REQUIRED");

#[tokio::test]
async fn the_row_of_the_table_is_the_record() {
    let fixture = Fixture::with(&[]).await;
    // The projection `INCLUDE [password_hash, email]`, or an item of before the user was disabled.
    let projected = row(&json!({}));
    for (row, expected) in [
        (Some(row(&json!({}))), CONFIRMED),
        (Some(row(&json!({"disabled": {"BOOL": true}}))), None),
        (Some(row(&json!({"locked": {"N": "1"}}))), None),
        (Some(row(&json!({"must_reset": {"BOOL": true}}))), RESET),
        (Some(row(&json!({"password_hash": {"S": "$2b$05$abc"}}))), None),
        // Deleted, and renamed.
        (None, None),
        (Some(row(&json!({"username_lower": {"S": "eve"}}))), None),
    ] {
        let found = fixture.moved(&projected, row.as_ref()).await;
        assert_eq!(found.as_deref(), expected, "{row:?}");
    }
    let requests = fixture.aws.requests();
    let reads: Vec<_> = requests.iter().filter(|one| one.0 == "GetItem").collect();
    assert_eq!(reads.len(), 7);
    for (_, read) in reads {
        assert_eq!(read["Key"], json!({"username": {"S": "Ada"}}));
        assert_eq!(read["ConsistentRead"], true);
    }
}

#[tokio::test]
async fn a_table_may_have_a_sort_key() {
    let fixture = Fixture::with(&[("LEGACY_TABLE_KEY", "tenant,id")]).await;
    let key = json!({"tenant": {"S": "t-1"}, "id": {"N": "7"}});
    let found = fixture.moved(&row(&key), Some(&row(&key))).await;
    assert_eq!(found.as_deref(), CONFIRMED);
    let (_, read) = fixture.aws.requests().pop().unwrap();
    assert_eq!(read["Key"], key);
    // The variable names another attribute than the key.
    let key = json!({"tenant": {"S": "t-1"}});
    assert_eq!(fixture.moved(&row(&key), Some(&row(&key))).await, None);

    let with = |key, index| {
        let variables = [
            ("LEGACY_SOURCE", "dynamodb"),
            ("LEGACY_TABLE", "users"),
            ("LEGACY_TABLE_KEY", key),
            ("LEGACY_INDEX", index),
        ];
        Config::from_lookup(&events::variables(&variables)).is_ok()
    };
    assert!(with("id", "") && with("id,sort", "lower"));
    assert!(!with("id,sort", "") && !with("a,b,c", "lower") && !with("id,", "lower"));
}
