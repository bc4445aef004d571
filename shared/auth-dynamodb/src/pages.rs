//! Reads of more than one row. The authorizer does not use them.

use auth::Cause;
use aws_client::cause_of;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::row::Row;

/// A row could not be read.
pub(crate) struct PageError(pub(crate) Cause);

/// All rows of one partition, strongly consistent.
pub(crate) async fn partition(
    client: &Client,
    table: &str,
    partition: String,
) -> Result<Vec<Row>, PageError> {
    let mut pages = client
        .query()
        .table_name(table)
        .consistent_read(true)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(partition))
        .into_paginator()
        .items()
        .send();
    let mut rows = Vec::new();
    while let Some(row) = pages.next().await {
        rows.push(row.map_err(|error| PageError(cause_of(&error)))?);
    }
    Ok(rows)
}

/// All rows of a table, strongly consistent.
pub(crate) async fn whole_table(client: &Client, table: &str) -> Result<Vec<Row>, PageError> {
    let mut pages = client
        .scan()
        .table_name(table)
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut rows = Vec::new();
    while let Some(row) = pages.next().await {
        rows.push(row.map_err(|error| PageError(cause_of(&error)))?);
    }
    Ok(rows)
}
