//! What users of the crate rely on: the one-call `verify`, test helpers, paths, metadata.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

use std::path::{Path, PathBuf};

use auth::api_key::StoredKey;
use auth::memory::{MemoryKeys, MemoryRevocations};
use auth::{
    AuthError, Cause, ClaimsBuilder, DenyReason, Dependency, Issuer, KeySet, KeySource, Principal,
    RevocationReader, Revocations, TokenRules, TokenUse, TrustedIssuer, UnixSeconds,
    VerifiedClaims,
};
use testkit::{Pool, TokenBuilder, now};

fn trusted(pool: &Pool) -> TrustedIssuer {
    TrustedIssuer {
        issuer: Issuer::user_pool(
            pool.id.into(),
            pool.issuer(),
            vec![pool.client_id.to_owned()],
        ),
        keys: KeySet::parse(pool.jwks().to_string().as_bytes()).unwrap(),
    }
}

fn verify(token: &TokenBuilder<'_>, pools: &[&Pool]) -> Result<VerifiedClaims, DenyReason> {
    let trusted: Vec<_> = pools.iter().map(|pool| trusted(pool)).collect();
    let rules = TokenRules::default();
    auth::verify(&token.build(), &trusted, &rules, UnixSeconds(now()))
}

#[test]
fn one_call_verifies_by_the_keys_of_the_tokens_own_issuer() {
    let (ours, foreign) = (Pool::ours(), Pool::foreign());
    let forged = foreign.access_token().claim("iss", ours.issuer());
    let forged = forged.claim("client_id", ours.client_id);
    let rows = [
        (ours.access_token(), None),
        (foreign.access_token(), None),
        // The right keys of the wrong issuer.
        (forged.clone(), Some(DenyReason::UnknownKey)),
        (
            forged.header("kid", ours.access_kid),
            Some(DenyReason::BadSignature),
        ),
        (
            ours.access_token().claim("iss", "https://evil.example"),
            Some(DenyReason::UnknownIssuer),
        ),
        (
            ours.access_token().header("kid", "other"),
            Some(DenyReason::UnknownKey),
        ),
        (
            ours.access_token().claim("exp", now() - 1),
            Some(DenyReason::Expired),
        ),
        (ours.id_token(), Some(DenyReason::WrongTokenUse)),
    ];
    for (token, expected) in rows {
        let refused = verify(&token, &[ours, foreign]).err();
        assert_eq!(refused, expected, "{}", token.claims_json());
    }
    let refused = verify(&foreign.access_token(), &[ours]).err();
    assert_eq!(refused, Some(DenyReason::UnknownIssuer));
    let refused = verify(&ours.access_token(), &[]).err();
    assert_eq!(refused, Some(DenyReason::UnknownIssuer));
}

#[test]
fn one_call_applies_the_rules() {
    let pool = Pool::ours();
    let rules = TokenRules {
        token_uses: vec![TokenUse::Id],
        ..TokenRules::default()
    };
    let verify = |token: TokenBuilder<'_>| {
        auth::verify(&token.build(), &[trusted(pool)], &rules, UnixSeconds(now())).err()
    };
    assert_eq!(verify(pool.id_token()), None);
    assert_eq!(verify(pool.access_token()), Some(DenyReason::WrongTokenUse));
}

/// Every accessor of claims, as text.
fn all(claims: &VerifiedClaims) -> Vec<(&'static str, String)> {
    vec![
        ("issuer_id", claims.issuer_id().to_owned()),
        ("issuer_alias", format!("{:?}", claims.issuer_alias())),
        ("issuer_name", claims.issuer_name().to_owned()),
        ("principal", format!("{:?}", claims.principal())),
        ("token_use", claims.token_use().to_owned()),
        ("subject", claims.subject().to_owned()),
        ("subject_hash", claims.subject_hash()),
        ("client_id", claims.client_id().to_owned()),
        ("username", format!("{:?}", claims.username())),
        ("groups", format!("{:?}", claims.groups())),
        ("scope", claims.scope().to_owned()),
        ("session", format!("{:?}", claims.session())),
        ("token_id", format!("{:?}", claims.token_id())),
        ("auth_time", claims.authenticated_at().0.to_string()),
        ("iat", claims.issued_at().0.to_string()),
        ("exp", claims.expires_at().0.to_string()),
        ("usage_plan_key", format!("{:?}", claims.usage_plan_key())),
        ("roles", format!("{:?}", claims.list("roles"))),
    ]
}

