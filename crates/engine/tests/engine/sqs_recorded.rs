//! Answers of SQS as they were recorded on AWS, to the letter: texts, digests, and what an answer leaves
//! out. Where the engine says something else, `docs/sqs.md` has it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sqs::Api;

const ENTRY_ID: &str = "A batch entry id can only contain alphanumeric characters, hyphens and \
                        underscores. It can be at most 80 letters long.";
const NO_ID: &str = "The queue should either have ContentBasedDeduplication enabled or \
                     MessageDeduplicationId provided explicitly";
const NO_GROUP: &str = "The request must contain the parameter MessageGroupId.";
const INVALID: (&str, &str) = ("InvalidParameterValue", "InvalidParameterValueException");
const MISSING: (&str, &str) = ("MissingParameter", "MissingRequiredParameterException");
const NOT_FOUND: (&str, &str) = ("ResourceNotFoundException", "ResourceNotFoundException");
const ATTRIBUTE_VALUE: (&str, &str) = ("InvalidAttributeValue", "InvalidAttributeValue");
const NO_QUEUE: (&str, &str) = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist");
const EXISTS: (&str, &str) = ("QueueAlreadyExists", "QueueNameExists");
const PURGING: (&str, &str) =
    ("AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress");
const BAD_ID: (&str, &str) = ("AWS.SimpleQueueService.InvalidBatchEntryId", "InvalidBatchEntryId");
const TOO_MANY: (&str, &str) =
    ("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest");
const TOO_LONG: (&str, &str) =
    ("AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong");
const BAD_HANDLE: (&str, &str) = ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid");

/// What an answer says of an error: the code that SDKs read, the shape's name, and the text.
async fn refused(
    api: &Api,
    action: &str,
    request: Value,
    status: u16,
    (code, shape): (&str, &str),
    message: &str,
) {
    let (seen, seen_code, body) = api.call(action, &request).await;
    let seen_shape = body["__type"].as_str().and_then(|it| it.split('#').next_back());
    let text = body["message"].as_str().unwrap_or_default();
    let request = request.to_string();
    let request = &request[..request.len().min(300)];
    assert_eq!(
        (seen, seen_code.as_str(), seen_shape, text),
        (status, code, Some(shape), message),
        "{action} {request}"
    );
}

fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

/// The send of a message.
fn message(url: &str, body: &str) -> Value {
    json!({ "QueueUrl": url, "MessageBody": body, "MessageGroupId": "g", "MessageDeduplicationId": "d" })
}

fn with(mut request: Value, name: &str, value: Value) -> Value {
    request[name] = value;
    request
}

fn without(mut request: Value, name: &str) -> Value {
    request.as_object_mut().unwrap().remove(name);
    request
}

fn text(value: &str) -> Value {
    json!({ "DataType": "String", "StringValue": value })
}

/// A batch of this many entries.
fn entries(url: &str, number: usize) -> Value {
    let entry = |n: usize| {
        json!({ "Id": format!("message-{n}"), "MessageBody": "b", "MessageGroupId": "g",
                "MessageDeduplicationId": n.to_string(), "ReceiptHandle": "h",
                "VisibilityTimeout": 123 })
    };
    json!({ "QueueUrl": url, "Entries": (0..number).map(entry).collect::<Vec<_>>() })
}

