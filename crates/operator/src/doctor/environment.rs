//! The checks of an environment, one after another. What a failed check makes impossible is left out;
//! everything else is still checked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use commands::program;
use deployment::Deployment;
use domain::config::Config;
use domain::verdict::Finding;
use terminal::exit::{self, Failure};
use url::Url;

use super::checks::Checks;
use super::destination::{Date, From};
use super::{destination, disk, down, preflight};
use crate::artifact_store::Store;
use crate::blocked;
use crate::engine_api::EngineApi;
use crate::environment::{self, Environment, Host, NotDeployed, deployment};
use crate::history::pattern;
use crate::people::{self, span};
use crate::sdk;
use crate::stage::Stage;
use crate::status::{self, report::Report};

/// How far this machine's clock may be from a destination's: well below the five minutes that a
/// provider's signature is good for, and above what an answer takes.
const CLOCK_OFF_MOST: Duration = Duration::from_secs(30);

/// What was found of an environment.
pub(super) struct Found {
    /// Its name.
    pub(super) environment: String,
    /// How it is; `None` where it cannot be asked.
    pub(super) report: Option<Report>,
    /// What is told of an engine that is down.
    pub(super) down: Option<Finding>,
}

/// Checks everything.
///
/// # Errors
///
/// When the engine there runs another environment: then nothing was checked.
pub(super) async fn check(
    arguments: &commands::EnvironmentArgs,
    checks: &mut Checks,
) -> anyhow::Result<Found> {
    let unasked = |environment: String| Found { environment, report: None, down: None };
    let found = match environment::find(arguments).await {
        Err(error) if exit::failure_of(&error) == Some(Failure::Usage) => return Err(error),
        found => found,
    };
    let deployment =
        configuration(environment::config_file(arguments, found.as_ref().ok()), checks);
    let environment = match found {
        Ok(environment) => environment,
        Err(error) => {
            if error.is::<NotDeployed>()
                && let Some(deployment) = &deployment
            {
                preflight::check(deployment, checks).await;
            } else {
                let advice = "of an engine, name its data directory with --data-dir, as its user or \
                              root; for AWS, log in and choose with AWS_PROFILE: was it ever deployed?";
                checks.fail("environment", format!("{error:#}"), advice);
            }
            if let Some(deployment) = deployment {
                destinations(&deployment, From::NothingRuns, checks).await;
            }
            let down = exit::failure_of(&error) == Some(Failure::Environment);
            let down = down.then(|| {
                let data_dir = arguments.api.is_none().then(|| environment::data_dir(arguments));
                down::finding(data_dir.as_deref(), &error)
            });
            return Ok(Found { down, ..unasked(environment::name(arguments).to_owned()) });
        }
    };
    let name = environment.name.as_str();
    if let Some(deployment) = &deployment
        && deployment.config.environment() != name
    {
        let found = format!(
            "it is of environment {}, and what runs is {}",
            deployment.config.environment(),
            people::printable(name)
        );
        checks.fail("configuration", found, "name the one that is to run with --config");
    }
    if let Err(error) = environment.check_directory().await {
        checks.fail("engine", format!("{error:#}"), "name its own directory with --data-dir");
        return Ok(unasked(environment.name));
    }
    let (report, down) = match &environment.host {
        Host::Engine { api, data_dir, .. } => {
            let config = deployment.as_ref().map(|deployment| &deployment.config);
            match engine(&environment, api, data_dir.as_deref(), config, checks).await {
                Ok(report) => (Some(report), None),
                Err(error) => {
                    let is_down = exit::failure_of(&error) == Some(Failure::Environment);
                    (None, is_down.then(|| down::finding(data_dir.as_deref(), &error)))
                }
            }
        }
        Host::Aws { sdk, deployment } => {
            (Box::pin(aws(name, &environment, sdk, deployment, checks)).await, None)
        }
    };
    Ok(Found { environment: environment.name, report, down })
}

fn configuration(file: Option<PathBuf>, checks: &mut Checks) -> Option<Deployment> {
    let Some(file) = file else {
        let found = "not compared with what runs: nobody here says where it is";
        checks.warn("configuration", found, "name it with --config");
        return None;
    };
    match deployment(&file) {
        Ok(deployment) => {
            let routes = people::count(deployment.config.routes().len() as u64, "route");
            checks.ok("configuration", format!("{routes} in {}", file.display()));
            Some(deployment)
        }
        Err(error) => {
            let advice = "correct the file, or name another with --config";
            checks.fail("configuration", format!("{error:#}"), advice);
            None
        }
    }
}

