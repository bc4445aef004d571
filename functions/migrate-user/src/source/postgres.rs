//! An old table in PostgreSQL, read by the operator's query with the name as its parameter.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use auth::{Cause, Dependency, Secret, Unavailable};
use aws_client::in_span;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{LegacySource, MAX_USERS, SourceError};
use crate::rules::Rules;
use crate::user::LegacyUser;
use usernames::normalize;

const CONNECT: Duration = Duration::from_secs(1);
const QUERY: Duration = Duration::from_millis(1_500);

pub(crate) struct Postgres {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    query: String,
    /// Kept between events; reopened after it was closed, mostly while the process was frozen.
    connection: Mutex<Option<Arc<Client>>>,
}

impl Postgres {
    /// `address` is a connection string of libpq. Requires TLS unless the server is on the local machine.
    pub(crate) fn new(address: &Secret, query: &str) -> Result<Self, Unavailable> {
        // The connection string is invalid.
        let invalid = Dependency::Legacy.unavailable(Cause::Invalid);
        let mut config: Config = address.expose().parse().map_err(|_| invalid)?;
        config.connect_timeout(CONNECT);
        let hosts = config.get_hosts();
        let is_local = !hosts.is_empty()
            && hosts.iter().all(|host| match host {
                Host::Tcp(name) => matches!(name.as_str(), "127.0.0.1" | "localhost" | "::1"),
                Host::Unix(_) => true,
            });
        let tls = if is_local && config.get_ssl_mode() != SslMode::Require {
            None
        } else {
            config.ssl_mode(SslMode::Require);
            Some(MakeRustlsConnect::new(tls_config()?))
        };
        // PostgreSQL converts columns of any type to JSON.
        let query = format!(
            "SELECT row_to_json(legacy)::text FROM ({query}) AS legacy LIMIT {}",
            MAX_USERS + 1
        );
        Ok(Self {
            config,
            tls,
            query,
            connection: Mutex::default(),
        })
    }

    async fn connection(&self) -> Result<Arc<Client>, SourceError> {
        let mut kept = self.connection.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let client = match &self.tls {
            None => {
                let connecting = self.config.connect(NoTls);
                let (client, connection) = within(CONNECT, connecting).await?;
                tokio::spawn(connection);
                client
            }
            Some(tls) => {
                let connecting = self.config.connect(tls.clone());
                let (client, connection) = within(CONNECT, connecting).await?;
                tokio::spawn(connection);
                client
            }
        };
        let client = Arc::new(client);
        *kept = Some(Arc::clone(&client));
        Ok(client)
    }

    async fn rows(&self, name: &str) -> Result<Vec<String>, SourceError> {
        let reading = self.read(name);
        in_span(Dependency::Legacy, "SELECT", reading, |error| error.cause()).await
    }

    async fn read(&self, name: &str) -> Result<Vec<String>, SourceError> {
        let client = self.connection().await?;
        let rows = within(QUERY, client.query(&self.query, &[&name])).await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                if matches!(error, SourceError::Down(_)) {
                    *self.connection.lock().await = None;
                }
                return Err(error);
            }
        };
        if rows.len() > MAX_USERS {
            return Err(SourceError::TooMany);
        }
        rows.iter()
            .map(|row| row.try_get(0).map_err(|_| SourceError::UNREADABLE))
            .collect()
    }
}

async fn within<T>(
    limit: Duration,
    doing: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(limit, doing).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(classify(&error)),
        Err(_) => Err(SourceError::Down(Cause::Timeout)),
    }
}

/// Classifies an error by the class of its SQLSTATE: a name that the query cannot take, an unavailable server,
/// or an invalid query. An internal error (`XX`) that ends the connection is an unavailable server: poolers answer so
/// when they have no free connection. Any other, mostly about a corrupt row, concerns one name: the server has
/// answered.
/// Source: PostgreSQL, "PostgreSQL Error Codes".
fn classify(error: &tokio_postgres::Error) -> SourceError {
    let code = error.code().map(|code| code.code().get(..2).unwrap_or(""));
    match code {
        Some("22") => SourceError::Refused,
        None | Some("08" | "25" | "28" | "53" | "55" | "57" | "58") => {
            SourceError::Down(cause_of(error))
        }
        Some("XX") if ends_connection(error) => SourceError::Down(cause_of(error)),
        Some(_) => SourceError::Unusable(cause_of(error)),
    }
}

/// Whether the error's severity is FATAL or PANIC. The severity that is never translated (`V`) is missing from old
/// servers' messages and may be from a pooler's; the other one then decides.
/// Source: PostgreSQL, "Error and Notice Message Fields".
fn ends_connection(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_some_and(|error| match error.parsed_severity() {
            Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
            None => matches!(error.severity(), "FATAL" | "PANIC"),
        })
}

