//! Every invariant on plans of today's modules: they hold, and for each way to break one a change of
//! such a plan.

mod mutations;
mod paths;
mod plans;

use serde_json::{Value, json};

use super::*;
use crate::aws::resources::has_true;
use crate::workspace;
use mutations::{MUTATIONS, Mutation, REFERENCES, Reference};
use plans::{Plans, plans};

fn config() -> Config {
    workspace::config("dev").unwrap().config
}

fn report(plan: &Value) -> Report {
    check(&Resources::of_plan(plan).unwrap(), &config())
}

fn finding<'a>(report: &'a Report, name: &str) -> &'a Finding {
    report.findings.iter().find(|finding| finding.name == name).unwrap()
}

/// The changes of the resources whose addresses hold `address`; the whole plan's, where it is a part
/// of several.
fn changed<'a>(plan: &'a mut Value, address: &str) -> Vec<&'a mut Value> {
    let changes = plan["resource_changes"].as_array_mut().unwrap();
    let found: Vec<&mut Value> = changes
        .iter_mut()
        .filter(|it| it["mode"] == "managed" && it["address"].as_str().unwrap().contains(address))
        .map(|it| &mut it["change"])
        .collect();
    assert!(!found.is_empty(), "nothing is named {address}");
    found
}

/// The later plan as the state that it comes to: everything known, nothing of the configuration.
fn state(plan: &Value) -> Resources {
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    let resources: Vec<Value> = changes
        .filter(|it| !it["change"]["after"].is_null())
        .map(|it| {
            json!({ "address": it["address"], "mode": it["mode"], "type": it["type"],
                    "values": it["change"]["after"] })
        })
        .collect();
    let state = json!({ "values": { "root_module": { "resources": resources } } });
    Resources::of_state(&state).unwrap()
}

/// Whether two values differ in what `marks` says is not known yet.
fn differ_where_unknown(one: &Value, other: &Value, marks: &Value) -> bool {
    match (one, other) {
        _ if one == other => false,
        _ if *marks == true => true,
        (Value::Object(fields), Value::Object(others)) => fields
            .keys()
            .chain(others.keys())
            .any(|name| differ_where_unknown(&one[name], &other[name], &marks[name])),
        (Value::Array(values), Value::Array(others)) if values.len() == others.len() => {
            (0..values.len()).any(|at| differ_where_unknown(&one[at], &other[at], &marks[at]))
        }
        _ => has_true(marks),
    }
}

/// The attributes in which a mutation changes the later plan.
fn attributes(before: &Value, after: &Value) -> Vec<String> {
    let names = before.as_object().unwrap().keys();
    names.filter(|name| after.is_null() || before[*name] != after[*name]).cloned().collect()
}

impl Mutation {
    /// Whether exactly this mutation's invariant breaks, with its sentence; else what was seen.
    fn refused(&self, report: &Report, when: &str) -> Option<String> {
        let Self { invariant, address, says, also, .. } = self;
        let broken = report.findings.iter().filter(|it| !it.broken.is_empty());
        let told = broken.clone().filter(|it| it.name == *invariant);
        let told: Vec<&str> = told.flat_map(|it| &it.broken).map(String::as_str).collect();
        let told = told.join("; ");
        let others: Vec<&Finding> =
            broken.filter(|it| it.name != *invariant && !also.contains(&it.name)).collect();
        let good = says.iter().all(|says| told.contains(says)) && others.is_empty();
        (!good)
            .then(|| format!("{when}, {address}, {invariant}: {says:?} in {told:?}, {others:?}\n"))
    }

    fn of_later(&self, plans: &Plans) -> (Value, Vec<String>) {
        let mut plan = plans.later.clone();
        let mut edited = Vec::new();
        for change in changed(&mut plan, self.address) {
            let before = change["after"].clone();
            (self.edit)(change);
            change["before_mutation"] = before.clone();
            edited.extend(attributes(&before, &change["after"]));
        }
        (plan, edited)
    }

