//! Requests and answers of API Gateway's proxy integration, REST or HTTP API, and of those that send
//! the same events: function URLs and load balancers.
//! Source: AWS, "Input format" and "Output format of a Lambda function for proxy integration".

mod refresh_cookie;
mod request;
mod response;

pub use refresh_cookie::RefreshCookie;
pub use request::{BadRequest, Request, Sender};
pub use response::Response;
