//! Limits attempts. The counts are in a table, because one process sees only a part of the
//! requests.

use std::net::Ipv6Addr;

use auth::UnixSeconds;
use auth_dynamodb::AttemptTable;
use aws_lc_rs::hmac;
use hex::encode as hex;
use runtime::Audit;

use crate::outcome::ApiError;

/// The length of a window in seconds.
const WINDOW_SECONDS: u64 = 300;

/// All networks together may try a name this many times as often as one network.
const NETWORKS: u64 = 4;

/// How long the network of a sign-in stays known, in seconds. It can be up to twice as long.
const KNOWN_SECONDS: u64 = 30 * 86_400;

/// A step that proves nothing may be taken this many times as often.
const OFTEN: u64 = 10;

/// Counts attempts by address, by user name, and by both.
///
/// The address is counted first: an attempt over the address limit is not counted for a name. A
/// name has one count for each network and one for all networks with four times the limit, so that
/// one network cannot use up the share of the others. A network from which the user has recently
/// signed in is limited by its own count alone: attempts from other networks cannot use that up.
pub(crate) struct Limiter {
    pub(crate) table: AttemptTable,
    /// For one user name from one network.
    pub(crate) per_user: u64,
    pub(crate) per_address: u64,
    /// The key of the hashes, so that the rows of two pools cannot be linked.
    pub(crate) user_pool_id: String,
}

/// A name, or an address, was tried too often.
const LOCK_OUT_NAME: &str = "lock_out_name";
const LOCK_OUT_ADDRESS: &str = "lock_out_address";

/// How a count compares with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Within,
    /// The first attempt above the limit.
    First,
    Above,
}

/// The counts of one attempt, for a refund if it succeeds.
pub(crate) struct Counted {
    ids: Vec<String>,
    at: UnixSeconds,
}

impl Counted {
    /// No counts.
    pub(crate) fn nothing() -> Self {
        Self {
            ids: Vec::new(),
            at: UnixSeconds(0),
        }
    }
}

