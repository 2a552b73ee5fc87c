//! `cargo xtask estimate`: what a number of events costs, part by part, and how far each quota carries.

use std::process::ExitCode;

use domain::quota;
use serde::Serialize;

use super::Environment;
use super::check::ALARMS;
use super::prices::{self, Price};

/// Seconds in the month that is reckoned with: 30 days.
const MONTH_SECONDS: f64 = 30.0 * 86_400.0;

/// Bytes of a request that API Gateway counts as one.
/// Source: aws.amazon.com/api-gateway/pricing, HTTP APIs.
const API_CHUNK_BYTES: u64 = 512 * 1024;
/// Bytes of a request that SQS counts as one. Source: aws.amazon.com/sqs/pricing.
const SQS_CHUNK_BYTES: u64 = 64 * 1024;
/// Attributes of a message, in bytes: route, event id, time, two headers.
const ATTRIBUTES_BYTES: u64 = 300;

/// Readers of an idle event source mapping, each with a long poll of 20 s.
/// Source: Lambda guide, "Scaling for SQS": five, when a maximum concurrency is set.
const POLLERS: f64 = 5.0;
const POLL_SECONDS: f64 = 20.0;

/// What a delivery writes to the log, with its metrics. The forwarder's tests hold it to this.
const DELIVERED_LINE: &str = include_str!("../../../contracts/delivered-line.json");
/// What is counted of each line of a log beside the line itself, in bytes.
/// Source: `CloudWatch` Logs API reference, `PutLogEvents`.
const LOG_EVENT_BYTES: usize = 26;
/// What the forwarder counts, by route. Source: `crates/forwarder/src/metrics.rs`.
const METRICS_PER_ROUTE: f64 = 5.0;
/// A line of the API's access log with all of `modules/http-api`'s fields, in bytes.
const ACCESS_LOG_BYTES: f64 = 650.0;
/// Alarms that compute with two metrics, which are paid for as two.
const ALARM_METRICS_MORE: usize = 2;

/// Calls per second of a FIFO queue and action, without high throughput, and of one partition with it.
/// Source: SQS guide, "FIFO queue quotas".
const CALLS_PER_SECOND: f64 = 300.0;
/// Messages of a FIFO queue in flight. Source: SQS guide, "FIFO queue quotas".
const IN_FLIGHT_MAX: f64 = 120_000.0;
/// Requests per second of an account's APIs in a region. Source: API Gateway guide, "Quotas".
const API_REQUESTS_PER_SECOND: f64 = 10_000.0;

/// Work out what a month costs, part by part, and how far each quota carries
///
/// List prices, without free tiers, taxes and discounts. Every event is reckoned as an invocation of
/// its own, as it is when events arrive one by one: a batch costs less. Retries are not in it. Nothing
/// on AWS is asked.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask estimate dev --events-per-month 1000000\n  cargo xtask estimate prod --events-per-month 30000000 --event-bytes 20000 --latency-ms 80\n  cargo xtask estimate prod --events-per-month 1000000 --json | jq .total_usd"
)]
pub(crate) struct Estimate {
    /// Environment
    #[arg(value_name = "ENV")]
    environment: String,

    /// Events in a month
    #[arg(long, value_name = "N")]
    events_per_month: u64,

    /// Size of an event's body, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 2_000)]
    event_bytes: u64,

    /// Time that the service takes to answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    latency_ms: u64,

