//! What must hold of alarms and logs.

use super::{Seen, Subject};

/// The alarms that an environment must have, by the end of their names.
pub(crate) const ALARMS: [&str; 8] = [
    "dead-letters-present",
    "oldest-message-too-old",
    "dead-letters-near-retention",
    "function-errors",
    "function-throttles",
    "mapping-not-enabled",
    "api-client-errors",
    "api-server-errors",
];

pub(super) fn alarms(subject: &Subject<'_>, seen: &mut Seen) {
    let environment = &subject.config.environment();
    for alarm in ALARMS {
        let name = format!("{environment}-webhook-{alarm}");
        subject.named(seen, "aws_cloudwatch_metric_alarm", "alarm_name", &name);
    }
    for alarm in subject.resources.of_kind("aws_cloudwatch_metric_alarm") {
        let actions = alarm.after["alarm_actions"].as_array().map(Vec::len).unwrap_or_default();
        if alarm.is_unknown("alarm_actions") {
            seen.unknown(alarm, "alarm_actions");
        } else if actions == 0 {
            seen.broken(alarm, "nobody hears it: it has no alarm_actions");
        }
        if alarm.after["actions_enabled"] == false {
            seen.broken(alarm, "nobody hears it: its actions are disabled");
        }
    }
}

pub(super) fn log_retention(subject: &Subject<'_>, seen: &mut Seen) {
    for group in subject.resources.of_kind("aws_cloudwatch_log_group") {
        if group.after["retention_in_days"].as_u64().unwrap_or_default() == 0 {
            seen.broken(group, "its lines are kept for ever");
        }
    }
    // A function that names no group writes to one that Lambda makes, without retention.
    for function in subject.resources.of_kind("aws_lambda_function") {
        let config = &function.after["logging_config"][0];
        let named = config["log_group"].as_str().map(str::to_owned);
        let default =
            function.after["function_name"].as_str().map(|it| format!("/aws/lambda/{it}"));
        let group = named.or(default).unwrap_or_default();
        if subject.resources.find("aws_cloudwatch_log_group", "name", &group).is_none() {
            seen.broken(function, format_args!("its log group {group} is not in the plan"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    /// Each alarm points to the section of the runbook that has its name.
    #[test]
    fn the_runbook_has_a_section_for_every_alarm() {
        let file = workspace::root().join("docs").join("runbook.md");
        let text = std::fs::read_to_string(file).unwrap();
        let is_alarm = |section: &&str| section.contains('-') && !section.contains(' ');
        let mut sections: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("## ")).filter(is_alarm).collect();
        let mut alarms = ALARMS.to_vec();
        sections.sort_unstable();
        alarms.sort_unstable();
        assert_eq!(sections, alarms);
    }
}
