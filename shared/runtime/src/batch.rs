//! The response to a batch whose records succeed or fail separately: of SQS messages, or of a
//! DynamoDB stream.
//! Source: AWS, "Handling errors for an SQS event source in Lambda" and "Configuring partial batch
//! response with DynamoDB and Lambda".

use serde::Serialize;

use crate::sqs::Message;

/// The records to deliver again. SQS redelivers each message, and finally moves it to the
/// dead-letter queue; a stream redelivers the record and all later ones.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<Item>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    item_identifier: String,
}

impl BatchResponse {
    /// Marks a message for redelivery.
    pub fn retry(&mut self, message: &Message<'_>) {
        self.fail(&message.message_id);
    }

    /// Marks a stream's record, by its sequence number: the stream continues from there.
    pub fn continue_from(&mut self, sequence_number: &str) {
        self.fail(sequence_number);
    }

    fn fail(&mut self, item_identifier: &str) {
        self.batch_item_failures.push(Item {
            item_identifier: item_identifier.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::sqs;

    #[test]
    fn names_the_failed_records_only() {
        let json = |response: &BatchResponse| serde_json::to_value(response).unwrap();
        let mut response = BatchResponse::default();
        assert_eq!(json(&response), json!({"batchItemFailures": []}));
        let records = ["m-1", "m-2"].map(|id| json!({"messageId": id, "body": "{}"}));
        let event = to_raw_value(&json!({"Records": records})).unwrap();
        for message in &sqs::messages(&event).unwrap()[1..] {
            response.retry(message);
        }
        response.continue_from("111");
        let failures = json!([{"itemIdentifier": "m-2"}, {"itemIdentifier": "111"}]);
        assert_eq!(json(&response), json!({"batchItemFailures": failures}));
    }
}
