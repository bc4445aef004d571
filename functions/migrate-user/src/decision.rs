//! Decides whether a user is migrated.

use auth::Secret;
use usernames::normalize;

use crate::conflict;
use crate::outcome::{MigrateError, MigratedUser, Next, NotMigratedError};
use crate::password::{Passwords, Right};
use crate::rules::{ConflictRule, Rules};
use crate::source::{LegacySource, Source};
use crate::user::{Bar, LegacyUser};

/// The sources of users, and the rules by which they are migrated.
pub(crate) struct Decision {
    pub(crate) sources: Vec<Source>,
    pub(crate) conflict_rule: ConflictRule,
    pub(crate) rules: Rules,
    pub(crate) passwords: Passwords,
}

impl Decision {
    /// Finds the user and checks the password. A user who cannot be migrated takes as much time as a wrong
    /// password.
    pub(crate) async fn decide(
        &self,
        typed: &str,
        password: Option<&Secret>,
    ) -> Result<MigratedUser, MigrateError> {
        for source in &self.sources {
            let found = self
                .passwords
                .breaker
                .call(source.find(typed, password, &self.rules))
                .await?;
            if found.is_empty() {
                continue;
            }
            let user =
                conflict::decide(found, typed, self.conflict_rule, self.rules.case_sensitive);
            let user = match user {
                None => Err(NotMigratedError::Ambiguous),
                Some(user) => match user.bar {
                    None => Ok(user),
                    Some(Bar::Disabled) => Err(NotMigratedError::Disabled),
                    Some(Bar::UnknownStatus(_)) => Err(NotMigratedError::UnknownStatus),
                },
            };
            let user = match user {
                Ok(user) => user,
                Err(reason) => {
                    self.passwords
                        .equalize_timing(Some(source), typed, password)
                        .await?;
                    return Err(reason.into());
                }
            };
            let next = match password {
                None => self.forgotten(&user)?,
                Some(password) => self.signed_in(source, &user, password).await?,
            };
            let moved = self.moved(typed, &user, next)?;
            return self.with_groups(source, &user, moved).await;
        }
        self.passwords
            .equalize_timing(self.sources.last(), typed, password)
            .await?;
        Err(NotMigratedError::Unknown.into())
    }

    /// Checks the password. Returns what the user has to do about it.
    async fn signed_in(
        &self,
        source: &Source,
        user: &LegacyUser,
        password: &Secret,
    ) -> Result<Next, MigrateError> {
        let right = self.passwords.check(source, user, password, &self.rules);
        let Right {
            mut must_reset,
            is_cut,
        } = right.await?;
        if !user.confirmed {
            if !self.rules.takes_unconfirmed {
                return Err(NotMigratedError::Unconfirmed.into());
            }
            must_reset = true;
        }
        // Cognito does not tell a user that a reset is required, and sends no code to an unverified address. So
        // a reset is only for users of whom the old store requires one, or whose password bcrypt truncated.
        let is_verified = user.is_verified(self.rules.username_is_email);
        match (must_reset, is_cut, is_verified) {
            (true, _, false) => Err(NotMigratedError::NotVerified.into()),
            (true, _, true) | (false, true, true) => Ok(Next::Reset),
            (false, true, false) => Ok(Next::Change),
            (false, false, _) if self.rules.meets_policy(password) => Ok(Next::Nothing),
            (false, false, _) => Ok(Next::Change),
        }
    }

    /// Checks a user who has forgotten the password. Cognito sends a code to the address of the response, so the
    /// address must be the user's.
    fn forgotten(&self, user: &LegacyUser) -> Result<Next, NotMigratedError> {
        if !user.confirmed && !self.rules.takes_unconfirmed {
            return Err(NotMigratedError::Unconfirmed);
        }
        if !user.is_verified(self.rules.username_is_email) {
            return Err(NotMigratedError::NotVerified);
        }
        Ok(Next::Reset)
    }

    fn moved(
        &self,
        typed: &str,
        user: &LegacyUser,
        next: Next,
    ) -> Result<MigratedUser, NotMigratedError> {
        let has = |name: &String| user.attributes.contains_key(name);
        if !self.rules.required.iter().all(has) {
            return Err(NotMigratedError::MissingAttribute);
        }
        let name = normalize(typed, self.rules.case_sensitive);
        if self.rules.username_is_email && user.attributes.get("email") != Some(&name) {
            return Err(NotMigratedError::OtherAddress);
        }
        let mut attributes = user.attributes.clone();
        if let (Next::Change, Some(attribute)) = (next, &self.rules.change_attribute) {
            attributes.insert(attribute.clone(), "true".to_owned());
        }
        Ok(MigratedUser {
            attributes,
            groups: Vec::new(),
            left_behind: user.left_behind.clone(),
            next,
        })
    }

    async fn with_groups(
        &self,
        source: &Source,
        user: &LegacyUser,
        moved: MigratedUser,
    ) -> Result<MigratedUser, MigrateError> {
        if self.rules.groups.is_empty() {
            return Ok(moved);
        }
        let groups = self.passwords.breaker.call(source.groups(user)).await?;
        let known = groups.iter().filter_map(|old| self.rules.groups.get(old));
        let mut groups: Vec<String> = known.cloned().collect();
        groups.sort();
        groups.dedup();
        Ok(MigratedUser { groups, ..moved })
    }
}
