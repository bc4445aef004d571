//! DynamoDB sends a CRC-32 with every response; the SDK does not check it.

use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;

/// Rejects a response whose body does not match its `x-amz-crc32`.
/// Source: AWS, "DynamoDB low-level API", response header.
#[derive(Debug)]
pub(crate) struct ChecksumInterceptor;

impl Intercept for ChecksumInterceptor {
    fn name(&self) -> &'static str {
        "dynamodb-crc32"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let (Some(said), Some(body)) = (
            response.headers().get("x-amz-crc32"),
            response.body().bytes(),
        ) else {
            return Ok(());
        };
        if said.parse() == Ok(crc32fast::hash(body)) {
            Ok(())
        } else {
            Err("the response's checksum is wrong".into())
        }
    }
}
