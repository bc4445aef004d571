//! The rules by which users are migrated, read from environment variables.

use std::collections::BTreeMap;

use auth::Secret;
use env_config::Env;

/// The standard attributes of OpenID Connect that every pool has, without `sub`.
const STANDARD: &[&str] = &[
    "address",
    "birthdate",
    "email",
    "email_verified",
    "family_name",
    "gender",
    "given_name",
    "locale",
    "middle_name",
    "name",
    "nickname",
    "phone_number",
    "phone_number_verified",
    "picture",
    "preferred_username",
    "profile",
    "updated_at",
    "website",
    "zoneinfo",
];

pub(crate) fn is_standard_attribute(name: &str) -> bool {
    STANDARD.contains(&name)
}

/// Which user is migrated if several users of the old store share a name, except for case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictRule {
    /// None of these users.
    Refuse,
    /// The only user who has verified the typed name, an e-mail address or a phone number.
    VerifiedWins,
    /// The user with the latest sign-in.
    LatestSignInWins,
}

impl ConflictRule {
    /// Reads `CONFLICT_RULE`.
    pub(crate) fn read(env: &mut Env<'_>) -> Self {
        match env.optional("CONFLICT_RULE").as_deref() {
            None | Some("refuse") => Self::Refuse,
            Some("verified-wins") => Self::VerifiedWins,
            Some("latest-sign-in-wins") => Self::LatestSignInWins,
            Some(_) => {
                let problem = "is not one of `refuse`, `verified-wins`, `latest-sign-in-wins`";
                env.problem("CONFLICT_RULE", problem);
                Self::Refuse
            }
        }
    }
}

/// Rules for migrated users.
pub struct Rules {
    /// `LEGACY_FIELDS`: the names of the fields that migrate-user reads.
    pub fields: Fields,
    /// `LEGACY_ATTRIBUTES`: attribute names of the old store, mapped to those of the pool.
    pub attributes: BTreeMap<String, String>,
    /// `LEGACY_GROUPS`: groups of the old store, mapped to those of the pool. Other groups are not assigned.
    pub groups: BTreeMap<String, String>,
    /// `REQUIRED_ATTRIBUTES`.
    pub required: Vec<String>,
    /// `USERNAME_CASE_SENSITIVE`, of the new pool.
    pub case_sensitive: bool,
    /// `USERNAME_IS_EMAIL`, of the new pool: Cognito requires that the e-mail address equals the name.
    pub username_is_email: bool,
    /// `ALLOW_WEAK_HASHES`.
    pub allow_weak_hashes: bool,
    /// `LEGACY_UNCONFIRMED` is `reset`: unconfirmed users are migrated and have to reset the password.
    pub takes_unconfirmed: bool,
    /// `LEGACY_CHALLENGES` is `reset`: so do users for whom the old pool requires a challenge.
    pub takes_challenged: bool,
    /// `PASSWORD_MIN_LENGTH`.
    pub min_length: u64,
    /// `PASSWORD_REQUIRES`.
    pub classes: Vec<CharacterClass>,
    /// `PASSWORD_CHANGE_ATTRIBUTE`: the custom attribute that is set if the new pool's policy would refuse the
    /// migrated password.
    pub change_attribute: Option<String>,
}

impl Rules {
    /// Reads the variables of all rules.
    pub(crate) fn read(env: &mut Env<'_>) -> Self {
        let fields = Fields::read(env);
        let attributes = map(env, "LEGACY_ATTRIBUTES");
        let may_be_set = |name: &String| is_standard_attribute(name) || name.starts_with("custom:");
        if !attributes.values().all(may_be_set) {
            env.problem(
                "LEGACY_ATTRIBUTES",
                "maps to a name that is neither a standard attribute nor a `custom:` attribute",
            );
        }
        let groups = map(env, "LEGACY_GROUPS");
        let required = env.list("REQUIRED_ATTRIBUTES");
        let change_attribute = env.optional("PASSWORD_CHANGE_ATTRIBUTE");
        let is_custom = |name: &String| name.len() > 7 && name.starts_with("custom:");
        if change_attribute
            .as_ref()
            .is_some_and(|name| !is_custom(name))
        {
            env.problem("PASSWORD_CHANGE_ATTRIBUTE", "is not a `custom:` attribute");
        }
        Self {
            fields,
            attributes,
            groups,
            required: required.unwrap_or_else(|| vec!["email".to_owned()]),
            case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
            username_is_email: env.flag("USERNAME_IS_EMAIL", false),
            allow_weak_hashes: env.flag("ALLOW_WEAK_HASHES", false),
            takes_unconfirmed: is_reset(env, "LEGACY_UNCONFIRMED"),
            takes_challenged: is_reset(env, "LEGACY_CHALLENGES"),
            min_length: env.number("PASSWORD_MIN_LENGTH", 8, 6..=99),
            classes: classes(env),
            change_attribute,
        }
    }

