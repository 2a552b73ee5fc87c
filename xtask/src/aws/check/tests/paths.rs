//! A route's path changes: in which order API Gateway is asked, by what Terraform really does with the
//! modules.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::plans::{API, Asked, api, can_be_had, copy, plan, serve, state, terraform};
use crate::test::QUICK_VARIABLE;
use crate::workspace;

const ROOT: &str = r#"
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "emulator_endpoint" {
  type = string
}

variable "route" {
  type = any
}

provider "aws" {
  region                      = "ap-northeast-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true

  endpoints {
    apigatewayv2 = var.emulator_endpoint
  }
}

module "api" {
  source         = "./modules/http-api"
  name           = "dev-webhook"
  route_settings = module.ingest.route_settings
}

module "ingest" {
  source      = "./modules/webhook-ingest"
  environment = "dev"
  api         = { id = module.api.api_id }
  queue_url   = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/dev-webhook.fifo"
  queue_arn   = "arn:aws:sqs:ap-northeast-1:123456789012:dev-webhook.fifo"
  routes      = { sss = merge({ ordering_key = "$request.header.x-workflow-id" }, var.route) }
}
"#;

/// An API Gateway that has whatever routes are made, and what it was asked to change.
#[derive(Default)]
struct Gateway {
    changes: Vec<String>,
    routes: Vec<Value>,
}

impl Gateway {
    fn answer(&mut self, asked: &Asked) -> Value {
        let of_api = format!("/v2/apis/{API}");
        let at = asked.path.strip_prefix(&of_api).unwrap_or_default();
        let parts: Vec<&str> = at.trim_start_matches('/').split('/').collect();
        let key = |id: &str, routes: &[Value]| {
            let route = routes.iter().find(|route| route["routeId"] == id);
            route.map_or_else(|| "the first".to_owned(), |route| route["routeKey"].to_string())
        };
        match (asked.method.as_str(), parts.as_slice()) {
            ("POST", ["routes"]) => {
                let mut route = asked.body.clone();
                route["routeId"] = json!(format!("r-{}", self.routes.len()));
                self.changes.push(format!("make {}", route["routeKey"]));
                self.routes.push(route.clone());
                route
            }
            ("GET", ["routes", id]) => {
                let found = self.routes.iter().find(|route| route["routeId"] == *id);
                found.cloned().unwrap_or_default()
            }
            ("DELETE", ["routes", id]) => {
                self.changes.push(format!("delete {}", key(id, &self.routes)));
                json!({})
            }
            ("PATCH", ["stages", _]) => {
                let settings = asked.body["routeSettings"].as_object().cloned().unwrap_or_default();
                let names: Vec<&String> = settings.keys().collect();
                self.changes.push(format!("stage {names:?}"));
                json!({ "stageName": "$default" })
            }
            ("GET", ["stages", _]) => json!({ "stageName": "$default", "autoDeploy": true }),
            ("GET", [""]) => api(),
            (method, _) => {
                self.changes.push(format!("{method} {}", asked.path));
                json!({})
            }
        }
    }
}

#[test]
fn a_path_changes_without_a_moment_in_which_the_stage_names_a_route_that_is_gone() {
    if std::env::var_os(QUICK_VARIABLE).is_some() {
        return eprintln!("skipped: left out by --quick");
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&workspace::root().join("modules"), &dir.path().join("modules"));
    std::fs::write(dir.path().join("main.tf"), ROOT).unwrap();
    let gateway = Arc::new(Mutex::new(Gateway::default()));
    let of_server = Arc::clone(&gateway);
    let lock = |gateway: &Mutex<Gateway>, asked: &Asked| {
        gateway.lock().unwrap_or_else(PoisonError::into_inner).answer(asked)
    };
    let endpoint = serve(move |asked| lock(&of_server, asked));
    if !can_be_had(dir.path(), &endpoint).unwrap() {
        return;
    }
    let say = |route: Value| {
        let variables = json!({ "route": route }).to_string();
        std::fs::write(dir.path().join("a.auto.tfvars.json"), variables).unwrap();
    };
    // What is there already, as if it had been applied.
    say(json!({ "path": "/old" }));
    let mut planned = plan(dir.path(), &endpoint).unwrap();
    for serial in 1..=3 {
        let state = state(&planned, serial).to_string();
        std::fs::write(dir.path().join("terraform.tfstate"), state).unwrap();
        planned = plan(dir.path(), &endpoint).unwrap();
    }
    let others = planned["resource_changes"].as_array().unwrap().iter().filter(|change| {
        change["mode"] == "managed" && change["change"]["actions"] != json!(["no-op"])
    });
    let others: Vec<&Value> = others.map(|change| &change["address"]).collect();
    assert!(others.is_empty(), "more than the path would change: {others:?}");
    let changes = |route: Value| {
        say(route);
        let apply = ["apply", "-input=false", "-no-color", "-auto-approve", "-refresh=false"];
        terraform(dir.path(), &endpoint, &apply).unwrap();
        std::mem::take(&mut gateway.lock().unwrap().changes)
    };
    // Of the first change the old route is from a state that Terraform has not written.
    changes(json!({ "path": "/middle" }));
    let moved = changes(json!({ "path": "/new" }));
    assert_eq!(
        moved,
        [r#"make "POST /new""#, r#"stage ["POST /new"]"#, r#"delete "POST /middle""#]
    );
    // The path that the SaaS still posts to is not touched.
    let kept = changes(json!({ "path": "/newest", "former_paths": ["/new"] }));
    assert_eq!(kept, [r#"make "POST /newest""#, r#"stage ["POST /new", "POST /newest"]"#]);
}
