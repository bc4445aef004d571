//! Random input never causes a panic, and a modified token is never accepted. Valid inputs
//! are cut, spliced and changed at random, each for one second by default, or for `GATEHOUSE_FUZZ_SECONDS`
//! with `make fuzz`. A failure prints its input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use api_gateway::Effect;
use auth::{
    AuthError, IAT_LEEWAY_SECONDS, Issuer, KeySet, KeySource, RevocationReader, Revocations,
    Unavailable, UnixSeconds, UnverifiedToken, VerifiedClaims, VerifyingKey,
};
use auth_dynamodb::DynamoApiKeys;
use authorizer::{ApiKeys, Authorizer, Event};
use custom_message::CustomMessage;
use migrate_user::hash::PasswordHash;
use runtime::Handler;
use serde_json::Value;
use serde_json::value::RawValue;
use testkit::Pool;
use testkit::token::now;

use crate::authorizer_concurrency::in_process;

/// xorshift: the inputs differ from run to run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let time = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        Self(u64::try_from(time % u128::from(u64::MAX)).unwrap() | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Fragments that have broken other parsers.
const WORDS: &[&str] = &[
    "",
    "\0",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "..",
    "/",
    "%2f",
    "$",
    "$$",
    "*",
    "?",
    "=",
    "==",
    ",",
    ":",
    "\r\n",
    "\u{feff}",
    "\u{202e}",
    "\u{1f600}",
    "<script>",
    "{{7*7}}",
    "{####}",
    "none",
    "HS256",
    "$2b$31$",
    "m=4294967295",
    "ln=63",
    "Bearer ",
    "alg",
    "kid",
    "exp",
    "sub",
];

/// An input with a few random changes.
fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let word = random.pick(WORDS).as_bytes();
                bytes.splice(at..end, word.iter().copied());
            }
            4 => {
                let word = random.pick(WORDS).as_bytes();
                bytes.splice(at..at, word.iter().copied());
            }
            5 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let other = random.pick(seeds);
                let from = random.below(other.len());
                let piece = other[from..(from + 64).min(other.len())].to_vec();
                bytes.splice(at..end, piece);
            }
        }
    }
    bytes
}

/// Tries changed inputs until the time has passed.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the caller sets the duration and reads the number of inputs"
)]
fn fuzz(name: &str, seeds: &[Vec<u8>], try_one: impl Fn(&[u8])) {
    let seconds = std::env::var("GATEHOUSE_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut random = Random::new();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0_u64;
    for seed in seeds {
        try_one(seed);
    }
    while Instant::now() < until {
        let bytes = changed(seeds, &mut random);
        let result = catch_unwind(AssertUnwindSafe(|| try_one(&bytes)));
        assert!(
            result.is_ok(),
            "{name}: {:?}, in hexadecimal digits {}",
            String::from_utf8_lossy(&bytes),
            hex(&bytes)
        );
        tried += 1;
    }
    println!("fuzz: {name}, {tried} inputs");
}

/// Every byte, so that the input can be repeated.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let files = std::fs::read_dir(folder).unwrap();
    let token = Pool::ours().access_token().build();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| !path.to_string_lossy().contains("expected"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .map(|text| text.replace("{{ACCESS_TOKEN}}", &token).into_bytes())
        .collect()
}

#[test]
fn random_tokens_are_never_accepted() {
    let pool = Pool::ours();
    let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
    let (verifier, _) = in_process();
    let right = [pool.access_token().build(), pool.id_token().build()];
    let seeds = right.clone().map(String::into_bytes);
    let at = UnixSeconds(now());
    fuzz("tokens", &seeds, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let Ok(token) = UnverifiedToken::parse(text) else {
            return;
        };
        let Ok(issuer) = verifier.issuer_of(&token) else {
            return;
        };
        let Some(key) = keys.get(token.unverified_kid()) else {
            return;
        };
        if verifier.verify(token, issuer, key, at).is_ok() {
            assert!(
                right.iter().any(|token| token == text),
                "a token without a valid signature was accepted"
            );
        }
    });
}

/// Changes the claims before signing: valid signatures over unusual contents.
#[test]
fn random_signed_claims_never_panic() {
    let pool = Pool::ours();
    let keys = KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap();
    let (verifier, _) = in_process();
    let claims = [
        pool.access_token().claims_json(),
        pool.id_token().claims_json(),
    ];
    let seeds = claims.map(|claims| claims.to_string().into_bytes());
    let at = UnixSeconds(now());
    fuzz("signed claims", &seeds, |bytes| {
        let access = pool.access_token();
        let token = access.build_raw(access.header_json(), bytes);
        let Ok(token) = UnverifiedToken::parse(&token) else {
            return;
        };
        let Ok(issuer) = verifier.issuer_of(&token) else {
            return;
        };
        let key = keys.get(token.unverified_kid()).unwrap();
        if let Ok(claims) = verifier.verify(token, issuer, key, at) {
            assert!(claims.expires_at() > at && claims.issued_at() <= at.plus(IAT_LEEWAY_SECONDS));
            assert!(!claims.subject().is_empty() && claims.client_id() == pool.client_id);
            let plain = |text: &str| !text.chars().any(char::is_control);
            assert!(plain(claims.subject()) && claims.groups().iter().all(|group| plain(group)));
        }
    });
}

