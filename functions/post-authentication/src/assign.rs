//! Adds a migrated user to the pending groups.

use auth_cognito::{CognitoUsers, UserPoolError};
use auth_dynamodb::{Left, PendingGroups};
use aws_client::SdkConfig;
use runtime::clock;

use crate::outcome::{GroupsError, Outcome};
use crate::user::User;

/// Maximum number of seconds between storing the groups and the creation of the user: the rest of
/// the trigger's five seconds, and the difference of the clocks.
const MADE_AFTER: u64 = 60;
const MADE_BEFORE: u64 = 10;

/// Adds the user to the groups that wait for the user, and then deletes them from the table.
pub(crate) async fn assign_groups(
    user: &User,
    pending: &PendingGroups,
    sdk: &SdkConfig,
    case_sensitive: bool,
) -> Result<Outcome, GroupsError> {
    let pool = &user.user_pool_id;
    let Some(name) = user.left_for(case_sensitive) else {
        return Ok(Outcome::NothingToDo);
    };
    let now = clock::now();
    let left = pending.of(pool, name.left_for(), now).await;
    let Some(Left { groups, at }) = left? else {
        return Ok(Outcome::NothingToDo);
    };
    let users = CognitoUsers::new(sdk, pool.clone());
    let standing = users.standing(&user.username).await?;
    let made_by_the_move = at.saturating_sub(MADE_BEFORE)..=at.saturating_add(MADE_AFTER);
    if !standing.is_confirmed || !made_by_the_move.contains(&standing.created_at) {
        return Err(GroupsError::AnotherUser);
    }
    let mut result = Ok(Outcome::GroupsGiven);
    for group in &groups {
        match users.add_to_group(&user.username, group).await {
            Ok(()) => {}
            // A later attempt would fail too.
            Err(UserPoolError::NotFound) => result = Err(GroupsError::UnknownGroup),
            Err(error @ (UserPoolError::Throttled | UserPoolError::Unavailable(_))) => {
                return Err(error.into());
            }
        }
    }
    pending.forget(pool, name.left_for()).await?;
    result
}
