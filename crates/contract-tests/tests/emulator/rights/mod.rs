//! The proof that who is meant to run a command may do what it does, and nothing harmful.
//!
//! The commands run end to end on an emulator, as dev and as prod, each under a name of its own; every
//! call that they make is put to an evaluator of IAM policies that is not ours, with the policies as
//! Terraform has made them, and so is a list of what must be denied.
//!
//! What this cannot show, as the emulator does not call as AWS would:
//!
//! - AWS's own services call nothing here: what API Gateway, Lambda's poller and the scheduler ask of
//!   their roles, and `CloudWatch` of the key, is in [`beyond`] by hand.
//! - The calls of a function do not say of which environment it is: they are taken for that of the
//!   resource, and denied if that is none.
//! - Keys of the owner's for queues and secrets, a VPC, an authorizer and the stand-in of the service as
//!   a function are not deployed: what they take is in [`beyond`] as well.
//! - The emulator deletes a stage with the settings of a route: that call is answered in its place.
//! - A role's name is no setting, as the policies name the roles: roles are made and deleted, and
//!   never made anew under another name.
//! - AWS decides some calls twice (a missing object of S3 is told to who may list only) and eventually
//!   (a policy that is seconds old): an account shows that.

mod beyond;
mod forgotten;
mod harm;
mod judge;
pub(crate) mod proxy;
pub(crate) mod story;
mod table;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::step;
use judge::Judge;
use proxy::Call;
use story::{ACCOUNT, Story};
use table::Known;

#[test]
fn what_the_commands_need_they_may_and_no_more() {
    step::run("rights, on an AWS emulator", run);
}

fn run() -> anyhow::Result<Option<String>> {
    let evaluator = match judge::install() {
        Ok(evaluator) => evaluator,
        Err(reason) => return Ok(Some(reason)),
    };
    Story::play(|story, _dir| judged(story, evaluator))
}

fn judged(story: &Story, evaluator: std::path::PathBuf) -> anyhow::Result<Option<String>> {
    let judge = tell(story, evaluator)?;
    let calls = story.proxy.take_calls();
    for path in [
        "/schedules/dev-webhook-resume",
        "/dev/webhook/skips",
        "/acme-webhook-artifacts/operating/dev/pauses.json",
    ] {
        let gone = calls.iter().any(|call| call.who == "dev-deploy" && deletes(call, path));
        ensure!(gone, "destroy has left {path}");
    }
    let mut known = Known::default();
    let (mut needed, mut unknown) = (Vec::new(), Vec::new());
    for call in &calls {
        match known.rights(call) {
            Ok(rights) => {
                let who = who(call, &rights)?;
                needed.extend(rights.into_iter().map(|right| (who.clone(), right)));
            }
            // What the administrator does is not judged.
            Err(_) if call.who == story::ADMINISTRATOR => {}
            Err(operation) => unknown.push(format!("{operation} by {}", call.who)),
        }
    }
    unknown.sort();
    unknown.dedup();
    ensure!(unknown.is_empty(), "the table of rights does not know\n{}", unknown.join("\n"));
    needed.retain(|(who, _)| who != story::ADMINISTRATOR);
    needed.extend(beyond::needed(&judge)?);
    needed.sort();
    needed.dedup();
    let refused = judge.all_but(&needed, "Allowed")?;
    ensure!(refused.is_empty(), "needed and denied:\n{}", refused.join("\n"));
    let harmful = deny_harm(&judge)?;
    eprintln!("{} calls, {} rights needed, {harmful} harmful", calls.len(), needed.len());
    Ok(None)
}

/// Fails if anybody who is known may do harm; returns how many rights were denied.
fn deny_harm(judge: &Judge) -> anyhow::Result<usize> {
    let harmful = harm::harmful().into_iter().filter(|(who, _)| judge.knows(who));
    let harmful: Vec<_> = harmful.map(|(who, right)| (who.to_owned(), right)).collect();
    ensure!(harmful.len() >= 40, "there is more harm than {} rights", harmful.len());
    let allowed = judge.none_of(&harmful, "Allowed")?;
    ensure!(allowed.is_empty(), "harmful and allowed:\n{}", allowed.join("\n"));
    Ok(harmful.len())
}

