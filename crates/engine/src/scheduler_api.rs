//! The part of `EventBridge` Scheduler's API that ends a pause by itself: one schedule that enables
//! the event source mapping at a time and is gone then. It is kept in the data directory, so that the
//! pause ends though the engine was restarted meanwhile.
//!
//! Source: `EventBridge` Scheduler API reference, `CreateSchedule`, `GetSchedule`, `DeleteSchedule`;
//! `EventBridge` Scheduler user guide, "Using universal targets".

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::config::LogLevel;
use domain::json::JsonError;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::event_source_mapping::MappingHandle;
use crate::files::write_durably;
use crate::http;
use crate::lambda_api::UUID;
use crate::log::Log;

/// Name of the file in the data directory.
const FILE: &str = "schedule.json";

/// The target that changes an event source mapping.
const TARGET: &str = "arn:aws:scheduler:::aws-sdk:lambda:updateEventSourceMapping";

/// Until the next attempt, when the mapping's new state cannot be kept.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A schedule, and the mapping that it is for.
pub(crate) struct Scheduler {
    file: Option<PathBuf>,
    schedule: watch::Sender<Option<Schedule>>,
    mapping: MappingHandle,
    clock: Arc<dyn Clock>,
    log: Log,
}

/// What is kept. Further fields of a newer engine are left alone by an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Schedule {
    name: String,
    /// RFC 3339.
    at: String,
    description: String,
}

/// What is asked for; everything else that AWS can do is refused.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    schedule_expression: String,
    #[serde(default)]
    schedule_expression_timezone: Option<String>,
    #[serde(default)]
    description: Option<String>,
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    arn: String,
    #[serde(default)]
    input: String,
}

/// The target's input: the parameters of `UpdateEventSourceMapping`, as Scheduler spells them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Input {
    uuid: String,
    enabled: bool,
}

/// Why a schedule is not made.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Validation(String),
    #[error("schedule {0} is there already")]
    Conflict(String),
    #[error("schedule {0} does not exist")]
    NotFound(String),
    #[error("the schedule cannot be kept: {0}")]
    Storage(#[from] io::Error),
}

impl Scheduler {
    /// The schedule that `data_dir` keeps, if there is one.
    pub(crate) fn open(
        data_dir: Option<&Path>,
        mapping: MappingHandle,
        clock: Arc<dyn Clock>,
        log: Log,
    ) -> io::Result<Arc<Self>> {
        let file = data_dir.map(|dir| dir.join(FILE));
        let kept = match file.as_deref().map(std::fs::read) {
            Some(Ok(text)) => Some(serde_json::from_slice(&text)?),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => None,
        };
        let schedule = watch::Sender::new(kept);
        Ok(Arc::new(Self { file, schedule, mapping, clock, log }))
    }

