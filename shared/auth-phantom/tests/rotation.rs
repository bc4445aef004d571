//! Rotation in steps of time: no verifier ever receives a token whose key it does not have.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::collections::BTreeSet;
use std::rc::Rc;

use auth::{ClaimsBuilder, DenyReason, UnixSeconds, VerifiedClaims};
use auth_phantom::{
    JWKS_MAX_AGE_SECONDS, KeyState, MAX_KEYS, MAX_TTL_SECONDS, MintError, Minter, PUBLISH_SECONDS,
    RELOAD_SECONDS, RETIRE_SECONDS, RotationError, STORE_SECONDS, SigningAlgorithm, SigningKeys,
};
use common::{ISSUER, START, accepted, document, ed25519, entry, kid, minter, p256};

fn claims() -> VerifiedClaims {
    ClaimsBuilder::user("ada", START)
        .expires_at(START.plus(1_000_000))
        .build()
}

fn copy(keys: &SigningKeys) -> SigningKeys {
    SigningKeys::from_json(keys.to_json().expose()).unwrap()
}

fn states(keys: &SigningKeys, now: UnixSeconds) -> Vec<KeyState> {
    keys.list(now).iter().map(|key| key.state).collect()
}

/// The documents in the secret over time, from an operator who rotates at these seconds, and whose computer takes so
/// many seconds until the change is stored.
fn secret(rotations: &[u64], delay: u64) -> Vec<(u64, SigningKeys)> {
    let mut keys = SigningKeys::first(SigningAlgorithm::Es256, START).unwrap();
    let mut history = vec![(0, copy(&keys))];
    for (index, at) in rotations.iter().enumerate() {
        let algorithm = if index % 2 == 0 {
            SigningAlgorithm::EdDsa
        } else {
            SigningAlgorithm::Es256
        };
        keys = keys.rotated(algorithm, START.plus(*at)).unwrap();
        history.push((at + delay, copy(&keys)));
    }
    history
}

fn at(history: &[(u64, SigningKeys)], second: u64) -> &SigningKeys {
    let earlier = history.iter().rev().find(|(from, _)| *from <= second);
    &earlier.unwrap().1
}

/// Every minute around the rotations, and each second beside the one in which something changes.
fn seconds(rotations: &[u64], delay: u64) -> BTreeSet<u64> {
    let end = rotations.last().unwrap() + 3_000;
    let signs = STORE_SECONDS + PUBLISH_SECONDS;
    let changes = [
        delay,
        delay + RELOAD_SECONDS,
        delay + JWKS_MAX_AGE_SECONDS,
        delay + RELOAD_SECONDS + JWKS_MAX_AGE_SECONDS,
        signs,
        signs + MAX_TTL_SECONDS,
        signs + RETIRE_SECONDS,
    ];
    let at = |rotation| changes.map(|change| rotation + change);
    let changed = rotations.iter().flat_map(at);
    let beside = changed.flat_map(|second| [second - 1, second, second + 1]);
    (3_000..end).step_by(60).chain(beside).collect()
}

/// The documents over time, of rotations that are stored at once and as late as is allowed, and the seconds to check.
fn histories(rotations: &[u64]) -> impl Iterator<Item = (Rc<Vec<(u64, SigningKeys)>>, u64)> {
    [0, STORE_SECONDS].into_iter().flat_map(move |delay| {
        let history = Rc::new(secret(rotations, delay));
        let seconds = seconds(rotations, delay).into_iter();
        seconds.map(move |second| (Rc::clone(&history), second))
    })
}

