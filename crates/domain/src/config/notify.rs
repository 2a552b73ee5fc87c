//! Who is told of what needs a person, on one machine.

use serde::{Deserialize, Serialize};

use super::error::Faults;
use super::signature::HiddenText;
use crate::notification::{Format, PostTo, PostUrl};
use crate::secret::SecretReference;

/// Where the engine on one machine posts what needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NotifyFile {
    /// Where to: a URL, such as that of a Slack webhook, or a reference to a secret that holds one
    /// (`env:NAME`, `file:/PATH`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<HiddenText>,
    /// As what: `slack` for JSON with the text in `text`, `teams` for an adaptive card, `plain` for the
    /// text alone.
    #[serde(default)]
    pub format: Format,
    /// What is asked every minute, by GET, while webhooks can be accepted, so that whoever expects it
    /// notices an engine that is gone; a URL or a reference, as `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_url: Option<HiddenText>,
}

/// The same, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    to: Option<PostTo>,
    format: Format,
    heartbeat: Option<PostTo>,
}

impl Notify {
    /// Where posts go, if anywhere.
    #[must_use]
    pub fn to(&self) -> Option<&PostTo> {
        self.to.as_ref()
    }

    /// What is asked every minute, if anything.
    #[must_use]
    pub fn heartbeat(&self) -> Option<&PostTo> {
        self.heartbeat.as_ref()
    }

    /// As what they are posted.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    pub(super) fn check(faults: &mut Faults, file: &NotifyFile) -> Self {
        if file.url.is_none() && file.heartbeat_url.is_none() {
            faults.add("notify", "names neither a url nor a heartbeat_url");
        }
        let mut at = |place: &str, url: &Option<HiddenText>| {
            url.as_ref().and_then(|url| faults.check(place, post_to(&url.0)))
        };
        let to = at("notify.url", &file.url);
        let heartbeat = at("notify.heartbeat_url", &file.heartbeat_url);
        Self { to, format: file.format, heartbeat }
    }
}

fn post_to(text: &str) -> Result<PostTo, String> {
    if ["ssm:", "secretsmanager:"].iter().any(|it| text.starts_with(it)) {
        return Err("the engine on one machine fetches no secrets from AWS: expected a URL, \
                    env:NAME or file:/PATH (the value is not shown)"
            .to_owned());
    }
    if ["env:", "file:"].iter().any(|it| text.starts_with(it)) {
        let reference = SecretReference::parse(text).map_err(|error| error.to_string())?;
        return Ok(PostTo::Secret(reference));
    }
    PostUrl::parse(text)
        .map(PostTo::Url)
        .map_err(|error| format!("{error}, or env:NAME or file:/PATH"))
}
