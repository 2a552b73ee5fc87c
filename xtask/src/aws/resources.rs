//! What a plan or a state holds, by type: the JSON of `terraform show -json`, as far as it is used.
//!
//! Source: Terraform's documentation, "JSON output format", format version 1.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

/// Resources as they will be, or are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resources {
    pub(crate) all: Vec<Resource>,
}

/// One resource, and what is to happen to it.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) address: String,
    /// Type, such as `aws_sqs_queue`.
    pub(crate) kind: String,
    pub(crate) action: Action,
    /// Its values before; null if it is new.
    pub(crate) before: Value,
    /// Its values after; null if it will be gone.
    pub(crate) after: Value,
    /// The shape of `after`, with `true` for what is known after the apply only.
    pub(crate) unknown: Value,
    /// The shape of `after`, with `true` for what is secret; the same of `before`.
    pub(crate) sensitive: [Value; 2],
    /// Paths of what makes a replacement necessary.
    pub(crate) replace_paths: Vec<Value>,
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    Create,
    Update,
    /// The new one first, then the old one goes.
    CreateThenDelete,
    /// The old one goes first.
    DeleteThenCreate,
    Delete,
    /// Only the state forgets it.
    Forget,
}

#[derive(Debug, Deserialize)]
struct PlanFile {
    format_version: String,
    #[serde(default)]
    resource_changes: Vec<ResourceChange>,
}

#[derive(Debug, Deserialize)]
struct ResourceChange {
    address: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    change: Change,
}

#[derive(Debug, Deserialize)]
struct Change {
    actions: Vec<String>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    after_unknown: Value,
    #[serde(default)]
    before_sensitive: Value,
    #[serde(default)]
    after_sensitive: Value,
    #[serde(default)]
    replace_paths: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct StateFile {
    values: Option<StateValues>,
}

#[derive(Debug, Deserialize)]
struct StateValues {
    root_module: Module,
}

#[derive(Debug, Default, Deserialize)]
struct Module {
    #[serde(default)]
    resources: Vec<StateResource>,
    #[serde(default)]
    child_modules: Vec<Module>,
}

#[derive(Debug, Deserialize)]
struct StateResource {
    address: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    values: Value,
    #[serde(default)]
    sensitive_values: Value,
}

impl Resources {
    /// Those of a plan.
    pub(crate) fn of_plan(plan: &Value) -> anyhow::Result<Self> {
        let file = PlanFile::deserialize(plan).context("reading the plan")?;
        if !file.format_version.starts_with("1.") {
            bail!("the plan has format version {}, known is 1", file.format_version);
        }
        let managed = file.resource_changes.into_iter().filter(|change| change.mode == "managed");
        let all: anyhow::Result<Vec<Resource>> = managed.map(Resource::of_change).collect();
        Ok(Self { all: all? })
    }

    /// Those of a state: all there are, all known.
    pub(crate) fn of_state(state: &Value) -> anyhow::Result<Self> {
        let file = StateFile::deserialize(state).context("reading the state")?;
        let mut all = Vec::new();
        let mut modules = Vec::from_iter(file.values.map(|values| values.root_module));
        while let Some(module) = modules.pop() {
            modules.extend(module.child_modules);
            let managed = module.resources.into_iter().filter(|it| it.mode == "managed");
            all.extend(managed.map(|resource| Resource {
                address: resource.address,
                kind: resource.kind,
                action: Action::Nothing,
                before: resource.values.clone(),
                after: resource.values,
                unknown: Value::Null,
                sensitive: [resource.sensitive_values.clone(), resource.sensitive_values],
                replace_paths: Vec::new(),
            }));
        }
        all.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(Self { all })
    }

    /// Resources of a type that will be there.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.all.iter().filter(move |resource| resource.kind == kind && !resource.after.is_null())
    }

    /// The resource of a type with a value, such as a queue by its name.
    pub(crate) fn find<'a>(
        &'a self,
        kind: &'a str,
        attribute: &str,
        value: &str,
    ) -> Option<&'a Resource> {
        self.of_kind(kind).find(|resource| resource.after[attribute] == value)
    }
}

impl Resource {
    fn of_change(change: ResourceChange) -> anyhow::Result<Self> {
        let ResourceChange { address, kind, change, .. } = change;
        let actions: Vec<&str> = change.actions.iter().map(String::as_str).collect();
        let action = match actions.as_slice() {
            ["no-op" | "read"] => Action::Nothing,
            ["create"] => Action::Create,
            ["update"] => Action::Update,
            ["delete"] => Action::Delete,
            ["forget"] => Action::Forget,
            ["create", "delete"] => Action::CreateThenDelete,
            ["delete", "create"] => Action::DeleteThenCreate,
            actions => bail!("the plan wants {actions:?} of {address}, which is not known here"),
        };
        Ok(Self {
            address,
            kind,
            action,
            before: change.before,
            after: change.after,
            unknown: change.after_unknown,
            sensitive: [change.before_sensitive, change.after_sensitive],
            replace_paths: change.replace_paths,
        })
    }

    /// Whether a value, or part of it, is known after the apply only.
    pub(crate) fn is_unknown(&self, attribute: &str) -> bool {
        has_true(&self.unknown[attribute])
    }

    /// The attribute's text, parsed as JSON; `None` if it is not known yet, or no JSON.
    pub(crate) fn json(&self, attribute: &str) -> Option<Value> {
        serde_json::from_str(self.after[attribute].as_str()?).ok()
    }
}

/// Whether a tree of marks has one.
pub(crate) fn has_true(marks: &Value) -> bool {
    match marks {
        Value::Bool(mark) => *mark,
        Value::Array(marks) => marks.iter().any(has_true),
        Value::Object(marks) => marks.values().any(has_true),
        _ => false,
    }
}