    fn later(&self, plans: &Plans) -> Option<String> {
        self.refused(&report(&self.of_later(plans).0), "later")
    }

    /// On the first plan: what is known, or is written as a known value, is refused at once. What is not
    /// is refused by where it comes from ([`REFERENCES`]), or left open and looked at again.
    fn first(&self, plans: &Plans) -> Option<String> {
        let (mutated, edited) = self.of_later(plans);
        let mut plan = plans.first.clone();
        let mut is_open = false;
        let mut later = mutated.clone();
        let wrong = changed(&mut later, self.address);
        for (change, mutated) in changed(&mut plan, self.address).into_iter().zip(wrong) {
            let right = &mutated["before_mutation"];
            let unknown = |name: &&String| {
                let marks = &change["after_unknown"][*name];
                differ_where_unknown(&right[*name], &mutated["after"][*name], marks)
            };
            let open: Vec<&String> = edited.iter().filter(unknown).collect();
            if open.is_empty() || mutated["after"].is_null() {
                (self.edit)(change);
                continue;
            }
            is_open = true;
            for name in open {
                change["after"][name] = mutated["after"][name].clone();
                change["after_unknown"][name] = json!(false);
            }
        }
        if !is_open {
            return self.refused(&report(&plan), "first");
        }
        let written = report(&plan);
        let told = finding(&written, self.invariant);
        if told.broken.is_empty() && told.unknown.is_empty() {
            return Some(format!("written out, {}, {} holds\n", self.address, self.invariant));
        }
        let by_origin = REFERENCES.iter().any(|it| {
            it.invariant == self.invariant
                && it.address.contains(self.address)
                && edited.iter().any(|name| name == it.attribute)
        });
        let after = check(&state(&mutated), &config()).only_open_in(&report(&plans.first), &[]);
        if by_origin { None } else { self.refused(&after, "after the first apply") }
    }
}

#[test]
fn an_environment_whose_roles_all_have_no_boundary_is_the_same_in_a_plan_and_in_a_state() {
    let Some(plans) = plans() else { return };
    for none in [Value::Null, json!("")] {
        let mut plan = plans.later.clone();
        for change in changed(&mut plan, "aws_iam_role.") {
            change["after"]["permissions_boundary"] = none.clone();
        }
        let report = check(&state(&plan), &config());
        assert!(report.holds(), "{none}: {}", report.text());
    }
}

#[test]
fn everything_holds_of_the_modules() {
    let Some(plans) = plans() else { return };
    let later = report(&plans.later);
    assert!(later.holds() && later.open() == 0, "{}", later.text());
    let state = check(&state(&plans.later), &config());
    assert!(state.holds() && state.open() == 0, "{}", state.text());
    let first = report(&plans.first);
    assert!(first.holds() && first.open() > 0, "{}", first.text());
    assert!(first.text().contains("known after the apply: "), "{}", first.text());
    // What depends on the deployment is looked at again, and nothing else.
    let again = report(&plans.later).only_open_in(&first, &["alarms"]);
    assert_eq!(again.findings.len(), first.open() - 1, "{}", first.text());
}

#[test]
fn every_mutation_of_a_later_plan_is_refused() {
    let Some(plans) = plans() else { return };
    assert!(MUTATIONS.len() >= 60, "{}", MUTATIONS.len());
    let passed: String = MUTATIONS.iter().filter_map(|mutation| mutation.later(plans)).collect();
    assert!(passed.is_empty(), "{passed}");
}

#[test]
fn every_mutation_of_a_first_plan_is_refused_then_or_after_the_apply() {
    let Some(plans) = plans() else { return };
    let mutations = MUTATIONS.iter().filter(|mutation| !mutation.only_later);
    let passed: String = mutations.filter_map(|mutation| mutation.first(plans)).collect();
    assert!(passed.is_empty(), "{passed}");
}