#[tokio::test]
async fn what_is_wrong_with_a_message() {
    let api = &Api::start().await;
    let url = &api.create("a.fifo").await;
    let send = "SendMessage";
    let shorter = |bytes: u32| {
        format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {bytes} bytes."
        )
    };
    let empty = json!({ "ErrorDetails": text("") });
    let no_body = message(url, "");
    let kx = json!({ "k": text("x") });
    refused(api, send, without(message(url, "b"), "MessageDeduplicationId"), 400, INVALID, NO_ID)
        .await;
    refused(api, send, without(message(url, "b"), "MessageGroupId"), 400, MISSING, NO_GROUP).await;
    let body = "The request must contain the parameter MessageBody.";
    refused(api, send, no_body, 400, MISSING, body).await;
    let delay = "Value 2 for parameter DelaySeconds is invalid. Reason: The request include \
                 parameter that is not valid for this queue type.";
    refused(api, send, with(message(url, "b"), "DelaySeconds", json!(2)), 400, INVALID, delay)
        .await;
    let value = "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type \
                 'String'.";
    refused(api, send, with(message(url, "b"), "MessageAttributes", empty), 400, INVALID, value)
        .await;
    let largest =
        |bytes: usize| with(message(url, &"a".repeat(bytes)), "MessageAttributes", kx.clone());
    refused(api, send, largest(1_048_576 - 8 + 1), 400, INVALID, &shorter(1_048_576)).await;
    let change = json!({ "QueueUrl": url, "Attributes": { "MaximumMessageSize": "1024" } });
    api.done("SetQueueAttributes", &change).await;
    refused(api, send, largest(1_024 - 8 + 1), 400, INVALID, &shorter(1_024)).await;
    api.done(send, &message(url, &"a".repeat(1_024))).await;
    for id in [String::new(), "a".repeat(129), "group 123".to_owned()] {
        let request = with(message(url, "b"), "MessageDeduplicationId", json!(id));
        let (status, code, _) = api.call(send, &request).await;
        assert_eq!((status, code.as_str()), (400, INVALID.0), "{id}");
    }
}

#[tokio::test]
async fn the_names_and_types_of_attributes() {
    let api = &Api::start().await;
    let url = &api.create("a.fifo").await;
    let send = async |name: &str, data_type: &str, value: &str| {
        let attribute = json!({ name: { "DataType": data_type, "StringValue": value } });
        api.call("SendMessage", &with(message(url, "test"), "MessageAttributes", attribute)).await
    };
    let (status, _, body) = send("attr.1øßä", "String", "Valid").await;
    assert_eq!(status, 200, "{body}");
    let characters = ["!", "\"", "§", "(", "?"].map(|c| format!("Invalid-{c}-attr"));
    let prefixes = ["aWs.", "AMAZON.", "."].map(|prefix| format!("{prefix}-Invalid-attr"));
    let names =
        characters.into_iter().chain(prefixes).chain(["L".repeat(257), "Invalid.".to_owned()]);
    for name in names {
        let (status, code, _) = send(&name, "String", "Valid").await;
        assert_eq!((status, code.as_str()), (400, INVALID.0), "{name}");
    }
    for data_type in ["Invalid", &format!("Number.{}", "L".repeat(256))] {
        assert_eq!(send("name", data_type, "1").await.1, INVALID.0, "{data_type}");
    }
    assert_eq!(send("name", "String", "Invalid-\u{8},\u{b}").await.1, INVALID.0);
    let body = message(url, "Invalid-\u{0}-\u{8}-\u{13}-\u{ffff}");
    assert_eq!(api.call("SendMessage", &body).await.1, "InvalidMessageContents");
}

#[tokio::test]
async fn what_is_wrong_with_a_batch() {
    let api = &Api::start().await;
    let url = &api.create("a.fifo").await;
    let send = "SendMessageBatch";
    let most = "Maximum number of entries per request are 10. You have sent 20.";
    for action in [send, "DeleteMessageBatch", "ChangeMessageVisibilityBatch"] {
        refused(api, action, entries(url, 20), 400, TOO_MANY, most).await;
    }
    for id in ["", &"testLongId".repeat(10), "invalid:id"] {
        for action in [send, "DeleteMessageBatch"] {
            let mut batch = entries(url, 1);
            batch["Entries"][0]["Id"] = json!(id);
            refused(api, action, batch, 400, BAD_ID, ENTRY_ID).await;
        }
    }
    for (name, message) in [("MessageGroupId", NO_GROUP), ("MessageDeduplicationId", NO_ID)] {
        let mut batch = entries(url, 2);
        batch["Entries"][1].as_object_mut().unwrap().remove(name);
        refused(api, send, batch, 400, INVALID, message).await;
    }
    let code = api.call(send, &entries(url, 0)).await.1;
    assert_eq!(code, "AWS.SimpleQueueService.EmptyBatchRequest");

    let mut batch = entries(url, 2);
    batch["Entries"][0]["MessageBody"] = json!("a".repeat(1_048_576 - 8));
    batch["Entries"][0]["MessageAttributes"] = json!({ "k": text("x") });
    batch["Entries"][1]["MessageBody"] = json!("a");
    let longer = "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.";
    refused(api, send, batch, 400, TOO_LONG, longer).await;

    let mut batch = entries(url, 10);
    batch["Entries"][9]["MessageBody"] = json!("\u{1}");
    let answer = api.done(send, &batch).await;
    assert_eq!(answer["Successful"].as_array().map(Vec::len), Some(9));
    let failed = &answer["Failed"][0];
    assert_eq!((&failed["Id"], &failed["SenderFault"]), (&json!("message-9"), &json!(true)));
    assert_eq!(failed["Code"], "InvalidMessageContents");
}

