//! A verdict as people read it: one sentence, and what each of its parts says.

use commands::{
    command,
    program::{self, Word, value},
};
use domain::notification::kind::Kind;
use domain::time::Timestamp;
use domain::verdict::{Finding, Input, Situation, Unknown, Verdict, Wait};

use super::report::Judged;
use crate::people::{self, bytes, count, printable, span};
use crate::zone;

/// Unknown things that a sentence names; the others are counted.
const NAMED: usize = 2;

/// What is said of one thing.
pub(crate) struct Said {
    /// What it is about, as a check's name.
    pub(crate) about: String,
    pub(crate) found: String,
    /// What to do, or to type.
    pub(crate) advice: String,
}

/// Says things of an environment.
pub(crate) struct Speaker<'a> {
    environment: &'a str,
    now: Timestamp,
    /// Events that wait.
    events: u64,
    /// Where what is not said in a sentence is.
    others: String,
}

impl Judged {
    /// The verdict on a situation.
    pub(super) fn of(situation: &Situation, environment: &str) -> Self {
        let Situation { now, events, .. } = *situation;
        let verdict = Verdict::of(situation);
        let others = format!("`{}`", command!["doctor", value(environment)]);
        let sentence = Speaker { environment, now, events, others }.sentence(&verdict);
        Self { verdict, sentence }
    }
}

impl<'a> Speaker<'a> {
    /// One who says all of it below the sentence. `events`: how many wait.
    pub(crate) fn above(environment: &'a str, now: Timestamp, events: u64) -> Self {
        Self { environment, now, events, others: "below".to_owned() }
    }

    /// Whether a person must act, and what to do first.
    pub(crate) fn sentence(&self, verdict: &Verdict) -> String {
        match verdict {
            Verdict::NothingToDo { waits } => format!("Nothing to do: {}", self.waiting(waits)),
            Verdict::Unknown { unknown, .. } => {
                format!("Unknown whether you must act: {}", unknown_things(unknown))
            }
            Verdict::Act { findings, unknown, .. } => {
                let [first, others @ ..] = findings.as_slice() else {
                    unreachable!("somebody must act on something")
                };
                let said = self.finding(first);
                let mut text = format!("You: {}: {}", said.found, said.advice);
                let is_key = |it: &&Finding| matches!(it, Finding::KeyBlocked { .. });
                let keys = if is_key(&first) { others.iter().filter(is_key).count() } else { 0 };
                let keys = keys as u64;
                if keys > 0 {
                    let (do_so, blocked) = (if keys == 1 { "does" } else { "do" }, self.blocked());
                    text = format!("{text}; so {do_so} {} (`{blocked}`)", count(keys, "other key"));
                }
                let others = others.len() as u64 - keys;
                if others > 0 {
                    let where_else = &self.others;
                    text = format!("{text}; and {} ({where_else})", count(others, "other matter"));
                }
                if !unknown.is_empty() {
                    text = format!("{text}; unknown: {}", unknown_things(unknown));
                }
                text
            }
        }
    }

    fn waiting(&self, waits: &[Wait]) -> String {
        let (mut parts, mut alarms, mut end) = (Vec::new(), Vec::new(), None::<Timestamp>);
        for wait in waits {
            match wait {
                Wait::AlarmRings { section } => {
                    alarms.push(printable(section));
                    continue;
                }
                Wait::DestinationFails { give_up_at, .. } => {
                    end = Some(end.map_or(*give_up_at, |end| end.min(*give_up_at)));
                }
                Wait::Paused { .. } | Wait::NobodyDelivers => {}
            }
            parts.push(self.wait(wait).found);
        }
        parts.push(match (self.events, end) {
            (0, _) => "nothing waits, and nothing is lost".to_owned(),
            (1, Some(end)) => {
                let left = span(end.since(self.now));
                format!("1 event waits and goes out by itself; it is given up in {left}")
            }
            (events, Some(end)) => {
                let left = span(end.since(self.now));
                format!(
                    "{events} events wait and go out by themselves; the first is given up in {left}"
                )
            }
            (1, None) if parts.is_empty() => "1 event is on its way".to_owned(),
            (events, None) if parts.is_empty() => format!("{events} events are on their way"),
            (events, None) => people::events_wait(events),
        });
        let text = parts.join(", ");
        if alarms.is_empty() {
            text
        } else {
            format!("{text}; that is why {} rings", alarms.join(" and "))
        }
    }

