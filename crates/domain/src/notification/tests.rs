//! What is told of an engine whose state changes, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::kind::{Kind, Place};
use super::teller::{CALM, KeptTeller, POSTS_PER_HOUR, Post, TOLD_MOST, Teller};
use super::watch::{DestinationState, Queues, Reading, Room, RouteState, Start, State, Watch};
use crate::time::{Timestamp, Uptime};

const MIB: u64 = 1024 * 1024;
const LOOK: Duration = Duration::from_secs(30);
const WALL: u64 = 1_767_225_600_000;

/// An engine that is looked at twice a minute, and whose receiver gets everything.
struct Engine {
    now: Uptime,
    wall: Timestamp,
    watch: Watch,
    teller: Teller,
    state: State,
}

fn place() -> Place {
    Place { environment: "prod".to_owned(), data_dir: Some("/data".to_owned()) }
}

fn well() -> State {
    State {
        disk: Some(Room { free_bytes: 10_000 * MIB, reserve_bytes: 128 * MIB }),
        delivery: Some((true, 0)),
        destinations: BTreeMap::from([(
            "sss/a".to_owned(),
            DestinationState { is_breaker_open: Some(false), ..Default::default() },
        )]),
        queues: Some(Queues {
            dead_letter_retention: Duration::from_hours(14 * 24),
            routes: BTreeMap::from([("sss".to_owned(), RouteState::default())]),
            ..Queues::default()
        }),
        ..State::default()
    }
}

impl Engine {
    fn start() -> Self {
        Self::started(KeptTeller::default(), Start::default(), Timestamp::from_ms(WALL))
    }

    fn started(kept: KeptTeller, start: Start, wall: Timestamp) -> Self {
        // After a start of the machine, so that no time lies far behind.
        let now = Uptime::from_start(Duration::from_secs(5));
        let watch = Watch::new(now, start);
        Self { now, wall, watch, teller: Teller::new(place(), kept, now, wall), state: well() }
    }

    fn restarted(self, off_for: Duration, start: Start) -> Self {
        let kept = self.teller.kept(self.now, self.wall);
        let start = Start { counters: self.watch.counters(), ..start };
        Self::started(kept, start, self.wall.plus(off_for))
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.wall = self.wall.plus(time);
    }

    fn look(&mut self) -> Option<Post> {
        let readings = self.watch.look(self.now, &self.state);
        self.teller.observe(self.now, self.wall, &readings);
        self.teller.post(self.now, self.wall)
    }

    /// What arrives in this time.
    fn hear(&mut self, time: Duration) -> Vec<String> {
        let mut heard = Vec::new();
        let until = self.now.plus(time);
        while self.now < until {
            if let Some(post) = self.look() {
                self.teller.arrived(&post, self.now);
                heard.push(post.text);
            }
            self.pass(LOOK);
        }
        heard
    }

    fn queues(&mut self) -> &mut Queues {
        self.state.queues.as_mut().unwrap()
    }

    fn route(&mut self) -> &mut RouteState {
        self.queues().routes.get_mut("sss").unwrap()
    }

    fn destination(&mut self) -> &mut DestinationState {
        self.state.destinations.get_mut("sss/a").unwrap()
    }
}

fn mins(mins: u64) -> Duration {
    Duration::from_mins(mins)
}

