//! The status of an environment on AWS: from SQS and Lambda, and beside them from `CloudWatch`, the
//! forwarder's log group, the audit log and the release records. What only the latter know is asked
//! side by side and for a limited time; what is not answered is named as unknown, with the reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use commands::{command, program::value};
use deployment::Deployment;
use domain::config::{Config, LogLevel};
use domain::pause::Pause;
use domain::time::Timestamp;
use domain::verdict::{self, Key, Known, Limits, Situation, Storage};
use serde_json::Value;

use super::meter::{self, Meter, Operated};
use super::pause;
use super::report::{
    DeadLetters, Delivery, Destination, Judged, LastDelivery, LossMeter, Queue, Release, Report,
};
use crate::artifact_store::Store;
use crate::audit::read;
use crate::blocked::{self, SAYING, WaitingGroup};
use crate::cloudwatch::{self, Age, Alarm, CloudWatch};
use crate::environment::Environment;
use crate::history::pattern;
use crate::sdk::{PATIENCE, in_time, within};
use crate::{mapping, people};

/// How far back the log is read for the last deliveries, at least.
const LOG_BACK_LEAST: Duration = Duration::from_mins(5);

/// Added to the longest pause between two attempts, for the attempt and until its line can be read.
const LOG_BACK_MARGIN: Duration = Duration::from_mins(2);

/// How far back an age is looked for. SQS tells one each minute, some minutes late.
const AGE_BACK: Duration = Duration::from_mins(15);

/// Deliveries that are shown.
const LAST: usize = 10;

/// Lines that tell of deliveries; [`SAYING`] has more, that tell of groups.
const SAID: [&str; 6] = ["delivered", "retry", "rejected", "blocked", "gave_up", "not_attempted"];

pub(super) async fn report(
    environment: &Environment,
    sdk: &SdkConfig,
    deployment: &Deployment,
    loss_since: Duration,
) -> anyhow::Result<Report> {
    let config = &deployment.config;
    let now = people::now();
    let cloudwatch = CloudWatch::new(sdk);
    let (queue, dead, state) = tokio::join!(
        in_time(counts(environment, &environment.queue_url)),
        in_time(counts(environment, &environment.dead_letter_queue_url)),
        in_time(mapping::state(environment)),
    );
    let queue = queue.context("asking for the queue")?;
    let dead = dead.context("asking for the dead-letter queue")?;
    let mut known = Unknown(Vec::new());
    let state = known.or_not(DELIVERY, state);
    let is_paused = state.as_deref().is_some_and(|state| !mapping::is_on(state));

    let since = people::before(now, loss_since);
    // Without the audit log less is known of the same counts.
    let meter = async {
        tokio::join!(
            within(meter_patience(loss_since), metrics(&cloudwatch, config, since, now)),
            in_time(operated(environment, since)),
        )
    };
    let ages_and_reasons = async {
        let ages = in_time(ages(&cloudwatch, config, now)).await;
        let oldest = ages.as_ref().ok().and_then(|ages| ages[1]);
        let reasons = in_time(reasons(environment, config, dead.events, oldest, now)).await;
        (ages, reasons)
    };
    let alarm_prefix = alarm_prefix(&environment.name);
    let (lines, (ages, reasons), (metrics, operated), alarms, pauses, release) = tokio::join!(
        in_time(lines(environment, config, now)),
        ages_and_reasons,
        meter,
        in_time(cloudwatch.alarms(&alarm_prefix)),
        in_time(pause::of(environment)),
        in_time(release(sdk, deployment)),
    );

    let lines = known.or_not(LINES, lines);
    let keys = keys(lines.as_ref(), &known);
    let waiting_groups = waiting_groups(lines.as_ref(), is_paused, &mut known);
    let lines = lines.map(|(lines, _cut)| lines).unwrap_or_default();
    let [oldest, oldest_dead] = known.ages(ages, queue.events, dead.events);
    let by_reason = known
        .or_not("dead letters by reason", reasons)
        .and_then(|reasons| reasons.map_err(|why| known.add("dead letters by reason", &why)).ok());
    let operated = known.or_not(OPERATED, operated);
    let meter = known.or_not(METER, metrics);
    let loss_meter = meter.and_then(|meter| {
        let balance = meter.balance(since, now, dead.events, operated.as_ref());
        known.loss_meter(balance, meter.has_counts_of_the_forwarder())
    });
    let alarms = known.or_not(ALARMS, alarms);
    let pauses = known.or_not(PAUSES, pauses);
    let release = known.or_not("current release", release).flatten();
    let seen = Seen {
        state: state.as_deref(),
        pauses: pauses.clone(),
        events: [queue.events, dead.events],
        oldest: [oldest, oldest_dead],
        loss_meter: loss_meter.as_ref(),
        alarms: alarms.as_deref(),
    };
    let situation = seen.situation(config, now, keys, &known);
    Ok(Report {
        verdict: Judged::of(&situation, &environment.name),
        environment: environment.name.clone(),
        host: "aws",
        at: now.to_string(),
        delivery: Delivery {
            paused: is_paused,
            pauses: pauses.unwrap_or_default(),
            state,
            batches_in_flight: None,
            trouble: None,
        },
        storage: None,
        queue: Queue {
            events: queue.events,
            in_flight: queue.in_flight,
            oldest_age_ms: oldest.map(|age| age.seconds * 1_000),
            oldest_age_at: oldest.map(|age| age.at.to_string()),
            groups: None,
            waiting_groups,
            refused: None,
        },
        dead_letters: DeadLetters {
            count: dead.events,
            by_reason,
            oldest_age_ms: oldest_dead.map(|age| age.seconds * 1_000),
            oldest_age_at: oldest_dead.map(|age| age.at.to_string()),
        },
        loss_meter,
        destinations: destinations(&lines),
        last_deliveries: last(&lines),
        release,
        alarms,
        unknown: known.0.iter().map(|(what, why)| format!("{what} ({why})")).collect(),
        production: Some(config.is_production()),
    })
}