#[test]
fn built_claims_are_those_of_a_verified_token() {
    let pool = Pool::ours();
    let roles = || serde_json::json!(["auditor"]);
    let token = pool.access_token().claim("roles", roles());
    let token = token.claim("cognito:groups", serde_json::json!(["a", "b"]));
    let verified = verify(&token, &[pool]).unwrap_or_else(|reason| panic!("{reason}"));
    let text = |name: &str| token.get(name).as_str().unwrap();
    let time = |name: &str| UnixSeconds(token.get(name).as_u64().unwrap());
    let built = ClaimsBuilder::user(text("sub"), time("auth_time"))
        .issuer_id(pool.id)
        .client_id(pool.client_id)
        .username("ada")
        .groups(["a", "b"])
        .session(Some(text("origin_jti")))
        .token_id(Some(text("jti")))
        .expires_at(time("exp"))
        .claim("roles", roles())
        .build();
    assert_eq!(all(&built), all(&verified));
    for (name, value) in built.other_claims() {
        let signed = verified.other_claims().remove(&name);
        assert_eq!(signed, Some(value), "{name}");
    }

    let token = pool.machine_token();
    let verified = verify(&token, &[pool]).unwrap_or_else(|reason| panic!("{reason}"));
    let built = ClaimsBuilder::machine(pool.client_id, verified.issued_at())
        .issuer_id(pool.id)
        .scope(verified.scope())
        .token_id(verified.token_id())
        .expires_at(verified.expires_at())
        .build();
    assert_eq!(all(&built), all(&verified));
    assert_eq!(built.principal(), Principal::Client);
}

#[test]
fn built_claims_are_those_of_a_verified_api_key() {
    let new = auth::api_key::NewKey::mint(&[7; auth::api_key::RANDOM_BYTES]);
    let created_at = UnixSeconds(1_800_000_000);
    let stored = StoredKey {
        owner: "acme".to_owned(),
        scope: "orders/read".to_owned(),
        created_at,
        expires_at: created_at.plus(60),
        usage_plan_key: Some("plan".to_owned()),
        salt: new.salt,
        hash: new.hash,
    };
    let presented = auth::api_key::PresentedKey::parse(&new.text).unwrap();
    let verified = stored.verify(&presented, &"pool".into(), created_at);
    let verified = verified.unwrap_or_else(|reason| panic!("{reason}"));
    let built = ClaimsBuilder::api_key("acme", &new.id, created_at)
        .issuer_id("pool")
        .scope("orders/read")
        .expires_at(created_at.plus(60))
        .usage_plan_key("plan")
        .build();
    assert_eq!(all(&built), all(&verified));
    assert!(built.other_claims().is_empty());
}

#[tokio::test]
async fn memory_keys_serve_each_issuer_its_own() {
    let (ours, foreign) = (Pool::ours(), Pool::foreign());
    let source = MemoryKeys::new([trusted(ours)]);
    let now = UnixSeconds(now());
    let (issuer, other) = (trusted(ours).issuer, trusted(foreign).issuer);
    assert!(source.key_for(&issuer, ours.access_kid, now).await.is_ok());
    let error = source.key_for(&issuer, foreign.access_kid, now).await.err();
    let unknown = AuthError::from(DenyReason::UnknownKey);
    assert_eq!(format!("{error:?}"), format!("{:?}", Some(unknown)));
    let unavailable = || {
        format!(
            "{:?}",
            Some(AuthError::from(Dependency::Jwks.unavailable(Cause::Other)))
        )
    };
    let error = source.key_for(&other, ours.access_kid, now).await.err();
    assert_eq!(format!("{error:?}"), unavailable());
    source.set_available(false);
    let error = source.key_for(&issuer, ours.access_kid, now).await.err();
    assert_eq!(format!("{error:?}"), unavailable());
    source.set_available(true);
    assert!(source.key_for(&issuer, ours.access_kid, now).await.is_ok());
}

