//! Release records: what was deployed when, by whom, and whether an event came through. And which of
//! them a promotion or a rollback means.

use anyhow::{anyhow, bail};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::operator::{Content, Kept, Operator};
use super::smoke::Smoke;

/// The version of the record that is written here.
const VERSION: u32 = 1;

/// A release, as it is kept. Fields may be added, so unknown ones are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) environment: String,
    /// When it was live, as RFC 3339.
    pub(crate) at: String,
    /// The artifact.
    pub(crate) sha256: String,
    pub(crate) git_commit: Option<String>,
    pub(crate) dirty: bool,
    /// Who deployed it.
    pub(crate) by: String,
    pub(crate) kind: Kind,
    /// The environment that it was promoted from.
    pub(crate) from: Option<String>,
    /// `passed`, `failed: REASON` or `skipped: REASON`.
    pub(crate) smoke: String,
    pub(crate) function_version: String,
}

/// How a release came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Deploy,
    Promote,
    Rollback,
}

/// A release with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Release {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Record {
    /// A record of now.
    pub(crate) fn new(
        environment: &str,
        now: Timestamp,
        manifest: &crate::package::Manifest,
        smoke: &Smoke,
    ) -> Self {
        Self {
            version: VERSION,
            environment: environment.to_owned(),
            at: now.to_string(),
            sha256: manifest.sha256.clone(),
            git_commit: manifest.git_commit.clone(),
            dirty: manifest.dirty,
            by: String::new(),
            kind: Kind::Deploy,
            from: None,
            smoke: smoke.to_string(),
            function_version: String::new(),
        }
    }

    /// The release's name: its time and the beginning of its artifact's digest.
    pub(crate) fn id(&self) -> String {
        let seconds = self.at.get(..19).unwrap_or(&self.at).replace(['-', ':'], "");
        format!("{seconds}Z-{}", self.short_digest())
    }

    pub(crate) fn short_digest(&self) -> &str {
        self.sha256.get(..12).unwrap_or(&self.sha256)
    }

    pub(crate) fn short_commit(&self) -> &str {
        self.git_commit.as_deref().map_or("none", |commit| commit.get(..12).unwrap_or(commit))
    }

    pub(crate) fn passed(&self) -> bool {
        self.smoke == Smoke::PASSED
    }

    pub(crate) fn failed(&self) -> bool {
        self.smoke.starts_with(Smoke::FAILED)
    }

    /// Keeps the record.
    pub(crate) fn keep(&self, operator: &Operator<'_>) -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        serde_json::to_writer_pretty(&file, self)?;
        let key = format!("releases/{}/{}.json", self.environment, self.id());
        operator.put(&key, file.path(), Content::Release)
    }
}

/// The releases of an environment, the newest first.
pub(crate) fn all(environment: &str, operator: &Operator<'_>) -> anyhow::Result<Vec<Release>> {
    let prefix = format!("releases/{environment}/");
    let kept: Vec<Kept<Record>> = operator.read(&prefix)?;
    let release = |Kept { key, document }: Kept<Record>| {
        let id = key.trim_start_matches(&prefix).trim_end_matches(".json").to_owned();
        Release { id, record: document }
    };
    Ok(kept.into_iter().map(release).collect())
}

/// The release that a promotion takes: what is live, if an event came through it and its code is a
/// commit's. `releases` are the newest first.
pub(crate) fn to_promote<'a>(from: &str, releases: &'a [Release]) -> anyhow::Result<&'a Release> {
    let Some(live) = releases.first() else {
        bail!("nothing was ever deployed to {from}; `cargo xtask deploy {from}` does");
    };
    if !live.record.passed() {
        bail!(
            "release {} is live in {from} and has not passed its smoke test ({}), so it is not promoted",
            live.id,
            live.record.smoke
        );
    }
    if live.record.dirty {
        bail!(
            "release {} of {from} was built with changes that are not committed: nobody could say what \
             is in it. Commit, `cargo xtask deploy {from}`, and promote that",
            live.id
        );
    }
    Ok(live)
}

