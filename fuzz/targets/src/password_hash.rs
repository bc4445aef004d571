//! Password hashes of other systems: the limits of their cost hold, and a wrong password never fits.

use std::sync::OnceLock;

use auth::Secret;
use migrate_user::hash::{HashError, PasswordHash, PasswordMatch};
use serde_json::Value;

use crate::input::Input;

/// The largest numbers of the parameters that a hash names in plain text, with what precedes them: docs/migration.md.
const LIMITS: [(&str, u64); 8] = [
    ("m=", 131_072),
    ("ln=", 20),
    ("rounds=", 2_000_000),
    ("$2b$", 14),
    ("$2a$", 14),
    ("$2y$", 14),
    ("pbkdf2_sha256$", 2_000_000),
    ("pbkdf2_sha1$", 2_000_000),
];

/// Hashes with their passwords.
fn known() -> &'static [(String, String)] {
    static KNOWN: OnceLock<Vec<(String, String)>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let rows = include_str!("../../../functions/migrate-user/tests/hashes.json");
        let rows: Vec<Value> = serde_json::from_str(rows).expect("hashes");
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        rows.iter()
            .map(|row| (text(row, "hash"), text(row, "password")))
            .collect()
    })
}

/// Runs the target.
///
/// # Panics
/// A hash above the limits is accepted, its form depends on `ALLOW_WEAK_HASHES`, or a wrong password fits.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_verified = input.below(64) == 1;
    let text = match input.below(2) {
        0 => input.text().into_owned(),
        _ => spliced(&mut input),
    };
    let strict = PasswordHash::parse(&text, false);
    let lenient = PasswordHash::parse(&text, true);
    for error in [strict.as_ref().err(), lenient.as_ref().err()]
        .into_iter()
        .flatten()
    {
        assert!(text.len() < 24 || !error.to_string().contains(&text));
    }
    match (&strict, &lenient) {
        (Ok(strict), Ok(lenient)) => assert_eq!(strict.kind(), lenient.kind()),
        (Ok(_), Err(_)) => panic!("a hash is refused because weak ones are allowed"),
        (Err(strict), Ok(_)) => assert_eq!(*strict, HashError::Weak),
        (Err(_), Err(_)) => {}
    }
    let Ok(hash) = lenient else {
        return;
    };
    assert!(!hash.kind().is_empty());
    if !text.trim_start().starts_with('{') {
        within_limits(text.trim());
    }
    let padded = PasswordHash::parse(&format!(" {text}\n"), true);
    assert!(text.len() > 4_000 || padded.is_ok_and(|padded| padded.kind() == hash.kind()));
    let password = Secret::new(input.text().into_owned());
    if is_verified && hash.afford(&password).is_ok() {
        let found = hash.verify(&password);
        let is_known = |(_, known): &(String, String)| known == password.expose();
        assert!(
            found == PasswordMatch::Mismatch || known().iter().any(is_known),
            "a password that no known hash has"
        );
    }
}

/// The parameters in the text, read once more.
fn within_limits(text: &str) {
    for (name, limit) in LIMITS {
        let is_prefix = name.contains('$');
        let at = match is_prefix {
            true => text.starts_with(name).then_some(0),
            false => text.find(&format!("${name}")).map(|at| at + 1),
        };
        let Some(at) = at else {
            continue;
        };
        let digits = &text[at + name.len()..];
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        if let Ok(number) = digits[..end].parse::<u64>() {
            // Kratos writes N itself into `ln`.
            let number = match name {
                "ln=" if number >= 1_024 => number.ilog2().into(),
                _ => number,
            };
            assert!(number <= limit, "{name}{number} is accepted");
        }
    }
}

/// A known hash with changes: fields `place`, `length`, new text.
fn spliced(input: &mut Input<'_>) -> String {
    let at = input.below(64) * 64 + input.below(64);
    let (hash, _) = &known()[at % known().len()];
    let mut hash = hash.clone();
    for _ in 0..input.below(4) {
        let at = input.below(64) * 4 + input.below(4);
        let length = input.below(32);
        let new = input.text();
        let mut bounds = [at, at + length].map(|at| at.min(hash.len()));
        for bound in &mut bounds {
            while !hash.is_char_boundary(*bound) {
                *bound -= 1;
            }
        }
        hash.replace_range(bounds[0]..bounds[1], &new);
    }
    hash
}
