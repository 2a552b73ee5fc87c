//! The status as Prometheus reads it. Counters that a restart sets back to 0 are what Prometheus
//! expects; those of the ledger go on.
//!
//! Source: Prometheus documentation, "Exposition formats", text-based format 0.0.4.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::get;

use crate::admin::Admin;
use crate::deliveries::{BUCKETS_MS, Destination};
use crate::error_text::in_full;
use crate::http::failed;
use crate::status::Status;

/// What the text is, as a header value.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The route of this module.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new().route("/metrics", get(prometheus)).with_state(admin)
}

async fn prometheus(State(admin): State<Arc<Admin>>) -> Response {
    match Status::of(&admin).await {
        Ok(status) => Response::builder()
            .header(CONTENT_TYPE, TEXT_FORMAT)
            .body(text(&status).into())
            .expect("a fixed header"),
        Err(error) => failed(&in_full(&error)),
    }
}

/// A text under construction.
#[derive(Default)]
struct Text(String);

/// The text for a status.
fn text(status: &Status) -> String {
    let mut text = Text::default();
    text.routes(status);
    text.queues(status);
    text.destinations(status);
    text.engine(status);
    text.0
}

impl Text {
    fn routes(&mut self, status: &Status) {
        let routes = &status.loss_meter.routes;
        self.family("webhook_accepted_total", "counter", "Events accepted, by route");
        for (route, balance) in routes {
            self.sample("webhook_accepted_total", &[("route", route)], balance.accepted);
        }
        self.family("webhook_delivered_total", "counter", "Events delivered and deleted");
        for (route, balance) in routes {
            self.sample("webhook_delivered_total", &[("route", route)], balance.delivered);
        }
        self.family("webhook_dead_lettered_total", "counter", "Dead letters that were made");
        for (route, balance) in routes {
            self.sample("webhook_dead_lettered_total", &[("route", route)], balance.dead_lettered);
        }
        self.family("webhook_redriven_total", "counter", "Dead letters that were sent again");
        for (route, balance) in routes {
            self.sample("webhook_redriven_total", &[("route", route)], balance.redriven);
        }
        self.family(
            "webhook_expired_total",
            "counter",
            "Events that were older than the retention",
        );
        for (route, balance) in routes {
            self.sample("webhook_expired_total", &[("route", route)], balance.left.expired);
        }
        self.family(
            "webhook_removed_total",
            "counter",
            "Events that were purged or deleted by hand",
        );
        for (route, balance) in routes {
            let removed = balance.left.purged + balance.left.deleted;
            self.sample("webhook_removed_total", &[("route", route)], removed);
        }
        self.family("webhook_missing", "gauge", "Loss meter: must be 0");
        for (route, balance) in routes {
            self.sample("webhook_missing", &[("route", route)], balance.missing);
        }
        self.single(
            "webhook_refused_total",
            "counter",
            "Requests that were not accepted, since the engine started",
            status.ingest.refused,
        );
    }

    fn queues(&mut self, status: &Status) {
        let queues = [("webhook", &status.queue), ("dead_letter", &status.dead_letter_queue)];
        self.family("webhook_queue_messages", "gauge", "Messages in a queue, in flight or not");
        for (name, queue) in queues {
            self.sample("webhook_queue_messages", &[("queue", name)], queue.messages());
        }
        self.family("webhook_queue_in_flight", "gauge", "Messages in flight");
        for (name, queue) in queues {
            self.sample("webhook_queue_in_flight", &[("queue", name)], queue.in_flight);
        }
        self.family("webhook_damaged_messages", "gauge", "Messages that are not what was accepted");
        for (name, queue) in queues {
            self.sample("webhook_damaged_messages", &[("queue", name)], queue.damaged);
        }
        self.family("webhook_queue_oldest_age_seconds", "gauge", "Age of the oldest message");
        for (name, queue) in queues {
            let seconds = seconds(queue.oldest_age_ms.unwrap_or_default());
            self.sample("webhook_queue_oldest_age_seconds", &[("queue", name)], seconds);
        }
        self.single(
            "webhook_groups_waiting",
            "gauge",
            "Message groups that wait for their next attempt",
            status.waiting_groups,
        );
        if let Some(mapping) = status.event_source_mapping {
            let enabled = u8::from(mapping.enabled);
            self.single("webhook_delivery_enabled", "gauge", "0 while delivery is paused", enabled);
            self.single(
                "webhook_invocation_errors_total",
                "counter",
                "Batches that the forwarder did not answer, since the engine started",
                mapping.invocation_errors,
            );
        }
    }