#[tokio::test]
async fn memory_revocations_are_kept_by_user() {
    let now = UnixSeconds(now());
    let ada = ClaimsBuilder::user("ada", now).build();
    let bob = ClaimsBuilder::user("bob", now).build();
    let elsewhere = ClaimsBuilder::user("ada", now).issuer_id("other").build();
    let disabled = Revocations {
        user_disabled: true,
        ..Revocations::default()
    };
    let store = MemoryRevocations::default();
    store.set(ada.user_ref(), disabled.clone());
    for (claims, expected) in [
        (&ada, disabled),
        (&bob, Revocations::default()),
        (&elsewhere, Revocations::default()),
    ] {
        assert_eq!(store.revocations(claims, now).await, Ok(expected));
    }
    store.set(ada.user_ref(), Revocations::default());
    let found = store.revocations(&ada, now).await;
    assert_eq!(found, Ok(Revocations::default()));
    store.set_available(false);
    let found = store.revocations(&bob, now).await;
    assert_eq!(
        found,
        Err(Dependency::Revocations.unavailable(Cause::Other))
    );
}

/// Logs and metrics print reasons by `Display`.
#[test]
fn reasons_print_their_words() {
    for reason in DenyReason::ALL {
        assert_eq!(reason.to_string(), reason.as_str());
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The manifests of all packages, by their folder.
fn manifests() -> Vec<(PathBuf, String)> {
    let mut folders = vec![workspace().join("cli"), workspace().join("tests")];
    folders.push(workspace().join("benches"));
    for parent in ["functions", "shared"] {
        for entry in std::fs::read_dir(workspace().join(parent)).unwrap() {
            folders.push(entry.unwrap().path());
        }
    }
    let read = |folder: PathBuf| {
        let text = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        Some((folder, text))
    };
    folders.into_iter().filter_map(read).collect()
}

/// An item has one path: a module whose items are exported at the root is private.
#[test]
fn no_item_has_two_paths() {
    let text = include_str!("../src/lib.rs");
    let of_lines = |prefix: &'static str, end: char| {
        let lines = text
            .lines()
            .filter_map(move |line| line.strip_prefix(prefix));
        lines.filter_map(move |rest| rest.split_once(end).map(|(name, _)| name))
    };
    let exported: Vec<_> = of_lines("pub use ", ':').collect();
    assert!(exported.contains(&"verify"), "{exported:?}");
    for module in of_lines("pub mod ", ';') {
        assert!(!exported.contains(&module), "auth::{module} and the root");
    }
}

/// The feature lets code construct claims that were not verified.
#[test]
fn test_helpers_are_enabled_for_tests_only() {
    let mut enabled = 0;
    for (folder, manifest) in manifests() {
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            } else if line.starts_with("auth") && line.contains("test-helpers") {
                enabled += 1;
                assert_eq!(section, "[dev-dependencies]", "{}", folder.display());
            }
        }
    }
    assert!(enabled > 0);
    let workspace = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    assert!(!workspace.contains("test-helpers"));
}

/// The files in a folder and the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Readers of the documentation reach each RFC by a link.
#[test]
fn rfcs_are_links() {
    let mut links = 0;
    for path in files(&workspace().join("shared/auth/src")) {
        let source = std::fs::read_to_string(&path).unwrap();
        for line in source.lines().map(str::trim_start) {
            if line.starts_with("///") || line.starts_with("//!") {
                for (at, _) in line.match_indices("RFC ") {
                    let by_number = line[at + 4..].starts_with(|next: char| next.is_ascii_digit());
                    let is_link = line[..at].ends_with('[');
                    assert!(is_link || !by_number, "{}: {line}", path.display());
                }
                links += usize::from(line.contains("]: https://www.rfc-editor.org/rfc/"));
            }
        }
    }
    assert!(links > 0);
}

#[test]
fn shared_crates_say_what_they_are_for() {
    for (folder, manifest) in manifests() {
        let shared = folder
            .parent()
            .is_some_and(|parent| parent.ends_with("shared"));
        let described = manifest.contains("\ndescription = \"");
        assert!(described || !shared, "{}", folder.display());
    }
}
