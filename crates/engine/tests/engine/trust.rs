//! A data directory that another user has prepared, or can write.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::config;
use crate::support::program::{Program, Refusal};

/// A user who is nobody here. Source: Debian policy, "UID and GID classes".
const NOBODY: u32 = 65_534;

/// Every file that is opened in a data directory, or made or moved there.
const FILES: [&str; 15] = [
    "lock",
    "queues.db",
    "queues.db.new",
    "queues.db-wal",
    "queues.db.damaged",
    "reserve.0",
    "engine.log",
    "engine.new.log",
    "engine.json",
    "engine.new",
    "access-key-id",
    "pauses.json",
    "event-source-mapping.json",
    "schedule.json",
    "skips.json",
];

fn is_root() -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        println!("skipped: only root can make files of another user");
    }
    is_root
}

fn start(data_dir: &Path) -> Refusal {
    Program::refused(&config(json!({})), data_dir, Path::new("/nowhere"))
}

#[test]
fn what_another_user_has_put_there_is_neither_used_nor_followed() {
    if !is_root() {
        return;
    }
    for name in FILES {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (planted, victim) = (dir.path().join(name), elsewhere.path().join("victim"));
        fs::write(&victim, "not the engine's").unwrap();
        symlink(&victim, &planted).unwrap();
        let by_root = start(dir.path());
        lchown(&planted, Some(NOBODY), None).unwrap();
        let by_other = start(dir.path());
        fs::remove_file(&planted).unwrap();
        fs::write(&planted, "WQ00000000000000000000").unwrap();
        chown(&planted, Some(NOBODY), None).unwrap();
        let file = start(dir.path());
        for (refusal, way_out) in [
            (by_root, "put the file itself there, or remove it"),
            (by_other, "belongs to user 65534;"),
            (file, "`chown -h 0 "),
        ] {
            assert_eq!(refusal.code, Some(3), "{name}: {}", refusal.stderr);
            let path = planted.to_str().unwrap();
            assert!(refusal.stderr.contains(path), "{name}: {}", refusal.stderr);
            assert!(refusal.stderr.contains(way_out), "{name}: {}", refusal.stderr);
        }
        assert_eq!(fs::read_to_string(victim).unwrap(), "not the engine's", "{name}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{name}: nothing was made");
    }
}

#[test]
fn a_directory_of_another_user_or_of_everybody_is_not_used() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(NOBODY), None).unwrap();
    let of_other = start(dir.path());
    assert_eq!(of_other.code, Some(3), "{}", of_other.stderr);
    assert!(of_other.stderr.contains("belongs to user 65534;"), "{}", of_other.stderr);
    chown(dir.path(), Some(0), None).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let of_all = start(dir.path());
    assert_eq!(of_all.code, Some(3), "{}", of_all.stderr);
    assert!(of_all.stderr.contains("`chmod o-w "), "{}", of_all.stderr);
}

/// Who may put another directory there needs nothing in this one; nor does who is of its group.
#[test]
fn a_directory_that_others_could_exchange_or_write_through_their_group_is_not_used() {
    let above = tempfile::tempdir().unwrap();
    let (open, elsewhere) = (above.path().join("open"), above.path().join("elsewhere"));
    let (inside, link) = (open.join("queue"), elsewhere.join("link"));
    for dir in [&open, &elsewhere, &inside] {
        fs::create_dir(dir).unwrap();
    }
    symlink(&inside, &link).unwrap();
    let set_mode = |dir: &Path, mode: u32| {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, dir) in [("open", &open), ("elsewhere", &elsewhere)] {
        set_mode(dir, 0o777);
        let refusal = start(&link);
        assert_eq!(refusal.code, Some(3), "{name}: {}", refusal.stderr);
        let way_out = format!("`chmod +t {}`", dir.display());
        assert!(refusal.stderr.contains(&way_out), "{name}: {}", refusal.stderr);
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0, "{name}: nothing was made");
        set_mode(dir, 0o1777);
    }
    let starts = || Program::start(&config(json!({})), &link, Path::new("/nowhere"));
    assert!(starts().terminate().success(), "as in /tmp");

    // The user's own group, as a umask of 002 leaves it.
    set_mode(&inside, 0o770);
    assert!(starts().terminate().success());
    if !is_root() {
        return;
    }
    chown(&inside, None, Some(NOBODY)).unwrap();
    let refusal = start(&link);
    assert_eq!(refusal.code, Some(3), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("the members of group 65534 can put"), "{}", refusal.stderr);
    set_mode(&inside, 0o750);
    assert!(starts().terminate().success());
}

