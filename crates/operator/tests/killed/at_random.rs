//! A redrive under traffic that is killed again and again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::proxy::{Counted, Held, Moment};
use crate::site::{Site, Taken};

/// Letters for which SQS needs a second at least: as long more are they hidden.
const RECEIVED_PER_SECOND_MIN: u64 = 50;

/// Between two events of the traffic.
const TRAFFIC_EVERY: Duration = Duration::from_millis(20);

/// Numbers that come the same way each time, so that what failed once can be looked at.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // Source: Knuth, MMIX.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Where the next run is killed: mostly while it sends and deletes, so that it gets on, else anywhere.
fn somewhere(random: &mut Random, sent_per_run: u64, looked_at: u64) -> Held {
    let moment = if random.below(2) == 0 { Moment::Before } else { Moment::After };
    // Sent and deleted; and as many on average.
    let (counted, end) = match random.below(10) {
        0 => (Counted::All, 20 + looked_at / 5),
        _ => (Counted::Sending, 4 * sent_per_run),
    };
    let nth = usize::try_from(1 + random.below(end)).unwrap();
    Held { counted, nth, moment }
}

/// Redrives `letters` of ten in a group, and is killed `kills` times.
async fn killed_again_and_again(letters: u64, kills: u64, seed: u64) {
    println!("seed {seed}");
    let mut random = Random(seed);
    let site = Site::start().await;
    let groups = letters / 10;
    for sequence in 0..letters {
        // Each after that of all other groups.
        let (group, number) = (sequence % groups, sequence / groups);
        site.add(&format!("g-{group:03}"), &format!("g-{group:03}-{number}"), sequence + 1).await;
    }
    let redrive = ["dlq", "redrive", "test", "--all", "--hold-seconds", "2"];
    // What passes while time is moved on would be handed out a second time.
    let consumed = Mutex::new(Vec::<Taken>::new());
    let is_over = AtomicBool::new(false);
    let (mut posted, mut killed) = (0_u64, 0);
    let traffic = async {
        let mut n = 0_u64;
        let mut pace = tokio::time::interval(TRAFFIC_EVERY);
        while !is_over.load(Ordering::Relaxed) {
            site.post(&format!("g-{:03}", n % groups), &format!("traffic-{n}")).await;
            n += 1;
            posted = n;
            let mut consumed = consumed.lock().await;
            consumed.extend(site.consume().await);
            drop(consumed);
            pace.tick().await;
        }
    };
    let work = async {
        while killed < kills {
            let left = site.state().await["dead"].as_u64().unwrap();
            assert!(left > 0, "all were sent after {killed} kills");
            let held = somewhere(&mut random, letters / kills / 2, left);
            killed += u64::from(site.run_and_kill(&redrive, held).await);
            println!("{killed} kills, {left} left, {held:?}");
            let hidden_for = Duration::from_secs(3 + left / RECEIVED_PER_SECOND_MIN);
            let _nobody_takes = consumed.lock().await;
            site.later(hidden_for).await;
        }
        let done = site.run(&redrive).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(traffic, work);
    let mut consumed = consumed.into_inner();
    consumed.extend(site.take_webhooks().await);
    assert_eq!(site.take_dead_letters().await, [], "nothing stayed behind");

    let mut by_group: BTreeMap<&str, Vec<&Taken>> = BTreeMap::new();
    for taken in &consumed {
        by_group.entry(&taken.group).or_default().push(taken);
    }
    let is_traffic = |taken: &&&Taken| taken.event_id.starts_with("traffic-");
    for group in 0..groups {
        let group = format!("g-{group:03}");
        let of_group = &by_group[group.as_str()];
        let redriven: Vec<&str> =
            of_group.iter().filter(|it| !is_traffic(it)).map(|it| it.event_id.as_str()).collect();
        let expected: Vec<String> = (0..10).map(|number| format!("{group}-{number}")).collect();
        assert_eq!(redriven, expected, "each once, in order, after {killed} kills");
        let traffic: Vec<u64> = of_group
            .iter()
            .filter(is_traffic)
            .map(|it| it.event_id.trim_start_matches("traffic-").parse().unwrap())
            .collect();
        assert!(traffic.is_sorted_by(|a, b| a < b), "{traffic:?}");
    }
    let accepted = u64::try_from(consumed.iter().filter(|it| is_traffic(&it)).count()).unwrap();
    assert_eq!(accepted, posted);
    let audit = site.audit("dlq redrive");
    let with = |state: &str| audit.iter().filter(|it| it["what"]["state"] == state).count();
    let (started, ended) = (with("started"), with("ended"));
    println!("{killed} kills, {posted} events of traffic, {started} started, {ended} ended");
    assert!(started > ended && ended >= 1, "{started} started, {ended} ended");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_killed_ten_times_loses_doubles_and_disorders_nothing() {
    killed_again_and_again(200, 10, 1).await;
}

/// Takes minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `cargo xtask test` runs it, and `--quick` leaves it out"]
async fn a_redrive_that_is_killed_200_times_loses_doubles_and_disorders_nothing() {
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    killed_again_and_again(2_000, 200, seed.unwrap_or(7)).await;
}