    /// Share of the month's events that arrives in its busiest hour, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    busiest_hour_percent: f64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is reckoned with.
#[derive(Debug, Clone, Copy)]
struct Load {
    events: f64,
    event_bytes: u64,
    latency_ms: f64,
    /// Events per second in the busiest hour.
    peak_per_second: f64,
    destinations: f64,
    routes: f64,
    memory_megabytes: f64,
    arm64: bool,
    log_retention_days: f64,
    own_api: bool,
    max_concurrency: f64,
    high_throughput: bool,
    rate_per_second: f64,
    alarms: usize,
}

/// A part of the bill.
#[derive(Debug, Clone, Serialize)]
struct Part {
    name: &'static str,
    quantity: f64,
    unit: &'static str,
    /// Dollars for one of `unit`.
    price_usd: f64,
    cost_usd: f64,
    source: String,
}

/// How far a quota carries.
#[derive(Debug, Clone, Serialize)]
struct Reach {
    name: &'static str,
    events_per_second: f64,
    /// Share of it that the busiest hour needs, in percent.
    used_percent: f64,
    then: &'static str,
}

#[derive(Debug, Serialize)]
struct Bill {
    events: f64,
    region_of_prices: String,
    date: String,
    parts: Vec<Part>,
    total_usd: f64,
    per_million_usd: f64,
    peak_events_per_second: f64,
    quotas: Vec<Reach>,
    not_included: [&'static str; 4],
}

impl Estimate {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = Environment::load(&self.environment)?;
        let bill = bill(self.load(&environment), &environment.aws.region)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&bill)?);
        } else {
            print!("{}", self.text(&environment, &bill));
        }
        Ok(ExitCode::SUCCESS)
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 52 bits")]
    fn load(&self, environment: &Environment) -> Load {
        let (config, aws) = (&environment.config, &environment.aws);
        let events = self.events_per_month as f64;
        let destinations = config.routes().values().map(|route| route.destinations().len()).max();
        Load {
            events,
            event_bytes: self.event_bytes,
            latency_ms: self.latency_ms as f64,
            peak_per_second: events * self.busiest_hour_percent / 100.0 / 3_600.0,
            routes: config.routes().len() as f64,
            destinations: destinations.unwrap_or(1) as f64,
            memory_megabytes: f64::from(aws.function.memory_megabytes),
            arm64: environment.arch() == crate::package::Arch::Arm64,
            log_retention_days: f64::from(aws.logs.retention_days),
            own_api: aws.api.is_none(),
            max_concurrency: f64::from(config.forwarder().max_concurrency),
            high_throughput: config.queue().high_throughput,
            rate_per_second: aws.throttling.rate_per_second,
            alarms: ALARMS.len() - 1 + config.routes().len(), // one of them for each route
        }
    }

    fn text(&self, environment: &Environment, bill: &Bill) -> String {
        let mut lines = vec![format!(
            "{}: {} events a month of {} bytes, answered in {} ms; prices of {}, {}",
            environment.name,
            thousands(bill.events),
            self.event_bytes,
            self.latency_ms,
            bill.region_of_prices,
            bill.date
        )];
        if bill.region_of_prices != environment.aws.region {
            lines.push(format!("The prices of {} are not known here.", environment.aws.region));
        }
        lines.push(String::new());
        for Part { name, quantity, unit, cost_usd, source, .. } in &bill.parts {
            let quantity = thousands(*quantity);
            lines.push(format!(
                "{name:<24} {quantity:>12} {unit:<11} {cost_usd:>9.2} USD  {source}"
            ));
        }
        for (name, usd) in [("total", bill.total_usd), ("a million events", bill.per_million_usd)] {
            lines.push(format!("{name:<24} {:>24} {usd:>9.2} USD", ""));
        }
        lines.push(format!(
            "\nThe busiest hour has {:.1} events a second ({} % of the month's). Each quota carries:",
            bill.peak_events_per_second, self.busiest_hour_percent
        ));
        for Reach { name, events_per_second, used_percent, then } in &bill.quotas {
            let reach = thousands(*events_per_second);
            lines.push(format!("{name:<44} {reach:>9} events/s {used_percent:>6.1} % used"));
            lines.push(format!("    beyond: {then}"));
        }
        lines.push(format!("\nNot included: {}.\n", bill.not_included.join(", ")));
        lines.join("\n")
    }
}

