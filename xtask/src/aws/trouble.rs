//! What Terraform's errors mean, and what to do about them.

use std::path::Path;
use std::process::Command;

use terminal::exit::Failure;

use super::terraform;
use crate::process;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) text: String,
    /// The exit code's reason, if the fault is not the deployment's.
    pub(crate) failure: Option<Failure>,
}

/// Signs of missing or expired credentials, of backend and provider.
const NO_CREDENTIALS: [&str; 6] = [
    "No valid credential sources found",
    "failed to refresh cached credentials",
    "no EC2 IMDS role found",
    "ExpiredToken",
    "InvalidClientTokenId",
    "failed to get shared config profile",
];

/// Signs that providers cannot be fetched.
const NO_REGISTRY: [&str; 3] = [
    "Failed to query available provider packages",
    "could not connect to registry.terraform.io",
    "Failed to install provider",
];

/// Signs that Terraform has not begun: somebody else works on the state, or has changed it.
const LOCKED: &str = "Error acquiring the state lock";
const STALE: &str = "Saved plan is stale";

/// Whether an apply was refused, so that nothing was changed.
pub(crate) fn is_refusal(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    [LOCKED, STALE].iter().any(|sign| text.contains(sign))
}

/// What to do about an error of Terraform's, if it is one of those that come up.
pub(crate) fn advice(said: &str, environment: &str, data_dir: &Path) -> Option<Advice> {
    let has = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
    let missing = |text: String| Some(Advice { text, failure: Some(Failure::Environment) });
    let failed = |text: String| Some(Advice { text, failure: None });
    if said.contains(LOCKED) {
        return failed(locked(said, environment, data_dir, terraform::running));
    }
    if has(&NO_CREDENTIALS) {
        return missing(
            "there are no AWS credentials, or they have expired: log in and set AWS_PROFILE, or set \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned(),
        );
    }
    if said.contains("AWS account ID not allowed") {
        return missing(
            "the credentials are of another account than aws.account_id: choose others with AWS_PROFILE"
                .to_owned(),
        );
    }
    if has(&["NoSuchBucket", "S3 bucket does not exist", "requested bucket"]) {
        return missing(format!(
            "aws.state_bucket of {environment} does not exist: environments/bootstrap makes it, once \
             for an account"
        ));
    }
    if has(&NO_REGISTRY) {
        return missing(
            "the AWS provider could not be fetched: registry.terraform.io must be reachable, or a \
             mirror be set in TF_CLI_CONFIG_FILE"
                .to_owned(),
        );
    }
    if said.contains(STALE) {
        return failed(format!(
            "somebody else has changed {environment} since it was planned: plan again"
        ));
    }
    None
}

/// A lock that another run holds, or held when it was killed. While one may hold it, nobody is told how
/// to break it: two Terraforms would write one state.
fn locked(
    said: &str,
    environment: &str,
    data_dir: &Path,
    running_here: impl FnOnce(&str) -> Vec<String>,
) -> String {
    let field = |name: &str| {
        let lines = said.lines().map(|line| line.trim_start_matches(['│', ' ']));
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.next().map(|value| value.trim().to_owned())
    };
    let Some(id) = field("ID") else {
        return format!(
            "the state is locked, and not by Terraform's own file: look at {environment}/terraform.tfstate.tflock \
             in the bucket aws.state_bucket and at who has put it there, and delete it with `aws s3 rm` \
             once nobody works on {environment}"
        );
    };
    let field = |name: &str| field(name).unwrap_or_else(|| "unknown".to_owned());
    let (who, since, what) = (field("Who"), field("Created"), field("Operation"));
    let locked = format!("the state is locked by {who} since {since} ({what})");
    let is_of_here =
        who.split_once('@').is_some_and(|(_, host)| Some(host) == hostname().as_deref());
    let running = if is_of_here { running_here(environment) } else { Vec::new() };
    if !running.is_empty() {
        return format!(
            "{locked}, and on this machine a Terraform works on {environment} (process {}): wait until it \
             has ended, and start again",
            running.join(", ")
        );
    }
    format!(
        "{locked}: wait until that run is over. Only if it was killed, and no Terraform of it is left \
         where it ran, release the lock with\n  TF_DATA_DIR={} terraform \
         -chdir=environments/{environment} force-unlock {id}",
        data_dir.display()
    )
}

