//! The page, as a browser uses it: let in by the file that only its owner can read, and acting by forms.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};

use super::attack::Attack;
use super::http;
use super::operators::Operators;
use super::record::Record;
use crate::history::{Action, Seen};
use crate::schedule::{Fault, Step};

/// Longest wait for the page.
const ENDS_WITHIN: Duration = Duration::from_mins(1);
/// How long an act may take until it is stopped, and what a killed page leaves behind until it is killed: a
/// redrive waits for what another who was killed has hidden.
const STOPPED_AFTER: Duration = Duration::from_secs(10);
/// Between two looks at an act.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A page that is served. Killed when dropped.
struct Page {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: std::net::SocketAddr,
    cookie: String,
    secret: String,
    record: Arc<Record>,
}

/// A form, and what it does.
struct Form {
    action: Action,
    event_ids: Vec<String>,
    fields: String,
}

impl Attack {
    /// Acts by the page's forms, while others type the same; gives how many acts began.
    pub(super) async fn act_by_the_page(&self, step: Step) -> anyhow::Result<u64> {
        let page = Page::open(&self.operators, &self.record).await?;
        let forms = self.forms(step).await?;
        if step.fault == Fault::KillPage {
            return page.begin_and_be_killed(&self.operators, forms, step.choice).await;
        }
        let retry = Step { fault: Fault::Retry, ..step };
        let redrive = Step { fault: Fault::Redrive, ..step };
        let (acted, retried, redriven) =
            tokio::join!(page.act(forms), self.retry(retry), self.redrive(redrive));
        retried?;
        redriven?;
        let begun = acted?;
        page.close().await?;
        Ok(begun)
    }

    async fn forms(&self, step: Step) -> anyhow::Result<Vec<Form>> {
        let mut forms = vec![Form {
            action: Action::Retry,
            event_ids: Vec::new(),
            fields: "act=retry_all".to_owned(),
        }];
        let of_one = |action, act: &str, event_id: String| Form {
            action,
            fields: format!("act={act}&event_id={event_id}"),
            event_ids: vec![event_id],
        };
        if let Some(letter) = self.rejected(step.choice).await?.pop() {
            forms.push(of_one(Action::Redrive, "redrive", letter.event_id));
        }
        let blocked = self.operators.json(&["blocked"]).await?;
        let first = blocked["groups"].as_array().into_iter().flatten().next();
        if let Some(id) = first.and_then(|group| group["event_id"].as_str()) {
            forms.push(of_one(Action::Skip, "skip", id.to_owned()));
        }
        Ok(forms)
    }
}

