//! `docs/one-machine.md`, as it is written: every command of it, from an unpacked archive, on a machine
//! that has nothing else of us.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{text, unpacked};

/// A fenced block of a page.
struct Block {
    /// What is behind the fence; nothing for commands.
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(unpacked().root.join("docs/one-machine.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { language: language.to_owned(), text: text.join("\n") });
        }
    }
    assert!(blocks.len() > 8, "the page has {} blocks", blocks.len());
    blocks
}

fn of_language(language: &str) -> Vec<String> {
    let of = |it: Block| (it.language == language).then_some(it.text);
    blocks().into_iter().filter_map(of).collect()
}

/// The one command that does not end by itself: it looks without installing.
fn is_in_the_foreground(commands: &str) -> bool {
    commands.starts_with("webhook-queue-*-linux/bin/webhook-engine ")
}

/// Commands of the page for an archive of any name, each numbered before it runs.
fn script(commands: &[String]) -> String {
    let numbered = commands.iter().enumerate();
    let shown = numbered.map(|(number, it)| format!("echo '## {number}'\n{it}\n"));
    shown.collect::<String>().replace("webhook-queue-*-linux", "webhook-queue-*-linux*")
}

/// A user who is nobody here. Source: Debian policy, "UID and GID classes".
pub(crate) const NOBODY: u32 = 65_534;

/// One of those that systemd gives to services. Source: systemd's "Users, Groups, UIDs and GIDs".
pub(crate) const SERVICE: u32 = 61_184;

/// Runs a script on a fresh machine with the archive, and with `files`, in its folder; gives what it says,
/// or nothing where no such machine can be had.
pub(crate) fn play(
    namespaces: &[&str],
    user: u32,
    service_user: u32,
    script: &str,
    files: &[&Path],
) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let (root, brought) = (dir.path().join("root"), dir.path().join("brought"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&brought).unwrap();
    // What was unpacked is packed again, so that the page's first command has something to unpack.
    let folder = &unpacked().root;
    let name = folder.file_name().unwrap().to_str().unwrap();
    let tar = Command::new("tar")
        .args(["cf", "-", "--use-compress-program=gzip -1", name])
        .current_dir(folder.parent().unwrap())
        .stdout(fs::File::create(brought.join(format!("{name}.tar.gz"))).unwrap())
        .status();
    assert!(tar.unwrap().success());
    for file in files {
        fs::copy(file, brought.join(file.file_name().unwrap())).unwrap();
    }
    let page = dir.path().join("page");
    fs::write(&page, script).unwrap();
    let unshare = [namespaces, &["--mount", "--net", "--pid", "--fork", "--kill-child"]].concat();
    let allowed = Command::new("unshare").args(&unshare).args(["ip", "link"]).output();
    if !allowed.is_ok_and(|it| it.status.success()) {
        eprintln!("not run: there are no namespaces here, or no ip to have a network in them");
        return None;
    }
    let output = Command::new("unshare")
        .args(unshare)
        .arg("sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/release/page.sh"))
        .args([&root, &brought, &page])
        .args([user.to_string(), service_user.to_string()])
        // A fresh machine's.
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    Some(stdout.to_owned())
}

#[test]
fn every_command_of_the_page_works_as_root_on_a_machine_that_has_nothing() {
    // Namespaces need a kernel that lets us; and without root, one that lets everybody.
    check_page(&["--map-root-user"], 0, 0);
}

/// Who types it is another user than root, and so is whom the service runs as.
#[test]
fn every_command_of_the_page_works_as_another_user_who_may_use_sudo() {
    if !crate::is_root() {
        eprintln!("not run: only root can be other users");
        return;
    }
    check_page(&[], NOBODY, SERVICE);
}