/// Which file it is, and what to type: of what `SQLite` says nobody could tell.
#[test]
fn a_file_that_the_engine_s_user_may_not_open_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(json!({}));
    assert!(Program::start(&config, dir.path(), Path::new("/nowhere")).terminate().success());
    let as_user: &[&str] = if is_root() {
        chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    } else {
        &["env"]
    };
    let config_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(config_file.path(), config.to_string()).unwrap();
    fs::set_permissions(config_file.path(), fs::Permissions::from_mode(0o644)).unwrap();
    // Where everybody may run it.
    let bin = tempfile::tempdir().unwrap();
    fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let engine = bin.path().join("webhook-engine");
    fs::copy(env!("CARGO_BIN_EXE_webhook-engine"), &engine).unwrap();
    let starts = || {
        let refused = Command::new(as_user[0])
            .args(&as_user[1..])
            .arg(&engine)
            .arg("--config")
            .arg(config_file.path())
            .args(["--forwarder", "/nowhere", "--listen", "127.0.0.1:0"])
            .args(["--api-listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{stderr}");
        stderr
    };
    fs::write(dir.path().join("pauses.json"), "{}").unwrap();
    let names =
        ["lock", "queues.db", "engine.log", "engine.origins.json", "access-key-id", "pauses.json"];
    for name in names {
        let file = dir.path().join(name);
        let set_mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        set_mode(0o000);
        if is_root() {
            chown(&file, Some(NOBODY), None).unwrap();
        }
        let way_out = format!("may not read and write {0}: `chmod u+rw {0}`", file.display());
        let said = starts();
        assert!(said.contains(&way_out), "{name}: {said}");
        set_mode(0o600);
        if is_root() {
            // As root's own run of an engine leaves it.
            chown(&file, Some(0), None).unwrap();
            let way_out = format!(
                "may not read and write {}, which is user 0's: `chown -R 65534 {}/`",
                file.display(),
                dir.path().display()
            );
            let said = starts();
            assert!(said.contains(&way_out), "{name}: {said}");
            chown(&file, Some(NOBODY), None).unwrap();
        }
    }
}

/// As of systemd's `DynamicUser=`, whose `/var/lib/NAME` is a link.
#[test]
fn a_directory_may_be_reached_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("private")).unwrap();
    symlink(dir.path().join("private"), dir.path().join("data")).unwrap();
    let data_dir = dir.path().join("data");
    assert!(
        Program::start(&config(json!({})), &data_dir, Path::new("/nowhere")).terminate().success()
    );
    assert!(dir.path().join("private/queues.db").exists());
}

/// Root works on the data of the engine's user, who may not use it to get at what is root's.
#[test]
fn root_copies_the_queues_of_another_user_and_nothing_that_this_one_links_to() {
    if !is_root() {
        return;
    }
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = config(json!({}));
    assert!(Program::start(&config, dir.path(), Path::new("/nowhere")).terminate().success());
    let of_nobody = |path: &Path| lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        of_nobody(&entry.unwrap().path());
    }
    of_nobody(dir.path());
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, "root's").unwrap();
    let run = |command: &[&str], file: &str| {
        let mut engine = Command::new(env!("CARGO_BIN_EXE_webhook-engine"));
        engine.args(command).arg("--data-dir").arg(dir.path()).arg(elsewhere.path().join(file));
        engine.output().unwrap()
    };
    let made = run(&["backup"], "copy");
    assert!(made.status.success(), "{made:?}");
    for name in ["skips.json", "queues.db.new"] {
        let planted = dir.path().join(name);
        symlink(&secret, &planted).unwrap();
        of_nobody(&planted);
        for refused in [run(&["backup"], "copy-2"), run(&["restore", "--replace"], "copy")] {
            assert_eq!(refused.status.code(), Some(3), "{name}: {refused:?}");
        }
        fs::remove_file(planted).unwrap();
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "root's");
    assert!(!elsewhere.path().join("copy-2").exists());
    let restored = run(&["restore", "--replace"], "copy");
    assert!(restored.status.success(), "{restored:?}");
    let database = fs::metadata(dir.path().join("queues.db")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&database), NOBODY);
}
