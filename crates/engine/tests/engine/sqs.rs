//! The SQS protocol as it is on the wire, where an SDK would hide it, and what `docs/sqs.md` says of
//! it.

use engine::Engine;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{api_client, config, get, http_client, options};

const PAGE: &str = include_str!("../../../../docs/sqs.md");

/// Every action of SQS. Source: SQS API reference, "Actions".
const ACTIONS: [&str; 23] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

/// An engine's queues, as a client has them.
pub(crate) struct Api {
    pub(crate) engine: Engine,
    client: reqwest::Client,
}

/// Status, code as SDKs read it, and body.
pub(crate) type Answer = (u16, String, Value);

impl Api {
    pub(crate) async fn start() -> Self {
        Self::of(Engine::start(options(&config(json!({})), None)).await.unwrap())
    }

    pub(crate) fn of(engine: Engine) -> Self {
        let client = api_client(engine.access_key_id());
        Self { engine, client }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.engine.api_address())
    }

    pub(crate) async fn call(&self, action: &str, request: &Value) -> Answer {
        self.traced_call(action, request, HeaderMap::new()).await
    }

    async fn traced_call(&self, action: &str, request: &Value, headers: HeaderMap) -> Answer {
        let target = format!("AmazonSQS.{action}");
        let call = self.client.post(self.url()).header("x-amz-target", target).headers(headers);
        let answer = call.body(request.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        let error = answer.headers().get("x-amzn-query-error").map(|it| it.to_str().unwrap());
        let code = error.and_then(|it| it.split(';').next()).unwrap_or_default().to_owned();
        (status, code, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// What must succeed.
    pub(crate) async fn done(&self, action: &str, request: &Value) -> Value {
        let (status, code, body) = self.call(action, request).await;
        assert_eq!((status, code.as_str()), (200, ""), "{action} {request}: {body}");
        body
    }

    /// What must be refused: its status and code.
    async fn refused(&self, action: &str, request: &Value) -> (u16, String) {
        let (status, code, body) = self.call(action, request).await;
        assert_ne!(status, 200, "{action} {request}: {body}");
        (status, code)
    }

    pub(crate) async fn create(&self, name: &str) -> String {
        let request = json!({ "QueueName": name, "Attributes": { "FifoQueue": "true" } });
        self.done("CreateQueue", &request).await["QueueUrl"].as_str().unwrap().to_owned()
    }
}

fn invalid() -> (u16, String) {
    (400, "InvalidParameterValue".to_owned())
}

/// The rows of the page's table below this heading, each a list of its cells.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").find(|it| it.starts_with(heading)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|it| it.trim().trim_matches('`')).collect())
        .collect()
}

#[tokio::test]
async fn the_actions_of_the_page_are_taken_or_refused_as_it_says() {
    let api = Api::start().await;
    let rows = table("Actions");
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), ACTIONS);
    for row in rows {
        let (status, code, _) = api.call(row[0], &json!({})).await;
        let taken = code != "InvalidAction";
        assert_eq!(taken, row[1] == "yes", "{}: {code}", row[0]);
        assert!(taken || row[1].starts_with("no: ") && status == 400, "{row:?}: {status}");
    }
}

#[tokio::test]
async fn the_attributes_of_the_page_are_what_it_says() {
    let api = Api::start().await;
    let url = api.create("a.fifo").await;
    let dead = api.create("dead.fifo").await;
    let arn = json!({ "QueueUrl": dead, "AttributeNames": ["QueueArn"] });
    let arn = api.done("GetQueueAttributes", &arn).await["Attributes"]["QueueArn"].clone();
    let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 3 }).to_string();
    let set = async |name: &str, value: &str| {
        let request = json!({ "QueueUrl": url, "Attributes": { name: value } });
        api.call("SetQueueAttributes", &request).await
    };
    let rows = table("Attributes");
    for row in &rows {
        let value = match row[0] {
            "ContentBasedDeduplication" | "FifoQueue" | "SqsManagedSseEnabled" => "true",
            "DeduplicationScope" => "messageGroup",
            "FifoThroughputLimit" => "perMessageGroupId",
            "MaximumMessageSize" => "2048",
            "RedrivePolicy" => &redrive,
            "RedriveAllowPolicy" => r#"{"redrivePermission":"allowAll"}"#,
            "Policy" => "{}",
            "ReceiveMessageWaitTimeSeconds" => "5",
            _ => "300",
        };
        let (_, code, body) = set(row[0], value).await;
        let expected = if row[1] == "shown" { "InvalidAttributeName" } else { "" };
        assert_eq!(code, expected, "{}: {body}", row[0]);
    }
    let request = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let shown = api.done("GetQueueAttributes", &request).await["Attributes"].clone();
    let names: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, rows.iter().map(|row| row[0]).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_engine_differs_where_the_page_says() {
    let api = Api::start().await;
    let url = api.create("a.fifo").await;
    for row in table("Where it differs") {
        differs(&api, &url, row[0], row[2]).await;
    }
}

