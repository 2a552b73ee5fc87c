//! What stands on record, and what is live, once a command has ended.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::machine::{Done, Machine, NEW, OLD, code, start, write};

fn deploy(machine: &Machine) -> Done {
    machine.run(&["deploy", "dev", "--yes", "--artifact", &code(NEW).digest])
}

#[test]
fn a_deployment_is_begun_and_ended_on_record() {
    let Some(machine) = Machine::new() else { return };
    let done = deploy(&machine);
    done.check(0, &["smoke test passed"]);
    assert!(done.stdout.contains("dev is live: release 2"), "{}", done.stdout);
    assert_eq!(machine.live("dev"), code(NEW).lambda_digest);
    assert_eq!(machine.states("dev"), ["passed"]);
    let ids = machine.ids("deployments/dev");
    let (start, end) = (machine.record("deployments/dev", &ids[0]), machine.last("dev"));
    assert_eq!(start["state"], "started");
    assert_eq!(start["by"], "arn:aws:iam::123456789012:user/me");
    assert_eq!((&end["state"], &end["smoke"]), (&"passed".into(), &"passed".into()));
    assert_eq!((&end["function_version"], &end["plan"]), (&"7".into(), &start["plan"]));
    assert_eq!(start["plan"].as_str().unwrap().len(), 64);
    // Begun before anything was changed.
    let steps = machine.steps();
    let at = |step: &str| steps.iter().position(|it| it == step).unwrap();
    assert!(at("has put deployments/dev") < at("terraform apply begins"), "{steps:?}");
    // Lambda takes no change of the mapping while an earlier one is under way.
    assert_eq!(at("settle mapping-1") + 1, at("terraform apply begins"), "{steps:?}");
    machine.check_records("dev");
}

#[test]
fn what_fails_is_on_record_with_its_step() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(NEW).digest;
    let arguments = ["deploy", "dev", "--yes", "--artifact", &digest];
    let done = machine.run_with(("FAIL", "apply"), &arguments);
    done.check(1, &["terraform apply failed: creating queue: AccessDenied", "go on with\n  cargo"]);
    let last = machine.last("dev");
    assert_eq!(last["step"], "apply");
    assert_eq!(last["reason"], "terraform apply failed: creating queue: AccessDenied");
    assert_eq!(last["smoke"].as_str().unwrap().split(' ').next(), Some("failed:"));
    // It was never live: a look for drift compares with what runs.
    machine.run(&["plan", "dev", "--live", "--expect-none"]).check(0, &[]);

    // An earlier change of the mapping does not end.
    let done = machine.run_with(("FAIL", "settle"), &arguments);
    done.check(1, &["the event source mapping is still Updating after 300 s"]);
    assert_eq!(machine.last("dev")["step"], "begin");
    assert!(machine.applied().is_empty());

    // Its smoke test.
    let done = machine.run_with(("FAIL", "smoke"), &arguments);
    done.check(1, &["smoke test failed", "did not prove itself"]);
    assert_eq!(machine.last("dev")["step"], "smoke");

    // What Lambda says that it runs is not the artifact.
    let done = machine.run_with(("OTHER_CODE", "another"), &arguments);
    done.check(1, &["runs code another, the artifact is"]);
    assert_eq!(
        machine.states("dev"),
        ["failed code", "failed smoke", "failed begin", "failed apply"]
    );
    machine.check_records("dev");

    // What failed is gone back from, and not to.
    machine
        .run(&["rollback", "dev", "--yes", "--if-failed"])
        .check(0, &["dev back to 20260101T0001"]);
    assert_eq!(machine.live("dev"), code(OLD).lambda_digest);
    let done = machine.run(&["rollback", "dev", "--yes", "--if-failed"]);
    done.check(0, &["the latest release did not fail"]);
    assert_eq!(machine.releases("dev")[0]["kind"], "rollback");
    assert_eq!(machine.states("dev").len(), 5);
}

