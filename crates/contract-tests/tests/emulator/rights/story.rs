//! Two environments in a clone of their own, bootstrapped, deployed, operated and destroyed by the
//! commands, on an emulator, each command by whom it is meant for.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use emulator::{Background, Emulator};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::proxy::{Proxy, free_address};
use crate::step::{self, Ended};

/// The emulator's only account.
pub(crate) const ACCOUNT: &str = "000000000000";
/// Where the environments are.
pub(crate) const REGION: &str = "us-east-1";
/// Who bootstraps.
pub(crate) const ADMINISTRATOR: &str = "administrator";

/// An emulator with nothing in it, and a clone of the repository whose environments are there.
pub(crate) struct Story {
    clone: PathBuf,
    target: PathBuf,
    emulator: Emulator,
    stand_in: Background,
    stand_in_url: String,
    pub(crate) proxy: Proxy,
}

impl Story {
    /// Has `tell` told with everything at hand, in a folder that goes afterwards; everything is ended,
    /// whatever comes of it. Or says why it cannot be told here.
    pub(crate) fn play(
        tell: impl FnOnce(&Self, &Path) -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<Option<String>> {
        let dir = tempfile::tempdir().context("making a folder for the clone")?;
        let story = match Self::begin(dir.path()) {
            Ok(story) => story,
            Err(error) => match error.downcast_ref() {
                Some(missing @ emulator::Error::Missing { .. }) => {
                    return Ok(Some(missing.to_string()));
                }
                _ => return Err(error),
            },
        };
        let told = match story.obstacle() {
            Ok(None) => tell(&story, dir.path()),
            untold => untold,
        };
        story.end()?;
        told
    }

    /// Starts what is needed, in `dir`.
    fn begin(dir: &Path) -> anyhow::Result<Self> {
        let (clone, target) = (dir.join("clone"), dir.join("target"));
        let proxy = Proxy::start(dir.join("gateways"))?;
        let emulator = Emulator::new(dir.join("emulator"), step::target_dir());
        let emulator = emulator.behind(proxy.endpoint.clone());
        let address = free_address()?;
        let stand_in = Background { name: "stand-in", dir: dir.join("stand-in") };
        let story = Self {
            clone,
            target,
            emulator,
            stand_in,
            stand_in_url: format!("http://{address}"),
            proxy,
        };
        story.clone_repository()?;
        story.emulator.ensure_running()?;
        story.proxy.lead_to(&story.emulator.endpoint().context("the emulator does not run")?)?;
        let mut stub = Command::new(step::program("sss-stub"));
        story.stand_in.start(stub.args(["--listen", &address.to_string()]), address)?;
        Ok(story)
    }

    /// Ends everything.
    fn end(&self) -> anyhow::Result<()> {
        self.proxy.stop()?;
        self.stand_in.stop()?;
        self.emulator.stop()?;
        Ok(())
    }

    /// Copies what git tracks, with environments that are on the emulator, as a clone without changes.
    fn clone_repository(&self) -> anyhow::Result<()> {
        let root = step::root();
        let listed = output(Command::new("git").arg("-C").arg(&root).arg("ls-files"))?;
        for file in listed.lines().filter(|file| root.join(file).is_file()) {
            let to = self.clone.join(file);
            std::fs::create_dir_all(to.parent().context("a file in a folder")?)?;
            std::fs::copy(root.join(file), &to).with_context(|| format!("copying {file}"))?;
        }
        self.edit("bootstrap", |bootstrap| {
            bootstrap["account_id"] = json!(ACCOUNT);
            bootstrap["region"] = json!(REGION);
        })?;
        for name in ["dev", "prod"] {
            self.edit(name, |environment| {
                let boundary =
                    format!("arn:aws:iam::{ACCOUNT}:policy/acme-webhook-{name}-boundary");
                let aws = &mut environment["aws"];
                aws["region"] = json!(REGION);
                aws["account_id"] = json!(ACCOUNT);
                aws["permissions_boundary_arn"] = json!(boundary);
                aws["function"] = json!({ "architecture": architecture() });
                aws["deletion_protection"] = json!(false);
                let sss = &mut environment["routes"]["sss"];
                sss["destinations"][0]["url"] = json!(format!("{}/hook", self.stand_in_url));
                sss["retry"] = json!({ "initial_delay_seconds": 1, "max_delay_seconds": 2 });
                sss["give_up_after_seconds"] = json!(600);
            })?;
        }
        // The programs that are built already; Terraform's folders are the clone's own.
        std::fs::create_dir_all(&self.target)?;
        std::os::unix::fs::symlink(step::target_dir().join("debug"), self.target.join("debug"))?;
        self.git(&["init", "--quiet"])?;
        self.commit()
    }

    /// Changes the values of an environment.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let file = self.clone.join("environments").join(name).join("terraform.tfvars.json");
        let mut values = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        change(&mut values);
        std::fs::write(&file, values.to_string())?;
        Ok(())
    }

