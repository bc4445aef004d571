//! Phantom tokens: the JWT that a backend receives in place of the caller's credential.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use auth::{Cause, UnixSeconds, VerifiedClaims};
use auth_phantom::{Audiences, MintError, Minter, MinterError, RELOAD_SECONDS, SigningKeys};
use auth_phantom::{MAX_DOCUMENT_BYTES, SigningKeysError};
use aws_config::SdkConfig;
use http::{HeaderName, HeaderValue};
use runtime::log;

/// The header with the token.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-auth-token");

/// After a failed attempt, the keys are read again so much later.
const RETRY: Duration = Duration::from_secs(10);

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysLocation {
    /// A secret of Secrets Manager, by its ARN.
    Secret(String),
    /// A file.
    File(PathBuf),
}

/// The settings of phantom tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhantomSettings {
    /// `PHANTOM_ISSUER`.
    pub issuer: String,
    /// `PHANTOM_KEYS_ARN` or `PHANTOM_KEYS_FILE`.
    pub keys: KeysLocation,
    /// `PHANTOM_AUDIENCES`.
    pub audiences: Audiences,
    /// `PHANTOM_TTL_SECONDS`.
    pub ttl_seconds: u64,
}

/// The keys could not be read. No variant contains a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Secrets Manager did not return them.
    #[error("PHANTOM_KEYS_ARN cannot be read")]
    Secret(#[source] Cause),
    /// The file cannot be read, or is longer than a set of keys may be.
    #[error("PHANTOM_KEYS_FILE cannot be read")]
    File,
    /// They are not a set of keys.
    #[error("the keys of phantom tokens are invalid: {0}")]
    Invalid(SigningKeysError),
    /// The settings are invalid.
    #[error("PHANTOM_ISSUER or PHANTOM_TTL_SECONDS {0}")]
    Settings(MinterError),
}

/// Why an allowed request gets no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// No service is configured for the host.
    UnknownAudience,
    /// The claims are too long.
    TooLarge,
    /// The caller's credential has expired.
    Expired,
    /// No key may sign, or signing failed.
    NotSigned,
}

/// Mints tokens, and follows the rotation of the keys.
pub struct Phantom {
    audiences: Audiences,
    minter: Minter,
    keys: KeysLocation,
    sdk: Option<SdkConfig>,
    next_read: Mutex<Instant>,
}

impl Phantom {
    /// Reads the keys.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn connect(
        settings: PhantomSettings,
        sdk: Option<SdkConfig>,
    ) -> Result<Self, KeysError> {
        let keys = read(&settings.keys, sdk.as_ref()).await?;
        let minter = Minter::new(settings.issuer, keys, settings.ttl_seconds);
        Ok(Self {
            audiences: settings.audiences,
            minter: minter.map_err(KeysError::Settings)?,
            keys: settings.keys,
            sdk,
            next_read: Mutex::new(Instant::now() + reload()),
        })
    }

    /// The public keys, as a JWK set.
    pub(crate) fn jwks(&self) -> String {
        self.minter.jwks()
    }

    /// The header with a token for the service behind `host`.
    pub(crate) fn token(
        &self,
        claims: &VerifiedClaims,
        host: &str,
        now: UnixSeconds,
    ) -> Result<HeaderValue, NoToken> {
        let audience = self.audiences.get(host).ok_or(NoToken::UnknownAudience)?;
        let token = self.minter.mint(claims, audience, now);
        let token = token.map_err(|error| match error {
            MintError::NoAudience => NoToken::UnknownAudience,
            MintError::TooLarge => NoToken::TooLarge,
            MintError::Expired => NoToken::Expired,
            MintError::NoSigningKey | MintError::Signature => NoToken::NotSigned,
        })?;
        let mut value = HeaderValue::try_from(token).map_err(|_| NoToken::NotSigned)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Reads the keys again if that is due. If they cannot be read, the old ones stay, and the log says so.
    pub(crate) async fn follow_keys(&self) {
        if !self.claim_read(Instant::now()) {
            return;
        }
        match read(&self.keys, self.sdk.as_ref()).await {
            Ok(keys) => {
                self.minter.replace_keys(keys);
                self.set_next_read(Instant::now() + reload());
            }
            Err(error) => {
                let cause = Cause::of(&error).unwrap_or(Cause::Invalid);
                log::failure("could not read the keys of phantom tokens again", cause);
            }
        }
    }

    /// Whether a read is due; then this caller does it, and another one is due after [`RETRY`].
    fn claim_read(&self, now: Instant) -> bool {
        let mut next = self
            .next_read
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_due = now >= *next;
        if is_due {
            *next = now + RETRY;
        }
        is_due
    }

    fn set_next_read(&self, at: Instant) {
        *self
            .next_read
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = at;
    }
}

