//! What only Amazon API Gateway knows: method ARNs and routes, the IAM policy of an authorizer, headers, and the
//! requests and responses of the proxy integration.
//!
//! The crate does no I/O and knows no AWS SDK.

#![warn(missing_docs)]

pub mod bearer;
mod caller;
pub mod headers;
pub mod http;
mod iam_policy;
mod method_arn;
pub mod path;
pub mod routes;

pub use caller::Caller;
pub use iam_policy::{Effect, IamPolicy};
pub use method_arn::{ArnError, MethodArn};