/// Whether a call has deleted the schedule or the parameter.
fn deletes(call: &Call, what: &str) -> bool {
    let target = call.headers.get("x-amz-target").map_or("", String::as_str);
    let of_parameter =
        target.ends_with(".DeleteParameter") && String::from_utf8_lossy(&call.body).contains(what);
    call.status / 100 == 2 && (of_parameter || (call.method == "DELETE" && call.path == what))
}

/// Whose right it is: of a function's calls, the forwarder's of the environment that the resource is of.
fn who(call: &Call, rights: &[table::Right]) -> anyhow::Result<String> {
    if call.who != ACCOUNT {
        return Ok(call.who.clone());
    }
    let Some(right) = rights.first() else { return Ok(story::ADMINISTRATOR.to_owned()) };
    let of = ["dev", "prod"].into_iter().find(|name| {
        let marks = [format!(":{name}-webhook"), format!("/{name}-webhook"), format!("/{name}/")];
        marks.iter().any(|mark| right.resource.contains(mark.as_str()))
    });
    let of = of.with_context(|| format!("a function asks for {right:?}"))?;
    Ok(format!("{of}-forwarder"))
}

/// Everything that is done with an environment in its life; returns who may what in it.
fn tell(story: &Story, evaluator: std::path::PathBuf) -> anyhow::Result<Judge> {
    say("bootstrap");
    let mut judge = Judge::new(evaluator, &story.bootstrap()?)?;
    // At once as well: nothing has to be deployed to know it of these roles.
    deny_harm(&judge)?;
    say("the buckets are not to be destroyed");
    let destroyed = story.terraform(&["plan", "-destroy", "-input=false", "-no-color"]);
    let refused = destroyed.err().context("bootstrap can be destroyed")?.to_string();
    for bucket in ["state", "artifacts"] {
        let resource = format!("aws_s3_bucket.this[\"{bucket}\"] has lifecycle.prevent_destroy");
        ensure!(refused.replace('\n', " ").contains(&resource), "{bucket}: {refused}");
    }

    say("deploy");
    // What it finds of an emulator is not asked here, but that it may look at everything.
    let _verdict = story.xtask("dev-deploy", &["doctor", "dev"])?;
    let first = story.package("first")?;
    let deployed = ["deploy", "dev", "--yes", "--json", "--artifact", &first];
    let deployed: Value = serde_json::from_str(&story.done("dev-deploy", &deployed)?)?;
    ensure!(deployed["record"]["smoke"] == "passed", "the smoke test: {deployed}");
    let url = deployed["ingest_urls"]["sss"].as_str().context("an address")?.to_owned();

    say("people look at it and operate it, while it is promoted");
    std::thread::scope(|threads| {
        let promote = ["promote", "dev", "prod", "--yes"];
        let promoted = threads.spawn(move || story.done("prod-deploy", &promote));
        let operated = operate(story, &url);
        promoted.join().expect("a thread that does not panic")?;
        operated
    })?;
    for name in ["dev", "prod"] {
        judge.learn(name, &story.state(&format!("{name}-deploy"), name)?)?;
    }

    say("a change: other code, a new route, another path and key, a setting");
    story.edit("dev", |dev| {
        let mut other = dev["routes"]["sss"].clone();
        other["path"] = json!("/other-hook");
        dev["routes"]["other"] = other;
        dev["routes"]["sss"]["path"] = json!("/moved-hook");
        dev["routes"]["sss"]["ordering_key"] = json!("$request.body.key");
        dev["aws"]["smoke_test"]["body"] = json!({ "key": "smoke-test" });
        dev["aws"]["function"]["memory_megabytes"] = json!(192);
        dev["aws"]["function"]["reserved_concurrency"] = json!(10);
    })?;
    story.commit()?;
    let second = story.package("second")?;
    let before = story.proxy.count();
    story.done("dev-deploy", &["deploy", "dev", "--yes", "--artifact", &second])?;
    // What only the path calls was called.
    let of_settings =
        |call: &Call| call.method == "DELETE" && call.path.contains("/routesettings/");
    story.proxy.saw(before, &of_settings)?;

    say("promote, look, roll back");
    story.done("prod-deploy", &["promote", "dev", "prod", "--yes"])?;
    story.done("prod-plan", &["plan", "prod", "--live"])?;
    story.done("prod-deploy", &["rollback", "prod", "--yes"])?;
    story.done("dev-plan", &["plan", "dev", "--live"])?;

    say("destroy, of one with a list of skips and while it is paused");
    let pause = ["pause", "dev", "--why", "test", "--for", "1h"];
    story.done("dev-operate", &pause)?;
    std::thread::scope(|threads| {
        let prod = threads.spawn(|| story.done("prod-deploy", &["destroy", "prod", "--yes"]));
        let dev = story.done("dev-deploy", &["destroy", "dev", "--yes"]);
        prod.join().expect("a thread that does not panic")?;
        dev
    })?;
    Ok(judge)
}