    /// Whether the password meets the new pool's policy, which Cognito does not apply to migrated passwords.
    pub(crate) fn meets_policy(&self, password: &Secret) -> bool {
        let text = password.expose();
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        length >= self.min_length
            && text.trim() == text
            && self.classes.iter().all(|class| match class {
                CharacterClass::Uppercase => text.contains(|c: char| c.is_ascii_uppercase()),
                CharacterClass::Lowercase => text.contains(|c: char| c.is_ascii_lowercase()),
                CharacterClass::Numbers => text.contains(|c: char| c.is_ascii_digit()),
                CharacterClass::Symbols => text.contains(|c: char| c.is_ascii_punctuation()),
            })
    }
}

/// A character class that the new pool's policy may require.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharacterClass {
    /// A to Z.
    Uppercase,
    /// a to z.
    Lowercase,
    /// 0 to 9.
    Numbers,
    /// Cognito's special characters.
    Symbols,
}

/// The old store's names of the fields that migrate-user reads.
pub struct Fields {
    pub(crate) username: String,
    pub(crate) password_hash: String,
    pub(crate) enabled: String,
    pub(crate) active: String,
    pub(crate) disabled: String,
    pub(crate) locked: String,
    pub(crate) blocked: String,
    pub(crate) suspended: String,
    pub(crate) banned: String,
    pub(crate) deleted: String,
    pub(crate) status: String,
    pub(crate) confirmed: String,
    pub(crate) must_reset: String,
    pub(crate) last_sign_in: String,
    pub(crate) password_matches: String,
    pub(crate) groups: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            username: "username".to_owned(),
            password_hash: "password_hash".to_owned(),
            enabled: "enabled".to_owned(),
            active: "active".to_owned(),
            disabled: "disabled".to_owned(),
            locked: "locked".to_owned(),
            blocked: "blocked".to_owned(),
            suspended: "suspended".to_owned(),
            banned: "banned".to_owned(),
            deleted: "deleted".to_owned(),
            status: "status".to_owned(),
            confirmed: "confirmed".to_owned(),
            must_reset: "must_reset".to_owned(),
            last_sign_in: "last_sign_in".to_owned(),
            password_matches: "password_matches".to_owned(),
            groups: "groups".to_owned(),
        }
    }
}

impl Fields {
    /// Reads `LEGACY_FIELDS`.
    pub(crate) fn read(env: &mut Env<'_>) -> Self {
        let fields = map(env, "LEGACY_FIELDS");
        Self::renamed(&fields).unwrap_or_else(|| {
            env.problem("LEGACY_FIELDS", "names an unknown field");
            Self::default()
        })
    }

    /// The default names with replacements; `None` if a replacement is for an unknown field.
    fn renamed(names: &BTreeMap<String, String>) -> Option<Self> {
        let mut fields = Self::default();
        for (meaning, name) in names {
            let field = match meaning.as_str() {
                "username" => &mut fields.username,
                "password_hash" => &mut fields.password_hash,
                "enabled" => &mut fields.enabled,
                "active" => &mut fields.active,
                "disabled" => &mut fields.disabled,
                "locked" => &mut fields.locked,
                "blocked" => &mut fields.blocked,
                "suspended" => &mut fields.suspended,
                "banned" => &mut fields.banned,
                "deleted" => &mut fields.deleted,
                "status" => &mut fields.status,
                "confirmed" => &mut fields.confirmed,
                "must_reset" => &mut fields.must_reset,
                "last_sign_in" => &mut fields.last_sign_in,
                "password_matches" => &mut fields.password_matches,
                "groups" => &mut fields.groups,
                _ => return None,
            };
            name.clone_into(field);
        }
        Some(fields)
    }
}

fn map(env: &mut Env<'_>, name: &str) -> BTreeMap<String, String> {
    let Some(text) = env.optional(name) else {
        return BTreeMap::new();
    };
    serde_json::from_str(&text).unwrap_or_else(|_| {
        env.problem(name, "is not a JSON object of strings");
        BTreeMap::new()
    })
}

fn is_reset(env: &mut Env<'_>, name: &str) -> bool {
    match env.optional(name).as_deref() {
        None | Some("refuse") => false,
        Some("reset") => true,
        Some(_) => {
            env.problem(name, "is neither `refuse` nor `reset`");
            false
        }
    }
}

fn classes(env: &mut Env<'_>) -> Vec<CharacterClass> {
    const NAME: &str = "PASSWORD_REQUIRES";
    let names = env.list(NAME).unwrap_or_default();
    let classes: Vec<_> = names
        .iter()
        .filter_map(|name| match name.as_str() {
            "uppercase" => Some(CharacterClass::Uppercase),
            "lowercase" => Some(CharacterClass::Lowercase),
            "numbers" => Some(CharacterClass::Numbers),
            "symbols" => Some(CharacterClass::Symbols),
            _ => None,
        })
        .collect();
    if classes.len() != names.len() {
        env.problem(
            NAME,
            "is not a list of uppercase, lowercase, numbers, symbols",
        );
    }
    classes
}
