//! `dlq stats`

use std::collections::BTreeMap;
use std::process::ExitCode;

use commands::dlq::Stats;
use serde_json::json;
use terminal::table;

use super::choice::Choice;
use super::look::look;
use super::{Summary, check_route};
use crate::environment;
use crate::people::{self, printable};
use crate::zone;

pub(super) async fn run(given: Stats) -> anyhow::Result<ExitCode> {
    let environment = environment::connect(&given.environment).await?;
    let select = given.select.select();
    check_route(&environment, &select).await?;
    let mut choice = Choice::of(&select, environment.queue_time().await?)?;
    let mut counts: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    let looked = look(&environment, |message| {
        if choice.includes(message) {
            let Summary { route, reason, dead_since, .. } = Summary::of(message);
            let hour = dead_since.get(..13).unwrap_or(&dead_since).replace('T', " ");
            let route = route.unwrap_or_else(|| "-".to_owned());
            *counts.entry((route, reason, hour)).or_default() += 1;
        }
        Ok(())
    })
    .await?;
    choice.check(looked)?;
    let total: u64 = counts.values().sum();
    if given.output.json() {
        let counts: Vec<_> = counts
            .iter()
            .map(|((route, reason, hour), count)| {
                let hour = format!("{}:00:00Z", hour.replace(' ', "T"));
                json!({ "route": route, "reason": reason, "hour": hour, "count": count })
            })
            .collect();
        let document = json!({ "total": total, "unseen": looked.unseen(), "counts": counts });
        println!("{document:#}");
    } else if total == 0 {
        println!("{}", super::none(looked, &select));
    } else {
        let rows: Vec<[String; 4]> = counts
            .into_iter()
            .map(|((route, reason, hour), count)| {
                let hour = format!("{}:00:00Z", hour.replace(' ', "T"));
                let hour = people::time(&hour).map_or(hour, zone::to_the_minute);
                [printable(&route), reason, hour, count.to_string()]
            })
            .collect();
        let dead_since = zone::heading("DEAD SINCE");
        let heading = ["ROUTE", "CLASS", &dead_since, "COUNT"];
        print!("{}", table::render(heading, &rows, people::width(given.output)));
        println!("{}", people::count(total, "dead letter"));
    }
    Ok(looked.exit_code())
}
