//! Events of Cognito's triggers: the answer is the event with another `response`, a refusal has a fixed text, and no call
//! goes to another user pool.

use std::sync::OnceLock;

use migrate_user::MigrateUser;
use post_authentication::PostAuthentication;
use post_confirmation::PostConfirmation;
use pre_sign_up::PreSignUp;
use pre_token_generation::PreTokenGeneration;
use runtime::{Handler, InvocationError, Members};
use serde_json::value::RawValue;
use testkit::events;

use crate::aws::Aws;
use crate::edit::edited;
use crate::input::Input;
use crate::{LOG_LEVEL, announce, samples, unchanged_but_response, wait};

const FUNCTIONS: [&str; 6] = [
    "post-authentication",
    "post-confirmation",
    "pre-sign-up",
    "pre-token-generation",
    "migrate-user",
    "pre-sign-up",
];

struct Functions {
    aws: Aws,
    post_authentication: PostAuthentication,
    post_confirmation: PostConfirmation,
    pre_sign_up: PreSignUp,
    pre_token_generation: PreTokenGeneration,
    migrate_user: MigrateUser,
}

fn functions() -> &'static Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let variables = [
            ("LOG_LEVEL", LOG_LEVEL),
            ("PENDING_GROUPS_TABLE", "pending-groups"),
            ("USERS_TABLE", "users"),
            ("REFRESH_TOKEN_TTL_SECONDS", "28800"),
            ("LINK_PROVIDERS", "Google=gmail.com,example.com"),
            ("LEGACY_SOURCE", "dynamodb"),
            ("LEGACY_TABLE", "old-users"),
            ("REFUSAL_STEP_MS", "100"),
            ("ALLOW_WEAK_HASHES", "true"),
        ];
        let aws = Aws::default();
        let sdk = aws.sdk();
        let lookup = events::variables(&variables);
        // Pre-sign-up would look users up in the old store.
        let without_source = |name: &str| lookup(name).filter(|_| !name.starts_with("LEGACY_"));
        let pre_sign_up = pre_sign_up::Config::from_lookup(&without_source);
        let post_authentication = post_authentication::Config::from_lookup(&lookup);
        let post_confirmation = post_confirmation::Config::from_lookup(&lookup);
        let pre_token = pre_token_generation::Config::from_lookup(&lookup);
        let migrate_user = migrate_user::Config::from_lookup(&lookup);
        let migrate_user = migrate_user.unwrap_or_else(|error| panic!("{error}"));
        Functions {
            post_authentication: PostAuthentication::new(
                sdk.clone(),
                post_authentication.expect("a configuration"),
            ),
            post_confirmation: PostConfirmation::new(
                sdk.clone(),
                post_confirmation.expect("a configuration"),
            ),
            pre_sign_up: PreSignUp::new(sdk.clone(), pre_sign_up.expect("a configuration"), None),
            pre_token_generation: wait(PreTokenGeneration::start(
                pre_token.expect("a configuration"),
            ))
            .expect("a function"),
            migrate_user: wait(MigrateUser::new(&sdk, migrate_user)).expect("a function"),
            aws,
        }
    })
}

/// Runs the target.
///
/// # Panics
/// A member of the event is changed, or a call goes to another user pool.
pub fn run(bytes: &[u8]) {
    announce(bytes);
    let mut input = Input::new(bytes);
    let function = FUNCTIONS[input.below(FUNCTIONS.len())];
    let at = input.below(64);
    let script = input.bytes();
    let json = match at {
        63 => String::from_utf8_lossy(input.rest()).into_owned(),
        _ => {
            let samples = samples(function);
            edited(&samples[at % samples.len()], input.rest())
        }
    };
    let Ok(event) = serde_json::from_str::<Box<RawValue>>(&json) else {
        return;
    };
    let all = functions();
    all.aws.follow(script);
    let answer = match function {
        "post-authentication" => wait(all.post_authentication.handle(&event, "r")),
        "post-confirmation" => wait(all.post_confirmation.handle(&event, "r")),
        "pre-sign-up" => wait(all.pre_sign_up.handle(&event, "r")),
        "pre-token-generation" => wait(all.pre_token_generation.handle(&event, "r")),
        _ => wait(all.migrate_user.handle(&event, "r")),
    };
    // Other members are not read: one may have a number that `Value` refuses.
    let members = Members::parse(&event);
    let of_event = members.and_then(|members| members.member("userPoolId"));
    let of_event: Option<String> = of_event.and_then(|id| serde_json::from_str(id.get()).ok());
    for (operation, call) in all.aws.calls() {
        if let Some(pool) = call["UserPoolId"].as_str() {
            assert_eq!(of_event.as_deref(), Some(pool), "{operation}: another pool");
        }
    }
    match answer {
        Ok(answer) if answer.get() == event.get() => {}
        Ok(answer) => unchanged_but_response(&event, &answer),
        Err(InvocationError::Refused(text)) => assert!(text.is_ascii()),
        Err(InvocationError::Unauthorized) => panic!("a trigger has no callers"),
        Err(InvocationError::Internal) => {}
    }
}
