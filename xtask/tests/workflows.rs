//! The workflows, as far as they run without GitHub: every script of every job, with stand-ins for
//! what it starts, and what may never change about who waits for whom.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;

const DIGEST: &str = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";

#[derive(Debug, Deserialize)]
struct Workflow {
    #[serde(default)]
    concurrency: Option<Value>,
    jobs: BTreeMap<String, Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    #[serde(default)]
    needs: Option<Value>,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    concurrency: Option<Value>,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(default)]
    uses: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    #[serde(default)]
    run: Option<String>,
    #[serde(default)]
    uses: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

impl Job {
    fn needs(&self, job: &str) -> bool {
        match &self.needs {
            Some(Value::String(one)) => one == job,
            Some(Value::Array(many)) => many.iter().any(|it| it == job),
            _ => false,
        }
    }

    fn holds_credentials(&self) -> bool {
        self.steps.iter().any(|step| {
            step.uses.as_ref().is_some_and(|uses| uses.starts_with("aws-actions/configure"))
        })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the repository").to_owned()
}

/// All workflows, by file name.
fn workflows() -> BTreeMap<String, Workflow> {
    let files = std::fs::read_dir(root().join(".github/workflows")).expect("a folder");
    let workflow = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, serde_saphyr::from_str(&text).expect("a workflow"))
    };
    files.map(workflow).collect()
}

/// What GitHub would put in for an expression.
fn value_of(text: &str) -> String {
    let values = [
        ("${{ needs.ci.outputs.digest }}", DIGEST),
        ("${{ needs.show.outputs.plan }}", "0123456789abcdef"),
        ("${{ github.token }}", "a-token"),
        ("${{ job.status }}", "failure"),
        ("${{ github.event.pull_request.number }}", "7"),
        ("${{ github.base_ref }}", "main"),
        ("${{ github.ref_name }}", "v0.1.0"),
        ("${{ matrix.environment }}", "dev"),
        ("${{ matrix.package }}", "domain"),
        ("${{ matrix.part }}", "3"),
        ("${{ matrix.parser }}", "fuzz::fuzz_mapping"),
        (
            "${{ matrix.package == 'forwarder' && 'forwarder,contract-tests' || matrix.package }}",
            "domain",
        ),
    ];
    if let Some((_, value)) = values.iter().find(|(expression, _)| *expression == text) {
        return (*value).to_owned();
    }
    if text.starts_with("${{ vars.ATTESTATIONS != 'off' &&") {
        return "acme/webhook-queue/.github/workflows/deploy-dev.yml@refs/heads/main".to_owned();
    }
    assert!(!text.contains("${{"), "this test has no value for {text}");
    text.to_owned()
}

/// A folder like a checkout, with stand-ins for programs, which write down how they were called.
struct Runner {
    dir: tempfile::TempDir,
}

impl Runner {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let bin = dir.path().join("bin");
        let folders =
            ["bin", "target/debug", "target/package/arm64", "archives", "environments/bootstrap"];
        for folder in folders.into_iter().chain(["target/release-archives"]) {
            std::fs::create_dir_all(dir.path().join(folder)).expect("a folder");
        }
        let programs =
            ["cargo", "gh", "aws", "terraform", "git", "rustup", "sudo"].map(|it| bin.join(it));
        for program in programs.iter().chain([&dir.path().join("target/debug/xtask")]) {
            // What the scripts read of an answer, and the failure that a test asks for.
            let script = r#"#!/bin/sh
name=$(basename "$0")
[ "$1" = xtask ] && { name=xtask; shift; }
echo "$name $*" >> "$CALLS"
[ "$name $*" = "$FAILS" ] && exit 1
case "$name $*" in
  "xtask plan prod"*) echo '{"digest": "0123456789abcdef"}' ;;
  "cargo metadata"*) echo '{"packages": [{"name": "engine", "version": "0.1.0"}]}' ;;
  "gh issue list"*) echo "$ISSUE" ;;
  "gh api orgs/"*) echo 7 ;;
  "terraform output"*) echo '{"dev": "arn:of-dev", "prod": "arn:of-prod"}' ;;
  *"--input -"*) jq --compact-output . >> "$CALLS" ;;
