//! `pause`: the event source mapping is disabled. Messages wait in the queue, in order.

use commands::Pause;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::QueueAttributeName;
use domain::time::Timestamp;
use serde_json::json;

use crate::environment;
use crate::hold::Hold;
use crate::mapping::Mapping;
use crate::resumption::Resumption;
use crate::{people, progress, waiting};
use commands::program;

pub(crate) async fn run(given: Pause) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let mapping = Mapping::find(&environment).await?;
    let resumption = Resumption::of(&environment, &mapping);
    // Before it is switched off: a pause must not outlast what was asked for.
    let resumes_at = match given.duration {
        None => {
            resumption.cancel().await?;
            None
        }
        Some(duration) => {
            let at = Timestamp::from(SystemTime::now()).plus(duration);
            resumption.schedule(at, &given.why).await?;
            Some(at)
        }
    };
    mapping.switch(false).await?;
    let wait = progress::spinner("the end of the deliveries under way");
    let waiting = waiting::settled(&environment).await?;
    wait.finish_and_clear();
    let what = json!({ "resumes_at": resumes_at.map(|at| at.to_string()) });
    environment.audit().add("pause", Some(&given.why), what).await?;
    let retention_seconds: u64 =
        environment.attribute(QueueAttributeName::MessageRetentionPeriod).await?;
    let retention = Duration::from_secs(retention_seconds);
    let hold = Hold::of(&environment, waiting.total(), retention).await;
    if given.json {
        let paused = json!({
            "environment": environment.name, "state": "paused", "reason": given.why,
            "waiting": waiting.total(), "retention_seconds": retention_seconds,
            "holds": hold.json(), "resumes_at": resumes_at.map(|at| at.to_string()),
        });
        println!("{paused}");
    } else {
        let waits = people::events_wait(waiting.total());
        println!("paused: {waits}; new ones are accepted, and wait too, in order");
        println!("{}", hold.text());
        let resume = format!("`{}`", program::command(["resume", &environment.name]));
        match resumes_at {
            Some(at) => println!("it ends by itself at {at}, or with {resume}"),
            None => println!("{resume} ends it"),
        }
    }
    if let (Some(duration), Some(left)) = (given.duration, hold.left())
        && duration > left
    {
        eprintln!("warning: the pause is longer than that: SQS will delete events before it ends");
    }
    Ok(ExitCode::SUCCESS)
}