async fn engine(
    environment: &Environment,
    api: &EngineApi,
    data_dir: Option<&Path>,
    config: Option<&Config>,
    checks: &mut Checks,
) -> anyhow::Result<Report> {
    if let Some(data_dir) = data_dir {
        disk::check(data_dir, checks);
    }
    let (report, origins) = match status::engine::report(environment, api).await {
        Ok(told) => told,
        Err(error) => {
            let advice = "start it, and see what it said when it ended: docs/one-machine.md";
            checks.fail("engine", format!("{error:#}"), advice);
            return Err(error);
        }
    };
    checks.ok("engine", "it runs and answers");
    log(environment, checks).await;
    if let Some(config) = config {
        let repair = "restart the engine with this configuration";
        retention(environment, config, repair, checks).await;
    }
    let mut dates = Vec::new();
    for (route, origins) in &origins {
        for (destination, origin) in origins {
            match Url::parse(origin) {
                Ok(url) => {
                    let from = From::SameMachine;
                    dates.extend(destination::check(route, destination, &url, from, checks).await);
                }
                Err(error) => checks.fail(
                    format!("destination {route}/{destination}"),
                    format!("{origin}: {error}"),
                    "correct its URL",
                ),
            }
        }
    }
    clock(&dates, checks);
    Ok(report)
}

/// Whether the log is whole: `trace`, `blocked`, `refused` and the verdict read it.
async fn log(environment: &Environment, checks: &mut Checks) {
    let history = environment.history();
    let since = people::before(people::now(), blocked::LOG_BACK);
    match history.look(&pattern("event_id", &["-"]), since, |_| false).await {
        Ok(found) => match history.cut(&found) {
            None => checks.ok("log", format!("{} is whole", history.name())),
            Some(cut) => checks.warn(
                "log",
                cut,
                "what happened then nobody tells; put back what was taken away, and leave it to the engine, \
                 which keeps 100 MB",
            ),
        },
        Err(error) => checks.fail("log", format!("{error:#}"), "trace, blocked and refused read it"),
    }
}

async fn aws(
    name: &str,
    environment: &Environment,
    sdk: &SdkConfig,
    deployment: &Deployment,
    checks: &mut Checks,
) -> Option<Report> {
    credentials(sdk, deployment, checks).await;
    checks.ok("clock", "AWS accepts this machine's signatures: less than five minutes off");
    let report = match status::on_aws(environment, sdk, deployment).await {
        Ok(report) => Some(report),
        Err(error) => {
            let advice = "it needs sqs:GetQueueAttributes on both queues";
            checks.fail("queues", format!("{error:#}"), advice);
            None
        }
    };
    let repair = program::deploy(name);
    retention(environment, &deployment.config, &repair, checks).await;
    let history = environment.history();
    let now = people::now();
    match history.find(&pattern("message", &["delivered"]), now, |_| true).await {
        Ok(_) => checks.ok("log", format!("{} can be read", history.name())),
        Err(error) => checks.fail(
            "log",
            format!("{error:#}"),
            "trace, blocked and status need logs:FilterLogEvents on it",
        ),
    }
    stage(sdk, deployment, checks).await;
    releases(sdk, deployment, checks).await;
    let vpc = deployment.aws.as_ref().is_some_and(|aws| aws.function.vpc.is_some());
    let from = if vpc { From::Vpc } else { From::SameMachine };
    destinations(deployment, from, checks).await;
    report
}

/// Of an API that was there already: whether what is deployed goes live by itself.
pub(super) async fn stage(sdk: &SdkConfig, deployment: &Deployment, checks: &mut Checks) {
    let Some(api) = deployment.aws.as_ref().and_then(|aws| aws.api.as_ref()) else { return };
    match sdk::in_time(Stage::find(sdk, api)).await {
        Ok(stage) if stage.auto_deploy => checks.ok("stage", stage.text()),
        Ok(stage) => checks.warn(
            "stage",
            stage.obstacle(),
            "after each deployment that changes a route, or once --auto-deploy is set on it: its owner's \
             to decide",
        ),
        Err(error) => {
            checks.fail("stage", format!("{error:#}"), "this check needs apigateway:GET on the API");
        }
    }
}