    /// What is said of something that waits and needs nobody.
    pub(crate) fn wait(&self, wait: &Wait) -> Said {
        let (about, found, advice) = match wait {
            Wait::Paused { name, by, until } => (
                "delivery".to_owned(),
                format!(
                    "delivery is paused by {} {}",
                    whose(name, by.as_deref()),
                    until.map_or_else(|| "until it is resumed".to_owned(), |at| self.until(at))
                ),
                format!("`{}` ends it, if it is yours", self.command(&["resume"], [])),
            ),
            Wait::DestinationFails {
                since,
                route,
                destination,
                reason,
                give_up_at,
                is_long,
                ..
            } => (
                format!("deliveries {}", place(route.as_deref(), destination.as_deref())),
                format!(
                    "{}{}",
                    self.fails(*since, route.as_deref(), destination.as_deref(), reason.as_deref()),
                    if *is_long { " (whoever runs it should know)" } else { "" }
                ),
                format!(
                    "its events go out by themselves once it takes them; the first is given up {}",
                    self.at(*give_up_at)
                ),
            ),
            Wait::AlarmRings { section } => {
                let section = printable(section);
                (
                    "alarms".to_owned(),
                    format!("{section} rings"),
                    "because of what waits".to_owned(),
                )
            }
            Wait::NobodyDelivers => (
                "delivery".to_owned(),
                "this engine runs no forwarder, whoever wants events receives them".to_owned(),
                "start it with --forwarder if it is to deliver".to_owned(),
            ),
        };
        Said { about, found, advice }
    }

