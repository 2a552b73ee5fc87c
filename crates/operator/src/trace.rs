//! `trace`: what happened to one event, from the log, and where it is now, from the engine.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use commands::{Trace, program};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::Line;
use crate::audit::read;
use crate::engine_api::{EngineApi, segment};
use crate::environment::{self, Host};
use crate::history::{pattern, time_of};
use crate::people::{self, ago, printable, span};
use crate::sdk::in_time;

/// Something that happened to the event.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    /// RFC 3339; `None` if the line has no time.
    pub(crate) at: Option<String>,
    /// The log line's message, or what was inferred from it, or the command of an operator.
    pub(crate) what: String,
    /// For people.
    pub(crate) text: String,
    /// The line of the log or of the audit log; `null` for what was inferred.
    line: Value,
}

/// Where a message of the event is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    queue: String,
    pub(crate) dead_letter: bool,
    message_id: String,
    group: String,
    pub(crate) sequence: String,
    sent_at: String,
    receive_count: u32,
    visible_at: Option<String>,
    ahead: u64,
}

#[derive(Debug, Deserialize)]
struct Found {
    places: Vec<Place>,
}

pub(crate) async fn run(given: Trace) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let now = people::now();
    let back = Duration::from_hours(24) * given.days;
    let since = people::before(now, back);
    let history = environment.history();
    let of_event = pattern("event_id", &[&given.event_id]);
    let about = |line: &Value| line["event_id"] == *given.event_id;
    let audit = environment.audit();
    let (found, actions) =
        tokio::join!(history.look(&of_event, since, about), in_time(read::since(&audit, since)));
    let found = found?;
    let mut unknown = Vec::new();
    if let Some(cut) = history.cut(&found) {
        unknown.push(format!("what happened to it earlier ({cut})"));
    }
    let actions = actions.unwrap_or_else(|error| {
        unknown.push(format!("what operators did ({error:#})"));
        Vec::new()
    });
    let lines = found.lines;
    let places = match &environment.host {
        Host::Engine { api, .. } => Some(places(api, &given.event_id).await?),
        Host::Aws { .. } => None,
    };
    let acted = actions.iter().any(|action| read::is_about(action, &given.event_id));
    if lines.is_empty() && !acted && places.as_ref().is_none_or(Vec::is_empty) {
        bail!(
            "nothing is known of event {:?}: it is in no line of the last {} of {} and of the \
             audit log{}{}",
            given.event_id,
            span(back),
            history.name(),
            if places.is_some() { ", and in no queue" } else { "" },
            unknown.iter().fold(String::new(), |text, it| text + "; unknown: " + it)
        );
    }
    let steps = with_actions(steps(&lines), &actions, &given.event_id);
    if given.json {
        let trace = json!({
            "environment": environment.name, "event_id": given.event_id,
            "steps": steps, "places": places, "unknown": unknown,
        });
        println!("{trace:#}");
    } else {
        print!("{}", render(&environment.name, &given.event_id, &steps, places.as_deref(), now,));
        for unknown in &unknown {
            eprintln!("unknown: {}", printable(unknown));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn places(api: &EngineApi, event_id: &str) -> anyhow::Result<Vec<Place>> {
    let found: Found = api.get(&format!("/_engine/events/{}", segment(event_id))).await?;
    Ok(found.places)
}

/// The log's lines as steps, and what they tell without saying it.
pub(crate) fn steps(lines: &[Value]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut sequence: Option<&str> = None;
    let mut dead = false;
    for line in lines {
        let message = line["message"].as_str().unwrap_or_default();
        if steps.is_empty() && message != "accepted" {
            steps.extend(accepted_before(line));
        }
        let sent = line["sequence"].as_str();
        if dead && sent.is_some() && sent != sequence {
            steps.push(Step {
                at: None,
                what: "redriven".to_owned(),
                text: format!("sent again, as sequence {}", sent.unwrap_or_default()),
                line: Value::Null,
            });
            dead = false;
        }
        sequence = sent.or(sequence);
        dead |= message == "dead_lettered";
        steps.push(Step {
            at: line["timestamp"].as_str().map(str::to_owned),
            what: message.to_owned(),
            text: text(line),
            line: line.clone(),
        });
    }
    steps
}

/// The steps, and between them what operators did to the event. A redrive that did not name its events
/// is told of where the log shows that the event was sent again.
fn with_actions(steps: Vec<Step>, actions: &[Line], event_id: &str) -> Vec<Step> {
    let time = |step: &Step| step.at.as_deref().and_then(people::time);
    let mut all: Vec<Step> = Vec::new();
    let about = actions.iter().filter(|action| read::is_about(action, event_id));
    let mut about = about.map(step_of).peekable();
    let mut steps = steps.into_iter().peekable();
    while let Some(mut step) = steps.next() {
        // What has no time of its own was inferred from what comes next.
        let until = time(&step).or_else(|| steps.peek().and_then(time));
        while let Some(action) = about.next_if(|action| time(action) <= until) {
            all.push(action);
        }
        if step.what == "redriven" {
            let dead_since = all.iter().rfind(|step| step.what == "dead_lettered").and_then(time);
            step.text.extend(redrive_since(actions, event_id, dead_since));
        }
        all.push(step);
    }
    all.extend(about);
    all
}

/// Who redrove dead letters since this one became one, without naming it.
fn redrive_since(
    actions: &[Line],
    event_id: &str,
    dead_since: Option<Timestamp>,
) -> Option<String> {
    let since = actions.iter().filter(|action| read::time_of(action) >= dead_since);
    let mut sent_again = since.filter(|action| {
        action.action == "dlq redrive" && read::events_of(action, "sent") > 0
            || read::is_about(action, event_id)
    });
    let first = sent_again.next().filter(|action| !read::is_about(action, event_id))?;
    let at = first.at.get(..19).unwrap_or(&first.at).replace('T', " ");
    Some(printable(&format!("; {} ended a `dlq redrive` at {at}", first.by)))
}

/// What an operator did, as a step.
fn step_of(action: &Line) -> Step {
    let why = action.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Step {
        at: Some(action.at.clone()),
        what: action.action.clone(),
        text: printable(&format!("by {}{why}", action.by)),
        line: json!(action),
    }
}

/// When the event was accepted, by its age in the first line that there is: API Gateway and SQS log
/// nothing of it.
fn accepted_before(line: &Value) -> Option<Step> {
    let age_ms = line["age_ms"].as_u64()?;
    let at = Timestamp::from_ms(time_of(line)?.as_ms().saturating_sub(age_ms));
    Some(Step {
        at: Some(at.to_string()),
        what: "accepted".to_owned(),
        text: "by its age at the first attempt".to_owned(),
        line: Value::Null,
    })
}

/// A line for people.
fn text(line: &Value) -> String {
    let field = |name: &str| line[name].as_str().map(printable);
    let to = field("destination").unwrap_or_else(|| "the destination".to_owned());
    // A forwarder of before does not tell.
    let to = field("host").map_or_else(|| to.clone(), |host| format!("{to} ({host})"));
    let took = line["latency_ms"].as_u64().map(|ms| format!(" in {ms} ms")).unwrap_or_default();
    let answer = match (line["status"].as_u64(), field("error")) {
        (Some(status), _) => format!("{to} answered {status}{took}"),
        (None, Some(error)) => format!("no answer from {to}: {error}{took}"),
        (None, None) => format!("no answer from {to}"),
    };
    let attempt =
        line["attempt"].as_u64().map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    let again = line["retry_in_ms"]
        .as_u64()
        .map(|ms| format!("; again in {}", span(Duration::from_millis(ms))))
        .unwrap_or_default();
    match line["message"].as_str().unwrap_or_default() {
        "accepted" if line["duplicate"] == true => {
            "a repeat of what was sent within five minutes: not queued again".to_owned()
        }
        "accepted" => format!(
            "route {}, group {}, {}",
            field("route").unwrap_or_default(),
            field("group").unwrap_or_default(),
            people::bytes(line["bytes"].as_u64().unwrap_or_default())
        ),
        "not_attempted" => match line["reason"].as_str() {
            Some("circuit_open") => format!("{to} is not tried for a moment: it is down{again}"),
            Some("behind_failed") => "an earlier event of its group failed".to_owned(),
            Some("deadline") => "no time was left in this batch".to_owned(),
            _ => field("reason").unwrap_or_default(),
        },
        "dead_lettered" => format!("for {}", field("reason").unwrap_or_default()),
        "not_dead_lettered" => format!(
            "for {}, but the dead-letter queue did not take it: {}",
            field("reason").unwrap_or_default(),
            field("error").unwrap_or_default()
        ),
        "blocked" => format!("{answer}{attempt}; its group waits{again}"),
        "delivered" | "retry" | "rejected" | "gave_up" | "skipped" => {
            format!("{answer}{attempt}{again}")
        }
        // What a newer forwarder says.
        _ => field("error").or_else(|| field("reason")).unwrap_or_default() + &again,
    }
}

/// A line for each step.
pub(crate) fn steps_for_people(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let at = step.at.as_deref().map(|at| at.replace('T', " ").replace('Z', ""));
        let line = format!("{:<24} {:<14} {}", at.unwrap_or_default(), step.what, step.text);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn render(
    environment: &str,
    event_id: &str,
    steps: &[Step],
    places: Option<&[Place]>,
    now: Timestamp,
) -> String {
    let mut text = format!("event {}\n", printable(event_id));
    text.push_str(&steps_for_people(steps));
    text.push_str("now: ");
    match places {
        None => text.push_str(&presumed(steps)),
        Some([]) => text.push_str("in no queue\n"),
        Some(places) => {
            let places: Vec<String> =
                places.iter().map(|place| where_it_is(place, environment, event_id, now)).collect();
            text.push_str(&places.join("\n     and "));
            text.push('\n');
        }
    }
    text
}

/// Where an event is by the last line about it.
fn presumed(steps: &[Step]) -> String {
    // Looking at an event moves it nowhere.
    let last = steps.iter().rev().map(|step| step.what.as_str()).find(|what| *what != "dlq export");
    match last {
        Some("dlq drop") => "dropped by an operator, who has a copy in a file\n".to_owned(),
        Some("delivered") => "delivered\n".to_owned(),
        Some("dead_lettered") => "a dead letter, unless it was dropped since\n".to_owned(),
        _ => "in the queue, by the last line (AWS does not say where an event is)\n".to_owned(),
    }
}

fn where_it_is(place: &Place, environment: &str, event_id: &str, now: Timestamp) -> String {
    let since = people::time(&place.sent_at).map_or_else(String::new, |at| ago(at, now));
    if place.dead_letter {
        return format!(
            "a dead letter in {} since {since}: `{}`",
            place.queue,
            program::command(["dlq", "show", environment, event_id])
        );
    }
    let turn = match (place.ahead, place.visible_at.as_deref().and_then(people::time)) {
        (0, Some(at)) if at > now => {
            format!("next of its group, tried again in {}", span(at.since(now)))
        }
        (0, _) => "next of its group".to_owned(),
        (ahead, _) => format!("behind {} of its group", people::count(ahead, "event")),
    };
    format!(
        "in {} since {since}, {turn}, group {}, received {}",
        place.queue,
        printable(&place.group),
        people::count(place.receive_count.into(), "time")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u32, message: &str, more: &Value) -> Value {
        let mut line = json!({
            "timestamp": format!("2026-01-01T00:00:{at:02}.000Z"), "message": message,
            "event_id": "e", "route": "sss", "destination": "sss", "sequence": "1",
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    }

    #[test]
    fn steps_that_no_line_tells_of_are_inferred() {
        let lines = [
            line(5, "rejected", &json!({ "age_ms": 4_000, "status": 422, "latency_ms": 3 })),
            line(5, "dead_lettered", &json!({ "reason": "rejected" })),
            line(9, "delivered", &json!({ "sequence": "7", "status": 200, "attempt": 1 })),
        ];
        let steps = steps(&lines);
        let whats: Vec<&str> = steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(whats, ["accepted", "rejected", "dead_lettered", "redriven", "delivered"]);
        assert_eq!(steps[0].at.as_deref(), Some("2026-01-01T00:00:01.000Z"));
        assert_eq!(steps[1].text, "sss answered 422 in 3 ms");
        assert_eq!(steps[4].text, "sss answered 200, attempt 1");
    }

    #[test]
    fn what_failed_is_told_with_what_comes_next() {
        let retry = json!({ "error": "refused", "attempt": 2, "retry_in_ms": 61_000 });
        assert_eq!(
            text(&line(1, "retry", &retry)),
            "no answer from sss: refused, attempt 2; again in 1 min"
        );
        let newer = json!({ "error": "no such secret", "retry_in_ms": 2_000 });
        assert_eq!(text(&line(1, "something_new", &newer)), "no such secret; again in 2 s");
        let blocked = json!({ "status": 422, "latency_ms": 4, "retry_in_ms": 2_000 });
        assert_eq!(
            text(&line(1, "blocked", &blocked)),
            "sss answered 422 in 4 ms; its group waits; again in 2 s"
        );
    }
}
