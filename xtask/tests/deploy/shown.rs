//! What was shown is what is applied: by the run that showed it, never unasked, and as it was approved.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::deployed::deployed;
use crate::machine::{Done, Machine, NEW, OLD, Running, code, start, write};

/// A command in whose terminal somebody can answer.
pub(crate) struct Asked {
    running: Running,
    keyboard: File,
}

impl Asked {
    pub(crate) fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        let mut command = machine.command(arguments);
        let running = start(command.stdin(Stdio::from(terminal)));
        Self { running, keyboard: keyboard.into() }
    }

    pub(crate) fn await_question(&mut self) {
        self.running.await_said("Type `yes` to go on: ");
    }

    pub(crate) fn answer(&mut self, text: &str) {
        writeln!(self.keyboard, "{text}").unwrap();
    }

    /// Awaits its end.
    pub(crate) fn end(self) -> Done {
        self.running.end()
    }
}

fn deploy_dev(digest: &str) -> [&str; 4] {
    ["deploy", "dev", "--artifact", digest]
}

#[test]
fn it_asks_and_does_nothing_without_a_yes() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(NEW).digest;
    for answer in ["no", "y", "YES", ""] {
        let mut asked = Asked::start(&machine, &deploy_dev(&digest));
        asked.await_question();
        asked.answer(answer);
        asked.end().check(1, &["nothing was changed"]);
    }
    assert_eq!(machine.live("dev"), code(OLD).lambda_digest);
    // Nothing is on record, and nothing in the bucket.
    assert!(machine.puts().is_empty() && machine.ids("deployments/dev").is_empty());
    let mut asked = Asked::start(&machine, &deploy_dev(&digest));
    asked.await_question();
    asked.answer("yes");
    asked.end().check(0, &["Apply this to dev?"]);
    assert_eq!(machine.live("dev"), code(NEW).lambda_digest);
}

#[test]
fn each_run_applies_its_own_plan() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(NEW).digest;
    let mut deploy = Asked::start(&machine, &deploy_dev(&digest));
    deploy.await_question();
    // Meanwhile somebody else looks at what a deletion would do, and does not want it.
    let mut destroy = Asked::start(&machine, &["destroy", "dev"]);
    destroy.await_question();
    destroy.answer("no");
    destroy.end().check(1, &["nothing was changed"]);
    deploy.answer("yes");
    deploy.end().check(0, &["smoke test passed"]);
    assert_eq!(machine.applied(), ["applied deploy to dev"]);
}

#[test]
fn a_plan_that_somebody_has_overtaken_is_refused() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(NEW).digest;
    let mut slow = Asked::start(&machine, &deploy_dev(&digest));
    slow.await_question();
    // The lock is not held at the question.
    machine.run(&["destroy", "dev", "--yes"]).check(0, &[]);
    slow.answer("yes");
    let done = slow.end();
    done.check(1, &["Saved plan is stale", "somebody else has changed dev since it was planned"]);
    assert_eq!(machine.applied(), ["applied destroy to dev"]);
    assert_eq!(machine.last("dev")["step"], "begin");
}

#[test]
fn of_two_that_deploy_at_once_one_does_and_the_other_s_failure_takes_nothing_back() {
    let Some(machine) = Machine::new() else { return };
    machine.package(NEW);
    let digest = code(NEW).digest;
    let mut second = Asked::start(&machine, &deploy_dev(&digest));
    second.await_question();
    let first = [&deploy_dev(&digest)[..], &["--yes"]].concat();
    machine.run(&first).check(0, &["smoke test passed"]);
    second.answer("yes");
    second.end().check(1, &["somebody else has changed dev since it was planned"]);
    // Nor does one whose state somebody else's Terraform has locked.
    std::fs::create_dir(machine.world("prod/lock")).unwrap();
    let other = ["deploy", "prod", "--yes", "--artifact", &digest];
    machine.run(&other).check(1, &["the state is locked by"]);
    std::fs::remove_dir(machine.world("prod/lock")).unwrap();
    assert_eq!(machine.states("dev"), ["failed begin", "passed"]);

    let back = machine.run(&["rollback", "dev", "--yes", "--if-failed"]);
    back.check(0, &["did not fail, nothing to roll back"]);
    machine.run(&["promote", "dev", "prod", "--yes"]).check(0, &["smoke test passed"]);
    assert_eq!(machine.live("prod"), code(NEW).lambda_digest);
    // Who goes back all the same goes back from what is live.
    machine.run(&["rollback", "dev", "--yes"]).check(0, &["dev back to 20260101T0001"]);
    assert_eq!(machine.live("dev"), code(OLD).lambda_digest);

    // A deletion that was refused has deleted nothing.
    let mut destroy = Asked::start(&machine, &["destroy", "dev"]);
    destroy.await_question();
    machine.run(&first).check(0, &["smoke test passed"]);
    destroy.answer("yes");
    destroy.end().check(1, &["Saved plan is stale"]);
    assert_eq!(machine.states("dev")[0], "failed begin");
    machine.run(&["promote", "dev", "prod", "--yes"]).check(0, &["which is live already"]);
}

