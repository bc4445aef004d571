//! Reads the records of an export of any program: CSV with any usual separator, JSON lines, or a
//! JSON document.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

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
        // Without a mark, the half of a letter that is zero shows it.
        let is_wide = beginning.iter().take(64).any(|byte| *byte == 0);
        if beginning.starts_with(b"\xFF\xFE") || beginning.starts_with(b"\xFE\xFF") || is_wide {
            return Err(format!("{name} is UTF-16: save it as UTF-8"));
        }
        let first = beginning.iter().find(|byte| !byte.is_ascii_whitespace());
        let records: Box<dyn Iterator<Item = _>> = if matches!(first, Some(b'{' | b'[')) {
            Box::new(json(file, name))
        } else {
            let (separator, bytes) = match told_separator(beginning) {
                Some((separator, bytes)) => (separator, bytes),
                None => (separator(beginning), 0),
            };
            file.consume(bytes);
            Box::new(csv(file, separator, name)?)
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

/// The separator of a first line `sep=;`, which Excel reads, and that line's length.
fn told_separator(beginning: &[u8]) -> Option<(u8, usize)> {
    let rest = beginning.strip_prefix(b"sep=")?;
    let (separator, rest) = rest.split_first()?;
    let end = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => return None,
    };
    Some((*separator, b"sep=".len() + 1 + end))
}

/// The most frequent separator of the first line, outside of quotes.
fn separator(beginning: &[u8]) -> u8 {
    let first_line = beginning
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let unquoted = first_line.split(|byte| *byte == b'"').step_by(2);
    let unquoted: Vec<u8> = unquoted.flatten().copied().collect();
    let count = |separator: &u8| unquoted.iter().filter(|byte| *byte == separator).count();
    // The first one of equal counts.
    let best = SEPARATORS.iter().rev().max_by_key(|one| count(one));
    best.copied().unwrap_or(b',')
}

/// Counts the quotes that are read.
struct Quotes<R> {
    inner: R,
    count: Rc<Cell<usize>>,
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let read = buffer.iter().take(length);
        let quotes = read.filter(|byte| **byte == b'"').count();
        self.count.set(self.count.get() + quotes);
        Ok(length)
    }
}

/// A short row lacks its last fields; a long row cannot be distinguished from a shifted one, so it is unreadable. An
/// unclosed quote would turn all that follows into one field and hide it: an error.
fn csv<R: Read>(
    file: R,
    separator: u8,
    name: String,
) -> Result<impl Iterator<Item = Result<Option<Record>, String>>, String> {
    let count = Rc::new(Cell::new(0));
    let file = Quotes {
        inner: file,
        count: Rc::clone(&count),
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .from_reader(file);
    let header = reader.headers().cloned();
    let header = header.map_err(|_| format!("{name}: the header is not UTF-8"))?;
    let mut rows = reader.into_records();
    let mut last = (0, false);
    let mut ended = false;
    Ok(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let Some(row) = rows.next() else {
            ended = true;
            let (line, has_line_end) = last;
            let is_open = count.get() % 2 == 1 && has_line_end;
            return is_open.then(|| Err(format!("{name}: a quote on line {line} is never closed")));
        };
        let row = row.ok();
        if let Some(row) = &row {
            let line = row.position().map_or(0, csv::Position::line);
            last = (line, row.iter().any(|field| field.contains('\n')));
        }
        let row = row.filter(|row| row.len() <= header.len());
        Some(Ok(row.map(|row| {
            let fields = header.iter().zip(row.iter());
            let fields = fields.filter(|(_, value)| !value.is_empty());
            let fields = fields.map(|(name, value)| (name.trim().to_owned(), value.into()));
            fields.collect()
        })))
    }))
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
            (
                "quoted separators",
                b"\"last, first, middle\";username\n\"x, y\";a\nz;b\n",
            ),
            (
                "a line's end in a field",
                b"username,address\r\na,\"1 Street\r\nTown\"\r\nb,\"\"\"quoted\"\"\"\r\n",
            ),
            ("a mark in a field", b"username,size\na,5\" pipe\nb,x\n"),
            ("Excel", b"sep=;\r\nemail,old;username\r\nx;a\r\ny;b\r\n"),
            ("an old Mac", b"username,email\ra,x\rb,y\r"),
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
        let no_mark = names(b"u\0s\0e\0r\0n\0a\0m\0e\0\n\0a\0\n\0");
        assert_eq!(
            no_mark,
            Err("export is UTF-16: save it as UTF-8".to_owned())
        );
        let latin = names(b"username,stra\xDFe\na,x\n");
        assert_eq!(latin, Err("export: the header is not UTF-8".to_owned()));
        let open = names(b"username,email\na,x\nb,\"y\nc,z\n");
        let expected = "export: a quote on line 3 is never closed";
        assert_eq!(open, Err(expected.to_owned()));
        let deep = names(&[b"[".repeat(100_000), b"{\"username\":".repeat(100_000)].concat());
        assert_eq!(deep, Err("export: line 1 is not JSON".to_owned()));
        assert_eq!(names(b""), Ok(vec![]));
    }

    #[test]
    fn reads_lines_of_any_length() {
        let long = "x".repeat(3_000_000);
        let csv = format!("username,bio\na,{long}\nb,\"{long}\"\n");
        let json = format!("{{\"bio\":\"{long}\",\"username\":\"a\"}}\n{{\"username\":\"b\"}}\n");
        for export in [csv, json] {
            let expected = vec![Some("a".to_owned()), Some("b".to_owned())];
            assert_eq!(names(export.as_bytes()), Ok(expected));
        }
    }
}