/// Tries one line of the page.
async fn differs(api: &Api, url: &str, what: &str, here: &str) {
    let attribute = async |name: &str| {
        let request = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        api.done("GetQueueAttributes", &request).await["Attributes"][name].clone()
    };
    let send = async |id: &str| {
        let request = json!({ "QueueUrl": url, "MessageGroupId": "a", "MessageBody": id,
                              "MessageDeduplicationId": id });
        api.done("SendMessage", &request).await
    };
    match what {
        "standard queues" => {
            let refused = api.refused("CreateQueue", &json!({ "QueueName": "standard" })).await;
            assert_eq!(refused, (400, here.to_owned()));
        }
        "query protocol" => {
            let call = api.client.post(api.url()).body("Action=ListQueues&Version=2012-11-05");
            let answer = call.send().await.unwrap();
            let code = answer.headers()["x-amzn-query-error"].to_str().unwrap().to_owned();
            assert_eq!((answer.status().as_u16(), code), (400, format!("{here};Sender")));
        }
        "signatures" => {
            let call = http_client().post(api.url()).header("x-amz-target", "AmazonSQS.ListQueues");
            assert_eq!(call.body("{}").send().await.unwrap().status(), 403);
            api.done("ListQueues", &json!({})).await;
        }
        "the engine's own queues" => {
            for name in ["test-webhook.fifo", "test-webhook-dlq.fifo"] {
                let url = json!({ "QueueUrl": name });
                assert_eq!(api.refused("DeleteQueue", &url).await, (400, here.to_owned()));
            }
            assert_eq!(get(&api.engine, "status").await["queue"]["visible"], 0);
        }
        "a deleted queue's name" => {
            let url = api.create("deleted.fifo").await;
            api.done("DeleteQueue", &json!({ "QueueUrl": url })).await;
            api.create("deleted.fifo").await;
        }
        "counts" => {
            send("1").await;
            assert_eq!(attribute("ApproximateNumberOfMessages").await, "1");
        }
        "purging" => {
            send("2").await;
            api.done("PurgeQueue", &json!({ "QueueUrl": url })).await;
            assert_eq!(attribute("ApproximateNumberOfMessages").await, "0");
            let refused = api.refused("PurgeQueue", &json!({ "QueueUrl": url })).await;
            let code = "AWS.SimpleQueueService.PurgeQueueInProgress".to_owned();
            assert_eq!(refused, (403, code), "which is SQS's");
        }
        "attributes" => {
            let request = json!({ "QueueUrl": url, "Attributes": { "VisibilityTimeout": "7" } });
            api.done("SetQueueAttributes", &request).await;
            assert_eq!(attribute("VisibilityTimeout").await, "7");
            a_scope_counts_at_once(api).await;
        }
        "encryption" => {
            assert_eq!(attribute("SqsManagedSseEnabled").await, Value::Null);
            let both = json!({ "SqsManagedSseEnabled": "true", "KmsMasterKeyId": "key" });
            let request = json!({ "QueueUrl": url, "Attributes": both });
            api.done("SetQueueAttributes", &request).await;
            assert_eq!(attribute("SqsManagedSseEnabled").await, "true");
            assert_eq!(attribute("KmsMasterKeyId").await, "key");
        }
        "groups among each other" => {
            the_oldest_group_is_first(api).await;
        }
        "ids that are refused" => {
            let request = json!({ "QueueUrl": url, "MessageBody": "b",
                "MessageGroupId": "Mary Smith", "MessageDeduplicationId": "d" });
            let (_, code, body) = api.call("SendMessage", &request).await;
            assert_eq!(code, invalid().1);
            let text = body["message"].as_str().unwrap();
            assert!(text.contains("of 10 bytes") && !text.contains("Mary"), "{text}");
        }
        "queue URLs" => {
            let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/a.fifo";
            api.done("ListQueueTags", &json!({ "QueueUrl": url })).await;
        }
        "the account" => {
            assert_eq!(attribute("QueueArn").await, "arn:aws:sqs:us-east-1:000000000000:a.fifo");
            assert!(here.contains("000000000000` in `us-east-1"), "{here}");
        }
        // What is not done shows in no answer.
        "throttling" | "a huge group" => {}
        other => panic!("nothing tries {other:?}"),
    }
}

