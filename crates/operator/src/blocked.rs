//! `blocked`: which message groups wait for their first event, and for what. Where the groups stand
//! is the engine's to say; why, the log's. On AWS the log is all there is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::ExitCode;
use std::time::Duration;

use commands::{Blocked, command, program::value};
use domain::time::Timestamp;
use domain::verdict::{Failure, Key, Known};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use terminal::table::{self, Width};

use crate::engine_api::EngineApi;
use crate::environment::{self, Environment, Host};
use crate::history::{History, pattern, time_of};
use crate::mapping;
use crate::pauses::Switch;
use crate::people::{self, ago, count, printable, span};
use crate::retry::{self, Rest};
use crate::sdk::in_time;

/// How far back the log is read: further than the longest pause between two attempts that a route
/// can have, and its jitter.
pub(crate) const LOG_BACK: Duration = Duration::from_hours(13);

/// Pages of groups whose first event failed that are asked for: each has a thousand.
const FAILING_PAGES_MAX: usize = 10;

/// Lines that say why a group waits, or that it does no longer.
pub(crate) const SAYING: [&str; 7] = [
    "blocked",
    "retry",
    "not_attempted",
    "secret_unavailable",
    "not_dead_lettered",
    "delivered",
    "dead_lettered",
];

/// A group that waits.
#[derive(Debug, Serialize)]
pub(crate) struct WaitingGroup {
    pub(crate) group: String,
    pub(crate) route: Option<String>,
    pub(crate) event_id: String,
    /// The event's sequence number in the queue.
    pub(crate) sequence: Option<String>,
    /// `rejected`, `retry`, or `unknown` if the log does not tell.
    pub(crate) why: &'static str,
    /// HTTP status or error of the last attempt.
    pub(crate) reason: Option<String>,
    pub(crate) destination: Option<String>,
    /// The last attempt's number.
    attempt: Option<u64>,
    /// Since when the event has failed, RFC 3339.
    since: String,
    /// When it is tried again, if that is known, RFC 3339.
    pub(crate) next_attempt_at: Option<String>,
    /// Until when its destination asked by `Retry-After` not to be called, RFC 3339.
    pub(crate) not_before: Option<String>,
    /// Events of the group behind it; `None` on AWS, which does not tell.
    pub(crate) behind: Option<u64>,
    /// How the last attempt ended.
    #[serde(skip)]
    pub(crate) failure: Failure,
    /// When the event was accepted, if that is known.
    #[serde(skip)]
    pub(crate) accepted_at: Option<Timestamp>,
}

/// `/_engine/failing-groups`.
#[derive(Debug, Deserialize)]
struct FailingGroups {
    groups: Vec<Group>,
    /// The last one's sequence number, if there may be more.
    next: Option<String>,
}

/// `/_engine/waiting-groups`.
#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(rename = "group")]
    name: String,
    event_id: String,
    sequence: String,
    route: String,
    since: String,
    visible_at: Option<String>,
    behind: u64,
    /// The last lines about the event, one for each destination.
    #[serde(default)]
    last: Vec<Value>,
    accepted_at: Option<Timestamp>,
}

