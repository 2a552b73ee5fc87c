//! The same with Terraform itself, where it is installed: that it goes on without whoever started it, ends
//! in order on INT, and refuses a plan that is stale. What it destroys is one resource of its own, which
//! takes as long as the test wants.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::machine::{Machine, start, write};
use crate::shown::Asked;

const SLOW: &str = r#"
variable "artifact" {
  type    = any
  default = null
}

resource "terraform_data" "slow" {
  input = "@WORLD@"

  provisioner "local-exec" {
    when    = destroy
    command = "touch '${self.input}/destroying'; until [ -e '${self.input}/go' ]; do sleep 0.05; done"
  }
}
"#;

/// A machine on which one resource of dev is deployed; `None`, with a word, where Terraform is not.
fn machine() -> Option<Machine> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|dir| dir.join("terraform"));
    let Some(terraform) = places.into_iter().find(|file| file.is_file()) else {
        eprintln!("skipped: Terraform is not installed here");
        return None;
    };
    let machine = Machine::new()?;
    let stand_in = machine.path("bin/terraform");
    std::fs::remove_file(&stand_in).unwrap();
    std::os::unix::fs::symlink(&terraform, stand_in).unwrap();
    let dir = machine.path("clone/environments/dev");
    let world = machine.world("");
    let world = world.to_str().unwrap().trim_end_matches('/');
    write(&dir.join("main.tf"), &SLOW.replace("@WORLD@", world));
    for arguments in [&["init", "-input=false"][..], &["apply", "-auto-approve", "-input=false"]] {
        let mut command = Command::new(&terraform);
        command.current_dir(&dir).args(arguments).env("CHECKPOINT_DISABLE", "1");
        command.env("TF_DATA_DIR", machine.path("data"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    Some(machine)
}

fn await_file(path: &Path) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn terraform_goes_on_when_its_run_is_killed_and_the_next_waits() {
    let Some(machine) = machine() else { return };
    let destroy = ["destroy", "dev", "--yes"];
    let mut first = start(&mut machine.command(&destroy));
    first.await_said("$ terraform apply");
    await_file(&machine.world("destroying"));
    first.signal(Signal::KILL);
    assert_eq!(first.end().code, None);
    let mut second = start(&mut machine.command(&destroy));
    second.await_said("waiting: terraform (process ");
    write(&machine.world("go"), "");
    let done = second.end();
    done.check(0, &["dev: 0 to add, 0 to change, 0 to replace, 0 to destroy"]);
    assert!(!done.stderr.contains("force-unlock"), "{}", done.stderr);
}

#[test]
fn terraform_ends_in_order_and_the_next_finishes() {
    let Some(machine) = machine() else { return };
    let destroy = ["destroy", "dev", "--yes"];
    let mut first = start(&mut machine.command(&destroy));
    first.await_said("$ terraform apply");
    await_file(&machine.world("destroying"));
    first.signal(Signal::HUP);
    first.end().check(130, &["stopping: waiting until", "Interrupt received"]);
    write(&machine.world("go"), "");
    machine.run(&destroy).check(0, &["1 to destroy"]);
}

#[test]
fn terraform_refuses_a_plan_that_is_stale() {
    let Some(machine) = machine() else { return };
    write(&machine.world("go"), "");
    let mut slow = Asked::start(&machine, &["destroy", "dev"]);
    slow.await_question();
    machine.run(&["destroy", "dev", "--yes"]).check(0, &["1 to destroy"]);
    slow.answer("yes");
    slow.end().check(1, &["somebody else has changed dev since it was planned: plan again"]);
}