    /// What is said of something that needs a person.
    #[expect(clippy::too_many_lines, reason = "a list")]
    pub(crate) fn finding(&self, finding: &Finding) -> Said {
        let events = |events: u64| count(events, "event");
        let runbook = |section: &str| format!("docs/runbook.md#{section}");
        let (about, found, advice) = match finding {
            Finding::StorageFails => (
                "storage".to_owned(),
                "the storage takes nothing, webhooks are refused".to_owned(),
                runbook("the-disk-is-full-or-fails"),
            ),
            Finding::DiskFull { free_bytes } => (
                "storage".to_owned(),
                format!(
                    "the disk is nearly full ({} free), webhooks are refused",
                    bytes(*free_bytes)
                ),
                format!("make room, {}", runbook("the-disk-is-full-or-fails")),
            ),
            Finding::MessagesDamaged { events: damaged } => (
                "storage".to_owned(),
                format!("{} cannot be read, and what is behind waits", events(*damaged)),
                format!("`{}`", self.command(&["damaged", "list"], [])),
            ),
            Finding::EngineDown { last_line_at, unknown, reason } => (
                "engine".to_owned(),
                format!(
                    "the engine is down, and nothing is accepted or delivered; {}",
                    match (last_line_at, unknown) {
                        (Some(at), _) => format!(
                            "the last line of its log is of {} ({})",
                            zone::in_words(*at),
                            people::ago(*at, self.now)
                        ),
                        (None, Some(why)) => format!("since when is unknown ({})", printable(why)),
                        (None, None) => "since when its log says, in its data directory".to_owned(),
                    }
                ),
                printable(reason),
            ),
            Finding::ForwarderDown { reason } => (
                "forwarder".to_owned(),
                format!("no forwarder starts ({}), nothing is delivered", printable(reason)),
                runbook("the-forwarder-does-not-start"),
            ),
            Finding::EventsMissing { events: missing } => (
                "loss meter".to_owned(),
                format!("{} missing, neither delivered nor kept", are(*missing)),
                format!(
                    "`{}` tells of which route and how; ask its sender again",
                    self.command(&["status"], [])
                ),
            ),
            Finding::EventsTooMany { events: more } => (
                "loss meter".to_owned(),
                format!("there are {} more than were accepted", events(*more)),
                "did somebody write into the queue or the database?".to_owned(),
            ),
            Finding::EventsNearRetention { deleted_at } => (
                "queue".to_owned(),
                format!(
                    "delivery is off, and the oldest event is deleted {}",
                    self.at(*deleted_at)
                ),
                format!("`{}`", self.command(&["resume"], [])),
            ),
            Finding::DeadLettersNearRetention { deleted_at, count: letters } => (
                "dead letters".to_owned(),
                format!(
                    "{}, the oldest is deleted {}",
                    count(*letters, "dead letter"),
                    self.at(*deleted_at)
                ),
                format!("`{}`", self.command(&["dlq", "export"], ["dead-letters.jsonl".into()])),
            ),
            Finding::NotDeadLettered { since, event_id, reason } => (
                format!("event {}", printable(event_id)),
                format!(
                    "event {} cannot be made a dead letter ({}since {})",
                    printable(event_id),
                    because(reason.as_deref()),
                    self.clock(*since)
                ),
                format!("`{}`", self.command(&["trace"], [value(event_id)])),
            ),
            Finding::SecretUnavailable { since, route, reason, keys } => (
                "secrets".to_owned(),
                format!(
                    "a secret{} is not to be had ({}since {}), {}",
                    route
                        .as_deref()
                        .map_or_else(String::new, |it| format!(" of route {}", printable(it))),
                    because(reason.as_deref()),
                    self.clock(*since),
                    keys_wait(*keys)
                ),
                runbook("oldest-message-too-old"),
            ),
            Finding::NearGiveUp { give_up_at, since, route, destination, reason, .. } => (
                format!("deliveries {}", place(route.as_deref(), destination.as_deref())),
                format!(
                    "{}, its first event is given up {}",
                    self.fails(*since, route.as_deref(), destination.as_deref(), reason.as_deref()),
                    self.at(*give_up_at)
                ),
                format!(
                    "have it mended, or let all wait, those of every route: `{}`",
                    self.command(&["pause"], ["--why", "TEXT"].map(Word::from))
                ),
            ),
            Finding::EventsStuck { oldest_at, .. } => (
                "queue".to_owned(),
                format!(
                    "an event has waited for {}, and nothing says why",
                    span(self.now.since(*oldest_at))
                ),
                runbook("oldest-message-too-old"),
            ),
            Finding::KeyBlocked { since, key, reason, .. } => (
                format!("key {}", printable(key)),
                format!(
                    "key {} waits for a decision ({}since {})",
                    printable(key),
                    because(reason.as_deref()),
                    self.clock(*since)
                ),
                format!("`{}`", self.command(&["show"], [value(key)])),
            ),
            Finding::DeadLettersPresent { oldest_at, count: letters } => (
                "dead letters".to_owned(),
                match oldest_at {
                    Some(at) => format!(
                        "{}, the oldest for {}",
                        letters_wait(*letters),
                        span(self.now.since(*at))
                    ),
                    None => letters_wait(*letters),
                },
                format!("`{}`", self.command(&["dlq", "list"], [])),
            ),
            Finding::Paused { since, name, events } => (
                "delivery".to_owned(),
                format!(
                    "{} has paused delivery {} without an end, {} waiting",
                    printable(name),
                    since.map_or_else(
                        || "nobody knows since when,".to_owned(),
                        |since| format!("for {}", span(self.now.since(since)))
                    ),
                    are(*events)
                ),
                format!("ask, or `{}`", self.command(&["resume"], [])),
            ),
            Finding::SwitchedOff { state, events } => (
                "delivery".to_owned(),
                format!(
                    "delivery is {} and nobody has paused it, {} waiting",
                    printable(state),
                    are(*events)
                ),
                format!("`{}`", self.command(&["resume"], [])),
            ),
            Finding::PauseNotKept { since, name } => (
                "delivery".to_owned(),
                format!(
                    "delivery is on, though {} has paused it since {}",
                    printable(name),
                    self.clock(*since)
                ),
                format!(
                    "somebody switched it on by another way: pause again, or `{}`",
                    self.command(&["resume"], [])
                ),
            ),
            Finding::Observed { condition, figure } => (
                match condition {
                    Kind::InvocationErrors => "forwarder",
                    Kind::RequestsRefused => "ingest",
                    Kind::DiskFillsUp => "storage",
                    _ => "engine",
                }
                .to_owned(),
                match condition {
                    Kind::Restarts => format!("the engine was started {figure} times of late"),
                    Kind::Killed => {
                        "the engine ended without having been stopped, and runs again".to_owned()
                    }
                    Kind::DiskFillsUp => "the disk will be full within a day".to_owned(),
                    Kind::InvocationErrors => format!(
                        "the forwarder crashed or ran out of time {} of late",
                        count(*figure, "time")
                    ),
                    Kind::RequestsRefused => {
                        format!("{} were refused of late", count(*figure, "request"))
                    }
                    other => other.name().to_owned(),
                },
                runbook(condition.runbook()),
            ),
            Finding::AlarmRings { section, since } => (
                "alarms".to_owned(),
                format!(
                    "alarm {} rings{}",
                    printable(section),
                    since.map_or_else(String::new, |since| format!(" since {}", self.clock(since)))
                ),
                // Each route has an alarm of its own, and all one section.
                match section.strip_prefix("nothing-delivered") {
                    Some(_route) => runbook("nothing-delivered"),
                    None => runbook(&printable(section)),
                },
            ),
            Finding::CheckFails { name } => (
                printable(name),
                format!("check {} fails", printable(name)),
                "what to do stands beside it".to_owned(),
            ),
        };
        Said { about, found, advice }
    }