/// The cause behind an SQLSTATE or, without one, behind the connection's error.
/// Source: PostgreSQL, "PostgreSQL Error Codes".
fn cause_of(error: &tokio_postgres::Error) -> Cause {
    match error.code().map(SqlState::code) {
        Some(code) => of_sqlstate(code),
        None => match io_error(error).map(std::io::Error::kind) {
            Some(ErrorKind::TimedOut) => Cause::Timeout,
            Some(_) => Cause::Connection,
            None if error.is_closed() => Cause::Connection,
            None => Cause::Other,
        },
    }
}

fn of_sqlstate(code: &str) -> Cause {
    match (code, code.get(..2)) {
        // `insufficient_privilege`, and the class of failed authentications.
        ("42501", _) | (_, Some("28")) => Cause::AccessDenied,
        // `undefined_table`, `undefined_column`, `undefined_function`, a missing database or schema.
        ("42P01" | "42703" | "42883" | "3D000" | "3F000", _) => Cause::NotFound,
        // `query_canceled` (`statement_timeout`), `lock_not_available`.
        ("57014" | "55P03", _) => Cause::Timeout,
        // Insufficient resources: `too_many_connections`.
        (_, Some("53")) => Cause::Throttled,
        // Connection exceptions, and a server that is starting or shutting down.
        (_, Some("08" | "57")) => Cause::Connection,
        _ => Cause::Other,
    }
}

fn io_error(error: &tokio_postgres::Error) -> Option<&std::io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        source = error.source();
    }
    None
}

/// TLS with the system's root certificates.
fn tls_config() -> Result<ClientConfig, Unavailable> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|_| Dependency::Legacy.unavailable(Cause::Other))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl LegacySource for Postgres {
    async fn find(
        &self,
        typed: &str,
        _: Option<&Secret>,
        rules: &Rules,
    ) -> Result<Vec<LegacyUser>, SourceError> {
        let name = normalize(typed, rules.case_sensitive);
        let rows = match self.rows(&name).await {
            Ok(rows) => rows,
            // The connection may have been closed while the process was frozen; reading twice is harmless.
            Err(SourceError::Down(_)) => self.rows(&name).await?,
            Err(error) => return Err(error),
        };
        let mut users = Vec::new();
        for row in rows {
            let record: Map<String, Value> =
                serde_json::from_str(&row).map_err(|_| SourceError::UNREADABLE)?;
            let user = LegacyUser::from_record(&record, rules);
            users.push(user.ok_or(SourceError::UNREADABLE)?);
        }
        Ok(users)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Reads the start of a session, and answers with an error.
    /// Source: PostgreSQL, "Message Formats", `StartupMessage` and `ErrorResponse`.
    fn refuse(mut client: TcpStream, fields: &[String]) -> std::io::Result<()> {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let rest = u32::from_be_bytes(length) - 4;
        client.read_exact(&mut vec![0; usize::try_from(rest).unwrap()])?;
        let mut body = Vec::new();
        for field in fields {
            body.extend_from_slice(field.as_bytes());
            body.push(0);
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        client.write_all(&[b"E", &length[..], &body].concat())
    }

    /// The class of an error whose message has these severities and this SQLSTATE.
    async fn class_of(severities: &[&str], code: &str) -> Option<SourceError> {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let mut fields: Vec<String> = severities.iter().map(ToString::to_string).collect();
        fields.extend([format!("C{code}"), "Mfailed".to_owned()]);
        let serving = std::thread::spawn(move || refuse(server.accept()?.0, &fields));
        let address = format!("postgres://gatehouse@127.0.0.1:{port}/people");
        let source = Postgres::new(&Secret::new(address), "SELECT $1").unwrap();
        let found = source.connection().await.err();
        serving.join().unwrap().unwrap();
        found
    }

    #[tokio::test]
    async fn an_internal_error_is_an_outage_only_if_it_ends_the_connection() {
        const FATAL: &[&str] = &["SFATAL", "VFATAL"];
        const ERROR: &[&str] = &["SERROR", "VERROR"];
        let down = SourceError::Down;
        let unusable = SourceError::Unusable;
        for (severities, code, expected) in [
            (FATAL, "XX000", down(Cause::Other)),
            (&["SPANIC", "VPANIC"], "XX000", down(Cause::Other)),
            // Without the severity that is not translated.
            (&["SFATAL"], "XX000", down(Cause::Other)),
            (&["SFATAL\u{c9}", "VFATAL"], "XX000", down(Cause::Other)),
            (ERROR, "XX000", unusable(Cause::Other)),
            (ERROR, "XX001", unusable(Cause::Other)),
            (&["SERROR"], "XX001", unusable(Cause::Other)),
            (&["SFEHLER"], "XX001", unusable(Cause::Other)),
            // The severity matters to no other class.
            (FATAL, "3D000", unusable(Cause::NotFound)),
            (ERROR, "53300", down(Cause::Throttled)),
            (FATAL, "22021", SourceError::Refused),
        ] {
            let found = class_of(severities, code).await;
            assert_eq!(found, Some(expected), "{severities:?} {code}");
        }
    }
}
