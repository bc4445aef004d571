//! The API method and the route that a client called.

use std::borrow::Cow;

use api_gateway::{ArnError, MethodArn, path};

use crate::event::{Event, Kind};

/// The API method that the client called.
pub struct Method<'e> {
    /// The parsed ARN; `None` for AppSync.
    pub arn: Option<MethodArn<'e>>,
    /// `GET`, or `$connect`.
    pub verb: Cow<'e, str>,
    /// The route's template, if the event contains it.
    pub template: Option<Cow<'e, str>>,
    /// The path, if Cedar policies need it.
    pub path: Path,
}

/// The client's path.
#[derive(Debug, PartialEq, Eq)]
pub enum Path {
    /// The template suffices, or the event has no path.
    Unasked,
    /// The normalized path.
    Plain(String),
    /// The path is ambiguous.
    Unclear,
}

impl Method<'_> {
    /// The route's template if the event contains it, otherwise the path; for a WebSocket, the
    /// verb.
    #[must_use]
    pub fn route(&self) -> &str {
        match (&self.template, &self.path) {
            (Some(template), _) => template,
            (None, Path::Plain(path)) => path,
            (None, Path::Unasked | Path::Unclear) => &self.verb,
        }
    }
}

impl<'a> Event<'a> {
    /// The method that the client called. A policy that names a route must apply to every request
    /// to it: without a template, or with one that does not fix the path, the path is used too.
    ///
    /// # Errors
    /// [`ArnError`] if the event names no valid method.
    pub fn method<'e>(&self, method_arn: &'e str) -> Result<Method<'e>, ArnError>
    where
        'a: 'e,
    {
        if self.kind() == Kind::AppSync {
            return Ok(Method {
                arn: None,
                verb: Cow::Borrowed("POST"),
                template: Some(Cow::Borrowed("/graphql")),
                path: Path::Unasked,
            });
        }
        let arn = MethodArn::parse(method_arn)?;
        let template: Option<Cow<'e, str>> = self.template().filter(|route| route.starts_with('/'));
        let is_open = template.as_deref().is_none_or(path::is_open);
        let path = match arn.untrusted_path().filter(|_| is_open) {
            Some(path) => path::normalize_path(path).map_or(Path::Unclear, Path::Plain),
            None => Path::Unasked,
        };
        Ok(Method {
            verb: Cow::Borrowed(arn.verb()),
            arn: Some(arn),
            template,
            path,
        })
    }
}
