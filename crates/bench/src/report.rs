//! Figures, ratios and targets, for people and as JSON.

use serde_json::{Value, json};

use crate::candidate::Candidate;
use crate::engine;
use crate::forwarder::Figures;

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) plain: Vec<(Candidate, Figures)>,
    pub(crate) tls: Vec<(Candidate, Figures)>,
    pub(crate) batch_ms: Option<f64>,
    pub(crate) engine: Option<engine::Figures>,
}

/// A target and what was reached.
struct Target {
    what: &'static str,
    reached: f64,
    limit: f64,
    /// Whether more is better.
    at_least: bool,
    unit: &'static str,
}

impl Target {
    fn is_met(&self) -> bool {
        if self.at_least { self.reached >= self.limit } else { self.reached <= self.limit }
    }
}

impl Report {
    pub(crate) fn print(&self) {
        for (title, figures) in [("without TLS", &self.plain), ("with TLS", &self.tls)] {
            if !figures.is_empty() {
                print_table(title, figures);
            }
        }
        if let Some(engine) = &self.engine {
            print_engine(engine);
        }
        println!("\ntargets");
        for target in self.targets() {
            let mark = if target.is_met() { "met    " } else { "NOT MET" };
            let sign = if target.at_least { "≥" } else { "≤" };
            let Target { what, reached, limit, unit, .. } = target;
            println!("  {mark}  {what:<58} {reached:>9.2}{unit}  ({sign} {limit}{unit})");
        }
    }

    pub(crate) fn print_json(&self) {
        let figures = |figures: &[(Candidate, Figures)]| -> Value {
            figures
                .iter()
                .map(|(candidate, figures)| (candidate.name().to_owned(), json!(figures)))
                .collect()
        };
        let targets: Vec<Value> = self
            .targets()
            .iter()
            .map(|target| {
                json!({ "what": target.what, "reached": target.reached, "limit": target.limit, "met": target.is_met() })
            })
            .collect();
        let report = json!({
            "plain": figures(&self.plain), "tls": figures(&self.tls), "batch_ms": self.batch_ms,
            "engine": self.engine, "targets": targets,
        });
        println!("{report:#}");
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut at_most = |what, reached: Option<f64>, limit, unit| {
            targets.extend(reached.map(|reached| Target {
                what,
                reached,
                limit,
                at_least: false,
                unit,
            }));
        };
        let ratio = |figures: &[(Candidate, Figures)], of: fn(&Figures) -> f64, what, to| {
            let find = |wanted| {
                figures.iter().find(|(candidate, _)| *candidate == wanted).map(|(_, f)| of(f))
            };
            Some(find(what)? / find(to)?)
        };
        let floor = |of| ratio(&self.plain, of, Candidate::Forwarder, Candidate::Floor);
        let metrics = |of| ratio(&self.plain, of, Candidate::Metrics, Candidate::Forwarder);
        at_most("p50, to the floor", floor(|f| f.p50_us), 1.2, "x");
        at_most("processor time an invocation, to the floor", floor(|f| f.cpu_us), 1.4, "x");
        at_most("start to first next, to the floor", floor(|f| f.init_ms), 1.5, "x");
        at_most("peak memory, to the floor", floor(|f| f.memory_mb), 2.2, "x");
        at_most("p50 with metrics, to without", metrics(|f| f.p50_us), 1.05, "x");
        let first_tls = self.tls.iter().find(|(candidate, _)| *candidate == Candidate::Forwarder);
        at_most("first invocation over TLS", first_tls.map(|(_, f)| f.first_us / 1e3), 1.5, " ms");
        at_most("10 messages in 10 groups, 20 ms each", self.batch_ms, 26.0, " ms");
        let engine = self.engine.as_ref();
        let latency = |of: fn(&engine::Figures) -> f64| engine.map(of);
        at_most("accept to delivered at 1,000/s, p50", latency(|e| e.latency.p50_ms), 2.0, " ms");
        at_most("accept to delivered at 1,000/s, p99", latency(|e| e.latency.p99_ms), 5.0, " ms");
        for (what, cost) in [
            ("cost of a message with many queued, to 1,000", latency(|e| e.cost_many_us)),
            ("the same, status asked for every second", latency(|e| e.cost_scraped_us)),
        ] {
            at_most(what, cost.zip(engine).map(|(cost, e)| cost / e.cost_few_us), 1.1, "x");
        }
        let viewed = engine.and_then(|e| e.viewed);
        let slower = viewed.map(|viewed| viewed.by_nobody / viewed.by_ten);
        at_most("durable accepts by nobody viewed, to viewed by ten", slower, 1.03, "x");
        at_most("memory with many queued", latency(|e| e.memory_many_mb), 40.0, " MB");
        let scraped = latency(|e| e.memory_scraped_mb);
        at_most("the same, status asked for every second", scraped, 40.0, " MB");
        let mut at_least = |what, reached: Option<f64>, limit, unit| {
            targets.extend(reached.map(|reached| Target {
                what,
                reached,
                limit,
                at_least: true,
                unit,
            }));
        };
        let original = |of| ratio(&self.tls, of, Candidate::Original, Candidate::Forwarder);
        at_least("p50 over TLS, better than the original", original(|f| f.p50_us), 8.0, "x");
        at_least(
            "processor time over TLS, better than the original",
            original(|f| f.cpu_us),
            10.0,
            "x",
        );
        let figure = |of: fn(&engine::Figures) -> f64| engine.map(of);
        let accepts = figure(|e| e.accepts_per_second);
        at_least("durable accepts, 32 connections", accepts, 20_000.0, "/s");
        let delivered = figure(|e| e.delivered_per_second);
        at_least("end to end, 100 groups", delivered, 7_000.0, "/s");
        let kept = engine.map(|e| e.delivered_beside_failing_per_second / e.delivered_per_second);
        at_least("the same beside 100 groups that fail, to alone", kept, 0.9, "x");
        targets
    }
}

