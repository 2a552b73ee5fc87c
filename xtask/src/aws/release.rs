//! Release records: what was deployed when, by whom, and how far it came. And which of them a promotion
//! or a rollback means.
//!
//! A record is begun before anything is applied, as `deployments/ENV/ID.json`, and ended by another
//! object, `releases/ENV/ID.json`; neither is ever overwritten. A deployment without its end was killed,
//! or still runs.

use std::fmt;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::operator::{Content, Kept, Operator};
use crate::package::Manifest;

/// The reason of a failure that somebody asked for, by Ctrl-C or another signal.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// In the place of a digest, where no code was ever deployed.
const NO_CODE: &str = "none";

/// The version of the record that is written here.
const VERSION: u32 = 2;

/// A release, as it is kept. Fields may be added, so unknown ones are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) environment: String,
    /// When it began, as RFC 3339; not known of records of version 1.
    pub(crate) started_at: Option<String>,
    /// When this was written: as it began, or ended.
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
    /// The digest of the plan that was shown, and applied; not known of records of version 1.
    pub(crate) plan: Option<String>,
    #[serde(flatten)]
    pub(crate) state: State,
    /// Once it is known.
    pub(crate) function_version: Option<String>,
}

/// How far a release has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum State {
    /// It was begun; nobody has written how it ended.
    Started,
    /// It is live, and an event came through.
    Passed,
    /// It is live, and no event was sent through.
    Skipped {
        reason: String,
    },
    Failed {
        step: Step,
        reason: String,
    },
}

/// What a deployment does after its record was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// Bytes are kept, an earlier change has ended, and Terraform takes the plan: until then nothing of the
    /// environment is changed.
    Begin,
    /// The plan is carried out.
    Apply,
    /// What there is is read anew.
    Refresh,
    /// What could not be told before must hold.
    Invariants,
    /// The function must run the artifact.
    Code,
    /// What stands around an emulator is started.
    Stage,
    /// An event is sent through.
    Smoke,
}

/// How a release came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Deploy,
    Promote,
    Rollback,
    /// It is gone, with the code that was deployed last.
    Destroy,
}

/// A release with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) id: String,
    pub(crate) record: Record,
}

impl Release {
    /// The release for programs: its record and its name.
    pub(crate) fn document(&self) -> anyhow::Result<Value> {
        let mut document = self.record.document()?;
        document["id"] = json!(self.id);
        Ok(document)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "begin",
            Self::Apply => "apply",
            Self::Refresh => "refresh",
            Self::Invariants => "invariants",
            Self::Code => "code",
            Self::Stage => "stage",
            Self::Smoke => "smoke",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Passed => f.write_str("passed"),
            Self::Skipped { reason } => write!(f, "skipped: {reason}"),
            Self::Failed { step, reason } => write!(f, "failed: {step}: {reason}"),
        }
    }
}

impl State {
    /// Whether its code is one to go back to.
    fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Skipped { .. })
    }

    /// Whether it ended before anybody could see whether it works.
    fn is_cut_off(&self) -> bool {
        match self {
            Self::Started | Self::Failed { step: Step::Apply | Step::Refresh, .. } => true,
            Self::Failed { reason, .. } => reason == INTERRUPTED,
            Self::Passed | Self::Skipped { .. } => false,
        }
    }
}

impl Record {
    /// The record of a release that begins now.
    pub(crate) fn begin(
        environment: &str,
        kind: Kind,
        manifest: &Manifest,
        before: Option<&Self>,
    ) -> Self {
        Self {
            sha256: manifest.sha256.clone(),
            git_commit: manifest.git_commit.clone(),
            dirty: manifest.dirty,
            ..Self::begin_without_code(environment, kind, before)
        }
    }

    /// The record of a deletion that begins now, of what was deployed last.
    pub(crate) fn begin_destroy(environment: &str, before: Option<&Self>, by: String) -> Self {
        let mut begun = Self { by, ..Self::begin_without_code(environment, Kind::Destroy, before) };
        if let Some(before) = before {
            begun.sha256.clone_from(&before.sha256);
            begun.git_commit.clone_from(&before.git_commit);
            begun.dirty = before.dirty;
        }
        begun
    }

