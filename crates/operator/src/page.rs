//! `page`: the environment in a browser. What it shows and does is this program's other commands.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;
use commands::{EnvironmentArgs, Page};
use page::Operator;

use crate::environment::{self, Host};
use crate::interrupt::{self, interrupted};
use crate::progress;

/// Where files of this user alone are, until they log out. Source: XDG Base Directory Specification.
const RUNTIME_DIR_VARIABLE: &str = "XDG_RUNTIME_DIR";

pub(crate) async fn run(given: Page) -> anyhow::Result<ExitCode> {
    let found = environment::connect(&given.environment).await?;
    let program = std::env::current_exe().context("finding this program's own file")?;
    let page = page::Page {
        operator: Operator::new(program, found.name.clone(), options(&given.environment)),
        is_aws: matches!(found.host, Host::Aws { .. }),
        acts: given.act,
        port: given.port,
    };
    let port = given.port;
    let page = page.listen().await.with_context(|| format!("listening on 127.0.0.1:{port}"))?;
    let address = page.address()?;
    // Made for its owner alone, by a name that nobody guesses.
    let door = tempfile::Builder::new()
        .prefix(&format!("webhook-queue-{}-", found.name))
        .suffix(".html")
        .tempfile_in(runtime_dir())
        .context("making the file that lets a browser in")?;
    page.write_door(door.path()).context("writing the file that lets a browser in")?;
    println!("{} is shown at http://{address}/ until Ctrl-C", found.name);
    println!("to be let in, open {}", door.path().display());
    if !given.no_open && std::io::stdout().is_terminal() {
        open(door.path());
    }
    // It waits for nobody: what it serves tells its own progress.
    let _quiet = progress::quiet();
    // To be interrupted is how it ends, with its acts.
    let _guard = interrupt::guard();
    page.serve(interrupted()).await.context("serving the page")?;
    Ok(ExitCode::SUCCESS)
}

/// The options that say where the environment is, for the commands that the page starts.
fn options(given: &EnvironmentArgs) -> Vec<OsString> {
    let EnvironmentArgs { environment: _, config, data_dir, api } = given;
    let path = |path: &PathBuf| path.clone().into_os_string();
    let options = [
        ("--config", config.as_ref().map(path)),
        ("--data-dir", data_dir.as_ref().map(path)),
        ("--api", api.as_ref().map(OsString::from)),
    ];
    let given = options.into_iter().filter_map(|(name, value)| Some([name.into(), value?]));
    given.flatten().collect()
}

fn runtime_dir() -> PathBuf {
    std::env::var_os(RUNTIME_DIR_VARIABLE).map_or_else(std::env::temp_dir, PathBuf::from)
}

/// Opens the file in a browser, where there is a screen; where there is none, the path has been printed.
fn open(door: &Path) {
    let has_screen =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if has_screen {
        let mut browser = std::process::Command::new("xdg-open");
        browser.arg(door).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = browser.spawn() {
            eprintln!("note: no browser could be started: {error}");
        }
    }
}
