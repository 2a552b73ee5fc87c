//! What a plan comes to: the summary that people see, and the digest by which it is approved.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Serialize;
use serde_json::{Value, json};

use super::Environment;
use super::artifact::Artifact;
use super::resources::{Resources, has_true};
use super::summary::Summary;
use super::terraform::Terraform;
use crate::package::Stub;
use crate::process;

/// A plan, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Planned {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// Whether there is anything to apply, in Terraform's own judgement.
    pub(crate) applyable: bool,
    /// The artifact's digest.
    artifact: String,
    /// The commit of the work tree, whose Terraform files and values these are.
    commit: Option<String>,
    /// SHA-256 of what it would change, of the outputs, the artifact and the commit: the same for two
    /// plans of the same thing.
    pub(crate) digest: String,
}

impl Planned {
    /// Plans what brings `artifact` to an environment, under its lock.
    pub(crate) fn make(
        environment: &Environment,
        terraform: &Terraform<'_>,
        artifact: &Artifact,
        stub: Option<&Stub>,
    ) -> anyhow::Result<(Self, Resources)> {
        let _lock = terraform.lock()?;
        terraform.tell(&artifact.variables(environment, stub))?;
        terraform.init()?;
        let plan = terraform.plan()?;
        let resources = Resources::of_plan(&plan)?;
        let head = process::output(process::command("git").args(["rev-parse", "HEAD"]));
        let commit = head.ok().map(|text| text.trim().to_owned());
        let planned = Self::new(&plan, &resources, artifact.manifest.sha256.clone(), commit);
        Ok((planned, resources))
    }

    fn new(plan: &Value, resources: &Resources, artifact: String, commit: Option<String>) -> Self {
        let changes: Vec<Value> = items(&plan["resource_changes"])
            .filter(|it| it["mode"] == "managed" && !does_nothing(&it["change"]))
            .map(normalised)
            .collect();
        let fields = plan["output_changes"].as_object();
        let outputs: Vec<(&String, &Value)> =
            fields.into_iter().flatten().filter(|(_, change)| !does_nothing(change)).collect();
        let all = json!({
            "changes": changes, "outputs": outputs, "artifact": artifact, "commit": commit,
        });
        let digest = terminal::text::sha256(all.to_string().as_bytes());
        let mut summary = Summary::of(resources);
        summary.outputs = outputs.iter().map(|(name, _)| (*name).clone()).collect();
        // What only moves in the state is no change, and is to be applied.
        let applyable = plan["applyable"].as_bool().unwrap_or_else(|| !summary.is_empty());
        Self { summary, applyable, artifact, commit, digest }
    }

    /// For a comment, or for who approves it: the changes, and what the digest stands for.
    pub(crate) fn markdown(&self, environment: &str) -> String {
        let Self { artifact, digest, .. } = self;
        let commit = self.commit.as_deref().unwrap_or("none");
        let changes = self.summary.markdown(environment);
        format!("{changes}\nPlan `{digest}`, of artifact `{artifact}` and commit `{commit}`.\n")
    }

    /// Fails unless this is the plan that was approved.
    pub(crate) fn check_approved(&self, approved: Option<&str>, name: &str) -> anyhow::Result<()> {
        match approved {
            Some(approved) if approved != self.digest => bail!(
                "the plan for {name} is {} and {approved} was approved, so nothing was changed: something \
                 is different since; look at the plan above and have it approved anew",
                self.digest
            ),
            _ => Ok(()),
        }
    }
}

