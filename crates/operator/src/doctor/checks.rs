//! What a check found, and what to do about it.

use std::fmt;

use serde::Serialize;

use crate::people::printable;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

/// One line of the doctor's.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// What was checked.
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do.
    pub(super) advice: Option<String>,
}

/// All lines.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    pub(super) fn ok(&mut self, name: impl Into<String>, found: impl AsRef<str>) {
        self.add(name.into(), Verdict::Ok, found.as_ref(), None);
    }

    pub(super) fn warn(
        &mut self,
        name: impl Into<String>,
        found: impl AsRef<str>,
        advice: impl Into<String>,
    ) {
        self.add(name.into(), Verdict::Warn, found.as_ref(), Some(advice.into()));
    }

    pub(super) fn fail(
        &mut self,
        name: impl Into<String>,
        found: impl AsRef<str>,
        advice: impl Into<String>,
    ) {
        self.add(name.into(), Verdict::Fail, found.as_ref(), Some(advice.into()));
    }

    fn add(&mut self, name: String, verdict: Verdict, found: &str, advice: Option<String>) {
        self.0.push(Check { name, verdict, found: printable(found), advice });
    }

    pub(super) fn all(&self) -> &[Check] {
        &self.0
    }

    /// The names of those that failed.
    pub(super) fn failed(&self) -> Vec<String> {
        let failed = self.0.iter().filter(|check| check.verdict == Verdict::Fail);
        failed.map(|check| check.name.clone()).collect()
    }

    /// Whether something was said of this.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|check| check.name == name)
    }

    /// These, and others after them.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(super) fn worst(&self) -> Verdict {
        self.0.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
    }
}