#[test]
fn one_run_at_a_time_works_on_an_environment() {
    let Some(machine) = Machine::new() else { return };
    write(&machine.world("hold"), "");
    let digest = code(NEW).digest;
    let arguments = [&deploy_dev(&digest)[..], &["--yes"]].concat();
    let mut first = start(&mut machine.command(&arguments));
    first.await_said("terraform apply");
    let mut second = start(&mut machine.command(&arguments));
    second.await_said("waiting: `cargo xtask deploy dev");
    assert!(second.said().contains(&format!("(process {}) works on dev", first.pid())));
    // Another environment is nobody's to wait for, nor is what does not deploy.
    machine.run(&["plan", "prod", "--artifact", &digest]).check(0, &[]);
    machine.run(&["releases", "dev"]).check(0, &[]);
    // Who waits can stop to.
    second.signal(Signal::INT);
    assert_eq!(second.end().code, Some(130));
    write(&machine.world("go"), "");
    first.end().check(0, &["smoke test passed"]);
}

#[test]
fn what_changes_outputs_only_is_applied() {
    let Some(machine) = Machine::new() else { return };
    write(&machine.world("dev/outputs-differ"), "");
    machine.package(OLD);
    let digest = code(OLD).digest;
    let arguments = ["deploy", "dev", "--yes", "--artifact", &digest];
    machine.run(&arguments).check(0, &["$ terraform apply"]);
    assert_eq!(machine.applied(), ["applied deploy to dev"]);
    let done = machine.run(&arguments);
    done.check(0, &["nothing to change", "smoke test passed"]);
    assert_eq!(machine.applied().len(), 1);
    assert_eq!(machine.states("dev"), ["passed", "passed"]);
}

#[test]
fn only_the_plan_that_was_approved_is_applied() {
    let Some(machine) = Machine::new() else { return };
    machine.keep_artifact(NEW);
    machine.has_live("dev", NEW);
    let plan = |arguments: &[&str]| -> Value {
        let done = machine.run(&[&["plan", "prod", "--json"], arguments].concat());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        serde_json::from_str(&done.stdout).unwrap()
    };
    let shown = plan(&["--from", "dev"]);
    let approved = shown["digest"].as_str().unwrap();
    assert_eq!(shown, plan(&["--artifact", &code(NEW).digest]), "two plans of the same thing");
    assert_eq!(shown["artifact"], code(NEW).digest.as_str());
    // What a reviewer reads before approving: the changes, the digest, and what comes with it.
    let file = machine.path("plan.md");
    plan(&["--from", "dev", "--markdown", file.to_str().unwrap()]);
    let read = std::fs::read_to_string(file).unwrap();
    assert!(read.starts_with("### Plan for `prod`: "), "{read}");
    for line in [
        &format!("Plan `{approved}`, of artifact `{}`", code(NEW).digest),
        &format!("  artifact  {} → {}\n", &code(OLD).digest[..12], &code(NEW).digest[..12]),
        "  commit    7ccc8dc → 7ccc8dc\n",
    ] {
        assert!(read.contains(line), "{line} in {read}");
    }
    let other = "0".repeat(64);
    let promote =
        |digest: &str| machine.run(&["promote", "dev", "prod", "--yes", "--approved", digest]);
    promote(&other).check(1, &[approved, "was approved, so nothing was changed"]);
    // What was approved was another artifact.
    machine.has_live("dev", OLD);
    std::fs::remove_dir_all(machine.bucket("releases/dev")).unwrap();
    machine.has_live("dev", OLD);
    promote(approved).check(1, &["was approved, so nothing was changed"]);
    let rollback =
        machine.run(&["rollback", "prod", "--yes", "--to", "2026", "--approved", approved]);
    rollback.check(1, &["was approved, so nothing was changed"]);
    assert!(machine.applied().is_empty() && machine.puts().is_empty());
    machine.has_live("dev", NEW);
    promote(approved).check(0, &[]);
    assert_eq!(machine.last("prod")["plan"], approved);
}