/// This machine's name, as Terraform writes it into its lock.
fn hostname() -> Option<String> {
    let name = process::output(Command::new("uname").arg("-n")).ok()?;
    Some(name.trim().to_owned())
}

/// What a deployment that failed leaves, and the ways on and back.
pub(crate) fn deploy_half_way(environment: &str) -> String {
    format!(
        "\nwhat was made before the error is kept in the state. Repair the reason above, then go on with\n  \
         cargo xtask deploy {environment}\nor see what is left with\n  cargo xtask plan {environment}\n\
         or go back to the code that ran before with\n  cargo xtask rollback {environment}"
    )
}

/// What a deletion that failed leaves, and the way on.
pub(crate) fn destroy_half_way(environment: &str) -> String {
    format!(
        "\nwhat was deleted before the error is gone. Repair the reason above, then go on with\n  \
         cargo xtask destroy {environment}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> Advice {
        advice(said, "dev", Path::new("/repo/target/terraform/dev/data")).unwrap()
    }

    #[test]
    fn a_lock_is_told_with_its_holder_and_how_to_release_it() {
        let said = "\
╷
│ Error: Error acquiring the state lock
│
│ Lock Info:
│   ID:        9db590f1-b6fe-c5f2-2678-8804f089deba
│   Path:      bucket/dev/terraform.tfstate
│   Operation: OperationTypeApply
│   Who:       ci@runner
│   Created:   2026-11-23 16:06:38 UTC
";
        assert_eq!(of(said).failure, None);
        let data_dir = Path::new("/repo/target/terraform/dev/data");
        assert_eq!(
            locked(said, "dev", data_dir, |_| vec!["42".to_owned()]),
            "the state is locked by ci@runner since 2026-11-23 16:06:38 UTC (OperationTypeApply): wait \
             until that run is over. Only if it was killed, and no Terraform of it is left where it ran, \
             release the lock with\n  TF_DATA_DIR=/repo/target/terraform/dev/data terraform \
             -chdir=environments/dev force-unlock 9db590f1-b6fe-c5f2-2678-8804f089deba"
        );
        let said = said.replace("runner", &hostname().unwrap());
        let alive = locked(&said, "dev", data_dir, |_| vec!["42".to_owned()]);
        assert!(alive.contains("(process 42): wait") && !alive.contains("unlock"), "{alive}");
        assert!(locked(&said, "dev", data_dir, |_| Vec::new()).contains("force-unlock 9db590f1"));
        // Something else lies where Terraform's lock would.
        let said = "Error: Error acquiring the state lock

Error message: operation error S3: PutObject, api error PreconditionFailed
failed to unmarshal JSON data into LockInfo struct: invalid character 'm'
";
        let foreign = of(said).text;
        assert!(
            foreign.contains("look at dev/terraform.tfstate.tflock in the bucket"),
            "{foreign}"
        );
        assert!(!foreign.contains("force-unlock") && !foreign.contains("unknown"), "{foreign}");
    }

    #[test]
    fn what_is_missing_on_this_machine_is_told_apart() {
        for said in [
            "Error: No valid credential sources found",
            "AWS account ID not allowed: 123456789012",
            "api error NoSuchBucket: The specified bucket does not exist",
            "Error: Failed to query available provider packages",
        ] {
            assert_eq!(of(said).failure, Some(Failure::Environment), "{said}");
        }
        assert_eq!(of("Error: Saved plan is stale").failure, None);
    }

    #[test]
    fn what_is_not_known_gets_no_advice() {
        assert_eq!(advice("Error: Unsupported argument", "dev", Path::new("data")), None);
    }
}
