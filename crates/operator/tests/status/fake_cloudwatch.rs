//! `CloudWatch` and its logs as the operator asks them: answers what a test says, and keeps what was
//! asked. Alarms and metrics speak CBOR (Smithy RPC v2), logs JSON. And `EventBridge` Scheduler, which
//! keeps schedules and does nothing when their time has come, and a parameter of Systems Manager.
//!
//! Sources: `CloudWatch` API reference, `DescribeAlarms`, `GetMetricData`; `CloudWatch` Logs API
//! reference, `FilterLogEvents`; Smithy, "RPC v2 CBOR".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::{Decoder, Encoder};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What it answers.
#[derive(Debug, Default, Clone)]
pub(crate) struct Answers {
    /// Pages of `DescribeAlarms`: lists of `(name, state, epoch seconds)`.
    pub(crate) alarms: Vec<Vec<(&'static str, &'static str, u64)>>,
    /// Series of `GetMetricData`, by namespace, name and the value of the last dimension; `*` for what a
    /// search finds, with its label. Minutes since the Unix epoch, and values.
    pub(crate) series: Vec<Found>,
    /// Lines of the log group, in order of time.
    pub(crate) log: Vec<Value>,
    /// Lines that are there once a parameter was written.
    pub(crate) log_later: Vec<Value>,
    /// The parameter, if it is there.
    pub(crate) parameter: Option<String>,
    /// How many of them are on a page; 0 for all.
    pub(crate) log_page: usize,
    /// Instead of an answer, an error of this code; `hang` for none at all.
    pub(crate) trouble: Option<&'static str>,
}

/// A series.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) of: &'static str,
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) points: Vec<(u64, f64)>,
}

/// The server, at a port of its own.
pub(crate) struct FakeCloudWatch {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<Answers>,
    asked: Mutex<Vec<(String, Value)>>,
    schedules: Mutex<BTreeMap<String, Value>>,
    /// The versions of the parameter.
    parameter: Mutex<Vec<String>>,
}

impl FakeCloudWatch {
    pub(crate) async fn start(answers: Answers) -> Self {
        let parameter = Mutex::new(answers.parameter.iter().cloned().collect());
        let (asked, schedules) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { answers: Mutex::new(answers), asked, schedules, parameter });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a line to the log, in its place by time.
    pub(crate) fn log(&self, line: Value) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.log.push(line);
        answers.log.sort_by_key(at_ms);
    }

    /// The only schedule that there is, if there is one.
    pub(crate) fn schedule(&self) -> Option<Value> {
        let schedules = self.shared.schedules.lock().unwrap();
        assert!(schedules.len() <= 1, "{schedules:?}");
        schedules.values().next().cloned()
    }

    /// When it comes.
    pub(crate) fn scheduled_at(&self) -> Option<String> {
        let schedule = self.schedule()?;
        let expression = schedule["ScheduleExpression"].as_str().unwrap();
        let at = expression.strip_prefix("at(").and_then(|it| it.strip_suffix(')'));
        Some(at.unwrap().to_owned())
    }

    /// What the parameter is.
    pub(crate) fn parameter(&self) -> Value {
        serde_json::from_str(self.shared.parameter.lock().unwrap().last().unwrap()).unwrap()
    }

    /// What was asked of an operation.
    pub(crate) fn asked(&self, operation: &str) -> Vec<Value> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|(of, _)| of == operation).map(|(_, input)| input.clone()).collect()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if let Some(name) = uri.path().strip_prefix("/schedules/") {
        return schedule(&shared, &method, name, &body);
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let target = header("x-amz-target");
    if let Some(operation) = target.and_then(|it| it.strip_prefix("AmazonSSM.")) {
        let input = serde_json::from_slice(&body).unwrap();
        return parameter(&shared, operation, &input);
    }
    let logs = target.and_then(|it| it.strip_prefix("Logs_20140328."));
    let metrics = uri.path().strip_prefix("/service/GraniteServiceVersion20100801/operation/");
    let operation = logs.or(metrics).unwrap_or_default().to_owned();
    let input = match metrics {
        Some(_) => decode(&mut Decoder::new(&body)),
        None => serde_json::from_slice(&body).unwrap(),
    };
    shared.asked.lock().unwrap().push((operation.clone(), input.clone()));
    let answers = &shared.answers.lock().unwrap().clone();
    if logs.is_some() {
        let is_later = !shared.parameter.lock().unwrap().is_empty();
        let mut answers = answers.clone();
        answers.log.extend(answers.log_later.clone().into_iter().filter(|_| is_later));
        let found = filter_log_events(&answers, &input);
        return reply(StatusCode::OK, None, found.to_string().into());
    }
    match answers.trouble {
        Some("hang") => std::future::pending().await,
        Some(code) => {
            let error = json!({ "__type": code, "message": "on demand" });
            return reply(StatusCode::BAD_REQUEST, Some("rpc-v2-cbor"), encoded(&error));
        }
        None => {}
    }
    let output = match operation.as_str() {
        "DescribeAlarms" => describe_alarms(answers, &input),
        "GetMetricData" => get_metric_data(answers, &input),
        _ => panic!("{operation} is not known"),
    };
    reply(StatusCode::OK, Some("rpc-v2-cbor"), encoded(&output))
}

