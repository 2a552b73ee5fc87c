//! `cargo xtask check`: what must hold of every plan, whoever wrote the Terraform. A deployment that
//! breaks one of these is refused.

mod access;
mod command;
mod delivery;
mod queues;
mod secrets;
mod watch;

pub(crate) use command::Check;
pub(crate) use watch::ALARMS;

use domain::config::Config;
use serde::Serialize;

use super::resources::{Resource, Resources};
use crate::output::{Color, colored};

/// What is checked: the resources of a plan or a state, against a configuration.
struct Subject<'a> {
    resources: &'a Resources,
    config: &'a Config,
}

/// Something that must hold.
struct Invariant {
    name: &'static str,
    promise: &'static str,
    rule: fn(&Subject<'_>, &mut Seen),
}

/// What a rule has seen.
#[derive(Debug, Default)]
struct Seen {
    broken: Vec<String>,
    unknown: Vec<String>,
}

/// How an invariant stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    promise: &'static str,
    /// What breaks it.
    broken: Vec<String>,
    /// What cannot be told before the apply.
    unknown: Vec<String>,
}

/// How all of them stand.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
}

/// All of them.
const INVARIANTS: [Invariant; 12] = [
    Invariant {
        name: "visibility-timeout",
        promise: "a message stays hidden for at least six function timeouts",
        rule: queues::visibility_timeout,
    },
    Invariant {
        name: "destination-timeout",
        promise: "every destination's timeout is shorter than the function's",
        rule: delivery::destination_timeout,
    },
    Invariant {
        name: "receive-count",
        promise: "SQS moves no message that is only waiting for its next attempt",
        rule: queues::receive_count,
    },
    Invariant {
        name: "dead-letter-queue",
        promise: "dead letters keep their order, and are kept as long as webhooks",
        rule: queues::dead_letter_queue,
    },
    Invariant {
        name: "tls-only",
        promise: "both queues refuse plain text",
        rule: queues::tls_only,
    },
    Invariant {
        name: "encryption",
        promise: "queues and topics are encrypted at rest",
        rule: queues::encryption,
    },
    Invariant {
        name: "no-event-filter",
        promise: "no filter deletes messages unseen",
        rule: delivery::no_event_filter,
    },
    Invariant {
        name: "alarms",
        promise: "every alarm is there, and somebody hears it",
        rule: watch::alarms,
    },
    Invariant {
        name: "least-privilege",
        promise: "roles have these policies only, and none has a wildcard",
        rule: access::least_privilege,
    },
    Invariant {
        name: "log-retention",
        promise: "every log is kept for a stated time",
        rule: watch::log_retention,
    },
    Invariant {
        name: "no-secrets",
        promise: "the plan holds no secret",
        rule: secrets::no_secrets,
    },
    Invariant {
        name: "integrations-replaced",
        promise: "integrations are replaced, the new one first, never edited",
        rule: delivery::integrations_replaced,
    },
];

/// Checks all invariants.
pub(crate) fn check(resources: &Resources, config: &Config) -> Report {
    let subject = Subject { resources, config };
    let findings = INVARIANTS.iter().map(|invariant| {
        let mut seen = Seen::default();
        (invariant.rule)(&subject, &mut seen);
        let Seen { broken, unknown } = seen;
        Finding { name: invariant.name, promise: invariant.promise, broken, unknown }
    });
    Report { findings: findings.collect() }
}

impl<'a> Subject<'a> {
    /// The webhook queue.
    fn queue(&self, seen: &mut Seen) -> Option<&'a Resource> {
        self.named(seen, "aws_sqs_queue", "name", &self.config.queue_name())
    }

    /// The dead-letter queue.
    fn dead_letter_queue(&self, seen: &mut Seen) -> Option<&'a Resource> {
        self.named(seen, "aws_sqs_queue", "name", &self.config.dead_letter_queue_name())
    }

    /// The forwarder.
    fn function(&self, seen: &mut Seen) -> Option<&'a Resource> {
        let name = format!("{}-webhook-forwarder", self.config.environment());
        self.named(seen, "aws_lambda_function", "function_name", &name)
    }

    /// A resource that must be there.
    fn named(
        &self,
        seen: &mut Seen,
        kind: &'static str,
        attribute: &str,
        name: &str,
    ) -> Option<&'a Resource> {
        let found = self.resources.find(kind, attribute, name);
        if found.is_none() {
            seen.broken.push(format!("there is no {kind} {name}"));
        }
        found
    }
}

impl Seen {
    fn broken(&mut self, resource: &Resource, problem: impl std::fmt::Display) {
        self.broken.push(format!("{}: {problem}", resource.address));
    }

    fn unknown(&mut self, resource: &Resource, attribute: &str) {
        self.unknown.push(format!("{}.{attribute}", resource.address));
    }
}

impl Report {
    /// Whether nothing is broken.
    pub(crate) fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.broken.is_empty())
    }

    /// How many cannot be told before the apply.
    pub(crate) fn open(&self) -> usize {
        self.findings.iter().filter(|finding| !finding.unknown.is_empty()).count()
    }

    /// Only what could not be told `before`, but for `exempt`.
    pub(crate) fn only_open_in(mut self, before: &Self, exempt: &[&str]) -> Self {
        self.findings.retain(|finding| {
            let mut earlier = before.findings.iter().filter(|it| it.name == finding.name);
            earlier.any(|it| !it.unknown.is_empty()) && !exempt.contains(&finding.name)
        });
        self
    }

    /// A line for each invariant, and what breaks it.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        for Finding { name, promise, broken, unknown } in &self.findings {
            let (color, mark) = match (broken.is_empty(), unknown.is_empty()) {
                (false, _) => (Color::Red, "BROKEN"),
                (true, false) => (Color::Yellow, "later "),
                (true, true) => (Color::Green, "holds "),
            };
            lines.push(format!("{}  {name:<22} {promise}\n", colored(color, mark)));
            lines.extend(broken.iter().map(|problem| format!("          {problem}\n")));
            if let (true, Some(first)) = (broken.is_empty(), unknown.first()) {
                let more = match unknown.len() {
                    1 => String::new(),
                    many => format!(" and {} more", many - 1),
                };
                lines.push(format!("          known after the apply: {first}{more}\n"));
            }
        }
        lines.concat()
    }
}

#[cfg(test)]
mod tests;
