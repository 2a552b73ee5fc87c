//! The artifact of a deployment: built here or found by its digest, and always re-hashed before use.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use terminal::exit::Failure;

use super::operator::{Content, Operator};
use super::release::Record;
use super::{Environment, local_dir};
use crate::package::{self, Arch, MANIFEST_FILE, Manifest, Packing, Stub, ZIP_FILE};
use crate::{process, workspace};

/// An artifact whose bytes are on this machine and have the digest that its manifest says.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) manifest: Manifest,
    zip: PathBuf,
    manifest_file: PathBuf,
    /// Whether it came from the store of the environment that it is for: it is there.
    is_kept: bool,
}

impl Artifact {
    /// Builds the artifact of an environment.
    pub(crate) fn build(environment: &Environment) -> anyhow::Result<Self> {
        let (arch, packing) = (environment.arch(), environment.packing());
        package::build(arch, packing)?;
        let dir = package::dir(arch, packing);
        Self::read(&dir.join(ZIP_FILE), &dir.join(MANIFEST_FILE))
    }

    /// The artifact with this digest, if `cargo xtask package` has put it here.
    pub(crate) fn packaged(digest: &str) -> Option<Self> {
        let dirs = Arch::ALL.into_iter().map(|arch| package::dir(arch, Packing::Small));
        let found = dirs.map(|dir| Self::read(&dir.join(ZIP_FILE), &dir.join(MANIFEST_FILE)));
        found.filter_map(Result::ok).find(|artifact| artifact.manifest.sha256 == digest)
    }

    /// Copies the artifact with this digest from the store of `operator`, which is that of the
    /// environment that it is for.
    ///
    /// # Errors
    ///
    /// When there is none, or its bytes have another digest.
    pub(crate) fn fetch(digest: &str, operator: &Operator<'_>) -> anyhow::Result<Self> {
        Ok(Self { is_kept: true, ..Self::copy(digest, operator)? })
    }

    /// The same, for an environment whose store is that of `to`.
    pub(crate) fn fetch_for(
        to: &Operator<'_>,
        digest: &str,
        from: &Operator<'_>,
    ) -> anyhow::Result<Self> {
        Ok(Self { is_kept: to.shares_store_with(from), ..Self::copy(digest, from)? })
    }

    fn copy(digest: &str, operator: &Operator<'_>) -> anyhow::Result<Self> {
        let dir = workspace::target_dir().join("artifacts").join(digest);
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let (zip, manifest) = (dir.join(ZIP_FILE), dir.join(MANIFEST_FILE));
        operator.get(&zip_key(digest), &zip)?;
        operator.get(&manifest_key(digest), &manifest)?;
        let artifact = Self::read(&zip, &manifest)?;
        if artifact.manifest.sha256 != digest {
            bail!("the artifact kept as {digest} is {}: do not use it", artifact.manifest.sha256);
        }
        Ok(artifact)
    }

    /// Reads an artifact and compares its bytes with its manifest.
    fn read(zip: &Path, manifest_file: &Path) -> anyhow::Result<Self> {
        let read = |path: &Path| {
            std::fs::read(path).with_context(|| format!("reading {}", path.display()))
        };
        let manifest: Manifest = serde_json::from_slice(&read(manifest_file)?)
            .with_context(|| format!("reading {}", manifest_file.display()))?;
        let digest = terminal::text::sha256(&read(zip)?);
        if digest != manifest.sha256 {
            bail!("{} has digest {digest}, its manifest says {}", zip.display(), manifest.sha256);
        }
        let (zip, manifest_file) = (zip.to_owned(), manifest_file.to_owned());
        Ok(Self { manifest, zip, manifest_file, is_kept: false })
    }

    /// The same bytes, of the commit that a release says: their first build may have been of another.
    pub(crate) fn of_release(mut self, record: &Record) -> Self {
        self.manifest.git_commit.clone_from(&record.git_commit);
        self.manifest.dirty = record.dirty;
        self
    }

    /// Keeps it in the store, unless it is there.
    pub(crate) fn keep(&self, operator: &Operator<'_>) -> anyhow::Result<()> {
        if self.is_kept {
            return Ok(());
        }
        let digest = &self.manifest.sha256;
        operator.put(&zip_key(digest), &self.zip, Content::Artifact)?;
        operator.put(&manifest_key(digest), &self.manifest_file, Content::Manifest)
    }

    /// Fails unless that workflow has attested to have built these bytes.
    pub(crate) fn check_attestation(&self, by: &Workflow) -> anyhow::Result<()> {
        let Workflow { repository, path, git_ref } = by;
        let mut gh = process::command("gh");
        gh.args(["attestation", "verify"]).arg(&self.zip).args(["--repo", repository]);
        gh.args(["--signer-workflow", &format!("{repository}/{path}"), "--source-ref", git_ref]);
        gh.arg("--deny-self-hosted-runners");
        process::run(&mut gh).with_context(|| {
            format!(
                "{} is not attested by {path} of {repository} at {git_ref}, so it is not promoted",
                self.manifest.sha256
            )
        })
    }

