//! Names without an account, for which Cognito simulates a challenge.

use auth::Secret;
use aws_lc_rs::{digest, hmac};

/// Separates these names from other values that depend on the app client's secret.
const PURPOSE: &[u8] = b"gatehouse unused name\0";

/// Derives them from the name of an account. The app client's secret keeps them from clients: one that knew the
/// derived name could compare the challenges of both, and learn that the account is unconfirmed.
pub(crate) struct UnusedNames {
    key: Option<hmac::Key>,
}

impl UnusedNames {
    pub(crate) fn new(app_client_secret: Option<&Secret>) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self {
            key: app_client_secret.map(key),
        }
    }

    /// A name without an account, always the same for `username`, in the same form: Cognito's simulated challenge
    /// depends on both.
    pub(crate) fn instead_of(&self, username: &str) -> String {
        let unused = match &self.key {
            None => hex::encode(digest::digest(&digest::SHA256, username.as_bytes())),
            Some(key) => {
                let mut signing = hmac::Context::with_key(key);
                signing.update(PURPOSE);
                signing.update(username.as_bytes());
                hex::encode(signing.sign())
            }
        };
        if username.contains('@') {
            format!("{unused}@unused.invalid")
        } else {
            unused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_depends_on_the_secret_and_the_account_alone() {
        let names = |secret: Option<&str>| {
            let secret = secret.map(|secret| Secret::new(secret.to_owned()));
            UnusedNames::new(secret.as_ref())
        };
        let ours = names(Some("s3cr3t"));
        for username in ["ada", "ada@example.com", "zo\u{eb}"] {
            let unused = ours.instead_of(username);
            assert_eq!(unused, ours.instead_of(username));
            assert_eq!(unused, names(Some("s3cr3t")).instead_of(username));
            assert_ne!(unused, names(Some("another")).instead_of(username));
            assert_ne!(unused, names(None).instead_of(username));
            assert_ne!(unused, ours.instead_of("grace"));
            // Cognito's longest name has 128 characters.
            assert!(unused.len() <= 128, "{unused}");
            let is_address = username.contains('@');
            assert_eq!(unused.ends_with("@unused.invalid"), is_address, "{unused}");
        }
    }
}
