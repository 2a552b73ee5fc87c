//! Clients of SQS as people have them, unmodified, on a whole engine. Each is skipped, loudly, where it
//! cannot be had.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use contract_tests::installed;
use contract_tests::settings::config;
use domain::config::Config;
use engine::{Engine, EngineOptions};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// How long a client may take.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Set by `cargo xtask test --quick`.
const QUICK: &str = "XTASK_QUICK";

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

const FIRST_DEPLOY: &str = include_str!("../../../../docs/first-deploy.md");

fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// What was installed, unless it is left out or cannot be had, which is told.
async fn had<T>(what: &str, install: impl Future<Output = Result<T, String>>) -> Option<T> {
    let found = match std::env::var_os(QUICK) {
        Some(_) => Err("left out by --quick".to_owned()),
        None => install.await,
    };
    found.inspect_err(|reason| told_skipped(what, reason)).ok()
}

fn told_skipped(what: &str, reason: &str) {
    // Straight to stderr, which the test harness does not hold back, and at once.
    use std::io::Write as _;
    let line = format!("skipped: {what} on the engine: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The folder of the AWS CLI's, boto3's and kombu's programs.
async fn python() -> Result<PathBuf, String> {
    static INSTALLED: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    let packages = ["awscli==1.46.3", "boto3==1.44.8", "kombu[sqs]==5.7.0"];
    INSTALLED.get_or_init(|| installed::python(target_dir(), &packages)).await.clone()
}

async fn engine() -> Engine {
    let config = Config::check(config("http://127.0.0.1:9")).unwrap();
    Engine::start(EngineOptions::in_memory(config)).await.unwrap()
}

/// Runs a client to its end, with what `docs/one-machine.md` says to set.
async fn run(engine: &Engine, command: &mut Command) -> Output {
    let command = command
        .env("AWS_ENDPOINT_URL_SQS", format!("http://{}", engine.api_address()))
        .env("AWS_ACCESS_KEY_ID", engine.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output()).await.expect("it ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    output
}

#[tokio::test]
async fn the_aws_cli_says_which_lock_a_group_has() {
    let Some(bin) = had("the AWS CLI", python()).await else { return };
    let section = FIRST_DEPLOY.split("### Which lock a group has").nth(1).unwrap();
    let commands = section.split("```").nth(1).unwrap();
    // Version 1, which is what PyPI has, takes an endpoint as an argument only.
    let endpoint = r#"aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL_SQS" "$@"; }"#;
    let commands = format!("{endpoint}\n{commands}");
    let engine = engine().await;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    let output = run(&engine, bash.args(["-euc", &commands]).env("PATH", path)).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().last(), Some("1"), "{printed}");
}

#[tokio::test]
async fn boto3_works_unmodified() {
    let Some(bin) = had("boto3", python()).await else { return };
    let script = Path::new(SCRIPTS).join("boto3_client.py");
    run(&engine().await, Command::new(bin.join("python")).arg(script)).await;
}

#[tokio::test]
async fn kombu_works_unmodified() {
    let Some(bin) = had("kombu", python()).await else { return };
    let script = Path::new(SCRIPTS).join("kombu_client.py");
    run(&engine().await, Command::new(bin.join("python")).arg(script)).await;
}

#[tokio::test]
async fn sqs_consumer_works_unmodified() {
    let packages = ["sqs-consumer@14.2.8", "@aws-sdk/client-sqs@3.1175.0"];
    let install = installed::npm(target_dir(), &packages);
    let Some(dir) = had("sqs-consumer", install).await else { return };
    // Where Node looks for packages.
    let script = dir.join("consumer.mjs");
    std::fs::copy(Path::new(SCRIPTS).join("consumer.mjs"), &script).unwrap();
    run(&engine().await, Command::new("node").arg(script)).await;
}

#[tokio::test]
async fn ansible_works_unmodified() {
    let packages = ["ansible==12.3.0", "boto3==1.44.8"];
    let install = installed::python(target_dir(), &packages);
    let Some(bin) = had("Ansible's community.aws", install).await else { return };
    let playbook = Path::new(SCRIPTS).join("playbook.yml");
    let mut ansible = Command::new(bin.join("ansible-playbook"));
    let interpreter = format!("ansible_python_interpreter={}", bin.join("python").display());
    let arguments = ["-i", "localhost,", "-c", "local", "-e", &interpreter];
    run(&engine().await, ansible.args(arguments).arg(playbook)).await;
}

#[tokio::test]
async fn terraform_works_unmodified() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(Path::new(SCRIPTS).join("main.tf"), dir.path().join("main.tf")).unwrap();
    let terraform = |arguments: &[&str]| {
        let mut terraform = Command::new("terraform");
        terraform.current_dir(dir.path()).args(arguments).args(["-input=false", "-no-color"]);
        terraform
    };
    let init = async {
        let mut init = terraform(&["init"]);
        let output = tokio::time::timeout(TIMEOUT, init.kill_on_drop(true).output()).await;
        let output = output.map_err(|_elapsed| "terraform init does not end")?;
        let output = output.map_err(|error| format!("terraform does not start: {error}"))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reason = || stderr.lines().find(|line| line.contains("Error")).unwrap_or("no word");
        output.status.success().then_some(()).ok_or_else(|| format!("no provider: {}", reason()))
    };
    let Some(()) = had("Terraform's provider", init).await else { return };
    let engine = engine().await;
    run(&engine, &mut terraform(&["apply", "-auto-approve"])).await;
    // 2 would say that something is left to change.
    run(&engine, &mut terraform(&["plan", "-detailed-exitcode"])).await;
    run(&engine, &mut terraform(&["destroy", "-auto-approve"])).await;
}
