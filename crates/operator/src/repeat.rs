//! `repeat`: an event that was delivered, sent once more. The engine does it, beside its queue.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use commands::{Repeat, command, program::value};
use domain::quota::FUNCTION_TIMEOUT_SECONDS_MAX;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use terminal::exit::Failure;

use crate::audit::Ending;
use crate::engine_api::{EngineApi, segment};
use crate::environment::{self, Host};
use crate::interrupt::{self, interrupted};
use crate::people::{count, printable};

/// How long it may take: as long as the function, and until it runs.
const TAKES_AT_MOST: Duration = Duration::from_secs(FUNCTION_TIMEOUT_SECONDS_MAX as u64 + 30);

/// `/_engine/messages/ID`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Found {
    id: String,
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    alike: BTreeSet<String>,
    #[serde(default)]
    kept: Option<Value>,
}

/// `/_engine/repeat`
#[derive(Debug, Deserialize)]
struct Answer {
    result: Outcome,
    group: Option<String>,
    repeated_at: Option<String>,
    #[serde(default)]
    attempts: Vec<Attempt>,
    error: Option<String>,
    waiting: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Delivered,
    Failed,
    /// Nobody knows whether the service has it.
    Unknown,
    Begun,
    NotKept,
    NoForwarder,
    Paused,
    Waiting,
}

#[derive(Debug, Deserialize, Serialize)]
struct Attempt {
    destination: String,
    delivered: bool,
    status: Option<u16>,
    error: Option<String>,
    latency_ms: Option<u64>,
}

