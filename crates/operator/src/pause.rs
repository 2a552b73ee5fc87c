//! `pause`: the event source mapping is disabled. Messages wait in the queue, in order.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_sqs::types::QueueAttributeName;
use commands::{
    Pause, command,
    program::{self, Word, value},
};
use serde_json::json;

use crate::environment;
use crate::interrupt::{self, interrupted};
use crate::kept_until::KeptUntil;
use crate::pauses::{self, Switch};
use crate::{people, progress, queue_counts};

pub(crate) async fn run(given: Pause) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let switch = Switch::of(&environment)?;
    let by = environment.audit().who().await?;
    let name = given.name.as_ref().unwrap_or(&by);
    // Begun, it is told of: who is interrupted has paused.
    let _guard = interrupt::guard();
    let for_seconds = given.duration.map(|duration| duration.as_secs());
    let what = json!({ "name": name, "for_seconds": for_seconds });
    let audit = environment.audit();
    let action = audit.begin("pause", Some(&given.why), what.clone(), given.audit).await?;
    let begun = switch.begin(name, &by, &given.why, given.duration).await;
    let mut others = action.end(what, begun).await?;
    let place = others.iter().position(|it| it.name == *name).context("the pause is gone")?;
    let ours = others.remove(place);
    let wait = progress::spinner("the end of the deliveries under way");
    let waiting = tokio::select! {
        settled = queue_counts::settled(&environment) => settled?,
        () = interrupted() => {
            wait.finish_and_clear();
            let resume = command!["resume", value(&environment.name), "--name", value(name)];
            eprintln!("delivery is paused; what is under way has not ended yet; `{resume}` ends the pause");
            return Ok(ExitCode::from(130));
        }
    };
    wait.finish_and_clear();
    let retention_seconds: u64 =
        environment.attribute(QueueAttributeName::MessageRetentionPeriod).await?;
    let retention = Duration::from_secs(retention_seconds);
    let kept = KeptUntil::of(&environment, waiting.all(), retention).await;
    if given.json {
        let paused = json!({
            "environment": environment.name, "state": "paused", "reason": given.why,
            "waiting": waiting.all(), "retention_seconds": retention_seconds,
            "holds": kept.json(), "resumes_at": ours.until, "name": name, "others": others,
        });
        println!("{paused}");
    } else {
        let waits = people::events_wait(waiting.all());
        println!("paused: {waits}; new ones are accepted, and wait too, in order");
        println!("{}", kept.text());
        if !others.is_empty() {
            println!("paused as well: {}", pauses::in_a_line(&others));
        }
        let mut resume = vec![Word::from("resume"), value(&environment.name)];
        // Alone, it is ended by whoever resumes.
        if given.name.is_some() || !others.is_empty() {
            resume.extend([Word::from("--name"), value(name)]);
        }
        let resume = format!("`{}`", program::command(resume));
        match ours.until {
            Some(at) => println!("it ends by itself at {at}, or with {resume}"),
            None => println!("{resume} ends it"),
        }
    }
    if given.duration.is_some_and(|pause| kept.ends_before(pause)) {
        eprintln!("warning: the pause is longer than that: SQS will delete events before it ends");
    }
    Ok(ExitCode::SUCCESS)
}
