//! The container, without one who builds it: what its files say is looked at, and what they start is
//! started.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::{text, unpacked};

/// The instructions of the Dockerfile and their arguments, in their order.
fn instructions() -> Vec<(String, String)> {
    let text = fs::read_to_string(unpacked().root.join("container/Dockerfile")).unwrap();
    let text = text.replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = lines.map(|line| line.split_once(' ').unwrap());
    split.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
}

fn all(name: &str) -> Vec<String> {
    let of = |(it, rest): (String, String)| (it == name).then_some(rest);
    instructions().into_iter().filter_map(of).collect()
}

/// The arguments of the one instruction of this name, in exec form: there is no shell.
fn exec_form(name: &str) -> Vec<String> {
    let [arguments] = all(name).try_into().unwrap();
    let json = &arguments[arguments.find('[').expect("exec form")..];
    serde_json::from_str(json).unwrap()
}

/// Where a path of the image is in the archive.
fn in_archive(argument: &str) -> String {
    let root = unpacked().root.to_str().unwrap();
    let config = format!("{root}/config.json");
    argument
        .replace("/usr/local/bin/", &format!("{root}/bin/"))
        .replace("/etc/webhook-queue/config.json", &config)
}

#[test]
fn the_image_holds_what_it_needs_and_runs_as_nobody() {
    let bases = all("FROM");
    assert!(!bases.is_empty());
    for base in bases {
        assert!(base == "scratch" || base.contains("@sha256:"), "{base} may change");
    }
    for name in ["ADD", "RUN", "ENV", "ARG", "MAINTAINER"] {
        assert_eq!(all(name), Vec::<String>::new(), "{name}");
    }
    let [user] = all("USER").try_into().unwrap();
    let (user, group) = user.split_once(':').unwrap();
    for id in [user, group] {
        assert!(id.parse::<u32>().unwrap() >= 1_000, "{id}");
    }
    // Everything that is copied is in the archive, and everything that is started is copied.
    let mut copied = Vec::new();
    for copy in all("COPY") {
        let mut words: Vec<&str> = copy.split(' ').filter(|it| !it.starts_with("--")).collect();
        let to = words.pop().unwrap();
        for from in words {
            assert!(unpacked().root.join(from).exists(), "{from}");
            copied.push(format!("{to}{}", from.rsplit('/').next().unwrap()));
        }
    }
    let entrypoint = exec_form("ENTRYPOINT");
    for program in entrypoint.iter().filter(|it| it.starts_with("/usr/local/bin/")) {
        assert!(copied.contains(program), "{program} of {copied:?}");
    }
    let data_dir = entrypoint.iter().find(|it| it.starts_with("/var/lib/")).unwrap();
    assert_eq!(exec_form("VOLUME"), [data_dir.as_str()]);
    // A volume takes the owner of the folder that is in the image.
    let owned = format!("--chown={user}:{group} container/queues/ {data_dir}/");
    assert!(all("COPY").contains(&owned), "{owned}");
}

#[test]
fn what_the_image_starts_starts_and_is_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let mut start = exec_form("ENTRYPOINT");
    start.extend(exec_form("CMD"));
    let shown = |words: &[String]| {
        let data_dir = dir.path().join("data");
        let words = words.iter().map(|it| {
            let it = in_archive(it).replace("/var/lib/webhook-queue", data_dir.to_str().unwrap());
            format!("'{it}'")
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let script = format!(
        "ip link set lo up\n{} >/dev/null & engine=$!\nuntil {}; do kill -0 $engine; done\nkill $engine; wait $engine",
        shown(&start),
        shown(&exec_form("HEALTHCHECK")),
    );
    // A network of its own, as the addresses are fixed.
    let unshare = ["--map-root-user", "--net", "--pid", "--fork", "--kill-child"];
    let allowed = Command::new("unshare").args(unshare).args(["ip", "link"]).output();
    if !allowed.is_ok_and(|it| it.status.success()) {
        eprintln!("not run: there are no namespaces here, or no ip to have a network in them");
        return;
    }
    let output = Command::new("unshare").args(unshare).args(["sh", "-euc", &script]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\"status\":\"ok\""), "{output:?}");
}

#[test]
fn what_is_composed_is_pinned_and_may_do_little() {
    let file = unpacked().root.join("container/compose.yml");
    let compose: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        let is_pinned = image.contains("@sha256:") || service.get("build").is_some();
        assert!(is_pinned, "{name}: {image} may change");
        for volume in service["volumes"].as_array().unwrap() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let here = file.parent().unwrap().join(from);
            let is_named = compose["volumes"].as_object().unwrap().contains_key(from);
            assert!(is_named || here.is_file(), "{name}: {from}");
        }
    }
    let queue = &compose["services"]["queue"];
    assert_eq!(queue["read_only"], true);
    assert_eq!(queue["cap_drop"][0], "ALL");
    assert_eq!(queue["security_opt"][0], "no-new-privileges:true");
    assert!(queue.get("ports").is_none(), "Caddy is in front of it");
    let context = file.parent().unwrap().join(queue["build"]["context"].as_str().unwrap());
    assert!(context.join(queue["build"]["dockerfile"].as_str().unwrap()).is_file());
    // As for the unit: what is being delivered ends before the container does.
    let unit = fs::read_to_string(unpacked().root.join("systemd/webhook-queue.service")).unwrap();
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert_eq!(queue["stop_grace_period"], format!("{stop}s"));
    let condition = &compose["services"]["caddy"]["depends_on"]["queue"]["condition"];
    assert_eq!(condition, "service_healthy");
    // The same Caddyfile as without containers, but for the queue's name.
    let caddyfile = |path: &str| fs::read_to_string(unpacked().root.join(path)).unwrap();
    let port = exec_form("CMD").pop().unwrap();
    let port = port.rsplit(':').next().unwrap();
    let expected = caddyfile("Caddyfile").replace("127.0.0.1:8080", &format!("queue:{port}"));
    assert_eq!(caddyfile("container/Caddyfile"), expected);
}