/// A queue's own limit is one for each message.
#[tokio::test]
async fn a_batch_may_be_larger_than_a_message_of_the_queue() {
    let api = &Api::start().await;
    let url = &api.create("a.fifo").await;
    let change = json!({ "QueueUrl": url, "Attributes": { "MaximumMessageSize": "2048" } });
    api.done("SetQueueAttributes", &change).await;
    let mut batch = entries(url, 2);
    batch["Entries"][0]["MessageBody"] = json!("a".repeat(2_048 - 8));
    batch["Entries"][0]["MessageAttributes"] = json!({ "k": text("x") });
    batch["Entries"][1]["MessageBody"] = json!("a");
    let answer = api.done("SendMessageBatch", &batch).await;
    let digests = |entry: &Value| {
        [&entry["MD5OfMessageBody"], &entry["MD5OfMessageAttributes"]].map(Value::clone)
    };
    let seen = answer["Successful"].as_array().unwrap().iter().map(digests);
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            [json!("f44facf5a7ee0af446ecf3e0f854441e"), json!("a45daa70926828a2f0a1db3418e6feb4")],
            [json!("0cc175b9c0f1b6a831c399e269772661"), Value::Null],
        ]
    );
    assert_eq!(answer["Failed"], Value::Null, "nothing is said of none");
    batch["Entries"][1]["MessageBody"] = json!("a".repeat(2_049));
    let answer = api.done("SendMessageBatch", &batch).await;
    assert_eq!(answer["Failed"][0]["Code"], INVALID.0);
}

