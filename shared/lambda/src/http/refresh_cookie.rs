//! The cookie of the refresh token, which only the routes under `/auth` need.

use auth::DenyReason;

use super::{Request, Response};

/// Binds a cookie to the whole site: no `Domain`, and `Path=/` (RFC 6265bis section 4.1.3).
const HOST: &str = "__Host-";
/// Allows a narrower path.
const SECURE: &str = "__Secure-";

/// The refresh token's cookie, by name. With the prefix `__Secure-` the browser sends it only to
/// the routes under `/auth`, else to the whole site. A cookie of the same name with `__Host-`, from
/// before the name was changed, is read and cleared too.
#[derive(Clone, Copy)]
pub struct RefreshCookie<'a>(pub &'a str);

impl RefreshCookie<'_> {
    /// The cookie's value.
    ///
    /// # Errors
    /// As [`Request::cookie`].
    pub fn read(self, request: &Request<'_>) -> Result<String, DenyReason> {
        match (request.cookie(self.0), self.former()) {
            (Err(DenyReason::MissingToken), Some(former)) => request.cookie(&former),
            (cookie, _) => cookie,
        }
    }

    /// Sets the cookie.
    #[must_use]
    pub fn set(
        self,
        response: Response,
        request: &Request<'_>,
        value: &str,
        max_age_seconds: u64,
    ) -> Response {
        let path = self.path(request);
        let response = response.with_cookie_at(&path, self.0, value, max_age_seconds);
        match self.former() {
            Some(former) if request.cookie(&former).is_ok() => response.without_cookie(&former),
            _ => response,
        }
    }

    /// Deletes the cookie in the browser.
    #[must_use]
    pub fn clear(self, response: Response, request: &Request<'_>) -> Response {
        let response = response.with_cookie_at(&self.path(request), self.0, "", 0);
        match self.former() {
            Some(former) => response.without_cookie(&former),
            None => response,
        }
    }

    /// The cookie's path.
    fn path(self, request: &Request<'_>) -> String {
        match self.0.strip_prefix(SECURE) {
            Some(_) => request.base_path() + "/auth",
            None => "/".to_owned(),
        }
    }

    fn former(self) -> Option<String> {
        let rest = self.0.strip_prefix(SECURE)?;
        Some(format!("{HOST}{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    fn event(json: &Value) -> Box<RawValue> {
        RawValue::from_string(json.to_string()).unwrap()
    }

    fn cookies(response: &Response) -> Vec<String> {
        let json = serde_json::to_value(response).unwrap();
        let cookies = json.get("cookies");
        let cookies = cookies.unwrap_or(&json["multiValueHeaders"]["set-cookie"]);
        serde_json::from_value(cookies.clone()).unwrap()
    }

    #[test]
    fn the_path_is_that_of_the_routes_in_the_browser() {
        for (json, expected) in [
            (
                json!({"resource": "/auth/refresh", "path": "/auth/refresh", "httpMethod": "POST",
                    "requestContext": {"path": "/prod/auth/refresh", "stage": "prod"}}),
                "/prod/auth",
            ),
            (
                json!({"resource": "/auth/refresh", "path": "/base/auth/refresh",
                    "requestContext": {"path": "/base/auth/refresh", "stage": "prod"}}),
                "/base/auth",
            ),
            (
                json!({"version": "2.0", "rawPath": "/v1/auth/refresh",
                    "requestContext": {"stage": "v1", "http": {"method": "POST"}}}),
                "/v1/auth",
            ),
            (
                json!({"version": "2.0", "rawPath": "/auth/refresh",
                    "requestContext": {"stage": "$default", "http": {"method": "POST"}}}),
                "/auth",
            ),
            (
                json!({"path": "/auth/logout", "httpMethod": "POST"}),
                "/auth",
            ),
            // Never text that a client controls.
            (json!({"path": "/a;b/auth/logout"}), "/auth"),
            (json!({"path": "//auth/logout"}), "/auth"),
            (json!({}), "/auth"),
        ] {
            let event = event(&json);
            let request = Request::read(&event);
            let response = Response::json(200, &Value::Null);
            let response = RefreshCookie("__Secure-r").set(response, &request, "x", 9);
            let response = response.in_answer_to(&request);
            let part = format!("__Secure-r=x; Path={expected}; Secure; HttpOnly;");
            let found = cookies(&response);
            assert!(
                found.len() == 1 && found[0].starts_with(&part),
                "{json} {found:?}"
            );
            let response = Response::json(200, &Value::Null);
            let response = RefreshCookie("__Host-r").set(response, &request, "x", 9);
            assert!(cookies(&response)[0].contains("; Path=/; "), "{json}");
        }
    }

    #[test]
    fn the_former_cookie_is_read_and_cleared() {
        let cookie = RefreshCookie("__Secure-r");
        for (sent, expected) in [
            ("__Secure-r=new", Ok("new")),
            ("__Host-r=old", Ok("old")),
            ("__Secure-r=new; __Host-r=old", Ok("new")),
            (
                "__Secure-r=a; __Secure-r=b",
                Err(DenyReason::AmbiguousToken),
            ),
            ("r=x", Err(DenyReason::MissingToken)),
        ] {
            let event = event(&json!({"path": "/auth/refresh", "headers": {"Cookie": sent}}));
            let request = Request::read(&event);
            let found = cookie.read(&request);
            assert_eq!(
                found.as_deref().map_err(|reason| *reason),
                expected,
                "{sent}"
            );
            let response = Response::json(200, &Value::Null);
            let cleared = cookies(&cookie.clear(response, &request));
            assert!(
                cleared[0].starts_with("__Secure-r=; Path=/auth; "),
                "{cleared:?}"
            );
            assert!(cleared[1].starts_with("__Host-r=; Path=/; "), "{cleared:?}");
            let response = Response::json(200, &Value::Null);
            let set = cookies(&cookie.set(response, &request, "x", 9));
            assert_eq!(
                set.len(),
                1 + usize::from(sent.contains("__Host-r")),
                "{set:?}"
            );
        }
    }
}
