//! Benchmarks. They print ratios to a baseline of the same run: times depend on the machine, ratios
//! on the code.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed benchmark may panic"
)]

pub mod decision;
pub mod output;
pub mod process;
pub mod start;
pub mod timing;
pub mod tls;
pub mod warm;

/// Connects to the PostgreSQL that `make bench PART=migration` starts; returns a client and the address.
///
/// # Panics
/// If the database is not available.
pub async fn database() -> (tokio_postgres::Client, String) {
    let stack = std::env::var("GATEHOUSE_STACK").expect("`make bench PART=migration` sets it");
    let stack: serde_json::Value = serde_json::from_str(&stack).expect("JSON");
    let address = stack["postgres"].as_str().expect("an address").to_owned();
    let connecting = tokio_postgres::connect(&address, tokio_postgres::NoTls).await;
    let (client, connection) = connecting.expect("a database");
    tokio::spawn(connection);
    (client, address)
}

/// The maximum distance between two distributions, and the probability of such a distance by
/// chance.
///
/// Source: Press et al., Numerical Recipes, section 14.3 (the asymptotic series).
#[must_use]
pub fn kolmogorov_smirnov(first: &mut [f64], second: &mut [f64]) -> (f64, f64) {
    first.sort_by(f64::total_cmp);
    second.sort_by(f64::total_cmp);
    let (n, m) = (first.len() as f64, second.len() as f64);
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while i < first.len() && j < second.len() {
        let value = first[i].min(second[j]);
        while i < first.len() && first[i] <= value {
            i += 1;
        }
        while j < second.len() && second[j] <= value {
            j += 1;
        }
        distance = distance.max((i as f64 / n - j as f64 / m).abs());
    }
    let effective = (n * m / (n + m)).sqrt();
    let lambda = (effective + 0.12 + 0.11 / effective) * distance;
    let p: f64 = (1..=100)
        .map(|k| {
            let k = f64::from(k);
            let sign = if k as u32 % 2 == 1 { 2.0 } else { -2.0 };
            sign * (-2.0 * k * k * lambda * lambda).exp()
        })
        .sum();
    (distance, p.clamp(0.0, 1.0))
}
