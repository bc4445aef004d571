//! SQS batches whose messages succeed or fail separately.
//! Source: AWS, "Handling errors for an SQS event source in Lambda" (partial batch responses).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
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

/// The messages that SQS is to redeliver, and finally moves to the dead-letter queue.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    batch_item_failures: Vec<Item>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    item_identifier: String,
}

impl Answer {
    /// Marks a message for redelivery.
    pub fn retry(&mut self, message: &Message<'_>) {
        self.batch_item_failures.push(Item {
            item_identifier: message.message_id.clone().into_owned(),
        });
    }
}
