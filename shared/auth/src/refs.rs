//! References to what a revocation can name: a user, a session, a token, a client, an issuer.
//!
//! Each kind has a type of its own, so that a client's reference cannot be passed where a user's is
//! expected. No `Debug`: some issuers' `sub` is an e-mail address.

/// An issuer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IssuerRef<'a> {
    /// The issuer's id: a user pool's id, or the alias of a trusted issuer.
    pub issuer: &'a str,
}

/// A user of an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserRef<'a> {
    /// The issuer's id.
    pub issuer: &'a str,
    /// `sub`; of a machine its client id.
    pub subject: &'a str,
}

/// One sign-in of a user.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionRef<'a> {
    /// The user.
    pub user: UserRef<'a>,
    /// `origin_jti`.
    pub session: &'a str,
}

/// One token of a user, or an API key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenRef<'a> {
    /// The token's user, or the API key's owner.
    pub user: UserRef<'a>,
    /// `jti`, or the API key's id.
    pub token: &'a str,
}

/// An app client of an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientRef<'a> {
    /// The issuer's id.
    pub issuer: &'a str,
    /// The client's id.
    pub client_id: &'a str,
}

/// A group of an issuer's users.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupRef<'a> {
    /// The issuer's id.
    pub issuer: &'a str,
    /// The group's name.
    pub group: &'a str,
}

impl<'a> UserRef<'a> {
    /// The user's issuer.
    #[must_use]
    pub fn issuer_ref(self) -> IssuerRef<'a> {
        IssuerRef {
            issuer: self.issuer,
        }
    }

    /// The user's session with this `origin_jti`.
    #[must_use]
    pub fn session(self, session: &'a str) -> SessionRef<'a> {
        SessionRef {
            user: self,
            session,
        }
    }

    /// The user's token with this `jti`.
    #[must_use]
    pub fn token(self, token: &'a str) -> TokenRef<'a> {
        TokenRef { user: self, token }
    }
}