/// What is judged.
struct Seen<'a> {
    /// The mapping's.
    state: Option<&'a str>,
    pauses: Option<Vec<Pause>>,
    /// In the queue, and dead letters.
    events: [u64; 2],
    oldest: [Option<Age>; 2],
    loss_meter: Option<&'a LossMeter>,
    alarms: Option<&'a [Alarm]>,
}

impl Seen<'_> {
    fn situation(
        self,
        config: &Config,
        now: Timestamp,
        keys: Known<Vec<Key>>,
        unknown: &Unknown,
    ) -> Situation {
        let Self { state, pauses, events, oldest, loss_meter, alarms } = self;
        let delivery = state.map(|state| {
            if mapping::is_on(state) {
                verdict::Delivery::On
            } else {
                verdict::Delivery::Off(state.to_owned())
            }
        });
        Situation {
            now,
            // SQS's business, as is what the engine sees of itself the alarms'.
            storage: Known::Is(Storage::default()),
            forwarder_trouble: None,
            conditions: Known::Is(Vec::new()),
            delivery: unknown.known(DELIVERY, delivery),
            pauses: unknown.known(PAUSES, pauses),
            events: events[0],
            oldest_at: unknown.known(OLDEST, oldest[0].map(Age::since)),
            keys,
            limits: Known::Is(limits(config)),
            dead_letters: events[1],
            oldest_dead_letter_at: oldest[1].map(Age::since),
            missing: missing(loss_meter, unknown),
            alarms: match alarms {
                Some(alarms) => unwell(alarms, &alarm_prefix(config.environment())),
                None => unknown.known(ALARMS, None),
            },
        }
    }
}