/// Each kind: how it comes to be, and ends; what is told of it; and after which time, to a minute.
type Case = (Kind, fn(&mut Engine), fn(&mut Engine), &'static str);

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let nothing = |_: &mut Engine| {};
    vec![
        (
            Kind::StorageFails,
            |it| it.state.storage_fails = true,
            |it| it.state.storage_fails = false,
            "critical: since 2026-01-01T00:00:00.000Z: the disk takes nothing",
        ),
        (
            Kind::DiskFull,
            |it| it.state.disk = Some(Room { free_bytes: 50 * MIB, reserve_bytes: 128 * MIB }),
            |it| it.state = well(),
            "critical: since 2026-01-01T00:00:00.000Z: the disk has 50 MiB left, and 128 are its reserve",
        ),
        (
            Kind::MessagesDamaged,
            |it| it.queues().damaged = 2,
            |it| it.queues().damaged = 0,
            "critical: since 2026-01-01T00:00:00.000Z: 2 events cannot be read",
        ),
        (
            Kind::ForwarderDown,
            |it| it.state.forwarder_trouble = Some("there is no executable\nat all".to_owned()),
            |it| it.state.forwarder_trouble = None,
            "since 2026-01-01T00:00:00.000Z: no forwarder starts (there is no executable); nothing",
        ),
        (
            Kind::EventsMissing,
            |it| it.route().missing = 3,
            |it| it.route().missing = 0,
            "3 events of route sss neither delivered nor kept",
        ),
        (
            Kind::EventsExpired,
            |it| it.route().expired += 1,
            nothing,
            "1 event of route sss older than the retention, and gone",
        ),
        (
            Kind::DeadLettersNearRetention,
            |it| {
                it.queues().dead_letters = 1;
                it.queues().oldest_dead_letter_age = Duration::from_hours(12 * 24);
            },
            |it| it.state = well(),
            "the oldest dead letter is 12days old, and will be deleted at 14days",
        ),
        (
            Kind::OldestMessageTooOld,
            |it| {
                it.queues().messages = 7;
                it.queues().oldest_age = Duration::from_secs(16 * 60 + 1);
            },
            |it| it.state = well(),
            "an event has waited for 16m, 7 events waiting",
        ),
        (
            Kind::InvocationErrors,
            |it| it.state.delivery = it.state.delivery.map(|(on, errors)| (on, errors + 1)),
            nothing,
            "the forwarder crashed or ran out of time",
        ),
        (
            Kind::BreakerOpen,
            |it| it.destination().is_breaker_open = Some(true),
            |it| it.destination().is_breaker_open = Some(false),
            "destination a of route sss does not answer",
        ),
        (
            Kind::KeyBlocked,
            |it| {
                it.destination().blocked += 1;
                it.destination().blocked_key = Some("order-7".to_owned());
            },
            nothing,
            "ordering key order-7 of route sss waits: destination a rejects its first event",
        ),
        (
            Kind::DeadLettersPresent,
            |it| it.queues().dead_letters = 1,
            |it| it.queues().dead_letters = 0,
            "warning: since 2026-01-01T00:00:00.000Z: 1 event could not be delivered",
        ),
        (
            Kind::EventsRemoved,
            |it| it.route().removed += 12,
            nothing,
            "12 events of route sss purged or deleted by hand",
        ),
        (
            Kind::RequestsRefused,
            |it| it.state.refused += 21,
            nothing,
            "21 requests refused in a quarter of an hour",
        ),
        (
            Kind::Paused,
            |it| it.state.delivery = Some((false, 0)),
            |it| it.state.delivery = Some((true, 0)),
            "delivery is paused, 0 events waiting",
        ),
        (
            Kind::LogIncomplete,
            |it| it.state.log_lines_left_out += 5,
            nothing,
            "info: since 2026-01-01T00:00:00.000Z: 5 log lines left out in a quarter of an hour",
        ),
    ]
}

