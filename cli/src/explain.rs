//! `gatehouse explain`: runs the authorizer's own steps one by one, without the table.

use std::fmt;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;

use api_gateway::Effect;
use auth::{AuthError, DenyReason, KeySource, Principal, UnixSeconds, UnverifiedToken, Verifier};
use auth_jwks::HttpsKeys;
use authorizer::Config;
use clap::Args;

use crate::operator::failed;

/// The request to explain. All other settings are read from the authorizer's own environment
/// variables.
#[derive(Args)]
pub(crate) struct Explain {
    /// The HTTP verb of the request.
    #[arg(long, default_value = "GET")]
    verb: String,
    /// The route's template, such as `/users/{id}`.
    #[arg(long, default_value = "/")]
    route: String,
    /// The path, for a route with a placeholder for it, such as `/{proxy+}`.
    #[arg(long)]
    path: Option<String>,
    /// A path parameter, as `name=value`; may be repeated.
    #[arg(long = "parameter", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// The source IP address of the request.
    #[arg(long)]
    source_ip: Option<IpAddr>,
    /// A file with the key set. No keys are fetched.
    #[arg(long)]
    jwks: Option<PathBuf>,
    /// Overrides `USER_POOL_ID`.
    #[arg(long)]
    user_pool_id: Option<String>,
    /// Overrides `APP_CLIENT_IDS`.
    #[arg(long)]
    app_client_ids: Option<String>,
    /// The time of the request in seconds since 1970; the default is now.
    #[arg(long)]
    at: Option<u64>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected name=value".to_owned())
}

/// The result of each step.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<(&'static str, Verdict)>,
}

enum Verdict {
    Passed(String),
    Refused(String),
    NotReached,
}

const STEPS: [&str; 6] = [
    "form",
    "issuer",
    "key",
    "signature and claims",
    "revocation",
    "rules",
];

impl Report {
    pub(crate) fn is_allowed(&self) -> bool {
        self.steps
            .iter()
            .all(|(_, verdict)| matches!(verdict, Verdict::Passed(_)))
    }

    fn passed(&mut self, detail: impl Into<String>) {
        self.push(Verdict::Passed(detail.into()));
    }

    /// Ends the report: the later steps are not reached.
    fn refused(mut self, detail: impl Into<String>) -> Self {
        self.push(Verdict::Refused(detail.into()));
        while self.steps.len() < STEPS.len() {
            self.push(Verdict::NotReached);
        }
        self
    }

    fn push(&mut self, verdict: Verdict) {
        if let Some(step) = STEPS.get(self.steps.len()) {
            self.steps.push((step, verdict));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, verdict) in &self.steps {
            match verdict {
                Verdict::Passed(detail) => writeln!(f, "ok  {step:<22}{detail}")?,
                Verdict::Refused(detail) => writeln!(f, "NO  {step:<22}{detail}")?,
                Verdict::NotReached => writeln!(f, "-   {step:<22}not reached")?,
            }
        }
        let end = if self.is_allowed() {
            "allowed"
        } else {
            "not allowed"
        };
        write!(f, "=>  {end}")
    }
}