    /// The command that lists the keys that wait for a decision.
    pub(crate) fn blocked(&self) -> String {
        command!["blocked", value(self.environment), "--rejected"]
    }

    /// A command for this environment: `dlq show local e-1`.
    fn command<const N: usize>(&self, before: &[&'static str], after: [Word; N]) -> String {
        let before = before.iter().map(|word| Word::from(*word));
        program::command(before.chain([value(self.environment)]).chain(after))
    }

    fn fails(
        &self,
        since: Timestamp,
        route: Option<&str>,
        destination: Option<&str>,
        reason: Option<&str>,
    ) -> String {
        let place = place(route, destination);
        let how = match reason.map(printable) {
            Some(status) if status.parse::<u16>().is_ok() => format!("answers {status}"),
            Some(error) => format!("does not answer ({error})"),
            None => "does not answer".to_owned(),
        };
        format!("{place} {how} since {}", span(self.now.since(since)))
    }

    /// A time of today without its date.
    fn clock(&self, at: Timestamp) -> String {
        zone::clock(at, self.now)
    }

    fn until(&self, at: Timestamp) -> String {
        format!("until {} (for {})", self.clock(at), span(at.since(self.now)))
    }

    fn at(&self, at: Timestamp) -> String {
        format!("at {} (in {})", self.clock(at), span(at.since(self.now)))
    }
}

/// What is said of something that could not be seen.
pub(crate) fn unknown(unknown: &Unknown) -> Said {
    let Unknown { what, why } = unknown;
    Said {
        about: input(*what).to_owned(),
        found: format!("unknown: {}", printable(why)),
        advice: "without it nobody can tell whether a person must act".to_owned(),
    }
}

fn unknown_things(unknown: &[Unknown]) -> String {
    let thing = |it: &Unknown| format!("{} ({})", input(it.what), printable(&it.why));
    let named: Vec<String> = unknown.iter().take(NAMED).map(thing).collect();
    let named = named.join(", ");
    match unknown.len().saturating_sub(NAMED) as u64 {
        0 => named,
        others => format!("{named}, and {}", count(others, "other thing")),
    }
}

fn input(input: Input) -> &'static str {
    match input {
        Input::Storage => "storage",
        Input::Delivery => "delivery",
        Input::Pauses => "who paused",
        Input::OldestEvent => "oldest event",
        Input::Keys => "which keys wait",
        Input::Limits => "limits",
        Input::LossMeter => "loss meter",
        Input::Conditions => "what the engine sees of itself",
        Input::Alarms => "alarms",
    }
}

