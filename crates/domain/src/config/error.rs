//! What is wrong with a configuration: every fault, each by its place in the file.

use std::fmt;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON path: `routes.sss.destinations[0].url`.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults, in the order of the file's rules.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl fmt::Display for ConfigError {
    /// On one line, as it must be readable in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("configuration: ")?;
        for (position, fault) in self.faults.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects faults while a configuration is checked.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, path: impl fmt::Display, problem: impl fmt::Display) {
        self.0.push(Fault { path: path.to_string(), problem: problem.to_string() });
    }

    /// Adds a fault unless `value` is within `range`.
    pub fn within(
        &mut self,
        path: impl fmt::Display,
        value: u32,
        range: std::ops::RangeInclusive<u32>,
        unit: &str,
    ) {
        if !range.contains(&value) {
            let (least, most) = (range.start(), range.end());
            self.add(path, format_args!("must be {least} to {most} {unit}, is {value}"));
        }
    }

    /// Adds a fault, and gives `None`, if `result` is one.
    pub(super) fn check<T, E: fmt::Display>(
        &mut self,
        path: impl fmt::Display,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|problem| self.add(path, problem)).ok()
    }

    /// `value`, if nothing was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(ConfigError { faults: self.0 }),
        }
    }
}
