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
    pub url: HiddenText,
    /// As what: `slack` for JSON with the text in `text`, `plain` for the text alone.
    #[serde(default)]
    pub format: Format,
}

/// The same, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    to: PostTo,
    format: Format,
}

impl Notify {
    /// Where posts go.
    #[must_use]
    pub fn to(&self) -> &PostTo {
        &self.to
    }

    /// As what they are posted.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    pub(super) fn check(faults: &mut Faults, file: &NotifyFile) -> Option<Self> {
        let to = faults.check("notify.url", post_to(&file.url.0))?;
        Some(Self { to, format: file.format })
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
