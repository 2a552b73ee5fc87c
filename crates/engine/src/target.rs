//! Development: the routes of an environment, with another service behind them.

use domain::config::{Config, ConfigError};
use url::Url;

/// The configuration with `target` as scheme, host and port of every destination, and as their path
/// too if it has one.
///
/// # Errors
///
/// [`ConfigError`] if destinations may not be there.
pub fn with_target(config: &Config, target: &Url) -> Result<Config, ConfigError> {
    let mut file = config.file().clone();
    let destinations = file.routes.values_mut().flat_map(|route| &mut route.destinations);
    for destination in destinations {
        let mut url = target.clone();
        if url.path() == "/"
            && let Ok(own) = Url::parse(&destination.url)
        {
            url.set_path(own.path());
            url.set_query(own.query());
        }
        destination.url = url.into();
    }
    Config::check(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: &str) {
        let config = Config::parse(
            r#"{"environment":"dev","routes":{"sss":{"path":"/sqs-hook","ordering_key":"all",
                "destinations":[{"name":"sss","url":"https://sss.example.com/hook?v=2"}]}}}"#,
        )
        .unwrap();
        let config = with_target(&config, &Url::parse(target).unwrap()).unwrap();
        assert_eq!(config.routes()["sss"].destinations()[0].url().as_str(), expected);
    }

    #[test]
    fn paths_stay_unless_the_target_has_one() {
        check("http://127.0.0.1:9010", "http://127.0.0.1:9010/hook?v=2");
        check("http://127.0.0.1:9010/other", "http://127.0.0.1:9010/other");
    }
}
