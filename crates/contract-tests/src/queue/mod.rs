//! The queue's contract: what the forwarder and the operator rely on, as scenarios against the AWS
//! SDK, run on every implementation at hand.
//!
//! A [scenario](scenarios) states what SQS does, by AWS's documentation. The engine must do just
//! that. Where another implementation does something else, [`differences`] says what and why, and
//! a difference that is not there, or no longer there, fails the suite as well.

pub mod client;
pub mod differences;
pub mod engine;
pub mod ministack;
pub mod scenarios;

use std::collections::BTreeMap;
use std::fmt::Debug;

use self::client::Queues;
use self::differences::Difference;

/// What a scenario found.
#[derive(Debug, Default)]
pub struct Findings {
    /// By scenario and subject: what SQS does, and what was seen.
    found: BTreeMap<(&'static str, &'static str), (String, String)>,
}

/// Where a scenario puts what it sees.
pub struct Check<'a> {
    scenario: &'static str,
    findings: &'a mut Findings,
}

impl Check<'_> {
    /// Records what was `seen` of a subject, and what SQS does.
    ///
    /// # Panics
    ///
    /// When a scenario names a subject twice.
    pub fn that<T: Debug>(&mut self, subject: &'static str, seen: T, expected: T) {
        let values = (format!("{expected:?}"), format!("{seen:?}"));
        let earlier = self.findings.found.insert((self.scenario, subject), values);
        assert!(earlier.is_none(), "{}: {subject:?} is checked twice", self.scenario);
    }
}

/// Runs all scenarios, each on queues of its own.
pub async fn run(queues: &Queues) -> Findings {
    let mut findings = Findings::default();
    macro_rules! run {
        ($($scenario:path),* $(,)?) => {$(
            let scenario = stringify!($scenario).trim_start_matches("scenarios::");
            let mut check = Check { scenario, findings: &mut findings };
            // On the heap, as they are many and together large.
            Box::pin($scenario(queues, &mut check)).await;
        )*};
    }
    run!(
        scenarios::order::of_groups,
        scenarios::order::of_what_comes_back,
        scenarios::order::of_a_head_that_fails,
        scenarios::order::of_a_part_that_is_deleted,
        scenarios::order::of_what_is_held_for_longer,
        scenarios::order::of_a_batch,
        scenarios::deduplication::by_id,
        scenarios::deduplication::by_content,
        scenarios::deduplication::scope,
        scenarios::deduplication::after_a_purge,
        scenarios::visibility::timeout,
        scenarios::visibility::change,
        scenarios::visibility::expired_handle,
        scenarios::visibility::receive_attempt,
        scenarios::messages::batches,
        scenarios::messages::limits,
        scenarios::messages::delay,
        scenarios::messages::attributes,
        scenarios::messages::system_attributes,
        scenarios::messages::waiting,
        scenarios::queues::life,
        scenarios::queues::settings,
        scenarios::queues::purge,
        scenarios::dead_letters::redrive_policy,
        scenarios::dead_letters::redrive_allow_policy,
        scenarios::dead_letters::move_task,
    );
    findings
}

impl Findings {
    /// Everything that is not as it should be: where the implementation differs from SQS and no
    /// difference says so, or differs otherwise, or no longer.
    #[must_use]
    pub fn surprises(&self, differences: &[Difference]) -> Vec<String> {
        let mut surprises = Vec::new();
        for ((scenario, subject), (expected, seen)) in &self.found {
            let listed = differences.iter().find(|difference| {
                difference.scenario == *scenario && difference.subject == *subject
            });
            match listed {
                None if expected == seen => {}
                None => {
                    surprises.push(format!("{scenario}: {subject:?}: SQS {expected}, this {seen}"));
                }
                Some(_) if expected == seen => surprises.push(format!(
                    "{scenario}: {subject:?}: listed as different, but is like SQS: {seen}"
                )),
                Some(listed) if listed.seen == seen => {}
                Some(listed) => surprises.push(format!(
                    "{scenario}: {subject:?}: listed as {} ({}), but is {seen} (SQS: {expected})",
                    listed.seen, listed.reason
                )),
            }
        }
        for listed in differences {
            if !self.found.contains_key(&(listed.scenario, listed.subject)) {
                let Difference { scenario, subject, .. } = listed;
                surprises.push(format!("{scenario}: {subject:?}: listed, but never checked"));
            }
        }
        surprises
    }

    /// How many subjects were checked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.found.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surprises(seen: &str, listed: Option<&'static str>) -> usize {
        let mut findings = Findings::default();
        Check { scenario: "s", findings: &mut findings }.that("x", seen, "sqs");
        let difference = |seen| Difference { scenario: "s", subject: "x", seen, reason: "r" };
        findings.surprises(&listed.map(difference).into_iter().collect::<Vec<_>>()).len()
    }

    #[test]
    fn the_list_of_differences_is_exact() {
        assert_eq!(surprises("sqs", None), 0);
        assert_eq!(surprises("other", None), 1);
        assert_eq!(surprises("other", Some("\"other\"")), 0);
        assert_eq!(surprises("third", Some("\"other\"")), 1);
        assert_eq!(surprises("sqs", Some("\"other\"")), 1);
        let unchecked = Difference { scenario: "s", subject: "y", seen: "", reason: "r" };
        assert_eq!(Findings::default().surprises(&[unchecked]).len(), 1);
    }
}
