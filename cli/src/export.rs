//! Reads the records of an export of any program: CSV with any usual separator, JSON lines, or a
//! JSON document.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

type Record = Map<String, Value>;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Separators of fields, the most usual first.
const SEPARATORS: [u8; 4] = *b",;\t|";
/// The member with the records, if the document is an object: Firebase's and Cognito's.
const MEMBERS: [&str; 2] = ["users", "Users"];

/// The records in order, with a progress bar. `None` is an unreadable record; later records are
/// still read. An error ends the export.
pub(crate) struct Records {
    records: Box<dyn Iterator<Item = Result<Option<Record>, String>>>,
}

impl Records {
    /// Detects CSV or JSON, and the separator of CSV, from the start of the file.
    ///
    /// # Errors
    /// A text: the file cannot be opened, or is UTF-16.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let style = ProgressStyle::with_template("{bar:40} {percent}% {msg} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(size).with_style(style);
        Self::read(BufReader::new(bar.wrap_read(file)), name)
    }

    fn read<R: Read + 'static>(mut file: BufReader<R>, name: String) -> Result<Self, String> {
        let failed = |error| format!("{name}: {error}");
        if file
            .fill_buf()
            .map_err(failed)?
            .starts_with(BYTE_ORDER_MARK)
        {
            file.consume(BYTE_ORDER_MARK.len());
        }
        let beginning = file.fill_buf().map_err(failed)?;
        if beginning.starts_with(b"\xFF\xFE") || beginning.starts_with(b"\xFE\xFF") {
            return Err(format!("{name} is UTF-16: save it as UTF-8"));
        }
        let first = beginning.iter().find(|byte| !byte.is_ascii_whitespace());
        let records: Box<dyn Iterator<Item = _>> = if matches!(first, Some(b'{' | b'[')) {
            Box::new(json(file, name))
        } else {
            let separator = separator(beginning);
            Box::new(csv(file, separator))
        };
        Ok(Self { records })
    }
}

impl Iterator for Records {
    type Item = Result<Option<Record>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.records.next()
    }
}

/// The most frequent separator of the first line.
fn separator(beginning: &[u8]) -> u8 {
    let first_line = beginning
        .split(|byte| *byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let count = |separator: &u8| first_line.iter().filter(|byte| *byte == separator).count();
    // The first one of equal counts.
    let best = SEPARATORS.iter().rev().max_by_key(|one| count(one));
    best.copied().unwrap_or(b',')
}

/// A short row lacks its last fields; a long row cannot be distinguished from a shifted one, so it
/// is unreadable.
fn csv<R: Read>(file: R, separator: u8) -> impl Iterator<Item = Result<Option<Record>, String>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .from_reader(file);
    let header = reader.headers().cloned().unwrap_or_default();
    reader.into_records().map(move |row| {
        let row = row.ok().filter(|row| row.len() <= header.len());
        Ok(row.map(|row| {
            let fields = header.iter().zip(row.iter());
            let fields = fields.filter(|(_, value)| !value.is_empty());
            let fields = fields.map(|(name, value)| (name.trim().to_owned(), value.into()));
            fields.collect()
        }))
    })
}

/// The objects of a stream of JSON values; the elements of an array, or of an object's `users`, are
/// records too.
fn json<R: Read>(file: R, name: String) -> impl Iterator<Item = Result<Option<Record>, String>> {
    let mut values = serde_json::Deserializer::from_reader(file).into_iter::<Value>();
    let mut waiting = VecDeque::new();
    let mut ended = false;
    std::iter::from_fn(move || {
        loop {
            if let Some(value) = waiting.pop_front() {
                return Some(Ok(object(value)));
            }
            if ended {
                return None;
            }
            match values.next()? {
                Ok(Value::Array(records)) => waiting.extend(records),
                Ok(Value::Object(mut object)) => match list(&mut object) {
                    Some(records) => waiting.extend(records),
                    None => waiting.push_back(Value::Object(object)),
                },
                Ok(other) => waiting.push_back(other),
                Err(error) => {
                    // The rest cannot be parsed.
                    ended = true;
                    let line = error.line();
                    return Some(Err(format!("{name}: line {line} is not JSON")));
                }
            }
        }
    })
}