pub(crate) async fn run(given: Blocked) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let now = people::now();
    let (mut waiting, mut unknown) = waiting(&environment).await?;
    let all = waiting.len();
    // What a group waits for that nobody tells may be a decision.
    waiting.retain(|waiting| !given.rejected || ["rejected", "unknown"].contains(&waiting.why));
    let pauses = Box::pin(in_time(async { Switch::of(&environment)?.list().await })).await;
    let is_paused = pauses.as_ref().is_ok_and(|pauses| !pauses.is_empty());
    unknown.extend(pauses.err().map(|error| format!("whether delivery is paused ({error:#})")));
    let text = if given.output.json() {
        let document = json!({
            "environment": environment.name, "groups": waiting, "paused": is_paused, "unknown": unknown,
        });
        format!("{document:#}\n")
    } else {
        let groups = match waiting.as_slice() {
            [] if all > 0 => format!(
                "none of the {} that wait waits for a decision\n",
                count(all as u64, "group")
            ),
            [] if unknown.is_empty() => "no group waits\n".to_owned(),
            [] => "no group that could be seen waits\n".to_owned(),
            waiting => {
                render(&environment.name, waiting, now, is_paused, people::width(given.output))
            }
        };
        let unknown = unknown.iter().map(|it| format!("unknown: {}\n", printable(it)));
        unknown.fold(groups, |text, line| text + &line)
    };
    print!("{}", text);
    Ok(if unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The groups that wait, those that have waited longest first; and what could not be told.
pub(crate) async fn waiting(
    environment: &Environment,
) -> anyhow::Result<(Vec<WaitingGroup>, Vec<String>)> {
    let since = people::before(people::now(), LOG_BACK);
    let history = environment.history();
    if let Host::Engine { api, .. } = &environment.host {
        return of_engine(api, &history, since).await;
    }
    let mut unknown = Vec::new();
    let saying = |line: &Value| SAYING.iter().any(|it| line["message"] == **it);
    let found = history.look(&pattern("message", &SAYING), since, saying).await?;
    if let Some(cut) = history.cut(&found) {
        unknown.push(format!("{cut}; a group that was not tried since is missing"));
    }
    match mapping::state(environment).await {
        Ok(state) if mapping::is_on(&state) => {}
        Ok(state) => unknown.push(format!(
            "delivery is {state}: every group with an event waits, and only those are shown whose \
             events failed before"
        )),
        Err(error) => unknown.push(format!("whether delivery is on ({error:#})")),
    }
    let rests = retry::rests(&found.lines, people::now());
    Ok((resting(of_log(&found.lines), &rests), unknown))
}

/// The groups, and until when the destination of each asked not to be called.
fn resting(mut waiting: Vec<WaitingGroup>, rests: &[Rest]) -> Vec<WaitingGroup> {
    let mut until = retry::resting(&waiting, rests);
    for group in &mut waiting {
        group.not_before = until.remove(&group.group);
    }
    waiting
}

async fn of_engine(
    api: &EngineApi,
    history: &History,
    since: Timestamp,
) -> anyhow::Result<(Vec<WaitingGroup>, Vec<String>)> {
    let Groups { groups } = api.get("/_engine/waiting-groups").await?;
    let heads: HashSet<&str> = groups.iter().map(|group| group.event_id.as_str()).collect();
    let (last, rests, cut) = last_lines(history, since, &heads).await?;
    let untold = heads.iter().filter(|event_id| !last.contains_key(**event_id)).count();
    let waiting = |group: Group| {
        let line = last.get(&group.event_id).cloned().unwrap_or_default();
        group.waiting(&line)
    };
    let unknown = unknown_why(untold, cut);
    let waiting = groups.into_iter().map(waiting).collect();
    Ok((resting(waiting, &rests), unknown.into_iter().collect()))
}

/// That the log could not tell what some groups wait for. Which groups wait, the engine knows without it.
fn unknown_why(untold: usize, cut: Option<String>) -> Option<String> {
    let cut = cut.filter(|_| untold > 0)?;
    Some(format!("what {} for ({cut})", groups_wait(untold as u64)))
}

fn groups_wait(groups: u64) -> String {
    format!("{} {}", count(groups, "group"), if groups == 1 { "waits" } else { "wait" })
}

/// The last line about each of these events that says why it did not leave; which destinations asked not
/// to be called; and what the log could not tell.
async fn last_lines(
    history: &History,
    since: Timestamp,
    events: &HashSet<&str>,
) -> anyhow::Result<(HashMap<String, Value>, Vec<Rest>, Option<String>)> {
    let about = |line: &Value| {
        is_attempt(line) && line["event_id"].as_str().is_some_and(|id| events.contains(id))
    };
    let asked = |line: &Value| line["retry_after_ms"].is_u64();
    let wanted = |line: &Value| about(line) || asked(line);
    let found = history.look(&pattern("message", &SAYING), since, wanted).await?;
    let cut = history.cut(&found);
    let rests = retry::rests(&found.lines, people::now());
    let by_event = |line: Value| Some((line["event_id"].as_str()?.to_owned(), line));
    Ok((found.lines.into_iter().filter(about).filter_map(by_event).collect(), rests, cut))
}

/// The groups whose first event failed, also while it is tried again. The engine knows why of what it has
/// seen fail; of what failed before it started, the log tells.
pub(crate) async fn failing(api: &EngineApi, history: &History) -> Known<Vec<WaitingGroup>> {
    let (mut groups, mut path) = (Vec::new(), "/_engine/failing-groups".to_owned());
    let mut unknown = Vec::new();
    for page in 1.. {
        let found: FailingGroups = match in_time(api.get(&path)).await {
            Ok(found) => found,
            Err(error) => return Known::Not(format!("{error:#}")),
        };
        groups.extend(found.groups);
        let Some(next) = found.next else { break };
        if page == FAILING_PAGES_MAX {
            unknown.push(format!("more than {} keys wait", groups.len()));
            break;
        }
        path = format!("/_engine/failing-groups/after/{next}");
    }
    let untold = groups.iter().filter(|group| group.last.is_empty());
    let untold: HashSet<&str> = untold.map(|group| group.event_id.as_str()).collect();
    let mut lines = HashMap::new();
    if !untold.is_empty() {
        let since = people::before(people::now(), LOG_BACK);
        match in_time(last_lines(history, since, &untold)).await {
            Ok((found, _rests, cut)) => {
                let left = untold.iter().filter(|event_id| !found.contains_key(**event_id)).count();
                unknown.extend(unknown_why(left, cut));
                lines = found;
            }
            Err(error) => unknown.push(format!("{error:#}")),
        }
    }
    let waiting = |mut group: Group| {
        let mut last = std::mem::take(&mut group.last);
        last.extend(lines.remove(&group.event_id));
        let line = last.into_iter().max_by_key(|line| urgency(failure(line)));
        group.waiting(&line.unwrap_or_default())
    };
    let waiting = groups.into_iter().map(waiting).collect();
    if unknown.is_empty() { Known::Is(waiting) } else { Known::InPart(waiting, unknown.join("; ")) }
}

/// How the attempt ended that a line tells of.
fn failure(line: &Value) -> Failure {
    match (line["message"].as_str(), line["reason"].as_str()) {
        (None, _) => Failure::Unknown,
        (Some("blocked"), _) => Failure::Rejected,
        (Some("secret_unavailable"), _) => Failure::NoSecret,
        (Some("not_dead_lettered"), _) => Failure::NotDeadLettered,
        (Some("retry"), _) | (Some("not_attempted"), Some("circuit_open" | "retry_after")) => {
            Failure::Failed
        }
        // It had no turn or no time; or it has just been delivered, and will be gone.
        (Some(_), _) => Failure::NotTried,
    }
}

/// Of several destinations, the one that needs a person says why a group waits.
fn urgency(failure: Failure) -> u8 {
    match failure {
        Failure::Rejected => 5,
        Failure::NotDeadLettered => 4,
        Failure::NoSecret => 3,
        Failure::Failed => 2,
        Failure::Unknown => 1,
        Failure::NotTried => 0,
    }
}

/// The groups that wait, by the log alone: those whose last line is no success.
pub(crate) fn of_log(lines: &[Value]) -> Vec<WaitingGroup> {
    let mut groups: BTreeMap<&str, (&Value, &Value)> = BTreeMap::new();
    for line in lines {
        let (Some(group), Some(event_id)) = (line["group"].as_str(), line["event_id"].as_str())
        else {
            continue;
        };
        if is_attempt(line) {
            let (first, last) = groups.entry(group).or_insert((line, line));
            if last["event_id"] != *event_id {
                *first = line;
            }
            *last = line;
        } else if line["message"] == "delivered" || line["message"] == "dead_lettered" {
            // One of several destinations may take what another does not.
            let in_part = groups.get(group).is_some_and(|(_, last)| {
                last["event_id"] == *event_id && last["attempt"] == line["attempt"]
            });
            if !in_part {
                groups.remove(group);
            }
        }
    }
    let waiting = |(group, (first, last)): (&str, (&Value, &Value))| {
        let event_id = last["event_id"].as_str().unwrap_or_default().to_owned();
        let retry_in = Duration::from_millis(last["retry_in_ms"].as_u64().unwrap_or_default());
        WaitingGroup {
            since: first["timestamp"].as_str().unwrap_or_default().to_owned(),
            accepted_at: time_of(last).and_then(|at| {
                let age = Duration::from_millis(last["age_ms"].as_u64()?);
                Some(people::before(at, age))
            }),
            next_attempt_at: time_of(last).map(|at| at.plus(retry_in).to_string()),
            ..WaitingGroup::by(group.to_owned(), event_id, last)
        }
    };
    let mut waiting: Vec<WaitingGroup> = groups.into_iter().map(waiting).collect();
    waiting.sort_by(|a, b| a.since.cmp(&b.since));
    waiting
}

/// Whether a line tells why the first event of a group did not leave: it says when it is tried again.
fn is_attempt(line: &Value) -> bool {
    line["retry_in_ms"].is_u64() || line["message"] == "not_dead_lettered"
}

impl WaitingGroup {
    /// What the last line about the event tells.
    fn by(group: String, event_id: String, line: &Value) -> Self {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        Self {
            group,
            route: text("route"),
            sequence: text("sequence"),
            event_id,
            why: match line["message"].as_str() {
                Some("blocked") => "rejected",
                Some(_) => "retry",
                None => "unknown",
            },
            reason: line["status"]
                .as_u64()
                .map(|status| status.to_string())
                .or_else(|| text("error"))
                .or_else(|| text("reason")),
            destination: text("destination"),
            attempt: line["attempt"].as_u64(),
            since: String::new(),
            next_attempt_at: None,
            not_before: None,
            behind: None,
            failure: failure(line),
            accepted_at: None,
        }
    }

    /// The same for a verdict.
    pub(crate) fn key(self) -> Option<Key> {
        let is_tried =
            self.failure != Failure::Failed || self.reason.as_deref().is_some_and(is_answer);
        Some(Key {
            since: people::time(&self.since)?,
            key: self.group,
            event_id: self.event_id,
            route: self.route,
            destination: self.destination,
            failure: self.failure,
            reason: self.reason.filter(|_| is_tried),
            accepted_at: self.accepted_at,
        })
    }
}

impl Group {
    /// With what a line tells of its first event.
    fn waiting(self, line: &Value) -> WaitingGroup {
        WaitingGroup {
            behind: Some(self.behind),
            next_attempt_at: self.visible_at,
            since: self.since,
            sequence: Some(self.sequence),
            route: (!self.route.is_empty()).then_some(self.route),
            accepted_at: self.accepted_at,
            ..WaitingGroup::by(self.name, self.event_id, line)
        }
    }
}

/// Whether a reason is how the destination answered, and not why it was not asked.
fn is_answer(reason: &str) -> bool {
    !["circuit_open", "retry_after"].contains(&reason)
}

fn render(
    environment: &str,
    waiting: &[WaitingGroup],
    now: Timestamp,
    is_paused: bool,
    width: Width,
) -> String {
    let row = |it: &WaitingGroup| {
        let time = |text: &str| people::time(text);
        [
            printable(&it.group),
            it.why.to_owned(),
            it.reason.as_deref().map_or_else(|| "-".to_owned(), printable),
            it.destination.as_deref().map_or_else(|| "-".to_owned(), printable),
            time(&it.since).map_or_else(|| "-".to_owned(), |at| ago(at, now)),
            match it.next_attempt_at.as_deref().and_then(time) {
                _ if is_paused => "paused".to_owned(),
                Some(at) if at > now => format!("in {}", span(at.since(now))),
                _ => "now".to_owned(),
            },
            it.behind.map_or_else(|| "unknown on AWS".to_owned(), |behind| behind.to_string()),
            printable(&it.event_id),
        ]
    };
    let rows: Vec<_> = waiting.iter().map(row).collect();
    let heading =
        ["GROUP", "WAITS FOR", "REASON", "DESTINATION", "SINCE", "NEXT TRY", "BEHIND", "EVENT"];
    let mut text = table::render(heading, &rows, width);
    text = format!(
        "{text}`{}` shows one, and what can be done\n`{}` takes one out of its group's way\n",
        command!["show", value(environment), "EVENT"],
        command!["skip", value(environment), "EVENT", "--why", "TEXT"]
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u32, message: &str, group: &str, event_id: &str) -> Value {
        let retry_in_ms = ["blocked", "retry"].contains(&message).then_some(2_000);
        json!({
            "timestamp": format!("2026-01-01T00:00:{at:02}.000Z"), "message": message,
            "group": group, "event_id": event_id, "route": "sss", "destination": "sss",
            "status": 422, "attempt": at,
            "retry_in_ms": retry_in_ms,
        })
    }

    #[test]
    fn by_the_log_a_group_waits_from_its_first_failure_to_a_success() {
        let lines = [
            line(1, "blocked", "a", "a-1"),
            line(1, "retry", "b", "b-1"),
            line(2, "delivered", "b", "b-1"),
            line(3, "blocked", "a", "a-1"),
            line(4, "retry", "c", "c-1"),
            line(5, "dead_lettered", "c", "c-1"),
            line(6, "blocked", "c", "c-2"),
        ];
        let waiting = of_log(&lines);
        let shown: Vec<_> = waiting.iter().map(|it| (&*it.group, &*it.event_id, it.why)).collect();
        assert_eq!(shown, [("a", "a-1", "rejected"), ("c", "c-2", "rejected")]);
        assert_eq!(waiting[0].since, "2026-01-01T00:00:01.000Z");
        assert_eq!(waiting[0].next_attempt_at.as_deref(), Some("2026-01-01T00:00:05.000Z"));
        assert_eq!((waiting[0].reason.as_deref(), waiting[0].behind), (Some("422"), None));
    }

    #[test]
    fn a_key_rests_as_long_as_its_destination_asked_whichever_event_it_answered() {
        let mut asked = line(1, "retry", "a", "a-1");
        asked["retry_after_ms"] = json!(60_000);
        let mut elsewhere = line(1, "retry", "c", "c-1");
        elsewhere["destination"] = json!("other");
        let lines = [asked, line(1, "retry", "b", "b-1"), elsewhere];
        let until = "2026-01-01T00:01:01.000Z";
        let rests = |now: &str| retry::rests(&lines, people::time(now).unwrap());
        let told = |now: &str| -> Vec<Option<String>> {
            let waiting = resting(of_log(&lines), &rests(now));
            waiting.into_iter().map(|it| it.not_before).collect()
        };
        let rest = Some(until.to_owned());
        assert_eq!(told("2026-01-01T00:00:30.000Z"), [rest.clone(), rest, None]);
        assert_eq!(told(until), [None, None, None]);
    }

    #[test]
    fn the_last_line_says_what_a_key_waits_for() {
        let check = |message: &str, reason: Option<&str>, expected: (Failure, Option<&str>)| {
            let mut line = json!({
                "timestamp": "2026-01-01T00:00:10.000Z", "message": message, "group": "a",
                "event_id": "a-1", "retry_in_ms": 1_000, "age_ms": 4_000, "reason": reason,
            });
            if message == "retry" || message == "blocked" {
                line["status"] = json!(503);
            }
            let key = of_log(&[line]).remove(0).key().unwrap();
            assert_eq!((key.failure, key.reason.as_deref()), expected, "{message} {reason:?}");
            let accepted_at = key.accepted_at.unwrap().to_string();
            assert_eq!(accepted_at, "2026-01-01T00:00:06.000Z", "by its age");
        };
        check("blocked", None, (Failure::Rejected, Some("503")));
        check("retry", None, (Failure::Failed, Some("503")));
        check("secret_unavailable", Some("no"), (Failure::NoSecret, Some("no")));
        check("not_dead_lettered", Some("rejected"), (Failure::NotDeadLettered, Some("rejected")));
        // Why it was not asked says nothing of how it answers.
        check("not_attempted", Some("circuit_open"), (Failure::Failed, None));
        check("not_attempted", Some("retry_after"), (Failure::Failed, None));
        check("not_attempted", Some("pace"), (Failure::NotTried, Some("pace")));
        check(
            "not_attempted",
            Some("secret_in_doubt"),
            (Failure::NotTried, Some("secret_in_doubt")),
        );
        assert_eq!(failure(&Value::Null), Failure::Unknown);
        assert_eq!(failure(&json!({ "message": "delivered" })), Failure::NotTried);
    }

    #[test]
    fn of_several_destinations_the_one_that_needs_a_person_says_why() {
        let order = [
            Failure::NotTried,
            Failure::Unknown,
            Failure::Failed,
            Failure::NoSecret,
            Failure::NotDeadLettered,
            Failure::Rejected,
        ];
        assert!(order.is_sorted_by_key(|failure| urgency(*failure)));
    }
}
