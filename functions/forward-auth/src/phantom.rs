//! Phantom tokens: the JWT that a backend receives in place of the caller's credential.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth::{Cause, Secret, UnixSeconds, VerifiedClaims};
use auth_phantom::{
    Audiences, MAX_DOCUMENT_BYTES, MintError, Minter, MinterError, PUBLISH_SECONDS, RELOAD_SECONDS,
    SigningKeys, SigningKeysError,
};
use aws_client::SdkConfig;
use http::{HeaderName, HeaderValue};
use runtime::log::{self, Level};
use serde_json::Value;

/// The header with the token.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-auth-token");

/// The age at which keys are read again, in seconds. The rest of [`RELOAD_SECONDS`] is for the interval of the looks, and
/// for an attempt that failed.
const READ_AFTER: u64 = RELOAD_SECONDS - 40;
/// How much later an attempt follows a failed one, in seconds.
const RETRY: u64 = 10;
/// The age from which keys neither sign nor are published, in seconds: other processes may sign with a newer one, and
/// an operator may have withdrawn them.
const MAX_AGE: u64 = PUBLISH_SECONDS;
/// The time limit of a further read for which a request waits, besides the time of its decision.
pub(crate) const WAITED_READ: Duration = Duration::from_millis(800);
/// The time limit of a further read for which no request waits: that of all attempts of the first one.
pub(crate) const BACKGROUND_READ: Duration = Duration::from_secs(8);

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
    /// By the wall clock: the monotonic one may stand still while a process is frozen.
    times: Mutex<Times>,
    /// Held during a read.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Times {
    /// When the read of the present keys began.
    read: UnixSeconds,
    /// When the last attempt began.
    attempt: UnixSeconds,
}

impl Times {
    /// Whether the keys are this old. So they are if the clock was set back: their age is unknown.
    fn are_older(self, seconds: u64, now: UnixSeconds) -> bool {
        now.since(self.read).is_none_or(|age| age >= seconds)
    }
}

