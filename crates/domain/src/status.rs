//! Sets of HTTP statuses, as a route names them: `404`, `500-503`, `5xx`.

use std::ops::RangeInclusive;

/// Some statuses from 300 to 599.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

/// A text that names no statuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a status of 300 to 599 such as \"404\", or a range such as \"500-503\" or \"5xx\", is {0:?}"
)]
pub struct StatusError(String);

impl StatusSet {
    /// Adds the statuses that `text` names.
    ///
    /// # Errors
    ///
    /// [`StatusError`] if it names none.
    pub fn add(&mut self, text: &str) -> Result<(), StatusError> {
        let range = range(text).ok_or_else(|| StatusError(text.to_owned()))?;
        self.0.push(range);
        Ok(())
    }

    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    /// The first status that is in both.
    #[must_use]
    pub fn first_common(&self, other: &Self) -> Option<u16> {
        (300..=599).find(|status| self.contains(*status) && other.contains(*status))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| digits && (300..=599).contains(status))
    };
    if let Some(hundreds) = text.strip_suffix("xx") {
        let from = status(&format!("{hundreds}00"))?;
        return Some(from..=from + 99);
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (status(from)?, status(to)?);
    (from <= to).then_some(from..=to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> StatusSet {
        let mut set = StatusSet::default();
        for text in texts {
            set.add(text).unwrap();
        }
        set
    }

    #[test]
    fn codes_and_ranges_are_sets() {
        let check = |text: &str, first: u16, last: u16| {
            let set = set(&[text]);
            let inside: Vec<u16> = (0..=999).filter(|status| set.contains(*status)).collect();
            assert_eq!((inside[0], inside[inside.len() - 1]), (first, last), "{text}");
            assert_eq!(inside.len(), usize::from(last - first) + 1, "{text}");
        };
        check("404", 404, 404);
        check("300", 300, 300);
        check("599", 599, 599);
        check("500-503", 500, 503);
        check("5xx", 500, 599);
        check("3xx", 300, 399);
    }

    #[test]
    fn what_names_no_statuses_is_refused() {
        for text in [
            "", "200", "2xx", "299", "600", "6xx", "4x", "xx", "0404", "+404", "503-500", "4-5",
            "404 ",
        ] {
            assert!(StatusSet::default().add(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_common_status_is_found() {
        assert_eq!(set(&["5xx"]).first_common(&set(&["404", "503"])), Some(503));
        assert_eq!(set(&["404"]).first_common(&set(&["405-499"])), None);
        assert_eq!(StatusSet::default().first_common(&set(&["404"])), None);
    }
}
