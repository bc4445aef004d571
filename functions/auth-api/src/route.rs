//! The routes of the API.

use std::fmt;

/// A route with its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    SignUp,
    ConfirmPage,
    Confirm,
    Resend,
    Login,
    Challenge,
    Refresh,
    ForgotPassword,
    ConfirmForgotPassword,
    ChangePassword,
    NewTotp,
    TurnOnTotp,
    TurnOffTotp,
    Account,
    UpdateAccount,
    VerifyAttribute,
}

/// The methods of one path.
type Methods = &'static [(&'static str, Route)];

/// Every route.
const ROUTES: &[(&str, Methods)] = &[
    ("/auth/signup", &[("POST", Route::SignUp)]),
    (
        "/auth/confirm",
        &[("GET", Route::ConfirmPage), ("POST", Route::Confirm)],
    ),
    ("/auth/resend", &[("POST", Route::Resend)]),
    ("/auth/login", &[("POST", Route::Login)]),
    ("/auth/challenge", &[("POST", Route::Challenge)]),
    ("/auth/refresh", &[("POST", Route::Refresh)]),
    ("/auth/forgot-password", &[("POST", Route::ForgotPassword)]),
    (
        "/auth/confirm-forgot-password",
        &[("POST", Route::ConfirmForgotPassword)],
    ),
    ("/auth/change-password", &[("POST", Route::ChangePassword)]),
    ("/auth/mfa/totp", &[("POST", Route::NewTotp)]),
    ("/auth/mfa/totp/verify", &[("POST", Route::TurnOnTotp)]),
    ("/auth/mfa/totp/disable", &[("POST", Route::TurnOffTotp)]),
    (
        "/auth/me",
        &[("GET", Route::Account), ("PATCH", Route::UpdateAccount)],
    ),
    ("/auth/me/verify", &[("POST", Route::VerifyAttribute)]),
];

/// The methods of a path, as the header `Allow` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed(Methods);

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<&str> = self.0.iter().map(|(method, _)| *method).collect();
        f.write_str(&methods.join(", "))
    }
}

impl fmt::Display for Route {
    /// The method and the path, the route's name in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = ROUTES.iter().flat_map(|(path, methods)| {
            methods
                .iter()
                .map(move |(method, route)| (method, path, route))
        });
        for (method, path, route) in each {
            if route == self {
                return write!(f, "{method} {path}");
            }
        }
        Ok(())
    }
}

/// No route for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    UnknownPath,
    MethodNotAllowed(Allowed),
}

impl TryFrom<(&str, &str)> for Route {
    type Error = RouteError;

    /// Finds the route of a method and a path, both of which are compared exactly.
    fn try_from((method, path): (&str, &str)) -> Result<Self, RouteError> {
        let found = ROUTES.iter().find(|(route, _)| *route == path);
        let (_, methods) = found.ok_or(RouteError::UnknownPath)?;
        let found = methods.iter().find(|(allowed, _)| *allowed == method);
        let (_, route) = found.ok_or(RouteError::MethodNotAllowed(Allowed(methods)))?;
        Ok(*route)
    }
}

impl Route {
    /// Opening a page or reading one's account changes nothing.
    pub(crate) fn changes_something(self) -> bool {
        !matches!(self, Self::ConfirmPage | Self::Account)
    }

    /// Whether the pages of the confirmation link post to this route.
    pub(crate) fn takes_forms(self) -> bool {
        matches!(self, Self::Confirm | Self::Resend)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn finds_each_route_by_its_method_and_path() {
        let mut names = BTreeSet::new();
        let mut count = 0;
        for (path, methods) in ROUTES {
            for (method, route) in *methods {
                assert_eq!(Route::try_from((*method, *path)), Ok(*route));
                assert_eq!(route.to_string(), format!("{method} {path}"));
                assert_eq!(route.changes_something(), *method != "GET", "{path}");
                names.insert(format!("{route:?}"));
                count += 1;
            }
        }
        assert_eq!(names.len(), count, "no route is listed twice");
    }

    #[test]
    fn refuses_other_methods_and_paths() {
        for (method, path, allowed) in [
            ("PUT", "/auth/login", "POST"),
            ("post", "/auth/login", "POST"),
            ("", "/auth/login", "POST"),
            ("POST, GET", "/auth/confirm", "GET, POST"),
            ("POST", "/auth/me", "GET, PATCH"),
        ] {
            match Route::try_from((method, path)) {
                Err(RouteError::MethodNotAllowed(found)) => {
                    assert_eq!(found.to_string(), allowed, "{method} {path}");
                }
                found => panic!("{method} {path}: {found:?}"),
            }
        }
        for path in ["", "/auth", "/auth/login/", "//auth/login", "/auth/Login"] {
            let found = Route::try_from(("POST", path));
            assert_eq!(found, Err(RouteError::UnknownPath), "{path}");
        }
    }
}
