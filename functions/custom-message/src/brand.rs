//! A brand: one layout, and its texts in each language. The function does not start with a brand
//! that is incomplete or would violate Cognito's rules.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Deserialize;

use crate::content::Content;
use crate::message::{Message, Parts};
use crate::source::Source;

include!(concat!(env!("OUT_DIR"), "/compiled_in.rs"));

/// The layout's file, and its name for the template engine.
const LAYOUT_FILE: &str = "layout.html";

/// A problem of a brand, with its file.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub(crate) struct BrandError {
    file: String,
    problem: String,
}

/// The texts of one language, `templates/<brand>/<locale>.json`. They may use `{{ app }}`,
/// `{{ code }}` and, in messages of an administrator, `{{ username }}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    dir: Direction,
    greeting: String,
    neutral_greeting: String,
    button: String,
    or_code: String,
    messages: BTreeMap<String, MessageTexts>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Ltr,
    Rtl,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageTexts {
    subject: String,
    heading: String,
    text: String,
    note: String,
    sms: String,
}

/// Validated templates. Those of the shipped brand, which a test validates, are parsed when the first message needs them.
pub(crate) struct Brand {
    engine: Engine,
    locales: BTreeMap<String, Locale>,
    default_locale: String,
}

/// The template engine with the layout.
struct Engine {
    layout: Cow<'static, str>,
    parsed: OnceLock<Result<Environment<'static>, String>>,
}

/// The texts of one language, as JSON.
struct Locale {
    file: String,
    json: Cow<'static, str>,
    parsed: OnceLock<Result<Texts, String>>,
}

impl Engine {
    fn parsed(&self) -> Result<&Environment<'static>, &str> {
        let parsed = self.parsed.get_or_init(|| {
            let mut engine = Environment::empty();
            engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
            engine.set_auto_escape_callback(|name| match name {
                LAYOUT_FILE => AutoEscape::Html,
                _ => AutoEscape::None,
            });
            match engine.add_template_owned(LAYOUT_FILE, self.layout.clone()) {
                Ok(()) => Ok(engine),
                Err(error) => Err(error.to_string()),
            }
        });
        parsed.as_ref().map_err(String::as_str)
    }
}

impl Locale {
    fn parsed(&self) -> Result<&Texts, &str> {
        let parsed = self
            .parsed
            .get_or_init(|| serde_json::from_str(&self.json).map_err(|error| error.to_string()));
        parsed.as_ref().map_err(String::as_str)
    }
}

impl Brand {
    /// Reads the brand in `folder` (`layout.html` and a `<locale>.json` per language), or the
    /// shipped one.
    ///
    /// # Errors
    /// The first problem, with its file.
    pub(crate) fn read(folder: Option<&str>, default_locale: &str) -> Result<Self, BrandError> {
        let (layout, texts) = match folder {
            None => shipped(),
            Some(folder) => from_folder(Path::new(folder))?,
        };
        let locale = |(name, json): (String, Cow<'static, str>)| {
            let locale = Locale {
                file: format!("{name}.json"),
                json,
                parsed: OnceLock::new(),
            };
            (name.to_ascii_lowercase(), locale)
        };
        let brand = Self {
            engine: Engine {
                layout,
                parsed: OnceLock::new(),
            },
            locales: texts.into_iter().map(locale).collect(),
            default_locale: default_locale.to_ascii_lowercase(),
        };
        if !brand.locales.contains_key(&brand.default_locale) {
            return Err(BrandError {
                file: format!("{}.json", brand.default_locale),
                problem: "the default locale is not there".to_owned(),
            });
        }
        match folder {
            None => Ok(brand),
            Some(_) => brand.check().map(|()| brand),
        }
    }

    /// Renders every message in every language at its maximum length.
    fn check(&self) -> Result<(), BrandError> {
        self.engine
            .parsed()
            .map_err(|error| problem(LAYOUT_FILE, &error))?;
        let (name, app) = ("W".repeat(64), "W".repeat(40));
        let link = format!("https://{}?email={}", "w".repeat(200), "w".repeat(800));
        for (locale, texts) in &self.locales {
            texts
                .parsed()
                .map_err(|error| problem(&texts.file, &error))?;
            for source in Source::ALL {
                for full in [true, false] {
                    let content = Content {
                        app: if full { &app } else { "A" },
                        code: "{####}",
                        username: source.names_user().then_some("{username}"),
                        name: full.then_some(name.as_str()),
                        link: (full && source.has_link()).then_some(link.as_str()),
                    };
                    let line = line_of(&texts.json, source.key());
                    let file = format!("{}:{line}, {}", texts.file, source.key());
                    let parts = self
                        .render(locale, source, &content)
                        .map_err(|error| problem(&file, &error))?;
                    Message::checked(parts, &content).map_err(|text| problem(&file, &text))?;
                }
            }
        }
        Ok(())
    }

