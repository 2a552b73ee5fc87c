//! Every command, stopped at every step: after each a second run finishes the job, or says in one
//! sentence what to do, and nothing is half on record.

use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::machine::{Done, Machine, NEW, OLD, code, start, write};

/// A command, on the machine that it begins on, and how it ends.
struct Story {
    arguments: Vec<String>,
    environment: &'static str,
    /// What runs before, and after.
    code: [String; 2],
}

impl Story {
    fn machine(&self) -> Option<Machine> {
        let machine = Machine::new()?;
        match self.arguments[0].as_str() {
            "promote" => {
                machine.keep_artifact(NEW);
                machine.has_live("dev", NEW);
            }
            "rollback" => {
                machine.keep_artifact(NEW);
                machine.has_live("prod", NEW);
            }
            _ => {}
        }
        Some(machine)
    }

    fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// How many steps it has.
    fn steps(&self) -> Option<usize> {
        let machine = self.machine()?;
        machine.run(&self.arguments()).check(0, &[]);
        self.check_done(&machine);
        Some(machine.steps().len())
    }

    fn check_done(&self, machine: &Machine) {
        assert_eq!(machine.live(self.environment), self.code[1]);
        assert_eq!(machine.last(self.environment)["state"], "passed");
        machine.check_records(self.environment);
    }

    /// Stops it at a step, looks at what it leaves, and runs it again.
    fn stopped(&self, step: usize, by: &str) {
        let Some(machine) = self.machine() else { return };
        let stopped = machine.stop(&self.arguments(), step, by);
        let at = machine.steps().get(step - 1).cloned().unwrap_or_default();
        let told = format!("{:?}, {by} at {at}: {stopped:?}", self.arguments);
        self.check_stopped(&machine, &stopped, by, &told);
        // What the operator was writing when we were killed it writes to the end.
        let deadline = Instant::now() + Duration::from_mins(1);
        let writes = by == "KILL" && at.starts_with("put ");
        while writes && !machine.steps().contains(&format!("has {at}")) {
            assert!(Instant::now() < deadline, "{told}");
            std::thread::yield_now();
        }
        if machine.states(self.environment).first().is_some_and(|state| state == "passed") {
            // It was done, and on record: a second rollback would go back further.
            return self.check_done(&machine);
        }
        // A Terraform that was left goes on alone; what comes next waits for it.
        let again = machine.run(&self.arguments());
        if by == "CRASH" && again.stderr.contains("the state is locked") {
            again.check(1, &["release the lock with\n  TF_DATA_DIR=", "force-unlock lock-1"]);
            std::fs::remove_dir(machine.world(self.environment).join("lock")).unwrap();
            machine.run(&self.arguments()).check(0, &[]);
        } else {
            assert_eq!(again.code, Some(0), "{told}: {}", again.stderr);
        }
        if self.arguments[0] != "destroy" {
            assert_eq!(machine.states(self.environment)[0], "passed", "{told}");
        }
        self.check_done(&machine);
    }

    fn check_stopped(&self, machine: &Machine, stopped: &Done, by: &str, told: &str) {
        machine.check_records(self.environment);
        let begun = machine.ids(&format!("deployments/{}", self.environment));
        assert!(
            machine.applied().is_empty() || !begun.is_empty(),
            "applied, and not on record: {told}"
        );
        if matches!(by, "KILL" | "CRASH") {
            assert_eq!(stopped.code, None, "{told}");
            return;
        }
        // It ended in order: whatever was begun has its end.
        assert!(matches!(stopped.code, Some(130 | 0)), "{told}");
        assert!(!stopped.stderr.contains("panicked"), "{told}");
        for id in &begun {
            let prefix = format!("releases/{}", self.environment);
            assert!(machine.ids(&prefix).contains(id), "{id} has no end: {told}");
            let end = machine.record(&prefix, id);
            let is_interrupted = end["state"] == "failed" && end["reason"] == "interrupted";
            assert_eq!(is_interrupted, stopped.code == Some(130), "{end}: {told}");
        }
    }

    /// Stops it at each of its steps by each of `signals`, on two machines at a time.
    fn stop_everywhere(&self, signals: &[&'static str]) {
        let Some(steps) = self.steps() else { return };
        let all = (1..=steps).flat_map(|step| signals.iter().map(move |by| (step, *by)));
        let next = Mutex::new(all.collect::<Vec<_>>().into_iter());
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    loop {
                        let Some((step, by)) = next.lock().unwrap().next() else { return };
                        self.stopped(step, by);
                    }
                });
            }
        });
    }
}

