//! The user of a confirmation.

use runtime::TriggerEvent;

/// The user, as the event describes them. No `Debug`.
pub(crate) struct User {
    /// The event's pool is trusted: only the pool may invoke this function, and a variable with the
    /// pool's id would make pool and function depend on each other.
    pub(crate) user_pool_id: String,
    pub(crate) username: String,
    pub(crate) subject: String,
    /// The address, if it is verified.
    pub(crate) email: Option<String>,
}

impl User {
    /// Reads the members that are needed; `None` if one is missing or empty. The address may be missing, and an
    /// unverified one, of a user whom an administrator has confirmed for instance, is only the user's claim.
    pub(crate) fn read(event: &TriggerEvent<'_>) -> Option<Self> {
        let attributes = event.request()?.user_attributes()?;
        let email = attributes
            .filled("email")
            .filter(|_| attributes.is_true("email_verified"));
        Some(Self {
            user_pool_id: event.user_pool_id()?.into_owned(),
            username: event.user_name()?.into_owned(),
            subject: attributes.filled("sub")?.to_owned(),
            email: email.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    fn read(event: &serde_json::Value) -> Option<User> {
        let event: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        User::read(&TriggerEvent::parse(&event)?)
    }

    #[test]
    fn reads_complete_events_only() {
        let attributes = json!({"sub": "5f7e", "email": "ada@example.com", "email_verified": "true", "new": {"x": 1}});
        let event = json!({"userPoolId": "pool", "userName": "ada", "new": [],
            "request": {"userAttributes": attributes}});
        let user = read(&event).unwrap();
        assert_eq!(user.user_pool_id, "pool");
        assert_eq!(user.username, "ada");
        assert_eq!(user.subject, "5f7e");
        assert_eq!(user.email.as_deref(), Some("ada@example.com"));
        for pointer in ["/userPoolId", "/userName", "/request/userAttributes/sub"] {
            for value in [json!(""), json!(null), json!(1)] {
                let mut event = event.clone();
                *event.pointer_mut(pointer).unwrap() = value;
                assert!(read(&event).is_none(), "{pointer}");
            }
        }
        for pointer in ["/request", "/request/userAttributes"] {
            let mut event = event.clone();
            *event.pointer_mut(pointer).unwrap() = json!(null);
            assert!(read(&event).is_none(), "{pointer}");
        }
        for (name, value) in [
            ("email", json!(null)),
            ("email", json!("")),
            ("email_verified", json!("false")),
            ("email_verified", json!("")),
            ("email_verified", json!(null)),
        ] {
            let mut without = event.clone();
            without["request"]["userAttributes"][name] = value;
            assert_eq!(read(&without).unwrap().email, None, "{without}");
        }
    }
}