/// The release that a rollback goes back to. Without `to` it is the latest with other code that was
/// live before the code that is live, and did not fail. `releases` are the newest first.
pub(crate) fn to_go_back_to<'a>(
    environment: &str,
    releases: &'a [Release],
    to: Option<&str>,
) -> anyhow::Result<&'a Release> {
    if let Some(to) = to {
        let mut found = releases.iter().filter(|release| release.id.starts_with(to));
        return match (found.next(), found.next()) {
            (Some(release), None) => Ok(release),
            (None, _) => Err(anyhow!(
                "{environment} has no release {to}; `cargo xtask releases {environment}` shows those there are"
            )),
            (Some(_), Some(_)) => Err(anyhow!("several releases begin with {to}")),
        };
    }
    let Some(live) = releases.first() else {
        bail!("nothing was ever deployed to {environment}");
    };
    // After a rollback the code is live for the second time: what counts is when it first was, or
    // the next rollback would go forward to what was just left.
    let came = releases
        .iter()
        .rposition(|release| release.record.sha256 == live.record.sha256)
        .unwrap_or_default();
    let earlier = releases
        .iter()
        .skip(came + 1)
        .find(|release| release.record.sha256 != live.record.sha256 && !release.record.failed());
    earlier.ok_or_else(|| {
        anyhow!(
            "{environment} has no earlier release with other code; `--to` takes any of `cargo xtask releases {environment}`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Releases as `digest smoke`, given the oldest first, returned the newest first.
    fn releases(oldest_first: &[&str]) -> Vec<Release> {
        let mut releases: Vec<Release> = oldest_first
            .iter()
            .enumerate()
            .map(|(minute, text)| {
                let (digest, smoke) = text.split_once(' ').unwrap();
                let record = Record {
                    version: 1,
                    environment: "dev".into(),
                    at: format!("2026-11-23T18:{minute:02}:02.123Z"),
                    sha256: digest.repeat(64),
                    git_commit: Some("7ccc8dc".into()),
                    dirty: false,
                    by: "me".into(),
                    kind: Kind::Deploy,
                    from: None,
                    smoke: smoke.into(),
                    function_version: "1".into(),
                };
                Release { id: record.id(), record }
            })
            .collect();
        releases.reverse();
        releases
    }

    fn back(oldest_first: &[&str]) -> Result<String, String> {
        let releases = releases(oldest_first);
        let release = to_go_back_to("dev", &releases, None).map_err(|error| error.to_string())?;
        Ok(format!("{} {}", &release.record.sha256[..1], &release.id[9..13]))
    }

    #[test]
    fn a_release_is_named_by_its_time_and_its_code() {
        assert_eq!(releases(&["a passed"])[0].id, "20261123T180002Z-aaaaaaaaaaaa");
    }

    #[test]
    fn a_rollback_goes_to_the_code_before() {
        assert_eq!(back(&["a passed", "b passed"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b passed", "b failed: x"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b failed: x", "c failed: x"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b skipped: x", "c passed"]), Ok("b 1801".into()));
    }

    #[test]
    fn a_second_rollback_does_not_go_forward() {
        let history = ["a passed", "b passed", "c failed: x", "b passed"];
        assert_eq!(back(&history), Ok("a 1800".into()));
        assert!(back(&["a passed", "b passed", "a passed"]).is_err());
    }

    #[test]
    fn without_an_earlier_release_there_is_nothing_to_go_back_to() {
        assert!(back(&[]).unwrap_err().contains("nothing was ever deployed"));
        assert!(back(&["a passed", "a passed"]).unwrap_err().contains("no earlier release"));
    }

    #[test]
    fn a_release_can_be_named_by_its_beginning() {
        let releases = releases(&["a passed", "b passed"]);
        let named = |to| to_go_back_to("dev", &releases, Some(to));
        assert_eq!(named("20261123T1800").unwrap().id, releases[1].id);
        assert!(named("20261123").unwrap_err().to_string().contains("several"));
        assert!(named("2025").unwrap_err().to_string().contains("no release 2025"));
    }

    #[test]
    fn only_what_passed_and_is_committed_is_promoted() {
        let mut history = releases(&["b failed: x", "a passed"]);
        assert_eq!(to_promote("dev", &history).unwrap().record.sha256, "a".repeat(64));
        history[0].record.dirty = true;
        assert!(to_promote("dev", &history).unwrap_err().to_string().contains("not committed"));
        for live in ["b failed: x", "b skipped: no smoke test"] {
            let refused = to_promote("dev", &releases(&["a passed", live])).unwrap_err();
            assert!(refused.to_string().contains("smoke test"), "{refused}");
        }
        assert!(to_promote("dev", &[]).unwrap_err().to_string().contains("nothing was ever"));
    }

    #[test]
    fn a_record_of_a_newer_version_can_be_read() {
        let mut json = serde_json::to_value(&releases(&["a passed"])[0].record).unwrap();
        json["approved_by"] = "somebody".into();
        let record: Record = serde_json::from_value(json).unwrap();
        assert!(record.passed());
    }
}
