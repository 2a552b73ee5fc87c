//! The queue's contract on another implementation, so that the suite is not only what the engine's
//! authors believe of SQS. Skipped, loudly, where `MiniStack` cannot be installed.

use std::path::Path;

use contract_tests::queue::ministack::{MiniStack, VERSION};
use contract_tests::queue::{differences, run};

#[tokio::test]
async fn ministack_differs_from_sqs_only_where_listed() {
    let ministack = match MiniStack::start(Path::new(env!("CARGO_TARGET_TMPDIR"))).await {
        Ok(ministack) => ministack,
        Err(reason) => {
            // Straight to stderr, which the test harness does not hold back.
            use std::io::Write as _;
            let mut stderr = std::io::stderr();
            drop(writeln!(stderr, "skipped: queue contract on MiniStack {VERSION}: {reason}"));
            return;
        }
    };
    let findings = run(&ministack.queues).await;
    let surprises = findings.surprises(differences::MINISTACK);
    assert!(surprises.is_empty(), "the list is not exact:\n{}", surprises.join("\n"));
    println!("{} findings, {} differ", findings.count(), differences::MINISTACK.len());
}
