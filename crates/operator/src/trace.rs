//! `trace`: what happened to one event, from the log, and where it is now, from the engine.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use commands::{Trace, command, program::value};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::Line;
use crate::audit::read::{self, Told};
use crate::engine_api::{EngineApi, segment};
use crate::environment::{self, Host};
use crate::history::{pattern, time_of};
use crate::people::{self, ago, printable, span};
use crate::sdk::in_time;
use crate::zone;

/// What sends dead letters again.
const SENDING_AGAIN: [&str; 2] = ["dlq redrive", "dlq edit"];

/// By what a dead letter leaves its queue.
const ENDING_A_LETTER: [&str; 4] = ["dlq redrive", "dlq edit", "dlq drop", "redriven"];

/// What the log says where no attempt was made.
const NOT_ATTEMPTED: &str = "not_attempted";

/// Something that happened to the event.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    /// RFC 3339; `None` if the line has no time.
    pub(crate) at: Option<String>,
    /// The log line's message, or what was inferred from it, or the command of an operator.
    pub(crate) what: String,
    /// For people.
    pub(crate) text: String,
    /// How often it happened, one time after the other.
    count: u64,
    /// When it happened last, if more than once, RFC 3339.
    until: Option<String>,
    /// The line of the log or of the audit log, the last one; `null` for what was inferred.
    line: Value,
}

impl Step {
    fn new(at: Option<String>, what: &str, text: String, line: Value) -> Self {
        Self { at, what: what.to_owned(), text, count: 1, until: None, line }
    }
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
    let environment = environment::connect(&given.of.environment).await?;
    let now = people::now();
    let back = Duration::from_hours(24) * given.days;
    let since = people::before(now, back);
    let history = environment.history();
    let of_event = pattern("event_id", &[&given.of.event_id]);
    let about = |line: &Value| line["event_id"] == *given.of.event_id;
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
        Host::Engine { api, .. } => Some(places(api, &given.of.event_id).await?),
        Host::Aws { .. } => None,
    };
    let acted = actions.iter().any(|action| read::is_about(action, &given.of.event_id));
    if lines.is_empty() && !acted && places.as_ref().is_none_or(Vec::is_empty) {
        bail!(
            "nothing is known of event {:?}: it is in no line of the last {} of {} and of the \
             audit log{}{}",
            given.of.event_id,
            span(back),
            history.name(),
            if places.is_some() { ", and in no queue" } else { "" },
            unknown.iter().fold(String::new(), |text, it| text + "; unknown: " + it)
        );
    }
    let steps = life(&lines, &actions, &given.of.event_id);
    if given.output.json() {
        let trace = json!({
            "environment": environment.name, "event_id": given.of.event_id,
            "steps": steps, "places": places, "unknown": unknown,
        });
        println!("{trace:#}");
    } else {
        print!(
            "{}",
            render(&environment.name, &given.of.event_id, &steps, places.as_deref(), now,)
        );
        for unknown in &unknown {
            eprintln!("unknown: {}", printable(unknown));
        }
    }
    Ok(if unknown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn places(api: &EngineApi, event_id: &str) -> anyhow::Result<Vec<Place>> {
    let found: Found = api.get(&format!("/_engine/events/{}", segment(event_id))).await?;
    Ok(found.places)
}

/// The life of an event, by the lines of the log and by what operators did.
pub(crate) fn life(lines: &[Value], actions: &[Line], event_id: &str) -> Vec<Step> {
    folded(explained(with_actions(steps(lines), actions, event_id)))
}

/// The steps without what others account for: an act's beginning, once it has ended, and the deletion of
/// a dead letter by who sent it again or dropped it.
fn explained(steps: Vec<Step>) -> Vec<Step> {
    let state = |step: &Step| step.line["what"]["state"].as_str().map(str::to_owned);
    let act = |step: &Step| (step.what.clone(), step.line["what"]["started_at"].clone());
    let ended: Vec<_> =
        steps.iter().filter(|it| state(it).as_deref() == Some("ended")).map(act).collect();
    let is_ended =
        |step: &Step| state(step).as_deref() == Some("started") && ended.contains(&act(step));
    let has_left = steps.iter().any(|step| ENDING_A_LETTER.contains(&&*step.what));
    // Of the queue itself it is a warning.
    let is_letter_s = |step: &Step| step.what == "deleted" && step.line["level"] == "INFO";
    let mut steps = steps;
    steps.retain(|step| !(is_ended(step) || has_left && is_letter_s(step)));
    steps
}

/// The steps, with one in the place of those in a row by which nothing was attempted.
pub(crate) fn folded(steps: Vec<Step>) -> Vec<Step> {
    let mut folded: Vec<Step> = Vec::new();
    for step in steps {
        match folded.last_mut() {
            Some(last) if step.what == NOT_ATTEMPTED && last.what == NOT_ATTEMPTED => {
                last.count += 1;
                last.until = step.at;
                last.line = step.line;
                let time = |at: &Option<String>| at.as_deref().and_then(people::time);
                let took = time(&last.at).zip(time(&last.until));
                let took = took.map(|(first, last)| format!(" in {}", span(last.since(first))));
                let (count, why) = (last.count, why_not_attempted(&last.line));
                last.text = format!("{count} times{}: {why}", took.unwrap_or_default());
            }
            _ => folded.push(step),
        }
    }
    folded
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
            let text = format!("sent again, as sequence {}", sent.unwrap_or_default());
            steps.push(Step::new(None, "redriven", text, Value::Null));
            dead = false;
        }
        sequence = sent.or(sequence);
        dead |= message == "dead_lettered";
        let at = line["timestamp"].as_str().map(str::to_owned);
        steps.push(Step::new(at, message, text(line), line.clone()));
    }
    steps
}

