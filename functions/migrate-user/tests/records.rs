//! Which records of a DynamoDB table admit a user, and which row is the record, over a fake AWS.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use migrate_user::check::Checker;
use migrate_user::{Config, MigrateUser};
use runtime::Handler;
use serde_json::{Map, Value, json};
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
        (
            Some(row(&json!({"password_hash": {"S": "$2b$05$abc"}}))),
            None,
        ),
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

#[tokio::test]
async fn a_value_that_bars_a_user_has_many_forms() {
    let fixture = Fixture::with(&[]).await;
    for (more, expected) in [
        // Drupal.
        (json!({"status": {"N": "0"}}), None),
        (json!({"status": {"N": "1"}}), CONFIRMED),
        (json!({"status": {"BOOL": false}}), None),
        (json!({"status": {"S": "0"}}), None),
        (json!({"status": {"S": "1"}}), CONFIRMED),
        // Okta.
        (json!({"status": {"S": "ACTIVE"}}), CONFIRMED),
        (json!({"status": {"S": "PASSWORD_EXPIRED"}}), RESET),
        (json!({"status": {"S": "RECOVERY"}}), RESET),
        (json!({"status": {"S": "STAGED"}}), None),
        (json!({"status": {"S": "PROVISIONED"}}), None),
        (json!({"status": {"S": "LOCKED_OUT"}}), None),
        (json!({"status": {"S": "DEPROVISIONED"}}), None),
        // Others.
        (json!({"status": {"S": "deactivated"}}), None),
        (json!({"status": {"S": "closed"}}), None),
        (json!({"status": {"S": "a word of this store"}}), None),
        (json!({"status": {"N": "2"}}), None),
        (json!({"status": {"B": "AQ=="}}), None),
        (json!({"status": {"S": ""}}), CONFIRMED),
        (json!({"status": {"NULL": true}}), CONFIRMED),
        (json!({"status": {"S": "UNCONFIRMED"}}), None),
        (
            json!({"status": {"S": "active"}, "disabled": {"N": "1"}}),
            None,
        ),
        // Auth0, Moodle, Clerk, FusionAuth.
        (json!({"blocked": {"BOOL": true}}), None),
        (json!({"blocked": {"S": "false"}}), CONFIRMED),
        (json!({"suspended": {"N": "1"}}), None),
        (json!({"suspended": {"N": "0"}}), CONFIRMED),
        (json!({"banned": {"S": "yes"}}), None),
        (json!({"active": {"BOOL": false}}), None),
        (json!({"active": {"N": "0"}}), None),
        (json!({"active": {"S": "Y"}}), CONFIRMED),
        // A binary value, as a BIT column becomes one, is unclear.
        (json!({"disabled": {"B": "AQ=="}}), None),
        (json!({"disabled": {"NS": ["1"]}}), None),
        (json!({"enabled": {"B": "AQ=="}}), None),
        (json!({"must_reset": {"B": "AQ=="}}), RESET),
        (
            json!({"email_verified": {"N": "1"}, "must_reset": {"N": "1"}}),
            RESET,
        ),
        (
            json!({"email_verified": {"S": "no"}, "must_reset": {"N": "1"}}),
            None,
        ),
    ] {
        let row = row(&more);
        let found = fixture.moved(&row, Some(&row)).await;
        assert_eq!(found.as_deref(), expected, "{more}");
    }
}

#[test]
fn a_check_counts_unknown_statuses_by_word() {
    let mut checker = Checker::from_lookup(&|_| None).unwrap();
    let record = |name: &str, status: Value| -> Map<String, Value> {
        let record = json!({"username": name, "password_hash": HASH, "email": "ada@example.com",
            "email_verified": true, "status": status});
        serde_json::from_value(record).unwrap()
    };
    for (name, status, problem) in [
        ("a", json!("active"), None),
        ("b", json!(0), Some("disabled")),
        ("c", json!("vip"), Some("unknown_status: vip")),
        ("d", json!("vip "), Some("unknown_status: vip")),
        ("e", json!(10), Some("unknown_status: 10")),
    ] {
        let found = checker.add(&record(name, status));
        assert_eq!(found, Vec::from_iter(problem), "{name}");
    }
    assert_eq!(checker.problems()["unknown_status: vip"], 2);
    // The field holds something else.
    for at in 0..200 {
        checker.add(&record("f", json!(format!("text {at}"))));
    }
    assert_eq!(checker.problems()["unknown_status: another one"], 138);
    assert_eq!(checker.problems().len(), 1 + 64 + 1);
}
