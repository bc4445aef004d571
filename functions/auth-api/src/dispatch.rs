//! From a request to its response: the route, what every route checks, the log line, and CORS.

use std::pin::Pin;
use std::time::Instant;

use api_gateway::http::{LoadBalancer, Request, RequestError, Response, Sender};
use auth::Cause;
use auth_sessions::BrowserSessions;
use runtime::log::{self, Level};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::outcome::{Answer, ApiError};
use crate::route::{Route, RouteError};
use crate::{AuthApi, times};

type Verb<'a> = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send + 'a>>;

const FORM: &str = "application/x-www-form-urlencoded";

impl<B: BrowserSessions> AuthApi<B> {
    pub(crate) async fn answer_in_time(&self, event: &RawValue, request_id: &str) -> Response {
        let began = Instant::now();
        let request = Request::read(event);
        let route = Route::try_from((&*request.method(), &*request.target()));
        let result = self.answer(route, &request).await;
        let problem = match &result {
            Ok(answer) => answer.problem,
            Err(problem) => Some(*problem),
        };
        let level = match problem {
            None => Level::Info,
            Some(problem) if problem.status() >= 500 => Level::Error,
            Some(_) => Level::Warn,
        };
        if level <= self.config.log_level {
            let word = problem.map_or_else(|| "done".to_owned(), |problem| problem.to_string());
            let outcome = log::Outcome {
                word: &word,
                cause: problem.as_ref().and_then(|problem| Cause::of(problem)),
            };
            let route = route.ok().map(|route| route.to_string());
            let route = route.as_deref();
            log::request_to(route, level, "auth api", outcome, request_id, began);
        }
        let response = match result {
            Ok(answer) => answer.response,
            Err(problem) => problem.response(&self.config.password_policy),
        };
        times::leave(self.config.refusal_grid).await;
        self.for_browsers(&request, response).in_answer_to(&request)
    }

    async fn answer(
        &self,
        route: Result<Route, RouteError>,
        request: &Request<'_>,
    ) -> Result<Answer, ApiError> {
        let route = route?;
        // Before anything is done that the client could not use without its cookies.
        if self.config.uses_cookies() && request.load_balancer() == Some(LoadBalancer::SingleValue)
        {
            return Err(ApiError::MultiValueHeadersNeeded);
        }
        if route.changes_something() {
            self.check_sender_and_type(route, request)?;
        }
        self.verb(route, request).await
    }

    /// What the route does, as a future on the heap: otherwise every request would copy one as large as the
    /// largest of them.
    fn verb<'a>(&'a self, route: Route, request: &'a Request<'_>) -> Verb<'a> {
        match route {
            Route::ConfirmPage => Box::pin(async { Ok(self.pages.confirm(request)?.into()) }),
            Route::Account => {
                Box::pin(async { Ok(self.me(&self.signed_in(request).await?).await?.into()) })
            }
            Route::SignUp => {
                Box::pin(async { Ok(self.sign_up(read(request)?, request).await?.into()) })
            }
            Route::Confirm if request.is_of_type(FORM) => Box::pin(self.confirm_by_form(request)),
            Route::Confirm => {
                Box::pin(async { Ok(self.confirm(read(request)?, request).await?.into()) })
            }
            Route::Resend if request.is_of_type(FORM) => Box::pin(self.resend_by_form(request)),
            Route::Resend => {
                Box::pin(async { Ok(self.resend(read(request)?, request).await?.into()) })
            }
            Route::Login => {
                Box::pin(async { Ok(self.login(read(request)?, request).await?.into()) })
            }
            Route::Challenge => {
                Box::pin(async { Ok(self.challenge(read(request)?, request).await?.into()) })
            }
            Route::Refresh => Box::pin(self.refresh(request)),
            Route::ForgotPassword => {
                Box::pin(async { Ok(self.forgot_password(read(request)?, request).await?.into()) })
            }
            Route::ConfirmForgotPassword => Box::pin(async {
                Ok(self
                    .confirm_forgot_password(read(request)?, request)
                    .await?
                    .into())
            }),
            Route::ChangePassword => Box::pin(async {
                let user = self.signed_in(request).await?;
                Ok(self
                    .change_password(&user, &read(request)?, request)
                    .await?
                    .into())
            }),
            Route::NewTotp => Box::pin(async {
                let user = self.signed_in(request).await?;
                Ok(self
                    .new_totp(&user, &request.json()?, request)
                    .await?
                    .into())
            }),
            Route::TurnOnTotp => Box::pin(async {
                let user = self.signed_in(request).await?;
                Ok(self
                    .turn_on_totp(&user, &read(request)?, request)
                    .await?
                    .into())
            }),
            Route::TurnOffTotp => Box::pin(async {
                let user = self.signed_in(request).await?;
                Ok(self
                    .turn_off_totp(&user, &request.json()?, request)
                    .await?
                    .into())
            }),
            Route::UpdateAccount => Box::pin(async {
                let user = self.signed_in(request).await?;
                Ok(self.update(&user, read(request)?, request).await?.into())
            }),
            Route::VerifyAttribute => Box::pin(async {
                let user = self.signed_in(request).await?;
                Ok(self
                    .verify_attribute(&user, &read(request)?, request)
                    .await?
                    .into())
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
            route == Route::Refresh && self.config.uses_cookies() && request.is_empty();
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
                if self.config.uses_cookies() {
                    response.with("access-control-allow-credentials", "true")
                } else {
                    response
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
