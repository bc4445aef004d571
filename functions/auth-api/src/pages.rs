//! The pages of a confirmation link. Opening one changes nothing, because mail scanners open links:
//! a button confirms. The pages have no script and no external resources, and do not reveal whether
//! an account exists.

use std::collections::BTreeMap;

use api_gateway::http::{Request, Response};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use usernames::is_email;

use crate::fields;
use crate::outcome::{Answer, ApiError, Outcome};

const LAYOUT: &str = include_str!("../pages/layout.html");
const STYLE: &str = include_str!("../pages/style.css");
const LOCALES: &[(&str, &str)] = &[
    ("en", include_str!("../pages/en.json")),
    ("de", include_str!("../pages/de.json")),
    ("es", include_str!("../pages/es.json")),
    ("ja", include_str!("../pages/ja.json")),
    ("ar", include_str!("../pages/ar.json")),
];
/// Longer than any browser's list of languages.
const MAX_LANGUAGES_BYTES: usize = 512;

/// The texts of one language, by name; the template decides which are required.
type Texts = BTreeMap<String, String>;

/// Compiled templates.
pub(crate) struct Pages {
    engine: Environment<'static>,
    texts: BTreeMap<&'static str, Texts>,
    default_locale: &'static str,
    app: String,
    sign_in_url: Option<String>,
    content_security_policy: String,
}

/// The kinds of pages.
#[derive(Clone, Copy)]
enum Kind {
    Confirm,
    Confirmed,
    Refused,
    /// Confirmed, with a password that is not the account's.
    Reset,
    Later,
    Sent,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Confirm,
        Self::Confirmed,
        Self::Refused,
        Self::Reset,
        Self::Later,
        Self::Sent,
    ];

    /// The kind's name in the template, and the prefix of its texts.
    fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Later => "later",
            Self::Sent => "sent",
        }
    }
}

/// Whether this is a valid e-mail address without spaces.
fn may_be_shown(email: &str) -> bool {
    is_email(email) && fields::normal_name(email, true).is_ok()
}

impl Pages {
    /// Compiles the template and reads all texts.
    pub(crate) fn new(
        app: &str,
        sign_in_url: Option<String>,
        default_locale: &str,
    ) -> Result<Self, minijinja::Error> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_auto_escape_callback(|_| AutoEscape::Html);
        engine.add_template("layout", LAYOUT)?;
        let mut texts = BTreeMap::new();
        for (locale, json) in LOCALES {
            let read = serde_json::from_str(json).map_err(|error| {
                let problem = format!("{locale}.json: {error}");
                minijinja::Error::new(minijinja::ErrorKind::BadSerialization, problem)
            })?;
            texts.insert(*locale, read);
        }
        let known = LOCALES.iter().find(|(locale, _)| *locale == default_locale);
        let style = digest::digest(&digest::SHA256, STYLE.as_bytes());
        let pages = Self {
            engine,
            texts,
            default_locale: known.map_or("en", |(locale, _)| locale),
            app: app.to_owned(),
            sign_in_url,
            content_security_policy: format!(
                "default-src 'none'; style-src 'sha256-{}'; form-action 'self'; \
                 base-uri 'none'; frame-ancestors 'none'",
                STANDARD.encode(style)
            ),
        };
        // Renders every page once, so that a broken page fails at the start.
        for (locale, _) in LOCALES {
            for kind in Kind::ALL {
                pages.render(locale, kind, "a@example.com", "1")?;
            }
        }
        Ok(pages)
    }

    /// The page that the link opens.
    pub(crate) fn confirm(&self, request: &Request<'_>) -> Result<Response, ApiError> {
        let email = request.query("email").unwrap_or_default();
        // Text that a stranger puts into the link must not appear as the application's own.
        let email = if may_be_shown(&email) { &*email } else { "" };
        let code = request.query("confirmationCode").unwrap_or_default();
        self.page(200, request, Kind::Confirm, email, &code)
    }

    pub(crate) fn confirmed(&self, request: &Request<'_>) -> Result<Response, ApiError> {
        self.page(200, request, Kind::Confirmed, "", "")
    }

    pub(crate) fn sent(&self, request: &Request<'_>) -> Result<Response, ApiError> {
        self.page(200, request, Kind::Sent, "", "")
    }

    /// Used, expired or wrong: the page lists all three with what to do, because naming the one
    /// would reveal whether an account exists.
    pub(crate) fn not_confirmed(
        &self,
        request: &Request<'_>,
        problem: ApiError,
        email: &str,
    ) -> Result<Answer, ApiError> {
        let email = if may_be_shown(email) { email } else { "" };
        let refused = matches!(
            problem,
            ApiError::Cognito(Outcome::InvalidCode | Outcome::BadRequest) | ApiError::BadRequest(_)
        );
        let kind = if problem == ApiError::Cognito(Outcome::PasswordResetRequired) {
            Kind::Reset
        } else if refused {
            Kind::Refused
        } else {
            Kind::Later
        };
        let page = self.page(problem.status(), request, kind, email, "")?;
        Ok(Answer::of(problem, page))
    }

    fn page(
        &self,
        status: u16,
        request: &Request<'_>,
        kind: Kind,
        email: &str,
        code: &str,
    ) -> Result<Response, ApiError> {
        let languages = request.header("accept-language").unwrap_or_default();
        let locale = self.locale(&languages);
        let page = self.render(locale, kind, email, code);
        let page = page.map_err(|_| ApiError::Internal)?;
        Ok(Response::html(status, page)
            .with("content-security-policy", &*self.content_security_policy)
            // The page's address contains a code. With `no-referrer` the form's own Origin would be
            // `null`.
            .with("referrer-policy", "same-origin")
            .with("x-frame-options", "DENY")
            .with("content-language", locale))
    }

    fn render(
        &self,
        locale: &str,
        kind: Kind,
        email: &str,
        code: &str,
    ) -> Result<String, minijinja::Error> {
        let texts = self.texts.get(locale).cloned().unwrap_or_default();
        let title = texts.get(&format!("{}_title", kind.as_str())).cloned();
        self.engine.get_template("layout")?.render(context! {
            t => texts,
            lang => locale,
            style => minijinja::Value::from_safe_string(STYLE.to_owned()),
            app => self.app.as_str(),
            sign_in_url => self.sign_in_url.as_deref(),
            title => title,
            kind => kind.as_str(),
            email => email,
            code => code,
        })
    }

    /// The first available language of the browser's list (RFC 9110 section 12.5.4; lists come in
    /// the order of preference).
    fn locale(&self, languages: &str) -> &'static str {
        if languages.len() > MAX_LANGUAGES_BYTES {
            return self.default_locale;
        }
        languages
            .split(',')
            .filter_map(|language| language.split([';', '-']).next())
            .find_map(|language| {
                let language = language.trim();
                let known = LOCALES
                    .iter()
                    .find(|(locale, _)| locale.eq_ignore_ascii_case(language));
                known.map(|(locale, _)| *locale)
            })
            .unwrap_or(self.default_locale)
    }
}