#[test]
fn what_cannot_be_written_down_is_not_begun_or_told_with_the_way_out() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(NEW).digest;
    let arguments = ["deploy", "dev", "--yes", "--artifact", &digest];
    let denied = machine.run_with(("DENY", "deployments/"), &arguments);
    denied.check(1, &["nothing was changed, as it could not be written down", "AccessDenied"]);
    assert!(machine.applied().is_empty() && machine.states("dev").is_empty());

    let denied = machine.run_with(("DENY", "releases/"), &arguments);
    let reasons = ["has ended as passed, and that could not be written down", "same command again"];
    denied.check(1, &reasons);
    assert_eq!(machine.states("dev"), ["started"]);
    deploy(&machine).check(0, &["nothing to change", "smoke test passed"]);
    assert_eq!(machine.states("dev"), ["passed", "started"]);
    assert_eq!(machine.applied().len(), 1);
}

#[test]
fn code_that_was_replaced_while_the_event_went_through_has_not_passed() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(NEW).digest;
    let arguments = ["deploy", "dev", "--yes", "--artifact", &digest];
    machine.run_with(("OVERTAKEN_BY", "another"), &arguments).check(
        1,
        &["somebody else has deployed to dev while the event went through: code another runs there"],
    );
    assert_eq!(machine.states("dev"), ["failed smoke"]);
}

#[test]
fn a_release_comes_last_though_an_earlier_machine_s_clock_was_ahead() {
    let Some(machine) = Machine::new() else { return };
    let digest = code(OLD).digest;
    let at = "2099-01-01T00:00:00.000Z";
    let mut record = machine.releases("dev")[0].clone();
    record["version"] = 2.into();
    record["started_at"] = at.into();
    record["at"] = at.into();
    record["plan"] = "0".into();
    let id = format!("20990101T000000.000Z-{}", &digest[..12]);
    for prefix in ["deployments", "releases"] {
        record["state"] = if prefix == "deployments" { "started" } else { "passed" }.into();
        write(&machine.bucket(&format!("{prefix}/dev/{id}.json")), &record.to_string());
    }
    let arguments = ["deploy", "dev", "--yes", "--artifact", &code(NEW).digest];
    machine.run_with(("FAIL", "smoke"), &arguments).check(1, &["did not prove itself"]);
    assert_eq!(machine.states("dev"), ["failed smoke", "passed"]);
    machine.run(&["rollback", "dev", "--yes", "--if-failed"]).check(0, &["dev back to"]);
    assert_eq!(machine.live("dev"), code(OLD).lambda_digest);
    assert_eq!(machine.releases("dev")[0]["kind"], "rollback");
}

/// dev's API was there already, and has this stage; `action` is what happens to its route.
fn deploy_beside(machine: &Machine, api: &Value, action: &str) -> Done {
    let file = machine.path("clone/environments/dev/terraform.tfvars.json");
    let mut values: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    values["aws"]["api"] = api.clone();
    values["aws"].as_object_mut().unwrap().remove("throttling");
    write(&file, &values.to_string());
    let file = machine.world("dev/plan.json");
    let mut plan: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for change in plan["resource_changes"].as_array_mut().unwrap() {
        if change["type"] == "aws_apigatewayv2_route" {
            change["change"]["actions"] = json!([action]);
        }
    }
    write(&file, &plan.to_string());
    deploy(machine)
}

#[test]
fn a_stage_that_does_not_deploy_by_itself_is_answered_with_the_command() {
    let Some(machine) = Machine::new() else { return };
    let stage = "aws apigatewayv2 create-deployment it is";
    let done = deploy_beside(&machine, &json!({ "id": "not-by-itself" }), "update");
    done.check(0, &[&format!("note: {stage}"), &format!("smoke test skipped: {stage}")]);
    let last = machine.last("dev");
    assert_eq!((&last["state"], &last["reason"]), (&"skipped".into(), &stage.into()));
    assert!(!machine.steps().contains(&"await delivery".to_owned()));

    // What it has already works, and so does a stage that deploys by itself.
    for (id, action) in [("not-by-itself", "no-op"), ("by-itself", "update")] {
        let Some(machine) = Machine::new() else { return };
        let done = deploy_beside(&machine, &json!({ "id": id }), action);
        done.check(0, &["smoke test passed"]);
        assert!(!done.stderr.contains(stage), "{}", done.stderr);
    }

    // One that is not there is found before anything is changed.
    let Some(machine) = Machine::new() else { return };
    let done = deploy_beside(&machine, &json!({ "id": "a1b2c3", "stage": "gone" }), "update");
    done.check(1, &["API a1b2c3 has no stage gone"]);
    assert!(machine.applied().is_empty() && machine.ids("deployments/dev").is_empty());
}

