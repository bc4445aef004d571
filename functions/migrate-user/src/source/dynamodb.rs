//! A DynamoDB table of old users. Finds names in an index in lower case, or by the key in the usual spellings, and reads
//! each user from the table itself.

use std::collections::HashMap;
use std::time::Duration;

use auth::{Dependency, Secret};
use aws_client::SdkConfig;
use aws_client::{Call, Limits, cause_of, with_limits};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::{LegacySource, MAX_USERS, SourceError};
use crate::config::TableIndex;
use crate::rules::Rules;
use crate::user::{LegacyUser, spellings};
use usernames::normalize;

/// Limits that suit a trigger.
const LIMITS: Limits = Limits {
    connect: Duration::from_millis(700),
    attempt: Duration::from_millis(700),
    operation: Duration::from_secs(2),
    attempts: 2,
    first_backoff: Duration::from_millis(100),
};

pub(crate) struct Dynamodb {
    client: Client,
    table: String,
    /// The partition key, and the sort key if the table has one.
    key: Vec<String>,
    index: Option<TableIndex>,
}

type Row = HashMap<String, AttributeValue>;

pub(super) fn client(sdk: &SdkConfig) -> Client {
    Client::new(&with_limits(sdk, &LIMITS))
}

/// Classifies an error: the table is unavailable, or the call can never succeed.
pub(super) fn classify<E: ProvideErrorMetadata>(error: &SdkError<E>) -> SourceError {
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    match code {
        Some("ValidationException" | "ResourceNotFoundException" | "AccessDeniedException") => {
            SourceError::Unusable(cause_of(error))
        }
        _ => SourceError::Down(cause_of(error)),
    }
}

impl Dynamodb {
    pub(crate) fn new(
        sdk: &SdkConfig,
        table: String,
        key: Vec<String>,
        index: Option<TableIndex>,
    ) -> Self {
        Self {
            client: client(sdk),
            table,
            key,
            index,
        }
    }

    async fn by_index(&self, index: &TableIndex, name: String) -> Result<Vec<Row>, SourceError> {
        let name = AttributeValue::S(name);
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(&index.name)
            .key_condition_expression("#key = :name")
            .expression_attribute_names("#key", &index.key)
            .expression_attribute_values(":name", name.clone())
            .limit(i32::try_from(MAX_USERS + 1).unwrap_or(i32::MAX));
        let answer = query
            .send()
            .in_span(Dependency::Legacy)
            .await
            .map_err(|error| classify(&error))?;
        let items = answer.items.unwrap_or_default();
        if items.len() > MAX_USERS || answer.last_evaluated_key.is_some() {
            return Err(SourceError::TooMany);
        }
        // An index may have a part of the row only, without the members that bar the user, and is eventually consistent.
        let reads = items.iter().map(|item| {
            let key: Option<Vec<_>> = self
                .key
                .iter()
                .map(|name| item.get(name).cloned())
                .collect();
            async {
                // Each index has the table's key: `LEGACY_TABLE_KEY` names another attribute.
                self.by_key(key.ok_or(SourceError::UNREADABLE)?).await
            }
        });
        let mut users = Vec::new();
        for row in futures_util::future::join_all(reads).await {
            // The row may have another name by now.
            users.extend(row?.filter(|row| row.get(&index.key) == Some(&name)));
        }
        Ok(users)
    }

    /// The row with these values of the key's attributes.
    async fn by_key(&self, values: Vec<AttributeValue>) -> Result<Option<Row>, SourceError> {
        let key = self.key.iter().cloned().zip(values).collect();
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true);
        let answer = get
            .send()
            .in_span(Dependency::Legacy)
            .await
            .map_err(|error| classify(&error))?;
        Ok(answer.item)
    }
}

impl LegacySource for Dynamodb {
    async fn find(
        &self,
        typed: &str,
        _: Option<&Secret>,
        rules: &Rules,
    ) -> Result<Vec<LegacyUser>, SourceError> {
        let mut rows = Vec::new();
        if let Some(index) = &self.index {
            let name = normalize(typed, rules.case_sensitive);
            rows = self.by_index(index, name).await?;
        } else {
            let spellings = spellings(typed, rules.case_sensitive);
            let reads = spellings
                .into_iter()
                .map(|name| self.by_key(vec![AttributeValue::S(name)]));
            for row in futures_util::future::join_all(reads).await {
                rows.extend(row?);
            }
        }
        let mut users = Vec::new();
        for row in rows {
            let record = row.iter().map(|(name, value)| (name.clone(), json(value)));
            let mut record: Map<String, Value> = record.collect();
            if let [key] = self.key.as_slice()
                && let Some(name) = record.get(key).cloned()
            {
                record.entry("username").or_insert(name);
            }
            // An invalid row belongs to a user: treating it as unknown would let a stranger register the name.
            let user = LegacyUser::from_record(&record, rules);
            users.push(user.ok_or(SourceError::UNREADABLE)?);
        }
        Ok(users)
    }
}

fn json(value: &AttributeValue) -> Value {
    if let Ok(text) = value.as_s() {
        Value::from(text.as_str())
    } else if let Ok(number) = value.as_n() {
        number_of(number)
    } else if let Ok(truth) = value.as_bool() {
        Value::from(*truth)
    } else if value.is_null() {
        Value::Null
    } else if let Ok(texts) = value.as_ss() {
        Value::from(texts.as_slice())
    } else if let Ok(numbers) = value.as_ns() {
        numbers.iter().map(|number| number_of(number)).collect()
    } else if let Ok(items) = value.as_l() {
        items.iter().map(json).collect()
    } else if let Ok(members) = value.as_m() {
        let members = members.iter();
        Value::Object(
            members
                .map(|(name, value)| (name.clone(), json(value)))
                .collect(),
        )
    } else {
        // A binary value is unclear. As null it would be false, and `disabled` would not bar the user.
        Value::Array(vec![Value::Null])
    }
}

fn number_of(number: &str) -> Value {
    serde_json::from_str(number).unwrap_or_else(|_| Value::from(number))
}
