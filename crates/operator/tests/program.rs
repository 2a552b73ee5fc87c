//! What `webhook-operator` is called, and what it says to type: on a machine without a clone, in one, of
//! an engine that is gone, and as a user who may not look.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::Subcommand as _;
use domain::config::Config;
use engine::{Engine, EngineOptions, Storage};
use serde_json::{Value, json};

/// A user who is nobody here. Source: Debian policy, "UID and GID classes".
const NOBODY: u32 = 65_534;

fn operator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhook-operator"));
    std::os::unix::process::CommandExt::arg0(&mut command, "webhook-operator");
    command.args(arguments).env("COLUMNS", "100").env_remove("SUDO_COMMAND");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every command, as a list of words, with its help.
fn helps(calling: &dyn Fn(&[&str]) -> Command) -> Vec<(Vec<String>, String)> {
    let all = commands::Command::augment_subcommands(clap::Command::new("webhook-operator"));
    let mut found = Vec::new();
    let mut left = vec![(Vec::<String>::new(), &all)];
    while let Some((words, command)) = left.pop() {
        let typed: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = calling(&typed).output().unwrap();
        assert!(help.status.success(), "{words:?}");
        found.push((words.clone(), text(&help.stdout)));
        for below in command.get_subcommands() {
            left.push(([words.clone(), vec![below.get_name().to_owned()]].concat(), below));
        }
    }
    found
}

#[test]
fn an_id_that_is_taken_for_the_environment_is_named_with_what_to_type() {
    for (typed, to_type) in [
        (&["dlq", "drop", "order-7", "--why", "r"][..], "webhook-operator dlq drop ENV order-7"),
        (&["dlq", "redrive", "order-7"], "webhook-operator dlq redrive ENV order-7"),
        (&["retry", "order-7", "--api", "h:1"], "webhook-operator retry ENV order-7 --api h:1"),
        (&["skip", "e-1", "--why", "r"], "webhook-operator skip ENV e-1"),
        (&["damaged", "drop", "1", "--why", "r"], "webhook-operator damaged drop ENV 1"),
    ] {
        let done = operator(typed).output().unwrap();
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(
            said.contains("was taken for ENV") && said.contains(&format!("`{to_type}`")),
            "{said}"
        );
    }
    // What was given is not what is missing.
    for typed in [&["dlq", "drop", "local", "e-1"][..], &["dlq", "drop"], &["dlq", "show", "e-1"]] {
        let said = text(&operator(typed).output().unwrap().stderr);
        assert!(!said.contains("was taken for ENV"), "{said}");
    }
}

#[test]
fn called_directly_it_knows_nothing_of_a_clone() {
    let helps = helps(&operator);
    assert!(helps.len() > 15, "{}", helps.len());
    for (words, help) in &helps {
        assert!(!help.contains("xtask") && !help.contains("{program}"), "{words:?}: {help}");
        let usage = ["webhook-operator", &words.join(" ")].join(" ");
        assert!(help.contains(&format!("Usage: {}", usage.trim())), "{words:?}: {help}");
    }
    let top = helps.iter().find(|(words, _)| words.is_empty()).unwrap();
    insta::assert_snapshot!("help", top.1);
}

#[test]
fn called_by_xtask_it_says_so_everywhere() {
    let by_xtask = |arguments: &[&str]| {
        let mut command = operator(arguments);
        command.env("WEBHOOK_OPERATOR_CALLED_AS", "cargo xtask");
        command
    };
    for (words, help) in helps(&by_xtask) {
        let lines = help.lines().filter(|line| !line.contains("/webhook-queue"));
        assert!(!lines.clone().any(|line| line.contains("webhook-operator")), "{words:?}: {help}");
        assert!(
            help.contains(&format!(
                "Usage: {}",
                ["cargo xtask", &words.join(" ")].join(" ").trim()
            ))
        );
    }
    let wrong = by_xtask(&["dlq", "show"]).output().unwrap();
    assert!(text(&wrong.stderr).contains("Usage: cargo xtask dlq show"), "{wrong:?}");
}

