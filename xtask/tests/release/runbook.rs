//! `docs/runbook.md`, as it is read on one machine: every command of it, as the page says that it is typed
//! there, on a machine with events that were rejected and events that wait.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::page::play;
use crate::unpacked;

/// What the page's words for one machine mean here.
const DATA_DIR: &str = "--data-dir /var/lib/webhook-queue";
const CONFIG: &str = "/etc/webhook-queue/config.json";

/// Commands of environments on AWS, which one machine does not have.
const OF_AWS: [&str; 5] = [
    "aws ",
    "cargo xtask deploy ",
    "cargo xtask plan ",
    "cargo xtask releases ",
    "cargo xtask rollback ",
];

/// How a command begins that is typed, and not only named.
const TYPED: [&str; 7] = [
    "cargo xtask ",
    "webhook-engine ",
    "webhook-operator ",
    "sudo ",
    "systemctl ",
    "journalctl -u ",
    "df ",
];

/// Every command of the page, in its order: the lines of its blocks, and what only a sentence says.
fn commands(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
            continue;
        }
        let parts: Vec<&str> =
            if is_block { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for part in parts {
            let part = part.replace("\\|", "|");
            // Of an environment's commands those that name one.
            let is_named_only = part.starts_with("cargo xtask ") && !part.contains(" ENV");
            let is_typed = TYPED.iter().any(|it| part.starts_with(it)) || part.starts_with("aws ");
            if is_typed && !is_named_only && (is_block || !found.contains(&part)) {
                found.push(part);
            }
        }
    }
    found
}

/// As the page says that it is typed where there is no clone.
fn on_one_machine(command: &str) -> String {
    let command = match command.strip_prefix("cargo xtask ") {
        Some(words) if words.starts_with("doctor ") => {
            format!("sudo webhook-operator {words} {DATA_DIR} --config {CONFIG}")
        }
        Some(words) => format!("sudo webhook-operator {words} {DATA_DIR}"),
        None => command.to_owned(),
    };
    let words = command.split(' ').map(|word| match word {
        "ENV" => "prod",
        "ID" => "\"$dead\"",
        "EVENT-ID" => "\"$blocked\"",
        // None is damaged there.
        "NUMBER" => "--all --yes",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A command with how it may end, shown before it runs; what is stopped is started again.
fn step(command: &str) -> String {
    // What looks for something may find nothing, or something.
    let looks = command.contains("| grep ") || command.contains(" doctor ");
    let codes = if looks { "0|1" } else { "0" };
    let typed = on_one_machine(command);
    let shown = typed.replace('\'', "\"");
    let start =
        if command.contains("systemctl stop ") { "sudo systemctl start webhook-queue" } else { "" };
    format!(
        "echo '## {shown}'\n{typed}\n\
         code=$?; case $code in {codes}) ;; *) echo \"exit code $code\"; exit 1 ;; esac\n{start}\n"
    )
}

/// The service rejects everything; on one route what is rejected blocks, on the other it is a dead letter.
const BEFORE: &str = r#"
tar xzf webhook-queue-*.tar.gz
sudo webhook-queue-*/install.sh
sudo cp config.json /etc/webhook-queue/config.json
./sss-stub --listen 127.0.0.1:3000 --status 400 --quiet &
./sss-stub --listen 127.0.0.1:3001 --quiet &
sudo systemctl enable --now webhook-queue
operator() { sudo webhook-operator "$@" --data-dir /var/lib/webhook-queue; }
# post PATH COMMAND...: gives the event's id once the command shows it.
post() {
  curl -sf "http://127.0.0.1:8080$1" -H 'x-workflow-id: order-7' -H 'content-type: application/json' -d '{}' >&2
  shift
  for attempt in $(seq 600); do
    id=$(operator "$@" prod --json | jq -r '[.. | .event_id? // empty] | first // empty')
    if [ -n "$id" ]; then echo "$id"; return; fi
  done
  echo "$* shows no event" >&2
  exit 1
}
dead=$(post /dead dlq list)
set +e
"#;

/// Not before: a `resume` shows how the queue gets empty, which it does not then.
const BEFORE_BLOCKED: &str = "blocked=$(post /blocked blocked) || exit 1\n";

#[test]
fn every_command_of_the_runbook_works_on_one_machine() {
    let page = fs::read_to_string(unpacked().root.join("docs/runbook.md")).unwrap();
    let commands = commands(&page);
    let (of_aws, played): (Vec<String>, Vec<String>) =
        commands.into_iter().partition(|it| OF_AWS.iter().any(|start| it.starts_with(start)));
    assert!(of_aws.len() >= 4 && played.len() >= 28, "{of_aws:#?} {played:#?}");

    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    fs::write(&config, json_of_two_routes()).unwrap();
    let mut script = BEFORE.to_owned();
    for command in &played {
        if command == "cargo xtask blocked ENV" && !script.contains(BEFORE_BLOCKED) {
            script += BEFORE_BLOCKED;
        }
        script += &step(command);
    }
    script += "echo '## end'; operator blocked prod; operator dlq list prod\n";
    let Some(said) = play(&["--map-root-user"], 0, 0, &script, &[&config, &stub()]) else { return };
    let (_, end) = said.split_once("## end\n").unwrap();
    assert!(end.starts_with("no group waits"), "{said}");
    assert!(end.contains(" skipped "), "{said}");
    for part in ["exit code", "MISSING  1"] {
        assert!(!said.contains(part), "{part} in {said}");
    }
}

fn json_of_two_routes() -> String {
    let route = |path: &str, on_reject: &str| {
        json!({
            "path": path, "ordering_key": "$request.header.x-workflow-id",
            "pass_headers": ["content-type", "x-workflow-id"], "on_reject": on_reject,
            "retry": { "initial_delay_seconds": 1, "max_delay_seconds": 1 }, "give_up_after_seconds": 600,
            "destinations": [{ "name": "service", "url": "http://127.0.0.1:3000/webhook" }],
        })
    };
    let config = json!({
        "environment": "prod",
        "routes": { "dead": route("/dead", "dead_letter"), "blocked": route("/blocked", "block") },
        "notify": { "url": "http://127.0.0.1:3001/notify" },
    });
    config.to_string()
}

/// The stand-in for the service, which has to be built.
pub(crate) fn stub() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("sss-stub");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "sss-stub", "--bin", "sss-stub"])
        .status();
    assert!(build.unwrap().success());
    program
}
