use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::notification::watch::{Queues, RouteState, Start, State, Watch};
use crate::time::Uptime;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn now() -> Timestamp {
    Timestamp::from_ms(1_800_000_000_000)
}

fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_ms(now().as_ms() - seconds * 1_000)
}

fn ahead(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn not<T>() -> Known<T> {
    Known::Not("no answer within 10 s".to_owned())
}

/// All is well and nothing waits. A failing event of `sss` is given up after three days, of `quick` after
/// ten minutes.
fn well() -> Situation {
    let give_up_after = [("sss", 3 * DAY), ("quick", 10 * MINUTE)]
        .map(|(route, seconds)| (route.to_owned(), Duration::from_secs(seconds)));
    Situation {
        now: now(),
        storage: Known::Is(Storage::default()),
        forwarder_trouble: None,
        delivery: Known::Is(Delivery::On),
        pauses: Known::Is(Vec::new()),
        events: 0,
        oldest_at: not(),
        keys: Known::Is(Vec::new()),
        limits: Known::Is(Limits {
            give_up_after: BTreeMap::from(give_up_after),
            retention: Duration::from_secs(14 * DAY),
            dead_letter_retention: Duration::from_secs(14 * DAY),
        }),
        dead_letters: 0,
        oldest_dead_letter_at: None,
        missing: Known::Is(0),
        conditions: Known::Is(Vec::new()),
        alarms: Known::Is(Vec::new()),
    }
}

fn observed(conditions: &[(Kind, u64)]) -> Situation {
    let condition =
        |(kind, since): &(Kind, u64)| Condition { kind: *kind, since: ago(*since), figure: 21 };
    Situation { conditions: Known::Is(conditions.iter().map(condition).collect()), ..well() }
}

/// The first event of a key, which was accepted when it failed first.
fn key(failure: Failure, since: u64) -> Key {
    Key {
        key: "A-7".to_owned(),
        event_id: "e-1".to_owned(),
        route: Some("sss".to_owned()),
        destination: Some("sss".to_owned()),
        failure,
        reason: Some("503".to_owned()),
        since: ago(since),
        accepted_at: Some(ago(since)),
    }
}

/// Events wait, of keys whose oldest event failed first so many seconds ago.
fn failing(keys: Vec<Key>) -> Situation {
    let oldest_at = keys.iter().filter_map(|key| key.accepted_at).min().unwrap_or_else(now);
    Situation { events: 21, oldest_at: Known::Is(oldest_at), keys: Known::Is(keys), ..well() }
}

fn down(since: u64) -> Situation {
    failing(vec![key(Failure::Failed, since)])
}

fn pause(name: &str, since: Option<u64>, until: Option<u64>) -> Pause {
    Pause {
        name: name.to_owned(),
        by: Some("sato".to_owned()),
        reason: Some("release 42".to_owned()),
        since: since.map(ago),
        until: until.map(ahead),
    }
}

fn paused(pauses: Vec<Pause>) -> Situation {
    Situation {
        delivery: Known::Is(Delivery::Off("Disabled".to_owned())),
        pauses: Known::Is(pauses),
        events: 3,
        oldest_at: Known::Is(ago(20 * MINUTE)),
        ..well()
    }
}

fn ringing(sections: &[&str], situation: Situation) -> Situation {
    let alarm = |section: &&str| Alarm {
        section: (*section).to_owned(),
        rings: true,
        since: Some(ago(MINUTE)),
    };
    Situation { alarms: Known::Is(sections.iter().map(alarm).collect()), ..situation }
}

/// `act(key_blocked) unknown(keys) waits(paused)`.
fn short(verdict: &Verdict) -> String {
    let verdict = serde_json::to_value(verdict).unwrap();
    let names = |field: &str, name: &str| {
        let all = verdict[field].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|it| it[name].as_str()).collect::<Vec<_>>().join(",")
    };
    let lists = [
        ("act", names("findings", "kind")),
        ("unknown", names("unknown", "what")),
        ("waits", names("waits", "kind")),
    ];
    let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
    let lists: Vec<String> = lists.map(|(list, names)| format!("{list}({names})")).collect();
    let text = lists.join(" ");
    match verdict["kind"].as_str().unwrap() {
        "nothing_to_do" => format!("nothing {text}").trim().to_owned(),
        kind => {
            assert!(text.starts_with(kind), "{kind}: {text}");
            text
        }
    }
}

