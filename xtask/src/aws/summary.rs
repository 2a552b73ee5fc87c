//! A plan for people: what is added, changed, replaced and deleted, and which values change. Never a
//! value that is marked as sensitive.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use terminal::color::{Color, colored};
use terminal::text::printable;

use super::resources::{Action, Resource, Resources, has_true};

/// Longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 60;

/// What a plan would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) add: Vec<Item>,
    pub(crate) change: Vec<Item>,
    pub(crate) replace: Vec<Item>,
    pub(crate) destroy: Vec<Item>,
    /// What stays, and is managed no longer.
    pub(crate) forget: Vec<Forgotten>,
    /// The names of outputs that change.
    pub(crate) outputs: Vec<String>,
    /// How many resources stay as they are.
    pub(crate) unchanged: usize,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    pub(crate) address: String,
    pub(crate) changes: Vec<AttributeChange>,
}

/// A resource that stays and that nobody manages any more: whoever wants it gone deletes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Forgotten {
    pub(crate) address: String,
    /// Its ARN, or its id where it has none.
    pub(crate) id: String,
}

/// One attribute of a resource that is changed or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AttributeChange {
    pub(crate) name: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// Whether this is why the resource is replaced.
    pub(crate) forces_replacement: bool,
}

impl Summary {
    /// Sums up a plan.
    pub(crate) fn of(resources: &Resources) -> Self {
        let mut summary = Self {
            add: Vec::new(),
            change: Vec::new(),
            replace: Vec::new(),
            destroy: Vec::new(),
            forget: Vec::new(),
            outputs: Vec::new(),
            unchanged: 0,
        };
        for resource in &resources.all {
            let item = |changes| Item { address: resource.address.clone(), changes };
            match resource.action {
                Action::Nothing => summary.unchanged += 1,
                Action::Create => summary.add.push(item(Vec::new())),
                Action::Update => summary.change.push(item(changes(resource))),
                Action::CreateThenDelete | Action::DeleteThenCreate => {
                    summary.replace.push(item(changes(resource)));
                }
                Action::Delete => summary.destroy.push(item(Vec::new())),
                Action::Forget => {
                    let address = resource.address.clone();
                    let [arn, id] = ["arn", "id"].map(|name| resource.before[name].as_str());
                    let id = arn.or(id).unwrap_or_default().to_owned();
                    summary.forget.push(Forgotten { address, id });
                }
            }
        }
        summary
    }

    /// Whether the plan would do nothing.
    pub(crate) fn is_empty(&self) -> bool {
        let items = [&self.add, &self.change, &self.replace, &self.destroy];
        let nothing = items.iter().all(|items| items.is_empty()) && self.forget.is_empty();
        nothing && self.outputs.is_empty()
    }

    /// One line: `2 to add, 1 to change, 0 to replace, 0 to destroy, 40 unchanged`.
    pub(crate) fn counts(&self) -> String {
        format!(
            "{} to add, {} to change, {} to replace, {} to destroy, {} unchanged",
            self.add.len(),
            self.change.len(),
            self.replace.len(),
            self.destroy.len(),
            self.unchanged
        )
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        self.render(colored)
    }

    /// For a comment: a heading and a block in which nothing is markup, as values come from outside.
    pub(crate) fn markdown(&self, environment: &str) -> String {
        let heading = format!("### Plan for `{environment}`: {}\n", self.counts());
        if self.is_empty() {
            return format!("{heading}\nNothing would change.\n");
        }
        let text = self.render(|_color, text| text.to_owned());
        format!("{heading}\n{}", fenced(text.trim_start_matches('\n')))
    }

    fn render(&self, paint: fn(Color, &str) -> String) -> String {
        let groups = [
            (&self.destroy, Color::Red, "-  "),
            (&self.replace, Color::Yellow, "-/+"),
            (&self.change, Color::Yellow, "~  "),
            (&self.add, Color::Green, "+  "),
        ];
        let mut text = String::new();
        for (items, color, sign) in groups {
            for item in items {
                let _ok = writeln!(text, "{} {}", paint(color, sign), printable(&item.address));
                for change in &item.changes {
                    let why = if change.forces_replacement { "  (replaces it)" } else { "" };
                    let AttributeChange { name, before, after, .. } = change;
                    let _ok = writeln!(text, "      {name}: {before} → {after}{why}");
                }
            }
        }
        for Forgotten { address, id } in &self.forget {
            let _ok = writeln!(
                text,
                "{} {}\n      {} stays, and is managed no longer: delete it yourself if you want it gone",
                paint(Color::Yellow, ".  "),
                printable(address),
                printable(id)
            );
        }
        for name in &self.outputs {
            let _ok = writeln!(text, "{} output {}", paint(Color::Yellow, "~  "), printable(name));
        }
        text
    }
}

/// A block of Markdown in which nothing is markup: lines that come from outside.
pub(crate) fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{text}{fence}\n")
}

