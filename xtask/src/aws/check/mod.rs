//! `cargo xtask check`: what must hold of every plan, whoever wrote the Terraform. A deployment that
//! breaks one of these is refused.
//!
//! A value that is known after the apply only is judged by what the configuration makes it from, where
//! that tells; else it is looked at again after the apply.

mod access;
mod command;
mod delivery;
mod ingest;
mod policy;
mod queues;
mod secrets;
mod watch;

pub(crate) use command::Check;
pub(crate) use watch::ALARMS;

use domain::config::Config;
use serde::Serialize;
use serde_json::Value;
use terminal::color::{Color, colored};

use super::resources::{Resource, Resources};

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
const INVARIANTS: [Invariant; 22] = [
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
        name: "queue-order",
        promise: "both queues keep the order, delay nothing and drop nothing as a repeat",
        rule: queues::order,
    },
    Invariant {
        name: "queue-retention",
        promise: "SQS keeps a message until it is delivered or given up",
        rule: queues::retention,
    },
    Invariant {
        name: "dead-letter-queue",
        promise: "the queue's dead letters go to their own queue, and nobody else's do",
        rule: queues::dead_letter_queue,
    },
    Invariant {
        name: "queues-stay",
        promise: "no queue is deleted with what waits in it",
        rule: queues::stay,
    },
    Invariant {
        name: "tls-only",
        promise: "both queues refuse plain text, and nothing else",
        rule: queues::tls_only,
    },
    Invariant {
        name: "encryption",
        promise: "queues and topics are encrypted at rest",
        rule: queues::encryption,
    },
    Invariant {
        name: "no-strangers",
        promise: "nobody outside the account may use a queue, topic, key, role or function",
        rule: access::no_strangers,
    },
    Invariant {
        name: "no-event-filter",
        promise: "no filter deletes messages unseen",
        rule: delivery::no_event_filter,
    },
    Invariant {
        name: "mapping",
        promise: "one mapping hands the queue's messages to the live version and hears which failed",
        rule: delivery::mapping,
    },
    Invariant {
        name: "live-version",
        promise: "all messages go to one published version",
        rule: delivery::live_version,
    },
    Invariant {
        name: "function",
        promise: "the forwarder may run, and is told what the configuration says",
        rule: delivery::function,
    },
    Invariant {
        name: "ingest",
        promise: "every route's requests become messages of the queue",
        rule: ingest::routes,
    },
    Invariant {
        name: "requests-taken",
        promise: "the API takes requests",
        rule: ingest::requests_taken,
    },
    Invariant {
        name: "integrations-replaced",
        promise: "integrations and routes are replaced, the new one first, never edited",
        rule: ingest::replaced,
    },
    Invariant {
        name: "rights",
        promise: "roles may do what becomes of a message",
        rule: access::rights,
    },
    Invariant {
        name: "least-privilege",
        promise: "roles have these policies only, and none has a wildcard",
        rule: access::least_privilege,
    },
    Invariant {
        name: "alarms",
        promise: "every alarm is there, watches what it says, and somebody hears it",
        rule: watch::alarms,
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

/// Where a value leads.
enum Leads {
    /// Where it should.
    There,
    /// Somewhere else, named.
    Elsewhere(String),
    /// That is known after the apply only.
    Later,
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

    /// Both queues, as far as they are there.
    fn queues(&self, seen: &mut Seen) -> Vec<&'a Resource> {
        [self.queue(seen), self.dead_letter_queue(seen)].into_iter().flatten().collect()
    }

    /// The forwarder.
    fn function(&self, seen: &mut Seen) -> Option<&'a Resource> {
        let name = format!("{}-webhook-forwarder", self.config.environment());
        self.named(seen, "aws_lambda_function", "function_name", &name)
    }

    /// The role by which API Gateway sends.
    fn ingest_role(&self, seen: &mut Seen) -> Option<&'a Resource> {
        let name = format!("{}-webhook-ingest", self.config.environment());
        self.named(seen, "aws_iam_role", "name", &name)
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

    /// The account that the queue is in, once that is known.
    fn account(&self) -> Option<&'a str> {
        let queue = self.resources.find("aws_sqs_queue", "name", &self.config.queue_name())?;
        queue.after["arn"].as_str()?.split(':').nth(4)
    }

    /// Whether an attribute leads to the attribute `by`, such as `arn`, of `to`.
    fn leads(&self, from: &Resource, attribute: &str, to: &Resource, by: &str) -> Leads {
        if !from.is_unknown(attribute) {
            return leads(&from.after[attribute], to, by);
        }
        let origin = self.resources.origin(from, attribute);
        let wanted = to.written_address();
        let only = origin.resources.len() == 1;
        if only && !origin.untold && origin.resources.contains(&wanted) {
            Leads::There
        } else if !origin.untold
            && !origin.resources.is_empty()
            && !origin.resources.contains(&wanted)
        {
            Leads::Elsewhere(Vec::from_iter(origin.resources).join(" and "))
        } else {
            Leads::Later
        }
    }

    /// Notes an attribute that leads elsewhere, with what follows from it.
    fn must_lead(
        &self,
        seen: &mut Seen,
        from: &Resource,
        attribute: &str,
        (to, by): (&Resource, &str),
        consequence: &str,
    ) {
        match self.leads(from, attribute, to, by) {
            Leads::There => {}
            Leads::Later => seen.unknown(from, attribute),
            Leads::Elsewhere(place) => seen.broken(
                from,
                format_args!("{attribute} is {place}, not that of {}: {consequence}", to.address),
            ),
        }
    }
}

/// Whether a known value is the attribute `by` of `to`. Before `to` is there, a value that was written
/// out can be told by its name only, so it is looked at again.
fn leads(value: &Value, to: &Resource, by: &str) -> Leads {
    let text = value.as_str().unwrap_or_default();
    match to.after[by].as_str() {
        Some(wanted) if wanted == text => Leads::There,
        None if to.is_unknown(by) && last_name(text) == to.after["name"] => Leads::Later,
        _ if value.is_null() => Leads::Elsewhere("not set".to_owned()),
        _ => Leads::Elsewhere(value.to_string()),
    }
}

/// The name at the end of an ARN or URL.
fn last_name(text: &str) -> &str {
    text.rsplit([':', '/']).next().unwrap_or_default()
}

impl Seen {
    fn broken(&mut self, resource: &Resource, problem: impl std::fmt::Display) {
        self.broken.push(format!("{}: {problem}", resource.address));
    }

    fn unknown(&mut self, resource: &Resource, attribute: &str) {
        self.unknown.push(format!("{}.{attribute}", resource.address));
    }

    /// A number; `None`, noted, while it is not known. What is left out is `default`, AWS's own.
    fn number(&mut self, resource: &Resource, attribute: &str, default: u64) -> Option<u64> {
        if resource.is_unknown(attribute) {
            self.unknown(resource, attribute);
            return None;
        }
        let value = &resource.after[attribute];
        if value.is_null() {
            return Some(default);
        }
        let number = value.as_u64();
        if number.is_none() {
            self.broken(resource, format_args!("{attribute} is {value}, which is no such number"));
        }
        number
    }

    /// Notes an attribute with another value than `wanted`, with what follows from it.
    fn must_be(&mut self, resource: &Resource, attribute: &str, wanted: &Value, consequence: &str) {
        if resource.is_unknown(attribute) {
            return self.unknown(resource, attribute);
        }
        let value = &resource.after[attribute];
        if value != wanted {
            self.broken(
                resource,
                format_args!("{attribute} is {value}, not {wanted}: {consequence}"),
            );
        }
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
