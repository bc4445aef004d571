//! Whether the old store knows a name: for pre-sign-up, before somebody else takes it in the new pool.

use auth::Unavailable;
use aws_config::SdkConfig;

use crate::config::{LookupConfig, Rules};
use crate::source::{LegacySource, Source, SourceError};

/// The old store, to be asked for names alone.
pub struct Lookup {
    sources: Vec<Source>,
    rules: Rules,
}

impl Lookup {
    /// Reads the sources' secret and makes their clients.
    ///
    /// # Errors
    /// [`Unavailable::Legacy`] if the secret is none, or can't be read.
    pub async fn connect(config: LookupConfig, sdk: &SdkConfig) -> Result<Self, Unavailable> {
        let secret = match &config.secret_arn {
            None => config.secret,
            Some(arn) => {
                let secret = auth_secrets::read(sdk, arn).await;
                Some(secret.ok_or(Unavailable::Legacy)?)
            }
        };
        let mut sources = Vec::new();
        for source in config.sources {
            sources.push(Source::connect(source, secret.as_ref(), sdk).await?);
        }
        Ok(Self {
            sources,
            rules: config.rules,
        })
    }

    /// Whether one of the sources knows somebody of this name, in any spelling.
    ///
    /// # Errors
    /// [`Unavailable::Legacy`] if that can't be known.
    pub async fn knows(&self, name: &str) -> Result<bool, Unavailable> {
        for source in &self.sources {
            match source.find(name, None, &self.rules).await {
                Ok(found) if found.is_empty() => {}
                Ok(_) | Err(SourceError::TooMany) => return Ok(true),
                Err(SourceError::Down | SourceError::Unusable | SourceError::Refused) => {
                    return Err(Unavailable::Legacy);
                }
            }
        }
        Ok(false)
    }
}
