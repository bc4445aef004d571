//! From a request to its response: the route, what every route checks, the log line, and CORS.

use std::pin::Pin;
use std::time::Instant;

use api_gateway::http::{Request, RequestError, Response, Sender};
use auth::Cause;
use runtime::log::{self, Level};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::outcome::ApiError;
use crate::route::Route;
use crate::{AuthApi, times};

type Verb<'a> = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send + 'a>>;

const FORM: &str = "application/x-www-form-urlencoded";

impl AuthApi {
    pub(crate) async fn answer_in_time(&self, event: &RawValue, request_id: &str) -> Response {
        let began = Instant::now();
        let request = Request::read(event);
        let result = self.answer(&request).await;
        let (level, outcome) = match &result {
            Ok(response) if response.status() >= 500 => (Level::Error, "failed".to_owned()),
            Ok(_) => (Level::Info, "done".to_owned()),
            Err(problem) if problem.status() >= 500 => (Level::Error, problem.to_string()),
            Err(problem) => (Level::Warn, problem.to_string()),
        };
        if level <= self.config.log_level {
            let outcome = log::Outcome {
                word: &outcome,
                cause: result.as_ref().err().and_then(|problem| Cause::of(problem)),
            };
            log::request(level, "auth api", outcome, request_id, began);
        }
        let response =
            result.unwrap_or_else(|problem| problem.response(&self.config.password_policy));
        times::leave(self.config.refusal_grid).await;
        self.for_browsers(&request, response).in_answer_to(&request)
    }

    async fn answer(&self, request: &Request<'_>) -> Result<Response, ApiError> {
        let route = Route::try_from((&*request.method(), &*request.target()))?;
        if route.changes_something() {
            self.check_sender_and_type(route, request)?;
        }
        self.verb(route, request).await
    }

    /// What the route does, as a future on the heap: otherwise every request would copy one as large as the
    /// largest of them.
    fn verb<'a>(&'a self, route: Route, request: &'a Request<'_>) -> Verb<'a> {
        match route {
            Route::ConfirmPage => Box::pin(async { self.pages.confirm(request) }),
            Route::Account => Box::pin(async { self.me(&self.signed_in(request)?).await }),
            Route::SignUp => Box::pin(async { self.sign_up(read(request)?, request).await }),
            Route::Confirm if request.is_of_type(FORM) => Box::pin(self.confirm_by_form(request)),
            Route::Confirm => Box::pin(async { self.confirm(read(request)?, request).await }),
            Route::Resend if request.is_of_type(FORM) => Box::pin(self.resend_by_form(request)),
            Route::Resend => Box::pin(async { self.resend(read(request)?, request).await }),
            Route::Login => Box::pin(async { self.login(read(request)?, request).await }),
            Route::Challenge => Box::pin(async { self.challenge(read(request)?, request).await }),
            Route::Refresh => Box::pin(self.refresh(request)),
            Route::ForgotPassword => {
                Box::pin(async { self.forgot_password(read(request)?, request).await })
            }
            Route::ConfirmForgotPassword => {
                Box::pin(async { self.confirm_forgot_password(read(request)?, request).await })
            }
            Route::ChangePassword => Box::pin(async {
                let user = self.signed_in(request)?;
                self.change_password(&user, &read(request)?, request).await
            }),
            Route::NewTotp => Box::pin(async {
                let user = self.signed_in(request)?;
                self.new_totp(&user, &request.json()?, request).await
            }),
            Route::TurnOnTotp => Box::pin(async {
                let user = self.signed_in(request)?;
                self.turn_on_totp(&user, &read(request)?, request).await
            }),
            Route::TurnOffTotp => Box::pin(async {
                let user = self.signed_in(request)?;
                self.turn_off_totp(&user, &request.json()?, request).await
            }),
            Route::UpdateAccount => Box::pin(async {
                let user = self.signed_in(request)?;
                self.update(&user, read(request)?, request).await
            }),
            Route::VerifyAttribute => Box::pin(async {
                let user = self.signed_in(request)?;
                self.verify_attribute(&user, &read(request)?, request).await
            }),
        }
    }

    /// Rejects a request that a page of another origin may have sent, and a body of another type
    /// than the route reads.
    fn check_sender_and_type(&self, route: Route, request: &Request<'_>) -> Result<(), ApiError> {
        let sender = request.sender(&self.config.allowed_origins);
        if sender == Sender::Foreign {
            return Err(ApiError::ForeignOrigin);
        }
        // Only this function's own page may send a form. Browsers send forms cross-origin without a
        // CORS preflight, so forms from other origins are rejected.
        if route.takes_forms() && sender == Sender::Known && request.is_of_type(FORM) {
            return Ok(());
        }
        let needs_no_body =
            route == Route::Refresh && self.config.cookies.is_some() && request.is_empty();
        if !needs_no_body && !request.is_of_type("application/json") {
            return Err(RequestError::MediaType.into());
        }
        Ok(())
    }

    /// Lets pages of allowed origins read the response (Fetch standard, "CORS protocol").
    fn for_browsers(&self, request: &Request<'_>, response: Response) -> Response {
        let response = response.with("vary", "Origin");
        let origin = request.header("origin").unwrap_or_default();
        let known = self.config.allowed_origins.iter();
        match known.into_iter().find(|known| **known == origin) {
            None => response,
            Some(origin) => {
                let response = response.with("access-control-allow-origin", origin.as_str());
                match self.config.cookies {
                    None => response,
                    Some(_) => response.with("access-control-allow-credentials", "true"),
                }
            }
        }
    }
}

/// The body, which is required.
fn read<T: DeserializeOwned>(request: &Request<'_>) -> Result<T, RequestError> {
    if request.is_empty() {
        return Err(RequestError::Malformed);
    }
    request.json()
}
