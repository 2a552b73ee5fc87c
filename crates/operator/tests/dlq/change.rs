//! What changes dead letters: `export`, `drop`, `import`, `edit`; and the audit log of it.

use serde_json::Value;

use crate::support::{Event, Fault, Queues};

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

    let drop = ["drop", "test", "event-1", "--reason", "試験", "--export", &dropped, "--yes"];
    let done = queues.dlq(&drop).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(&dropped).unwrap().lines().count(), 1);
    assert_eq!(queues.dlq(&["show", "test", "event-1"]).await.code, Some(1));

    // Of the two in the file one is there still.
    let done = queues.dlq(&["import", "test", &all]).await;
    assert_eq!(done.stdout, "put back 1 dead letters; 1 were there already\n", "{}", done.stderr);
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
        ("dlq drop", "試験"),
        ("dlq import", "-"),
        ("dlq redrive", "-"),
        ("dlq redrive", "-"),
    ];
    assert_eq!(queues.audit().await, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[tokio::test]
async fn nothing_is_dropped_unless_all_is_clear() {
    let queues = two().await;
    let file = queues.file("dropped.jsonl");
    let unknown =
        queues.dlq(&["drop", "test", "event-1", "event-9", "--reason", "r", "--yes"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("\"event-9\""), "{}", unknown.stderr);
    let unasked = queues.dlq(&["drop", "test", "event-1", "--reason", "r"]).await;
    assert_eq!(unasked.code, Some(1));
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    std::fs::write(&file, "precious").unwrap();
    let taken = ["drop", "test", "event-1", "--reason", "r", "--export", &file, "--yes"];
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
    let edit = ["edit", "test", "event-1", "--reason", "wrong amount"];
    let done = queues.dlq_with_editor(editor, &edit).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let webhooks = queues.take_webhooks().await;
    let webhook = webhooks.first().unwrap();
    assert_eq!((webhook.event_id.as_str(), webhook.body.as_str()), ("event-1", "{\"顧客\":2}"));
    assert_eq!(webhook.group, "order-7");
    assert!(webhook.attributes.contains(&"edited_at".to_owned()), "{:?}", webhook.attributes);
    assert_eq!(queues.take_dead_letters().await, 1);
    assert_eq!(queues.audit().await, [("dlq edit".to_owned(), "wrong amount".to_owned())]);
}

#[tokio::test]
async fn what_was_written_is_kept_when_it_cannot_be_sent() {
    let queues = two().await;
    let edit = ["edit", "test", "event-1", "--reason", "wrong amount"];
    let refused = queues.dlq_with_editor("printf '{\"顧客\":' > \"$1\"", &edit).await;
    assert_eq!(refused.code, Some(1));
    let (_, path) = refused.stderr.split_once("--body ").unwrap();
    let path = path.split_whitespace().next().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"顧客\":");

    std::fs::write(path, "{\"顧客\":2}\n").unwrap();
    let done = queues.dlq(&[&edit[..], &["--body", path, "--json"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let what: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(what["event_id"], "event-1");
    std::fs::remove_file(path).unwrap();
    let webhooks = queues.take_webhooks().await;
    assert_eq!(webhooks.first().unwrap().body, "{\"顧客\":2}");
    let unreadable = queues.dlq(&[&edit[..], &["--body", "/nowhere.json"]].concat()).await;
    assert_eq!(unreadable.code, Some(1));
}

#[tokio::test]
async fn an_edit_whose_dead_letter_stays_is_noted_and_once_more_is_no_second_event() {
    let queues = two().await;
    let file = queues.file("corrected.json");
    std::fs::write(&file, "{\"顧客\":2}").unwrap();
    let edit = ["edit", "test", "event-1", "--reason", "wrong amount", "--body", &file];
    queues.set_fault(Fault::Refuse("DeleteMessage"));
    let half = queues.dlq(&edit).await;
    assert_eq!(half.code, Some(1));
    assert!(half.stderr.contains("the old one is still a dead letter"), "{}", half.stderr);
    let noted = [("dlq edit".to_owned(), "wrong amount".to_owned())];
    assert_eq!(queues.audit().await, noted, "it is on its way");

    queues.set_fault(Fault::None);
    let done = queues.dlq(&edit).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let bodies: Vec<_> = queues.take_webhooks().await.into_iter().map(|it| it.body).collect();
    assert_eq!(bodies, ["{\"顧客\":2}"]);
    assert_eq!(queues.take_dead_letters().await, 1);
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
        "put back 2 dead letters; 0 were there already\n",
        "put back 0 dead letters; 2 were there already\n",
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
        let edit = ["edit", "test", "event-1", "--reason", "r"];
        let done = queues.dlq_with_editor(editor, &edit).await;
        assert_eq!(done.code, Some(1), "{editor}");
        assert!(done.stderr.contains(reason), "{editor}: {}", done.stderr);
    }
    assert_eq!(queues.take_dead_letters().await, 2, "they are shown at once");
    assert_eq!(queues.take_webhooks().await, []);
}