#[test]
fn random_key_sets_never_panic() {
    let seeds = [Pool::ours().jwks().to_string().into_bytes()];
    fuzz("key sets", &seeds, |bytes| {
        if let Ok(keys) = KeySet::parse(bytes) {
            assert!(keys.len() <= 64);
        }
    });
}

struct Keys(KeySet);

impl KeySource for Keys {
    async fn key_for(
        &self,
        _: &Issuer,
        kid: &str,
        _: UnixSeconds,
    ) -> Result<Arc<VerifyingKey>, AuthError> {
        let key = self.0.get(kid).map(Arc::clone);
        key.ok_or(AuthError::Unauthorized(auth::DenyReason::UnknownKey))
    }
}

struct NoRevocations;

impl RevocationReader for NoRevocations {
    async fn revocations(
        &self,
        _: &VerifiedClaims,
        _: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        Ok(Revocations::default())
    }
}

#[test]
fn random_events_never_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let keys = KeySet::parse(Pool::ours().jwks().to_string().as_bytes()).unwrap();
    let (verifier, settings) = in_process();
    let no_api_keys = None::<ApiKeys<DynamoApiKeys>>;
    let authorizer = Authorizer::new(verifier, Keys(keys), NoRevocations, no_api_keys, settings);
    fuzz("events", &files("events/authorizer"), |bytes| {
        let Ok(event) = serde_json::from_slice::<Box<RawValue>>(bytes) else {
            return;
        };
        let event = Event::read(&event);
        let Ok(decision) = runtime.block_on(authorizer.authorize(&event, &OnceLock::new())) else {
            return;
        };
        let answer: Value = serde_json::from_str(decision.answer.get()).unwrap();
        let allows = answer.to_string().contains("\"Allow\"") || answer["isAuthorized"] == true;
        assert_eq!(allows, decision.effect == Effect::Allow, "{answer}");
        assert!(decision.answer.get().len() <= 8192);
    });
}

#[test]
fn random_messages_never_panic() {
    let lookup = |name: &str| match name {
        "APP_NAME" => Some("Example".to_owned()),
        "APP_BASE_URL" => Some("https://app.example.com".to_owned()),
        "LOG_LEVEL" => Some("ERROR".to_owned()),
        _ => None,
    };
    let config = custom_message::Config::from_lookup(&lookup).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let function = runtime.block_on(CustomMessage::start(config)).unwrap();
    fuzz("messages", &files("events/custom-message"), |bytes| {
        let Ok(event) = serde_json::from_slice::<Box<RawValue>>(bytes) else {
            return;
        };
        let Ok(answer) = runtime.block_on(function.handle(&event, "id")) else {
            return;
        };
        let before: Value = serde_json::from_str(event.get()).unwrap_or_default();
        // A member that is not Unicode is returned unchanged.
        let Ok(after) = serde_json::to_value(&answer) else {
            return;
        };
        let mail = &after["response"]["emailMessage"];
        let Some(mail) = mail
            .as_str()
            .filter(|_| before["response"] != after["response"])
        else {
            return;
        };
        assert!(mail.contains("####") && mail.len() <= 20_000, "{mail}");
        let mail = mail.to_lowercase();
        assert!(
            !mail.contains("<script") && !mail.contains("javascript:"),
            "{mail}"
        );
    });
}

#[test]
fn random_password_hashes_never_panic() {
    let seeds = [
        "$2b$05$abcdefghijklmnopqrstuugKvkOgqWN6G.40bnc6Y.fjokmxUzfte",
        "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk",
        "$scrypt$ln=10,r=8,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk",
        "pbkdf2_sha256$1000$salt$pZGuqFUOmU6LpL/3Kqc3uR48ZJyFbUVt7jWZlf0HtkA=",
        "$5$rounds=1000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
        "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0",
        "{SSHA}c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0",
    ];
    let known = include_str!("../../functions/migrate-user/tests/hashes.json");
    let known: Vec<Value> = serde_json::from_str(known).unwrap();
    let known = known.iter().map(|row| row["hash"].as_str().unwrap());
    let seeds = seeds.into_iter().chain(known);
    let seeds: Vec<Vec<u8>> = seeds.map(|text| text.as_bytes().to_vec()).collect();
    fuzz("password hashes", &seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for weak in [false, true] {
            if let Ok(hash) = PasswordHash::parse(&text, weak) {
                assert!(!hash.kind().is_empty());
            }
        }
    });
}
