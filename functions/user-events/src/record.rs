//! A CloudTrail record of a call to Cognito, read tolerantly.
//! Source: AWS, "CloudTrail record contents"; "AWS service events delivered via AWS CloudTrail".

use auth::UnixSeconds;
use serde::Deserialize;
use serde_json::Value;

use crate::outcome::Ignored;

/// CloudTrail's placeholders for hidden values: AWS documents two spellings.
const HIDDEN: [&str; 2] = [
    "HIDDEN_DUE_TO_SECURITY_REASONS",
    "HIDDEN_FOR_SECURITY_REASONS",
];
/// The longest id: a group's name has up to 128 characters.
const MAX_ID_BYTES: usize = 512;
/// Removes a tag that the pool does not have, once an hour (user-sweep).
pub(crate) const HEARTBEAT: &str = "UntagResource";

/// The origin that records must have.
pub(crate) struct Origin {
    pub(crate) account_id: String,
    pub(crate) user_pool_id: String,
}

/// An event of EventBridge. A member of an unexpected type counts as absent.
#[derive(Deserialize)]
pub(crate) struct Record {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    source: Value,
    #[serde(default, rename = "detail-type")]
    detail_type: Value,
    #[serde(default)]
    account: Value,
    #[serde(default)]
    region: Value,
    detail: Value,
}

impl Record {
    /// The reason for ignoring this record, if there is one: a different service, account, region
    /// or pool, or a call that failed.
    pub(crate) fn is_foreign(&self, origin: &Origin) -> Option<Ignored> {
        let region = origin.user_pool_id.split('_').next().unwrap_or_default();
        let checks = [
            (self.source == "aws.cognito-idp", Ignored::OtherSource),
            (
                self.detail_type == "AWS API Call via CloudTrail",
                Ignored::OtherSource,
            ),
            (
                self.detail_member("eventSource") == "cognito-idp.amazonaws.com",
                Ignored::OtherSource,
            ),
            (self.account == *origin.account_id, Ignored::OtherAccount),
            (self.region == *region, Ignored::OtherRegion),
            // A record without a pool may still be of another one: see `names_pool`.
            (
                self.pool().is_none_or(|pool| pool == origin.user_pool_id),
                Ignored::OtherUserPool,
            ),
            (self.succeeded(), Ignored::FailedCall),
        ];
        checks
            .into_iter()
            .find(|(holds, _)| !holds)
            .map(|(_, why)| why)
    }

    /// Whether the record names the user pool. Records of calls that a user makes with an own token
    /// do not always.
    pub(crate) fn names_pool(&self) -> bool {
        self.pool().is_some()
    }

    /// The pool's id; for `UntagResource` the end of the ARN. Empty if it is not a string.
    fn pool(&self) -> Option<&str> {
        let (request, additional) = (self.request(), self.additional());
        let pool = request
            .get("userPoolId")
            .or_else(|| additional.get("userPoolId"));
        let arn = || request.get("resourceArn");
        let pool = pool.or_else(arn)?.as_str().unwrap_or_default();
        Some(pool.rsplit('/').next().unwrap_or_default())
    }

    /// Whether this is the record of user-sweep's hourly call, which proves that a trail exists.
    pub(crate) fn is_heartbeat(&self) -> bool {
        self.event_name() == HEARTBEAT
    }

    /// The request id that Cognito assigned; its response has the same.
    pub(crate) fn request_id(&self) -> Option<&str> {
        id(Some(self.detail_member("requestID")))
    }

    /// A parameter of the call, by name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        id(self.request().get(name))
    }

    /// Records of successful calls have no error code, or an empty one.
    fn succeeded(&self) -> bool {
        let code = self.detail_member("errorCode");
        code.is_null() || *code == ""
    }

    pub(crate) fn event_name(&self) -> &str {
        self.detail_member("eventName").as_str().unwrap_or_default()
    }

    pub(crate) fn event_id(&self) -> Option<&str> {
        self.detail_member("eventID")
            .as_str()
            .or_else(|| self.id.as_str())
    }

    /// The caller, as an ARN.
    pub(crate) fn actor(&self) -> Option<&str> {
        self.detail_member("userIdentity").get("arn")?.as_str()
    }

    /// The ARN of the role in which the call was made. AWS writes it, not the caller.
    /// Source: AWS, "CloudTrail userIdentity element", `sessionIssuer`.
    pub(crate) fn role_arn(&self) -> Option<&str> {
        let identity = self.detail_member("userIdentity");
        if identity.get("type")? != "AssumedRole" {
            return None;
        }
        let issuer = identity.get("sessionContext")?.get("sessionIssuer")?;
        issuer.get("arn")?.as_str()
    }

    /// The user's `sub`.
    pub(crate) fn subject(&self) -> Option<&str> {
        id(self.additional().get("sub"))
    }

    /// The user's name, unless it is hidden.
    pub(crate) fn username(&self) -> Option<&str> {
        id(self.request().get("username"))
    }

    /// The time of the call: never later than now, and now if the record has none.
    pub(crate) fn at(&self, now: UnixSeconds) -> UnixSeconds {
        let time = self.detail_member("eventTime").as_str();
        time.and_then(seconds).map_or(now, |at| at.min(now))
    }

    fn request(&self) -> &Value {
        self.detail_member("requestParameters")
    }

    fn additional(&self) -> &Value {
        self.detail_member("additionalEventData")
    }

    fn detail_member(&self, name: &str) -> &Value {
        self.detail.get(name).unwrap_or(&Value::Null)
    }
}

fn id(value: Option<&Value>) -> Option<&str> {
    let id = value?.as_str()?;
    let is_one = !id.is_empty() && id.len() <= MAX_ID_BYTES && !HIDDEN.contains(&id);
    is_one.then_some(id)
}

/// RFC 3339, as CloudTrail writes it: `2026-11-22T07:00:00Z`.
fn seconds(time: &str) -> Option<UnixSeconds> {
    let format = aws_sdk_sns::primitives::DateTimeFormat::DateTime;
    let time = aws_sdk_sns::primitives::DateTime::from_str(time, format).ok()?;
    u64::try_from(time.secs()).ok().map(UnixSeconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parses_rfc_3339_times() {
        let now = UnixSeconds(1_800_000_000);
        let rows = [
            (json!("2026-11-22T07:00:00Z"), UnixSeconds(1_795_330_800)),
            (json!("2026-11-22T07:00:00.9Z"), UnixSeconds(1_795_330_800)),
            (json!("2926-11-22T07:00:00Z"), now),
            (json!("yesterday"), now),
            (json!("1960-01-01T00:00:00Z"), now),
            (json!(1_795_330_800), now),
            (json!(null), now),
        ];
        for (time, expected) in rows {
            let record: Record =
                serde_json::from_value(json!({"detail": {"eventTime": time}})).unwrap();
            assert_eq!(record.at(now), expected, "{time}");
        }
    }
}