async fn a_scope_counts_at_once(api: &Api) {
    let url = api.create("scope.fifo").await;
    let scope = async |scope: &str| {
        let attributes = json!({ "DeduplicationScope": scope });
        let request = json!({ "QueueUrl": url, "Attributes": attributes });
        api.done("SetQueueAttributes", &request).await;
    };
    let sent = async |group: &str| {
        let request = json!({ "QueueUrl": url, "MessageGroupId": group, "MessageBody": "b",
                                      "MessageDeduplicationId": "d" });
        api.done("SendMessage", &request).await["SequenceNumber"].clone()
    };
    let first = sent("a").await;
    assert_eq!(sent("b").await, first);
    scope("messageGroup").await;
    assert_ne!(sent("b").await, first);
}

async fn the_oldest_group_is_first(api: &Api) {
    let url = api.create("groups.fifo").await;
    for (group, id) in [("a", "1"), ("b", "2")] {
        let request = json!({ "QueueUrl": url, "MessageGroupId": group, "MessageBody": id,
                                      "MessageDeduplicationId": id });
        api.done("SendMessage", &request).await;
    }
    let receive = json!({ "QueueUrl": url, "VisibilityTimeout": 0 });
    for _ in 0..2 {
        let received = api.done("ReceiveMessage", &receive).await;
        assert_eq!(received["Messages"][0]["Body"], "1");
    }
}

#[tokio::test]
async fn a_batch_in_which_an_entry_lacks_an_id_is_refused_whole() {
    let api = Api::start().await;
    let url = api.create("a.fifo").await;
    let good = json!({ "Id": "1", "MessageBody": "b", "MessageGroupId": "g",
                       "MessageDeduplicationId": "d" });
    for missing in ["MessageGroupId", "MessageDeduplicationId"] {
        let mut bad = good.clone();
        bad["Id"] = json!("2");
        bad.as_object_mut().unwrap().remove(missing);
        let request = json!({ "QueueUrl": url, "Entries": [good, bad] });
        assert_eq!(api.refused("SendMessageBatch", &request).await, invalid(), "{missing}");
    }
    let received = api.done("ReceiveMessage", &json!({ "QueueUrl": url })).await;
    assert_eq!(received, json!({}), "nothing of them was sent");
    let set = json!({ "QueueUrl": url, "Attributes": { "ContentBasedDeduplication": "True" } });
    api.done("SetQueueAttributes", &set).await;
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("MessageDeduplicationId");
    let request = json!({ "QueueUrl": url, "Entries": [without] });
    assert_eq!(api.done("SendMessageBatch", &request).await["Successful"][0]["Id"], "1");
}

#[tokio::test]
async fn what_is_null_is_absent() {
    let api = Api::start().await;
    let request = json!({ "QueueName": "a.fifo", "tags": null,
                          "Attributes": { "FifoQueue": "TRUE", "Policy": null } });
    let url = api.done("CreateQueue", &request).await["QueueUrl"].clone();
    let send = json!({ "QueueUrl": url, "MessageBody": "b", "MessageGroupId": "g",
        "MessageDeduplicationId": "d", "MessageSystemAttributes": null, "DelaySeconds": null,
        "MessageAttributes": { "a": { "DataType": "String", "StringValue": "v", "BinaryValue": null,
                                      "StringListValues": null } } });
    api.done("SendMessage", &send).await;
    let receive = json!({ "QueueUrl": url, "AttributeNames": null, "MessageAttributeNames": null,
                          "MessageSystemAttributeNames": null, "WaitTimeSeconds": null });
    let messages = api.done("ReceiveMessage", &receive).await["Messages"].clone();
    assert_eq!(messages[0]["Body"], "b");
    let null = json!({ "QueueUrl": null, "MessageBody": "b" });
    let missing = (400, "MissingParameter".to_owned());
    assert_eq!(api.refused("SendMessage", &null).await, missing);
    for wrong in [json!({ "QueueUrl": 1, "MessageBody": null }), json!([null])] {
        assert_eq!(api.refused("SendMessage", &wrong).await, (400, "MalformedInput".to_owned()));
    }
}