async fn engine(data_dir: &Path, start_command: Option<&str>) -> Engine {
    let config = json!({ "environment": "local", "routes": { "sss": {
        "path": "/sqs-hook", "ordering_key": "all",
        "destinations": [{ "name": "sss", "url": "http://127.0.0.1:9/hook" }],
    }}});
    let mut options = EngineOptions::in_memory(Config::parse(&config.to_string()).unwrap());
    options.storage = Storage::Directory(data_dir.to_owned());
    // There is a mapping, and no function that would deliver.
    options.forwarder = Some("/nowhere".into());
    options.start_command = start_command.map(str::to_owned);
    Engine::start(options).await.unwrap()
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn operate(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = operator(arguments);
    command.arg("--data-dir").arg(data_dir);
    run(command).await
}

/// What stands between the first two backquotes.
fn advised(said: &str) -> &str {
    said.split('`').nth(1).unwrap_or_else(|| panic!("it advises no command: {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_advises_works_as_it_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    // Whatever a shell would make of it.
    let data_dir = dir.path().join("data of $(me)");
    let _engine = engine(&data_dir, None).await;
    let paused = operate(&data_dir, &["pause", "local", "--why", "test"]).await;
    let said = text(&paused.stdout);
    let resume = advised(&said).to_owned();
    assert!(resume.starts_with("webhook-operator resume local --data-dir "), "{said}");

    let programs = Path::new(env!("CARGO_BIN_EXE_webhook-operator")).parent().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &resume]).env_remove("SUDO_COMMAND");
    shell.env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()));
    let resumed = run(shell).await;
    assert!(resumed.status.success(), "{resumed:?}");
    assert!(text(&resumed.stdout).contains("\nresumed: "), "{resumed:?}");
}

/// The file of an engine that was killed: nobody listens there any more.
fn of_killed(data_dir: &Path, start_command: Option<&str>) {
    let file = json!({
        "environment": "local", "api": "127.0.0.1:1", "access_key_id": "WQ0",
        "queue_url": "http://q", "dead_letter_queue_url": "http://d",
        "start_command": start_command,
    });
    std::fs::write(data_dir.join("engine.json"), file.to_string()).unwrap();
}

const COMMANDS: [&[&str]; 9] = [
    &["status", "local"],
    &["blocked", "local"],
    &["doctor", "local"],
    &["trace", "local", "evt"],
    &["pause", "local", "--why", "test"],
    &["resume", "local"],
    &["dlq", "list", "local"],
    &["dlq", "redrive", "local", "--all"],
    &["skip", "local", "evt", "--why", "test"],
];

#[tokio::test(flavor = "multi_thread")]
async fn of_an_engine_that_was_killed_every_command_says_how_it_was_started() {
    let dir = tempfile::tempdir().unwrap();
    for (start_command, expected) in [
        (Some("systemctl start q.service"), "start it again with `systemctl start q.service`"),
        (Some("cargo xtask local"), "start it again with `cargo xtask local`"),
        (None, "start it again as it was started"),
    ] {
        of_killed(dir.path(), start_command);
        for command in COMMANDS {
            let failed = operate(dir.path(), command).await;
            let code = if command[0] == "doctor" { 1 } else { 3 };
            assert_eq!(failed.status.code(), Some(code), "{command:?}");
            let said = text(&failed.stderr) + &text(&failed.stdout);
            assert!(said.contains("nobody answers at 127.0.0.1:"), "{command:?}: {said}");
            assert!(said.contains(expected), "{command:?}: {said}");
            let of_xtask = start_command.is_some_and(|command| command.contains("xtask"));
            assert_eq!(said.contains("xtask"), of_xtask, "{command:?}: {said}");
        }
    }
}

