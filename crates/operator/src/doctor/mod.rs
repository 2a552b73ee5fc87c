//! `doctor`: checks everything that deliveries depend on and an operator can mend, and says how.

mod checks;
mod destination;
mod disk;
mod environment;
mod preflight;

use std::process::ExitCode;

use commands::Doctor;
use serde_json::json;

use checks::{Check, Checks, Verdict};

pub(crate) async fn run(given: Doctor) -> anyhow::Result<ExitCode> {
    let mut checks = Checks::default();
    let environment = Box::pin(environment::check(&given.environment, &mut checks)).await?;
    let worst = checks.worst();
    if given.json {
        let checks = checks.all();
        let document = json!({
            "environment": environment, "verdict": worst, "checks": checks,
        });
        println!("{document:#}");
    } else {
        print!("{}", render(checks.all()));
    }
    Ok(if worst == Verdict::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let line = |check: &Check| {
        let mut text = format!("{:<4}  {:<width$}  {}\n", check.verdict, check.name, check.found);
        if let Some(advice) = &check.advice {
            text = format!("{text}{:width$}        {advice}\n", "");
        }
        text
    };
    checks.iter().map(line).collect()
}