/// How many pieces of `chunk` bytes are billed for `bytes`.
#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 52 bits")]
fn chunks(bytes: u64, chunk: u64) -> f64 {
    bytes.div_ceil(chunk).max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 52 bits")]
fn bill(load: Load, region: &str) -> anyhow::Result<Bill> {
    let list = prices::List::read()?;
    let (region_of_prices, prices) = list.of_region(region)?;
    let Load { events, .. } = load;
    let per_message = chunks(load.event_bytes + ATTRIBUTES_BYTES, SQS_CHUNK_BYTES);
    let seconds = events * load.latency_ms / 1_000.0;
    let compute = if load.arm64 {
        &prices.lambda_arm64_per_gb_second
    } else {
        &prices.lambda_x86_64_per_gb_second
    };
    let access_log = if load.own_api { ACCESS_LOG_BYTES } else { 0.0 };
    let delivered = (DELIVERED_LINE.trim_end().len() + LOG_EVENT_BYTES) as f64;
    let log_gb = events * (delivered * load.destinations + access_log) / 1e9;
    let transferred_gb = events * load.destinations * load.event_bytes as f64 / 1e9;
    let alarm_metrics = (load.alarms + ALARM_METRICS_MORE) as f64;
    let million = |price: &Price| Price { usd: price.usd / 1e6, ..price.clone() };
    let api = &million(&prices.api_per_million);
    let sqs = &million(&prices.sqs_per_million);
    let parts = vec![
        part("API Gateway", events * chunks(load.event_bytes, API_CHUNK_BYTES), "requests", api),
        part("SQS: send", events * per_message, "requests", sqs),
        part("SQS: receive", events * per_message, "requests", sqs),
        part("SQS: delete", events, "requests", sqs),
        part("SQS: polling while idle", POLLERS * MONTH_SECONDS / POLL_SECONDS, "requests", sqs),
        part("Lambda: requests", events, "requests", &million(&prices.lambda_per_million)),
        part("Lambda: time", seconds * load.memory_megabytes / 1_024.0, "GB-seconds", compute),
        part("Logs: taken in", log_gb, "GB", &prices.logs_per_gb),
        part(
            "Logs: kept",
            log_gb * load.log_retention_days / 30.0,
            "GB-months",
            &prices.log_storage_per_gb_month,
        ),
        part("Alarms", alarm_metrics, "metrics", &prices.alarm_per_month),
        part("Metrics", METRICS_PER_ROUTE * load.routes, "metrics", &prices.metric_per_month),
        part("Data to the service", transferred_gb, "GB", &prices.transfer_per_gb),
        part("KMS key of the alarms", 1.0, "keys", &prices.key_per_month),
    ];
    let total_usd: f64 = parts.iter().map(|part| part.cost_usd).sum();
    Ok(Bill {
        events,
        region_of_prices: region_of_prices.to_owned(),
        date: list.date.clone(),
        total_usd,
        per_million_usd: if events > 0.0 { total_usd / events * 1e6 } else { 0.0 },
        parts,
        peak_events_per_second: load.peak_per_second,
        quotas: quotas(load),
        not_included: ["free tiers", "retries", "the dashboard beyond an account's third", "taxes"],
    })
}

fn part(name: &'static str, quantity: f64, unit: &'static str, price: &Price) -> Part {
    Part {
        name,
        quantity,
        unit,
        price_usd: price.usd,
        cost_usd: quantity * price.usd,
        source: price.source.clone(),
    }
}

fn quotas(load: Load) -> Vec<Reach> {
    let latency_seconds = load.latency_ms / 1_000.0;
    let reach = |name, events_per_second: f64, then| Reach {
        name,
        events_per_second,
        used_percent: load.peak_per_second / events_per_second * 100.0,
        then,
    };
    let sends = if load.high_throughput {
        reach(
            "SQS: sends to one partition of the queue",
            CALLS_PER_SECOND,
            "more ordering keys spread over more partitions",
        )
    } else {
        reach("SQS: sends to the queue", CALLS_PER_SECOND, "queue.high_throughput")
    };
    vec![
        reach("API: throttling of a route", load.rate_per_second, "aws.throttling.rate_per_second"),
        sends,
        reach(
            "forwarder: max_concurrency, one event at a time",
            load.max_concurrency / latency_seconds,
            "forwarder.max_concurrency, up to 1,000",
        ),
        reach(
            "forwarder: most that max_concurrency can be",
            f64::from(quota::CONCURRENCY_MAX) / latency_seconds,
            "a second environment for some of the routes",
        ),
        reach(
            "one ordering key",
            1.0 / latency_seconds,
            "a finer ordering_key, or a faster service",
        ),
        reach("SQS: messages in flight", IN_FLIGHT_MAX / latency_seconds, "a second queue"),
        reach(
            "API: requests of the account in a region",
            API_REQUESTS_PER_SECOND,
            "Service Quotas",
        ),
    ]
}

/// A number with separators: `1,000,000`, and decimals where it is small.
fn thousands(number: f64) -> String {
    if number < 100.0 {
        let text = format!("{number:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million events of 2,000 bytes, answered in 200 ms, 128 MB on arm64, logs for 30 days.
    const LOAD: Load = Load {
        routes: 1.0,
        events: 1e6,
        event_bytes: 2_000,
        latency_ms: 200.0,
        peak_per_second: 1e6 / 100.0 / 3_600.0,
        destinations: 1.0,
        memory_megabytes: 128.0,
        arm64: true,
        log_retention_days: 30.0,
        own_api: true,
        max_concurrency: 10.0,
        high_throughput: false,
        rate_per_second: 300.0,
        alarms: 10,
    };

    fn cost(bill: &Bill, name: &str) -> f64 {
        bill.parts.iter().find(|part| part.name == name).unwrap().cost_usd
    }

    fn check(seen: f64, expected: f64) {
        assert!((seen - expected).abs() < 0.005, "{seen}, not {expected}");
    }

    #[test]
    fn a_million_events_cost_what_a_pocket_calculator_says() {
        let bill = bill(LOAD, "us-east-1").unwrap();
        check(cost(&bill, "API Gateway"), 1.00);
        check(cost(&bill, "SQS: send"), 0.50);
        check(cost(&bill, "SQS: receive"), 0.50);
        check(cost(&bill, "SQS: delete"), 0.50);
        // 5 pollers × 2,592,000 s ÷ 20 s = 648,000 requests
        check(cost(&bill, "SQS: polling while idle"), 0.324);
        check(cost(&bill, "Lambda: requests"), 0.20);
        // 200,000 s × 0.125 GB = 25,000 GB-s
        check(cost(&bill, "Lambda: time"), 0.333);
        // (654 + 26 + 650) bytes × 1,000,000 = 1.33 GB
        check(cost(&bill, "Logs: taken in"), 0.665);
        check(cost(&bill, "Logs: kept"), 0.0399);
        check(cost(&bill, "Alarms"), 1.20);
        check(cost(&bill, "Metrics"), 1.50);
        // 2 GB
        check(cost(&bill, "Data to the service"), 0.18);
        check(cost(&bill, "KMS key of the alarms"), 1.00);
        check(bill.total_usd, 7.9424);
        check(bill.per_million_usd, 7.9424);
    }

    /// What the log costs is what a delivery writes, and that can grow unnoticed.
    #[test]
    fn the_log_of_a_million_events_costs_at_most_1_20_usd_where_it_is_dear_and_kept_for_90_days() {
        let tokyo = Load { log_retention_days: 90.0, ..LOAD };
        let bill = bill(tokyo, "ap-northeast-1").unwrap();
        let log = cost(&bill, "Logs: taken in") + cost(&bill, "Logs: kept");
        assert!(log <= 1.20, "{log}");
    }

    #[test]
    fn each_destination_writes_a_line() {
        let two = Load { destinations: 2.0, own_api: false, ..LOAD };
        let bill = bill(two, "us-east-1").unwrap();
        // 2 × (654 + 26) bytes × 1,000,000 = 1.36 GB
        check(cost(&bill, "Logs: taken in"), 0.68);
    }

    #[test]
    fn big_events_are_billed_in_pieces() {
        let big = Load { event_bytes: 200_000, ..LOAD };
        let bill = bill(big, "us-east-1").unwrap();
        // 200,300 bytes are 4 pieces of 65,536
        check(cost(&bill, "SQS: send"), 2.00);
        check(cost(&bill, "SQS: delete"), 0.50);
        check(cost(&bill, "API Gateway"), 1.00);
        assert!((chunks(0, 10) - 1.0).abs() < f64::EPSILON);
        assert!((chunks(11, 10) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn quotas_follow_from_the_latency() {
        let quotas = quotas(LOAD);
        let of = |name: &str| quotas.iter().find(|reach| reach.name == name).unwrap();
        check(of("one ordering key").events_per_second, 5.0);
        check(of("SQS: sends to the queue").used_percent, 0.926);
        check(of("forwarder: max_concurrency, one event at a time").events_per_second, 50.0);
    }

    #[test]
    fn a_region_without_prices_gets_those_of_another_and_says_so() {
        assert_eq!(bill(LOAD, "eu-west-1").unwrap().region_of_prices, "us-east-1");
        assert_eq!(bill(LOAD, "ap-northeast-1").unwrap().region_of_prices, "ap-northeast-1");
    }

    /// What `environments/prod` costs with the default size and latency.
    fn production(events_per_month: u64) -> Bill {
        let estimate = Estimate {
            environment: "prod".to_owned(),
            events_per_month,
            event_bytes: 2_000,
            latency_ms: 200,
            busiest_hour_percent: 1.0,
            json: false,
        };
        let environment = Environment::load("prod").unwrap();
        bill(estimate.load(&environment), &environment.aws.region).unwrap()
    }

    #[test]
    fn a_million_events_in_production_cost_at_most_8_80_usd() {
        let total = production(1_000_000).total_usd;
        assert!(total <= 8.80, "{total}");
    }

    fn document(name: &str) -> String {
        std::fs::read_to_string(crate::workspace::root().join("docs").join(name)).unwrap()
    }

    #[test]
    fn the_documents_say_what_is_reckoned() {
        let scale = document("scale.md");
        let bills = [1_000_000, 10_000_000, 100_000_000].map(production);
        let row = |title: &str, parts: &[&str]| {
            let sum = |bill: &Bill| {
                let of_parts = bill.parts.iter().filter(|part| parts.contains(&part.name));
                format!("{:.2}", of_parts.map(|part| part.cost_usd).sum::<f64>())
            };
            let line = format!("| {title} | {} |", bills.each_ref().map(sum).join(" | "));
            assert!(scale.contains(&line), "docs/scale.md lacks: {line}");
        };
        row("API Gateway", &["API Gateway"]);
        row("SQS: send, receive, delete", &["SQS: send", "SQS: receive", "SQS: delete"]);
        row("SQS: polling while idle", &["SQS: polling while idle"]);
        row("Lambda: requests and time", &["Lambda: requests", "Lambda: time"]);
        row("logs: taken in and kept for 90 days", &["Logs: taken in", "Logs: kept"]);
        row("alarms, their key, and metrics", &["Alarms", "KMS key of the alarms", "Metrics"]);
        row("data to the service", &["Data to the service"]);
        let total = bills.each_ref().map(|bill| format!("**{:.2}**", bill.total_usd)).join(" | ");
        assert!(
            scale.contains(&format!("| **a month, USD** | {total} |")),
            "docs/scale.md: {total}"
        );

        // A month at the route's limit of 300 events a second.
        let flood = production(778_000_000).total_usd;
        let said = format!("some {} USD", thousands((flood / 100.0).round() * 100.0));
        assert!(document("security.md").contains(&said), "docs/security.md lacks: {said}");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            [0.0, 1.95, 648_000.0, 1e6].map(thousands),
            ["0", "1.95", "648,000", "1,000,000"]
        );
    }
}