    fn begin_without_code(environment: &str, kind: Kind, before: Option<&Self>) -> Self {
        // The order of releases is that of their names: one that comes after another begins after it, also
        // where the other's machine has a clock that is ahead of ours.
        let now = Timestamp::from(SystemTime::now());
        let last = before.and_then(|it| it.started_at.as_ref().unwrap_or(&it.at).parse().ok());
        let after = last.map(|last: Timestamp| last.plus(Duration::from_millis(1)));
        let now = after.map_or(now, |after| now.max(after)).to_string();
        Self {
            version: VERSION,
            environment: environment.to_owned(),
            started_at: Some(now.clone()),
            at: now,
            sha256: NO_CODE.to_owned(),
            git_commit: None,
            dirty: false,
            by: String::new(),
            kind,
            from: None,
            plan: None,
            state: State::Started,
            function_version: None,
        }
    }

    /// Whether it is a deletion of which nobody knows that it has come to its end.
    pub(crate) fn is_unfinished_destroy(&self) -> bool {
        self.kind == Kind::Destroy && self.state != State::Passed && !self.has_changed_nothing()
    }

    /// Whether it failed before anything of the environment was changed: what was live still is.
    fn has_changed_nothing(&self) -> bool {
        matches!(self.state, State::Failed { step: Step::Begin, .. })
    }

    /// The record of its end, which is now.
    pub(crate) fn end(self, state: State, function_version: Option<String>) -> Self {
        let at = Timestamp::from(SystemTime::now()).to_string();
        Self { at, state, function_version, ..self }
    }

    /// The release's name: when it began, and the beginning of its artifact's digest.
    pub(crate) fn id(&self) -> String {
        let time = self.started_at.as_ref().unwrap_or(&self.at).replace(['-', ':'], "");
        format!("{time}-{}", self.short_digest())
    }

    pub(crate) fn short_digest(&self) -> &str {
        self.sha256.get(..12).unwrap_or(&self.sha256)
    }

    pub(crate) fn short_commit(&self) -> &str {
        self.git_commit.as_deref().map_or("none", |commit| commit.get(..12).unwrap_or(commit))
    }

    /// Whether it is not known to be live and well: it failed, or has no end.
    pub(crate) fn needs_repair(&self) -> bool {
        matches!(self.state, State::Started | State::Failed { .. })
    }

    /// The record as it is kept: with what programs of before read, too.
    pub(crate) fn document(&self) -> anyhow::Result<Value> {
        let mut document = serde_json::to_value(self)?;
        document["smoke"] = json!(self.state.to_string());
        document["function_version"] = json!(self.function_version.as_deref().unwrap_or_default());
        Ok(document)
    }

    /// Keeps the record: as the beginning, or as the end of the release.
    pub(crate) fn keep(&self, operator: &Operator<'_>) -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        serde_json::to_writer_pretty(&file, &self.document()?)?;
        let of = if self.state == State::Started { starts } else { ends };
        let key = format!("{}{}.json", of(&self.environment), self.id());
        operator.put(&key, file.path(), Content::Release)
    }

    /// Reads a record of any version.
    fn read(mut document: Value) -> serde_json::Result<Self> {
        if let (None, Some(smoke)) = (document.get("state"), document["smoke"].as_str()) {
            // Version 1: what was written down was always applied.
            let (state, reason) = smoke.split_once(": ").unwrap_or((smoke, ""));
            let (state, reason) = (json!(state), json!(reason));
            document["state"] = state;
            document["reason"] = reason;
            document["step"] = json!(Step::Smoke);
        }
        Self::deserialize(document)
    }
}

/// Where an environment's releases are kept that were begun.
fn starts(environment: &str) -> String {
    format!("deployments/{environment}/")
}

/// Where those are kept that have ended.
fn ends(environment: &str) -> String {
    format!("releases/{environment}/")
}