pub(super) async fn credentials(sdk: &SdkConfig, deployment: &Deployment, checks: &mut Checks) {
    let advice = "choose the account with AWS_PROFILE";
    match aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await {
        Ok(identity) => {
            let account = identity.account.unwrap_or_default();
            let who = identity.arn.unwrap_or_default();
            let only = deployment.aws.as_ref().and_then(|aws| aws.account_id.as_ref());
            match only {
                Some(only) if *only != account => checks.fail(
                    "credentials",
                    format!("{who}, of account {account}; aws.account_id allows {only} only"),
                    advice,
                ),
                _ => checks.ok("credentials", who),
            }
        }
        Err(error) => {
            let error = sdk::failed("asking AWS who we are", error);
            checks.fail("credentials", format!("{error:#}"), advice);
        }
    }
}

/// One destination that says the same is enough: then another's clock is wrong.
fn clock(dates: &[Date], checks: &mut Checks) {
    let off = |date: &Date| date.here.since(date.there).max(date.there.since(date.here));
    let Some(nearest) = dates.iter().min_by_key(|date| off(date)) else {
        return checks.ok("clock", "no destination tells the time to compare this machine's with");
    };
    let Date { place, there, here } = nearest;
    if off(nearest) <= CLOCK_OFF_MOST {
        return checks.ok("clock", format!("this machine's is as {place} says"));
    }
    let which = if here > there { "ahead of" } else { "behind" };
    checks.warn(
        "clock",
        format!("this machine's is {} {which} what {place} says", span(off(nearest))),
        "set it, by NTP: while it is wrong, signed events become dead letters as `unverified`; \
         unless that service's is wrong",
    );
}

/// Compares the queues with the configuration.
async fn retention(environment: &Environment, config: &Config, repair: &str, checks: &mut Checks) {
    use QueueAttributeName::{MessageRetentionPeriod, RedrivePolicy, VisibilityTimeout};
    let names = [MessageRetentionPeriod, VisibilityTimeout, RedrivePolicy];
    let queue = environment.attributes_of(&environment.queue_url, &names).await;
    let dead = environment.attributes_of(&environment.dead_letter_queue_url, &names).await;
    let (queue, dead) = match (queue, dead) {
        (Ok(queue), Ok(dead)) => (queue, dead),
        (Err(error), _) | (_, Err(error)) => {
            let advice = "it needs sqs:GetQueueAttributes on both queues";
            return checks.fail("queues", format!("{error:#}"), advice);
        }
    };
    let seconds = |attributes: &HashMap<QueueAttributeName, String>, name: &QueueAttributeName| {
        let value = attributes.get(name).and_then(|value| value.parse().ok());
        Duration::from_secs(value.unwrap_or_default())
    };
    let found = [
        ("retention", seconds(&queue, &names[0]), config.queue().retention),
        ("visibility timeout", seconds(&queue, &names[1]), config.queue().visibility_timeout),
        (
            "dead letters' retention",
            seconds(&dead, &names[0]),
            config.queue().dead_letter_retention,
        ),
    ];
    let differing: Vec<String> = found
        .iter()
        .filter(|(_, is, wanted)| is != wanted)
        .map(|(what, is, wanted)| format!("{what} is {}, not {}", span(*is), span(*wanted)))
        .collect();
    if !queue.contains_key(&RedrivePolicy) {
        let advice =
            format!("{repair}: without it a crash could keep a message in the queue for ever");
        checks.fail("queues", "the queue has no redrive policy", advice);
    } else if differing.is_empty() {
        let kept = format!("kept {}, dead letters {}", span(found[0].1), span(found[2].1));
        checks.ok("queues", kept);
    } else {
        checks.fail("queues", differing.join(", "), repair);
    }
}

async fn releases(sdk: &SdkConfig, deployment: &Deployment, checks: &mut Checks) {
    let environment = deployment.config.environment();
    let Some(store) = Store::of_releases(sdk, deployment) else { return };
    match store.newest(&format!("releases/{environment}/")).await {
        Ok(Some((key, record))) => match record["smoke"].as_str() {
            Some(smoke) if smoke.starts_with("failed") => checks.warn(
                "releases",
                format!("{key}: {}", people::printable(smoke)),
                format!("{} brings the code before back", program::rollback(environment)),
            ),
            _ => checks.ok("releases", key),
        },
        Ok(None) => checks.warn(
            "releases",
            format!("{store} holds no release of {environment}"),
            format!(
                "status cannot tell what runs; {} keeps a record",
                program::deploy(environment)
            ),
        ),
        Err(error) => {
            let advice = "status, promote and rollback need to read the artifact bucket";
            checks.fail("releases", format!("{error:#}"), advice);
        }
    }
}

async fn destinations(deployment: &Deployment, from: From, checks: &mut Checks) {
    for (route, it) in deployment.config.routes() {
        for destination in it.destinations() {
            destination::check(route, destination.name(), destination.url(), from, checks).await;
        }
    }
}