esac
while [ $# -gt 0 ]; do
  [ "$1" = --markdown ] && echo "the plan" > "$2"
  shift
done
exit 0
"#;
            std::fs::write(program, script).expect("a script");
            std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))
                .expect("a mode");
        }
        let dir_of = |name: &str| dir.path().join(name);
        std::fs::write(
            dir_of("target/package/arm64/manifest.json"),
            format!(r#"{{"sha256": "{DIGEST}"}}"#),
        )
        .expect("a file");
        std::fs::write(dir_of("target/debug/webhook-operator"), "a program").expect("a file");
        std::fs::write(dir_of("target/package/arm64/sss-stub.zip"), "a program").expect("a file");
        // Its digest is the one that the job was given.
        std::fs::write(dir_of("function.zip"), "0").expect("a file");
        for folder in ["archives", "target/release-archives"] {
            for arch in ["x86_64", "aarch64"] {
                let name = format!("{folder}/webhook-queue-0.1.0-{arch}-linux.tar.gz");
                std::fs::write(dir_of(&name), "0").expect("a file");
            }
            let names = ["x86_64", "aarch64"]
                .map(|arch| format!("{DIGEST}  webhook-queue-0.1.0-{arch}-linux.tar.gz\n"));
            std::fs::write(dir_of(folder).join("SHA256SUMS"), names.concat()).expect("a file");
        }
        Self { dir }
    }

    /// Runs a step's script as GitHub's runner does.
    fn run(&self, step: &Step, more: &[(&str, &str)]) -> Output {
        let env = step.env.iter().map(|(name, text)| (name.as_str(), value_of(text)));
        self.bash(step.run.as_ref().expect("a script"), env.collect(), more)
    }

    fn bash(&self, text: &str, env: Vec<(&str, String)>, more: &[(&str, &str)]) -> Output {
        let path = |name: &str| self.dir.path().join(name);
        let script = path("step.sh");
        std::fs::write(&script, text).expect("a script");
        let search = std::env::var("PATH").expect("a PATH");
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail"]).arg(&script);
        bash.current_dir(self.dir.path())
            .env("PATH", format!("{}:{search}", path("bin").display()))
            .env("CALLS", path("calls"))
            .env("FAILS", "nothing")
            .env("ISSUE", "")
            .env("GITHUB_OUTPUT", path("output"))
            .env("GITHUB_ENV", path("env"))
            .env("GITHUB_STEP_SUMMARY", path("summary"))
            .env("GITHUB_REPOSITORY", "acme/webhook-queue")
            .env("GITHUB_SHA", "0123456789012345678901234567890123456789")
            .envs(env)
            .envs(more.iter().copied())
            .stdin(Stdio::null());
        bash.output().expect("bash starts")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }
}

fn scripts(job: &Job) -> impl Iterator<Item = &Step> {
    job.steps.iter().filter(|step| step.run.is_some())
}

