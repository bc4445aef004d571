//! Configuration from environment variables; reports all problems at once.

#![warn(missing_docs)]

mod browser_sessions;
mod process;
pub mod vars;

use std::fmt;
use std::ops::RangeInclusive;

pub use browser_sessions::BrowserSessionSettings;
pub use process::process;

/// An environment variable and its documentation, from which `docs/configuration.md` is generated.
/// The texts are Markdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var {
    /// The variable's name.
    pub name: &'static str,
    /// What applies if the variable is unset: `required`, `unset`, or the value in backticks.
    pub default: &'static str,
    /// What the variable means, with its unit and limits.
    pub meaning: &'static str,
}

impl Var {
    /// Documents a variable.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            default,
            meaning,
        }
    }

    /// The same variable in a function that has another default.
    #[must_use]
    pub const fn with_default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }
}

/// Reads variables and collects the problems.
///
/// An empty variable counts as unset: CloudFormation cannot omit a variable otherwise.
pub struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

/// All problems of a configuration, by variable. Values are not quoted, because one may be a
/// misplaced secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl<'a> Env<'a> {
    /// Reads through `lookup`.
    #[must_use]
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    /// Records a problem with `name`: `problem` continues the sentence, as in "is not set".
    pub fn problem(&mut self, name: &str, problem: &str) {
        self.problems.push(format!("{name} {problem}"));
    }

    /// An optional variable.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// A required variable. If it is unset, records a problem and returns an empty string.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problem(name, "is not set");
            String::new()
        })
    }

    /// A comma-separated list without empty elements, or `None` if unset.
    pub fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let items: Vec<String> = self
            .optional(name)?
            .split(',')
            .map(|item| item.trim().to_owned())
            .collect();
        if items.iter().any(String::is_empty) {
            self.problem(name, "has an empty element");
        }
        Some(items)
    }

    /// `USER_POOL_ID`: `<region>_<letters and digits>`, 55 characters at most.
    pub fn user_pool_id(&mut self) -> String {
        const NAME: &str = "USER_POOL_ID";
        let pool = self.required(NAME);
        let valid = pool.split_once('_').is_some_and(|(region, name)| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !region.is_empty()
                && region.bytes().all(plain)
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        if !pool.is_empty() && (!valid || pool.len() > 55) {
            self.problem(NAME, "is not a user pool's id");
        }
        pool
    }

    /// `APP_CLIENT_IDS`: at least one app client, without wildcards.
    pub fn app_client_ids(&mut self) -> Vec<String> {
        const NAME: &str = "APP_CLIENT_IDS";
        let ids = self.list(NAME).unwrap_or_default();
        if ids.is_empty() {
            self.problem(NAME, "is not set");
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'+' || b == b'-';
        if ids.iter().any(|id| !id.bytes().all(plain)) {
            self.problem(NAME, "contains an invalid app client id");
        }
        ids
    }

    /// `REFRESH_TOKEN_TTL_SECONDS`: how long a session can be refreshed, within Cognito's limits of
    /// 60 minutes and 10 years; 30 days if unset.
    pub fn refresh_token_ttl_seconds(&mut self) -> u64 {
        const THIRTY_DAYS: u64 = 30 * 24 * 60 * 60;
        self.number(
            "REFRESH_TOKEN_TTL_SECONDS",
            THIRTY_DAYS,
            3_600..=315_360_000,
        )
    }

    /// A comma-separated list of web origins ([RFC 6454 section 6.2]); empty if unset.
    ///
    /// [RFC 6454 section 6.2]: https://www.rfc-editor.org/rfc/rfc6454#section-6.2
    pub fn origins(&mut self, name: &str) -> Vec<String> {
        let origins = self.list(name).unwrap_or_default();
        let is_origin = |origin: &String| {
            origin
                .strip_prefix("https://")
                .or_else(|| origin.strip_prefix("http://"))
                .is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '@', '?', '#']))
        };
        if !origins.iter().all(is_origin) {
            self.problem(name, "is not a list of origins");
        }
        origins
    }

    /// The name of a cookie, if one is set ([RFC 6265 section 4.1.1]).
    ///
    /// [RFC 6265 section 4.1.1]: https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1
    pub fn cookie_name(&mut self, name: &str) -> Option<String> {
        let value = self.optional(name)?;
        if !value.bytes().all(is_name_byte) {
            self.problem(name, "is not a cookie's name");
        }
        Some(value)
    }

    /// A whole number within `range`.
    pub fn number(&mut self, name: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        match self.optional(name).map(|text| text.parse::<u64>()) {
            None => default,
            Some(Ok(number)) if range.contains(&number) => number,
            Some(_) => {
                let (low, high) = (range.start(), range.end());
                self.problem(name, &format!("is not a whole number from {low} to {high}"));
                default
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.optional(name).as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.problem(name, "is neither `true` nor `false`");
                default
            }
        }
    }

    /// All recorded problems.
    #[must_use]
    pub fn into_error(self) -> ConfigError {
        ConfigError(self.problems)
    }

    /// Returns `config` if there are no problems.
    ///
    /// # Errors
    /// All recorded problems.
    pub fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(self.problems))
        }
    }
}

/// Whether the name of a header or a cookie may contain this byte ([RFC 9110 section 5.6.2],
/// `tchar`).
///
/// [RFC 9110 section 5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
#[must_use]
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_every_problem_by_name() {
        let lookup = |name: &str| match name {
            "EMPTY" => Some(" ".to_owned()),
            "LIST" => Some("a,,b".to_owned()),
            "NUMBER" => Some("61".to_owned()),
            "FLAG" => Some("yes".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        env.required("EMPTY");
        env.required("UNSET");
        env.list("LIST");
        env.number("NUMBER", 0, 0..=60);
        env.flag("FLAG", true);
        let error = env.finish(()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "EMPTY is not set; UNSET is not set; LIST has an empty element; \
             NUMBER is not a whole number from 0 to 60; FLAG is neither `true` nor `false`"
        );
    }

    #[test]
    fn reads_valid_variables() {
        let lookup = |name: &str| match name {
            "TEXT" => Some(" a ".to_owned()),
            "LIST" => Some("a, b".to_owned()),
            "NUMBER" => Some("60".to_owned()),
            "FLAG" => Some("false".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        assert_eq!(env.required("TEXT"), "a");
        assert_eq!(env.list("LIST"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(env.number("NUMBER", 0, 0..=60), 60);
        assert_eq!(env.number("UNSET", 7, 0..=60), 7);
        assert!(!env.flag("FLAG", true));
        assert!(env.flag("UNSET", true));
        assert!(env.finish(()).is_ok());
    }
}