#[test]
fn each_condition_is_told_once_when_it_begins_and_once_when_it_is_over() {
    for (kind, begin, end, says) in cases() {
        let mut engine = Engine::start();
        assert!(engine.look().is_none());
        begin(&mut engine);
        let mut heard = Vec::new();
        // A counter that rose once is looked back at for a while; again and again is longer.
        for _ in 0..kind.holds_for().as_secs() / 60 {
            heard.extend(engine.hear(mins(1)));
            if matches!(kind, Kind::InvocationErrors | Kind::KeyBlocked) {
                begin(&mut engine);
            }
        }
        assert_eq!(heard, [""; 0], "{kind:?} is told too early");
        heard.extend(engine.hear(mins(1)));
        assert_eq!(heard.len(), 1, "{kind:?}: {heard:?}");
        assert!(heard[0].starts_with("prod: ") && heard[0].contains(says), "{kind:?}: {heard:?}");
        let last: Vec<&str> = heard[0].lines().skip(1).collect();
        assert_eq!(last[0], format!("  {}", kind.to_type(&place())), "{kind:?}");
        assert_eq!(last[1], format!("  docs/runbook.md#{}", kind.runbook()), "{kind:?}");

        end(&mut engine);
        let heard = engine.hear(Duration::from_hours(3));
        assert_eq!(heard.len(), 1, "{kind:?}: {heard:?}");
        assert!(heard[0].starts_with("prod: again fine since 2026-01-01T0"), "{heard:?}");
        // Dead letters near their end are dead letters as well.
        let over = if kind == Kind::DeadLettersNearRetention { 2 } else { 1 };
        assert_eq!(heard[0].lines().count(), over, "{heard:?}");
    }
    let told: BTreeSet<Kind> = cases().iter().map(|(kind, ..)| *kind).collect();
    let elsewhere = [Kind::Restarts, Kind::Killed, Kind::DiskFillsUp];
    assert!(Kind::ALL.iter().all(|kind| told.contains(kind) || elsewhere.contains(kind)));
}

#[test]
fn what_is_over_soon_is_not_told_and_neither_is_a_well_engine() {
    let mut engine = Engine::start();
    assert_eq!(engine.hear(Duration::from_hours(48)), [""; 0]);
    engine.state.storage_fails = true;
    engine.destination().is_breaker_open = Some(true);
    assert_eq!(engine.hear(mins(1)), [""; 0]);
    engine.state = well();
    assert_eq!(engine.hear(Duration::from_hours(1)), [""; 0]);
    // Twenty refused requests are somebody who looks around.
    engine.state.refused += 20;
    assert_eq!(engine.hear(Duration::from_hours(1)), [""; 0]);
    // A queue that waits while delivery is paused does what it should.
    engine.state.delivery = Some((false, 0));
    engine.queues().oldest_age = mins(20);
    assert_eq!(engine.hear(mins(50)), [""; 0]);
}

#[test]
fn what_flaps_is_one_condition() {
    let mut engine = Engine::start();
    let mut heard = Vec::new();
    for minute in 0..240 {
        engine.queues().dead_letters = u64::from(minute % 2 == 0);
        heard.extend(engine.hear(mins(1)));
    }
    engine.queues().dead_letters = 0;
    heard.extend(engine.hear(Duration::from_hours(1)));
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(
        heard[1].contains("again fine since 2026-01-01T03:59:00.000Z: no dead letters are left")
    );
}

#[test]
fn what_goes_on_is_told_again_after_hours_and_sooner_where_it_gets_worse() {
    let mut engine = Engine::start();
    engine.queues().dead_letters = 1;
    assert_eq!(engine.hear(Duration::from_hours(23)).len(), 1);
    let again = engine.hear(Duration::from_hours(2));
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(
        again[0].contains("warning: still, since 2026-01-01T00:00:00.000Z: 1 event"),
        "{again:?}"
    );
    // It was gone for a moment, and is the same one all the same.
    engine.queues().dead_letters = 0;
    assert_eq!(engine.hear(mins(1)), [""; 0]);
    engine.queues().dead_letters = 1;
    for _ in 0..2 {
        let again = engine.hear(Duration::from_hours(24)).concat();
        assert!(again.contains("still, since 2026-01-01T00:00:00.000Z"), "{again}");
    }
    engine.queues().dead_letters = 200;
    let worse = engine.hear(Duration::from_hours(4));
    assert!(worse.len() == 1 && worse[0].contains("200 events"), "{worse:?}");
    engine.state.disk = Some(Room { free_bytes: MIB, reserve_bytes: 128 * MIB });
    assert_eq!(engine.hear(Duration::from_hours(12)).len(), 3);
}

