//! The environment variables of custom-message, described in `docs/configuration.md`.

use std::collections::HashMap;

use env_config::{ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use serde::Deserialize;

use crate::brand::Brand;

/// The longest name of an application: subjects and text messages have at most 140 characters.
const MAX_NAME_CHARS: usize = 40;

/// A valid configuration, including its templates.
pub struct Config {
    /// The application for app clients without an entry in `clients`.
    pub default: Application,
    /// `APP_CLIENTS`: applications by app client.
    pub clients: HashMap<String, Application>,
    /// Whether `EMAIL_SENDING_ACCOUNT` is `DEVELOPER`: Cognito accepts custom mails only then.
    pub sends_mail: bool,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

/// The application that sends the messages.
pub struct Application {
    /// `APP_NAME`.
    pub name: String,
    /// `APP_BASE_URL` and `APP_CONFIRMATION_PATH`: the target of confirmation links; without it,
    /// messages have no link.
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
    pub const VARS: &'static [Var] = &[
        Var::new(
            "APP_NAME",
            "required",
            "The application's name in messages, 40 characters at most.",
        ),
        Var::new(
            "APP_BASE_URL",
            "unset",
            "The base of confirmation links, `https://`. Unset: codes only. `app__base_url` is \
             an alias, read if this variable is unset.",
        ),
        Var::new(
            "APP_CONFIRMATION_PATH",
            "`/auth/confirm`",
            "The path of the confirmation page there. `app__confirmation_path` is an alias, as \
             above.",
        ),
        Var::new(
            "APP_CLIENTS",
            "unset",
            "A JSON object of app clients with their own settings: `{\"<client id>\": \
             {\"name\", \"base_url\", \"confirmation_path\", \"templates_dir\"}}`, each of \
             them optional.",
        ),
        Var::new(
            "TEMPLATES_DIR",
            "the shipped brand",
            "A folder with `layout.html` and a `<locale>.json` for each language. See \
             [mail.md](mail.md).",
        ),
        Var::new(
            "DEFAULT_LOCALE",
            "`en`",
            "The language for users whose language is not supported.",
        ),
        Var::new(
            "EMAIL_SENDING_ACCOUNT",
            "`DEVELOPER`",
            "As the pool's. With `COGNITO_DEFAULT` Cognito accepts no email from a trigger: \
             only the text message is set.",
        ),
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
    ];

    /// Reads the configuration through `lookup`, and the templates that it names.
    ///
    /// # Errors
    /// All problems of the configuration.
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
        let log_level = log::read(&mut env);
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

/// Variables with an alternative name, which is used if the first is unset.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("APP_BASE_URL", "app__base_url"),
    ("APP_CONFIRMATION_PATH", "app__confirmation_path"),
];

/// A lookup that also reads the alternative names.
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

/// An application with its own settings, and the general settings as defaults.
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
        env.problem(path_variable, "has an invalid confirmation path");
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
            env.problem("TEMPLATES_DIR", &format!("is invalid: {error}"));
            None
        }
    };
    Some(Application {
        name,
        confirmation_url: base.map(|base| format!("{}{path}", base.trim_end_matches('/'))),
        brand: brand?,
    })
}

/// Whether it is `https://`, or `http://` on the loopback interface for development, with a host
/// and an optional path.
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
