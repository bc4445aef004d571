//! A call to Cognito as CloudTrail records it, read tolerantly.
//! Source: AWS, "CloudTrail record contents"; "AWS service events delivered via AWS CloudTrail".

use auth::UnixSeconds;
use serde::Deserialize;
use serde_json::Value;

/// What stands in a record in place of a value: AWS's texts spell it in two ways.
const HIDDEN: [&str; 2] = [
    "HIDDEN_DUE_TO_SECURITY_REASONS",
    "HIDDEN_FOR_SECURITY_REASONS",
];
/// As long as an id may be anywhere here: a group's name has 128 characters.
const MAX_ID_BYTES: usize = 512;
/// Takes a tag off the pool that it doesn't have, once an hour (user-sweep).
pub(crate) const HEARTBEAT: &str = "UntagResource";

/// Where records must come from.
pub(crate) struct Origin {
    pub(crate) account_id: String,
    pub(crate) user_pool_id: String,
}

/// An event of EventBridge. Members of another type than expected count as absent.
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
    /// Why this is none of our business, if it is not: of another service, account, region or
    /// pool, or a call that failed.
    pub(crate) fn is_foreign(&self, origin: &Origin) -> Option<&'static str> {
        let region = origin.user_pool_id.split('_').next().unwrap_or_default();
        let checks = [
            (self.source == "aws.cognito-idp", "other_source"),
            (
                self.detail_type == "AWS API Call via CloudTrail",
                "other_source",
            ),
            (
                self.detail_member("eventSource") == "cognito-idp.amazonaws.com",
                "other_source",
            ),
            (self.account == *origin.account_id, "other_account"),
            (self.region == *region, "other_region"),
            // A record without a pool may still be of another one: see `names_pool`.
            (
                self.pool().is_none_or(|pool| pool == origin.user_pool_id),
                "other_user_pool",
            ),
            (self.succeeded(), "failed_call"),
        ];
        checks
            .into_iter()
            .find(|(holds, _)| !holds)
            .map(|(_, why)| why)
    }

    /// Whether the record says which user pool the call was made to. Calls that a user makes with a token
    /// of their own don't always.
    pub(crate) fn names_pool(&self) -> bool {
        self.pool().is_some()
    }

    /// The pool's id; of `UntagResource` the end of the ARN. Not a text: of no pool.
    fn pool(&self) -> Option<&str> {
        let (request, additional) = (self.request(), self.additional());
        let pool = request
            .get("userPoolId")
            .or_else(|| additional.get("userPoolId"));
        let arn = || request.get("resourceArn");
        let pool = pool.or_else(arn)?.as_str().unwrap_or_default();
        Some(pool.rsplit('/').next().unwrap_or_default())
    }

    /// Whether it is the record of user-sweep's hourly call, which shows that a trail is there.
    pub(crate) fn is_heartbeat(&self) -> bool {
        self.event_name() == HEARTBEAT
    }

    /// The id that Cognito gave the request, as its answer has it too.
    pub(crate) fn request_id(&self) -> Option<&str> {
        id(Some(self.detail_member("requestID")))
    }

    /// What the call is about, by the name that its parameter has.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        id(self.request().get(name))
    }

    /// Records of successes have no error code, or an empty one.
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

    /// Who made the call, as an ARN.
    pub(crate) fn actor(&self) -> Option<&str> {
        self.detail_member("userIdentity").get("arn")?.as_str()
    }

    /// The user's `sub`.
    pub(crate) fn subject(&self) -> Option<&str> {
        id(self.additional().get("sub"))
    }

    /// The user's name, where it isn't hidden.
    pub(crate) fn username(&self) -> Option<&str> {
        id(self.request().get("username"))
    }

    /// When the call was made; never later than now, and now if the record doesn't say.
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
    fn times() {
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