#[test]
fn what_has_no_end_is_gone_back_from() {
    let Some(machine) = Machine::new() else { return };
    deploy(&machine).check(0, &[]);
    // Killed before its end was written down.
    let id = machine.ids("releases/dev").pop().unwrap();
    std::fs::remove_file(machine.bucket(&format!("releases/dev/{id}.json"))).unwrap();
    assert_eq!(machine.states("dev"), ["started"]);
    let promoted = machine.run(&["promote", "dev", "prod", "--yes"]);
    promoted.check(1, &["was begun and has no end"]);
    let done = machine.run(&["rollback", "dev", "--yes", "--if-failed"]);
    done.check(0, &["has no end: it was killed, or still runs", "dev back to 20260101T0001"]);
    assert_eq!(machine.live("dev"), code(OLD).lambda_digest);
}

#[test]
fn broken_invariants_end_it() {
    let Some(machine) = Machine::new() else { return };
    let plan = machine.world("dev/plan.json");
    let text = std::fs::read_to_string(&plan).unwrap();
    // Known before: the plan is not applied.
    write(&plan, &text.replace("\"fifo_queue\":true", "\"fifo_queue\":false"));
    let done = deploy(&machine);
    done.check(1, &["BROKEN", "so nothing was changed"]);
    assert!(machine.applied().is_empty() && machine.ids("deployments/dev").is_empty());
    // Known only after the apply: it is on record as failed.
    let mut unknown: serde_json::Value = serde_json::from_str(&text).unwrap();
    for change in unknown["resource_changes"].as_array_mut().unwrap() {
        if change["type"] == "aws_sqs_queue_policy" {
            change["change"]["after_unknown"] = serde_json::json!({ "policy": true });
            change["change"]["after"]["policy"] = serde_json::Value::Null;
        }
    }
    write(&plan, &unknown.to_string());
    let state = serde_json::json!({ "values": { "root_module": { "resources": [] } } });
    write(&machine.world("dev/state.json"), &state.to_string());
    deploy(&machine).check(1, &["did not prove itself"]);
    let last = machine.last("dev");
    assert_eq!((&last["state"], &last["step"]), (&"failed".into(), &"invariants".into()));
    assert!(last["reason"].as_str().unwrap().contains("tls-only"), "{last}");
    assert!(!machine.steps().contains(&"await delivery".to_owned()));
}

#[test]
fn what_is_promoted_is_what_the_function_runs() {
    let Some(machine) = Machine::new() else { return };
    deploy(&machine).check(0, &[]);
    machine.forget_steps();
    // Somebody went past the records.
    write(&machine.world("dev/code"), "another");
    let refused = machine.run(&["promote", "dev", "prod", "--yes"]);
    refused.check(1, &["dev runs code another (version 7)", "its last release", "promote that"]);
    assert!(machine.puts().is_empty() && machine.applied().is_empty());

    write(&machine.world("dev/code"), &code(NEW).lambda_digest);
    // The role that promotes may not write artifacts.
    let done = machine.run_with(("DENY", "artifacts/"), &["promote", "dev", "prod", "--yes"]);
    done.check(0, &["smoke test passed"]);
    assert_eq!(machine.live("prod"), code(NEW).lambda_digest);
    let last = machine.last("prod");
    assert_eq!((&last["kind"], &last["from"]), (&"promote".into(), &"dev".into()));
    let (puts, id) = (machine.puts(), machine.ids("deployments/prod").pop().unwrap());
    let records = ["deployments", "releases"].map(|prefix| format!("{prefix}/prod/{id}.json"));
    assert_eq!(puts, records);

    machine.run_with(("DENY", "artifacts/"), &["rollback", "prod", "--yes"]).check(0, &[]);
    assert_eq!(machine.live("prod"), code(OLD).lambda_digest);
}

#[test]
fn bytes_that_are_not_what_they_are_called_are_not_promoted() {
    let Some(machine) = Machine::new() else { return };
    deploy(&machine).check(0, &[]);
    // A whole artifact, with its own manifest, under another's name.
    let (digest, other) = (code(NEW).digest, code("tampered"));
    write(&machine.bucket(&format!("artifacts/{digest}.zip")), "tampered");
    let manifest = machine.bucket(&format!("artifacts/{digest}.json"));
    write(&manifest, &other.manifest.to_string());
    let refused = machine.run(&["promote", "dev", "prod", "--yes"]);
    refused
        .check(1, &["is kept as", "do not use it"].map(|it| it.trim_start_matches("is kept as")));
    assert!(machine.applied().iter().all(|it| !it.contains("prod")), "{:?}", machine.applied());
}