/// Each situation with its verdict: what an operator at three in the morning has to know first.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_table() {
    let table: Vec<(&str, Situation, &str)> = vec![
        ("nothing waits", well(), "nothing"),
        (
            "an event is on its way",
            Situation { events: 1, oldest_at: Known::Is(ago(1)), ..well() },
            "nothing",
        ),
        ("the service is down for minutes", down(4 * MINUTE), "nothing waits(destination_fails)"),
        ("for hours, and far from giving up", down(35 * HOUR), "nothing waits(destination_fails)"),
        ("until half of the time is over", down(36 * HOUR), "act(near_give_up)"),
        ("and long since", down(71 * HOUR), "act(near_give_up)"),
        (
            "a route that gives up soon has less time",
            failing(vec![Key {
                route: Some("quick".to_owned()),
                ..key(Failure::Failed, 5 * MINUTE)
            }]),
            "act(near_give_up)",
        ),
        (
            "of a route that is not known the shortest time counts",
            failing(vec![Key { route: None, ..key(Failure::Failed, 5 * MINUTE) }]),
            "act(near_give_up)",
        ),
        (
            "the oldest of a destination's keys counts",
            failing(vec![key(Failure::Failed, MINUTE), key(Failure::Failed, 40 * HOUR)]),
            "act(near_give_up)",
        ),
        (
            "each destination is one",
            failing(vec![
                key(Failure::Failed, MINUTE),
                Key { destination: Some("other".to_owned()), ..key(Failure::Failed, MINUTE) },
            ]),
            "nothing waits(destination_fails,destination_fails)",
        ),
        (
            "a key waits for a decision",
            failing(vec![key(Failure::Rejected, 1)]),
            "act(key_blocked)",
        ),
        (
            "a key is blocked, and the service down",
            failing(vec![key(Failure::Rejected, 1), key(Failure::Failed, 1)]),
            "act(key_blocked) waits(destination_fails)",
        ),
        ("no secret", failing(vec![key(Failure::NoSecret, 1)]), "act(secret_unavailable)"),
        (
            "a dead letter cannot be made",
            failing(vec![key(Failure::NotDeadLettered, 1)]),
            "act(not_dead_lettered)",
        ),
        ("there was no time for it", failing(vec![key(Failure::NotTried, 1)]), "nothing"),
        ("nothing tells why it waits", failing(vec![key(Failure::Unknown, 1)]), "unknown(keys)"),
        (
            "when it was accepted is not known",
            failing(vec![Key { accepted_at: None, ..key(Failure::Failed, 1) }]),
            "unknown(oldest_event)",
        ),
        (
            "and may be why an event is old",
            Situation {
                oldest_at: Known::Is(ago(HOUR)),
                ..failing(vec![Key { accepted_at: None, ..key(Failure::Failed, 1) }])
            },
            "unknown(oldest_event)",
        ),
        (
            "when it is given up is not known, which is said once",
            Situation {
                limits: not(),
                ..failing(vec![
                    key(Failure::Failed, 1),
                    Key { destination: Some("other".to_owned()), ..key(Failure::Failed, 1) },
                ])
            },
            "unknown(limits)",
        ),
        ("the log cannot be read", Situation { keys: not(), ..down(1) }, "unknown(keys)"),
        ("and would tell of nothing", Situation { keys: not(), ..well() }, "nothing"),
        (
            "the log is cut, and tells of a blocked key",
            Situation {
                keys: Known::InPart(vec![key(Failure::Rejected, 1)], "longer than read".to_owned()),
                ..down(1)
            },
            "act(key_blocked) unknown(keys)",
        ),
        (
            "the log is cut, and tells of a service that is down",
            Situation {
                keys: Known::InPart(vec![key(Failure::Failed, 1)], "longer than read".to_owned()),
                ..down(1)
            },
            "unknown(keys) waits(destination_fails)",
        ),
        (
            "an event is old, and nothing says why",
            Situation { events: 1, oldest_at: Known::Is(ago(15 * MINUTE + 1)), ..well() },
            "act(events_stuck)",
        ),
        (
            "not yet",
            Situation { events: 1, oldest_at: Known::Is(ago(15 * MINUTE)), ..well() },
            "nothing",
        ),
        (
            "what fails since a moment does not say why another is old",
            Situation { oldest_at: Known::Is(ago(HOUR)), ..down(1) },
            "act(events_stuck) waits(destination_fails)",
        ),
        (
            "the age has no metric",
            Situation { events: 1, oldest_at: not(), ..well() },
            "unknown(oldest_event)",
        ),
        (
            "a colleague's release",
            paused(vec![pause("release", Some(2 * HOUR), Some(10 * MINUTE))]),
            "nothing waits(paused)",
        ),
        (
            "a pause without an end, for minutes",
            paused(vec![pause("release", Some(59 * MINUTE), None)]),
            "nothing waits(paused)",
        ),
        ("and for an hour", paused(vec![pause("release", Some(HOUR), None)]), "act(paused)"),
        ("nobody knows since when", paused(vec![pause("unknown", None, None)]), "act(paused)"),
        (
            "one without an end beside one with",
            paused(vec![
                pause("release", Some(MINUTE), Some(MINUTE)),
                pause("other", Some(HOUR), None),
            ]),
            "act(paused)",
        ),
        ("switched off by another way", paused(Vec::new()), "act(switched_off)"),
        (
            "who paused is not known",
            Situation { pauses: not(), ..paused(Vec::new()) },
            "unknown(pauses)",
        ),
        (
            "and does not matter while delivery is on",
            Situation { pauses: not(), ..well() },
            "nothing",
        ),
        (
            "a pause that is not kept",
            Situation { pauses: Known::Is(vec![pause("r", Some(5 * MINUTE), None)]), ..well() },
            "act(pause_not_kept)",
        ),
        (
            "or not yet",
            Situation { pauses: Known::Is(vec![pause("r", Some(4 * MINUTE), None)]), ..well() },
            "nothing",
        ),
        (
            "paused for so long that events will be deleted",
            Situation {
                oldest_at: Known::Is(ago(7 * DAY)),
                ..paused(vec![pause("r", Some(MINUTE), Some(HOUR))])
            },
            "act(events_near_retention) waits(paused)",
        ),
        (
            "a pause that outlasts them",
            Situation {
                oldest_at: Known::Is(ago(DAY)),
                ..paused(vec![pause("r", Some(MINUTE), Some(13 * DAY))])
            },
            "act(events_near_retention) waits(paused)",
        ),
        (
            "the age of what is paused is not known",
            Situation { oldest_at: not(), ..paused(vec![pause("r", Some(1), Some(HOUR))]) },
            "unknown(oldest_event) waits(paused)",
        ),
        (
            "keys that failed before a pause",
            Situation {
                keys: Known::InPart(
                    vec![key(Failure::Failed, MINUTE), key(Failure::Unknown, MINUTE)],
                    "nothing is tried".to_owned(),
                ),
                ..paused(vec![pause("r", Some(1), Some(HOUR))])
            },
            "nothing waits(paused)",
        ),
        (
            "a key that was blocked before a pause",
            Situation {
                keys: Known::Is(vec![key(Failure::Rejected, MINUTE)]),
                ..paused(vec![pause("r", Some(1), Some(HOUR))])
            },
            "act(key_blocked) waits(paused)",
        ),
        ("whether it is delivered", Situation { delivery: not(), ..well() }, "unknown(delivery)"),
        (
            "no forwarder belongs to it",
            Situation {
                delivery: Known::Is(Delivery::Nobody),
                events: 9,
                keys: Known::Is(vec![key(Failure::Unknown, DAY)]),
                ..well()
            },
            "nothing waits(nobody_delivers)",
        ),
        (
            "no forwarder starts",
            Situation { forwarder_trouble: Some("no such file".to_owned()), ..well() },
            "act(forwarder_down)",
        ),
        (
            "dead letters",
            Situation { dead_letters: 2, oldest_dead_letter_at: Some(ago(11 * DAY)), ..well() },
            "act(dead_letters_present)",
        ),
        (
            "that will be deleted",
            Situation { dead_letters: 2, oldest_dead_letter_at: Some(ago(12 * DAY)), ..well() },
            "act(dead_letters_near_retention)",
        ),
        (
            "of an age that is not known",
            Situation { dead_letters: 2, limits: not(), ..well() },
            "act(dead_letters_present)",
        ),
        ("missing", Situation { missing: Known::Is(1), ..well() }, "act(events_missing)"),
        ("too many", Situation { missing: Known::Is(-1), ..well() }, "act(events_too_many)"),
        ("no meter", Situation { missing: not(), ..well() }, "unknown(loss_meter)"),
        (
            "a meter that knows a part",
            Situation { missing: Known::InPart(0, "no audit log".to_owned()), ..well() },
            "unknown(loss_meter)",
        ),
        ("no storage", Situation { storage: not(), ..well() }, "unknown(storage)"),
        (
            "storage fails, and the disk is full, and events are damaged",
            Situation {
                storage: Known::Is(Storage { fails: true, full_with_bytes: Some(1), damaged: 1 }),
                ..well()
            },
            "act(storage_fails,disk_full,messages_damaged)",
        ),
        ("requests are refused", observed(&[(Kind::RequestsRefused, 0)]), "act(observed)"),
        (
            "the forwarder crashes, for long enough",
            observed(&[(Kind::InvocationErrors, 15 * MINUTE)]),
            "act(observed)",
        ),
        ("or not yet", observed(&[(Kind::InvocationErrors, 15 * MINUTE - 1)]), "nothing"),
        (
            "what the engine saw a while ago, and is seen to be over",
            observed(&[(Kind::DeadLettersPresent, HOUR), (Kind::BreakerOpen, HOUR)]),
            "nothing",
        ),
        (
            "an engine that starts again and again is more urgent than dead letters",
            Situation { dead_letters: 1, ..observed(&[(Kind::Restarts, 0)]) },
            "act(observed,dead_letters_present)",
        ),
        (
            "what the engine saw is not known",
            Situation { conditions: not(), ..well() },
            "unknown(conditions)",
        ),
        ("no alarms", Situation { alarms: not(), ..well() }, "unknown(alarms)"),
        ("an alarm", ringing(&["function-errors"], well()), "act(alarm_rings)"),
        (
            "alarms without data",
            Situation {
                alarms: Known::Is(
                    ["function-errors", "function-throttles"]
                        .map(|section| Alarm {
                            section: section.to_owned(),
                            rings: false,
                            since: None,
                        })
                        .into(),
                ),
                ..well()
            },
            "unknown(alarms)",
        ),
        (
            "alarms that ring as the service is down",
            ringing(&["oldest-message-too-old", "nothing-delivered-sss"], down(20 * MINUTE)),
            "nothing waits(destination_fails,alarm_rings,alarm_rings)",
        ),
        (
            "and one that does not",
            ringing(&["oldest-message-too-old", "api-server-errors"], down(20 * MINUTE)),
            "act(alarm_rings) waits(destination_fails,alarm_rings)",
        ),
        (
            "alarms for nothing that is seen",
            ringing(&["oldest-message-too-old"], well()),
            "act(alarm_rings)",
        ),
        (
            "an alarm that rings as delivery is paused",
            ringing(&["mapping-not-enabled"], paused(vec![pause("r", Some(HOUR), Some(HOUR))])),
            "nothing waits(paused,alarm_rings)",
        ),
        (
            "alarms that ring as nothing is delivered",
            ringing(
                &["oldest-message-too-old", "nothing-delivered-sss"],
                paused(vec![pause("r", Some(HOUR), Some(HOUR))]),
            ),
            "nothing waits(paused,alarm_rings,alarm_rings)",
        ),
        (
            "as it was switched off",
            ringing(&["mapping-not-enabled"], paused(Vec::new())),
            "act(switched_off)",
        ),
        (
            "that nobody asks is not said by a service that is down",
            ringing(&["mapping-not-enabled"], down(MINUTE)),
            "act(alarm_rings) waits(destination_fails)",
        ),
        (
            "alarms of dead letters that are there",
            ringing(
                &["dead-letters-present", "dead-letters-arriving"],
                Situation { dead_letters: 1, ..well() },
            ),
            "act(dead_letters_present)",
        ),
        (
            "one that is near its end by the alarm's reckoning",
            ringing(
                &["dead-letters-present", "dead-letters-near-retention"],
                Situation { dead_letters: 1, ..well() },
            ),
            "act(dead_letters_present,alarm_rings)",
        ),
        (
            "everything at once, the most urgent first",
            Situation {
                dead_letters: 1,
                missing: Known::Is(1),
                alarms: not(),
                forwarder_trouble: Some("no such file".to_owned()),
                ..failing(vec![key(Failure::Rejected, 1), key(Failure::Failed, 40 * HOUR)])
            },
            "act(forwarder_down,events_missing,near_give_up,key_blocked,dead_letters_present) \
             unknown(alarms)",
        ),
    ];
    assert!(table.len() >= 30);
    for (name, situation, expected) in table {
        assert_eq!(short(&Verdict::of(&situation)), expected, "{name}");
    }
}

