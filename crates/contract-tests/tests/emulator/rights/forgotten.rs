//! What the emulator is told and does not answer, answered from what it was told: all of an alarm but
//! its name and threshold, and members of integrations and event source mappings. Without it a deployed
//! environment would look as if somebody had changed it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::proxy::pairs;

/// What the emulator was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The forms by which alarms were put, by the alarm's name.
    alarms: BTreeMap<String, Vec<(String, String)>>,
    /// The members of what was made, by its path.
    made: BTreeMap<String, Map<String, Value>>,
}

impl Told {
    /// Learns from a call, and returns the complete answer if the emulator's is not.
    pub(super) fn complete(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        answer: &[u8],
    ) -> Option<Vec<u8>> {
        if path == "/" {
            return self.complete_alarms(&pairs(std::str::from_utf8(body).ok()?), answer);
        }
        let kept = ["/integrations", "/event-source-mappings"];
        if !kept.iter().any(|part| path.contains(part)) {
            return None;
        }
        let mut answer: Map<String, Value> = serde_json::from_slice(answer).ok()?;
        let id = answer.get("integrationId").or_else(|| answer.get("UUID"))?.as_str()?;
        let path = path.trim_end_matches('/');
        let path = if path.ends_with(id) { path.to_owned() } else { format!("{path}/{id}") };
        let told = self.made.entry(path).or_default();
        if method != "GET" {
            let more: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
            told.extend(more.into_iter().filter(|(name, _)| *name != "tags" && *name != "Tags"));
        }
        for (name, value) in told {
            // What is answered as null was not kept either.
            if answer.get(name).is_none_or(Value::is_null)
                && name != "FunctionName"
                && name != "Enabled"
            {
                answer.insert(name.clone(), value.clone());
            }
        }
        serde_json::to_vec(&answer).ok()
    }

    fn complete_alarms(&mut self, form: &[(String, String)], answer: &[u8]) -> Option<Vec<u8>> {
        let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        match value("Action")?.as_str() {
            "PutMetricAlarm" => {
                self.alarms.insert(value("AlarmName")?.clone(), form.to_vec());
                None
            }
            "DescribeAlarms" => {
                let answer = std::str::from_utf8(answer).ok()?;
                let is_there =
                    |name: &str| answer.contains(&format!("<AlarmName>{name}</AlarmName>"));
                let alarms = self.alarms.iter().filter(|(name, _)| is_there(name));
                let alarms: String = alarms.map(|(name, form)| alarm(name, form)).collect();
                let (start, end) = ("<MetricAlarms>", "</MetricAlarms>");
                let before = answer.split(start).next()?;
                let after = answer.rsplit(end).next()?;
                (answer.contains(start))
                    .then(|| format!("{before}{start}{alarms}{end}{after}").into_bytes())
            }
            _ => None,
        }
    }
}

/// A level of a form: what its dotted names begin with.
#[derive(Default)]
struct Level {
    value: String,
    members: BTreeMap<String, Level>,
}

/// An alarm as `CloudWatch` answers it: the names of a form's parts are those of the elements.
fn alarm(name: &str, form: &[(String, String)]) -> String {
    let mut root = Level::default();
    for (key, value) in form.iter().filter(|(key, _)| key != "Action" && key != "Version") {
        let mut level = &mut root;
        for part in key.split('.') {
            level = level.members.entry(part.to_owned()).or_default();
        }
        level.value.clone_from(value);
    }
    let arn = format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}");
    format!(
        "<member>{}<AlarmArn>{arn}</AlarmArn><StateValue>INSUFFICIENT_DATA</StateValue></member>",
        root.xml()
    )
}

impl Level {
    fn xml(&self) -> String {
        let element = |(name, level): (&String, &Self)| {
            // `Metrics.member.1`: a list's numbers are no elements.
            let items =
                level.members.values().map(|item| format!("<member>{}</member>", item.xml()));
            if name == "member" {
                items.collect()
            } else {
                format!("<{name}>{}</{name}>", level.xml())
            }
        };
        let members: String =
            self.members.iter().filter(|(name, _)| *name != "Tags").map(element).collect();
        let escaped = self.value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("{escaped}{members}")
    }
}