const WORKFLOW: &str = "acme/webhook-queue/.github/workflows/deploy-dev.yml@refs/heads/main";

#[test]
fn what_nobody_attests_is_not_promoted() {
    let Some(machine) = Machine::new() else { return };
    deploy(&machine).check(0, &[]);
    let gh = machine.path("bin/gh");
    for (answer, code) in [("exit 1", 1), ("exit 0", 0)] {
        write(
            &gh,
            &format!(
                "#!/bin/sh\ncase \"$*\" in\n*\"--repo acme/webhook-queue \
                 --signer-workflow acme/webhook-queue/.github/workflows/deploy-dev.yml \
                 --source-ref refs/heads/main\"*) {answer} ;;\nesac\nexit 1\n"
            ),
        );
        std::fs::set_permissions(&gh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let arguments = ["promote", "dev", "prod", "--yes", "--attested-by", WORKFLOW];
        let done = machine.run(&arguments);
        let reasons = [
            "is not attested by .github/workflows/deploy-dev.yml of acme/webhook-queue at refs/heads/main, so it",
        ];
        done.check(code, if code == 1 { &reasons } else { &[] });
    }
    assert_eq!(machine.applied(), ["applied deploy to dev", "applied deploy to prod"]);
}

#[test]
fn whoever_may_not_deploy_learns_it_before_anything_else() {
    let Some(machine) = Machine::new() else { return };
    // Nothing is packaged: it would have to be built, for minutes.
    for arguments in [&["deploy", "dev", "--yes"][..], &["plan", "dev"]] {
        machine.run_with(("FAIL", "whoami"), arguments).check(3, &["there are no AWS credentials"]);
        let mut command = machine.command(arguments);
        command.env_remove("AWS_ACCESS_KEY_ID").env("HOME", machine.path("home"));
        for name in ["AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            command.env_remove(name);
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        start(&mut command).end().check(3, &["there are no AWS credentials: log in"]);
    }
    assert_eq!(machine.steps(), ["whoami", "whoami"]);
}

#[test]
fn an_environment_is_destroyed() {
    let Some(machine) = Machine::new() else { return };
    machine.run(&["destroy", "dev", "--yes"]).check(0, &["to destroy"]);
    assert_eq!(machine.live("dev"), "");
    assert_eq!(machine.applied(), ["applied destroy to dev"]);
    // The list of skips, the scheduled end of a pause.
    let steps = machine.steps();
    let at = |step: &str| steps.iter().position(|it| it == step).unwrap();
    assert!(at("has put deployments/dev") < at("terraform apply begins"), "{steps:?}");
    assert_eq!(at("forget") + 1, at("put releases/dev"), "{steps:?}");
    let last = &machine.releases("dev")[0];
    assert_eq!((&last["kind"], &last["state"]), (&"destroy".into(), &"passed".into()));
    machine.check_records("dev");
    // What is gone is not gone back from, and not promoted.
    machine.run(&["rollback", "dev", "--yes"]).check(1, &["dev was deleted by arn:aws:iam::"]);
    machine.run(&["promote", "dev", "prod", "--yes"]).check(1, &["dev was deleted by"]);
}

#[test]
fn a_deletion_that_fails_is_on_record() {
    let Some(machine) = Machine::new() else { return };
    machine.run_with(("FAIL", "apply"), &["destroy", "dev", "--yes"]).check(1, &["AccessDenied"]);
    let last = machine.last("dev");
    assert_eq!((&last["kind"], &last["step"]), (&"destroy".into(), &"apply".into()));
    assert!(last["reason"].as_str().unwrap().contains("AccessDenied"), "{last}");
    // Without a record nothing is deleted.
    let denied = machine.run_with(("DENY", "deployments/"), &["destroy", "dev", "--yes"]);
    denied.check(1, &["nothing was deleted, as it could not be written down"]);
    assert!(machine.applied().is_empty());
}
