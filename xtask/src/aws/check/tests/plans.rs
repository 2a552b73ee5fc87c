//! Plans of today's modules, made by Terraform and its provider: of the environment `dev` before its
//! first deployment, and of the same once it is deployed.
//!
//! There is no account, so the state of what is deployed is made from the first plan: what only AWS
//! could tell (ids, ARNs, URLs) gets a value of its form, and Terraform plans anew, twice, until all
//! that is made from those is in the state as well.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::workspace;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "ap-northeast-1";
pub(super) const API: &str = "a1b2c3d4e5";

pub(super) struct Plans {
    /// Before the first deployment.
    pub(super) first: Value,
    /// Of what is deployed.
    pub(super) later: Value,
}

/// The plans; `None` where Terraform or its provider cannot be had, which is told.
pub(super) fn plans() -> Option<&'static Plans> {
    static PLANS: OnceLock<Result<Option<Plans>, String>> = OnceLock::new();
    let made = PLANS.get_or_init(make);
    made.as_ref().unwrap_or_else(|said| panic!("{said}")).as_ref()
}

fn make() -> Result<Option<Plans>, String> {
    let dir = tempfile::tempdir().unwrap();
    let root = workspace::root();
    copy(&root.join("modules"), &dir.path().join("modules"));
    let environment = dir.path().join("environments").join("dev");
    copy(&root.join("environments/dev"), &environment);
    // A provider that asks nobody.
    let provider = root.join("environments/local/provider.tf");
    std::fs::copy(provider, environment.join("provider.tf")).unwrap();
    let artifact = json!({ "artifact": {
        "path": "function.zip", "code_sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "architecture": "arm64",
    }});
    std::fs::write(environment.join("a.auto.tfvars.json"), artifact.to_string()).unwrap();
    let endpoint = stand_in();
    if !can_be_had(&environment, &endpoint)? {
        return Ok(None);
    }
    let first = plan(&environment, &endpoint)?;
    let mut later = first.clone();
    for serial in 1..=2 {
        let state = state(&later, serial);
        std::fs::write(environment.join("terraform.tfstate"), state.to_string()).unwrap();
        later = plan(&environment, &endpoint)?;
    }
    Ok(Some(Plans { first, later }))
}

/// Readies a folder for Terraform; whether Terraform and its provider can be had here, or else that is
/// told.
pub(super) fn can_be_had(dir: &Path, endpoint: &str) -> Result<bool, String> {
    let Err(said) = terraform(dir, endpoint, &["init", "-input=false", "-no-color"]) else {
        return Ok(true);
    };
    let signs = [
        "terraform: ",
        "Failed to query available provider packages",
        "Failed to install provider",
    ];
    if signs.iter().any(|sign| said.contains(sign)) {
        eprintln!("skipped: Terraform or its provider cannot be had here: {said}");
        return Ok(false);
    }
    Err(said)
}

pub(super) fn plan(dir: &Path, endpoint: &str) -> Result<Value, String> {
    terraform(
        dir,
        endpoint,
        &["plan", "-input=false", "-refresh=false", "-no-color", "-out=p.tfplan"],
    )?;
    let shown = terraform(dir, endpoint, &["show", "-json", "p.tfplan"])?;
    Ok(serde_json::from_str(&shown).unwrap())
}