fn print_engine(figures: &engine::Figures) {
    println!("\n{:<38} {:>10} {:>10} {:>9}", "the engine", "engine", "floor", "to floor");
    for (what, engine, floor) in [
        ("durable accepts/s", figures.accepts_per_second, figures.floor_accepts_per_second),
        ("end to end/s", figures.delivered_per_second, figures.floor_delivered_per_second),
        ("accept to delivered, p50 ms", figures.latency.p50_ms, figures.floor_latency.p50_ms),
        ("accept to delivered, p99 ms", figures.latency.p99_ms, figures.floor_latency.p99_ms),
    ] {
        println!("{what:<38} {engine:>10.2} {floor:>10.2} {:>8.2}x", engine / floor);
    }
}

fn print_table(title: &str, figures: &[(Candidate, Figures)]) {
    println!(
        "\n{title:<12} {:>9} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "init ms", "first µs", "p50 µs", "p99 µs", "CPU µs", "peak MB"
    );
    let floor = figures.first().map(|(_, figures)| *figures).unwrap_or_default();
    for (candidate, f) in figures {
        println!(
            "{:<12} {:>9.1} {:>10.0} {:>9.0} {:>9.0} {:>9.0} {:>9.1}",
            candidate.name(),
            f.init_ms,
            f.first_us,
            f.p50_us,
            f.p99_us,
            f.cpu_us,
            f.memory_mb
        );
        println!(
            "{:<12} {:>8.2}x {:>9.2}x {:>8.2}x {:>8.2}x {:>8.2}x {:>8.2}x",
            "  to floor",
            f.init_ms / floor.init_ms,
            f.first_us / floor.first_us,
            f.p50_us / floor.p50_us,
            f.p99_us / floor.p99_us,
            f.cpu_us / floor.cpu_us,
            f.memory_mb / floor.memory_mb
        );
    }
}