/// That stays until counting begins anew: nothing that a person does brings them back.
#[test]
fn events_that_are_missing_are_told_again_only_when_they_are_more() {
    let mut engine = Engine::start();
    engine.route().missing = 1;
    assert_eq!(engine.hear(Duration::from_hours(1_000)).len(), 1);
    engine.route().missing = 2;
    engine
        .queues()
        .routes
        .insert(String::new(), RouteState { missing: 1, ..RouteState::default() });
    let heard = engine.hear(Duration::from_hours(1_000)).concat();
    assert!(heard.contains("1 event that names no route neither"), "{heard}");
    assert_eq!(heard.matches("2 events of route sss neither").count(), 1, "{heard}");
}

#[test]
fn a_disk_that_fills_up_is_told_a_day_before() {
    let mut engine = Engine::start();
    let mut left = 10_000 * MIB;
    let mut heard = Vec::new();
    for _ in 0..300 {
        // 600 MiB an hour: a day before the reserve is reached there are 14.5 GB left.
        left -= 10 * MIB;
        engine.state.disk = Some(Room { free_bytes: left, reserve_bytes: 128 * MIB });
        heard.extend(engine.hear(mins(1)));
    }
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("will be full within a day"), "{heard:?}");
    // One that is full of something that stays does not fill up.
    engine.state.disk = Some(Room { free_bytes: 300 * MIB, reserve_bytes: 128 * MIB });
    let heard = engine.hear(Duration::from_hours(10));
    assert!(heard.len() == 1 && heard[0].contains("the disk no longer fills up"), "{heard:?}");
}

#[test]
fn after_a_restart_nothing_is_told_anew_and_nothing_is_forgotten() {
    let mut engine = Engine::start();
    assert!(engine.look().is_none());
    engine.queues().dead_letters = 1;
    engine.destination().is_breaker_open = Some(true);
    engine.route().expired = 5;
    assert_eq!(
        engine.hear(mins(20)).len(),
        2,
        "the dead letters and what expired, then the destination"
    );
    let mut engine = engine.restarted(mins(1), Start::default());
    engine.queues().dead_letters = 1;
    engine.route().expired = 5;
    // Nobody was tried yet, and then the queues do not answer.
    engine.destination().is_breaker_open = None;
    assert_eq!(engine.hear(mins(5)), [""; 0]);
    engine.state.queues = None;
    let heard = engine.hear(Duration::from_hours(2));
    assert_eq!(heard, [""; 0], "what cannot be seen is not over");
    engine.state = well();
    engine.route().expired = 5;
    let heard = engine.hear(Duration::from_hours(2));
    let heard = heard.concat();
    assert_eq!(heard.matches("again fine").count(), 3, "{heard}");
    for over in
        ["no dead letters are left", "the destination answers (sss/a)", "no further events expired"]
    {
        assert!(heard.contains(over), "{over} in {heard}");
    }
    // What expired while the engine was away is told.
    let mut engine = engine.restarted(mins(1), Start::default());
    engine.route().expired = 7;
    let heard = engine.hear(mins(1));
    assert!(heard.len() == 1 && heard[0].contains("2 events of route sss older"), "{heard:?}");
}

#[test]
fn a_repeat_comes_when_it_is_due_however_often_the_engine_starts() {
    let mut engine = Engine::start();
    engine.queues().dead_letters = 1;
    let mut heard = engine.hear(mins(1)).len();
    for _ in 0..26 {
        engine = engine.restarted(mins(30), Start::default());
        engine.queues().dead_letters = 1;
        heard += engine.hear(mins(30)).len();
    }
    assert_eq!(heard, 2);
}

