//! Divides the bytes of an input into fields.

use std::borrow::Cow;

/// Between two fields: a byte that UTF-8 never has.
const SEPARATOR: u8 = 0xFF;

/// Between two operations of a program: another byte that UTF-8 never has.
const OPERATION: u8 = 0xFE;

/// The fields of an input. A field that is missing is empty.
pub(crate) struct Input<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: Some(bytes) }
    }

    /// The first byte of the rest as a number below `bound`: `0` to `9` are the first ten.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let Some((first, rest)) = self.rest.and_then(<[u8]>::split_first) else {
            return 0;
        };
        if *first == SEPARATOR {
            return 0;
        }
        self.rest = Some(rest);
        usize::from(first.wrapping_sub(b'0')) % bound
    }

    /// One of `choices`, by the first byte of the rest.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// The next field.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let Some(rest) = self.rest else {
            return &[];
        };
        let mut parts = rest.splitn(2, |byte| *byte == SEPARATOR);
        let field = parts.next().unwrap_or_default();
        self.rest = parts.next();
        field
    }

    /// The next field as a program for [`crate::edit::edited`], one of several in an input.
    pub(crate) fn program(&mut self) -> Vec<u8> {
        let of = |byte: &u8| if *byte == OPERATION { SEPARATOR } else { *byte };
        self.bytes().iter().map(of).collect()
    }

    /// The next field as text; what is not UTF-8 is replaced.
    pub(crate) fn text(&mut self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// The lines of the next field.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let text = self.text();
        let lines = text.split('\n').filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// Whether there is another field.
    pub(crate) fn has_more(&self) -> bool {
        self.rest.is_some_and(|rest| !rest.is_empty())
    }

    /// All that is left, separators included.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest.unwrap_or_default()
    }
}
