//! The events that API Gateway sends to a Lambda authorizer, read tolerantly.
//!
//! Own types, because the field's crate refuses events that API Gateway does send: a header with
//! a line break, a `null` among the values. Here a member of another type than expected counts as
//! absent, and what is absent refuses.
//! Source: AWS, "Input to an API Gateway Lambda authorizer".

use std::borrow::Cow;

use auth::headers::{RawMap, single_value, text};
use auth::{Reason, bearer};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A `TOKEN` or `REQUEST` event of a REST API.
pub struct Event<'a> {
    fields: Fields<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    authorization_token: Option<&'a RawValue>,
    #[serde(borrow)]
    method_arn: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_headers: Option<&'a RawValue>,
    #[serde(borrow)]
    query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_query_string_parameters: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Reads an event. What is no event at all has no member, and is refused for that later.
    #[must_use]
    pub fn read(json: &'a RawValue) -> Self {
        Self {
            fields: serde_json::from_str(json.get()).unwrap_or_default(),
        }
    }

    /// The bearer token: of `authorizationToken` in a `TOKEN` event, of the `Authorization`
    /// header in a `REQUEST` event. An event of no known type is taken by its shape.
    ///
    /// # Errors
    /// None, two, or one that is not a bearer token.
    pub fn bearer_token(&self) -> Result<Cow<'a, str>, Reason> {
        let fields = &self.fields;
        let token_event = || {
            fields
                .authorization_token
                .and_then(text)
                .ok_or(Reason::MissingToken)
        };
        let request_event = || {
            self.check_query()?;
            single_value(
                &RawMap::of(fields.headers),
                &RawMap::of(fields.multi_value_headers),
                "authorization",
            )
        };
        let authorization = match fields.r#type.and_then(text).as_deref() {
            Some("TOKEN") => token_event()?,
            Some("REQUEST") => request_event()?,
            _ => match (token_event(), request_event()) {
                (Ok(one), Ok(other)) if one != other => return Err(Reason::AmbiguousToken),
                (Ok(one), Ok(_) | Err(Reason::MissingToken)) => one,
                (Err(_), other) => other?,
                (Ok(_), Err(reason)) => return Err(reason),
            },
        };
        token_in(authorization)
    }

    /// A token in the query as well would be a second credential (RFC 6750 section 2).
    fn check_query(&self) -> Result<(), Reason> {
        let fields = &self.fields;
        let maps = [
            fields.query_string_parameters,
            fields.multi_value_query_string_parameters,
        ];
        let named = |map: Option<&'a RawValue>| RawMap::of(map).values("access_token").count();
        if maps.into_iter().map(named).sum::<usize>() == 0 {
            Ok(())
        } else {
            Err(Reason::AmbiguousToken)
        }
    }

    /// The ARN of the method that the client called.
    #[must_use]
    pub fn method_arn(&self) -> Cow<'a, str> {
        self.fields.method_arn.and_then(text).unwrap_or_default()
    }

    /// The route as the API defines it, such as `/users/{id}`; `TOKEN` events don't have it.
    #[must_use]
    pub fn route(&self) -> Option<Cow<'a, str>> {
        self.fields.resource.and_then(text)
    }
}

fn token_in(authorization: Cow<'_, str>) -> Result<Cow<'_, str>, Reason> {
    match authorization {
        Cow::Borrowed(value) => bearer::token_of(value).map(Cow::Borrowed),
        Cow::Owned(value) => bearer::token_of(&value).map(|token| Cow::Owned(token.to_owned())),
    }
}
