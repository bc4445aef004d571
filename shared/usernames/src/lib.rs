//! User names and e-mail addresses: which are accepted, how they are compared, and which identity provider is
//! authoritative for an address.

#![warn(missing_docs)]

mod address;
mod email;
mod normal;
mod providers;
mod spelling;
pub mod vars;

pub use address::*;
pub use email::is_email;
pub use normal::normalize;
pub use providers::Providers;
pub use spelling::spellings;