/// Source: Systems Manager API reference, `GetParameter`, `PutParameter`.
fn parameter(shared: &Shared, operation: &str, input: &Value) -> Response<Body> {
    let mut versions = shared.parameter.lock().unwrap();
    if operation == "PutParameter" {
        versions.push(input["Value"].as_str().unwrap().to_owned());
        let written = json!({ "Version": versions.len() });
        return reply(StatusCode::OK, None, written.to_string().into());
    }
    let Some(value) = versions.last() else {
        let error = json!({ "__type": "ParameterNotFound", "message": "on demand" });
        return reply(StatusCode::BAD_REQUEST, None, error.to_string().into());
    };
    let parameter = json!({ "Name": input["Name"], "Value": value, "Version": versions.len() });
    reply(StatusCode::OK, None, json!({ "Parameter": parameter }).to_string().into())
}

/// Source: `EventBridge` Scheduler API reference, `CreateSchedule`, `UpdateSchedule`, `DeleteSchedule`.
fn schedule(shared: &Shared, method: &Method, name: &str, body: &[u8]) -> Response<Body> {
    if let Some(kind) = shared.answers.lock().unwrap().trouble {
        let response = Response::builder().status(403).header("x-amzn-errortype", kind);
        return response.body(json!({ "Message": "on demand" }).to_string().into()).unwrap();
    }
    let mut schedules = shared.schedules.lock().unwrap();
    let is_there = schedules.contains_key(name);
    let error = match (method.as_str(), is_there) {
        ("POST", true) => Some((StatusCode::CONFLICT, "ConflictException")),
        ("POST", false) => None,
        (_, false) => Some((StatusCode::NOT_FOUND, "ResourceNotFoundException")),
        _ => None,
    };
    if let Some((status, kind)) = error {
        let body = json!({ "Message": format!("schedule {name}") }).to_string();
        let response = Response::builder().status(status).header("x-amzn-errortype", kind);
        return response.header("content-type", "application/json").body(body.into()).unwrap();
    }
    match method.as_str() {
        "POST" | "PUT" => {
            let schedule = serde_json::from_slice(body).unwrap();
            schedules.insert(name.to_owned(), schedule);
        }
        "DELETE" => {
            schedules.remove(name);
        }
        other => panic!("{other} is not known"),
    }
    let answer = json!({ "ScheduleArn": format!("arn:aws:scheduler:::schedule/default/{name}") });
    let response = Response::builder().header("content-type", "application/json");
    response.body(answer.to_string().into()).unwrap()
}

fn reply(status: StatusCode, protocol: Option<&str>, body: Vec<u8>) -> Response<Body> {
    let kind = if protocol.is_some() { "application/cbor" } else { "application/x-amz-json-1.1" };
    let mut response = Response::builder().status(status).header("content-type", kind);
    if let Some(protocol) = protocol {
        response = response.header("smithy-protocol", protocol);
    }
    response.body(Body::from(body)).unwrap()
}