/// What is not known yet is judged by where it comes from.
#[test]
fn what_comes_from_elsewhere_is_refused_before_the_first_apply() {
    let Some(plans) = plans() else { return };
    for Reference { invariant, address, attribute, to, says } in REFERENCES {
        let mut plan = plans.first.clone();
        let mut written = &mut plan["configuration"]["root_module"];
        let mut rest = *address;
        while let Some(below) = rest.strip_prefix("module.") {
            let (name, of_child) = below.split_once('.').unwrap();
            written = &mut written["module_calls"][name]["module"];
            rest = of_child;
        }
        let resources = written["resources"].as_array_mut().unwrap();
        let resource = resources.iter_mut().find(|it| it["address"] == rest).unwrap();
        if *attribute == "depends_on" {
            resource["depends_on"] = json!(to);
        } else {
            resource["expressions"][*attribute] = json!({ "references": to });
        }
        let report = report(&plan);
        let told = finding(&report, invariant).broken.join("\n");
        assert!(told.contains(says), "{address}.{attribute}: {says:?} in\n{}", report.text());
    }
}

/// As after a change of the keys by which the modules know their routes.
#[test]
fn a_route_that_would_be_made_beside_its_own_key_is_refused() {
    let Some(plans) = plans() else { return };
    let mut plan = plans.later.clone();
    let route = changed(&mut plan, "aws_apigatewayv2_route")[0].clone();
    for change in changed(&mut plan, "aws_apigatewayv2_route") {
        change["actions"] = json!(["create"]);
    }
    plan["resource_changes"].as_array_mut().unwrap().push(json!({
        "address": "aws_apigatewayv2_route.webhook[\"sss\"]", "mode": "managed",
        "type": "aws_apigatewayv2_route",
        "change": { "actions": ["delete"], "before": route["after"], "after": null },
    }));
    let told = finding(&report(&plan), "integrations-replaced").broken.join("; ");
    let way_out = "`terraform state mv 'aws_apigatewayv2_route.webhook[\"sss\"]' 'module.webhook";
    assert!(told.contains(way_out), "{told}");
}

/// The key is not of these modules, but may be of a plan.
#[test]
fn a_key_lets_cloudwatch_in_and_no_stranger() {
    let Some(plans) = plans() else { return };
    let told = |name: &str, principal: Value, is_enabled: bool| {
        let mut plan = plans.later.clone();
        let statement = json!({ "Effect": "Allow", "Action": "kms:*", "Principal": principal });
        let policy = json!({ "Statement": [statement] }).to_string();
        let after = json!({ "arn": "arn:k", "policy": policy, "is_enabled": is_enabled });
        for change in changed(&mut plan, "aws_sns_topic.alarms") {
            change["after"]["kms_master_key_id"] = json!("arn:k");
        }
        plan["resource_changes"].as_array_mut().unwrap().push(json!({
            "address": "aws_kms_key.own", "mode": "managed", "type": "aws_kms_key",
            "change": { "actions": ["no-op"], "before": after, "after": after },
        }));
        finding(&report(&plan), name).broken.join("; ")
    };
    let cloudwatch = json!({ "Service": "cloudwatch.amazonaws.com" });
    assert_eq!(told("alarms", cloudwatch.clone(), true), "");
    assert_eq!(told("no-strangers", cloudwatch.clone(), true), "");
    assert!(told("alarms", cloudwatch, false).contains("is_enabled is false: no alarm reaches"));
    let account = json!({ "AWS": "123456789012" });
    assert!(told("alarms", account, true).contains("may not kms:Decrypt: no alarm reaches"));
    let everybody = json!({ "AWS": "*" });
    assert!(told("no-strangers", everybody, true).contains("everybody may kms:*: what the key"));
}

#[test]
fn a_secret_is_not_printed() {
    let Some(plans) = plans() else { return };
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut plan = plans.later.clone();
    for change in changed(&mut plan, "aws_lambda_function.forwarder") {
        change["after"]["environment"][0]["variables"]["SIGNING"] = json!(secret);
    }
    let report = report(&plan);
    assert!(!report.holds() && !report.text().contains("whsec_"), "{}", report.text());
}
