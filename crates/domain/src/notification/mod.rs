//! What a person is told of an engine on one machine, and when, without I/O.
//!
//! | question | module |
//! |---|---|
//! | which conditions need a person, how urgent, what is there to type? | [`kind`] |
//! | which of them does a state of the engine show? | [`watch`] |
//! | what is told when: begins, ends, repeats, and how often at most? | [`teller`] |
//! | where to, and as what? | here |
//!
//! The conditions are those of `packaging/monitoring/alerts.yml`, for whom nobody scrapes: a test of the
//! engine compares them. Texts hold names and counts, never anything of an event.

pub mod kind;
pub mod teller;
pub mod watch;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::address;
use crate::secret::{Secret, SecretReference};

/// As what notifications are posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `{"text": …}`, which Slack's incoming webhooks and those made like them take.
    #[default]
    Slack,
    /// A message with an adaptive card, which the workflows of Microsoft Teams that receive webhooks take.
    Teams,
    /// The text itself.
    Plain,
}

impl Format {
    /// The body of a post.
    #[must_use]
    pub fn body(self, text: &str) -> String {
        match self {
            // Slack's three control characters. Source: Slack's documentation, "Formatting message text".
            Self::Slack => {
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                json!({ "text": text }).to_string()
            }
            Self::Teams => teams(text).to_string(),
            Self::Plain => text.to_owned(),
        }
    }

    /// The value of `content-type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Slack | Self::Teams => "application/json",
            Self::Plain => "text/plain; charset=utf-8",
        }
    }
}

/// Each line is a block of its own, whose text is shown as it is: Markdown is for `TextBlock` only, so no
/// name becomes a link.
/// Source: Microsoft's documentation, "Create incoming webhooks with Workflows for Microsoft Teams" and
/// "Format cards in Microsoft Teams"; Adaptive Cards' schema, `TextRun`.
fn teams(text: &str) -> Value {
    let block = |line: &str| json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": line }] });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": text.lines().map(block).collect::<Vec<Value>>(),
            },
        }],
    })
}

/// A URL that posts go to. It holds a token more often than not, so it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PostUrl(Url);

/// Where that URL is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostTo {
    /// In the configuration.
    Url(PostUrl),
    /// In a variable or a file of this machine.
    Secret(SecretReference),
}

impl PostUrl {
    /// The URL that a configuration or a secret holds.
    ///
    /// # Errors
    ///
    /// What is wrong; of the text at most the host.
    pub fn parse(text: &str) -> Result<Self, String> {
        // What is before a colon may be a part of somebody's secret, and errors name the scheme.
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(
                "must be a URL that begins with https:// (the value is not shown)".to_owned()
            );
        }
        address::service_url(text).map(Self)
    }

    /// The URL that a secret holds.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn of_secret(secret: &Secret) -> Result<Self, String> {
        let text = std::str::from_utf8(secret.expose());
        Self::parse(text.map_err(|_bytes| "is not UTF-8 text".to_owned())?.trim())
    }

    /// The URL; for the request only.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// What may be shown of it: scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl std::fmt::Debug for PostUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostUrl")
    }
}

/// A reference, or a URL's origin.
impl std::fmt::Display for PostTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&url.origin()),
            Self::Secret(reference) => reference.fmt(f),
        }
    }
}

#[cfg(test)]
mod url_tests {
    use super::*;

    #[test]
    fn slack_s_control_characters_are_escaped_and_plain_text_is_as_it_is() {
        assert_eq!(Format::Slack.body("a<b> & \"c\"\n"), r#"{"text":"a&lt;b&gt; &amp; \"c\"\n"}"#);
        assert_eq!(Format::Plain.body("a<b>\n"), "a<b>\n");
    }

    #[test]
    fn teams_gets_a_card_with_each_line_as_it_is() {
        let body: Value = serde_json::from_str(&Format::Teams.body("[a](b) <c>\n  d")).unwrap();
        let attachment = &body["attachments"][0];
        assert_eq!(body["type"], "message");
        assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
        let lines = attachment["content"]["body"].as_array().unwrap().iter();
        let shown: Vec<&Value> = lines.map(|block| &block["inlines"][0]["text"]).collect();
        assert_eq!(shown, ["[a](b) <c>", "  d"]);
        assert_eq!(Format::Teams.content_type(), "application/json");
    }

    #[test]
    fn a_url_shows_its_origin_and_nothing_else() {
        let url =
            PostUrl::parse("https://hooks.example.com:8443/T1/planted?token=planted").unwrap();
        assert_eq!(url.origin(), "https://hooks.example.com:8443");
        let shown = format!("{url:?} {:?} {}", PostTo::Url(url.clone()), PostTo::Url(url.clone()));
        assert!(!shown.contains("planted"), "{shown}");
        let secret = Secret::new(b"http://127.0.0.1:9/planted \n").unwrap();
        assert_eq!(PostUrl::of_secret(&secret).unwrap().origin(), "http://127.0.0.1:9");
    }

    #[test]
    fn what_is_no_url_of_a_service_is_refused_and_not_shown() {
        for text in [
            "planted:planted",
            "planted",
            "ftp://example.com/planted",
            "https://",
            "https://planted:planted@example.com/",
            "http://example.com/planted",
            "http://169.254.169.254/planted",
        ] {
            let error = PostUrl::parse(text).unwrap_err();
            assert!(!error.contains("planted"), "{text}: {error}");
        }
        let error = PostUrl::of_secret(&Secret::new(b"https://\xff").unwrap()).unwrap_err();
        assert_eq!(error, "is not UTF-8 text");
    }
}
