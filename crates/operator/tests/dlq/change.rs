//! What changes dead letters: `export`, `drop`, `import`, `edit`; and the audit log of it.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Event, Fault, Queues, typed};

/// Longer than SQS recognises a repeat.
const AFTER_REPEATS: Duration = Duration::from_secs(301);

async fn two() -> Queues {
    let queues = Queues::start().await;
    queues.add_rejected(Event::new("order-7", "event-1", 1).with_body("{\"顧客\":1}")).await;
    queues.add_rejected(Event::new("order-8", "event-2", 2).with_body("plain")).await;
    queues
}

#[tokio::test]
async fn what_was_exported_and_dropped_can_be_put_back_as_it_was() {
    let queues = two().await;
    let (all, dropped) = (queues.file("all.jsonl"), queues.file("dropped.jsonl"));
    let before = queues.dlq(&["show", "test", "event-1", "--json"]).await.stdout;

    assert_eq!(queues.dlq(&["export", "test", &all]).await.code, Some(0));
    assert_eq!(std::fs::read_to_string(&all).unwrap().lines().count(), 2);
    let again = queues.dlq(&["export", "test", &all]).await;
    assert_eq!(again.code, Some(1), "a file is never overwritten");

    let drop = ["drop", "test", "event-1", "--why", "試験", "--export", &dropped, "--yes"];
    let done = queues.dlq(&drop).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(&dropped).unwrap().lines().count(), 1);
    assert_eq!(queues.dlq(&["show", "test", "event-1"]).await.code, Some(1));

    // Of the two in the file one is there still.
    let done = queues.dlq(&["import", "test", &all]).await;
    assert_eq!(done.stdout, "put back 1 dead letter; already there: 1\n", "{}", done.stderr);
    let after = queues.dlq(&["show", "test", "event-1", "--json"]).await.stdout;
    let comparable = |json: &str| {
        let mut letter: Value = serde_json::from_str(json).unwrap();
        letter["message_id"].take();
        letter["dead_since"].take();
        letter
    };
    assert_eq!(comparable(&after), comparable(&before));
    let done = queues.dlq(&["redrive", "test", "--all"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let webhooks = queues.take_webhooks().await;
    assert_eq!(webhooks.iter().find(|it| it.event_id == "event-1").unwrap().group, "order-7");

    let expected = [
        ("dlq export", "-"),
        ("dlq export", "-"),
        ("dlq drop", "試験"),
        ("dlq drop", "試験"),
        ("dlq import", "-"),
        ("dlq import", "-"),
        ("dlq redrive", "-"),
        ("dlq redrive", "-"),
    ];
    assert_eq!(queues.audit().await, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

/// The forwarder has replaced it; what SQS moved has it in clear.
#[tokio::test]
async fn a_token_is_never_shown_nor_written_nor_sent_back() {
    const TOKEN: &str = "planted token";
    let queues = Queues::start().await;
    let event =
        |id: &str, sequence| Event::new("order-7", id, sequence).with_attribute("token", TOKEN);
    queues.add_rejected(event("event-1", 1)).await;
    queues.add_moved_by_sqs(event("event-2", 2)).await;
    let (all, dropped) = (queues.file("all.jsonl"), queues.file("dropped.jsonl"));
    let drop = ["drop", "test", "event-1", "event-2", "--why", "r", "--yes", "--export", &dropped];
    for command in [
        &["list", "test"][..],
        &["list", "test", "--json"],
        &["show", "test", "event-1"],
        &["show", "test", "event-2"],
        &["show", "test", "event-2", "--json"],
        &["stats", "test", "--json"],
        &["export", "test", &all],
        &drop,
        &["import", "test", &all],
        &["log", "test", "--json"],
    ] {
        let done = queues.dlq(command).await;
        assert_eq!(done.code, Some(0), "{command:?}: {}", done.stderr);
        assert!(!format!("{done:?}").contains("planted"), "{command:?}: {done:?}");
    }
    for file in [&all, &dropped] {
        let written = std::fs::read_to_string(file).unwrap();
        assert!(!written.contains("planted"), "{written}");
        assert_eq!(written.matches("\"token\":{\"t\":\"String\",\"v\":\"hmac-sha256:").count(), 2);
    }
    let done = queues.dlq(&["redrive", "test", "--all"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for webhook in queues.take_webhooks().await {
        assert!(webhook.token.as_deref().unwrap().starts_with("hmac-sha256:"), "{webhook:?}");
    }
}

#[tokio::test]
async fn an_event_that_died_twice_is_two_dead_letters_and_each_is_put_back_once() {
    let queues = Queues::start().await;
    for message_id in ["died-first", "died-again"] {
        queues.add_rejected(Event::new("order-7", "event-1", 1).dead_as(message_id)).await;
    }
    let all = queues.file("all.jsonl");
    assert_eq!(queues.dlq(&["export", "test", &all]).await.code, Some(0));
    let done = queues.dlq(&["import", "test", &all]).await;
    assert_eq!(done.stdout, "put back 0 dead letters; already there: 2\n");
    std::fs::write(queues.file("body"), "{}").unwrap();
    let edit = ["edit", "test", "event-1", "--why", "typo", "--body", &queues.file("body")];
    let edited = queues.dlq(&edit).await;
    assert_eq!(edited.code, Some(1), "{}", edited.stdout);
    assert!(
        edited.stderr.contains("2 dead letters have event id \"event-1\""),
        "{}",
        edited.stderr
    );
    let drop = ["drop", "test", "event-1", "--why", "r", "--yes", "--json"];
    let dropped = queues.file("dropped.jsonl");
    let done = queues.dlq(&[&drop[..], &["--export", &dropped]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let told: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(told["dropped"], serde_json::json!(["event-1"]), "it is one event");
    assert_eq!(std::fs::read_to_string(&dropped).unwrap().lines().count(), 2);

    let done = queues.dlq(&["import", "test", &dropped]).await;
    assert_eq!(done.stdout, "put back 2 dead letters; already there: 0\n", "{}", done.stderr);
    // Both files are of the same dead letters, and those that were put back are they.
    for file in [&dropped, &all] {
        let done = queues.dlq(&["import", "test", file]).await;
        assert_eq!(done.stdout, "put back 0 dead letters; already there: 2\n");
    }
    let again = queues.file("again.jsonl");
    assert_eq!(queues.dlq(&["export", "test", &again]).await.code, Some(0));
    assert_eq!(queues.take_dead_letters().await, 2);
    queues.advance(AFTER_REPEATS);
    let done = queues.dlq(&["import", "test", &again]).await;
    assert_eq!(done.stdout, "put back 2 dead letters; already there: 0\n", "{}", done.stderr);
}

#[tokio::test]
async fn what_the_queue_would_take_for_a_repeat_is_not_said_to_be_put_back() {
    let queues = two().await;
    let all = queues.file("all.jsonl");
    queues.dlq(&["export", "test", &all]).await;
    queues.take_dead_letters().await;
    assert_eq!(queues.dlq(&["import", "test", &all]).await.code, Some(0));
    let again = queues.file("again.jsonl");
    queues.dlq(&["export", "test", &again]).await;
    queues.take_dead_letters().await;
    let done = queues.dlq(&["import", "test", &again]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("wait five minutes"), "{}", done.stderr);
    queues.advance(AFTER_REPEATS);
    assert_eq!(queues.dlq(&["import", "test", &again]).await.code, Some(0));
    assert_eq!(queues.take_dead_letters().await, 2);
}

#[tokio::test]
async fn nothing_is_dropped_unless_all_is_clear() {
    let queues = two().await;
    let file = queues.file("dropped.jsonl");
    let unknown = queues.dlq(&["drop", "test", "event-1", "event-9", "--why", "r", "--yes"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("\"event-9\""), "{}", unknown.stderr);
    let unasked = queues.dlq(&["drop", "test", "event-1", "--why", "r"]).await;
    assert_eq!(unasked.code, Some(2));
    // It said why once, and chooses elsewhere.
    let old = queues.dlq(&["drop", "test", "event-1", "--reason", "r", "--yes"]).await;
    assert_eq!(old.code, Some(2));
    assert!(old.stderr.contains("--why") && old.stderr.contains("--class"), "{}", old.stderr);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    std::fs::write(&file, "precious").unwrap();
    let taken = ["drop", "test", "event-1", "--why", "r", "--export", &file, "--yes"];
    let taken = queues.dlq(&taken).await;
    assert_eq!(taken.code, Some(1));
    assert!(taken.stderr.contains("nothing was dropped"), "{}", taken.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(queues.dlq(&["drop", "test", "event-1"]).await.code, Some(2), "a reason is needed");
    assert_eq!(queues.take_dead_letters().await, 2);
    assert_eq!(queues.audit().await, []);
}

#[tokio::test]
async fn a_file_that_breaks_off_is_refused_as_a_whole() {
    let queues = two().await;
    let all = queues.file("all.jsonl");
    queues.dlq(&["export", "test", &all]).await;
    assert_eq!(queues.take_dead_letters().await, 2);
    let text = std::fs::read_to_string(&all).unwrap();
    std::fs::write(&all, &text[..text.len() - 20]).unwrap();
    let done = queues.dlq(&["import", "test", &all]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("line 2 of"), "{}", done.stderr);
    assert_eq!(queues.take_dead_letters().await, 0);
}

#[tokio::test]
async fn an_edited_event_is_sent_as_the_same_event() {
    let queues = two().await;
    let editor = "sed -i 's/1/2/' \"$1\"";
    let edit = ["edit", "test", "event-1", "--why", "wrong amount"];
    let done = queues.dlq_with_editor(editor, &edit).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let webhooks = queues.take_webhooks().await;
    let webhook = webhooks.first().unwrap();
    assert_eq!((webhook.event_id.as_str(), webhook.body.as_str()), ("event-1", "{\"顧客\":2}"));
    assert_eq!(webhook.group, "order-7");
    assert!(webhook.attributes.contains(&"edited_at".to_owned()), "{:?}", webhook.attributes);
    assert_eq!(queues.take_dead_letters().await, 1);
    let noted = ("dlq edit".to_owned(), "wrong amount".to_owned());
    assert_eq!(queues.audit().await, [noted.clone(), noted], "before and after");
}

#[tokio::test]
async fn two_dead_letters_of_one_event_are_both_put_back_and_each_once() {
    let queues = Queues::start().await;
    for sequence in [1, 2] {
        queues.add_rejected(Event::new("order-7", "event-1", sequence).with_body("same")).await;
    }
    let all = queues.file("all.jsonl");
    queues.dlq(&["export", "test", &all]).await;
    assert_eq!(queues.take_dead_letters().await, 2);
    for expected in [
        "put back 2 dead letters; already there: 0\n",
        "put back 0 dead letters; already there: 2\n",
    ] {
        let done = queues.dlq(&["import", "test", &all]).await;
        assert_eq!(done.stdout, expected, "{}", done.stderr);
    }
    assert_eq!(queues.take_dead_letters().await, 2);
}

#[tokio::test]
async fn an_edit_that_cannot_be_sent_changes_nothing() {
    let queues = two().await;
    for (editor, reason) in [
        ("true", "as it was"),
        ("echo '{' > \"$1\"", "JSON and is none"),
        ("exit 3", "ended with"),
        (": > \"$1\"", "empty"),
    ] {
        let edit = ["edit", "test", "event-1", "--why", "r"];
        let done = queues.dlq_with_editor(editor, &edit).await;
        assert_eq!(done.code, Some(1), "{editor}");
        assert!(done.stderr.contains(reason), "{editor}: {}", done.stderr);
    }
    assert_eq!(queues.take_dead_letters().await, 2, "they are shown at once");
    assert_eq!(queues.take_webhooks().await, []);
}

/// The file that a refused edit says it keeps.
fn kept_file(stderr: &str) -> &str {
    let path = stderr.split_once("what you typed is in ").unwrap().1;
    path.split_once("; correct it").unwrap().0
}

#[tokio::test]
async fn what_was_typed_is_kept_when_it_is_refused_and_can_be_gone_on_with() {
    let queues = two().await;
    let edit = ["edit", "test", "event-1", "--why", "it's wrong"];
    let done = queues.dlq_with_editor("echo '{\"顧客\":2' > \"$1\"", &edit).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("was JSON and is none any more"), "{}", done.stderr);
    let path = kept_file(&done.stderr).to_owned();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"顧客\":2\n");
    let (_, go_on) = done.stderr.split_once("go on with\n  ").unwrap();
    let go_on = go_on.lines().next().unwrap();
    assert!(go_on.starts_with("webhook-operator dlq edit test event-1 --body "), "{go_on}");

    std::fs::write(&path, "{\"顧客\":3}\n").unwrap();
    let done = typed(go_on).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(queues.take_webhooks().await[0].body, "{\"顧客\":3}");
    std::fs::remove_file(&path).unwrap();

    // An editor that fails after it has written, and one that changed nothing.
    let edit = ["edit", "test", "event-2", "--why", "r"];
    let done = queues.dlq_with_editor("echo other > \"$1\"; exit 3", &edit).await;
    let path = kept_file(&done.stderr);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "other\n");
    std::fs::remove_file(path).unwrap();
    let done = queues.dlq_with_editor("true", &edit).await;
    assert!(!done.stderr.contains("what you typed"), "{}", done.stderr);
    let done = queues.dlq(&[&edit[..], &["--body", "/nowhere.json"]].concat()).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("/nowhere.json"), "{}", done.stderr);
}

#[tokio::test]
async fn an_edit_whose_dead_letter_cannot_be_deleted_is_not_sent_twice() {
    let queues = two().await;
    queues.set_fault(Fault::Refuse("DeleteMessage"));
    let edit = ["edit", "test", "event-1", "--why", "r"];
    let done = queues.dlq_with_editor("echo '{\"n\":2}' > \"$1\"", &edit).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("is still a dead letter as well"), "{}", done.stderr);
    assert!(done.stderr.contains("dlq drop test event-1"), "{}", done.stderr);
    let audit = queues.audit_lines().await;
    assert_eq!(
        (&audit[1]["action"], &audit[1]["what"]["deleted"]),
        (&"dlq edit".into(), &false.into())
    );

    queues.set_fault(Fault::None);
    let path = kept_file(&done.stderr);
    let done = queues.dlq(&[&edit[..], &["--body", path, "--json"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let what: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(what["event_id"], "event-1");
    std::fs::remove_file(path).unwrap();
    let webhooks = queues.take_webhooks().await;
    let bodies: Vec<&str> = webhooks.iter().map(|webhook| webhook.body.as_str()).collect();
    assert_eq!(bodies, ["{\"n\":2}"], "the queue recognises it");
    assert_eq!(queues.take_dead_letters().await, 1);
}
