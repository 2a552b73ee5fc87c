//! Dead letters by their cause: `issues`, and `--issue` wherever dead letters are chosen.

use serde_json::{Value, json};

use crate::support::{Event, Queues};

/// Two causes, one of them with two keys.
async fn two_issues() -> Queues {
    let queues = Queues::start().await;
    let letters = [
        ("order-7", "event-1", 1, "{\"error\":\"no order 7\",\"trace\":\"4bf92f3577b34da6\"}"),
        ("order-8", "event-2", 2, "{\"trace\":\"a3ce929d0e0e4736\", \"error\":\"no order 8\"}"),
        ("order-7", "event-3", 3, "{\"error\":\"unknown state\"}"),
        ("order-7", "event-4", 4, "{\"error\":\"no order 7\",\"trace\":\"00f067aa0ba902b7\"}"),
    ];
    for (group, id, sequence, answer) in letters {
        queues.add_answered(Event::new(group, id, sequence), 422, answer).await;
    }
    queues
}

async fn issues(queues: &Queues, selection: &[&str]) -> Vec<Value> {
    let done = queues.dlq(&[&["issues", "test", "--json"], selection].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let mut all: Value = serde_json::from_str(&done.stdout).unwrap();
    all["issues"].as_array_mut().map(std::mem::take).unwrap()
}

/// The name of the issue with this answer.
async fn name(queues: &Queues, answer: &str) -> String {
    let all = issues(queues, &[]).await;
    let issue = all.iter().find(|it| it["answer"].as_str().unwrap().contains(answer));
    issue.unwrap()["name"].as_str().unwrap().to_owned()
}

const NO_ORDER: &str = "{\"error\":\"no order #\",\"trace\":\"#\"}";

#[tokio::test]
async fn dead_letters_of_one_cause_are_one_issue() {
    let queues = two_issues().await;
    let all = issues(&queues, &[]).await;
    let told = |it: &Value| {
        let time = |name: &str| it[name].as_str().is_some_and(|time| time.ends_with('Z'));
        assert!(time("first") && time("last") && it["first"].as_str() <= it["last"].as_str());
        [&it["count"], &it["keys"], &it["route"], &it["status"], &it["answer"]].map(Value::clone)
    };
    assert_eq!(
        all.iter().map(told).collect::<Vec<_>>(),
        [
            [json!(3), json!(2), json!("sss"), json!("422"), json!(NO_ORDER)],
            [
                json!(1),
                json!(1),
                json!("sss"),
                json!("422"),
                json!("{\"error\":\"unknown state\"}")
            ],
        ]
    );
    let table = queues.dlq(&["issues", "test", "--limit", "1"]).await.stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with(all[0]["name"].as_str().unwrap()), "{table}");
    assert!(lines[1].ends_with(NO_ORDER), "{table}");
    assert_eq!(lines[2..], ["1 of 2 issues, of 4 dead letters"]);
    let none = Queues::start().await.dlq(&["issues", "test"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), "no dead letters\n"));
}

#[tokio::test]
async fn a_name_stays_when_other_issues_come_and_go_and_stands_wherever_a_letter_is_shown() {
    let queues = two_issues().await;
    let unknown_state = name(&queues, "unknown state").await;
    let sent = queues.dlq(&["redrive", "test", "event-1", "event-2"]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    queues.add_answered(Event::new("x", "x-1", 9), 500, "<p>oops</p>").await;
    assert_eq!(name(&queues, "unknown state").await, unknown_state);
    let shown = queues.dlq(&["show", "test", "event-3"]).await;
    assert!(shown.stdout.contains(&unknown_state), "{}", shown.stdout);
    let listed = queues.dlq(&["list", "test", "--json", "--issue", &unknown_state]).await;
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed[0]["issue"], unknown_state.as_str());
}

#[tokio::test]
async fn every_command_that_chooses_dead_letters_chooses_by_issue() {
    let queues = two_issues().await;
    let no_order = name(&queues, "no order").await;
    // The beginning is enough.
    let start = &no_order[..7];
    let listed = queues.dlq(&["list", "test", "--json", "--issue", start]).await.stdout;
    assert!(listed.contains("event-1") && !listed.contains("event-3"), "{listed}");
    let stats = queues.dlq(&["stats", "test", "--issue", start]).await.stdout;
    assert!(stats.ends_with("3 dead letters\n"), "{stats}");
    let exported = queues.dlq(&["export", "test", "-", "--issue", start]).await.stdout;
    assert_eq!(exported.lines().count(), 3, "{exported}");
    assert_eq!(issues(&queues, &["--issue", start]).await.len(), 1);
    let unknown_state = name(&queues, "unknown state").await;
    let drop = ["drop", "test", "--issue", &unknown_state, "--why", "w", "--yes", "--export", "-"];
    let dropped = queues.dlq(&drop).await;
    assert_eq!(dropped.code, Some(0), "{}", dropped.stderr);
    assert_eq!(dropped.stdout.lines().count(), 1, "{}", dropped.stdout);
    let sent = queues.dlq(&["redrive", "test", "--issue", start]).await;
    assert!(sent.stdout.ends_with("sent 3 events\n"), "{}", sent.stderr);
    assert_eq!(queues.take_dead_letters().await, 0);
    let audit = queues.audit_lines().await;
    assert_eq!(audit.last().unwrap()["what"]["selection"]["issue"], start);
}

