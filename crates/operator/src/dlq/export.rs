//! `dlq export`: dead letters into a file, complete.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::look;
use super::select::SelectArgs;
use crate::environment::EnvironmentArgs;
use crate::letter::{DeadLetter, Letter};
use crate::people;

/// Write dead letters into a file, complete, and leave them where they are
///
/// The file has a JSON object a line, bodies included: keep it as safe as the queue. `dlq import` puts
/// it back. To read them, all dead letters are received: see `dlq list --help` for what that costs.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = crate::program::help("Examples:\n  {program} dlq export prod dead-letters.jsonl\n  {program} dlq export prod rejected.jsonl --reason rejected --since 2h")
)]
pub(crate) struct Export {
    #[command(flatten)]
    environment: EnvironmentArgs,

    /// File to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print JSON: how many were written, and where
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    select: SelectArgs,
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment.connect().await?;
        let mut out = ExportFile::create(&self.file)?;
        let selection = self.select.selection();
        let mut written = Ok(());
        look(&environment, |message| {
            if written.is_ok() && selection.includes(message) {
                written = out.write(message);
            }
        })
        .await?;
        written?;
        let count = out.finish()?;
        let what = json!({ "file": self.file, "count": count });
        environment.audit().add("dlq export", None, what.clone()).await?;
        if self.json {
            println!("{what}");
        } else {
            println!(
                "{} written to {}, and still in the queue",
                people::count(count, "dead letter"),
                self.file.display()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A new file that only its owner can read.
pub(super) struct ExportFile {
    path: PathBuf,
    out: BufWriter<File>,
    count: u64,
}

impl ExportFile {
    /// Creates it.
    ///
    /// # Errors
    ///
    /// When there is one already: what it holds may be all that is left of dead letters.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), count: 0 })
    }

    pub(super) fn write(&mut self, letter: &DeadLetter) -> anyhow::Result<()> {
        let line = serde_json::to_string(&Letter::from(letter))?;
        writeln!(self.out, "{line}").with_context(|| format!("writing {}", self.path.display()))?;
        self.count += 1;
        Ok(())
    }

    /// Makes it durable, and says how many it holds.
    pub(super) fn finish(mut self) -> anyhow::Result<u64> {
        self.out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .with_context(|| format!("writing {}", self.path.display()))?;
        Ok(self.count)
    }
}