/// The scripts of a job one after another, and what they called.
fn calls_of(job: &Job, more: &[(&str, &str)]) -> (Runner, Vec<String>) {
    let runner = Runner::new();
    for step in scripts(job) {
        let output = runner.run(step, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", step.run);
    }
    let calls = runner.read("calls").lines().map(str::to_owned).collect();
    (runner, calls)
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Every script of every job runs to its end, and calls nothing that was not thought of here.
#[test]
fn every_script_does_what_it_is_for() {
    if !has("jq") {
        eprintln!("skipped: jq is not installed");
        return;
    }
    let mut all = BTreeMap::new();
    for (file, workflow) in workflows() {
        for (name, job) in &workflow.jobs {
            let (_, calls) = calls_of(job, &[]);
            if !calls.is_empty() {
                all.insert(format!("{file}, {name}"), calls);
            }
        }
    }
    let lines = all.iter().map(|(job, calls)| format!("{job}\n  {}\n", calls.join("\n  ")));
    insta::assert_snapshot!("workflow_calls", lines.collect::<String>());
}

#[test]
fn what_a_reviewer_reads_is_what_is_approved() {
    if !has("jq") {
        eprintln!("skipped: jq is not installed");
        return;
    }
    let workflows = workflows();
    let jobs = &workflows["promote.yml"].jobs;
    let (runner, _) = calls_of(&jobs["show"], &[]);
    assert_eq!(runner.read("output"), "digest=0123456789abcdef\n");
    assert_eq!(runner.read("summary"), "the plan\n");
    let (_, calls) = calls_of(&jobs["promote"], &[]);
    assert!(calls[0].contains("--approved 0123456789abcdef"), "{calls:?}");

    // Where there are no attestations, none is asked for; the approved digest still is.
    let (_, calls) = calls_of(&jobs["promote"], &[("ATTESTED_BY", "")]);
    assert_eq!(calls[0], "xtask promote dev prod --yes --approved 0123456789abcdef");
}

#[test]
fn a_plan_that_fails_approves_nothing() {
    let workflows = workflows();
    let show = &workflows["promote.yml"].jobs["show"];
    let runner = Runner::new();
    let step = scripts(show).next().expect("a script");
    assert!(
        !runner
            .run(step, &[("FAILS", "xtask plan prod --from dev --markdown plan.md --json")])
            .status
            .success()
    );
    assert_eq!(runner.read("output"), "");
}

/// A failing command fails its step: nothing goes on as if it had worked.
#[test]
fn a_failure_fails_its_step() {
    if !has("jq") {
        eprintln!("skipped: jq is not installed");
        return;
    }
    let mut count = 0;
    for (file, workflow) in workflows() {
        for step in workflow.jobs.values().flat_map(scripts) {
            let runner = Runner::new();
            std::fs::write(runner.dir.path().join("plan.md"), "the plan").expect("a file");
            runner.run(step, &[]);
            for call in runner.read("calls").lines() {
                let output = runner.run(step, &[("FAILS", call)]);
                assert!(!output.status.success(), "{file}: {call} fails unnoticed");
                count += 1;
            }
        }
    }
    assert!(count > 25, "only {count} calls");
}

/// Bytes that are not those of the digest are not attested.
#[test]
fn other_bytes_are_not_attested() {
    let workflows = workflows();
    let attest = &workflows["deploy-dev.yml"].jobs["attest"];
    let runner = Runner::new();
    std::fs::write(runner.dir.path().join("function.zip"), "tampered").expect("a file");
    assert!(!runner.run(scripts(attest).next().expect("a script"), &[]).status.success());
}

#[test]
fn drift_is_told_in_one_issue() {
    let workflows = workflows();
    let plan = &workflows["drift.yml"].jobs["plan"];
    let tell = scripts(plan).last().expect("a script");
    for (open, call) in [("", "gh issue create"), ("12", "gh issue comment 12")] {
        let runner = Runner::new();
        assert!(runner.run(tell, &[("ISSUE", open)]).status.success());
        let calls = runner.read("calls");
        assert!(calls.lines().any(|line| line.starts_with(call)), "{open}: {calls}");
        assert!(runner.read("drift.md").contains("failed"), "a plan that failed is told as well");
    }
}

/// Whoever is needed is told as long as that is so, and that it is over.
#[test]
fn what_doctor_finds_is_told_in_one_issue_until_it_is_over() {
    let workflows = workflows();
    let doctor = &workflows["doctor.yml"].jobs["doctor"];
    let tell = scripts(doctor).last().expect("a script");
    for (outcome, open, call) in [
        ("failure", "", "gh issue create"),
        ("failure", "12", "gh issue comment 12"),
        ("success", "12", "gh issue close 12"),
    ] {
        let runner = Runner::new();
        std::fs::write(runner.dir.path().join("doctor.txt"), "You: key A-7").expect("a file");
        let output = runner.run(tell, &[("ISSUE", open), ("OUTCOME", outcome)]);
        assert!(output.status.success());
        let calls = runner.read("calls");
        assert!(calls.lines().any(|line| line.starts_with(call)), "{outcome} {open}: {calls}");
        assert!(runner.read("doctor.md").contains("key A-7"));
    }
    let runner = Runner::new();
    assert!(runner.run(tell, &[("OUTCOME", "success")]).status.success());
    let calls = runner.read("calls");
    assert!(!calls.contains("issue c"), "nothing to create, comment or close: {calls}");
    let runner = Runner::new();
    assert!(runner.run(tell, &[("OUTCOME", "failure")]).status.success());
    assert!(runner.read("doctor.md").contains("did not run"), "that it could not run is told, too");
}

/// The commands that set GitHub up are well-formed: what they send is JSON, and goes where the page
/// says.
#[test]
fn the_page_sets_github_up() {
    if !has("jq") {
        eprintln!("skipped: jq is not installed");
        return;
    }
    let page = std::fs::read_to_string(root().join("docs/github.md")).expect("a page");
    let blocks: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("the end of a block"))
        .collect();
    let runner = Runner::new();
    for block in &blocks {
        let output = runner.bash(block, Vec::new(), &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{block}: {said}");
    }
    insta::assert_snapshot!("github_set_up", runner.read("calls"));
}

/// Nothing is compiled in a job that can get credentials, and no cache is there that somebody filled.
#[test]
fn what_holds_credentials_compiles_nothing() {
    let mut count = 0;
    for (file, workflow) in workflows() {
        for (name, job) in &workflow.jobs {
            if !job.holds_credentials() {
                continue;
            }
            count += 1;
            assert!(job.permissions.get("id-token").is_some_and(|it| it == "write"));
            let uses: Vec<&str> = job.steps.iter().filter_map(|it| it.uses.as_deref()).collect();
            assert!(uses.contains(&"./.github/actions/programs"), "{file}: {name}");
            assert!(!uses.iter().any(|it| it.contains("cache")), "{file}: {name}");
            let (_, calls) = calls_of(job, &[]);
            assert!(
                !calls.iter().any(|call| call.starts_with("cargo")),
                "{file}: {name} {calls:?}"
            );
            for step in scripts(job) {
                let script = step.run.as_ref().expect("a script");
                assert!(!script.contains("cargo "), "{file}: {name}: {script}");
            }
        }
    }
    assert_eq!(count, 6, "pull request, dev, prod's plan, prod, drift, doctor");
    let action = std::fs::read_to_string(root().join(".github/actions/programs/action.yml"));
    assert!(action.expect("the action").contains("XTASK_BUILT=all"));
}

/// A deployment follows the checks of its own commit, in the same run.
#[test]
fn dev_is_deployed_after_ci() {
    let workflows = workflows();
    let jobs = &workflows["deploy-dev.yml"].jobs;
    assert_eq!(jobs["ci"].uses.as_deref(), Some("./.github/workflows/ci.yml"));
    assert!(jobs["attest"].needs("ci") && jobs["deploy"].needs("ci"));
    assert!(jobs["deploy"].needs("attest") && jobs["promote"].needs("deploy"));
    assert!(jobs["deploy"].concurrency.is_some());
}

/// GitHub counts a job that waits for a reviewer as one that holds its group, and cancels what waits
/// behind it. Whatever leads to prod is in none.
#[test]
fn a_waiting_approval_holds_nothing() {
    let workflows = workflows();
    for file in ["deploy-dev.yml", "promote-prod.yml", "promote.yml"] {
        assert!(workflows[file].concurrency.is_none(), "{file}");
    }
    for job in workflows["promote.yml"].jobs.values() {
        assert!(job.concurrency.is_none());
    }
    let promote = &workflows["promote.yml"].jobs["promote"];
    assert_eq!(promote.environment.as_deref(), Some("prod"), "its reviewers are asked");
    assert!(promote.needs("show"), "after they can read what it would do");
}

/// The same version of a tool in every run: what was tested is what deploys.
#[test]
fn tools_are_pinned() {
    let folder = root().join(".github");
    let mut files: Vec<PathBuf> = vec![folder.join("actions/programs/action.yml")];
    files.extend(workflows().keys().map(|file| folder.join("workflows").join(file)));
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a text");
        for line in text.lines().map(str::trim) {
            let (name, file) = (line.split(':').next().unwrap_or_default(), file.display());
            match name.trim_start_matches("- ") {
                "terraform_version" => assert_eq!(line, "terraform_version: 1.11.4", "{file}"),
                "tool" => assert!(line.contains('@'), "{file}: {line}"),
                "uses" if !line.contains("./.github/") => {
                    let version = line.split_once('@').expect("a version").1;
                    let commit = version.split(' ').next().unwrap_or_default();
                    assert_eq!(commit.len(), 40, "{file}: {line}");
                }
                _ => {}
            }
        }
    }
}
