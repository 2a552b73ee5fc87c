//! The forwarder against the floor and the original, in one run: interleaved, in medians.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::candidate::Candidate;
use crate::sink::{Authority, Sink};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) repeats: usize,
    pub(crate) invocations: usize,
}

/// What was measured of one candidate.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Figures {
    /// From the start of the process to its first request for an event, in milliseconds.
    pub(crate) init_ms: f64,
    /// The first invocation, in microseconds.
    pub(crate) first_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Processor time of one invocation, in microseconds.
    pub(crate) cpu_us: f64,
    /// The most memory, in megabytes.
    pub(crate) memory_mb: f64,
}

/// Measures every candidate `effort.repeats` times, one after another in turn.
pub(crate) fn measure(
    candidates: &[Candidate],
    authority: &Authority,
    tls: bool,
    tools: &Path,
    effort: Effort,
) -> anyhow::Result<Vec<(Candidate, Figures)>> {
    let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); candidates.len()];
    for _ in 0..effort.repeats {
        for (candidate, runs) in candidates.iter().zip(&mut runs) {
            let sink = Sink::start(tls.then_some(authority), Duration::ZERO)?;
            runs.push(once(*candidate, &sink, authority, tools, effort.invocations)?);
        }
    }
    Ok(candidates.iter().copied().zip(runs.iter().map(|runs| medians(runs))).collect())
}

fn once(
    candidate: Candidate,
    sink: &Sink,
    authority: &Authority,
    tools: &Path,
    invocations: usize,
) -> anyhow::Result<Figures> {
    let running = candidate.start(sink, authority, tools)?;
    let ready = running.api.await_ready()?;
    let first = running.api.invoke(&event(0, 1))?;
    // What is done once, after the first invocation, is not what an invocation costs.
    for number in 1..100 {
        running.api.invoke(&event(number, 1))?;
    }
    let cpu_before = running.cpu_ns()?;
    let mut times = Vec::with_capacity(invocations);
    for number in 0..invocations {
        times.push(micros(running.api.invoke(&event(100 + number, 1))?));
    }
    let cpu_ns = running.cpu_ns()? - cpu_before;
    times.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(invocations)?);
    Ok(Figures {
        init_ms: micros(ready.duration_since(running.started)) / 1e3,
        first_us: micros(first),
        p50_us: times[times.len() / 2],
        p99_us: times[times.len() * 99 / 100],
        cpu_us: Duration::from_nanos(cpu_ns).as_secs_f64() * 1e6 / count,
        memory_mb: f64::from(u32::try_from(running.peak_memory_kb()?)?) / 1e3,
    })
}

/// A batch of ten messages in ten groups to a destination that takes 20 ms: the median, in
/// milliseconds.
pub(crate) fn batch_of_ten(authority: &Authority, tools: &Path) -> anyhow::Result<f64> {
    let sink = Sink::start(None, Duration::from_millis(20))?;
    let running = Candidate::Forwarder.start(&sink, authority, tools)?;
    running.api.await_ready()?;
    running.api.invoke(&event(0, 10))?;
    let mut times = Vec::new();
    for number in 1..=50 {
        times.push(micros(running.api.invoke(&event(number * 10, 10))?) / 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn medians(runs: &[Figures]) -> Figures {
    let median = |figure: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Figures {
        init_ms: median(|figures| figures.init_ms),
        first_us: median(|figures| figures.first_us),
        p50_us: median(|figures| figures.p50_us),
        p99_us: median(|figures| figures.p99_us),
        cpu_us: median(|figures| figures.cpu_us),
        memory_mb: median(|figures| figures.memory_mb),
    }
}

/// An event of `records` records, each in a group of its own.
fn event(number: usize, records: usize) -> Vec<u8> {
    let records: Vec<Value> = (number..number + records).map(record).collect();
    json!({ "Records": records }).to_string().into_bytes()
}

fn record(number: usize) -> Value {
    let attribute = |value: &str| json!({ "stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String" });
    let body = json!({ "workflow": number, "state": "approved", "by": "申請者", "comment": "x".repeat(200) });
    json!({
        "messageId": format!("11111111-2222-3333-4444-{number:012}"),
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": body.to_string(),
        "attributes": {
            "ApproximateReceiveCount": "1", "SentTimestamp": "1767225600123",
            "SequenceNumber": format!("{number:020}"), "MessageGroupId": format!("workflow-{number}"),
            "SenderId": "AIDAIO23YVJENQZJOL4VO", "MessageDeduplicationId": "1",
            "ApproximateFirstReceiveTimestamp": "1767225600130",
        },
        "messageAttributes": {
            "route": attribute("sss"), "event_id": attribute(&format!("event-{number}")),
            "accepted_at": attribute("1767225600120"),
            "headers": attribute(&format!("content-type: application/json\nx-workflow-id: workflow-{number}")),
        },
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:webhook.fifo", "awsRegion": "us-east-1",
    })
}
