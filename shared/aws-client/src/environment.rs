//! The SDK's configuration of a Lambda function: from environment variables alone.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::endpoint_config::AccountIdEndpointMode;
use aws_types::region::Region;
use aws_types::sdk_config::{SharedCredentialsProvider, SharedTimeSource};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use tracing::warn;

use crate::https::HttpsClient;
use crate::roots;

/// Reads a variable of the environment.
type Lookup = fn(&str) -> Option<String>;

/// The SDK's configuration of a Lambda function, which gets its region and credentials as environment variables. No other
/// source is read: no profile, no metadata service, no web identity. Reading those would make each zip 0.3 MB larger and
/// each start longer.
///
/// Besides region and credentials: `AWS_ENDPOINT_URL` and its variants for single services,
/// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`, `AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`,
/// `AWS_ACCOUNT_ID_ENDPOINT_MODE` and `AWS_SDK_UA_APP_ID`, with the meanings that they have in AWS's SDKs. An invalid value
/// counts as absent, and is a warning.
///
/// Its clients trust the roots that [`crate::sdk_config`] describes.
#[must_use]
pub fn sdk_config_in_lambda() -> SdkConfig {
    from_lookup(env_config::process)
}

fn from_lookup(lookup: Lookup) -> SdkConfig {
    let environment = Environment(lookup);
    let region = environment
        .read("AWS_REGION")
        .or_else(|| environment.read("AWS_DEFAULT_REGION"));
    let is_elsewhere = region.as_deref().is_some_and(roots::are_other_in);
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        // `AssumeRoleProvider` requires one.
        .time_source(SharedTimeSource::default())
        .http_client(HttpsClient::new(is_elsewhere));
    config.set_endpoint_url(environment.endpoint("AWS_ENDPOINT_URL"));
    config.set_use_fips(environment.flag("AWS_USE_FIPS_ENDPOINT"));
    config.set_use_dual_stack(environment.flag("AWS_USE_DUALSTACK_ENDPOINT"));
    let mode = |text: String| text.parse::<AccountIdEndpointMode>().ok();
    config.set_account_id_endpoint_mode(environment.valid("AWS_ACCOUNT_ID_ENDPOINT_MODE", mode));
    let app_name = |name| AppName::new(name).ok();
    config.set_app_name(environment.valid("AWS_SDK_UA_APP_ID", app_name));
    config.service_config(environment).build()
}

/// The variables of single services, such as `AWS_ENDPOINT_URL_DYNAMODB`.
#[derive(Clone, Copy, Debug)]
struct Environment(Lookup);

impl Environment {
    fn read(self, name: &str) -> Option<String> {
        let Self(lookup) = self;
        lookup(name).filter(|value| !value.is_empty())
    }

    fn valid<T>(self, name: &'static str, parse: impl FnOnce(String) -> Option<T>) -> Option<T> {
        let parsed = parse(self.read(name)?);
        if parsed.is_none() {
            warn!("{name} is invalid");
        }
        parsed
    }

    fn flag(self, name: &'static str) -> Option<bool> {
        self.valid(name, |value| match value.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    fn endpoint(self, name: &str) -> Option<String> {
        let ignored = self.flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        self.read(name).filter(|_| ignored != Some(true))
    }
}

impl LoadServiceConfig for Environment {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace([' ', '-'], "_");
        self.endpoint(&format!("{}_{service}", key.env()))
            .or_else(|| self.endpoint(key.env()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: (&str, &str) = ("AWS_REGION", "eu-north-1");

    fn of(pairs: &[(&str, &str)], name: &str) -> Option<String> {
        let found = pairs.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn service(config: &SdkConfig, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .profile("endpoint_url")
            .env("AWS_ENDPOINT_URL")
            .build()
            .unwrap();
        config.service_config().unwrap().load_config(key)
    }

    #[test]
    fn region_and_credentials_come_from_the_environment() {
        let config = from_lookup(|name| of(&[REGION], name));
        assert_eq!(config.region(), Some(&Region::new("eu-north-1")));
        let config = from_lookup(|name| of(&[("AWS_DEFAULT_REGION", "eu-south-1")], name));
        assert_eq!(config.region(), Some(&Region::new("eu-south-1")));
        assert_eq!(from_lookup(|_| None).region(), None);
        assert!(config.credentials_provider().is_some() && config.http_client().is_some());
        assert!(config.time_source().is_some(), "for `AssumeRoleProvider`");
    }

    #[test]
    fn endpoints_are_read_for_all_services_and_for_one() {
        const ALL: (&str, &str) = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        const SECRETS: (&str, &str) = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:2");
        let config = from_lookup(|name| of(&[REGION, ALL, SECRETS], name));
        assert_eq!(config.endpoint_url(), Some(ALL.1));
        assert_eq!(
            service(&config, "Secrets Manager").as_deref(),
            Some(SECRETS.1)
        );
        assert_eq!(service(&config, "DynamoDB").as_deref(), Some(ALL.1));
        let config = from_lookup(|name| {
            let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
            of(&[REGION, ALL, SECRETS, ignored], name)
        });
        assert_eq!(config.endpoint_url(), None);
        assert_eq!(service(&config, "Secrets Manager"), None);
    }

    #[test]
    fn kinds_of_endpoints_are_chosen() {
        let config = from_lookup(|name| {
            let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
            let mode = ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled");
            of(&[REGION, fips, mode], name)
        });
        assert_eq!(
            (config.use_fips(), config.use_dual_stack()),
            (Some(true), None)
        );
        let mode = config.account_id_endpoint_mode();
        assert_eq!(mode, Some(&AccountIdEndpointMode::Disabled));
        let config = from_lookup(|name| of(&[("AWS_USE_FIPS_ENDPOINT", "yes")], name));
        assert_eq!(config.use_fips(), None, "as in the SDK");
        let config = from_lookup(|name| of(&[("AWS_USE_DUALSTACK_ENDPOINT", "True")], name));
        assert_eq!(
            (config.use_fips(), config.use_dual_stack()),
            (None, Some(true))
        );
    }
}