/// What may be unknown, as it is shown.
const DELIVERY: &str = "delivery";
const LINES: &str = "last deliveries, breaker and waiting groups";
const OLDEST: &str = "oldest age";
const METER: &str = "loss meter";
const OPERATED: &str = "accepted and dropped";
const BY_ROUTE: &str = "deliveries by route";
const ALARMS: &str = "alarms";
const PAUSES: &str = "who paused";

/// The keys whose first event failed, as far as the log was read.
fn keys(lines: Option<&(Vec<Value>, Option<String>)>, unknown: &Unknown) -> Known<Vec<Key>> {
    let Some((lines, cut)) = lines else { return unknown.known(LINES, None) };
    let keys = blocked::of_log(lines).into_iter().filter_map(WaitingGroup::key).collect();
    match cut {
        None => Known::Is(keys),
        Some(cut) => Known::InPart(keys, cut.clone()),
    }
}

fn limits(config: &Config) -> Limits {
    let routes = config.routes().iter();
    Limits {
        give_up_after: routes.map(|(name, it)| (name.clone(), it.give_up_after())).collect(),
        retention: config.queue().retention,
        dead_letter_retention: config.queue().dead_letter_retention,
    }
}

/// What the meter tells; where less was counted than there is to count, a part.
fn missing(meter: Option<&LossMeter>, unknown: &Unknown) -> Known<i64> {
    let missing = unknown.known(METER, meter.map(|meter| meter.missing));
    match ([OPERATED, BY_ROUTE].into_iter().find_map(|what| unknown.why(what)), missing) {
        (Some(why), Known::Is(missing)) => Known::InPart(missing, why.to_owned()),
        (_, missing) => missing,
    }
}

/// The alarms that do not say that all is well. That there are none says nothing.
fn unwell(alarms: &[Alarm], prefix: &str) -> Known<Vec<verdict::Alarm>> {
    if alarms.is_empty() {
        return Known::Not(format!("there is none whose name begins with {prefix}"));
    }
    let unwell = alarms.iter().filter(|alarm| alarm.state != "OK");
    let alarm = |alarm: &Alarm| verdict::Alarm {
        section: alarm.section.clone(),
        rings: alarm.state == "ALARM",
        since: alarm.since.as_deref().and_then(people::time),
    };
    Known::Is(unwell.map(alarm).collect())
}

/// Counted in the log, if all of it was read and something was tried.
fn waiting_groups(
    lines: Option<&(Vec<Value>, Option<String>)>,
    paused: bool,
    known: &mut Unknown,
) -> Option<u64> {
    let (lines, cut) = lines?;
    let why =
        if paused { Some("nothing is tried while delivery is paused") } else { cut.as_deref() };
    if let Some(why) = why {
        known.add("waiting groups", why);
        return None;
    }
    Some(blocked::of_log(lines).len() as u64)
}

/// How long the meter's counts may take: a day of them fits into one page, and more takes more.
fn meter_patience(loss_since: Duration) -> Duration {
    let days = loss_since.as_secs().div_ceil(24 * 3_600).max(1);
    PATIENCE * u32::try_from(days).unwrap_or(1)
}

/// How the names of an environment's alarms begin. Source: `modules/monitoring`.
fn alarm_prefix(environment: &str) -> String {
    format!("{environment}-webhook-")
}

/// What could not be told, and why.
struct Unknown(Vec<(String, String)>);

impl Unknown {
    fn add(&mut self, what: &str, why: &str) {
        self.0.push((what.to_owned(), why.to_owned()));
    }

    /// Why something could not be told.
    fn why(&self, what: &str) -> Option<&str> {
        self.0.iter().find(|(unknown, _)| unknown == what).map(|(_, why)| why.as_str())
    }

    /// How old the oldest event and the oldest dead letter were, where there are any.
    fn ages(
        &mut self,
        told: anyhow::Result<[Option<Age>; 2]>,
        events: u64,
        dead_letters: u64,
    ) -> [Option<Age>; 2] {
        let Some([oldest, oldest_dead]) = self.or_not(OLDEST, told) else { return [None; 2] };
        let mut of = |what: &str, events: u64, age: Option<Age>| {
            if events > 0 && age.is_none() {
                self.add(what, "CloudWatch has none of the last 15 minutes");
            }
            // An age is of something that is still there only if something is.
            age.filter(|_| events > 0)
        };
        [of(OLDEST, events, oldest), of("oldest dead letter's age", dead_letters, oldest_dead)]
    }

