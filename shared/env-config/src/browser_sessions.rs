//! The settings of browser sessions, which several functions share.

use crate::Env;

/// The longest name of the cookie: with its value and attributes it stays below 200 bytes.
const MAX_COOKIE_NAME_BYTES: usize = 64;

/// `SESSION_COOKIE`, `BROWSER_SESSION_TABLE` and `BROWSER_SESSION_KEYS_ARN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserSessionSettings {
    /// The cookie that carries a session's id.
    pub cookie: String,
    /// The table of sessions.
    pub table: String,
    /// The secret with the keys that seal them.
    pub keys_arn: String,
}

impl BrowserSessionSettings {
    /// Reads the settings; `None` without a table.
    pub fn read(env: &mut Env<'_>) -> Option<Self> {
        let cookie = env.cookie_name("SESSION_COOKIE");
        let cookie = cookie.unwrap_or_else(|| "__Host-session".to_owned());
        // The prefix makes browsers require Secure, no Domain and the path `/`.
        if !cookie.starts_with("__Host-") || cookie.len() > MAX_COOKIE_NAME_BYTES {
            env.problem(
                "SESSION_COOKIE",
                "doesn't begin with `__Host-`, or has more than 64 characters",
            );
        }
        let table = env.optional("BROWSER_SESSION_TABLE");
        let keys_arn = env.optional("BROWSER_SESSION_KEYS_ARN");
        match (table, keys_arn) {
            (None, None) => None,
            (Some(table), Some(keys_arn)) => Some(Self {
                cookie,
                table,
                keys_arn,
            }),
            (Some(_), None) | (None, Some(_)) => {
                env.problem(
                    "BROWSER_SESSION_TABLE",
                    "and BROWSER_SESSION_KEYS_ARN are only set together",
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_keys_are_set_together() {
        let long = format!("__Host-{}", "x".repeat(58));
        let (table, keys) = (
            ("BROWSER_SESSION_TABLE", "t"),
            ("BROWSER_SESSION_KEYS_ARN", "k"),
        );
        /// Variables, and the cookie of the settings or the beginning of the problem.
        type Row<'a> = (Vec<(&'a str, &'a str)>, Result<Option<&'a str>, &'a str>);
        let rows: Vec<Row<'_>> = vec![
            (vec![], Ok(None)),
            (vec![("SESSION_COOKIE", "__Host-s")], Ok(None)),
            (vec![table, keys], Ok(Some("__Host-session"))),
            (
                vec![table, keys, ("SESSION_COOKIE", "__Host-s")],
                Ok(Some("__Host-s")),
            ),
            (vec![table], Err("BROWSER_SESSION_TABLE and")),
            (vec![keys], Err("BROWSER_SESSION_TABLE and")),
            (
                vec![table, keys, ("SESSION_COOKIE", "session")],
                Err("SESSION_COOKIE"),
            ),
            (
                vec![table, keys, ("SESSION_COOKIE", "__Secure-s")],
                Err("SESSION_COOKIE"),
            ),
            (
                vec![table, keys, ("SESSION_COOKIE", "__Host-a b")],
                Err("SESSION_COOKIE"),
            ),
            (
                vec![table, keys, ("SESSION_COOKIE", &long)],
                Err("SESSION_COOKIE"),
            ),
        ];
        for (variables, expected) in rows {
            let lookup = |name: &str| {
                let mut named = variables.iter().filter(|(known, _)| *known == name);
                named.next().map(|(_, value)| (*value).to_owned())
            };
            let mut env = Env::new(&lookup);
            let settings = BrowserSessionSettings::read(&mut env);
            match (env.finish(settings), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found.as_ref().map(|found| found.cookie.as_str()), expected);
                }
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().starts_with(expected), "{error}");
                }
                (found, _) => panic!("{variables:?}: {found:?}"),
            }
        }
    }
}