#[tokio::test]
async fn what_is_wrong_with_a_receive_or_a_handle() {
    let api = &Api::start().await;
    let url = &api.create("a.fifo").await;
    let receive = |name: &str, value: i32| json!({ "QueueUrl": url, name: value });
    for (name, value, range) in [
        ("MaxNumberOfMessages", 11, "between 1 and 10"),
        ("WaitTimeSeconds", 21, ">= 0 and <= 20"),
        ("WaitTimeSeconds", -1, ">= 0 and <= 20"),
    ] {
        let text = format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be {range}, if provided."
        );
        refused(api, "ReceiveMessage", receive(name, value), 400, INVALID, &text).await;
    }
    let nothing = api.done("ReceiveMessage", &receive("WaitTimeSeconds", 0)).await;
    assert_eq!(nothing, json!({}), "nothing is said of no message");

    let text = "The input receipt handle \"garbage\" is not a valid receipt handle.";
    let garbage = json!({ "QueueUrl": url, "ReceiptHandle": "garbage", "VisibilityTimeout": 60 });
    for action in ["DeleteMessage", "ChangeMessageVisibility"] {
        refused(api, action, garbage.clone(), 400, BAD_HANDLE, text).await;
    }
    api.done("SendMessage", &message(url, "foobar")).await;
    let received = api.done("ReceiveMessage", &receive("VisibilityTimeout", 0)).await;
    let handle = received["Messages"][0]["ReceiptHandle"].as_str().unwrap().to_owned();
    let of =
        |handle: &str| json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 42 });
    let expired = format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    );
    refused(api, "DeleteMessage", of(&handle), 400, INVALID, &expired).await;
    let received = api.done("ReceiveMessage", &receive("VisibilityTimeout", 1)).await;
    let handle = received["Messages"][0]["ReceiptHandle"].as_str().unwrap().to_owned();
    api.done("ChangeMessageVisibility", &of(&handle)).await;
    for _ in 0..3 {
        api.done("DeleteMessage", &of(&handle)).await;
    }
    let gone = format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or \
         is not available for visibility timeout change."
    );
    refused(api, "ChangeMessageVisibility", of(&handle), 400, INVALID, &gone).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_queue() {
    let api = &Api::start().await;
    let url = &api.create("a.fifo").await;
    let gone = "The specified queue does not exist.";
    let request = json!({ "QueueName": "none.fifo" });
    refused(api, "GetQueueUrl", request, 400, NO_QUEUE, gone).await;
    let request = json!({ "QueueUrl": "http://localhost/000000000000/none.fifo" });
    refused(api, "GetQueueAttributes", request, 400, NO_QUEUE, gone).await;
    for (name, value) in [("ContentBasedDeduplication", "true"), ("DelaySeconds", "1")] {
        let attributes = json!({ "FifoQueue": "true", name: value });
        let request = json!({ "QueueName": "a.fifo", "Attributes": attributes });
        let text = format!(
            "A queue already exists with the same name and a different value for attribute {name}"
        );
        refused(api, "CreateQueue", request, 400, EXISTS, &text).await;
    }
    let set = |name: &str, value: &str| json!({ "QueueUrl": url, "Attributes": { name: value } });
    api.done("SetQueueAttributes", &set("FifoQueue", "true")).await;
    let text =
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.";
    refused(api, "SetQueueAttributes", set("FifoQueue", "false"), 400, ATTRIBUTE_VALUE, text).await;
    let policy = r#"{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}"#;
    let text = format!(
        "Value {policy} for parameter RedrivePolicy is invalid. Reason: Invalid value for \
         deadLetterTargetArn."
    );
    refused(api, "SetQueueAttributes", set("RedrivePolicy", policy), 400, INVALID, &text).await;
    let purge = json!({ "QueueUrl": url });
    api.done("PurgeQueue", &purge).await;
    let text = "Only one PurgeQueue operation on a.fifo is allowed every 60 seconds.";
    refused(api, "PurgeQueue", purge, 403, PURGING, text).await;

    let tags = json!({ "tag1": "value1", "MyTag": "", "mytag": "v" });
    api.done("TagQueue", &json!({ "QueueUrl": url, "Tags": tags })).await;
    let listed = api.done("ListQueueTags", &json!({ "QueueUrl": url })).await;
    assert_eq!(listed, json!({ "Tags": tags }));
    let untag = json!({ "QueueUrl": url, "TagKeys": ["tag1", "MyTag", "mytag", "none"] });
    api.done("UntagQueue", &untag).await;
    let listed = api.done("ListQueueTags", &json!({ "QueueUrl": url })).await;
    assert_eq!(listed, json!({}), "nothing is said of no tag");
    let policy = json!({ "QueueUrl": url, "AttributeNames": ["Policy"] });
    assert_eq!(api.done("GetQueueAttributes", &policy).await, json!({}));
}