#[test]
fn an_engine_that_was_killed_says_so_once_and_one_that_restarts_again_and_again_as_well() {
    let mut starts = vec![Duration::ZERO];
    let mut engine = Engine::started(
        KeptTeller::default(),
        Start { starts_ago: starts.clone(), was_killed: true, ..Start::default() },
        Timestamp::from_ms(WALL),
    );
    let heard = engine.hear(mins(1));
    assert!(
        heard.len() == 1 && heard[0].contains("ended without having been stopped"),
        "{heard:?}"
    );
    let mut heard = Vec::new();
    for _ in 0..20 {
        for ago in &mut starts {
            *ago += mins(1);
        }
        starts.push(Duration::ZERO);
        let start = Start { starts_ago: starts.clone(), was_killed: true, ..Start::default() };
        engine = engine.restarted(Duration::ZERO, start);
        heard.extend(engine.hear(mins(1)));
    }
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("critical") && heard[0].contains("was started 4 times"), "{heard:?}");
    // What happened once is not repeated.
    let heard = engine.hear(Duration::from_hours(30));
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("the engine stays up") && !heard[0].contains("killed"), "{heard:?}");
}

#[test]
fn a_receiver_that_is_away_hears_what_is_then_and_what_it_missed() {
    let mut engine = Engine::start();
    engine.queues().dead_letters = 3;
    let mut attempts = Vec::new();
    for minute in 0..120 {
        engine.state.log_lines_left_out = u64::from(minute > 1);
        if engine.look().is_some() {
            attempts.push(minute);
            engine.teller.failed(engine.now, None);
        }
        engine.pass(mins(1));
    }
    assert_eq!(attempts[..4], [0, 1, 2, 4], "{attempts:?}");
    assert!(attempts.len() <= 15 && *attempts.last().unwrap() > 105, "{attempts:?}");
    engine.queues().dead_letters = 4;
    let heard = engine.hear(mins(20));
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("4 events could not be delivered"), "{heard:?}");
    assert!(heard[0].ends_with("LogIncomplete") && heard[0].contains("came and went"), "{heard:?}");
}

#[test]
fn a_receiver_says_when_it_wants_to_be_asked_again() {
    for (asked, minutes) in [(mins(7), 7), (Duration::from_hours(100), 60)] {
        let mut engine = Engine::start();
        engine.queues().dead_letters = 3;
        assert!(engine.look().is_some());
        engine.teller.failed(engine.now, Some(asked));
        engine.pass(mins(minutes).saturating_sub(LOOK));
        assert!(engine.look().is_none());
        engine.pass(LOOK);
        assert!(engine.look().is_some());
    }
}

#[test]
fn many_conditions_are_summed_up() {
    let mut engine = Engine::start();
    for number in 0..50 {
        let route = RouteState { missing: 1, ..RouteState::default() };
        engine.queues().routes.insert(format!("r{number:02}"), route);
    }
    engine.state.disk = Some(Room { free_bytes: 0, reserve_bytes: 1 });
    let _full = engine.hear(mins(1));
    let heard = engine.hear(mins(1));
    assert_eq!(heard[0].matches("neither delivered nor kept").count(), TOLD_MOST, "{heard:?}");
    let last = heard[0].lines().last().unwrap();
    assert_eq!(last, "prod: and 40 more: webhook-operator status prod --data-dir /data");
    assert_eq!(engine.hear(Duration::from_hours(1)), [""; 0], "they are told");
}

