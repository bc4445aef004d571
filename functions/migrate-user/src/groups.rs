//! The groups of migrated users, which post-authentication assigns.

use auth::{Unavailable, UnixSeconds};
use auth_dynamodb::{LeftFor, PendingGroups};
use usernames::normalize;

use crate::outcome::MigratedUser;

/// Stores the groups for post-authentication, because the trigger runs before the user exists in the pool.
/// Post-authentication assigns them when the user signs in, this time or the next. After a forgotten password
/// that sign-in proves who the user is: it requires the code from the user's mailbox.
pub(crate) async fn leave_groups(
    table: Option<&PendingGroups>,
    user_pool_id: &str,
    username: &str,
    moved: &MigratedUser,
    case_sensitive: bool,
    now: UnixSeconds,
) -> Result<(), Unavailable> {
    let (Some(table), false) = (table, moved.groups.is_empty()) else {
        return Ok(());
    };
    let normal = normalize(username, case_sensitive);
    // Any user of the new pool may claim an unverified address.
    let is_verified = moved.attributes.contains_key("email_verified");
    let email = moved.attributes.get("email").filter(|_| is_verified);
    let user = email.map_or(LeftFor::Name(&normal), |email| LeftFor::Email(email));
    table.store(user_pool_id, user, &moved.groups, now).await
}