    /// What was told, or why not.
    fn known<T>(&self, what: &str, told: Option<T>) -> Known<T> {
        let why = || self.why(what).unwrap_or("it was not told").to_owned();
        told.map_or_else(|| Known::Not(why()), Known::Is)
    }

    /// The balance, or takes note of why there is none, or what it cannot tell.
    fn loss_meter(
        &mut self,
        balance: Result<LossMeter, String>,
        has_counts_of_the_forwarder: bool,
    ) -> Option<LossMeter> {
        let told = balance.map_err(|why| self.add(METER, &why)).ok()?;
        let delivered = told.total.as_ref().map_or(0, |total| total.delivered);
        if delivered > 0 && !has_counts_of_the_forwarder {
            let why = "CloudWatch has no counts of the forwarder: what was deleted by hand counts as \
                       delivered";
            self.add(BY_ROUTE, why);
        }
        Some(told)
    }

    /// What was answered, or takes note that nothing was.
    fn or_not<T>(&mut self, what: &str, answer: anyhow::Result<T>) -> Option<T> {
        answer.map_err(|error| self.add(what, &format!("{error:#}"))).ok()
    }
}

/// The lines of the log of the last minutes: so many that each group that waits has one, unless something
/// was cut.
async fn lines(
    environment: &Environment,
    config: &Config,
    now: Timestamp,
) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    logs_everything(config)?;
    let longest = config.routes().values().map(|route| route.schedule().max_delay()).max();
    let back = longest.unwrap_or_default() + config.queue().visibility_timeout + LOG_BACK_MARGIN;
    let since = people::before(now, back.max(LOG_BACK_LEAST));
    let messages: Vec<&str> =
        SAID.into_iter().chain(SAYING).collect::<BTreeSet<_>>().into_iter().collect();
    let saying = |line: &Value| messages.iter().any(|message| line["message"] == **message);
    let history = environment.history();
    let found = history.look(&pattern("message", &messages), since, saying).await?;
    let cut = history.cut(&found);
    Ok((found.lines, cut))
}

fn logs_everything(config: &Config) -> anyhow::Result<()> {
    let level = config.forwarder().log_level;
    anyhow::ensure!(level <= LogLevel::Info, "forwarder.log_level leaves them out");
    Ok(())
}

/// Ages of the oldest event and of the oldest dead letter.
async fn ages(
    cloudwatch: &CloudWatch,
    config: &Config,
    now: Timestamp,
) -> anyhow::Result<[Option<Age>; 2]> {
    let metrics = [config.queue_name(), config.dead_letter_queue_name()]
        .map(|queue| cloudwatch::age_of(&queue));
    let answers = cloudwatch.metrics(&metrics, people::before(now, AGE_BACK), now).await?;
    let [queue, dead_letters] = answers.as_slice() else {
        anyhow::bail!("two ages were asked for")
    };
    Ok([cloudwatch::newest_age(queue), cloudwatch::newest_age(dead_letters)])
}

async fn metrics(
    cloudwatch: &CloudWatch,
    config: &Config,
    since: Timestamp,
    now: Timestamp,
) -> anyhow::Result<Meter> {
    let routes: Vec<&str> = config.routes().keys().map(String::as_str).collect();
    let (queue, dead_letters) = (config.queue_name(), config.dead_letter_queue_name());
    let metrics = meter::metrics(config.environment(), &queue, &dead_letters, &routes);
    Ok(Meter::of(cloudwatch.metrics(&metrics, since, now).await?, routes.len()))
}