/// Every command for an environment `dev`.
const OF_DEV: [&[&str]; 28] = [
    &["status", "dev"],
    &["blocked", "dev"],
    &["refused", "dev"],
    &["logs", "dev"],
    &["doctor", "dev"],
    &["trace", "dev", "evt"],
    &["show", "dev", "evt"],
    &["pause", "dev", "--why", "test"],
    &["resume", "dev"],
    &["retry", "dev", "--all"],
    &["repeat", "dev", "evt", "--why", "test"],
    &["find", "dev", "text"],
    &["send", "dev"],
    &["page", "dev", "--no-open"],
    &["skip", "dev", "evt", "--why", "test"],
    &["dlq", "list", "dev"],
    &["dlq", "show", "dev", "evt"],
    &["dlq", "stats", "dev"],
    &["dlq", "issues", "dev"],
    &["dlq", "log", "dev"],
    &["dlq", "redrive", "dev", "--all"],
    &["dlq", "edit", "dev", "evt", "--why", "test", "--body", "/dev/null"],
    &["dlq", "drop", "dev", "evt", "--why", "test", "--yes"],
    &["dlq", "export", "dev", "/dev/full/file"],
    &["dlq", "import", "dev", "/dev/null"],
    &["damaged", "list", "dev"],
    &["damaged", "export", "dev", "/dev/full/file"],
    &["damaged", "drop", "dev", "--all", "--why", "test", "--yes"],
];

#[tokio::test(flavor = "multi_thread")]
async fn no_command_speaks_to_another_environment_than_was_named() {
    for (words, help) in helps(&operator) {
        let of_environment = help.contains("--data-dir <DIR>");
        let tried = OF_DEV.iter().any(|it| it.iter().zip(&words).all(|(it, word)| it == word));
        assert!(!of_environment || tried, "{words:?} is not tried");
    }
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let engine = engine(&data_dir, None).await;
    for command in OF_DEV {
        let mut by_api = operator(command);
        by_api.arg("--api").arg(engine.api_address().to_string());
        by_api.env("AWS_ACCESS_KEY_ID", engine.access_key_id());
        for refused in [operate(&data_dir, command).await, run(by_api).await] {
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{command:?}: {said}");
            assert_eq!(text(&refused.stdout), "", "{command:?}");
            assert!(said.contains("runs environment local, not dev"), "{command:?}: {said}");
            assert!(said.contains("type local in its place, or name"), "{command:?}: {said}");
        }
    }
    let status = operate(&data_dir, &["status", "--json"]).await;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["delivery"]["paused"], false, "{status}");
}

/// Whose directory was copied, running or killed, is not meant by who names the copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_data_directory_does_not_lead_to_the_engine_of_the_original() {
    let dir = tempfile::tempdir().unwrap();
    let (data_dir, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let _engine = engine(&data_dir, None).await;
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(data_dir.join("engine.json"), copy.join("engine.json")).unwrap();
    for command in [&["pause", "--why", "test"][..], &["status"], &["doctor"]] {
        let refused = operate(&copy, command).await;
        let said = text(&refused.stdout) + &text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("works in another directory"), "{command:?}: {said}");
    }
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&data_dir, &link).unwrap();
    let status = operate(&link, &["status", "--json"]).await;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["delivery"]["paused"], false, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_s_environment_need_not_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let _engine = engine(&data_dir, None).await;
    let paused = operate(&data_dir, &["pause", "--why", "test"]).await;
    assert!(text(&paused.stdout).contains(" resume local --data-dir "), "{paused:?}");
    // One word is the event, where a command is about one.
    let shown = operate(&data_dir, &["dlq", "show", "evt"]).await;
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown.stderr).contains("evt"), "{shown:?}");
    let unnamed = run(operator(&["status"])).await;
    assert_eq!(unnamed.status.code(), Some(2), "{unnamed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_look_is_told_so_and_never_that_no_engine_runs() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    // The program is in a folder that only root may enter, if the clone is: a copy is not.
    let programs = tempfile::tempdir().unwrap();
    std::fs::set_permissions(programs.path(), Permissions::from_mode(0o755)).unwrap();
    let program = programs.path().join("webhook-operator");
    std::fs::copy(env!("CARGO_BIN_EXE_webhook-operator"), &program).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let _engine = engine(&data_dir, None).await;
    let closed = Permissions::from_mode(0o700);
    let open = Permissions::from_mode(0o755);
    for (outer, inner) in [(&closed, &closed), (&open, &closed), (&open, &open)] {
        std::fs::set_permissions(dir.path(), outer.clone()).unwrap();
        std::fs::set_permissions(&data_dir, inner.clone()).unwrap();
        for command in COMMANDS {
            let mut command_of_nobody = Command::new(&program);
            command_of_nobody.args(command).arg("--data-dir").arg(&data_dir);
            command_of_nobody.uid(NOBODY).gid(NOBODY).current_dir("/").env_remove("SUDO_COMMAND");
            let failed = run(command_of_nobody).await;
            assert_eq!(failed.status.code(), Some(1), "{command:?}");
            let said = text(&failed.stderr) + &text(&failed.stdout);
            assert!(said.contains("ermission denied") && said.contains("use sudo"), "{said}");
            assert!(!said.contains("no engine"), "{command:?}: {said}");
        }
    }
}

