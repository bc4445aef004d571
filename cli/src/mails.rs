//! `gatehouse mails`: renders every email in every language into a folder, with an index page.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use custom_message::{Config, Sample, samples};

/// The target folder. The brand is that of custom-message's own environment variables.
#[derive(Args)]
pub(crate) struct Mails {
    /// The folder; it is created if it does not exist.
    folder: PathBuf,
}

impl Mails {
    /// Renders the emails.
    ///
    /// # Errors
    /// A text about the configuration, a template or the folder.
    pub(crate) fn run(self) -> Result<String, String> {
        let lookup = |name: &str| {
            let unused = || (name == "APP_NAME").then(|| "Example".to_owned());
            env_config::process(name).or_else(unused)
        };
        let config = Config::from_lookup(&lookup).map_err(|error| error.0.join("\n"))?;
        let in_words = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        fs::create_dir_all(&self.folder).map_err(in_words)?;
        let samples = samples(&config);
        for sample in &samples {
            let file = self.folder.join(file_name(sample));
            fs::write(file, &sample.mail).map_err(in_words)?;
        }
        let index = self.folder.join("index.html");
        fs::write(&index, list(&samples)).map_err(in_words)?;
        Ok(index.display().to_string())
    }
}

fn file_name(sample: &Sample) -> String {
    format!("{}.{}.html", sample.source, sample.locale)
}

fn list(samples: &[Sample]) -> String {
    let mut page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Mails</title>\
         <style>body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\
         td,th{padding:.25rem .75rem .25rem 0;text-align:start;vertical-align:top}</style>\
         <h1>Mails</h1><table><tr><th>Occasion</th><th>Language</th><th>Subject</th>\
         <th>Text message</th></tr>\n"
        .to_owned();
    for sample in samples {
        let (source, locale) = (sample.source, &sample.locale);
        let (subject, sms) = (escaped(&sample.subject), escaped(&sample.sms));
        let file = file_name(sample);
        let row = format!(
            "<tr><td><a href=\"{file}\">{source}</a></td><td>{locale}</td>\
             <td dir=\"auto\">{subject}</td><td dir=\"auto\">{sms}</td></tr>"
        );
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{row}");
    }
    page + "</table></html>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
