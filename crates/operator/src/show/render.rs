//! An event as it is printed.

use serde_json::{Value, json};
use terminal::table::{self, Width};

use super::find::Key;
use super::{LastAnswer, Lying, Shown, State, Subject, class, message_json};
use crate::dlq::show as dead_letter;
use crate::message_text::{self, field};
use crate::people::{self, ago, count, printable, span, time};
use crate::zone;

impl Shown<'_> {
    pub(super) fn as_json(&self) -> anyhow::Result<Value> {
        let Subject {
            event_id,
            state,
            route,
            group,
            next_attempt_at,
            not_before,
            last_answer,
            messages,
            history,
            can_do,
        } = &self.event;
        let messages: anyhow::Result<Vec<Value>> = messages.iter().map(message_json).collect();
        Ok(json!({
            "environment": self.environment, "event_id": event_id, "state": state,
            "route": route, "group": group, "key": self.key,
            "next_attempt_at": next_attempt_at.map(|at| at.to_string()),
            "not_before": not_before.map(|at| at.to_string()),
            "last_answer": last_answer, "messages": messages?, "history": history,
            "can_do": can_do, "paused": self.paused.is_some(), "unknown": self.unknown,
        }))
    }

    pub(super) fn for_people(&self) -> String {
        let mut text: Vec<String> = Vec::new();
        text.extend(self.key.as_ref().map(of_key));
        text.extend(self.heading());
        for (place, lying) in self.event.messages.iter().enumerate() {
            if place > 0 {
                let other = if lying.state == State::Dead { "dead letter" } else { "message" };
                text.push(format!("\nanother {other} of the event"));
            }
            text.extend(self.about(lying));
        }
        text.push(message_text::history(Ok(&self.event.history)));
        let mut has_response = false;
        for lying in &self.event.messages {
            if lying.state == State::Dead {
                let response = dead_letter::response(&lying.letter);
                has_response |= response.is_some();
                text.extend(response);
            }
        }
        let logged = self.event.last_answer.as_ref().and_then(|it| it.response.as_deref());
        text.extend(logged.filter(|_| !has_response).map(message_text::response));
        text.extend(self.event.messages.iter().map(|it| message_text::body(&it.letter.body)));
        text.push("\nwhat can be done".to_owned());
        text.extend(self.event.can_do.iter().map(|it| match &it.command {
            Some(command) => format!("- {}: `{command}`", it.what),
            None => format!("- {}", it.what),
        }));
        if !self.unknown.is_empty() {
            text.push(String::new());
        }
        text.extend(self.unknown.iter().map(|it| format!("unknown: {}", printable(it))));
        text.join("\n") + "\n"
    }

    fn heading(&self) -> Vec<String> {
        let Subject { event_id, state, route, group, last_answer, messages, .. } = &self.event;
        let mut lines = vec![field("event id", event_id), field("state", &self.state())];
        // A dead letter says these itself.
        if *state != State::Dead {
            let or_none = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
            lines.push(field("route", &or_none(route)));
            lines.push(field("group", &or_none(group)));
        }
        lines.extend(self.paused.as_ref().map(|pauses| field("paused", pauses)));
        lines.extend(last_answer.as_ref().map(|it| field("last answer", &self.answer(it))));
        if messages.is_empty() && *state == State::Delivered {
            let what = "gone with it: nothing of it is kept";
            lines.push(field("body", what));
        }
        lines
    }

    /// How it stands, in a few words.
    fn state(&self) -> String {
        let Subject { state, messages, next_attempt_at, .. } = &self.event;
        let again = next_attempt_at
            .map(|at| format!(", attempted again in {}", span(at.since(self.now))))
            .unwrap_or_default();
        let first = messages.first();
        let ahead = first.and_then(|it| it.ahead).unwrap_or_default();
        let detail = match state {
            State::Waiting if ahead > 0 => {
                format!(", behind {} of its group", count(ahead, "event"))
            }
            State::InFlight => ": it is being attempted".to_owned(),
            State::Retrying => format!(": the first of its group{again}"),
            State::Blocked => format!(": the service rejects it, and its group waits{again}"),
            State::Dead => first.map(|it| format!(": {}", class(it))).unwrap_or_default(),
            State::Waiting | State::Delivered => String::new(),
            State::Unknown => ": where it is, the log does not say".to_owned(),
        };
        state.as_str().to_owned() + &detail
    }

    fn answer(&self, it: &LastAnswer) -> String {
        let took = it.latency_ms.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
        let from = it.destination.as_deref().unwrap_or("the destination");
        let host = it.host.as_ref().map(|host| format!(" ({host})")).unwrap_or_default();
        let said = match (it.status, &it.error) {
            (Some(status), _) => format!("{status} from {from}{host}{took}"),
            (None, error) => {
                format!("none from {from}{host}: {}{took}", error.as_deref().unwrap_or("no answer"))
            }
        };
        let attempt = it.attempt.map(|it| format!(", attempt {it}")).unwrap_or_default();
        let when = time(&it.at).map(|at| format!(", {}", ago(at, self.now))).unwrap_or_default();
        format!("{said}{attempt}{when}: {}", it.class)
    }

    fn about(&self, lying: &Lying) -> Vec<String> {
        let message = &lying.letter.message;
        let mut lines: Vec<String> = if lying.state == State::Dead {
            let fields = dead_letter::fields(message);
            let others = fields.iter().filter(|(name, _)| *name != "event id");
            others.map(|(name, value)| field(name, value)).collect()
        } else {
            let accepted = message.said_accepted_at();
            let times = count(message.receive_count.into(), "time");
            vec![
                field("message id", &message.message_id),
                field(
                    "accepted",
                    &format!("{}, {}", zone::exact(accepted), ago(accepted, self.now)),
                ),
                field("received", &times),
            ]
        };
        let is_dead = lying.state == State::Dead;
        if let Some(behind) = lying.behind.filter(|_| !is_dead) {
            let behind = format!("{} of its group", count(behind, "event"));
            lines.push(field("behind it", &behind));
        }
        if let Some(at) = lying.visible_at.filter(|at| is_dead && *at > self.now) {
            let until = format!("somebody looks at it, until {}", zone::in_words(at));
            lines.push(field("hidden", &until));
        }
        lines.extend(message_text::headers(message));
        lines
    }
}

fn are(dead_letters: u64) -> String {
    let verb = if dead_letters == 1 { "is" } else { "are" };
    format!("{} {verb}", count(dead_letters, "dead letter"))
}

/// The events of a key, as a table.
fn of_key(key: &Key) -> String {
    let group = printable(&key.group);
    let Some(messages) = key.messages else {
        return format!("key {group}: the event that it waits for, by the log\n");
    };
    let (all, said) = match key.dead_letters {
        Some(dead) => (dead, format!("nothing waits, {} there", are(dead))),
        None => (messages, people::events_wait(messages)),
    };
    let row = |it: &super::find::OfKey| {
        [
            printable(&it.event_id),
            it.state.as_str().to_owned(),
            zone::kept_to_the_second(&it.accepted_at),
            it.receive_count.to_string(),
            people::bytes(it.body_bytes as u64),
        ]
    };
    let rows: Vec<_> = key.events.iter().map(row).collect();
    let accepted = zone::heading("ACCEPTED");
    let heading = ["EVENT", "STATE", &accepted, "RECEIVED", "BODY"];
    let table = table::render(heading, &rows, Width::of_stdout());
    let more = all.saturating_sub(rows.len() as u64);
    let more = if more > 0 { format!("and {more} more\n") } else { String::new() };
    format!("key {group}: {said}\n{table}{more}\nthe first of them")
}