/// Everything that people type while an environment runs.
fn operate(story: &Story, url: &str) -> anyhow::Result<()> {
    let (look, operate) = ("dev-look", "dev-operate");
    let unknown = json!({ "body_contains": "unknown", "status": 422 });
    let outage = json!({ "body_contains": "outage", "status": 503 });
    story.behave(&json!({ "rules": [unknown, outage] }))?;
    let letter = story::post(url, "a", r#"{"note":"unknown"}"#)?;
    let dropped = story::post(url, "b", r#"{"note":"unknown, too"}"#)?;
    let edited = story::post(url, "d", r#"{"note":"unknown, again"}"#)?;
    let blocked = story::post(url, "c", r#"{"note":"outage"}"#)?;
    let letters = |count: usize| {
        move |letters: &Value| letters.as_array().is_some_and(|letters| letters.len() == count)
    };
    story.until(look, &["dlq", "list", "dev", "--json"], letters(3))?;
    story.done(look, &["status", "dev"])?;
    for who in [look, "dev-plan"] {
        let _verdict = story.xtask(who, &["doctor", "dev"])?;
    }
    story.done(look, &["releases", "dev"])?;
    story.done(look, &["dlq", "stats", "dev"])?;
    story.done(look, &["dlq", "show", "dev", &letter])?;
    story.done(look, &["trace", "dev", &letter])?;
    let failing = |waiting: &Value| waiting["groups"].as_array().is_some_and(|it| !it.is_empty());
    story.until(look, &["blocked", "dev", "--json"], failing)?;
    story.done(look, &["show", "dev", &blocked])?;
    story.done(look, &["show", "dev", &letter])?;
    // It may be attempted just then.
    let _reached = story.xtask(operate, &["retry", "dev", "c"])?;
    story.done(operate, &["skip", "dev", &blocked, "--why", "test", "--no-wait"])?;
    story.done(look, &["skip", "dev", "--list"])?;
    story.until(look, &["dlq", "list", "dev", "--json"], letters(4))?;
    let file = story.file("letters.jsonl");
    story.done(operate, &["dlq", "export", "dev", &file])?;
    story.behave(&json!({}))?;
    story.done(operate, &["dlq", "redrive", "dev", &letter])?;
    story.done(operate, &["dlq", "drop", "dev", &dropped, "--why", "test", "--yes"])?;
    let body = story.file("body.json");
    std::fs::write(&body, r#"{"note":"known"}"#)?;
    let edit = ["dlq", "edit", "dev", &edited, "--why", "test", "--body", &body];
    story.done(operate, &edit)?;
    story.done(look, &["dlq", "log", "dev"])?;
    for _ in ["once", "with a schedule that is there"] {
        story.done(operate, &["pause", "dev", "--why", "test", "--for", "1h"])?;
    }
    story.done(operate, &["pause", "dev", "--why", "another", "--name", "b"])?;
    let status: Value = serde_json::from_str(&story.done(look, &["status", "dev", "--json"])?)?;
    let pauses = status["delivery"]["pauses"].as_array().map_or(0, Vec::len);
    ensure!(pauses == 2, "the pauses of two: {status}");
    story.done(operate, &["resume", "dev", "--name", "b"])?;
    let status: Value = serde_json::from_str(&story.done(look, &["status", "dev", "--json"])?)?;
    ensure!(status["delivery"]["paused"] == true, "one is left: {status}");
    story.done(operate, &["resume", "dev"])?;
    story.done(operate, &["dlq", "redrive", "dev", "--all", "--pause-first"])?;
    story.done(operate, &["dlq", "import", "dev", &file]).map(drop)
}

fn say(text: &str) {
    eprintln!("-- {text}");
}
