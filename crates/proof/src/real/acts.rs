//! What operators do, and the provider: the steps of a schedule that somebody types.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::attack::{Attack, WHILE_PAUSED};
use super::configuration::PROVIDER_SECRETS;
use crate::history::{Action, DeadLetter};
use crate::random::Random;
use crate::schedule::{Fault, Step};

/// How many dead letters are tried until one is dropped.
const TRIED: usize = 5;
/// From how many dead letters on the oldest are dropped before a redrive: some are wanted by nobody, come
/// back every time, and would be all that a long run does.
const LETTERS_MAX: usize = 1_000;

/// From how many events on redrives do not wait for a minute until the lease of a killed one has expired: it
/// would be half of the run.
const LONG_RUN: u64 = 100_000;
const WAIT_OF_LONG_RUN: [&str; 2] = ["--wait", "10s"];

impl Attack {
    pub(super) async fn redrive(&self, step: Step) -> anyhow::Result<u64> {
        let letters = self.operators.dead_letters().await?;
        // What a killed command has hidden would be waited for, two minutes long.
        let hides =
            self.engine()?.json("/_engine/status").await?["dead_letter_queue"]["in_flight"] != 0;
        let mut arguments = vec!["dlq", "redrive", "proof", "--all", "--why", "they are taken now"];
        arguments.extend(hides.then_some("--now"));
        if self.events >= LONG_RUN {
            arguments.extend(WAIT_OF_LONG_RUN);
        }
        let ids = Vec::new();
        let after = (step.fault == Fault::KillRedrive)
            .then(|| Duration::from_millis(5 + step.choice % 400));
        self.operators.act_or_be_killed(Action::Redrive, ids, &arguments, after).await?;
        Ok(letters.len() as u64)
    }

    /// Drops the first half of them, once they are too many.
    pub(super) async fn drop_oldest(&self) -> anyhow::Result<()> {
        let letters = self.operators.dead_letters().await?;
        if letters.len() <= LETTERS_MAX {
            return Ok(());
        }
        let ids: Vec<String> =
            letters.iter().take(LETTERS_MAX / 2).map(|letter| letter.event_id.clone()).collect();
        let mut arguments = vec!["dlq", "drop", "proof", "--yes", "--why", "nobody wants them"];
        arguments.extend(ids.iter().map(String::as_str));
        // Some may be hidden by a command that was killed: then nothing is dropped, and the next tries.
        self.operators.act(Action::Drop, ids.clone(), &arguments).await?;
        Ok(())
    }

    pub(super) async fn skip(&self, step: Step) -> anyhow::Result<u64> {
        let blocked = self.operators.json(&["blocked"]).await?;
        let groups = blocked["groups"].as_array().cloned().unwrap_or_default();
        // What was refused most often is not delivered before the skip is seen.
        let refused = |group: &&Value| (group["why"] == "rejected", group["attempt"].as_u64());
        let group = groups.iter().max_by_key(refused);
        let Some(id) = group.and_then(|group| group["event_id"].as_str()) else { return Ok(0) };
        let arguments = ["skip", "proof", id, "--no-wait", "--why", "it is in the way"];
        let ids = vec![id.to_owned()];
        let after =
            (step.fault == Fault::KillSkip).then(|| Duration::from_millis(2 + step.choice % 60));
        self.operators.act_or_be_killed(Action::Skip, ids, &arguments, after).await?;
        Ok(1)
    }

    pub(super) async fn retry(&self, step: Step) -> anyhow::Result<u64> {
        let arguments = ["retry", "--all"];
        let after =
            (step.fault == Fault::KillRetry).then(|| Duration::from_millis(2 + step.choice % 60));
        self.operators.act_or_be_killed(Action::Retry, Vec::new(), &arguments, after).await?;
        Ok(1)
    }

    pub(super) async fn pause(&mut self, step: Step) -> anyhow::Result<()> {
        let (pause, resume) =
            (["pause", "--name", "proof", "--why", "a release"], ["resume", "--all", "--no-wait"]);
        let after = Duration::from_millis(2 + step.choice % 200);
        let killed_after = (step.fault == Fault::KillPause).then_some(after);
        self.operators.act_or_be_killed(Action::Pause, Vec::new(), &pause, killed_after).await?;
        self.send_until(self.released + WHILE_PAUSED).await?;
        if step.fault == Fault::PauseAcrossKill {
            self.kill_engine().await?;
            self.send_until(self.released + WHILE_PAUSED).await?;
        }
        if step.fault == Fault::KillResume {
            let (ids, killed_after) = (Vec::new(), Some(after));
            self.operators.act_or_be_killed(Action::Resume, ids, &resume, killed_after).await?;
        }
        self.operators.act(Action::Resume, Vec::new(), &resume).await?;
        Ok(())
    }

    /// Dead letters that the service rejected, in an order that a number chooses. What was edited is not
    /// verified any more, so no others.
    pub(super) async fn rejected(&self, choice: u64) -> anyhow::Result<Vec<DeadLetter>> {
        let mut letters = self.operators.dead_letters().await?;
        letters.retain(|letter| letter.reason == "rejected");
        Random::new(choice).shuffle(&mut letters);
        Ok(letters)
    }

