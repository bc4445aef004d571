//! A batch of the revocation table's stream, and the users whose connections a record may cover.

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "Records")]
    pub(crate) records: Vec<Record>,
}

#[derive(Deserialize)]
pub(crate) struct Record {
    pub(crate) dynamodb: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Change {
    pub(crate) keys: Keys,
    pub(crate) sequence_number: String,
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    pub(crate) pk: Text,
    pub(crate) sk: Text,
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    #[serde(rename = "S")]
    pub(crate) text: String,
}

/// The users whose connections a revocation may cover.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach<'a> {
    /// All users of a client or an issuer, by the revocation's row. The table is not indexed by these, so all
    /// connections are compared with it.
    Shared(&'a Keys),
    /// The user with this partition key.
    User(&'a str),
}

impl<'a> Reach<'a> {
    /// `None` for a row that covers no connection: the sweep's cursor, in the issuer's partition; groups, by which
    /// connections are not stored; records of Gatehouse's own calls.
    pub(crate) fn of(keys: &'a Keys) -> Option<Self> {
        match keys.sk.text.as_str() {
            "sweep" | "groups" | "call" => None,
            "client" | "issuer" => Some(Self::Shared(keys)),
            _ => Some(Self::User(&keys.pk.text)),
        }
    }
}
