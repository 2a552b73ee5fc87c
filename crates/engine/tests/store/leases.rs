//! Leases: one holder at a time, by the queues' own time.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Fixture, manual_clock};
use domain::lease::Lease;
use engine::store::{LeaseProgress, LeaseRequest, Store};

const MINUTE: Duration = Duration::from_mins(1);

async fn acquire(store: &Store, token: &str) -> Lease {
    let request = LeaseRequest {
        token: token.to_owned(),
        by: format!("by-{token}"),
        reason: Some("fixed".to_owned()),
        time: MINUTE,
    };
    store.acquire_lease("redrive", request).await.unwrap().unwrap()
}

async fn renew(store: &Store, token: &str, done: u64) -> Option<Lease> {
    let progress = LeaseProgress { of: Some(9), done };
    store.renew_lease("redrive", token, MINUTE, progress).await.unwrap()
}

#[tokio::test]
async fn a_second_sees_whose_it_is_and_how_far_and_gets_it_after_the_first() {
    let Fixture { store, clock } = Fixture::new().await;
    let first = acquire(&store, "a").await;
    assert_eq!((&*first.token, &*first.by, first.of), ("a", "by-a", None));
    assert_eq!(first.until.since(first.since), MINUTE);
    assert_eq!(acquire(&store, "a").await, first, "asked for twice");
    clock.advance(Duration::from_secs(50));
    let renewed = renew(&store, "a", 3).await.unwrap();
    assert_eq!(renewed.until.since(first.since), Duration::from_secs(110));
    let there = acquire(&store, "b").await;
    assert_eq!((&*there.token, there.of, there.done, there.since), ("a", Some(9), 3, first.since));
    assert_eq!(store.lease("redrive").await.unwrap(), Some(there));
    // Nobody ends or renews another's.
    store.release_lease("redrive", "b").await.unwrap();
    assert_eq!(renew(&store, "b", 0).await.unwrap().token, "a");
    store.release_lease("redrive", "a").await.unwrap();
    assert_eq!(store.lease("redrive").await.unwrap(), None);
    assert_eq!(acquire(&store, "b").await.token, "b");
}

#[tokio::test]
async fn of_many_at_once_one_gets_it() {
    let store = Fixture::new().await.store;
    let tokens = ["a", "b", "c", "d"];
    let acquired = tokens.map(|token| {
        let store = store.clone();
        tokio::spawn(async move { acquire(&store, token).await.token })
    });
    let mut holders = Vec::new();
    for acquired in acquired {
        holders.push(acquired.await.unwrap());
    }
    assert!(holders.iter().all(|holder| *holder == holders[0]), "{holders:?}");
}

#[tokio::test]
async fn one_that_is_not_renewed_expires_whatever_the_wall_clock_does_and_does_not_come_back() {
    let Fixture { store, clock } = Fixture::new().await;
    acquire(&store, "a").await;
    let wall = store.clock().wall();
    clock.set_wall(wall.plus(Duration::from_hours(9)));
    assert_eq!(acquire(&store, "b").await.token, "a");
    clock.set_wall(wall.minus(Duration::from_hours(9)));
    clock.advance(MINUTE.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(acquire(&store, "b").await.token, "a");
    clock.advance(Duration::from_millis(1));
    assert_eq!(store.lease("redrive").await.unwrap(), None);
    assert_eq!(renew(&store, "a", 1).await, None, "somebody else may have had it since");
    assert_eq!(acquire(&store, "b").await.token, "b");
    assert_eq!(renew(&store, "a", 1).await.unwrap().token, "b");
}

#[tokio::test]
async fn it_outlives_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let clock = manual_clock();
    let store = Store::open(dir.path(), Arc::clone(&clock) as Arc<_>).unwrap();
    acquire(&store, "a").await;
    store.close().await;
    let store = Store::open(dir.path(), clock).unwrap();
    assert_eq!(acquire(&store, "b").await.token, "a");
    store.close().await;
}