fn list(object: &mut Record) -> Option<Vec<Value>> {
    let member = MEMBERS.into_iter().find(|member| {
        let records = object.get(*member).and_then(Value::as_array);
        records.is_some_and(|records| records.iter().all(Value::is_object))
    })?;
    object.get_mut(member)?.as_array_mut().map(std::mem::take)
}

fn object(mut value: Value) -> Option<Record> {
    value.as_object_mut().map(std::mem::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(export: &[u8]) -> Result<Vec<Option<String>>, String> {
        let file = BufReader::new(std::io::Cursor::new(export.to_vec()));
        Records::read(file, "export".to_owned())?
            .map(|record| {
                let name = |record: Record| Some(record.get("username")?.as_str()?.to_owned());
                record.map(|record| record.and_then(name))
            })
            .collect()
    }

    #[test]
    fn reads_the_usual_export_formats() {
        for (what, export) in [
            ("commas", &b"username,email\na,a@example.com\nb,\n"[..]),
            ("semicolons", b"username;email\na;a@example.com\nb;\n"),
            ("tabs", b"username\temail\na\ta@example.com\nb\t\n"),
            ("bars", b"email|username\nx|a\ny|b\n"),
            ("one column", b"username\na\nb\n"),
            ("Windows", b"username,email\r\na,x\r\nb,y\r\n"),
            ("byte order mark", b"\xEF\xBB\xBFusername,email\na,x\nb,y\n"),
            ("blank lines", b"\nusername,email\n\na,x\n\nb,y\n\n"),
            ("short rows", b"username,email\na\nb,y\n"),
            ("quotes", b"\"username\",\"email\"\n\"a\",\"x,y\"\n\"b\",\n"),
            ("a blank beside a name", b"email, username\nx,a\ny,b\n"),
            (
                "JSON lines",
                b"{\"username\":\"a\"}\n{\"username\":\"b\"}\n",
            ),
            (
                "a blank line",
                b"{\"username\":\"a\"}\n\n{\"username\":\"b\"}\n",
            ),
            (
                "marked JSON",
                b"\xEF\xBB\xBF{\"username\":\"a\"}\n{\"username\":\"b\"}",
            ),
            (
                "an array",
                b"[{\"username\":\"a\"},\n {\"username\":\"b\"}]",
            ),
            (
                "Firebase",
                b"{\"users\": [{\"username\":\"a\"}, {\"username\":\"b\"}]}",
            ),
            (
                "Cognito",
                b"{\"Users\": [{\"username\":\"a\"}, {\"username\":\"b\"}]}",
            ),
        ] {
            let expected = vec![Some("a".to_owned()), Some("b".to_owned())];
            assert_eq!(names(export), Ok(expected), "{what}");
        }
    }

    #[test]
    fn an_unreadable_record_does_not_hide_others() {
        for (what, export) in [
            ("a long row", &b"username,email\na,x,y\nb,y\n"[..]),
            ("no UTF-8", b"username,email\n\xFF,x\nb,y\n"),
            ("no object", b"[1, {\"username\":\"b\"}]"),
        ] {
            assert_eq!(
                names(export),
                Ok(vec![None, Some("b".to_owned())]),
                "{what}"
            );
        }
    }

    #[test]
    fn rejects_files_that_are_not_exports() {
        let cut = names(b"{\"username\":\"a\"}\n{\"username\":");
        assert_eq!(cut, Err("export: line 2 is not JSON".to_owned()));
        let wide = names(b"\xFF\xFEu\0s\0");
        assert_eq!(wide, Err("export is UTF-16: save it as UTF-8".to_owned()));
        assert_eq!(names(b""), Ok(vec![]));
    }
}
