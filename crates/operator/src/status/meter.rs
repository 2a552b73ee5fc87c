//! The loss meter on AWS. SQS and Lambda keep no totals, but `CloudWatch` keeps what came and went,
//! minute by minute, and how much was there: enough to strike a balance between two minutes.
//!
//! accepted − delivered − dead letters − dropped − queued + copies = missing, as on one machine:
//!
//! - accepted: there at the beginning, and `NumberOfMessagesSent` of the queue less what operators
//!   sent again. Not the API's count: that is of requests, of which SQS may refuse some, and has no
//!   route without metrics that cost extra.
//! - delivered: what the forwarder counted, but not more than left the queue and did not become a dead
//!   letter. Its count is of destinations and attempts: an event with two destinations, or delivered
//!   twice after a crash, counts twice. What left and was delivered by nobody was deleted by hand.
//! - dead letters, queued: `ApproximateNumberOfMessages…` at the end.
//! - dropped: `NumberOfMessagesDeleted` of the dead-letter queue less what was sent again.
//! - copies: dead letters that operators put back from a file.
//!
//! Two things make it approximate. Metrics arrive late, so the end is some minutes ago. And what was
//! there is measured somewhere within a minute: whatever moved then may or may not be in it. So the
//! balance is struck in quiet minutes where there are some, and what moved in those minutes is how
//! uncertain the result is. Less than that is not called missing.
//!
//! Sources: SQS guide, "Available `CloudWatch` metrics"; the forwarder's metrics are in
//! `forwarder::metrics`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use domain::time::Timestamp;

use super::report::{Balance, Left, LossMeter};
use crate::cloudwatch::{Answer, Metric, Series, count};

/// Minutes after which what SQS and the forwarder counted is there. SQS's metrics may be 15 minutes
/// late when a queue was inactive before. Source: SQS guide, "Accessing `CloudWatch` metrics".
pub(super) const SETTLED_AFTER_MINUTES: u64 = 15;

/// Minutes among which the quietest is chosen, at either end.
const CHOICE_MINUTES: u64 = 10;

/// Minutes without metrics after which counting begins anew: of an inactive queue nothing is told, and
/// who knows what is told of its first minutes.
const GAP_MINUTES: u64 = 15;

/// What SQS tells of a queue.
#[derive(Debug, Default)]
struct Queue {
    visible: Series,
    in_flight: Series,
    delayed: Series,
    sent: Series,
    deleted: Series,
}

/// SQS's names of it.
const OF_A_QUEUE: [(&str, &str); 5] = [
    ("ApproximateNumberOfMessagesVisible", "Average"),
    ("ApproximateNumberOfMessagesNotVisible", "Average"),
    ("ApproximateNumberOfMessagesDelayed", "Average"),
    ("NumberOfMessagesSent", "Sum"),
    ("NumberOfMessagesDeleted", "Sum"),
];

/// The forwarder's names of what it counts by route.
const OF_A_ROUTE: [&str; 2] = ["Delivered", "DeadLettered"];

/// What operators noted to have done, by when: what came back to the queue, and what was put into the
/// dead-letter queue from a file.
#[derive(Debug, Default)]
pub(super) struct Operated {
    pub(super) returned: Vec<(Timestamp, u64)>,
    pub(super) imported: Vec<(Timestamp, u64)>,
}

/// What is asked of `CloudWatch`; [`Meter::of`] takes the answers.
pub(super) fn metrics(
    environment: &str,
    queue: &str,
    dead_letter_queue: &str,
    routes: &[&str],
) -> Vec<Metric> {
    let of_queue = |queue: &str| {
        OF_A_QUEUE.map(|(name, statistic)| Metric::Queue {
            queue: queue.to_owned(),
            name,
            statistic,
        })
    };
    let deduplicated = Metric::Queue {
        queue: queue.to_owned(),
        name: "NumberOfDeduplicatedSentMessages",
        statistic: "Sum",
    };
    let of_routes = OF_A_ROUTE.into_iter().flat_map(|name| {
        // A search finds new metrics only after some minutes; a name finds only the routes of today.
        let environment = environment.to_owned();
        let route = |route: &&str| Metric::Route {
            environment: environment.clone(),
            route: (*route).to_owned(),
            name,
        };
        let search = Metric::Routes { environment: environment.clone(), name };
        routes.iter().map(route).chain([search]).collect::<Vec<_>>()
    });
    [&of_queue(queue)[..], &of_queue(dead_letter_queue)[..], &[deduplicated]]
        .concat()
        .into_iter()
        .chain(of_routes)
        .collect()
}

