//! What a provider signs, as a text with the body and headers in it: `{header.x-timestamp}.{body}`.

use crate::header::header_fault;
use crate::message::Message;

use super::{Unverified, header};

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedContent(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// In lower case.
    Header(String),
    Body,
}

/// Why a text does not say what is signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its other one.
    #[error("{0:?} has a brace without its other one")]
    Brace(String),
    /// Something in braces that is neither the body nor a header.
    #[error("{{{0}}} is not known: expected {{body}} or {{header.NAME}}")]
    Unknown(String),
    /// A header that cannot reach the forwarder.
    #[error("{0}")]
    Header(String),
    /// A signature that says nothing about the event.
    #[error(
        "{0:?} does not contain {{body}}: anybody could send any body with a signature once seen"
    )]
    NoBody(String),
}

impl SignedContent {
    /// Parses a text.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| TemplateError::Brace(text.to_owned()))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::parse(name)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}'))) {
            return Err(TemplateError::Brace(text.to_owned()));
        }
        if !parts.contains(&Part::Body) {
            return Err(TemplateError::NoBody(text.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The headers in it, in lower case.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Header(name) => Some(name.as_str()),
            Part::Text(_) | Part::Body => None,
        })
    }

    /// Whether the header `name`, in lower case, is part of what is signed.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        self.headers().any(|header| header == name)
    }

    /// The bytes that were signed, in parts.
    pub(super) fn of<'a>(&'a self, message: &'a Message) -> Result<Vec<&'a [u8]>, Unverified> {
        let part = |part: &'a Part| match part {
            Part::Text(text) => Ok(text.as_bytes()),
            Part::Header(name) => header(message, name).map(str::as_bytes),
            Part::Body => Ok(message.body.as_bytes()),
        };
        self.0.iter().map(part).collect()
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        if name == "body" {
            return Ok(Self::Body);
        }
        let header = name.strip_prefix("header.").map(str::to_ascii_lowercase);
        let header = header.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
        header_fault(&header)
            .map_or(Ok(Self::Header(header)), |fault| Err(TemplateError::Header(fault)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_texts_with_the_body_and_headers() {
        let content = SignedContent::parse("v0:{header.X-Time}:{body}!").unwrap();
        assert_eq!(content.headers().collect::<Vec<_>>(), ["x-time"]);
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            content.0,
            [text("v0:"), Part::Header("x-time".to_owned()), text(":"), Part::Body, text("!")]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, expected) in [
            ("", "does not contain {body}"),
            ("{header.x}", "does not contain {body}"),
            ("{body", "a brace without its other one"),
            ("{body}}", "a brace without its other one"),
            ("{url}{body}", "{url} is not known"),
            ("{header.}{body}", "is not a header name"),
            ("{header.authorization}{body}", "reserved"),
        ] {
            let error = SignedContent::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