#[tokio::test]
async fn a_redrive_of_an_issue_names_the_older_letters_of_its_keys_that_it_passes_over() {
    let queues = two_issues().await;
    let unknown_state = name(&queues, "unknown state").await;
    let redrive = ["redrive", "test", "--issue", &unknown_state];
    let said = "group order-7: 1 older dead letter stays behind what is sent (event-1)";
    let plan = queues.dlq(&[&redrive[..], &["--dry-run"]].concat()).await;
    assert!(plan.stdout.contains(&format!("\n  {said}\n")), "{}", plan.stdout);
    let plan = queues.dlq(&[&redrive[..], &["--dry-run", "--json"]].concat()).await;
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let passed_over = json!([{ "group": "order-7", "count": 1, "event_ids": ["event-1"] }]);
    assert_eq!(plan["passed_over"], passed_over, "the later one of the key is none");
    let done = queues.dlq(&[&redrive[..], &["--json"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(done.stderr, format!("note: {said}\n"));
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&report["sent"], &report["passed_over"]), (&json!(["event-3"]), &passed_over));
    let rest = queues.dlq(&["redrive", "test", "--all"]).await;
    assert!(!rest.stderr.contains("stays behind"), "{}", rest.stderr);
}

#[tokio::test]
async fn of_many_that_are_passed_over_some_are_named_and_all_are_counted() {
    let queues = Queues::start().await;
    for sequence in 1..=7 {
        queues.add_rejected(Event::new("a", &format!("a-{sequence}"), sequence)).await;
    }
    let done = queues.dlq(&["redrive", "test", "a-7"]).await;
    assert_eq!(
        done.stderr,
        "note: group a: 6 older dead letters stay behind what is sent (a-1, a-2, a-3, a-4, a-5, …)\n"
    );
}

#[tokio::test]
async fn an_issue_that_is_not_there_is_refused_with_those_that_are() {
    let queues = two_issues().await;
    let file = queues.file("export.jsonl");
    let all = issues(&queues, &[]).await;
    let free = ('0'..='9')
        .map(|digit| format!("i-{digit}"))
        .find(|start| all.iter().all(|it| !it["name"].as_str().unwrap().starts_with(start)));
    let free = free.unwrap();
    let commands = [
        &["list", "test"][..],
        &["stats", "test"],
        &["issues", "test"],
        &["export", "test", &file],
        &["redrive", "test"],
        &["redrive", "test", "--dry-run"],
        &["drop", "test", "--why", "w", "--yes"],
    ];
    for command in commands {
        let done = queues.dlq(&[command, &["--issue", &free]].concat()).await;
        assert_eq!(done.code, Some(2), "{command:?}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{command:?}");
        assert!(
            done.stderr.contains(&format!("no dead letter is of issue {free}")),
            "{}",
            done.stderr
        );
        for issue in &all {
            let (name, answer) =
                (issue["name"].as_str().unwrap(), issue["answer"].as_str().unwrap());
            assert!(done.stderr.contains(name) && done.stderr.contains(answer), "{}", done.stderr);
        }
    }
    assert!(!std::path::Path::new(&file).exists());
    let none = queues.dlq(&["list", "test", "--issue", "4f2a"]).await;
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("an issue is named like i-4f2a91c7"), "{}", none.stderr);
    assert_eq!(queues.take_dead_letters().await, 4);
}

#[tokio::test]
async fn a_beginning_that_two_issues_have_means_neither() {
    let queues = Queues::start().await;
    // More issues than there are digits.
    for sequence in 1..=17_u64 {
        let answer = "ab".repeat(usize::try_from(sequence).unwrap());
        let event = Event::new("g", &format!("e-{sequence}"), sequence);
        queues.add_answered(event, 400, &answer).await;
    }
    let all = issues(&queues, &[]).await;
    let starts = |digit: char| {
        let start = format!("i-{digit}");
        all.iter().filter(|it| it["name"].as_str().unwrap().starts_with(&start)).count()
    };
    let digit = "0123456789abcdef".chars().find(|digit| starts(*digit) > 1).unwrap();
    let done = queues.dlq(&["redrive", "test", "--issue", &format!("i-{digit}")]).await;
    assert_eq!(done.code, Some(2), "{}", done.stdout);
    assert!(done.stderr.contains("; type more of it"), "{}", done.stderr);
    assert_eq!(queues.take_dead_letters().await, 17);
}

/// What is hidden may be of it.
#[tokio::test]
async fn an_issue_is_not_said_to_be_absent_while_dead_letters_are_hidden() {
    let queues = two_issues().await;
    let unknown_state = name(&queues, "unknown state").await;
    queues.hide(3).await;
    let listed = queues.dlq(&["list", "test", "--issue", &unknown_state]).await;
    assert_eq!(listed.code, Some(1), "{}", listed.stdout);
    let said = format!("could be looked at is of issue {unknown_state}, and 3 are hidden");
    assert!(listed.stderr.contains(&said), "{}", listed.stderr);
}
