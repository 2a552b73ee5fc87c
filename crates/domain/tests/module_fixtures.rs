//! The files by which the Terraform modules' tests know what the domain says.
//!
//! Each holds routes and what becomes of them. Whoever changes a rule here finds the file that is no
//! longer true, and the modules' tests then find the module that is not.
#![expect(clippy::disallowed_methods, reason = "the files of the repository are what is tested")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use domain::config::Config;
use domain::environment::CONFIG_VARIABLE;
use serde_json::{Map, Value, json};

/// Holds `path`, below `modules`, to what `make` makes of its `config`.
fn check(path: &str, make: impl FnOnce(&Config, &mut Map<String, Value>)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules").join(path);
    let written = fs::read_to_string(&path).unwrap();
    let mut file: Map<String, Value> = serde_json::from_str(&written).unwrap();
    let config = Config::parse(&file["config"].to_string()).unwrap();
    make(&config, &mut file);
    let written: Value = serde_json::from_str(&written).unwrap();
    if written != Value::from(file.clone()) {
        let current = Path::new(env!("CARGO_TARGET_TMPDIR")).join(path.file_name().unwrap());
        fs::write(&current, format!("{:#}\n", Value::from(file))).unwrap();
        panic!("{} is not current; {} is", path.display(), current.display());
    }
}

#[test]
fn the_ingest_s_request_parameters_are_current() {
    check("webhook-ingest/tests/request-parameters.json", |config, file| {
        let queue_url = file["queue_url"].as_str().unwrap().to_owned();
        let parameters = config
            .routes()
            .iter()
            .map(|(name, route)| (name.clone(), json!(route.request_parameters(&queue_url))));
        file["request_parameters"] = parameters.collect();
    });
}

#[test]
fn the_forwarder_s_configuration_is_current() {
    check("webhook-forwarder/tests/configuration.json", |config, file| {
        let environment = config.forwarder_environment("", "");
        file["minified"] = json!(environment[CONFIG_VARIABLE]);
    });
}