impl Limiter {
    /// Counts an attempt. Each kind of attempt (`what`) has its own count.
    pub(crate) async fn admit(
        &self,
        what: &str,
        username: &str,
        address: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Counted, ApiError> {
        let name = self.hash(username);
        let user = format!("{what}#user#{name}");
        let locks_name = (LOCK_OUT_NAME, name.as_str());
        let Some(address) = address else {
            self.limit(&user, self.per_user, now, locks_name).await?;
            return Ok(Counted {
                ids: vec![user],
                at: now,
            });
        };
        let network = network(address);
        let network_hash = self.hash(&network);
        let address = format!("{what}#address#{network_hash}");
        let locks_address = (LOCK_OUT_ADDRESS, network_hash.as_str());
        self.limit(&address, self.per_address, now, locks_address)
            .await?;
        let name_here = self.hash(&format!("{network} {username}"));
        let both = format!("{what}#both#{name_here}");
        self.limit(&both, self.per_user, now, locks_name).await?;
        let all = self.per_user.saturating_mul(NETWORKS);
        let mut ids = vec![address, both];
        match self.count(&user, all, now).await? {
            Standing::Within => ids.push(user),
            Standing::First | Standing::Above if self.is_known(&name_here, now).await? => {
                // Its own count alone limits this network. Left in the count of all networks, the attempt would hide
                // the first one of another network above the limit, which is an act.
                let _ = self.table.refund(&user, WINDOW_SECONDS, now).await;
            }
            standing @ (Standing::First | Standing::Above) => {
                return Err(self.refused(standing, locks_name));
            }
        }
        Ok(Counted { ids, at: now })
    }

    /// Counts a step that proves nothing. The limit for such steps is higher.
    pub(crate) async fn admit_often(
        &self,
        what: &str,
        username: &str,
        address: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Counted, ApiError> {
        let mut ids = Vec::new();
        if let Some(address) = address {
            let network = self.hash(&network(address));
            let id = format!("{what}#address#{network}");
            let locks_address = (LOCK_OUT_ADDRESS, network.as_str());
            self.limit(&id, self.per_address, now, locks_address)
                .await?;
            ids.push(id);
        }
        let name = self.hash(username);
        let id = format!("{what}#user#{name}");
        let often = self.per_user.saturating_mul(OFTEN);
        self.limit(&id, often, now, (LOCK_OUT_NAME, &name)).await?;
        ids.push(id);
        Ok(Counted { ids, at: now })
    }

    /// Remembers a network from which the user has signed in. After a failure the network stays
    /// unknown.
    pub(crate) async fn remember(&self, username: &str, address: &str, now: UnixSeconds) {
        let name_here = self.hash(&format!("{} {username}", network(address)));
        let _ = self
            .table
            .count(&known(&name_here), KNOWN_SECONDS, now)
            .await;
    }

    async fn is_known(&self, name_here: &str, now: UnixSeconds) -> Result<bool, ApiError> {
        let before = UnixSeconds(now.0.saturating_sub(KNOWN_SECONDS));
        let id = known(name_here);
        let (current, previous) = tokio::join!(
            self.table.attempts(&id, KNOWN_SECONDS, now),
            self.table.attempts(&id, KNOWN_SECONDS, before),
        );
        Ok(current? > 0 || previous? > 0)
    }

    /// Refunds the counts of an attempt that succeeded, or that Cognito did not judge.
    pub(crate) async fn forgive(&self, counted: &Counted) {
        for id in &counted.ids {
            let _ = self.table.refund(id, WINDOW_SECONDS, counted.at).await;
        }
    }

    /// Counts an attempt, and refuses it above the limit; `locked` is the act and the hash of its target.
    async fn limit(
        &self,
        id: &str,
        limit: u64,
        now: UnixSeconds,
        locked: (&'static str, &str),
    ) -> Result<(), ApiError> {
        match self.count(id, limit, now).await? {
            Standing::Within => Ok(()),
            standing @ (Standing::First | Standing::Above) => Err(self.refused(standing, locked)),
        }
    }

    /// Counts in a sliding window: the previous window is weighted by the part that still overlaps.
    async fn count(&self, id: &str, limit: u64, now: UnixSeconds) -> Result<Standing, ApiError> {
        let before = UnixSeconds(now.0.saturating_sub(WINDOW_SECONDS));
        let (current, previous) = tokio::join!(
            self.table.count(id, WINDOW_SECONDS, now),
            self.table.attempts(id, WINDOW_SECONDS, before),
        );
        let (current, previous) = (current?, previous?);
        Ok(if sliding(current, previous, now) <= limit {
            Standing::Within
        } else if sliding(current.saturating_sub(1), previous, now) <= limit {
            Standing::First
        } else {
            Standing::Above
        })
    }

    /// The refusal of an attempt above a limit. Only the first one is an act: any client can send more.
    fn refused(&self, standing: Standing, (act, target): (&'static str, &str)) -> ApiError {
        if standing == Standing::First {
            let mut audit = Audit::new("auth-api", &self.user_pool_id);
            audit.act(act);
            audit.target_hash(target.get(..16).unwrap_or(target));
            audit.write_here("too_many_attempts");
        }
        ApiError::TooManyAttempts
    }

    fn hash(&self, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.user_pool_id.as_bytes());
        let tag = hmac::sign(&key, text.as_bytes());
        hex(tag.as_ref().get(..16).unwrap_or_default())
    }
}

fn known(name_here: &str) -> String {
    format!("known#{name_here}")
}

/// The attempts of the last [`WINDOW_SECONDS`], with those of the previous window taken as evenly
/// distributed.
fn sliding(current: u64, previous: u64, now: UnixSeconds) -> u64 {
    let into = now.0.checked_rem(WINDOW_SECONDS).unwrap_or(0);
    let left = WINDOW_SECONDS.saturating_sub(into);
    let covered = previous.saturating_mul(left).div_ceil(WINDOW_SECONDS);
    current.saturating_add(covered)
}

/// The network of one subscriber: an IPv4 address, or the first 64 bits of an IPv6 address (RFC
/// 6177 section 2).
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
    fn weights_the_previous_window_by_its_overlap() {
        for (current, previous, second, expected) in [
            (1, 0, 600, 1),
            (1, 20, 600, 21),
            (1, 20, 750, 11),
            (1, 20, 899, 2),
            (3, 0, 899, 3),
            (0, u64::MAX, 600, u64::MAX.div_ceil(300)),
        ] {
            assert_eq!(
                sliding(current, previous, UnixSeconds(second)),
                expected,
                "{current} {previous} {second}"
            );
        }
    }

    #[test]
    fn groups_addresses_by_network() {
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
