//! The emails and text messages of Cognito's CustomMessage trigger.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::path::Path;

use custom_message::{Config, CustomMessage, with_other_names};
use runtime::{Handler, InvocationError};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::events;

const SOURCES: [&str; 7] = [
    "SignUp",
    "AdminCreateUser",
    "ResendCode",
    "ForgotPassword",
    "UpdateUserAttribute",
    "VerifyUserAttribute",
    "Authentication",
];

/// The variables of every test, after those of one.
fn variables<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let common = [
        ("APP_NAME", "Example"),
        ("APP_BASE_URL", "https://app.example.com"),
    ];
    more.iter().copied().chain(common).collect()
}

async fn start(more: &[(&str, &str)]) -> CustomMessage {
    let all = variables(more);
    let config = Config::from_lookup(&with_other_names(events::variables(&all))).unwrap();
    let Ok(function) = CustomMessage::start(config).await;
    function
}

/// The error of a configuration that is invalid.
fn refused(more: &[(&str, &str)]) -> String {
    let all = variables(more);
    let config = Config::from_lookup(&with_other_names(events::variables(&all)));
    config.err().unwrap().to_string()
}

async fn call(function: &CustomMessage, event: &Value) -> Result<Value, InvocationError> {
    let answer = function.handle(&events::raw(event), "request-1").await?;
    Ok(serde_json::from_str(answer.get()).unwrap())
}

fn event(source: &str, attributes: Value) -> Value {
    let username = (source == "AdminCreateUser").then_some("{username}");
    json!({
        "version": "1", "region": "us-east-1", "userPoolId": "us-east-1_Gatehouse",
        "userName": "5f7e6d5c-1234", "triggerSource": format!("CustomMessage_{source}"),
        "callerContext": {"awsSdkVersion": "aws-sdk-js-3", "clientId": "one"},
        "request": {"userAttributes": attributes, "codeParameter": "{####}",
            "linkParameter": "{##Click Here##}", "usernameParameter": username},
        "response": {"smsMessage": null, "emailMessage": null, "emailSubject": null},
    })
}

fn ada() -> Value {
    json!({"sub": "5f7e6d5c-1234", "cognito:user_status": "UNCONFIRMED", "email_verified": "false",
        "email": "ada@example.com", "name": "Ada Lovelace"})
}

struct Sent {
    mail: String,
    subject: String,
    sms: String,
}

