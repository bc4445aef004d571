//! The common parts of every function: a runtime loop that survives panics, fixed error texts, JSON
//! log lines, the clock, Cognito's triggers and batches of events.

#![warn(missing_docs)]

pub mod audit;
mod batch;
pub mod clock;
pub mod decision_log;
mod events;
mod invocation;
pub mod log;
#[cfg(feature = "otlp")]
mod otlp;
mod run;
pub mod sqs;
mod trigger;
mod uses;

pub use audit::{Act, Audit};
pub use batch::BatchResponse;
pub use decision_log::{DecisionLog, LogRules};
pub use run::{Handler, InvocationError, VARS, prepare, run};
pub use trigger::{Members, TriggerEvent, UserAttributes};