fn story(command: &str, environment: &'static str, before: &str, after: &str) -> Story {
    let digest = code(NEW).digest;
    let arguments = match command {
        "deploy" => vec!["deploy", environment, "--yes", "--artifact", &digest],
        "promote" => vec!["promote", "dev", environment, "--yes"],
        command => vec![command, environment, "--yes"],
    };
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    let sha256 =
        |text: &str| if text.is_empty() { String::new() } else { code(text).lambda_digest };
    Story { arguments, environment, code: [sha256(before), sha256(after)] }
}

#[test]
fn deploy_can_be_stopped_anywhere() {
    story("deploy", "dev", OLD, NEW).stop_everywhere(&["KILL", "CRASH", "INT"]);
}

#[test]
fn promote_can_be_stopped_anywhere() {
    story("promote", "prod", OLD, NEW).stop_everywhere(&["KILL", "INT"]);
}

#[test]
fn rollback_can_be_stopped_anywhere() {
    story("rollback", "prod", NEW, OLD).stop_everywhere(&["KILL", "INT"]);
}

#[test]
fn destroy_can_be_stopped_anywhere() {
    story("destroy", "dev", OLD, "").stop_everywhere(&["KILL", "CRASH", "INT"]);
}

#[test]
fn every_signal_of_a_terminal_ends_it_in_order() {
    let deploy = story("deploy", "dev", OLD, NEW);
    let Some(machine) = deploy.machine() else { return };
    machine.run(&deploy.arguments()).check(0, &[]);
    let steps = machine.steps();
    for step in ["terraform apply begins", "await delivery"] {
        let number = steps.iter().position(|it| it == step).unwrap() + 1;
        for signal in ["TERM", "HUP"] {
            deploy.stopped(number, signal);
        }
        // Terraform was told as well, and did not begin what it had not.
        let Some(machine) = deploy.machine() else { return };
        machine.stop(&deploy.arguments(), number, "TERM").check(130, &["stopping: "]);
        assert_eq!(machine.applied().is_empty(), step == "terraform apply begins");
    }
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    for command in ["deploy", "destroy"] {
        let story = story(command, "dev", OLD, if command == "deploy" { NEW } else { "" });
        let Some(machine) = story.machine() else { return };
        let mut command = machine.command(&story.arguments());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nobody reads, from before the first line on.
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0));
        story.check_done(&machine);
    }
}

#[test]
fn a_terraform_that_outlives_its_run_is_named_and_waited_for() {
    let Some(machine) = Machine::new() else { return };
    write(&machine.world("hold"), "");
    let digest = code(NEW).digest;
    let arguments = ["deploy", "dev", "--yes", "--artifact", &digest];
    let mut first = start(&mut machine.command(&arguments));
    first.await_said("$ terraform apply");
    while !machine.steps().contains(&"terraform apply begins".to_owned()) {
        std::thread::yield_now();
    }
    first.signal(Signal::KILL);
    assert_eq!(first.end().code, None);
    let pid = std::fs::read_to_string(machine.world("terraform-pid")).unwrap();
    let named = format!("waiting: terraform (process {}) of a run that was killed", pid.trim());
    let mut second = start(&mut machine.command(&arguments));
    second.await_said(&named);
    let mut third = start(&mut machine.command(&["plan", "dev", "--artifact", &digest]));
    third.await_said("waiting: `cargo xtask deploy dev");
    third.signal(Signal::TERM);
    assert_eq!(third.end().code, Some(130));
    assert!(machine.applied().is_empty());
    write(&machine.world("go"), "");
    let done = second.end();
    done.check(0, &["nothing to change", "has no end: it was killed, or still runs"]);
    assert!(!done.stderr.contains("force-unlock"), "{}", done.stderr);
    assert_eq!(machine.applied(), ["applied deploy to dev"]);
    assert_eq!(machine.states("dev"), ["passed", "started"]);
}

#[test]
fn a_plan_is_nobody_elses_to_read_and_does_not_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(machine) = Machine::new() else { return };
    write(&machine.world("hold"), "");
    let digest = code(NEW).digest;
    let arguments = ["deploy", "dev", "--yes", "--artifact", &digest];
    let mut running = start(&mut machine.command(&arguments));
    running.await_said("$ terraform apply");
    let plans = || {
        let entries = machine.path("target/terraform/dev").read_dir().unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir() && path.join("plan.tfplan").exists()).collect::<Vec<_>>()
    };
    let [run] = <[_; 1]>::try_from(plans()).unwrap();
    assert_eq!(run.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    // Killed, it stays for the next run to remove.
    running.signal(Signal::KILL);
    running.end();
    write(&machine.world("go"), "");
    assert_eq!(plans(), [run]);
    machine.run(&arguments).check(0, &[]);
    assert!(plans().is_empty());
}