#[tokio::test]
async fn a_trace_header_of_the_request_is_the_message_s_unless_it_has_its_own() {
    const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    const OWN: &str = "Root=1-11111111-bd862e3fe1be46a994272793";
    let api = Api::start().await;
    let url = api.create("a.fifo").await;
    let headers =
        HeaderMap::from_iter([("x-amzn-trace-id".parse().unwrap(), TRACE.parse().unwrap())]);
    let entry = |id: &str| json!({ "Id": id, "MessageBody": "b", "MessageGroupId": id, "MessageDeduplicationId": id });
    let mut one = entry("1");
    one["QueueUrl"] = json!(url);
    let (status, _, sent) = api.traced_call("SendMessage", &one, headers.clone()).await;
    assert_eq!((status, &sent["MD5OfMessageSystemAttributes"]), (200, &Value::Null), "{sent}");
    let mut own = entry("3");
    let attribute = json!({ "DataType": "String", "StringValue": OWN });
    own["MessageSystemAttributes"] = json!({ "AWSTraceHeader": attribute });
    let batch = json!({ "QueueUrl": url, "Entries": [entry("2"), own] });
    assert_eq!(api.traced_call("SendMessageBatch", &batch, headers).await.0, 200);
    let receive = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10,
                          "MessageSystemAttributeNames": ["AWSTraceHeader"] });
    let messages = api.done("ReceiveMessage", &receive).await["Messages"].clone();
    let traces = messages.as_array().unwrap().iter().map(|it| &it["Attributes"]["AWSTraceHeader"]);
    assert_eq!(traces.collect::<Vec<_>>(), [TRACE, TRACE, OWN]);
}

#[tokio::test]
async fn what_sqs_refuses_is_refused_with_its_status_and_code() {
    let api = Api::start().await;
    let url = api.create("a.fifo").await;
    let not_found = || (404, "ResourceNotFoundException".to_owned());
    let missing = || (400, "MissingParameter".to_owned());
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let handle = |source: &str| {
        use base64::Engine as _;
        let handle = json!({ "taskId": "1", "sourceArn": arn(source) }).to_string();
        base64::engine::general_purpose::STANDARD.encode(handle)
    };
    let send = |name: &str, data_type: &str, value: &str| {
        json!({ "QueueUrl": url, "MessageBody": "b", "MessageGroupId": "g",
            "MessageDeduplicationId": "d",
            "MessageAttributes": { name: { "DataType": data_type, "StringValue": value } } })
    };
    let set = |name: &str, value: &str| json!({ "QueueUrl": url, "Attributes": { name: value } });
    let redrive = |target: &str, count: u32| {
        json!({ "deadLetterTargetArn": target, "maxReceiveCount": count }).to_string()
    };
    for (action, request, expected) in [
        ("TagQueue", json!({ "QueueUrl": url, "Tags": {} }), missing()),
        ("UntagQueue", json!({ "QueueUrl": url }), invalid()),
        ("GetQueueUrl", json!({}), missing()),
        ("SendMessage", send("a", "String", "\u{1}"), invalid()),
        ("SendMessage", send("a", "Number", "NaN"), invalid()),
        ("SendMessage", send("a", "Number", "inf"), invalid()),
        ("SendMessage", send("a", "Number", "1e400"), invalid()),
        ("SetQueueAttributes", set("RedrivePolicy", &redrive("dummy", 3)), invalid()),
        ("SetQueueAttributes", set("RedrivePolicy", &redrive(&arn("none.fifo"), 3)), invalid()),
        ("SetQueueAttributes", set("RedrivePolicy", &redrive(&arn("a.fifo"), 1_001)), invalid()),
        ("SetQueueAttributes", set("RedriveAllowPolicy", "{}"), invalid()),
        (
            "SetQueueAttributes",
            set("FifoQueue", "False"),
            (400, "InvalidAttributeValue".to_owned()),
        ),
        ("StartMessageMoveTask", json!({ "SourceArn": arn("none.fifo") }), not_found()),
        ("StartMessageMoveTask", json!({ "SourceArn": arn("a.fifo") }), invalid()),
        ("ListMessageMoveTasks", json!({ "SourceArn": arn("none.fifo") }), not_found()),
        ("CancelMessageMoveTask", json!({ "TaskHandle": "none" }), invalid()),
        ("CancelMessageMoveTask", json!({ "TaskHandle": handle("none.fifo") }), not_found()),
        ("CancelMessageMoveTask", json!({ "TaskHandle": handle("a.fifo") }), not_found()),
    ] {
        assert_eq!(api.refused(action, &request).await, expected, "{action} {request}");
    }
}
