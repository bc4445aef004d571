#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod challenge;
mod coalesce;
mod credential;
mod decision;
mod gate;
mod layer;
mod request;
mod session;

pub use challenge::Challenges;
pub use coalesce::{Coalesced, CoalescedSessions};
pub use credential::{ApiKeyPlace, Places, Presented};
pub use decision::{Caller, Decision, Refusal, Trace};
pub use gate::Gate;
pub use layer::{AuthLayer, AuthService};
pub use request::Request;
pub use session::SessionTokens;
