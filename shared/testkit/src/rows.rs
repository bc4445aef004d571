//! Tables of inputs, each with the decision that it must cause.
//!
//! `shared/auth/tests` passes them to the parsers and to the verifier and checks the reason; the
//! suite in `tests/it` passes them to the built authorizer and checks the response. This crate does
//! not know the types of `auth`, so a reason is the word that the decision log contains.

pub mod authorization;
pub mod claims;
pub mod headers;
pub mod keys;
pub mod providers;
pub mod segments;
pub mod times;

use crate::pool::Pool;
use crate::token::TokenBuilder;

/// The decision about a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Accepted, and the caller is a user.
    User,
    /// Accepted, and the caller is a client on its own behalf.
    Machine,
    /// Refused, for this reason.
    Refused(&'static str),
}

/// A token and the decision about it.
pub struct TokenRow {
    /// What is special about the token, for failure messages.
    pub name: &'static str,
    /// The token.
    pub token: String,
    /// The decision.
    pub expected: Expected,
}

/// Rows that must all be refused for the same reason.
pub(crate) fn refused(
    reason: &'static str,
    rows: impl IntoIterator<Item = (&'static str, String)>,
) -> Vec<TokenRow> {
    same(Expected::Refused(reason), rows)
}

/// Rows of users' tokens that must all be accepted.
pub(crate) fn accepted(rows: impl IntoIterator<Item = (&'static str, String)>) -> Vec<TokenRow> {
    same(Expected::User, rows)
}

fn same(
    expected: Expected,
    rows: impl IntoIterator<Item = (&'static str, String)>,
) -> Vec<TokenRow> {
    let row = |(name, token)| TokenRow {
        name,
        token,
        expected,
    };
    rows.into_iter().map(row).collect()
}

/// A valid access token of the pool under test.
pub(crate) fn valid() -> TokenBuilder<'static> {
    Pool::ours().access_token()
}

/// The JSON object `json` with this member before the others.
pub(crate) fn with_member(json: &str, member: &str) -> String {
    format!("{{{member},{}", &json[1..])
}