impl Explain {
    /// Runs the steps.
    ///
    /// # Errors
    /// A text about the failure: the configuration, a file, the input.
    pub(crate) async fn run(self) -> Result<Report, String> {
        let inline = self
            .jwks
            .as_ref()
            .map(|path| {
                std::fs::read_to_string(path)
                    .map_err(|error| format!("{}: {error}", path.display()))
            })
            .transpose()?;
        let config = self.config(inline.as_deref())?;
        let now = UnixSeconds(self.at.unwrap_or_else(runtime::clock::unix_seconds));
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|_| "the token on standard input is not UTF-8".to_owned())?;
        // A header's value is accepted too: its scheme is not part of the token.
        let text = text.trim();
        let text = api_gateway::bearer::token_of(text).unwrap_or(text);
        Ok(self.steps(config, text, now).await)
    }

    /// The authorizer's configuration; the arguments take precedence over the environment.
    fn config(&self, inline: Option<&str>) -> Result<Config, String> {
        let lookup = |name: &str| {
            let argument = match name {
                "USER_POOL_ID" => self.user_pool_id.clone(),
                "APP_CLIENT_IDS" => self.app_client_ids.clone(),
                "JWKS" => inline.map(str::to_owned),
                // Keys in a file replace the fetch.
                "JWKS_URI" if inline.is_some() => Some(String::new()),
                _ => None,
            };
            let unused = || (name == "REVOCATION_TABLE").then(|| "not-asked".to_owned());
            argument
                .or_else(|| env_config::process(name))
                .or_else(unused)
        };
        Config::from_lookup(&lookup).map_err(|error| error.0.join("\n"))
    }

    async fn steps(&self, config: Config, text: &str, now: UnixSeconds) -> Report {
        let mut report = Report::default();
        let token = match UnverifiedToken::parse_within(text, config.settings.max_token_bytes) {
            Ok(token) => token,
            Err(reason) => return report.refused(reason.as_str()),
        };
        report.passed("a strict compact JWS");

        let (issuers, locations) = auth_jwks::config::split(config.issuers);
        let verifier = Verifier::new(issuers, config.token_rules);
        let issuer = match verifier.issuer_of(&token) {
            Ok(issuer) => issuer,
            Err(reason) => return report.refused(reason.as_str()),
        };
        report.passed(format!("{} ({})", issuer.id, issuer.url));

        let keys = HttpsKeys::new(locations);
        let key = match keys.key_for(issuer, token.unverified_kid(), now).await {
            Ok(key) => key,
            Err(AuthError::Unauthorized(reason)) => return report.refused(reason.as_str()),
            Err(AuthError::Unavailable(what)) => return report.refused(failed(what)),
        };
        report.passed(key.algorithm().as_str());

        let claims = match verifier.verify(token, issuer, &key, now) {
            Ok(claims) => claims,
            Err(reason) => return report.refused(reason.as_str()),
        };
        let who = match claims.principal() {
            Principal::User => "a user",
            Principal::Client => "a machine",
            Principal::ApiKey => "an API key",
        };
        report.passed(format!(
            "{who}, {} token, caller {} in the log, expires in {} s",
            claims.token_use(),
            claims.subject_hash(),
            claims.expires_at().since(now).unwrap_or(0)
        ));
        report.passed("not asked: this command does not read the table");

        let is_open = api_gateway::path::is_open(&self.route);
        let path = match self.path.as_deref() {
            Some(path) => {
                match api_gateway::path::normalize_path(path.strip_prefix('/').unwrap_or(path)) {
                    None => return report.refused(DenyReason::UnclearPath.as_str()),
                    path => path,
                }
            }
            None if is_open && config.settings.policies.uses_path() => {
                return report.refused("rules look at the path: name it with --path");
            }
            None => None,
        };
        let mut parameters = self.parameters.clone();
        if config.settings.policies.uses_parameters() {
            parameters = Vec::new();
            for parameter in api_gateway::routes::parameters_of(&self.route) {
                let mut given = self.parameters.iter();
                let Some((name, value)) = given.find(|(name, _)| name == parameter.name) else {
                    let why = "rules look at the route's parameters: name each with --parameter";
                    return report.refused(why);
                };
                match parameter.decode(value) {
                    Some(value) => parameters.push((name.clone(), value)),
                    None => return report.refused(DenyReason::UnclearPath.as_str()),
                }
            }
        }
        let request = auth_cedar::Request {
            verb: &self.verb,
            route: &self.route,
            path: path.as_deref().filter(|_| is_open),
            path_parameters: parameters,
            source_ip: self.source_ip,
            now,
        };
        let effect = config.settings.policies.decide(&claims, &request);
        let (verb, route) = (&self.verb, &self.route);
        if effect == Effect::Deny {
            return report.refused(format!("denied for {verb} {route}"));
        }
        report.passed(format!("allowed for {verb} {route}"));
        report
    }
}
