//! API keys in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api_key::StoredKey;
use crate::error::{AuthError, Cause, Dependency, Unavailable};
use crate::ports::{ApiKeyStore, ApiKeyWriter};
#[cfg(feature = "test-helpers")]
use crate::reason::DenyReason;

/// An [`ApiKeyStore`] and [`ApiKeyWriter`]. Clones share the contents.
///
/// # Examples
/// ```
/// use auth::api_key::{NewKey, PresentedKey, StoredKey};
/// use auth::memory::MemoryApiKeys;
/// use auth::{ApiKeyStore, ApiKeyWriter, UnixSeconds};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let now = UnixSeconds(1_800_000_000);
/// let key = NewKey::mint(&[7; 60]); // In production these bytes are random.
/// let stored = StoredKey {
///     owner: "acme".to_owned(),
///     scope: "orders/read".to_owned(),
///     created_at: now,
///     expires_at: now.plus(3_600),
///     usage_plan_key: None,
///     salt: key.salt,
///     hash: key.hash,
/// };
/// let store = MemoryApiKeys::default();
/// store.put(&key.id, &stored).await?;
///
/// let presented = PresentedKey::parse(&key.text).map_err(|_| "it is well-formed")?;
/// let found = store.find(presented.id()).await?.ok_or("it was stored")?;
/// let claims = found.verify(&presented, &"us-east-1_Ab1".into(), now).map_err(|_| "it is valid")?;
/// assert_eq!(claims.scope(), "orders/read");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryApiKeys {
    rows: Arc<Mutex<HashMap<String, Row>>>,
    failing: Arc<AtomicBool>,
}

enum Row {
    Key(StoredKey),
    /// A row that Gatehouse did not write.
    #[cfg(feature = "test-helpers")]
    Unreadable,
}

impl MemoryApiKeys {
    /// Whether calls succeed from now on: `false` makes each of them fail.
    #[cfg(feature = "test-helpers")]
    pub fn set_available(&self, available: bool) {
        self.failing.store(!available, Ordering::SeqCst);
    }

    /// Replaces the row `id` by one that Gatehouse did not write.
    #[cfg(feature = "test-helpers")]
    pub fn set_unreadable(&self, id: &str) {
        self.locked().insert(id.to_owned(), Row::Unreadable);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows, unless calls fail.
    fn rows(&self) -> Result<MutexGuard<'_, HashMap<String, Row>>, Unavailable> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(Dependency::ApiKeys.unavailable(Cause::Other));
        }
        Ok(self.locked())
    }
}

impl ApiKeyStore for MemoryApiKeys {
    async fn find(&self, id: &str) -> Result<Option<StoredKey>, AuthError> {
        match self.rows()?.get(id) {
            None => Ok(None),
            Some(Row::Key(key)) => Ok(Some(key.clone())),
            #[cfg(feature = "test-helpers")]
            Some(Row::Unreadable) => Err(DenyReason::UnreadableRevocation.into()),
        }
    }
}

impl ApiKeyWriter for MemoryApiKeys {
    async fn put(&self, id: &str, key: &StoredKey) -> Result<(), Unavailable> {
        match self.rows()?.entry(id.to_owned()) {
            Entry::Occupied(_) => Err(Dependency::ApiKeys.unavailable(Cause::Other)),
            Entry::Vacant(free) => {
                free.insert(Row::Key(key.clone()));
                Ok(())
            }
        }
    }
}
