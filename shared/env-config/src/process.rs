//! The process's environment.

/// The value of the variable `name`, if it is set to UTF-8 text.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "other code gets this function as an argument"
)]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