/// What operators sent again, and put back from files.
async fn operated(environment: &Environment, since: Timestamp) -> anyhow::Result<Operated> {
    let mut operated = Operated::default();
    let lines = read::since(&environment.audit(), since).await?;
    for line in lines.iter().filter(|line| !read::is_beginning(line)) {
        let Some(at) = read::time_of(line) else { continue };
        match line.action.as_str() {
            "dlq redrive" => operated.returned.push((at, read::events_of(line, "sent"))),
            "dlq edit" if line.what["sent"] != false => operated.returned.push((at, 1)),
            "dlq import" => operated.imported.push((at, read::events_of(line, "imported"))),
            _ => {}
        }
    }
    Ok(operated)
}

/// The dead letters by reason, without receiving them, which would hide them: from the lines that the
/// forwarder wrote since the oldest became one. They tell of those that have left again as well, and
/// not of those that SQS moved; so only if the numbers agree is it known.
async fn reasons(
    environment: &Environment,
    config: &Config,
    count: u64,
    oldest: Option<Age>,
    now: Timestamp,
) -> anyhow::Result<Result<BTreeMap<String, u64>, String>> {
    if count == 0 {
        return Ok(Ok(BTreeMap::new()));
    }
    logs_everything(config)?;
    let since = match oldest {
        Some(Age { seconds, at }) => {
            people::before(at, Duration::from_secs(seconds) + LOG_BACK_MARGIN)
        }
        None => people::before(now, config.queue().dead_letter_retention),
    };
    let history = environment.history();
    let saying = |line: &Value| line["message"] == "dead_lettered";
    let found = history.look(&pattern("message", &["dead_lettered"]), since, saying).await?;
    Ok(match history.cut(&found) {
        None => by_reason(&found.lines, count, &environment.name),
        Some(cut) => {
            Err(format!("{cut}; `{}` tells", command!["dlq", "stats", value(&environment.name)]))
        }
    })
}