/// What the balance is struck from.
#[derive(Debug, Default)]
pub(super) struct Meter {
    queue: Queue,
    dead_letters: Queue,
    deduplicated: Series,
    /// By route.
    delivered: Answer,
    dead_lettered: Answer,
}

impl Meter {
    /// From the answers to [`metrics`].
    pub(super) fn of(answers: Vec<Answer>, routes: usize) -> Self {
        let mut answers = answers.into_iter();
        let mut one = || {
            let series = answers.next().unwrap_or_default().into_values();
            series.flatten().collect::<Series>()
        };
        let mut queue = || Queue {
            visible: one(),
            in_flight: one(),
            delayed: one(),
            sent: one(),
            deleted: one(),
        };
        let (queue, dead_letters) = (queue(), queue());
        let deduplicated = one();
        // The same route may be found by its name and by the search.
        let mut by_route = || -> Answer {
            let mut all = Answer::new();
            for (route, series) in answers.by_ref().take(routes + 1).flatten() {
                all.entry(route).or_default().extend(series);
            }
            all.retain(|_, series| !series.is_empty());
            all
        };
        let (delivered, dead_lettered) = (by_route(), by_route());
        Self { queue, dead_letters, deduplicated, delivered, dead_lettered }
    }

    /// The balance since `since` up to what has settled by `now`; the dead-letter queue holds
    /// `dead_letters_now`. `operated` is `None` if it is not known what operators did.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn balance(
        &self,
        since: Timestamp,
        now: Timestamp,
        dead_letters_now: u64,
        operated: Option<&Operated>,
    ) -> Result<LossMeter, String> {
        let settled = minute(now).saturating_sub(SETTLED_AFTER_MINUTES);
        let begin = self.begin(minute(since), settled).ok_or_else(|| {
            format!("CloudWatch has no counts of the queue from before {SETTLED_AFTER_MINUTES} minutes ago")
        })?;
        let begin = self.quietest(begin..=begin + CHOICE_MINUTES);
        let end = self.quietest((settled.saturating_sub(CHOICE_MINUTES)..=settled).rev());
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err("CloudWatch tells nothing of the queue lately: is it inactive?".to_owned());
        };
        if end <= begin {
            return Err(format!(
                "the balance is struck at a minute of {SETTLED_AFTER_MINUTES} to {} minutes ago, and CloudWatch's counts begin later",
                SETTLED_AFTER_MINUTES + CHOICE_MINUTES
            ));
        }
        let between = begin + 1..=end;
        let [queued_before, queued] =
            [begin, end].map(|at| self.queue.stock(at).unwrap_or_default());
        // Without any datapoint nothing has moved there, and what is there was there.
        let [dead_before, dead_letters] =
            [begin, end].map(|at| self.dead_letters.stock(at).unwrap_or(dead_letters_now));
        let within = |noted: &Vec<(Timestamp, u64)>| -> u64 {
            let of = noted.iter().filter(|(at, _)| between.contains(&minute(*at)));
            of.map(|(_, count)| count).sum()
        };
        let returned = operated.map(|operated| within(&operated.returned));
        let copies = operated.map(|operated| within(&operated.imported));

        let sent = sum(&self.queue.sent, &between);
        let left = sum(&self.queue.deleted, &between);
        let became_dead_letters =
            sum(&self.dead_letters.sent, &between).saturating_sub(copies.unwrap_or_default());
        let done = left.saturating_sub(became_dead_letters);
        let reported: u64 = self.delivered.values().map(|series| sum(series, &between)).sum();
        // A forwarder that writes no metrics reports nothing, and has not lost anything by that.
        let delivered = if self.delivered.is_empty() { done } else { done.min(reported) };
        let removed = sum(&self.dead_letters.deleted, &between);

        let difference = signed(queued_before + dead_before + sent + copies.unwrap_or_default())
            - signed(delivered)
            - signed(removed)
            - signed(dead_letters)
            - signed(queued);
        let uncertain_by =
            self.moved_around(begin) + self.moved_around(end) + sum(&self.deduplicated, &between);
        let certain = difference.unsigned_abs() > uncertain_by;
        let missing = if certain { difference } else { 0 };
        let total = Balance {
            accepted: returned
                .map(|returned| (queued_before + dead_before + sent).saturating_sub(returned)),
            delivered,
            dead_letters: Some(dead_letters),
            dropped: returned.map(|returned| signed(removed) - signed(returned)),
            queued: Some(queued),
            missing: Some(missing),
            copies: copies.map(signed),
            dead_lettered: became_dead_letters,
            redriven: returned,
            left: Left { expired: None, purged: None, deleted: Some(done - delivered) },
        };
        let routes: BTreeSet<&String> =
            self.delivered.keys().chain(self.dead_lettered.keys()).collect();
        let of_route = |answer: &Answer, route: &String| {
            answer.get(route).map_or(0, |series| sum(series, &between))
        };
        let of_route = |route: &String| Balance {
            delivered: of_route(&self.delivered, route),
            dead_lettered: of_route(&self.dead_lettered, route),
            ..Balance::default()
        };
        Ok(LossMeter {
            since: time(begin).to_string(),
            missing,
            routes: routes.into_iter().map(|route| (route.clone(), of_route(route))).collect(),
            until: Some(time(end).to_string()),
            difference: Some(difference),
            uncertain_by: Some(uncertain_by),
            total: Some(total),
        })
    }

    /// Whether the forwarder's own counts are there.
    pub(super) fn has_counts_of_the_forwarder(&self) -> bool {
        !self.delivered.is_empty()
    }

    /// The first minute from `since` on from which both queues are told of, without a gap in what is
    /// told of the queue.
    fn begin(&self, since: u64, settled: u64) -> Option<u64> {
        let mut begin: Option<u64> = None;
        let mut last = 0;
        for minute in self.queue.visible.range(since..=settled).map(|(minute, _)| *minute) {
            if minute > last + GAP_MINUTES {
                begin = Some(minute);
            }
            last = minute;
        }
        // One that was never used is told nothing of.
        let dead_letters = self.dead_letters.visible.keys().next().copied();
        let dead_letters = dead_letters.filter(|minute| *minute <= settled);
        begin.map(|begin| begin.max(dead_letters.unwrap_or(begin)))
    }

    /// The first of the quietest minutes that something is told of.
    fn quietest(&self, choice: impl Iterator<Item = u64>) -> Option<u64> {
        let told = choice.filter(|minute| self.queue.visible.contains_key(minute));
        told.min_by_key(|minute| self.moved_around(*minute))
    }

    /// What moved in a minute and its neighbours.
    fn moved_around(&self, minute: u64) -> u64 {
        let around = minute.saturating_sub(1)..=minute + 1;
        [&self.queue, &self.dead_letters]
            .iter()
            .map(|queue| sum(&queue.sent, &around) + sum(&queue.deleted, &around))
            .sum()
    }
}

