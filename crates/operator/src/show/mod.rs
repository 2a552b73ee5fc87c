//! `show`: one event, wherever it is, and what can be done about it. Where it lies is the engine's to say,
//! which also reads it; what happened to it, the log's. On AWS the log is all there is, but for dead
//! letters.

mod can_do;
mod find;
mod render;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use commands::{Show, command, program::value};
use domain::dead_letter::reason_of;
use domain::message::Message;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::{Line, read};
use crate::dlq::show as dead_letter;
use crate::ended::{Ended, ended};
use crate::environment::{self, Environment, Host};
use crate::history::time_of;
use crate::letter::DeadLetter;
use crate::pauses::{self, Switch};
use crate::people::{self, span};
use crate::sdk::in_time;
use crate::trace::{self, Step};
use crate::zone;
use crate::{message_text, progress, retry};
use can_do::{CanDo, Case};
use find::{Found, Key};

/// Where an event is, and how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It was never attempted.
    Waiting,
    InFlight,
    /// An attempt failed, or was put off, and the next is to come.
    Retrying,
    /// The same, and the service rejects it.
    Blocked,
    Dead,
    Delivered,
    Unknown,
}

/// A message of an event, as it lies in a queue.
#[derive(Debug)]
struct Lying {
    state: State,
    visible_at: Option<Timestamp>,
    ahead: Option<u64>,
    behind: Option<u64>,
    /// The event that its group waits for.
    head_event_id: Option<String>,
    letter: DeadLetter,
}

/// The service's last answer, or that there was none.
#[derive(Debug, Serialize)]
struct LastAnswer {
    /// RFC 3339.
    at: String,
    /// The log line's message: `delivered`, `retry`, `blocked`, `rejected`, `gave_up`, `skipped`.
    class: String,
    destination: Option<String>,
    host: Option<String>,
    status: Option<u64>,
    error: Option<String>,
    latency_ms: Option<u64>,
    attempt: Option<u64>,
    /// The beginning of its body, where the log has it.
    response: Option<String>,
}

/// An event, with all that is known of it.
struct Subject {
    event_id: String,
    state: State,
    route: Option<String>,
    group: Option<String>,
    next_attempt_at: Option<Timestamp>,
    /// Until when its destination asked not to be called.
    not_before: Option<Timestamp>,
    last_answer: Option<LastAnswer>,
    /// The one that it is about comes first.
    messages: Vec<Lying>,
    history: Vec<Step>,
    can_do: Vec<CanDo>,
}

/// What is shown.
struct Shown<'a> {
    environment: &'a str,
    now: Timestamp,
    event: Subject,
    /// If a key was typed.
    key: Option<Key>,
    /// Pauses, in a line.
    paused: Option<String>,
    unknown: Vec<String>,
}