    /// Does what is scheduled when it is time.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut schedule = self.schedule.subscribe();
        loop {
            let next = schedule.borrow_and_update().clone();
            let at = next.as_ref().and_then(|schedule| schedule.at.parse::<Timestamp>().ok());
            let due = async {
                match at {
                    Some(at) => self.clock.wait_until_wall(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = schedule.changed() => if changed.is_err() { return },
                () = due => if let Err(error) = self.fire().await {
                    let fields = json!({ "error": error.to_string() });
                    self.log.line(LogLevel::Error, "the scheduled resume failed", fields);
                    self.clock.wait_until(self.clock.uptime().plus(RETRY_AFTER)).await;
                },
            }
        }
    }

    async fn fire(&self) -> io::Result<()> {
        self.mapping.set_enabled(true).await?;
        self.keep(None)
    }

    fn keep(&self, schedule: Option<Schedule>) -> io::Result<()> {
        if let Some(file) = &self.file {
            match &schedule {
                Some(schedule) => write_durably(file, &serde_json::to_vec(schedule)?)?,
                // Somebody may have removed it by hand: it is gone either way.
                None => match std::fs::remove_file(file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
        }
        self.schedule.send_replace(schedule);
        Ok(())
    }

    fn named(&self, name: &str) -> Result<Schedule, Refused> {
        let schedule = self.schedule.borrow().clone();
        let named = schedule.filter(|schedule| schedule.name == name);
        named.ok_or_else(|| Refused::NotFound(name.to_owned()))
    }

    fn create(&self, name: String, body: &[u8]) -> Result<(), Refused> {
        let schedule = Create::parse(body)?.schedule(name)?;
        if let Some(other) = &*self.schedule.borrow() {
            return Err(Refused::Conflict(other.name.clone()));
        }
        Ok(self.keep(Some(schedule))?)
    }
}

impl Create {
    fn parse(body: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(body)
            .map_err(|error| Refused::Validation(JsonError::from(error).to_string()))
    }

    fn schedule(self, name: String) -> Result<Schedule, Refused> {
        let invalid = |text: String| Err(Refused::Validation(text));
        if self.target.arn != TARGET {
            return invalid(format!("target {} is not {TARGET}", self.target.arn));
        }
        match serde_json::from_str::<Input>(&self.target.input) {
            Ok(input) if input.uuid == UUID && input.enabled => {}
            Ok(_) => return invalid("only this engine's mapping can be enabled".to_owned()),
            Err(error) => {
                return invalid(format!("the target's input: {}", JsonError::from(error)));
            }
        }
        if self.schedule_expression_timezone.is_some_and(|zone| zone != "UTC") {
            return invalid("the time zone must be UTC".to_owned());
        }
        let expression = &self.schedule_expression;
        let inner = expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')'));
        let at = inner.and_then(|time| format!("{time}Z").parse::<Timestamp>().ok());
        let Some(at) = at else {
            return invalid(format!("{expression:?} is not at(yyyy-mm-ddThh:mm:ss)"));
        };
        let description = self.description.unwrap_or_default();
        Ok(Schedule { name, at: at.to_string(), description })
    }
}

/// The routes below `/schedules/`.
pub(crate) fn router(scheduler: Arc<Scheduler>) -> Router {
    Router::new()
        .route("/schedules/{name}", get(show).post(create).delete(delete))
        .with_state(scheduler)
}

async fn create(
    State(scheduler): State<Arc<Scheduler>>,
    UrlPath(name): UrlPath<String>,
    body: Bytes,
) -> Response {
    let arn = format!("arn:aws:scheduler:us-east-1:000000000000:schedule/default/{name}");
    answer(scheduler.create(name, &body).map(|()| json!({ "ScheduleArn": arn })))
}

async fn show(State(scheduler): State<Arc<Scheduler>>, UrlPath(name): UrlPath<String>) -> Response {
    answer(scheduler.named(&name).map(|schedule| {
        let at = schedule.at.get(..19).unwrap_or(&schedule.at);
        json!({
            "Name": schedule.name,
            "ScheduleExpression": format!("at({at})"),
            "ScheduleExpressionTimezone": "UTC",
            "Description": schedule.description,
        })
    }))
}

async fn delete(
    State(scheduler): State<Arc<Scheduler>>,
    UrlPath(name): UrlPath<String>,
) -> Response {
    let deleted = scheduler.named(&name).and_then(|_| Ok(scheduler.keep(None)?));
    answer(deleted.map(|()| json!({})))
}

fn answer(result: Result<Value, Refused>) -> Response {
    let error = match result {
        Ok(body) => return http::answer(StatusCode::OK, &body),
        Err(error) => error,
    };
    let (status, kind) = match &error {
        Refused::Validation(_) => (StatusCode::BAD_REQUEST, "ValidationException"),
        Refused::Conflict(_) => (StatusCode::CONFLICT, "ConflictException"),
        Refused::NotFound(_) => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        Refused::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"),
    };
    http::aws_error(status, kind, &json!({ "Message": error.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(change: impl FnOnce(&mut Value)) -> Result<Schedule, String> {
        let input = json!({ "Uuid": UUID, "Enabled": true }).to_string();
        let mut body = json!({
            "ScheduleExpression": "at(2026-11-23T22:30:00)",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "Target": { "Arn": TARGET, "RoleArn": "arn:aws:iam::1:role/r", "Input": input },
            "ActionAfterCompletion": "DELETE",
            "Description": "リリース",
        });
        change(&mut body);
        let created = Create::parse(body.to_string().as_bytes());
        created.and_then(|it| it.schedule("s".to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn one_time_and_one_target_are_understood() {
        let schedule = parse(|_| {}).unwrap();
        assert_eq!(schedule.at, "2026-11-23T22:30:00.000Z");
        assert_eq!(schedule.description, "リリース");
    }

    #[test]
    fn what_would_do_something_else_is_refused() {
        let change = |path: &str, value: &str| {
            parse(|body| *body.pointer_mut(path).unwrap() = value.into()).unwrap_err()
        };
        assert!(change("/ScheduleExpression", "rate(5 minutes)").contains("rate(5 minutes)"));
        assert!(change("/ScheduleExpression", "at(tomorrow)").contains("at(tomorrow)"));
        assert!(change("/ScheduleExpressionTimezone", "Asia/Tokyo").contains("UTC"));
        assert!(
            change("/Target/Arn", "arn:aws:scheduler:::aws-sdk:sqs:purgeQueue").contains("purge")
        );
        let disable = json!({ "Uuid": UUID, "Enabled": false }).to_string();
        assert!(change("/Target/Input", &disable).contains("enabled"));
        assert!(change("/Target/Input", "{}").contains("Uuid"));
    }
}
