//! Requests and responses of API Gateway's proxy integration, REST or HTTP API, of function URLs, which send the same
//! events, and of load balancers, whose events and responses have other forms ([`Response::in_answer_to`]).
//! Source: AWS, "Input format" and "Output format of a Lambda function for proxy integration"; "Lambda functions as
//! targets of Application Load Balancers".

mod refresh_cookie;
mod request;
mod response;

pub use refresh_cookie::RefreshCookie;
pub use request::{LoadBalancer, Request, RequestError, Sender};
pub use response::Response;
