//! What a plan or a state holds, by type: the JSON of `terraform show -json`, as far as it is used.
//!
//! Source: Terraform's documentation, "JSON output format", format version 1.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

/// Resources as they will be, or are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resources {
    pub(crate) all: Vec<Resource>,
    /// The root module as it is written, which a plan holds and a state does not.
    configuration: Value,
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
    #[serde(default)]
    configuration: ConfigurationFile,
}

#[derive(Debug, Default, Deserialize)]
struct ConfigurationFile {
    #[serde(default)]
    root_module: Value,
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
        Ok(Self { all: all?, configuration: file.configuration.root_module })
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
        Ok(Self { all, configuration: Value::Null })
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

    /// The resources that an attribute is made from, as the configuration writes it.
    pub(crate) fn origin(&self, resource: &Resource, attribute: &str) -> Origin {
        let mut origin = Origin::default();
        match Scope::of(&self.configuration, &resource.address) {
            Some((scope, written)) => {
                scope.follow(written, &written["expressions"][attribute], &mut origin);
            }
            None => origin.untold = true,
        }
        origin
    }

    /// The resources, as they are written, that `resource` waits for by its `depends_on`; `None` where
    /// that is not known.
    pub(crate) fn depends_on(&self, resource: &Resource) -> Option<BTreeSet<String>> {
        let (scope, written) = Scope::of(&self.configuration, &resource.address)?;
        let names = written["depends_on"].as_array().into_iter().flatten();
        Some(names.filter_map(Value::as_str).map(|name| scope.address(name)).collect())
    }
}

/// What a value is made from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The addresses of resources, as they are written: without indexes.
    pub(crate) resources: BTreeSet<String>,
    /// Whether there is more that the configuration does not tell: locals are left out of it.
    pub(crate) untold: bool,
}

/// A module as it is written, with the call that made it.
#[derive(Debug, Clone)]
struct Scope<'a> {
    module: &'a Value,
    /// Such as `module.webhook.`.
    prefix: String,
    caller: Option<(Box<Scope<'a>>, &'a Value)>,
}

impl<'a> Scope<'a> {
    /// Where a resource is written, and what is written there.
    fn of(root: &'a Value, address: &str) -> Option<(Self, &'a Value)> {
        let address = without_indexes(address);
        let mut scope = Self { module: root, prefix: String::new(), caller: None };
        let mut rest = address.as_str();
        while let Some(below) = rest.strip_prefix("module.") {
            let (name, of_child) = below.split_once('.')?;
            scope = scope.child(name)?;
            rest = of_child;
        }
        let resources = scope.module["resources"].as_array()?;
        let written = resources.iter().find(|resource| resource["address"] == rest)?;
        Some((scope, written))
    }

    fn child(&self, name: &str) -> Option<Self> {
        let call = self.module["module_calls"].get(name)?;
        let prefix = format!("{}module.{name}.", self.prefix);
        Some(Self { module: &call["module"], prefix, caller: Some((self.clone().into(), call)) })
    }

    /// The full address of a resource of this module, from a reference to it or to a part of it.
    fn address(&self, reference: &str) -> String {
        let parts: Vec<&str> = reference.split('.').take(2).collect();
        format!("{}{}", self.prefix, parts.join("."))
    }

    /// Adds what the references in `expression` come from; `written` is what holds it.
    fn follow(&self, written: &Value, expression: &Value, origin: &mut Origin) {
        let mut references = BTreeSet::new();
        collect(expression, &mut references);
        let references: BTreeSet<String> =
            references.iter().map(|reference| without_indexes(reference)).collect();
        for plain in &references {
            let parts: Vec<&str> = plain.split('.').collect();
            match parts[..] {
                ["var", name, ..] => {
                    // At the root it is a value that somebody gave.
                    if let Some((caller, call)) = &self.caller {
                        caller.follow(&Value::Null, &call["expressions"][name], origin);
                    }
                }
                ["module", name, output, ..] => match self.child(name) {
                    Some(child) => {
                        let value = &child.module["outputs"][output]["expression"];
                        child.follow(&Value::Null, value, origin);
                    }
                    None => origin.untold = true,
                },
                // Every reference to an output is followed by one to its whole module.
                ["module", _] => {
                    let longer = format!("{plain}.");
                    origin.untold |= !references.iter().any(|it| it.starts_with(&longer));
                }
                ["each", "key"] | ["path" | "terraform" | "count", ..] => {}
                ["each", ..] => self.follow(&Value::Null, &written["for_each_expression"], origin),
                ["local" | "data" | "self", ..] | [] | [_] => origin.untold = true,
                [_, _, ..] => {
                    origin.resources.insert(self.address(plain));
                }
            }
        }
    }
}

/// The references in an expression, and in those of the blocks below it.
fn collect(expression: &Value, references: &mut BTreeSet<String>) {
    match expression {
        Value::Array(blocks) => blocks.iter().for_each(|block| collect(block, references)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "references" {
                    let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                    references.extend(names.map(str::to_owned));
                } else if name != "constant_value" {
                    collect(value, references);
                }
            }
        }
        _ => {}
    }
}

/// An address as it is written: `module.a[0].aws_x.b["c.d"]` is `module.a.aws_x.b`.
fn without_indexes(address: &str) -> String {
    let (mut plain, mut quoted, mut depth) = (String::new(), false, 0_u32);
    for c in address.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
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

    /// Its address as it is written, without indexes.
    pub(crate) fn written_address(&self) -> String {
        without_indexes(&self.address)
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
