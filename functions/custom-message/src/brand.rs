//! A brand: one layout, and its texts in each language. The function does not start with a brand
//! that is incomplete or would violate Cognito's rules.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde::Deserialize;

use crate::content::Content;
use crate::message::{Message, Parts};
use crate::source::Source;

include!(concat!(env!("OUT_DIR"), "/compiled_in.rs"));

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

/// Validated templates.
pub(crate) struct Brand {
    engine: Environment<'static>,
    locales: BTreeMap<String, Texts>,
    default_locale: String,
}

impl Brand {
    /// Reads the brand in `folder` (`layout.html` and a `<locale>.json` per language), or the
    /// shipped one.
    ///
    /// # Errors
    /// The first problem, with its file.
    pub(crate) fn read(folder: Option<&str>, default_locale: &str) -> Result<Self, BrandError> {
        let (layout, locales) = match folder {
            None => {
                let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
                (LAYOUT.to_owned(), LOCALES.iter().map(owned).collect())
            }
            Some(folder) => from_folder(Path::new(folder))?,
        };
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        engine.set_auto_escape_callback(|name| {
            if name == "layout.html" {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        engine
            .add_template_owned("layout.html", layout)
            .map_err(|error| problem("layout.html", &error))?;
        let files: BTreeMap<String, String> = locales
            .iter()
            .map(|(locale, text)| (locale.to_ascii_lowercase(), text.clone()))
            .collect();
        let locales = locales
            .into_iter()
            .map(|(locale, text)| {
                let file = format!("{locale}.json");
                let texts = serde_json::from_str(&text).map_err(|error| problem(&file, &error))?;
                Ok((locale.to_ascii_lowercase(), texts))
            })
            .collect::<Result<_, BrandError>>()?;
        let brand = Self {
            engine,
            locales,
            default_locale: default_locale.to_ascii_lowercase(),
        };
        brand.check(&files).map(|()| brand)
    }

    /// Renders every message in every language at its maximum length. `files` holds the JSON texts,
    /// for the line numbers of problems.
    fn check(&self, files: &BTreeMap<String, String>) -> Result<(), BrandError> {
        let wrong = |file: &str, problem: String| BrandError {
            file: file.to_owned(),
            problem,
        };
        if !self.locales.contains_key(&self.default_locale) {
            let file = format!("{}.json", self.default_locale);
            return Err(wrong(&file, "the default locale is not there".to_owned()));
        }
        let (name, app) = ("W".repeat(64), "W".repeat(40));
        let link = format!("https://{}?email={}", "w".repeat(200), "w".repeat(800));
        for locale in self.locales.keys() {
            for source in Source::ALL {
                for full in [true, false] {
                    let content = Content {
                        app: if full { &app } else { "A" },
                        code: "{####}",
                        username: source.names_user().then_some("{username}"),
                        name: full.then_some(name.as_str()),
                        link: (full && source.has_link()).then_some(link.as_str()),
                    };
                    let text = files.get(locale).map_or("", String::as_str);
                    let line = line_of(text, source.key());
                    let file = format!("{locale}.json:{line}, {}", source.key());
                    let parts = self
                        .render(locale, source, &content)
                        .map_err(|error| problem(&file, &error))?;
                    Message::checked(parts, &content)
                        .map_err(|text| wrong(&file, text.to_owned()))?;
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
        let texts = self.locales.get(locale).ok_or_else(missing)?;
        let message = texts.messages.get(source.key()).ok_or_else(missing)?;
        let (app, code) = (content.app, content.code);
        let (username, name) = (content.username, content.name);
        let words = context! { app, code, username, name };
        let say = |text: &str| self.engine.render_str(text, words.clone());
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
            html: self.engine.get_template("layout.html")?.render(page)?,
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

type Files = (String, Vec<(String, String)>);

fn from_folder(folder: &Path) -> Result<Files, BrandError> {
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).map_err(|error| problem(name, &error))
    };
    let entries = std::fs::read_dir(folder);
    let entries = entries.map_err(|error| problem(&folder.display().to_string(), &error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let locales = names
        .filter(|name| name.ends_with(".json"))
        .map(|name| Ok((name.trim_end_matches(".json").to_owned(), read(&name)?)))
        .collect::<Result<_, BrandError>>()?;
    Ok((read("layout.html")?, locales))
}

fn problem(file: &str, error: &impl std::fmt::Display) -> BrandError {
    BrandError {
        file: file.to_owned(),
        problem: error.to_string(),
    }
}