    /// The values of an environment.
    pub(crate) fn values(&self, name: &str) -> anyhow::Result<Value> {
        let file = self.clone.join("environments").join(name).join("terraform.tfvars.json");
        Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
    }

    /// Writes a file of the clone.
    pub(crate) fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        std::fs::write(self.clone.join(path), text).with_context(|| format!("writing {path}"))
    }

    /// Where the emulator itself is.
    pub(crate) fn emulator_endpoint(&self) -> anyhow::Result<String> {
        self.emulator.endpoint().context("the emulator does not run")
    }

    /// Where the stand-in for the service is.
    pub(crate) fn stand_in_url(&self) -> &str {
        &self.stand_in_url
    }

    /// The bodies that the service has got, oldest first.
    pub(crate) fn received(&self) -> anyhow::Result<Vec<Value>> {
        let url = format!("{}/_stub/received", self.stand_in_url);
        let answer = ureq::get(&url).call().with_context(|| format!("asking {url}"))?;
        let received: Vec<Value> = serde_json::from_str(&answer.into_body().read_to_string()?)?;
        let body = |it: &Value| serde_json::from_str(it["body"].as_str()?).ok();
        Ok(received.iter().filter_map(body).collect())
    }

    /// Commits what was edited: what is deployed is a commit's.
    pub(crate) fn commit(&self) -> anyhow::Result<()> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", "values"])
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.clone);
        git.args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(arguments);
        output(&mut git).map(drop)
    }

    /// Why Terraform cannot run here: there is none, or its provider cannot be had.
    fn obstacle(&self) -> anyhow::Result<Option<String>> {
        let Err(error) = self.terraform(&["init", "-input=false", "-no-color"]) else {
            return Ok(None);
        };
        let reason = format!("{error:#}");
        let signs = ["starting terraform", "Failed to query available provider packages"];
        if signs.iter().any(|sign| reason.contains(sign)) { Ok(Some(reason)) } else { Err(error) }
    }

    /// A file that a command reads or writes.
    pub(crate) fn file(&self, name: &str) -> String {
        self.target.join(name).display().to_string()
    }

    /// Makes the buckets, roles and policies; returns its state.
    pub(crate) fn bootstrap(&self) -> anyhow::Result<Value> {
        self.terraform(&["apply", "-input=false", "-auto-approve"])?;
        serde_json::from_str(&self.terraform(&["show", "-json"])?).context("bootstrap's state")
    }

    /// Runs Terraform in bootstrap's folder, as the administrator.
    pub(crate) fn terraform(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut terraform =
            self.terraform_in(&self.clone.join("environments/bootstrap"), ADMINISTRATOR);
        output(terraform.args(arguments).env("TF_DATA_DIR", self.target.join("bootstrap")))
    }

    /// Terraform in a folder, as `who` calls it.
    pub(crate) fn terraform_in(&self, folder: &Path, who: &str) -> Command {
        let mut terraform = Command::new("terraform");
        terraform.arg(format!("-chdir={}", folder.display())).envs(self.environment(who));
        terraform
    }

    /// Has bootstrap go on with a state of before.
    pub(crate) fn take_state_of_bootstrap(&self, state: &Path) -> anyhow::Result<()> {
        let to = self.clone.join("environments/bootstrap/terraform.tfstate");
        std::fs::copy(state, &to).with_context(|| format!("copying {}", state.display()))?;
        Ok(())
    }

    /// Whether a key is there, and nobody has it deleted.
    pub(crate) fn key_exists(&self, arn: &str) -> anyhow::Result<bool> {
        let request = ureq::post(&self.emulator_endpoint()?)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "TrentService.DescribeKey")
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/kms/aws4_request, SignedHeaders=host, Signature=0"));
        let answer =
            request.send(json!({ "KeyId": arn }).to_string()).context("asking for a key")?;
        let answer: Value = serde_json::from_str(&answer.into_body().read_to_string()?)?;
        Ok(answer["KeyMetadata"]["KeyState"] == "Enabled")
    }

    /// Terraform's state of an environment that was deployed, as `who` reads it.
    pub(crate) fn state(&self, who: &str, name: &str) -> anyhow::Result<Value> {
        let mut terraform = self.terraform_in(&self.clone.join("environments").join(name), who);
        let data = self.target.join("terraform").join(name).join("data");
        let shown = output(terraform.args(["show", "-json"]).env("TF_DATA_DIR", data))?;
        serde_json::from_str(&shown).context("an environment's state")
    }

    /// Runs a command of `cargo xtask` as `who`.
    pub(crate) fn xtask(&self, who: &str, arguments: &[&str]) -> anyhow::Result<Ended> {
        let mut environment = self.environment(who);
        environment.extend([
            ("CARGO_PKG_NAME", "xtask".to_owned()),
            ("CARGO_MANIFEST_DIR", self.clone.join("xtask").display().to_string()),
            ("CARGO_TARGET_DIR", self.target.display().to_string()),
            ("XTASK_BUILT", "1".to_owned()),
        ]);
        step::xtask(arguments, &environment)
    }

    /// The same, to its good end.
    pub(crate) fn done(&self, who: &str, arguments: &[&str]) -> anyhow::Result<String> {
        self.xtask(who, arguments)?.done()
    }

    /// What tells the SDKs who calls and where AWS is.
    fn environment(&self, who: &str) -> Vec<(&'static str, String)> {
        [
            ("AWS_ACCESS_KEY_ID", who),
            ("AWS_SECRET_ACCESS_KEY", "of the emulator"),
            ("AWS_REGION", REGION),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL", &self.proxy.endpoint),
            ("CHECKPOINT_DISABLE", "1"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// Packages the forwarder as `cargo xtask package` would, and returns its digest. Another `comment`
    /// is other code to Lambda.
    pub(crate) fn package(&self, comment: &str) -> anyhow::Result<String> {
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .unix_permissions(0o755);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("bootstrap", options)?;
        let program = std::fs::read(step::program("forwarder")).context("reading the forwarder")?;
        zip.write_all(&program)?;
        zip.set_comment(comment)?;
        let zip = zip.finish()?.into_inner();
        let digest = Sha256::digest(&zip);
        let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let hexadecimal = digits.concat();
        let mut git = Command::new("git");
        let commit = output(git.arg("-C").arg(&self.clone).args(["rev-parse", "HEAD"]))?;
        let manifest = json!({
            "sha256": hexadecimal,
            "code_sha256": BASE64_STANDARD.encode(digest),
            "zip_bytes": zip.len(),
            "bootstrap_bytes": program.len(),
            "arch": architecture(),
            "target": "this machine's",
            "git_commit": commit.trim(),
            "dirty": false,
            "rustc": "the test's",
            "cargo_lambda": "none",
        });
        let dir = self.package_dir();
        std::fs::create_dir_all(&dir)?;
        std::fs::write(self.artifact(), zip)?;
        std::fs::write(dir.join("manifest.json"), manifest.to_string())?;
        Ok(hexadecimal)
    }

    /// What was packaged last.
    pub(crate) fn artifact(&self) -> PathBuf {
        self.package_dir().join("function.zip")
    }

    /// What is known of it.
    pub(crate) fn manifest(&self) -> anyhow::Result<Value> {
        let text = std::fs::read_to_string(self.package_dir().join("manifest.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn package_dir(&self) -> PathBuf {
        self.target.join("package").join(architecture())
    }

    /// Tells the stand-in for the service how to answer.
    pub(crate) fn behave(&self, behavior: &Value) -> anyhow::Result<()> {
        let url = format!("{}/_stub/behavior", self.stand_in_url);
        ureq::put(&url).send(&behavior.to_string()).with_context(|| format!("asking {url}"))?;
        Ok(())
    }

    /// Asks `who`'s command until what it prints is `enough`.
    pub(crate) fn until(
        &self,
        who: &str,
        arguments: &[&str],
        enough: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = std::time::Instant::now() + Duration::from_secs(90);
        loop {
            let printed = self.done(who, arguments)?;
            if enough(&serde_json::from_str(&printed)?) {
                return Ok(());
            }
            if std::time::Instant::now() > deadline {
                bail!("`{}` still prints {printed}", arguments.join(" "));
            }
        }
    }
}

/// Posts an event and returns its id.
pub(crate) fn post(url: &str, key: &str, body: &str) -> anyhow::Result<String> {
    let request = ureq::post(url).header("content-type", "application/json");
    let answer = request.header("x-workflow-id", key).send(body)?;
    let id = answer.headers().get("apigw-requestid").context("an answer has an id")?;
    Ok(id.to_str()?.to_owned())
}

/// This machine's, by which the emulator runs functions.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }
}

pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{name} ended with {}: {said}{printed}", output.status);
    Ok(printed.into_owned())
}
