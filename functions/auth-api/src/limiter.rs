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
/// A step that proves nothing is counted by address and by both, and by name alone without an address.
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
        let address = self.limit_network(what, &network, now).await?;
        let name_here = self.name_here(username, &network);
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

    /// Counts a step that proves nothing. The limit for such steps is higher. There is no limit for all networks together,
    /// because a single one could use it up.
    pub(crate) async fn admit_often(
        &self,
        what: &str,
        username: &str,
        address: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Counted, ApiError> {
        let name = self.hash(username);
        let often = self.per_user.saturating_mul(OFTEN);
        let mut ids = Vec::new();
        let id = if let Some(address) = address {
            let network = network(address);
            ids.push(self.limit_network(what, &network, now).await?);
            let name_here = self.name_here(username, &network);
            format!("{what}#both#{name_here}")
        } else {
            format!("{what}#user#{name}")
        };
        self.limit(&id, often, now, (LOCK_OUT_NAME, &name)).await?;
        ids.push(id);
        Ok(Counted { ids, at: now })
    }

    /// Counts an attempt for a network, and returns the id of the count.
    async fn limit_network(
        &self,
        what: &str,
        network: &str,
        now: UnixSeconds,
    ) -> Result<String, ApiError> {
        let hash = self.hash(network);
        let id = format!("{what}#address#{hash}");
        self.limit(&id, self.per_address, now, (LOCK_OUT_ADDRESS, &hash))
            .await?;
        Ok(id)
    }

    /// A user name from one network, hashed.
    fn name_here(&self, username: &str, network: &str) -> String {
        self.hash(&format!("{network} {username}"))
    }

    /// Remembers a network from which the user has signed in. After a failure the network stays
    /// unknown.
    pub(crate) async fn remember(&self, username: &str, address: &str, now: UnixSeconds) {
        let name_here = self.name_here(username, &network(address));
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
    use testkit::FakeAws;
    use testkit::server::Fault;

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

    /// Inside of a window, whose previous one is empty.
    const NOW: UnixSeconds = UnixSeconds(1_800_000_100);
    const HERE: Option<&str> = Some("203.0.113.9");

    async fn limiter() -> (Limiter, FakeAws) {
        let aws = FakeAws::with_tables().await;
        let limiter = Limiter {
            table: AttemptTable::new(&aws.sdk(), "attempts".to_owned()),
            per_user: 2,
            per_address: 6,
            user_pool_id: "us-east-1_Example".to_owned(),
        };
        (limiter, aws)
    }

    async fn admits(limiter: &Limiter, name: &str, address: Option<&str>) -> bool {
        let admitted = limiter.admit("login", name, address, NOW).await;
        assert!(matches!(&admitted, Ok(_) | Err(ApiError::TooManyAttempts)));
        admitted.is_ok()
    }

    /// The counts that are not zero, by kind (`user`, `address`, `both`), in ascending order.
    fn counts(aws: &FakeAws, kind: &str) -> Vec<i64> {
        let counted = aws.attempts().into_iter();
        let of_kind =
            counted.filter(|(id, count)| id.contains(&format!("#{kind}#")) && *count != 0);
        let mut counts: Vec<i64> = of_kind.map(|(_, count)| count).collect();
        counts.sort_unstable();
        counts
    }

    #[tokio::test]
    async fn a_name_without_an_address_has_its_own_limit() {
        let (limiter, aws) = limiter().await;
        for admitted in [true, true, false, false] {
            assert_eq!(admits(&limiter, "ada", None).await, admitted);
        }
        assert_eq!(counts(&aws, "user"), [4]);
        assert!(admits(&limiter, "grace", None).await);
        let confirm = limiter.admit("confirm", "ada", None, NOW).await;
        assert!(confirm.is_ok(), "each kind of attempt has its own count");
    }

    #[tokio::test]
    async fn one_network_cannot_use_up_the_share_of_the_others() {
        let (limiter, aws) = limiter().await;
        for admitted in [true, true, false] {
            assert_eq!(admits(&limiter, "ada", HERE).await, admitted);
        }
        assert_eq!(counts(&aws, "address"), [3]);
        assert_eq!(counts(&aws, "both"), [3]);
        assert_eq!(
            counts(&aws, "user"),
            [2],
            "refused before all networks' count"
        );
        // Four times the limit for all networks together.
        for address in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
            for _ in 0..2 {
                assert!(admits(&limiter, "ada", Some(address)).await, "{address}");
            }
        }
        assert!(!admits(&limiter, "ada", Some("198.51.100.4")).await);
        assert_eq!(counts(&aws, "user"), [9]);
        assert!(admits(&limiter, "grace", Some("198.51.100.4")).await);
    }

    #[tokio::test]
    async fn an_address_has_a_limit_for_all_names() {
        let (limiter, aws) = limiter().await;
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert!(admits(&limiter, name, Some("2001:db8:1:2::7")).await);
        }
        assert!(!admits(&limiter, "g", Some("2001:db8:1:2::8")).await);
        assert_eq!(counts(&aws, "address"), [7]);
        assert_eq!(counts(&aws, "user"), [1; 6], "not counted for the name");
        assert!(admits(&limiter, "g", Some("2001:db8:1:3::8")).await);
    }

    #[tokio::test]
    async fn a_network_that_the_user_signed_in_from_has_only_its_own_limit() {
        let (limiter, aws) = limiter().await;
        limiter.remember("ada", "203.0.113.9", NOW).await;
        for number in 1..=8 {
            let address = format!("198.51.100.{number}");
            assert!(admits(&limiter, "ada", Some(&address)).await);
        }
        assert!(!admits(&limiter, "ada", Some("198.51.100.9")).await);
        assert_eq!(counts(&aws, "user"), [9]);
        for admitted in [true, true, false] {
            assert_eq!(admits(&limiter, "ada", HERE).await, admitted);
        }
        assert_eq!(counts(&aws, "user"), [9], "refunded");
        assert!(
            admits(&limiter, "grace", HERE).await,
            "a network of another name"
        );
    }

    #[tokio::test]
    async fn a_network_is_known_for_its_window_and_the_next() {
        let (limiter, _aws) = limiter().await;
        let name_here = limiter.hash("203.0.113.9 ada");
        let at = |windows: u64| UnixSeconds((600 + windows) * 30 * 86_400 + 5);
        limiter.remember("ada", "203.0.113.9", at(0)).await;
        for (windows, known) in [(0, true), (1, true), (2, false), (3, false)] {
            let found = limiter.is_known(&name_here, at(windows)).await;
            assert_eq!(found.ok(), Some(known), "{windows}");
        }
        let found = limiter
            .is_known(&limiter.hash("203.0.113.9 eve"), at(0))
            .await;
        assert_eq!(found.ok(), Some(false));
    }

    #[tokio::test]
    async fn a_success_is_refunded_in_every_count() {
        let (limiter, aws) = limiter().await;
        for address in [None, HERE] {
            let counted = limiter
                .admit("login", "ada", address, NOW)
                .await
                .ok()
                .unwrap_or_else(Counted::nothing);
            assert_eq!(counts(&aws, "user"), [1]);
            // In the window of the attempt, not in that of the refund.
            limiter.forgive(&counted).await;
            assert!(
                aws.attempts().values().all(|count| *count == 0),
                "{:?}",
                aws.attempts()
            );
        }
        let before = aws.attempts().len();
        limiter.forgive(&Counted::nothing()).await;
        assert_eq!(aws.attempts().len(), before);
    }

    #[tokio::test]
    async fn a_repeated_refund_does_not_spoil_the_count() {
        let (limiter, aws) = limiter().await;
        let counted = limiter.admit("login", "ada", HERE, NOW).await;
        let counted = counted.ok().unwrap_or_else(Counted::nothing);
        // The SDK repeats a call whose response was lost.
        aws.set_fault_after_one(Fault::Cut);
        aws.forget_requests();
        limiter.forgive(&counted).await;
        assert_eq!(aws.requests().len(), counted.ids.len() + 1);
        let counts = aws.attempts();
        assert!(counts.values().all(|count| *count == 0), "{counts:?}");
        for later in [NOW, NOW.plus(WINDOW_SECONDS)] {
            let admitted = limiter.admit("login", "ada", HERE, later).await;
            assert!(admitted.is_ok(), "{later:?}");
        }
    }

    #[tokio::test]
    async fn a_step_that_proves_nothing_has_ten_times_the_limit() {
        let (limiter, aws) = limiter().await;
        let often = async |address| {
            limiter
                .admit_often("resend", "ada", address, NOW)
                .await
                .is_ok()
        };
        for attempt in 1..=20 {
            assert!(often(None).await, "{attempt}");
        }
        assert!(!often(None).await);
        assert_eq!(counts(&aws, "user"), [21]);
        for attempt in 1..=6 {
            let counted = limiter.admit_often("srp", "eve", HERE, NOW).await;
            assert!(counted.is_ok(), "{attempt}");
            if attempt == 6 {
                limiter
                    .forgive(&counted.ok().unwrap_or_else(Counted::nothing))
                    .await;
            }
        }
        assert_eq!(counts(&aws, "address"), [5]);
        assert_eq!(counts(&aws, "both"), [5]);
        for admitted in [true, false] {
            let counted = limiter.admit_often("srp", "eve", HERE, NOW).await;
            assert_eq!(counted.is_ok(), admitted);
        }
        assert_eq!(counts(&aws, "both"), [6], "not counted for the name");
        assert_eq!(counts(&aws, "user"), [21], "that of no address");
    }

    #[tokio::test]
    async fn one_network_cannot_use_up_the_steps_of_the_others() {
        let (mut limiter, aws) = limiter().await;
        limiter.per_address = 1_000;
        let often = async |name: &str, address: &str| {
            let counted = limiter.admit_often("srp", name, Some(address), NOW).await;
            assert!(matches!(&counted, Ok(_) | Err(ApiError::TooManyAttempts)));
            counted.is_ok()
        };
        for attempt in 1..=20 {
            assert!(often("ada", "2001:db8:1:2::7").await, "{attempt}");
        }
        for address in ["2001:db8:1:2::7", "2001:db8:1:2::8"] {
            assert!(!often("ada", address).await, "one network");
        }
        assert_eq!(counts(&aws, "both"), [22]);
        assert!(often("grace", "2001:db8:1:2::7").await);
        for number in 1..=9 {
            let elsewhere = format!("198.51.100.{number}");
            for attempt in 1..=20 {
                assert!(often("ada", &elsewhere).await, "{number} {attempt}");
            }
        }
        assert_eq!(counts(&aws, "user"), [] as [i64; 0]);
    }

    #[tokio::test]
    async fn the_first_attempt_above_a_limit_is_told_from_later_ones() {
        let (limiter, _aws) = limiter().await;
        let count = async |id, now| limiter.count(id, 2, UnixSeconds(now)).await.ok();
        let start = 1_800_000_000;
        for expected in [
            Standing::Within,
            Standing::Within,
            Standing::First,
            Standing::Above,
        ] {
            assert_eq!(count("a", start).await, Some(expected));
        }
        // In the middle of the next window, half of four attempts; at its end, one.
        assert_eq!(count("a", start + 450).await, Some(Standing::First));
        assert_eq!(count("a", start + 599).await, Some(Standing::First));
        assert_eq!(count("a", start + 599).await, Some(Standing::Above));
        assert_eq!(count("b", start + 300).await, Some(Standing::Within));
        // The window after the next does not know them.
        assert_eq!(count("c", start).await, Some(Standing::Within));
        assert_eq!(count("c", start + 600).await, Some(Standing::Within));
        assert_eq!(count("c", start + 601).await, Some(Standing::Within));
        assert_eq!(count("c", start + 602).await, Some(Standing::First));
    }

    #[tokio::test]
    async fn without_the_table_no_attempt_is_admitted() {
        let (limiter, aws) = limiter().await;
        aws.set_fault_for("UpdateItem", Fault::Answer(500, "{}".to_owned()));
        for address in [None, HERE] {
            assert!(limiter.admit("login", "ada", address, NOW).await.is_err());
            assert!(
                limiter
                    .admit_often("resend", "ada", address, NOW)
                    .await
                    .is_err()
            );
        }
    }

    #[tokio::test]
    async fn hashes_depend_on_the_pool() {
        let (limiter, aws) = limiter().await;
        let mut other = self::limiter().await.0;
        other.user_pool_id = "us-east-1_Other".to_owned();
        let hash = limiter.hash("ada");
        assert_eq!(hash.len(), 32);
        assert_eq!(hash, limiter.hash("ada"));
        assert!(hash != limiter.hash("eve") && hash != other.hash("ada"));
        assert!(admits(&limiter, "ada", HERE).await);
        let ids = aws.attempts().into_keys().collect::<String>();
        assert!(
            !ids.contains("ada") && !ids.contains("203.0.113.9"),
            "{ids}"
        );
    }
}