pub(crate) async fn run(given: Repeat) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.of.environment).await?;
    let name = environment.name.clone();
    let Host::Engine { api, .. } = &environment.host else {
        bail!(
            "nothing was sent: SQS keeps nothing of what was delivered, so only who sent the event can send \
             it again, as another one"
        );
    };
    let event_id = kept(&name, api, &given.of.event_id).await?;
    let asked = json!({ "event_id": event_id, "anyway": given.anyway, "no_wait": given.no_wait });
    // What came of it is noted, however it ends.
    let _guard = interrupt::guard();
    let audit = environment.audit();
    let action = audit.begin("repeat", Some(&given.why), asked.clone(), given.audit).await?;
    let answered = tokio::select! {
        answered = api.post_within::<Answer>(TAKES_AT_MOST, "/_engine/repeat", &asked) => answered,
        () = interrupted() => Err(interrupt::Interrupted::error()),
    };
    let mut what = asked;
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            what["outcome"] = json!(Outcome::Unknown);
            let error = error.context(format!(
                "whether {} was sent once more is not known; `{}` tells what the log knows",
                printable(&event_id),
                command!["trace", value(&name), value(&event_id)]
            ));
            return action.end(what, Err(error)).await;
        }
    };
    what["outcome"] = json!(answer.result);
    what["attempts"] = json!(answer.attempts);
    if let Some(refusal) = refusal(&name, &event_id, &answer) {
        return action.end(what, Err(anyhow!(refusal))).await;
    }
    let is_done = matches!(answer.result, Outcome::Delivered | Outcome::Begun);
    action.end_as(if is_done { Ending::Done } else { Ending::Failed }, what).await?;
    if given.json {
        let report = json!({
            "environment": name, "event_id": event_id, "group": answer.group,
            "outcome": answer.result, "repeated_at": answer.repeated_at,
            "attempts": answer.attempts, "error": answer.error,
        });
        println!("{report:#}");
    } else {
        print!("{}", in_words(&name, &event_id, &answer));
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The event that was typed, if it is kept.
async fn kept(name: &str, api: &EngineApi, typed: &str) -> anyhow::Result<String> {
    let found: Found = api.get(&format!("/_engine/messages/{}", segment(typed))).await?;
    let shown = printable(typed);
    if found.alike.len() > 1 {
        let so = anyhow!("{shown} begins the ids of several events; type more of it");
        return Err(Failure::Usage.of(so));
    }
    if found.kept.is_some() {
        return Ok(found.id);
    }
    if !found.messages.is_empty() {
        bail!(
            "{shown} is not delivered, so nothing was sent; `{}` tells what can be done",
            command!["show", value(name), value(typed)]
        );
    }
    bail!("{}", not_kept(typed))
}

fn not_kept(typed: &str) -> String {
    format!(
        "nothing of {} is kept, so it cannot be sent once more: `keep_delivered` of the configuration says \
         how much of what is delivered from then on is; who sent it can send it again, as another event",
        printable(typed)
    )
}

/// Why nothing was sent, if that is so.
fn refusal(name: &str, event_id: &str, answer: &Answer) -> Option<String> {
    let anyway = || command!["repeat", value(name), value(event_id), "--why", "TEXT", "--anyway"];
    Some(match answer.result {
        Outcome::NotKept => not_kept(event_id),
        Outcome::NoForwarder => "nothing was sent: this engine delivers nothing".to_owned(),
        Outcome::Paused => format!(
            "nothing was sent: delivery is paused; `{}` ends that",
            command!["resume", value(name)]
        ),
        Outcome::Waiting => format!(
            "nothing was sent: {} of its key {} waiting, and it would come between them; `{}` sends it all \
             the same",
            count(answer.waiting.unwrap_or_default(), "event"),
            if answer.waiting == Some(1) { "is" } else { "are" },
            anyway()
        ),
        Outcome::Delivered | Outcome::Failed | Outcome::Unknown | Outcome::Begun => return None,
    })
}

fn in_words(name: &str, event_id: &str, answer: &Answer) -> String {
    let shown = printable(event_id);
    let text = match answer.result {
        Outcome::Delivered => format!("{shown} was sent once more, and taken\n"),
        Outcome::Begun => format!(
            "{shown} is sent once more; `{}` tells what came of it\n",
            command!["trace", value(name), value(event_id)]
        ),
        Outcome::Failed => {
            format!("{shown} was sent once more, and not taken; it is not tried again\n")
        }
        _ => format!("whether the service has {shown} once more is not known\n"),
    };
    let told = |attempt: &Attempt| {
        let Attempt { destination, status, error, latency_ms, .. } = attempt;
        let took = latency_ms.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
        let to = printable(destination);
        match (status, error) {
            (Some(status), _) => format!("{to} answered {status}{took}\n"),
            (None, error) => {
                let error = error.as_deref().unwrap_or("no answer");
                format!("no answer from {to}: {}{took}\n", printable(error))
            }
        }
    };
    let attempts: String = answer.attempts.iter().map(told).collect();
    let error = answer.error.as_ref().map(|it| format!("{}\n", printable(it)));
    text + &attempts + &error.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: Value) -> Answer {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_came_of_it_is_told_with_the_answer() {
        let asked = |status: Value, error: Value| {
            json!({ "destination": "sss", "delivered": false, "status": status, "error": error,
                "latency_ms": 3 })
        };
        let told = |it: Value| in_words("prod", "e-1", &answer(it));
        assert_eq!(
            told(json!({ "result": "delivered", "attempts": [asked(json!(200), json!(null))] })),
            "e-1 was sent once more, and taken\nsss answered 200 in 3 ms\n"
        );
        let failed = told(json!({
            "result": "failed", "attempts": [asked(json!(503), json!(null)), asked(json!(null), json!("refused"))],
        }));
        assert!(
            failed.contains(
                "not tried again\nsss answered 503 in 3 ms\nno answer from sss: refused in"
            ),
            "{failed}"
        );
        let unknown = told(json!({ "result": "unknown", "error": "it ended" }));
        assert!(unknown.contains("not known\nit ended\n"), "{unknown}");
    }

    #[test]
    fn what_is_refused_names_the_way_out() {
        let refused = |it: Value| refusal("prod", "e-1", &answer(it));
        let waiting = refused(json!({ "result": "waiting", "waiting": 2 })).unwrap();
        assert!(waiting.contains("2 events of its key are waiting"), "{waiting}");
        assert!(waiting.contains("repeat prod e-1 --why TEXT --anyway"), "{waiting}");
        assert!(refused(json!({ "result": "paused" })).unwrap().contains("resume prod"));
        assert!(refused(json!({ "result": "not_kept" })).unwrap().contains("keep_delivered"));
        assert!(refused(json!({ "result": "failed" })).is_none());
        for chosen in crate::tests::CHOSEN {
            let it = answer(json!({ "result": "waiting", "waiting": 1 }));
            let said = refusal("prod", chosen, &it).unwrap();
            let command = said.split('`').nth(1).unwrap();
            if !chosen.contains('`') {
                crate::tests::takes(command, chosen);
            }
        }
    }
}