#[test]
fn a_verdict_says_of_what_it_is() {
    let keys = vec![
        Key { reason: None, ..key(Failure::Failed, 4 * MINUTE) },
        key(Failure::Failed, 2 * MINUTE),
    ];
    let verdict = |situation: &Situation| serde_json::to_value(Verdict::of(situation)).unwrap();
    let expected = json!({
        "kind": "destination_fails", "since": ago(4 * MINUTE), "route": "sss", "destination": "sss",
        "reason": "503", "keys": 2, "give_up_at": ago(4 * MINUTE).plus(Duration::from_secs(3 * DAY)),
        "is_long": false,
    });
    assert_eq!(verdict(&failing(keys))["waits"], json!([expected]));
    let is_long = |since| verdict(&down(since))["waits"][0]["is_long"] == Value::Bool(true);
    assert!(is_long(10 * MINUTE) && !is_long(10 * MINUTE - 1));
    let expected = json!({
        "kind": "key_blocked", "since": ago(1), "key": "A-7", "event_id": "e-1", "route": "sss",
        "destination": "sss", "reason": "503",
    });
    assert_eq!(verdict(&failing(vec![key(Failure::Rejected, 1)]))["findings"], json!([expected]));
    let paused = paused(vec![pause("a", Some(1), Some(9)), pause("b", Some(1), Some(20))]);
    let expected = json!({ "kind": "paused", "name": "b", "by": "sato", "until": ahead(20) });
    assert_eq!(verdict(&paused)["waits"], json!([expected]), "the last end");
    let endless = self::paused(vec![pause("a", Some(1), None), pause("b", Some(1), Some(20))]);
    let expected = json!({ "kind": "paused", "name": "a", "by": "sato", "until": null });
    assert_eq!(verdict(&endless)["waits"], json!([expected]), "one has no end");
}