/// A destination by its name, and by its route where that is another.
fn place(route: Option<&str>, destination: Option<&str>) -> String {
    match (route.map(printable), destination.map(printable)) {
        (Some(route), Some(name)) if route != name => format!("{route}/{name}"),
        (_, Some(name)) => name,
        (Some(route), None) => route,
        (None, None) => "a destination".to_owned(),
    }
}

fn whose(name: &str, by: Option<&str>) -> String {
    match by.filter(|by| *by != name) {
        Some(by) => format!("{} ({})", printable(by), printable(name)),
        None => printable(name),
    }
}

fn because(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!("{} ", printable(reason)))
}

fn are(events: u64) -> String {
    format!("{} {}", count(events, "event"), if events == 1 { "is" } else { "are" })
}

fn keys_wait(keys: u64) -> String {
    format!("{} {}", count(keys, "key"), if keys == 1 { "waits" } else { "wait" })
}

fn letters_wait(letters: u64) -> String {
    format!("{} {}", count(letters, "dead letter"), if letters == 1 { "waits" } else { "wait" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-26T10:00:00Z".parse().expect("a time")
    }

    fn ago(seconds: u64) -> Timestamp {
        people::before(now(), Duration::from_secs(seconds))
    }

    fn ahead(seconds: u64) -> Timestamp {
        now().plus(Duration::from_secs(seconds))
    }

    fn fails(route: &str, reason: Option<&str>, is_long: bool) -> Wait {
        Wait::DestinationFails {
            since: ago(240),
            route: Some(route.to_owned()),
            destination: Some("sss".to_owned()),
            reason: reason.map(str::to_owned),
            keys: 1,
            give_up_at: ahead(7_200),
            is_long,
        }
    }

    fn check(events: u64, verdict: &Verdict, expected: &str) {
        let speaker = Speaker::above("local", now(), events);
        let sentence = speaker.sentence(verdict);
        // What this program is called is another one's business.
        let name = program::name();
        assert_eq!(sentence.replace(name, "queue"), expected);
    }

    fn nothing(waits: Vec<Wait>) -> Verdict {
        Verdict::NothingToDo { waits }
    }

    fn act(finding: Finding) -> Verdict {
        Verdict::Act { findings: vec![finding], unknown: Vec::new(), waits: Vec::new() }
    }

    #[test]
    fn what_waits_is_said_with_its_end() {
        check(0, &nothing(vec![]), "Nothing to do: nothing waits, and nothing is lost");
        check(1, &nothing(vec![]), "Nothing to do: 1 event is on its way");
        check(2, &nothing(vec![]), "Nothing to do: 2 events are on their way");
        check(
            21,
            &nothing(vec![fails("sss", Some("503"), false)]),
            "Nothing to do: sss answers 503 since 4 min, 21 events wait and go out by themselves; \
             the first is given up in 2 h",
        );
        let alarm = Wait::AlarmRings { section: "oldest-message-too-old".to_owned() };
        check(
            1,
            &nothing(vec![fails("sss", Some("refused"), true), fails("other", None, false), alarm]),
            "Nothing to do: sss does not answer (refused) since 4 min (whoever runs it should know), \
             other/sss does not answer since 4 min, 1 event waits and goes out by itself; it is given \
             up in 2 h; that is why oldest-message-too-old rings",
        );
        let paused =
            |until| Wait::Paused { name: "release".to_owned(), by: Some("sato".to_owned()), until };
        check(
            3,
            &nothing(vec![paused(Some(ahead(1_800)))]),
            "Nothing to do: delivery is paused by sato (release) until 10:30 UTC (for 30 min), \
             3 events wait",
        );
        check(
            0,
            &nothing(vec![paused(None)]),
            "Nothing to do: delivery is paused by sato (release) until it is resumed, nothing waits, \
             and nothing is lost",
        );
    }

    #[test]
    fn what_needs_somebody_is_said_with_what_to_type() {
        let blocked = Finding::KeyBlocked {
            since: "2026-11-26T03:12:59Z".parse().expect("a time"),
            key: "A-7".to_owned(),
            event_id: "e-1".to_owned(),
            route: None,
            destination: None,
            reason: Some("422".to_owned()),
        };
        let said = "key A-7 waits for a decision (422 since 03:12 UTC): `queue show local A-7`";
        check(1, &act(blocked.clone()), &format!("You: {said}"));
        let unknown = |what| Unknown { what, why: "no answer within 10 s".to_owned() };
        let verdict = Verdict::Act {
            findings: vec![
                blocked.clone(),
                blocked,
                Finding::DeadLettersPresent { oldest_at: None, count: 1 },
            ],
            unknown: vec![unknown(Input::Alarms)],
            waits: Vec::new(),
        };
        check(
            1,
            &verdict,
            &format!(
                "You: {said}; so does 1 other key (`queue blocked local --rejected`); and 1 other \
                 matter (below); unknown: alarms (no answer within 10 s)"
            ),
        );
        check(
            1,
            &act(Finding::Paused {
                since: Some(ago(7_200)),
                name: "release".to_owned(),
                events: 1,
            }),
            "You: release has paused delivery for 2 h without an end, 1 event is waiting: ask, or \
             `queue resume local`",
        );
        check(
            1,
            &act(Finding::DeadLettersPresent { oldest_at: Some(ago(86_400)), count: 2 }),
            "You: 2 dead letters wait, the oldest for 1 d: `queue dlq list local`",
        );
        let near = Finding::NearGiveUp {
            give_up_at: ahead(86_400),
            since: ago(3_600),
            route: Some("sss".to_owned()),
            destination: Some("sss".to_owned()),
            reason: Some("503".to_owned()),
            keys: 2,
        };
        check(
            2,
            &act(near),
            "You: sss answers 503 since 1 h, its first event is given up at 2026-11-27 10:00 UTC (in \
             1 d): have it mended, or let all wait, those of every route: `queue pause local --why TEXT`",
        );
        let rings =
            |section: &str| Finding::AlarmRings { section: section.to_owned(), since: None };
        check(
            0,
            &act(rings("nothing-delivered-sss")),
            "You: alarm nothing-delivered-sss rings: docs/runbook.md#nothing-delivered",
        );
        let verdict = Verdict::Unknown {
            unknown: [Input::Keys, Input::Alarms, Input::LossMeter].map(unknown).into(),
            waits: Vec::new(),
        };
        check(
            1,
            &verdict,
            "Unknown whether you must act: which keys wait (no answer within 10 s), alarms (no answer \
             within 10 s), and 1 other thing",
        );
    }

    /// What comes from outside cannot speak to the terminal.
    #[test]
    fn what_a_key_is_called_is_shown_as_text() {
        let finding = Finding::KeyBlocked {
            since: now(),
            key: "a\u{1b}[2J b".to_owned(),
            event_id: "e".to_owned(),
            route: None,
            destination: None,
            reason: None,
        };
        let sentence = Speaker::above("local", now(), 1).sentence(&act(finding));
        assert!(!sentence.contains('\u{1b}'), "{sentence}");
        assert!(sentence.contains("'a\u{fffd}[2J b'"), "{sentence}");
    }
}