    /// Fails unless the function of `environment` can run it.
    pub(crate) fn check_runs_in(&self, environment: &Environment) -> anyhow::Result<()> {
        let (built, wanted) = (&self.manifest.arch, environment.arch().name());
        if built == wanted {
            return Ok(());
        }
        let name = &environment.name;
        let error = anyhow!("the artifact is for {built}, and the function of {name} is {wanted}");
        Err(Failure::Usage.of(error))
    }

    /// What Terraform is told of it, and of the stand-in for the service where there is one.
    pub(crate) fn variables(&self, environment: &Environment, stub: Option<&Stub>) -> Value {
        let arch = &self.manifest.arch;
        let location = |sha256: &str, code_sha256: &str| {
            let mut artifact = json!({ "code_sha256": code_sha256, "architecture": arch });
            if environment.is_local() {
                // A file named by its content, so that the same bytes give the same plan.
                artifact["path"] = json!(local_dir().join("bucket").join(zip_key(sha256)));
            } else {
                artifact["bucket"] = json!(environment.aws.artifact_bucket);
                artifact["key"] = json!(zip_key(sha256));
            }
            artifact
        };
        let Manifest { sha256, code_sha256, .. } = &self.manifest;
        let stub = stub.map(|stub| location(&stub.sha256, &stub.code_sha256));
        json!({ "artifact": location(sha256, code_sha256), "stub_artifact": stub })
    }
}

/// The stand-in for the service, built if the environment asks for one.
pub(crate) fn stub(environment: &Environment) -> anyhow::Result<Option<Stub>> {
    let build = || package::build_stub(environment.arch(), environment.packing());
    environment.aws.sss_stub.then(build).transpose()
}

impl Stub {
    /// Keeps it in the store, unless it is there.
    pub(crate) fn keep(&self, operator: &Operator<'_>) -> anyhow::Result<()> {
        operator.put(&zip_key(&self.sha256), &self.zip, Content::Artifact)
    }
}

/// A workflow of GitHub Actions, of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workflow {
    repository: String,
    path: String,
    git_ref: String,
}

/// Parses who attests: a repository alone would take what any branch of it, and any workflow, has built.
pub(crate) fn parse_workflow(text: &str) -> Result<Workflow, String> {
    let parts = || {
        let (place, git_ref) = text.split_once('@')?;
        let (owner, rest) = place.split_once('/')?;
        let (name, path) = rest.split_once('/')?;
        let is_right = path.starts_with(".github/workflows/") && git_ref.starts_with("refs/");
        let repository = format!("{owner}/{name}");
        is_right.then(|| Workflow {
            repository,
            path: path.to_owned(),
            git_ref: git_ref.to_owned(),
        })
    };
    parts().ok_or_else(|| {
        "a workflow is OWNER/REPO/.github/workflows/FILE@refs/heads/BRANCH".to_owned()
    })
}

/// Parses the digest of an artifact.
pub(crate) fn parse_digest(text: &str) -> Result<String, String> {
    let digest = text.strip_prefix("sha256:").unwrap_or(text);
    if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digest.to_ascii_lowercase());
    }
    Err("a digest is 64 hexadecimal digits; `cargo xtask package` and `cargo xtask releases` print them"
        .to_owned())
}

fn zip_key(digest: &str) -> String {
    format!("artifacts/{digest}.zip")
}

fn manifest_key(digest: &str) -> String {
    format!("artifacts/{digest}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_complete() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(parse_digest(&digest), Ok(digest.clone()));
        assert_eq!(parse_digest(&format!("sha256:{}", digest.to_uppercase())), Ok(digest));
        assert!(parse_digest("0123456789ab").is_err());
        assert!(parse_digest(&"x".repeat(64)).is_err());
    }

    #[test]
    fn who_attests_is_a_workflow_of_a_branch() {
        let workflow = Workflow {
            repository: "acme/webhook-queue".to_owned(),
            path: ".github/workflows/deploy-dev.yml".to_owned(),
            git_ref: "refs/heads/main".to_owned(),
        };
        let text = "acme/webhook-queue/.github/workflows/deploy-dev.yml@refs/heads/main";
        assert_eq!(parse_workflow(text), Ok(workflow));
        for bad in [
            "acme/webhook-queue",
            "acme/webhook-queue/.github/workflows/deploy-dev.yml",
            "acme/webhook-queue/.github/workflows/deploy-dev.yml@main",
            "acme/webhook-queue@refs/heads/main",
            "acme/webhook-queue/scripts/deploy-dev.yml@refs/heads/main",
        ] {
            assert!(parse_workflow(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_not_what_the_manifest_says_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (zip, manifest) = (dir.path().join("z"), dir.path().join("m"));
        let says = |sha256: &str| {
            json!({
                "sha256": sha256, "code_sha256": "", "zip_bytes": 3, "bootstrap_bytes": 3,
                "arch": "arm64", "target": "", "git_commit": null, "dirty": false, "rustc": "",
                "cargo_lambda": "",
            })
        };
        std::fs::write(&zip, "zip").unwrap();
        std::fs::write(&manifest, says(&terminal::text::sha256(b"zip")).to_string()).unwrap();
        Artifact::read(&zip, &manifest).unwrap();
        std::fs::write(&zip, "tampered").unwrap();
        let error = Artifact::read(&zip, &manifest).unwrap_err().to_string();
        assert!(error.contains("has digest"), "{error}");
    }
}