/// The releases of an environment, the newest first: those that ended, and those that were begun only.
pub(crate) fn all(environment: &str, operator: &Operator<'_>) -> anyhow::Result<Vec<Release>> {
    let (starts, ends) = (starts(environment), ends(environment));
    let mut kept: Vec<Kept> = operator.read(&ends, None)?;
    kept.extend(operator.read(&starts, Some(&ends)).map_err(|error| {
        if !format!("{error:#}").contains("AccessDenied") {
            return error;
        }
        error.context(format!(
            "the right to {starts}* is missing: apply environments/bootstrap as it is here"
        ))
    })?);
    let release = |Kept { key, document }| {
        let id = key.rsplit('/').next().unwrap_or(&key).trim_end_matches(".json").to_owned();
        let record = Record::read(document).with_context(|| format!("reading {key}"))?;
        Ok(Release { id, record })
    };
    let releases: anyhow::Result<Vec<Release>> = kept.into_iter().map(release).collect();
    let mut releases = releases?;
    releases.sort_unstable_by(|a, b| b.id.cmp(&a.id));
    Ok(releases)
}

/// The same, without those that have changed nothing: two that deploy at once are one that does, and one
/// that is refused.
pub(crate) fn all_of_effect(
    environment: &str,
    operator: &Operator<'_>,
) -> anyhow::Result<Vec<Release>> {
    let mut releases = all(environment, operator)?;
    releases.retain(|release| !release.record.has_changed_nothing());
    Ok(releases)
}

/// The release that a promotion takes: what is live, if an event came through it and its code is a
/// commit's. `releases` are the newest first.
pub(crate) fn to_promote<'a>(from: &str, releases: &'a [Release]) -> anyhow::Result<&'a Release> {
    let Some(live) = releases.first() else {
        bail!("nothing was ever deployed to {from}; `cargo xtask deploy {from}` does");
    };
    let Release { id, record } = live;
    if record.kind == Kind::Destroy {
        bail!(
            "{from} was deleted by {} ({id}: {}): `cargo xtask deploy {from}`, and promote that",
            record.by,
            record.state
        );
    }
    match &record.state {
        State::Passed => {}
        State::Started => bail!(
            "release {id} of {from} was begun and has no end: it was killed, or still runs. Wait, or \
             `cargo xtask deploy {from}`, and promote that"
        ),
        state => bail!(
            "release {id} is the last of {from} and has not passed its smoke test ({state}), so it is \
             not promoted: `cargo xtask deploy {from}`, and promote that"
        ),
    }
    if record.dirty {
        bail!(
            "release {id} of {from} was built with changes that are not committed: nobody could say what \
             is in it. Commit, `cargo xtask deploy {from}`, and promote that"
        );
    }
    Ok(live)
}