#[test]
fn a_check_that_fails_needs_somebody_and_hides_nothing() {
    let failed = || ["clock".to_owned()];
    let only = |findings: Vec<Finding>| Verdict::of_findings(findings);
    assert_eq!(short(&only(vec![]).with_failed_checks(failed())), "act(check_fails)");
    assert_eq!(short(&only(vec![])), "nothing");
    let dead = Finding::EngineDown { last_line_at: None, unknown: None, reason: String::new() };
    let (fails, full) = (Finding::StorageFails, Finding::DiskFull { free_bytes: 0 });
    assert_eq!(short(&only(vec![full, fails, dead])), "act(engine_down,storage_fails,disk_full)");
    for (situation, expected) in [
        (down(1), "act(check_fails) waits(destination_fails)"),
        (Situation { missing: not(), ..well() }, "act(check_fails) unknown(loss_meter)"),
        (failing(vec![key(Failure::Rejected, 1)]), "act(key_blocked,check_fails)"),
    ] {
        assert_eq!(short(&Verdict::of(&situation).with_failed_checks(failed())), expected);
    }
}

/// What is told where nobody looks is no news to who looks.
#[test]
fn what_is_notified_needs_a_person_here_as_well() {
    let queues = |situation: &Situation| Queues {
        damaged: situation.storage.value().map_or(0, |storage| storage.damaged),
        messages: situation.events,
        oldest_age: situation.oldest_at.value().map_or(Duration::ZERO, |at| now().since(*at)),
        dead_letters: situation.dead_letters,
        oldest_dead_letter_age: situation
            .oldest_dead_letter_at
            .map_or(Duration::ZERO, |at| now().since(at)),
        dead_letter_retention: Duration::from_secs(14 * DAY),
        routes: BTreeMap::from([(
            "sss".to_owned(),
            RouteState { missing: *situation.missing.value().unwrap(), ..RouteState::default() },
        )]),
    };
    let situations = [
        Situation { missing: Known::Is(1), ..well() },
        Situation { forwarder_trouble: Some("no such file".to_owned()), ..well() },
        Situation {
            dead_letters: 1,
            oldest_dead_letter_at: Some(ago(14 * DAY / 5 * 4 + 1)),
            ..well()
        },
        Situation { dead_letters: 1, oldest_dead_letter_at: Some(ago(1)), ..well() },
        Situation { events: 1, oldest_at: Known::Is(ago(15 * MINUTE + 1)), ..well() },
        Situation {
            storage: Known::Is(Storage { fails: true, damaged: 1, ..Storage::default() }),
            ..well()
        },
        paused(Vec::new()),
        paused(vec![pause("r", Some(HOUR), None)]),
    ];
    for situation in situations {
        let state = State {
            storage_fails: situation.storage.value().is_some_and(|it| it.fails),
            forwarder_trouble: situation.forwarder_trouble.clone(),
            delivery: Some((situation.delivery == Known::Is(Delivery::On), 0)),
            queues: Some(queues(&situation)),
            ..State::default()
        };
        let start = Uptime::from_start(Duration::ZERO);
        let readings = Watch::new(start, Start::default()).look(start, &state);
        let ill: Vec<Kind> = readings.ill().map(|(kind, _)| *kind).collect();
        let verdict = Verdict::of(&situation);
        let found: Vec<Kind> = verdict.findings().iter().filter_map(Finding::notified_as).collect();
        assert!(found.is_sorted(), "the most urgent first: {found:?}");
        assert!(!ill.is_empty());
        for kind in ill {
            // Of those that will be deleted it is not said that they are there.
            let is_said = found.contains(&kind)
                || (kind == Kind::DeadLettersPresent
                    && found.contains(&Kind::DeadLettersNearRetention));
            assert!(is_said, "{kind:?}: {found:?}");
        }
    }
}
