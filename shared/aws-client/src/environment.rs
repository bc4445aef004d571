//! The SDK's configuration of a Lambda function: from environment variables alone.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::endpoint_config::AccountIdEndpointMode;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::https::HttpsClient;

/// Reads a variable of the environment.
type Lookup = fn(&str) -> Option<String>;

/// The SDK's configuration of a Lambda function, which gets its region and credentials as environment variables. The
/// variables have the names and meanings that they have in all of AWS's SDKs, but no other source is read: no profile, no
/// metadata service, no web identity. Reading those would make each binary 0.1 MB larger and each start longer.
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
    let mode = environment.read("AWS_ACCOUNT_ID_ENDPOINT_MODE");
    let app_name = environment.read("AWS_SDK_UA_APP_ID");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        .http_client(HttpsClient::default());
    config.set_endpoint_url(environment.endpoint("AWS_ENDPOINT_URL"));
    config.set_use_fips(environment.flag("AWS_USE_FIPS_ENDPOINT"));
    config.set_use_dual_stack(environment.flag("AWS_USE_DUALSTACK_ENDPOINT"));
    config.set_account_id_endpoint_mode(
        mode.and_then(|mode| mode.parse::<AccountIdEndpointMode>().ok()),
    );
    config.set_app_name(app_name.and_then(|name| AppName::new(name).ok()));
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

    fn flag(self, name: &str) -> Option<bool> {
        self.read(name)
            .map(|value| value.eq_ignore_ascii_case("true"))
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
        let config = from_lookup(|name| of(&[("AWS_USE_DUALSTACK_ENDPOINT", "True")], name));
        assert_eq!(
            (config.use_fips(), config.use_dual_stack()),
            (None, Some(true))
        );
    }
}