    fn engine(&mut self, status: &Status) {
        let works = u8::from(!status.storage_failing);
        self.single("webhook_storage_up", "gauge", "0 while storage fails", works);
        let works = u8::from(status.trouble.is_none());
        self.single("webhook_forwarder_up", "gauge", "0 while no forwarder can start", works);
        if let Some(disk) = status.disk {
            self.single(
                "webhook_disk_free_bytes",
                "gauge",
                "Room on the data directory's disk, the reserve included",
                disk.free_bytes,
            );
            self.single(
                "webhook_disk_reserve_bytes",
                "gauge",
                "Below this much room no events are accepted",
                disk.reserve_bytes,
            );
            self.single(
                "webhook_database_bytes",
                "gauge",
                "Size of the queues' file and of its write-ahead log",
                disk.database_bytes,
            );
        }
        self.single(
            "webhook_log_lines_left_out_total",
            "counter",
            "Log lines that could not be written, since the engine started",
            status.log_lines_left_out,
        );
        if let Some(notifications) = status.notifications {
            let name = "webhook_notifications_total";
            self.family(name, "counter", "Notifications posted, since the engine started");
            self.sample(name, &[("outcome", "sent")], notifications.sent);
            self.sample(name, &[("outcome", "failed")], notifications.failed);
        }
        self.single(
            "webhook_uptime_seconds",
            "gauge",
            "Since the engine started",
            seconds(status.uptime_ms),
        );
        self.single(
            "process_start_time_seconds",
            "gauge",
            "When the engine started, since the Unix epoch",
            seconds(status.started_at_ms),
        );
        self.family("webhook_build_info", "gauge", "1, with the version");
        self.sample("webhook_build_info", &[("version", status.version)], 1);
    }

    fn destinations(&mut self, status: &Status) {
        let all = || {
            status.deliveries.destinations.iter().flat_map(|(route, destinations)| {
                destinations.iter().map(|(name, destination)| {
                    let labels = [("route", route.as_str()), ("destination", name.as_str())];
                    (labels, destination)
                })
            })
        };
        self.family("webhook_attempts_total", "counter", "Attempts since the engine started");
        for (labels, destination) in all() {
            for (outcome, count) in outcomes(destination) {
                let labels = [labels[0], labels[1], ("outcome", outcome)];
                self.sample("webhook_attempts_total", &labels, count);
            }
        }
        self.family("webhook_breaker_open", "gauge", "1 while a destination is not tried");
        for (labels, destination) in all() {
            let open = u8::from(destination.breaker_open_at.is_some());
            self.sample("webhook_breaker_open", &labels, open);
        }
        self.family("webhook_delivery_seconds", "histogram", "How long deliveries took");
        for (labels, destination) in all() {
            self.histogram(labels, destination);
        }
    }

    fn histogram(&mut self, labels: [(&str, &str); 2], destination: &Destination) {
        let latency = &destination.latency;
        let mut up_to = 0;
        for (bound_ms, count) in BUCKETS_MS.into_iter().zip(latency.buckets) {
            up_to += count;
            let bound = seconds(bound_ms);
            let labels = [labels[0], labels[1], ("le", bound.as_str())];
            self.sample("webhook_delivery_seconds_bucket", &labels, up_to);
        }
        let infinite = [labels[0], labels[1], ("le", "+Inf")];
        self.sample("webhook_delivery_seconds_bucket", &infinite, latency.count);
        self.sample("webhook_delivery_seconds_sum", &labels, seconds(latency.sum_ms));
        self.sample("webhook_delivery_seconds_count", &labels, latency.count);
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
            .expect("a String takes everything");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{labels} {value}").expect("a String takes everything");
    }
}

fn outcomes(destination: &Destination) -> [(&'static str, u64); 5] {
    [
        ("delivered", destination.delivered),
        ("retried", destination.retried),
        ("rejected", destination.rejected),
        ("blocked", destination.blocked),
        ("gave_up", destination.gave_up),
    ]
}

/// Seconds, exactly.
fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_and_short() {
        assert_eq!(
            [0, 5, 250, 1_000, 2_500, 10_000].map(seconds),
            ["0", "0.005", "0.25", "1", "2.5", "10"]
        );
    }

    #[test]
    fn a_label_cannot_leave_its_quotes() {
        let mut text = Text::default();
        text.sample("x", &[("route", "a\"b\\c\n")], 1);
        assert_eq!(text.0, "x{route=\"a\\\"b\\\\c\\n\"} 1\n");
    }
}
