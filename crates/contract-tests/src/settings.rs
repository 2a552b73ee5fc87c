//! Configurations for tests: the file's types, with as little in them as a test needs.

use std::collections::BTreeMap;

use domain::config::{
    ConfigFile, DestinationFile, ForwarderFile, LogContentFile, QueueFile, RetryFile, RouteFile,
};
use domain::route::OnReject;

/// The destination that [`config`] has.
pub const DESTINATION: &str = "sss";
/// The route that [`config`] has.
pub const ROUTE: &str = "sss";

/// One route `sss` to one destination, with the defaults of the configuration file.
#[must_use]
pub fn config(url: &str) -> ConfigFile {
    ConfigFile {
        environment: "test".to_owned(),
        routes: BTreeMap::from([(ROUTE.to_owned(), route("/sqs-hook", url))]),
        queue: QueueFile::default(),
        forwarder: ForwarderFile::default(),
        logs: LogContentFile::default(),
        aws: None,
        notify: None,
        keep_delivered: None,
        production: false,
    }
}

/// The same, with the route changed.
#[must_use]
pub fn config_with(url: &str, change: impl FnOnce(&mut RouteFile)) -> ConfigFile {
    let mut config = config(url);
    change(config.routes.get_mut(ROUTE).expect("config() has this route"));
    config
}

/// A route to one destination.
#[must_use]
pub fn route(path: &str, url: &str) -> RouteFile {
    RouteFile {
        path: path.to_owned(),
        former_paths: Vec::new(),
        ordering_key: "$request.header.x-workflow-id".to_owned(),
        deduplication: "request".to_owned(),
        event_id: None,
        pass_headers: Vec::new(),
        verify: None,
        destinations: vec![destination(DESTINATION, url)],
        retry: RetryFile::default(),
        retry_statuses: Vec::new(),
        reject_statuses: Vec::new(),
        give_up_after_seconds: 72 * 60 * 60,
        on_reject: OnReject::DeadLetter,
    }
}

/// A destination with the default timeout.
#[must_use]
pub fn destination(name: &str, url: &str) -> DestinationFile {
    DestinationFile {
        name: name.to_owned(),
        url: url.to_owned(),
        timeout_seconds: 10,
        sign: None,
        client_certificate: None,
        headers: BTreeMap::new(),
        max_in_flight: None,
        max_per_second: None,
    }
}
