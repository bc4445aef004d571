//! Sessions in the memory of one process, for one machine. A restart ends them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auth::{AuthError, Cause, Dependency, Unavailable, UnixSeconds};

use crate::{BrowserSessions, Lease, RowKey, SealedSession};

/// A [`BrowserSessions`] with a limit. Clones share the contents.
#[derive(Clone)]
pub struct MemoryBrowserSessions {
    rows: Arc<Mutex<Rows>>,
    limit: usize,
}

#[derive(Default)]
struct Rows {
    by_key: HashMap<RowKey, Row>,
    /// Expired rows are deleted when there are this many.
    clean_at: usize,
}

struct Row {
    row: SealedSession,
    lease: Option<Lease>,
}

impl MemoryBrowserSessions {
    /// The sessions that a process holds by default. With the tokens of a user of 100 groups, about 10 KB each, they
    /// take 1 GB.
    pub const DEFAULT_LIMIT: usize = 100_000;

    /// A store for at most `limit` sessions. Further sign-ins fail until sessions expire or are deleted.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            rows: Arc::default(),
            limit,
        }
    }

    /// No method leaves the rows half changed, so a panic of another thread does no harm.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBrowserSessions {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

impl Rows {
    /// Deletes expired rows whenever their number may have doubled, or the limit is reached.
    fn clean(&mut self, limit: usize, now: UnixSeconds) {
        const LEAST: usize = 1_024;
        let length = self.by_key.len();
        if length >= self.clean_at.max(LEAST) || length >= limit {
            self.by_key.retain(|_, row| row.row.expires_at > now);
            self.clean_at = self.by_key.len().saturating_mul(2);
        }
    }
}

impl BrowserSessions for MemoryBrowserSessions {
    async fn find(&self, key: &RowKey) -> Result<Option<SealedSession>, AuthError> {
        Ok(self.rows().by_key.get(key).map(|row| row.row.clone()))
    }

    async fn create(
        &self,
        key: &RowKey,
        row: &SealedSession,
        now: UnixSeconds,
    ) -> Result<(), Unavailable> {
        let mut rows = self.rows();
        rows.clean(self.limit, now);
        let is_full = rows.by_key.len() >= self.limit;
        match rows.by_key.entry(key.clone()) {
            Entry::Occupied(known) if known.get().row == *row => Ok(()),
            Entry::Occupied(_) => Err(Dependency::BrowserSessions.unavailable(Cause::Other)),
            Entry::Vacant(_) if is_full => {
                Err(Dependency::BrowserSessions.unavailable(Cause::Throttled))
            }
            Entry::Vacant(free) => {
                let row = row.clone();
                free.insert(Row { row, lease: None });
                Ok(())
            }
        }
    }

    async fn replace(&self, key: &RowKey, row: &SealedSession) -> Result<bool, Unavailable> {
        let mut rows = self.rows();
        let Some(known) = rows.by_key.get_mut(key) else {
            return Ok(false);
        };
        if known.row == *row {
            return Ok(true);
        }
        if known.row.version.checked_add(1) != Some(row.version) {
            return Ok(false);
        }
        *known = Row {
            row: row.clone(),
            lease: None,
        };
        Ok(true)
    }

    async fn lease(
        &self,
        key: &RowKey,
        version: u64,
        lease: &Lease,
        now: UnixSeconds,
    ) -> Result<bool, Unavailable> {
        let mut rows = self.rows();
        let row = rows.by_key.get_mut(key);
        let Some(row) = row.filter(|row| row.row.version == version) else {
            return Ok(false);
        };
        let is_free = match &row.lease {
            None => true,
            Some(held) => held.until <= now || held.holder == lease.holder,
        };
        if is_free {
            row.lease = Some(lease.clone());
        }
        Ok(is_free)
    }

    async fn delete(&self, key: &RowKey) -> Result<(), Unavailable> {
        self.rows().by_key.remove(key);
        Ok(())
    }
}
