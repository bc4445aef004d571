//! Prints an access token of the tests' user pool, and the key set that verifies it:
//!
//! ```sh
//! cargo run -p testkit --example token
//! ```

#![allow(
    clippy::print_stdout,
    reason = "it prints to standard output by design, and the key protects nothing"
)]

use testkit::Pool;

fn main() {
    let pool = Pool::ours();
    println!("{}", pool.access_token().build());
    println!("{}", pool.jwks());
}