impl Page {
    async fn open(operators: &Operators, record: &Arc<Record>) -> anyhow::Result<Self> {
        let mut command = operators.command_that_stays(&["page", "proof", "--act", "--no-open"]);
        command.env("XDG_RUNTIME_DIR", operators.desk()).stderr(Stdio::null());
        let mut child = command.spawn().context("starting the page")?;
        let mut stdout = BufReader::new(child.stdout.take().context("standard output is piped")?);
        let (mut address, mut door) = (None, None);
        let told = async {
            while address.is_none() || door.is_none() {
                let mut line = String::new();
                ensure!(stdout.read_line(&mut line).await? > 0, "the page ends at once");
                record.search("what the page prints", line.as_bytes());
                if let Some((_, url)) = line.split_once(" is shown at http://") {
                    address = url.split('/').next().and_then(|address| address.parse().ok());
                }
                if let Some((_, file)) = line.split_once("open ") {
                    door = Some(PathBuf::from(file.trim()));
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(ENDS_WITHIN, told).await.context("the page does not listen")??;
        let (Some(address), Some(door)) = (address, door) else { bail!("the page is nowhere") };
        let door = std::fs::read_to_string(door).context("reading what lets a browser in")?;
        let token = between(&door, "?token=", "\"").context("a token that lets a browser in")?;
        let entered = http::ask(address, &format!("GET /start?token={token}"), "", "").await;
        let entered = entered.context("entering the page")?;
        let cookie = entered.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.context("the page gives a cookie")?.to_owned();
        let shown = String::from_utf8_lossy(&entered.body).into_owned();
        let secret = between(&shown, "name=\"act-secret\" content=\"", "\"");
        let secret = secret.context("the page gives the secret of acts")?.to_owned();
        let record = Arc::clone(record);
        Ok(Self { child, stdout, address, cookie, secret, record })
    }

    /// Begins one act after the other, and waits for each; gives how many began.
    async fn act(&self, forms: Vec<Form>) -> anyhow::Result<u64> {
        let mut begun = 0;
        for form in forms {
            let began_at = self.record.now();
            let Some(act) = self.begin(&form).await? else { continue };
            let code = self.ended(&act).await?;
            begun += 1;
            self.note(form, began_at, code);
        }
        Ok(begun)
    }

    /// Begins all, and is killed; what it has started goes on or not, and is waited for.
    async fn begin_and_be_killed(
        mut self,
        operators: &Operators,
        forms: Vec<Form>,
        choice: u64,
    ) -> anyhow::Result<u64> {
        let mut begun = Vec::new();
        for form in forms {
            let began_at = self.record.now();
            if self.begin(&form).await?.is_some() {
                begun.push((form, began_at));
            }
        }
        tokio::time::sleep(Duration::from_millis(choice % 100)).await;
        self.child.kill().await.context("killing the page")?;
        let killed = Instant::now();
        while let orphans = operators.started()
            && !orphans.is_empty()
        {
            ensure!(killed.elapsed() < ENDS_WITHIN, "what a killed page has started does not end");
            if killed.elapsed() > STOPPED_AFTER {
                for orphan in orphans {
                    // It may have ended just now.
                    let _ended = kill_process(orphan, Signal::KILL);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let count = begun.len() as u64;
        for (form, began_at) in begun {
            self.note(form, began_at, None);
        }
        Ok(count)
    }

    fn note(&self, form: Form, began_at: u64, code: Option<i32>) {
        let Form { action, event_ids, .. } = form;
        self.record.push(Seen::Acted { action, event_ids, has_reason: true, began_at, code });
    }

    /// Prepares an act, looks at it and begins it; where it is then, if it can be done at all.
    async fn begin(&self, form: &Form) -> anyhow::Result<Option<String>> {
        let prepared = self.post("/prepare", &form.fields).await?;
        let Some(prepared) = prepared.header("hx-redirect") else { return Ok(None) };
        let looked = self.get(prepared).await?;
        ensure!(looked.status() == Some(200), "{prepared} answers {}", looked.first);
        let token = prepared.rsplit('/').next().unwrap_or_default();
        let begun = self.post("/begin", &format!("token={token}&why=by+the+page")).await?;
        Ok(begun.header("hx-redirect").map(str::to_owned))
    }

    /// The exit code of an act, once it has ended.
    async fn ended(&self, act: &str) -> anyhow::Result<Option<i32>> {
        let began = Instant::now();
        let mut was_stopped = false;
        loop {
            let shown = self.get(act).await?;
            let shown = String::from_utf8_lossy(&shown.body).into_owned();
            if !shown.contains("<h1>under way</h1>") {
                return Ok(Some(i32::from(!shown.contains("<h1>done</h1>"))));
            }
            ensure!(began.elapsed() < ENDS_WITHIN, "an act of the page does not end: {shown}");
            if began.elapsed() > STOPPED_AFTER && !was_stopped {
                was_stopped = true;
                self.post(&format!("{act}/stop"), "").await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<http::Message> {
        self.ask(&format!("GET {path}"), "", "").await
    }

    async fn post(&self, path: &str, form: &str) -> anyhow::Result<http::Message> {
        let headers = format!(
            "origin: http://{}\r\nx-act: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n",
            self.address, self.secret
        );
        self.ask(&format!("POST {path}"), &headers, form).await
    }

    async fn ask(&self, what: &str, headers: &str, body: &str) -> anyhow::Result<http::Message> {
        let headers = format!("cookie: {}\r\n{headers}", self.cookie);
        let asked = http::ask(self.address, what, &headers, body);
        let answer = tokio::time::timeout(ENDS_WITHIN, asked).await;
        answer.context("the page does not answer")?.with_context(|| format!("{what} of the page"))
    }

    /// As by Ctrl-C.
    async fn close(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(super::engine::pid).context("the page has ended")?;
        kill_process(pid, Signal::INT).context("closing the page")?;
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).await.context("what the page prints")?;
        self.record.search("what the page prints", &rest);
        let ended = tokio::time::timeout(ENDS_WITHIN, self.child.wait()).await;
        ended.context("the page does not end")?.context("waiting for the page")?;
        Ok(())
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split(after).next()
}