#[test]
fn what_a_teller_does_not_know_is_passed_over() {
    let text = r#"{"conditions":[{"kind":"OfANewerEngine","of":"","figure":1,"since_ms":1,"told_at_ms":1}],"more":1}"#;
    let kept: KeptTeller = serde_json::from_str(text).unwrap();
    let mut engine = Engine::started(kept, Start::default(), Timestamp::from_ms(WALL));
    assert_eq!(engine.hear(Duration::from_hours(1)), [""; 0]);
    // A wall clock that was set back by a year keeps nobody silent for one.
    engine.queues().dead_letters = 1;
    assert_eq!(engine.hear(mins(1)).len(), 1);
    let kept = engine.teller.kept(engine.now, engine.wall);
    let mut engine = Engine::started(kept, Start::default(), Timestamp::from_ms(WALL / 2));
    engine.queues().dead_letters = 1;
    assert_eq!(engine.hear(mins(60)), [""; 0]);
    engine.queues().damaged = 1;
    assert_eq!(engine.hear(mins(1)).len(), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    DeadLetters(u64),
    Storage(bool),
    Refuse(u64),
    Breaker(Option<bool>),
    Unseen(bool),
    Receiver(bool),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u64..1_200).prop_map(Step::Pass),
        1 => (0_u64..4).prop_map(Step::DeadLetters),
        1 => any::<bool>().prop_map(Step::Storage),
        1 => (0_u64..40).prop_map(Step::Refuse),
        1 => any::<Option<bool>>().prop_map(Step::Breaker),
        1 => any::<bool>().prop_map(Step::Unseen),
        1 => any::<bool>().prop_map(Step::Receiver),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: no more posts an hour than there may be, no end without a beginning, and once
    /// it is calm the receiver knows of exactly what is there.
    #[test]
    fn a_receiver_knows_what_is_and_is_not_pestered(steps in steps()) {
        let mut engine = Engine::start();
        let (mut posts, mut known, mut away) = (Vec::new(), BTreeSet::new(), false);
        let mut dead_letters = 0;
        for step in steps.into_iter().chain([Step::Unseen(false), Step::Receiver(true), Step::Pass(20_000)]) {
            let mut looks = 1;
            match step {
                Step::Pass(seconds) => looks = seconds / LOOK.as_secs() + 1,
                Step::DeadLetters(count) => dead_letters = count,
                Step::Storage(fails) => engine.state.storage_fails = fails,
                Step::Refuse(count) => engine.state.refused += count,
                Step::Breaker(open) => engine.destination().is_breaker_open = open,
                Step::Unseen(true) => engine.state.queues = None,
                Step::Unseen(false) => engine.state.queues = well().queues,
                Step::Receiver(there) => away = !there,
                Step::Restart => {
                    let state = std::mem::take(&mut engine.state);
                    engine = engine.restarted(mins(1), Start::default());
                    engine.state = State { refused: 0, ..state };
                }
            }
            if let Some(queues) = &mut engine.state.queues {
                queues.dead_letters = dead_letters;
            }
            for _ in 0..looks {
                if let Some(post) = engine.look() {
                    posts.push(engine.wall);
                    if away {
                        engine.teller.failed(engine.now, None);
                    } else {
                        engine.teller.arrived(&post, engine.now);
                        for line in post.text.lines().filter(|line| line.starts_with("prod: ")) {
                            hear(&mut known, line);
                        }
                    }
                }
                engine.pass(LOOK);
            }
        }
        for (index, at) in posts.iter().enumerate() {
            let hour = posts[index..].iter().take_while(|it| it.since(*at) <= Duration::from_hours(1));
            prop_assert!(hour.count() <= POSTS_PER_HOUR as usize, "{posts:?}");
        }
        let is_open = engine.state.destinations["sss/a"].is_breaker_open;
        prop_assert_eq!(known.contains("dead letters"), dead_letters > 0);
        prop_assert_eq!(known.contains("storage"), engine.state.storage_fails);
        prop_assert!(is_open.is_none() || known.contains("breaker") == (is_open == Some(true)));
        prop_assert!(!known.contains("refused"), "20000 s are longer than it is looked back");
        prop_assert!(CALM < Duration::from_secs(20_000));
    }
}

/// However often it starts: no run knows of another's posts.
#[test]
fn an_engine_that_cannot_keep_what_it_posted_posts_once_in_ten_minutes() {
    let mut engine = Engine::start();
    for _ in 0..20 {
        engine = Engine::started(KeptTeller::default(), Start::default(), engine.wall);
        engine.teller.forget_posts(engine.now, mins(9));
        engine.state.storage_fails = true;
        assert!(engine.hear(mins(9)).is_empty());
    }
    assert_eq!(engine.hear(mins(5)).len(), 1, "one that stays up tells of it");

    let mut engine = Engine::start();
    engine.state.storage_fails = true;
    engine.teller.forget_posts(engine.now, mins(10));
    assert_eq!(engine.hear(mins(2)).len(), 1, "one that has been up tells of it at once");
}