#[tokio::test]
async fn what_is_wrong_with_a_move_task() {
    let api = &Api::start().await;
    let (url, dead) = (api.create("a.fifo").await, api.create("dead.fifo").await);
    let start = "StartMessageMoveTask";
    let source = |name: &str| json!({ "SourceArn": arn(name) });
    let text = "Source queue must be configured as a Dead Letter Queue.";
    refused(api, start, source("dead.fifo"), 400, INVALID, text).await;
    let redrive = json!({ "deadLetterTargetArn": arn("dead.fifo"), "maxReceiveCount": "1" });
    let change = json!({ "QueueUrl": url, "Attributes": { "RedrivePolicy": redrive.to_string() } });
    api.done("SetQueueAttributes", &change).await;
    let text = "The resource that you specified for the DestinationArn parameter doesn't exist.";
    let none = with(source("dead.fifo"), "DestinationArn", json!(arn("none.fifo")));
    refused(api, start, none, 404, NOT_FOUND, text).await;

    let cancel = "CancelMessageMoveTask";
    let handle = |source: &str| {
        let handle = json!({ "taskId": "none", "sourceArn": arn(source) }).to_string();
        json!({ "TaskHandle": STANDARD.encode(handle) })
    };
    let text = "Value for parameter TaskHandle is invalid.";
    refused(api, cancel, json!({ "TaskHandle": "foobared" }), 400, INVALID, text).await;
    let text = "The resource that you specified for the SourceArn parameter doesn't exist.";
    refused(api, cancel, handle("none.fifo"), 404, NOT_FOUND, text).await;
    refused(api, cancel, handle("dead.fifo"), 404, NOT_FOUND, "Task does not exist.").await;

    // Ten messages, one a second: what is seen meanwhile, and what is left of it.
    for number in 0..10 {
        let sent = with(message(&dead, "b"), "MessageDeduplicationId", json!(number.to_string()));
        api.done("SendMessage", &sent).await;
    }
    let other = api.create("other.fifo").await;
    let slow = with(source("dead.fifo"), "MaxNumberOfMessagesPerSecond", json!(1));
    let slow = with(slow, "DestinationArn", json!(arn("other.fifo")));
    let started = api.done(start, &slow).await;
    let text = "There is already a task running. Only one active task is allowed for a source \
                queue arn at a given time.";
    refused(api, start, slow.clone(), 400, INVALID, text).await;
    let list = async || {
        let listed = api.done("ListMessageMoveTasks", &source("dead.fifo")).await;
        listed["Results"][0].clone()
    };
    let running = list().await;
    assert_eq!(running["TaskHandle"], started["TaskHandle"]);
    let names = ["Status", "ApproximateNumberOfMessagesToMove", "MaxNumberOfMessagesPerSecond"];
    let seen = names.map(|name| running[name].clone());
    assert_eq!(seen, [json!("RUNNING"), json!(10), json!(1)]);
    assert_eq!(running["DestinationArn"], arn("other.fifo"));
    api.done("DeleteQueue", &json!({ "QueueUrl": other })).await;
    let ended = async {
        loop {
            let task = list().await;
            if task["Status"] != "RUNNING" {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // Nothing tells of its end.
        }
    };
    let ended = tokio::time::timeout(Duration::from_mins(1), ended).await.unwrap();
    assert_eq!(ended["Status"], "FAILED");
    assert_eq!(ended["FailureReason"], "AWS.SimpleQueueService.NonExistentQueue");
    assert_eq!(ended["TaskHandle"], Value::Null, "there is nothing to cancel");
}

#[tokio::test]
async fn digests_and_what_is_asked_for() {
    let api = &Api::start().await;
    let url = &api.create("a.fifo").await;
    let attributes =
        json!({ "Help.Me": text("Me"), "Hello": text("There"), "General": text("Kenobi") });
    let sent = with(message(url, "msg"), "MessageAttributes", attributes.clone());
    let sent = api.done("SendMessage", &sent).await;
    let all = "4c360f3fdafd970e05fae2f149d997f5";
    assert_eq!(sent["MD5OfMessageBody"], "6e2baaf3b97dbeef01c0043275f9a0e7");
    assert_eq!(sent["MD5OfMessageAttributes"], all);
    for (names, digest) in [
        (json!([]), None),
        (json!(["All"]), Some(all)),
        (json!(["*"]), Some(all)),
        (json!([".*"]), Some(all)),
        (json!(["Foo", "Help"]), None),
        (json!(["Hello", "General"]), Some("fca026605781cb4126a1e9044df24232")),
        (json!(["Foo", "Hello"]), Some("a311262e065454b75da111d535b8dacd")),
        (json!(["Hel.*"]), Some("83fee93c1bcd8b9a5a923ffacdc636c7")),
        (json!(["AWS."]), None),
        (json!(["..foo"]), None),
    ] {
        let receive =
            json!({ "QueueUrl": url, "MessageAttributeNames": names, "VisibilityTimeout": 0 });
        let message = api.done("ReceiveMessage", &receive).await["Messages"][0].clone();
        assert_eq!(message["MD5OfMessageAttributes"].as_str(), digest, "{names}");
        assert_eq!(message["MessageAttributes"].is_null(), digest.is_none(), "{names}");
    }
    let sender = json!(["SenderId"]);
    for (old, new, expected) in [
        (json!(["All"]), json!([]), 7),
        (json!([]), json!(["All"]), 7),
        (sender.clone(), json!([]), 1),
        (sender, json!(["All"]), 7),
        (json!([]), json!([]), 0),
    ] {
        let receive = json!({ "QueueUrl": url, "AttributeNames": old,
                              "MessageSystemAttributeNames": new, "VisibilityTimeout": 0 });
        let message = api.done("ReceiveMessage", &receive).await["Messages"][0].clone();
        let number = message["Attributes"].as_object().map_or(0, serde_json::Map::len);
        assert_eq!(number, expected, "{old} {new}: {message}");
    }
    let binary = "traceparent\u{1e}00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01";
    let binary = json!({ "DataType": "Binary", "BinaryValue": STANDARD.encode(binary) });
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let sent = message("a.fifo", "Using name instead of URL");
    let sent = with(sent, "MessageDeduplicationId", json!("by-name"));
    let sent = with(sent, "MessageAttributes", json!({ "attr1": binary }));
    let sent = with(sent, "MessageSystemAttributes", json!({ "AWSTraceHeader": text(trace) }));
    let sent = api.done("SendMessage", &sent).await;
    let digests = ["MD5OfMessageBody", "MD5OfMessageAttributes", "MD5OfMessageSystemAttributes"];
    assert_eq!(
        digests.map(|name| sent[name].as_str().unwrap_or_default()),
        [
            "86a83f96652a1bfad3891e7d523750cb",
            "8cbe4db156db8a94db8b801b7addb984",
            "5ae4d5d7636402d80f4eb6d213245a88",
        ]
    );
}

/// A dead letter is the message that it was, and one receive more.
#[tokio::test]
async fn a_dead_letter_keeps_its_attributes() {
    let api = &Api::start().await;
    let (url, dead) = (api.create("a.fifo").await, api.create("dead.fifo").await);
    let redrive = json!({ "deadLetterTargetArn": arn("dead.fifo"), "maxReceiveCount": 1 });
    let change = json!({ "QueueUrl": url, "Attributes": { "RedrivePolicy": redrive.to_string() } });
    api.done("SetQueueAttributes", &change).await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let sent = with(
        message(&url, "message-1"),
        "MessageAttributes",
        json!({ "MyAttribute": text("foobar") }),
    );
    let sent = with(sent, "MessageSystemAttributes", json!({ "AWSTraceHeader": text(trace) }));
    let id = api.done("SendMessage", &sent).await["MessageId"].clone();
    let receive = |url: &str| {
        json!({ "QueueUrl": url, "AttributeNames": ["All"], "MessageAttributeNames": ["All"],
                "VisibilityTimeout": 0 })
    };
    let first = api.done("ReceiveMessage", &receive(&url)).await["Messages"][0].clone();
    assert_eq!(first["Attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(api.done("ReceiveMessage", &receive(&url)).await, json!({}));
    let letter = api.done("ReceiveMessage", &receive(&dead)).await["Messages"][0].clone();
    assert_eq!((&letter["MessageId"], &letter["Body"]), (&id, &json!("message-1")));
    assert_eq!(letter["MD5OfMessageAttributes"], "adb59cd4678ea5a855436b949cd07ab6");
    let of = |name: &str| letter["Attributes"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(of("ApproximateReceiveCount"), "2");
    assert_eq!(of("AWSTraceHeader"), trace);
    assert_eq!(of("DeadLetterQueueSourceArn"), arn("a.fifo"));
}