/// What a resource's change comes to: the attributes that change. The others can be different in the
/// next plan of the same thing, such as the last result of an event source mapping.
fn normalised(resource: &Value) -> Value {
    let Value::Object(change) = &resource["change"] else { return resource.clone() };
    let value = |of: &str| change.get(of).unwrap_or(&Value::Null);
    let (before, after, unknown) = (value("before"), value("after"), value("after_unknown"));
    let mut attributes = BTreeMap::new();
    let all = [after, unknown].into_iter().filter_map(Value::as_object).flatten();
    // What is deleted is deleted, whatever it was.
    let gone = before.as_object().into_iter().flatten().filter(|_| !after.is_null());
    for (name, _) in all.chain(gone) {
        if has_true(&unknown[name]) {
            attributes.insert(name, json!({ "after": after[name], "unknown": unknown[name] }));
        } else if before[name] != after[name] {
            attributes.insert(name, json!({ "before": before[name], "after": after[name] }));
        }
    }
    json!({
        "address": resource["address"],
        "previous_address": resource["previous_address"],
        "actions": value("actions"),
        "replace_paths": value("replace_paths"),
        "importing": value("importing"),
        "attributes": attributes,
    })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn does_nothing(change: &Value) -> bool {
    items(&change["actions"]).all(|action| action == "no-op")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(plan: &Value) -> Planned {
        let resources = Resources::of_plan(plan).unwrap();
        Planned::new(plan, &resources, "a".repeat(64), Some("c".to_owned()))
    }

    fn plan() -> Value {
        let change = |address: &str, change: Value| json!({ "address": address, "mode": "managed", "type": "aws_x", "change": change });
        let same = json!({ "actions": ["no-op"], "before": { "a": 1 }, "after": { "a": 1 } });
        json!({
            "format_version": "1.2",
            "timestamp": "2026-11-24T00:00:00Z",
            "applyable": true,
            "resource_changes": [
                change("aws_x.same", same),
                change("aws_x.new", json!({ "actions": ["create"], "after": { "a": 2 } })),
            ],
            "output_changes": {
                "same": { "actions": ["no-op"], "before": 1, "after": 1 },
                "url": { "actions": ["update"], "before": "a", "after": "b" },
            },
        })
    }

    #[test]
    fn the_digest_is_of_what_would_change_and_of_nothing_else() {
        let digest = |edit: &dyn Fn(&mut Value)| {
            let mut plan = plan();
            edit(&mut plan);
            planned(&plan).digest
        };
        let first = digest(&|_| {});
        assert_eq!(first, digest(&|plan| plan["timestamp"] = json!("2027-01-01T00:00:00Z")));
        let unchanged = |plan: &mut Value| {
            plan["resource_changes"][0]["change"]["before"]["a"] = json!(7);
            plan["output_changes"]["same"]["before"] = json!(7);
        };
        assert_eq!(first, digest(&unchanged));
        let differs: [&dyn Fn(&mut Value); 4] = [
            &|plan| plan["resource_changes"][1]["change"]["after"]["a"] = json!(3),
            &|plan| plan["resource_changes"][1]["address"] = json!("aws_x.other"),
            &|plan| plan["output_changes"]["url"]["after"] = json!("c"),
            &|plan| plan["resource_changes"][1]["change"]["actions"] = json!(["update"]),
        ];
        for (number, edit) in differs.into_iter().enumerate() {
            assert_ne!(first, digest(edit), "{number}");
        }
        let plan = plan();
        let resources = Resources::of_plan(&plan).unwrap();
        let of = |artifact: &str, commit: &str| {
            Planned::new(&plan, &resources, artifact.repeat(64), Some(commit.to_owned())).digest
        };
        assert_eq!(first, of("a", "c"));
        assert_ne!(first, of("b", "c"));
        assert_ne!(first, of("a", "d"));
    }

    #[test]
    fn what_does_not_change_is_not_in_the_digest_of_a_change() {
        let digest = |actions: &[&str], result: &str, hash: &str, unknown: bool| {
            let before = json!({ "result": result, "hash": "old", "id": result });
            let after = json!({ "result": result, "hash": hash, "id": null });
            let after = if actions == ["delete"] { Value::Null } else { after };
            let change = json!({
                "actions": actions, "before": before, "after": after,
                "after_unknown": { "id": unknown },
            });
            let change = json!({ "address": "aws_x.a", "mode": "managed", "type": "aws_x", "change": change });
            planned(&json!({ "format_version": "1.2", "resource_changes": [change] })).digest
        };
        for actions in [&["update"][..], &["delete"], &["create", "delete"]] {
            let first = digest(actions, "OK", "new", true);
            assert_eq!(first, digest(actions, "No records processed", "new", true), "{actions:?}");
        }
        let first = digest(&["update"], "OK", "new", true);
        assert_ne!(first, digest(&["update"], "OK", "newer", true));
        assert_ne!(first, digest(&["update"], "OK", "old", true));
        assert_ne!(first, digest(&["update"], "OK", "new", false));
        assert_ne!(first, digest(&["delete"], "OK", "new", true));
    }

    #[test]
    fn what_is_approved_is_applied_and_nothing_else() {
        let planned = planned(&plan());
        planned.check_approved(None, "dev").unwrap();
        planned.check_approved(Some(&planned.digest), "dev").unwrap();
        let error = planned.check_approved(Some(&"0".repeat(64)), "dev").unwrap_err().to_string();
        assert!(error.contains("nothing was changed"), "{error}");
    }

    #[test]
    fn who_approves_reads_what_the_digest_stands_for() {
        let planned = planned(&plan());
        let text = planned.markdown("prod");
        assert!(text.starts_with("### Plan for `prod`: 1 to add"), "{text}");
        let Planned { digest, artifact, .. } = &planned;
        let stands_for = format!("\nPlan `{digest}`, of artifact `{artifact}` and commit `c`.\n");
        assert!(text.ends_with(&stands_for), "{text}");
    }

    #[test]
    fn outputs_alone_are_something_to_apply() {
        let mut plan = plan();
        plan["resource_changes"] = json!([]);
        let planned = planned(&plan);
        assert!(planned.applyable && !planned.summary.is_empty());
        assert_eq!(planned.summary.text(), "~   output url\n");
    }

    #[test]
    fn what_only_moves_in_the_state_is_to_be_applied() {
        for applyable in [true, false] {
            let plan = json!({ "format_version": "1.2", "applyable": applyable });
            assert_eq!(planned(&plan).applyable, applyable);
        }
    }

    #[test]
    fn fuzz_plan() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(plan) = serde_json::from_slice::<Value>(bytes) else { return };
            let Ok(resources) = Resources::of_plan(&plan) else { return };
            let planned = || Planned::new(&plan, &resources, "a".repeat(64), None);
            assert_eq!(planned().digest, planned().digest);
            assert!(planned().markdown("prod").contains(&planned().digest));
        });
    }
}