#[test]
fn a_verifier_with_the_oldest_allowed_key_set_knows_every_key() {
    // Monthly, in quick succession, and just when the previous key begins to sign or is settled.
    for rotations in [
        vec![5_000, 20_000],
        vec![5_000, 5_001, 5_060, 5_600, 6_200],
        vec![5_000, 5_600, 6_200, 6_800, 7_400, 8_000],
        vec![5_000, 6_199, 6_200, 6_201],
    ] {
        for (history, second) in histories(&rotations) {
            let now = START.plus(second);
            // The process that mints has just read the secret, or has keys as old as allowed; so has the process
            // that published the key set, which the verifier has kept for as long as allowed.
            for age in [0, RELOAD_SECONDS] {
                let minter = minter(copy(at(&history, second - age)));
                let token = minter.mint(&claims(), "orders", now).unwrap();
                for published in [second, second - JWKS_MAX_AGE_SECONDS] {
                    for process in [0, RELOAD_SECONDS] {
                        let jwks = at(&history, published - process).jwks();
                        let decision = accepted(&token, jwks, "orders", now).err();
                        assert_eq!(decision, None, "{rotations:?}: {second}, {age}, {process}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_token_is_accepted_for_all_of_its_lifetime_through_rotations() {
    for rotations in [
        vec![5_000, 6_200, 6_201],
        vec![5_000, 5_001, 6_200, 6_800, 7_400],
    ] {
        for (history, second) in histories(&rotations) {
            let now = START.plus(second);
            for age in [0, RELOAD_SECONDS] {
                let keys = copy(at(&history, second - age));
                let minter = Minter::new(ISSUER.to_owned(), keys, MAX_TTL_SECONDS).unwrap();
                let token = minter.mint(&claims(), "orders", now).unwrap();
                let last = second + MAX_TTL_SECONDS - 1;
                // A verifier that fetches the newest key set in the last second.
                let jwks = at(&history, last).jwks();
                let decision = accepted(&token, jwks, "orders", START.plus(last)).err();
                assert_eq!(decision, None, "{rotations:?}: {second}, {age}");
            }
        }
    }
}

#[test]
fn a_new_key_waits_signs_and_replaces() {
    let first = SigningKeys::first(SigningAlgorithm::Es256, START).unwrap();
    assert_eq!(states(&first, START), [KeyState::Signing]);
    let old = first.list(START)[0].kid.clone();

    let rotated_at = START.plus(1_000);
    let keys = first.rotated(SigningAlgorithm::EdDsa, rotated_at).unwrap();
    let [new, kept] = &keys.list(rotated_at)[..] else {
        unreachable!("two keys");
    };
    assert_eq!(
        (new.state, kept.state),
        (KeyState::Waiting, KeyState::Signing)
    );
    assert_eq!(new.not_before, rotated_at.plus(STORE_SECONDS));
    assert_eq!(new.signs_from, new.not_before.plus(PUBLISH_SECONDS));
    assert_eq!(kept.kid, old);
    let new = new.kid.clone();
    let signs =
        |keys: &SigningKeys, now| kid(&minter(copy(keys)).mint(&claims(), "orders", now).unwrap());
    let switch = rotated_at.plus(STORE_SECONDS + PUBLISH_SECONDS);
    assert_eq!(signs(&keys, UnixSeconds(switch.0 - 1)), old);
    assert_eq!(signs(&keys, switch), new);
    assert_eq!(
        states(&keys, switch),
        [KeyState::Signing, KeyState::Replaced]
    );

    // The replaced key stays until the new one has signed for long enough.
    let settled = switch.plus(RETIRE_SECONDS);
    let early = copy(&keys)
        .rotated(SigningAlgorithm::Es256, UnixSeconds(settled.0 - 1))
        .unwrap();
    assert_eq!(early.list(settled).len(), 3);
    let late = keys.rotated(SigningAlgorithm::Es256, settled).unwrap();
    let kids: Vec<String> = late.list(settled).into_iter().map(|key| key.kid).collect();
    assert_eq!(kids.len(), 2);
    assert_eq!(kids[1], new);
    assert!(!late.jwks().contains(&old));
}

#[test]
fn a_withdrawn_key_has_no_valid_tokens() {
    let stolen = SigningKeys::first(SigningAlgorithm::Es256, START).unwrap();
    let minter = minter(copy(&stolen));
    let token = minter.mint(&claims(), "orders", START).unwrap();
    assert!(accepted(&token, &minter.jwks(), "orders", START).is_ok());
    minter.replace_keys(SigningKeys::first(SigningAlgorithm::Es256, START).unwrap());
    let refused = accepted(&token, &minter.jwks(), "orders", START).err();
    assert_eq!(refused, Some(DenyReason::UnknownKey));
    // The new key signs at once, and is not the old one under another name.
    let token = minter.mint(&claims(), "orders", START).unwrap();
    assert!(accepted(&token, &minter.jwks(), "orders", START).is_ok());
    let refused = accepted(&token, stolen.jwks(), "orders", START).err();
    assert_eq!(refused, Some(DenyReason::UnknownKey));
}

#[test]
fn a_key_of_the_same_kid_does_not_verify_the_tokens_of_another() {
    let mine = document(&[entry("k", "ES256", &p256(), START.0 - PUBLISH_SECONDS)]);
    let other = SigningKeys::first(SigningAlgorithm::Es256, START).unwrap();
    let kid = other.list(START)[0].kid.clone();
    let other = SigningKeys::from_json(&other.to_json().expose().replace(&kid, "k")).unwrap();
    let mine = minter(SigningKeys::from_json(&mine).unwrap());
    let token = mine.mint(&claims(), "orders", START).unwrap();
    let refused = accepted(&token, other.jwks(), "orders", START).err();
    assert_eq!(refused, Some(DenyReason::BadSignature));
    let edwards = document(&[entry("k", "EdDSA", &ed25519(), START.0)]);
    let edwards = SigningKeys::from_json(&edwards).unwrap();
    let refused = accepted(&token, edwards.jwks(), "orders", START).err();
    assert_eq!(refused, Some(DenyReason::WrongAlgorithm));
}

#[test]
fn a_clock_that_is_set_back_uses_an_older_published_key_or_none() {
    let keys = document(&[
        entry("new", "EdDSA", &ed25519(), START.0 + 10_000),
        entry("old", "ES256", &p256(), START.0),
    ]);
    let minter = minter(SigningKeys::from_json(&keys).unwrap());
    let mint = |second| minter.mint(&claims(), "orders", START.plus(second));
    assert_eq!(kid(&mint(20_000).unwrap()), "new");
    let token = mint(5_000).unwrap();
    assert_eq!(kid(&token), "old");
    assert!(accepted(&token, &minter.jwks(), "orders", START.plus(5_000)).is_ok());
    assert_eq!(mint(599), Err(MintError::NoSigningKey));
    assert_eq!(kid(&mint(600).unwrap()), "old");
    let long_ago = minter.mint(&claims(), "orders", UnixSeconds(0));
    assert_eq!(long_ago, Err(MintError::NoSigningKey));
}

#[test]
fn a_rotation_by_a_wrong_clock_is_refused() {
    let keys = SigningKeys::first(SigningAlgorithm::Es256, START).unwrap();
    let before = |seconds| UnixSeconds(START.0 - PUBLISH_SECONDS - STORE_SECONDS - seconds);
    assert!(
        copy(&keys)
            .rotated(SigningAlgorithm::Es256, before(0))
            .is_ok()
    );
    let refused = keys.rotated(SigningAlgorithm::Es256, before(1)).err();
    assert_eq!(refused, Some(RotationError::FromTheFuture));
    // Milliseconds instead of seconds.
    let keys = document(&[entry("a", "ES256", &p256(), START.0 * 1_000)]);
    let keys = SigningKeys::from_json(&keys).unwrap();
    assert_eq!(states(&keys, START), [KeyState::Waiting]);
    let refused = keys.rotated(SigningAlgorithm::Es256, START).err();
    assert_eq!(refused, Some(RotationError::FromTheFuture));
}

#[test]
fn keys_are_not_added_without_bound() {
    let mut keys = SigningKeys::first(SigningAlgorithm::EdDsa, START).unwrap();
    let mut now = START;
    for _ in 1..MAX_KEYS {
        now = now.plus(1);
        keys = keys.rotated(SigningAlgorithm::EdDsa, now).unwrap();
    }
    let full = copy(&keys).rotated(SigningAlgorithm::EdDsa, now.plus(1));
    assert_eq!(full.err(), Some(RotationError::TooManyKeys));
    let settled = now.plus(STORE_SECONDS + PUBLISH_SECONDS + RETIRE_SECONDS);
    let keys = keys.rotated(SigningAlgorithm::EdDsa, settled).unwrap();
    assert_eq!(keys.list(settled).len(), 2);
}

#[test]
fn of_two_keys_of_one_second_the_first_signs() {
    let first = SigningKeys::first(SigningAlgorithm::EdDsa, START).unwrap();
    let keys = first.rotated(SigningAlgorithm::EdDsa, START).unwrap();
    let keys = keys.rotated(SigningAlgorithm::EdDsa, START).unwrap();
    let later = START.plus(STORE_SECONDS + PUBLISH_SECONDS);
    assert_eq!(
        states(&keys, later),
        [KeyState::Signing, KeyState::Replaced, KeyState::Replaced]
    );
}
