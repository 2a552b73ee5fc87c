//! An engine is asked for the next attempt of a group.

use serde::Deserialize;
use serde_json::json;

use super::Group;
use crate::engine_api::EngineApi;

/// What an engine says came of it.
#[derive(Debug, Deserialize)]
struct Answer {
    groups: Vec<Group>,
}

/// A page of the groups that wait.
#[derive(Debug, Deserialize)]
struct GroupsPage {
    groups: Vec<Head>,
}

#[derive(Debug, Deserialize)]
struct Head {
    group: String,
    sequence: String,
}

pub(super) async fn now(api: &EngineApi, key: &str) -> anyhow::Result<Vec<Group>> {
    let answer: Answer = api.post("/_engine/retry", &json!({ "groups": [key] })).await?;
    Ok(answer.groups)
}

/// The groups that wait, those with the oldest events first.
pub(super) async fn waiting(api: &EngineApi) -> anyhow::Result<Vec<String>> {
    let (mut keys, mut path) = (Vec::new(), "/_engine/waiting-groups".to_owned());
    loop {
        let GroupsPage { groups } = api.get(&path).await?;
        let Some(last) = groups.last() else { return Ok(keys) };
        path = format!("/_engine/waiting-groups/after/{}", last.sequence);
        keys.extend(groups.into_iter().map(|head| head.group));
    }
}
