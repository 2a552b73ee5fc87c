//! The pauses, as the data directory keeps them: they outlive the engine. A file of their own, as they
//! begin and end on a disk that is full for the database.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use domain::json::JsonError;
use domain::pause::{Pause, Pauses, UNKNOWN};
use domain::time::Timestamp;
use serde::Deserialize;

use crate::deliberate;
use crate::files::{read_if_there, write_durably};

/// Name of the file in the data directory.
const FILE: &str = "pauses.json";

/// Where a former version kept whether the mapping was on, and when it was to be again.
const FORMER_SWITCH: &str = "event-source-mapping.json";
const FORMER_SCHEDULE: &str = "schedule.json";

#[derive(Deserialize)]
struct FormerSwitch {
    enabled: bool,
}

#[derive(Deserialize)]
struct FormerSchedule {
    at: Timestamp,
    description: String,
}

/// Where the pauses are kept.
#[derive(Debug, Clone)]
pub(crate) struct PausesFile {
    dir: Option<PathBuf>,
}

impl PausesFile {
    /// Pauses that are kept in `data_dir`, or nowhere.
    pub(crate) fn new(data_dir: Option<&Path>) -> Self {
        Self { dir: data_dir.map(Path::to_owned) }
    }

    /// The pauses. One of a former version is taken over, with its name unknown. Before this is called
    /// the engine has begun nothing, so what cannot be read ends its start and no pause.
    pub(crate) fn open(&self) -> io::Result<Pauses> {
        let Some(dir) = &self.dir else { return Ok(Pauses::default()) };
        let pauses = match read_if_there(&dir.join(FILE))? {
            Some(_) if deliberate::is_there("forget-pauses") => Pauses::default(),
            Some(json) => parsed(FILE, Pauses::parse(&json))?,
            None => match former(dir)? {
                None => return Ok(Pauses::default()),
                Some(pauses) => {
                    self.write(&pauses)?;
                    pauses
                }
            },
        };
        for name in [FORMER_SWITCH, FORMER_SCHEDULE] {
            match fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(pauses)
    }

    /// Keeps them, durably: they are either as they were or as they shall be, whatever happens
    /// meanwhile.
    pub(crate) fn write(&self, pauses: &Pauses) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        write_durably(&dir.join(FILE), &pauses.to_json().map_err(io::Error::other)?)
    }
}

/// The pause of a former version; `None` if it has left no word.
fn former(dir: &Path) -> io::Result<Option<Pauses>> {
    let Some(switch) = read_if_there(&dir.join(FORMER_SWITCH))? else { return Ok(None) };
    let switch: FormerSwitch = parsed(FORMER_SWITCH, serde_json::from_slice(&switch))?;
    let mut pauses = Pauses::default();
    if !switch.enabled {
        let schedule: Option<FormerSchedule> = match read_if_there(&dir.join(FORMER_SCHEDULE))? {
            Some(json) => Some(parsed(FORMER_SCHEDULE, serde_json::from_slice(&json))?),
            None => None,
        };
        pauses.begin(Pause {
            name: UNKNOWN.to_owned(),
            by: None,
            reason: schedule.as_ref().map(|it| it.description.clone()),
            since: None,
            until: schedule.map(|it| it.at),
        });
    }
    Ok(Some(pauses))
}

fn parsed<T>(name: &str, result: Result<T, impl Into<JsonError>>) -> io::Result<T> {
    result.map_err(|error| io::Error::other(format!("{name}: {}", error.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> io::Result<Pauses> {
        PausesFile::new(Some(dir)).open()
    }

    fn files(dir: &Path) -> Vec<String> {
        let files = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name());
        let mut files: Vec<_> = files.map(|it| it.into_string().unwrap()).collect();
        files.sort();
        files
    }

    #[test]
    fn a_pause_of_a_former_version_is_taken_over_with_its_end() {
        let until: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        let schedule = r#"{"name":"s","at":"2026-11-26T10:00:00.000Z","description":"リリース"}"#;
        for (switch, schedule, expected) in [
            (r#"{"enabled":false}"#, Some(schedule), Some((Some("リリース"), Some(until)))),
            (r#"{"enabled":false}"#, None, Some((None, None))),
            // Killed after the mapping went on.
            (r#"{"enabled":true}"#, Some(schedule), None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(FORMER_SWITCH), switch).unwrap();
            if let Some(schedule) = schedule {
                fs::write(dir.path().join(FORMER_SCHEDULE), schedule).unwrap();
            }
            for _ in ["taken over", "kept"] {
                let pauses = open(dir.path()).unwrap();
                let found = pauses.all().first().map(|it| (it.reason.as_deref(), it.until));
                assert_eq!(found, expected);
                assert!(pauses.all().iter().all(|it| it.name == UNKNOWN && it.by.is_none()));
                assert_eq!(files(dir.path()), [FILE]);
            }
        }
    }

    #[test]
    fn what_was_taken_over_is_not_taken_over_again() {
        let dir = tempfile::tempdir().unwrap();
        PausesFile::new(Some(dir.path())).write(&Pauses::default()).unwrap();
        fs::write(dir.path().join(FORMER_SWITCH), r#"{"enabled":false}"#).unwrap();
        assert!(
            open(dir.path()).unwrap().is_empty(),
            "an end that was killed before the file went"
        );
        assert_eq!(files(dir.path()), [FILE]);
    }

    #[test]
    fn a_former_file_that_cannot_be_removed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        PausesFile::new(Some(dir.path())).write(&Pauses::default()).unwrap();
        fs::create_dir(dir.path().join(FORMER_SWITCH)).unwrap();
        open(dir.path()).unwrap_err();
    }

    /// A pause would end because of it.
    #[test]
    fn a_file_that_cannot_be_understood_or_read_is_an_error() {
        for name in [FILE, FORMER_SWITCH] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(name), "{}").unwrap();
            assert!(open(dir.path()).unwrap_err().to_string().contains(name));
            fs::remove_file(dir.path().join(name)).unwrap();
            fs::create_dir(dir.path().join(name)).unwrap();
            assert!(open(dir.path()).is_err());
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FORMER_SWITCH), r#"{"enabled":false}"#).unwrap();
        fs::write(dir.path().join(FORMER_SCHEDULE), "{}").unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains(FORMER_SCHEDULE));
    }
}
