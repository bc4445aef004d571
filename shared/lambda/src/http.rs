//! Requests and responses of API Gateway's proxy integration, REST or HTTP API, and of function
//! URLs and load balancers, which send the same events.
//! Source: AWS, "Input format" and "Output format of a Lambda function for proxy integration".

mod refresh_cookie;
mod request;
mod response;

pub use refresh_cookie::RefreshCookie;
pub use request::{Request, RequestError, Sender};
pub use response::Response;
