//! A process of the function: the forwarder's own code, told what it is told.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use domain::environment::{
    CONFIG_VARIABLE, DEAD_LETTER_QUEUE_URL_VARIABLE, INGEST_SENDER_VARIABLE, METRICS_VARIABLE,
    QUEUE_URL_VARIABLE, SKIPS_VARIABLE,
};
use forwarder::{Forwarder, Settings};
use tokio::time::sleep;

use super::configuration::SKIPS;
use super::outside::Simulated;
use super::service::Service;
use super::world::World;

/// A process of the function.
pub(super) struct Environment {
    pub(super) forwarder: Forwarder<Simulated>,
    /// How far its wall clock is off, in milliseconds.
    pub(super) is_off_ms: Rc<Cell<i64>>,
}

impl Environment {
    /// Starts one, which takes its time; it knows what is configured now.
    pub(super) async fn start(
        world: &Rc<World>,
        service: &Rc<Service>,
        number: u64,
        takes: Duration,
    ) -> Self {
        let (config, has_metrics) = {
            let configuration = world.configuration.borrow();
            (configuration.json().to_string(), configuration.has_metrics)
        };
        sleep(takes).await;
        let settings = Settings::read(|name| {
            let value = match name {
                CONFIG_VARIABLE => &config,
                QUEUE_URL_VARIABLE => "https://sqs.example.com/queue.fifo",
                DEAD_LETTER_QUEUE_URL_VARIABLE => "https://sqs.example.com/dlq.fifo",
                INGEST_SENDER_VARIABLE => world.ingest_sender(),
                SKIPS_VARIABLE => return Some(format!("ssm:{SKIPS}")),
                METRICS_VARIABLE if has_metrics => "emf",
                "AWS_REGION" => "ap-northeast-1",
                "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "nobody's",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let settings = settings.expect("what a simulated function is told is complete");
        let is_off_ms = Rc::<Cell<i64>>::default();
        let outside = Simulated::new(world, service, number, &is_off_ms);
        Self { forwarder: Forwarder::within(settings, outside), is_off_ms }
    }
}

/// Runs `future`, and drops it when it was polled this often and has not ended.
pub(super) async fn cut_off<F: Future>(future: F, at: Option<u64>) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        if at.is_some_and(|at| polls >= at) {
            return Poll::Ready(None);
        }
        polls += 1;
        let polled = future.as_mut().poll(context).map(Some);
        if polled.is_pending() && at.is_some_and(|at| polls >= at) {
            return Poll::Ready(None);
        }
        polled
    })
    .await
}
