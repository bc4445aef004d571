//! The page that the email's link opens: only its button confirms the account.

use serde_json::{Value, json};
use testkit::server::Fault;

use crate::auth_api::{api, ask, exception, request, tokens};
use crate::world::{World, user_token};

/// Addresses that break a page which does not encode them.
const ADDRESSES: &[&str] = &[
    "a+b&c%d@example.com",
    "\"><script>alert(1)</script>@example.com",
    "o'hara@example.com",
    "{{ 7*7 }}@example.com",
];

fn open(email: &str, code: &str) -> Value {
    let mut event = request("GET", "/auth/confirm", &json!(null));
    event["queryStringParameters"] = json!({"email": email, "confirmationCode": code});
    event["headers"] = json!({"Accept": "text/html"});
    event
}

/// The button of the confirmation page.
pub(crate) fn press(path: &str, form: &str) -> Value {
    let mut event = request("POST", path, &json!(null));
    event["headers"] = json!({
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin",
    });
    event["multiValueHeaders"] = json!(null);
    event["body"] = json!(form);
    event
}

#[tokio::test]
async fn opening_the_page_does_not_confirm() {
    let world = World::start().await;
    let api = api(&world).await;
    for email in ADDRESSES {
        let answer = ask(&api, &open(email, "123456")).await;
        let page = answer.body.as_str().unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        let policy = answer.headers["content-security-policy"].as_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert_eq!(answer.headers["referrer-policy"], "same-origin");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!page.contains("<script") && !page.contains("49@"), "{page}");
        assert!(page.contains("<form method=\"post\" action=\"confirm\">"));
    }
    for text in [
        "your account is locked, call 911@example.com",
        "call 911",
        "a@example.com\nlocked",
    ] {
        let page = ask(&api, &open(text, "123456")).await.body;
        let page = page.as_str().unwrap();
        assert!(
            !page.contains("call 911") && !page.contains("locked"),
            "{page}"
        );
        assert!(page.contains("type=\"email\""), "the user types it");
    }
    for event in [open("", ""), request("GET", "/auth/confirm", &json!(null))] {
        let page = ask(&api, &event).await.body;
        assert!(
            page.as_str().unwrap().contains("name=\"code\""),
            "the user types it"
        );
    }
    assert_eq!(world.cognito.requests(), []);
}

#[tokio::test]
async fn the_button_confirms() {
    let world = World::start().await;
    let api = api(&world).await;
    let form = "email=A%2Bb%26c%25d%40example.com&code=123456&password=right+pass+phrase";
    let token = user_token();
    world.cognito.set_answer("InitiateAuth", tokens(&token));
    let answer = ask(&api, &press("/auth/confirm", form)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.as_str().unwrap().contains("is confirmed"));
    let requests = world.cognito.requests();
    let sent = |operation: &str| {
        let request = requests.iter().find(|(name, _)| name == operation);
        request.expect("Cognito is called").1.clone()
    };
    let confirmed = sent("ConfirmSignUp");
    assert_eq!(confirmed["Username"], "a+b&c%d@example.com");
    assert_eq!(confirmed["ConfirmationCode"], "123456");
    let sent = sent("InitiateAuth");
    assert_eq!(sent["AuthParameters"]["PASSWORD"], "right pass phrase");

    // After a wrong password the page explains what to do.
    let wrong = exception("NotAuthorizedException", "Incorrect username or password.");
    world.cognito.set_fault_for("InitiateAuth", wrong);
    let answer = ask(&api, &press("/auth/confirm", form)).await;
    let page = answer.body.as_str().unwrap();
    assert_eq!(answer.status, 403);
    assert!(page.contains("Choose a new password") && page.contains("no longer works"));
    let without = "email=a%40example.com&code=123456";
    world.cognito.forget_requests();
    assert_eq!(
        ask(&api, &press("/auth/confirm", without)).await.status,
        400
    );
    assert_eq!(
        world.cognito.requests(),
        [],
        "without a password nothing is confirmed"
    );

    let mut pages = std::collections::BTreeSet::new();
    for (name, message) in [
        ("CodeMismatchException", ""),
        ("ExpiredCodeException", ""),
        (
            "NotAuthorizedException",
            "User cannot be confirmed. Current status is CONFIRMED",
        ),
        ("UserNotFoundException", ""),
    ] {
        world.cognito.set_fault(exception(name, message));
        let answer = ask(&api, &press("/auth/confirm", form)).await;
        assert_eq!(answer.status, 400);
        pages.insert(answer.body.to_string());
    }
    assert_eq!(pages.len(), 1, "all of them get the same page");
    let page = pages.pop_first().unwrap();
    assert!(
        page.contains("already been used")
            && page.contains("more than 24 hours old")
            && page.contains("latest email")
    );
    assert!(page.contains("action=\\\"resend\\\""));
    world.cognito.set_fault(Fault::Cut);
    assert_eq!(ask(&api, &press("/auth/confirm", form)).await.status, 503);
    world.cognito.set_fault(Fault::None);

    let answer = ask(&api, &press("/auth/resend", "email=a%40example.com")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        world.cognito.requests().pop().unwrap().0,
        "ResendConfirmationCode"
    );
}

#[tokio::test]
async fn cross_origin_confirmation_is_rejected() {
    let world = World::start().await;
    let api = api(&world).await;
    let form = "email=a%40example.com&code=1";
    for (header, value, expected) in [
        ("Origin", json!("https://evil.example"), 403),
        ("Origin", json!("null"), 403),
        ("Content-Type", json!("text/plain"), 415),
    ] {
        let mut event = press("/auth/confirm", form);
        event["headers"][header] = value;
        event["headers"]["Sec-Fetch-Site"] = json!("cross-site");
        if expected == 415 {
            event["headers"]["Sec-Fetch-Site"] = json!("same-origin");
        }
        assert_eq!(ask(&api, &event).await.status, expected, "{header}");
    }
    let mut event = press("/auth/confirm", form);
    event["headers"] = json!({"Content-Type": "application/x-www-form-urlencoded"});
    assert_eq!(
        ask(&api, &event).await.status,
        415,
        "a form without Origin and Sec-Fetch-Site"
    );
    assert_eq!(world.cognito.requests(), []);
}

#[tokio::test]
async fn pages_follow_accept_language() {
    let world = World::start().await;
    let api = api(&world).await;
    let long = "x,".repeat(5_000);
    for (accept, lang) in [
        ("de-CH,de;q=0.9,en;q=0.8", "lang=\"de\" dir=\"ltr\""),
        ("ar", "lang=\"ar\" dir=\"rtl\""),
        ("fr, ja;q=0.5", "lang=\"ja\""),
        ("xx", "lang=\"en\""),
        (long.as_str(), "lang=\"en\""),
    ] {
        let mut event = open("a@example.com", "1");
        event["headers"]["Accept-Language"] = json!(accept);
        let page = ask(&api, &event).await.body;
        assert!(page.as_str().unwrap().contains(lang), "{accept:.40}");
    }
}
