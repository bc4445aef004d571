//! Checks the password of a user, and takes the same time without a user.

use auth::{Secret, Unavailable};

use crate::breaker::CircuitBreaker;
use crate::hash::{PasswordHash, PasswordMatch};
use crate::outcome::{MigrateError, NotMigratedError};
use crate::rules::Rules;
use crate::source::{Answer, LegacySource, Source};
use crate::timing::Hashing;
use crate::user::{Credential, LegacyUser};

/// Checks passwords, by a hash or at the source.
pub(crate) struct Passwords {
    hashing: Hashing,
    pub(crate) breaker: CircuitBreaker,
}

/// The password is right.
pub(crate) struct Right {
    /// Whether the old store requires a password reset.
    pub(crate) must_reset: bool,
    /// Whether only the beginning of the password was compared.
    pub(crate) is_cut: bool,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            hashing: Hashing::new(),
            breaker: CircuitBreaker::new(),
        }
    }

    /// Checks the password.
    pub(crate) async fn check(
        &self,
        source: &Source,
        user: &LegacyUser,
        password: &Secret,
        rules: &Rules,
    ) -> Result<Right, MigrateError> {
        let mut must_reset = user.must_reset;
        let mut is_cut = false;
        match &user.credential {
            Credential::None => {
                self.hashing.equalize_timing(password).await?;
                return Err(NotMigratedError::NoPassword.into());
            }
            Credential::Checked(true) => {}
            Credential::Checked(false) => return Err(NotMigratedError::WrongPassword.into()),
            Credential::Hash(text) => {
                let hash = PasswordHash::parse(text.expose(), rules.allow_weak_hashes);
                let hash = hash.and_then(|hash| hash.afford(password).map(|()| hash));
                match hash {
                    Err(unusable) => {
                        self.hashing.equalize_timing(password).await?;
                        return Err(NotMigratedError::Hash(unusable).into());
                    }
                    Ok(hash) => match self.hashing.fit(text, hash, password).await? {
                        PasswordMatch::Match => {}
                        PasswordMatch::MatchTruncated => is_cut = true,
                        PasswordMatch::Mismatch => {
                            return Err(NotMigratedError::WrongPassword.into());
                        }
                    },
                }
            }
            Credential::AtSource => {
                let answer = self
                    .breaker
                    .call(source.check(&user.username, password))
                    .await?;
                match answer {
                    Answer::Right => {}
                    Answer::Wrong => return Err(NotMigratedError::WrongPassword.into()),
                    Answer::ResetRequired => must_reset = true,
                    Answer::Challenged if rules.takes_challenged => must_reset = true,
                    Answer::Challenged => return Err(NotMigratedError::Challenged.into()),
                    Answer::Unconfirmed if rules.takes_unconfirmed => must_reset = true,
                    Answer::Unconfirmed => return Err(NotMigratedError::Unconfirmed.into()),
                    Answer::Refused => return Err(NotMigratedError::Refused.into()),
                }
            }
        }
        Ok(Right { must_reset, is_cut })
    }

    /// Takes as much time as a wrong password.
    pub(crate) async fn equalize_timing(
        &self,
        source: Option<&Source>,
        typed: &str,
        password: Option<&Secret>,
    ) -> Result<(), Unavailable> {
        let Some(password) = password else {
            return Ok(());
        };
        match source {
            Some(source @ Source::Cognito(_)) => {
                // Only the time of the call matters.
                let _ = source.check(typed, password).await;
                Ok(())
            }
            Some(Source::Http(_)) => Ok(()),
            Some(Source::Dynamodb(_) | Source::Postgres(_)) | None => {
                self.hashing.equalize_timing(password).await
            }
        }
    }
}
