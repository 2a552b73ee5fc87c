//! `resume`: the event source mapping is enabled again, and what has waited goes out.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::environment::{Environment, EnvironmentArgs};
use crate::mapping::Mapping;
use crate::progress;
use crate::resumption::Resumption;
use crate::waiting::Waiting;

/// Between two looks at the queue. It does not tell by itself when it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Go on delivering, and show how what has waited goes out
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask resume dev\n  cargo xtask resume dev --no-wait")]
pub(crate) struct Resume {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// Do not wait until the queue is empty
    #[arg(long)]
    no_wait: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Resume {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mapping = Mapping::find(&environment).await?;
        let wait = progress::spinner("waiting until the mapping is enabled");
        mapping.switch(true).await?;
        Resumption::of(&environment, &mapping).cancel().await?;
        wait.finish_and_clear();
        let mut waiting = environment.waiting().await?;
        environment.audit().add("resume", None, json!({ "waiting": waiting.total() })).await?;
        if !self.json {
            println!("resumed: {} events wait", waiting.total());
        }
        let interrupted = !self.no_wait && !environment.drain(&mut waiting).await?;
        if self.json {
            let resumed = json!({
                "environment": environment.name, "state": "resumed", "waiting": waiting.total(),
            });
            println!("{resumed}");
        } else if interrupted {
            println!("delivery goes on; {} events still wait", waiting.total());
        } else if !self.no_wait {
            println!("the queue is empty");
        }
        Ok(if interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
    }
}

impl Environment {
    /// Shows the queue getting empty. Gives `false` if a signal ended that before.
    async fn drain(&self, waiting: &mut Waiting) -> anyhow::Result<bool> {
        let mut most = waiting.total();
        let bar = progress::bar(most, "delivered");
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        while waiting.total() > 0 {
            tokio::select! {
                _interrupted = interrupt.as_mut() => {
                    bar.finish_and_clear();
                    return Ok(false);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            *waiting = self.waiting().await?;
            most = most.max(waiting.total());
            bar.set_length(most);
            bar.set_position(most - waiting.total());
        }
        bar.finish_and_clear();
        Ok(true)
    }
}
