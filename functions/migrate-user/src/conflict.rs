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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::user::Credential;

    fn user(username: &str, email_verified: bool, last_sign_in: Option<i64>) -> LegacyUser {
        let mut attributes = BTreeMap::from([("email".to_owned(), "Ada@x.org".to_owned())]);
        if email_verified {
            attributes.insert("email_verified".to_owned(), "true".to_owned());
        }
        LegacyUser {
            username: username.to_owned(),
            attributes,
            left_behind: BTreeSet::new(),
            bar: None,
            confirmed: true,
            last_sign_in,
            must_reset: false,
            groups: Vec::new(),
            credential: Credential::None,
        }
    }

    #[test]
    fn a_rule_selects_one_user_or_none() {
        use ConflictRule::{LatestSignInWins, Refuse, VerifiedWins};
        for (rule, first, second, selected) in [
            (Refuse, (true, Some(2)), (false, Some(1)), None),
            (VerifiedWins, (false, None), (true, None), Some("ADA")),
            (VerifiedWins, (true, None), (true, None), None),
            (VerifiedWins, (false, None), (false, None), None),
            (
                LatestSignInWins,
                (false, Some(2)),
                (true, Some(1)),
                Some("ada"),
            ),
            (
                LatestSignInWins,
                (false, Some(1)),
                (false, Some(2)),
                Some("ADA"),
            ),
            (LatestSignInWins, (false, Some(2)), (false, Some(2)), None),
            (LatestSignInWins, (false, Some(2)), (false, None), None),
        ] {
            let users = || {
                vec![
                    user("ada", first.0, first.1),
                    user("ADA", second.0, second.1),
                ]
            };
            let found = decide(users(), "ada@X.org", rule, false);
            let found = found.map(|user| user.username);
            assert_eq!(found.as_deref(), selected, "{rule:?} {first:?} {second:?}");
        }
        let alone = decide(vec![user("ada", false, None)], "ada", Refuse, false);
        assert!(alone.is_some());
        let other = vec![user("ada", true, None), user("ADA", false, None)];
        let other = decide(other, "ada", VerifiedWins, false);
        assert!(other.is_none(), "the verified address is another name");
    }
}