/// The steps, and between them what operators did to the event. A redrive that did not name its events
/// is told of where the log shows that the event was sent again.
fn with_actions(steps: Vec<Step>, actions: &[Line], event_id: &str) -> Vec<Step> {
    let time = |step: &Step| step.at.as_deref().and_then(people::time);
    let mut all: Vec<Step> = Vec::new();
    let about = actions.iter().filter(|action| read::is_about(action, event_id));
    let mut about = about.map(|action| step_of(action, Told::by(action, actions))).peekable();
    let mut steps = steps.into_iter().peekable();
    while let Some(mut step) = steps.next() {
        // What has no time of its own was inferred from what comes next.
        let until = time(&step).or_else(|| steps.peek().and_then(time));
        while let Some(action) = about.next_if(|action| time(action) <= until) {
            all.push(action);
        }
        if step.what == "redriven" {
            step.text.extend(who_redrove(actions, event_id, &all, until));
        }
        all.push(step);
    }
    all.extend(about);
    all
}

/// Who sent the event again, where nobody says by name that he did: the redrive that may have had it, if
/// there is only one. It was a dead letter when that began, as it was chosen, and it came back after
/// that, `seen_again`.
fn who_redrove(
    actions: &[Line],
    event_id: &str,
    before: &[Step],
    seen_again: Option<Timestamp>,
) -> Option<String> {
    let died = before.iter().rfind(|step| step.what == "dead_lettered")?;
    let dead_since = died.at.as_deref().and_then(people::time);
    let is_named = |action: &Line| {
        let is_since = read::time_of(action) >= dead_since;
        is_since && SENDING_AGAIN.contains(&&*action.action) && read::is_about(action, event_id)
    };
    if actions.iter().any(is_named) {
        return None;
    }
    let may_have_had = |action: &&Line| {
        let is_in_time = match action.what["started_at"].as_str().and_then(people::time) {
            Some(began) => Some(began) >= dead_since && seen_again.is_none_or(|seen| began <= seen),
            // A redrive of before notes its end only.
            None => read::time_of(action) >= dead_since,
        };
        let sent = read::events_of(action, "sent");
        // One that names all that it sent has not sent this one.
        let is_open = sent > 0 && read::events_of(action, "sent_ids") != sent;
        action.action == "dlq redrive" && is_open && is_in_time && is_chosen(action, event_id, died)
    };
    let candidates: Vec<&Line> = actions.iter().filter(may_have_had).collect();
    match candidates.as_slice() {
        [] => None,
        [one] => {
            let at = zone::kept_to_the_second(&one.at);
            Some(printable(&format!("; {} ended a `dlq redrive` at {at}", one.by)))
        }
        several => Some(format!("; by one of {} commands `dlq redrive`", several.len())),
    }
}

