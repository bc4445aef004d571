//! Looks up names in the old store for pre-sign-up, so that a stranger cannot register the name of a user who
//! has not been migrated yet.

use auth::{Cause, Dependency, Unavailable};
use aws_client::SdkConfig;

use crate::config::LookupConfig;
use crate::rules::Rules;
use crate::source::{LegacySource, Source, SourceError};

/// Looks up names in the old store, without passwords.
pub struct Lookup {
    sources: Vec<Source>,
    rules: Rules,
}

impl Lookup {
    /// Reads the sources' secret and creates their clients.
    ///
    /// # Errors
    /// [`Unavailable`] if the secret is invalid, or cannot be read.
    pub async fn connect(config: LookupConfig, sdk: &SdkConfig) -> Result<Self, Unavailable> {
        let sources = Source::connect_all(config.sources, config.secret_arn, config.secret, sdk);
        Ok(Self {
            sources: sources.await?,
            rules: config.rules,
        })
    }

    /// Whether a source has a user of this name, in any spelling.
    ///
    /// # Errors
    /// [`Unavailable`] if a source does not answer, refuses the name, or returns an unusable answer.
    pub async fn knows(&self, name: &str) -> Result<bool, Unavailable> {
        for source in &self.sources {
            match source.find(name, None, &self.rules).await {
                Ok(found) if found.is_empty() => {}
                Ok(_) | Err(SourceError::TooMany) => return Ok(true),
                Err(SourceError::Down(cause) | SourceError::Unusable(cause)) => {
                    return Err(Dependency::Legacy.unavailable(cause));
                }
                // Whether the store has such a user is unknown.
                Err(SourceError::Refused) => {
                    return Err(Dependency::Legacy.unavailable(Cause::Invalid));
                }
            }
        }
        Ok(false)
    }
}