/// A page of alarms; the token is the next page's number.
fn describe_alarms(answers: &Answers, input: &Value) -> Value {
    let page: usize = input["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let prefix = input["AlarmNamePrefix"].as_str().unwrap();
    let alarms = answers.alarms.get(page).cloned().unwrap_or_default();
    let alarms = alarms.iter().filter(|(name, ..)| name.starts_with(prefix));
    let alarms: Vec<Value> = alarms
        .map(|(name, state, since)| {
            json!({
                "AlarmName": name, "StateValue": state,
                "StateTransitionedTimestamp": { "$time": since },
            })
        })
        .collect();
    let mut output = json!({ "MetricAlarms": alarms });
    if page + 1 < answers.alarms.len() {
        output["NextToken"] = json!((page + 1).to_string());
    }
    output
}

/// Two pages: the first half of each series, and the rest.
fn get_metric_data(answers: &Answers, input: &Value) -> Value {
    let second = input["NextToken"].is_string();
    let [since, until] =
        ["StartTime", "EndTime"].map(|name| input[name]["$time"].as_u64().unwrap());
    let mut results = Vec::new();
    for query in input["MetricDataQueries"].as_array().unwrap() {
        let stat = &query["MetricStat"]["Metric"];
        let searches = |found: &Found| {
            let expression = query["Expression"].as_str().unwrap_or_default();
            found.of == "*" && expression.contains(&format!("MetricName=\"{}\"", found.name))
        };
        let names = |found: &Found| {
            let last = stat["Dimensions"].as_array().and_then(|all| all.last());
            stat["MetricName"] == found.name && last.is_some_and(|it| it["Value"] == found.of)
        };
        for found in answers.series.iter().filter(|it| searches(it) || names(it)) {
            let points: Vec<&(u64, f64)> = found
                .points
                .iter()
                .filter(|(minute, _)| (since..until).contains(&(minute * 60)))
                .collect();
            let (first, rest) = points.split_at(points.len() / 2);
            let points = if second { rest } else { first };
            results.push(json!({
                "Id": query["Id"], "Label": found.label,
                "StatusCode": if second { "Complete" } else { "PartialData" },
                "Timestamps":
                    points.iter().map(|it| json!({ "$time": it.0 * 60 })).collect::<Vec<_>>(),
                "Values": points.iter().map(|it| it.1).collect::<Vec<_>>(),
            }));
        }
    }
    let mut output = json!({ "MetricDataResults": results });
    if !second {
        output["NextToken"] = json!("the rest");
    }
    output
}

fn filter_log_events(answers: &Answers, input: &Value) -> Value {
    let pattern = input["filterPattern"].as_str();
    let values: Vec<&str> = pattern.unwrap_or_default().split('"').skip(1).step_by(2).collect();
    let matches = |is: &Value| {
        let is = is.as_str().unwrap_or_default();
        values.iter().any(|value| match value.strip_suffix('*') {
            Some(beginning) => is.starts_with(beginning),
            None => is == *value,
        })
    };
    let wanted = |line: &&Value| {
        at_ms(line) >= input["startTime"].as_u64().unwrap()
            && pattern.is_none_or(|pattern| {
                ["message", "event_id", "group", "status"]
                    .iter()
                    .any(|field| pattern.contains(&format!("$.{field} ")) && matches(&line[*field]))
            })
    };
    let mut lines: Vec<&Value> = answers.log.iter().filter(wanted).collect();
    if input["startFromHead"] == false {
        lines.reverse();
    }
    // The token says how many were on the pages before.
    let begin = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let end = if answers.log_page == 0 { lines.len() } else { begin + answers.log_page };
    let page = lines.iter().enumerate().filter(|(place, _)| (begin..end).contains(place));
    let events =
        page.map(|(_, line)| json!({ "message": line.to_string(), "timestamp": at_ms(line) }));
    let mut output = json!({ "events": events.collect::<Vec<_>>() });
    if end < lines.len() {
        output["nextToken"] = json!(end.to_string());
    }
    output
}

fn at_ms(line: &Value) -> u64 {
    if let Some(ms) = line["requestTimeEpoch"].as_str() {
        return ms.parse().unwrap();
    }
    let at = line["timestamp"].as_str().unwrap().parse::<domain::time::Timestamp>().unwrap();
    at.as_ms()
}

/// CBOR as JSON; a time is `{ "$time": epoch seconds }`.
fn decode(decoder: &mut Decoder<'_>) -> Value {
    let more = |decoder: &Decoder<'_>, left: &mut Option<u64>| match left {
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
        None => decoder.datatype().unwrap() != Type::Break,
    };
    match decoder.datatype().unwrap() {
        Type::Map | Type::MapIndef => {
            let mut left = decoder.map().unwrap();
            let indefinite = left.is_none();
            let mut fields = serde_json::Map::new();
            while more(decoder, &mut left) {
                let name = decoder.string().unwrap();
                fields.insert(name, decode(decoder));
            }
            if indefinite {
                decoder.skip().unwrap();
            }
            Value::Object(fields)
        }
        Type::Array | Type::ArrayIndef => {
            let mut left = decoder.list().unwrap();
            let indefinite = left.is_none();
            let mut values = Vec::new();
            while more(decoder, &mut left) {
                values.push(decode(decoder));
            }
            if indefinite {
                decoder.skip().unwrap();
            }
            Value::Array(values)
        }
        Type::String | Type::StringIndef => decoder.string().unwrap().into(),
        Type::Tag => json!({ "$time": decoder.timestamp().unwrap().secs() }),
        Type::Bool => decoder.boolean().unwrap().into(),
        Type::F32 | Type::F64 => decoder.double().unwrap().into(),
        _ => decoder.long().unwrap().into(),
    }
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encode(&mut encoder, value);
    encoder.into_writer()
}

fn encode(encoder: &mut Encoder, value: &Value) {
    match value {
        Value::Object(fields) if fields.contains_key("$time") => {
            let seconds = fields["$time"].as_i64().unwrap();
            encoder.timestamp(&aws_smithy_types::DateTime::from_secs(seconds));
        }
        Value::Object(fields) => {
            encoder.map(fields.len());
            for (name, value) in fields {
                encoder.str(name);
                encode(encoder, value);
            }
        }
        Value::Array(values) => {
            encoder.array(values.len());
            for value in values {
                encode(encoder, value);
            }
        }
        Value::String(text) => {
            encoder.str(text);
        }
        Value::Number(number) => {
            encoder.double(number.as_f64().unwrap());
        }
        Value::Bool(_) | Value::Null => panic!("{value} is in no answer"),
    }
}