/// Whether a redrive may have chosen this event, by what was typed and by the line that says that it died.
fn is_chosen(redrive: &Line, event_id: &str, died: &Step) -> bool {
    let typed = redrive.what["event_ids"].as_array().map_or(&[][..], Vec::as_slice);
    let mut typed = typed.iter().filter_map(Value::as_str).peekable();
    let by_id = typed.peek().is_none() || typed.any(|typed| event_id.starts_with(typed));
    by_id
        && ["group", "route", "reason"].iter().all(|field| {
            let (wanted, is) = (&redrive.what["selection"][field], &died.line[field]);
            wanted.is_null() || is.is_null() || wanted == is
        })
}

/// What an operator did, as a step.
fn step_of(action: &Line, told: Told) -> Step {
    let why = action.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let came_of_it = match told {
        // What has ended stands for both.
        Told::Begun | Told::Done => "",
        Told::BegunOnly => {
            "; it began, and what came of it is unknown: it is under way, or was cut off"
        }
        Told::Failed => "; it failed, or was done in part",
        Told::Interrupted => "; it was interrupted",
    };
    let text = printable(&format!("by {}{why}{came_of_it}", action.by));
    Step::new(Some(action.at.clone()), &action.action, text, json!(action))
}

/// When the event was accepted, by its age in the first line that there is: API Gateway and SQS log
/// nothing of it.
fn accepted_before(line: &Value) -> Option<Step> {
    let age_ms = line["age_ms"].as_u64()?;
    let at = Timestamp::from_ms(time_of(line)?.as_ms().saturating_sub(age_ms));
    let text = "by its age at the first attempt".to_owned();
    Some(Step::new(Some(at.to_string()), "accepted", text, Value::Null))
}

/// A line for people.
pub(crate) fn text(line: &Value) -> String {
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
        NOT_ATTEMPTED => why_not_attempted(line) + &again,
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
        "repeated" => format!("{answer}, to a repeat that an operator asked for"),
        "repeat_failed" if line["destination"].is_null() => {
            format!("a repeat was not sent: {}", field("error").unwrap_or_default())
        }
        "repeat_failed" => format!("{answer}, to a repeat; it is not tried again"),
        // What a newer forwarder says.
        _ => field("error").or_else(|| field("reason")).unwrap_or_default() + &again,
    }
}

/// Why no attempt was made.
fn why_not_attempted(line: &Value) -> String {
    let to = line["destination"].as_str().map_or_else(|| "the destination".to_owned(), printable);
    match line["reason"].as_str() {
        Some("circuit_open") => format!("{to} is not tried for a moment: it is down"),
        Some("retry_after") => format!("{to} asked by Retry-After not to be called"),
        Some("behind_failed") => "an earlier event of its group failed".to_owned(),
        Some("deadline") => "no time was left in this batch".to_owned(),
        reason => reason.map(printable).unwrap_or_default(),
    }
}

