//! The time of a service's clock, for programs whose own clock may be wrong.

use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

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
pub struct ServerDate(Arc<Mutex<Seen>>);

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    date: Option<UnixSeconds>,
    own: Option<UnixSeconds>,
}

impl ServerDate {
    /// The time of the last response, to the second; `None` without a response, or without a time in it.
    #[must_use]
    pub fn seen(&self) -> Option<UnixSeconds> {
        self.0.lock().ok().and_then(|seen| seen.date)
    }

    /// Seconds by which the service's clock was ahead of the client's at the last response; `None` if it was not, or is
    /// not known. The response has travelled meanwhile, so the true difference may be larger.
    #[must_use]
    pub fn ahead(&self) -> Option<u64> {
        let Seen { date, own } = *self.0.lock().ok()?;
        date?.since(own?)
    }
}

impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(seconds);
        let own = components.time_source().and_then(|source| {
            let since_epoch = source.now().duration_since(UNIX_EPOCH).ok()?;
            Some(UnixSeconds(since_epoch.as_secs()))
        });
        if let Ok(mut seen) = self.0.lock() {
            *seen = Seen { date, own };
        }
        Ok(())
    }
}

fn seconds(date: &str) -> Option<UnixSeconds> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    u64::try_from(date.secs()).ok().map(UnixSeconds)
}
