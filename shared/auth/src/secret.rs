//! Passwords and codes: in memory once, wiped when they go, and nowhere else.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A text that must not get out. It has no `Debug`, no `Display` and no `Serialize`, and its memory is
/// overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Whoever calls this hands it to somebody who may know it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