/// A line for each step.
pub(crate) fn steps_for_people(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let at = step.at.as_deref().map(zone::kept_to_the_millisecond);
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
            command!["dlq", "show", value(environment), value(event_id)]
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

    #[test]
    fn an_id_that_somebody_else_has_chosen_is_no_option() {
        for chosen in crate::tests::CHOSEN {
            let place = Place {
                queue: "dlq".to_owned(),
                dead_letter: true,
                message_id: String::new(),
                group: String::new(),
                sequence: String::new(),
                sent_at: String::new(),
                receive_count: 1,
                visible_at: None,
                ahead: 0,
            };
            let text = where_it_is(&place, "prod", chosen, people::now());
            let command = text.split_once(": `").unwrap().1.strip_suffix('`').unwrap();
            crate::tests::takes(command, chosen);
        }
    }

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
    fn what_was_not_attempted_is_one_step_however_often() {
        let behind = |at| line(at, "not_attempted", &json!({ "reason": "behind_failed" }));
        let retry = |at| line(at, "retry", &json!({ "status": 503, "attempt": 1 }));
        let lines = [behind(1), behind(4), behind(9), retry(10), behind(11)];
        let life = life(&lines, &[], "e");
        let told: Vec<(&str, u64)> = life.iter().map(|it| (&*it.what, it.count)).collect();
        assert_eq!(told, [("not_attempted", 3), ("retry", 1), ("not_attempted", 1)]);
        assert_eq!(life[0].text, "3 times in 8 s: an earlier event of its group failed");
        assert_eq!(life[0].until.as_deref(), Some("2026-01-01T00:00:09.000Z"));
        assert_eq!((life[1].until.as_deref(), life[2].until.as_deref()), (None, None));
    }

    /// What is said of a redrive, by what it is noted with, of an event of group g that died at 5 and came
    /// again at 9.
    fn credited(redrives: &[(u32, Value)]) -> Option<String> {
        let more = json!({ "reason": "rejected", "group": "g" });
        let lines = [
            line(5, "dead_lettered", &more),
            line(9, "delivered", &json!({ "sequence": "7", "status": 200, "attempt": 1 })),
        ];
        let at = |at: u32| format!("2026-01-01T00:00:{at:02}.000Z");
        let redrives: Vec<Line> = redrives
            .iter()
            .map(|(began, what)| {
                let mut noted = json!({ "state": "ended", "started_at": at(*began), "sent": 2 });
                noted.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
                Line {
                    at: at(20),
                    by: "sato".to_owned(),
                    action: "dlq redrive".to_owned(),
                    reason: None,
                    what: noted,
                }
            })
            .collect();
        let life = life(&lines, &redrives, "e");
        let again = life.iter().find(|it| it.what == "redriven").unwrap();
        again
            .text
            .strip_prefix("sent again, as sequence 7")
            .unwrap()
            .split_once("; ")
            .map(|it| it.1.to_owned())
    }

    #[test]
    fn a_redrive_is_credited_only_if_it_may_have_had_the_event() {
        let sato = Some("sato ended a `dlq redrive` at 2026-01-01 00:00:20".to_owned());
        assert_eq!(credited(&[(6, json!({}))]), sato);
        assert_eq!(credited(&[(6, json!({ "selection": { "group": "g" } }))]), sato);
        assert_eq!(credited(&[(6, json!({ "event_ids": ["e"], "sent": 1 }))]), None, "it names it");
        let others = [
            (4, json!({})),
            (10, json!({})),
            (6, json!({ "sent": 0 })),
            (6, json!({ "sent_ids": ["a", "b"] })),
            (6, json!({ "event_ids": ["a"] })),
            (6, json!({ "selection": { "group": "h" } })),
            (6, json!({ "selection": { "reason": "gave_up" } })),
        ];
        for other in &others {
            assert_eq!(credited(std::slice::from_ref(other)), None, "{other:?}");
        }
        assert_eq!(credited(&[others.as_slice(), &[(6, json!({}))]].concat()), sato);
        let two = [(6, json!({})), (7, json!({}))];
        assert_eq!(credited(&two).as_deref(), Some("by one of 2 commands `dlq redrive`"));
        let named = [(6, json!({ "sent_ids": ["e", "b"] })), (7, json!({}))];
        assert_eq!(credited(&named), None, "it has a step of its own");
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
