//! The messages of an SQS event.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    /// Its id in the batch.
    #[serde(borrow)]
    pub message_id: Cow<'a, str>,
    /// The body.
    #[serde(borrow)]
    pub body: Cow<'a, str>,
    /// The ARN of the queue.
    #[serde(borrow, default, rename = "eventSourceARN")]
    pub queue_arn: Option<Cow<'a, str>>,
}

impl Message<'_> {
    /// Whether the message came from the queue at `url`: both end with the queue's name.
    #[must_use]
    pub fn is_from(&self, url: &str) -> bool {
        let name = self
            .queue_arn
            .as_deref()
            .and_then(|arn| arn.rsplit(':').next());
        name.is_some() && name == url.rsplit('/').next()
    }
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Message<'a>>,
}

/// The messages of an SQS event; `None` for any other event.
#[must_use]
pub fn messages(event: &RawValue) -> Option<Vec<Message<'_>>> {
    let batch: Batch<'_> = serde_json::from_str(event.get()).ok()?;
    Some(batch.records)
}
