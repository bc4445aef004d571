//! How much somebody may try: counted in a table, since each process of ours sees only some of it.

use std::net::Ipv6Addr;

use auth::{Unavailable, UnixSeconds, hex};
use auth_dynamodb::AttemptTable;
use aws_lc_rs::hmac;

use crate::outcome::Problem;

/// Seconds of a window.
const WINDOW_SECONDS: u64 = 300;

/// Counts attempts by user name and by address.
pub(crate) struct Limiter {
    pub(crate) table: AttemptTable,
    pub(crate) per_user: u64,
    pub(crate) per_address: u64,
    /// Keys the hashes, so that those of two pools don't tell the same.
    pub(crate) user_pool_id: String,
}

impl Limiter {
    /// Counts an attempt. `what` is the kind of it, for each has its own count.
    pub(crate) async fn admit(
        &self,
        what: &str,
        username: &str,
        address: Option<&str>,
        now: UnixSeconds,
    ) -> Result<(), Problem> {
        let user = async {
            let id = format!("{what}#user#{}", self.hash(username));
            self.is_within(&id, self.per_user, now).await
        };
        let address = async {
            let Some(address) = address else {
                return Ok(true);
            };
            let id = format!("{what}#address#{}", self.hash(&network(address)));
            self.is_within(&id, self.per_address, now).await
        };
        match tokio::join!(user, address) {
            (Ok(true), Ok(true)) => Ok(()),
            (Err(unavailable), _) | (_, Err(unavailable)) => Err(unavailable.into()),
            _ => Err(Problem::TooManyAttempts),
        }
    }

    async fn is_within(&self, id: &str, limit: u64, now: UnixSeconds) -> Result<bool, Unavailable> {
        let attempts = self.table.count(id, WINDOW_SECONDS, now).await?;
        Ok(attempts <= limit)
    }

    fn hash(&self, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.user_pool_id.as_bytes());
        let tag = hmac::sign(&key, text.as_bytes());
        hex(tag.as_ref().get(..16).unwrap_or_default())
    }
}

/// What one subscriber has: an address, or of IPv6 the first 64 bits (RFC 6177 section 2).
fn network(address: &str) -> String {
    match address.parse::<Ipv6Addr>() {
        Ok(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(prefix).to_string()
            }
        },
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (address, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::7", "2001:db8:1:2::"),
            ("odd", "odd"),
        ] {
            assert_eq!(network(address), expected);
        }
    }
}
