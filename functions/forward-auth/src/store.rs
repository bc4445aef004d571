//! The revocations: a table, or this process's memory.

use auth::memory::MemoryRevocations;
use auth::{RevocationReader, Revocations, Unavailable, UnixSeconds, VerifiedClaims, Verifier};
use auth_dynamodb::DynamoRevocations;
use auth_tower::Coalesced;

/// The configured store.
pub enum Store {
    /// The table. Concurrent requests of one credential share a read.
    DynamoDb(Coalesced<DynamoRevocations>),
    /// Memory, which needs no sharing.
    Memory(MemoryRevocations),
}

/// The store of one process, and what a logout here needs.
pub struct Memory {
    /// The store that the gate reads.
    pub store: MemoryRevocations,
    /// The lifetime of a refresh token.
    pub refresh_token_ttl_seconds: u64,
    /// Verifies the tokens of logouts: [`auth::TokenRules::of_logout`].
    pub verifier: Verifier,
}

impl RevocationReader for Store {
    async fn revocations(
        &self,
        claims: &VerifiedClaims,
        now: UnixSeconds,
    ) -> Result<Revocations, Unavailable> {
        match self {
            Self::DynamoDb(table) => table.revocations(claims, now).await,
            Self::Memory(memory) => memory.revocations(claims, now).await,
        }
    }
}