impl Queue {
    /// How many messages were there, by the newest that was told by `at`.
    fn stock(&self, at: u64) -> Option<u64> {
        let (minute, visible) = self.visible.range(..=at).next_back()?;
        // These are told of only while there are some.
        let also = [&self.in_flight, &self.delayed].map(|series| series.get(minute).copied());
        Some(count(visible + also.into_iter().flatten().sum::<f64>()))
    }
}

fn sum(series: &Series, minutes: &RangeInclusive<u64>) -> u64 {
    count(series.range(minutes.clone()).map(|(_, value)| value).sum())
}

fn minute(time: Timestamp) -> u64 {
    time.as_ms() / 60_000
}

fn time(minute: u64) -> Timestamp {
    Timestamp::from_ms(minute * 60_000)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
#[cfg(test)]
mod tests {
    use super::*;

    /// Now, in minutes; counts of the last hour are there, and of the last quarter not yet.
    const NOW: u64 = 29_454_000;
    const BEGIN: u64 = NOW - 60;

    /// Two queues that are told of every minute, and stay empty.
    fn idle() -> Meter {
        let mut meter = Meter::default();
        for minute in BEGIN..NOW {
            meter.queue.visible.insert(minute, 0.0);
            meter.dead_letters.visible.insert(minute, 0.0);
        }
        meter
    }

    fn add(series: &mut Series, minute: u64, events: u32) {
        *series.entry(minute).or_default() += f64::from(events);
    }

    /// From a minute on there are more.
    fn stay(series: &mut Series, from: u64, events: u32) {
        for (_, there) in series.range_mut(from..) {
            *there += f64::from(events);
        }
    }

    /// `events` of route `sss` are accepted and delivered in a minute.
    fn deliver(meter: &mut Meter, minute: u64, events: u32) {
        add(&mut meter.queue.sent, minute, events);
        add(&mut meter.queue.deleted, minute, events);
        add(meter.delivered.entry("sss".to_owned()).or_default(), minute, events);
    }

    /// One becomes a dead letter in a minute.
    fn dead_letter(meter: &mut Meter, minute: u64) {
        add(&mut meter.queue.sent, minute, 1);
        add(&mut meter.dead_letters.sent, minute, 1);
        add(&mut meter.queue.deleted, minute, 1);
        add(meter.dead_lettered.entry("sss".to_owned()).or_default(), minute, 1);
        stay(&mut meter.dead_letters.visible, minute, 1);
    }

    fn balance(meter: &Meter, operated: &Operated) -> LossMeter {
        meter.balance(time(BEGIN), time(NOW), 0, Some(operated)).unwrap()
    }

    fn check(meter: &Meter, missing: i64) -> LossMeter {
        let told = balance(meter, &Operated::default());
        assert_eq!(told.missing, missing, "{told:#?}");
        told
    }

    #[test]
    fn nothing_is_missing_while_events_are_delivered_wait_or_are_dead_letters() {
        let mut meter = idle();
        deliver(&mut meter, BEGIN + 20, 50);
        dead_letter(&mut meter, BEGIN + 21);
        add(&mut meter.queue.sent, BEGIN + 22, 3);
        stay(&mut meter.queue.visible, BEGIN + 22, 1);
        meter.queue.in_flight = (BEGIN + 22..NOW).map(|minute| (minute, 2.0)).collect();
        let told = check(&meter, 0);
        let total = told.total.unwrap();
        assert_eq!(
            (total.accepted, total.delivered, total.dead_letters, total.queued),
            (Some(54), 50, Some(1), Some(3))
        );
        assert_eq!((told.difference, told.uncertain_by), (Some(0), Some(0)));
        assert_eq!((told.routes["sss"].delivered, told.routes["sss"].dead_lettered), (50, 1));
        assert_eq!(told.routes["sss"].accepted, None, "SQS counts no routes");
    }

    #[test]
    fn what_expired_or_was_purged_is_missing() {
        let mut meter = idle();
        deliver(&mut meter, BEGIN + 20, 50);
        add(&mut meter.queue.sent, BEGIN + 22, 4);
        assert_eq!(check(&meter, 4).total.unwrap().left.deleted, Some(0));
        // It was there before counting began.
        let mut meter = idle();
        for minute in BEGIN..BEGIN + 30 {
            meter.dead_letters.visible.insert(minute, 2.0);
        }
        check(&meter, 2);
    }

    #[test]
    fn what_left_and_was_delivered_by_nobody_is_missing() {
        let mut meter = idle();
        deliver(&mut meter, BEGIN + 20, 50);
        add(&mut meter.queue.sent, BEGIN + 22, 2);
        add(&mut meter.queue.deleted, BEGIN + 25, 2);
        assert_eq!(check(&meter, 2).total.unwrap().left.deleted, Some(2));
        // Without metrics of the forwarder nobody knows who delivered.
        meter.delivered.clear();
        check(&meter, 0);
        assert!(!meter.has_counts_of_the_forwarder());
    }

    #[test]
    fn an_event_that_is_delivered_twice_or_to_two_destinations_is_one() {
        let mut meter = idle();
        deliver(&mut meter, BEGIN + 20, 50);
        add(meter.delivered.get_mut("sss").unwrap(), BEGIN + 20, 50);
        assert_eq!(check(&meter, 0).total.unwrap().delivered, 50);
    }

    #[test]
    fn a_redrive_is_no_new_event_and_a_drop_no_loss() {
        let mut meter = idle();
        for minute in [20, 21, 22] {
            dead_letter(&mut meter, BEGIN + minute);
        }
        // One is sent again and delivered, one dropped, and put back from its file.
        add(&mut meter.dead_letters.deleted, BEGIN + 30, 2);
        for (_, there) in meter.dead_letters.visible.range_mut(BEGIN + 30..) {
            *there -= 2.0;
        }
        deliver(&mut meter, BEGIN + 30, 1);
        add(&mut meter.dead_letters.sent, BEGIN + 35, 1);
        stay(&mut meter.dead_letters.visible, BEGIN + 35, 1);
        let operated = Operated {
            returned: vec![(time(BEGIN + 30), 1), (time(NOW), 9)],
            imported: vec![(time(BEGIN + 35), 1)],
        };
        let told = balance(&meter, &operated);
        let total = told.total.unwrap();
        assert_eq!(
            [told.missing, total.dropped.unwrap(), total.copies.unwrap()],
            [0, 1, 1],
            "{:?}",
            told.difference
        );
        assert_eq!((total.accepted, total.dead_letters), (Some(3), Some(2)));
        // Without the audit log the parts are not known, and what is missing is, but for the copy.
        let told = meter.balance(time(BEGIN), time(NOW), 0, None).unwrap();
        assert_eq!(told.total.unwrap().accepted, None);
    }

    #[test]
    fn what_moves_while_the_balance_is_struck_is_not_called_missing() {
        let mut meter = idle();
        // Five a minute, all the time, and two of the last are not in the counts any more.
        (BEGIN..NOW).for_each(|minute| deliver(&mut meter, minute, 5));
        stay(&mut meter.queue.visible, NOW - SETTLED_AFTER_MINUTES - CHOICE_MINUTES, 2);
        let told = check(&meter, 0);
        assert_eq!(told.difference, Some(-2));
        assert!(told.uncertain_by >= Some(20), "{told:?}");
        // What has not settled yet is not looked at.
        let mut meter = idle();
        add(&mut meter.queue.sent, NOW - SETTLED_AFTER_MINUTES + 2, 7);
        check(&meter, 0);
    }

    #[test]
    fn a_quiet_minute_is_chosen_where_there_is_one() {
        let mut meter = idle();
        let end = NOW - SETTLED_AFTER_MINUTES;
        for minute in (BEGIN..=BEGIN + 5).chain(end - 3..=end) {
            deliver(&mut meter, minute, 5);
        }
        add(&mut meter.queue.sent, BEGIN + 30, 1);
        let told = check(&meter, 1);
        assert_eq!((told.difference, told.uncertain_by), (Some(1), Some(0)));
    }

    #[test]
    fn a_repeat_that_sqs_swallowed_makes_it_uncertain() {
        let mut meter = idle();
        add(&mut meter.queue.sent, BEGIN + 30, 1);
        add(&mut meter.deduplicated, BEGIN + 30, 1);
        check(&meter, 0);
    }

    #[test]
    fn counting_begins_anew_after_a_gap() {
        let mut meter = idle();
        add(&mut meter.queue.sent, BEGIN + 5, 3);
        for minute in BEGIN + 10..BEGIN + 27 {
            meter.queue.visible.remove(&minute);
        }
        let told = check(&meter, 0);
        assert!(people_time(&told.since) >= time(BEGIN + 27), "{}", told.since);
    }

    #[test]
    fn a_dead_letter_queue_that_is_not_told_of_has_not_moved() {
        let mut meter = idle();
        meter.dead_letters.visible.clear();
        let told = meter.balance(time(BEGIN), time(NOW), 4, None).unwrap();
        assert_eq!((told.missing, told.total.unwrap().dead_letters), (0, Some(4)));
    }

    #[test]
    fn an_environment_that_is_new_has_no_balance() {
        let mut meter = idle();
        meter.queue.visible.retain(|minute, _| *minute > NOW - SETTLED_AFTER_MINUTES);
        for meter in [meter, Meter::default()] {
            let why = meter.balance(time(BEGIN), time(NOW), 0, None).unwrap_err();
            assert!(why.contains("CloudWatch"), "{why}");
        }
    }

    #[test]
    fn answers_find_their_places() {
        let metrics = metrics("dev", "q.fifo", "d.fifo", &["sss"]);
        let answers = metrics.iter().enumerate().map(|(place, metric)| {
            let label = match metric {
                Metric::Queue { name, .. } => (*name).to_owned(),
                Metric::Route { route, .. } => route.clone(),
                Metric::Routes { .. } => "gone".to_owned(),
                Metric::Age { .. } => unreachable!("no age is asked for"),
            };
            let number = u32::try_from(place).unwrap();
            Answer::from([(label, Series::from([(1, f64::from(number))]))])
        });
        let meter = Meter::of(answers.collect(), 1);
        let at = |series: &Series| count(series[&1]);
        assert_eq!([at(&meter.queue.visible), at(&meter.queue.deleted)], [0, 4]);
        assert_eq!([at(&meter.dead_letters.visible), at(&meter.dead_letters.sent)], [5, 8]);
        assert_eq!(at(&meter.deduplicated), 10);
        assert_eq!([at(&meter.delivered["sss"]), at(&meter.delivered["gone"])], [11, 12]);
        assert_eq!([at(&meter.dead_lettered["sss"]), at(&meter.dead_lettered["gone"])], [13, 14]);
    }

    #[test]
    fn what_moved_in_the_minute_of_the_beginning_was_there_then() {
        let mut meter = idle();
        for minute in BEGIN..=BEGIN + CHOICE_MINUTES + 5 {
            add(&mut meter.queue.sent, minute, 1);
            stay(&mut meter.queue.visible, minute, 1);
        }
        assert_eq!(check(&meter, 0).difference, Some(0));
    }

    fn people_time(text: &str) -> Timestamp {
        crate::people::time(text).unwrap()
    }

    #[test]
    fn a_balance_that_cannot_be_struck_yet_says_from_which_minutes_on() {
        let mut meter = idle();
        meter.queue.visible.retain(|minute, _| *minute >= NOW - SETTLED_AFTER_MINUTES);
        let why = meter.balance(time(BEGIN), time(NOW), 0, None).unwrap_err();
        assert!(why.contains("a minute of 15 to 25 minutes ago"), "{why}");
    }

    #[test]
    fn what_moved_at_both_ends_and_was_swallowed_is_added_up() {
        let mut meter = idle();
        let end = NOW - SETTLED_AFTER_MINUTES;
        // 3 in each minute of either choice, but for the first and the last; 1 of them leaves again.
        for minute in (BEGIN..=BEGIN + CHOICE_MINUTES + 1).chain(end - CHOICE_MINUTES - 1..=end + 1)
        {
            add(&mut meter.queue.sent, minute, 3);
            add(&mut meter.dead_letters.deleted, minute, 1);
        }
        add(&mut meter.deduplicated, BEGIN + 30, 5);
        let told = balance(&meter, &Operated::default());
        // Two minutes at the beginning, before which nothing is told, and three at the end.
        assert_eq!(told.uncertain_by, Some(2 * 4 + 3 * 4 + 5), "{told:?}");
    }

    #[test]
    fn what_was_there_before_is_accepted_as_well() {
        let mut meter = idle();
        for minute in BEGIN..NOW {
            meter.queue.visible.insert(minute, 3.0);
            meter.dead_letters.visible.insert(minute, 2.0);
        }
        deliver(&mut meter, BEGIN + 20, 7);
        let total = check(&meter, 0).total.unwrap();
        assert_eq!((total.accepted, total.delivered, total.queued), (Some(12), 7, Some(3)));
        assert!(meter.has_counts_of_the_forwarder());
    }

    #[test]
    fn a_gap_of_a_quarter_of_an_hour_is_none() {
        let mut meter = idle();
        for minute in BEGIN + 10..BEGIN + 10 + GAP_MINUTES - 1 {
            meter.queue.visible.remove(&minute);
        }
        let told = check(&meter, 0);
        assert_eq!(people_time(&told.since), time(BEGIN), "{}", told.since);
        meter.queue.visible.remove(&(BEGIN + 10 + GAP_MINUTES - 1));
        let told = check(&meter, 0);
        assert_eq!(people_time(&told.since), time(BEGIN + 10 + GAP_MINUTES), "{}", told.since);
    }

    #[test]
    fn a_dead_letter_queue_that_is_told_of_only_lately_does_not_shift_the_beginning() {
        let mut meter = idle();
        let settled = NOW - SETTLED_AFTER_MINUTES;
        meter.dead_letters.visible.retain(|minute, _| *minute > settled);
        let told = check(&meter, 0);
        assert_eq!(people_time(&told.since), time(BEGIN), "{}", told.since);
        // Told of in between, it is counted from then on.
        meter.dead_letters.visible.insert(BEGIN + 8, 0.0);
        let told = check(&meter, 0);
        assert_eq!(people_time(&told.since), time(BEGIN + 8), "{}", told.since);
    }
}
