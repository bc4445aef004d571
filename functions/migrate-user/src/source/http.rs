//! An old sign-in endpoint. It receives the name and, at sign-in, the password, in a request signed with a
//! shared key, and returns the user's record. docs/migration.md describes the protocol.

use std::time::Duration;

use auth::{Cause, Dependency, Secret, Unavailable};
use aws_client::in_span;
use aws_lc_rs::hmac;
use bytes::Bytes;
use hex::encode as hex;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use runtime::clock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LegacySource, MAX_USERS, SourceError};
use crate::rules::Rules;
use crate::user::{Credential, LegacyUser};
use usernames::normalize;

const LIMIT: Duration = Duration::from_secs(2);
const POOL_IDLE: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: usize = 64 * 1024;

pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    key: hmac::Key,
}

#[derive(Serialize)]
struct Question<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

/// One record, or several of one name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answers {
    Several { users: Vec<Map<String, Value>> },
    One(Map<String, Value>),
}

impl Http {
    pub(crate) fn new(url: Uri, secret: Secret) -> Result<Self, Unavailable> {
        let roots = HttpsConnectorBuilder::new().with_native_roots();
        let connector = roots
            .map_err(|_| Dependency::Legacy.unavailable(Cause::Other))?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            client,
            url,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()),
        })
    }

    async fn ask(&self, question: &Question<'_>) -> Result<(StatusCode, Bytes), SourceError> {
        let asking = self.ask_once(question);
        in_span(Dependency::Legacy, "POST", asking, |error| error.cause()).await
    }

    /// Status and body. Redirects are not followed.
    async fn ask_once(&self, question: &Question<'_>) -> Result<(StatusCode, Bytes), SourceError> {
        let body = serde_json::to_vec(question);
        let body = body.map_err(|_| SourceError::Unusable(Cause::Other))?;
        let timestamp = clock::unix_seconds().to_string();
        let mut signing = hmac::Context::with_key(&self.key);
        signing.update(timestamp.as_bytes());
        signing.update(b".");
        signing.update(&body);
        let signature = hex(signing.sign().as_ref());
        let request = Request::post(self.url.clone())
            .header("content-type", "application/json")
            .header("x-gatehouse-timestamp", timestamp)
            .header("x-gatehouse-signature", signature)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| SourceError::Unusable(Cause::Other))?;
        let response = self.client.request(request).await;
        let response = response.map_err(|_| SourceError::Down(Cause::Connection))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        match body.collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            // One user's record does not suspend the calls for the others. Of other statuses, the body has no meaning.
            Err(error) if error.is::<LengthLimitError>() => match status {
                StatusCode::OK => Err(SourceError::UNREADABLE),
                _ => Ok((status, Bytes::new())),
            },
            Err(_) => Err(SourceError::Down(Cause::Connection)),
        }
    }
}

impl LegacySource for Http {
    async fn find(
        &self,
        typed: &str,
        password: Option<&Secret>,
        rules: &Rules,
    ) -> Result<Vec<LegacyUser>, SourceError> {
        let question = Question {
            username: &normalize(typed, rules.case_sensitive),
            password: password.map(Secret::expose),
        };
        // No retry: an endpoint that counts wrong passwords must not count one twice.
        let asked = tokio::time::timeout(LIMIT, self.ask(&question)).await;
        let (status, body) = asked.unwrap_or(Err(SourceError::Down(Cause::Timeout)))?;
        match status.as_u16() {
            200 => {}
            404 => return Ok(Vec::new()),
            // Status codes that concern one user: locked, barred, too many attempts, an invalid name.
            400 | 401 | 402 | 403 | 409 | 410 | 422 | 423 | 429 | 451 => {
                return Err(SourceError::Refused);
            }
            status @ (408 | 500..) => return Err(SourceError::Down(Cause::of_status(status))),
            status => return Err(SourceError::Unusable(Cause::of_status(status))),
        }
        let answer: Answers = serde_json::from_slice(&body).map_err(|_| SourceError::UNREADABLE)?;
        let records = match answer {
            Answers::Several { users } => users,
            Answers::One(record) => vec![record],
        };
        if records.len() > MAX_USERS {
            return Err(SourceError::TooMany);
        }
        let users = records.into_iter().map(|record| {
            let mut user =
                LegacyUser::from_record(&record, rules).ok_or(SourceError::UNREADABLE)?;
            // A record without `password_matches` does not confirm the password.
            if matches!(user.credential, Credential::None) {
                user.credential = Credential::Checked(false);
            }
            Ok(user)
        });
        users.collect()
    }
}