pub(super) fn terraform(dir: &Path, endpoint: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("terraform");
    command.args(arguments).current_dir(dir).env("TF_VAR_emulator_endpoint", endpoint);
    command.env("CHECKPOINT_DISABLE", "1").env_remove("TF_DATA_DIR").env("TF_IN_AUTOMATION", "1");
    let output = command.output().map_err(|error| format!("terraform: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() {
            if name != ".terraform" {
                copy(&path, &to.join(name));
            }
        } else if !name.to_string_lossy().contains("tfstate") {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Answers what the data source of the API asks, for as long as the tests run.
fn stand_in() -> String {
    serve(|_| api())
}

/// The API as API Gateway tells it.
pub(super) fn api() -> Value {
    json!({
        "apiId": API, "name": "dev-webhook", "protocolType": "HTTP", "tags": {},
        "apiEndpoint": format!("https://{API}.execute-api.{REGION}.amazonaws.com"),
        "apiKeySelectionExpression": "$request.header.x-api-key",
        "routeSelectionExpression": "$request.method $request.path",
        "disableExecuteApiEndpoint": false, "ipAddressType": "ipv4",
    })
}

/// A request: its method, its path, and its body if it has one.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Value,
}

/// Answers requests one after another, for as long as the tests run; where it listens.
pub(super) fn serve(mut answer: impl FnMut(&Asked) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let Some(asked) = asked(&mut stream) else { continue };
            let body = answer(&asked).to_string();
            // Who does not wait for the answer has not asked.
            let _unheard = write!(
                stream.get_mut(),
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    endpoint
}

fn asked(stream: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked { method, path, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// Resources of planned values, with those of the modules below.
pub(super) fn planned(plan: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut modules = vec![&plan["planned_values"]["root_module"]];
    while let Some(module) = modules.pop() {
        modules.extend(module["child_modules"].as_array().into_iter().flatten());
        let address = module["address"].as_str().unwrap_or_default();
        for resource in module["resources"].as_array().into_iter().flatten() {
            found.push((address.to_owned(), resource.clone()));
        }
    }
    found
}

/// A state with everything that is planned.
pub(super) fn state(plan: &Value, serial: u32) -> Value {
    let mut resources: BTreeMap<String, Value> = BTreeMap::new();
    for (module, resource) in planned(plan) {
        if resource["mode"] != "managed" {
            continue;
        }
        let (kind, name) = (resource["type"].as_str().unwrap(), resource["name"].as_str().unwrap());
        let provider = if kind == "terraform_data" {
            "terraform.io/builtin/terraform"
        } else {
            "registry.terraform.io/hashicorp/aws"
        };
        let mut attributes = resource["values"].clone();
        for (name, value) in told_by_aws(kind, &attributes, resource["address"].as_str().unwrap()) {
            if attributes[name].is_null() {
                attributes[name] = value.into();
            }
        }
        // What nothing is said of is empty, not unknown.
        let has_tags = attributes.get("tags").is_some();
        for (has, name, empty) in [
            (has_tags, "tags_all", json!({})),
            (kind == "aws_iam_role", "managed_policy_arns", json!([])),
        ] {
            if has && attributes[name].is_null() {
                attributes[name] = empty;
            }
        }
        if kind == "terraform_data" && attributes["input"].is_string() {
            for name in ["input", "output"] {
                attributes[name] =
                    json!({ "type": "string", "value": resource["values"]["input"] });
            }
        }
        let mut instance = json!({
            "schema_version": resource["schema_version"], "attributes": attributes,
            "sensitive_attributes": [],
        });
        if !resource["index"].is_null() {
            instance["index_key"] = resource["index"].clone();
        }
        let entry = resources.entry(format!("{module} {kind} {name}")).or_insert_with(|| {
            json!({
                "module": module, "mode": "managed", "type": kind, "name": name, "instances": [],
                "provider": format!("provider[\"{provider}\"]"),
            })
        });
        entry["instances"].as_array_mut().unwrap().push(instance);
    }
    json!({
        "version": 4, "terraform_version": "1.11.0", "serial": serial, "lineage": "test",
        "outputs": {}, "resources": resources.into_values().collect::<Vec<_>>(),
    })
}

/// What only AWS tells of a resource, by attribute.
fn told_by_aws(kind: &str, values: &Value, address: &str) -> Vec<(&'static str, String)> {
    let name = ["name", "function_name", "alarm_name", "dashboard_name"]
        .iter()
        .find_map(|name| values[*name].as_str())
        .unwrap_or(address);
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}");
    let id = format!(
        "id-{:x}",
        address.bytes().fold(7_u32, |sum, b| sum.wrapping_mul(31) + u32::from(b))
    );
    match kind {
        "aws_sqs_queue" => {
            let url = format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}");
            vec![("arn", arn("sqs", name)), ("url", url.clone()), ("id", url)]
        }
        "aws_iam_role" => {
            let unique = format!("AROA{}", id.to_uppercase().replace('-', ""));
            vec![
                ("arn", format!("arn:aws:iam::{ACCOUNT}:role/{name}")),
                ("unique_id", unique),
                ("id", name.to_owned()),
            ]
        }
        "aws_lambda_function" => {
            let arn = arn("lambda", &format!("function:{name}"));
            let hash = values["source_code_hash"].as_str().unwrap_or_default().to_owned();
            let invoke = format!(
                "arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
            );
            vec![
                ("qualified_arn", format!("{arn}:7")),
                ("arn", arn),
                ("version", "7".to_owned()),
                ("code_sha256", hash),
                ("invoke_arn", invoke),
                ("id", name.to_owned()),
            ]
        }
        "aws_lambda_alias" => {
            let arn = arn("lambda", &format!("function:dev-webhook-forwarder:{name}"));
            vec![("id", arn.clone()), ("arn", arn)]
        }
        "aws_lambda_event_source_mapping" => {
            let uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";
            vec![
                ("uuid", uuid.to_owned()),
                ("id", uuid.to_owned()),
                ("arn", arn("lambda", &format!("event-source-mapping:{uuid}"))),
            ]
        }
        "aws_apigatewayv2_api" => vec![
            ("id", API.to_owned()),
            ("api_endpoint", format!("https://{API}.execute-api.{REGION}.amazonaws.com")),
            ("execution_arn", arn("execute-api", API)),
            ("arn", format!("arn:aws:apigateway:{REGION}::/apis/{API}")),
        ],
        "aws_cloudwatch_log_group" => {
            vec![("arn", arn("logs", &format!("log-group:{name}"))), ("id", name.to_owned())]
        }
        "aws_cloudwatch_metric_alarm" => {
            vec![("arn", arn("cloudwatch", &format!("alarm:{name}"))), ("id", name.to_owned())]
        }
        "aws_sns_topic" => vec![("arn", arn("sns", name)), ("id", arn("sns", name))],
        "aws_kms_key" => {
            vec![("arn", arn("kms", &format!("key/{id}"))), ("id", id.clone()), ("key_id", id)]
        }
        _ => vec![("id", id)],
    }
}