/// The message of the response, after the checks that apply to all messages.
async fn send(function: &CustomMessage, event: &Value) -> Sent {
    let answer = call(function, event).await.unwrap();
    let text = |name: &str| {
        answer["response"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let sent = Sent {
        mail: text("emailMessage"),
        subject: text("emailSubject"),
        sms: text("smsMessage"),
    };
    let mut rest = answer.clone();
    rest["response"] = event.get("response").cloned().unwrap_or(Value::Null);
    let mut expected = event.clone();
    expected["response"] = rest["response"].clone();
    assert_eq!(rest, expected, "all other members are returned unchanged");
    let code = event["request"]["codeParameter"].as_str().unwrap();
    assert!(
        sent.mail.contains(code) && sent.sms.contains(code),
        "{event}"
    );
    assert!(!sent.subject.contains('#') && !sent.subject.is_empty());
    assert!(
        sent.mail.is_ascii() && sent.mail.len() <= 20_000,
        "{}",
        sent.mail.len()
    );
    assert!(sent.subject.chars().count() <= 140 && sent.sms.chars().count() <= 140);
    for text in [&sent.subject, &sent.sms] {
        assert!(!text.contains(char::is_control), "{text}");
    }
    sent
}

/// The URL of the button, with its entities decoded.
fn link(mail: &str) -> Option<String> {
    let (_, rest) = mail.split_once("href=\"")?;
    let (link, _) = rest.split_once('"')?;
    Some(link.replace("&amp;", "&"))
}

#[tokio::test]
async fn messages_exist_for_every_trigger_and_language() {
    let function = start(&[]).await;
    let mut subjects = std::collections::BTreeSet::new();
    for source in SOURCES {
        for (locale, word) in [
            ("en", "Hello Ada Lovelace,"),
            ("en-GB", "Hello Ada Lovelace,"),
            ("de_AT", "Hallo Ada Lovelace,"),
            ("es", "Hola, Ada Lovelace:"),
            ("ja-JP", "Ada Lovelace &#27096;"),
            ("ar", "Ada Lovelace&#1548;"),
            ("tlh", "Hello Ada Lovelace,"),
        ] {
            let mut attributes = ada();
            attributes["locale"] = json!(locale);
            let sent = send(&function, &event(source, attributes)).await;
            let greets = ["AdminCreateUser", "ForgotPassword", "Authentication"];
            if greets.contains(&source) {
                assert!(sent.mail.contains(word), "{source} {locale}: {word}");
            } else {
                assert!(!sent.mail.contains("Ada"), "{source}: an unproven address");
            }
            let right_to_left = sent.mail.contains("dir=\"rtl\"");
            assert_eq!(right_to_left, locale == "ar", "{locale}");
            let has_link = matches!(source, "SignUp" | "ResendCode");
            assert_eq!(link(&sent.mail).is_some(), has_link, "{source}");
            if source == "AdminCreateUser" {
                assert!(sent.mail.contains("{username}") && sent.sms.contains("{username}"));
            } else {
                assert!(!sent.mail.contains("null") && !sent.mail.contains("username"));
            }
            assert!(!sent.mail.contains("%7B") && !sent.mail.contains("{{"));
            subjects.insert((source, sent.subject));
        }
    }
    assert!(
        subjects.len() >= 7 * 5,
        "each message has its own subject: {}",
        subjects.len()
    );
    let mut wish = event("ForgotPassword", ada());
    wish["request"]["clientMetadata"] = json!({"locale": "de"});
    assert!(send(&function, &wish).await.mail.contains("Hallo Ada"));
    for odd in [
        json!("../../etc/passwd"),
        json!("x".repeat(10_000)),
        json!({"a": 1}),
        json!(7),
        json!(""),
    ] {
        wish["request"]["clientMetadata"] = json!({"locale": odd});
        assert!(
            send(&function, &wish).await.mail.contains("Hello Ada"),
            "{odd:.40}"
        );
    }
}

#[tokio::test]
async fn links_contain_the_address_encoded_once() {
    let function = start(&[]).await;
    for email in [
        "ada@example.com",
        "a+b&c%d@example.com",
        "a#b=c?d/e'f!g`h@example.com",
        "\"quoted local\"@example.com".replace(' ', "+").as_str(),
        "\u{fc}nic\u{f6}de@b\u{fc}cher.example",
        "a{####}b@example.com",
        &format!("{}@{}.example", "l".repeat(64), "d".repeat(180)),
    ] {
        let mut attributes = ada();
        attributes["email"] = json!(email);
        let sent = send(&function, &event("SignUp", attributes)).await;
        let link = link(&sent.mail).unwrap_or_else(|| panic!("{email}: no link"));
        let rest = link.strip_prefix("https://app.example.com/auth/confirm?email=");
        let (encoded, code) = rest.unwrap().split_once("&confirmationCode=").unwrap();
        assert_eq!(code, "{####}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        assert!(encoded.chars().all(plain), "{encoded}");
        let decoded = percent_encoding::percent_decode_str(encoded)
            .decode_utf8()
            .unwrap();
        assert_eq!(decoded, email, "decodes to the address");
    }
    // No link if the user's status is unknown, or the address is missing or invalid.
    for change in [
        json!({"cognito:user_status": null}),
        json!({"email": null}),
        json!({"email": "no address"}),
        json!({"email": "x".repeat(2_048) + "@example.com"}),
    ] {
        let mut attributes = ada();
        for (name, value) in change.as_object().unwrap() {
            attributes[name] = value.clone();
        }
        let sent = send(&function, &event("SignUp", attributes)).await;
        assert_eq!(link(&sent.mail), None, "{change}");
    }
    let mut evil = event("SignUp", ada());
    evil["request"]["clientMetadata"] =
        json!({"redirect": "https://evil.example", "APP_BASE_URL": "https://evil.example"});
    assert!(!send(&function, &evil).await.mail.contains("evil"));
}

#[tokio::test]
async fn only_plausible_names_are_shown() {
    let function = start(&[]).await;
    for name in [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "</a><a href=https://evil.example>",
        "\"onmouseover=x",
        "&lt;b&gt;",
        "{####}",
        "{##Click Here##}",
        "{username}",
        "{{ code }}",
        "{% raw %}",
        "http://evil.example",
        "evil.example",
        "visit evil.example now",
        "ada@evil.example",
        "a\r\nBcc: b@example.com",
        "nb\u{a0}sp",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{202e}adA",
        "so\u{ad}ft",
        "\u{feff}bom",
        "\u{3000}wide",
        "nul\u{0}",
        "\u{e000}private",
        &format!("z{}", "\u{301}".repeat(100)),
        "your account is locked now",
        "your account is locked call now",
        &"x".repeat(33),
        &"x".repeat(2_048),
        &"\u{1f600}".repeat(2_048),
        "  ",
        "",
        "...",
    ] {
        for source in ["SignUp", "ForgotPassword"] {
            let mut attributes = ada();
            attributes["name"] = json!(name);
            let sent = send(&function, &event(source, attributes)).await;
            assert!(
                sent.mail.contains(">Hello,<"),
                "{name:?}: a neutral greeting"
            );
            assert_eq!(
                sent.mail.matches("{####}").count(),
                1 + usize::from(source == "SignUp")
            );
            assert!(!sent.mail.contains("evil"), "{name:?}");
        }
    }
    for (name, greeting) in [
        ("O'Brien", "Hello O&#x27;Brien,"),
        ("J. R. R. Tolkien", "Hello J. R. R. Tolkien,"),
        (
            "Ada Augusta King Countess-Lovela",
            "Hello Ada Augusta King Countess-Lovela,",
        ),
        ("Anne-Marie", "Hello Anne-Marie,"),
        ("Zo\u{eb}", "Hello Zo&#235;,"),
        ("\u{674e}\u{56db}", "Hello &#26446;&#22235;,"),
        (
            "\u{645}\u{631}\u{64a}\u{645}",
            "Hello &#1605;&#1585;&#1610;&#1605;,",
        ),
    ] {
        let mut attributes = ada();
        attributes["name"] = json!(name);
        let sent = send(&function, &event("ForgotPassword", attributes)).await;
        assert!(sent.mail.contains(greeting), "{name}: escaped once");
    }
    for attributes in [
        json!(null),
        json!({}),
        json!({"email": null, "name": null}),
        json!([]),
    ] {
        let sent = send(&function, &event("SignUp", attributes)).await;
        assert!(sent.mail.contains(">Hello,<"));
    }
}

#[tokio::test]
async fn unrenderable_events_are_returned_unchanged() {
    let function = start(&[]).await;
    let with = |pointer: &str, value: Value| {
        let mut event = event("SignUp", ada());
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let mut without_code = event("SignUp", ada());
    without_code["request"]
        .as_object_mut()
        .unwrap()
        .remove("codeParameter");
    let status = |source: &str, status: &str| {
        let mut event = event(source, ada());
        event["request"]["userAttributes"]["cognito:user_status"] = json!(status);
        event
    };
    let unchanged = [
        ("not unconfirmed", status("SignUp", "CONFIRMED")),
        ("not unconfirmed", status("SignUp", "RESET_REQUIRED")),
        ("not unconfirmed", status("SignUp", "")),
        ("not unconfirmed", status("ResendCode", "CONFIRMED")),
        (
            "unknown trigger source",
            with("/triggerSource", json!("CustomMessage_New")),
        ),
        (
            "unknown trigger source",
            with("/triggerSource", json!("PreSignUp_SignUp")),
        ),
        (
            "unknown trigger source",
            with("/triggerSource", json!(null)),
        ),
        (
            "without a valid code parameter",
            with("/request/codeParameter", json!(null)),
        ),
        (
            "without a valid code parameter",
            with("/request/codeParameter", json!("")),
        ),
        (
            "without a valid code parameter",
            with("/request/codeParameter", json!("<b>")),
        ),
        ("without a valid code parameter", without_code),
        (
            "without a valid code parameter",
            with("/request", json!(null)),
        ),
        ("without a username parameter", {
            let mut event = event("AdminCreateUser", ada());
            event["request"]["usernameParameter"] = json!(null);
            event
        }),
    ];
    for (case, event) in unchanged {
        assert_eq!(call(&function, &event).await.unwrap(), event, "{case}");
    }
    for (pointer, value) in [
        ("/version", json!(1)),
        ("/response", json!(null)),
        ("/response", json!({})),
        ("/callerContext", json!(null)),
        ("/request/codeParameter", json!("####")),
    ] {
        send(&function, &with(pointer, value)).await;
    }
    let mut bare = event("SignUp", ada());
    bare.as_object_mut().unwrap().remove("response");
    let answer = call(&function, &bare).await.unwrap();
    assert!(answer["response"]["emailMessage"].is_string());
    // Numbers and members that the function's types do not have.
    let odd = event("SignUp", ada()).to_string();
    let odd = odd.replacen(
        "\"version\"",
        "\"big\":123456789012345678901234567890.10,\"version\"",
        1,
    );
    let odd = RawValue::from_string(odd).unwrap();
    let answer = function.handle(&odd, "request-1").await.unwrap();
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    assert!(answer["big"].to_string().starts_with("1.234567890123456"));
    let kept = with("/response", json!({"another": [1, null]}));
    let answer = call(&function, &kept).await.unwrap();
    assert_eq!(answer["response"]["another"], json!([1, null]));
    let first = call(&function, &event("SignUp", ada())).await.unwrap();
    let again = call(&function, &event("SignUp", ada())).await.unwrap();
    assert_eq!(first, again);
    for event in [json!(null), json!([]), json!("x")] {
        let answer = call(&function, &event).await;
        assert_eq!(answer, Err(InvocationError::Internal), "{event}");
    }
}

#[tokio::test]
async fn brands_are_chosen_by_configuration() {
    let clients = json!({"one": {"name": "One & Co", "base_url": "https://one.example/app",
        "confirmation_path": "/ok"}})
    .to_string();
    let function = start(&[("APP_CLIENTS", &clients), ("DEFAULT_LOCALE", "de")]).await;
    let sent = send(&function, &event("SignUp", ada())).await;
    assert!(sent.subject.contains("One & Co") && sent.mail.contains("One &amp; Co"));
    assert!(
        link(&sent.mail)
            .unwrap()
            .starts_with("https://one.example/app/ok?")
    );
    let mut other = event("SignUp", ada());
    other["callerContext"]["clientId"] = json!("two");
    let sent = send(&function, &other).await;
    assert!(sent.subject.contains("Example") && sent.mail.contains("Guten Tag,"));
    assert!(
        link(&sent.mail)
            .unwrap()
            .starts_with("https://app.example.com/")
    );

    let function = start(&[("EMAIL_SENDING_ACCOUNT", "COGNITO_DEFAULT")]).await;
    let answer = call(&function, &event("SignUp", ada())).await.unwrap();
    assert!(answer["response"]["smsMessage"].is_string());
    assert_eq!(answer["response"]["emailMessage"], Value::Null);
    // The same settings under their fallback names, which apply if the first are unset.
    let (base, path) = ("app__base_url", "app__confirmation_path");
    for (more, expected) in [
        (
            vec![
                ("APP_BASE_URL", ""),
                (base, "https://two.example"),
                (path, "/c"),
            ],
            "https://two.example/c?",
        ),
        (
            vec![(base, "https://two.example"), (path, "/c")],
            "https://app.example.com/c?",
        ),
    ] {
        let function = start(&more).await;
        let link = link(&send(&function, &event("SignUp", ada())).await.mail);
        assert!(link.unwrap().starts_with(expected), "{more:?}");
    }
    let output = refused(&[("APP_BASE_URL", ""), (base, "http://app.example.com")]);
    assert!(output.contains("APP_BASE_URL"), "{output}");
    let function = start(&[("APP_BASE_URL", "")]).await;
    assert_eq!(
        link(&send(&function, &event("SignUp", ada())).await.mail),
        None
    );
}

#[tokio::test]
async fn rejects_invalid_brands_at_start() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("brand");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/default");
    let english = std::fs::read_to_string(shipped.join("en.json")).unwrap();
    let layout = "<p>{{ greeting }}{% if link %}<a href=\"{{ link }}\">x</a>{% endif %} {{ username }} {{ code }}</p>";
    let with = |layout: &str, english: &str| {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("layout.html"), layout).unwrap();
        std::fs::write(folder.join("en.json"), english).unwrap();
        folder.to_str().unwrap().to_owned()
    };
    let dir = with(layout, &english);
    let function = start(&[("TEMPLATES_DIR", &dir)]).await;
    let sent = send(&function, &event("SignUp", ada())).await;
    assert!(sent.mail.starts_with("<p>Hello,"), "a custom brand");

    let longer = english.replacen("Your sign-in code for", &"long ".repeat(40), 1);
    let without_code = english.replace("{{ code }} is your sign-in code", "sign-in code");
    let missing = english.replace("\"forgot_password\"", "\"forgotten\"");
    for (layout, texts, word) in [
        ("<p>{{ greeting }}</p>", english.as_str(), "code is missing"),
        ("<p>{{ code }}</p>", &english, "name is missing"),
        ("<p>{{ code", &english, "layout.html"),
        (layout, "{", "en.json"),
        (layout, &longer, "longer than 140"),
        (layout, &without_code, "code is missing"),
        (layout, &missing, "forgot_password"),
    ] {
        let dir = with(layout, texts);
        let output = refused(&[("TEMPLATES_DIR", &dir)]);
        assert!(
            output.contains("TEMPLATES_DIR") && output.contains(word),
            "{word}: {output}"
        );
    }
    // The error names the file and the line of the invalid message.
    let line = english
        .lines()
        .position(|line| line.contains("\"authentication\""));
    let place = format!("en.json:{}, authentication", line.unwrap() + 1);
    let dir = with(layout, &without_code);
    let output = refused(&[("TEMPLATES_DIR", &dir)]);
    assert!(output.contains(&place), "{place}: {output}");
    for more in [
        [("APP_NAME", "")],
        [("APP_NAME", "a{b")],
        [("APP_BASE_URL", "http://app.example.com")],
        [("APP_BASE_URL", "https://app.example.com/?a=\"b")],
        [("APP_CONFIRMATION_PATH", "confirm")],
        [("APP_CLIENTS", "[]")],
        [("APP_CLIENTS", r#"{"one":{"base_url":"javascript:x"}}"#)],
        [("EMAIL_SENDING_ACCOUNT", "mine")],
    ] {
        assert!(refused(&more).contains(more[0].0), "{more:?}");
    }
    let output = refused(&[("DEFAULT_LOCALE", "xx")]);
    assert!(
        output.contains("the default locale is not there"),
        "{output}"
    );
}