/// The attributes that differ.
fn changes(resource: &Resource) -> Vec<AttributeChange> {
    let names = |value: &Value| -> Vec<String> {
        value.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect()
    };
    let mut all = names(&resource.before);
    all.extend(names(&resource.after));
    all.extend(names(&resource.unknown));
    all.sort_unstable();
    all.dedup();
    let mut changes = Vec::new();
    for name in all {
        let unknown = resource.is_unknown(&name);
        let forces_replacement = resource
            .replace_paths
            .iter()
            .any(|path| path.get(0).and_then(Value::as_str) == Some(name.as_str()));
        if resource.before[&name] == resource.after[&name] && !unknown {
            continue;
        }
        // Computed values of a replacement are all unknown: only its reasons tell anything.
        let computed = unknown && resource.after[&name].is_null();
        if computed && resource.action != Action::Update && !forces_replacement {
            continue;
        }
        let sensitive = resource.sensitive.iter().any(|marks| has_true(&marks[&name]));
        let shown = |value: &Value| if sensitive { "(sensitive)".to_owned() } else { shown(value) };
        changes.push(AttributeChange {
            before: shown(&resource.before[&name]),
            after: if unknown {
                "(known after the apply)".to_owned()
            } else {
                shown(&resource.after[&name])
            },
            name,
            forces_replacement,
        });
    }
    changes
}

/// A value on one line; what is long or has parts only by its size.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(parts) if parts.len() == 1 && !parts[0].is_object() => shown(&parts[0]),
        Value::Array(parts) => format!("[{} values]", parts.len()),
        Value::Object(fields) => format!("{{{} values}}", fields.len()),
        Value::String(text) if text.chars().count() <= VALUE_CHARS_MAX => {
            format!("\"{}\"", printable(text))
        }
        Value::String(text) => format!("(text of {} characters)", text.chars().count()),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(changes: &Value) -> Summary {
        let plan = json!({ "format_version": "1.2", "resource_changes": changes });
        Summary::of(&Resources::of_plan(&plan).unwrap())
    }

    fn change(name: &str, change: &Value) -> Value {
        json!({ "address": format!("aws_x.{name}"), "mode": "managed", "type": "aws_x", "change": change })
    }

    #[test]
    fn every_action_is_counted_once() {
        let of = |name: &str, actions: &[&str]| change(name, &json!({ "actions": actions }));
        let summary = plan(&json!([
            of("a", &["create"]),
            of("b", &["update"]),
            of("c", &["delete", "create"]),
            of("d", &["create", "delete"]),
            of("e", &["delete"]),
            of("f", &["no-op"]),
        ]));
        assert_eq!(
            summary.counts(),
            "1 to add, 1 to change, 2 to replace, 1 to destroy, 1 unchanged"
        );
        assert!(!summary.is_empty());
        assert!(plan(&json!([of("f", &["no-op"])])).is_empty());
    }

    #[test]
    fn what_only_the_state_forgets_is_named_and_not_called_deleted() {
        let forgets = json!({ "actions": ["forget"], "before": { "id": "1", "arn": "arn:1" } });
        let summary = plan(&json!([change("key", &forgets)]));
        assert!(!summary.is_empty());
        assert!(summary.counts().contains("0 to destroy"), "{}", summary.counts());
        let text = summary.markdown("dev");
        assert!(text.contains(".   aws_x.key\n      arn:1 stays"), "{text}");
    }

    #[test]
    fn changed_values_are_shown_and_secret_ones_are_not() {
        let summary = plan(&json!([change(
            "a",
            &json!({
                "actions": ["update"],
                "before": { "timeout": 30, "password": "hunter2", "same": 1, "hash": "a" },
                "after": { "timeout": 60, "password": "hunter3", "same": 1 },
                "after_unknown": { "hash": true },
                "after_sensitive": { "password": true },
            })
        )]));
        let text = summary.markdown("dev");
        assert!(text.contains("timeout: 30 → 60"), "{text}");
        assert!(text.contains("password: (sensitive) → (sensitive)"), "{text}");
        assert!(text.contains("hash: \"a\" → (known after the apply)"), "{text}");
        assert!(!text.contains("hunter") && !text.contains("same"), "{text}");
    }

    #[test]
    fn a_replacement_tells_its_reason() {
        let summary = plan(&json!([change(
            "a",
            &json!({
                "actions": ["create", "delete"],
                "before": { "name": "old", "arn": "arn:1" },
                "after": { "name": "new" },
                "after_unknown": { "arn": true },
                "replace_paths": [["name"]],
            })
        )]));
        let text = summary.markdown("dev");
        assert!(text.contains("name: \"old\" → \"new\"  (replaces it)"), "{text}");
        assert!(!text.contains("arn"), "{text}");
    }

    #[test]
    fn values_cannot_leave_their_block() {
        let summary = plan(&json!([change(
            "a",
            &json!({
                "actions": ["update"],
                "before": { "text": "a" },
                "after": { "text": "```\n# heading\u{1b}[31m" },
            })
        )]));
        let text = summary.markdown("dev");
        assert!(text.contains("\n````\n"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("\n# heading"), "{text}");
    }
}