impl Phantom {
    /// Reads the keys, at this time.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn connect(
        settings: PhantomSettings,
        sdk: Option<SdkConfig>,
        now: UnixSeconds,
    ) -> Result<Self, KeysError> {
        let keys = read(&settings.keys, sdk.as_ref()).await?;
        let minter = Minter::new(settings.issuer, keys, settings.ttl_seconds);
        Ok(Self {
            audiences: settings.audiences,
            minter: minter.map_err(KeysError::Settings)?,
            keys: settings.keys,
            sdk,
            times: Mutex::new(Times {
                read: now,
                attempt: now,
            }),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// The public keys, as a JWK set; `None` if they are too old.
    pub(crate) fn jwks(&self, now: UnixSeconds) -> Option<String> {
        self.are_usable(now).then(|| self.minter.jwks())
    }

    /// Whether the keys are young enough to sign and to be published.
    pub(crate) fn are_usable(&self, now: UnixSeconds) -> bool {
        !self.times().are_older(MAX_AGE, now)
    }

    /// The header with a token for the service behind `host`.
    pub(crate) fn token(
        &self,
        claims: &VerifiedClaims,
        host: &str,
        now: UnixSeconds,
    ) -> Result<HeaderValue, NoToken> {
        if !self.are_usable(now) {
            return Err(NoToken::NotSigned);
        }
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
    pub(crate) async fn follow_keys(&self, now: UnixSeconds, limit: Duration) {
        // One caller reads. The others wait for it, because their keys may be withdrawn.
        let Ok(_reading) = tokio::time::timeout(limit, self.reading.lock()).await else {
            return;
        };
        if !self.claim_read(now) {
            return;
        }
        let read = tokio::time::timeout(limit, read(&self.keys, self.sdk.as_ref())).await;
        let cause = match read {
            Ok(Ok(keys)) => {
                self.minter.replace_keys(keys);
                self.locked().read = now;
                return;
            }
            Ok(Err(error)) => Cause::of(&error).unwrap_or(Cause::Invalid),
            Err(_) => Cause::Timeout,
        };
        let age = now.since(self.times().read);
        let fields = [
            ("cause", Value::from(cause.as_str())),
            ("age_seconds", Value::from(age)),
            ("usable", Value::from(self.are_usable(now))),
        ];
        let message = "could not read the keys of phantom tokens again";
        log::line(Level::Error, message, fields);
    }

    /// The same, if the keys are older than they may be: after a time in which this process was frozen.
    pub(crate) async fn follow_overdue_keys(&self, now: UnixSeconds) {
        if self.times().are_older(RELOAD_SECONDS, now) {
            self.follow_keys(now, WAITED_READ).await;
        }
    }

    /// Whether a read is due; then this caller does it, and the next one is due after [`RETRY`].
    fn claim_read(&self, now: UnixSeconds) -> bool {
        let mut times = self.locked();
        let waits = now.since(times.attempt).is_some_and(|since| since < RETRY);
        let is_due = times.are_older(READ_AFTER, now) && !waits;
        if is_due {
            times.attempt = now;
        }
        is_due
    }

    fn times(&self) -> Times {
        *self.locked()
    }

    fn locked(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            let text = Secret::new(text);
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

    async fn connected(settings: PhantomSettings) -> Phantom {
        Phantom::connect(settings, None, NOW).await.unwrap()
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
        let phantom = connected(settings(&file)).await;
        let claims = ClaimsBuilder::user("ada", NOW)
            .expires_at(NOW.plus(3_600))
            .build();
        let token = |host: &str, now| phantom.token(&claims, host, now);
        let known = token("A.example:8443", NOW).unwrap();
        assert_eq!(known.to_str().unwrap().split('.').count(), 3);
        assert!(!format!("{known:?}").contains("ey"), "a secret");
        assert_eq!(token("b.example", NOW), Err(NoToken::UnknownAudience));
        let short = ClaimsBuilder::user("ada", NOW).expires_at(NOW.plus(5));
        let expired = phantom.token(&short.build(), "a.example", NOW.plus(5));
        assert_eq!(expired, Err(NoToken::Expired));
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
    async fn keys_are_read_again_by_the_wall_clock() {
        let name = "phantom-keys-rotated.json";
        let phantom = connected(settings(&write_keys(name))).await;
        let first = phantom.jwks(NOW).unwrap();
        write_keys(name);
        phantom
            .follow_keys(NOW.plus(READ_AFTER - 1), WAITED_READ)
            .await;
        assert_eq!(phantom.jwks(NOW), Some(first.clone()), "not yet due");
        // Also after a time in which no other clock went on.
        let later = NOW.plus(READ_AFTER);
        phantom.follow_keys(later, WAITED_READ).await;
        let second = phantom.jwks(later).unwrap();
        assert_ne!(second, first);
        // Their age is unknown: the clock was set back.
        write_keys(name);
        phantom.follow_overdue_keys(NOW).await;
        assert_ne!(phantom.jwks(NOW), Some(second));
        assert!(phantom.jwks(NOW).is_some());
    }

    #[tokio::test]
    async fn keys_that_cannot_be_read_again_are_used_for_ten_minutes() {
        let name = "phantom-keys-unreadable.json";
        let file = write_keys(name);
        let phantom = connected(settings(&file)).await;
        let claims = ClaimsBuilder::user("ada", NOW).expires_at(NOW.plus(3_600));
        let claims = claims.build();
        let first = phantom.jwks(NOW);
        std::fs::write(&file, "{").unwrap();
        for age in [READ_AFTER, RELOAD_SECONDS, MAX_AGE - 1] {
            let now = NOW.plus(age);
            phantom.follow_overdue_keys(now).await;
            phantom.follow_keys(now, WAITED_READ).await;
            assert_eq!(phantom.jwks(now), first, "{age}");
            assert!(phantom.token(&claims, "a.example", now).is_ok(), "{age}");
        }
        write_keys(name);
        let now = NOW.plus(MAX_AGE);
        phantom.follow_keys(now, WAITED_READ).await;
        assert_eq!(phantom.jwks(now), None, "an attempt failed a second ago");
        let token = phantom.token(&claims, "a.example", now);
        assert_eq!(token, Err(NoToken::NotSigned));
        let now = now.plus(RETRY);
        phantom.follow_overdue_keys(now).await;
        assert!(phantom.jwks(now).is_some_and(|keys| Some(keys) != first));
        assert!(phantom.are_usable(now));
    }

    #[tokio::test]
    async fn a_secret_that_does_not_respond_holds_nothing_up() {
        let aws = testkit::FakeAws::start().await;
        let mut phantom = connected(settings(&write_keys("phantom-keys-slow.json"))).await;
        phantom.keys = KeysLocation::Secret("arn".to_owned());
        phantom.sdk = Some(aws.sdk());
        aws.set_fault(testkit::server::Fault::Hang);
        let first = phantom.jwks(NOW);
        let now = NOW.plus(RELOAD_SECONDS);
        let began = std::time::Instant::now();
        tokio::join!(
            phantom.follow_keys(now, WAITED_READ),
            phantom.follow_overdue_keys(now),
            phantom.follow_overdue_keys(now),
        );
        let took = began.elapsed();
        assert!(WAITED_READ <= took && took < 2 * WAITED_READ, "{took:?}");
        assert_eq!(phantom.jwks(now), first);
    }

    #[tokio::test]
    async fn a_process_without_keys_does_not_start() {
        let missing = Phantom::connect(settings(Path::new("/nonexistent")), None, NOW).await;
        assert_eq!(missing.err(), Some(KeysError::File));
        let mut of_secret = settings(Path::new("/nonexistent"));
        of_secret.keys = KeysLocation::Secret("arn".to_owned());
        let no_sdk = Phantom::connect(of_secret, None, NOW).await;
        assert_eq!(no_sdk.err(), Some(KeysError::Secret(Cause::Other)));
    }
}