    pub(super) async fn edit(&self, step: Step) -> anyhow::Result<u64> {
        let Some(letter) = self.rejected(step.choice).await?.pop() else { return Ok(0) };
        let id = letter.event_id;
        let Some(mut body) = self.operators.body(&id).await? else { return Ok(0) };
        body["edited"] = true.into();
        let file = self.places.desk.join("body.json");
        std::fs::write(&file, body.to_string()).context("writing a body")?;
        let file = file.to_str().context("a folder's name is text")?;
        let arguments = ["dlq", "edit", "proof", &id, "--body", file, "--why", "a wrong number"];
        let ids = vec![id.clone()];
        let after =
            (step.fault == Fault::KillEdit).then(|| Duration::from_millis(5 + step.choice % 200));
        self.operators.act_or_be_killed(Action::Edit, ids, &arguments, after).await?;
        Ok(1)
    }

    /// Drops one that the service rejected; some may be hidden by a command that was killed.
    pub(super) async fn drop_one(&self, step: Step) -> anyhow::Result<u64> {
        let killed_after =
            (step.fault == Fault::KillDrop).then(|| Duration::from_millis(5 + step.choice % 200));
        let letters = self.rejected(step.choice).await?;
        for DeadLetter { event_id: id, .. } in letters.into_iter().take(TRIED) {
            let arguments = ["dlq", "drop", "proof", &id, "--yes", "--why", "a test event"];
            let ids = vec![id.clone()];
            let act = self.operators.act_or_be_killed(Action::Drop, ids, &arguments, killed_after);
            if matches!(act.await?, Some(0) | None) {
                return Ok(1);
            }
        }
        Ok(0)
    }

    /// Drops one and puts it back; if that is killed, once more.
    pub(super) async fn import(&self, step: Step) -> anyhow::Result<u64> {
        let file = self.places.desk.join("dropped.jsonl");
        let path = file.to_str().context("a folder's name is text")?.to_owned();
        let why = ["--why", "a mistake"];
        for letter in self.rejected(step.choice).await?.into_iter().take(TRIED) {
            let ids = vec![letter.event_id.clone()];
            let drop = ["dlq", "drop", "proof", &letter.event_id, "--yes", "--export", &path];
            let drop = [drop.as_slice(), &why].concat();
            let code =
                self.operators.act_or_be_killed(Action::Drop, ids.clone(), &drop, None).await?;
            if code == Some(0) {
                let import = [["dlq", "import", "proof", &path].as_slice(), &why].concat();
                let after = (step.fault == Fault::KillImport)
                    .then(|| Duration::from_millis(5 + step.choice % 200));
                if after.is_some() {
                    let ids = ids.clone();
                    self.operators.act_or_be_killed(Action::Import, ids, &import, after).await?;
                }
                let put_back = self.operators.act_or_be_killed(Action::Import, ids, &import, None);
                ensure!(put_back.await? == Some(0), "what was dropped cannot be put back");
            }
            if file.exists() {
                std::fs::remove_file(&file).context("removing what was exported")?;
            }
            if code == Some(0) {
                return Ok(1);
            }
        }
        Ok(0)
    }

    /// Sends once more what was delivered not long ago.
    pub(super) async fn repeat(&self, step: Step) -> anyhow::Result<u64> {
        let Some(id) = self.record.delivered(step.choice) else { return Ok(0) };
        let arguments = ["repeat", "proof", &id, "--anyway", "--why", "it was lost over there"];
        let ids = vec![id.clone()];
        let code = self.operators.act_or_be_killed(Action::Repeat, ids, &arguments, None).await?;
        Ok(u64::from(code == Some(0)))
    }

    /// Several operators, who do not know of each other.
    pub(super) async fn act_together(&self, step: Step) -> anyhow::Result<u64> {
        let redrive = Step { fault: Fault::Redrive, ..step };
        let retry = Step { fault: Fault::Retry, ..step };
        let skip = Step { fault: Fault::Skip, ..step };
        let (one, other, third, fourth) = tokio::join!(
            self.redrive(redrive),
            self.redrive(redrive),
            self.retry(retry),
            self.skip(skip)
        );
        Ok(one? + other? + third? + fourth?)
    }

    /// The provider gets another secret, in the place of the one before the last; then it signs with it.
    pub(super) fn rotate_secret(&mut self) -> anyhow::Result<()> {
        let rotations = *self.record.counts.rotations.borrow() + 1;
        let name = PROVIDER_SECRETS
            [usize::try_from(rotations).unwrap_or_default() % PROVIDER_SECRETS.len()];
        let folder = &self.places.secrets;
        let (new, file) = (folder.join("new"), folder.join(name));
        std::fs::write(&new, self.record.planted.provider(rotations))
            .context("writing a secret")?;
        std::fs::rename(new, file).context("writing a secret")?;
        self.record.counts.rotations.send_replace(rotations);
        Ok(())
    }
}