pub(crate) async fn run(given: Show) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let now = people::now();
    let since = people::before(now, Duration::from_hours(24) * given.days);
    let audit = environment.audit();
    let (found, actions, switch) = tokio::join!(
        find::find(&environment, &given, since),
        in_time(read::since(&audit, since)),
        in_time(async { Switch::of(&environment)?.list().await }),
    );
    let Found { event_id, lines, mut messages, mut key, mut unknown, mut is_in_part, is_kept } =
        found?;
    let actions = actions.unwrap_or_else(|error| {
        is_in_part = true;
        unknown.push(format!("what operators did ({error:#})"));
        Vec::new()
    });
    let paused = match switch {
        Ok(pauses) if pauses.is_empty() => Some(None),
        Ok(pauses) => Some(Some(pauses::in_a_line(&pauses))),
        Err(error) => {
            is_in_part = true;
            unknown.push(format!("whether delivery is paused ({error:#})"));
            None
        }
    };
    if matches!(environment.host, Host::Aws { .. })
        && (given.look || may_be_dead(&lines, &actions, &event_id))
    {
        let _shown = progress::waiting_for("the dead letters");
        messages = find::dead_letters(&environment, &event_id, &mut unknown).await?;
    }
    if lines.is_empty()
        && messages.is_empty()
        && !actions.iter().any(|it| read::is_about(it, &event_id))
    {
        bail!("{}", nothing(&environment, &given, &unknown));
    }
    let is_paused = paused.as_ref().map(Option::is_some);
    let lying = (messages, is_kept);
    let event = event(&environment, event_id, &lines, lying, &actions, is_paused, now);
    if matches!(environment.host, Host::Aws { .. })
        && event.messages.is_empty()
        && event.state != State::Delivered
    {
        unknown.push(
            "its headers and body, and what is behind it (SQS shows a message only to who receives it; \
             they can be looked at once it is a dead letter)"
                .to_owned(),
        );
    }
    // What the engine takes for waiting may be blocked by what the log says.
    let head = key.as_mut().and_then(|key| key.events.first_mut());
    if let Some(head) = head.filter(|head| head.event_id == event.event_id) {
        head.state = event.state;
    }
    let shown = Shown {
        environment: &environment.name,
        now,
        event,
        key,
        paused: paused.flatten(),
        unknown,
    };
    if given.output.json() {
        println!("{:#}", shown.as_json()?);
    } else {
        print!("{}", shown.for_people());
    }
    Ok(if is_in_part { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn nothing(environment: &Environment, given: &Show, unknown: &[String]) -> String {
    let back = span(Duration::from_hours(24) * given.days);
    let (place, way_out) = match environment.host {
        Host::Engine { .. } => (", and no queue has it or a group of this name", String::new()),
        Host::Aws { .. } => {
            let look = command!["show", value(&environment.name), value(&given.of.id), "--look"];
            let way_out = format!(
                "; AWS does not tell what waits and was never attempted, and `{look}` looks among the \
                 dead letters"
            );
            ("", if given.look { String::new() } else { way_out })
        }
    };
    format!(
        "nothing is known of {:?}: it is in no line of the last {back} of {}{place}{way_out}{}",
        given.of.id,
        environment.history().name(),
        unknown.iter().fold(String::new(), |text, it| text + "; unknown: " + it)
    )
}

/// The lines of the event's newest message: sent again, it is another.
fn of_newest(lines: &[Value]) -> Vec<&Value> {
    let sequence = lines.iter().rev().find_map(|line| line["sequence"].as_str());
    lines.iter().filter(|line| line["sequence"].as_str() == sequence).collect()
}

/// Whether the log says that it became a dead letter, and nobody that he took it away since.
fn may_be_dead(lines: &[Value], actions: &[Line], event_id: &str) -> bool {
    let lines = of_newest(lines);
    let dropped = actions.iter().any(|it| it.action == "dlq drop" && read::is_about(it, event_id));
    ended(&lines) == Some(Ended::DeadLettered) && !dropped
}

/// How the newest message stands, by the log alone.
fn state_by_log(lines: &[Value]) -> State {
    let lines = of_newest(lines);
    match ended(&lines) {
        Some(Ended::Delivered) => return State::Delivered,
        Some(Ended::DeadLettered) => return State::Dead,
        None => {}
    }
    let last = lines.iter().rev().find(|line| line["message"] != "accepted");
    match last.and_then(|line| line["message"].as_str()) {
        Some("blocked") => State::Blocked,
        Some("not_attempted") if !was_attempted(&lines) => State::Waiting,
        Some(_) => State::Retrying,
        None if lines.is_empty() => State::Unknown,
        None => State::Waiting,
    }
}

fn was_attempted(lines: &[&Value]) -> bool {
    lines.iter().any(|line| line["retry_in_ms"].is_u64())
}

/// Puts together what is known of the event.
fn event(
    environment: &Environment,
    event_id: String,
    lines: &[Value],
    (mut messages, is_kept): (Vec<Lying>, bool),
    actions: &[Line],
    is_paused: Option<bool>,
    now: Timestamp,
) -> Subject {
    // What waits is what it is about, also where an earlier message of the event is a dead letter.
    messages.sort_by_key(|it| it.state == State::Dead);
    let by_log = state_by_log(lines);
    let last = of_newest(lines).last().copied();
    let is_engine = matches!(environment.host, Host::Engine { .. });
    let state = match (messages.first().map(|it| it.state), by_log) {
        (Some(State::Retrying), State::Blocked) => State::Blocked,
        (Some(state), _) => state,
        (None, State::Delivered) => State::Delivered,
        // It has left the queues, and nobody says how; or was a dead letter that is none any more.
        (None, _) if is_engine => State::Unknown,
        (None, State::Dead) => State::Unknown,
        (None, by_log) => by_log,
    };
    if let Some(first) = messages.first_mut() {
        first.state = state;
    }
    let first = messages.first();
    let text = |name: &str| last.and_then(|line| line[name].as_str()).map(str::to_owned);
    let route =
        first.and_then(|it| it.letter.route_name().map(str::to_owned)).or_else(|| text("route"));
    let group = first.map(|it| domain::dead_letter::group_of(&it.letter)).or_else(|| text("group"));
    let by_line = || {
        let retry_in = Duration::from_millis(last?["retry_in_ms"].as_u64()?);
        Some(time_of(last?)?.plus(retry_in))
    };
    let next_attempt_at = match (state, is_engine) {
        (State::Retrying | State::Blocked, true) => first.and_then(|it| it.visible_at),
        (State::Retrying | State::Blocked, false) => by_line(),
        _ => None,
    }
    .filter(|at| *at > now);
    let behind_of =
        first.and_then(|it| it.head_event_id.as_deref()).filter(|head| *head != event_id);
    let next_attempt =
        next_attempt_at.map(|at| format!("at {}, in {}", zone::in_words(at), span(at.since(now))));
    let rests = retry::rests(lines, now).into_iter().filter_map(|it| people::time(&it.until));
    let not_before = rests.max().filter(|_| matches!(state, State::Retrying | State::Blocked));
    let can_do = Case {
        environment: &environment.name,
        event_id: &event_id,
        group: group.as_deref(),
        state,
        behind_of,
        next_attempt,
        not_before: not_before.map(zone::in_words),
        is_paused,
        is_kept,
    }
    .can_do();
    Subject {
        history: trace::life(lines, actions, &event_id),
        last_answer: last_answer(lines),
        can_do,
        state,
        route,
        group,
        next_attempt_at,
        not_before,
        messages,
        event_id,
    }
}

/// What the service said last, by the log.
fn last_answer(lines: &[Value]) -> Option<LastAnswer> {
    let is_answer = |line: &&Value| {
        line["attempt"].is_u64() && (line["status"].is_u64() || line["error"].is_string())
    };
    let line = lines.iter().rev().find(is_answer)?;
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    Some(LastAnswer {
        at: text("timestamp").unwrap_or_default(),
        class: text("message").unwrap_or_default(),
        destination: text("destination"),
        host: text("host"),
        status: line["status"].as_u64(),
        error: text("error"),
        latency_ms: line["latency_ms"].as_u64(),
        attempt: line["attempt"].as_u64(),
        response: text("response"),
    })
}

/// A message of the event, for programs.
fn message_json(lying: &Lying) -> anyhow::Result<Value> {
    let Lying { state, visible_at, ahead, behind, head_event_id, letter } = lying;
    let message: &Message = &letter.message;
    let mut json = if *state == State::Dead {
        dead_letter::as_json(message)?
    } else {
        json!({
            "event_id": message.event_id(), "message_id": message.message_id,
            "route": message.route_name(), "group": message.group_id,
            "accepted_at": message.said_accepted_at().to_string(),
            "receive_count": message.receive_count, "body_bytes": message.body.len(),
            "headers": message_text::headers_json(message), "body": message.body,
        })
    };
    json["state"] = json!(state);
    json["sequence"] = json!(message.sequence_number);
    json["visible_at"] = json!(visible_at.map(|at| at.to_string()));
    json["ahead"] = json!(ahead);
    json["behind"] = json!(behind);
    json["head_event_id"] = json!(head_event_id);
    Ok(json)
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in flight",
            Self::Retrying => "retrying",
            Self::Blocked => "blocked",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Unknown => "unknown",
        }
    }
}

/// The class of a dead letter.
fn class(lying: &Lying) -> String {
    reason_of(&lying.letter)
}
