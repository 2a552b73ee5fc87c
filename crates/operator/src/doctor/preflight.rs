//! Before the first deployment: what it needs, and what is in its way.

use std::process::Command;

use aws_config::SdkConfig;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use commands::program;
use deployment::{AwsFile, Deployment};

use super::checks::Checks;
use super::environment::{credentials, stage};
use crate::sdk;

/// Functions that must stay unreserved in an account.
/// Source: Lambda guide, "Configuring reserved concurrency".
const UNRESERVED_MIN: u32 = 100;

/// What an artifact bucket holds, and where a deployment writes first.
const RECORDS: &str = "deployments";

/// Checks what a first deployment needs: nothing of the environment is there yet.
pub(super) async fn check(deployment: &Deployment, checks: &mut Checks) {
    let name = deployment.config.environment();
    checks.warn(
        "environment",
        format!("{name} is not deployed"),
        format!("{} does it, once nothing here fails", program::deploy(name)),
    );
    if program::is_xtask() {
        tools(checks);
    }
    let Some(aws) = &deployment.aws else {
        return checks.fail("configuration", "it has no `aws`", "say there where to deploy to");
    };
    let sdk = sdk::config(Some(&aws.region)).await;
    let sdk = sdk.into_builder().timeout_config(sdk::timeouts()).build();
    credentials(&sdk, deployment, checks).await;
    let state = aws.state_bucket.as_deref().map(|bucket| (bucket, format!("{name}/")));
    bucket("aws.state_bucket", state, aws, &sdk, checks).await;
    let artifacts = aws.artifact_bucket.as_deref();
    let artifacts = artifacts.map(|bucket| (bucket, format!("{RECORDS}/{name}/")));
    bucket("aws.artifact_bucket", artifacts, aws, &sdk, checks).await;
    let lambda = aws_sdk_lambda::Client::new(&sdk);
    concurrency(deployment, aws, &lambda, checks).await;
    names(name, &lambda, checks).await;
    stage(&sdk, deployment, checks).await;
}

/// What `cargo xtask deploy` starts on this machine.
fn tools(checks: &mut Checks) {
    let mut terraform = Command::new("terraform");
    terraform.arg("version").env("CHECKPOINT_DISABLE", "1");
    match terraform.output() {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout);
            checks.ok("terraform", version.lines().next().unwrap_or_default());
        }
        _ => checks.fail(
            "terraform",
            "it cannot be started",
            "https://developer.hashicorp.com/terraform/install has it",
        ),
    }
}

/// A bucket that bootstrap has made, and may be read by whoever deploys.
async fn bucket(
    setting: &'static str,
    place: Option<(&str, String)>,
    aws: &AwsFile,
    sdk: &SdkConfig,
    checks: &mut Checks,
) {
    let advice = "it is made once for an account: environments/README.md, \"Prepare an account\"";
    let Some((name, prefix)) = place else {
        return checks.fail(setting, "it is not set", advice);
    };
    let list = aws_sdk_s3::Client::new(sdk).list_objects_v2().bucket(name).prefix(prefix);
    // Somebody else's bucket of that name is none.
    let list = list.max_keys(1).set_expected_bucket_owner(aws.account_id.clone());
    match list.send().await {
        Ok(_) => checks.ok(setting, name),
        Err(error) => {
            checks.fail(setting, format!("{:#}", sdk::failed(name, error)), advice);
        }
    }
}

/// Whether as many functions may run as the configuration asks for.
async fn concurrency(
    deployment: &Deployment,
    aws: &AwsFile,
    lambda: &aws_sdk_lambda::Client,
    checks: &mut Checks,
) {
    let name = "concurrency";
    let limit = match lambda.get_account_settings().send().await {
        Ok(settings) => settings.account_limit,
        Err(error) => {
            let error = sdk::failed("asking for the account's limit", error);
            let advice = "this check needs lambda:GetAccountSettings";
            return checks.warn(name, format!("{error:#}"), advice);
        }
    };
    let number = |number: i32| u32::try_from(number).unwrap_or_default();
    let all = limit.as_ref().map_or(0, |limit| number(limit.concurrent_executions));
    let unreserved = limit.and_then(|limit| limit.unreserved_concurrent_executions);
    let unreserved = unreserved.map_or(all, number);
    let wanted = deployment.config.forwarder().max_concurrency;
    let advice = "ask for more: Service Quotas, Lambda, \"Concurrent executions\"";
    match aws.function.reserved_concurrency {
        Some(reserved) if unreserved < reserved.saturating_add(UNRESERVED_MIN) => checks.fail(
            name,
            format!(
                "aws.function.reserved_concurrency is {reserved}, the account has {unreserved} not \
                 reserved, and {UNRESERVED_MIN} of them must stay so: the deployment would fail"
            ),
            advice,
        ),
        _ if unreserved < wanted => checks.warn(
            name,
            format!(
                "forwarder.max_concurrency is {wanted}, the account runs {unreserved} functions at a \
                 time: nothing is lost, deliveries wait and the alarm function-throttles rings"
            ),
            advice,
        ),
        _ => checks.ok(name, format!("{unreserved} of the account, {wanted} wanted")),
    }
}

/// Whether a function of the environment's name is there, though its queues are not.
async fn names(environment: &str, lambda: &aws_sdk_lambda::Client, checks: &mut Checks) {
    let function = format!("{environment}-webhook-forwarder");
    let name = "names";
    match lambda.get_function_configuration().function_name(&function).send().await {
        Ok(_) => checks.fail(
            name,
            format!("there is a function {function} already"),
            "of another project, or left by a deployment that was interrupted: if this environment's \
             state knows it, deploying goes on with it; else choose another `environment`",
        ),
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            checks.ok(name, format!("{function} is free"));
        }
        Err(error) => {
            let error = sdk::failed(&format!("looking for function {function}"), error);
            let advice = "this check needs lambda:GetFunctionConfiguration";
            checks.warn(name, format!("{error:#}"), advice);
        }
    }
}
