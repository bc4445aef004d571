#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod coalesce;
mod credential;
mod decision;
mod gate;
mod layer;
mod request;
mod session;

pub use coalesce::Coalesced;
pub use credential::{ApiKeyPlace, Places, Presented};
pub use decision::{Caller, Decision, Refusal, Trace};
pub use gate::Gate;
pub use layer::{AuthLayer, AuthService};
pub use request::Request;
pub use session::SessionTokens;
