//! Times by the local clock, with `--local`.

use crate::support::{Done, Event, Queues, operator};

/// Runs a command where the clock is `zone`'s.
async fn in_zone(queues: &Queues, zone: &str, program: &[&str], arguments: &[&str]) -> Done {
    let mut command = operator(program);
    command.args(arguments).arg("--data-dir").arg(queues.file("")).env("TZ", zone);
    command.output().await.unwrap().into()
}

#[tokio::test]
async fn times_are_told_by_the_local_clock_with_their_offset() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 10)).await;
    let list = async |zone: &str, options: &[&str]| {
        let done = in_zone(&queues, zone, &["dlq"], &[&["list", "test"], options].concat()).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stdout
    };
    // It was accepted at 10:00 UTC.
    for (zone, told) in [
        ("Asia/Tokyo", "2026-11-23 19:00:00+09:00"),
        ("America/New_York", "2026-11-23 05:00:00-05:00"),
        ("Pacific/Auckland", "2026-11-23 23:00:00+13:00"),
    ] {
        let table = list(zone, &["--local"]).await;
        assert!(table.contains(told) && table.contains(&format!("ACCEPTED ({zone})")), "{table}");
        assert!(!table.contains("UTC"), "{table}");
        let table = list(zone, &[]).await;
        assert!(table.contains("2026-11-23 10:00:00  "), "UTC is the default: {table}");
        assert!(table.contains("ACCEPTED (UTC)"), "{table}");
        for json in ["--json", "-ojson"] {
            let json = list(zone, &["--local", json]).await;
            assert!(json.contains("\"2026-11-23T10:00:00.000Z\""), "{json}");
        }
    }
}

#[tokio::test]
async fn every_command_that_tells_times_tells_them_so() {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 10)).await;
    let dropped = queues.file("dropped.jsonl");
    queues.add_rejected(Event::new("order-8", "event-2", 11)).await;
    let drop = ["drop", "test", "event-2", "--why", "test", "--yes", "--export", &dropped];
    assert_eq!(queues.dlq(&drop).await.code, Some(0));
    for (program, arguments) in [
        (&["dlq"][..], &["list", "test"][..]),
        (&["dlq"], &["issues", "test"]),
        (&["dlq"], &["stats", "test"]),
        (&["dlq"], &["show", "test", "event-1"]),
        (&["dlq"], &["log", "test"]),
        (&["refused"], &["test"]),
        (&["status"], &["test"]),
    ] {
        let arguments = [arguments, &["--local"]].concat();
        let done = in_zone(&queues, "Asia/Tokyo", program, &arguments).await;
        let told = &done.stdout;
        assert!(told.contains("+09:00"), "{program:?} {arguments:?}: {told}{}", done.stderr);
        assert!(!told.contains("UTC"), "{program:?} {arguments:?}: {told}");
    }
}

#[tokio::test]
async fn an_unknown_zone_is_no_utc() {
    let queues = Queues::start().await;
    let done = in_zone(&queues, "Asia/Tokio", &["dlq"], &["list", "test", "--local"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(3), ""), "{}", done.stderr);
    assert!(done.stderr.contains("name it with TZ, such as TZ=Asia/Tokyo"), "{}", done.stderr);
}
