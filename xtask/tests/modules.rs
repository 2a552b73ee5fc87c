//! What mutants are for code, for the modules: each edit of their Terraform takes a promise away, and
//! the module's own tests, or `cargo xtask check` of a plan, must say so.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

/// Set by `cargo xtask test --quick`.
const QUICK: &str = "XTASK_QUICK";

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// An edit that must not go unseen.
struct Edit {
    /// The file, below `modules`.
    file: &'static str,
    /// What stands there, once.
    from: &'static str,
    to: &'static str,
    seen_by: SeenBy,
    /// What is said of it: a part of an assertion that fails, or of `check`'s sentence.
    says: &'static str,
}

/// Who sees an edit.
#[derive(Clone, Copy, PartialEq)]
enum SeenBy {
    /// A file of tests of the same module.
    Tests(&'static str),
    /// `cargo xtask check`, of the plan of `dev` before its first deployment.
    Check,
}

use SeenBy::{Check, Tests};

const fn edit(
    (file, seen_by): (&'static str, SeenBy),
    from: &'static str,
    to: &'static str,
    says: &'static str,
) -> Edit {
    Edit { file, from, to, seen_by, says }
}

type Place = (&'static str, SeenBy);

const QUEUE: Place = ("webhook-queue/main.tf", Tests("queue"));
const QUEUE_RULES: Place = ("webhook-queue/locals.tf", Tests("queue"));
const FORWARDER: Place = ("webhook-forwarder/main.tf", Tests("forwarder"));
const FORWARDER_ROLE: Place = ("webhook-forwarder/role.tf", Tests("forwarder"));
const RESUME: Place = ("webhook-forwarder/resume.tf", Tests("forwarder"));
const TOLD: Place = ("webhook-forwarder/configuration.tf", Tests("forwarder"));
const INGEST: Place = ("webhook-ingest/integrations.tf", Tests("ingest"));
const REPLACED: Place = ("webhook-ingest/integrations.tf", Tests("replacement"));
const INGEST_ROLE: Place = ("webhook-ingest/role.tf", Tests("ingest"));
const ALARMS: Place = ("monitoring/alarms.tf", Tests("monitoring"));
const TOPIC: Place = ("monitoring/topic.tf", Tests("monitoring"));
const API: Place = ("http-api/main.tf", Tests("api"));
const SYSTEM: Place = ("webhook-system/main.tf", Tests("system"));

const EDITS: &[Edit] = &[
    // The queues.
    edit(
        QUEUE,
        "name       = \"${var.environment}-webhook.fifo\"",
        "name = \"${var.environment}-webhook.fifo\"\n  delay_seconds = 900",
        "a queue holds its messages back",
    ),
    edit(
        QUEUE,
        "= var.queue.retention_seconds",
        "= 345600",
        "both queues keep messages for 14 days",
    ),
    edit(
        QUEUE,
        "= var.queue.dead_letter_retention_seconds",
        "= 345600",
        "both queues keep messages for 14 days",
    ),
    edit(QUEUE, "= var.queue.max_message_bytes", "= 262144", "4 KiB more room"),
    edit(
        QUEUE,
        "max_message_size          = 262144",
        "max_message_size = 258048",
        "4 KiB more room",
    ),
    edit(QUEUE, "= var.queue.max_receive_count", "= 5", "redrive policy: "),
    edit(
        QUEUE,
        "= aws_sqs_queue.dead_letter.arn\n",
        "= \"arn:aws:sqs:us-east-1:1:other.fifo\"\n",
        "redrive policy: ",
    ),
    edit(QUEUE, "\"byQueue\"", "\"allowAll\"", "redrive allow policy: "),
    edit(QUEUE, "= \"Deny\"", "= \"Allow\"", "one refusal of plain text"),
    edit(QUEUE, "= \"sqs:*\"", "= \"sqs:SendMessage\"", "one refusal of plain text"),
    edit(
        QUEUE_RULES,
        "= 6 * var.forwarder",
        "= 5 * var.forwarder",
        "must be six function timeouts",
    ),
    edit(QUEUE_RULES, "= anytrue([", "= alltrue([", "SQS would refuse the route's messages"),
    edit(
        QUEUE_RULES,
        "deduplication_scope   = \"messageGroup\"",
        "deduplication_scope = \"queue\"",
        "high throughput needs both settings",
    ),
    edit(
        ("webhook-queue/main.tf", Check),
        "[aws_sqs_queue.webhook.arn]\n  })",
        "[aws_sqs_queue.dead_letter.arn]\n  })",
        "SQS would refuse our redrive policy",
    ),
    // The function and its mapping.
    edit(FORWARDER, "[\"ReportBatchItemFailures\"]", "[]", "a failed message would be deleted"),
    edit(
        FORWARDER,
        "  batch_size              = ",
        "  maximum_batching_window_in_seconds = 5\n  batch_size = ",
        "takes no batch window",
    ),
    edit(
        FORWARDER,
        "= var.forwarder.batch_size",
        "= 10",
        "batch size, concurrency, metrics or switch",
    ),
    edit(
        FORWARDER,
        "= var.forwarder.max_concurrency",
        "= 1000",
        "batch size, concurrency, metrics or switch",
    ),
    edit(FORWARDER, "= var.enabled", "= false", "batch size, concurrency, metrics or switch"),
    edit(
        FORWARDER,
        "  metrics_config {",
        "  filter_criteria {\n    filter {\n      pattern = \"{}\"\n    }\n  }\n\n  metrics_config {",
        "what a filter does not match is deleted",
    ),
    edit(
        FORWARDER,
        "= aws_lambda_function.forwarder.version",
        "= \"$LATEST\"",
        "the alias must name the published version",
    ),
    edit(
        FORWARDER,
        "publish           = true",
        "publish = false",
        "the alias must name the published version",
    ),
    edit(
        FORWARDER,
        "== null ? -1 : var.reserved_concurrency",
        "== null ? 1 : var.reserved_concurrency",
        "timeout, memory or reserved concurrency",
    ),
    edit(
        FORWARDER,
        "= var.forwarder.function_timeout_seconds",
        "= 3",
        "timeout, memory or reserved concurrency",
    ),
    edit(
        FORWARDER,
        "== \"DEBUG\" ? \"DEBUG\" : \"INFO\"",
        "== \"DEBUG\" ? \"DEBUG\" : \"WARN\"",
        "as those of metrics are, count as INFO",
    ),
    edit(
        ("webhook-forwarder/main.tf", Tests("pause")),
        "    ignore_changes = [enabled]\n",
        "",
        "a deployment must not resume what is paused",
    ),
    edit(
        ("webhook-forwarder/main.tf", Check),
        "= var.queue_arn\n",
        "= var.dead_letter_queue_arn\n",
        "another's be deleted",
    ),
    edit(
        ("webhook-forwarder/main.tf", Check),
        "= aws_lambda_alias.live.arn",
        "= aws_lambda_function.forwarder.arn",
        "a rollback would not reach",
    ),
    edit(
        FORWARDER_ROLE,
        "        \"sqs:DeleteMessage\",\n",
        "",
        "in run \"the_function_may_only_what_it_does\"",
    ),
    edit(
        FORWARDER_ROLE,
        "[var.dead_letter_queue_arn]",
        "[var.queue_arn]",
        "in run \"the_function_may_only_what_it_does\"",
    ),
    edit(
        FORWARDER_ROLE,
        "  permissions_boundary = var.permissions_boundary_arn\n",
        "",
        "the function's role has no boundary",
    ),
    edit(
        FORWARDER_ROLE,
        "  policy_arns = []",
        "  policy_arns = [\"arn:aws:iam::aws:policy/AdministratorAccess\"]",
        "the role's policies must be exclusive",
    ),
    edit(
        FORWARDER_ROLE,
        "\"lambda.amazonaws.com\"",
        "\"ec2.amazonaws.com\"",
        "only Lambda may use the function's role",
    ),
    edit(
        FORWARDER_ROLE,
        "= \"Deny\"",
        "= \"Allow\"",
        "in run \"in_a_vpc_the_code_may_make_no_interfaces\"",
    ),
    edit(
        RESUME,
        "  permissions_boundary = var.permissions_boundary_arn\n",
        "",
        "the role of resuming has no boundary",
    ),
    edit(
        RESUME,
        "= local.queue_arn_parts[4]",
        "= \"999999999999\"",
        "is ${aws_iam_role.resume.assume_role_policy}",
    ),
    edit(
        RESUME,
        "[aws_lambda_event_source_mapping.queue.arn]",
        "[\"*\"]",
        "is ${aws_iam_role_policy.resume.policy}",
    ),
    edit(
        TOLD,
        "= var.dead_letter_queue_url",
        "= var.queue_url",
        "in run \"the_function_knows_both_queues\"",
    ),
    edit(
        TOLD,
        "WEBHOOK_QUEUE_METRICS = \"emf\"",
        "WEBHOOK_QUEUE_METRICS = \"\"",
        "in run \"the_function_knows_both_queues\"",
    ),
    edit(
        TOLD,
        "\"ssm:${local.skips_parameter}\"",
        "\"ssm:/skips\"",
        "in run \"the_forwarder_knows_where_skips_are\"",
    ),
    // The API.
    edit(
        INGEST_ROLE,
        "  permissions_boundary = var.permissions_boundary_arn\n",
        "",
        "the gateway's role has no boundary",
    ),
    edit(
        INGEST_ROLE,
        "\"apigateway.amazonaws.com\"",
        "\"ec2.amazonaws.com\"",
        "only API Gateway may use the role",
    ),
    edit(
        INGEST_ROLE,
        "Resource = [var.queue_arn]",
        "Resource = [\"*\"]",
        "is ${aws_iam_role_policy.send.policy}",
    ),
    edit(
        INGEST_ROLE,
        "  policy_arns = []",
        "  policy_arns = [\"arn:aws:iam::aws:policy/AdministratorAccess\"]",
        "the role's policies must be exclusive",
    ),
    edit(
        INGEST,
        "        MessageGroupId         = route.ordering_key\n",
        "",
        "in run \"request_parameters_are_the_domain_s\"",
    ),
    edit(
        INGEST,
        "= var.queue_url",
        "= \"https://sqs/other.fifo\"",
        "in run \"request_parameters_are_the_domain_s\"",
    ),
    edit(
        INGEST,
        "request = \"$context.requestId\"",
        "request = \"fixed\"",
        "what names an event must not decide about repeats",
    ),
    edit(
        INGEST,
        "= var.authorization.type",
        "= \"NONE\"",
        "the route must ask for signed requests",
    ),
    edit(
        REPLACED,
        "    replace_triggered_by  = [terraform_data.integration[each.key]]\n",
        "",
        "the integration was edited in place",
    ),
    edit(
        ("webhook-ingest/integrations.tf", Check),
        "  depends_on = [aws_iam_role_policy.send]\n",
        "",
        "does not wait for its role's policy",
    ),
    edit(
        API,
        "auto_deploy = true",
        "auto_deploy = false",
        "routes must be reachable without another step",
    ),
    edit(API, "for_each = var.route_settings", "for_each = {}", "the route's limits"),
    edit(API, "= var.throttling.rate_per_second", "= 0", "the default's limits"),
    edit(API, "= var.logs.retention_days", "= 0", "log lines must not be kept for ever"),
    // Alarms.
    edit(
        ALARMS,
        "  evaluation_periods  = 1\n",
        "  evaluation_periods  = 24\n",
        "an alarm waits for more than one period",
    ),
    edit(
        ALARMS,
        "min(3, floor",
        "min(24, floor",
        "[alarm.dimensions, alarm.period, alarm.evaluation_periods]",
    ),
    edit(
        ALARMS,
        "  treat_missing_data  = \"breaching\"",
        "  treat_missing_data  = \"notBreaching\"",
        "no receives within 30 minutes must be an alarm",
    ),
    edit(
        ALARMS,
        "[\"ApproximateNumberOfMessagesVisible\", \"ApproximateNumberOfMessagesNotVisible\"]",
        "[\"ApproximateNumberOfMessagesVisible\"]",
        "who looks at dead letters hides them",
    ),
    edit(ALARMS, "FILL(m${position}, 0)", "FILL(m0, 0)", "who looks at dead letters hides them"),
    edit(
        ("monitoring/locals.tf", Tests("monitoring")),
        "setunion([aws_sns_topic.alarms.arn], var",
        "setunion([], var",
        "an alarm goes nowhere",
    ),
    edit(
        TOPIC,
        "        Effect    = \"Deny\"",
        "        Effect    = \"Allow\"",
        "in run \"the_topic_is_encrypted_and_alarms_get_in\"",
    ),
    // What the modules tell each other.
    edit(
        SYSTEM,
        "{ id = module.ingest.api_id, stage = local.stage }",
        "{ id = module.ingest.api_id }",
        "the alarms watch ",
    ),
    edit(
        SYSTEM,
        "= !var.aws.start_paused",
        "= true",
        "the mapping delivers before somebody resumes",
    ),
    edit(
        SYSTEM,
        "{ unique_id = module.ingest.role_unique_id }",
        "{ unique_id = \"AROAOTHER\" }",
        "in run \"the_forwarder_knows_who_the_ingest_is\"",
    ),
    edit(
        ("webhook-system/main.tf", Check),
        "  throttling               = var.aws.throttling\n  permissions_boundary_arn = var.aws.permissions_boundary_arn",
        "  throttling = var.aws.throttling",
        "it has no permissions_boundary",
    ),
];

/// Edits that are made together: in the same tests, each with words of its own.
fn rounds() -> Vec<Vec<&'static Edit>> {
    let mut rounds: Vec<Vec<&Edit>> = Vec::new();
    for edit in EDITS {
        let module = |edit: &Edit| edit.file.split('/').next();
        let fits = |round: &&mut Vec<&Edit>| {
            let first = round[0];
            first.seen_by == edit.seen_by
                && (edit.seen_by == Check || module(first) == module(edit))
                && round.iter().all(|other| other.says != edit.says)
        };
        match rounds.iter_mut().find(fits) {
            Some(round) => round.push(edit),
            None => rounds.push(vec![edit]),
        }
    }
    rounds
}

/// A copy of the modules that can be edited.
struct Copy {
    dir: tempfile::TempDir,
    initialised: Vec<PathBuf>,
}

impl Copy {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&Path::new(ROOT).join("modules"), &dir.path().join("modules"));
        let environment = dir.path().join("environments").join("dev");
        copy(&Path::new(ROOT).join("environments/dev"), &environment);
        // A provider that asks nobody.
        let provider = Path::new(ROOT).join("environments/local/provider.tf");
        std::fs::copy(provider, environment.join("provider.tf")).unwrap();
        let artifact = json!({ "artifact": {
            "path": "function.zip", "code_sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        }});
        std::fs::write(environment.join("a.auto.tfvars.json"), artifact.to_string()).unwrap();
        Self { dir, initialised: Vec::new() }
    }

    /// Readies a folder for Terraform.
    fn init(&mut self, dir: &Path) -> Result<(), String> {
        if self.initialised.iter().any(|it| it == dir) {
            return Ok(());
        }
        let output = terraform(dir, &["init", "-input=false"])?;
        let said = text(&output.stderr);
        let signs = ["Failed to query available provider packages", "Failed to install provider"];
        if signs.iter().any(|sign| said.contains(sign)) {
            return Err(said);
        }
        assert!(output.status.success(), "{said}");
        self.initialised.push(dir.to_owned());
        Ok(())
    }

    /// Those edits of a round that nothing sees, with what was said instead.
    fn unseen(&mut self, round: &[&Edit]) -> Result<Vec<String>, String> {
        let mut good = BTreeMap::new();
        for Edit { file, from, to, .. } in round {
            let path = self.dir.path().join("modules").join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.matches(from).count(), 1, "{from:?} in {file}");
            std::fs::write(&path, text.replace(from, to)).unwrap();
            good.entry(path).or_insert(text);
        }
        let said = match round[0].seen_by {
            Tests(tests) => {
                let module = good.keys().next().unwrap().parent().unwrap().to_owned();
                self.tested(&module, tests)
            }
            Check => self.checked(),
        };
        for (path, text) in good {
            std::fs::write(path, text).unwrap();
        }
        let said = said?;
        let unseen = round.iter().filter(|edit| !said.contains(edit.says));
        Ok(unseen
            .map(|Edit { file, from, to, .. }| format!("{file}: {from:?} to {to:?}: {said}"))
            .collect())
    }

    /// The assertions that fail.
    fn tested(&mut self, module: &Path, tests: &str) -> Result<String, String> {
        self.init(module)?;
        let filter = format!("-filter=tests/{tests}.tftest.hcl");
        let output = terraform(module, &["test", "-no-color", &filter])?;
        let said = text(&output.stdout) + &text(&output.stderr);
        // A file that is no Terraform any more fails as well, but no assertion does.
        let failed =
            said.split("\nError: ").filter(|error| error.starts_with("Test assertion failed"));
        Ok(failed.collect())
    }

    fn checked(&mut self) -> Result<String, String> {
        let dev = self.dir.path().join("environments").join("dev");
        self.init(&dev)?;
        let planned = terraform(&dev, &["plan", "-input=false", "-no-color", "-out=p.tfplan"])?;
        assert!(planned.status.success(), "{}", text(&planned.stderr));
        let shown = terraform(&dev, &["show", "-json", "p.tfplan"])?;
        let plan = dev.join("plan.json");
        std::fs::write(&plan, shown.stdout).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = check.args(["check", "dev", "--plan"]).arg(plan).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        Ok(text(&output.stdout))
    }
}

fn terraform(dir: &Path, arguments: &[&str]) -> Result<Output, String> {
    let mut command = Command::new("terraform");
    command
        .args(arguments)
        .current_dir(dir)
        .env("CHECKPOINT_DISABLE", "1")
        .env_remove("TF_DATA_DIR");
    command.env("TF_VAR_emulator_endpoint", "http://127.0.0.1:9");
    command.output().map_err(|error| format!("terraform: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() && name != ".terraform" {
            copy(&path, &to.join(name));
        } else if path.is_file() && !name.to_string_lossy().contains("tfstate") {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn every_edit_of_a_module_is_seen() {
    assert!(EDITS.len() >= 40, "{}", EDITS.len());
    if std::env::var_os(QUICK).is_some() {
        return eprintln!("skipped: left out by --quick");
    }
    let rounds = Mutex::new(rounds().into_iter());
    let next = || rounds.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut copy = Copy::new();
        let unseen = std::iter::from_fn(next).map(|round| copy.unseen(&round));
        unseen.collect::<Result<Vec<_>, String>>()
    };
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    match results.into_iter().collect::<Result<Vec<_>, String>>() {
        Err(said) => eprintln!("skipped: Terraform or its provider cannot be had here: {said}"),
        Ok(unseen) => {
            let unseen: Vec<String> = unseen.into_iter().flatten().flatten().collect();
            assert!(unseen.is_empty(), "{}", unseen.join("\n"));
        }
    }
}