fn hear(known: &mut BTreeSet<&'static str>, line: &str) {
    let parts = [
        ("dead letters", "could not be delivered", "no dead letters are left"),
        ("storage", "the disk takes nothing", "storage works"),
        ("breaker", "does not answer;", "the destination answers"),
        ("refused", "refused in a quarter", "few requests are refused"),
    ];
    for (name, begins, over) in parts {
        if line.contains("again fine") && line.contains(over) {
            assert!(known.remove(name), "the end of nothing: {line}");
        } else if line.contains(begins) {
            let is_new = known.insert(name);
            assert_eq!(is_new, !line.contains("still, "), "{line}");
        }
    }
}

fn reading_of(kind: Kind, now: Uptime, watch: &mut Watch, state: &State) -> Reading {
    watch.look(now, state).of(&(kind, String::new()))
}

fn is_ill(kind: Kind, state: &State) -> bool {
    let now = Uptime::from_start(Duration::from_secs(5));
    let mut watch = Watch::new(now, Start::default());
    matches!(reading_of(kind, now, &mut watch, state), Reading::Ill { .. })
}

#[test]
fn a_condition_holds_for_as_long_as_is_said() {
    let minutes = |kind: Kind| kind.holds_for().as_secs() / 60;
    for (kind, expected) in [
        (Kind::StorageFails, 1),
        (Kind::EventsMissing, 1),
        (Kind::ForwarderDown, 2),
        (Kind::BreakerOpen, 10),
        (Kind::KeyBlocked, 10),
        (Kind::InvocationErrors, 15),
        (Kind::DiskFillsUp, 60),
        (Kind::Paused, 60),
        (Kind::DiskFull, 0),
    ] {
        assert_eq!(minutes(kind), expected, "{kind:?}");
    }
}

#[test]
fn each_condition_has_its_section_in_the_runbook() {
    let runbook = include_str!("../../../../docs/runbook.md");
    let anchors: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    for kind in Kind::ALL {
        assert!(anchors.contains(kind.runbook()), "{kind:?}: {} {anchors:?}", kind.runbook());
    }
}

#[test]
fn a_limit_is_passed_by_the_least_that_is_more() {
    let disk = |free_bytes| State {
        disk: Some(Room { free_bytes, reserve_bytes: 128 * MIB }),
        ..State::default()
    };
    assert!(!is_ill(Kind::DiskFull, &disk(128 * MIB)));
    assert!(is_ill(Kind::DiskFull, &disk(128 * MIB - 1)));

    let oldest =
        |oldest_age| State { queues: Some(Queues { oldest_age, ..Queues::default() }), ..well() };
    assert!(!is_ill(Kind::OldestMessageTooOld, &oldest(mins(15))));
    assert!(is_ill(Kind::OldestMessageTooOld, &oldest(mins(15) + Duration::from_millis(1))));

    let letters = |dead_letters, oldest_dead_letter_age| State {
        queues: Some(Queues {
            dead_letters,
            oldest_dead_letter_age,
            dead_letter_retention: Duration::from_hours(5 * 24),
            ..Queues::default()
        }),
        ..State::default()
    };
    let four_days = Duration::from_hours(4 * 24);
    let longer = four_days + Duration::from_millis(1);
    assert!(!is_ill(Kind::DeadLettersNearRetention, &letters(1, four_days)));
    assert!(is_ill(Kind::DeadLettersNearRetention, &letters(1, longer)));
    assert!(!is_ill(Kind::DeadLettersNearRetention, &letters(0, longer)));
}

