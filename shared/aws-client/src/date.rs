//! The time of a service's clock, for programs whose own clock may be wrong: an operator's.

use std::sync::{Arc, Mutex};

use auth::UnixSeconds;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};

/// Keeps the `Date` header of a call's response ([RFC 9110 section 6.6.1]), of a refusal too:
/// `client.get_secret_value().customize().interceptor(date.clone())`.
///
/// [RFC 9110 section 6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
#[derive(Debug, Clone, Default)]
pub struct ServerDate(Arc<Mutex<Option<UnixSeconds>>>);

impl ServerDate {
    /// The time of the last response, to the second; `None` without a response, or without a time in it.
    #[must_use]
    pub fn seen(&self) -> Option<UnixSeconds> {
        self.0.lock().ok().and_then(|seen| *seen)
    }
}

impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(seconds);
        if let Ok(mut seen) = self.0.lock() {
            *seen = date;
        }
        Ok(())
    }
}

fn seconds(date: &str) -> Option<UnixSeconds> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    u64::try_from(date.secs()).ok().map(UnixSeconds)
}
