//! What custom-message reads from its environment. `docs/configuration.md` has the table.

use std::collections::HashMap;

use auth::env::{ConfigError, Env};
use lambda::log::Level;
use serde::Deserialize;

use crate::brand::Brand;

/// As long as an application's name may be: subjects and text messages have 140 characters.
const MAX_NAME_CHARS: usize = 40;

/// A configuration that holds, its templates included.
pub struct Config {
    /// The brand of all app clients that have none of their own.
    pub default: Application,
    /// By app client: `APP_CLIENTS`.
    pub clients: HashMap<String, Application>,
    /// `EMAIL_SENDING_ACCOUNT` is `DEVELOPER`: only then does Cognito take mails.
    pub sends_mail: bool,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

/// Whom the messages are from.
pub struct Application {
    /// `APP_NAME`.
    pub name: String,
    /// `APP_BASE_URL` and `APP_CONFIRMATION_PATH`: where a confirmation link leads; no link without.
    pub confirmation_url: Option<String>,
    /// The templates.
    pub(crate) brand: Brand,
}

/// An element of `APP_CLIENTS`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    name: Option<String>,
    base_url: Option<String>,
    confirmation_path: Option<String>,
    templates_dir: Option<String>,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads.
    pub const VARS: &'static [&'static str] = &[
        "APP_NAME",
        "APP_BASE_URL",
        "APP_CONFIRMATION_PATH",
        "APP_CLIENTS",
        "TEMPLATES_DIR",
        "DEFAULT_LOCALE",
        "EMAIL_SENDING_ACCOUNT",
        "LOG_LEVEL",
    ];

    /// Reads the configuration through `lookup`, and the templates that it names.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let locale = env
            .optional("DEFAULT_LOCALE")
            .unwrap_or_else(|| "en".to_owned());
        let name = env.required("APP_NAME");
        let client = Client {
            name: Some(name),
            base_url: env.optional("APP_BASE_URL"),
            confirmation_path: env.optional("APP_CONFIRMATION_PATH"),
            templates_dir: env.optional("TEMPLATES_DIR"),
        };
        let clients: HashMap<String, Client> = match env.optional("APP_CLIENTS") {
            None => HashMap::new(),
            Some(text) => serde_json::from_str(&text).unwrap_or_else(|_| {
                env.problem(
                    "APP_CLIENTS",
                    "is not a JSON object of app clients with `name`, `base_url`, \
                     `confirmation_path`, `templates_dir`",
                );
                HashMap::new()
            }),
        };
        let sends_mail = match env.optional("EMAIL_SENDING_ACCOUNT").as_deref() {
            None | Some("DEVELOPER") => true,
            Some("COGNITO_DEFAULT") => false,
            Some(_) => {
                env.problem(
                    "EMAIL_SENDING_ACCOUNT",
                    "is neither `DEVELOPER` nor `COGNITO_DEFAULT`",
                );
                false
            }
        };
        let log_level = Level::read(&mut env);
        let none = Client::default();
        let variables = ["APP_NAME", "APP_BASE_URL", "APP_CONFIRMATION_PATH"];
        let default = application(&mut env, variables, &client, &none, &locale);
        let variables = ["APP_CLIENTS"; 3];
        let clients = clients
            .iter()
            .filter_map(|(id, own)| {
                let application = application(&mut env, variables, own, &client, &locale)?;
                Some((id.clone(), application))
            })
            .collect();
        let Some(default) = default else {
            return Err(env.into_error());
        };
        env.finish(Self {
            default,
            clients,
            sends_mail,
            log_level,
        })
    }
}

/// Variables that go by another name too, which counts where the first is unset.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("APP_BASE_URL", "app__base_url"),
    ("APP_CONFIRMATION_PATH", "app__confirmation_path"),
];

/// A lookup that knows some variables by another name as well.
pub fn with_other_names(
    lookup: impl Fn(&str) -> Option<String>,
) -> impl Fn(&str) -> Option<String> {
    move |name| {
        let set = lookup(name).filter(|value| !value.is_empty());
        set.or_else(|| {
            let (_, other) = OTHER_NAMES.iter().find(|(first, _)| *first == name)?;
            lookup(other)
        })
    }
}

/// An application by its own settings, and by the general ones for what it has none of.
fn application(
    env: &mut Env<'_>,
    [name_variable, base_variable, path_variable]: [&str; 3],
    own: &Client,
    general: &Client,
    locale: &str,
) -> Option<Application> {
    let name = own.name.clone().or_else(|| general.name.clone());
    let name = name.unwrap_or_default();
    let plain = |c: char| !c.is_control() && !"{}<>".contains(c);
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || !name.chars().all(plain) {
        env.problem(
            name_variable,
            "has no name of 1 to 40 characters without `{`, `}`, `<`, `>`",
        );
    }
    let base = own.base_url.as_ref().or(general.base_url.as_ref());
    let path = own
        .confirmation_path
        .as_ref()
        .or(general.confirmation_path.as_ref())
        .map_or("/auth/confirm", String::as_str);
    if !path.starts_with('/') || !path.bytes().all(is_address_byte) {
        env.problem(path_variable, "has a confirmation path that is none");
    }
    if base.is_some_and(|base| !is_base_url(base)) {
        env.problem(base_variable, "has a base address that is not https://");
    }
    let folder = own
        .templates_dir
        .as_deref()
        .or(general.templates_dir.as_deref());
    let brand = match Brand::read(folder, locale) {
        Ok(brand) => Some(brand),
        Err(error) => {
            env.problem("TEMPLATES_DIR", &format!("does not hold: {error}"));
            None
        }
    };
    Some(Application {
        name,
        confirmation_url: base.map(|base| format!("{}{path}", base.trim_end_matches('/'))),
        brand: brand?,
    })
}

/// `https://`, or `http://` on this machine for development; a host, and perhaps a path.
fn is_base_url(url: &str) -> bool {
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://").filter(|rest| is_local(rest)));
    host.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_address_byte))
}

fn is_local(rest: &str) -> bool {
    let host = rest.split(['/', ':']).next();
    matches!(host, Some("localhost" | "127.0.0.1"))
}

fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte)
}
