//! What a refused request is told: the status and the challenge.

use auth::DenyReason;
use http::StatusCode;
use http::header::HeaderValue;

use crate::decision::{Decision, Refusal};

/// The values of `WWW-Authenticate` ([RFC 6750] section 3, [RFC 9728] section 5.1), composed once.
///
/// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
/// [RFC 9728]: https://www.rfc-editor.org/rfc/rfc9728
#[derive(Clone, Debug)]
pub struct Challenges {
    /// Without credentials: no error code.
    missing: HeaderValue,
    invalid: HeaderValue,
    insufficient: HeaderValue,
}

impl Default for Challenges {
    /// Challenges that name no metadata.
    fn default() -> Self {
        Self {
            missing: HeaderValue::from_static("Bearer"),
            invalid: HeaderValue::from_static("Bearer error=\"invalid_token\""),
            insufficient: HeaderValue::from_static("Bearer error=\"insufficient_scope\""),
        }
    }
}

impl Challenges {
    /// Challenges that name the metadata of the protected resource, if there is such an address.
    ///
    /// `None` if the address cannot be in a header.
    #[must_use]
    pub fn new(resource_metadata: Option<&str>) -> Option<Self> {
        let Some(url) = resource_metadata else {
            return Some(Self::default());
        };
        if url.contains(['"', '\\']) {
            return None;
        }
        let challenge = |error: &str| {
            let text = format!("Bearer {error}resource_metadata=\"{url}\"");
            HeaderValue::from_str(&text).ok()
        };
        Some(Self {
            missing: challenge("")?,
            invalid: challenge("error=\"invalid_token\", ")?,
            insufficient: challenge("error=\"insufficient_scope\", ")?,
        })
    }

    /// The challenge of a request whose caller is not identified; `None` if a dependency failed.
    #[must_use]
    pub fn of_refusal(&self, refusal: &Refusal) -> Option<&HeaderValue> {
        match refusal {
            Refusal::Unauthorized(DenyReason::MissingToken) => Some(&self.missing),
            Refusal::Unauthorized(_) | Refusal::Revoked(..) => Some(&self.invalid),
            Refusal::Unavailable(_) | Refusal::OutOfTime => None,
        }
    }

    /// The challenge of a denied request. Only a policy's decision is about what the caller may do: others have none.
    #[must_use]
    pub fn of_denied(&self, denied: &Decision) -> Option<&HeaderValue> {
        denied.reason.is_none().then_some(&self.insufficient)
    }

    /// The challenge of a caller whom a policy denies.
    #[must_use]
    pub fn insufficient_scope(&self) -> &HeaderValue {
        &self.insufficient
    }
}

impl Refusal {
    /// The status of the response. A 503 has `Retry-After`.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) | Self::Revoked(..) => StatusCode::UNAUTHORIZED,
            Self::Unavailable(_) | Self::OutOfTime => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