fn reload() -> Duration {
    Duration::from_secs(RELOAD_SECONDS)
}

async fn read(location: &KeysLocation, sdk: Option<&SdkConfig>) -> Result<SigningKeys, KeysError> {
    match (location, sdk) {
        (KeysLocation::Secret(arn), Some(sdk)) => {
            let text = auth_secrets::read(sdk, arn).await;
            let text = text.map_err(|auth_secrets::SecretError(cause)| KeysError::Secret(cause))?;
            SigningKeys::from_json(text.expose()).map_err(KeysError::Invalid)
        }
        (KeysLocation::Secret(_), None) => Err(KeysError::Secret(Cause::Other)),
        (KeysLocation::File(file), _) => {
            let text = std::fs::read_to_string(file).map_err(|_| KeysError::File)?;
            let text = auth::Secret::new(text);
            if text.expose().len() > MAX_DOCUMENT_BYTES {
                return Err(KeysError::File);
            }
            SigningKeys::from_json(text.expose()).map_err(KeysError::Invalid)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use auth::ClaimsBuilder;
    use auth_phantom::SigningAlgorithm;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn settings(file: &Path) -> PhantomSettings {
        PhantomSettings {
            issuer: "https://auth.example.com".to_owned(),
            keys: KeysLocation::File(file.to_owned()),
            audiences: Audiences::from_json("{\"a.example\": \"orders\"}").unwrap(),
            ttl_seconds: 60,
        }
    }

    fn write_keys(name: &str) -> PathBuf {
        let file = crate::scratch(name);
        let keys = SigningKeys::first(SigningAlgorithm::EdDsa, NOW).unwrap();
        std::fs::write(&file, keys.to_json().expose()).unwrap();
        file
    }

    #[tokio::test]
    async fn a_token_is_for_the_service_of_the_host_or_there_is_none() {
        let file = write_keys("phantom-keys.json");
        let phantom = Phantom::connect(settings(&file), None).await.unwrap();
        let claims = ClaimsBuilder::user("ada", NOW)
            .expires_at(NOW.plus(3_600))
            .build();
        let token = |host: &str, now| phantom.token(&claims, host, now);
        let known = token("A.example:8443", NOW).unwrap();
        assert_eq!(known.to_str().unwrap().split('.').count(), 3);
        assert!(!format!("{known:?}").contains("ey"), "a secret");
        assert_eq!(token("b.example", NOW), Err(NoToken::UnknownAudience));
        assert_eq!(token("a.example", NOW.plus(3_600)), Err(NoToken::Expired));
        assert_eq!(token("a.example", UnixSeconds(5)), Err(NoToken::NotSigned));
        let groups: Vec<String> = (0..200)
            .map(|number| format!("group-{number:020}"))
            .collect();
        let groups = groups.iter().map(String::as_str);
        let large = ClaimsBuilder::user("ada", NOW)
            .expires_at(NOW.plus(60))
            .groups(groups);
        let large = phantom.token(&large.build(), "a.example", NOW);
        assert_eq!(large, Err(NoToken::TooLarge));
    }

    #[tokio::test]
    async fn keys_that_cannot_be_read_again_leave_the_old_ones() {
        let file = write_keys("phantom-keys-rotated.json");
        let phantom = Phantom::connect(settings(&file), None).await.unwrap();
        let first = phantom.jwks();
        write_keys("phantom-keys-rotated.json");
        phantom.follow_keys().await;
        assert_eq!(phantom.jwks(), first, "not yet due");
        phantom.set_next_read(Instant::now());
        std::fs::write(&file, "{").unwrap();
        phantom.follow_keys().await;
        assert_eq!(phantom.jwks(), first, "unreadable");
        write_keys("phantom-keys-rotated.json");
        phantom.set_next_read(Instant::now());
        phantom.follow_keys().await;
        assert_ne!(phantom.jwks(), first);
    }

    #[tokio::test]
    async fn a_process_without_keys_does_not_start() {
        let missing = Phantom::connect(settings(Path::new("/nonexistent")), None).await;
        assert_eq!(missing.err(), Some(KeysError::File));
        let mut of_secret = settings(Path::new("/nonexistent"));
        of_secret.keys = KeysLocation::Secret("arn".to_owned());
        let no_sdk = Phantom::connect(of_secret, None).await;
        assert_eq!(no_sdk.err(), Some(KeysError::Secret(Cause::Other)));
    }
}
