//! Reads of more than one row. The authorizer does not use them.

use auth::{Cause, Dependency};
use aws_client::{Call, cause_of};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::row::Row;

/// A row could not be read.
pub(crate) struct PageError(pub(crate) Cause);

/// All rows of one partition, strongly consistent.
pub(crate) async fn partition(
    client: &Client,
    dependency: Dependency,
    table: &str,
    partition: String,
) -> Result<Vec<Row>, PageError> {
    let pages = client
        .query()
        .table_name(table)
        .consistent_read(true)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(partition))
        .into_paginator()
        .items()
        .send();
    let rows = pages.try_collect().in_span(dependency).await;
    rows.map_err(|error| PageError(cause_of(&error)))
}

/// All rows of a table, strongly consistent.
pub(crate) async fn whole_table(
    client: &Client,
    dependency: Dependency,
    table: &str,
) -> Result<Vec<Row>, PageError> {
    let pages = client
        .scan()
        .table_name(table)
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let rows = pages.try_collect().in_span(dependency).await;
    rows.map_err(|error| PageError(cause_of(&error)))
}