/// The release that a rollback goes back to. Without `to` it is the latest with other code that was
/// live and well before the code that was deployed last. `releases` are the newest first.
pub(crate) fn to_go_back_to<'a>(
    environment: &str,
    releases: &'a [Release],
    to: Option<&str>,
) -> anyhow::Result<&'a Release> {
    if let Some(to) = to {
        let mut found = releases.iter().filter(|release| release.id.starts_with(to));
        return match (found.next(), found.next()) {
            (Some(release), None) if release.record.kind == Kind::Destroy => {
                Err(anyhow!("{} is a deletion, and no code to go back to", release.id))
            }
            (Some(release), None) => Ok(release),
            (None, _) => Err(anyhow!(
                "{environment} has no release {to}; `cargo xtask releases {environment}` shows those there are"
            )),
            (Some(_), Some(_)) => Err(anyhow!("several releases begin with {to}")),
        };
    }
    let is_destroy = |release: &&Release| release.record.kind == Kind::Destroy;
    if let Some(Release { id, record }) = releases.first().filter(is_destroy) {
        bail!(
            "{environment} was deleted by {} ({id}: {}): `cargo xtask deploy {environment}` makes it anew, \
             and `--to` takes the code of any of `cargo xtask releases {environment}`",
            record.by,
            record.state
        );
    }
    // What was live before a deletion is of another environment.
    let since = releases.iter().take_while(|release| !is_destroy(release)).count();
    let releases = &releases[..since];
    // A rollback that was cut off is to be finished, not to be gone back from.
    let cut_off = |release: &&Release| {
        release.record.kind == Kind::Rollback && release.record.state.is_cut_off()
    };
    let skipped = releases.iter().take_while(cut_off).count();
    let releases = &releases[skipped..];
    let Some(last) = releases.first() else {
        bail!("nothing was ever deployed to {environment}");
    };
    let is_last = |release: &Release| release.record.sha256 == last.record.sha256;
    let is_good = |release: &Release| release.record.state.is_good();
    // After a rollback the code is live for the second time: what counts is when it first was, or
    // the next rollback would go forward to what was just left.
    let came = releases.iter().rposition(|it| is_last(it) && is_good(it)).unwrap_or_default();
    let earlier = releases.iter().skip(came + 1).find(|it| !is_last(it) && is_good(it));
    earlier.ok_or_else(|| {
        anyhow!(
            "{environment} has no earlier release with other code that was live and well; `--to` takes \
             any of `cargo xtask releases {environment}`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Releases as `digest state`, such as `a passed` or `b rollback started`, given the oldest first,
    /// returned the newest first.
    fn releases(oldest_first: &[&str]) -> Vec<Release> {
        let manifest: Manifest = serde_json::from_value(json!({
            "sha256": "", "code_sha256": "", "zip_bytes": 3, "bootstrap_bytes": 3, "arch": "arm64",
            "target": "", "git_commit": "7ccc8dc", "dirty": false, "rustc": "", "cargo_lambda": "",
        }))
        .unwrap();
        let release = |(minute, text): (usize, &&str)| {
            let words: Vec<&str> = text.split(' ').collect();
            let (kind, state) = match words[1..] {
                ["rollback", state] => (Kind::Rollback, state),
                ["destroy", state] => (Kind::Destroy, state),
                [state] => (Kind::Deploy, state),
                _ => panic!("{text}"),
            };
            let failed = |step| State::Failed { step, reason: "x".into() };
            let state = match state {
                "started" => State::Started,
                "passed" => State::Passed,
                "skipped" => State::Skipped { reason: "x".into() },
                "unapplied" => failed(Step::Apply),
                "failed" => failed(Step::Smoke),
                "interrupted" => State::Failed { step: Step::Smoke, reason: INTERRUPTED.into() },
                state => panic!("{state}"),
            };
            let mut record = Record::begin("dev", kind, &manifest, None);
            record.started_at = Some(format!("2026-11-23T18:{minute:02}:02.123Z"));
            record.sha256 = words[0].repeat(64);
            let record = if state == State::Started { record } else { record.end(state, None) };
            Release { id: record.id(), record }
        };
        let mut releases: Vec<Release> = oldest_first.iter().enumerate().map(release).collect();
        releases.reverse();
        releases
    }

    fn back(oldest_first: &[&str]) -> Result<String, String> {
        let releases = releases(oldest_first);
        let release = to_go_back_to("dev", &releases, None).map_err(|error| error.to_string())?;
        Ok(format!("{} {}", &release.record.sha256[..1], &release.id[9..13]))
    }

    #[test]
    fn a_release_is_named_by_when_it_began_and_its_code() {
        assert_eq!(releases(&["a passed"])[0].id, "20261123T180002.123Z-aaaaaaaaaaaa");
    }

    #[test]
    fn a_release_comes_after_the_one_before_whatever_the_clocks_say() {
        let ahead = Timestamp::from(SystemTime::now()).plus(Duration::from_mins(10));
        let mut before = releases(&["a passed"]).remove(0);
        before.record.started_at = Some(ahead.to_string());
        let before = &before.record;
        let manifest = serde_json::from_value(json!({
            "sha256": "0".repeat(64), "code_sha256": "", "zip_bytes": 3, "bootstrap_bytes": 3,
            "arch": "arm64", "target": "", "git_commit": null, "dirty": false, "rustc": "",
            "cargo_lambda": "",
        }))
        .unwrap();
        let deployed = Record::begin("dev", Kind::Deploy, &manifest, Some(before));
        let destroyed = Record::begin_destroy("dev", Some(&deployed), "me".into());
        assert!(before.id() < deployed.id() && deployed.id() < destroyed.id(), "{destroyed:?}");
        // A clock that is right is not changed.
        let now = Timestamp::from(SystemTime::now());
        let first = Record::begin("dev", Kind::Deploy, &manifest, None);
        let began: Timestamp = first.started_at.unwrap().parse().unwrap();
        assert!(now <= began && began < now.plus(Duration::from_mins(1)), "{began}");
    }

    #[test]
    fn a_rollback_goes_to_the_code_before() {
        assert_eq!(back(&["a passed", "b passed"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b passed", "b failed"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b skipped", "c passed"]), Ok("b 1801".into()));
    }

    #[test]
    fn a_rollback_never_goes_to_what_failed_or_has_no_end() {
        assert_eq!(back(&["a passed", "b failed", "c failed"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b started", "c passed"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b unapplied", "c started"]), Ok("a 1800".into()));
        assert_eq!(back(&["a passed", "b passed", "c started"]), Ok("b 1801".into()));
        assert_eq!(back(&["b failed", "a passed", "b passed"]), Ok("a 1801".into()));
        assert!(back(&["a failed", "b passed"]).is_err());
    }

    #[test]
    fn a_second_rollback_does_not_go_forward() {
        let history = ["a passed", "b passed", "c failed", "b rollback passed"];
        assert_eq!(back(&history), Ok("a 1800".into()));
        assert!(back(&["a passed", "b passed", "a rollback passed"]).is_err());
    }

    #[test]
    fn a_rollback_that_was_cut_off_is_finished() {
        for end in ["started", "unapplied", "interrupted"] {
            let cut_off = format!("b rollback {end}");
            let history = ["a passed", "b passed", "c failed", &cut_off, &cut_off];
            assert_eq!(back(&history), Ok("b 1801".into()), "{end}");
        }
        // One that was applied and did not work is gone back from.
        let history = ["a passed", "b passed", "c failed", "b rollback failed"];
        assert_eq!(back(&history), Ok("a 1800".into()));
    }

    #[test]
    fn what_was_deleted_is_neither_gone_back_to_nor_promoted() {
        for end in ["passed", "started", "unapplied"] {
            let destroyed = format!("b destroy {end}");
            let history = ["a passed", "b passed", &destroyed];
            assert!(back(&history).unwrap_err().contains("dev was deleted by"), "{end}");
            let refused = to_promote("dev", &releases(&history)).unwrap_err().to_string();
            assert!(refused.contains("dev was deleted by"), "{refused}");
            let of_before = ["a passed", "b passed", &destroyed, "c passed"];
            assert!(back(&of_before).unwrap_err().contains("no earlier release"), "{end}");
        }
        let history = releases(&["a passed", "a destroy passed"]);
        let named = |to| to_go_back_to("dev", &history, Some(to));
        assert!(named("20261123T1801").unwrap_err().to_string().contains("is a deletion"));
        assert_eq!(named("20261123T1800").unwrap().id, history[1].id);
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
        let mut history = releases(&["b failed", "a passed"]);
        assert_eq!(to_promote("dev", &history).unwrap().record.sha256, "a".repeat(64));
        history[0].record.dirty = true;
        assert!(to_promote("dev", &history).unwrap_err().to_string().contains("not committed"));
        for live in ["b failed", "b skipped", "b unapplied"] {
            let refused = to_promote("dev", &releases(&["a passed", live])).unwrap_err();
            assert!(refused.to_string().contains("smoke test"), "{refused}");
        }
        let refused = to_promote("dev", &releases(&["a passed", "b started"])).unwrap_err();
        assert!(refused.to_string().contains("has no end"), "{refused}");
        assert!(to_promote("dev", &[]).unwrap_err().to_string().contains("nothing was ever"));
    }

    #[test]
    fn records_of_other_versions_can_be_read() {
        let read = |smoke: &str| {
            let document = json!({
                "version": 1, "environment": "dev", "at": "2026-11-23T18:01:02.123Z", "sha256": "a",
                "git_commit": null, "dirty": false, "by": "me", "kind": "deploy", "from": null,
                "smoke": smoke, "function_version": "7", "of_a_newer_version": true,
            });
            Record::read(document).unwrap().state
        };
        assert_eq!(read("passed"), State::Passed);
        assert_eq!(read("skipped: why: so"), State::Skipped { reason: "why: so".into() });
        let failed = State::Failed { step: Step::Smoke, reason: "503: down".into() };
        assert_eq!(read("failed: 503: down"), failed);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for state in ["started", "passed", "skipped", "unapplied"] {
            let record = &releases(&[&format!("a {state}")])[0].record;
            assert_eq!(Record::read(serde_json::to_value(record).unwrap()).unwrap(), *record);
        }
    }
}