    /// The available languages.
    pub(crate) fn locales(&self) -> impl Iterator<Item = &str> {
        self.locales.keys().map(String::as_str)
    }

    /// The language for a user's preferences: a matching tag, otherwise its primary language,
    /// otherwise the default.
    pub(crate) fn locale(&self, wishes: &[Option<&str>]) -> &str {
        let known = |wish: &str| {
            let wish = wish.to_ascii_lowercase().replace('_', "-");
            let language = wish.split('-').next().unwrap_or_default().to_owned();
            [wish, language]
                .iter()
                .find_map(|tag| self.locales.get_key_value(tag))
                .map(|(locale, _)| locale.as_str())
        };
        let is_tag = |wish: &&str| wish.len() <= 35;
        wishes
            .iter()
            .copied()
            .flatten()
            .filter(is_tag)
            .find_map(known)
            .unwrap_or(&self.default_locale)
    }

    /// Renders the parts of a message.
    ///
    /// # Errors
    /// The template engine's error, or a missing text.
    pub(crate) fn render(
        &self,
        locale: &str,
        source: Source,
        content: &Content<'_>,
    ) -> Result<Parts, minijinja::Error> {
        let missing = || minijinja::Error::from(minijinja::ErrorKind::TemplateNotFound);
        let invalid = |_| minijinja::Error::from(minijinja::ErrorKind::SyntaxError);
        let engine = self.engine.parsed().map_err(invalid)?;
        let texts = self.locales.get(locale).ok_or_else(missing)?;
        let texts = texts.parsed().map_err(invalid)?;
        let message = texts.messages.get(source.key()).ok_or_else(missing)?;
        let (app, code) = (content.app, content.code);
        let (username, name) = (content.username, content.name);
        let words = context! { app, code, username, name };
        let say = |text: &str| engine.render_str(text, words.clone());
        let greeting = match content.name {
            Some(_) => &texts.greeting,
            None => &texts.neutral_greeting,
        };
        let (dir, start) = match texts.dir {
            Direction::Ltr => ("ltr", "left"),
            Direction::Rtl => ("rtl", "right"),
        };
        // For an attribute's value: its only special character is `&`.
        let link = content.link.map(|link| link.replace('&', "&amp;"));
        let page = context! {
            lang => locale,
            dir,
            start,
            app,
            heading => say(&message.heading)?,
            greeting => say(greeting)?,
            text => say(&message.text)?,
            link => link.map(Value::from_safe_string),
            button => say(&texts.button)?,
            or_code => say(&texts.or_code)?,
            username,
            code,
            note => say(&message.note)?,
        };
        Ok(Parts {
            html: engine.get_template(LAYOUT_FILE)?.render(page)?,
            subject: say(&message.subject)?,
            sms: say(&message.sms)?,
        })
    }
}

/// The line on which a JSON member begins.
fn line_of(json: &str, member: &str) -> usize {
    let name = format!("\"{member}\"");
    let before = json.lines().take_while(|line| !line.contains(&name));
    before.count() + 1
}

type Files = (Cow<'static, str>, Vec<(String, Cow<'static, str>)>);

fn shipped() -> Files {
    let locales = LOCALES
        .iter()
        .map(|(name, json)| ((*name).to_owned(), Cow::Borrowed(*json)))
        .collect();
    (Cow::Borrowed(LAYOUT), locales)
}

fn from_folder(folder: &Path) -> Result<Files, BrandError> {
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name))
            .map(Cow::Owned)
            .map_err(|error| problem(name, &error))
    };
    let entries = std::fs::read_dir(folder);
    let entries = entries.map_err(|error| problem(&folder.display().to_string(), &error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let locales = names
        .filter(|name| name.ends_with(".json"))
        .map(|name| Ok((name.trim_end_matches(".json").to_owned(), read(&name)?)))
        .collect::<Result<_, BrandError>>()?;
    Ok((read(LAYOUT_FILE)?, locales))
}

fn problem(file: &str, error: &impl std::fmt::Display) -> BrandError {
    BrandError {
        file: file.to_owned(),
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_brand_is_valid() {
        let brand = Brand::read(None, "en").unwrap();
        assert!(brand.locales.len() > 2);
        brand.check().unwrap();
    }
}
