//! migrate-user does not start with an invalid configuration, and names the variable.

use std::collections::BTreeSet;

use testkit::Binary;

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
