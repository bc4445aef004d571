//! The page of Cognito's hosted UI that deletes its own cookie.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Cognito's hosted UI.
#[derive(Clone, Debug)]
pub struct HostedUi {
    /// `https://<domain>`.
    pub url: String,
    /// One of the app client's `LogoutURLs`.
    pub redirect_uri: String,
}

impl HostedUi {
    /// The page that deletes the hosted UI's cookie, which only the hosted UI can do.
    pub(crate) fn logout_url(&self, client_id: &str) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        format!(
            "{}/logout?client_id={}&logout_uri={}",
            self.url,
            encode(client_id),
            encode(&self.redirect_uri)
        )
    }
}