#[test]
fn a_start_is_recent_for_a_quarter_of_an_hour_and_a_kill_for_an_hour() {
    let now = Uptime::from_start(Duration::from_secs(5));
    let of = |kind, start: Start, up: Duration| {
        let mut watch = Watch::new(now, start);
        matches!(reading_of(kind, now.plus(up), &mut watch, &well()), Reading::Ill { .. })
    };
    let killed = || Start { was_killed: true, ..Start::default() };
    let instant = Duration::from_millis(1);
    let hour = Duration::from_hours(1);
    assert!(of(Kind::Killed, killed(), hour.saturating_sub(instant)));
    assert!(!of(Kind::Killed, killed(), hour));
    let first =
        |ago| Start { starts_ago: vec![ago, mins(2), mins(1), Duration::ZERO], ..Start::default() };
    assert!(of(Kind::Restarts, first(mins(15).saturating_sub(instant)), Duration::ZERO));
    assert!(!of(Kind::Restarts, first(mins(15)), Duration::ZERO));
}

/// What is told at looks every twelve minutes, which is as often as a sample is kept.
fn told_of_disk(rooms: impl IntoIterator<Item = (Duration, u64)>) -> Vec<bool> {
    let start = Uptime::from_start(Duration::from_secs(5));
    let mut watch = Watch::new(start, Start::default());
    let looks = rooms.into_iter().map(|(after, free_bytes)| {
        let disk = Some(Room { free_bytes, reserve_bytes: 128 * MIB });
        let state = State { disk, ..State::default() };
        let reading = reading_of(Kind::DiskFillsUp, start.plus(after), &mut watch, &state);
        matches!(reading, Reading::Ill { .. })
    });
    looks.collect()
}

/// By 2 MiB a minute, which is 2,880 a day.
#[test]
fn a_disk_fills_up_when_the_line_is_below_the_reserve_in_a_day() {
    let first = (128 + 2_880 + 48) * MIB;
    let told = |first: u64| {
        told_of_disk([(mins(0), first), (mins(12), first - 24 * MIB), (mins(24), first - 48 * MIB)])
    };
    assert_eq!(told(first), [false, false, false]);
    assert_eq!(told(first - 1024), [false, false, true]);
}

#[test]
fn what_the_disk_had_more_than_six_hours_ago_is_forgotten() {
    let later = (1..=30).map(|look| (mins(12) * look, 10_000 * MIB));
    let after = [(Duration::from_hours(6) + Duration::from_secs(1), 10_000 * MIB)];
    let told = told_of_disk([(mins(0), 100_000_000 * MIB)].into_iter().chain(later).chain(after));
    assert_eq!(told[30..], [true, false]);
}

#[test]
fn what_is_not_seen_is_well_and_of_queues_that_say_nothing_unknown() {
    let now = Uptime::from_start(Duration::from_secs(5));
    let of = |state: &State, kind, of: &str| {
        Watch::new(now, Start::default()).look(now, state).of(&(kind, of.to_owned()))
    };
    let silent = State { queues: None, disk: None, ..well() };
    assert_eq!(of(&silent, Kind::DiskFull, ""), Reading::Well);
    assert_eq!(of(&silent, Kind::DeadLettersPresent, ""), Reading::Unknown);
    assert_eq!(of(&well(), Kind::EventsMissing, "gone"), Reading::Well);
}

#[test]
fn what_begins_is_told_before_what_is_over() {
    let mut engine = Engine::start();
    engine.state.disk = Some(Room { free_bytes: MIB, reserve_bytes: 128 * MIB });
    let first = engine.look().unwrap();
    assert_eq!(first.conditions, 1);
    engine.teller.arrived(&first, engine.now);
    engine.pass(LOOK);
    engine.state = well();
    assert!(engine.look().is_none());
    engine.pass(CALM);
    engine.queues().dead_letters = 1;
    let both = engine.look().unwrap();
    assert_eq!(both.conditions, 2);
    let begins = both.text.find("could not be delivered").unwrap();
    assert!(begins < both.text.find("again fine").unwrap(), "{}", both.text);
}

#[test]
fn what_is_to_be_kept_has_changed_once() {
    let mut engine = Engine::start();
    engine.teller.has_changed();
    assert!(engine.look().is_none() && !engine.teller.has_changed());
    engine.queues().dead_letters = 1;
    assert!(engine.look().is_some() && engine.teller.has_changed());
    assert!(!engine.teller.has_changed());
}
