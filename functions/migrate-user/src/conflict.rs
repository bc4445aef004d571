//! Which user is migrated if several users of the old store share a name.

use crate::rules::ConflictRule;
use crate::user::LegacyUser;

/// Selects the user for `name`; `None` if the rule does not single out one user. Considers all users of the name,
/// so that the result does not depend on who signs in first.
pub(crate) fn decide(
    mut users: Vec<LegacyUser>,
    name: &str,
    rule: ConflictRule,
    case_sensitive: bool,
) -> Option<LegacyUser> {
    if users.len() < 2 {
        return users.pop();
    }
    match rule {
        ConflictRule::Refuse => None,
        ConflictRule::VerifiedWins => {
            // A verified address other than the typed name proves nothing about this name.
            let mut owners = users
                .into_iter()
                .filter(|user| user.owns(name, case_sensitive));
            let first = owners.next();
            first.filter(|_| owners.next().is_none())
        }
        ConflictRule::LatestSignInWins => {
            if users.iter().any(|user| user.last_sign_in.is_none()) {
                return None;
            }
            users.sort_by_key(|user| user.last_sign_in);
            let last = users.pop()?;
            let before = users.pop()?;
            (last.last_sign_in > before.last_sign_in).then_some(last)
        }
    }
}
