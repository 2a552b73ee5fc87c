//! The page's words. Each stands in every language in one table, so none can be missing.

mod table;
pub(crate) mod verdict;

pub(crate) use table::Text;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

/// A language that the page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Japanese,
}

impl Language {
    /// The first of those that a browser wants; English if it wants another.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let wanted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let mut best = (Self::English, 0.0);
        for range in wanted.unwrap_or_default().split(',') {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = parameters.trim().strip_prefix("q=").unwrap_or("1").parse().unwrap_or(0.0);
            let language = match tag.trim().split('-').next().unwrap_or_default() {
                tag if tag.eq_ignore_ascii_case("ja") => Self::Japanese,
                tag if tag.eq_ignore_ascii_case("en") => Self::English,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// Its name in HTML's `lang`. Source: RFC 5646.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_says_which_language() {
        let wanted = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, text.parse().unwrap());
            Language::wanted(&headers)
        };
        assert_eq!(wanted("ja"), Language::Japanese);
        assert_eq!(wanted("JA-jp,en;q=0.5"), Language::Japanese);
        assert_eq!(wanted("fr, en;q=0.2, ja;q=0.7"), Language::Japanese);
        assert_eq!(wanted("en-GB, ja;q=0.9"), Language::English);
        assert_eq!(wanted("ja;q=0, en;q=0.1"), Language::English);
        for other in ["fr", "", "*", "jav", ";;q=,", "ja;q=x"] {
            assert_eq!(wanted(other), Language::English, "{other}");
        }
        assert_eq!(Language::wanted(&HeaderMap::new()), Language::English);
    }

    #[test]
    fn nothing_is_empty_and_nothing_is_left_in_the_other_language() {
        for text in Text::ALL {
            let (english, japanese) = (text.of(Language::English), text.of(Language::Japanese));
            assert!(!english.is_empty() && english.is_ascii(), "{text:?}: {english}");
            assert!(!japanese.is_ascii(), "{text:?}: {japanese}");
        }
    }
}