fn by_reason(
    lines: &[Value],
    count: u64,
    environment: &str,
) -> Result<BTreeMap<String, u64>, String> {
    let reasons: HashMap<&str, &str> = lines
        .iter()
        .filter_map(|line| Some((line["event_id"].as_str()?, line["reason"].as_str()?)))
        .collect();
    if reasons.len() as u64 != count {
        return Err(format!(
            "the log tells of {} since the oldest, and {count} are there; `{}` tells",
            reasons.len(),
            command!["dlq", "stats", value(environment)]
        ));
    }
    let mut counts = BTreeMap::new();
    for reason in reasons.into_values() {
        *counts.entry(reason.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

struct Counts {
    events: u64,
    in_flight: u64,
}

async fn counts(environment: &Environment, queue_url: &str) -> anyhow::Result<Counts> {
    use QueueAttributeName::{
        ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
        ApproximateNumberOfMessagesNotVisible,
    };
    let names = [
        ApproximateNumberOfMessages,
        ApproximateNumberOfMessagesNotVisible,
        ApproximateNumberOfMessagesDelayed,
    ];
    let attributes = environment.attributes_of(queue_url, &names).await?;
    let count = |name: &QueueAttributeName| -> anyhow::Result<u64> {
        let value = attributes.get(name).and_then(|value| value.parse().ok());
        value.with_context(|| format!("queue {queue_url} tells no {}", name.as_str()))
    };
    let [visible, in_flight, delayed] = [count(&names[0])?, count(&names[1])?, count(&names[2])?];
    Ok(Counts { events: visible + in_flight + delayed, in_flight })
}

/// The destinations that the log tells of.
fn destinations(lines: &[Value]) -> Vec<Destination> {
    let mut seen: BTreeMap<(String, String), (Destination, u64)> = BTreeMap::new();
    for line in lines {
        let (Some(route), Some(name)) = (line["route"].as_str(), line["destination"].as_str())
        else {
            continue;
        };
        let (destination, sum_ms) =
            seen.entry((route.to_owned(), name.to_owned())).or_insert_with(|| {
                let destination = Destination {
                    route: route.to_owned(),
                    name: name.to_owned(),
                    delivered: 0,
                    retried: 0,
                    rejected: 0,
                    blocked: 0,
                    gave_up: 0,
                    latency_ms_mean: None,
                    breaker_open_at: None,
                };
                (destination, 0)
            });
        let message = line["message"].as_str().unwrap_or_default();
        match message {
            "delivered" => {
                destination.delivered += 1;
                *sum_ms += line["latency_ms"].as_u64().unwrap_or_default();
            }
            "retry" => destination.retried += 1,
            "rejected" => destination.rejected += 1,
            "blocked" => destination.blocked += 1,
            "gave_up" => destination.gave_up += 1,
            _ => {}
        }
        if line["reason"] == "circuit_open" {
            destination.breaker_open_at = line["timestamp"].as_str().map(str::to_owned);
        } else if ["delivered", "rejected", "blocked"].contains(&message) {
            destination.breaker_open_at = None;
        }
    }
    let mean = |(mut destination, sum_ms): (Destination, u64)| {
        destination.latency_ms_mean = sum_ms.checked_div(destination.delivered);
        destination
    };
    seen.into_values().map(mean).collect()
}

fn last(lines: &[Value]) -> Vec<LastDelivery> {
    let delivered = lines.iter().rev().filter(|line| line["message"] == "delivered");
    delivered.filter_map(|line| serde_json::from_value(line.clone()).ok()).take(LAST).collect()
}

/// The newest release record.
async fn release(sdk: &SdkConfig, deployment: &Deployment) -> anyhow::Result<Option<Release>> {
    let Some(store) = Store::of_releases(sdk, deployment) else { return Ok(None) };
    let prefix = format!("releases/{}/", deployment.config.environment());
    let Some((key, record)) = store.newest(&prefix).await? else { return Ok(None) };
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let id = key.rsplit('/').next().unwrap_or(&key).trim_end_matches(".json").to_owned();
    Ok(Some(Release {
        id,
        at: text("at").unwrap_or_default(),
        by: text("by"),
        git_commit: text("git_commit"),
        function_version: text("function_version"),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(message: &str, more: &Value) -> Value {
        let mut line = json!({
            "timestamp": "2026-01-01T00:00:00.000Z", "message": message, "event_id": "e",
            "route": "sss", "destination": "sss",
        });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    }

    #[test]
    fn the_log_tells_of_destinations_and_the_last_deliveries() {
        let lines = [
            line("not_attempted", &json!({ "reason": "circuit_open" })),
            line("delivered", &json!({ "latency_ms": 10, "status": 200 })),
            line("delivered", &json!({ "latency_ms": 20, "status": 204 })),
            json!({ "message": "not_attempted", "reason": "deadline" }),
        ];
        let seen = destinations(&lines);
        assert_eq!((seen[0].delivered, seen[0].latency_ms_mean), (2, Some(15)));
        assert_eq!(seen[0].breaker_open_at, None, "it answered since");
        assert!(destinations(&lines[..1])[0].breaker_open_at.is_some());
        let last = last(&lines);
        assert_eq!((last.len(), last[0].status), (2, Some(204)), "the newest first");
    }

    #[test]
    fn reasons_are_told_only_if_the_log_tells_of_as_many_dead_letters_as_there_are() {
        let dead = |event_id: &str, reason: &str| json!({ "message": "dead_lettered", "event_id": event_id, "reason": reason });
        // `a` was sent again, and became a dead letter for another reason.
        let lines = [dead("a", "gave_up"), dead("b", "rejected"), dead("a", "rejected")];
        let reasons = by_reason(&lines, 2, "dev").unwrap();
        assert_eq!(reasons, BTreeMap::from([("rejected".to_owned(), 2)]));
        for count in [1, 3] {
            let why = by_reason(&lines, count, "dev").unwrap_err();
            assert!(why.contains("tells of 2") && why.contains("dlq stats dev"), "{why}");
        }
    }
}