fn check_page(namespaces: &[&str], user: u32, service_user: u32) {
    let commands: Vec<String> =
        of_language("").into_iter().filter(|it| !is_in_the_foreground(it)).collect();
    let end =
        "echo '## end'; sudo webhook-operator status --data-dir /var/lib/webhook-queue --json";
    let script = script(&commands) + end;
    let Some(stdout) = play(namespaces, user, service_user, &script, &[]) else { return };
    // What the commands say, besides that they worked.
    for part in [
        "installed. Now:",
        "/etc/webhook-queue/config.json: ok, environment prod",
        "\"status\":\"ok\"",
        "HTTP/1.1 200 OK",
        "not run: aws sqs list-queues",
    ] {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    // The page's webhook waits, as nobody listens at the service's address; it ends with a pause.
    let (_, status) = stdout.split_once("## end\n").unwrap();
    let status: Value = serde_json::from_str(status).unwrap();
    let queue = &status["queue"];
    assert_eq!(
        (&queue["events"], &status["delivery"]["paused"]),
        (&json!(1), &json!(true)),
        "{status}"
    );
}

/// As nobody, where the tests are root's: a data directory and two addresses are all it needs.
#[test]
fn it_can_be_looked_at_without_installing_anything() {
    let commands = of_language("");
    let command = commands.iter().find(|it| is_in_the_foreground(it)).expect("the page shows how");
    let dir = tempfile::tempdir().unwrap();
    let archive = unpacked().root.file_name().unwrap().to_str().unwrap();
    let link = dir.path().join("webhook-queue-0.0.0-this-linux");
    std::os::unix::fs::symlink(&unpacked().root, link).unwrap();
    assert!(archive.starts_with("webhook-queue-"));
    let mut shell = if crate::is_root() {
        std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_534)).unwrap();
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh"]);
        nobody
    } else {
        Command::new("sh")
    };
    // At free addresses: others may be testing, too.
    let command = format!("exec {command} --listen 127.0.0.1:0 --api-listen 127.0.0.1:0");
    let mut child = shell
        .args(["-c", &command])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let listening = lines.find(|line| line["message"] == "listening").expect("it has ended");
    std::thread::spawn(move || lines.for_each(drop));
    let engine = unpacked().root.join("bin/webhook-engine");
    let api = listening["api"].as_str().unwrap();
    let health = Command::new(engine).args(["health", "--api", api]).output().unwrap();
    assert!(health.status.success(), "{}", text(&health.stderr));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(dir.path().join("queue/queues.db").exists());
}

/// What the page shows and nobody runs.
#[test]
fn what_is_shown_is_what_is_shipped() {
    let root = &unpacked().root;
    let caddyfile = fs::read_to_string(root.join("Caddyfile")).unwrap();
    assert_eq!(of_language("caddyfile"), [caddyfile.trim_end()]);
    let config: Value =
        serde_json::from_slice(&fs::read(root.join("config.json")).unwrap()).unwrap();
    for route in config["routes"].as_object().unwrap().values() {
        let path = route["path"].as_str().unwrap();
        assert!(caddyfile.contains(&format!("@routes path {path}\n")), "{path}");
    }
    let socket = fs::read_to_string(root.join("systemd/webhook-queue.socket")).unwrap();
    let address = socket.lines().find_map(|line| line.strip_prefix("ListenStream=")).unwrap();
    assert!(caddyfile.contains(&format!("reverse_proxy {address}\n")));

    // A credential's file is named by the unit and by the credential's name.
    let credentials: Vec<String> = of_language("ini")
        .iter()
        .flat_map(|it| it.lines())
        .filter_map(|line| line.strip_prefix("LoadCredential="))
        .map(|it| {
            format!("file:/run/credentials/webhook-queue.service/{}", it.split(':').next().unwrap())
        })
        .collect();
    assert!(root.join("systemd/webhook-queue.service").exists());
    let mut route = config["routes"].as_object().unwrap().values().next().unwrap().clone();
    let mut with_credentials = json!({ "environment": "prod" });
    for fragment in of_language("json") {
        let fragment: Value = serde_json::from_str(&format!("{{{fragment}}}")).unwrap();
        if let Some(notify) = fragment.get("notify") {
            with_credentials["notify"] = notify.clone();
            continue;
        }
        assert_eq!(fragment["verify"]["secrets"], json!(credentials));
        for (name, value) in fragment.as_object().unwrap() {
            route[name] = value.clone();
        }
    }
    with_credentials["routes"] = json!({ "webhook": route });
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), with_credentials.to_string()).unwrap();
    let check = Command::new(root.join("bin/webhook-engine"))
        .args(["check-config", "--config"])
        .arg(file.path())
        .arg("--forwarder")
        .arg(root.join("bin/forwarder"))
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", text(&check.stderr));
    assert!(text(&check.stdout).contains(&format!("not checked: {}", credentials[0])));
    // Here is no unit, and so no credential of it.
    let notify = with_credentials["notify"]["url"].as_str().unwrap();
    assert!(text(&check.stdout).contains(&format!("not checked: {notify}")));
    let tried = Command::new(root.join("bin/webhook-engine"))
        .args(["test-notification", "--config"])
        .arg(file.path())
        .output()
        .unwrap();
    assert_eq!(tried.status.code(), Some(2), "{}", text(&tried.stderr));
    assert!(text(&tried.stderr).contains(notify), "{}", text(&tried.stderr));
}