/// An engine that takes connections and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn no_command_hangs_without_a_word() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = json!({
        "environment": "local", "api": silent.local_addr().unwrap(), "access_key_id": "WQ0",
        "queue_url": "http://q", "dead_letter_queue_url": "http://d",
    });
    std::fs::write(dir.path().join("engine.json"), file.to_string()).unwrap();
    for command in [&["status", "local"][..], &["dlq", "stats", "local"]] {
        let mut operator = operator(command);
        operator.arg("--data-dir").arg(dir.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let said = tokio::task::spawn_blocking(move || {
            let mut child = operator.spawn().unwrap();
            let mut said = String::new();
            BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            said
        });
        let said = said.await.unwrap();
        assert!(said.starts_with("waiting for "), "{command:?}: {said}");
    }
}

#[test]
fn an_engine_of_the_same_name_is_not_an_environment_on_aws() {
    let dir = tempfile::tempdir().unwrap();
    let engine = dir.path().join(".webhook-queue/prod");
    let environment = dir.path().join("environments/prod");
    std::fs::create_dir_all(&engine).unwrap();
    std::fs::create_dir_all(&environment).unwrap();
    let left = json!({ "api": "127.0.0.1:1", "environment": "prod", "queue_url": "http://127.0.0.1:1/q",
        "dead_letter_queue_url": "http://127.0.0.1:1/d" });
    std::fs::write(engine.join("engine.json"), left.to_string()).unwrap();
    let dev = concat!(env!("CARGO_MANIFEST_DIR"), "/../../environments/prod/terraform.tfvars.json");
    std::fs::copy(dev, environment.join("terraform.tfvars.json")).unwrap();
    let list = |arguments: &[&str]| {
        let mut command = operator(&[&["dlq", "list"], arguments].concat());
        command.current_dir(dir.path()).env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        command.env("AWS_ACCESS_KEY_ID", "made-up").env("AWS_SECRET_ACCESS_KEY", "made-up");
        let output = command.output().unwrap();
        let code = if arguments.contains(&"--data-dir") { 3 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        text(&output.stderr)
    };
    let said = list(&["prod"]);
    assert!(said.contains("finding queue prod-webhook.fifo"), "{said}");
    // A busy machine may be told of the wait.
    let errors = said.lines().filter(|line| !line.starts_with("waiting for ")).count();
    assert!(errors == 1, "{said}");
    let debug = list(&["prod", "--debug"]);
    assert!(
        debug.contains("finding queue prod-webhook.fifo") && debug.lines().count() > 1,
        "{debug}"
    );
    // By its data directory it is meant.
    let said = list(&["prod", "--data-dir", ".webhook-queue/prod"]);
    assert!(said.contains("the engine may have crashed"), "{said}");
}
