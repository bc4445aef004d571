//! Changes a JSON document by a small program: plain mutations of its text seldom leave it well-formed.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::input::Input;

/// The most operations of one program.
const MAX_OPERATIONS: usize = 24;
/// The most members and elements of a changed document.
const MAX_NODES: usize = 4_096;

/// Values that have broken other parsers.
const ODD: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "1e2",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\u202e\"",
    "\"\u{1f600}\"",
    "\"a\\r\\nb: c\"",
    "\"%2e%2e\"",
    "\"<script>\"",
    "\"{####}\"",
    "[]",
    "{}",
    "[null]",
    "[\"a\",\"a\"]",
];

/// A JSON value whose objects may have two members of one name, and whose scalars are text that need not be JSON.
#[derive(Clone)]
enum Tree {
    Scalar(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// The text of `document` after the changes of `program`: operations in fields, each a byte for the kind, two for the
/// place, and an argument.
pub(crate) fn edited(document: &Value, program: &[u8]) -> String {
    let mut tree = Tree::of(document);
    let mut input = Input::new(program);
    let mut count = 0;
    while input.has_more() && count < MAX_OPERATIONS && tree.nodes() < MAX_NODES {
        count += 1;
        let kind = input.below(12);
        let place = input.below(64) * 64 + input.below(64);
        let argument = input.text();
        let at = place % tree.nodes();
        let copy = tree.get(argument.len() * 7 % tree.nodes()).cloned();
        let Some(node) = tree.get_mut(at) else {
            continue;
        };
        match kind {
            0 => *node = Tree::text(&argument),
            1 => *node = Tree::raw(&argument),
            2 => *node = Tree::Scalar(ODD[argument.len() % ODD.len()].to_owned()),
            3 => node.remove(argument.len()),
            4 => node.repeat(argument.len()),
            5 => node.rename(&argument),
            6 => *node = Tree::List(vec![node.clone()]),
            7 => node.add("added", Tree::text(&argument)),
            8 => node.add(&argument, Tree::Scalar(ODD[at % ODD.len()].to_owned())),
            9 => *node = copy.unwrap_or_else(|| Tree::raw("{}")),
            10 => node.append(&argument),
            _ => {
                let depth = argument.len() * argument.len() % 200;
                let (open, close) = ("[".repeat(depth), "]".repeat(depth));
                *node = Tree::Scalar(format!("{open}{close}"));
                if depth == 0 {
                    *node = Tree::raw("0");
                }
            }
        }
    }
    let mut text = String::new();
    tree.print(&mut text);
    text
}

impl Tree {
    fn of(value: &Value) -> Self {
        match value {
            Value::Array(list) => Self::List(list.iter().map(Self::of).collect()),
            Value::Object(members) => {
                let members = members.iter();
                Self::Object(
                    members
                        .map(|(name, value)| (name.clone(), Self::of(value)))
                        .collect(),
                )
            }
            scalar => Self::Scalar(scalar.to_string()),
        }
    }

    fn text(text: &str) -> Self {
        Self::Scalar(Value::from(text).to_string())
    }

    /// `json` if it is JSON, otherwise a string.
    fn raw(json: &str) -> Self {
        match serde_json::from_str::<&RawValue>(json) {
            Ok(raw) => Self::Scalar(raw.get().to_owned()),
            Err(_) => Self::text(json),
        }
    }

    /// The number of values in the tree.
    fn nodes(&self) -> usize {
        1 + match self {
            Self::Scalar(_) => 0,
            Self::List(list) => list.iter().map(Self::nodes).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.nodes()).sum(),
        }
    }

    /// The value with this number, counted from the root.
    fn get(&self, mut at: usize) -> Option<&Self> {
        if at == 0 {
            return Some(self);
        }
        at -= 1;
        for child in self.children() {
            let nodes = child.nodes();
            if at < nodes {
                return child.get(at);
            }
            at -= nodes;
        }
        None
    }

    fn children(&self) -> Vec<&Self> {
        match self {
            Self::Scalar(_) => Vec::new(),
            Self::List(list) => list.iter().collect(),
            Self::Object(members) => members.iter().map(|(_, value)| value).collect(),
        }
    }

    fn get_mut(&mut self, mut at: usize) -> Option<&mut Self> {
        if at == 0 {
            return Some(self);
        }
        at -= 1;
        let children: Vec<&mut Self> = match self {
            Self::Scalar(_) => Vec::new(),
            Self::List(list) => list.iter_mut().collect(),
            Self::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
        };
        for child in children {
            let nodes = child.nodes();
            if at < nodes {
                return child.get_mut(at);
            }
            at -= nodes;
        }
        None
    }

    fn remove(&mut self, at: usize) {
        match self {
            Self::List(list) if !list.is_empty() => drop(list.remove(at % list.len())),
            Self::Object(members) if !members.is_empty() => {
                drop(members.remove(at % members.len()));
            }
            other => *other = Self::raw("null"),
        }
    }

    /// Appends an element or a member again.
    fn repeat(&mut self, at: usize) {
        match self {
            Self::List(list) if !list.is_empty() => list.push(list[at % list.len()].clone()),
            Self::Object(members) if !members.is_empty() => {
                members.push(members[at % members.len()].clone());
            }
            other => *other = Self::raw("[]"),
        }
    }

    fn rename(&mut self, name: &str) {
        if let Self::Object(members) = self
            && !members.is_empty()
        {
            let at = name.len() % members.len();
            members[at].0 = name.to_owned();
        }
    }

    fn add(&mut self, name: &str, value: Self) {
        match self {
            Self::Scalar(_) => *self = value,
            Self::List(list) => list.push(value),
            Self::Object(members) => members.push((name.to_owned(), value)),
        }
    }

    /// Appends to a string.
    fn append(&mut self, text: &str) {
        if let Self::Scalar(json) = self
            && let Ok(Value::String(known)) = serde_json::from_str(json)
        {
            *self = Self::text(&(known + text));
        }
    }

    fn print(&self, text: &mut String) {
        match self {
            Self::Scalar(scalar) => text.push_str(scalar),
            Self::List(list) => {
                text.push('[');
                for (at, one) in list.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    one.print(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    text.push_str(&Value::from(name.as_str()).to_string());
                    text.push(':');
                    value.print(text);
                }
                text.push('}');
            }
        }
    }
}
