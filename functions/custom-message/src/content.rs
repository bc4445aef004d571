//! The variable parts of a message.

/// The variable parts of a message.
pub(crate) struct Content<'a> {
    pub(crate) app: &'a str,
    pub(crate) code: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) link: Option<&'a str>,
}