#[test]
fn terraform_locks_the_state_and_local_reaches_the_emulator_only() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(NEW).digest;
    machine.run(&["plan", "dev", "--artifact", &digest]).check(0, &[]);
    let said = |file: &str| std::fs::read_to_string(machine.world(file)).unwrap();
    for setting in ["use_lockfile=true", "key=dev/terraform.tfstate", "region=ap-northeast-1"] {
        assert!(said("init").contains(&format!("-backend-config={setting}")), "{}", said("init"));
    }
    assert!(said("environment").contains("AWS_ACCESS_KEY_ID=made-up"));

    // An emulator runs already: this process, by what it is known.
    let endpoint = machine.play_emulator();
    let mut plan = machine.command(&["plan", "local", "--artifact", &code(OLD).digest]);
    plan.env("AWS_PROFILE", "prod").env("AWS_SESSION_TOKEN", "of-prod");
    // There is no more than this of `local`: no plan, for one.
    let done = start(&mut plan).end();
    done.check(1, &["$ terraform init (in environments/local)"]);
    let (init, environment) = (said("init"), said("environment"));
    assert!(init.contains("deploy-local/terraform.tfstate"), "{init}");
    assert!(environment.contains(&format!("AWS_ENDPOINT_URL={endpoint}")), "{environment}");
    assert!(!environment.contains("prod") && !environment.contains("made-up"), "{environment}");
}

#[test]
fn the_document_for_the_first_time_says_how_many_resources_there_are() {
    let Some(deployed) = deployed("dev") else { return };
    let count = deployed.plan["resource_changes"].as_array().unwrap().len();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/first-deploy.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(&format!("`{count} to add`")), "{count}");
}

/// Runs git in the clone.
fn git(machine: &Machine, arguments: &[&str]) {
    let mut git = std::process::Command::new("git");
    git.current_dir(machine.path("clone"));
    git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
    let output = git.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A machine whose clone is a commit's.
fn committed() -> Option<Machine> {
    let machine = Machine::new()?;
    git(&machine, &["init", "--quiet"]);
    git(&machine, &["add", "."]);
    git(&machine, &["commit", "--quiet", "--message", "all"]);
    Some(machine)
}

#[test]
fn a_work_tree_with_changes_is_told_and_not_promoted_from() {
    let Some(machine) = committed() else { return };
    machine.keep_artifact(NEW);
    machine.has_live("dev", NEW);
    let promote = ["promote", "dev", "prod", "--yes"];
    write(&machine.path("clone/environments/prod/main.tf"), "# Changed.");
    machine.run(&promote).check(1, &["not committed", "main.tf"]);
    // An emergency is not stopped by it.
    machine.run(&["rollback", "dev", "--yes"]).check(0, &["note: this work tree has changes"]);
    git(&machine, &["commit", "--quiet", "--all", "--message", "changed"]);
    // Terraform reads what git does not know as well.
    for file in ["environments/prod/more.tf", "modules/webhook-queue/more.tf"] {
        let path = machine.path("clone").join(file);
        write(&path, "# Git does not know of it.");
        machine.run(&promote).check(1, &["not committed", file]);
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(machine.applied(), ["applied deploy to dev"]);
    write(&machine.path("clone/notes.md"), "Nobody reads it.");
    machine.has_live("dev", NEW);
    let done = machine.run(&["deploy", "dev", "--yes", "--artifact", &code(NEW).digest]);
    done.check(0, &[]);
    assert!(!done.stderr.contains("note: this work tree"), "{}", done.stderr);
    machine.run(&promote).check(0, &[]);
}

#[test]
fn what_takes_releases_of_others_is_deployed_from_a_commit_before_anything_is_built() {
    let Some(machine) = committed() else { return };
    let trust = |from: Option<&str>| {
        let subjects = serde_json::json!(["repo:acme/webhook-queue:environment:x"]);
        let mut trust =
            serde_json::json!({ "plan_subjects": subjects, "deploy_subjects": subjects });
        if let Some(from) = from {
            trust["promotes_from"] = from.into();
        }
        trust
    };
    let values = serde_json::json!({
        "account_id": "123456789012", "region": "ap-northeast-1", "name": "acme-webhook",
        "environments": { "dev": trust(None), "prod": trust(Some("dev")) },
    });
    let file = machine.path("clone/environments/bootstrap/terraform.tfvars.json");
    write(&file, &values.to_string());
    git(&machine, &["add", "."]);
    git(&machine, &["commit", "--quiet", "--message", "prepared"]);
    write(&machine.path("clone/environments/prod/main.tf"), "# Changed.");
    // Nothing is packaged: it would have to be built.
    let refused = machine.run(&["deploy", "prod", "--yes"]);
    refused.check(1, &["prod takes what was tried in dev", "main.tf", "commit or stash"]);
    assert_eq!(machine.steps(), ["whoami"]);
    let digest = code(NEW).digest;
    let tried = machine.run(&["deploy", "dev", "--yes", "--artifact", &digest]);
    tried.check(0, &["note: this work tree has changes", "is not promoted"]);
    git(&machine, &["stash", "--quiet"]);
    machine.run(&["deploy", "prod", "--yes", "--artifact", &digest]).check(0, &[]);
}
